//! How durations and sizes are written.

use std::time::Duration;

/// Reads `500ms`, `30s`, `10m`, `2h`, `1h30m`, `1 day`.
///
/// # Errors
/// Says in words what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wanted = "expected a time such as \"30s\", \"10m\" or \"2h\"";
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && text != "0" {
        return Err(format!("{wanted}; the unit is missing"));
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    // jiff has no fixed length for a day, and rightly so; for waiting, 24 hours will do.
    let parsed: jiff::Span = text.parse().map_err(|_| wanted.to_owned())?;
    let signed = parsed.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wanted.to_owned())?;
    Duration::try_from(signed).map_err(|_| format!("{wanted}; it is negative"))
}

/// Reads a time as [`duration`] does, and as Go's `time.ParseDuration` does: `1.5h30m`, `5m0s`.
///
/// # Errors
/// Says in words what is expected.
pub fn go_duration(text: &str) -> Result<Duration, String> {
    let said = match duration(text) {
        Ok(duration) => return Ok(duration),
        Err(said) => said,
    };
    let (mut rest, mut sum) = (text.trim(), Duration::ZERO);
    if rest.is_empty() {
        return Err(said);
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(said),
        };
        let number: f64 = number.parse().map_err(|_| said.clone())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| said.clone())?;
        sum = sum.checked_add(part).ok_or_else(|| said.clone())?;
        rest = behind;
    }
    Ok(sum)
}

/// Reads yes and no as Go's `strconv.ParseBool` does.
///
/// # Errors
/// Says in words what is expected.
pub fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected `true` or `false`".to_owned()),
    }
}

/// Reads `1048576`, `1MiB`, `512 KiB`, `1MB`; the result in bytes.
///
/// # Errors
/// Says in words what is expected.
pub fn size(text: &str) -> Result<usize, String> {
    let wanted = || "expected a size such as \"1MiB\", \"512KiB\" or a number of bytes".to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.replace('_', "").parse().map_err(|_| wanted())?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        _ => return Err(wanted()),
    };
    number.checked_mul(factor).ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("2 hours"), Ok(Duration::from_hours(2)));
        assert_eq!(duration("1d"), Ok(Duration::from_hours(24)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert!(duration("30").is_err_and(|e| e.contains("unit")));
        assert!(duration("-3s").is_err());
        assert!(duration("soon").is_err());
        assert!(duration("").is_err());
    }

    #[test]
    fn durations_as_go_writes_them() {
        assert_eq!(go_duration("5m0s"), Ok(Duration::from_mins(5)));
        assert_eq!(go_duration("1.5h30m"), Ok(Duration::from_hours(2)));
        assert_eq!(go_duration("1m1.5s"), Ok(Duration::from_millis(61_500)));
        assert_eq!(go_duration("2 hours"), Ok(Duration::from_hours(2)));
        for wrong in ["", "5", "h", "1.h.", "5x", "-5m", "1..5h", "99999999999999999999999h"] {
            assert!(go_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("512 KiB"), Ok(512 << 10));
        assert_eq!(size("1_000"), Ok(1_000));
        assert_eq!(size("2mb"), Ok(2_000_000));
        assert!(size("1.5MiB").is_err());
        assert!(size("99999999999999999999GiB").is_err());
        assert!(size("MiB").is_err());
    }
}
