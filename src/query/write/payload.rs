//! Bodies of other types than JSON, as the JSON that they stand for.
//!
//! Knows nothing of columns: every value is a string, which PostgreSQL reads by its column's type.

use super::body::malformed;
use crate::error::{Error, Result};
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// A form of a web page, as it is sent in `application/x-www-form-urlencoded`.
    Form,
}

/// A body as JSON: a table becomes an array of objects, a form one object.
///
/// # Errors
/// `BodyMalformed`.
pub fn to_json(format: Format, body: &[u8]) -> Result<Cow<'_, [u8]>> {
    match format {
        Format::Json => Ok(Cow::Borrowed(body)),
        Format::Csv => table(body).map(Cow::Owned),
        Format::Form => form(body).map(Cow::Owned),
    }
}

/// A field of a table that stands for the null, PostgREST's word.
const NULL: &str = "NULL";

fn table(body: &[u8]) -> Result<Vec<u8>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(body);
    let names = reader.headers().map_err(not_a_table)?.clone();
    let names: Vec<String> = names.iter().map(quoted).collect();
    let mut json = Vec::with_capacity(body.len() * 2);
    json.push(b'[');
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(not_a_table)? {
        json.extend_from_slice(if json.len() > 1 { b",{" } else { b"{" });
        for (place, (name, field)) in names.iter().zip(&record).enumerate() {
            if place > 0 {
                json.push(b',');
            }
            json.extend_from_slice(name.as_bytes());
            json.push(b':');
            let value = match field {
                NULL => Cow::Borrowed("null"),
                field => Cow::Owned(quoted(field)),
            };
            json.extend_from_slice(value.as_bytes());
        }
        json.push(b'}');
    }
    json.push(b']');
    Ok(json)
}

fn not_a_table(error: csv::Error) -> Error {
    let detail = match error.kind() {
        csv::ErrorKind::UnequalLengths { .. } => "All lines must have same number of fields",
        csv::ErrorKind::Utf8 { .. } => "The body is not UTF-8.",
        _ => "The body is no table of comma-separated values.",
    };
    malformed(detail).with_source(error)
}

fn form(body: &[u8]) -> Result<Vec<u8>> {
    let mut json = vec![b'{'];
    for pair in body.split(|byte| *byte == b'&').filter(|it| !it.is_empty()) {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let mut part = || decoded(parts.next().unwrap_or_default());
        let (name, value) = (part()?, part()?);
        if json.len() > 1 {
            json.push(b',');
        }
        json.extend_from_slice(quoted(&name).as_bytes());
        json.push(b':');
        json.extend_from_slice(quoted(&value).as_bytes());
    }
    json.push(b'}');
    Ok(json)
}

/// A name or a value of a form, in which a plus is a space.
fn decoded(text: &[u8]) -> Result<String> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let decoded = percent_decode(&spaced).decode_utf8();
    match decoded {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(malformed("The body is not percent-encoded UTF-8.")),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(format: Format, body: &str, json: &str) {
        let bytes = to_json(format, body.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), json, "{body}");
    }

    #[test]
    fn tables_become_arrays_of_objects() {
        becomes(
            Format::Csv,
            "a,b\r\n1,\"x, \"\"y\"\"\nz\"\nNULL,\n",
            r#"[{"a":"1","b":"x, \"y\"\nz"},{"a":null,"b":""}]"#,
        );
        becomes(Format::Csv, "a,b\n", "[]");
        becomes(Format::Csv, "\"a\"\"\\\"\n1", r#"[{"a\"\\":"1"}]"#);
        let error = to_json(Format::Csv, b"a,b\nfoo,bar\nbaz").unwrap_err();
        assert_eq!(error.detail(), "All lines must have same number of fields");
        assert!(to_json(Format::Csv, b"a\n\xff").is_err());
    }

    #[test]
    fn forms_become_objects() {
        becomes(
            Format::Form,
            "a=x+y%26&b=%C3%A9=&c&",
            r#"{"a":"x y&","b":"é=","c":""}"#,
        );
        becomes(Format::Form, "", "{}");
        assert!(to_json(Format::Form, b"a=%ff").is_err());
    }

    #[test]
    fn json_stays_as_it_is() {
        becomes(Format::Json, " {\"a\" : 1.0}", " {\"a\" : 1.0}");
    }
}
