//! What is in the database, read from PostgreSQL's own catalogs, and what of it is exposed.
//!
//! Runs as the role that rowcast logs in as, for nobody in particular. What it reads says nothing of
//! rows. Decides nothing about callers: that is [`Access`]'s business.

mod below;
mod columns;
mod computed;
mod functions;
mod remarks;
mod rows;
mod tenancy;
mod views;

use super::connection::Connection;
use crate::{
    catalog::{
        Access, Catalog, Collision, Hidden, Oid, Privileges, Reference, Remark, Resource,
        ResourceKind, Tenancy,
        relations::{self, ForeignKey},
    },
    config::Config,
    error::{Error, Result},
    identity::Role,
};
use rows::Found;
use std::{collections::HashMap, sync::Arc};

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
