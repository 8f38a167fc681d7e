//! Which texts a type can take: the dispatch from a type to what is known of its input syntax, and
//! the types whose syntax is a line or two.

use serde::de::IgnoredAny;

use super::{array, number, time};
use crate::{
    catalog::{ColumnType, TypeKind, oid},
    error::{Error, Kind},
    query::scanner::excerpt,
};

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be read as its type.
    Syntax,
    /// It can, but the type does not reach that far.
    Range,
    /// It holds the character that no text of PostgreSQL's can hold.
    Nul,
    /// JSON that is no array, for a column that is one.
    NotAnArray,
    /// Arrays inside an array whose lengths differ.
    Ragged,
}

pub(super) type Checked = Result<(), Fault>;

impl Fault {
    /// For the caller. Our own detail does not repeat the value, since problem documents get logged;
    /// the message does, as PostgreSQL's own would.
    pub(super) fn error(self, column: &str, type_: &ColumnType, text: &str) -> Error {
        let name = &type_.name;
        let (code, message) = self.as_postgresql(type_.base(), &excerpt(text));
        Error::new(
            Kind::ValueInvalid,
            match self {
                Self::Syntax => format!("The value for `{column}` cannot be read as {name}."),
                Self::Range => format!("The value for `{column}` is out of range for {name}."),
                Self::Nul => format!("The value for `{column}` contains the character U+0000."),
                Self::NotAnArray => format!("`{column}` takes a JSON array ({name})."),
                Self::Ragged => {
                    format!("The arrays inside the value for `{column}` differ in length.")
                }
            },
        )
        .with_code(code)
        .with_message(message)
    }

    /// The SQLSTATE and the message with which PostgreSQL refuses the same (its input functions).
    fn as_postgresql(self, type_: &ColumnType, text: &str) -> (&'static str, String) {
        let name = &type_.name;
        let is_time = matches!(
            type_.oid,
            oid::DATE | oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL
        );
        match (self, &type_.kind) {
            (Self::NotAnArray | Self::Ragged, _) | (Self::Syntax, TypeKind::Array(_)) => {
                ("22P02", format!("malformed array literal: \"{text}\""))
            }
            (Self::Syntax, TypeKind::Range(_)) => {
                ("22P02", format!("malformed range literal: \"{text}\""))
            }
            (Self::Syntax, TypeKind::Multirange(_)) => {
                ("22P02", format!("malformed multirange literal: \"{text}\""))
            }
            (Self::Syntax, _) if matches!(type_.oid, oid::JSON | oid::JSONB) => {
                ("22P02", "invalid input syntax for type json".to_owned())
            }
            (Self::Syntax, _) => (
                if is_time { "22007" } else { "22P02" },
                format!("invalid input syntax for type {name}: \"{text}\""),
            ),
            (Self::Range, _) if is_time => (
                "22008",
                format!("date/time field value out of range: \"{text}\""),
            ),
            (Self::Range, _) => (
                "22003",
                format!("value \"{text}\" is out of range for type {name}"),
            ),
            (Self::Nul, _) => ("22P05", "unsupported Unicode escape sequence".to_owned()),
        }
    }

    pub(super) fn unless(holds: bool) -> Checked {
        if holds { Ok(()) } else { Err(Self::Syntax) }
    }
}

/// Checks a text against a type, as far as the type is known.
pub(super) fn text(type_: &ColumnType, text: &str) -> Checked {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(Fault::Nul);
    }
    match &type_.kind {
        TypeKind::Domain(inner) => self::text(inner, text),
        TypeKind::Array(element) => array::check(element, text),
        TypeKind::Range(_) => Fault::unless(
            trimmed(text).eq_ignore_ascii_case("empty")
                || is_enclosed(text, &['[', '('], &[']', ')']),
        ),
        TypeKind::Multirange(_) => Fault::unless(is_enclosed(text, &['{'], &['}'])),
        TypeKind::Base => base(type_.oid, text),
        TypeKind::Enum(_) | TypeKind::Other => Ok(()),
    }
}

/// What PostgreSQL skips around most values (`isspace` in the C locale).
pub(super) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// Without the white space around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn base(type_: u32, text: &str) -> Checked {
    match type_ {
        oid::INT2 => number::integer(text, i16::MIN.into(), i16::MAX.into()),
        oid::INT4 => number::integer(text, i32::MIN.into(), i32::MAX.into()),
        oid::INT8 => number::integer(text, i64::MIN.into(), i64::MAX.into()),
        // Negative object identifiers wrap around.
        oid::OID => number::integer(text, i32::MIN.into(), u32::MAX.into()),
        oid::FLOAT4 => number::float(text, |it| it.parse::<f32>().ok().map(f64::from)),
        oid::FLOAT8 => number::float(text, |it| it.parse().ok()),
        oid::NUMERIC => number::numeric(text),
        oid::BOOL => Fault::unless(is_bool(text)),
        oid::UUID => Fault::unless(is_uuid(text)),
        oid::BYTEA => Fault::unless(is_bytea(text.as_bytes())),
        oid::JSON => json(text),
        oid::JSONB => {
            json(text)?;
            if has_escaped_nul(text.as_bytes()) {
                return Err(Fault::Nul);
            }
            Ok(())
        }
        oid::DATE => time::date(text),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => time::timestamp(text),
        oid::TIME | oid::TIMETZ => time::time(text),
        oid::INTERVAL => time::interval(text),
        oid::INET | oid::CIDR => consists_of(text, ":./"),
        oid::MACADDR | oid::MACADDR8 => consists_of(text, ":.-"),
        oid::PG_LSN => consists_of(text, "/"),
        _ => Ok(()),
    }
}

