//! The password hash: is it fresh, and will ZITADEL take it?

use std::borrow::Cow;

use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    draft::Password,
    finding::{Finding, FindingCode},
    joined::JoinedHash,
};
use crate::{
    auth0::accounts::is_database_user,
    auth0::user::ExportedUser,
    hashes::algorithm::{self, Verifiers},
    mapping::settings::StaleHash,
};

/// `last_password_reset` and `password_set_date` are written by two steps of one change at Auth0.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

pub(super) fn password(
    user: &ExportedUser,
    hash: Option<JoinedHash>,
    policy: StaleHash,
    verifiers: Verifiers,
    has_links: bool,
    findings: &mut Vec<Finding>,
) -> Option<Password> {
    let Some(hash) = hash else {
        if !is_database_user(user) && !has_links {
            findings.push(Finding::new(FindingCode::NoPassword));
        }
        return None;
    };
    let unknown = is_of_unknown_age(user, &hash);
    let stale = unknown || is_stale(user, &hash);
    let usable = match algorithm::usable(hash.hash.expose_secret(), verifiers) {
        Ok(Cow::Owned(converted)) => Some(SecretString::from(converted)),
        Ok(Cow::Borrowed(_)) => None,
        Err(unusable) => {
            findings.push(Finding::about(FindingCode::UnusableHash, unusable.reason));
            return None;
        }
    };
    let hash = usable.unwrap_or(hash.hash);
    if unknown {
        findings.push(Finding::new(FindingCode::HashOfUnknownAge));
    } else if stale {
        findings.push(Finding::new(FindingCode::StaleHash));
    }
    match (stale, policy) {
        (true, StaleHash::Drop) => None,
        (true, StaleHash::RequireChange) => Some(Password { hash, change_required: true }),
        (true, StaleHash::Keep) | (false, _) => Some(Password { hash, change_required: false }),
    }
}

/// The password was changed once, and the hash's own date cannot be read: the old password might be opening the account
/// again. Who never changed it has the one of the hash.
fn is_of_unknown_age(user: &ExportedUser, hash: &JoinedHash) -> bool {
    hash.primary && hash.bad_date && user.last_password_reset.is_some()
}

/// The password was changed after the hash was written. Absent dates prove nothing, and `last_password_reset` is of the
/// primary identity only.
fn is_stale(user: &ExportedUser, hash: &JoinedHash) -> bool {
    match (user.last_password_reset, hash.set_at) {
        (Some(reset), Some(set_at)) => hash.primary && reset.duration_since(set_at) > TOLERANCE,
        _ => false,
    }
}
