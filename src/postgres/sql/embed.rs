//! Related rows inside of a row, as SQL.
//!
//! What a row shows of related rows is a subquery of the select list, which PostgreSQL evaluates for
//! the rows that are answered only, behind the sort and the limit. Columns that stand among the row's
//! own (`...relation(a,b)`) come from a lateral join instead. A condition on related rows is an `exists`,
//! which PostgreSQL makes a join where that is cheaper.
//!
//! Inside of each the related resource's own fence stands, and PostgreSQL adds its row-level security;
//! so a relation shows, counts and tells nothing of another organization's rows.

use super::{
    Writer, fence, identifier, select,
    select_list::{self, Labels},
};
use crate::{
    catalog::{Column, Link, Resource},
    error::{Error, Result},
    identity::OrganizationId,
    query::read::{
        Order, Query,
        embed::{Embedding, Related},
    },
};

/// A row in which related rows are embedded.
#[derive(Clone, Copy)]
pub(super) struct Parent<'a> {
    pub(super) query: &'a Query,
    pub(super) alias: &'a str,
    pub(super) organization: &'a OrganizationId,
}

impl<'a> Parent<'a> {
    /// Appends what the row shows of related rows that stand under a name of their own: an object or
    /// null, or an array of objects.
    pub(super) fn value(self, writer: &mut Writer, embed: &Embedding) -> Result<()> {
        let rows = writer.alias('r');
        if embed.relation.is_to_one() {
            writer
                .sql("(select pg_catalog.row_to_json(")
                .sql(&rows)
                .sql(".*) from (");
            self.rows(writer, embed, Labels::Names)?;
            writer.sql(") as ").sql(&rows).sql(")");
        } else {
            writer
                .sql("coalesce((select pg_catalog.json_agg(")
                .sql(&rows)
                .sql(".*) from (");
            self.rows(writer, embed, Labels::Names)?;
            writer.sql(") as ").sql(&rows).sql("), '[]')");
        }
        Ok(())
    }

    /// Appends the join from which columns that stand among the row's own come, as `c1`, `c2`, … of
    /// `rows`: of one row, or each as an array of all rows' values.
    /// `parts` says that they are yet to be grouped.
    pub(super) fn join(
        self,
        writer: &mut Writer,
        embed: &Embedding,
        rows: &str,
        parts: bool,
    ) -> Result<()> {
        writer.sql(" left join lateral (");
        if embed.relation.is_to_one() {
            let labels = if parts {
                Labels::Parts
            } else {
                Labels::Numbers
            };
            self.rows(writer, embed, labels)?;
        } else {
            let all = writer.alias('r');
            writer.sql("select ");
            let columns = 1..=select_list::all(&embed.query).len();
            writer.separated(", ", columns, |writer, number| {
                let column = format!("c{number}");
                writer
                    .sql("coalesce(pg_catalog.json_agg(")
                    .sql(&all)
                    .sql(".")
                    .sql(&column)
                    .sql(if parts {
                        "), '[]')::text as "
                    } else {
                        "), '[]') as "
                    })
                    .sql(&column);
            });
            writer.sql(" from (");
            self.rows(writer, embed, Labels::Numbers)?;
            writer.sql(") as ").sql(&all);
        }
        writer.sql(") as ").sql(rows).sql(" on true");
        Ok(())
    }

    /// Appends the conditions that the query's embeddings put on the row, each with `and` before it.
    pub(super) fn conditions(self, writer: &mut Writer) -> Result<()> {
        for embed in self.query.embeds.iter().filter(|it| it.inner) {
            writer.sql(" and ");
            self.guarded(writer, embed, true)?;
        }
        Ok(())
    }

    /// Appends the condition that there are related rows, or that there are none.
    pub(super) fn related(self, writer: &mut Writer, related: Related) -> Result<()> {
        self.guarded(writer, &self.query.embeds[related.embed], related.exists)
    }

    /// A comparison of keys that could fail meets no row from outside, see [`fence::Row::guard`].
    fn guarded(self, writer: &mut Writer, embed: &Embedding, exists: bool) -> Result<()> {
        let columns = &self.query.resource.columns;
        let harmless =
            here(embed).is_some_and(|mut it| it.all(|(here, _)| columns[*here].leakproof_equality));
        if harmless {
            return self.exists(writer, embed, exists);
        }
        writer.sql("case when ");
        fence::append(
            writer,
            &self.query.catalog,
            &self.query.resource,
            self.alias,
            self.organization,
        )?;
        writer.sql(" then ");
        self.exists(writer, embed, exists)?;
        writer.sql(" end");
        Ok(())
    }

    fn exists(self, writer: &mut Writer, embed: &Embedding, exists: bool) -> Result<()> {
        let alias = writer.alias('e');
        writer.sql(if exists {
            "exists (select"
        } else {
            "not exists (select"
        });
        self.from(writer, embed, &alias, &[], false)?;
        // Which rows there are matters to whether there is one only if none or some are passed over.
        let query = &embed.query;
        if query.limit == Some(0) || query.offset > 0 {
            select::cut(writer, query);
        }
        writer.sql(")");
        Ok(())
    }

