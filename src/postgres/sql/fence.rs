//! The fence: the condition that a row belongs to the caller's organization.

use super::Writer;
use crate::{
    catalog::{Catalog, Column, Resource, Tenancy},
    error::{Error, Kind, Result},
    identity::OrganizationId,
    query::value::Value,
};

/// Whether rows of this resource belong to organizations at all.
fn is_fenced(resource: &Resource) -> bool {
    matches!(resource.tenancy, Tenancy::Column(_) | Tenancy::Via { .. })
}

/// Appends the condition that the row called `alias` belongs to the organization.
///
/// A row that belongs through a reference does so if the caller sees the row referred to: inside the
/// subquery that row's own fence holds, and PostgreSQL adds its row-level security.
///
/// # Errors
/// `OrganizationNotAllowed` if the organization is no value of the column: nobody has rows there.
pub(crate) fn append(
    writer: &mut Writer,
    catalog: &Catalog,
    resource: &Resource,
    alias: &str,
    organization: &OrganizationId,
) -> Result<()> {
    match &resource.tenancy {
        Tenancy::Single | Tenancy::Shared => {
            writer.sql("true");
        }
        Tenancy::Column(index) => {
            let column = &resource.columns[*index];
            let value = value(column, organization)?;
            writer
                .column(alias, column)
                .equals(column)
                .value(column, &value);
        }
        Tenancy::Via {
            column,
            target,
            target_column,
        } => {
            let missing = || Error::internal("an organization comes through nothing");
            let next = catalog.relation(*target).ok_or_else(missing)?;
            let mut columns = next.columns.iter();
            let referred = columns
                .find(|it| it.number == *target_column)
                .ok_or_else(missing)?;
            let inner = format!("{alias}_");
            writer
                .sql("exists (select from ")
                .relation(next)
                .sql(" as ")
                .sql(&inner)
                .sql(" where ")
                .column(&inner, referred)
                .equals(referred)
                .column(alias, &resource.columns[*column])
                .sql(" and ");
            append(writer, catalog, next, &inner, organization)?;
            writer.sql(")");
        }
    }
    Ok(())
}

/// The row called `alias` of a resource, as a caller of this organization may meet it.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) resource: &'a Resource,
    pub(crate) alias: &'a str,
    pub(crate) organization: &'a OrganizationId,
}

impl Row<'_> {
    /// Appends the fence and conditions on the row. The `harmless` ones stand beside the fence, where
    /// indexes serve them. A comparison that can fail would tell of the value that it fails on, and so
    /// it meets no value from outside:
    ///
    /// - not when the statement runs: `case` evaluates its parts in their order, which `and` does not
    ///   (PostgreSQL manual, "Expression Evaluation Rules"). The fence stands before it once more, so
    ///   that an index serves the fence;
    /// - not when it is planned: to estimate how many rows pass, the planner compares with the most
    ///   common values of a column (`var_eq_const` in selfuncs.c), whoever's they are, also through a
    ///   subquery that nothing is pushed down into. Into a `case` it does not look.
    ///
    /// # Errors
    /// As [`append`].
    pub(crate) fn guard<T>(
        self,
        writer: &mut Writer,
        conditions: &[T],
        harmless: impl Fn(&T) -> bool,
        condition: impl Fn(&mut Writer, &T),
    ) -> Result<()> {
        let beside = |it: &&T| harmless(it) || !is_fenced(self.resource);
        self.append(writer)?;
        for it in conditions.iter().filter(beside) {
            writer.sql(" and ");
            condition(writer, it);
        }
        if !conditions.iter().all(|it| beside(&it)) {
            writer.sql(" and case when ");
            self.append(writer)?;
            writer.sql(" then ");
            let behind = conditions.iter().filter(|it| !beside(it));
            writer.separated(" and ", behind, |writer, it| condition(writer, it));
            writer.sql(" end");
        }
        Ok(())
    }

    fn append(self, writer: &mut Writer) -> Result<()> {
        append(
            writer,
            self.catalog,
            self.resource,
            self.alias,
            self.organization,
        )
    }
}

/// The organization as a value of the column that tells it.
pub(crate) fn value(column: &Column, organization: &OrganizationId) -> Result<Value> {
    Value::from_text(&column.name, &column.type_, &organization.0).map_err(|error| {
        Error::new(
            Kind::OrganizationNotAllowed,
            format!(
                "The token's organization cannot be one here: {:?} has the type {}.",
                &*column.name, column.type_.name
            ),
        )
        .with_source(error)
    })
}
