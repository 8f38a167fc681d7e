//! Parameters: values travel as the text of their type, and PostgreSQL infers which type that is.
//!
//! Text is exact for every type there is, built in or not, and costs PostgreSQL no more than the
//! parsing of a literal.

use bytes::BytesMut;
use std::error::Error as StdError;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

/// The text form of one value, or null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value(Option<String>);

impl Value {
    /// A value by its text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self(Some(text.into()))
    }

    /// An array by the texts of its elements (PostgreSQL manual, "Array Input and Output Syntax").
    pub(crate) fn array<'a>(elements: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::from("{");
        for (index, element) in elements.into_iter().enumerate() {
            text.push_str(if index == 0 { "\"" } else { ",\"" });
            for character in element.chars() {
                if matches!(character, '"' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            }
            text.push('"');
        }
        text.push('}');
        Self(Some(text))
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match &self.0 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_quote_every_element() {
        assert_eq!(Value::array([]), Value::text("{}"));
        assert_eq!(
            Value::array(["a", "", "NULL", "b\"c\\d,e}"]),
            Value::text(r#"{"a","","NULL","b\"c\\d,e}"}"#)
        );
    }
}
