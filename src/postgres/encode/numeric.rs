//! `numeric`: digits to the base of 10,000, printed with the value's own scale (`numeric_out`).

use bytes::BytesMut;

use super::reader::{Encoded, Malformed, Reader, Short};

/// A JSON number; a string for what is none.
pub(super) fn numeric(value: &[u8], out: &mut BytesMut) -> Encoded {
    match Decimal::read(value)? {
        Decimal::Special(text) => {
            out.extend_from_slice(b"\"");
            out.extend_from_slice(text);
            out.extend_from_slice(b"\"");
            Ok(())
        }
        Decimal::Finite(finite) => finite.write(out),
    }
}

/// Its text, never quoted.
pub(super) fn numeric_text(value: &[u8], out: &mut BytesMut) -> Encoded {
    match Decimal::read(value)? {
        Decimal::Special(text) => {
            out.extend_from_slice(text);
            Ok(())
        }
        Decimal::Finite(finite) => finite.write(out),
    }
}

const TYPE: &str = "numeric";

enum Decimal<'a> {
    Special(&'static [u8]),
    Finite(Finite<'a>),
}

struct Finite<'a> {
    negative: bool,
    /// The power of 10,000 of the first digit.
    weight: i32,
    /// Decimal digits behind the point.
    scale: usize,
    /// Two bytes per digit.
    digits: &'a [[u8; 2]],
}

impl<'a> Decimal<'a> {
    fn read(value: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(value, TYPE);
        let count = u16::from_be_bytes(reader.take()?);
        let weight = i16::from_be_bytes(reader.take()?);
        let sign = u16::from_be_bytes(reader.take()?);
        let scale = u16::from_be_bytes(reader.take()?);
        let (digits, []) = reader.rest().as_chunks() else {
            return Err(Malformed(TYPE));
        };
        let negative = match sign {
            0x0000 => false,
            0x4000 => true,
            0xc000 => return Ok(Self::Special(b"NaN")),
            0xd000 => return Ok(Self::Special(b"Infinity")),
            0xf000 => return Ok(Self::Special(b"-Infinity")),
            _ => return Err(Malformed(TYPE)),
        };
        if digits.len() != usize::from(count) || scale > 0x3fff {
            return Err(Malformed(TYPE));
        }
        Ok(Self::Finite(Finite {
            negative,
            weight: i32::from(weight),
            scale: usize::from(scale),
            digits,
        }))
    }
}

impl Finite<'_> {
    fn write(&self, out: &mut BytesMut) -> Encoded {
        if self.negative {
            out.extend_from_slice(b"-");
        }
        if self.weight < 0 {
            out.extend_from_slice(b"0");
        } else {
            let first = self.digit(0)?;
            out.extend_from_slice(itoa::Buffer::new().format(first).as_bytes());
            for index in 1..=self.weight {
                four(self.digit(index)?).write(out);
            }
        }
        if self.scale > 0 {
            out.extend_from_slice(b".");
            let mut left = self.scale;
            let mut index = self.weight + 1;
            while left > 0 {
                let digits = four(self.digit(index)?);
                out.extend_from_slice(&digits.as_bytes()[..left.min(4)]);
                left = left.saturating_sub(4);
                index += 1;
            }
        }
        Ok(())
    }

    /// The digit at this place behind the first; those not sent are zero.
    fn digit(&self, index: i32) -> Result<u16, Malformed> {
        let Some(digit) = usize::try_from(index)
            .ok()
            .and_then(|at| self.digits.get(at))
        else {
            return Ok(0);
        };
        match u16::from_be_bytes(*digit) {
            digit @ 0..=9999 => Ok(digit),
            _ => Err(Malformed(TYPE)),
        }
    }
}

fn four(digit: u16) -> Short<4> {
    let mut text = Short::new();
    text.two(u32::from(digit / 100));
    text.two(u32::from(digit % 100));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Result<String, Malformed> {
        let mut value = Vec::new();
        value.extend_from_slice(&(digits.len() as u16).to_be_bytes());
        value.extend_from_slice(&weight.to_be_bytes());
        value.extend_from_slice(&sign.to_be_bytes());
        value.extend_from_slice(&scale.to_be_bytes());
        value.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        let mut out = BytesMut::new();
        numeric(&value, &mut out)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn the_scale_is_kept() {
        for (weight, sign, scale, digits, expected) in [
            (0, 0, 0, &[][..], "0"),
            (0, 0, 3, &[], "0.000"),
            (0, 0x4000, 2, &[12, 5000], "-12.50"),
            (1, 0, 0, &[1], "10000"),
            (1, 0, 1, &[123, 4567, 8000], "1234567.8"),
            (-1, 0, 4, &[1], "0.0001"),
            (-2, 0, 9, &[1234, 5000], "0.000012345"),
            (0, 0xc000, 0, &[], "\"NaN\""),
            (0, 0xd000, 0, &[], "\"Infinity\""),
            (0, 0xf000, 0, &[], "\"-Infinity\""),
        ] {
            assert_eq!(encode(weight, sign, scale, digits).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        assert!(encode(0, 1, 0, &[]).is_err());
        assert!(encode(0, 0, 0x4000, &[]).is_err());
        assert!(encode(0, 0, 0, &[10_000]).is_err());
        for value in [&[][..], &[0; 7], &[0; 9], &[0, 1, 0, 0, 0, 0, 0, 0]] {
            assert!(numeric(value, &mut BytesMut::new()).is_err());
        }
    }
}
