//! What one role may do: a catalog together with the role's privileges.
//!
//! Pure look-ups, so that a caller is refused before anything is asked of the database. Knows
//! nothing of where privileges come from or how long they hold.

use super::{Catalog, Oid, Resource, Tenancy, suggest};
use crate::{
    error::{Error, Kind, Result},
    identity::Role,
};
use std::{collections::HashMap, sync::Arc};

/// A catalog as one role sees it. Shared by all callers of that role.
#[derive(Debug)]
pub struct Access {
    role: Role,
    catalog: Arc<Catalog>,
    privileges: HashMap<Oid, Arc<Privileges>>,
}

/// A resource that a role may use in some way, with what it may do.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// The resource.
    pub resource: Arc<Resource>,
    /// What the role may do with it.
    pub privileges: Arc<Privileges>,
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

impl Access {
    /// The privileges of `role` on the relations of `catalog`; a relation that is absent is one on
    /// which the role may do nothing.
    pub fn new(role: Role, catalog: Arc<Catalog>, privileges: HashMap<Oid, Privileges>) -> Self {
        let privileges = privileges
            .into_iter()
            .map(|(oid, it)| (oid, Arc::new(it)))
            .collect();
        Self {
            role,
            catalog,
            privileges,
        }
    }

    /// The role.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The catalog that the privileges belong to.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The resource of this name.
    ///
    /// # Errors
    /// `ResourceUnknown`, with the nearest name as a hint; `PermissionDenied` if the role has no
    /// right on it at all, or if its row-level security would not bind the role.
    pub fn resource(&self, name: &str) -> Result<Allowed> {
        let Some(resource) = self.catalog.resource(name) else {
            return Err(self.unknown(name));
        };
        let privileges = self
            .privileges(resource.relation)
            .filter(|it| it.any())
            .ok_or_else(|| {
                Error::new(
                    Kind::PermissionDenied,
                    format!("The role {:?} has no right on {name:?}.", &*self.role.0),
                )
                .with_message(resource.denial())
            })?;
        self.bound(resource)?;
        Ok(Allowed {
            resource: resource.clone(),
            privileges: privileges.clone(),
        })
    }

    /// The answer to a name that no resource has, in PostgREST's words.
    fn unknown(&self, name: &str) -> Error {
        let schema = self.catalog.schema();
        let error = Error::new(
            Kind::ResourceUnknown,
            format!("There is no resource {name:?}."),
        )
        .with_message(format!(
            "Could not find the table '{schema}.{name}' in the schema cache"
        ));
        let names = self.catalog.resources().map(|it| &*it.name);
        match suggest::nearest(name, names) {
            Some(nearest) => {
                let schema = self
                    .catalog
                    .resource(nearest)
                    .map_or(schema, |it| &it.schema);
                error.with_hint(format!("Perhaps you meant the table '{schema}.{nearest}'"))
            }
            None => error,
        }
    }

    /// What the role may do with a relation, if it may do anything.
    pub fn privileges(&self, relation: Oid) -> Option<&Arc<Privileges>> {
        self.privileges.get(&relation)
    }

    /// Refuses a resource whose row-level security, or that of a relation which its organization
    /// comes through, does not bind the role: it would show every row to everybody.
    fn bound(&self, resource: &Resource) -> Result<()> {
        let mut current = Some(resource);
        while let Some(it) = current {
            let binds = self
                .privileges(it.relation)
                .is_some_and(|privileges| privileges.row_security_binds);
            if it.row_security && !binds {
                return Err(Error::new(
                    Kind::PermissionDenied,
                    format!(
                        "{:?} has row-level security, which does not bind the role {:?}.",
                        &*it.name, &*self.role.0
                    ),
                )
                .with_hint(
                    "Use a role that is neither a superuser, nor has BYPASSRLS, nor owns the table.",
                ));
            }
            current = match &it.tenancy {
                Tenancy::Via { target, .. } => self.catalog.relation(*target).map(|it| &**it),
                _ => None,
            };
        }
        Ok(())
    }
}
