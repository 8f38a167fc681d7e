//! All statements that a request may become, for the checks that look at them without running them.
//!
//! Compiled for tests and for fuzzing only. Which of them run, and in which order, is decided elsewhere.

use super::{Fenced, Rendered, Returning, counts, included, select};
use crate::{
    error::Result,
    identity::OrganizationId,
    query::{
        Answer, Query, Write,
        write::{Conflict, Given, Operation},
    },
};

/// Statements, each with what it is for.
pub(crate) type Statements = Vec<(&'static str, Rendered)>;

/// The statements of a read.
///
/// # Errors
/// As rendering them.
pub(crate) fn of_query(query: &Query, organization: &OrganizationId) -> Result<Statements> {
    let mut statements = vec![("rows", select(query, organization)?.0)];
    for part in query.parts() {
        statements.push(("included", included(query, &part, organization)?.0));
    }
    let counts = counts(query, organization)?;
    statements.extend(counts.exact.map(|it| ("count", it)));
    statements.extend(counts.planned.map(|it| ("planned count", it)));
    Ok(statements)
}

/// The statements of a write, without the questions that belong to its references.
///
/// # Errors
/// As rendering them.
pub(crate) fn of_write(write: &Write, organization: &OrganizationId) -> Result<Statements> {
    let fenced = Fenced {
        write,
        organization,
    };
    let returning = Returning {
        keys: write.keyed(),
        rows: write
            .shown
            .as_ref()
            .filter(|_| write.options.answer == Answer::Rows),
    };
    let insert = |given: &Given, conflict: Option<&Conflict>| -> Result<Statements> {
        let groups = given.groups.iter().map(|it| &it.given);
        let alike: Vec<&Given> = match given.groups.is_empty() {
            true => vec![given],
            false => groups.collect(),
        };
        let each = alike.into_iter().map(|given| {
            let statement = fenced.insert(given, conflict, Some(returning))?;
            Ok(("insert", statement.rendered))
        });
        each.collect()
    };
    let mut statements = match &write.operation {
        Operation::Create {
            given, conflict, ..
        } => {
            let mut statements = insert(given, conflict.as_ref())?;
            if let Some(conflict) = conflict.as_ref().filter(|it| it.merged.is_none()) {
                statements.push(("passed over", fenced.passed_over(given, conflict)?));
            }
            statements
        }
        Operation::Update {
            target,
            given,
            absent,
        } => {
            let update = fenced.update(target, given, absent, returning)?;
            vec![("update", update.rendered)]
        }
        Operation::Replace {
            target,
            given,
            absent,
        } => {
            let update = fenced.update(target, given, absent, returning)?;
            let mut statements = vec![("update", update.rendered)];
            statements.push(("whether it is seen", fenced.seen(target)?));
            statements.extend(insert(given, None)?);
            statements
        }
        Operation::Delete { target } => {
            vec![("delete", fenced.delete(target, returning)?.rendered)]
        }
    };
    if write.keyed() && !matches!(write.operation, Operation::Delete { .. }) {
        let again = fenced.again("[]", returning.rows, write.etag)?;
        statements.push(("read again", again));
    }
    Ok(statements)
}
