//! Text as ZITADEL may have it.

use std::borrow::Cow;

/// ZITADEL's limit for ids, names, addresses and metadata keys, in characters.
pub const MAX_CHARS: usize = 200;

/// Text without control characters and without white space around it.
pub(super) struct Cleaned<'a> {
    pub(super) text: Cow<'a, str>,
    /// Control characters were removed.
    pub(super) cleaned: bool,
}

/// Removes control characters (NUL would be refused by `PostgreSQL`, the rest would drive terminals); the white ones
/// among them become spaces. Trims as Go's `strings.TrimSpace` does.
pub(super) fn clean(text: &str) -> Cleaned<'_> {
    let trimmed = text.trim();
    if !trimmed.chars().any(char::is_control) {
        return Cleaned { text: Cow::Borrowed(trimmed), cleaned: false };
    }
    let kept: String = trimmed
        .chars()
        .filter_map(|c| match c {
            c if !c.is_control() => Some(c),
            c if c.is_whitespace() => Some(' '),
            _ => None,
        })
        .collect();
    Cleaned { text: Cow::Owned(kept.trim().to_owned()), cleaned: true }
}

/// The first 200 characters, and whether there were more.
pub(super) fn cut(text: &str) -> (&str, bool) {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => (text[..end].trim_end(), true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_go() {
        let cleaned = clean(" a\0b\tc\u{85} ");
        assert_eq!((&*cleaned.text, cleaned.cleaned), ("ab c", true));
        assert!(clean("\0").text.is_empty());
        assert!(!clean(" Zoë ").cleaned);
    }

    #[test]
    fn cuts_at_characters_not_bytes() {
        let long = "é".repeat(201);
        let (text, was_cut) = cut(&long);
        assert_eq!((text.chars().count(), was_cut), (200, true));
        assert_eq!(cut(&"é".repeat(200)), ("é".repeat(200).as_str(), false));
    }
}
