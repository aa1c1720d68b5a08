//! The second factors of one user, as far as Auth0 tells: the kinds, for values are masked and secrets are not there.

use serde::Deserialize;

use super::{
    client::{Client, Failure},
    paging::{Offset, Totals},
};
use crate::http::quota::Quota;

/// Methods in one page.
const PAGE: u64 = 50;
/// A list that goes on for longer than this never ends.
const MOST_PAGES: u64 = 20;
/// What the list holds beside second factors.
const NO_FACTORS: [&str; 2] = ["password", "email-verification"];
/// A kind is a word.
const LONGEST_KIND: usize = 40;

#[derive(Deserialize)]
struct Page {
    authenticators: Vec<Method>,
    start: Option<u64>,
    limit: Option<u64>,
    // Left out of an empty list.
    total: Option<u64>,
}

#[derive(Deserialize)]
struct Method {
    r#type: String,
    /// Of one whose enrolment was begun and not finished it is false.
    #[serde(default)]
    confirmed: Option<bool>,
    /// Of a phone: masked but for the last four digits.
    #[serde(default)]
    phone_number: serde_json::Value,
    /// Of a phone: `sms` or `voice`.
    #[serde(default, rename = "preferred_authentication_method")]
    preferred: serde_json::Value,
}

/// A user's second factors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Methods {
    /// The kinds, sorted: `totp`, `push`, `phone`, `webauthn-roaming`, …
    pub kinds: Vec<String>,
    /// Codes are sent by e-mail.
    pub email: bool,
    /// The phones that get codes.
    pub phones: Vec<Phone>,
}

/// A phone that gets codes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Phone {
    /// It is called: the number may be none that takes SMS.
    pub by_voice: bool,
    /// What is told of the number (`XXXXXXXXXXX5044`), if anything is.
    pub number: Option<String>,
}

/// Without the number.
impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone").field("by_voice", &self.by_voice).finish_non_exhaustive()
    }
}

/// The user's second factors; none if Auth0 has no such user (any more).
///
/// # Errors
/// See [`Failure`].
pub async fn of(client: &Client, quota: &Quota, user_id: &str) -> Result<Option<Methods>, Failure> {
    let path = format!("users/{}/authentication-methods", escaped(user_id));
    let (mut kinds, mut email, mut phones, mut offset) = (Vec::new(), false, Vec::new(), Offset::first(PAGE));
    for _ in 0..MOST_PAGES {
        let (page, size) = offset.query();
        let query = [("page", page.as_str()), ("per_page", size.as_str()), ("include_totals", "true")];
        let answer = client.get_in_pace::<Page>(quota, "list a user's authentication methods", &path, &query).await;
        let Page { authenticators, start, limit, total } = match answer {
            Err(failure) if failure.status() == Some(404) => return Ok(None),
            answer => answer?,
        };
        let next = offset.next(Totals { start, limit, total }, authenticators.len() as u64);
        for method in authenticators.into_iter().filter(|method| method.confirmed != Some(false)) {
            match method.r#type.as_str() {
                "email" => email = true,
                "phone" => phones.push(Phone {
                    by_voice: method.preferred == "voice",
                    number: method.phone_number.as_str().map(str::to_owned),
                }),
                _ => {}
            }
            kinds.extend(Some(method.r#type).filter(|kind| !NO_FACTORS.contains(&kind.as_str())));
        }
        let Some(next) = next else { break };
        offset = next;
    }
    let word = |kind: String| crate::error::printable(&kind).replace(", ", " ").chars().take(LONGEST_KIND).collect();
    let mut kinds: Vec<String> = kinds.into_iter().map(word).collect();
    kinds.sort_unstable();
    kinds.dedup();
    Ok(Some(Methods { kinds, email, phones }))
}

/// An id in a path: everything but letters and digits is escaped.
fn escaped(id: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(id.len() + 8);
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_escaped_whole() {
        assert_eq!(escaped("auth0|abc-1"), "auth0%7Cabc-1");
        assert_eq!(escaped("oidc|a/../b?c#d%e ü"), "oidc%7Ca%2F%2E%2E%2Fb%3Fc%23d%25e%20%C3%BC");
    }

    #[test]
    fn an_empty_list_has_no_total() {
        let page: Page = serde_json::from_str(r#"{"authenticators":[],"start":0,"limit":50}"#).unwrap();
        assert_eq!((page.authenticators.len(), page.total), (0, None));
    }
}
