//! What a repair does with whom: decided from what the comparison found, shown before it is carried out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{error::count, import::settings::Recreate as RecreateRule, ledger::repairs::Suspect, mapping::codes::Kind};

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
    pub(super) fn may_be_late(self) -> bool {
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
pub(super) enum Remedy {
    /// These parts are taken away and written again.
    InPlace(BTreeSet<Part>),
    /// The user is deleted and created again.
    Recreate(Recreate),
}

/// What is to be repaired. Nothing is written until [`super::carry_out`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairPlan {
    pub(super) remedies: BTreeMap<String, Remedy>,
    pub(super) left: BTreeMap<Left, u64>,
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

    pub(super) fn leave(&mut self, why: Left) {
        *self.left.entry(why).or_default() += 1;
    }
}

/// How a user is recreated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recreate {
    /// Only if the operator says yes.
    pub(super) ask: bool,
    /// The ids of the grants that the user has from us.
    pub(super) grants: Vec<String>,
}

/// What `import` says about a repair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) recreate: RecreateRule,
    pub(super) states: bool,
}

/// What is to be done with a suspect, before anybody asks ZITADEL about it. Pure.
pub(super) fn decide(suspect: &Suspect, rules: Rules) -> Result<Remedy, Left> {
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

#[cfg(test)]
mod tests;
