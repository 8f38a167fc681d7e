//! A read: which rows of which resource, which of their columns, in which order.

mod condition;
mod current;
pub(crate) mod embed;
pub(crate) mod include;
pub(crate) mod modified;
mod order;
mod output;
mod page;
mod place;
mod rights;

use super::{call::Call, grammar, key, syntax::Syntax, time_zone::TimeZone};
use crate::{
    catalog::{Access, Allowed, Catalog, Resource},
    error::{Error, Kind, Result},
};
pub(super) use condition::equal;
pub(crate) use condition::{Check, Condition};
use embed::Embedding;
use include::Way;
use modified::Modified;
pub(crate) use order::Order;
pub(crate) use output::{Output, Source, TypeName};
pub(crate) use page::{After, NUMBER_MAX};
pub use page::{Counting, Range};
pub(crate) use place::Place;
pub(super) use place::column_named;
pub(super) use rights::{fence_is_readable, readable};
use std::sync::Arc;

/// A read whose every name and value has been checked against the catalog and the role's rights.
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) resource: Arc<Resource>,
    /// What an answer's rows have.
    pub(crate) outputs: Vec<Output>,
    /// All of these hold.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) order: Vec<Order>,
    /// The same, with the key behind it.
    keyed: Vec<Order>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
    /// Related rows in each row.
    pub(crate) embeds: Vec<Embedding>,
    /// The ways to related rows beside the rows.
    pub(crate) ways: Vec<Way>,
    /// The function whose rows they are; `None`: they are the resource's own.
    pub(crate) call: Option<Arc<Call>>,
    /// Since when the rows have to have been written. Those beside them have their own.
    pub(crate) modified: Option<Modified>,
    /// How the rows are counted.
    pub(crate) counting: Option<Counting>,
    /// In which time zone times are shown; `None`: UTC.
    pub(crate) time_zone: Option<TimeZone>,
    /// Whether an answer has an entity tag.
    pub(crate) etag: bool,
    /// Whether the rows' secret keys come with them.
    keys: bool,
    /// Whether a page can be found by the row at which the one before it ended.
    pages: bool,
    partial: bool,
    item: bool,
}

impl Query {
    /// Reads `GET /{resource}?{query_string}`; the query string is as it came, percent-encoded.
    ///
    /// A list that is cut, by `limit` or `offset`, is ordered by the key behind what the caller says,
    /// so that its pages neither overlap nor leave gaps. One that is not cut comes as PostgreSQL finds
    /// it, unless the caller orders it.
    ///
    /// # Errors
    /// `ResourceUnknown`, `PermissionDenied`, `QueryMalformed` with the position, `ColumnUnknown`,
    /// `ValueInvalid`, `NotSupported`.
    pub fn list(access: &Access, resource: &str, query_string: &str) -> Result<Self> {
        let allowed = access.resource(resource)?;
        let syntax = grammar::read(query_string)?;
        only_rows(&syntax)?;
        let mut query = Self::plan(access, &allowed, &syntax, 0)?;
        query.after(syntax.after.as_deref())?;
        query.include(access, &syntax)?;
        if let Some(text) = &syntax.modified_since {
            query.modified = Some(modified::read(&allowed, text)?);
            for way in &mut query.ways {
                let related = &mut way.embed.query;
                let allowed = access.resource(&related.resource.name)?;
                related.modified = Some(modified::read(&allowed, text)?);
            }
        }
        Ok(query)
    }

    /// A read of a resource, or, at a depth of embedding, of related rows.
    pub(super) fn plan(
        access: &Access,
        allowed: &Allowed,
        syntax: &Syntax,
        depth: usize,
    ) -> Result<Self> {
        let mut query = Self::start(access, allowed, syntax, depth)?;
        query.embeds = embed::embeddings(access, &allowed.resource, syntax, depth)?;
        query.partial |= !query.embeds.is_empty();
        if query.embeds.iter().any(Embedding::spreads_groups) {
            return Err(Error::new(
                Kind::QueryMalformed,
                "Among the values of many rows, each an array, there are no aggregates.",
            )
            .with_code("PGRST127")
            .with_message("Feature not implemented")
            .with_details(
                "Aggregates are not implemented for one-to-many or many-to-many spreads.",
            ));
        }
        query.conditions = condition::conditions(allowed, &query.embeds, &syntax.rows.filters)?;
        query.order = order::order(allowed, &syntax.rows, &query.embeds)?;
        query.keyed.clone_from(&query.order);
        match query.is_grouped() {
            true => query.expect_grouped_order()?,
            false => order::by_key(allowed, &mut query.keyed),
        }
        query.cut(syntax.rows.limit, syntax.rows.offset.unwrap_or_default());
        Ok(query)
    }

