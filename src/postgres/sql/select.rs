//! Queries as SQL, with the fence between organizations as a security barrier.

use super::{Rendered, Writer, fence};
use crate::{
    catalog::Column,
    error::Result,
    identity::OrganizationId,
    postgres::encode::{Encoding, RowEncoder},
    query::read::{Check, Condition, Order, Query},
    query::syntax::{Nulls, State},
};

/// The name of a statement's own row. Embedded rows have names of their own.
pub(super) const ROW: &str = "t";

/// A query's statement, and the encoder of its rows. If the query wants entity tags, the row's `xmin`
/// comes as text behind the encoder's columns.
///
/// # Errors
/// `OrganizationNotAllowed` if the organization is no value of the column that tells it.
pub(crate) fn select(
    query: &Query,
    organization: &OrganizationId,
) -> Result<(Rendered, RowEncoder)> {
    let mut writer = Writer::default();
    let columns = &query.resource.columns;
    let encodings: Vec<Encoding> = query
        .columns
        .iter()
        .map(|index| Encoding::of(&columns[*index].type_))
        .collect();
    writer.sql("select ");
    writer.separated(
        ", ",
        query.columns.iter().zip(&encodings),
        |writer, (index, encoding)| {
            let name = format!("{ROW}.{}", super::identifier(&columns[*index].name));
            writer.sql(&encoding.select(&name));
        },
    );
    if query.etag {
        writer.sql(if query.columns.is_empty() { "" } else { ", " });
        writer.sql("t.xmin::text");
    }
    writer
        .sql(" from ")
        .relation(&query.resource)
        .sql(" as t where ");
    matching(&mut writer, query, ROW, organization)?;
    order(&mut writer, query, ROW);
    // Not a parameter: how many rows are wanted decides which plan is good, and a plan made for any
    // number would be made for none.
    if let Some(limit) = query.limit {
        writer.sql(" limit ").sql(&limit.to_string());
    }
    if query.offset > 0 {
        writer.sql(" offset ").number(query.offset);
    }
    let names = query.columns.iter().map(|index| &*columns[*index].name);
    let encoder = RowEncoder::new(names.zip(encodings));
    Ok((writer.finish(), encoder))
}

/// Appends the condition that the row called `alias` is one of the query's: the fence, and what the
/// query asks for.
pub(super) fn matching(
    writer: &mut Writer,
    query: &Query,
    alias: &str,
    organization: &OrganizationId,
) -> Result<()> {
    let row = fence::Row {
        catalog: &query.catalog,
        resource: &query.resource,
        alias,
        organization,
    };
    row.guard(
        writer,
        &query.conditions,
        |it| is_harmless(query, it),
        |writer, it| {
            let column = &query.resource.columns[it.column];
            condition(writer, alias, column, &it.check);
        },
    )
}

/// Whether a condition can tell nothing of the values that it is evaluated on.
fn is_harmless(query: &Query, condition: &Condition) -> bool {
    match condition.check {
        Check::Equal(_) | Check::In(..) => {
            query.resource.columns[condition.column].leakproof_equality
        }
        // The columns of a view may be expressions, which can fail.
        Check::Is(_) => query.resource.is_stored(),
    }
}

/// Appends one condition on the row called `alias`.
pub(super) fn condition(writer: &mut Writer, alias: &str, column: &Column, check: &Check) {
    writer.column(alias, column);
    match check {
        Check::Equal(value) => {
            writer.equals(column).value(column, value);
        }
        Check::In(list, _) => {
            writer
                .equals(column)
                .sql("any (")
                .list(column, list)
                .sql(")");
        }
        Check::Is(state) => {
            writer.sql(match state {
                State::Null => " is null",
                State::NotNull => " is not null",
                State::True => " is true",
                State::False => " is false",
                State::Unknown => " is unknown",
            });
        }
    }
}

/// Appends the order of rows called `alias`.
pub(super) fn order(writer: &mut Writer, query: &Query, alias: &str) {
    if query.order.is_empty() {
        return;
    }
    writer.sql(" order by ");
    writer.separated(", ", &query.order, |writer, it: &Order| {
        writer.column(alias, &query.resource.columns[it.column]);
        writer.sql(if it.descending { " desc" } else { "" });
        writer.sql(match it.nulls {
            Some(Nulls::First) => " nulls first",
            Some(Nulls::Last) => " nulls last",
            None => "",
        });
    });
}
