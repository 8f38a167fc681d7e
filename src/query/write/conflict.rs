//! What becomes of new rows whose key, or other unique columns, exist already.
//!
//! Knows nothing of who may have the rows that are there: the statement's fence does.

use super::{
    WriteOptions,
    given::{Given, Purpose, may_write},
};
use crate::{
    catalog::Allowed,
    error::{Error, Result},
    query::{read::column_named, scanner::excerpt, syntax::Syntax},
};

/// What becomes of a new row whose key exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// The row that is there takes the values that the new one has.
    Merge,
    /// The row that is there stays as it is.
    Ignore,
}

/// What becomes of new rows that collide with others.
#[derive(Debug, Clone)]
pub(crate) struct Conflict {
    /// The columns in which they collide.
    pub(crate) target: Vec<usize>,
    /// The columns that the row that is there takes from the new one; `None`: it stays as it is.
    pub(crate) merged: Option<Vec<usize>>,
}

/// What becomes of new rows that collide with others: by the key, or by the columns that the query
/// names. Without either there is nothing to collide in.
pub(super) fn conflict(
    allowed: &Allowed,
    syntax: &Syntax,
    given: &Given,
    options: &WriteOptions,
) -> Result<Option<Conflict>> {
    let resource = &allowed.resource;
    let Some(duplicates) = options.duplicates else {
        return Ok(None);
    };
    let target = match &syntax.on_conflict {
        Some(names) => names
            .iter()
            .map(|name| {
                // As PostgreSQL says it, whom PostgREST asks.
                let absent = |error: Error| {
                    let message = format!("column \"{}\" does not exist", excerpt(name));
                    error.with_code("42703").with_message(message)
                };
                column_named(resource, name).map_err(absent)
            })
            .collect::<Result<Vec<usize>>>()?,
        None => resource.key.clone(),
    };
    if target.is_empty() {
        return Ok(None);
    }
    if duplicates == Duplicates::Ignore || given.columns.is_empty() {
        let merged = None;
        return Ok(Some(Conflict { target, merged }));
    }
    let free = |index: &&usize| !resource.columns[**index].identity_always;
    let other = |index: &&usize| !target.contains(index);
    let mut merged: Vec<usize> = given.columns.iter().filter(free).copied().collect();
    if merged.iter().any(|index| other(&index)) {
        merged.retain(|index| other(&index));
    }
    for index in &merged {
        may_write(allowed, *index, Purpose::Replace)?;
    }
    if merged.is_empty() {
        let merged = None;
        return Ok(Some(Conflict { target, merged }));
    }
    Ok(Some(Conflict {
        target,
        merged: Some(merged),
    }))
}
