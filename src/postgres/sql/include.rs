//! Related rows beside the rows, as statements of their own: one for each resource.
//!
//! The rows are found from the query itself, as a semi-join that PostgreSQL plans, and not from a list
//! of keys: nothing has to be collected first, and what is cheaper, a look-up for each row or a hash of
//! all, is PostgreSQL's to know.

use super::{
    Rendered, Writer,
    embed::{Parent, same},
    fence, identifier,
    select::{self, Labels, ROW},
};
use crate::{
    catalog::Link,
    error::{Error, Result},
    identity::OrganizationId,
    postgres::encode::RowEncoder,
    query::read::{
        Query,
        include::{Part, Way},
    },
};

/// The statement for a part of a query's answer, and the encoder of its rows.
///
/// # Errors
/// `OrganizationNotAllowed` if the organization is no value of the column that tells it.
pub(crate) fn included(
    query: &Query,
    part: &Part,
    organization: &OrganizationId,
) -> Result<(Rendered, RowEncoder)> {
    let ways = Ways {
        query,
        organization,
    };
    let mut writer = Writer::default();
    let first = part.ways.first().and_then(|it| query.ways.get(*it));
    let first = first.ok_or_else(|| Error::internal("a part without a way to it"))?;
    let rows = &first.embed.query;
    let row = Parent {
        query: rows,
        alias: ROW,
        organization,
    };
    writer.sql("select ");
    let outputs = select::items(&mut writer, row, &[], Labels::None)?;
    writer
        .sql(" from ")
        .relation(&rows.resource)
        .sql(" as t where ");
    select::matching(&mut writer, row)?;
    writer.sql(" and ");
    // A comparison of keys that could fail meets no row from outside, see `fence::Row::guard`.
    let columns = &rows.resource.columns;
    let mut there = part.ways.iter().flat_map(|it| there(&query.ways[*it]));
    let harmless = there.all(|it| columns[it].leakproof_equality);
    if !harmless {
        writer.sql("case when ");
        fence::append(
            &mut writer,
            &query.catalog,
            &rows.resource,
            ROW,
            organization,
        )?;
        writer.sql(" then ");
    }
    ways.lead_to(&mut writer, part)?;
    // What the answer has as rows of the query does not come again.
    let is_own = rows.resource.relation == query.resource.relation;
    if is_own && !query.is_partial() && !query.resource.key.is_empty() {
        writer.sql(" and not exists (select from (");
        let keys = &query.resource.key;
        ways.own(&mut writer, keys)?;
        writer.sql(") as own where ");
        equal(&mut writer, rows, "own", keys);
        writer.sql(")");
    }
    if !harmless {
        writer.sql(" end");
    }
    let columns = outputs.iter().map(|it| (&*it.name, it.encoding.clone()));
    let encoder = RowEncoder::new(columns);
    Ok((writer.finish(), encoder))
}

#[derive(Clone, Copy)]
struct Ways<'a> {
    query: &'a Query,
    organization: &'a OrganizationId,
}

