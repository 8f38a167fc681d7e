//! Writes as SQL.
//!
//! The row that is written is called `t` in every statement, the values that a body gives are `g`.
//! All values of a body are one JSON parameter, so that one statement text serves any number of rows;
//! `json_to_recordset` reads each by the input function of its column's type.

mod returning;

use super::{Rendered, Writer, embed::Parent, fence, identifier, select};
use crate::{
    catalog::{Column, Resource, Tenancy},
    error::{Error, Kind, Result},
    identity::OrganizationId,
    postgres::{encode::RowEncoder, params},
    query::{
        Query,
        write::{Conflict, Given, Operation, Write},
    },
};
pub(crate) use returning::Returning;

/// What the caller's rows are fenced by.
#[derive(Clone, Copy)]
pub(crate) struct Fenced<'a> {
    pub(crate) write: &'a Write,
    pub(crate) organization: &'a OrganizationId,
}

/// A statement that writes, and the encoder of the rows that it returns: the key stands behind the
/// encoder's columns, and behind that whether the row is inside.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) rendered: Rendered,
    pub(crate) encoder: Option<RowEncoder>,
}

impl<'a> Fenced<'a> {
    /// New rows, in the organization.
    ///
    /// # Errors
    /// `OrganizationNotAllowed` if the organization is no value of its column.
    pub(crate) fn insert(
        self,
        given: &Given,
        conflict: Option<&Conflict>,
        returning: Option<Returning<'_>>,
    ) -> Result<Writing> {
        let resource = &*self.write.resource;
        let organization = organization_column(resource);
        self.returning(returning, |writer| {
            writer.sql("insert into ").relation(resource).sql(" as t");
            let mut columns = given.columns.clone();
            columns.extend(organization);
            if columns.is_empty() {
                if given.rows > 1 {
                    // An insert has at least one column; what it is given there is its default.
                    self.append_defaults(writer, given.rows)?;
                } else {
                    writer.sql(" default values");
                }
            } else {
                writer.sql(" (").separated(", ", &columns, |writer, index| {
                    writer.sql(&identifier(&resource.columns[*index].name));
                });
                writer.sql(")");
                let generated = |it: &usize| resource.columns[*it].identity_always;
                if columns.iter().any(generated) {
                    writer.sql(" overriding system value");
                }
                writer.sql(" select ");
                writer.separated(", ", &given.columns, |writer, index| {
                    writer.column("g", &resource.columns[*index]);
                });
                if let Some(index) = organization {
                    let column = &resource.columns[index];
                    let value = fence::value(column, self.organization)?;
                    writer
                        .sql(if given.columns.is_empty() { "" } else { ", " })
                        .value(column, &value);
                }
                writer.sql(" from ");
                append_given(writer, resource, given);
            }
            match conflict {
                Some(conflict) => self.append_conflict(writer, conflict),
                None => Ok(()),
            }
        })
    }

    /// Appends rows of nothing but defaults: for one column that has one, or takes the null.
    fn append_defaults(self, writer: &mut Writer, rows: usize) -> Result<()> {
        let mut columns = self.write.resource.columns.iter();
        let Some(column) = columns.find(|it| !it.generated) else {
            let detail = "Several rows of nothing but defaults are created one by one.";
            return Err(Error::new(Kind::NotSupported, detail));
        };
        writer
            .sql(" (")
            .sql(&identifier(&column.name))
            .sql(") values ");
        writer.separated(", ", 0..rows, |writer, _| {
            writer.sql("(default)");
        });
        Ok(())
    }

    /// Appends what becomes of new rows that collide with others. A row takes new values only inside
    /// the fence: one that is left out for that is missed by whoever counts.
    fn append_conflict(self, writer: &mut Writer, conflict: &Conflict) -> Result<()> {
        let resource = &*self.write.resource;
        let name = |index: &usize| identifier(&resource.columns[*index].name);
        writer.sql(" on conflict (");
        writer.separated(", ", &conflict.target, |writer, index| {
            writer.sql(&name(index));
        });
        let Some(merged) = &conflict.merged else {
            writer.sql(") do nothing");
            return Ok(());
        };
        writer.sql(") do update set ");
        writer.separated(", ", merged, |writer, index| {
            let name = name(index);
            writer.sql(&name).sql(" = excluded.").sql(&name);
        });
        writer.sql(" where (");
        let catalog = &self.write.catalog;
        fence::append(writer, catalog, resource, "t", self.organization)?;
        // Counts those that were there.
        writer.sql(") and ").sql(COUNT_MERGED);
        Ok(())
    }

