//! What is exposed: resources with their columns, keys, references and tenancy.
//!
//! Plain data with look-ups; `postgres::discovery` fills it, `query` and the SQL rendering read it.
//! Knows neither SQL text nor connections.

mod access;
mod column_type;
mod function;
pub mod oid;
pub mod relations;
#[cfg(any(test, feature = "fuzzing"))]
pub mod sample;
pub mod suggest;

pub use crate::config::Announce;
pub use access::{Access, Allowed};
pub use column_type::{ColumnType, TypeKind};
pub use function::{Bringing, Choice, Function, Parameter, Returns, Volatility, choose};
pub use relations::{Link, Relation, Side};

use crate::{error::Result, identity::OrganizationForm};
use std::{collections::HashMap, sync::Arc};

/// First segments of paths that are rowcast's own: a resource of such a name is at
/// `/resources/{name}` only.
pub const OWN_NAMES: [&str; 14] = [
    "channels",
    "requests",
    "signals",
    "topics",
    "passes",
    "batch",
    "rpc",
    "resources",
    "health",
    "ready",
    "metrics",
    "openapi.json",
    "asyncapi.json",
    "docs",
];

/// PostgreSQL's object identifier of a relation.
pub type Oid = u32;

/// Everything that is exposed, as one immutable value: a change of the schema makes a new catalog.
#[derive(Debug, Default)]
pub struct Catalog {
    resources: HashMap<Arc<str>, Arc<Resource>>,
    by_relation: HashMap<Oid, Arc<Resource>>,
    relations: HashMap<Oid, Vec<Arc<Relation>>>,
    functions: HashMap<Arc<str>, Vec<Arc<Function>>>,
    /// Relations of the configured schemas that are not exposed, and why.
    pub hidden: Vec<Hidden>,
    /// What an operator should know; printed by `rowcast check`.
    pub remarks: Vec<Remark>,
    /// Whether queries may have aggregates (`api.aggregates_enabled`).
    pub aggregates_enabled: bool,
}

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Something does not do what somebody meant it to: a setting that names what is not there, a
    /// policy that is passed by.
    Wrong(String),
    /// It may well be meant like this.
    Note(String),
}

impl Remark {
    /// The sentence.
    pub fn text(&self) -> &str {
        match self {
            Self::Wrong(text) | Self::Note(text) => text,
        }
    }
}

/// A relation that is not exposed.
#[derive(Debug, Clone)]
pub struct Hidden {
    /// `schema.name`.
    pub relation: String,
    /// One sentence for a person.
    pub reason: String,
}

impl Catalog {
    /// A catalog of these resources.
    pub fn new(resources: Vec<Resource>, hidden: Vec<Hidden>, remarks: Vec<Remark>) -> Self {
        let resources: Vec<Arc<Resource>> = resources.into_iter().map(Arc::new).collect();
        Self {
            relations: HashMap::new(),
            functions: HashMap::new(),
            aggregates_enabled: false,
            by_relation: resources
                .iter()
                .map(|it| (it.relation, it.clone()))
                .collect(),
            resources: resources
                .into_iter()
                .map(|it| (it.name.clone(), it))
                .collect(),
            hidden,
            remarks,
        }
    }

    /// The same catalog with relations, by the resource where they start.
    #[must_use]
    pub fn with_relations(mut self, relations: HashMap<Oid, Vec<Arc<Relation>>>) -> Self {
        self.relations = relations;
        self
    }

    /// The same catalog with functions.
    #[must_use]
    pub fn with_functions(mut self, functions: Vec<Function>) -> Self {
        for function in functions {
            let same = self.functions.entry(function.name.clone()).or_default();
            same.push(Arc::new(function));
        }
        self
    }