    /// Reads `GET /{resource}/{id}?{query_string}`; the id is the path's segment as it came,
    /// percent-encoded: the key's values, joined by commas.
    ///
    /// # Errors
    /// As [`Query::list`]; of the query string only `select` and `include` are taken.
    pub fn item(access: &Access, resource: &str, id: &str, query_string: &str) -> Result<Self> {
        let allowed = access.resource(resource)?;
        let syntax = grammar::read(query_string)?;
        only_shown(&syntax)?;
        let mut query = Self::plan(access, &allowed, &syntax, 0)?;
        query.conditions = key::conditions(&allowed, id)?;
        query.include(access, &syntax)?;
        // A tag names a state of the row, and says nothing of what comes beside it.
        let alone = !query.includes() && !query.keys;
        query.etag = alone && allowed.resource.has_etags() && allowed.privileges.select_whole;
        query.item = true;
        Ok(query)
    }

    /// Plans what comes beside the rows.
    fn include(&mut self, access: &Access, syntax: &Syntax) -> Result<()> {
        let mut included = syntax.include.clone();
        if self.resource.keyed {
            included.retain(|it| !include::is_key(it));
            self.keys = included.len() < syntax.include.len();
            self.must_have_ids()?;
        }
        self.ways = include::ways(access, &self.resource, &included)?;
        Ok(())
    }

    /// A read of nothing but the key of a row: whether the caller sees it.
    ///
    /// # Errors
    /// As [`Query::item`].
    pub fn row_key(access: &Access, resource: &str, id: &str) -> Result<Self> {
        let mut query = Self::item(access, resource, id, "")?;
        let key = query.resource.key.iter();
        query.outputs = key
            .map(|index| Output::of_column(&query.resource, *index))
            .collect();
        query.etag = false;
        Ok(query)
    }

    /// Whether the rows' secret keys come with them.
    pub fn has_keys(&self) -> bool {
        self.keys
    }

    /// Keys are handed out by the ids of rows, which the rows have to show.
    fn must_have_ids(&self) -> Result<()> {
        let shown: Vec<usize> = self
            .outputs
            .iter()
            .filter_map(|it| it.as_column(&self.resource))
            .collect();
        match self.keys && self.resource.key.iter().any(|it| !shown.contains(it)) {
            true => Err(Error::new(
                Kind::QueryMalformed,
                "Keys come with rows that show their ids.",
            )
            .with_hint("Select the columns of the primary key as well.")),
            false => Ok(()),
        }
    }

    /// A read of what a function gives, which are rows of this resource.
    pub(super) fn called(
        access: &Access,
        allowed: &Allowed,
        syntax: &Syntax,
        call: Arc<Call>,
    ) -> Result<Self> {
        only_rows(syntax)?;
        if !syntax.include.is_empty() {
            return Err(not_planned("\"include\" of a function's rows"));
        }
        if syntax.modified_since.is_some() {
            return Err(not_planned("\"modified_since\" of a function's rows"));
        }
        let mut query = Self::plan(access, allowed, syntax, 0)?;
        // They are what the function makes of rows, and enter no store.
        query.partial = true;
        query.call = Some(call);
        Ok(query)
    }

    /// Shows times in a time zone; `false` if they cannot be.
    pub fn in_time_zone(&mut self, zone: &TimeZone) -> bool {
        if self.asks_the_log() {
            return false;
        }
        self.time_zone = Some(zone.clone());
        for way in &mut self.ways {
            way.embed.query.time_zone = Some(zone.clone());
        }
        true
    }

    /// The function whose rows are read, if it is not the resource itself.
    pub fn call(&self) -> Option<&Call> {
        self.call.as_deref()
    }

    /// The resource that is read.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Whether its rows are less than whole rows of the resource: `row` events say so.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Whether one row is asked for by its key.
    pub fn is_item(&self) -> bool {
        self.item
    }

    /// How many rows there can be at most, if the query itself bounds them.
    pub(crate) fn rows_max(&self) -> Option<u64> {
        let key = match self.resource.key.as_slice() {
            [key] => Some(*key),
            _ => None,
        };
        let one = self.outputs.iter().all(Output::is_aggregate) && !self.outputs.is_empty();
        let one = one && !self.embeds.iter().any(Embedding::is_shown);
        let by_key = key.into_iter().flat_map(|key| {
            let conditions = self.conditions.iter();
            conditions.filter_map(move |it| it.values_of(key))
        });
        let by_key = by_key.chain(one.then_some(1));
        by_key.chain(self.limit).chain(self.item.then_some(1)).min()
    }

