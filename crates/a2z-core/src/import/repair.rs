//! Repairs users that ZITADEL stored and does not show completely.
//!
//! ZITADEL places an event by the start of its transaction, and lets a projection read up to the newest event. If requests
//! run in parallel, one that waited for its turn may come to lie behind what the projection has read: the event is stored
//! and never shown (zitadel#12703; about one user in 1,200 on a real instance). To write the same once more writes no event.
//! What helps is to take the thing away and to write it again (`in_place`). Only a user without a row among the users or
//! the login names cannot be repaired so, and cannot sign in either: that user is deleted and created again (`recreate`),
//! if the events prove that nobody but this ledger touched the user.
//!
//! A repair is a plan first, which is shown; then it is carried out, one user at a time, for requests in parallel may be
//! skipped again. A request that answers 200 proves nothing: only the read afterwards does.

mod in_place;
mod plan;
mod proof;
mod recreate;

use std::{collections::HashSet, time::Duration};

use tokio::sync::mpsc;

pub use self::plan::{Left, Part, Recreate, RepairPlan};
use self::plan::{Remedy, Rules, decide};
use super::{engine::Engine, item::Item};
use crate::{
    error::Result,
    event::Running,
    ledger::{
        repairs::suspects,
        states::Outcome,
        users::{Settled, balance, set_seen},
    },
    mapping::finding::BlockedCode,
};

/// This many users at most are repaired in place,
const MOST: u64 = 100;
/// or one in this many of the run's, if that is more: more of them say that something else is wrong.
const ONE_IN: u64 = 50;
/// Of few users only a part is recreated, for the same reason,
const ONE_IN_FEW: u64 = 4;
/// but this many in any case.
const FEW: u64 = 3;
/// The pause before another look at what was read behind a barrier.
const MOMENT: Duration = Duration::from_secs(2);

/// What a repair came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Users of whom every part is shown now.
    pub in_place: u64,
    /// Users that were deleted and created again.
    pub recreated: u64,
    /// Grants that were given again.
    pub grants: u64,
}

impl Repaired {
    /// Was anything repaired?
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.in_place + self.recreated + self.grants > 0
    }
}

/// How long to wait before those who differ count as skipped; `None`: what differs is not of this kind.
///
/// # Errors
/// When the ledger fails.
pub fn pause(engine: &Engine) -> Result<Option<Duration>> {
    let suspects = engine.ledger.read(|c| suspects(c, engine.run))?;
    let decided: Vec<_> = suspects.iter().map(|one| decide(one, engine.rules())).collect();
    if decided.iter().all(|decision| matches!(decision, Err(Left::NoRemedy))) {
        return Ok(None);
    }
    let remedies: Vec<Remedy> = decided.into_iter().filter_map(std::result::Result::ok).collect();
    let late =
        |remedy: &Remedy| matches!(remedy, Remedy::InPlace(parts) if parts.iter().any(|part| part.may_be_late()));
    let longest = engine.config.passed_over_after;
    let pause = if remedies.iter().any(late) { longest } else { longest.min(MOMENT) };
    Ok(Some(pause))
}

/// Plans the repair of those who differed when they were compared last. Only reads ZITADEL.
///
/// # Errors
/// When ZITADEL or the ledger fails, or the run is stopped.
pub async fn plan(engine: &Engine) -> Result<RepairPlan> {
    let ours = engine.ledger.read(|c| balance(c, engine.run))?;
    let ours = ours.created + ours.updated + ours.unchanged;
    let suspects = engine.ledger.read(|c| suspects(c, engine.run))?;
    let (mut plan, mut recreate, mut in_place) = (RepairPlan::default(), Vec::new(), Vec::new());
    for suspect in suspects {
        match decide(&suspect, engine.rules()) {
            Ok(Remedy::Recreate(how)) => recreate.push((suspect, how)),
            Ok(Remedy::InPlace(parts)) => in_place.push((suspect.user_id, Remedy::InPlace(parts))),
            // A difference like any other: the report has it.
            Err(Left::NoRemedy) => {}
            Err(why) => plan.leave(why),
        }
    }
    if in_place.len() as u64 > most_in_place(ours) {
        plan.left.insert(Left::TooMany, in_place.len() as u64);
    } else {
        plan.remedies.extend(in_place);
    }
    if recreate.len() as u64 > most_recreated(ours) {
        *plan.left.entry(Left::TooMany).or_default() += recreate.len() as u64;
        return Ok(plan);
    }
    for (user_id, found) in proof::of_all(engine, recreate).await? {
        match found {
            proof::Found::Recreate(how) => _ = plan.remedies.insert(user_id, Remedy::Recreate(how)),
            proof::Found::Left(why) => plan.leave(why),
            // It was only late.
            proof::Found::Shown => engine.ledger.write(move |t| set_seen(t, &[user_id])).await?,
            // Who was deleted stays deleted.
            proof::Found::Gone => {
                let gone = Some(BlockedCode::GoneFromZitadel.code());
                engine.settle(vec![Settled { code: gone, ..Settled::new(&user_id, Outcome::Rejected) }]).await?;
            }
        }
    }
    Ok(plan)
}

/// The ids of the users of whom [`carry_out`] needs the row of the export.
#[must_use]
pub fn rows_of(plan: &RepairPlan) -> HashSet<String> {
    plan.remedies.keys().cloned().collect()
}

/// Carries out a plan, one user at a time; `items` are the users of [`rows_of`]. Roles are given by [`crate::structure`].
///
/// # Errors
/// When ZITADEL or the ledger fails, or the run is stopped: the next run goes on with what was begun.
pub async fn carry_out(
    engine: &Engine,
    plan: &RepairPlan,
    mut items: mpsc::Receiver<Result<Item>>,
    progress: &Running,
) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let mut done = 0;
    while let Some(item) = items.recv().await {
        engine.check_stopped()?;
        let item = item?;
        match plan.remedies.get(item.id()) {
            None => continue,
            Some(Remedy::InPlace(parts)) => {
                // The roles need no row of the export, and come afterwards.
                let parts: Vec<Part> = parts.iter().copied().filter(|part| *part != Part::Roles).collect();
                let mut whole = !parts.is_empty();
                for part in parts {
                    whole &= in_place::repair(engine, &item, part).await?;
                }
                repaired.in_place += u64::from(whole);
            }
            Some(Remedy::Recreate(how)) => {
                repaired.recreated += u64::from(recreate::recreate(engine, item, how).await?);
            }
        }
        done += 1;
        progress.advanced(done, Some(plan.users()));
    }
    if repaired.recreated > 0 {
        // Who is found after this is there, and was not there before.
        let barrier = engine.client.barrier(engine.config.visible_deadline).await;
        barrier.map_err(|failure| failure.into_error("could not wait for ZITADEL's projections"))?;
    }
    Ok(repaired)
}

impl Engine {
    fn rules(&self) -> Rules {
        Rules { recreate: self.config.recreate, states: self.config.repair_states }
    }
}

/// The most users that are repaired in place, of a run that has this many.
fn most_in_place(ours: u64) -> u64 {
    MOST.max(ours / ONE_IN)
}

/// The most users that are recreated, of a run that has this many.
fn most_recreated(ours: u64) -> u64 {
    (ours / ONE_IN).max(MOST.min(ours / ONE_IN_FEW)).max(FEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_left_alone() {
        assert_eq!([0, 60, 5_000, 100_000].map(most_in_place), [100, 100, 100, 2_000]);
        assert_eq!([0, 11, 60, 400, 5_000, 100_000].map(most_recreated), [3, 3, 15, 100, 100, 2_000]);
    }
}
