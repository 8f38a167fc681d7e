//! The answers of PostgreSQL's catalogs, as they are; no decisions.

use super::{
    columns::operator,
    failed,
    views::{self, Shown},
};
use crate::{
    catalog::{Oid, OperatorName, Privileges, ResourceKind},
    error::Result,
    identity::Role,
    postgres::{connection::Connection, session},
};
use std::{collections::HashMap, fmt, sync::Arc};
use tokio_postgres::{Row, types::ToSql};

const RELATIONS: &str = include_str!("../../../sql/discovery/relations.sql");
const COLUMNS: &str = include_str!("../../../sql/discovery/columns.sql");
const FUNCTIONS: &str = include_str!("../../../sql/discovery/functions.sql");
const TYPES: &str = include_str!("../../../sql/discovery/types.sql");
const COLLISIONS: &str = include_str!("../../../sql/discovery/collisions.sql");
const REFERENCES: &str = include_str!("../../../sql/discovery/references.sql");
const VIEWS: &str = include_str!("../../../sql/discovery/views.sql");
const VISIBILITY: &str = include_str!("../../../sql/discovery/visibility.sql");
const ROLE: &str = include_str!("../../../sql/discovery/role.sql");
const PRIVILEGES: &str = include_str!("../../../sql/discovery/privileges.sql");

/// Everything that was found, by relation.
#[derive(Default)]
pub(super) struct Found {
    pub(super) relations: Vec<RelationRow>,
    pub(super) functions: Vec<FunctionRow>,
    pub(super) types: HashMap<Oid, TypeRow>,
    columns: HashMap<Oid, Vec<ColumnRow>>,
    collisions: HashMap<Oid, Vec<CollisionRow>>,
    references: Vec<ReferenceRow>,
    /// What the columns of views show of tables, which need not be in the schemas.
    pub(super) shown: Shown,
    reads: HashMap<Oid, Vec<ReadsRow>>,
    opaque: HashMap<Oid, Vec<String>>,
}

pub(super) struct RelationRow {
    pub(super) oid: Oid,
    pub(super) schema: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) kind: ResourceKind,
    pub(super) partition: bool,
    /// Each of its rows is one of a single table.
    pub(super) simple: bool,
    pub(super) row_security: bool,
    pub(super) security_invoker: bool,
    pub(super) rights: i64,
    pub(super) extension: Option<String>,
}

impl fmt::Display for RelationRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

pub(super) struct ColumnRow {
    pub(super) name: Arc<str>,
    pub(super) number: i16,
    pub(super) type_: Oid,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    pub(super) identity_always: bool,
    pub(super) generated: bool,
}

pub(super) struct FunctionRow {
    pub(super) oid: Oid,
    pub(super) schema: Arc<str>,
    pub(super) name: Arc<str>,
    /// `pg_proc.provolatile`.
    pub(super) volatility: String,
    pub(super) returns_set: bool,
    pub(super) returns: Oid,
    /// The relation of which it takes a row, and nothing else.
    pub(super) takes: Option<Oid>,
    /// It promises one row (`rows 1`).
    pub(super) returns_one: bool,
    /// The relation of the row type that it returns.
    pub(super) relation: Option<Oid>,
    /// The types of all arguments, those that it returns among them.
    pub(super) types: Vec<Oid>,
    names: Vec<String>,
    /// `pg_proc.proargmodes`; empty: all are taken.
    pub(super) modes: Vec<String>,
    /// How many of the last that it takes have defaults.
    pub(super) defaults: usize,
    /// Some argument may be of any type.
    pub(super) is_generic: bool,
    pub(super) of_extension: bool,
}

impl FunctionRow {
    /// The name of an argument, if it has one.
    pub(super) fn named(&self, place: usize) -> Option<&str> {
        let name = self.names.get(place).map(String::as_str);
        name.filter(|it| !it.is_empty())
    }
}

pub(super) struct TypeRow {
    pub(super) name: Arc<str>,
    /// `pg_type.typtype`.
    pub(super) kind: String,
    /// The type that it is made of: a domain's base, an array's element, a range's bound.
    pub(super) part: Option<Oid>,
    pub(super) labels: Vec<Arc<str>>,
    pub(super) equality: Option<OperatorName>,
    pub(super) leakproof: bool,
    pub(super) leakproof_order: bool,
    pub(super) ordered: bool,
}

pub(super) struct CollisionRow {
    pub(super) is_key: bool,
    /// A primary key or a unique constraint, and not an index alone.
    pub(super) is_unique_constraint: bool,
    pub(super) names: Vec<Arc<str>>,
    /// `attnum`s; 0 for an expression.
    pub(super) columns: Vec<i16>,
    pub(super) by_equality: Vec<bool>,
    pub(super) conditional: bool,
}

pub(super) struct ReferenceRow {
    pub(super) relation: Oid,
    pub(super) name: Arc<str>,
    pub(super) columns: Vec<i16>,
    pub(super) target: Oid,
    pub(super) target_columns: Vec<i16>,
}

