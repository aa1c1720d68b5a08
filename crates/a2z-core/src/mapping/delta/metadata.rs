//! The three-way merge of metadata, key by key.

use std::collections::{BTreeSet, HashMap};

use super::{Step, decide};
use crate::{
    mapping::facts::{Digest, Facts, Salt},
    mapping::settings::Conflicts,
};

/// Why ZITADEL shows no value under a key that a2z wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Somebody removed it, or nobody knows: it stays away.
    Removed,
    /// ZITADEL stored it and a projection skipped the event: a new value may be written.
    Skipped,
    /// A request whose answer was lost did not come that far: it is written.
    NeverWritten,
}

/// The three sides of the merge of a user's metadata.
#[derive(Debug, Clone, Copy)]
pub struct MetadataSides<'a> {
    /// What a2z wrote, if the ledger knows.
    pub base: Option<&'a Facts>,
    /// What a request said whose answer was lost.
    pub sent: Option<&'a Facts>,
    /// What Auth0 says, mapped.
    pub ours: &'a Facts,
    /// What ZITADEL holds, other people's keys among it.
    pub held: &'a HashMap<String, Vec<u8>>,
    /// Whose digests these are.
    pub salt: Salt<'a>,
    /// What counts if both sides changed.
    pub conflicts: Conflicts,
}

/// What is to be done with the metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataDelta {
    /// Keys to be written.
    pub set: Vec<String>,
    /// Keys to be removed.
    pub remove: Vec<String>,
    /// Only ZITADEL's value changed: it stays.
    pub kept: Vec<String>,
    /// Both changed, ZITADEL's value stays.
    pub conflicts: Vec<String>,
    /// Both changed, Auth0's value is written.
    pub overwritten: Vec<String>,
    /// Keys that a2z wrote and ZITADEL shows no more; some of [`Self::kept`] or [`Self::conflicts`] if they count as
    /// removed.
    pub missing: Vec<String>,
    /// The base of the next merge: keys and digests.
    pub base: Vec<(String, Digest)>,
}

fn digest(facts: &Facts, key: &str) -> Option<Digest> {
    facts.metadata().iter().find(|(known, _)| known == key).map(|(_, digest)| *digest)
}

impl MetadataSides<'_> {
    /// Decides on every key that a2z wrote or would write; other keys are other people's. `gone` says why keys may be
    /// missing.
    #[must_use]
    pub fn delta(&self, gone: Gone) -> MetadataDelta {
        let mut delta = MetadataDelta::default();
        let known = [Some(self.ours), self.base, self.sent].into_iter().flatten();
        let keys: BTreeSet<&String> = known.flat_map(Facts::metadata).map(|(key, _)| key).collect();
        for key in keys {
            self.key(key, gone, &mut delta);
        }
        delta
    }

    fn key(&self, key: &str, gone: Gone, delta: &mut MetadataDelta) {
        let ours = digest(self.ours, key);
        let theirs = self.held.get(key);
        let theirs_is = |digest: Option<Digest>| match (theirs, digest) {
            (None, None) => true,
            (Some(value), Some(digest)) => self.salt.is_metadata(key, value, digest),
            _ => false,
        };
        let sent = self.sent.map(|facts| digest(facts, key));
        let landed = sent.filter(|sent| theirs_is(*sent));
        let base = landed.or_else(|| self.base.map(|facts| digest(facts, key))).or(sent);
        let (ours_is_base, theirs_is_base) = (base.map(|base| base == ours), base.map(theirs_is));
        let mut step = decide(ours_is_base, theirs_is_base, theirs_is(ours), self.conflicts);
        if theirs.is_none() && base.flatten().is_some() && ours.is_some() {
            delta.missing.push(key.to_owned());
            step = match gone {
                Gone::Removed => step,
                Gone::Skipped => decide(ours_is_base, Some(true), false, self.conflicts),
                Gone::NeverWritten => Step::Write,
            };
        }
        let skipped = gone == Gone::Skipped && theirs.is_none();
        let after = match step {
            Step::Same | Step::Write | Step::Overwrite => ours,
            // A base that is not known begins with what Auth0 says today.
            Step::Keep | Step::Conflict => base.unwrap_or(ours),
        };
        delta.base.extend(after.map(|digest| (key.to_owned(), digest)));
        match step {
            Step::Same => {}
            Step::Keep if skipped => {}
            Step::Keep => delta.kept.push(key.to_owned()),
            Step::Conflict => delta.conflicts.push(key.to_owned()),
            Step::Write | Step::Overwrite => {
                if step == Step::Overwrite {
                    delta.overwritten.push(key.to_owned());
                }
                let list = if ours.is_some() { &mut delta.set } else { &mut delta.remove };
                list.push(key.to_owned());
            }
        }
    }
}
