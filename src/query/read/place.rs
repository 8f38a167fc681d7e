//! Where in a row a value is: a column, or a place inside of its JSON.

use super::rights::may;
use crate::{
    catalog::{Allowed, Column, ColumnType, Resource, oid, suggest},
    error::{Error, Kind, Result},
    query::{
        scanner::excerpt,
        syntax::{Field, Step},
    },
};

/// A value in a row of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index into the resource's columns.
    pub(crate) column: usize,
    /// The way into its JSON; empty: the column itself.
    pub(crate) path: Vec<Step>,
}

impl Place {
    /// A column itself.
    pub(crate) fn of_column(column: usize) -> Self {
        Self {
            column,
            path: Vec::new(),
        }
    }

    /// The place that a field names, in a column that the role may read.
    pub(crate) fn find(allowed: &Allowed, field: &Field) -> Result<Self> {
        Ok(Self {
            column: column(allowed, &field.column)?,
            path: field.path.clone(),
        })
    }

    /// The column, if the place is all of it.
    pub(crate) fn whole<'a>(&self, resource: &'a Resource) -> Option<&'a Column> {
        self.path.is_empty().then(|| resource.at(self.column))
    }

    /// The type of the values there.
    pub(crate) fn type_<'a>(&self, resource: &'a Resource) -> &'a ColumnType {
        let column = &resource.at(self.column).type_;
        match self.path.last() {
            None => column,
            Some(step) if step.text => ColumnType::text(),
            Some(_) if column.base().oid == oid::JSON => ColumnType::json(),
            // Whatever is no JSON is made into it.
            Some(_) => ColumnType::jsonb(),
        }
    }

    /// Whether values there can be compared for equality.
    pub(crate) fn is_comparable(&self, resource: &Resource) -> bool {
        match self.whole(resource) {
            Some(column) => column.equality.is_some(),
            None => self.type_(resource).oid != oid::JSON,
        }
    }

    /// Whether values there have an order.
    pub(crate) fn is_orderable(&self, resource: &Resource) -> bool {
        match self.whole(resource) {
            Some(column) => column.orderable,
            None => self.type_(resource).oid != oid::JSON,
        }
    }
}

/// The column of this name, which the role may read.
pub(crate) fn column(allowed: &Allowed, name: &str) -> Result<usize> {
    let resource = &allowed.resource;
    if resource.column(name).is_none()
        && let Some(index) = resource.computed_column(name)
    {
        return Ok(index);
    }
    let index = column_named(resource, name).map_err(|error| {
        // As PostgreSQL says it, from whom PostgREST's clients hear of it in a read.
        error.with_code("42703").with_message(format!(
            "column {}.{} does not exist",
            resource.table,
            excerpt(name)
        ))
    })?;
    if !may(&allowed.privileges.select, index) {
        return Err(Error::new(
            Kind::PermissionDenied,
            format!("The role may not read {name:?} of {:?}.", &*resource.name),
        )
        .with_message(resource.denial()));
    }
    Ok(index)
}

/// The column of this name; the error suggests the nearest one.
pub(in crate::query) fn column_named(resource: &Resource, name: &str) -> Result<usize> {
    if let Some((index, _)) = resource.column(name) {
        return Ok(index);
    }
    let name = excerpt(name);
    let error = Error::new(
        Kind::ColumnUnknown,
        format!("{:?} has no column {name:?}.", &*resource.name),
    )
    .with_message(format!(
        "Could not find the '{name}' column of '{}' in the schema cache",
        resource.table
    ));
    let names = resource.columns.iter().map(|it| &*it.name);
    Err(match suggest::nearest(&name, names) {
        Some(nearest) => error.with_hint(format!("Perhaps you meant {nearest:?}.")),
        None => error,
    })
}

/// The refusal of an operator that a type does not have, in PostgreSQL's words.
pub(super) fn no_operator(column: &Column, type_: &ColumnType, operator: &str) -> Error {
    let name = &type_.name;
    Error::new(
        Kind::OperatorUnknown,
        format!(
            "{:?} has the type {name}, whose values cannot be compared by {operator}.",
            &*column.name
        ),
    )
    .with_hint(
        "No operator matches the given name and argument types. You might need to add explicit \
         type casts.",
    )
    .with_message(format!(
        "operator does not exist: {name} {operator} unknown"
    ))
}
