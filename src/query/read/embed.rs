//! Related rows inside of rows: each embedding of `select` with the relation that it follows and the
//! read that its rows are.
//!
//! An embedding's rows are a read of their own resource, so whatever a read can say can be said of
//! them: what stands under the embedding's name in the query is a query of its own.

use super::{Query, rights::may};
use crate::{
    catalog::{Access, Allowed, Link, Relation, Resource},
    error::{Error, Kind, Result},
    query::syntax::{Embed, Embedded, Filter, Join, State, Syntax, Term, Test},
};
use serde_json::json;
use std::sync::Arc;

/// Related rows inside of a row.
#[derive(Debug, Clone)]
pub(crate) struct Embedding {
    /// What they are called in the row: the alias, or what the relation was called by.
    pub(crate) name: Arc<str>,
    /// How they are found.
    pub(crate) relation: Arc<Relation>,
    /// The join table, if the relation goes through one.
    pub(crate) through: Option<Arc<Resource>>,
    /// Their columns stand among those of the row.
    pub(crate) spread: bool,
    /// Rows without them do not appear.
    pub(crate) inner: bool,
    /// The related resource, and what the role may do with it.
    pub(super) allowed: Allowed,
    /// The related rows.
    pub(crate) query: Query,
}

impl Embedding {
    /// How many of a row's values it is.
    pub(super) fn width(&self) -> usize {
        match self.spread {
            true => self.query.width(),
            false => 1,
        }
    }

    /// Whether aggregates stand in arrays of many rows' values.
    pub(super) fn spreads_groups(&self) -> bool {
        self.spread && !self.relation.is_to_one() && self.query.is_grouped()
    }

    /// Whether the row shows anything of them. Without columns they only serve conditions.
    pub(crate) fn is_shown(&self) -> bool {
        !self.query.outputs.is_empty() || self.query.embeds.iter().any(Self::is_shown)
    }
}

/// A condition that there are related rows, or that there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Related {
    /// Index into the embeddings.
    pub(crate) embed: usize,
    pub(crate) exists: bool,
}

/// The embeddings that a query selects.
///
/// # Errors
/// `RelationUnknown`, `RelationAmbiguous`; `RelationNotEmbedded` for a parameter that names none of
/// them; as any read of the related resources.
pub(super) fn embeddings(
    access: &Access,
    origin: &Resource,
    syntax: &Syntax,
    depth: usize,
) -> Result<Vec<Embedding>> {
    let terms = syntax.select.iter().flatten();
    let embeds: Vec<&Embed> = terms
        .filter_map(|it| match it {
            Term::Embed(embed) => Some(embed),
            _ => None,
        })
        .collect();
    let mut own: Vec<Syntax> = embeds
        .iter()
        .map(|it| Syntax {
            select: Some(it.select.clone()),
            ..Syntax::default()
        })
        .collect();
    for Embedded { path, rows } in &syntax.embedded {
        let (first, rest) = path.split_first().ok_or_else(|| {
            // The grammar makes none.
            Error::internal("a path to embedded rows is empty")
        })?;
        let called = |it: &&Embed| it.name == *first || it.alias.as_ref() == Some(first);
        let place = embeds
            .iter()
            .position(called)
            .ok_or_else(|| absent(first))?;
        match rest {
            [] => own[place].rows = rows.clone(),
            rest => own[place].embedded.push(Embedded {
                path: rest.to_vec(),
                rows: rows.clone(),
            }),
        }
    }
    embeds
        .into_iter()
        .zip(own)
        .map(|(embed, syntax)| embedding(access, origin, embed, &syntax, depth + 1))
        .collect()
}

/// One embedding; `syntax` is what is said of its rows.
pub(super) fn embedding(
    access: &Access,
    origin: &Resource,
    embed: &Embed,
    syntax: &Syntax,
    depth: usize,
) -> Result<Embedding> {
    let catalog = access.catalog();
    let relation = catalog.relation_to(origin, &embed.name, embed.hint.as_deref())?;
    let missing = || Error::internal("a relation leads to what is not exposed");
    let target = catalog.relation(relation.target).ok_or_else(missing)?;
    let through = match &relation.link {
        Link::Join { table, .. } => Some(catalog.relation(*table).ok_or_else(missing)?.clone()),
        Link::Key { .. } | Link::Computed { .. } => None,
    };
    let allowed = access.resource(&target.name)?;
    let query = Query::plan(access, &allowed, syntax, depth);
    let query = query.map_err(|error| match relation.link {
        Link::Key { .. } => of_embedded(error, target, depth),
        Link::Join { .. } | Link::Computed { .. } => error,
    })?;
    readable(access, origin, target, through.as_deref(), &relation)?;
    Ok(Embedding {
        name: embed.alias.as_ref().unwrap_or(&embed.name).as_str().into(),
        relation,
        through,
        spread: embed.spread,
        inner: embed.join == Some(Join::Inner),
        allowed,
        query,
    })
}

