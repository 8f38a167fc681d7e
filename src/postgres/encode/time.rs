//! Dates and times. PostgreSQL counts microseconds and days from 2000-01-01 in the proleptic
//! Gregorian calendar; the largest and smallest numbers stand for the infinities.

use bytes::BytesMut;

use super::reader::{Encoded, Short, fixed};

/// The longest text here is that of an interval with every field.
pub(super) type Text = Short<96>;

/// How a time stamp's text looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `2024-01-02T03:04:05+00:00`, as `to_json` writes them (`JsonEncodeDateTime`).
    Json,
    /// `2024-01-02 03:04:05+00`, as inside a range.
    Iso,
}

pub(super) fn date(value: &[u8], out: &mut BytesMut) -> Encoded {
    quoted(&date_text(value)?, out);
    Ok(())
}

pub(super) fn time(value: &[u8], out: &mut BytesMut) -> Encoded {
    quoted(&time_text(value)?, out);
    Ok(())
}

/// A time of day and its offset from UTC, which is stored as seconds west.
pub(super) fn timetz(value: &[u8], out: &mut BytesMut) -> Encoded {
    let value: [u8; 12] = fixed(value, "time with time zone")?;
    let [time, zone] = [&value[..8], &value[8..]];
    let mut text = time_text(time)?;
    let west = i32::from_be_bytes(fixed(zone, "time with time zone")?);
    text.byte(if west <= 0 { b'+' } else { b'-' });
    let seconds = west.unsigned_abs();
    hours(seconds / 3600, &mut text);
    if seconds % 3600 != 0 {
        text.byte(b':');
        text.two(seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        text.byte(b':');
        text.two(seconds % 60);
    }
    quoted(&text, out);
    Ok(())
}

#[inline]
pub(super) fn timestamp(value: &[u8], out: &mut BytesMut) -> Encoded {
    let micros = i64::from_be_bytes(fixed(value, "timestamp")?);
    quoted(&stamp(micros, Style::Json, false), out);
    Ok(())
}

#[inline]
pub(super) fn timestamptz(value: &[u8], out: &mut BytesMut) -> Encoded {
    let micros = i64::from_be_bytes(fixed(value, "timestamp with time zone")?);
    quoted(&stamp(micros, Style::Json, true), out);
    Ok(())
}

/// A date's text, the same in JSON and in a range.
pub(super) fn date_text(value: &[u8]) -> Result<Text, super::Malformed> {
    let days = i32::from_be_bytes(fixed(value, "date")?);
    let mut text = Text::new();
    match days {
        i32::MIN => text.bytes(b"-infinity"),
        i32::MAX => text.bytes(b"infinity"),
        _ => {
            let before_christ = calendar_day(i64::from(days), &mut text);
            if before_christ {
                text.bytes(b" BC");
            }
        }
    }
    Ok(text)
}

/// A time of day's text; 24:00:00 is one.
pub(super) fn time_text(value: &[u8]) -> Result<Text, super::Malformed> {
    let micros = i64::from_be_bytes(fixed(value, "time")?);
    if !(0..=DAY).contains(&micros) {
        return Err(super::Malformed("time"));
    }
    let mut text = Text::new();
    time_of_day(micros as u64, &mut text);
    Ok(text)
}

/// The text of a time stamp inside a range.
pub(super) fn timestamp_text(value: &[u8], zoned: bool) -> Result<Text, super::Malformed> {
    let micros = i64::from_be_bytes(fixed(value, "timestamp")?);
    Ok(stamp(micros, Style::Iso, zoned))
}

/// Months, days and microseconds, each with its own sign (`EncodeInterval`, style `postgres`).
pub(super) fn interval(value: &[u8], out: &mut BytesMut) -> Encoded {
    let value: [u8; 16] = fixed(value, "interval")?;
    let micros = i64::from_be_bytes(fixed(&value[..8], "interval")?);
    let days = i32::from_be_bytes(fixed(&value[8..12], "interval")?);
    let months = i32::from_be_bytes(fixed(&value[12..], "interval")?);
    let mut text = Text::new();
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => text.bytes(b"infinity"),
        (i64::MIN, i32::MIN, i32::MIN) => text.bytes(b"-infinity"),
        _ => interval_fields(micros, days, months, &mut text),
    }
    quoted(&text, out);
    Ok(())
}

const DAY: i64 = 86_400_000_000;

