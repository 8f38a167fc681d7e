//! The condition that a row was written since a state or a time.

use super::{Writer, embed::Parent, fence};
use crate::{
    catalog::{Column, oid},
    error::Result,
    postgres::params,
    query::{read::modified::Modified, value::Value},
};

/// Appends the condition, with `and` before it, if the row's query has one.
pub(super) fn append(writer: &mut Writer, row: Parent<'_>) -> Result<()> {
    let resource = &row.query.resource;
    match &row.query.modified {
        // Without a look at the log every row counts as written.
        None | Some(Modified::Since(_)) => Ok(()),
        Some(Modified::Keys(keys)) => {
            let leakproof = resource.key_columns().all(|it| it.leakproof_equality);
            guarded(writer, row, leakproof, |writer| {
                let columns: Vec<&Column> = resource.key_columns().collect();
                among(writer, row.alias, &columns, keys);
            })
        }
        Some(Modified::At { column, time }) => {
            let column = &resource.columns[*column];
            // The comparisons of times are leakproof; what a view computes is not.
            guarded(writer, row, resource.is_stored(), |writer| {
                writer.column(row.alias, column).sql(" >= ");
                writer.parameter(&Value::trusted(time), "timestamptz");
                if column.type_.base().oid == oid::TIMESTAMP {
                    // Columns without a time zone are taken as UTC, as everything else is here.
                    writer.sql(" at time zone 'UTC'");
                }
            })
        }
    }
}

/// Appends a condition behind the fence, or beside it where it is harmless.
fn guarded(
    writer: &mut Writer,
    row: Parent<'_>,
    harmless: bool,
    condition: impl Fn(&mut Writer),
) -> Result<()> {
    writer.sql(" and ");
    if harmless {
        condition(writer);
        return Ok(());
    }
    let fence = fence::Row {
        catalog: &row.query.catalog,
        resource: &row.query.resource,
        alias: row.alias,
        organization: row.organization,
    };
    fence.guard(writer, &[()], |()| false, |writer, ()| condition(writer))
}

/// Appends that the row's key is one of these. One value is compared with an array, which an index
/// serves well; several with the rows of a subquery.
fn among(writer: &mut Writer, alias: &str, columns: &[&Column], keys: &str) {
    let part = |writer: &mut Writer, place: usize, column: &Column| {
        let type_ = params::cast_name(column.type_.base()).into_owned();
        writer.sql(&format!("(k.value ->> {place})::{type_}"));
    };
    if columns.is_empty() {
        // A row without a key that was written would have been all rows.
        writer.sql("false");
        return;
    }
    if let [column] = columns {
        writer.column(alias, column).equals(column);
        writer.sql("any (array(select ");
        part(writer, 0, column);
        writer.sql(" from pg_catalog.json_array_elements(");
        writer.json(keys).sql(") as k))");
        return;
    }
    writer.sql("exists (select from pg_catalog.json_array_elements(");
    writer.json(keys).sql(") as k where ");
    let places = columns.iter().enumerate();
    writer.separated(" and ", places, |writer, (place, column)| {
        writer.column(alias, column).equals(column);
        part(writer, place, column);
    });
    writer.sql(")");
}
