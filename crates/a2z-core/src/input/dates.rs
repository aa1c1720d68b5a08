//! Dates as people's files spell them. Everything without a zone is UTC, as everything at Auth0 is.
//!
//! * ISO 8601 with or without a zone, with a `T` or a blank, with or without a time: `2019-12-06T18:36:12.412Z`.
//! * Numbers, also as text: seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size.
//! * RFC 2822 (`Fri, 06 Dec 2019 18:36:12 GMT`), and what JavaScript's `String(date)` writes
//!   (`Fri Dec 06 2019 18:36:12 GMT+0000 (Coordinated Universal Time)`).

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    fmt::{rfc2822, strtime},
    tz::TimeZone,
};

/// Below this (March 1973 in seconds) a number is no moment: a year, perhaps, or a count. 0 is one.
const LEAST: f64 = 1e8;
/// A number below this is seconds (up to the year 5138); as milliseconds it would be of before March 1973.
const SECONDS: f64 = 1e11;
/// And below this milliseconds.
const MILLISECONDS: f64 = 1e14;
/// And below this microseconds; above it are nanoseconds.
const MICROSECONDS: f64 = 1e17;

/// The moment; none if the text is no date.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'))
        && let Ok(number) = text.parse::<f64>()
    {
        let is_a_day = text.len() == 8 && matches!(text.get(..2), Some("19" | "20"));
        return if is_a_day { civil(text) } else { of_number(number) };
    }
    // The usual form first.
    text.parse().ok().or_else(|| civil(text)).or_else(|| with_words(text))
}

fn of_number(number: f64) -> Option<Timestamp> {
    let size = number.abs();
    if size < LEAST && number != 0.0 {
        return None;
    }
    let milliseconds = if size < SECONDS {
        number * 1e3
    } else if size < MILLISECONDS {
        number
    } else if size < MICROSECONDS {
        number / 1e3
    } else {
        number / 1e6
    };
    // Of these sizes every whole millisecond is exact.
    #[expect(clippy::cast_possible_truncation, reason = "out of range is refused by the next step")]
    let whole = milliseconds.round() as i64;
    Timestamp::from_millisecond(whole).ok()
}

fn civil(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.parse().or_else(|_| text.parse::<Date>().map(Date::into)).ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

fn with_words(text: &str) -> Option<Timestamp> {
    const FORMS: [&str; 6] = [
        "%a %b %d %Y %H:%M:%S GMT%z",
        "%a %b %d %H:%M:%S %Y %z",
        "%Y-%m-%d %H:%M:%S%.f %z",
        "%Y-%m-%dT%H:%M:%S%.f%z",
        "%Y-%m-%dT%H:%M:%S%.f %z",
        "%Y/%m/%d %H:%M:%S%.f %z",
    ];
    if let Ok(zoned) = rfc2822::parse(text) {
        return Some(zoned.timestamp());
    }
    let text = text.split(" (").next().unwrap_or(text);
    let in_utc = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT"));
    let text = in_utc.map_or_else(|| text.to_owned(), |text| format!("{} +0000", text.trim_end()));
    FORMS.iter().find_map(|form| strtime::parse(form, &text).ok()?.to_timestamp().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        let moment: Timestamp = "2019-12-06T18:36:12Z".parse().unwrap();
        for text in [
            "2019-12-06T18:36:12.000Z",
            "2019-12-06T18:36:12",
            "2019-12-06 18:36:12",
            "2019-12-06 18:36:12Z",
            "2019-12-06 18:36:12 UTC",
            "2019-12-06 18:36:12.000 +0000",
            "2019-12-06T18:36:12+00:00",
            "2019-12-06T19:36:12+0100",
            "2019-12-06T18:36:12 +0000",
            "2019/12/06 18:36:12 UTC",
            "1575657372",
            "1575657372000",
            "1575657372000000",
            "1575657372000000000",
            "1575657372.0",
            "1.575657372e12",
            "Fri, 06 Dec 2019 18:36:12 GMT",
            "Fri, 6 Dec 2019 18:36:12 +0000",
            "06 Dec 2019 19:36:12 +0100",
            "Fri Dec 06 2019 18:36:12 GMT+0000 (Coordinated Universal Time)",
            "Fri Dec 06 2019 19:36:12 GMT+0100 (Central European Standard Time)",
        ] {
            assert_eq!(read(text), Some(moment), "{text}");
        }
        assert_eq!(read("2019-12-06"), Some("2019-12-06T00:00:00Z".parse().unwrap()));
        assert_eq!(read("1575657372.412"), Some("2019-12-06T18:36:12.412Z".parse().unwrap()));
        assert_eq!(read("20191206"), Some("2019-12-06T00:00:00Z".parse().unwrap()));
        assert_eq!(read("0"), Some(Timestamp::UNIX_EPOCH));
        for text in
            ["yesterday", "06/12/2019", "06.12.2019", "2019", "-1", "NaN", "e", "-", "2019-13-06", "20191306", "1e300"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