    /// The functions of this name: several if they take different arguments.
    pub fn functions(&self, name: &str) -> &[Arc<Function>] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of all functions, in no particular order.
    pub fn function_names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(|it| &**it)
    }

    /// The relations that start at a resource.
    pub fn relations(&self, origin: Oid) -> &[Arc<Relation>] {
        self.relations.get(&origin).map_or(&[], Vec::as_slice)
    }

    /// The relation from `origin` that a query means by `target`, and by `hint` where several fit.
    ///
    /// # Errors
    /// `RelationUnknown`; `RelationAmbiguous`, with all that fit.
    pub fn relation_to(
        &self,
        origin: &Resource,
        target: &str,
        hint: Option<&str>,
    ) -> Result<Arc<Relation>> {
        relations::find(self, origin, target, hint)
    }

    /// The resource of this name.
    pub fn resource(&self, name: &str) -> Option<&Arc<Resource>> {
        self.resources.get(name)
    }

    /// The resource that this relation is.
    pub fn relation(&self, oid: Oid) -> Option<&Arc<Resource>> {
        self.by_relation.get(&oid)
    }

    /// What organizations look like in this database, where all of its organization columns agree.
    pub fn organization_form(&self) -> OrganizationForm {
        let columns = self
            .resources()
            .filter_map(|resource| match resource.tenancy {
                Tenancy::Column(index) => resource.columns.get(index),
                _ => None,
            });
        let mut forms = columns.map(|column| match column.type_.base().oid {
            // int8, int2, int4, uuid (`pg_type.dat`).
            20 | 21 | 23 => OrganizationForm::Integer,
            2950 => OrganizationForm::Uuid,
            _ => OrganizationForm::Text,
        });
        match forms.next() {
            Some(first) if forms.all(|form| form == first) => first,
            _ => OrganizationForm::Text,
        }
    }

    /// The schema in which a name is looked for first, as far as resources tell.
    pub fn schema(&self) -> &str {
        let in_public = self.resources().any(|it| &*it.schema == "public");
        match self.resources().map(|it| &*it.schema).min() {
            Some(first) if !in_public => first,
            _ => "public",
        }
    }

    /// All resources, in no particular order.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }
}

/// One exposed table or view.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The name on the wire.
    pub name: Arc<str>,
    /// The schema it lives in.
    pub schema: Arc<str>,
    /// The relation's name inside the schema.
    pub table: Arc<str>,
    /// The relation's object identifier.
    pub relation: Oid,
    /// What kind of relation it is.
    pub kind: ResourceKind,
    /// All columns in the table's order.
    pub columns: Vec<Column>,
    /// Indices into `columns` of the primary key, in key order. Empty: the resource is read-only
    /// and its changes come as `reset`.
    pub key: Vec<usize>,
    /// What functions compute of a row, as if it were columns behind its own.
    pub computed: Vec<Computed>,
    /// How a row belongs to an organization.
    pub tenancy: Tenancy,
    /// Foreign keys from here to other relations.
    pub references: Vec<Reference>,
    /// Unique and exclusion constraints, the primary key among them: what a write may collide with.
    pub collisions: Vec<Collision>,
    /// Whether row-level security is enabled; for a view that runs with its caller's rights, on any
    /// table that it reads.
    pub row_security: bool,
    /// Whether which rows are seen depends on more than the organization and the role: row-level
    /// security, here or where the organization comes through. Such rows are re-read per identity.
    pub restricted: bool,
    /// The tables whose row-level security a view that runs with its caller's rights comes under;
    /// empty for everything else.
    pub secured_by: Vec<Oid>,
    /// Relations whose changes change which rows of this one are seen: those that its policies read,
    /// itself among them if a function of theirs reads it, those that a view is made of, and those
    /// configured.
    pub visibility_depends_on: Vec<Oid>,
    /// Index into `columns` of the configured `updated_at`.
    pub updated_at: Option<usize>,
    /// What a change announces.
    pub announce: Announce,
    /// Whether its rows have secret keys.
    pub keyed: bool,
    /// A digest of who was given which rights on it (its owner, `relacl`, `attacl`): another one means
    /// that roles may read another part of it.
    pub rights: i64,
    /// Why its changes cannot be announced (a view, a missing right); `None`: it is live.
    pub not_live: Option<String>,
}

