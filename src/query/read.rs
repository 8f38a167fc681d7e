//! A read: which rows of which resource, which of their columns, in which order.

pub(crate) mod embed;
pub(crate) mod include;

use super::{
    grammar, key,
    scanner::excerpt,
    syntax::{Field, Filter, Nulls, Operator, Rows, Selected, State, Syntax, Term, Test, Word},
    value::Value,
};
use crate::{
    catalog::{Access, Allowed, Catalog, Column, Privileges, Resource, Tenancy, oid, suggest},
    error::{Error, Kind, Result},
};
use embed::{Embedding, Related};
use include::Way;
use std::sync::Arc;

/// A read whose every name and value has been checked against the catalog and the role's rights.
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) resource: Arc<Resource>,
    /// What an answer's rows have, as indices into the resource's columns.
    pub(crate) columns: Vec<usize>,
    /// All of these hold.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
    /// Related rows in each row.
    pub(crate) embeds: Vec<Embedding>,
    /// Of which related rows there have to be some, or none.
    pub(crate) related: Vec<Related>,
    /// The ways to related rows beside the rows.
    pub(crate) ways: Vec<Way>,
    /// Whether an answer has an entity tag.
    pub(crate) etag: bool,
    partial: bool,
    item: bool,
}

/// A condition on one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Index into the resource's columns.
    pub(crate) column: usize,
    pub(crate) check: Check,
}

/// What the value of a column has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// This value.
    Equal(Value),
    /// One of the elements of this array, which has so many.
    In(Value, usize),
    /// In this state.
    Is(State),
}

/// One column of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Index into the embeddings, if it is a column of a related row.
    pub(crate) related: Option<usize>,
    /// Index into the columns of the resource, or of the related one.
    pub(crate) column: usize,
    pub(crate) descending: bool,
    pub(crate) nulls: Option<Nulls>,
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
        query.ways = include::ways(access, &allowed.resource, &syntax.include)?;
        Ok(query)
    }

    /// A read of a resource, or, at a depth of embedding, of related rows.
    pub(super) fn plan(
        access: &Access,
        allowed: &Allowed,
        syntax: &Syntax,
        depth: usize,
    ) -> Result<Self> {
        let mut query = Self::start(access, allowed, syntax)?;
        query.embeds = embed::embeddings(access, &allowed.resource, syntax, depth)?;
        query.partial |= !query.embeds.is_empty();
        let (related, own): (Vec<_>, Vec<_>) = syntax
            .rows
            .filters
            .iter()
            .partition(|it| embed::related(&query.embeds, it).is_some());
        query.related = related
            .into_iter()
            .filter_map(|it| embed::related(&query.embeds, it))
            .collect();
        query.conditions = conditions(allowed, own)?;
        query.order = order(allowed, &syntax.rows, &query.embeds)?;
        query.limit = syntax.rows.limit;
        query.offset = syntax.rows.offset.unwrap_or_default();
        Ok(query)
    }

    /// Reads `GET /{resource}/{id}?{query_string}`; the id is the path's segment as it came,
    /// percent-encoded: the key's values, joined by commas.
    ///
    /// # Errors
    /// As [`Query::list`]; of the query string only `select` is taken.
    pub fn item(access: &Access, resource: &str, id: &str, query_string: &str) -> Result<Self> {
        let allowed = access.resource(resource)?;
        let syntax = grammar::read(query_string)?;
        only_select(&syntax)?;
        let mut query = Self::plan(access, &allowed, &syntax, 0)?;
        query.conditions = key::conditions(&allowed, id)?;
        query.etag = allowed.resource.has_etags() && allowed.privileges.select_whole;
        query.item = true;
        Ok(query)
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
        let by_key = self.conditions.iter().filter(|it| Some(it.column) == key);
        let by_key = by_key.filter_map(|it| match it.check {
            Check::Equal(_) => Some(1),
            Check::In(_, count) => Some(count as u64),
            Check::Is(_) => None,
        });
        by_key.chain(self.limit).chain(self.item.then_some(1)).min()
    }

    fn start(access: &Access, allowed: &Allowed, syntax: &Syntax) -> Result<Self> {
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
        let columns = match &syntax.select {
            Some(terms) => select(allowed, terms, &readable)?,
            None => readable.clone(),
        };
        Ok(Self {
            catalog: access.catalog().clone(),
            resource: allowed.resource.clone(),
            // What the role may not read is not part of the row for it.
            partial: columns.len() < readable.len(),
            columns,
            conditions: Vec::new(),
            order: Vec::new(),
            limit: None,
            offset: 0,
            embeds: Vec::new(),
            related: Vec::new(),
            ways: Vec::new(),
            etag: false,
            item: false,
        })
    }
}

