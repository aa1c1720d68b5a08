//! Accounts of one person, and identities that two users claim. Names come after it: whoever becomes part of another user
//! claims none.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    names,
    prepare::{adjusted, renamed},
};
use crate::{
    ledger::{
        Result, Transaction, joined,
        links::{self, LinkClaim},
        states::Lost,
        users::{self, Claim},
    },
    mapping::finding::{Blocked, BlockedCode, Finding, FindingCode},
    mapping::settings::Collisions,
    structure::settings::Carried,
};

/// Where links may be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Providers of the main organization only.
    pub of_main_only: Vec<String>,
    /// The main organization, where it exists.
    pub main: Option<String>,
    /// Users of a connection without a provider are not moved.
    pub block_unmatched: bool,
}

/// Settles who is one person, and who keeps a link.
///
/// # Errors
/// If SQLite fails.
pub fn settle(transaction: &Transaction<'_>, run: i64, policy: Collisions, carried: Carried) -> Result<()> {
    let mut people = People { transaction, run, carried, joined: BTreeMap::new() };
    // Who became one user stays one, whatever the policy says now: else the user would lose what the accounts brought.
    let before = joined::joined_before(transaction, run)?;
    for group in before.chunk_by(|(a, _), (b, _)| a == b) {
        for (keeper, other) in group {
            people.absorb(keeper, other)?;
        }
    }
    if policy == Collisions::Link {
        for group in joined::sharing_email(transaction, run)?.chunk_by(|a, b| a.name_key == b.name_key) {
            people.join(group)?;
        }
    }
    // By id, for a fixed order.
    let mut changed = people.say()?;
    for group in
        links::contested_links(transaction, run)?.chunk_by(|a, b| (&a.idp_id, &a.folded) == (&b.idp_id, &b.folded))
    {
        keep_one(transaction, group, &mut changed)?;
    }
    changed.iter().try_for_each(|user_id| adjust(transaction, run, user_id, false))
}

/// Once it is known who is moved, and where to: links that nobody would get although somebody could, and links that are of
/// no use where the user lives.
///
/// # Errors
/// If SQLite fails.
pub fn finish(transaction: &Transaction<'_>, run: i64, reach: &Reach) -> Result<()> {
    release(transaction, run)?;
    let mut changed = BTreeSet::new();
    leave_out(transaction, run, reach, &mut changed)?;
    reclaim(transaction, run, &mut changed)?;
    leave_out(transaction, run, reach, &mut changed)?;
    changed.iter().try_for_each(|user_id| adjust(transaction, run, user_id, true))?;
    release(transaction, run)?;
    users::count_as_written(transaction, run)
}

/// Makes the fingerprint again; `named` where the names are settled.
fn adjust(transaction: &Transaction<'_>, run: i64, user_id: &str, named: bool) -> Result<()> {
    let Some((base, suffix)) = users::base(transaction, run, user_id)? else { return Ok(()) };
    let (links, joined) = links::made_of(transaction, run, user_id)?;
    // The import would strand somebody with neither password nor link.
    let users_api = links.iter().any(|link| !link.by_import) || (links.is_empty() && !base.has_password);
    // Where the row says it all, the fingerprint is the row's: of another one the next run would make an update.
    let by_row = joined.is_empty() && links::has_own_links(transaction, run, user_id)?;
    let profile = if by_row { base.profile } else { adjusted(&base.profile, &links, &joined) };
    let profile = suffix.filter(|_| named).map_or(profile, |suffix| renamed(&profile, &suffix));
    users::adjust(transaction, user_id, profile, (!by_row, users_api))
}

/// What became part of whom.
struct People<'a> {
    transaction: &'a Transaction<'a>,
    run: i64,
    carried: Carried,
    joined: BTreeMap<String, Joined>,
}

/// What became part of one user.
#[derive(Default)]
struct Joined {
    ids: Vec<String>,
    with_roles: Vec<String>,
    lost: Vec<&'static str>,
}

impl People<'_> {
    /// Accounts with the same verified e-mail: one stays, the others become part of it. Whoever is in ZITADEL already stays
    /// what they are.
    fn join(&mut self, group: &[Claim]) -> Result<()> {
        let Some(keeper) = group.iter().min_by(|a, b| rank(a, b)) else { return Ok(()) };
        for other in group.iter().filter(|claim| claim.user_id != keeper.user_id) {
            self.absorb(&keeper.user_id, other)?;
        }
        Ok(())
    }

    fn absorb(&mut self, keeper: &str, other: &Claim) -> Result<()> {
        let (transaction, run) = (self.transaction, self.run);
        if !joined::is_free(transaction, &other.user_id)? {
            return Ok(());
        }
        let left = joined::has_metadata(transaction, &other.user_id)?
            .then(|| Finding::about(FindingCode::MetadataLeft, keeper));
        let code = BlockedCode::LinkedInto.code();
        joined::join(transaction, run, &other.user_id, keeper, code, left.as_ref())?;
        if other.has_password {
            let finding = if joined::has_password(transaction, keeper)? {
                let detail = format!("the password of {keeper} counts, not that of {}", other.user_id);
                Finding::about(FindingCode::OtherPasswordLeft, detail)
            } else {
                Finding::about(FindingCode::PasswordLeft, &other.user_id)
            };
            users::add_finding(transaction, keeper, &finding)?;
        }
        let joined = self.joined.entry(keeper.to_owned()).or_default();
        let (roles, memberships) = joined::has_roles(transaction, run, &other.user_id)?;
        if (roles && self.carried.roles) || (memberships && self.carried.memberships) {
            joined.with_roles.push(other.user_id.clone());
        }
        if (roles && !self.carried.roles) || (memberships && !self.carried.memberships) {
            let left = Finding::about(FindingCode::RolesLeft, keeper);
            users::add_finding(transaction, &other.user_id, &left)?;
        }
        let kept = joined::factors(transaction, keeper)?.unwrap_or_default();
        let factors = joined::factors(transaction, &other.user_id)?.unwrap_or_default();
        for (kind, half) in [("totp", 0..8), ("recovery-code", 8..16)] {
            if factors[half.clone()] != [0; 8] && kept[half] == [0; 8] && !joined.lost.contains(&kind) {
                joined.lost.push(kind);
            }
        }
        joined.ids.push(other.user_id.clone());
        Ok(())
    }

    /// Says it to those who stay; returns who they are.
    fn say(self) -> Result<BTreeSet<String>> {
        for (keeper, Joined { ids, with_roles, lost }) in &self.joined {
            let say = |code, what: String| {
                if what.is_empty() {
                    return Ok(());
                }
                users::add_finding(self.transaction, keeper, &Finding::about(code, what))
            };
            // They were enrolled for the account that becomes part of this one.
            say(FindingCode::FactorNotMoved, lost.join(", "))?;
            say(FindingCode::AccountsJoined, ids.join(", "))?;
            say(FindingCode::RolesJoined, with_roles.join(", "))?;
        }
        Ok(self.joined.into_keys().collect())
    }
}

