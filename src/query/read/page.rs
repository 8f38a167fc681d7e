//! Which part of a list: by number (`limit`, `offset`, a range), or behind the row at which the page
//! before ended (`after`).
//!
//! A token is no secret and no right: it holds the values that the last row has in the order, which are
//! compared like those of any filter, behind the fence. It is bound to the order that it was made for.

use super::{Condition, Order, Place, Query};
use crate::{
    catalog::Resource,
    error::{Error, Kind, Result},
    query::{
        syntax::{Key, Nulls},
        value::Value,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt::Write as _;

/// The largest number of rows that PostgreSQL counts.
pub(crate) const NUMBER_MAX: u64 = i64::MAX as u64;

/// A range of rows, by their numbers from 0, as the header `Range` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The last; `None`: to the end.
    pub last: Option<u64>,
}

/// How the rows of a list are counted, beside those of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// One by one.
    Exact,
    /// As PostgreSQL's planner guesses. Its guess knows of all rows, whoever's they are, so that it is
    /// made only where all are the caller's; else they are counted.
    Planned,
    /// The larger of both.
    Estimated,
}

/// Behind which row: for each value of the order, what that row has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct After(pub(crate) Vec<(Order, Value)>);

impl Order {
    /// Whether nulls stand behind all values.
    pub(crate) fn nulls_last(&self) -> bool {
        match self.nulls {
            Some(Nulls::Last) => true,
            Some(Nulls::First) => false,
            // As if null were larger than anything (PostgreSQL manual, "Sorting Rows").
            None => !self.descending,
        }
    }
}

impl Query {
    /// Takes rows by their number; a list that is cut is ordered by the key at last.
    pub(super) fn cut(&mut self, limit: Option<u64>, offset: u64) {
        self.limit = limit;
        self.offset = offset;
        if limit.is_some() || offset > 0 {
            self.order.clone_from(&self.keyed);
        }
    }

