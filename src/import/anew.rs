//! Users whom ZITADEL stored and whom one of its projections passed over, for good: made anew.
//!
//! ZITADEL places an event by the start of its transaction (`position`, `NOW()`), and lets a projection read up to the newest
//! event. Where requests run at a time, one that waited for its turn comes to lie behind what the projection has read. Measured
//! on a real instance: of 14,000 users nine had no login name, and so could not sign in; three lacked metadata that was
//! stored. Nothing says so, and to write the same once more changes nothing, for ZITADEL compares with what it stored. So
//! such a user is deleted and created again: only one whom this run created, and whom nobody else has touched since.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use crate::{
    error::Result,
    ledger::{
        differences::{Lacking, passed_over},
        states::Outcome,
        users::{Settled, count_seen, created_not_seen, doubt, set_seen, start_again, written_at},
    },
    mapping::finding::BlockedCode,
    ownership::Us,
    zitadel::{
        events::kind,
        failure::{Failure, Reason},
        structure::GrantChange,
    },
};

/// So many at the most may be made anew where the run wrote few,
const MOST: usize = 100;
/// one in so many of those whom the run wrote where it wrote many: more of them say that something else is wrong.
const ONE_IN: u64 = 50;
/// Of few users a part at the most, for the same reason,
const ONE_IN_FEW: u64 = 4;
/// but these in any case.
const FEW: usize = 3;
/// Before it is looked once more at what was read behind a barrier.
const MOMENT: Duration = Duration::from_secs(2);
/// Events of parallel transactions may show a little out of order.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// Ids of grants by user.
type Grants = HashMap<String, Vec<String>>;

/// Whom no search finds, although the projections have read everything. They are deleted and put back on the list.
///
/// Returns how many there are to be created again; 0 where there are none, too many, or the account may not delete.
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub async fn unseen(engine: &Engine) -> Result<u64> {
    let most = most(engine)?;
    let lost = engine.ledger.read(|c| created_not_seen(c, engine.run, most + 1))?;
    let us = engine.us()?;
    if lost.len() > most {
        return Ok(0);
    }
    let mut again = 0;
    for user_id in lost {
        engine.check_stopped()?;
        // Once more, by the read that waits for the projections: whoever is just late is never deleted.
        if engine.exists(&user_id).await?.is_some() {
            engine.ledger.write(move |t| set_seen(t, &[user_id])).await?;
            continue;
        }
        let settled_at = engine.ledger.read(|c| written_at(c, &user_id))?;
        match life(engine, &user_id, settled_at, &us).await? {
            // Who was deleted stays deleted.
            Life::Gone => {
                let gone = Some(BlockedCode::GoneFromZitadel.code());
                engine.settle(vec![Settled { code: gone, ..Settled::new(&user_id, Outcome::Rejected) }]).await?;
            }
            Life::Ours(_) if delete(engine, user_id, Vec::new()).await? => again += 1,
            Life::Ours(_) => break,
            // A user is deleted only if it can be told that nobody but us did anything to it.
            Life::Touched | Life::Unknown => {}
        }
    }
    Ok(again)
}

/// Whom the comparison found to lack something that was stored: a login name, metadata, links, grants, the state. Those whom
/// nobody else has touched since are deleted and put back on the list.
///
/// Returns how many there are to be created again, as [`unseen`].
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub async fn lacking(engine: &Engine) -> Result<u64> {
    let most = most(engine)?;
    let lacking = engine.ledger.read(|c| passed_over(c, engine.run, most + 1))?;
    let us = engine.us()?;
    if lacking.len() > most {
        return Ok(0);
    }
    let (lacking, mut grants) = untouched(engine, lacking, &us).await?;
    let mut again = 0;
    for user in lacking {
        engine.check_stopped()?;
        // Once more: to look at what others did took its time.
        if !matches!(life(engine, &user.user_id, user.settled_at, &us).await?, Life::Ours(_)) {
            continue;
        }
        let grants = grants.remove(&user.user_id).unwrap_or_default();
        if !delete(engine, user.user_id, grants).await? {
            break;
        }
        again += 1;
    }
    if again > 0 {
        // Who is found after this is there, and was not there before.
        let barrier = engine.client.barrier(engine.config.visible_deadline).await;
        barrier.map_err(|failure| failure.into_error("could not wait for ZITADEL's projections"))?;
    }
    Ok(again)
}

/// How long to wait before those who lack something count as passed over; none: nobody lacks anything.
///
/// # Errors
/// When the ledger fails.
pub fn pause(engine: &Engine) -> Result<Option<Duration>> {
    let lacking = engine.ledger.read(|c| passed_over(c, engine.run, MOST))?;
    let late = lacking.iter().any(|user| user.maybe_late);
    let longest = engine.config.passed_over_after;
    Ok((!lacking.is_empty()).then_some(if late { longest } else { longest.min(MOMENT) }))
}

