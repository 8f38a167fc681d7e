//! Select lists: what the rows of a query consist of, and in which form each value comes.
//!
//! Knows nothing of which rows there are, nor of their order.

use super::{Writer, condition::place, embed::Parent};
use crate::{
    catalog::Resource,
    error::Result,
    postgres::encode::Encoding,
    query::{
        read::{Output, Query, Source, TypeName, embed::Embedding},
        syntax::Aggregate,
    },
};
use std::sync::Arc;

/// One column of the rows that a query answers.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// What it is called in the row.
    pub(super) name: Arc<str>,
    /// How its value travels, where it stands in the outermost select list.
    pub(super) encoding: Encoding,
    /// What it is over a group of rows: the function, and the type that its value is cast to.
    pub(super) aggregate: Option<(Aggregate, Option<TypeName>)>,
    /// It is JSON that we made, by whose text rows can be grouped.
    pub(super) made: bool,
}

/// What the items of a select list are called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Labels {
    /// Nothing: the encoder knows their names. They come as the encoder reads them.
    None,
    /// As the caller will read them.
    Names,
    /// `c1`, `c2`, …, whatever they are called.
    Numbers,
    /// The same, of what is yet to be grouped: what aggregates are over, and JSON of ours as text.
    Parts,
}

/// The embeddings whose columns stand among the row's own, with names for the joins that they come from.
pub(super) fn spreads<'a>(writer: &mut Writer, query: &'a Query) -> Vec<(&'a Embedding, String)> {
    let spreads = query.embeds.iter().filter(|it| it.spread && it.is_shown());
    spreads.map(|it| (it, writer.alias('s'))).collect()
}

/// What the rows of a query consist of: its own values, then its embeddings.
pub(super) fn all(query: &Query) -> Vec<Item> {
    let own = query.outputs.iter().map(|it| Item {
        name: it.name.clone(),
        encoding: match &it.source {
            Source::Place(place) => {
                let type_ = place.type_(&query.resource);
                match query.time_zone.is_some() && type_.has_time_zone() {
                    // In UTC only we write times ourselves.
                    true => Encoding::ToJson,
                    false => Encoding::of(type_),
                }
            }
            // Of a type that only PostgreSQL knows.
            Source::Cast(..) | Source::Aggregate { .. } => Encoding::ToJson,
        },
        aggregate: match &it.source {
            Source::Aggregate { function, cast, .. } => Some((*function, cast.clone())),
            Source::Place(_) | Source::Cast(..) => None,
        },
        made: false,
    });
    let mut items: Vec<Item> = own.collect();
    for embed in query.embeds.iter().filter(|it| it.is_shown()) {
        match (embed.spread, embed.relation.is_to_one()) {
            (false, _) => items.push(Item {
                name: embed.name.clone(),
                encoding: Encoding::ToJson,
                aggregate: None,
                made: true,
            }),
            (true, true) => items.extend(all(&embed.query)),
            (true, false) => items.extend(all(&embed.query).into_iter().map(|it| Item {
                encoding: Encoding::ToJson,
                aggregate: None,
                made: true,
                ..it
            })),
        }
    }
    items
}

/// Appends the select list of a row.
pub(super) fn items(
    writer: &mut Writer,
    row: Parent<'_>,
    spreads: &[(&Embedding, String)],
    labels: Labels,
) -> Result<Vec<Item>> {
    let items = all(row.query);
    let mut place = 0;
    let mut item = |writer: &mut Writer, write: &mut dyn FnMut(&mut Writer, &Item)| {
        writer.sql(if place == 0 { "" } else { ", " });
        let output = &items[place];
        place += 1;
        write(writer, output);
        match labels {
            Labels::None => {}
            Labels::Names => {
                writer.sql(" as ").sql(&super::identifier(&output.name));
            }
            Labels::Numbers | Labels::Parts => {
                writer.sql(" as c").sql(&place.to_string());
            }
        }
    };
    // Outside of the outermost list PostgreSQL makes JSON of the whole row.
    let value = |writer: &mut Writer, item: &Item, write: &dyn Fn(&mut Writer)| match labels {
        Labels::None => encoded(writer, &item.encoding, write),
        Labels::Names | Labels::Numbers | Labels::Parts => write(writer),
    };
    let parts = labels == Labels::Parts;
    for own in &row.query.outputs {
        item(writer, &mut |writer, it| {
            value(writer, it, &|writer| {
                output(writer, row.alias, &row.query.resource, own, parts);
            });
        });
    }
    for embed in row.query.embeds.iter().filter(|it| it.is_shown()) {
        let joined = spreads.iter().find(|(it, _)| std::ptr::eq(*it, embed));
        let Some((_, name)) = joined else {
            let mut written = Ok(());
            item(writer, &mut |writer, _| {
                written = row.value(writer, embed);
                writer.sql(if parts { "::text" } else { "" });
            });
            written?;
            continue;
        };
        for number in 1..=all(&embed.query).len() {
            let expression = format!("{name}.c{number}");
            item(writer, &mut |writer, it| {
                value(writer, it, &|writer| {
                    writer.sql(&expression);
                });
            });
        }
    }
    Ok(items)
}

/// Appends a value in the form in which it comes.
fn encoded(writer: &mut Writer, encoding: &Encoding, value: impl FnOnce(&mut Writer)) {
    match encoding {
        Encoding::Native(_) => value(writer),
        Encoding::ToJson => {
            writer.sql("pg_catalog.to_json(");
            value(writer);
            writer.sql(")");
        }
    }
}

/// Appends the value of a member of the row called `alias`; of an aggregate, what it is over.
fn output(writer: &mut Writer, alias: &str, resource: &Resource, output: &Output, parts: bool) {
    let cast = |writer: &mut Writer, at, to: Option<&TypeName>| {
        writer.sql(if to.is_some() { "cast(" } else { "" });
        place(writer, alias, resource, at);
        if let Some(to) = to {
            writer.sql(" as ").sql(to.sql()).sql(")");
        }
    };
    debug_assert!(
        parts || !output.is_aggregate(),
        "an aggregate without a group"
    );
    match &output.source {
        Source::Place(at) => cast(writer, at, None),
        Source::Cast(at, to) => cast(writer, at, Some(to)),
        Source::Aggregate { of: None, .. } => {
            writer.sql("1");
        }
        Source::Aggregate {
            of: Some((at, to)), ..
        } => cast(writer, at, to.as_ref()),
    }
}
