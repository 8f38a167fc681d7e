//! Pages of a list as SQL: the rows behind one, and how many rows there are.

use super::{
    Rendered, Writer, call,
    condition::{operator, place},
    embed::Parent,
    select::{self, ROW},
};
use crate::{
    catalog::{Resource, Tenancy},
    error::Result,
    identity::OrganizationId,
    query::{
        read::{After, Counting, Order, Query},
        value::Value,
    },
};

/// Appends the condition that the row called `alias` comes behind the one that has these values.
pub(super) fn after(writer: &mut Writer, alias: &str, resource: &Resource, after: &After) {
    let bounds = &after.0;
    if after.is_one_way(resource) && bounds.iter().all(|(it, _)| is_builtin(resource, it)) {
        let descending = bounds.first().is_some_and(|(it, _)| it.descending);
        writer.sql("(");
        writer.separated(", ", bounds, |writer, (order, _)| {
            place(writer, alias, resource, &order.place);
        });
        writer.sql(if descending { ") < (" } else { ") > (" });
        writer.separated(", ", bounds, |writer, (order, value)| {
            writer.typed(order.place.type_(resource), value);
        });
        writer.sql(")");
        return;
    }
    // Equal so far, and beyond in the next: for each value of the order once.
    writer.sql("(");
    writer.separated(" or ", 0..bounds.len(), |writer, index| {
        writer.sql("(");
        for (order, value) in &bounds[..index] {
            equal(writer, alias, resource, order, value);
            writer.sql(" and ");
        }
        let (order, value) = &bounds[index];
        beyond(writer, alias, resource, order, value);
        writer.sql(")");
    });
    writer.sql(")");
}

fn is_builtin(resource: &Resource, order: &Order) -> bool {
    let equality = order
        .place
        .whole(resource)
        .and_then(|it| it.equality.as_ref());
    equality.is_none_or(|it| &*it.schema == "pg_catalog")
}

fn equal(writer: &mut Writer, alias: &str, resource: &Resource, order: &Order, value: &Value) {
    place(writer, alias, resource, &order.place);
    match value.text() {
        None => {
            writer.sql(" is null");
        }
        Some(_) => {
            operator(writer, resource, &order.place, "=");
            writer.typed(order.place.type_(resource), value);
        }
    }
}

fn beyond(writer: &mut Writer, alias: &str, resource: &Resource, order: &Order, value: &Value) {
    match (value.text(), order.nulls_last()) {
        (None, true) => {
            writer.sql("false");
        }
        (None, false) => {
            place(writer, alias, resource, &order.place);
            writer.sql(" is not null");
        }
        (Some(_), nulls_last) => {
            writer.sql("(");
            place(writer, alias, resource, &order.place);
            let symbol = if order.descending { "<" } else { ">" };
            operator(writer, resource, &order.place, symbol);
            writer.typed(order.place.type_(resource), value);
            let not_null = order.place.whole(resource).is_some_and(|it| it.not_null);
            if nulls_last && !not_null {
                writer.sql(" or ");
                place(writer, alias, resource, &order.place);
                writer.sql(" is null");
            }
            writer.sql(")");
        }
    }
}

/// Appends, each with a separator before it, the texts of the values by which the next page is found.
pub(super) fn keys(writer: &mut Writer, query: &Query, mut separator: &'static str) {
    for order in query.paged_by().into_iter().flatten() {
        writer.sql(separator);
        separator = ", ";
        place(writer, ROW, &query.resource, &order.place);
        writer.sql("::text");
    }
}

/// How many rows a list has: a statement that counts, and one that PostgreSQL explains.
pub(crate) struct Counts {
    pub(crate) exact: Option<Rendered>,
    pub(crate) planned: Option<Rendered>,
}

/// The statements that tell how many rows a query has, whatever its page.
///
/// # Errors
/// As [`super::select`].
pub(crate) fn counts(query: &Query, organization: &OrganizationId) -> Result<Counts> {
    // The planner's guess is made from everybody's rows.
    let is_own = query.resource.tenancy == Tenancy::Single && !query.resource.restricted;
    let (exact, planned) = match (query.counting, is_own) {
        (None, _) => (false, false),
        (Some(Counting::Exact), _) | (Some(_), false) => (true, false),
        (Some(Counting::Planned), true) => (false, true),
        (Some(Counting::Estimated), true) => (true, true),
    };
    let statement = |before: &str, behind: &str| -> Result<Rendered> {
        let mut writer = Writer::default();
        writer.sql(before);
        select::unpaged(&mut writer, query, organization)?;
        writer.sql(behind);
        Ok(writer.finish())
    };
    Ok(Counts {
        exact: match exact {
            true => Some(statement("select count(*) from (", ") as c")?),
            false => None,
        },
        planned: match planned {
            true => Some(statement("explain ", "")?),
            false => None,
        },
    })
}

/// Appends the whole list behind a page, as rows of nothing.
pub(super) fn rows_of_nothing(writer: &mut Writer, row: Parent<'_>) -> Result<()> {
    writer.sql("select 1 from ");
    select::source(writer, row.query);
    writer.sql(" as ").sql(row.alias);
    if let Some(call) = row.query.call() {
        call::append_names(writer, call);
    }
    writer.sql(" where ");
    select::matching(writer, row)
}