#[inline]
fn quoted(text: &Text, out: &mut BytesMut) {
    let text = text.as_bytes();
    out.reserve(text.len() + 2);
    out.extend_from_slice(b"\"");
    out.extend_from_slice(text);
    out.extend_from_slice(b"\"");
}

fn stamp(micros: i64, style: Style, zoned: bool) -> Text {
    let mut text = Text::new();
    match micros {
        i64::MIN => text.bytes(b"-infinity"),
        i64::MAX => text.bytes(b"infinity"),
        _ => {
            let before_christ = calendar_day(micros.div_euclid(DAY), &mut text);
            text.byte(if style == Style::Json { b'T' } else { b' ' });
            time_of_day(micros.rem_euclid(DAY) as u64, &mut text);
            match (zoned, style) {
                (true, Style::Json) => text.bytes(b"+00:00"),
                (true, Style::Iso) => text.bytes(b"+00"),
                (false, _) => {}
            }
            if before_christ {
                text.bytes(b" BC");
            }
        }
    }
    text
}

/// Writes the year with at least four digits, month and day, and says whether the year is one before
/// Christ, which is told behind everything else.
#[inline]
fn calendar_day(days: i64, text: &mut Text) -> bool {
    let (year, month, day) = gregorian(days);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    if year < 10_000 {
        text.two(year as u32 / 100);
        text.two(year as u32 % 100);
    } else {
        text.integer(year);
    }
    text.byte(b'-');
    text.two(month);
    text.byte(b'-');
    text.two(day);
    before_christ
}

/// The calendar day so many days after 2000-01-01; the year 0 is 1 BC.
///
/// Years are counted from March, so that the leap day is the last; 2^32 / 2,939,745 is a 4th of a year
/// of 365.25 days, 2^16 / 2,141 is the length of a month (C. Neri, L. Schneider, "Euclidean affine
/// functions and their application to calendar algorithms", 2021).
#[inline]
fn gregorian(days: i64) -> (i64, u32, u32) {
    /// 400-year eras added, so that no day of PostgreSQL's is negative.
    const ERAS: i64 = 16_000;
    const FROM_MARCH_OF_YEAR_0: i64 = 730_425 + 146_097 * ERAS;
    let number = 4 * (days + FROM_MARCH_OF_YEAR_0) as u64 + 3;
    let century = number / 146_097;
    let day_of_century = (number % 146_097) as u32 / 4;
    let product = 2_939_745 * u64::from(4 * day_of_century + 3);
    let year_of_century = product >> 32;
    let day_of_year = (product as u32) / 2_939_745 / 4;
    let month_and_day = 2_141 * day_of_year + 197_913;
    let (month, day) = (month_and_day >> 16, (month_and_day & 0xffff) / 2_141 + 1);
    let year = (100 * century + year_of_century) as i64 - 400 * ERAS;
    if day_of_year >= 306 {
        (year + 1, month - 12, day)
    } else {
        (year, month, day)
    }
}

#[inline]
fn time_of_day(micros: u64, text: &mut Text) {
    let seconds = (micros / 1_000_000) as u32;
    text.two(seconds / 3600);
    text.byte(b':');
    text.two(seconds / 60 % 60);
    text.byte(b':');
    text.two(seconds % 60);
    text.fraction((micros % 1_000_000) as u32);
}

/// Hours of an offset, which the format would let grow beyond two digits.
fn hours(hours: u32, text: &mut Text) {
    if hours < 100 {
        text.two(hours);
    } else {
        text.integer(i64::from(hours));
    }
}

