//! Which user names and ids come more than once, in eight bytes a user.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use jiff::Timestamp;

use crate::mapping::{
    collision::{Claim, better, name_key, suffixed},
    draft::Draft,
};

/// How many suffixes are tried before the user is blocked.
const ATTEMPTS: u32 = 20;

/// Hashes of strings: all of them, then also those that came more than once.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    all: Vec<u64>,
    repeated: HashSet<u64>,
}

impl Seen {
    fn note(&mut self, text: &str) {
        self.all.push(self.hasher.hash_one(text));
    }

    fn close(&mut self) {
        self.all.sort_unstable();
        self.repeated = self.all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    }

    /// No means no; yes may be another string with the same hash.
    fn may_repeat(&self, text: &str) -> bool {
        !self.repeated.is_empty() && self.repeated.contains(&self.hasher.hash_one(text))
    }

    fn may_contain(&self, text: &str) -> bool {
        self.all.binary_search(&self.hasher.hash_one(text)).is_ok()
    }
}

/// The ids of the export.
#[derive(Default)]
pub(super) struct Ids(Seen);

impl Ids {
    pub(super) fn note(&mut self, user_id: &str) {
        self.0.note(user_id);
    }

    pub(super) fn close(&mut self) {
        self.0.close();
        self.0.all = Vec::new();
    }

    /// Whether several rows may have this id.
    pub(super) fn may_repeat(&self, user_id: &str) -> bool {
        self.0.may_repeat(user_id)
    }

    /// Whether a row with this id came before in this pass; `seen` is the pass's own memory.
    pub(super) fn is_repeated(&self, user_id: &str, seen: &mut HashSet<String>) -> bool {
        self.0.may_repeat(user_id) && !seen.insert(user_id.to_owned())
    }
}

struct Keeper {
    email_verified: bool,
    usable_hash: bool,
    last_login: Option<Timestamp>,
    user_id: String,
}

impl Keeper {
    fn claim(&self) -> Claim<'_> {
        Claim {
            email_verified: self.email_verified,
            usable_hash: self.usable_hash,
            last_login: self.last_login,
            user_id: &self.user_id,
        }
    }
}

/// The user names of the export.
#[derive(Default)]
pub(super) struct Names {
    seen: Seen,
    /// Addresses of users who have another user name.
    addresses: Seen,
    keepers: HashMap<String, Keeper>,
    given: HashSet<String>,
}

impl Names {
    pub(super) fn note(&mut self, user_name: &str) {
        self.seen.note(&name_key(user_name));
    }

    pub(super) fn note_address(&mut self, key: &str) {
        self.addresses.note(key);
    }

    pub(super) fn close(&mut self) {
        self.seen.close();
        self.addresses.close();
    }

    /// Whether the user's name is another user's address, or the user's address (`key`) another user's name.
    pub(super) fn meets_address(&self, draft: &Draft, key: Option<&str>) -> bool {
        self.addresses.may_contain(&name_key(&draft.user_name)) || key.is_some_and(|key| self.seen.may_contain(key))
    }

    /// Whether several users have this address, and none has it as user name.
    pub(super) fn shares_address(&self, key: &str) -> bool {
        self.addresses.may_repeat(key) && !self.seen.may_contain(key)
    }

    /// Whether there may be names that several users would get.
    pub(super) fn contested(&self) -> bool {
        !self.seen.repeated.is_empty()
    }

    pub(super) fn claim(&mut self, draft: &Draft, last_login: Option<Timestamp>) {
        let key = name_key(&draft.user_name);
        if !self.seen.may_repeat(&key) {
            return;
        }
        let claim = Claim {
            email_verified: draft.email.verified,
            usable_hash: draft.password.is_some(),
            last_login,
            user_id: &draft.user_id,
        };
        if self.keepers.get(&key).is_none_or(|keeper| better(&claim, &keeper.claim()).is_lt()) {
            let Claim { email_verified, usable_hash, last_login, user_id } = claim;
            self.keepers.insert(key, Keeper { email_verified, usable_hash, last_login, user_id: user_id.to_owned() });
        }
    }

    /// The id of the user who keeps this user's name, where it is another one.
    pub(super) fn keeper_before(&self, draft: &Draft) -> Option<&str> {
        if self.keepers.is_empty() {
            return None;
        }
        let keeper = self.keepers.get(&name_key(&draft.user_name))?;
        (keeper.user_id != draft.user_id).then_some(&*keeper.user_id)
    }

    /// A name with a suffix that nobody else has, where one of twenty is free.
    pub(super) fn free_suffix(&mut self, user_name: &str, connection: &str) -> Option<String> {
        let name = (1..=ATTEMPTS).map(|attempt| suffixed(user_name, connection, attempt)).find(|name| {
            let key = name_key(name);
            !self.seen.may_contain(&key) && !self.given.contains(&key)
        })?;
        self.given.insert(name_key(&name));
        Some(name)
    }
}
