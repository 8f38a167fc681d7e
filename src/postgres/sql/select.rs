//! Queries as SQL, with the fence between organizations as a security barrier.

use super::{
    Rendered, Writer, call,
    condition::{condition, is_harmless, place},
    embed::Parent,
    fence, modified, page,
    select_list::{self, Item, Labels, all, spreads},
};
use crate::{
    error::{Error, Result},
    identity::OrganizationId,
    postgres::encode::RowEncoder,
    query::{
        read::{NUMBER_MAX, Order, Query, embed::Embedding},
        syntax::{Aggregate, Nulls},
    },
};
use std::cell::Cell;

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
    let row = Parent {
        query,
        alias: ROW,
        organization,
    };
    let encoder = match query.is_grouped() {
        true => groups(&mut writer, row)?,
        false => rows(&mut writer, row)?,
    };
    Ok((writer.finish(), encoder))
}

/// Appends a query whose rows are rows of its resource.
fn rows(writer: &mut Writer, row: Parent<'_>) -> Result<RowEncoder> {
    let query = row.query;
    let encoder = listed(
        writer,
        row,
        |writer, separator| {
            if query.etag {
                writer.sql(separator).sql("t.xmin::text");
            } else {
                page::keys(writer, query, separator);
            }
            Ok(())
        },
        |writer| {
            source(writer, query);
            Ok(())
        },
    )?;
    let encoder = match query.call() {
        Some(call) if call.is_of_values() => encoder.bare(),
        _ => encoder,
    };
    writer.sql(" where ");
    matching(writer, row)?;
    order(writer, row)?;
    // One row more tells whether there is a next page.
    let more = u64::from(query.paged_by().is_some());
    let limit = query
        .limit
        .map(|it| it.saturating_add(more).min(NUMBER_MAX));
    part(writer, limit, query.offset);
    Ok(encoder)
}

/// Appends what a query's rows come from: its resource's relation, or a function.
pub(super) fn source(writer: &mut Writer, query: &Query) {
    match query.call() {
        Some(call) => call::append(writer, call),
        None => {
            writer.relation(&query.resource);
        }
    }
}

