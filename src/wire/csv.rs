//! Rows of an answer as comma-separated values (RFC 4180), made from their JSON.
//!
//! A value is written as PostgreSQL writes it in a row: nothing for null, `t` and `f`, and in quotes what
//! could be read as something else. What is an array or an object stays JSON.

use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use std::borrow::Cow;

/// The names of the first row, then a line for each row of a JSON array; a row need not be an object.
///
/// # Errors
/// `Internal` if the body is no JSON array.
pub fn from_rows(body: &[u8]) -> Result<Vec<u8>> {
    let broken = |error| Error::internal("rows are no JSON").with_source(error);
    let rows: Vec<&RawValue> = serde_json::from_slice(body).map_err(broken)?;
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let members = Members::read(row).map_err(broken)?;
        if index == 0 {
            line(&mut out, members.0.iter().map(|(name, _)| quoted(name)));
        }
        out.push('\n');
        line(&mut out, members.0.iter().map(|(_, value)| text(value)));
    }
    Ok(out.into_bytes())
}

fn line<'a>(out: &mut String, fields: impl Iterator<Item = Cow<'a, str>>) {
    for (index, field) in fields.enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        out.push_str(&field);
    }
}

fn text(value: &RawValue) -> Cow<'_, str> {
    match value.get() {
        "null" => "".into(),
        "true" => "t".into(),
        "false" => "f".into(),
        json if json.starts_with('"') => match serde_json::from_str::<Value>(json) {
            Ok(Value::String(text)) => quoted(&text).into_owned().into(),
            _ => quoted(json),
        },
        json => quoted(json),
    }
}

/// A field, in quotes if it is empty, which is not null, or has what ends fields or begins quotes.
fn quoted(text: &str) -> Cow<'_, str> {
    let special = |it: char| it.is_ascii_whitespace() || matches!(it, '"' | ',' | '(' | ')' | '\\');
    match text.is_empty() || text.contains(special) {
        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\"")).into(),
        false => text.into(),
    }
}

/// The members of a row in their order; of what is no object, one without a name.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn read(row: &'a RawValue) -> serde_json::Result<Self> {
        if !row.get().starts_with('{') {
            return Ok(Self(vec![("value".to_owned(), row)]));
        }
        let mut reader = serde_json::Deserializer::from_str(row.get());
        Self::deserialize(&mut reader)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(body: &str) -> String {
        String::from_utf8(from_rows(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn rows_become_lines() {
        assert_eq!(
            csv(r#"[{"k":"xyyx","n":1.50},{"k":null,"n":-2}]"#),
            "k,n\nxyyx,1.50\n,-2"
        );
        assert_eq!(csv("[]"), "");
        assert_eq!(csv("[3,4]"), "value\n3\n4");
    }

    #[test]
    fn what_could_be_misread_is_in_quotes() {
        assert_eq!(
            csv(r#"[{"a b":"x,y","c":"say \"hi\"","d":"","e":true,"f":[1, 2],"g":"two\nlines"}]"#),
            "\"a b\",c,d,e,f,g\n\"x,y\",\"say \"\"hi\"\"\",\"\",t,\"[1, 2]\",\"two\nlines\""
        );
    }
}
