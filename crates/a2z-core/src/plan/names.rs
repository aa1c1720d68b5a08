//! Two users who would get one user name: who keeps it, and what becomes of the others.

use super::prepare::renamed;
use crate::{
    ledger::{
        Result, Transaction,
        users::{Claim, block, contested, name_is_claimed, rename, suffixed_before},
    },
    mapping::settings::Collisions,
    mapping::{
        collision::{self, better, suffixed},
        finding::{Blocked, BlockedCode, Finding, FindingCode},
    },
};

/// How many suffixes are tried before the user is blocked.
const ATTEMPTS: u32 = 20;

/// Settles every collision inside the export.
///
/// # Errors
/// If SQLite fails.
pub fn settle(transaction: &Transaction<'_>, run: i64, policy: Collisions) -> Result<()> {
    for claim in suffixed_before(transaction, run)? {
        let suffix = claim.suffix.clone().unwrap_or_default();
        give(transaction, &claim, &suffix, "an earlier run")?;
    }
    let claims = contested(transaction, run)?;
    for group in claims.chunk_by(|a, b| a.name_key == b.name_key) {
        let Some(keeper) = group.iter().min_by(|a, b| rank(a, b)) else { continue };
        for loser in group.iter().filter(|claim| claim.user_id != keeper.user_id && !claim.ours) {
            let free = match policy {
                Collisions::Suffix => free_suffix(transaction, run, loser)?,
                Collisions::Block | Collisions::Link => None,
            };
            if let Some(suffix) = free {
                give(transaction, loser, &suffix, &keeper.user_id)?;
            } else {
                let detail = format!("kept by {}", keeper.user_id);
                block(transaction, &loser.user_id, &Blocked::about(BlockedCode::DuplicateUserName, detail))?;
            }
        }
    }
    Ok(())
}

/// `attempt:connection`, with the first attempt that makes a name nobody claims.
fn free_suffix(transaction: &Transaction<'_>, run: i64, claim: &Claim) -> Result<Option<String>> {
    for attempt in 1..=ATTEMPTS {
        let suffix = format!("{attempt}:{}", claim.connection.as_deref().unwrap_or("auth0"));
        if !name_is_claimed(transaction, run, &key_with(&claim.name_key, &suffix))? {
            return Ok(Some(suffix));
        }
    }
    Ok(None)
}

fn give(transaction: &Transaction<'_>, claim: &Claim, suffix: &str, keeper: &str) -> Result<()> {
    let Some(profile) = claim.profile else { return Ok(()) };
    let finding = Finding::about(FindingCode::UserNameSuffixed, format!("the name is kept by {keeper}"));
    let key = key_with(&claim.name_key, suffix);
    rename(transaction, &claim.user_id, suffix, &key, renamed(&profile, suffix), &finding)
}

/// The folded name with a suffix, as the import will make it from the name itself.
fn key_with(name_key: &str, suffix: &str) -> String {
    let (attempt, connection) = suffix.split_once(':').unwrap_or(("1", suffix));
    collision::name_key(&suffixed(name_key, connection, attempt.parse().unwrap_or(1)))
}

/// Who is in ZITADEL already keeps the name; among the others the better claim.
pub(super) fn rank(a: &Claim, b: &Claim) -> std::cmp::Ordering {
    b.ours.cmp(&a.ours).then_with(|| better(&claim(a), &claim(b)))
}

fn claim(claim: &Claim) -> collision::Claim<'_> {
    collision::Claim {
        email_verified: claim.verified,
        usable_hash: claim.has_password,
        last_login: claim.last_login.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()),
        user_id: &claim.user_id,
    }
}
