//! Strings and what PostgreSQL prints as one: text, `"char"`, uuid, bytea, bit strings. The escaping
//! is that of PostgreSQL's `escape_json`.

use bytes::BytesMut;

use super::reader::{Encoded, Malformed, Reader, Short, fixed};

/// A text of any length, quoted and escaped.
///
/// PostgreSQL checks the encoding of what it stores, except in databases of the encoding
/// `SQL_ASCII`; one invalid byte would make a whole frame unreadable, so it is checked again.
#[inline]
pub(super) fn quoted(text: &[u8], out: &mut BytesMut) -> Encoded {
    utf8(text)?;
    escaped(text, out);
    Ok(())
}

/// A text that is known to be UTF-8.
pub(super) fn quoted_str(text: &str, out: &mut BytesMut) {
    escaped(text.as_bytes(), out);
}

/// Holds a text to UTF-8; plain ASCII is found quickly.
#[inline]
pub(super) fn utf8(text: &[u8]) -> Encoded {
    if text.is_ascii() || std::str::from_utf8(text).is_ok() {
        Ok(())
    } else {
        Err(Malformed("a text is not UTF-8"))
    }
}

/// One byte, empty when it is zero (PostgreSQL's `charout`).
pub(super) fn char(value: &[u8], out: &mut BytesMut) -> Encoded {
    let [byte] = fixed(value, "\"char\"")?;
    match byte {
        0 => out.extend_from_slice(b"\"\""),
        1..=127 => escaped(&[byte], out),
        _ => {
            let octal = [
                b'0' + (byte >> 6),
                b'0' + (byte >> 3 & 7),
                b'0' + (byte & 7),
            ];
            out.extend_from_slice(b"\"\\\\");
            out.extend_from_slice(&octal);
            out.extend_from_slice(b"\"");
        }
    }
    Ok(())
}

/// The usual form, in lower case.
pub(super) fn uuid(value: &[u8], out: &mut BytesMut) -> Encoded {
    let bytes: [u8; 16] = fixed(value, "uuid")?;
    let mut text = [b'"'; 38];
    uuid::Uuid::from_bytes(bytes)
        .as_hyphenated()
        .encode_lower(&mut text[1..37]);
    out.extend_from_slice(&text);
    Ok(())
}

/// `\x` and hexadecimal digits; the backslash is escaped.
pub(super) fn bytea(value: &[u8], out: &mut BytesMut) -> Encoded {
    out.reserve(value.len() * 2 + 5);
    out.extend_from_slice(b"\"\\\\x");
    // Through the stack, so that the buffer's bounds are checked once per 32 bytes.
    for chunk in value.chunks(32) {
        let mut hex = Short::<64>::new();
        for byte in chunk {
            hex.byte(HEX[usize::from(byte >> 4)]);
            hex.byte(HEX[usize::from(byte & 15)]);
        }
        hex.write(out);
    }
    out.extend_from_slice(b"\"");
    Ok(())
}

/// A bit string: its number of bits, then the bits, the first one highest.
pub(super) fn bits(value: &[u8], out: &mut BytesMut) -> Encoded {
    let mut reader = Reader::new(value, "bit");
    let count = usize::try_from(reader.i32()?).map_err(|_| reader.malformed())?;
    let bytes = reader.rest();
    if bytes.len() != count.div_ceil(8) {
        return Err(Malformed("bit"));
    }
    out.reserve(count + 2);
    out.extend_from_slice(b"\"");
    for index in 0..count {
        let bit = bytes[index / 8] >> (7 - index % 8) & 1;
        out.extend_from_slice(&[b'0' + bit]);
    }
    out.extend_from_slice(b"\"");
    Ok(())
}

static HEX: &[u8; 16] = b"0123456789abcdef";

