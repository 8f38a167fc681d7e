//! Writes as SQL.
//!
//! The row that is written is called `t` in every statement, the values that a body gives are `g`.
//! All values of a body are one JSON parameter, so that one statement text serves any number of rows;
//! `json_to_recordset` reads each by the input function of its column's type.

use super::{Rendered, Writer, condition, fence, identifier};
use crate::{
    catalog::{Column, Resource, Tenancy},
    error::{Error, Kind, Result},
    identity::OrganizationId,
    postgres::params,
    query::{
        Query,
        write::{Given, Operation, Write},
    },
};

/// What the caller's rows are fenced by.
#[derive(Clone, Copy)]
pub(crate) struct Fenced<'a> {
    pub(crate) write: &'a Write,
    pub(crate) organization: &'a OrganizationId,
}

/// What a write's statement returns of each row: the key and the row as JSON objects, or null where
/// they are not wanted or the role may not read them, and whether the row is inside the fence, or null
/// if nobody can say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Returning {
    pub(crate) keys: bool,
    pub(crate) rows: bool,
}

impl<'a> Fenced<'a> {
    /// New rows, in the organization.
    ///
    /// # Errors
    /// `OrganizationNotAllowed` if the organization is no value of its column.
    pub(crate) fn insert(self, given: &Given, returning: Option<Returning>) -> Result<Rendered> {
        let resource = &*self.write.resource;
        let organization = organization_column(resource);
        let mut writer = Writer::default();
        writer.sql("insert into ").relation(resource).sql(" as t");
        let mut columns = given.columns.clone();
        columns.extend(organization);
        if columns.is_empty() {
            if given.rows > 1 {
                return Err(Error::new(
                    Kind::NotSupported,
                    "Several rows of nothing but defaults are created one by one.",
                ));
            }
            writer.sql(" default values");
        } else {
            writer.sql(" (").separated(", ", &columns, |writer, index| {
                writer.sql(&identifier(&resource.columns[*index].name));
            });
            writer.sql(")");
            if columns
                .iter()
                .any(|it| resource.columns[*it].identity_always)
            {
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
            append_given(&mut writer, resource, given);
        }
        self.append_returning(&mut writer, returning)?;
        Ok(writer.finish())
    }

    /// New values for the rows of a target; `absent` are the columns that take their defaults.
    pub(crate) fn update(
        self,
        target: &Query,
        given: &Given,
        absent: &[usize],
        returning: Returning,
    ) -> Result<Rendered> {
        let resource = &*self.write.resource;
        let mut writer = Writer::default();
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
            append_given(&mut writer, resource, given);
        }
        writer.sql(" where ");
        self.append_target(&mut writer, target)?;
        self.append_returning(&mut writer, Some(returning))?;
        Ok(writer.finish())
    }

    /// The rows of a target go.
    pub(crate) fn delete(self, target: &Query, returning: Returning) -> Result<Rendered> {
        let mut writer = Writer::default();
        writer
            .sql("delete from ")
            .relation(&self.write.resource)
            .sql(" as t where ");
        self.append_target(&mut writer, target)?;
        self.append_returning(&mut writer, Some(returning))?;
        Ok(writer.finish())
    }

    /// What a write would return of the rows of a target that stay as they are.
    pub(crate) fn keep(self, target: &Query, returning: Returning) -> Result<Rendered> {
        let mut writer = Writer::default();
        writer.sql("select ");
        self.append_returned(&mut writer, returning)?;
        writer
            .sql(" from ")
            .relation(&self.write.resource)
            .sql(" as t where ");
        self.append_target(&mut writer, target)?;
        Ok(writer.finish())
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

    /// The rows of these keys, a JSON array of objects, as they are now: `row` and `etag`, each null if
    /// it is not wanted.
    pub(crate) fn again(self, keys: &str, rows: bool, etag: bool) -> Result<Rendered> {
        let resource = &*self.write.resource;
        let mut writer = Writer::default();
        writer.sql("select ");
        match rows {
            true => append_object(&mut writer, resource, &self.write.columns),
            false => {
                writer.sql("null::text");
            }
        }
        writer.sql(" as row, ");
        writer.sql(if etag { "t.xmin::text" } else { "null::text" });
        writer.sql(" as etag from rows from (json_to_recordset(");
        writer.json(keys).sql(") as (");
        writer.separated(", ", resource.key_columns(), |writer, column| {
            append_definition(writer, column);
        });
        // The names of the key's columns are its own, so that of the place cannot be in the way.
        writer.sql(")) with ordinality as k (");
        writer.separated(", ", 0..resource.key.len(), |writer, place| {
            writer.sql(&format!("part{place}"));
        });
        writer
            .sql(", place) join ")
            .relation(resource)
            .sql(" as t on ");
        let parts: Vec<(usize, &Column)> = resource.key_columns().enumerate().collect();
        let equal = |writer: &mut Writer, (place, column): &(usize, &Column)| {
            writer.column("t", column).equals(column);
            writer.sql(&format!("k.part{place}"));
        };
        let leakproof = |(_, column): &(usize, &Column)| column.leakproof_equality;
        self.row(resource, "t")
            .guard(&mut writer, &parts, leakproof, equal)?;
        writer.sql(" order by k.place");
        Ok(writer.finish())
    }

    /// Appends the fence, the target's conditions, and the entity tags that the caller expects.
    fn append_target(self, writer: &mut Writer, target: &Query) -> Result<()> {
        self.append_fence(writer, target)?;
        if let Some(tags) = &self.write.options.if_match
            && !tags.is_empty()
        {
            writer.sql(" and t.xmin::text = any (").texts(tags).sql(")");
        }
        Ok(())
    }

    pub(super) fn append_fence(self, writer: &mut Writer, target: &Query) -> Result<()> {
        let resource = &*self.write.resource;
        self.row(resource, "t").guard(
            writer,
            &target.conditions,
            |it| condition::is_harmless(resource, it),
            |writer, it| condition::condition(writer, "t", resource, it),
        )
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

    fn append_returning(self, writer: &mut Writer, returning: Option<Returning>) -> Result<()> {
        if let Some(returning) = returning {
            writer.sql(" returning ");
            self.append_returned(writer, returning)?;
        }
        Ok(())
    }

    fn append_returned(self, writer: &mut Writer, returning: Returning) -> Result<()> {
        let resource = &*self.write.resource;
        if returning.keys && self.write.findable {
            append_object(writer, resource, &resource.key);
        } else {
            writer.sql("null::text");
        }
        writer.sql(" as key, ");
        if returning.rows {
            append_object(writer, resource, &self.write.columns);
        } else {
            writer.sql("null::text");
        }
        writer.sql(" as row, ");
        if self.write.findable {
            writer.sql("(");
            let catalog = &self.write.catalog;
            fence::append(writer, catalog, resource, "t", self.organization)?;
            writer.sql(") is true");
        } else {
            writer.sql("null::boolean");
        }
        writer.sql(" as inside");
        Ok(())
    }
}

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

/// Appends some columns of the row as the text of a JSON object.
fn append_object(writer: &mut Writer, resource: &Resource, columns: &[usize]) {
    // `o.*` and not `o`, which would be a column of that name where there is one.
    writer.sql("(select row_to_json(o.*) from (select ");
    writer.separated(", ", columns, |writer, index| {
        writer.column("t", &resource.columns[*index]);
    });
    writer.sql(") as o)::text");
}