    /// New values for the rows of a target; `absent` are the columns that take their defaults.
    pub(crate) fn update(
        self,
        target: &Query,
        given: &Given,
        absent: &[usize],
        returning: Returning<'_>,
    ) -> Result<Writing> {
        let resource = &*self.write.resource;
        let set = given.columns.iter().filter(|index| {
            // The key of a replaced row is where it is looked for.
            !matches!(self.write.operation, Operation::Replace { .. })
                || !resource.key.contains(index)
        });
        let mut values: Vec<(usize, bool)> = set.map(|index| (*index, true)).collect();
        values.extend(absent.iter().map(|index| (*index, false)));
        if values.is_empty() {
            // There is nothing to say about the row, but it has to be there.
            return self.keep(target, returning);
        }
        self.returning(Some(returning), |writer| {
            writer.sql("update ").relation(resource).sql(" as t set ");
            writer.separated(", ", &values, |writer, (index, given)| {
                let column = &resource.columns[*index];
                writer.sql(&identifier(&column.name)).sql(" = ");
                match given {
                    true => writer.column("g", column),
                    false => writer.sql("default"),
                };
            });
            if values.iter().any(|(_, given)| *given) {
                writer.sql(" from ");
                append_given(writer, resource, given);
            }
            writer.sql(" where ");
            self.append_target(writer, target)
        })
    }

    /// The rows of a target go.
    pub(crate) fn delete(self, target: &Query, returning: Returning<'_>) -> Result<Writing> {
        self.returning(Some(returning), |writer| {
            writer
                .sql("delete from ")
                .relation(&self.write.resource)
                .sql(" as t where ");
            self.append_target(writer, target)
        })
    }

    /// What a write would return of the rows of a target that stay as they are.
    pub(crate) fn keep(self, target: &Query, returning: Returning<'_>) -> Result<Writing> {
        let mut writer = Writer::default();
        let encoder = self.list(&mut writer, returning, |writer| {
            writer.relation(&self.write.resource);
        })?;
        writer.sql(" where ");
        self.append_target(&mut writer, target)?;
        Ok(Writing {
            rendered: writer.finish(),
            encoder,
        })
    }

    /// Whether the rows of a target are there to be seen, whatever their entity tags.
    pub(crate) fn seen(self, target: &Query) -> Result<Rendered> {
        let mut writer = Writer::default();
        writer
            .sql("select 1 from ")
            .relation(&self.write.resource)
            .sql(" as t where ");
        self.append_fence(&mut writer, target)?;
        writer.sql(" limit 1");
        Ok(writer.finish())
    }

    /// The rows of these keys, a JSON array of objects, as they are now: what is shown of them if they
    /// are wanted, and behind that the entity tag, null if it is not.
    pub(crate) fn again(self, keys: &str, shown: Option<&Query>, etag: bool) -> Result<Rendered> {
        let resource = &*self.write.resource;
        let mut writer = Writer::default();
        let etag = if etag { "t.xmin::text" } else { "null::text" };
        match shown {
            Some(query) => {
                let source = |writer: &mut Writer| {
                    writer.relation(resource);
                    Ok(())
                };
                let more = |writer: &mut Writer, separator: &str| {
                    writer.sql(separator).sql(etag);
                    Ok(())
                };
                select::listed(&mut writer, self.parent(query), more, source)?;
            }
            None => {
                writer.sql("select ").sql(etag).sql(" from ");
                writer.relation(resource).sql(" as t");
            }
        }
        writer.sql(" join rows from (json_to_recordset(");
        writer.json(keys).sql(") as (");
        writer.separated(", ", resource.key_columns(), |writer, column| {
            append_definition(writer, column);
        });
        // The names of the key's columns are its own, so that of the place cannot be in the way.
        writer.sql(")) with ordinality as k (");
        writer.separated(", ", 0..resource.key.len(), |writer, place| {
            writer.sql(&format!("part{place}"));
        });
        writer.sql(", place) on ");
        let parts: Vec<(usize, &Column)> = resource.key_columns().enumerate().collect();
        let equal = |writer: &mut Writer, (place, column): &(usize, &Column)| {
            writer.column("t", column).equals(column);
            writer.sql(&format!("k.part{place}"));
        };
        let leakproof = |(_, column): &(usize, &Column)| column.leakproof_equality;
        self.row(resource, "t")
            .guard(&mut writer, &parts, leakproof, equal)?;
        match shown.filter(|query| !query.order.is_empty()) {
            Some(query) => select::order(&mut writer, self.parent(query))?,
            None => {
                writer.sql(" order by k.place");
            }
        }
        Ok(writer.finish())
    }