/// Prefixes of the words that are no other's (PostgreSQL manual, "Boolean Type").
fn is_bool(text: &str) -> bool {
    let text = trimmed(text).to_ascii_lowercase();
    match text.as_str() {
        "" | "o" => false,
        "1" | "0" => true,
        _ => ["true", "false", "yes", "no", "on", "off"]
            .iter()
            .any(|word| word.starts_with(&text)),
    }
}

/// 32 hexadecimal digits, hyphens after any group of four, braces around all of it.
fn is_uuid(text: &str) -> bool {
    let digits = match text.strip_prefix('{') {
        Some(text) => match text.strip_suffix('}') {
            Some(text) => text,
            None => return false,
        },
        None => text,
    };
    let mut count = 0;
    let mut after_hyphen = false;
    for byte in digits.bytes() {
        match byte {
            b'-' if count % 4 == 0 && count > 0 && count < 32 && !after_hyphen => {
                after_hyphen = true;
            }
            _ if byte.is_ascii_hexdigit() => {
                count += 1;
                after_hyphen = false;
            }
            _ => return false,
        }
    }
    count == 32
}

/// Both input formats (PostgreSQL manual, "Binary Data Types").
fn is_bytea(text: &[u8]) -> bool {
    if let Some(hex) = text.strip_prefix(b"\\x") {
        let mut rest = hex;
        loop {
            rest = match rest {
                [] => return true,
                [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] => rest,
                [high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    rest
                }
                _ => return false,
            };
        }
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        rest = match &rest[at + 1..] {
            [b'\\', rest @ ..] => rest,
            [b'0'..=b'3', b'0'..=b'7', b'0'..=b'7', rest @ ..] => rest,
            _ => return false,
        };
    }
    true
}

fn json(text: &str) -> Checked {
    Fault::unless(serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Whether JSON holds the escape of the one character that `jsonb` refuses: six characters whose
/// backslash is not itself escaped.
fn has_escaped_nul(json: &[u8]) -> bool {
    memchr::memmem::find_iter(json, b"\\u0000").any(|at| {
        let backslashes = json[..at]
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        backslashes % 2 == 0
    })
}

/// Hexadecimal digits and some punctuation; at least one digit.
fn consists_of(text: &str, punctuation: &str) -> Checked {
    let text = trimmed(text);
    Fault::unless(
        text.contains(|it: char| it.is_ascii_hexdigit() || it == ':')
            && text
                .chars()
                .all(|it| it.is_ascii_hexdigit() || punctuation.contains(it)),
    )
}

fn is_enclosed(text: &str, open: &[char], close: &[char]) -> bool {
    let text = trimmed(text);
    text.len() >= 2 && text.starts_with(open) && text.ends_with(close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans() {
        for good in ["t", "TRUE", " fal ", "y", "no", "on", "of", "OFF", "1", "0"] {
            assert!(is_bool(good), "{good}");
        }
        for bad in ["", "o", "2", "tru e", "truely", "10", "ja"] {
            assert!(!is_bool(bad), "{bad}");
        }
    }

    #[test]
    fn uuids() {
        for good in [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            assert!(is_uuid(good), "{good}");
        }
        for bad in [
            "",
            "7",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
            "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
            "-a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380ag1",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }

    #[test]
    fn bytes() {
        for good in [
            &b""[..],
            b"\\x",
            b"\\x00fF",
            b"\\x00 ff\n1a",
            b"abc",
            b"a\\\\b\\000\\377",
        ] {
            assert!(is_bytea(good), "{good:?}");
        }
        for bad in [&b"\\x0"[..], b"\\xgg", b"\\", b"\\400", b"\\08", b"a\\b"] {
            assert!(!is_bytea(bad), "{bad:?}");
        }
    }

    #[test]
    fn json_texts() {
        for good in ["1", " {\"a\": [null]} \n", "\"\\ud800\"", "-0", "1e400"] {
            assert_eq!(json(good), Ok(()), "{good}");
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(json(&deep), Ok(()));
        for bad in ["", "{", "{a: 1}", "01", "[1,]", "1 2", "\"\n\"", "NaN"] {
            assert_eq!(json(bad), Err(Fault::Syntax), "{bad}");
        }
        assert!(has_escaped_nul(br#""\u0000""#));
        assert!(has_escaped_nul(br#""\\\u0000""#));
        assert!(!has_escaped_nul(br#""\\u0000 \u0001""#));
    }

    #[test]
    fn addresses() {
        assert!(consists_of("::1/64", ":./").is_ok());
        assert!(consists_of("::", ":./").is_ok());
        assert!(consists_of("localhost", ":./").is_err());
        assert!(consists_of("", ":./").is_err());
    }
}
