//! What of a write is refused by what the catalog, the role's rights and the request itself say.

use super::{
    WriteOptions,
    body::Object,
    given::{Given, canonical},
};
use crate::{
    catalog::{Access, Allowed, Resource, Tenancy},
    error::{Error, Kind, Result},
    query::{
        read::{Condition, Query, fence_is_readable},
        syntax::{Rows, Syntax},
    },
};
use serde_json::value::RawValue;

/// The resource, if its rows can be written at all.
pub(super) fn writable(access: &Access, resource: &str, options: &WriteOptions) -> Result<Allowed> {
    let allowed = access.resource(resource)?;
    let keyless = allowed.resource.key.is_empty() && !options.postgrest;
    if allowed.resource.takes_writes() && !keyless {
        return Ok(allowed);
    }
    let why = match allowed.resource.tenancy {
        Tenancy::Shared => "belongs to all organizations, so that none may write it",
        _ if keyless => "has no primary key, so that its rows cannot be written",
        _ => "is a view that cannot be written to",
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
    options: &WriteOptions,
) -> Result<Query> {
    let tags = [&options.if_match, &options.if_none_match];
    let tags = tags.into_iter().flatten().any(|it| !it.is_empty());
    if tags && !allowed.privileges.select_whole {
        return Err(denied(allowed, "read entity tags of"));
    }
    Query::item(access, &allowed.resource.name, id, "")
}

/// The rows that a filter names.
pub(super) fn matching(
    access: &Access,
    allowed: &Allowed,
    syntax: &Syntax,
    options: &WriteOptions,
) -> Result<Query> {
    if options.if_match.is_some() || options.if_none_match.is_some() {
        return Err(Error::new(
            Kind::NotSupported,
            "If-Match and If-None-Match are about one row: write to its own path.",
        ));
    }
    let unbounded = syntax.rows.filters.is_empty() && options.rows_max.is_none();
    if unbounded && !options.postgrest {
        return Err(Error::new(
            Kind::QueryMalformed,
            "Writing to all rows at once needs a filter.",
        )
        .with_hint(
            "Say which rows are meant, as in id=in.(1,2), or how many there may be: \
             \"Prefer: max-affected=100\".",
        ));
    }
    if syntax.rows.limit.is_some() || syntax.rows.offset.is_some() {
        let detail = "limit and offset do not say which rows are changed.";
        let error = Error::new(Kind::NotSupported, detail);
        return Err(error.with_hint("Name the rows, as in id=in.(1,2)."));
    }
    let rows = Syntax {
        rows: Rows {
            filters: syntax.rows.filters.clone(),
            ..Rows::default()
        },
        ..Syntax::default()
    };
    let query = Query::plan(access, allowed, &rows, 0)?;
    // What cannot be found again after the write cannot be answered.
    if !findable(access, allowed) {
        return Err(denied(allowed, "read the key of"));
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
    .with_message(allowed.resource.denial())
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

/// The key of a row that is replaced by a filter stands in the body as well.
pub(super) fn expect_key(resource: &Resource, target: &Query, object: &Object<'_>) -> Result<()> {
    let same = |index: &usize| {
        let column = &*resource.columns[*index].name;
        let mut members = object.0.iter();
        let member = members.find(|(name, _)| name == column);
        member.is_some_and(|(name, raw)| repeats_key(resource, target, name, raw) == Some(true))
    };
    if resource.key.iter().all(same) {
        return Ok(());
    }
    let message = "Payload values do not match URL in primary key column(s)";
    Err(Error::new(
        Kind::ValueInvalid,
        "The key of the body differs from what the query says.",
    )
    .with_code("PGRST115")
    .with_message(message))
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
