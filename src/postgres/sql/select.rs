//! Queries as SQL, with the fence between organizations as a security barrier.

use super::{Rendered, Writer, embed::Parent, fence};
use crate::{
    catalog::Column,
    error::Result,
    identity::OrganizationId,
    postgres::encode::{Encoding, RowEncoder},
    query::read::{Check, Condition, Order, Query, embed::Embedding},
    query::syntax::{Nulls, State},
};
use std::sync::Arc;

/// The name of a statement's own row. Embedded rows have names of their own.
pub(super) const ROW: &str = "t";

/// One column of the rows that a query answers.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// What it is called in the row.
    pub(super) name: Arc<str>,
    /// How its value travels, where it stands in the outermost select list.
    pub(super) encoding: Encoding,
}

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
    let encoder = listed(
        &mut writer,
        row,
        |writer, separator| {
            if query.etag {
                writer.sql(separator).sql("t.xmin::text");
            }
            Ok(())
        },
        |writer| {
            writer.relation(&query.resource);
            Ok(())
        },
    )?;
    writer.sql(" where ");
    matching(&mut writer, row)?;
    order(&mut writer, row)?;
    cut(&mut writer, query);
    Ok((writer.finish(), encoder))
}

/// Appends `select … from …` of a query's rows: what it selects, `more` behind that with a separator
/// before it, and the `source` of the rows. That need not be the resource's own relation: also what a
/// write returns, and what a function gives, has its columns.
pub(super) fn listed(
    writer: &mut Writer,
    row: Parent<'_>,
    more: impl FnOnce(&mut Writer, &str) -> Result<()>,
    source: impl FnOnce(&mut Writer) -> Result<()>,
) -> Result<RowEncoder> {
    let spreads = spreads(writer, row.query);
    writer.sql("select ");
    let outputs = items(writer, row, &spreads, Labels::None)?;
    more(writer, if outputs.is_empty() { "" } else { ", " })?;
    writer.sql(" from ");
    source(writer)?;
    writer.sql(" as ").sql(row.alias);
    for (embed, name) in &spreads {
        row.join(writer, embed, name)?;
    }
    let columns = outputs.iter().map(|it| (&*it.name, it.encoding.clone()));
    Ok(RowEncoder::new(columns))
}

/// What the items of a select list are called.
#[derive(Clone, Copy)]
pub(super) enum Labels {
    /// Nothing: the encoder knows their names. They come as the encoder reads them.
    None,
    /// As the caller will read them.
    Names,
    /// `c1`, `c2`, …, whatever they are called.
    Numbers,
}

/// The embeddings whose columns stand among the row's own, with names for the joins that they come from.
pub(super) fn spreads<'a>(writer: &mut Writer, query: &'a Query) -> Vec<(&'a Embedding, String)> {
    let spreads = query.embeds.iter().filter(|it| it.spread && it.is_shown());
    spreads.map(|it| (it, writer.alias('s'))).collect()
}

/// What the rows of a query consist of: its own columns, then its embeddings.
pub(super) fn outputs(query: &Query) -> Vec<Output> {
    let columns = &query.resource.columns;
    let own = query.columns.iter().map(|index| Output {
        name: columns[*index].name.clone(),
        encoding: Encoding::of(&columns[*index].type_),
    });
    let mut outputs: Vec<Output> = own.collect();
    for embed in query.embeds.iter().filter(|it| it.is_shown()) {
        match (embed.spread, embed.relation.is_to_one()) {
            (false, _) => outputs.push(Output {
                name: embed.name.clone(),
                encoding: Encoding::ToJson,
            }),
            (true, true) => outputs.extend(self::outputs(&embed.query)),
            (true, false) => {
                outputs.extend(self::outputs(&embed.query).into_iter().map(|it| Output {
                    encoding: Encoding::ToJson,
                    ..it
                }))
            }
        }
    }
    outputs
}

/// Appends the select list of a row.
pub(super) fn items(
    writer: &mut Writer,
    row: Parent<'_>,
    spreads: &[(&Embedding, String)],
    labels: Labels,
) -> Result<Vec<Output>> {
    let outputs = outputs(row.query);
    let mut place = 0;
    let mut item = |writer: &mut Writer, write: &mut dyn FnMut(&mut Writer, &Output)| {
        writer.sql(if place == 0 { "" } else { ", " });
        let output = &outputs[place];
        place += 1;
        write(writer, output);
        match labels {
            Labels::None => {}
            Labels::Names => {
                writer.sql(" as ").sql(&super::identifier(&output.name));
            }
            Labels::Numbers => {
                writer.sql(" as c").sql(&place.to_string());
            }
        }
    };
    // Outside of the outermost list PostgreSQL makes JSON of the whole row.
    let value = |writer: &mut Writer, expression: &str, output: &Output| {
        match labels {
            Labels::None => writer.sql(&output.encoding.select(expression)),
            Labels::Names | Labels::Numbers => writer.sql(expression),
        };
    };
    for index in &row.query.columns {
        let column = super::identifier(&row.query.resource.columns[*index].name);
        let expression = format!("{}.{column}", row.alias);
        item(writer, &mut |writer, output| {
            value(writer, &expression, output);
        });
    }
    for embed in row.query.embeds.iter().filter(|it| it.is_shown()) {
        let joined = spreads.iter().find(|(it, _)| std::ptr::eq(*it, embed));
        let Some((_, name)) = joined else {
            let mut written = Ok(());
            item(writer, &mut |writer, _| written = row.value(writer, embed));
            written?;
            continue;
        };
        for number in 1..=self::outputs(&embed.query).len() {
            let expression = format!("{name}.c{number}");
            item(writer, &mut |writer, output| {
                value(writer, &expression, output);
            });
        }
    }
    Ok(outputs)
}

/// Appends which of its rows a query wants: `limit` and `offset`.
pub(super) fn cut(writer: &mut Writer, query: &Query) {
    // Not a parameter: how many rows are wanted decides which plan is good, and a plan made for any
    // number would be made for none.
    if let Some(limit) = query.limit {
        writer.sql(" limit ").sql(&limit.to_string());
    }
    if query.offset > 0 {
        writer.sql(" offset ").number(query.offset);
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
    guarded.guard(
        writer,
        &query.conditions,
        |it| is_harmless(query, it),
        |writer, it| {
            let column = &query.resource.columns[it.column];
            condition(writer, row.alias, column, &it.check);
        },
    )?;
    row.conditions(writer)
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

/// Appends the order of a query's rows.
pub(super) fn order(writer: &mut Writer, row: Parent<'_>) -> Result<()> {
    for (place, it) in row.query.order.iter().enumerate() {
        writer.sql(if place == 0 { " order by " } else { ", " });
        match it.related {
            Some(embed) => row.ordering(writer, it, embed)?,
            None => ordered(writer, row.query, row.alias, it),
        }
        writer.sql(if it.descending { " desc" } else { "" });
        writer.sql(match it.nulls {
            Some(Nulls::First) => " nulls first",
            Some(Nulls::Last) => " nulls last",
            None => "",
        });
    }
    Ok(())
}

/// Appends the value of the row called `alias` by which to order.
pub(super) fn ordered(writer: &mut Writer, query: &Query, alias: &str, order: &Order) {
    writer.column(alias, &query.resource.columns[order.column]);
}
