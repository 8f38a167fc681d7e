//! What the query string of a write says: which rows it changes, what of a body it takes, and what it
//! answers.

use super::{Answer, WriteOptions};
use crate::{
    catalog::{Access, Allowed, Resource},
    error::{Error, Kind, Result},
    query::{
        grammar, key,
        read::{Query, fence_is_readable, readable},
        syntax::{Filter, Operator, Rows, Syntax, Test},
    },
};

/// The query of a write to one row, by its path: it says what to answer.
pub(super) fn of_item(query_string: &str) -> Result<Syntax> {
    let syntax = read(query_string)?;
    let plain = Syntax {
        select: syntax.select.clone(),
        embedded: syntax.embedded.clone(),
        ..Syntax::default()
    };
    match syntax == plain {
        true => Ok(syntax),
        false => Err(Error::new(
            Kind::QueryMalformed,
            "Of the query parameters only \"select\" applies here.",
        )),
    }
}

/// The query of a write that makes rows.
pub(super) fn of_create(query_string: &str) -> Result<Syntax> {
    let syntax = read(query_string)?;
    let rows = Rows {
        order: syntax.rows.order.clone(),
        ..Rows::default()
    };
    match syntax.rows == rows {
        true => Ok(syntax),
        false => Err(Error::new(
            Kind::QueryMalformed,
            "A create takes \"select\", \"order\", \"columns\" and \"on_conflict\", and no filters.",
        )),
    }
}

/// The query of a write to the rows that pass its filters.
pub(super) fn of_filter(query_string: &str) -> Result<Syntax> {
    let syntax = read(query_string)?;
    match &syntax.on_conflict {
        None => Ok(syntax),
        Some(_) => Err(Error::new(
            Kind::QueryMalformed,
            "on_conflict is about new rows, which are POSTed.",
        )),
    }
}

/// The query of a `PUT` to the row whose key its filters are, and the row's id, as in a path.
pub(super) fn of_replace(resource: &Resource, query_string: &str) -> Result<(Syntax, String)> {
    let syntax = read(query_string)?;
    if syntax.rows.limit.is_some() || syntax.rows.offset.is_some() {
        let message = "limit/offset querystring parameters are not allowed for PUT";
        let error = Error::new(
            Kind::QueryMalformed,
            "A PUT takes neither limit nor offset.",
        );
        return Err(error.with_code("PGRST114").with_message(message));
    }
    let filters = &syntax.rows.filters;
    let part = |index: &usize| {
        let column = &*resource.columns[*index].name;
        let mut parts = filters.iter().filter_map(|filter| match filter {
            Filter::Test(field, Test::Compare(Operator::Eq, value))
                if field.column == column && field.path.is_empty() =>
            {
                Some(value.as_str())
            }
            _ => None,
        });
        parts.next()
    };
    let parts: Option<Vec<&str>> = resource.key.iter().map(part).collect();
    match parts.filter(|it| !it.is_empty() && it.len() == filters.len()) {
        Some(parts) => {
            let id = key::encode(parts);
            Ok((syntax, id))
        }
        None => {
            let message =
                "Filters must include all and only primary key columns with 'eq' operators";
            let error = Error::new(
                Kind::MethodNotAllowed,
                "A PUT names one row: by its path, or by a filter with eq for each part of its key.",
            );
            Err(error.with_code("PGRST105").with_message(message))
        }
    }
}

/// What is answered of each row; `None` if nothing is, or if the role may not read it.
pub(super) fn shown(
    access: &Access,
    allowed: &Allowed,
    syntax: &Syntax,
    options: &WriteOptions,
) -> Result<Option<Query>> {
    if options.answer != Answer::Rows {
        return Ok(None);
    }
    let hidden =
        readable(allowed).is_empty() || fence_is_readable(access, &allowed.resource).is_err();
    if hidden && syntax.select.is_none() {
        return Ok(None);
    }
    let shown = Syntax {
        select: syntax.select.clone(),
        embedded: syntax.embedded.clone(),
        rows: Rows {
            order: syntax.rows.order.clone(),
            ..Rows::default()
        },
        ..Syntax::default()
    };
    let query = Query::plan(access, allowed, &shown, 0)?;
    if query.is_grouped() {
        let detail = "What a write answers are rows, not aggregates over them.";
        return Err(Error::new(Kind::NotSupported, detail));
    }
    Ok(Some(query))
}

fn read(query_string: &str) -> Result<Syntax> {
    let syntax = grammar::read(query_string)?;
    let foreign = [
        (!syntax.include.is_empty(), "include"),
        (syntax.after.is_some(), "after"),
        (syntax.modified_since.is_some(), "modified_since"),
    ];
    match foreign.iter().find(|(is_said, _)| *is_said) {
        Some((_, name)) => Err(Error::new(
            Kind::QueryMalformed,
            format!("{name:?} is for reads."),
        )),
        None => Ok(syntax),
    }
}
