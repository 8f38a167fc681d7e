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

/// The name of the row, in every statement.
const ROW: &str = "t";
/// What the row's `xmin` is called above the barrier: no column of a table can have the name of a
/// system column, so nothing is shadowed.
const XMIN: &str = "xmin";

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
        writer.sql(ROW).sql(".").sql(XMIN).sql("::text");
    }
    writer.sql(" from ");
    let (below, above) = partition(query);
    if above.is_empty() {
        writer.relation(&query.resource).sql(" as t where ");
        fenced(&mut writer, query, organization, &below)?;
    } else {
        barrier(&mut writer, query, organization, &below)?;
        writer.sql(" where ");
        conditions(&mut writer, query, &above);
    }
    order(&mut writer, query);
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

/// The conditions that may run beside the fence, and those that may not: a comparison that can fail
/// would tell of the values that it fails on, and with them of rows of other organizations, if
/// PostgreSQL chose to evaluate it before the fence.
fn partition(query: &Query) -> (Vec<&Condition>, Vec<&Condition>) {
    let resource = &query.resource;
    query.conditions.iter().partition(|it| {
        let harmless = match it.check {
            Check::Equal(_) | Check::In(..) => resource.columns[it.column].leakproof_equality,
            Check::Is(_) => resource.is_stored(),
        };
        harmless || !fence::is_fenced(resource)
    })
}

/// The rows of the organization as a subquery through which no condition passes.
///
/// `offset 0` is what makes it so, in all versions of PostgreSQL: a subquery with an offset is neither
/// pulled up into the query around it (`is_simple_subquery` in prepjointree.c) nor are conditions
/// pushed down into it (`subquery_is_pushdown_safe` in allpaths.c), since either could change which
/// rows it has. It costs nothing: an offset of zero adds no node to the plan.
///
/// When no condition needs it, everything is written flat, so that indexes, order and limit work
/// together.
fn barrier(
    writer: &mut Writer,
    query: &Query,
    organization: &OrganizationId,
    below: &[&Condition],
) -> Result<()> {
    let mut needed: Vec<usize> = query.columns.clone();
    needed.extend(query.conditions.iter().map(|it| it.column));
    needed.extend(query.order.iter().map(|it| it.column));
    needed.sort_unstable();
    needed.dedup();
    writer.sql("(select ");
    writer.separated(", ", needed, |writer, index| {
        writer.column(ROW, &query.resource.columns[index]);
    });
    if query.etag {
        writer.sql(", ").sql(ROW).sql(".").sql(XMIN);
    }
    writer
        .sql(" from ")
        .relation(&query.resource)
        .sql(" as t where ");
    fenced(writer, query, organization, below)?;
    writer.sql(" offset 0) as t");
    Ok(())
}

fn fenced(
    writer: &mut Writer,
    query: &Query,
    organization: &OrganizationId,
    below: &[&Condition],
) -> Result<()> {
    fence::append(writer, &query.catalog, &query.resource, ROW, organization)?;
    if !below.is_empty() {
        writer.sql(" and ");
        conditions(writer, query, below);
    }
    Ok(())
}

fn conditions(writer: &mut Writer, query: &Query, conditions: &[&Condition]) {
    writer.separated(" and ", conditions, |writer, it| {
        condition(writer, &query.resource.columns[it.column], &it.check);
    });
}

/// Appends one condition on the row.
pub(super) fn condition(writer: &mut Writer, column: &Column, check: &Check) {
    writer.column(ROW, column);
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

fn order(writer: &mut Writer, query: &Query) {
    if query.order.is_empty() {
        return;
    }
    writer.sql(" order by ");
    writer.separated(", ", &query.order, |writer, it: &Order| {
        writer.column(ROW, &query.resource.columns[it.column]);
        writer.sql(if it.descending { " desc" } else { "" });
        writer.sql(match it.nulls {
            Some(Nulls::First) => " nulls first",
            Some(Nulls::Last) => " nulls last",
            None => "",
        });
    });
}
