//! `locale` to a base language.

use super::finding::{Finding, FindingCode};

/// The base language of `locale` (`en_US`, `en-US` -> `en`). ZITADEL takes at most 10 characters, and keeps what it does
/// not know as "undetermined" without a word.
pub(super) fn preferred(locale: Option<&str>, findings: &mut Vec<Finding>) -> Option<String> {
    let locale = locale.map(str::trim).filter(|locale| !locale.is_empty())?;
    let base = base(locale);
    if base.is_none() {
        findings.push(Finding::new(FindingCode::LanguageDropped));
    }
    base
}

fn base(locale: &str) -> Option<String> {
    // POSIX locales carry a code set (`en_US.UTF-8`, `de_DE@euro`).
    let tag = locale.split(['.', '@']).next()?.replace('_', "-");
    let tag = oxilangtag::LanguageTag::parse(tag).ok()?;
    let base = tag.primary_language();
    let known = matches!(base.len(), 2 | 3) && base.bytes().all(|b| b.is_ascii_alphabetic());
    (known && !base.eq_ignore_ascii_case("und")).then(|| base.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_base_language() {
        for (locale, expected) in [
            ("en", Some("en")),
            ("en-US", Some("en")),
            ("en_US", Some("en")),
            ("EN_us", Some("en")),
            ("zh-Hant-TW", Some("zh")),
            ("gsw", Some("gsw")),
            ("en_US.UTF-8", Some("en")),
            (" de ", Some("de")),
            ("x-klingon", None),
            ("i-klingon", None),
            ("english", None),
            ("und", None),
            ("e", None),
            ("12", None),
            ("\0", None),
        ] {
            let mut findings = Vec::new();
            assert_eq!(preferred(Some(locale), &mut findings).as_deref(), expected, "{locale:?}");
            assert_eq!(findings.is_empty(), expected.is_some(), "{locale:?}");
        }
        let mut findings = Vec::new();
        assert_eq!(preferred(Some("  "), &mut findings), None);
        assert!(findings.is_empty());
    }
}
