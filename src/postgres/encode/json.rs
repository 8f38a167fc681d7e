//! `json` and `jsonb`, copied. Reads no JSON: PostgreSQL has checked it.

use bytes::BytesMut;

use super::{
    reader::{Encoded, Malformed},
    text::utf8,
};

/// The value as it was stored, with line breaks and tabs as spaces: PostgreSQL allows them between
/// tokens only, where one white space is as good as another.
pub(super) fn json(value: &[u8], out: &mut BytesMut) -> Encoded {
    utf8(value)?;
    let mut rest = value;
    while let Some(at) = memchr::memchr3(b'\n', b'\r', b'\t', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b" ");
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// A version byte, then text that PostgreSQL has written itself, on one line.
pub(super) fn jsonb(value: &[u8], out: &mut BytesMut) -> Encoded {
    let Some((1, text)) = value.split_first() else {
        return Err(Malformed("jsonb"));
    };
    utf8(text)?;
    out.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_become_spaces_and_the_rest_stays() {
        let mut out = BytesMut::new();
        json(b"{\r\n\t\"a\": \"x\\n\\u0009\" ,\n \"a\":1.50}\n", &mut out).unwrap();
        assert_eq!(&out[..], br#"{   "a": "x\n\u0009" ,  "a":1.50} "#);
    }

    #[test]
    fn jsonb_has_a_version() {
        let mut out = BytesMut::new();
        jsonb(b"\x01{\"a\": 1}", &mut out).unwrap();
        assert_eq!(&out[..], br#"{"a": 1}"#);
        assert_eq!(jsonb(b"\x02{}", &mut out), Err(Malformed("jsonb")));
        assert_eq!(jsonb(b"", &mut out), Err(Malformed("jsonb")));
    }
}
