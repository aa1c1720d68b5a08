//! The three-way merge of a user that a2z wrote before. Pure: no I/O.
//!
//! For every part of a user there are three values: the *base* (what a2z wrote, kept in the ledger as a salted digest),
//! *theirs* (what ZITADEL holds now) and *ours* (what Auth0 says now, mapped under today's configuration). What people
//! changed in ZITADEL is theirs: a part is written only if Auth0's value changed and ZITADEL still holds the base.

mod metadata;

pub use self::metadata::{Gone, MetadataDelta, MetadataSides};

use super::{
    facts::{Facts, Field, Flag, Salt},
    finding::{Finding, FindingCode},
    part::{Part, Parts},
};

use crate::mapping::settings::Conflicts;

/// What becomes of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// ZITADEL holds Auth0's value.
    Same,
    /// Only Auth0's value changed: it is written.
    Write,
    /// Only ZITADEL's value changed, or nobody knows what a2z wrote: it stays.
    Keep,
    /// Both changed: ZITADEL's value stays.
    Conflict,
    /// Both changed: Auth0's value is written, as `mapping.conflicts` says.
    Overwrite,
}

/// Decides on one value. `ours_is_base` and `theirs_is_base` are `None` if the base is not known.
#[must_use]
pub fn decide(
    ours_is_base: Option<bool>,
    theirs_is_base: Option<bool>,
    theirs_is_ours: bool,
    conflicts: Conflicts,
) -> Step {
    match (ours_is_base, theirs_is_base) {
        _ if theirs_is_ours => Step::Same,
        (None | Some(true), _) | (_, None) => Step::Keep,
        (Some(false), Some(true)) => Step::Write,
        (Some(false), Some(false)) => match conflicts {
            Conflicts::Keep => Step::Conflict,
            Conflicts::Overwrite => Step::Overwrite,
        },
    }
}

/// A user's profile as ZITADEL holds it. Texts that are missing are empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held<'a> {
    /// The user name.
    pub user_name: &'a str,
    /// `givenName`.
    pub first_name: &'a str,
    /// `familyName`.
    pub last_name: &'a str,
    /// `displayName`.
    pub display_name: &'a str,
    /// `nickName`.
    pub nick_name: &'a str,
    /// `preferredLanguage`; `und` stands for none.
    pub language: &'a str,
    /// The address.
    pub email: &'a str,
    /// Is it verified?
    pub email_verified: bool,
    /// The number.
    pub phone: &'a str,
    /// Is it verified?
    pub phone_verified: bool,
    /// Deactivated.
    pub inactive: bool,
}

/// The three sides of a merge.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// What a2z wrote, if the ledger knows.
    pub base: Option<&'a Facts>,
    /// What a request said whose answer was lost: ZITADEL may hold this or the base.
    pub sent: Option<&'a Facts>,
    /// a2z deactivated the user.
    pub base_inactive: bool,
    /// What Auth0 says, mapped.
    pub ours: &'a Facts,
    /// Whose digests these are.
    pub salt: Salt<'a>,
    /// What counts if both sides changed.
    pub conflicts: Conflicts,
}

/// What is to be done with a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// To be written.
    pub write: Parts,
    /// Only ZITADEL's value changed: it stays.
    pub kept: Parts,
    /// Both changed, ZITADEL's value stays.
    pub conflicts: Parts,
    /// Both changed, Auth0's value is among [`Self::write`].
    pub overwritten: Parts,
    /// The same value, proved by its user since: nothing to report.
    proved: Parts,
}

