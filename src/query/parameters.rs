//! The query string as decoded parameters, in the order in which they came.
//!
//! The encoding is that of HTML forms (WHATWG URL, "application/x-www-form-urlencoded"), but strict:
//! what is not decodable is refused. Knows nothing of what parameters mean.

use crate::error::{Error, Kind, Result};
use percent_encoding::percent_decode_str;

/// How many parameters one query may have.
const PARAMETERS_MAX: usize = 256;

/// One `name=value`, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: String,
}

/// Decodes a query string, without its `?`.
pub(super) fn read(query_string: &str) -> Result<Vec<Parameter>> {
    let mut parameters = Vec::new();
    for pair in query_string.split('&').filter(|it| !it.is_empty()) {
        if parameters.len() == PARAMETERS_MAX {
            return Err(malformed(format!(
                "A query has at most {PARAMETERS_MAX} parameters."
            )));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.push(Parameter {
            name: decode(name)?,
            value: decode(value)?,
        });
    }
    Ok(parameters)
}

/// Decodes one name or value of a query string.
fn decode(text: &str) -> Result<String> {
    decode_segment(&text.replace('+', " "))
}

/// Decodes a segment of a path, in which a plus is a plus (RFC 3986 section 2.1).
pub(super) fn decode_segment(text: &str) -> Result<String> {
    let bytes = text.as_bytes();
    for (index, _) in text.match_indices('%') {
        let digits = bytes.get(index + 1..index + 3).unwrap_or_default();
        if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(malformed("A % is not followed by two hexadecimal digits."));
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| malformed("The URL is not UTF-8."))?;
    if decoded.contains('\0') {
        return Err(malformed("The URL contains a NUL character."));
    }
    Ok(decoded.into_owned())
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::QueryMalformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let read = |text| {
            let parameters = read(text).expect("well formed").into_iter();
            parameters.map(|it| (it.name, it.value)).collect::<Vec<_>>()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("a=1&&b+c=%C3%A4+%2B&d&e=f=g&"),
            [
                pair("a", "1"),
                pair("b c", "ä +"),
                pair("d", ""),
                pair("e", "f=g")
            ]
        );
        assert_eq!(decode_segment("a+b%2C").expect("well formed"), "a+b,");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for text in ["a=%", "a=%4", "%zz=1", "a=%+1", "a=%ff", "a=%00"] {
            assert_eq!(
                read(text).expect_err(text).kind(),
                Kind::QueryMalformed,
                "{text}"
            );
        }
        let many = "a=1&".repeat(PARAMETERS_MAX + 1);
        assert!(read(&many).is_err());
    }
}
