//! Which rows of other resources a write refers to: each of them has to be visible to the caller.

use super::given::Given;
use crate::{
    catalog::{Access, Reference, Resource, Tenancy},
    query::read::fence_is_readable,
};
use std::sync::Arc;

/// A reference that a write sets.
#[derive(Debug, Clone)]
pub(crate) struct Referred {
    /// The names of the referring columns, for a person.
    pub(crate) label: String,
    /// The referring columns.
    pub(crate) columns: Vec<usize>,
    /// Where the row has to be; `None`: the role can see nothing there.
    pub(crate) target: Option<Target>,
}

/// The other side of a reference.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) resource: Arc<Resource>,
    /// The columns there, in the order of the referring ones.
    pub(crate) columns: Vec<usize>,
}

/// The references that a write sets, without those whose rows everybody may see: PostgreSQL's foreign
/// key is all that they need. A target that is not exposed belongs to no organization that is known,
/// and is left to the foreign key as well.
///
/// `whole` says that a column which is not given is not that of a row which exists already.
pub(super) fn referred(
    access: &Access,
    resource: &Resource,
    given: &Given,
    whole: bool,
) -> Vec<Referred> {
    let organization = match resource.tenancy {
        Tenancy::Column(index) => Some(index),
        _ => None,
    };
    resource
        .references
        .iter()
        .filter(|reference| {
            let set = |index: &usize| given.columns.contains(index);
            let known = |index: &usize| set(index) || Some(*index) == organization;
            reference.columns.iter().any(set) && (!whole || reference.columns.iter().all(known))
        })
        .filter_map(|reference| one(access, resource, reference, organization))
        .collect()
}

fn one(
    access: &Access,
    resource: &Resource,
    reference: &Reference,
    organization: Option<usize>,
) -> Option<Referred> {
    let target = access.catalog().relation(reference.target)?;
    let everybody = matches!(target.tenancy, Tenancy::Shared | Tenancy::Single);
    if everybody && !target.restricted {
        return None;
    }
    Some(Referred {
        label: label(resource, reference, organization),
        columns: reference.columns.clone(),
        target: visible(access, target, reference),
    })
}

/// The target, if the role can see rows of it at all.
fn visible(access: &Access, target: &Arc<Resource>, reference: &Reference) -> Option<Target> {
    let allowed = access.resource(&target.name).ok()?;
    fence_is_readable(access, target).ok()?;
    let columns = reference.target_columns.iter().map(|number| {
        let mut found = target.columns.iter().enumerate();
        let (index, _) = found.find(|(_, it)| it.number == *number)?;
        allowed.privileges.select.get(index)?.then_some(index)
    });
    Some(Target {
        resource: target.clone(),
        columns: columns.collect::<Option<_>>()?,
    })
}

/// The referring columns that a caller can do something about.
pub(crate) fn label(
    resource: &Resource,
    reference: &Reference,
    organization: Option<usize>,
) -> String {
    let names: Vec<String> = reference
        .columns
        .iter()
        .filter(|index| reference.columns.len() == 1 || Some(**index) != organization)
        .map(|index| format!("`{}`", resource.columns[*index].name))
        .collect();
    names.join(", ")
}