impl Ways<'_> {
    /// Appends the condition that one of a part's ways leads to its row.
    fn lead_to(self, writer: &mut Writer, part: &Part) -> Result<()> {
        if let [way] = part.ways.as_slice() {
            return self.leads_to(writer, &self.query.ways[*way], ROW);
        }
        let keys = &part.resource.key;
        if keys.is_empty() {
            for (place, way) in part.ways.iter().enumerate() {
                writer.sql(if place == 0 { "(" } else { " or " });
                self.leads_to(writer, &self.query.ways[*way], ROW)?;
            }
            writer.sql(")");
            return Ok(());
        }
        // As an `or`, no index would lead to the rows.
        writer.sql("exists (select from (");
        for (place, way) in part.ways.iter().enumerate() {
            writer.sql(if place == 0 { "" } else { " union " });
            let way = &self.query.ways[*way];
            self.rows_of(writer, way, keys)?;
        }
        writer.sql(") as any_of where ");
        equal(
            writer,
            &self.query.ways[part.ways[0]].embed.query,
            "any_of",
            keys,
        );
        writer.sql(")");
        Ok(())
    }

    /// Appends the condition that a way leads to the row called `alias`.
    fn leads_to(self, writer: &mut Writer, way: &Way, alias: &str) -> Result<()> {
        let from = writer.alias('p');
        let embed = &way.embed;
        let pairs = match &embed.relation.link {
            Link::Key { columns, .. } => columns,
            Link::Join { near, .. } => near,
        };
        let here: Vec<usize> = pairs.iter().map(|it| it.0).collect();
        writer.sql("exists (select from (");
        match way.from {
            None => self.own(writer, &here)?,
            Some(from) => {
                let from = self.query.ways.get(from);
                let from = from.ok_or_else(|| Error::internal("a way from nowhere"))?;
                self.rows_of(writer, from, &here)?;
            }
        }
        writer.sql(") as ").sql(&from);
        let target = &embed.query.resource;
        let numbered = |writer: &mut Writer, (resource, name): (&_, &str), columns: &[usize]| {
            let resource: &crate::catalog::Resource = resource;
            writer.separated(
                " and ",
                columns.iter().enumerate(),
                |writer, (place, index)| {
                    let column = &resource.columns[*index];
                    writer
                        .column(name, column)
                        .equals(column)
                        .sql(&format!("{from}.c{}", place + 1));
                },
            );
        };
        match (&embed.relation.link, &embed.through) {
            (Link::Key { columns, .. }, _) => {
                writer.sql(" where ");
                let there: Vec<usize> = columns.iter().map(|it| it.1).collect();
                numbered(writer, (&**target, alias), &there);
            }
            (Link::Join { near, far, .. }, Some(through)) => {
                let name = writer.alias('j');
                writer
                    .sql(" cross join ")
                    .relation(through)
                    .sql(" as ")
                    .sql(&name)
                    .sql(" where ");
                let there: Vec<usize> = near.iter().map(|it| it.1).collect();
                numbered(writer, (&**through, &name), &there);
                writer.sql(" and ");
                same(writer, (&**target, alias), (&**through, &name), far);
                writer.sql(" and ");
                fence::append(
                    writer,
                    &self.query.catalog,
                    through,
                    &name,
                    self.organization,
                )?;
            }
            (Link::Join { .. }, None) => {
                return Err(Error::internal("a join without its table"));
            }
        }
        writer.sql(")");
        Ok(())
    }

    /// Appends columns of the query's own rows, as `c1`, `c2`, ….
    fn own(self, writer: &mut Writer, columns: &[usize]) -> Result<()> {
        let alias = writer.alias('o');
        let row = Parent {
            query: self.query,
            alias: &alias,
            organization: self.organization,
        };
        self.listed(writer, row, columns);
        select::matching(writer, row)?;
        // Which rows there are depends on their order only if some are left out.
        if self.query.limit.is_some() || self.query.offset > 0 {
            select::order(writer, row)?;
            select::cut(writer, self.query);
        }
        Ok(())
    }

    /// Appends columns of the rows that a way leads to.
    fn rows_of(self, writer: &mut Writer, way: &Way, columns: &[usize]) -> Result<()> {
        let alias = writer.alias('o');
        let row = Parent {
            query: &way.embed.query,
            alias: &alias,
            organization: self.organization,
        };
        self.listed(writer, row, columns);
        // What is asked of the rows that are answered is not asked of those on the way.
        fence::append(
            writer,
            &self.query.catalog,
            &row.query.resource,
            &alias,
            self.organization,
        )?;
        writer.sql(" and ");
        self.leads_to(writer, way, &alias)
    }

    fn listed(self, writer: &mut Writer, row: Parent<'_>, columns: &[usize]) {
        let resource = &row.query.resource;
        writer.sql("select ");
        writer.separated(
            ", ",
            columns.iter().enumerate(),
            |writer, (place, index)| {
                let column = identifier(&resource.columns[*index].name);
                writer.sql(&format!("{}.{column} as c{}", row.alias, place + 1));
            },
        );
        writer
            .sql(" from ")
            .relation(resource)
            .sql(" as ")
            .sql(row.alias)
            .sql(" where ");
    }
}

/// Appends that these columns of the statement's row are `c1`, `c2`, … of `other`.
fn equal(writer: &mut Writer, rows: &Query, other: &str, columns: &[usize]) {
    writer.separated(
        " and ",
        columns.iter().enumerate(),
        |writer, (place, index)| {
            let column = &rows.resource.columns[*index];
            writer
                .column(ROW, column)
                .equals(column)
                .sql(&format!("{other}.c{}", place + 1));
        },
    );
}

/// The columns of the related row that a way compares.
fn there(way: &Way) -> impl Iterator<Item = usize> {
    let columns: Vec<usize> = match &way.embed.relation.link {
        Link::Key { columns, .. } => columns.iter().map(|it| it.1).collect(),
        Link::Join { far, .. } => far.iter().map(|it| it.0).collect(),
    };
    columns.into_iter()
}
