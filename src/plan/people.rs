//! Accounts of one person, and identities that two users claim. Names come after it: whoever becomes part of another user
//! claims none.

use std::collections::BTreeSet;

use rusqlite::Transaction;

use super::{names, prepare::adjusted};
use crate::{
    config::Collisions,
    ledger::{
        link_queries::{self, LinkClaim},
        plan_queries::Claim,
    },
    mapping::finding::{BlockedCode, Finding, FindingCode},
};

/// Settles who is one person, and who keeps a link.
///
/// # Errors
/// As SQLite.
pub fn settle(transaction: &Transaction<'_>, run: i64, policy: Collisions) -> rusqlite::Result<()> {
    // By id, for a fixed order.
    let mut changed = BTreeSet::new();
    if policy == Collisions::Link {
        for group in link_queries::sharing_email(transaction, run)?.chunk_by(|a, b| a.name_key == b.name_key) {
            join(transaction, run, group, &mut changed)?;
        }
    }
    for group in link_queries::contested_links(transaction, run)?
        .chunk_by(|a, b| (&a.idp_id, &a.folded) == (&b.idp_id, &b.folded))
    {
        keep_one(transaction, group, &mut changed)?;
    }
    for user_id in changed {
        let profile: Option<[u8; 16]> =
            transaction.query_row("SELECT want_profile FROM users WHERE user_id = ?1", [&user_id], |row| row.get(0))?;
        let Some(profile) = profile else { continue };
        let (links, joined) = link_queries::made_of(transaction, run, &user_id)?;
        let users_api = links.iter().any(|link| !link.by_import);
        link_queries::adjust(transaction, &user_id, adjusted(&profile, &links, &joined), users_api)?;
    }
    Ok(())
}

/// Accounts with the same verified e-mail: one stays, the others become part of it. Whoever is in ZITADEL already stays
/// what they are.
fn join(
    transaction: &Transaction<'_>,
    run: i64,
    group: &[Claim],
    changed: &mut BTreeSet<String>,
) -> rusqlite::Result<()> {
    let Some(keeper) = group.iter().min_by(|a, b| rank(a, b)) else { return Ok(()) };
    let mut ids = Vec::new();
    for other in group.iter().filter(|claim| claim.user_id != keeper.user_id) {
        if !link_queries::is_free(transaction, &other.user_id)? {
            continue;
        }
        let left = link_queries::has_metadata(transaction, &other.user_id)?
            .then(|| Finding::about(FindingCode::MetadataLeft, &keeper.user_id));
        let code = BlockedCode::LinkedInto.code();
        link_queries::join(transaction, run, &other.user_id, &keeper.user_id, code, left.as_ref())?;
        if other.has_password {
            let detail = format!("the password of {} counts, not that of {}", keeper.user_id, other.user_id);
            link_queries::find(transaction, &keeper.user_id, &Finding::about(FindingCode::OtherPasswordLeft, detail))?;
        }
        ids.push(other.user_id.as_str());
    }
    if !ids.is_empty() {
        let finding = Finding::about(FindingCode::AccountsJoined, ids.join(", "));
        link_queries::find(transaction, &keeper.user_id, &finding)?;
        changed.insert(keeper.user_id.clone());
    }
    Ok(())
}

/// Whoever is in ZITADEL already stays; then whoever has a password; then the better claim.
fn rank(a: &Claim, b: &Claim) -> std::cmp::Ordering {
    b.ours.cmp(&a.ours).then(b.has_password.cmp(&a.has_password)).then_with(|| names::rank(a, b))
}

/// An identity belongs to one user.
fn keep_one(
    transaction: &Transaction<'_>,
    group: &[LinkClaim],
    changed: &mut BTreeSet<String>,
) -> rusqlite::Result<()> {
    let rank = |a: &&LinkClaim, b: &&LinkClaim| b.have.cmp(&a.have).then_with(|| names::rank(&a.holder, &b.holder));
    let Some(keeper) = group.iter().min_by(rank) else { return Ok(()) };
    for other in group.iter().filter(|other| **other != *keeper) {
        link_queries::drop_link(transaction, other)?;
        changed.insert(other.holder.user_id.clone());
        // One person's accounts may bring the same identity twice.
        if other.holder.user_id != keeper.holder.user_id {
            let detail = format!("kept by {}", keeper.holder.user_id);
            let finding = Finding::about(FindingCode::LinkKeptByOther, detail);
            link_queries::find(transaction, &other.holder.user_id, &finding)?;
        }
    }
    Ok(())
}

/// Accounts that were to become part of a user who is not moved after all.
///
/// # Errors
/// As SQLite.
pub fn release(transaction: &Transaction<'_>, run: i64) -> rusqlite::Result<()> {
    link_queries::release(transaction, run, BlockedCode::LinkedInto.code())
}