    /// Takes of the rows only those that a range names as well.
    ///
    /// # Errors
    /// `RangeInvalid` if there can be none.
    pub fn within(&mut self, range: Range) -> Result<()> {
        let refused = |details: &'static str| {
            Error::new(Kind::RangeInvalid, "The range ends before it begins.")
                .with_message("Requested range not satisfiable")
                .with_details(details)
        };
        if range.last.is_some_and(|last| last < range.first) {
            return Err(refused(
                "The lower boundary must be lower than or equal to the upper boundary in the Range header.",
            ));
        }
        if self.limit == Some(0) {
            return Ok(());
        }
        // As far as PostgreSQL's `bigint` goes, in which rows are numbered.
        let range = Range {
            first: range.first.min(NUMBER_MAX),
            last: range.last.map(|last| last.min(NUMBER_MAX)),
        };
        let end = |last: u64| last.saturating_add(1).min(NUMBER_MAX);
        let limited = self.limit.map(|limit| self.offset.saturating_add(limit));
        let ends = limited.into_iter().chain(range.last.map(end)).min();
        let first = range.first.max(self.offset);
        if ends.is_some_and(|ends| ends <= first) {
            return Err(refused("Limit should be greater than or equal to zero"));
        }
        self.cut(ends.map(|ends| ends - first), first);
        Ok(())
    }

    /// Counts the rows of the list as well, those that `limit` cuts off included.
    pub fn counted(&mut self, counting: Option<Counting>) {
        self.counting = counting;
    }

    /// Makes it the whole list that it is a page of, in no order.
    pub(crate) fn unpaged(&mut self) {
        self.conditions
            .retain(|it| !matches!(it, Condition::After(_)));
        self.order.clear();
        self.limit = None;
        self.offset = 0;
    }

    /// How many rows there are at most.
    pub fn rows_limit(&self) -> Option<u64> {
        self.limit
    }

    /// The number of the first row, from 0.
    pub fn first(&self) -> u64 {
        self.offset
    }

    /// The order by whose values the next page is found, if this is a page and there is such an order.
    pub(crate) fn paged_by(&self) -> Option<&[Order]> {
        let limit = self.limit.filter(|limit| *limit > 0 && self.pages);
        limit.map(|_| self.order.as_slice())
    }

    /// Goes on behind the row that a token names.
    pub(super) fn after(&mut self, token: Option<&str>) -> Result<()> {
        let whole = !self.is_grouped()
            && !self.resource.key.is_empty()
            && self.keyed.iter().all(|it| it.related.is_none())
            && self.resource.key.iter().all(|index| {
                let place = Place::of_column(*index);
                self.keyed.iter().any(|it| it.place == place)
            });
        self.pages = whole;
        let Some(token) = token else {
            return Ok(());
        };
        if !whole {
            return Err(Error::new(
                Kind::NotSupported,
                "Rows without a key, groups, and rows ordered by related rows are paged by offset only.",
            ));
        }
        self.order.clone_from(&self.keyed);
        let values = self.read(token)?;
        let after = self.order.iter().cloned().zip(values).collect();
        self.conditions.push(Condition::After(After(after)));
        Ok(())
    }

    /// The token that names a row by the values, as text, that it has in the order.
    pub(crate) fn token(&self, values: &[Option<String>]) -> String {
        let mut parts = vec![Some(self.signature())];
        parts.extend(values.iter().cloned());
        let json = serde_json::to_vec(&parts).expect("texts always encode");
        URL_SAFE_NO_PAD.encode(json)
    }

    fn read(&self, token: &str) -> Result<Vec<Value>> {
        let foreign = || {
            Error::new(
                Kind::QueryMalformed,
                "The token in \"after\" does not belong to this list in this order.",
            )
            .with_hint("Take it from the list's own Next, and keep the order.")
        };
        let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| foreign())?;
        let parts: Vec<Option<String>> = serde_json::from_slice(&json).map_err(|_| foreign())?;
        let Some((Some(signature), texts)) = parts.split_first() else {
            return Err(foreign());
        };
        if *signature != self.signature() || texts.len() != self.order.len() {
            return Err(foreign());
        }
        let value = |(order, text): (&Order, &Option<String>)| match text {
            None => Ok(Value::null()),
            Some(text) => {
                let column = self.resource.at(order.place.column);
                let type_ = order.place.type_(&self.resource);
                Value::from_text(&column.name, type_, text)
            }
        };
        self.order.iter().zip(texts).map(value).collect()
    }

    /// A short name of the resource and the order (FNV-1a).
    fn signature(&self) -> String {
        let mut text = self.resource.name.to_string();
        for it in &self.order {
            let name = &self.resource.at(it.place.column).name;
            let _ = write!(text, "\n{name}");
            for step in &it.place.path {
                let _ = match &step.key {
                    Key::Member(name) => write!(text, "\t{}{name:?}", step.text),
                    Key::Element(index) => write!(text, "\t{}{index}", step.text),
                };
            }
            let _ = write!(text, " {} {}", it.descending, it.nulls_last());
        }
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }
}

impl After {
    /// Whether no comparison of it can fail, and so tell what it met.
    pub(crate) fn is_harmless(&self, resource: &Resource) -> bool {
        self.0.iter().all(|(order, _)| {
            let column = order.place.whole(resource);
            column.is_some_and(|it| it.leakproof_equality && it.leakproof_order)
        })
    }

    /// Whether one comparison of rows says it all, which an index on these columns serves: no value can
    /// be null, and all go one way.
    pub(crate) fn is_one_way(&self, resource: &Resource) -> bool {
        let first = self.0.first().map(|(order, _)| order.descending);
        self.0.iter().all(|(order, value)| {
            let never_null = order.place.whole(resource).is_some_and(|it| it.not_null);
            never_null && value.text().is_some() && Some(order.descending) == first
        })
    }
}