#[derive(Clone, Copy)]
pub(super) struct ReadsRow {
    pub(super) relation: Oid,
    pub(super) row_security: bool,
}

impl Found {
    pub(super) fn columns(&self, relation: Oid) -> &[ColumnRow] {
        self.columns.get(&relation).map_or(&[], Vec::as_slice)
    }

    pub(super) fn collisions(&self, relation: Oid) -> &[CollisionRow] {
        self.collisions.get(&relation).map_or(&[], Vec::as_slice)
    }

    pub(super) fn references(&self, relation: Oid) -> impl Iterator<Item = &ReferenceRow> {
        self.references
            .iter()
            .filter(move |it| it.relation == relation)
    }

    /// The foreign keys of all relations, and of the tables that views show.
    pub(super) fn all_references(&self) -> &[ReferenceRow] {
        &self.references
    }

    /// The constraints of all relations, and of the tables that views show.
    pub(super) fn all_collisions(&self) -> &HashMap<Oid, Vec<CollisionRow>> {
        &self.collisions
    }

    /// What a relation reads through its policies or its definition.
    pub(super) fn reads(&self, relation: Oid) -> &[ReadsRow] {
        self.reads.get(&relation).map_or(&[], Vec::as_slice)
    }

    /// The functions of a relation's policies whose reading nobody knows.
    pub(super) fn opaque(&self, relation: Oid) -> &[String] {
        self.opaque.get(&relation).map_or(&[], Vec::as_slice)
    }

    pub(super) fn relation(&self, oid: Oid) -> Option<&RelationRow> {
        self.relations.iter().find(|it| it.oid == oid)
    }

    /// A relation by `name` or `schema.name`.
    pub(super) fn named(&self, name: &str) -> Option<Oid> {
        self.relations
            .iter()
            .find(|it| &*it.name == name || it.to_string() == name)
            .map(|it| it.oid)
    }

    /// A relation's name for a person, also where it lies outside the schemas.
    pub(super) fn describe(&self, oid: Oid) -> String {
        self.relation(oid)
            .map_or_else(|| format!("the relation {oid}"), ToString::to_string)
    }
}

/// Asks for everything, in one snapshot.
pub(super) async fn find(connection: &Connection, schemas: &[String]) -> Result<Found> {
    // With an empty search path types are named with their schema.
    connection
        .batch_execute(
            "begin isolation level repeatable read read only; set local search_path to ''",
        )
        .await
        .map_err(failed)?;
    let found = ask(connection, schemas).await;
    connection.batch_execute("rollback").await.map_err(failed)?;
    found
}

async fn ask(connection: &Connection, schemas: &[String]) -> Result<Found> {
    let relations: Vec<RelationRow> = connection
        .query(RELATIONS, &[&schemas])
        .await
        .map_err(failed)?
        .iter()
        .map(|row| RelationRow {
            oid: row.get("oid"),
            schema: row.get::<_, &str>("schema").into(),
            name: row.get::<_, &str>("name").into(),
            kind: match row.get("kind") {
                "p" => ResourceKind::PartitionedTable,
                "v" => ResourceKind::View {
                    updatable: row.get("updatable"),
                },
                "m" => ResourceKind::MaterializedView,
                "f" => ResourceKind::ForeignTable,
                _ => ResourceKind::Table,
            },
            partition: row.get("partition"),
            simple: row.get("simple"),
            row_security: row.get("row_security"),
            security_invoker: row.get("security_invoker"),
            rights: row.get("rights"),
            extension: row.get("extension"),
        })
        .collect();
    let oids: Vec<Oid> = relations.iter().map(|it| it.oid).collect();
    let functions: Vec<FunctionRow> = connection
        .query(FUNCTIONS, &[&schemas])
        .await
        .map_err(failed)?
        .iter()
        .map(function)
        .collect();
    // Row types have columns as tables do.
    let mut shaped = oids.clone();
    shaped.extend(functions.iter().filter_map(|it| it.relation));
    let mut found = Found {
        relations,
        functions,
        ..Found::default()
    };
    let of_all: &[&(dyn ToSql + Sync)] = &[&oids];
    let of_shaped: &[&(dyn ToSql + Sync)] = &[&shaped];
    let views = connection.query(VIEWS, of_all).await.map_err(failed)?;
    found.shown = views::shown(
        views
            .iter()
            .map(|row| (row.get("relation"), row.get("definition"))),
    );
    let mut tables = oids.clone();
    tables.extend(found.shown.values().map(|it| it.table));
    tables.sort_unstable();
    tables.dedup();
    let with_shown: &[&(dyn ToSql + Sync)] = &[&tables];
    let (columns, collisions, references, visibility) = tokio::try_join!(
        connection.query(COLUMNS, of_shaped),
        connection.query(COLLISIONS, with_shown),
        connection.query(REFERENCES, with_shown),
        connection.query(VISIBILITY, of_all),
    )
    .map_err(failed)?;
    for row in columns {
        found
            .columns
            .entry(row.get("relation"))
            .or_default()
            .push(ColumnRow {
                name: row.get::<_, &str>("name").into(),
                number: row.get("number"),
                type_: row.get("type"),
                not_null: row.get("not_null"),
                has_default: row.get("has_default"),
                identity_always: row.get("identity_always"),
                generated: row.get("generated"),
            });
    }
    for row in collisions {
        let names: Vec<&str> = row.get("names");
        found
            .collisions
            .entry(row.get("relation"))
            .or_default()
            .push(CollisionRow {
                is_key: row.get("is_key"),
                is_unique_constraint: row.get("is_unique_constraint"),
                names: names.into_iter().map(Arc::from).collect(),
                columns: row.get("columns"),
                by_equality: row.get("by_equality"),
                conditional: row.get("conditional"),
            });
    }
    found.references = references
        .iter()
        .map(|row| ReferenceRow {
            relation: row.get("relation"),
            name: row.get::<_, &str>("name").into(),
            columns: row.get("columns"),
            target: row.get("target"),
            target_columns: row.get("target_columns"),
        })
        .collect();
    for row in visibility {
        let relation: Oid = row.get("relation");
        if let Some(reads) = row.get("reads") {
            found.reads.entry(relation).or_default().push(ReadsRow {
                relation: reads,
                row_security: row.get("row_security"),
            });
        }
        if let Some(function) = row.get("opaque") {
            found.opaque.entry(relation).or_default().push(function);
        }
    }
    found.types = types(connection, &found).await?;
    Ok(found)
}

