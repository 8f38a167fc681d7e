//! What a write refers to and what it collides with, as SQL: questions about other rows, each of
//! which is answered from what the caller may see.

use super::{
    Rendered, Writer, fence,
    write::{Fenced, append_given, organization_column},
};
use crate::{
    catalog::{Collision, Column, Resource},
    error::Result,
    query::write::{Given, Operation, Referred},
};

/// Where the value of a column comes from.
#[derive(Clone, Copy)]
enum From<'a> {
    /// The body.
    Given(&'a Column),
    /// The caller's organization.
    Organization(&'a Column),
    /// The row that is being changed.
    Row(&'a Column),
}

/// A column of the other row, and what it is compared with.
type Pair<'a> = (&'a Column, From<'a>);

impl Fenced<'_> {
    /// Asks, for each reference of the write, whether it points at no row that the caller sees: one row
    /// of as many booleans.
    pub(crate) fn dangling(self, given: &Given, references: &[Referred]) -> Result<Rendered> {
        let mut writer = Writer::default();
        writer.sql("select ");
        for (place, reference) in references.iter().enumerate() {
            writer.sql(if place == 0 { "" } else { ", " });
            self.append_dangling(&mut writer, given, reference)?;
        }
        Ok(writer.finish())
    }

    fn append_dangling(
        self,
        writer: &mut Writer,
        given: &Given,
        reference: &Referred,
    ) -> Result<()> {
        let resource = &*self.write.resource;
        let sources: Vec<From<'_>> = reference
            .columns
            .iter()
            .map(|index| source(resource, given, *index))
            .collect();
        writer.sql("exists (select from ");
        self.append_sources(writer, given, &sources)?;
        // A reference with a null points at nothing, and may (`match simple`).
        for from in &sources {
            if !matches!(from, From::Organization(_)) {
                writer.sql(" and ");
                self.append_value(writer, *from)?;
                writer.sql(" is not null");
            }
        }
        // Of an organization that cannot be one there, nobody has rows.
        let target = reference.target.as_ref().filter(|target| {
            let catalog = &self.write.catalog;
            let mut scratch = Writer::default();
            fence::append(
                &mut scratch,
                catalog,
                &target.resource,
                "v",
                self.organization,
            )
            .is_ok()
        });
        if let Some(target) = target {
            let pairs: Vec<Pair<'_>> = target
                .columns
                .iter()
                .map(|index| &target.resource.columns[*index])
                .zip(sources)
                .collect();
            writer
                .sql(" and not exists (select from ")
                .relation(&target.resource)
                .sql(" as v where ");
            self.append_same(writer, &target.resource, &pairs)?;
            writer.sql(")");
        }
        writer.sql(")");
        Ok(())
    }

    /// Asks whether a row that the caller sees has, in the columns of a constraint, the values that the
    /// write would give to a row, or whether the body itself gives them twice. `None` if the write does
    /// not tell what they are.
    pub(crate) fn collides(self, given: &Given, collision: &Collision) -> Result<Option<Rendered>> {
        let resource = &*self.write.resource;
        // A replaced row keeps nothing that the body does not say.
        let updates = matches!(self.write.operation, Operation::Update { .. });
        let pairs: Vec<Pair<'_>> = collision
            .columns
            .iter()
            .map(|index| (&resource.columns[*index], source(resource, given, *index)))
            .collect();
        let told = |(_, from): &Pair<'_>| updates || !matches!(from, From::Row(_));
        if !collision.plain || !pairs.iter().all(told) {
            return Ok(None);
        }
        let sources: Vec<From<'_>> = pairs.iter().map(|(_, from)| *from).collect();
        let mut writer = Writer::default();
        writer.sql("select exists (select from ");
        self.append_sources(&mut writer, given, &sources)?;
        writer
            .sql(" and exists (select from ")
            .relation(resource)
            .sql(" as v where ");
        self.append_same(&mut writer, resource, &pairs)?;
        writer.sql("))");
        let twice: Vec<&Column> = sources
            .iter()
            .filter_map(|from| match from {
                From::Given(column) => Some(*column),
                _ => None,
            })
            .collect();
        if given.rows > 1 && !twice.is_empty() {
            writer.sql(" or exists (select from ");
            append_given(&mut writer, resource, given);
            // Nulls collide with nothing.
            writer.sql(" where ");
            writer.separated(" and ", &twice, |writer, column| {
                writer.column("g", column).sql(" is not null");
            });
            writer.sql(" group by ");
            writer.separated(", ", twice, |writer, column| {
                writer.column("g", column);
            });
            writer.sql(" having count(*) > 1)");
        }
        // Several rows that are given the same values meet each other.
        let of_row = sources.iter().any(|from| matches!(from, From::Row(_)));
        if let Some(target) = self.write.target().filter(|it| !it.is_item() && !of_row) {
            writer
                .sql(" or (select count(*) > 1 from ")
                .relation(resource)
                .sql(" as t where ");
            self.append_fence(&mut writer, target)?;
            writer.sql(")");
        }
        Ok(Some(writer.finish()))
    }

    /// Appends what the values come from, with a condition behind it.
    fn append_sources(
        self,
        writer: &mut Writer,
        given: &Given,
        sources: &[From<'_>],
    ) -> Result<()> {
        let resource = &*self.write.resource;
        append_given(writer, resource, given);
        let of_row = sources.iter().any(|from| matches!(from, From::Row(_)));
        match self.write.target().filter(|_| of_row) {
            Some(target) => {
                writer.sql(", ").relation(resource).sql(" as t where ");
                self.append_fence(writer, target)
            }
            None => {
                writer.sql(" where true");
                Ok(())
            }
        }
    }

    /// Appends that the row `v` is inside the fence and has these values.
    fn append_same(
        self,
        writer: &mut Writer,
        resource: &Resource,
        pairs: &[Pair<'_>],
    ) -> Result<()> {
        // Rendered first, since the organization may be no value of its column.
        for (_, from) in pairs {
            self.append_value(&mut Writer::default(), *from)?;
        }
        let leakproof = |(column, _): &Pair<'_>| column.leakproof_equality;
        self.row(resource, "v")
            .guard(writer, pairs, leakproof, |writer, (column, from)| {
                writer.column("v", column).equals(column);
                let appended = self.append_value(writer, *from);
                debug_assert!(appended.is_ok(), "it was rendered before");
            })
    }

    fn append_value(self, writer: &mut Writer, from: From<'_>) -> Result<()> {
        match from {
            From::Given(column) => writer.column("g", column),
            From::Row(column) => writer.column("t", column),
            From::Organization(column) => {
                let value = fence::value(column, self.organization)?;
                writer.value(column, &value)
            }
        };
        Ok(())
    }
}

/// Where the value of a column comes from after the write.
fn source<'a>(resource: &'a Resource, given: &Given, index: usize) -> From<'a> {
    let column = &resource.columns[index];
    if organization_column(resource) == Some(index) {
        From::Organization(column)
    } else if given.columns.contains(&index) {
        From::Given(column)
    } else {
        From::Row(column)
    }
}
