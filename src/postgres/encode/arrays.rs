//! Arrays: nested JSON arrays, whatever their lower bounds, as `to_json` writes them.

use bytes::BytesMut;

use super::{
    codec::Format,
    reader::{Encoded, Malformed, Reader},
};

const TYPE: &str = "array";

/// PostgreSQL's own limit (`MAXDIM`).
const DIMENSIONS_MAX: usize = 6;

/// The number of dimensions, a flag for nulls, the elements' type; per dimension its length and lower
/// bound; then the elements (`array_send`).
pub(super) fn array(element: &Format, value: &[u8], out: &mut BytesMut) -> Encoded {
    let mut reader = Reader::new(value, TYPE);
    let dimensions = usize::try_from(reader.i32()?).map_err(|_| Malformed(TYPE))?;
    let _has_nulls = reader.i32()?;
    let _element_type = reader.i32()?;
    if dimensions > DIMENSIONS_MAX {
        return Err(Malformed(TYPE));
    }
    let mut lengths = [0; DIMENSIONS_MAX];
    let mut count = usize::from(dimensions > 0);
    for length in &mut lengths[..dimensions] {
        *length = usize::try_from(reader.i32()?).map_err(|_| Malformed(TYPE))?;
        let _lower_bound = reader.i32()?;
        count = count.saturating_mul(*length);
    }
    if count == 0 {
        out.extend_from_slice(b"[]");
        return reader.end();
    }
    // Every element has at least its length: what follows cannot write more than was sent.
    if reader.remaining() / 4 < count {
        return Err(Malformed(TYPE));
    }
    dimension(element, &lengths[..dimensions], &mut reader, out)?;
    reader.end()
}

fn dimension(
    element: &Format,
    lengths: &[usize],
    reader: &mut Reader<'_>,
    out: &mut BytesMut,
) -> Encoded {
    let Some((length, inner)) = lengths.split_first() else {
        return match reader.value()? {
            Some(value) => element.encode(value, out),
            None => {
                out.extend_from_slice(b"null");
                Ok(())
            }
        };
    };
    for index in 0..*length {
        out.extend_from_slice(if index == 0 { b"[" } else { b"," });
        dimension(element, inner, reader, out)?;
    }
    out.extend_from_slice(b"]");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(words: &[i32]) -> Result<String, Malformed> {
        let value: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let mut out = BytesMut::new();
        array(&Format::Int4, &value, &mut out)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn dimensions_nest_and_lower_bounds_do_not_show() {
        assert_eq!(encode(&[0, 0, 23]).as_deref(), Ok("[]"));
        assert_eq!(
            encode(&[1, 1, 23, 3, -5, 4, 7, -1, 4, 8]).as_deref(),
            Ok("[7,null,8]")
        );
        assert_eq!(
            encode(&[2, 0, 23, 2, 1, 1, 1, 4, 7, 4, 8]).as_deref(),
            Ok("[[7],[8]]")
        );
        assert_eq!(encode(&[2, 0, 23, 2, 1, 0, 1]).as_deref(), Ok("[]"));
    }

    #[test]
    fn malformed_arrays_are_refused() {
        for words in [
            &[][..],
            &[1, 0],
            &[-1, 0, 23],
            &[7, 0, 23, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 7],
            &[1, 0, 23, -1, 1],
            &[1, 0, 23, 2, 1, 4, 7],
            &[1, 0, 23, 1, 1, 4, 7, 0],
            &[2, 0, 23, i32::MAX, 1, i32::MAX, 1, 4, 7],
            &[1, 0, 23, 1, 1, 3, 7],
        ] {
            assert!(encode(words).is_err(), "{words:?}");
        }
    }
}