impl Resource {
    /// Rows that are of no relation, as if they were: what functions give.
    pub fn of_values(schema: &Arc<str>, name: &Arc<str>, columns: Vec<Column>) -> Self {
        Self {
            name: name.clone(),
            schema: schema.clone(),
            table: name.clone(),
            // No relation has this number.
            relation: 0,
            kind: ResourceKind::View { updatable: false },
            columns,
            key: Vec::new(),
            computed: Vec::new(),
            tenancy: Tenancy::Single,
            references: Vec::new(),
            collisions: Vec::new(),
            row_security: false,
            restricted: false,
            secured_by: Vec::new(),
            visibility_depends_on: Vec::new(),
            updated_at: None,
            announce: Announce::default(),
            keyed: false,
            rights: 0,
            not_live: None,
        }
    }

    /// Whether what is read of its rows, and by what they belong to an organization, is the same as of
    /// `other`. What else was found of the two, such as references, does not matter.
    pub fn reads_like(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.relation, it.kind, it.rights, it.row_security);
        of(self) == of(other)
            && (&self.schema, &self.table, &self.name) == (&other.schema, &other.table, &other.name)
            && self.columns == other.columns
            && self.key == other.key
            && self.computed == other.computed
            && self.tenancy == other.tenancy
    }

    /// The column of this name, with its index.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns
            .iter()
            .enumerate()
            .find(|(_, column)| &*column.name == name)
    }

    /// The column at this place: one of its own, or behind them one that is computed.
    pub fn at(&self, index: usize) -> &Column {
        match self.columns.get(index) {
            Some(column) => column,
            None => &self.computed[index - self.columns.len()].column,
        }
    }

    /// The function that computes the column at this place, if it is none of its own.
    pub fn computed_at(&self, index: usize) -> Option<&Computed> {
        self.computed.get(index.checked_sub(self.columns.len())?)
    }

    /// The place of the computed column of this name.
    pub fn computed_column(&self, name: &str) -> Option<usize> {
        let found = self.computed.iter().position(|it| *it.column.name == *name);
        found.map(|it| it + self.columns.len())
    }

    /// The key's columns, in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|index| &self.columns[*index])
    }

    /// What PostgreSQL says to a role that has no right on it.
    pub fn denial(&self) -> String {
        let kind = match self.kind {
            ResourceKind::Table | ResourceKind::PartitionedTable => "table",
            ResourceKind::View { .. } => "view",
            ResourceKind::MaterializedView => "materialized view",
            ResourceKind::ForeignTable => "foreign table",
        };
        format!("permission denied for {kind} {}", self.table)
    }

    /// Whether its columns hold values; those of a view may be expressions, evaluated on rows that
    /// nobody asked for.
    pub fn is_stored(&self) -> bool {
        !matches!(
            self.kind,
            ResourceKind::View { .. } | ResourceKind::ForeignTable
        )
    }

    /// Whether its rows have a transaction that wrote them (`xmin`), from which entity tags are made.
    pub fn has_etags(&self) -> bool {
        matches!(
            self.kind,
            ResourceKind::Table | ResourceKind::PartitionedTable
        )
    }

    /// Whether rows can be written at all, by anybody, each by its address.
    pub fn is_writable(&self) -> bool {
        !self.key.is_empty() && self.takes_writes()
    }

    /// Whether rows can be written at all, by anybody. Those of a table without a key have no address,
    /// and are written as PostgREST writes them, by filter.
    pub fn takes_writes(&self) -> bool {
        self.tenancy != Tenancy::Shared && self.kind.is_writable()
    }
}

/// A column that a function computes of a row, whose type is all that it takes. It can be read and
/// compared like a column, and is none of the row: it is not written, announced or stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    /// As what it is read. Comparing it may run the function, so nothing about it is leakproof.
    pub column: Column,
    /// The function's schema.
    pub schema: Arc<str>,
}

/// The kinds of relation that can be exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// An ordinary table.
    Table,
    /// The parent of partitions.
    PartitionedTable,
    /// A view; its changes are not seen by triggers.
    View {
        /// Whether PostgreSQL inserts, updates and deletes through it (`pg_relation_is_updatable`).
        updatable: bool,
    },
    /// A materialized view: read-only.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
}