/// PostgREST's clients hear of a column that is not there from PostgreSQL, to whom PostgREST calls
/// embedded rows by their table and how deep they are.
fn of_embedded(error: Error, target: &Resource, depth: usize) -> Error {
    let prefix = format!("column {}.", target.table);
    match error.message().strip_prefix(&prefix) {
        Some(rest) if error.code() == "42703" => {
            let message = format!("column {}_{depth}.{rest}", target.table);
            error.with_message(message)
        }
        _ => error,
    }
}

/// Refuses a relation of which the role may not read the columns that it follows.
fn readable(
    access: &Access,
    origin: &Resource,
    target: &Resource,
    through: Option<&Resource>,
    relation: &Relation,
) -> Result<()> {
    let check = |resource: &Resource, column: usize| {
        let privileges = access.privileges(resource.relation);
        match privileges.is_some_and(|it| may(&it.select, column)) {
            true => Ok(()),
            false => Err(Error::new(
                Kind::PermissionDenied,
                format!(
                    "The role {:?} may not read {:?} of {:?}, which relates it to others.",
                    &*access.role().0,
                    &*resource.columns[column].name,
                    &*resource.name
                ),
            )),
        }
    };
    match (&relation.link, through) {
        (Link::Join { near, far, .. }, Some(through)) => {
            // What the table between belongs to is asked like anywhere else.
            super::fence_is_readable(access, &access.resource(&through.name)?.resource)?;
            for (here, there) in near {
                check(origin, *here)?;
                check(through, *there)?;
            }
            for (here, there) in far {
                check(target, *here)?;
                check(through, *there)?;
            }
        }
        (Link::Key { columns, .. }, _) => {
            for (here, there) in columns {
                check(origin, *here)?;
                check(target, *there)?;
            }
        }
        // PostgreSQL asks for the right to call the function, and to read the whole row.
        (Link::Computed { .. }, _) => {}
        (Link::Join { .. }, None) => return Err(Error::internal("a join without its table")),
    }
    Ok(())
}

/// The condition that a filter states of an embedding, if it names one: `contacts=is.null`. A test that
/// is for a column is left to the column of that name.
pub(super) fn related(embeds: &[Embedding], filter: &Filter) -> Option<Related> {
    let (field, test, negated) = match filter {
        Filter::Test(field, test) => (field, test, false),
        Filter::Not(field, test) => (field, test, true),
        Filter::Tree(_) => return None,
    };
    let exists = match test {
        Test::Is(State::Null) => negated,
        Test::Is(State::NotNull) => !negated,
        _ => return None,
    };
    let embed = match field.path.as_slice() {
        [] => embeds.iter().position(|it| *it.name == *field.column)?,
        _ => return None,
    };
    Some(Related { embed, exists })
}

/// The embedding, to one row, by whose rows to order.
///
/// # Errors
/// `RelationNotEmbedded`, `RelationNotToOne`.
pub(super) fn ordering(origin: &Resource, embeds: &[Embedding], name: &str) -> Result<usize> {
    let place = embeds.iter().position(|it| *it.name == *name);
    let place = place.ok_or_else(|| absent(name))?;
    match embeds[place].relation.is_to_one() {
        true => Ok(place),
        false => Err(Error::new(
            Kind::RelationNotToOne,
            format!("A related order on '{name}' is not possible"),
        )
        .with_details(json!(format!(
            "'{}' and '{name}' do not form a many-to-one or one-to-one relationship",
            origin.name
        )))),
    }
}

fn absent(name: &str) -> Error {
    Error::new(
        Kind::RelationNotEmbedded,
        format!("'{name}' is not an embedded resource in this request"),
    )
    .with_hint(format!(
        "Verify that '{name}' is included in the 'select' query parameter."
    ))
}
