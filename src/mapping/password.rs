//! The password hash: is it fresh, and will ZITADEL take it?

use jiff::SignedDuration;
use secrecy::ExposeSecret as _;

use super::{
    draft::Password,
    finding::{Finding, FindingCode},
};
use crate::{
    auth0::user::ExportedUser,
    config::StaleHash,
    join::{JoinedHash, is_database_user},
};

/// `last_password_reset` and `password_set_date` are written by two steps of one change at Auth0.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

pub(super) fn password(
    user: &ExportedUser,
    hash: Option<JoinedHash>,
    policy: StaleHash,
    findings: &mut Vec<Finding>,
) -> Option<Password> {
    let Some(hash) = hash else {
        if !is_database_user(user) {
            findings.push(Finding::new(FindingCode::NoPassword));
        }
        return None;
    };
    if let Err(why) = check(hash.hash.expose_secret()) {
        findings.push(Finding::about(FindingCode::UnusableHash, why));
        return None;
    }
    let stale = is_stale(user, &hash);
    if stale {
        findings.push(Finding::new(FindingCode::StaleHash));
    }
    match (stale, policy) {
        (true, StaleHash::Drop) => None,
        (true, StaleHash::RequireChange) => Some(Password { hash: hash.hash, change_required: true }),
        (true, StaleHash::Keep) | (false, _) => Some(Password { hash: hash.hash, change_required: false }),
    }
}

/// The password was changed after the hash was written. Unknown dates prove nothing, and `last_password_reset` is of the
/// primary identity only.
fn is_stale(user: &ExportedUser, hash: &JoinedHash) -> bool {
    match (user.last_password_reset, hash.set_at) {
        (Some(reset), Some(set_at)) => hash.primary && reset.duration_since(set_at) > TOLERANCE,
        _ => false,
    }
}

/// What ZITADEL takes with its stock configuration: bcrypt, `^\$2[aby]\$(1[0-6])\$[./A-Za-z0-9]{53}$`. It is stricter
/// than ZITADEL, which stores hashes with rubbish in them, and which stops altogether at the hash `$2`. The error names
/// the algorithm, never the hash.
fn check(hash: &str) -> Result<(), String> {
    let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix)) else {
        return Err(if hash.starts_with("$2") { "malformed bcrypt".into() } else { "not bcrypt".into() });
    };
    let (Some(cost), Some(digest)) = (
        rest.get(..2).filter(|cost| cost.bytes().all(|b| b.is_ascii_digit())).and_then(|cost| cost.parse::<u8>().ok()),
        rest.get(2..),
    ) else {
        return Err("malformed bcrypt".into());
    };
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    let well_formed = digest.strip_prefix('$').is_some_and(|digest| digest.len() == 53 && digest.bytes().all(alphabet));
    match (well_formed, cost) {
        (false, _) => Err("malformed bcrypt".into()),
        (true, 10..=16) => Ok(()),
        (true, cost) => Err(format!("bcrypt with cost {cost}, ZITADEL takes 10 to 16")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDhywTou";

    #[test]
    fn takes_what_zitadel_takes() {
        for version in ["2a", "2b", "2y"] {
            for cost in 10..=16 {
                assert_eq!(check(&format!("${version}${cost}{}", &HASH[6..])), Ok(()));
            }
        }
    }

    #[test]
    fn refuses_the_rest_without_showing_it() {
        let tail = &HASH[6..];
        for (hash, why) in [
            ("$2".to_owned(), "malformed bcrypt"),
            (String::new(), "not bcrypt"),
            (format!("$2x$10{tail}"), "malformed bcrypt"),
            (format!("$2b$+9{tail}"), "malformed bcrypt"),
            (format!("{HASH}x"), "malformed bcrypt"),
            (HASH[..59].to_owned(), "malformed bcrypt"),
            (HASH.replace('7', "!"), "malformed bcrypt"),
            (HASH.replace("7", "é"), "malformed bcrypt"),
            (format!("$2b$09{tail}"), "bcrypt with cost 9, ZITADEL takes 10 to 16"),
            (format!("$2b$17{tail}"), "bcrypt with cost 17, ZITADEL takes 10 to 16"),
            ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA".to_owned(), "not bcrypt"),
        ] {
            assert_eq!(check(&hash), Err(why.to_owned()));
        }
    }
}
