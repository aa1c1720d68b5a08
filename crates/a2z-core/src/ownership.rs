//! Whose a user, a grant or an organization is: the one answer, from what the ledger sent and what ZITADEL says happened.
//!
//! Ours is what this ledger created, in the present life of the id. An id says nothing: another account may have created
//! the same one before our request, between our look and a request that was lost, or after somebody deleted our user.
//!
//! # What counts
//! - ZITADEL's events, if the account may read them: which account created the user in the present life of the id, and in
//!   which organization. Times play no part in it: the machine's clock may have been set between two runs.
//! - Without the right to read events (an `ORG_OWNER` gets a 403): an answer of ours that was read, as long as the user's
//!   creation date is not later. Another organization, or a service account in the user's place, say that the user is
//!   another's; so does, if only a request is known, a creation date before the ledger's first import.
//!
//! # What does not count
//! - That the user was not there before our request, and is there after it: somebody else may have been quicker.
//! - A creation date inside the time of a request that was lost, and `details.sequence`: both look the same for another's
//!   user.
//! - The user's values and metadata, even if they are just what we sent: another tool that moves the same tenant writes the
//!   same, and a person who is to keep the account may have been given them.
//!
//! So an `ORG_OWNER` whose answer was lost cannot tell. [`Ownership::CannotTell`] never deletes, deactivates or overwrites:
//! the user is reported.

use jiff::{SignedDuration, Timestamp};

use crate::{
    error::Result,
    ledger::{Ledger, runs},
    zitadel::{
        events::{Change, Event, Life, kind},
        search::FoundUser,
    },
};

/// What one of our accounts does this long after the ledger wrote a user last is another tool's work: the account may
/// serve other tools, too. All writes to a user end before the ledger settles the user; what is left is a request that
/// nobody hears of, which ZITADEL ends at `import.timeout` (a minute, unless set). A longer time would take another tool's
/// work for ours; a shorter one at worst reports a user who could have been repaired or rolled back.
pub const ANOTHER_TOOL: SignedDuration = SignedDuration::from_mins(2);
/// What is known of ZITADEL's clock may be wrong by this much.
pub const CLOCKS: SignedDuration = SignedDuration::from_secs(5);

/// Whose something in ZITADEL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// This ledger created it.
    Ours,
    /// Somebody else created it.
    Theirs,
    /// It is not there: it never was, or it was deleted.
    Absent,
    /// The evidence is not enough. It is left as it is, and reported.
    CannotTell,
}

/// What tells this ledger's work from that of others.
#[derive(Debug, Clone, Default)]
pub struct Us {
    /// The ids of the service accounts that wrote with this ledger.
    pub accounts: Vec<String>,
    /// How far ZITADEL's clock is ahead of ours.
    pub clock: SignedDuration,
    /// When the ledger's first import began, by our clock.
    pub first_import: Option<Timestamp>,
}

/// What the ledger says about a user that it may have created.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The organization in which it would have created the user.
    pub organization: &'a str,
    /// When it wrote the user last, by our clock, with an answer that was read. `None`: it only knows that a request was
    /// sent.
    pub settled_at: Option<Timestamp>,
}

