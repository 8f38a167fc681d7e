//! Ranges and multiranges: their text (`range_deparse`) in a JSON string.

use bytes::BytesMut;

use super::{
    numbers, numeric,
    reader::{Encoded, Malformed, Reader},
    time::{self, Text},
};

/// What a range's bounds are. Each one's text is free of anything that a range or JSON would escape,
/// but for the space inside a time stamp or before `BC`, for which a range quotes a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Int4,
    Int8,
    Float8,
    Numeric,
    Date,
    Time,
    Timestamp,
    TimestampTz,
}

/// A range, quoted.
pub(super) fn range(bound: Bound, value: &[u8], out: &mut BytesMut) -> Encoded {
    out.extend_from_slice(b"\"");
    range_text(bound, value, out)?;
    out.extend_from_slice(b"\"");
    Ok(())
}

/// The number of ranges, then each with its length (`multirange_send`).
pub(super) fn multirange(bound: Bound, value: &[u8], out: &mut BytesMut) -> Encoded {
    let mut reader = Reader::new(value, "multirange");
    out.extend_from_slice(b"\"{");
    for index in 0..reader.i32()? {
        if index > 0 {
            out.extend_from_slice(b",");
        }
        let range = reader.value()?.ok_or(Malformed("multirange"))?;
        range_text(bound, range, out)?;
    }
    out.extend_from_slice(b"}\"");
    reader.end()
}

/// The flags of `rangetypes.h`.
const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

/// A byte of flags, then the bounds that are finite, each with its length (`range_send`).
fn range_text(bound: Bound, value: &[u8], out: &mut BytesMut) -> Encoded {
    let mut reader = Reader::new(value, "range");
    let flags = reader.u8()?;
    if flags & EMPTY != 0 {
        out.extend_from_slice(b"empty");
        return reader.end();
    }
    let has = |flag| flags & flag != 0;
    out.extend_from_slice(if has(LOWER_INCLUSIVE) { b"[" } else { b"(" });
    if !has(LOWER_INFINITE) {
        bound.write(reader.value()?.ok_or(Malformed("range"))?, out)?;
    }
    out.extend_from_slice(b",");
    if !has(UPPER_INFINITE) {
        bound.write(reader.value()?.ok_or(Malformed("range"))?, out)?;
    }
    out.extend_from_slice(if has(UPPER_INCLUSIVE) { b"]" } else { b")" });
    reader.end()
}

impl Bound {
    fn write(self, value: &[u8], out: &mut BytesMut) -> Encoded {
        match self {
            Self::Int4 => numbers::int4(value, out)?,
            Self::Int8 => numbers::int8(value, out)?,
            Self::Float8 => numbers::float8_text(value, out)?,
            Self::Numeric => numeric::numeric_text(value, out)?,
            Self::Date => spaced(&time::date_text(value)?, out),
            Self::Time => spaced(&time::time_text(value)?, out),
            Self::Timestamp => spaced(&time::timestamp_text(value, false)?, out),
            Self::TimestampTz => spaced(&time::timestamp_text(value, true)?, out),
        }
        Ok(())
    }
}

/// A text that the range quotes if there is a space in it; the quotes are escaped for JSON.
fn spaced(text: &Text, out: &mut BytesMut) {
    let quote: &[u8] = if text.as_bytes().contains(&b' ') {
        b"\\\""
    } else {
        b""
    };
    out.extend_from_slice(quote);
    text.write(out);
    out.extend_from_slice(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(bound: Bound, value: &[u8]) -> Result<String, Malformed> {
        let mut out = BytesMut::new();
        range(bound, value, &mut out)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    fn with_bounds(flags: u8, bounds: &[&[u8]]) -> Vec<u8> {
        let mut value = vec![flags];
        for bound in bounds {
            value.extend_from_slice(&(bound.len() as i32).to_be_bytes());
            value.extend_from_slice(bound);
        }
        value
    }

    #[test]
    fn bounds_and_their_absence() {
        let (one, nine) = (1i32.to_be_bytes(), 9i32.to_be_bytes());
        let both = with_bounds(LOWER_INCLUSIVE, &[&one, &nine]);
        assert_eq!(encode(Bound::Int4, &both).as_deref(), Ok(r#""[1,9)""#));
        let lower = with_bounds(UPPER_INFINITE, &[&one]);
        assert_eq!(encode(Bound::Int4, &lower).as_deref(), Ok(r#""(1,)""#));
        let none = [LOWER_INFINITE | UPPER_INFINITE];
        assert_eq!(encode(Bound::Int4, &none).as_deref(), Ok(r#""(,)""#));
        assert_eq!(encode(Bound::Int4, &[EMPTY]).as_deref(), Ok(r#""empty""#));
    }

    #[test]
    fn a_space_is_quoted_and_the_quote_escaped() {
        let value = with_bounds(UPPER_INFINITE | LOWER_INCLUSIVE, &[&0i64.to_be_bytes()]);
        assert_eq!(
            encode(Bound::TimestampTz, &value).as_deref(),
            Ok(r#""[\"2000-01-01 00:00:00+00\",)""#)
        );
        let date = with_bounds(UPPER_INFINITE, &[&(-730_120i32).to_be_bytes()]);
        assert_eq!(
            encode(Bound::Date, &date).as_deref(),
            Ok(r#""(\"0001-12-31 BC\",)""#)
        );
    }

    #[test]
    fn multiranges_list_their_ranges() {
        let mut out = BytesMut::new();
        multirange(Bound::Int4, &[0, 0, 0, 0], &mut out).unwrap();
        let unbounded = LOWER_INFINITE | UPPER_INFINITE;
        multirange(Bound::Int4, &[0, 0, 0, 1, 0, 0, 0, 1, unbounded], &mut out).unwrap();
        assert_eq!(&out[..], br#""{}""{(,)}""#);
        assert!(multirange(Bound::Int4, &[0, 0, 0, 2, 0, 0, 0, 1, 1], &mut out).is_err());
        assert!(multirange(Bound::Int4, &[0, 0, 0, 0, 0], &mut out).is_err());
    }

    #[test]
    fn malformed_ranges_are_refused() {
        for value in [
            &[][..],
            &[0],
            &[EMPTY, 0],
            &[UPPER_INFINITE, 255, 255, 255, 255],
        ] {
            assert!(encode(Bound::Int4, value).is_err());
        }
    }
}