fn escaped(text: &[u8], out: &mut BytesMut) {
    out.reserve(text.len() + 2);
    out.extend_from_slice(b"\"");
    let mut rest = text;
    loop {
        let clean = clean_length(rest);
        out.extend_from_slice(&rest[..clean]);
        let Some(byte) = rest.get(clean) else { break };
        escape(*byte, out);
        rest = &rest[clean + 1..];
    }
    out.extend_from_slice(b"\"");
}

fn escape(byte: u8, out: &mut BytesMut) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        8 => out.extend_from_slice(b"\\b"),
        12 => out.extend_from_slice(b"\\f"),
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    }
}

/// How many bytes at the front need no escape. Three strides, because most texts are a word and
/// some are a page: 32 bytes compared at once by vector instructions, 8 in one integer, single ones.
#[inline]
fn clean_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text[at..].first_chunk::<32>() {
        if chunk
            .iter()
            .fold(false, |found, &byte| found | needs_escape(byte))
        {
            break;
        }
        at += 32;
    }
    while let Some(chunk) = text[at..].first_chunk::<8>() {
        let found = escapes_among(u64::from_le_bytes(*chunk));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + text[at..]
        .iter()
        .position(|&byte| needs_escape(byte))
        .unwrap_or(text.len() - at)
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Eight bytes at once: the lowest bit set is the highest bit of the first byte that needs an escape
/// (higher ones may be wrong, since a subtraction borrows upwards).
#[inline]
fn escapes_among(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let equals = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equals(b'"') | equals(b'\\')) & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(encode: fn(&[u8], &mut BytesMut) -> Encoded, value: &[u8]) -> String {
        let mut out = BytesMut::new();
        encode(value, &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn escapes_as_postgresql_does() {
        assert_eq!(text(quoted, b""), r#""""#);
        assert_eq!(
            text(quoted, b"\x00\x08\x09\x0a\x0b\x0c\x0d\x1f\x20\x7f\"\\/"),
            "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f \x7f\\\"\\\\/\""
        );
        assert_eq!(text(quoted, "é\u{2028}🦀".as_bytes()), "\"é\u{2028}🦀\"");
    }

    #[test]
    fn invalid_utf8_is_refused() {
        let mut out = BytesMut::new();
        assert!(quoted(b"abc\xff", &mut out).is_err());
        assert!(out.is_empty());
    }

    #[test]
    fn single_bytes() {
        assert_eq!(text(char, &[0]), r#""""#);
        assert_eq!(text(char, b"x"), r#""x""#);
        assert_eq!(text(char, b"\""), r#""\"""#);
        assert_eq!(text(char, &[0o303]), r#""\\303""#);
        assert!(char(b"ab", &mut BytesMut::new()).is_err());
    }

    #[test]
    fn uuids_bytes_and_bits() {
        assert_eq!(
            text(uuid, &[0xab; 16]),
            r#""abababab-abab-abab-abab-abababababab""#
        );
        assert!(uuid(&[0; 15], &mut BytesMut::new()).is_err());
        assert_eq!(text(bytea, b""), r#""\\x""#);
        assert_eq!(text(bytea, &[0x00, 0xff, 0x1a]), r#""\\x00ff1a""#);
        assert_eq!(text(bytea, &[0x11; 70]).len(), 2 + 3 + 140);
        assert_eq!(text(bits, &[0, 0, 0, 0]), r#""""#);
        assert_eq!(
            text(bits, &[0, 0, 0, 10, 0b1010_0000, 0b1100_0000]),
            r#""1010000011""#
        );
        assert!(bits(&[0, 0, 0, 10, 0], &mut BytesMut::new()).is_err());
    }

    proptest! {
        #[test]
        fn every_text_reads_back(value in "(?s).{0,90}", at in 0usize..90, byte in 0u8..128) {
            let mut value = value;
            let at = (0..=at.min(value.len())).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
            value.insert(at, byte as char);
            let encoded = text(quoted, value.as_bytes());
            prop_assert_eq!(serde_json::from_str::<String>(&encoded).unwrap(), value);
            prop_assert!(encoded.bytes().all(|byte| byte >= 0x20));
        }
    }
}