/// The columns that a role may read, in the table's order.
pub(super) fn readable(allowed: &Allowed) -> Vec<usize> {
    let may = |index: &usize| may(&allowed.privileges.select, *index);
    (0..allowed.resource.columns.len()).filter(may).collect()
}

fn may(privileges: &[bool], column: usize) -> bool {
    privileges.get(column).copied().unwrap_or(false)
}

/// Refuses a resource of which the role may not read how a row belongs to an organization.
pub(super) fn fence_is_readable(access: &Access, resource: &Arc<Resource>) -> Result<()> {
    let denied = |resource: &Resource, column: &Column| {
        Error::new(
            Kind::PermissionDenied,
            format!(
                "The role {:?} may not read {:?} of {:?}, by which rows belong to organizations.",
                &*access.role().0,
                &*column.name,
                &*resource.name
            ),
        )
    };
    let nothing = Arc::new(Privileges::default());
    let mut current = resource;
    loop {
        let privileges = access.privileges(current.relation).unwrap_or(&nothing);
        let (Tenancy::Column(column) | Tenancy::Via { column, .. }) = current.tenancy else {
            return Ok(());
        };
        if !may(&privileges.select, column) {
            return Err(denied(current, &current.columns[column]));
        }
        let Tenancy::Via {
            target,
            target_column,
            ..
        } = current.tenancy
        else {
            return Ok(());
        };
        let Some(next) = access.catalog().relation(target) else {
            return Err(Error::internal("an organization comes through nothing"));
        };
        let privileges = access.privileges(target).unwrap_or(&nothing);
        let found = next.columns.iter().enumerate();
        let mut found = found.filter(|(_, it)| it.number == target_column);
        if let Some((index, column)) = found.next()
            && !may(&privileges.select, index)
        {
            return Err(denied(next, column));
        }
        current = next;
    }
}

/// An item, and a create, take nothing of the query but what to answer.
pub(super) fn only_select(syntax: &Syntax) -> Result<()> {
    let plain = Syntax {
        select: syntax.select.clone(),
        ..Syntax::default()
    };
    if *syntax != plain {
        return Err(Error::new(
            Kind::QueryMalformed,
            "Of the query parameters only \"select\" applies here.",
        ));
    }
    Ok(())
}

