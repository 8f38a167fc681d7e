//! The input syntax of numbers. Versions of PostgreSQL differ in one thing: since 16, integers and
//! numerics may be hexadecimal, octal or binary, and have underscores between digits.

use super::check::{Checked, Fault, is_space, trimmed};

/// An integer between two bounds.
pub(super) fn integer(text: &str, min: i128, max: i128) -> Checked {
    let (negative, digits) = signed(trimmed(text));
    let (radix, digits) = radix(digits);
    let digits = without_underscores(digits).ok_or(Fault::Syntax)?;
    Fault::unless(!digits.is_empty() && digits.chars().all(|it| it.is_digit(radix)))?;
    // A number with more digits than 128 bits hold is beyond every bound.
    let number = i128::from_str_radix(&digits, radix).map_err(|_| Fault::Range)?;
    let number = if negative { -number } else { number };
    if (min..=max).contains(&number) {
        Ok(())
    } else {
        Err(Fault::Range)
    }
}

/// A floating-point number, which `parse` reads to the precision of its type.
pub(super) fn float(text: &str, parse: impl Fn(&str) -> Option<f64>) -> Checked {
    let (_, digits) = signed(trimmed(text));
    let lower = digits.to_ascii_lowercase();
    if matches!(lower.as_str(), "nan" | "inf" | "infinity") {
        return Ok(());
    }
    // C's own hexadecimal floating point, which PostgreSQL lets through.
    if lower.starts_with("0x") {
        return Ok(());
    }
    Fault::unless(is_decimal(&lower))?;
    let number = parse(&lower).ok_or(Fault::Syntax)?;
    let mantissa = lower.split('e').next().unwrap_or_default();
    let is_zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if number.is_infinite() || (number == 0.0 && !is_zero) {
        return Err(Fault::Range);
    }
    Ok(())
}

/// A numeric; its range is beyond what a check is worth. Unlike elsewhere, its NaN takes no sign.
pub(super) fn numeric(text: &str) -> Checked {
    let text = trimmed(text);
    let (_, digits) = signed(text);
    let lower = digits.to_ascii_lowercase();
    if matches!(lower.as_str(), "inf" | "infinity") || text.eq_ignore_ascii_case("nan") {
        return Ok(());
    }
    if let (2 | 8 | 16, _) = radix(&lower) {
        return integer(text, i128::MIN, i128::MAX).or_else(|fault| match fault {
            Fault::Range => Ok(()),
            _ => Err(fault),
        });
    }
    let Some(mut plain) = without_underscores(&lower) else {
        return Err(Fault::Syntax);
    };
    // The exponent was once read by C's `strtol`, which skips white space.
    if let Some((mantissa, exponent)) = plain.split_once('e') {
        plain = format!("{mantissa}e{}", exponent.trim_start_matches(is_space));
    }
    Fault::unless(is_decimal(&plain))
}

/// Whether there is a minus, and what follows a sign.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn radix(digits: &str) -> (u32, &str) {
    match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        _ => (10, digits),
    }
}

/// Single underscores stand before a digit, and never first but after a prefix.
fn without_underscores(digits: &str) -> Option<String> {
    if digits.contains("__") || digits.ends_with('_') {
        return None;
    }
    Some(digits.replace('_', ""))
}

/// Digits with a point among them or at an end, perhaps an exponent; no sign, no other letters.
fn is_decimal(text: &str) -> bool {
    let all_digits = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, signed(exponent).1),
        None => (text, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    (!whole.is_empty() || !fraction.is_empty())
        && !exponent.is_empty()
        && all_digits(whole)
        && all_digits(fraction)
        && all_digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        let small = |text| integer(text, i16::MIN.into(), i16::MAX.into());
        for good in [
            "0", "-0", "+7", " 32767\n", "-32768", "0x7fff", "0b1_0", "1_000",
        ] {
            assert_eq!(small(good), Ok(()), "{good}");
        }
        for bad in [
            "", "-", "+-1", "1.0", "1e3", "x", "1 2", "0x", "1__0", "1_", "٣", "0b2",
        ] {
            assert_eq!(small(bad), Err(Fault::Syntax), "{bad}");
        }
        let huge = "9".repeat(60);
        for far in ["32768", "-32769", "0xffff", &huge] {
            assert_eq!(small(far), Err(Fault::Range), "{far}");
        }
    }

    #[test]
    fn floats() {
        let double = |text| float(text, |it| it.parse().ok());
        let real = |text| float(text, |it| it.parse::<f32>().ok().map(f64::from));
        for good in [
            "1",
            ".5",
            "5.",
            "-1e308",
            "NaN",
            "-inf",
            " Infinity ",
            "5e-324",
            "0e999",
            "0x1p3",
        ] {
            assert_eq!(double(good), Ok(()), "{good}");
        }
        for bad in [
            "", ".", "e5", "1e", "1_0", "1,5", "infinite", "--1", "1e+-5",
        ] {
            assert_eq!(double(bad), Err(Fault::Syntax), "{bad}");
        }
        assert_eq!(double("1e309"), Err(Fault::Range));
        assert_eq!(double("-1e-400"), Err(Fault::Range));
        assert_eq!(real("1e39"), Err(Fault::Range));
        assert_eq!(real("1e38"), Ok(()));
    }

    #[test]
    fn numerics() {
        for good in [
            "1",
            "-.5",
            "1.",
            "1e-400",
            "NaN",
            "-Infinity",
            "1_000.000_1",
            "0xff",
            "0x1_f",
        ] {
            assert_eq!(numeric(good), Ok(()), "{good}");
        }
        for bad in ["", "abc", "1e", "1..2", "1 2", "0xg", "$1", "-nan"] {
            assert_eq!(numeric(bad), Err(Fault::Syntax), "{bad}");
        }
    }
}