    /// Appends a column of the related row, to order by.
    pub(super) fn ordering(self, writer: &mut Writer, order: &Order, place: usize) -> Result<()> {
        let embed = &self.query.embeds[place];
        let alias = writer.alias('e');
        writer.sql("(select ");
        select::ordered(writer, &embed.query, &alias, order);
        self.from(writer, embed, &alias, &[], false)?;
        select::cut(writer, &embed.query);
        self.only_one(writer, embed);
        writer.sql(")");
        Ok(())
    }

    /// What is related to one row is one row; only a view could show more, whatever its keys say.
    fn only_one(self, writer: &mut Writer, embed: &Embedding) {
        let is_cut = embed.query.limit.is_some();
        let surely = embed.query.resource.is_stored() && here(embed).is_some();
        if embed.relation.is_to_one() && !is_cut && !surely {
            writer.sql(" limit 1");
        }
    }

    /// The query of related rows.
    fn rows(self, writer: &mut Writer, embed: &Embedding, labels: Labels) -> Result<()> {
        let alias = writer.alias('e');
        let query = &embed.query;
        let rows = Parent {
            query,
            alias: &alias,
            organization: self.organization,
        };
        let parts = labels == Labels::Parts;
        if query.is_grouped() && !parts {
            return select::grouped(writer, rows, labels, |writer, spreads| {
                self.from(writer, embed, &alias, spreads, true)
            });
        }
        let spreads = select_list::spreads(writer, query);
        writer.sql("select ");
        select_list::items(writer, rows, &spreads, labels)?;
        self.from(writer, embed, &alias, &spreads, parts)?;
        select::order(writer, rows)?;
        select::cut(writer, query);
        self.only_one(writer, embed);
        Ok(())
    }

    /// Appends where related rows called `alias` come from, and which ones they are.
    fn from(
        self,
        writer: &mut Writer,
        embed: &Embedding,
        alias: &str,
        spreads: &[(&Embedding, String)],
        parts: bool,
    ) -> Result<()> {
        let query = &embed.query;
        writer.sql(" from ");
        match &embed.relation.link {
            Link::Computed {
                schema, function, ..
            } => {
                writer
                    .sql(&identifier(schema))
                    .sql(".")
                    .sql(&identifier(function))
                    .sql("(")
                    .row(self.alias, &self.query.resource)
                    .sql(")");
            }
            _ => {
                writer.relation(&query.resource);
            }
        }
        writer.sql(" as ").sql(alias);
        let between = embed.through.as_deref().map(|it| (it, writer.alias('j')));
        if let Some((through, name)) = &between {
            writer
                .sql(" cross join ")
                .relation(through)
                .sql(" as ")
                .sql(name);
        }
        let rows = Parent {
            query,
            alias,
            organization: self.organization,
        };
        for (embed, name) in spreads {
            rows.join(writer, embed, name, parts)?;
        }
        writer.sql(" where ");
        let own = (&*self.query.resource, self.alias);
        let target = (&*query.resource, alias);
        match (&embed.relation.link, &between) {
            (Link::Key { columns, .. }, _) => same(writer, own, target, columns),
            (Link::Join { near, far, .. }, Some((through, name))) => {
                let through_row = (*through, name.as_str());
                same(writer, own, through_row, near);
                writer.sql(" and ");
                same(writer, target, through_row, far);
                writer.sql(" and ");
                fence::append(writer, &query.catalog, through, name, self.organization)?;
            }
            // Of no row, PostgreSQL makes a row of nulls.
            (Link::Computed { is_set: false, .. }, _) => {
                writer.sql("not (").sql(alias).sql(" is null)");
            }
            (Link::Computed { .. }, _) => {
                writer.sql("true");
            }
            (Link::Join { .. }, None) => {
                return Err(Error::internal("a join without its table"));
            }
        }
        writer.sql(" and ");
        select::matching(writer, rows)
    }
}

/// The columns of the row itself that an embedding follows, with those that they equal; `None`: a
/// function takes the whole row.
fn here(embed: &Embedding) -> Option<std::slice::Iter<'_, (usize, usize)>> {
    match &embed.relation.link {
        Link::Key { columns, .. } => Some(columns.iter()),
        Link::Join { near, .. } => Some(near.iter()),
        Link::Computed { .. } => None,
    }
}

/// Appends that columns of two rows are equal.
fn same(
    writer: &mut Writer,
    (left, left_alias): (&Resource, &str),
    (right, right_alias): (&Resource, &str),
    columns: &[(usize, usize)],
) {
    writer.separated(" and ", columns, |writer, (here, there)| {
        let column: &Column = &right.columns[*there];
        writer
            .column(right_alias, column)
            .equals(column)
            .column(left_alias, &left.columns[*here]);
    });
}