/// Refuses what nobody plans yet.
fn only_rows(syntax: &Syntax) -> Result<()> {
    let unplanned = [
        (syntax.after.is_some(), "\"after\""),
        (syntax.modified_since.is_some(), "\"modified_since\""),
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

fn select(allowed: &Allowed, terms: &[Term], readable: &[usize]) -> Result<Vec<usize>> {
    let mut columns = Vec::new();
    let mut add = |index: usize| match columns.contains(&index) {
        true => Err(Error::new(
            Kind::QueryMalformed,
            format!(
                "The column {:?} is selected twice.",
                &*allowed.resource.columns[index].name
            ),
        )),
        false => {
            columns.push(index);
            Ok(())
        }
    };
    for term in terms {
        match term {
            Term::All => readable.iter().try_for_each(|index| add(*index))?,
            Term::Field(selected) => {
                let plain = Selected {
                    alias: None,
                    field: selected.field.clone(),
                    cast: None,
                    aggregate: None,
                    aggregate_cast: None,
                };
                if *selected != plain {
                    return Err(not_planned("An alias, a cast or an aggregate"));
                }
                add(column(allowed, &selected.field)?)?;
            }
            Term::Count { .. } => return Err(not_planned("An aggregate")),
            // Behind the columns, see `embed`.
            Term::Embed(_) => {}
        }
    }
    Ok(columns)
}

/// The column that a field names, which the role may read.
fn column(allowed: &Allowed, field: &Field) -> Result<usize> {
    if !field.path.is_empty() {
        return Err(not_planned("A path into a JSON value"));
    }
    let index = column_named(&allowed.resource, &field.column)?;
    if !may(&allowed.privileges.select, index) {
        return Err(Error::new(
            Kind::PermissionDenied,
            format!(
                "The role may not read {:?} of {:?}.",
                field.column, &*allowed.resource.name
            ),
        ));
    }
    Ok(index)
}

/// The column of this name; the error suggests the nearest one.
pub(super) fn column_named(resource: &Resource, name: &str) -> Result<usize> {
    if let Some((index, _)) = resource.column(name) {
        return Ok(index);
    }
    let error = Error::new(
        Kind::ColumnUnknown,
        format!("{:?} has no column {:?}.", &*resource.name, excerpt(name)),
    );
    let names = resource.columns.iter().map(|it| &*it.name);
    Err(match suggest::nearest(name, names) {
        Some(nearest) => error.with_hint(format!("Perhaps you meant {nearest:?}.")),
        None => error,
    })
}

/// The conditions that filters state, their values checked.
fn conditions<'a>(
    allowed: &Allowed,
    filters: impl IntoIterator<Item = &'a Filter>,
) -> Result<Vec<Condition>> {
    filters
        .into_iter()
        .map(|filter| {
            let Filter::Test(field, test) = filter else {
                return Err(not_planned("A condition with not, and, or"));
            };
            let index = column(allowed, field)?;
            let column = &allowed.resource.columns[index];
            let check = match test {
                Test::Compare(Operator::Eq, text) => Check::Equal(equal(column, text)?),
                Test::In(texts) => {
                    comparable(column)?;
                    let elements = texts.iter().map(String::as_str);
                    let list = Value::list(&column.name, &column.type_, elements)?;
                    Check::In(list, texts.len())
                }
                Test::Is(state) => {
                    boolean(column, *state)?;
                    Check::Is(*state)
                }
                _ => return Err(not_planned("This operator")),
            };
            Ok(Condition {
                column: index,
                check,
            })
        })
        .collect()
}

/// A value that a column is compared with.
pub(super) fn equal(column: &Column, text: &str) -> Result<Value> {
    comparable(column)?;
    Value::from_text(&column.name, &column.type_, text)
}

fn comparable(column: &Column) -> Result<()> {
    match column.equality {
        Some(_) => Ok(()),
        None => Err(Error::new(
            Kind::NotSupported,
            format!(
                "{:?} has the type {}, whose values cannot be compared.",
                &*column.name, column.type_.name
            ),
        )),
    }
}

/// Every value may be null; only a boolean may be true.
fn boolean(column: &Column, state: State) -> Result<()> {
    let any = matches!(state, State::Null | State::NotNull);
    if any || column.type_.base().oid == oid::BOOL {
        return Ok(());
    }
    Err(Error::new(
        Kind::ValueInvalid,
        format!(
            "{:?} is no boolean, so it is never {}.",
            &*column.name,
            state.name()
        ),
    ))
}

fn order(allowed: &Allowed, syntax: &Rows, embeds: &[Embedding]) -> Result<Vec<Order>> {
    let mut order: Vec<Order> = Vec::new();
    for term in &syntax.order {
        let related = match &term.relation {
            Some(name) => Some(embed::ordering(&allowed.resource, embeds, name)?),
            None => None,
        };
        let allowed = related.map_or(allowed, |it| &embeds[it].allowed);
        let index = column(allowed, &term.field)?;
        let column = &allowed.resource.columns[index];
        if !column.orderable {
            return Err(Error::new(
                Kind::NotSupported,
                format!(
                    "{:?} has the type {}, whose values have no order.",
                    &*column.name, column.type_.name
                ),
            ));
        }
        order.push(Order {
            related,
            column: index,
            descending: term.descending,
            nulls: term.nulls,
        });
    }
    if syntax.limit.is_some() || syntax.offset.is_some() {
        for index in &allowed.resource.key {
            let said = order
                .iter()
                .any(|it| it.related.is_none() && it.column == *index);
            let orderable = allowed.resource.columns[*index].orderable;
            if !said && orderable && may(&allowed.privileges.select, *index) {
                order.push(Order {
                    related: None,
                    column: *index,
                    // An index behind the caller's order is then read in one direction.
                    descending: order.last().is_some_and(|it| it.descending),
                    nulls: None,
                });
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests;