impl Sides<'_> {
    /// Decides on every part of the profile.
    #[must_use]
    pub fn delta(&self, held: &Held<'_>) -> Delta {
        let mut delta = Delta::default();
        for part in Part::ALL.iter().copied() {
            match self.step(part, held) {
                Step::Same => delta.proved.set(part, !holds(self.ours, part, held, self.salt)),
                Step::Write => delta.write.set(part, true),
                Step::Keep => delta.kept.set(part, true),
                Step::Conflict => delta.conflicts.set(part, true),
                Step::Overwrite => {
                    delta.write.set(part, true);
                    delta.overwritten.set(part, true);
                }
            }
        }
        delta
    }

    fn step(&self, part: Part, held: &Held<'_>) -> Step {
        if part == Part::State {
            return self.state(held.inactive);
        }
        let holds = |facts: &Facts| holds(facts, part, held, self.salt);
        let base = self.base_of(holds);
        let ours_is_base = base.map(|base| is_no_change(part, base, self.ours));
        let theirs_is_base = base.map(holds);
        let unchanged = ours_is_base == Some(true) && theirs_is_base == Some(true);
        let theirs_is_ours = match part {
            Part::Language => self.ours.names_language(held.language, self.salt),
            _ => holds(self.ours) || is_proved(self.ours, part, held, self.salt),
        };
        decide(ours_is_base, theirs_is_base, unchanged || theirs_is_ours, self.conflicts)
    }

    fn state(&self, theirs: bool) -> Step {
        let sent = self.sent.map(|sent| sent.has(Flag::Inactive)).filter(|sent| *sent == theirs);
        let base = sent.unwrap_or(self.base_inactive);
        let ours = self.ours.has(Flag::Inactive);
        decide(Some(ours == base), Some(theirs == base), theirs == ours, self.conflicts)
    }

    /// The base of one value: what the lost request said if ZITADEL `holds` that, else what the ledger knows.
    fn base_of(&self, holds: impl Fn(&Facts) -> bool) -> Option<&Facts> {
        self.sent.filter(|sent| holds(sent)).or(self.base).or(self.sent)
    }

    /// The base of the next merge, once `delta` is carried out. Metadata and links are merged apart.
    #[must_use]
    pub fn settled(&self, delta: &Delta) -> Facts {
        let mut facts = self.ours.clone();
        for part in Part::ALL.iter().copied() {
            let stays = delta.kept.has(part) || delta.conflicts.has(part);
            facts.keep(part, stays || delta.proved.has(part));
            if let Some(base) = self.base.or(self.sent).filter(|base| stays || cannot_clear(part, base, self.ours)) {
                copy(&mut facts, part, base);
            }
        }
        facts.set(Flag::StateOfOthers, facts.kept().has(Part::State));
        facts
    }
}