    /// Whether some row of the body has, in the columns in which it may collide, the values of no row
    /// that the caller sees, or names none: asked once the others have been passed over.
    pub(crate) fn passed_over(self, given: &Given, conflict: &Conflict) -> Result<Rendered> {
        let resource = &*self.write.resource;
        let mut writer = Writer::default();
        writer.sql("select exists (select from ");
        append_given(&mut writer, resource, given);
        writer.sql(" where not exists (select from ");
        writer.relation(resource).sql(" as v where ");
        let organization = organization_column(resource);
        let columns = conflict.target.iter();
        let columns = columns.filter(|it| given.columns.contains(it) && Some(**it) != organization);
        let columns: Vec<&Column> = columns.map(|it| &resource.columns[*it]).collect();
        let equal = |writer: &mut Writer, column: &&Column| {
            writer.column("v", column).equals(column);
            writer.column("g", column);
        };
        let leakproof = |column: &&Column| column.leakproof_equality;
        self.row(resource, "v")
            .guard(&mut writer, &columns, leakproof, equal)?;
        writer.sql("))");
        Ok(writer.finish())
    }

    /// Appends the fence, the target's conditions, and the entity tags that the caller expects.
    fn append_target(self, writer: &mut Writer, target: &Query) -> Result<()> {
        self.append_fence(writer, target)?;
        let options = &self.write.options;
        if let Some(tags) = &options.if_match
            && !tags.is_empty()
        {
            writer.sql(" and t.xmin::text = any (").texts(tags).sql(")");
        }
        match &options.if_none_match {
            None => {}
            Some(tags) if tags.is_empty() => {
                writer.sql(" and false");
            }
            Some(tags) => {
                writer
                    .sql(" and t.xmin::text <> all (")
                    .texts(tags)
                    .sql(")");
            }
        }
        Ok(())
    }

    pub(super) fn append_fence(self, writer: &mut Writer, target: &Query) -> Result<()> {
        select::matching(writer, self.parent(target))
    }

    fn parent<'q>(self, query: &'q Query) -> Parent<'q>
    where
        'a: 'q,
    {
        Parent {
            query,
            alias: select::ROW,
            organization: self.organization,
        }
    }

    /// The row called `alias`, as the caller may meet it.
    pub(super) fn row(self, resource: &'a Resource, alias: &'a str) -> fence::Row<'a> {
        fence::Row {
            catalog: &self.write.catalog,
            resource,
            alias,
            organization: self.organization,
        }
    }
}

/// How many rows of an upsert were there, so far in this transaction.
pub(crate) const MERGED: &str =
    "select coalesce(nullif(pg_catalog.current_setting('rowcast.merged', true), ''), '0')";

/// Begins to count them anew.
pub(crate) const MERGED_NONE: &str = "select pg_catalog.set_config('rowcast.merged', '0', true)";

/// A condition that holds, and counts one more.
const COUNT_MERGED: &str = "pg_catalog.set_config('rowcast.merged', \
    (pg_catalog.current_setting('rowcast.merged')::bigint + 1)::text, true) <> ''";

/// The column that tells the organization, if it is the row's own.
pub(crate) fn organization_column(resource: &Resource) -> Option<usize> {
    match resource.tenancy {
        Tenancy::Column(index) => Some(index),
        _ => None,
    }
}

/// Appends the rows of values that a body gives, as `g`.
pub(super) fn append_given(writer: &mut Writer, resource: &Resource, given: &Given) {
    if given.columns.is_empty() {
        // A record without columns cannot be written; only how many there are matters.
        writer.sql("generate_series(1, ").number(given.rows as u64);
        writer.sql(") as g");
        return;
    }
    writer.sql("json_to_recordset(").json(&given.json);
    writer.sql(") as g (");
    writer.separated(", ", &given.columns, |writer, index| {
        append_definition(writer, &resource.columns[*index]);
    });
    writer.sql(")");
}

fn append_definition(writer: &mut Writer, column: &Column) {
    writer.sql(&identifier(&column.name)).sql(" ");
    writer.sql(&params::cast_name(&column.type_));
}
