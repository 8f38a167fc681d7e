//! Related rows beside the rows, as statements of their own: one for each resource.
//!
//! The rows are found from the query itself, inside of PostgreSQL, and not from a list of keys that
//! comes back here: nothing has to be collected first, and the statement is the same for all.

use super::{
    Rendered, Writer,
    embed::Parent,
    fence, identifier,
    select::{self, ROW},
    select_list::{self, Labels},
};
use crate::{
    catalog::{Column, Link, Resource, TypeKind},
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
    let outputs = select_list::items(&mut writer, row, &[], Labels::None)?;
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
        writer.sql(" and not ");
        let keys = &query.resource.key;
        let own = Row {
            resource: &rows.resource,
            alias: ROW,
        };
        own.is_among(&mut writer, keys, |writer| ways.own(writer, keys))?;
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
        let row = Row {
            resource: &part.resource,
            alias: ROW,
        };
        // As an `or`, no index would lead to the rows.
        row.is_among(writer, keys, |writer| {
            for (place, way) in part.ways.iter().enumerate() {
                writer.sql(if place == 0 { "" } else { " union all " });
                self.rows_of(writer, &self.query.ways[*way], keys)?;
            }
            Ok(())
        })
    }

    /// Appends the condition that a way leads to the row called `alias`.
    fn leads_to(self, writer: &mut Writer, way: &Way, alias: &str) -> Result<()> {
        let embed = &way.embed;
        let row = Row {
            resource: &embed.query.resource,
            alias,
        };
        let from = |writer: &mut Writer, columns: &[usize]| match way.from {
            None => self.own(writer, columns),
            Some(from) => {
                let from = self.query.ways.get(from);
                let from = from.ok_or_else(|| Error::internal("a way from nowhere"))?;
                self.rows_of(writer, from, columns)
            }
        };
        match (&embed.relation.link, &embed.through) {
            (Link::Key { columns, .. }, _) => {
                let (here, there) = sides(columns);
                row.is_among(writer, &there, |writer| from(writer, &here))
            }
            (Link::Join { near, far, .. }, Some(through)) => {
                let (here, between) = sides(near);
                let (there, beyond) = sides(far);
                let name = writer.alias('j');
                let joined = Row {
                    resource: through,
                    alias: &name,
                };
                row.is_among(writer, &there, |writer| {
                    joined.list(writer, &beyond);
                    joined.is_among(writer, &between, |writer| from(writer, &here))?;
                    writer.sql(" and ");
                    fence::append(
                        writer,
                        &self.query.catalog,
                        through,
                        &name,
                        self.organization,
                    )
                })
            }
            (Link::Computed { .. }, _) => Err(Error::internal("a function is not included")),
            (Link::Join { .. }, None) => Err(Error::internal("a join without its table")),
        }
    }

    /// Appends columns of the query's own rows, as `c1`, `c2`, ….
    fn own(self, writer: &mut Writer, columns: &[usize]) -> Result<()> {
        let alias = writer.alias('o');
        let row = Parent {
            query: self.query,
            alias: &alias,
            organization: self.organization,
        };
        Row::from(row).list(writer, columns);
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
        Row::from(row).list(writer, columns);
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
}

/// A row of a resource, by its name in the statement.
#[derive(Clone, Copy)]
struct Row<'a> {
    resource: &'a Resource,
    alias: &'a str,
}

impl<'a> From<Parent<'a>> for Row<'a> {
    fn from(parent: Parent<'a>) -> Self {
        Self {
            resource: &parent.query.resource,
            alias: parent.alias,
        }
    }
}

impl Row<'_> {
    /// Appends the condition that columns of the row are among those that a query lists as `c1`, `c2`, ….
    ///
    /// A single column is looked for in an array, which PostgreSQL fills once and then takes to the
    /// column's index, or hashes. As a join it would be cheaper sometimes, and much dearer often: what a
    /// policy costs once is counted for each row that is looked up, so that whole tables are read instead.
    fn is_among(
        self,
        writer: &mut Writer,
        columns: &[usize],
        list: impl FnOnce(&mut Writer) -> Result<()>,
    ) -> Result<()> {
        let all = columns.iter().map(|index| &self.resource.columns[*index]);
        let all: Vec<&Column> = all.collect();
        if let [column] = all.as_slice()
            && column.type_.kind == TypeKind::Base
        {
            writer
                .column(self.alias, column)
                .equals(column)
                .sql("any (array(");
            list(writer)?;
            writer.sql("))");
            return Ok(());
        }
        let listed = writer.alias('p');
        writer.sql("exists (select from (");
        list(writer)?;
        writer.sql(") as ").sql(&listed).sql(" where ");
        writer.separated(" and ", (1..).zip(all), |writer, (number, column)| {
            let number: usize = number;
            writer
                .column(self.alias, column)
                .equals(column)
                .sql(&format!("{listed}.c{number}"));
        });
        writer.sql(")");
        Ok(())
    }

    /// Appends `select … from … where` of columns of the row, as `c1`, `c2`, ….
    fn list(self, writer: &mut Writer, columns: &[usize]) {
        writer.sql("select ");
        writer.separated(", ", (1..).zip(columns), |writer, (number, index)| {
            let number: usize = number;
            let column = identifier(&self.resource.columns[*index].name);
            writer.sql(&format!("{}.{column} as c{number}", self.alias));
        });
        writer
            .sql(" from ")
            .relation(self.resource)
            .sql(" as ")
            .sql(self.alias)
            .sql(" where ");
    }
}

/// The columns on either side of a link.
fn sides(columns: &[(usize, usize)]) -> (Vec<usize>, Vec<usize>) {
    columns.iter().copied().unzip()
}

/// The columns of the related row that a way compares.
fn there(way: &Way) -> impl Iterator<Item = usize> {
    let columns: Vec<usize> = match &way.embed.relation.link {
        Link::Key { columns, .. } => columns.iter().map(|it| it.1).collect(),
        Link::Join { far, .. } => far.iter().map(|it| it.0).collect(),
        Link::Computed { .. } => Vec::new(),
    };
    columns.into_iter()
}
