//! Repairs users that ZITADEL stored and does not show completely.
//!
//! ZITADEL places an event by the start of its transaction, and lets a projection read up to the newest event. If requests
//! run in parallel, one that waited for its turn may come to lie behind what the projection has read: the event is stored
//! and never shown (zitadel#12703; about one user in 1,200 on a real instance). To write the same once more writes no event.
//! What helps is to take the thing away and to write it again ([`in_place`]). Only a user without a row among the users or
//! the login names cannot be repaired so, and cannot sign in either: that user is deleted and created again ([`recreate`]),
//! if the events prove that nobody but this ledger touched the user.
//!
//! A repair is a plan first, which is shown; then it is carried out, one user at a time, for requests in parallel may be
//! skipped again. A request that answers 200 proves nothing: only the read afterwards does.

mod in_place;
mod proof;
mod recreate;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use tokio::sync::mpsc;

pub use self::recreate::Recreate;
use super::{Engine, item::Item};
use crate::{
    error::{Result, count},
    event::Running,
    import::settings::Recreate as RecreateRule,
    ledger::{
        repairs::{Suspect, suspects},
        states::Outcome,
        users::{Settled, balance, set_seen},
    },
    mapping::{codes::Kind, finding::BlockedCode},
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

/// A part of a user that can be written again without deleting the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Metadata keys.
    Metadata,
    /// Links to identity providers.
    Links,
    /// Grants of roles.
    Roles,
    /// Codes as a second factor.
    Codes(Kind),
    /// Whether the address is verified.
    EmailVerified,
    /// The user name, names, language, address or number.
    Profile,
    /// Active or inactive. Its repair changes the state for a moment, so only if the operator says so.
    State,
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Metadata,
        Self::Links,
        Self::Roles,
        Self::Codes(Kind::Sms),
        Self::Codes(Kind::Email),
        Self::EmailVerified,
        Self::Profile,
        Self::State,
    ];

    /// The word for it in the ledger and in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Links => "links",
            Self::Roles => "roles",
            Self::Codes(kind) => kind.difference(),
            Self::EmailVerified => "email-verified",
            Self::Profile => "profile",
            Self::State => "state",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.word() == word)
    }

    /// The part that a difference of this code is about.
    fn of_difference(what: &str) -> Option<Self> {
        match what {
            "email" | "phone" | "phone-verified" | "user-name" | "name" | "language" => Some(Self::Profile),
            what => Self::of_word(what),
        }
    }

    /// Does no barrier wait for the projection that shows it? Then what is missing may only be late.
    fn may_be_late(self) -> bool {
        matches!(self, Self::Links | Self::Roles | Self::Codes(_))
    }
}

/// Why a user is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Left {
    /// More users than a skipped event explains.
    TooMany,
    /// Somebody else changed the user, or the user has signed in.
    Touched,
    /// The account may not read events, so nobody can tell who touched the user.
    NoEvents,
    /// An earlier run created the user, and `import.recreate` allows it for this run's users only.
    EarlierRun,
    /// `import.recreate` is `never`, or the operator said no.
    NotAllowed,
    /// This run's export does not hold the user, so what to write is not known.
    NotInExport,
    /// No request repairs what differs.
    NoRemedy,
}

impl Left {
    fn words(self) -> &'static str {
        match self {
            Self::TooMany => "too many at once: something else is wrong",
            Self::Touched => "changed by somebody else, or signed in",
            Self::NoEvents => "the account may not read events",
            Self::EarlierRun => "created by an earlier run",
            Self::NotAllowed => "not allowed to be recreated",
            Self::NotInExport => "not in this export",
            Self::NoRemedy => "nothing repairs what differs",
        }
    }
}

/// What is to be done with one user.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remedy {
    /// These parts are taken away and written again.
    InPlace(BTreeSet<Part>),
    /// The user is deleted and created again.
    Recreate(Recreate),
}

/// What is to be repaired. Nothing is written until [`carry_out`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairPlan {
    remedies: BTreeMap<String, Remedy>,
    left: BTreeMap<Left, u64>,
}

