//! Readings of values that are not of the type that they should be. Identity providers, scripts and old rules write into
//! the profiles of Auth0's users, and JavaScript does not look at types: a list for a text, a text for a flag, half an
//! emoji at the end of a name. Each reading says what was odd, in words that quote nothing of the value.
//!
//! Nothing here is on the way of a value that is as it should be: [`super::scalar`] reads that.

use serde_json::value::RawValue;

use super::scalar::{Raw, text};
use crate::json::lossy;

/// A text that was read from a value of another type, or from a damaged text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// The text.
    pub(crate) text: String,
    /// What was odd.
    pub(crate) odd: &'static str,
    /// The value is one of several: nobody knows which of them was meant.
    pub(crate) of_several: bool,
}

/// The text that a value means that is no plain text: a number (`numbers`) in its own digits, the first text of a list,
/// a text whose lone surrogates became U+FFFD.
///
/// # Errors
/// What the value is, if it means no text.
pub(crate) fn odd_text(raw: Raw<'_>, numbers: bool) -> Result<Read, &'static str> {
    let read = |text: String, odd| Ok(Read { text, odd, of_several: false });
    match raw.get().as_bytes().first() {
        Some(b'"') => read(lossy(raw.get()).into_owned(), "half a character became U+FFFD"),
        Some(b'-' | b'0'..=b'9') if numbers => read(raw.get().to_owned(), "a number"),
        Some(b'-' | b'0'..=b'9') => Err("a number"),
        Some(b'[') => first(raw, numbers),
        Some(b'{') => Err("an object"),
        _ => Err("true or false"),
    }
}

/// The first element of a list that says anything.
fn first(raw: Raw<'_>, numbers: bool) -> Result<Read, &'static str> {
    let elements: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| "a list")?;
    let said = |raw: &&&RawValue| !matches!(text(raw), Ok(None));
    let element = *elements.iter().find(said).ok_or("an empty list")?;
    let of_several = elements.len() > 1;
    let odd = if of_several { "a list: its first element" } else { "a list of one" };
    match element.get().as_bytes().first() {
        Some(b'"') => Ok(Read { text: lossy(element.get()).into_owned(), odd, of_several }),
        Some(b'-' | b'0'..=b'9') if numbers => Ok(Read { text: element.get().to_owned(), odd, of_several }),
        _ => Err("a list without a text"),
    }
}

/// What a value says that should be true or false and is neither; see [`super::scalar::flag`] for those that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// A text, a number or a list that Auth0 would take for true, and that does not say no.
    Truthy(&'static str),
    /// A value that says no.
    No(&'static str),
    /// An object, a list of several: it says nothing that anybody can know.
    Unclear(&'static str),
}

/// Reads a value that is neither `true` nor `false`, nor absent.
pub(crate) fn odd_flag(raw: Raw<'_>) -> Flag {
    match raw.get().as_bytes().first() {
        Some(b'"') => {
            let text = lossy(raw.get());
            let text = text.trim();
            let no = ["false", "0", "no", "n", "off", "null", "none", "undefined", "nan"];
            if text.is_empty() || no.iter().any(|no| text.eq_ignore_ascii_case(no)) {
                Flag::No("a text")
            } else {
                Flag::Truthy("a text")
            }
        }
        Some(b'-' | b'0'..=b'9') => match raw.get().parse::<f64>() {
            Ok(0.0) => Flag::No("a number"),
            _ => Flag::Truthy("a number"),
        },
        Some(b'[') => match serde_json::from_str::<[&RawValue; 1]>(raw.get()) {
            Ok([element]) => match element.get().as_bytes().first() {
                Some(b't') => Flag::Truthy("a list"),
                Some(b'"') => match odd_flag(element) {
                    Flag::Truthy(_) => Flag::Truthy("a list"),
                    _ => Flag::No("a list"),
                },
                Some(b'f' | b'n') => Flag::No("a list"),
                _ => Flag::Unclear("a list"),
            },
            Err(_) => Flag::Unclear("a list"),
        },
        Some(b'{') => Flag::Unclear("an object"),
        _ => Flag::No("nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn texts_of_other_types() {
        for (json, text, of_several) in [
            (r#"["bo"]"#, "bo", false),
            (r#"["bo","b"]"#, "bo", true),
            (r#"[null,"","bo"]"#, "bo", true),
            (r#"["bo\ud83d"]"#, "bo\u{fffd}", false),
            (r"[12345678901234567890123]", "12345678901234567890123", false),
            ("-1.50", "-1.50", false),
            (r#""Lena \ud83d""#, "Lena \u{fffd}", false),
            (r#""\udc00\ud83d\ude00\ud83dx\u0041""#, "\u{fffd}😀\u{fffd}xA", false),
        ] {
            let read = odd_text(&raw(json), true).unwrap();
            assert_eq!((read.text.as_str(), read.of_several), (text, of_several), "{json}");
        }
        for json in [r#"{"a":1}"#, "{}", "true", "false", "[]", "[null]", r#"[["bo"]]"#, r#"[{"v":"bo"}]"#, "[true]"] {
            assert!(odd_text(&raw(json), true).is_err(), "{json}");
        }
        assert_eq!(odd_text(&raw("7"), false), Err("a number"));
        assert_eq!(odd_text(&raw("[7]"), false), Err("a list without a text"));
    }

    #[test]
    fn flags_of_other_types() {
        for json in
            [r#""nina@globex.example""#, r#""yes""#, r#""1""#, "2", "-1", r#"["true"]"#, "[true]", r#""\ud83d""#]
        {
            assert!(matches!(odd_flag(&raw(json)), Flag::Truthy(_)), "{json}");
        }
        for json in
            [r#""False""#, r#"" no ""#, r#""0""#, "0", "0.0", "-0", r#"["false"]"#, "[false]", r#"[""]"#, r#"" ""#]
        {
            assert!(matches!(odd_flag(&raw(json)), Flag::No(_)), "{json}");
        }
        for json in ["{}", r#"{"verified":true}"#, "[]", "[true,true]", "[[true]]", "[{}]"] {
            assert!(matches!(odd_flag(&raw(json)), Flag::Unclear(_)), "{json}");
        }
    }
}
