//! Booleans, integers and floating point, and the identifiers that PostgreSQL prints as quoted
//! numbers.

use bytes::BytesMut;

use super::reader::{Encoded, Short, fixed};

pub(super) fn bool(value: &[u8], out: &mut BytesMut) -> Encoded {
    let [byte] = fixed(value, "boolean")?;
    out.extend_from_slice(if byte == 0 { b"false" } else { b"true" });
    Ok(())
}

pub(super) fn int2(value: &[u8], out: &mut BytesMut) -> Encoded {
    integer(i16::from_be_bytes(fixed(value, "smallint")?), out);
    Ok(())
}

#[inline]
pub(super) fn int4(value: &[u8], out: &mut BytesMut) -> Encoded {
    integer(i32::from_be_bytes(fixed(value, "integer")?), out);
    Ok(())
}

#[inline]
pub(super) fn int8(value: &[u8], out: &mut BytesMut) -> Encoded {
    integer(i64::from_be_bytes(fixed(value, "bigint")?), out);
    Ok(())
}

/// `oid` and `xid`, which `to_json` quotes.
pub(super) fn unsigned4(value: &[u8], out: &mut BytesMut) -> Encoded {
    quoted_integer(u32::from_be_bytes(fixed(value, "oid")?), out);
    Ok(())
}

/// `xid8`, which `to_json` quotes.
pub(super) fn unsigned8(value: &[u8], out: &mut BytesMut) -> Encoded {
    quoted_integer(u64::from_be_bytes(fixed(value, "xid8")?), out);
    Ok(())
}

/// `pg_lsn`: its halves in hexadecimal.
pub(super) fn lsn(value: &[u8], out: &mut BytesMut) -> Encoded {
    let lsn = u64::from_be_bytes(fixed(value, "pg_lsn")?);
    let text = format!("\"{:X}/{:X}\"", lsn >> 32, lsn & 0xffff_ffff);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

pub(super) fn float4(value: &[u8], out: &mut BytesMut) -> Encoded {
    float(f32::from_be_bytes(fixed(value, "real")?), out);
    Ok(())
}

pub(super) fn float8(value: &[u8], out: &mut BytesMut) -> Encoded {
    float(f64::from_be_bytes(fixed(value, "double precision")?), out);
    Ok(())
}

/// A `float8` without quotes, also where it is no number.
pub(super) fn float8_text(value: &[u8], out: &mut BytesMut) -> Encoded {
    let value = f64::from_be_bytes(fixed(value, "double precision")?);
    match special(value) {
        Some(text) => out.extend_from_slice(text.as_bytes()),
        None => finite(value, out),
    }
    Ok(())
}

#[inline]
fn integer(value: impl itoa::Integer, out: &mut BytesMut) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn quoted_integer(value: impl itoa::Integer, out: &mut BytesMut) {
    out.extend_from_slice(b"\"");
    integer(value, out);
    out.extend_from_slice(b"\"");
}

fn float<F: Float>(value: F, out: &mut BytesMut) {
    match special(value) {
        Some(text) => {
            out.extend_from_slice(b"\"");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\"");
        }
        None => finite(value, out),
    }
}

fn special<F: Float>(value: F) -> Option<&'static str> {
    let value = value.as_f64();
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value < 0.0 { "-Infinity" } else { "Infinity" })
    } else {
        None
    }
}

/// A finite number as PostgreSQL writes it (`d2s.c`, `f2s.c`): the shortest digits that read back as
/// the same number, with an exponent from 10^15 (10^6 for `real`) and below 10^-4.
fn finite<F: Float>(value: F, out: &mut BytesMut) {
    let wide = value.as_f64();
    // Exact integers need no search for their digits. A negative zero is no integer.
    if wide.abs() < F::FIXED_BELOW
        && wide.trunc() == wide
        && (wide != 0.0 || !wide.is_sign_negative())
    {
        return integer(wide as i64, out);
    }
    let mut decimal = value.shortest();
    if decimal.is_midpoint::<F>() {
        decimal = value.inside();
    }
    decimal.write(F::FIXED_DIGITS, out);
}

/// What differs between `real` and `double precision`.
trait Float: Copy {
    /// The first integer that takes an exponent.
    const FIXED_BELOW: f64;
    /// Its number of digits, less one.
    const FIXED_DIGITS: i32;
    /// Bits of the significand.
    const MANTISSA_BITS: u32;

    fn as_f64(self) -> f64;
    /// The shortest digits that read back as this number, where the reader rounds half to even.
    fn shortest(self) -> Decimal;
    /// Rounded to so many digits behind the first.
    fn rounded(self, digits: usize) -> String;
    fn is_read_from(self, text: &str) -> bool;

    /// The shortest digits that do not lie in the middle between two numbers: PostgreSQL does not
    /// rely on the reader's rounding half to even (`ryu_common.h`, `STRICTLY_SHORTEST`).
    fn inside(self) -> Decimal {
        for digits in 0..17 {
            let text = self.rounded(digits);
            let decimal = Decimal::parse(&text);
            if self.is_read_from(&text) && !decimal.is_midpoint::<Self>() {
                return decimal;
            }
        }
        self.shortest()
    }
}

impl Float for f64 {
    const FIXED_BELOW: f64 = 1e15;
    const FIXED_DIGITS: i32 = 15;
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS;

    fn as_f64(self) -> f64 {
        self
    }

    fn shortest(self) -> Decimal {
        Decimal::parse(ryu::Buffer::new().format_finite(self))
    }

    fn rounded(self, digits: usize) -> String {
        format!("{self:.digits$e}")
    }

    fn is_read_from(self, text: &str) -> bool {
        text.parse() == Ok(self)
    }
}

