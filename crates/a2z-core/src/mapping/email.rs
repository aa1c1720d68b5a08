//! Predicts what ZITADEL's two roads say to an e-mail address.
//!
//! The import endpoint calls Go's `mail.ParseAddress` and refuses a display name. The users API applies
//! protoc-gen-validate's `email` rule on top: an ASCII host name, at most 64 bytes before the `@`, 254 in all. Both parse
//! more than an address (`<a@b>`, comments, spaces after the `@`); what is no plain address is refused here already.

use std::{borrow::Cow, net::IpAddr};

use sha2::{Digest as _, Sha256};

use super::text::MAX_CHARS;

/// Whether the import endpoint takes `address`, which is trimmed.
#[must_use]
pub fn import_takes(address: &str) -> bool {
    parse(address).is_some() && address.chars().count() <= MAX_CHARS
}

/// Whether the users API takes `address`, which is trimmed.
#[must_use]
pub fn users_api_takes(address: &str) -> bool {
    // The rule looks at the local part without its quotes, and takes what follows the first `@` for the host.
    parse(address).is_some_and(|(local, domain)| {
        address.chars().count() <= MAX_CHARS
            && local.len() + 1 + domain.len() <= 254
            && local.len() <= 64
            && !local.contains('@')
            && is_host_name(domain)
    })
}

/// `<id>@domain`: the id as far as every road takes it; where that loses something, with a digest, so that two users
/// never share one.
#[must_use]
pub fn placeholder(user_id: &str, domain: &str) -> String {
    let plain = user_id.replacen('|', "-", 1);
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !plain.is_empty() && plain.len() <= 64 && plain.chars().all(safe) {
        return format!("{plain}@{domain}");
    }
    let kept: String = plain.chars().filter(|&c| safe(c)).take(40).collect();
    let digest = Sha256::digest(user_id.as_bytes());
    let short = digest.iter().take(8).fold(0_u64, |short, byte| (short << 8) | u64::from(*byte));
    format!("{kept}-{short:016x}@{domain}")
}

/// The local part without quotes, and the domain; none where `mail.ParseAddress` would refuse.
fn parse(address: &str) -> Option<(Cow<'_, str>, &str)> {
    if address.chars().any(char::is_control) {
        return None;
    }
    let (local, rest) = if let Some(quoted) = address.strip_prefix('"') {
        unquote(quoted)?
    } else {
        let end = address.find(|c| !is_atext(c))?;
        is_dot_atom(&address[..end]).then_some((Cow::Borrowed(&address[..end]), &address[end..]))?
    };
    let domain = rest.strip_prefix('@')?;
    let literal = domain.strip_prefix('[').and_then(|literal| literal.strip_suffix(']'));
    let valid = match literal {
        Some(literal) => literal.parse::<IpAddr>().is_ok(),
        None => is_dot_atom(domain),
    };
    valid.then_some((local, domain))
}

/// The text of a quoted string (its first quote is off already), and what follows it.
fn unquote(quoted: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut text = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '"' => return (!text.is_empty()).then(|| (Cow::Owned(text), &quoted[at + 1..])),
            '\\' => {
                escaped = true;
                continue;
            }
            _ => {}
        }
        text.push(c);
    }
    None
}

/// Atoms with single dots between them; `mail.ParseAddress` takes every character beyond ASCII.
fn is_dot_atom(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(is_atext)
        && !text.starts_with('.')
        && !text.ends_with('.')
        && !text.contains("..")
}

fn is_atext(c: char) -> bool {
    !matches!(c, '(' | ')' | '<' | '>' | '[' | ']' | ':' | ';' | '@' | '\\' | ',' | '"')
        && (('!'..='~').contains(&c) || !c.is_ascii())
}

/// protoc-gen-validate's `hostname`. It lowers the case first as Go does, so that `K` (the Kelvin sign) would pass as a
/// `k`; not here.
fn is_host_name(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    domain.len() <= 253 && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_go_both_ways() {
        let host = format!("{0}.{0}.{1}", "d".repeat(63), "e".repeat(5));
        let long = format!("{}@{host}", "a".repeat(64));
        for address in [
            "a@b",
            "a@localhost",
            "a.b+c@d-e.example",
            "auth0|x@example.com",
            "ümlaut@example.com",
            "\"a b\"@c.d",
            &long,
        ] {
            assert!(import_takes(address) && users_api_takes(address), "{address}");
        }
    }

    #[test]
    fn the_users_api_is_stricter() {
        for address in [
            "a@münchen.example",
            "a@[127.0.0.1]",
            "a@[::1]",
            "a@-b.c",
            "a@b-.c",
            "a@b_c.d",
            "\"a@b\"@c.d",
            &format!("{}@b.c", "a".repeat(65)),
            &format!("a@{}.c", "b".repeat(64)),
        ] {
            assert!(import_takes(address), "{address}");
            assert!(!users_api_takes(address), "{address}");
        }
    }

    #[test]
    fn both_refuse() {
        for address in [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a..b@c.d",
            ".a@b",
            "a.@b",
            "a@b.",
            "a@.b",
            "a@b..c",
            "a b@c",
            "a@b c",
            "a@ b",
            "Foo <a@b>",
            "<a@b>",
            "a@b (c)",
            "a@b@c",
            "\"\"@b",
            "\"a@b",
            "a@[b]",
            "a@[1.2.3.4",
            "a\0@b",
            "\"a\0\"@b",
            "a@b\u{85}",
            "a,b@c",
            &format!("{}@{}", "a".repeat(60), "b".repeat(140)),
        ] {
            assert!(!import_takes(address), "{address:?}");
            assert!(!users_api_takes(address), "{address:?}");
        }
    }

    #[test]
    fn placeholders_are_taken_and_differ() {
        assert_eq!(placeholder("sms|5f1", "p.example"), "sms-5f1@p.example");
        let long = "x".repeat(200);
        let ids = ["sms|5f1", "sms-5f1|", "oidc|c|a.b", "oidc|c|a,b", "ü", "", &long];
        let made: std::collections::HashSet<_> = ids.iter().map(|id| placeholder(id, "p.example")).collect();
        assert_eq!(made.len(), ids.len());
        assert!(made.iter().all(|address| import_takes(address) && users_api_takes(address)), "{made:?}");
    }
}
