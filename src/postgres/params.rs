//! Values as parameters: always bound, never part of the SQL.
//!
//! A value travels in the text format of its type and is read by the type's input function while the
//! statement is bound, so that to the planner it is a constant of the column's type, whatever type
//! that is.

use std::{borrow::Cow, error::Error as StdError};

use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use crate::{
    catalog::{ColumnType, TypeKind, oid},
    query::value::{Form, Value},
};

impl ToSql for Value {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self.text() {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        type_: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.to_sql(type_, out)
    }
}

/// The SQL expression for a value of this type that is bound as parameter `number` (from 1).
///
/// Domains are named by their base type: a filter is not refused for a value that the domain does
/// not hold, and an insert checks the domain anyway.
pub fn expression(form: Form, type_: &ColumnType, number: usize) -> String {
    match form {
        Form::Plain => format!("${number}::{}", cast_name(type_.base())),
        Form::Record => format!(
            "(select r.v from pg_catalog.json_to_record(${number}::json) as r (v {}))",
            cast_name(type_)
        ),
    }
}

/// The SQL expression for the array that [`Value::list`] made, bound as parameter `number`.
pub fn list_expression(type_: &ColumnType, number: usize) -> String {
    format!("${number}::{}[]", cast_name(type_.base()))
}

/// The name of a type in a cast. Two of the names that SQL requires mean a length of one, which would
/// cut values short.
pub(super) fn cast_name(type_: &ColumnType) -> Cow<'_, str> {
    match (&type_.kind, type_.oid) {
        (TypeKind::Base, oid::BPCHAR) => Cow::Borrowed("pg_catalog.bpchar"),
        (TypeKind::Base, oid::BIT) => Cow::Borrowed("pg_catalog.\"bit\""),
        (TypeKind::Array(element), _) => match cast_name(element) {
            Cow::Borrowed(name) if element.oid == oid::BPCHAR || element.oid == oid::BIT => {
                Cow::Owned(format!("{name}[]"))
            }
            _ => Cow::Borrowed(&type_.name),
        },
        _ => Cow::Borrowed(&type_.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_name_the_base_type_without_a_length() {
        let bpchar = ColumnType {
            oid: oid::BPCHAR,
            name: "character".into(),
            kind: TypeKind::Base,
        };
        let domain = ColumnType {
            oid: 70_000,
            name: "code".into(),
            kind: TypeKind::Domain(Box::new(bpchar.clone())),
        };
        let array = ColumnType {
            oid: 1014,
            name: "character[]".into(),
            kind: TypeKind::Array(Box::new(bpchar)),
        };
        assert_eq!(expression(Form::Plain, &domain, 2), "$2::pg_catalog.bpchar");
        assert_eq!(
            expression(Form::Plain, &array, 1),
            "$1::pg_catalog.bpchar[]"
        );
        assert_eq!(list_expression(&domain, 3), "$3::pg_catalog.bpchar[]");
    }
}