impl ResourceKind {
    fn is_writable(self) -> bool {
        matches!(
            self,
            Self::Table
                | Self::PartitionedTable
                | Self::View { updatable: true }
                | Self::ForeignTable
        )
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, in the table and on the wire.
    pub name: Arc<str>,
    /// `pg_attribute.attnum`.
    pub number: i16,
    /// Its type.
    pub type_: ColumnType,
    /// Declared `not null`.
    pub not_null: bool,
    /// Has a default, an identity or a generation expression.
    pub has_default: bool,
    /// `generated always as identity`: inserting a value needs `overriding system value`.
    pub identity_always: bool,
    /// `generated always as (…) stored`: never written.
    pub generated: bool,
    /// The type's equality operator, from its default operator class; `None`: values of this type
    /// cannot be compared.
    pub equality: Option<OperatorName>,
    /// The equality operator is leakproof (`pg_proc`) and the column is stored: comparing it tells
    /// nothing of rows that do not pass, so it may run below the fence. Never so for a view's
    /// columns, which may be expressions that raise errors.
    pub leakproof_equality: bool,
    /// The same of the operators by which the type is ordered.
    pub leakproof_order: bool,
    /// The type has a default order (a default btree operator class).
    pub orderable: bool,
}

impl Column {
    /// What stands for nothing where there has to be a column: a number.
    pub fn of_nothing() -> Self {
        Self {
            name: "nothing".into(),
            number: 1,
            type_: ColumnType {
                oid: oid::INT4,
                name: "integer".into(),
                kind: TypeKind::Base,
            },
            not_null: true,
            has_default: false,
            identity_always: false,
            generated: false,
            equality: None,
            leakproof_equality: false,
            leakproof_order: false,
            orderable: false,
        }
    }
}

/// An operator, which need not be in the search path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorName {
    /// Its schema.
    pub schema: Arc<str>,
    /// Its name, such as `=`.
    pub name: Arc<str>,
}

/// How a row belongs to an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenancy {
    /// By its own column: an index into `columns`.
    Column(usize),
    /// Through a reference, to a resource that has an organization (perhaps through another one).
    Via {
        /// Index into `columns` of the referring column.
        column: usize,
        /// The relation referred to.
        target: Oid,
        /// `attnum` of the column there.
        target_column: i16,
    },
    /// Seen by every organization, written by none.
    Shared,
    /// The whole database is one organization.
    Single,
}

/// A unique or exclusion constraint, or a unique index.
#[derive(Debug, Clone)]
pub struct Collision {
    /// The names under which PostgreSQL's errors report it: the constraint's or index's own, and
    /// those of its descendants in partitions.
    pub names: Vec<Arc<str>>,
    /// Indices into `columns` of the plain columns in it.
    pub columns: Vec<usize>,
    /// Only plain columns compared by equality, and no condition: two rows collide exactly if these
    /// columns are equal.
    pub plain: bool,
    /// One of its parts is the organization column, compared by equality: rows of different
    /// organizations never collide.
    pub within_organization: bool,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The constraint's name.
    pub constraint: Arc<str>,
    /// Indices into `columns` of the referring columns.
    pub columns: Vec<usize>,
    /// The relation referred to.
    pub target: Oid,
    /// `attnum`s of the columns there, in the same order.
    pub target_columns: Vec<i16>,
}

/// What a role may do with a resource (`has_table_privilege`, `has_column_privilege`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privileges {
    /// For each column, whether it may be read.
    pub select: Vec<bool>,
    /// Whether the table as a whole may be read, which its system columns need (`xmin`).
    pub select_whole: bool,
    /// For each column, whether a value may be inserted.
    pub insert: Vec<bool>,
    /// For each column, whether it may be updated.
    pub update: Vec<bool>,
    /// Whether rows may be deleted.
    pub delete: bool,
    /// Whether the table's policies bind this role. Not so for a superuser, a role with `BYPASSRLS`,
    /// or an owner without `force row level security`; such a role is refused on a table with
    /// row-level security.
    pub row_security_binds: bool,
}

impl Privileges {
    /// Whether there is anything that the role may do.
    pub fn any(&self) -> bool {
        let columns = [&self.select, &self.insert, &self.update];
        self.delete || columns.iter().any(|it| it.contains(&true))
    }
}