impl RepairPlan {
    /// Is there nothing to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remedies.is_empty()
    }

    /// How many users are to be repaired.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.remedies.len() as u64
    }

    /// How many users are to be deleted and created again.
    #[must_use]
    pub fn recreated(&self) -> u64 {
        self.recreations().count() as u64
    }

    /// How many of them only if the operator says yes.
    #[must_use]
    pub fn to_ask(&self) -> u64 {
        self.recreations().filter(|recreate| recreate.ask).count() as u64
    }

    /// Leaves those as they are of whom the operator was asked, and said no.
    pub fn decline(&mut self) {
        let before = self.remedies.len();
        self.remedies.retain(|_, remedy| !matches!(remedy, Remedy::Recreate(Recreate { ask: true, .. })));
        let declined = (before - self.remedies.len()) as u64;
        *self.left.entry(Left::NotAllowed).or_default() += declined;
    }

    /// The users whose roles are to be given again.
    #[must_use]
    pub fn without_roles(&self) -> Vec<String> {
        let roles = |remedy: &Remedy| matches!(remedy, Remedy::InPlace(parts) if parts.contains(&Part::Roles));
        self.remedies.iter().filter(|(_, remedy)| roles(remedy)).map(|(user_id, _)| user_id.clone()).collect()
    }

    /// The plan in a line, with its counts.
    #[must_use]
    pub fn words(&self) -> String {
        let mut by_part: BTreeMap<Part, u64> = BTreeMap::new();
        for remedy in self.remedies.values() {
            if let Remedy::InPlace(parts) = remedy {
                for part in parts {
                    *by_part.entry(*part).or_default() += 1;
                }
            }
        }
        let parts = by_part.iter().map(|(part, users)| format!("{} of {}", part.word(), count(*users, "user")));
        let recreated = Some(self.recreated()).filter(|users| *users > 0);
        let recreated = recreated.map(|users| format!("delete and create again {}", count(users, "user")));
        let left = self.left.iter().filter(|(_, users)| **users > 0);
        let left = left.map(|(why, users)| format!("leave {} ({})", count(*users, "user"), why.words()));
        parts.chain(recreated).chain(left).collect::<Vec<_>>().join("; ")
    }

    fn recreations(&self) -> impl Iterator<Item = &Recreate> {
        self.remedies.values().filter_map(|remedy| match remedy {
            Remedy::Recreate(recreate) => Some(recreate),
            Remedy::InPlace(_) => None,
        })
    }

    fn leave(&mut self, why: Left) {
        *self.left.entry(why).or_default() += 1;
    }
}

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

/// What `import` says about a repair.
#[derive(Debug, Clone, Copy)]
struct Rules {
    recreate: RecreateRule,
    states: bool,
}

/// What is to be done with a suspect, before anybody asks ZITADEL about it. Pure.
fn decide(suspect: &Suspect, rules: Rules) -> std::result::Result<Remedy, Left> {
    let differs = |code: &str| suspect.differences.iter().any(|(what, _)| what == code);
    let recreate = |ask| Remedy::Recreate(Recreate { ask, grants: Vec::new() });
    // Without a login name ZITADEL hides the grants, too: they are not looked at. The row with another organization is that
    // of an earlier life of the id, whose deletion was skipped: it takes the place of the user's own.
    let unreachable = ["missing", "login-name", "organization"].into_iter().any(differs);
    if unreachable || (differs("totp") && rules.recreate == RecreateRule::Ask) {
        return match rules.recreate {
            RecreateRule::Never => Err(Left::NotAllowed),
            _ if !suspect.in_export => Err(Left::NotInExport),
            RecreateRule::Ask => Ok(recreate(true)),
            RecreateRule::ThisRun if suspect.is_new => Ok(recreate(false)),
            RecreateRule::ThisRun => Err(Left::EarlierRun),
        };
    }
    let skipped = suspect.differences.iter().filter(|(what, skipped)| *skipped || what != "metadata");
    let differing = skipped.filter_map(|(what, _)| Part::of_difference(what));
    let begun = suspect.begun.iter().filter_map(|part| Part::of_word(part));
    let parts: BTreeSet<Part> = differing.filter(|part| *part != Part::State || rules.states).chain(begun).collect();
    match (parts.is_empty(), suspect.in_export) {
        (true, _) => Err(Left::NoRemedy),
        (false, false) => Err(Left::NotInExport),
        (false, true) => Ok(Remedy::InPlace(parts)),
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
mod tests;
