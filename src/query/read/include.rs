//! Related rows beside the rows: `include`, as reads of their own.
//!
//! Each way that `include` names leads from the rows of another one, in the end from the query's own.
//! Ways that lead to one resource are one part of the answer, so that each row comes once.

use super::{
    Query,
    embed::{Embedding, embedding},
    not_planned,
};
use crate::{
    catalog::{Access, Link, Resource},
    error::{Error, Kind, Result},
    query::syntax::{Embed, Include, Syntax, Term},
};
use std::sync::Arc;

/// How many ways one query may name.
const WAYS_MAX: usize = 32;

/// One way from rows to related rows.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Index of the way to the rows that this one leads from; `None`: the query's own rows.
    pub(crate) from: Option<usize>,
    /// Where it leads, and by what.
    pub(crate) embed: Embedding,
}

/// Rows of one resource in the answer: the query's own, or related ones.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The resource.
    pub(crate) resource: Arc<Resource>,
    /// Indices of the ways that lead to its rows.
    pub(crate) ways: Vec<usize>,
}

/// Whether this asks for the rows' secret keys, of a resource that has some.
pub(super) fn is_key(include: &Include) -> bool {
    include.name == "key" && include.hint.is_none() && include.include.is_empty()
}

/// The ways of a query, the most essential first: what each row has one of before what it has many of,
/// and both before what hangs on them.
pub(super) fn ways(access: &Access, origin: &Resource, includes: &[Include]) -> Result<Vec<Way>> {
    let mut ways: Vec<Way> = Vec::new();
    let mut level: Vec<(Option<usize>, &[Include])> = vec![(None, includes)];
    while !level.is_empty() {
        let mut found: Vec<(Way, &[Include])> = Vec::new();
        for (from, includes) in level {
            for include in includes {
                let origin = from.map_or(origin, |it| &ways[it].embed.query.resource);
                let whole = Syntax {
                    select: Some(vec![Term::All]),
                    ..Syntax::default()
                };
                let embed = Embed {
                    spread: false,
                    alias: None,
                    name: include.name.clone(),
                    hint: include.hint.clone(),
                    join: None,
                    select: vec![Term::All],
                };
                let embed = embedding(access, origin, &embed, &whole, 1)?;
                if let Link::Computed { .. } = embed.relation.link {
                    return Err(not_planned("\"include\" of a computed relation"));
                }
                found.push((Way { from, embed }, &include.include));
            }
        }
        // Sorting keeps what is alike in the caller's order.
        found.sort_by_key(|(way, _)| !way.embed.relation.is_to_one());
        level = Vec::new();
        for (way, further) in found {
            if ways.len() == WAYS_MAX {
                let detail = format!("A query includes at most {WAYS_MAX} relations.");
                return Err(Error::new(Kind::QueryMalformed, detail));
            }
            ways.push(way);
            level.push((Some(ways.len() - 1), further));
        }
    }
    Ok(ways)
}

impl Part {
    /// Whether its rows are less than whole rows of the resource.
    pub(crate) fn is_partial(&self, query: &Query) -> bool {
        let mut ways = self.ways.iter().filter_map(|it| query.ways.get(*it));
        ways.any(|it| it.embed.query.is_partial())
    }
}

impl Query {
    /// Whether related rows come beside the rows.
    pub fn includes(&self) -> bool {
        !self.ways.is_empty()
    }

    /// What the answer has beside the query's own rows, in this order. What leads back to the query's
    /// own resource comes first, right behind its own rows.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for (index, way) in self.ways.iter().enumerate() {
            let resource = &way.embed.query.resource;
            let known = parts
                .iter_mut()
                .find(|it| it.resource.relation == resource.relation);
            match known {
                Some(part) => part.ways.push(index),
                None => parts.push(Part {
                    resource: resource.clone(),
                    ways: vec![index],
                }),
            }
        }
        parts.sort_by_key(|it| it.resource.relation != self.resource.relation);
        parts
    }
}
