//! A body as JSON objects whose values are left as the text that they came as.
//!
//! Knows nothing of columns. A name that stands twice in one object is refused: which of the two
//! values counts would be for each reader to decide, and several read it.

use crate::error::{Error, Kind, Result};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// What a body holds.
pub(super) enum Body<'a> {
    /// One object.
    One(Object<'a>),
    /// An array of them.
    Many(Vec<Object<'a>>),
}

/// A JSON object, in the order of the text.
#[derive(Debug)]
pub(super) struct Object<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'a> Body<'a> {
    /// Reads an object or an array of objects.
    pub(super) fn read(body: &'a [u8]) -> Result<Self> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            Some(b'{') => Ok(Self::One(parse(body)?)),
            Some(b'[') => Ok(Self::Many(parse(body)?)),
            Some(_) => Err(unreadable(
                "The body is neither a JSON object nor an array of them.",
            )),
            None => Err(unreadable("The body is empty; a JSON object is expected.")),
        }
    }
}

impl<'a> Object<'a> {
    /// Reads one object, or an array of one.
    pub(super) fn read(body: &'a [u8]) -> Result<Self> {
        match Body::read(body)? {
            Body::One(object) => Ok(object),
            Body::Many(mut objects) if objects.len() == 1 => Ok(objects.remove(0)),
            Body::Many(_) => Err(malformed("The body is an array; an object is expected.")),
        }
    }

    /// Reads one object as PostgREST does: of an array the first, and from an empty one nothing.
    pub(super) fn read_first(body: &'a [u8]) -> Result<Self> {
        match Body::read(body)? {
            Body::One(object) => Ok(object),
            Body::Many(objects) => Ok(objects.into_iter().next().unwrap_or(Self(Vec::new()))),
        }
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// The most columns that a table of PostgreSQL's can have. Whoever sends more names keeps us busy.
const COLUMNS_MAX: usize = 1_600;

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, &'de RawValue)> = Vec::new();
        while let Some(member) = map.next_entry()? {
            if members.len() == COLUMNS_MAX {
                return Err(de::Error::custom(
                    "an object has more names than a table columns",
                ));
            }
            members.push(member);
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(de::Error::custom("a name stands twice in one object"));
        }
        Ok(Object(members))
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = format!("The body is not read: {error}.");
        match error.classify() {
            // JSON, but not of objects only.
            serde_json::error::Category::Data => {
                malformed(detail).with_message("All object keys must match")
            }
            _ => unreadable(detail),
        }
    })
}

/// A body that is no JSON, in the words of PostgREST.
fn unreadable(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    malformed(detail).with_message("Empty or invalid json")
}

pub(super) fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::BodyMalformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_order_and_text() {
        let Body::One(Object(members)) =
            Body::read(br#" {"b": 1.50, "a": {"x" : [1]}, "\u0063": null} "#).expect("an object")
        else {
            panic!("an object");
        };
        let members: Vec<(&str, &str)> = members
            .iter()
            .map(|(name, value)| (name.as_str(), value.get()))
            .collect();
        assert_eq!(
            members,
            [("b", "1.50"), ("a", r#"{"x" : [1]}"#), ("c", "null")]
        );
        assert!(matches!(Body::read(b"[{},{}]"), Ok(Body::Many(many)) if many.len() == 2));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in [
            "",
            "  ",
            "1",
            "null",
            "\"a\"",
            "{",
            "[1]",
            "[{}",
            "{}{}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"\\u0061\":1}",
            "{a:1}",
            "{\"a\":NaN}",
            "\u{feff}{}",
        ] {
            let error = Body::read(body.as_bytes()).err().expect(body);
            assert_eq!(error.kind(), Kind::BodyMalformed, "{body}");
        }
        assert!(Body::read(b"{\"a\":\"\xff\"}").is_err());
        assert!(Object::read(b"[]").is_err() && Object::read(b"[{},{}]").is_err());
        assert_eq!(Object::read(b"[{}]").map(|it| it.0.len()).ok(), Some(0));
        assert_eq!(
            Object::read_first(b"[{\"a\":1},{}]")
                .map(|it| it.0.len())
                .ok(),
            Some(1)
        );
        assert_eq!(Object::read_first(b"[]").map(|it| it.0.len()).ok(), Some(0));
        let many: Vec<String> = (0..=COLUMNS_MAX).map(|it| format!("\"{it}\":1")).collect();
        assert!(Object::read(format!("{{{}}}", many.join(",")).as_bytes()).is_err());
    }
}