/// Whoever is in ZITADEL already stays; then whoever has a password; then the better claim.
fn rank(a: &Claim, b: &Claim) -> std::cmp::Ordering {
    b.ours.cmp(&a.ours).then(b.has_password.cmp(&a.has_password)).then_with(|| names::rank(a, b))
}

/// An identity belongs to one user.
fn keep_one(transaction: &Transaction<'_>, group: &[LinkClaim], changed: &mut BTreeSet<String>) -> Result<()> {
    let rank = |a: &&LinkClaim, b: &&LinkClaim| b.have.cmp(&a.have).then_with(|| names::rank(&a.holder, &b.holder));
    let Some(keeper) = group.iter().min_by(rank) else { return Ok(()) };
    for other in group.iter().filter(|other| **other != *keeper) {
        links::drop_link(transaction, other, Lost::Kept)?;
        changed.insert(other.holder.user_id.clone());
        // One person's accounts may bring the same identity twice.
        if other.holder.user_id != keeper.holder.user_id {
            users::add_finding(transaction, &other.holder.user_id, &kept_by(&keeper.holder.user_id))?;
        }
    }
    Ok(())
}

fn kept_by(keeper: &str) -> Finding {
    Finding::about(FindingCode::LinkKeptByOther, format!("kept by {keeper}"))
}

/// Identities whose keeper is not moved after all go to the next.
fn reclaim(transaction: &Transaction<'_>, run: i64, changed: &mut BTreeSet<String>) -> Result<()> {
    let claims = links::unclaimed(transaction, run)?;
    for group in claims.chunk_by(|(a, _), (b, _)| (&a.idp_id, &a.folded) == (&b.idp_id, &b.folded)) {
        let best = group.iter().min_by(|(a, _), (b, _)| names::rank(&a.holder, &b.holder));
        let Some((best, before)) = best else { continue };
        links::give_link(transaction, best)?;
        changed.insert(best.holder.user_id.clone());
        for (claim, _) in group {
            for keeper in before {
                users::remove_finding(transaction, &claim.holder.user_id, &kept_by(keeper))?;
            }
            if claim.holder.user_id != best.holder.user_id {
                users::add_finding(transaction, &claim.holder.user_id, &kept_by(&best.holder.user_id))?;
            }
        }
    }
    Ok(())
}

/// After the import, which may have found that somebody is another's, or was refused: nobody became part of them, and what
/// they were to keep is the next one's, in the next run.
///
/// # Errors
/// If SQLite fails.
pub fn conclude(transaction: &Transaction<'_>, run: i64) -> Result<()> {
    release(transaction, run)?;
    for (claim, before) in links::unclaimed(transaction, run)? {
        for keeper in &before {
            let (user_id, detail) =
                (&claim.holder.user_id, format!("was to be {keeper}'s, who was not moved: run again"));
            users::remove_finding(transaction, user_id, &kept_by(keeper))?;
            users::add_finding(transaction, user_id, &Finding::about(FindingCode::LinkKeptByOther, detail))?;
        }
    }
    Ok(())
}

/// A provider of the main organization is of no use to users of another: the users API refuses the link,
/// the import takes it and nobody can sign in by it there.
fn leave_out(transaction: &Transaction<'_>, run: i64, reach: &Reach, changed: &mut BTreeSet<String>) -> Result<()> {
    for idp_id in &reach.of_main_only {
        for link in links::elsewhere(transaction, run, idp_id, reach.main.as_deref())? {
            let (user_id, detail) = (&link.holder.user_id, format!("provider {idp_id}"));
            links::drop_link(transaction, &link, Lost::Elsewhere)?;
            if reach.block_unmatched {
                let detail = format!("{detail} is of the main organization only");
                users::block(transaction, user_id, &Blocked::about(BlockedCode::NoIdentityProvider, detail))?;
            } else {
                users::add_finding(transaction, user_id, &Finding::about(FindingCode::ProviderElsewhere, detail))?;
                changed.insert(user_id.clone());
            }
        }
    }
    Ok(())
}

/// Accounts that were to become part of a user who is not moved after all.
///
/// # Errors
/// If SQLite fails.
pub fn release(transaction: &Transaction<'_>, run: i64) -> Result<()> {
    joined::release(transaction, run, BlockedCode::LinkedInto.code())
}
