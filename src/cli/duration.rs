//! Times as people type them: `90s`, `30m`, `1h`, `7d`.

use std::time::Duration;

/// Ten years, beyond which a time is more likely a mistake.
const SECONDS_MAX: u64 = 3_660 * 86_400;

/// Reads a number and its unit.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let expected = || "give a number and a unit: 90s, 30m, 1h or 7d".to_owned();
    let (number, unit) = match text.char_indices().last() {
        Some((at, _)) => text.split_at(at),
        None => return Err(expected()),
    };
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| digits);
    match number.ok_or_else(expected)?.checked_mul(unit_s) {
        Some(0) => Err("the time must be longer than nothing".to_owned()),
        Some(seconds) if seconds <= SECONDS_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err("the time must be shorter than ten years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_read() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "h",
            "1",
            "1 h",
            "-1h",
            "+1h",
            "1.5h",
            "1w",
            "1H",
            "0s",
            "99999999999999999999s",
            "4000d",
            "1é",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
