//! `modified_since`: only the rows that were written since a state or a time.

use super::Query;
use crate::{
    catalog::{Allowed, Resource, oid},
    error::{Error, Kind, Result},
};
use std::sync::Arc;

/// The column that tells when a row was last updated where the configuration names none.
const CONVENTIONAL: &str = "updated_at";

/// A cursor is not shorter than this, and no word is as long.
const CURSOR_LENGTH_MIN: usize = 24;

/// Since when rows have to have been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Modified {
    /// Since the state of this cursor, which is not verified yet.
    Since(Arc<str>),
    /// Those of these keys were: a JSON array of arrays of texts, each a key's parts.
    Keys(Arc<str>),
    /// Since this time, by what this column says.
    At {
        /// Index into the resource's columns.
        column: usize,
        /// RFC 3339, with its offset.
        time: Arc<str>,
    },
}

impl Query {
    /// Whether the change log has to say which rows were written.
    pub(crate) fn asks_the_log(&self) -> bool {
        matches!(self.modified, Some(Modified::Since(_)))
    }
}

/// Reads the parameter's value.
///
/// # Errors
/// `QueryMalformed` for what is neither a cursor nor a time, and for a time where no column tells one;
/// `PermissionDenied` if the role may not read that column.
pub(super) fn read(allowed: &Allowed, text: &str) -> Result<Modified> {
    // A plus that was not percent-encoded has become a space.
    let time = text.replace(' ', "+");
    let time = match time.split_once('+') {
        // The space may also stand between day and time, as RFC 3339 allows.
        Some((day, rest)) if day.len() == 10 => format!("{day}T{rest}"),
        _ => time,
    };
    if is_time(&time) {
        let column = column(&allowed.resource)?;
        if !allowed.privileges.select.get(column).is_some_and(|it| *it) {
            return Err(Error::new(
                Kind::PermissionDenied,
                format!(
                    "The role may not read {:?} of {:?}, which tells when a row was updated.",
                    &*allowed.resource.columns[column].name, &*allowed.resource.name
                ),
            ));
        }
        return Ok(Modified::At {
            column,
            time: time.into(),
        });
    }
    let of_cursor = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.len() >= CURSOR_LENGTH_MIN && text.bytes().all(of_cursor) {
        return Ok(Modified::Since(text.into()));
    }
    Err(Error::new(
        Kind::QueryMalformed,
        "\"modified_since\" is neither a cursor nor a time as in RFC 3339.",
    )
    .with_hint("Give the Cursor of an earlier answer, or a time such as 2026-01-31T12:00:00Z."))
}

/// The column that tells when a row was last updated.
fn column(resource: &Resource) -> Result<usize> {
    let conventional = || {
        let mut columns = resource.columns.iter();
        columns.position(|it| &*it.name == CONVENTIONAL)
    };
    let is_time = |index: &usize| {
        let type_ = resource.columns[*index].type_.base();
        matches!(type_.oid, oid::TIMESTAMP | oid::TIMESTAMPTZ)
    };
    let column = resource.updated_at.or_else(conventional);
    column.filter(is_time).ok_or_else(|| {
        let detail = format!(
            "No column of {:?} tells when a row was updated.",
            &*resource.name
        );
        Error::new(Kind::QueryMalformed, detail).with_hint(
            "Give a cursor, or name a column of type timestamptz or timestamp in the configuration: \
             resources.<name>.updated_at.",
        )
    })
}

/// Whether a text is a date and a time with an offset (RFC 3339 section 5.6). Which days a month has,
/// PostgreSQL knows.
fn is_time(text: &str) -> bool {
    let number = |from: usize, to: usize| -> Option<u32> {
        let part = text.get(from..to)?;
        let digits = part.bytes().all(|it| it.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    let within = |from, to, range: std::ops::RangeInclusive<u32>| {
        number(from, to).is_some_and(|it| range.contains(&it))
    };
    let marks = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
    let is_moment = text.is_ascii()
        && marks
            .iter()
            .all(|(at, mark)| text.get(*at..*at + 1) == Some(mark))
        && matches!(text.get(10..11), Some("T" | "t"))
        && within(0, 4, 1..=9999)
        && within(5, 7, 1..=12)
        && within(8, 10, 1..=31)
        && within(11, 13, 0..=23)
        && within(14, 16, 0..=59)
        && within(17, 19, 0..=60);
    if !is_moment {
        return false;
    }
    let rest = &text[19..];
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|it: char| it.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
        None => rest,
    };
    let at = text.len() - offset.len();
    matches!(offset, "Z" | "z")
        || offset.len() == 6
            && offset.starts_with(['+', '-'])
            && offset.get(3..4) == Some(":")
            && within(at + 1, at + 3, 0..=23)
            && within(at + 4, at + 6, 0..=59)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        for good in [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:00.123456789z",
            "2026-12-31T23:59:60+05:30",
            "2026-02-30T00:00:00-23:59",
        ] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00Z",
            "2026-13-31T12:00:00Z",
            "2026-00-31T12:00:00Z",
            "2026-01-32T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+5:30",
            "2026-01-31T12:00:00+0530",
            "2026-01-31T12:00:00+24:00",
            "+026-01-31T12:00:00Z",
            "now",
            "2026-01-31T12:00:0\u{e9}Z",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
    }
}
