//! What is in the database, read from PostgreSQL's own catalogs, and what of it is exposed.
//!
//! Runs as the role that rowcast logs in as, for nobody in particular. What it reads says nothing of
//! rows. Decides nothing about callers: that is [`Access`]'s business.

mod columns;
mod computed;
mod functions;
mod rows;
mod tenancy;
mod views;

use super::connection::Connection;
use crate::{
    catalog::{
        Access, Catalog, Collision, Column, Hidden, OWN_NAMES, Oid, Privileges, Reference, Remark,
        Resource, ResourceKind, Tenancy,
        relations::{self, ForeignKey},
    },
    config::Config,
    error::{Error, Result},
    identity::Role,
};
use rows::{Found, RelationRow};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Reads what is exposed.
///
/// # Errors
/// `DatabaseUnavailable`, or as PostgreSQL says.
pub(super) async fn discover(connection: &Connection, config: &Config) -> Result<Catalog> {
    let found = rows::find(connection, &config.database.schemas).await?;
    let mut catalog = Discovery::new(config, found).catalog();
    catalog.aggregates_enabled = config.api.aggregates_enabled;
    Ok(catalog)
}

/// What a role may do with the resources of a catalog.
///
/// # Errors
/// `RoleNotAllowed`; `DatabaseUnavailable`, or as PostgreSQL says.
pub(super) async fn access(
    connection: &Connection,
    catalog: Arc<Catalog>,
    role: &Role,
) -> Result<Access> {
    let mut relations: Vec<Oid> = catalog.resources().map(|it| it.relation).collect();
    // A view that runs with its caller's rights is bound by the policies of what it reads.
    relations.extend(catalog.resources().flat_map(|it| it.secured_by.iter()));
    let found = rows::privileges(connection, role, &relations).await?;
    let privileges = catalog
        .resources()
        .map(|resource| {
            let own = found.get(&resource.relation).cloned().unwrap_or_default();
            let binds = |oid: &Oid| found.get(oid).is_some_and(|it| it.row_security_binds);
            let privileges = Privileges {
                row_security_binds: match resource.secured_by.is_empty() {
                    true => own.row_security_binds,
                    false => resource.secured_by.iter().all(binds),
                },
                ..own
            };
            (resource.relation, privileges)
        })
        .collect();
    Ok(Access::new(role.clone(), catalog, privileges))
}

/// The facts on the way to becoming a catalog.
struct Discovery<'a> {
    config: &'a Config,
    found: Found,
    hidden: Vec<Hidden>,
    remarks: Vec<Remark>,
}