fn interval_fields(micros: i64, days: i32, months: i32, text: &mut Text) {
    let mut is_first = true;
    // Set by a negative field for the next one only, which then shows its plus sign.
    let mut after_negative = false;
    for (number, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if number == 0 {
            continue;
        }
        if !is_first {
            text.byte(b' ');
        }
        if after_negative && number > 0 {
            text.byte(b'+');
        }
        text.integer(i64::from(number));
        text.byte(b' ');
        text.bytes(unit.as_bytes());
        if number != 1 {
            text.byte(b's');
        }
        after_negative = number < 0;
        is_first = false;
    }
    if micros == 0 && !is_first {
        return;
    }
    if !is_first {
        text.byte(b' ');
    }
    if micros < 0 {
        text.byte(b'-');
    } else if after_negative {
        text.byte(b'+');
    }
    let micros = micros.unsigned_abs();
    let minutes = micros / 60_000_000;
    match minutes / 60 {
        hours @ 0..100 => text.two(hours as u32),
        hours => text.integer(hours as i64),
    }
    text.byte(b':');
    text.two((minutes % 60) as u32);
    text.byte(b':');
    text.two((micros / 1_000_000 % 60) as u32);
    text.fraction((micros % 1_000_000) as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encode: fn(&[u8], &mut BytesMut) -> Encoded, value: &[u8]) -> String {
        let mut out = BytesMut::new();
        encode(value, &mut out).unwrap();
        let text = String::from_utf8(out.to_vec()).unwrap();
        text.trim_matches('"').to_owned()
    }

    #[test]
    fn dates() {
        let date = |days: i32| text(date, &days.to_be_bytes());
        assert_eq!(date(0), "2000-01-01");
        assert_eq!(date(59), "2000-02-29");
        assert_eq!(date(-730_119), "0001-01-01");
        assert_eq!(date(-730_120), "0001-12-31 BC");
        assert_eq!(date(-2_451_545), "4714-11-24 BC");
        assert_eq!(date(2_145_031_948), "5874897-12-31");
        assert_eq!(date(i32::MIN), "-infinity");
        assert_eq!(date(i32::MAX), "infinity");
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut before = gregorian(-800_001);
        for days in -800_000..800_000 {
            let (year, month, day) = gregorian(days);
            let is_leap = before.0 % 4 == 0 && (before.0 % 100 != 0 || before.0 % 400 == 0);
            let length = match before.1 {
                2 => 28 + u32::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match before {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == length => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!((year, month, day), expected);
            before = expected;
        }
    }

    #[test]
    fn stamps() {
        let zoned = |micros: i64| text(timestamptz, &micros.to_be_bytes());
        let plain = |micros: i64| text(timestamp, &micros.to_be_bytes());
        assert_eq!(plain(0), "2000-01-01T00:00:00");
        assert_eq!(plain(-1), "1999-12-31T23:59:59.999999");
        assert_eq!(
            zoned(757_479_845_000_006),
            "2024-01-02T03:04:05.000006+00:00"
        );
        assert_eq!(zoned(-63_082_281_600_000_000), "0001-01-01T00:00:00+00:00");
        assert_eq!(
            zoned(-63_082_281_600_000_001),
            "0001-12-31T23:59:59.999999+00:00 BC"
        );
        assert_eq!(zoned(i64::MAX), "infinity");
        assert_eq!(plain(i64::MIN), "-infinity");
        // Not dates that PostgreSQL knows, but no reason to stumble.
        plain(i64::MAX - 1);
        zoned(i64::MIN + 1);
    }

    #[test]
    fn times_and_offsets() {
        assert_eq!(text(time, &0i64.to_be_bytes()), "00:00:00");
        assert_eq!(text(time, &DAY.to_be_bytes()), "24:00:00");
        assert!(time(&(DAY + 1).to_be_bytes(), &mut BytesMut::new()).is_err());
        let zoned = |west: i32| {
            let mut value = 45_296_700_000i64.to_be_bytes().to_vec();
            value.extend_from_slice(&west.to_be_bytes());
            text(timetz, &value)
        };
        assert_eq!(zoned(0), "12:34:56.7+00");
        assert_eq!(zoned(-19_800), "12:34:56.7+05:30");
        assert_eq!(zoned(28_800), "12:34:56.7-08");
        assert_eq!(zoned(1), "12:34:56.7-00:00:01");
        zoned(i32::MIN);
    }

    #[test]
    fn intervals() {
        let interval = |micros: i64, days: i32, months: i32| {
            let mut value = micros.to_be_bytes().to_vec();
            value.extend_from_slice(&days.to_be_bytes());
            value.extend_from_slice(&months.to_be_bytes());
            text(interval, &value)
        };
        assert_eq!(interval(0, 0, 0), "00:00:00");
        assert_eq!(interval(1, 0, 0), "00:00:00.000001");
        assert_eq!(interval(0, 1, 1), "1 mon 1 day");
        assert_eq!(
            interval(1_000_000, -1, 14),
            "1 year 2 mons -1 days +00:00:01"
        );
        assert_eq!(
            interval(-1_500_000, 1, -14),
            "-1 years -2 mons +1 day -00:00:01.5"
        );
        assert_eq!(
            interval(i64::MIN, i32::MIN + 1, i32::MIN),
            "-178956970 years -8 mons -2147483647 days -2562047788:00:54.775808"
        );
        assert_eq!(interval(i64::MAX, i32::MAX, i32::MAX), "infinity");
        assert_eq!(interval(i64::MIN, i32::MIN, i32::MIN), "-infinity");
    }
}
