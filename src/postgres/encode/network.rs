//! Network and hardware addresses, in the text of `inet_net_ntop.c` and `macaddr.c`.

use std::fmt::Write;

use bytes::BytesMut;

use super::reader::{Encoded, Malformed, Reader, Short};

/// An address; its prefix length shows where it is not the whole address.
pub(super) fn inet(value: &[u8], out: &mut BytesMut) -> Encoded {
    address(value, false, out)
}

/// A network; its prefix length always shows.
pub(super) fn cidr(value: &[u8], out: &mut BytesMut) -> Encoded {
    address(value, true, out)
}

/// Six or eight bytes.
pub(super) fn mac(value: &[u8], out: &mut BytesMut) -> Encoded {
    if !matches!(value.len(), 6 | 8) {
        return Err(Malformed("macaddr"));
    }
    let mut text = Short::<26>::new();
    for (index, byte) in value.iter().enumerate() {
        text.byte(if index == 0 { b'"' } else { b':' });
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0') as u8;
        text.bytes(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text.byte(b'"');
    text.write(out);
    Ok(())
}

const TYPE: &str = "inet";

/// Family, prefix length, whether it is a network, the address's length and bytes (`network_send`).
fn address(value: &[u8], always_prefix: bool, out: &mut BytesMut) -> Encoded {
    let mut reader = Reader::new(value, TYPE);
    let [family, prefix, _is_network, length] = reader.take()?;
    let bytes = reader.rest();
    // The families are PostgreSQL's own numbers, the same on every system (`inet.h`).
    let (mut text, prefix_max) = match (family, length, bytes) {
        (2, 4, &[a, b, c, d]) => (format!("\"{a}.{b}.{c}.{d}"), 32),
        (3, 16, _) => {
            let bytes: [u8; 16] = bytes.try_into().map_err(|_| Malformed(TYPE))?;
            (format!("\"{}", version_6(bytes)), 128)
        }
        _ => return Err(Malformed(TYPE)),
    };
    if prefix > prefix_max {
        return Err(Malformed(TYPE));
    }
    if always_prefix || prefix < prefix_max {
        // Writing to a string cannot fail.
        let _ = write!(text, "/{prefix}");
    }
    text.push('"');
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The first longest run of two zeros or more is shortened to `::`; an address that embeds one of
/// version 4 ends in it. Rust's own text differs for some of the latter.
fn version_6(bytes: [u8; 16]) -> String {
    let words: Vec<u16> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|pair| u16::from_be_bytes(*pair))
        .collect();
    let mut run = 0..0;
    let mut start = 0;
    for (index, word) in words.iter().enumerate() {
        if *word != 0 {
            start = index + 1;
        } else if index + 1 - start > run.len() {
            run = start..index + 1;
        }
    }
    if run.len() < 2 {
        run = usize::MAX..usize::MAX;
    }
    let embeds_version_4 = run.start == 0
        && (run.end == 6
            || (run.end == 7 && words[7] != 1)
            || (run.end == 5 && words[5] == 0xffff));
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        if run.contains(&index) {
            if index == run.start {
                text.push(':');
            }
            continue;
        }
        if index != 0 {
            text.push(':');
        }
        if index == 6 && embeds_version_4 {
            let [.., a, b, c, d] = bytes;
            let _ = write!(text, "{a}.{b}.{c}.{d}");
            return text;
        }
        let _ = write!(text, "{word:x}");
    }
    if run.end == 8 {
        text.push(':');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encode: fn(&[u8], &mut BytesMut) -> Encoded, value: &[u8]) -> String {
        let mut out = BytesMut::new();
        encode(value, &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn version_4() {
        assert_eq!(text(inet, &[2, 32, 0, 4, 10, 0, 0, 1]), r#""10.0.0.1""#);
        assert_eq!(text(inet, &[2, 8, 0, 4, 10, 0, 0, 1]), r#""10.0.0.1/8""#);
        assert_eq!(text(cidr, &[2, 32, 1, 4, 10, 0, 0, 1]), r#""10.0.0.1/32""#);
    }

    #[test]
    fn version_6_in_postgresqls_words() {
        for (address, expected) in [
            ("::", "::"),
            ("::1", "::1"),
            ("::2", "::2"),
            ("1::", "1::"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1::1", "2001:0:0:1::1"),
            ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
        ] {
            let address: std::net::Ipv6Addr = address.parse().unwrap();
            assert_eq!(version_6(address.octets()), expected);
        }
    }

    #[test]
    fn hardware() {
        assert_eq!(
            text(mac, &[8, 0, 0x2b, 1, 2, 0xff]),
            r#""08:00:2b:01:02:ff""#
        );
        assert_eq!(text(mac, &[0; 8]), r#""00:00:00:00:00:00:00:00""#);
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for value in [
            &[][..],
            &[2, 33, 0, 4, 1, 2, 3, 4],
            &[3, 32, 0, 4, 1, 2, 3, 4],
            &[2, 32, 0, 4, 1, 2, 3],
            &[3, 128, 0, 16, 1],
        ] {
            assert!(inet(value, &mut BytesMut::new()).is_err());
        }
        assert!(mac(&[0; 7], &mut BytesMut::new()).is_err());
    }
}
