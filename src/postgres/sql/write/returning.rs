//! What a statement that writes returns of each row: what is shown of it, its key, and whether it is
//! inside the fence.
//!
//! Knows nothing of what is written.

use super::{Fenced, Writing};
use crate::{
    catalog::Resource,
    error::Result,
    postgres::{
        encode::RowEncoder,
        sql::{Writer, fence, identifier, select},
    },
    query::Query,
};

/// What the result of a statement that writes is called inside of the one that shows it.
const WRITTEN: &str = "w";

/// What a write's statement returns of each row: what is shown of it, and behind that its key as a JSON
/// object, or null where it is not wanted or the role may not read it, and whether the row is inside the
/// fence, or null if nobody can say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Returning<'a> {
    pub(crate) keys: bool,
    pub(crate) rows: Option<&'a Query>,
}

impl Fenced<'_> {
    /// A statement that writes, and what it returns. What is shown of a row may need more than its own
    /// columns, which only a `select` can have; then the statement stands inside of one.
    pub(super) fn returning(
        self,
        returning: Option<Returning<'_>>,
        write: impl FnOnce(&mut Writer) -> Result<()>,
    ) -> Result<Writing> {
        let resource = &*self.write.resource;
        let mut writer = Writer::default();
        let Some(returning) = returning else {
            write(&mut writer)?;
            return Ok(Writing {
                rendered: writer.finish(),
                encoder: None,
            });
        };
        let Some(query) = returning.rows else {
            write(&mut writer)?;
            writer.sql(" returning ");
            self.append_key(&mut writer, returning.keys);
            writer.sql(", ");
            self.append_inside(&mut writer)?;
            return Ok(Writing {
                rendered: writer.finish(),
                encoder: None,
            });
        };
        let inside = free_name(resource);
        writer.of_records();
        writer.sql("with ").sql(WRITTEN).sql(" as (");
        write(&mut writer)?;
        writer.sql(" returning ");
        writer.separated(", ", &self.write.readable, |writer, index| {
            writer.column("t", &resource.columns[*index]);
        });
        writer.sql(if self.write.readable.is_empty() {
            ""
        } else {
            ", "
        });
        self.append_inside(&mut writer)?;
        writer.sql(" as ").sql(&inside).sql(") ");
        let more = |writer: &mut Writer, separator: &str| {
            writer.sql(separator);
            self.append_key(writer, returning.keys);
            writer.sql(", t.").sql(&inside);
            Ok(())
        };
        let source = |writer: &mut Writer| {
            writer.sql(WRITTEN);
            Ok(())
        };
        let parent = self.parent(query);
        let encoder = select::listed(&mut writer, parent, more, source)?;
        select::order(&mut writer, parent)?;
        Ok(Writing {
            rendered: writer.finish(),
            encoder: Some(encoder),
        })
    }

    /// Appends `select … from …` of what a write returns, of rows that are there.
    pub(super) fn list(
        self,
        writer: &mut Writer,
        returning: Returning<'_>,
        source: impl FnOnce(&mut Writer),
    ) -> Result<Option<RowEncoder>> {
        let Some(query) = returning.rows else {
            writer.sql("select ");
            self.append_key(writer, returning.keys);
            writer.sql(", ");
            self.append_inside(writer)?;
            writer.sql(" from ");
            source(writer);
            writer.sql(" as t");
            return Ok(None);
        };
        let more = |writer: &mut Writer, separator: &str| {
            writer.sql(separator);
            self.append_key(writer, returning.keys);
            writer.sql(", ");
            self.append_inside(writer)
        };
        let source = |writer: &mut Writer| {
            source(writer);
            Ok(())
        };
        select::listed(writer, self.parent(query), more, source).map(Some)
    }

    fn append_key(self, writer: &mut Writer, wanted: bool) {
        let resource = &*self.write.resource;
        if wanted && self.write.keyed() {
            append_object(writer, resource, &resource.key);
        } else {
            writer.sql("null::text");
        }
    }

    fn append_inside(self, writer: &mut Writer) -> Result<()> {
        if !self.write.findable {
            writer.sql("null::boolean");
            return Ok(());
        }
        let resource = &*self.write.resource;
        writer.sql("(");
        fence::append(
            writer,
            &self.write.catalog,
            resource,
            "t",
            self.organization,
        )?;
        writer.sql(") is true");
        Ok(())
    }
}

/// A name that no column of a resource has.
fn free_name(resource: &Resource) -> String {
    let mut name = "inside".to_owned();
    while resource.column(&name).is_some() {
        name.push('_');
    }
    identifier(&name)
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
