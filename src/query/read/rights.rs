//! What a role has to be allowed to read before a query of its own is planned.
//!
//! Knows nothing of the query.

use crate::{
    catalog::{Access, Allowed, Column, Privileges, Resource, Tenancy},
    error::{Error, Kind, Result},
};
use std::sync::Arc;

/// The columns that a role may read, in the table's order.
pub(in crate::query) fn readable(allowed: &Allowed) -> Vec<usize> {
    let may = |index: &usize| may(&allowed.privileges.select, *index);
    (0..allowed.resource.columns.len()).filter(may).collect()
}

pub(super) fn may(privileges: &[bool], column: usize) -> bool {
    privileges.get(column).copied().unwrap_or(false)
}

/// Refuses a resource of which the role may not read how a row belongs to an organization.
pub(in crate::query) fn fence_is_readable(access: &Access, resource: &Arc<Resource>) -> Result<()> {
    let denied = |resource: &Resource, column: &Column| {
        Error::new(
            Kind::PermissionDenied,
            format!(
                "The role {:?} may not read {:?} of {:?}, by which rows belong to organizations.",
                &*access.role().0,
                &*column.name,
                &*resource.name
            ),
        )
    };
    let nothing = Arc::new(Privileges::default());
    let mut current = resource;
    loop {
        let privileges = access.privileges(current.relation).unwrap_or(&nothing);
        let (Tenancy::Column(column) | Tenancy::Via { column, .. }) = current.tenancy else {
            return Ok(());
        };
        if !may(&privileges.select, column) {
            return Err(denied(current, &current.columns[column]));
        }
        let Tenancy::Via {
            target,
            target_column,
            ..
        } = current.tenancy
        else {
            return Ok(());
        };
        let Some(next) = access.catalog().relation(target) else {
            return Err(Error::internal("an organization comes through nothing"));
        };
        let privileges = access.privileges(target).unwrap_or(&nothing);
        let found = next.columns.iter().enumerate();
        let mut found = found.filter(|(_, it)| it.number == target_column);
        if let Some((index, column)) = found.next()
            && !may(&privileges.select, index)
        {
            return Err(denied(next, column));
        }
        current = next;
    }
}
