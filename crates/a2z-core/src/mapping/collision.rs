//! User names are unique in a whole ZITADEL instance, whatever their case. Who keeps the name, and what the others get.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::text::MAX_CHARS;

/// The name as ZITADEL's unique constraint sees it: Go's `strings.ToLower`, character by character. Rust's own
/// `str::to_lowercase` differs in two places: the final sigma, and the dotted capital I.
#[must_use]
pub fn name_key(user_name: &str) -> String {
    if user_name.is_ascii() {
        return user_name.to_ascii_lowercase();
    }
    user_name.chars().map(|c| if c == 'İ' { 'i' } else { c.to_lowercase().next().unwrap_or(c) }).collect()
}

/// A claim to a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The e-mail is verified.
    pub email_verified: bool,
    /// There is a hash that ZITADEL takes.
    pub usable_hash: bool,
    /// The last sign-in.
    pub last_login: Option<Timestamp>,
    /// Auth0's id.
    pub user_id: &'a str,
}

/// Orders claims, the better one first (`Less`): a verified e-mail, then a usable hash, then the latest sign-in, then the
/// smaller id. Two claims are equal only where the ids are.
#[must_use]
pub fn better(a: &Claim<'_>, b: &Claim<'_>) -> Ordering {
    b.email_verified
        .cmp(&a.email_verified)
        .then(b.usable_hash.cmp(&a.usable_hash))
        .then(b.last_login.cmp(&a.last_login))
        .then_with(|| a.user_id.cmp(b.user_id))
}

/// `name+connection`, and `name+connection+2` at the second `attempt`; at most 200 characters, at the cost of the name.
#[must_use]
pub fn suffixed(user_name: &str, connection: &str, attempt: u32) -> String {
    let mut suffix: String =
        std::iter::once('+').chain(connection.chars().filter(|c| !c.is_control()).take(80)).collect();
    if attempt > 1 {
        suffix.push('+');
        suffix.push_str(&attempt.to_string());
    }
    let suffix = suffix.trim_end();
    let room = MAX_CHARS - suffix.chars().count().min(MAX_CHARS);
    let mut name: String = user_name.chars().take(room).collect();
    name.truncate(name.trim_end().len());
    name.push_str(suffix);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_as_go_does() {
        assert_eq!(name_key("Mixed.Case@Example.COM"), "mixed.case@example.com");
        assert_eq!(name_key("ΟΔΟΣ"), "οδοσ");
        assert_eq!(name_key("İ"), "i");
        assert_eq!(name_key("ẞ"), "ß");
        assert_eq!(name_key("ß"), "ß");
    }

    #[test]
    fn the_better_claim_is_found_in_any_order() {
        let at = |seconds| Timestamp::from_second(seconds).ok();
        let ranked = [
            Claim { email_verified: true, usable_hash: true, last_login: at(2), user_id: "z" },
            Claim { email_verified: true, usable_hash: true, last_login: at(1), user_id: "a" },
            Claim { email_verified: true, usable_hash: true, last_login: None, user_id: "a" },
            Claim { email_verified: true, usable_hash: true, last_login: None, user_id: "b" },
            Claim { email_verified: true, usable_hash: false, last_login: at(9), user_id: "a" },
            Claim { email_verified: false, usable_hash: true, last_login: at(9), user_id: "a" },
            Claim { email_verified: false, usable_hash: false, last_login: at(9), user_id: "a" },
        ];
        for (i, a) in ranked.iter().enumerate() {
            for (j, b) in ranked.iter().enumerate() {
                assert_eq!(better(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn suffixes_stay_within_the_limit() {
        assert_eq!(suffixed("ada", "google-oauth2", 1), "ada+google-oauth2");
        assert_eq!(suffixed("ada", "google-oauth2", 2), "ada+google-oauth2+2");
        let long = suffixed(&"é".repeat(200), &"c".repeat(300), 12);
        assert_eq!(long.chars().count(), 200);
        assert!(long.ends_with("c+12"));
        assert_eq!(suffixed("ada", " ", 1), "ada+");
    }
}