fn most(engine: &Engine) -> Result<usize> {
    let (written, _) = engine.ledger.read(|c| count_seen(c, engine.run))?;
    let one_in = |n: u64| usize::try_from(written / n).unwrap_or(usize::MAX);
    Ok(one_in(ONE_IN).max(MOST.min(one_in(ONE_IN_FEW))).max(FEW))
}

/// What a user's own events say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Created by us then, and by nobody else touched since.
    Ours(Option<Timestamp>),
    /// Somebody else created or changed the user, or the user has signed in.
    Touched,
    /// The user is deleted.
    Gone,
    /// The account may not read events, or there are more than are read.
    Unknown,
}

/// The users to whom nobody but us did anything since the creation. Only events tell: if they may not be read, everybody is
/// left as they are. Beside them, the ids of the grants that each has from us.
async fn untouched(engine: &Engine, lacking: Vec<Lacking>, us: &Us) -> Result<(Vec<Lacking>, Grants)> {
    let (mut left, mut since) = (Vec::new(), None);
    for user in lacking {
        engine.check_stopped()?;
        if let Life::Ours(created) = life(engine, &user.user_id, user.settled_at, us).await? {
            since = created.map(|at| since.map_or(at, |since: Timestamp| since.min(at))).or(since);
            left.push(user);
        }
    }
    let Some(since) = since else { return Ok((left, Grants::new())) };
    let since = since.checked_sub(OVERLAP).unwrap_or(since);
    let ids: HashSet<&str> = left.iter().map(|user| user.user_id.as_str()).collect();
    let (mut grants, mut touched) = (HashMap::new(), HashSet::new());
    let whole = engine.client.each_event(&kind::ELSEWHERE, since, |event| {
        let is_grant = event.kind.starts_with("user.grant.");
        // What became of a grant need not say whose it is.
        let whose = event.about.filter(|id| ids.contains(id.as_str()));
        let Some(whose) = whose.or_else(|| grants.get(&event.aggregate_id).cloned()) else { return };
        if event.kind == kind::GRANT_ADDED {
            grants.insert(event.aggregate_id, whose.clone());
        }
        // We give roles, and nothing else of these.
        let by_us = us.accounts.contains(&event.editor_user_id);
        if !(is_grant && by_us) {
            touched.insert(whose);
        }
    });
    if !whole.await.map_err(|f| f.into_error("could not read ZITADEL's events"))? {
        // Too many to look through.
        return Ok((Vec::new(), Grants::new()));
    }
    left.retain(|user| !touched.contains(&user.user_id));
    let mut given = Grants::new();
    for (grant, user_id) in grants {
        given.entry(user_id).or_default().push(grant);
    }
    Ok((left, given))
}

async fn life(engine: &Engine, user_id: &str, settled_at: Option<Timestamp>, us: &Us) -> Result<Life> {
    let life = match engine.client.life(user_id, &[]).await {
        // Or there is more than ZITADEL sends in one answer.
        Err(Failure::NoPermission(_) | Failure::TooLarge) => return Ok(Life::Unknown),
        life => life.map_err(|f| f.into_error("could not read ZITADEL's events"))?,
    };
    if life.whole && life.events.is_empty() {
        return Ok(Life::Gone);
    }
    let created = life.events.iter().find(|event| event.kind == kind::HUMAN_ADDED);
    Ok(match created {
        Some(created) if life.whole && us.touched(&life, settled_at).is_none() => Life::Ours(created.created),
        _ => Life::Touched,
    })
}

/// Deletes a user, who is then to be created again. False where the account may not.
///
/// ZITADEL takes the grants of a user whom it deletes by what its list shows, and that shows none of a user without a login
/// name, nor one that was passed over: such a grant would stay taken for ever ([`Reason::Taken`]). So they go first.
async fn delete(engine: &Engine, user_id: String, grants: Vec<String>) -> Result<bool> {
    // In doubt until it is done: whoever dies in between finds out in the next run.
    let id = user_id.clone();
    engine.ledger.write(move |t| doubt(t, &id, false)).await?;
    for grant in grants {
        match engine.client.change_grant(&grant, GrantChange::Delete).await {
            Ok(()) => {}
            Err(failure) if failure.reason() == Reason::GrantNotFound => {}
            Err(failure) => return Err(failure.into_error("could not take the roles of a user who is to be made anew")),
        }
    }
    match engine.client.delete_user(&user_id).await {
        Ok(_) => {
            engine.ledger.write(move |t| start_again(t, &user_id)).await?;
            Ok(true)
        }
        Err(Failure::NoPermission(_)) => {
            engine.ledger.write(move |t| doubt(t, &user_id, true)).await?;
            Ok(false)
        }
        Err(failure) => Err(failure.into_error("could not delete a user who is to be made anew")),
    }
}