/// Appends `select … from …` of a query's rows: what it selects, `more` behind that with a separator
/// before it, and the `source` of the rows. That need not be the resource's own relation: also what a
/// write returns, and what a function gives, has its columns.
pub(super) fn listed(
    writer: &mut Writer,
    row: Parent<'_>,
    more: impl FnOnce(&mut Writer, &'static str) -> Result<()>,
    source: impl FnOnce(&mut Writer) -> Result<()>,
) -> Result<RowEncoder> {
    let spreads = spreads(writer, row.query);
    writer.sql("select ");
    let items = select_list::items(writer, row, &spreads, Labels::None)?;
    more(writer, if items.is_empty() { "" } else { ", " })?;
    writer.sql(" from ");
    source(writer)?;
    writer.sql(" as ").sql(row.alias);
    if let Some(call) = row.query.call() {
        call::append_names(writer, call);
    }
    for (embed, name) in &spreads {
        row.join(writer, embed, name, false)?;
    }
    let columns = items.iter().map(|it| (&*it.name, it.encoding.clone()));
    Ok(RowEncoder::new(columns))
}

/// The encoder of a query's rows.
pub(crate) fn encoder(query: &Query) -> RowEncoder {
    let items = all(query);
    RowEncoder::new(items.iter().map(|it| (&*it.name, it.encoding.clone())))
}

/// Appends a query whose rows are groups.
fn groups(writer: &mut Writer, row: Parent<'_>) -> Result<RowEncoder> {
    grouped(writer, row, Labels::None, |writer, spreads| {
        writer.sql(" from ");
        source(writer, row.query);
        writer.sql(" as ").sql(row.alias);
        if let Some(call) = row.query.call() {
            call::append_names(writer, call);
        }
        for (embed, name) in spreads {
            row.join(writer, embed, name, true)?;
        }
        writer.sql(" where ");
        matching(writer, row)
    })?;
    Ok(encoder(row.query))
}

/// Appends a query whose rows are groups of the rows that `from` appends. Those are a subquery, in which
/// stands what aggregates are over, and related rows as text: neither JSON nor an expression with
/// parameters can be grouped by.
pub(super) fn grouped(
    writer: &mut Writer,
    row: Parent<'_>,
    labels: Labels,
    from: impl FnOnce(&mut Writer, &[(&Embedding, String)]) -> Result<()>,
) -> Result<()> {
    let items = all(row.query);
    writer.sql("select ");
    writer.separated(", ", (1..).zip(&items), |writer, (number, item)| {
        let number: usize = number;
        let value = of_group(&format!("g.c{number}"), item);
        match labels {
            Labels::None => writer.sql(&item.encoding.select(&value)),
            Labels::Names => writer
                .sql(&value)
                .sql(" as ")
                .sql(&super::identifier(&item.name)),
            Labels::Numbers | Labels::Parts => writer.sql(&format!("{value} as c{number}")),
        };
    });
    writer.sql(" from (select ");
    let spreads = spreads(writer, row.query);
    select_list::items(writer, row, &spreads, Labels::Parts)?;
    from(writer, &spreads)?;
    writer.sql(") as g");
    let by = (1..).zip(&items).filter(|(_, it)| it.aggregate.is_none());
    for (place, (number, _)) in by.enumerate() {
        let number: usize = number;
        writer
            .sql(if place == 0 { " group by " } else { ", " })
            .sql(&format!("g.c{number}"));
    }
    for (place, it) in row.query.order.iter().enumerate() {
        let missing = || Error::internal("groups are ordered by what they are not grouped by");
        let number = row.query.grouped_by(it).ok_or_else(missing)? + 1;
        writer
            .sql(if place == 0 { " order by " } else { ", " })
            .sql(&format!("g.c{number}"));
        direction(writer, it);
    }
    cut(writer, row.query);
    Ok(())
}

/// What an item of a group is, made of what it is over.
fn of_group(part: &str, item: &Item) -> String {
    let Some((function, cast)) = &item.aggregate else {
        return match item.made {
            true => format!("{part}::json"),
            false => part.to_owned(),
        };
    };
    let function = match function {
        Aggregate::Sum => "sum",
        Aggregate::Avg => "avg",
        Aggregate::Count => "count",
        Aggregate::Max => "max",
        Aggregate::Min => "min",
    };
    match cast {
        Some(cast) => format!("cast({function}({part}) as {})", cast.sql()),
        None => format!("{function}({part})"),
    }
}

/// Appends all rows of a query, whatever its page: rows of nothing, only to be counted.
pub(super) fn unpaged(
    writer: &mut Writer,
    query: &Query,
    organization: &OrganizationId,
) -> Result<()> {
    let mut whole = query.clone();
    whole.unpaged();
    let row = Parent {
        query: &whole,
        alias: ROW,
        organization,
    };
    match query.is_grouped() {
        true => groups(writer, row).map(|_| ()),
        false => page::rows_of_nothing(writer, row),
    }
}

/// Appends which of its rows a query wants: `limit` and `offset`.
pub(super) fn cut(writer: &mut Writer, query: &Query) {
    part(writer, query.limit, query.offset);
}

fn part(writer: &mut Writer, limit: Option<u64>, offset: u64) {
    // Not a parameter: how many rows are wanted decides which plan is good, and a plan made for any
    // number would be made for none.
    if let Some(limit) = limit {
        writer.sql(" limit ").sql(&limit.to_string());
    }
    if offset > 0 {
        writer.sql(" offset ").number(offset);
    }
}

/// Appends the condition that a row is one of its query's: the fence, what the query asks for, and
/// the related rows that there have to be.
pub(super) fn matching(writer: &mut Writer, row: Parent<'_>) -> Result<()> {
    let query = row.query;
    let guarded = fence::Row {
        catalog: &query.catalog,
        resource: &query.resource,
        alias: row.alias,
        organization: row.organization,
    };
    // Whoever writes conditions has no way to fail, and an organization that cannot be one of the
    // related resource fails the query.
    let failed = Cell::new(Ok(()));
    let related = |writer: &mut Writer, it| {
        if let Err(error) = row.related(writer, it) {
            failed.set(Err(error));
        }
    };
    guarded.guard(
        writer,
        &query.conditions,
        |it| is_harmless(&query.resource, it),
        |writer, it| condition(writer, row.alias, &query.resource, it, &related),
    )?;
    failed.into_inner()?;
    modified::append(writer, row)?;
    row.conditions(writer)
}

/// Appends the order of a query's rows.
pub(super) fn order(writer: &mut Writer, row: Parent<'_>) -> Result<()> {
    for (place, it) in row.query.order.iter().enumerate() {
        writer.sql(if place == 0 { " order by " } else { ", " });
        match it.related {
            Some(embed) => row.ordering(writer, it, embed)?,
            None => ordered(writer, row.query, row.alias, it),
        }
        direction(writer, it);
    }
    Ok(())
}

fn direction(writer: &mut Writer, order: &Order) {
    writer.sql(if order.descending { " desc" } else { "" });
    writer.sql(match order.nulls {
        Some(Nulls::First) => " nulls first",
        Some(Nulls::Last) => " nulls last",
        None => "",
    });
}

/// Appends the value of the row called `alias` by which to order.
pub(super) fn ordered(writer: &mut Writer, query: &Query, alias: &str, order: &Order) {
    place(writer, alias, &query.resource, &order.place);
}