/// What a merge came to, for the reports: names of fields and of metadata keys, never a value. `links` are kept, too.
#[must_use]
pub fn findings(profile: &Delta, metadata: &MetadataDelta, links: &[String]) -> Vec<Finding> {
    let about = |code: FindingCode, parts: Parts, keys: &[String], links: &[String]| {
        let keys = keys.iter().map(|key| format!("metadata {key}"));
        let words: Vec<String> = parts.words().map(str::to_owned).chain(keys).chain(links.iter().cloned()).collect();
        (!words.is_empty()).then(|| Finding::about(code, words.join(", ")))
    };
    [
        about(FindingCode::FieldKept, profile.kept, &metadata.kept, links),
        about(FindingCode::FieldConflict, profile.conflicts, &metadata.conflicts, &[]),
        about(FindingCode::FieldOverwritten, profile.overwritten, &metadata.overwritten, &[]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The parts of which ZITADEL holds another value than a2z wrote (`base`), and of which `ours`, the draft, still has what a2z
/// wrote. Parts that a person changed, and [`Part::State`], are not among them.
#[must_use]
pub fn not_held(base: &Facts, ours: &Facts, held: &Held<'_>, salt: Salt<'_>) -> Parts {
    let mut parts = Parts::default();
    for part in Part::ALL.iter().copied() {
        let wrote = field(part).is_some_and(|field| base.field(field).is_some());
        let wrong = wrote && is_no_change(part, base, ours) && !base.kept().has(part);
        let proved = is_proved(base, part, held, salt);
        parts.set(part, wrong && !proved && !holds(base, part, held, salt));
    }
    parts
}

/// Does ZITADEL hold what `facts` say of this part?
fn holds(facts: &Facts, part: Part, held: &Held<'_>, salt: Salt<'_>) -> bool {
    match part {
        Part::UserName => facts.holds(Field::UserName, held.user_name, salt),
        Part::FirstName => facts.holds(Field::FirstName, held.first_name, salt),
        Part::LastName => facts.holds(Field::LastName, held.last_name, salt),
        Part::DisplayName => facts.holds(Field::DisplayName, held.display_name, salt),
        Part::NickName => facts.holds(Field::NickName, held.nick_name, salt),
        Part::Language => facts.holds(Field::Language, held.language, salt),
        Part::Email => {
            facts.holds(Field::Email, held.email, salt) && facts.has(Flag::EmailVerified) == held.email_verified
        }
        Part::Phone => {
            facts.holds(Field::Phone, held.phone, salt)
                && (held.phone.is_empty() || facts.has(Flag::PhoneVerified) == held.phone_verified)
        }
        Part::State => facts.has(Flag::Inactive) == held.inactive,
    }
}

/// Does ZITADEL hold the address or number of `facts`, verified by its user since?
fn is_proved(facts: &Facts, part: Part, held: &Held<'_>, salt: Salt<'_>) -> bool {
    match part {
        Part::Email => held.email_verified && facts.holds(Field::Email, held.email, salt),
        Part::Phone => held.phone_verified && facts.holds(Field::Phone, held.phone, salt),
        _ => false,
    }
}

/// Does Auth0 say of this part what a2z wrote, or nothing that could be written?
fn is_no_change(part: Part, base: &Facts, ours: &Facts) -> bool {
    let same = |field: Field| base.field(field) == ours.field(field);
    // ZITADEL has no way to take the mark "verified" off an address or a number.
    let verified = |flag: Flag| ours.has(flag) == base.has(flag) || !ours.has(flag);
    match part {
        Part::Email => same(Field::Email) && verified(Flag::EmailVerified),
        Part::Phone => same(Field::Phone) && (ours.field(Field::Phone).is_none() || verified(Flag::PhoneVerified)),
        Part::State => base.has(Flag::Inactive) == ours.has(Flag::Inactive),
        _ => field(part).is_none_or(same) || cannot_clear(part, base, ours),
    }
}

/// Nick name and language can be changed in ZITADEL, and not taken away (`PATCH /v2/users/{id}`: `min_len: 1`).
fn cannot_clear(part: Part, base: &Facts, ours: &Facts) -> bool {
    matches!(part, Part::NickName | Part::Language)
        && field(part).is_some_and(|field| base.field(field).is_some() && ours.field(field).is_none())
}

fn field(part: Part) -> Option<Field> {
    match part {
        Part::UserName => Some(Field::UserName),
        Part::FirstName => Some(Field::FirstName),
        Part::LastName => Some(Field::LastName),
        Part::DisplayName => Some(Field::DisplayName),
        Part::NickName => Some(Field::NickName),
        Part::Language => Some(Field::Language),
        Part::Email => Some(Field::Email),
        Part::Phone => Some(Field::Phone),
        Part::State => None,
    }
}

/// Makes what `facts` say of this part what `base` says.
fn copy(facts: &mut Facts, part: Part, base: &Facts) {
    let flags: &[Flag] = match part {
        Part::Email => &[Flag::EmailVerified],
        Part::Phone => &[Flag::PhoneVerified, Flag::NoPhone],
        Part::State => &[Flag::Inactive],
        Part::Language => &[Flag::LongLanguage],
        _ => &[],
    };
    for flag in flags {
        facts.set(*flag, base.has(*flag));
    }
    if let Some(field) = field(part) {
        facts.put(field, base.field(field));
    }
}

#[cfg(test)]
mod tests;