fn function(row: &Row) -> FunctionRow {
    let count = |name: &str| usize::try_from(row.get::<_, i32>(name)).unwrap_or_default();
    FunctionRow {
        oid: row.get("oid"),
        schema: row.get::<_, &str>("schema").into(),
        name: row.get::<_, &str>("name").into(),
        volatility: row.get("volatility"),
        returns_set: row.get("returns_set"),
        returns: row.get("returns"),
        takes: row.get("takes_relation"),
        returns_one: row.get("returns_one"),
        relation: row.get("returns_relation"),
        types: row.get("argument_types"),
        names: row.get("argument_names"),
        modes: row.get("argument_modes"),
        defaults: count("defaults"),
        is_generic: row.get("is_generic"),
        of_extension: row.get("of_extension"),
    }
}

async fn types(connection: &Connection, found: &Found) -> Result<HashMap<Oid, TypeRow>> {
    let mut oids: Vec<Oid> = found
        .columns
        .values()
        .flatten()
        .map(|it| it.type_)
        .collect();
    for function in &found.functions {
        oids.push(function.returns);
        oids.extend(&function.types);
    }
    oids.sort_unstable();
    oids.dedup();
    let rows = connection.query(TYPES, &[&oids]).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| {
            let labels: Option<Vec<&str>> = row.get("labels");
            let type_ = TypeRow {
                name: row.get::<_, &str>("name").into(),
                kind: row.get("kind"),
                part: row.get("part"),
                labels: labels.into_iter().flatten().map(Arc::from).collect(),
                equality: operator(row.get("equality_schema"), row.get("equality_name")),
                leakproof: row.get("equality_leakproof"),
                leakproof_order: row.get("order_leakproof"),
                ordered: row.get("ordered"),
            };
            (row.get("oid"), type_)
        })
        .collect())
}

/// What a role may do with these relations.
pub(super) async fn privileges(
    connection: &Connection,
    role: &Role,
    relations: &[Oid],
) -> Result<HashMap<Oid, Privileges>> {
    if role.0.contains('\0') {
        return Err(session::role_not_allowed(role));
    }
    let found = connection
        .query_opt(ROLE, &[&&*role.0])
        .await
        .map_err(failed)?;
    // `none` cannot be a role's name, and taking it would mean to stay who we are.
    let oid: Oid = found
        .filter(|row| row.get("member"))
        .ok_or_else(|| session::role_not_allowed(role))?
        .get("oid");
    let rows = connection
        .query(PRIVILEGES, &[&oid, &relations])
        .await
        .map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| {
            let usage: bool = row.get("usage");
            let columns = |name: &str| -> Vec<bool> {
                let allowed: Option<Vec<bool>> = row.get(name);
                let allowed = allowed.unwrap_or_default();
                allowed.into_iter().map(|it| it && usage).collect()
            };
            let privileges = Privileges {
                select: columns("may_select"),
                insert: columns("may_insert"),
                update: columns("may_update"),
                select_whole: usage && row.get::<_, bool>("may_select_whole"),
                delete: usage && row.get::<_, bool>("may_delete"),
                row_security_binds: row.get("row_security_binds"),
            };
            (row.get("relation"), privileges)
        })
        .collect())
}
