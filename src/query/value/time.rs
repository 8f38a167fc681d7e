//! The input syntax of dates and times. PostgreSQL reads far more than ISO 8601: month names, time
//! zones by name, `tomorrow`. What looks like ISO 8601 is checked to the day; of anything else only
//! what it is made of, and PostgreSQL has the last word.

use super::check::{Checked, Fault, is_space, trimmed};

pub(super) fn date(text: &str) -> Checked {
    moment(text)
}

pub(super) fn timestamp(text: &str) -> Checked {
    moment(text)
}

/// A time of day, with or without an offset.
pub(super) fn time(text: &str) -> Checked {
    let text = trimmed(text);
    if is_word(text, &["now", "allballs"]) {
        return Ok(());
    }
    match time_of_day(text) {
        Some((checked, _)) => checked.and_then(|()| plausible(text)),
        None => plausible(text),
    }
}

/// A span: numbers with units, `P1Y2M`, `1 day -02:03:04`.
pub(super) fn interval(text: &str) -> Checked {
    if is_word(trimmed(text), &["infinity", "-infinity", "+infinity"]) {
        return Ok(());
    }
    plausible(text)
}

fn moment(text: &str) -> Checked {
    const WORDS: &[&str] = &[
        "infinity",
        "-infinity",
        "+infinity",
        "epoch",
        "now",
        "today",
        "tomorrow",
        "yesterday",
    ];
    let text = trimmed(text);
    if is_word(text, WORDS) {
        return Ok(());
    }
    let Some((checked, rest)) = calendar_day(text) else {
        return plausible(text);
    };
    checked?;
    let rest = rest
        .strip_prefix(['T', 't'])
        .unwrap_or(rest)
        .trim_start_matches(is_space);
    if rest.is_empty() {
        return Ok(());
    }
    match time_of_day(rest) {
        Some((checked, _)) => checked.and_then(|()| plausible(text)),
        None => plausible(text),
    }
}

/// Year, month and day as ISO 8601 writes them, if the text begins so, and what follows.
fn calendar_day(text: &str) -> Option<(Checked, &str)> {
    let (year, rest) = digits(text, 4..=6)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 1..=2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 1..=2)?;
    // The year 1 BC is the year 0 of the calendar, and a leap year.
    let is_before_christ = rest.to_ascii_lowercase().contains("bc");
    let Some(calendar_year) = year.checked_sub(u32::from(is_before_christ)) else {
        return Some((Err(Fault::Range), rest));
    };
    let is_leap = calendar_year.is_multiple_of(4)
        && (!calendar_year.is_multiple_of(100) || calendar_year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return Some((Err(Fault::Range), rest)),
    };
    let checked = if year > 0 && (1..=length).contains(&day) {
        Ok(())
    } else {
        Err(Fault::Range)
    };
    Some((checked, rest))
}

/// Hours, minutes and perhaps seconds, if the text begins so, and what follows.
fn time_of_day(text: &str) -> Option<(Checked, &str)> {
    let (hour, rest) = digits(text, 1..=2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2..=2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => digits(rest, 1..=2)?,
        None => (0, rest),
    };
    // 24:00 is the end of a day, and a leap second the first of the next minute.
    let is_end_of_day = hour == 24 && minute == 0 && second == 0;
    let checked = if is_end_of_day || (hour < 24 && minute <= 59 && second <= 60) {
        Ok(())
    } else {
        Err(Fault::Range)
    };
    Some((checked, rest))
}

/// A number of so many digits at the front, and what follows.
fn digits(text: &str, count: std::ops::RangeInclusive<usize>) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    if !count.contains(&length) {
        return None;
    }
    let (number, rest) = text.split_at(length);
    Some((number.parse().ok()?, rest))
}

/// Whether PostgreSQL may find anything in it: a digit, among punctuation that it takes for space. (It
/// also reads a lone point as an interval of no length; that is refused here.)
fn plausible(text: &str) -> Checked {
    let is_part = |it: char| it.is_ascii_graphic() || is_space(it);
    Fault::unless(text.contains(|it: char| it.is_ascii_digit()) && text.chars().all(is_part))
}

fn is_word(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for good in [
            "2024-01-02",
            "2024-1-2",
            " 2024-02-29 ",
            "2024-01-02T03:04:05.000006Z",
            "2024-01-02 03:04:05+05:30",
            "2024-01-02 24:00",
            "2016-12-31 23:59:60",
            "294276-12-31T23:59:59",
            "0044-03-15 BC",
            "0001-02-29 BC",
            "infinity",
            "-Infinity",
            "now",
            "tomorrow",
            "Jan 2, 2024",
            "2024-01-02 10:00 Europe/Berlin",
            "J2451187",
            "20240102T030405",
            "20240102",
            "1/2/2024",
        ] {
            assert_eq!(moment(good), Ok(()), "{good}");
        }
        for bad in ["", "notadate", "soon", "–1"] {
            assert_eq!(moment(bad), Err(Fault::Syntax), "{bad}");
        }
        for far in [
            "2024-13-01",
            "0000-01-01",
            "0001-02-29",
            "2024-00-01",
            "2023-02-29",
            "2024-04-31",
            "2024-01-32",
            "2024-01-00",
            "2024-01-02 25:00",
            "2024-01-02 24:01",
            "2024-01-02T10:60",
            "2024-01-02T10:00:61",
        ] {
            assert_eq!(moment(far), Err(Fault::Range), "{far}");
        }
    }

    #[test]
    fn times() {
        for good in [
            "03:04",
            "3:04:05.5",
            "24:00:00",
            "04:05 PM",
            "040506",
            "03:04:05-08:00",
            "now",
        ] {
            assert_eq!(time(good), Ok(()), "{good}");
        }
        assert_eq!(time("25:00"), Err(Fault::Range));
        assert_eq!(time("noon"), Err(Fault::Syntax));
        assert_eq!(time(""), Err(Fault::Syntax));
    }

    #[test]
    fn spans() {
        for good in [
            "1 day",
            "P1Y2M",
            "-1 year +02:03:04",
            "1.5 hours ago",
            "@ 1 minute",
            "infinity",
        ] {
            assert_eq!(interval(good), Ok(()), "{good}");
        }
        for bad in ["", "a day", "½ day"] {
            assert_eq!(interval(bad), Err(Fault::Syntax), "{bad}");
        }
    }
}