impl<'a> Discovery<'a> {
    fn new(config: &'a Config, found: Found) -> Self {
        Self {
            config,
            found,
            hidden: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn catalog(mut self) -> Catalog {
        let named = self.named();
        let tenancies = tenancy::resolve(&mut self, &named);
        let resources: Vec<Resource> = named
            .iter()
            .filter_map(|index| {
                let relation = &self.found.relations[*index];
                let tenancy = tenancies.get(&relation.oid)?.clone();
                Some(self.resource(*index, tenancy))
            })
            .collect();
        let mut resources = restricted(resources);
        self.warn(&resources);
        computed::columns(self.config, &self.found, &mut resources);
        let mut relations = relations::derive(&resources, &self.related());
        computed::relations(self.config, &self.found, &resources, &mut relations);
        let Self {
            config,
            found,
            hidden,
            mut remarks,
        } = self;
        let by_relation = resources
            .iter()
            .map(|it| (it.relation, Arc::new(it.clone())))
            .collect();
        let functions = functions::exposed(config, &found, &by_relation, &mut remarks);
        Catalog::new(resources, hidden, remarks)
            .with_relations(relations)
            .with_functions(functions)
    }

    /// What relations between resources are made of.
    fn related(&self) -> relations::Source {
        let none = Vec::new();
        let collisions = self.found.all_collisions();
        let keys = self.found.all_references().iter().map(|it| {
            let same = |columns: &[i16]| {
                columns.len() == it.columns.len() && columns.iter().all(|c| it.columns.contains(c))
            };
            let mut unique = collisions.get(&it.relation).unwrap_or(&none).iter();
            ForeignKey {
                constraint: it.name.clone(),
                table: it.relation,
                columns: it.columns.clone(),
                target: it.target,
                target_columns: it.target_columns.clone(),
                unique: unique.any(|it| it.is_unique_constraint && same(&it.columns)),
            }
        });
        let primary = collisions.iter().filter_map(|(table, collisions)| {
            let key = collisions.iter().find(|it| it.is_key)?;
            Some((*table, key.columns.clone()))
        });
        relations::Source {
            keys: keys.collect(),
            primary: primary.collect(),
            shown: self.found.shown.clone(),
        }
    }

    /// The relations that may be exposed, by their place in what was found: one for each name.
    fn named(&mut self) -> Vec<usize> {
        let mut names = HashMap::new();
        let mut named = Vec::new();
        for (index, relation) in self.found.relations.iter().enumerate() {
            let reason = if let Some(extension) = &relation.extension {
                Some(format!("it belongs to the extension {extension}"))
            } else if relation.partition {
                Some("it is a partition, and is reached through its parent".to_owned())
            } else {
                let first = names.get(&relation.name);
                first.map(|first| format!("{first} has the same name and comes first"))
            };
            match reason {
                Some(reason) => self.hidden.push(Hidden {
                    relation: relation.to_string(),
                    reason,
                }),
                None => {
                    names.insert(relation.name.clone(), relation.to_string());
                    named.push(index);
                }
            }
        }
        named
    }

    fn hide(&mut self, index: usize, reason: impl Into<String>) {
        self.hidden.push(Hidden {
            relation: self.found.relations[index].to_string(),
            reason: reason.into(),
        });
    }

    fn resource(&self, index: usize, tenancy: Tenancy) -> Resource {
        let relation = &self.found.relations[index];
        let kind = relation.kind;
        // The columns of a view may be expressions, and a foreign server may fail on any value.
        let stored = !matches!(kind, ResourceKind::View { .. } | ResourceKind::ForeignTable);
        let columns = columns::of(&self.found, relation.oid, stored);
        let place = |number: &i16| columns.iter().position(|it| it.number == *number);
        let settings = self.config.resources.get(&*relation.name);
        let collisions = self.found.collisions(relation.oid);
        let key = collisions
            .iter()
            .find(|it| it.is_key)
            .and_then(|it| it.columns.iter().map(place).collect())
            .or_else(|| self.key_below(relation, &columns))
            .unwrap_or_default();
        let below = self.references_below(relation, &columns, &tenancy);
        let kind = match kind {
            ResourceKind::View { updatable } => ResourceKind::View {
                updatable: updatable && below.is_some(),
            },
            kind => kind,
        };
        let reads = self.found.reads(relation.oid);
        let secured: Vec<Oid> = match kind {
            ResourceKind::View { .. } if relation.security_invoker => reads
                .iter()
                .filter(|it| it.row_security)
                .map(|it| it.relation)
                .collect(),
            _ => Vec::new(),
        };
        let configured = settings.iter().flat_map(|it| &it.visibility_depends_on);
        let mut depends: Vec<Oid> = match kind {
            ResourceKind::Table | ResourceKind::PartitionedTable | ResourceKind::ForeignTable
                if !relation.row_security =>
            {
                Vec::new()
            }
            _ => reads.iter().map(|it| it.relation).collect(),
        };
        depends.extend(configured.filter_map(|name| self.found.named(name)));
        depends.sort_unstable();
        depends.dedup();
        Resource {
            name: relation.name.clone(),
            schema: relation.schema.clone(),
            table: relation.name.clone(),
            relation: relation.oid,
            kind,
            references: self
                .found
                .references(relation.oid)
                .filter_map(|it| {
                    Some(Reference {
                        constraint: it.name.clone(),
                        columns: it.columns.iter().map(place).collect::<Option<_>>()?,
                        target: it.target,
                        target_columns: it.target_columns.clone(),
                    })
                })
                .chain(below.into_iter().flatten())
                .collect(),
            collisions: collisions
                .iter()
                .map(|it| {
                    let organization = match tenancy {
                        Tenancy::Column(column) => Some(columns[column].number),
                        _ => None,
                    };
                    let parts = || it.columns.iter().zip(&it.by_equality);
                    Collision {
                        names: it.names.clone(),
                        columns: it.columns.iter().filter_map(place).collect(),
                        plain: !it.conditional
                            && parts().all(|(number, same)| *number != 0 && *same),
                        within_organization: parts()
                            .any(|(number, same)| Some(*number) == organization && *same),
                    }
                })
                .collect(),
            row_security: relation.row_security || !secured.is_empty(),
            restricted: false,
            secured_by: secured,
            computed: Vec::new(),
            visibility_depends_on: depends,
            updated_at: settings
                .and_then(|it| it.updated_at.as_ref())
                .and_then(|name| columns.iter().position(|it| &*it.name == name)),
            announce: settings.map(|it| it.announce).unwrap_or_default(),
            keyed: settings.is_some_and(|it| it.key),
            rights: relation.rights,
            not_live: match kind {
                ResourceKind::Table | ResourceKind::PartitionedTable => None,
                ResourceKind::View { .. } | ResourceKind::MaterializedView => {
                    Some("a view has no changes of its own".to_owned())
                }
                ResourceKind::ForeignTable => {
                    Some("changes of a foreign table happen on another server".to_owned())
                }
            },
            columns,
            key,
            tenancy,
        }
    }

    /// The table whose rows a view shows, one each, if it does.
    fn below(&self, relation: &RelationRow, columns: &[Column]) -> Option<Oid> {
        let is_view = matches!(relation.kind, ResourceKind::View { .. });
        let mut origins = columns.iter().filter_map(|it| {
            let origin = self.found.shown.get(&(relation.oid, it.number));
            origin.map(|it| it.table)
        });
        origins.next().filter(|_| is_view && relation.simple)
    }

    /// Where a view shows a column of a table below.
    fn shown_at(
        &self,
        relation: &RelationRow,
        columns: &[Column],
        table: Oid,
        number: i16,
    ) -> Option<usize> {
        columns.iter().position(|it| {
            let origin = self.found.shown.get(&(relation.oid, it.number));
            origin.is_some_and(|it| it.table == table && it.column == number)
        })
    }

    /// The key of a view each of whose rows is one of a table's: the table's own, if all of it is shown.
    fn key_below(&self, relation: &RelationRow, columns: &[Column]) -> Option<Vec<usize>> {
        let table = self.below(relation, columns)?;
        let key = self.found.collisions(table).iter().find(|it| it.is_key)?;
        let parts = key.columns.iter();
        parts
            .map(|number| self.shown_at(relation, columns, table, *number))
            .collect()
    }

    /// The references of the table whose rows a view shows, in the view's columns: what is written
    /// through it refers to other rows as the table does. `None` if one is shown in part, so that nobody
    /// could say what a write refers to.
    fn references_below(
        &self,
        relation: &RelationRow,
        columns: &[Column],
        tenancy: &Tenancy,
    ) -> Option<Vec<Reference>> {
        let Some(table) = self.below(relation, columns) else {
            return Some(Vec::new());
        };
        let mut references = Vec::new();
        for it in self.found.all_references() {
            if it.relation != table {
                continue;
            }
            let parts = it.columns.iter();
            let places: Vec<Option<usize>> = parts
                .map(|number| self.shown_at(relation, columns, table, *number))
                .collect();
            // The organization is the caller's whatever is written, and where there is only one,
            // the foreign key itself is all that a reference needs.
            let own = |it: &usize| *tenancy == Tenancy::Single || *tenancy == Tenancy::Column(*it);
            if !places.iter().all(Option::is_some) && places.iter().flatten().all(own) {
                continue;
            }
            references.push(Reference {
                constraint: it.name.clone(),
                columns: places.into_iter().collect::<Option<_>>()?,
                target: it.target,
                target_columns: it.target_columns.clone(),
            });
        }
        Some(references)
    }

    /// What an operator should know although nothing is refused for it.
    fn warn(&mut self, resources: &[Resource]) {
        let mut remarks = Vec::new();
        let exposed: HashSet<Oid> = resources.iter().map(|it| it.relation).collect();
        for resource in resources {
            let name = &resource.name;
            if OWN_NAMES.contains(&&**name) {
                remarks.push(Remark::Note(format!(
                    "{name} has the name of a route of rowcast's own: it is at /resources/{name} only"
                )));
            }
            let reads = self.found.reads(resource.relation);
            let invoker = !resource.secured_by.is_empty();
            if matches!(resource.kind, ResourceKind::View { .. }) && !invoker {
                let bypassed: Vec<String> = reads
                    .iter()
                    .filter(|it| it.row_security)
                    .filter_map(|it| self.found.relation(it.relation))
                    .map(ToString::to_string)
                    .collect();
                if !bypassed.is_empty() {
                    remarks.push(Remark::Wrong(format!(
                        "the view {name} reads {} with its owner's rights, past row-level security: \
                         alter view {name} set (security_invoker = true)",
                        bypassed.join(", ")
                    )));
                }
            }
            if resource.row_security {
                for function in self.found.opaque(resource.relation) {
                    remarks.push(Remark::Note(format!(
                        "row-level security of {name} calls {function}, and PostgreSQL does not know \
                         what that reads: name it in resources.{name}.visibility_depends_on"
                    )));
                }
            }
            for reference in resource
                .references
                .iter()
                .filter(|_| resource.is_writable())
            {
                let own =
                    matches!(resource.tenancy, Tenancy::Column(it) if reference.columns == [it]);
                let target = self.found.relation(reference.target);
                if let Some(target) = target.filter(|it| !own && !exposed.contains(&it.oid)) {
                    remarks.push(Remark::Note(format!(
                        "{name} refers to {target}, which is not exposed: nothing but the foreign key \
                         holds writes back that set {}, and it tells which rows exist there",
                        reference
                            .columns
                            .iter()
                            .map(|it| &*resource.columns[*it].name)
                            .collect::<Vec<_>>()
                            .join(", ")
                    )));
                }
            }
        }
        self.warn_of_settings(&exposed, &mut remarks);
        self.remarks.extend(remarks);
    }

    /// Settings that name what is not there.
    fn warn_of_settings(&self, exposed: &HashSet<Oid>, remarks: &mut Vec<Remark>) {
        for (name, settings) in &self.config.resources {
            let relation = self.found.relations.iter().find(|it| &*it.name == name);
            let Some(relation) = relation else {
                remarks.push(Remark::Wrong(format!(
                    "resources.{name}: the schemas have no table or view of that name"
                )));
                continue;
            };
            for depends in &settings.visibility_depends_on {
                if self.found.named(depends).is_none() {
                    remarks.push(Remark::Wrong(format!(
                        "resources.{name}.visibility_depends_on: there is no table {depends:?}"
                    )));
                }
            }
            let columns = self.found.columns(relation.oid);
            if let Some(column) = &settings.updated_at
                && !columns.iter().any(|it| &*it.name == column)
            {
                remarks.push(Remark::Wrong(format!(
                    "resources.{name}.updated_at: there is no column {column:?}"
                )));
            }
            if !exposed.contains(&relation.oid) && settings.organization.is_some() {
                remarks.push(Remark::Wrong(format!(
                    "resources.{name}: {relation} is not exposed, see there"
                )));
            }
        }
        for schema in &self.config.database.schemas {
            if !self.found.relations.iter().any(|it| &*it.schema == schema) {
                remarks.push(Remark::Wrong(format!(
                    "database.schemas: {schema:?} has no table or view"
                )));
            }
        }
    }
}

/// Marks the resources of which an identity may see less than its organization and role tell.
fn restricted(mut resources: Vec<Resource>) -> Vec<Resource> {
    let by_relation: HashMap<Oid, (bool, Option<Oid>)> = resources
        .iter()
        .map(|it| {
            let target = match it.tenancy {
                Tenancy::Via { target, .. } => Some(target),
                _ => None,
            };
            (it.relation, (it.row_security, target))
        })
        .collect();
    for resource in &mut resources {
        let mut current = Some(resource.relation);
        // Chains of references have been seen to end.
        while let Some((row_security, target)) = current.and_then(|it| by_relation.get(&it)) {
            resource.restricted |= row_security;
            current = *target;
        }
    }
    resources
}

/// An error of a statement of our own.
fn failed(error: tokio_postgres::Error) -> Error {
    super::fault::fault(error, super::fault::Speech::Open)
}