/// What ZITADEL says about a user.
#[derive(Debug, Clone, Copy)]
pub enum Evidence<'a> {
    /// The events of the present life; those that create a user are among the kinds that were asked for.
    Life(&'a Life),
    /// The account may not read events; this is the user, if there is one.
    Shown(Option<&'a FoundUser>),
}

impl Us {
    /// What the ledger knows of itself.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn of(ledger: &Ledger) -> Result<Self> {
        ledger.read(|c| {
            Ok(Self {
                accounts: runs::accounts(c)?,
                clock: SignedDuration::from_millis(runs::clock(c)?),
                first_import: runs::first_import(c)?,
            })
        })
    }

    /// Did one of our accounts make this event?
    #[must_use]
    pub fn made(&self, event: &Event) -> bool {
        self.accounts.contains(&event.editor_user_id)
    }

    /// Is something that our account did at `at` too late to be this ledger's? `settled_at`: see [`Claim`].
    #[must_use]
    pub fn is_late(&self, at: Option<Timestamp>, settled_at: Option<Timestamp>) -> bool {
        let end = settled_at.and_then(|settled| settled.checked_add(self.clock + ANOTHER_TOOL).ok());
        end.zip(at).is_some_and(|(end, at)| at > end)
    }

    /// Is it from before this ledger wrote anything?
    #[must_use]
    pub fn is_early(&self, at: Option<Timestamp>) -> bool {
        let first = self.first_import.and_then(|first| first.checked_add(self.clock - CLOCKS).ok());
        first.zip(at).is_some_and(|(first, at)| at < first)
    }

    /// Whose a user is.
    #[must_use]
    pub fn owner_of_user(&self, claim: Claim<'_>, evidence: Evidence<'_>) -> Ownership {
        match evidence {
            Evidence::Life(life) => self.by_life(claim, life),
            Evidence::Shown(Some(user)) => self.by_sight(claim, user),
            Evidence::Shown(None) => Ownership::Absent,
        }
    }

    /// Whose a thing is that one event creates, like an organization or a grant. `created`: that event; `None` if the
    /// account may not read events, or ZITADEL has no such event.
    #[must_use]
    pub fn owner_by(&self, created: Option<&Event>) -> Ownership {
        match created {
            Some(_) if self.accounts.is_empty() => Ownership::CannotTell,
            Some(created) if self.made(created) => Ownership::Ours,
            Some(_) => Ownership::Theirs,
            None => Ownership::CannotTell,
        }
    }

    fn by_life(&self, claim: Claim<'_>, life: &Life) -> Ownership {
        let Some(created) = life.events.iter().find(|event| kind::USER_CREATED.contains(&event.kind.as_str())) else {
            return if life.events.is_empty() { Ownership::Absent } else { Ownership::CannotTell };
        };
        let as_claimed = created.kind == kind::HUMAN_ADDED && created.organization_id == claim.organization;
        match self.owner_by(Some(created)) {
            Ownership::Ours if !as_claimed => Ownership::Theirs,
            owner => owner,
        }
    }

    fn by_sight(&self, claim: Claim<'_>, user: &FoundUser) -> Ownership {
        let created = user.created.as_ref().and_then(|at| at.parse().ok());
        if user.organization_id != claim.organization || !user.is_human {
            return Ownership::Theirs;
        }
        let settled = claim.settled_at.and_then(|at| at.checked_add(self.clock + CLOCKS).ok());
        match settled.zip(created) {
            Some((settled, created)) if created > settled => Ownership::Theirs,
            Some(_) => Ownership::Ours,
            // A request that was sent in the first import, or after it.
            None if claim.settled_at.is_none() && self.is_early(created) => Ownership::Theirs,
            None => Ownership::CannotTell,
        }
    }

    /// What somebody else did to a user of ours since the creation, a sign-in included; `None`: nothing. All kinds of
    /// events must have been asked for, and `life` be whole.
    #[must_use]
    pub fn touched<'l>(&self, life: &'l Life, settled_at: Option<Timestamp>) -> Option<&'l Event> {
        life.events.iter().find(|event| match Change::of(&event.kind) {
            None => false,
            // We sign nobody in, whatever other tool our account serves.
            Some(Change::SignedIn) => true,
            Some(_) => !self.made(event) || self.is_late(event.created, settled_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn us() -> Us {
        Us { accounts: vec!["us".into()], clock: SignedDuration::ZERO, first_import: Some(at(0)) }
    }

    fn event(sequence: u64, second: i64, kind: &str, editor: &str) -> Event {
        Event {
            kind: kind.into(),
            organization_id: "org".into(),
            created: Some(at(second)),
            editor_user_id: editor.into(),
            sequence,
            ..Event::default()
        }
    }

    const IN_DOUBT: Claim<'_> = Claim { organization: "org", settled_at: None };

    #[test]
    fn events_tell_who_created_the_user_in_this_life() {
        let settled = |second| Claim { settled_at: Some(at(second)), ..IN_DOUBT };
        let added = kind::HUMAN_ADDED;
        let cases: &[(&str, Claim<'_>, Vec<Event>, Ownership)] = &[
            ("nobody", IN_DOUBT, vec![], Ownership::Absent),
            ("we did", IN_DOUBT, vec![event(1, 5, added, "us")], Ownership::Ours),
            ("somebody was quicker", IN_DOUBT, vec![event(1, 5, added, "them")], Ownership::Theirs),
            ("whatever the clock says", IN_DOUBT, vec![event(1, -60, added, "us")], Ownership::Ours),
            (
                "deleted",
                settled(9),
                vec![event(1, 5, added, "us"), event(2, 9, "user.removed", "them")],
                Ownership::Absent,
            ),
            (
                "deleted, and created by somebody else",
                settled(9),
                vec![event(1, 5, added, "us"), event(2, 9, "user.removed", "them"), event(3, 10, added, "them")],
                Ownership::Theirs,
            ),
            (
                "somebody else's, deleted, and created by us",
                settled(9),
                vec![event(1, 1, added, "them"), event(2, 2, "user.removed", "them"), event(3, 8, added, "us")],
                Ownership::Ours,
            ),
            ("whatever the clock says", settled(9), vec![event(1, 200, added, "us")], Ownership::Ours),
            ("a service account", IN_DOUBT, vec![event(1, 5, "user.machine.added", "us")], Ownership::Theirs),
            ("the beginning is not known", settled(9), vec![event(4, 5, "user.locked", "us")], Ownership::CannotTell),
            (
                "elsewhere",
                Claim { organization: "other", ..IN_DOUBT },
                vec![event(1, 5, added, "us")],
                Ownership::Theirs,
            ),
        ];
        for (what, claim, events, expected) in cases {
            let life = Life::of(events.clone(), true);
            assert_eq!(us().owner_of_user(*claim, Evidence::Life(&life)), *expected, "{what}");
        }
    }

    #[test]
    fn without_events_only_an_answer_that_was_read_tells() {
        let shown = |claim: Claim<'_>, clock: i64, created: Option<i64>, organization: &str| {
            let user = FoundUser {
                organization_id: organization.into(),
                is_human: true,
                created: created.map(|second| at(second).to_string()),
                ..FoundUser::default()
            };
            let us = Us { clock: SignedDuration::from_secs(clock), ..us() };
            us.owner_of_user(claim, Evidence::Shown(Some(&user)))
        };
        let settled = Claim { settled_at: Some(at(100)), ..IN_DOUBT };
        assert_eq!(shown(settled, 0, Some(99), "org"), Ownership::Ours);
        assert_eq!(shown(settled, 0, Some(104), "org"), Ownership::Ours, "clocks differ");
        assert_eq!(shown(settled, 0, Some(160), "org"), Ownership::Theirs);
        assert_eq!(shown(settled, 600, Some(699), "org"), Ownership::Ours);
        assert_eq!(shown(settled, 0, Some(99), "other"), Ownership::Theirs);
        assert_eq!(shown(settled, 0, None, "org"), Ownership::CannotTell);
        assert_eq!(shown(IN_DOUBT, 0, Some(50), "org"), Ownership::CannotTell, "somebody may have been quicker");
        assert_eq!(shown(IN_DOUBT, 0, Some(-60), "org"), Ownership::Theirs);
        assert_eq!(us().owner_of_user(settled, Evidence::Shown(None)), Ownership::Absent);
    }

    #[test]
    fn who_created_a_grant_or_an_organization_owns_it() {
        let by = |editor| us().owner_by(Some(&event(1, 5, kind::GRANT_ADDED, editor)));
        assert_eq!((by("us"), by("them")), (Ownership::Ours, Ownership::Theirs));
        assert_eq!(us().owner_by(None), Ownership::CannotTell);
        let nobody = Us { accounts: Vec::new(), ..us() };
        assert_eq!(nobody.owner_by(Some(&event(1, 5, kind::GRANT_ADDED, "us"))), Ownership::CannotTell);
    }

    #[test]
    fn what_others_did_is_found() {
        let touched = |events: &[Event], settled: i64| {
            let life = Life::of(events.to_vec(), true);
            us().touched(&life, Some(at(settled))).map(|event| event.sequence)
        };
        let ours = [event(1, 5, kind::HUMAN_ADDED, "us"), event(2, 6, "user.metadata.set", "us")];
        let and = |more: Event| [ours.as_slice(), &[more]].concat();
        assert_eq!(touched(&ours, 9), None);
        assert_eq!(touched(&and(event(3, 7, "user.locked", "them")), 9), Some(3));
        assert_eq!(touched(&and(event(3, 7, "user.human.password.check.succeeded", "us")), 9), Some(3));
        assert_eq!(touched(&and(event(3, 7, "user.human.password.check.failed", "them")), 9), None);
        assert_eq!(touched(&and(event(3, 400, "user.locked", "us")), 9), Some(3), "another tool of our account");
    }
}