impl Float for f32 {
    const FIXED_BELOW: f64 = 1e6;
    const FIXED_DIGITS: i32 = 6;
    const MANTISSA_BITS: u32 = f32::MANTISSA_DIGITS;

    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    fn shortest(self) -> Decimal {
        Decimal::parse(ryu::Buffer::new().format_finite(self))
    }

    fn rounded(self, digits: usize) -> String {
        format!("{self:.digits$e}")
    }

    fn is_read_from(self, text: &str) -> bool {
        text.parse() == Ok(self)
    }
}

/// A number as digits without zeros at either end, with the exponent of the first digit.
struct Decimal {
    negative: bool,
    digits: Short<20>,
    exponent: i32,
}

impl Decimal {
    /// Reads what `ryu` and `{:e}` write: digits, perhaps a point, perhaps an exponent.
    fn parse(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut exponent: i32 = exponent.parse().unwrap_or(0);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        exponent += whole.len() as i32 - 1;
        let mut digits = Short::new();
        let mut zeros = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            match digit {
                b'0' if digits.as_bytes().is_empty() => exponent -= 1,
                b'0' => zeros += 1,
                _ => {
                    for _ in 0..std::mem::take(&mut zeros) {
                        digits.byte(b'0');
                    }
                    digits.byte(digit);
                }
            }
        }
        Self {
            negative,
            digits,
            exponent,
        }
    }

    /// Whether this is the exact middle between two neighbouring numbers, that is: an odd number of
    /// one bit more than the significand holds, times a power of two. That takes an integer, and a
    /// power of five no larger than that odd number.
    fn is_midpoint<F: Float>(&self) -> bool {
        let digits = self.digits.as_bytes();
        let Ok(power @ 0..=23) = u32::try_from(self.exponent - (digits.len() as i32 - 1)) else {
            return false;
        };
        let number = digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'));
        let product = number * 5u128.pow(power);
        let odd = product >> product.trailing_zeros().min(127);
        u128::BITS - odd.leading_zeros() == F::MANTISSA_BITS + 1
    }

    fn write(&self, fixed_digits: i32, out: &mut BytesMut) {
        let digits = self.digits.as_bytes();
        let mut text = Short::<32>::new();
        if self.negative {
            text.byte(b'-');
        }
        let (first, others) = match digits.split_first() {
            Some((first, others)) => (*first, others),
            None => (b'0', &[][..]),
        };
        match self.exponent {
            // Only a negative zero comes without digits.
            _ if digits.is_empty() => text.byte(b'0'),
            exponent @ -4..0 => {
                text.bytes(b"0.");
                text.bytes(&b"000"[..(-1 - exponent) as usize]);
                text.bytes(digits);
            }
            exponent if (0..fixed_digits).contains(&exponent) => {
                let whole = exponent as usize + 1;
                let (before, behind) = digits.split_at(whole.min(digits.len()));
                text.bytes(before);
                for _ in before.len()..whole {
                    text.byte(b'0');
                }
                if !behind.is_empty() {
                    text.byte(b'.');
                    text.bytes(behind);
                }
            }
            exponent => {
                text.byte(first);
                if !others.is_empty() {
                    text.byte(b'.');
                    text.bytes(others);
                }
                text.bytes(if exponent < 0 { b"e-" } else { b"e+" });
                let exponent = exponent.unsigned_abs();
                if exponent >= 100 {
                    text.byte(b'0' + (exponent / 100) as u8);
                }
                text.two(exponent % 100);
            }
        }
        text.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encode: fn(&[u8], &mut BytesMut) -> Encoded, value: &[u8]) -> String {
        let mut out = BytesMut::new();
        encode(value, &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn double(value: f64) -> String {
        text(float8, &value.to_be_bytes())
    }

    fn real(value: f32) -> String {
        text(float4, &value.to_be_bytes())
    }

    #[test]
    fn integers() {
        assert_eq!(text(bool, &[1]), "true");
        assert_eq!(text(bool, &[0]), "false");
        assert_eq!(text(int2, &i16::MIN.to_be_bytes()), "-32768");
        assert_eq!(text(int4, &i32::MAX.to_be_bytes()), "2147483647");
        assert_eq!(text(int8, &i64::MIN.to_be_bytes()), "-9223372036854775808");
        assert_eq!(text(unsigned4, &u32::MAX.to_be_bytes()), r#""4294967295""#);
        assert_eq!(
            text(unsigned8, &u64::MAX.to_be_bytes()),
            r#""18446744073709551615""#
        );
        assert_eq!(
            text(lsn, &0x16_0b37_4848u64.to_be_bytes()),
            r#""16/B374848""#
        );
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for encode in [
            bool, int2, int4, int8, float4, float8, unsigned4, unsigned8, lsn,
        ] {
            assert!(encode(&[0; 3], &mut BytesMut::new()).is_err());
            assert!(encode(&[], &mut BytesMut::new()).is_err());
        }
    }

    #[test]
    fn doubles_as_postgresql_prints_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (-0.00012, "-0.00012"),
            (0.00001, "1e-05"),
            (1e14, "100000000000000"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1e+15"),
            (123_456_789_012_345.6, "123456789012345.6"),
            (1e20, "1e+20"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            // Exactly between two doubles, so that PostgreSQL says more digits than needed.
            (1e23, "9.999999999999999e+22"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(double(value), expected);
        }
    }

    #[test]
    fn reals_as_postgresql_prints_them() {
        for (value, expected) in [
            (-0.0, "-0"),
            (0.1, "0.1"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (123_456.7, "123456.7"),
            (1.5e-5, "1.5e-05"),
            (f32::MAX, "3.4028235e+38"),
            (f32::NAN, "\"NaN\""),
        ] {
            assert_eq!(real(value), expected);
        }
    }
}
