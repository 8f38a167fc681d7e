//! What a role may be told of a resource.
//!
//! Pure. Knows nothing of rows.

use crate::catalog::{Access, Privileges, Resource};

/// The role's privileges, if it may be told of the resource at all.
pub(super) fn allowed<'a>(access: &'a Access, resource: &Resource) -> Option<&'a Privileges> {
    access
        .resource(&resource.name)
        .ok()
        .and_then(|_| access.privileges(resource.relation))
        .map(|it| &**it)
        .filter(|it| it.select.contains(&true))
}

/// The columns that may be read.
pub(super) fn columns(resource: &Resource, privileges: &Privileges) -> Vec<usize> {
    let readable = |it: &usize| privileges.select.get(*it) == Some(&true);
    match self::readable(resource, privileges) {
        true => (0..resource.columns.len()).filter(readable).collect(),
        false => Vec::new(),
    }
}

/// Whether the whole key may be read.
pub(super) fn readable(resource: &Resource, privileges: &Privileges) -> bool {
    let mut key = resource.key.iter();
    key.all(|it| privileges.select.get(*it) == Some(&true))
}
