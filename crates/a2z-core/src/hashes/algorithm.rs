//! What a password hash is, by its form, without trusting it; and whether ZITADEL takes it.
//!
//! ZITADEL looks at a hash's beginning only when it imports one, so that a damaged hash is found out at the sign-in.
//! Therefore the check here is strict. Only bcrypt has a verifier unless the instance is configured otherwise; which
//! others it has, the operator says.

use std::{borrow::Cow, fmt};

use super::passwap;
pub use super::verifier::{Verifier, Verifiers};

/// Why ZITADEL would refuse a hash, or never match it. Holds nothing of the hash but its algorithm and cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// In words, lower case.
    pub reason: Cow<'static, str>,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unusable {}

/// A bcrypt hash in its parts, where it is exactly one: `$2b$10$` and 53 characters.
pub(super) struct Bcrypt<'a> {
    /// `a`, `b` or `y`, or `x` of the faulty `crypt_blowfish`.
    pub(super) version: u8,
    pub(super) cost: u8,
    pub(super) body: &'a [u8; 53],
}

pub(super) fn bcrypt(hash: &str) -> Option<Bcrypt<'_>> {
    let [b'$', b'2', version @ (b'a' | b'b' | b'x' | b'y'), b'$', tens, ones, b'$', body @ ..] = hash.as_bytes() else {
        return None;
    };
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    let body: &[u8; 53] = body.try_into().ok()?;
    let sound = body.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'));
    sound.then_some(Bcrypt { version: *version, cost: (tens - b'0') * 10 + (ones - b'0'), body })
}

/// The hash as ZITADEL takes it, where it takes it and can match it: as it is, or in passwap's way of writing the same.
///
/// # Errors
/// Why not.
pub fn usable(hash: &str, verifiers: Verifiers) -> Result<Cow<'_, str>, Unusable> {
    let no = |reason: Cow<'static, str>| Err(Unusable { reason });
    match bcrypt(hash) {
        Some(Bcrypt { version: b'x', .. }) => return no("bcrypt of the faulty version 2x".into()),
        Some(Bcrypt { cost: 10..=16, .. }) => return Ok(Cow::Borrowed(hash)),
        Some(Bcrypt { cost, .. }) => return no(format!("bcrypt cost {cost}; ZITADEL takes 10 to 16").into()),
        None if hash.starts_with("$2") => return no("malformed bcrypt".into()),
        None => {}
    }
    let Some(found) = passwap::read(hash) else {
        return match family(hash) {
            Some(family) => no(format!("{family}; ZITADEL has no verifier for it").into()),
            None => no("unrecognised algorithm".into()),
        };
    };
    let name = found.verifier.name();
    match found.encoded {
        Err(what) => no(format!("{}: {what}", family(hash).unwrap_or(name)).into()),
        Ok(_) if !verifiers.has(found.verifier) => {
            let family = family(hash).unwrap_or(name);
            no(format!("{family}; the verifier `{name}` is not listed in `zitadel.verifiers`").into())
        }
        Ok(encoded) => Ok(encoded),
    }
}

/// Whether ZITADEL takes the hash with its default configuration, and can match it.
///
/// # Errors
/// Why not.
pub fn check(hash: &str) -> Result<(), Unusable> {
    usable(hash, Verifiers::default()).map(drop)
}

/// The algorithm and cost, for the audit: `bcrypt 2b cost 10`, `argon2id`, `unrecognised`.
#[must_use]
pub fn describe(hash: &str) -> Cow<'static, str> {
    match bcrypt(hash) {
        Some(Bcrypt { version, cost, .. }) => format!("bcrypt 2{} cost {cost}", char::from(version)).into(),
        None if hash.starts_with("$2") => "malformed bcrypt".into(),
        None => family(hash).unwrap_or("unrecognised").into(),
    }
}

/// The algorithm that a hash's beginning names.
fn family(hash: &str) -> Option<&'static str> {
    const PREFIXES: [(&str, &str); 23] = [
        ("$argon2id$", "argon2id"),
        ("$argon2i$", "argon2i"),
        ("$argon2d$", "argon2d"),
        ("$pbkdf2", "pbkdf2"),
        ("pbkdf2_", "pbkdf2"),
        ("$scrypt$", "scrypt"),
        ("$7$", "scrypt"),
        ("$1$", "md5-crypt"),
        ("$apr1$", "md5-crypt"),
        ("$md5salted-", "md5 with salt"),
        ("$md5", "md5"),
        ("$5$", "sha256-crypt"),
        ("$6$", "sha512-crypt"),
        ("$sha", "sha"),
        ("$P$", "phpass"),
        ("$H$", "phpass"),
        ("$S$", "drupal7"),
        ("$y$", "yescrypt"),
        ("{SSHA", "ldap"),
        ("{SHA", "ldap"),
        ("{SMD5}", "ldap"),
        ("{MD5}", "ldap"),
        ("{CRYPT}", "ldap"),
    ];
    let by_prefix = PREFIXES.iter().find(|(prefix, _)| hash.starts_with(prefix)).map(|(_, family)| *family);
    by_prefix.or_else(|| {
        let hex = !hash.is_empty() && hash.bytes().all(|b| b.is_ascii_hexdigit());
        match hash.len() {
            32 if hex => Some("md4 or md5 in hex"),
            40 if hex => Some("sha1 in hex"),
            64 if hex => Some("sha256 in hex"),
            128 if hex => Some("sha512 in hex"),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = ".qHPp/srqo1NAAAAAvlkmOdqAbH2Rg0qPv2Txj3ZwXfjJnewSjc4m";

    #[test]
    fn only_exact_bcrypt_of_a_legal_cost_is_usable() {
        for version in ["a", "b", "y"] {
            for cost in 10..=16 {
                assert_eq!(check(&format!("$2{version}${cost}${BODY}")), Ok(()));
            }
        }
        for bad in [
            "$2".to_owned(),
            "$2b$10$".to_owned(),
            format!("$2b$10${BODY}x"),
            format!("$2b$10${}", &BODY[1..]),
            format!("$2b$10${}!", &BODY[1..]),
            format!("$2b$10${}é", &BODY[2..]),
            format!("$2b$1${BODY}"),
            format!("$2$10${BODY}"),
            format!(" $2b$10${BODY}"),
            format!("$2b$10${BODY}\n"),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(check(&format!("$2b$09${BODY}")).unwrap_err().reason, "bcrypt cost 9; ZITADEL takes 10 to 16");
        assert!(check(&format!("$2b$17${BODY}")).is_err());
        assert!(check(&format!("$2x$10${BODY}")).is_err());
    }

    #[test]
    fn other_algorithms_are_named() {
        let sha = "a".repeat(64);
        for (hash, name) in [
            ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "argon2id"),
            ("$pbkdf2-sha256$i=100000,l=32$c2FsdA$aGFzaA", "pbkdf2"),
            ("$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA", "scrypt"),
            ("$2", "malformed bcrypt"),
            ("hunter2", "unrecognised"),
            ("", "unrecognised"),
            (&sha, "sha256 in hex"),
        ] {
            assert_eq!(describe(hash), name);
            assert!(check(hash).is_err());
        }
        assert_eq!(describe(&format!("$2b$10${BODY}")), "bcrypt 2b cost 10");
    }

    #[test]
    fn a_reason_holds_nothing_of_the_hash() {
        assert!(!check("hunter2-canary").unwrap_err().to_string().contains("canary"));
    }
}
