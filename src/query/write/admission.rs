//! What of a write is refused by what the catalog, the role's rights and the request itself say.

use super::{
    WriteOptions,
    body::Object,
    given::{Given, canonical},
};
use crate::{
    catalog::{Access, Allowed, Resource, Tenancy},
    error::{Error, Kind, Result},
    query::read::{Condition, Query, fence_is_readable},
};
use serde_json::value::RawValue;

/// The resource, if its rows can be written at all.
pub(super) fn writable(access: &Access, resource: &str) -> Result<Allowed> {
    let allowed = access.resource(resource)?;
    if allowed.resource.is_writable() {
        return Ok(allowed);
    }
    let why = match allowed.resource.tenancy {
        Tenancy::Shared => "belongs to all organizations, so that none may write it",
        _ => "has no primary key, so that its rows cannot be written",
    };
    Err(Error::new(
        Kind::ResourceReadOnly,
        format!("{:?} {why}.", &*allowed.resource.name),
    ))
}

/// The row that a path names.
pub(super) fn item(
    access: &Access,
    allowed: &Allowed,
    id: &str,
    query_string: &str,
    options: &WriteOptions,
) -> Result<Query> {
    let tags = options.if_match.as_ref().is_some_and(|it| !it.is_empty());
    if tags && !allowed.privileges.select_whole {
        return Err(denied(allowed, "read entity tags of"));
    }
    Query::item(access, &allowed.resource.name, id, query_string)
}

/// The rows that a filter names.
pub(super) fn matching(
    access: &Access,
    resource: &str,
    query_string: &str,
    options: &WriteOptions,
) -> Result<Query> {
    if options.if_match.is_some() {
        return Err(Error::new(
            Kind::NotSupported,
            "If-Match is about one row: write to its own path.",
        ));
    }
    let query = Query::list(access, resource, query_string)?;
    if query.conditions.is_empty() {
        return Err(Error::new(
            Kind::QueryMalformed,
            "Writing to all rows at once needs a filter.",
        )
        .with_hint("Say which rows are meant, as in id=in.(1,2)."));
    }
    if !query.order.is_empty() || query.limit.is_some() || query.offset > 0 {
        return Err(Error::new(
            Kind::NotSupported,
            "order, limit and offset are not supported on writes.",
        ));
    }
    // What cannot be found again after the write cannot be answered.
    if !findable(access, &access.resource(resource)?) {
        return Err(denied(&access.resource(resource)?, "read the key of"));
    }
    Ok(query)
}

/// A row that belongs to an organization through another one names that one: `whole` says that the
/// body makes a row, and does not change one.
pub(super) fn belongs_somewhere(resource: &Resource, given: &Given, whole: bool) -> Result<()> {
    let Tenancy::Via { column, .. } = resource.tenancy else {
        return Ok(());
    };
    let absent = whole && given.rows > 0 && !given.columns.contains(&column);
    if absent || given.nulls.contains(&column) {
        return Err(Error::new(
            Kind::RowNotAllowed,
            format!(
                "`{}` says which organization a row belongs to, so it has to refer to a row.",
                resource.columns[column].name
            ),
        ));
    }
    Ok(())
}

/// Whether the role may read what a row is found by: its key, and its organization.
pub(super) fn findable(access: &Access, allowed: &Allowed) -> bool {
    let select = &allowed.privileges.select;
    let may = |index: &usize| select.get(*index).copied().unwrap_or(false);
    allowed.resource.key.iter().all(may) && fence_is_readable(access, &allowed.resource).is_ok()
}

pub(super) fn denied(allowed: &Allowed, what: &str) -> Error {
    Error::new(
        Kind::PermissionDenied,
        format!("The role may not {what} {:?}.", &*allowed.resource.name),
    )
}

/// The key of a replaced row stands in the path; a body that repeats it says the same.
pub(super) fn same_key(resource: &Resource, target: &Query, object: &Object<'_>) -> Result<()> {
    for (name, raw) in &object.0 {
        if repeats_key(resource, target, name, raw) == Some(false) {
            return Err(Error::new(
                Kind::ValueInvalid,
                format!("`{name}` differs from what the path says."),
            ));
        }
    }
    Ok(())
}

/// Leaves out what a body merely repeats of the path's key, as it does when a client sends back the
/// whole row that it got: also a key that is generated once and for all may be repeated.
pub(super) fn without_key(resource: &Resource, target: &Query, object: &mut Object<'_>) {
    let changes = |name: &str, raw| repeats_key(resource, target, name, raw) != Some(true);
    object.0.retain(|(name, raw)| changes(name, raw));
}

/// Whether a member of a body says of the key what the path says; `None` if it is not of the key.
fn repeats_key(resource: &Resource, target: &Query, name: &str, raw: &RawValue) -> Option<bool> {
    let (index, column) = resource.column(name)?;
    let mut conditions = target.conditions.iter().filter_map(Condition::as_equal);
    let (_, value) = conditions.find(|(column, _)| *column == index)?;
    let text = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().into());
    let type_ = column.type_.base().oid;
    Some(canonical(type_, &text) == canonical(type_, value.text().unwrap_or_default()))
}