    /// Whether the rows are groups of rows. An aggregate among the columns of a related row that stand
    /// among the row's own is over the row's group.
    pub(crate) fn is_grouped(&self) -> bool {
        let spread = |it: &Embedding| it.spread && it.query.is_grouped();
        self.outputs.iter().any(Output::is_aggregate) || self.embeds.iter().any(spread)
    }

    /// How many values a row consists of.
    fn width(&self) -> usize {
        let shown = self.embeds.iter().filter(|it| it.is_shown());
        self.outputs.len() + shown.map(Embedding::width).sum::<usize>()
    }

    /// Which of the values of a group of rows is the one by which to order them.
    pub(crate) fn grouped_by(&self, order: &Order) -> Option<usize> {
        let is_it = |it: &Output| matches!(&it.source, Source::Place(it) if *it == order.place);
        let Some(embed) = order.related else {
            return self.outputs.iter().position(is_it);
        };
        let before = self.embeds[..embed].iter().filter(|it| it.is_shown());
        let start = self.outputs.len() + before.map(Embedding::width).sum::<usize>();
        let embed = self.embeds.get(embed).filter(|it| it.spread)?;
        Some(start + embed.query.outputs.iter().position(is_it)?)
    }

    /// Groups are ordered by what they are grouped by.
    fn expect_grouped_order(&self) -> Result<()> {
        let Some(order) = self.order.iter().find(|it| self.grouped_by(it).is_none()) else {
            return Ok(());
        };
        let related = order.related.map(|it| &self.embeds[it].query.resource);
        let resource = related.unwrap_or(&self.resource);
        let name = &resource.at(order.place.column).name;
        Err(Error::new(
            Kind::QueryMalformed,
            format!(
                "{name:?} is none of what the rows are grouped by, which the select list says."
            ),
        )
        .with_code("42803")
        .with_message(format!(
            "column \"{}.{name}\" must appear in the GROUP BY clause or be used in an aggregate \
             function",
            resource.table
        )))
    }

    fn start(access: &Access, allowed: &Allowed, syntax: &Syntax, depth: usize) -> Result<Self> {
        fence_is_readable(access, &allowed.resource)?;
        let readable = readable(allowed);
        if readable.is_empty() {
            return Err(Error::new(
                Kind::PermissionDenied,
                format!(
                    "The role {:?} may read no column of {:?}.",
                    &*access.role().0,
                    &*allowed.resource.name
                ),
            ));
        }
        let resource = &allowed.resource;
        // An empty list selects everything, but for embedded rows, of which it shows nothing.
        let selected = syntax.select.as_deref();
        let outputs = match selected.filter(|it| depth > 0 || !it.is_empty()) {
            Some(terms) => output::outputs(access.catalog(), allowed, terms, &readable)?,
            None => {
                let all = readable.iter();
                all.map(|index| Output::of_column(resource, *index))
                    .collect()
            }
        };
        let columns: Option<Vec<usize>> = outputs.iter().map(|it| it.as_column(resource)).collect();
        Ok(Self {
            catalog: access.catalog().clone(),
            resource: allowed.resource.clone(),
            // What the role may not read is not part of the row for it.
            partial: columns.is_none_or(|it| it.len() < readable.len()),
            outputs,
            conditions: Vec::new(),
            order: Vec::new(),
            keyed: Vec::new(),
            limit: None,
            offset: 0,
            embeds: Vec::new(),
            ways: Vec::new(),
            call: None,
            modified: None,
            counting: None,
            time_zone: None,
            etag: false,
            keys: false,
            pages: false,
            item: false,
        })
    }
}

/// An item takes nothing of the query but what to answer.
fn only_shown(syntax: &Syntax) -> Result<()> {
    let shown = Syntax {
        select: syntax.select.clone(),
        embedded: syntax.embedded.clone(),
        include: syntax.include.clone(),
        ..Syntax::default()
    };
    match *syntax == shown {
        true => Ok(()),
        false => Err(Error::new(
            Kind::QueryMalformed,
            "Of the query parameters only \"select\" and \"include\" apply here.",
        )),
    }
}

/// Refuses what nobody plans yet.
fn only_rows(syntax: &Syntax) -> Result<()> {
    let unplanned = [
        (syntax.columns.is_some(), "\"columns\""),
        (syntax.on_conflict.is_some(), "\"on_conflict\""),
    ];
    match unplanned.iter().find(|(is_said, _)| *is_said) {
        Some((_, what)) => Err(not_planned(what)),
        None => Ok(()),
    }
}

/// The refusal of what the grammar has, and no plan is made for.
pub(super) fn not_planned(what: &str) -> Error {
    Error::new(Kind::NotSupported, format!("{what} is not supported yet."))
}

#[cfg(test)]
mod tests;
