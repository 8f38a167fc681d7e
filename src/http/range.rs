//! Which rows of a list are asked for and answered, by their numbers: `Range`, `Content-Range`, and the
//! status that follows from them, by PostgREST's rules.

use super::head::Head;
use crate::{
    error::{Error, Kind, Result},
    query::Range,
};
use http::{Method, StatusCode, header::RANGE};

/// The range that a GET asks for. What is no range of rows is passed over (RFC 9110 section 14.2).
pub(super) fn asked(head: &Head) -> Option<Range> {
    if head.method != Method::GET {
        return None;
    }
    let text = head.headers.get(RANGE)?.to_str().ok()?.trim();
    let text = text.strip_prefix("items=").unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    let last = match last {
        "" => None,
        last => Some(number(last)?),
    };
    Some(Range {
        first: number(first)?,
        last,
    })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The status of a list, and its `Content-Range`: `rows` rows from number `first` on, of `count` if
/// they were counted.
pub(super) fn answered(first: u64, rows: u64, count: Option<u64>) -> (StatusCode, String) {
    let total = count.map_or_else(|| "*".to_owned(), |it| it.to_string());
    let part = match rows > 0 && count != Some(0) {
        true => format!("{first}-{}", first + rows - 1),
        false => "*".to_owned(),
    };
    let status = match count {
        Some(count) if first > count => StatusCode::RANGE_NOT_SATISFIABLE,
        Some(count) if rows < count => StatusCode::PARTIAL_CONTENT,
        _ => StatusCode::OK,
    };
    (status, format!("{part}/{total}"))
}

/// The refusal of a list that begins behind its last row.
pub(super) fn beyond(first: u64, count: u64) -> Error {
    let details = format!("An offset of {first} was requested, but there are only {count} rows.");
    Error::new(Kind::RangeInvalid, details.clone())
        .with_message("Requested range not satisfiable")
        .with_details(details)
}

/// Refuses a range that cannot be followed.
///
/// # Errors
/// As [`crate::query::Query::within`].
pub(super) fn narrow(query: &mut crate::query::Query, head: &Head) -> Result<()> {
    match asked(head) {
        Some(range) => query.within(range),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn ranges_are_read() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(text));
            asked(&Head::of_get(headers))
        };
        let range = |first, last| Some(Range { first, last });
        assert_eq!(read("0-24"), range(0, Some(24)));
        assert_eq!(read("items=5-"), range(5, None));
        for text in ["bytes=0-9", "-5", "a-b", "1", "+1-2"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn parts_of_what_is_counted_are_partial() {
        for (first, rows, count, status, range) in [
            (0, 15, None, 200, "0-14/*"),
            (0, 0, None, 200, "*/*"),
            (0, 0, Some(0), 200, "*/0"),
            (0, 2, Some(4), 206, "0-1/4"),
            (3, 1, Some(4), 206, "3-3/4"),
            (0, 4, Some(4), 200, "0-3/4"),
            (50, 0, Some(4), 416, "*/4"),
            (4, 0, Some(4), 206, "*/4"),
        ] {
            let (found, text) = answered(first, rows, count);
            assert_eq!((found.as_u16(), text.as_str()), (status, range));
        }
    }
}
