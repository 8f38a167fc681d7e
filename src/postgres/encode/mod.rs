//! Rows to JSON: PostgreSQL's binary column values, written as JSON text straight into an event's
//! buffer.
//!
//! The text is the one that PostgreSQL's `to_json` makes in a session with `TimeZone` UTC,
//! `DateStyle` ISO, `IntervalStyle` postgres, `bytea_output` hex and `extra_float_digits` 1, whatever
//! the settings of the session that the row came from; `to_json` itself is the oracle of the tests.
//! One difference is meant: line breaks and tabs between the tokens of a `json` value become spaces,
//! so that a value never breaks a line of NDJSON or SSE.
//!
//! Two things differ by necessity. `"char"` bytes above 127 are octal escapes as since PostgreSQL 16,
//! and the largest and smallest `interval` are infinite as since PostgreSQL 17.
//!
//! Knows nothing of SQL, sessions, events or channels.

mod arrays;
mod codec;
mod json;
mod network;
mod numbers;
mod numeric;
mod ranges;
mod reader;
mod text;
mod time;

use std::borrow::Cow;

use bytes::BytesMut;
use tokio_postgres::{
    Row,
    types::{FromSql, Type},
};

pub use self::codec::Codec;
use self::reader::Malformed;
use crate::{
    catalog::ColumnType,
    error::{Error, Result},
};

/// How one column travels: read in its own binary format and encoded here, or wrapped in `to_json`
/// by the SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// The select list names the column; its binary value is encoded here.
    Native(Codec),
    /// The select list wraps the column in `to_json`; the JSON is copied.
    ToJson,
}

impl Encoding {
    /// The encoding of a column of this type.
    pub fn of(type_: &ColumnType) -> Self {
        Codec::of(type_).map_or(Self::ToJson, Self::Native)
    }

    /// The item of the select list for `expression`, which is SQL text of this type.
    pub fn select<'a>(&self, expression: &'a str) -> Cow<'a, str> {
        match self {
            Self::Native(_) => Cow::Borrowed(expression),
            Self::ToJson => Cow::Owned(format!("pg_catalog.to_json({expression})")),
        }
    }
}

/// Encodes rows of one shape as JSON objects.
#[derive(Debug, Clone)]
pub struct RowEncoder {
    columns: Vec<Field>,
    /// The bytes of one row beside its values: names, punctuation, closing brace.
    overhead: usize,
    /// A row is its only value, and no object.
    bare: bool,
}

#[derive(Debug, Clone)]
struct Field {
    /// `{"name":` or `,"name":`, escaped once.
    prefix: Box<[u8]>,
    codec: Codec,
}

impl RowEncoder {
    /// An encoder of rows whose first columns are these, in this order. A row may have more columns
    /// behind them, which are the caller's own and not encoded.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Encoding)>) -> Self {
        let columns: Vec<Field> = columns
            .into_iter()
            .enumerate()
            .map(|(index, (name, encoding))| Field {
                prefix: prefix(index, name),
                codec: match encoding {
                    Encoding::Native(codec) => codec,
                    Encoding::ToJson => Codec::json(),
                },
            })
            .collect();
        // Quotes, separators and longer texts of numbers and times are about what the lengths in
        // the row's binary form take, so the raw size and the names are a good guess of the whole.
        let overhead = 8 + columns.iter().map(|it| it.prefix.len() + 4).sum::<usize>();
        Self {
            columns,
            overhead,
            bare: false,
        }
    }

    /// The same, for rows that are their only value.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = self.columns.len() == 1;
        self
    }

    /// How many columns of a row are encoded.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether no column is encoded, so that every row is `{}`.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether a statement's result has the types that this encoder reads, to be asked once per
    /// prepared statement: binary values say nothing of their type, and a column may have been
    /// altered since the catalog was read.
    ///
    /// # Errors
    /// `Internal`, when a column is missing or its type is another.
    pub fn check(&self, columns: &[tokio_postgres::Column]) -> Result<()> {
        if columns.len() < self.columns.len() {
            return Err(Error::internal(
                "a result has fewer columns than its encoder",
            ));
        }
        for (field, column) in self.columns.iter().zip(columns) {
            if field.codec.oid() != column.type_().oid() {
                return Err(Error::internal(format!(
                    "column {} has the type {} (oid {}) where oid {} was expected",
                    column.name(),
                    column.type_().name(),
                    column.type_().oid(),
                    field.codec.oid(),
                )));
            }
        }
        Ok(())
    }

    /// Appends the row as one JSON object on one line. On an error nothing is appended.
    ///
    /// # Errors
    /// `Internal`, when a value is not in the binary format of its type.
    pub fn encode(&self, row: &Row, out: &mut BytesMut) -> Result<()> {
        if self.bare {
            return self.encode_value(row, 0, out);
        }
        let start = out.len();
        out.reserve(self.overhead + row.raw_size_bytes());
        for (index, field) in self.columns.iter().enumerate() {
            out.extend_from_slice(&field.prefix);
            if let Err(error) = field.encode(row, index, out) {
                out.truncate(start);
                return Err(error);
            }
        }
        out.extend_from_slice(if self.columns.is_empty() { b"{}" } else { b"}" });
        Ok(())
    }

    /// Appends the value of one column, by its index, as JSON. On an error nothing is appended.
    ///
    /// # Errors
    /// `Internal`, when the value is not in the binary format of its type, or there is no such column.
    pub fn encode_value(&self, row: &Row, index: usize, out: &mut BytesMut) -> Result<()> {
        let start = out.len();
        let field = self
            .columns
            .get(index)
            .ok_or_else(|| Error::internal("no such column in the encoder"))?;
        field
            .encode(row, index, out)
            .inspect_err(|_| out.truncate(start))
    }
}

impl Field {
    #[inline]
    fn encode(&self, row: &Row, index: usize, out: &mut BytesMut) -> Result<()> {
        let Raw(value) = row
            .try_get(index)
            .map_err(|error| Error::internal("a row lacks a column").with_source(error))?;
        match value {
            Some(value) => self.codec.encode(value, out).map_err(Error::from),
            None => {
                out.extend_from_slice(b"null");
                Ok(())
            }
        }
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::internal(malformed.0)
    }
}

fn prefix(index: usize, name: &str) -> Box<[u8]> {
    let mut prefix = BytesMut::from(if index == 0 { "{" } else { "," });
    text::quoted_str(name, &mut prefix);
    prefix.extend_from_slice(b":");
    prefix[..].into()
}

/// A column's bytes as they came, of whatever type: the only way that tokio-postgres hands them out.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        _: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(Some(raw)))
    }

    #[inline]
    fn from_sql_nullable(
        _: &Type,
        raw: Option<&'a [u8]>,
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(raw))
    }

    #[inline]
    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_once() {
        assert_eq!(&*prefix(0, "id"), br#"{"id":"#);
        assert_eq!(&*prefix(1, "a\"\\\n"), br#","a\"\\\n":"#);
    }

    #[test]
    fn unknown_types_are_left_to_the_database() {
        let point = ColumnType {
            oid: 600,
            name: "point".into(),
            kind: crate::catalog::TypeKind::Base,
        };
        let encoding = Encoding::of(&point);
        assert_eq!(encoding, Encoding::ToJson);
        assert_eq!(encoding.select("t.p"), "pg_catalog.to_json(t.p)");
    }
}
