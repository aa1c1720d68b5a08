//! A user on the way into ZITADEL, and how users are put together into requests.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::judge::Asked;
use crate::{
    import::settings::Import,
    ledger::{
        states::Progress,
        users::{Digest, Sent, Todo},
    },
    mapping::{
        draft::{Draft, Route},
        facts::Facts,
        fingerprint::Fingerprints,
    },
    zitadel::import::protobuf_size,
};

/// A user who is to be created or updated.
#[derive(Debug, Clone)]
pub struct Item {
    /// What is to be sent.
    pub draft: Draft,
    /// What the ledger says of the user.
    pub todo: Todo,
    /// Digest of everything but the password.
    pub profile: Digest,
    /// Digest of the password.
    pub password: Option<Digest>,
    /// Digest of the second factors.
    pub factors: Option<Digest>,
    /// What ZITADEL should have of the user once it was sent the draft, for `verify`.
    pub facts: Facts,
    /// A request that was lost may have created the user.
    pub in_doubt: bool,
    /// From when on that request can write no more; none: it was an earlier process's.
    pub quiet_at: Option<Instant>,
}

impl Item {
    /// An item from what the plan wants and the ledger knows.
    #[must_use]
    pub fn new(draft: Draft, todo: Todo, prints: Fingerprints, facts: Facts) -> Self {
        let in_doubt = todo.progress != Progress::Pending;
        let Fingerprints { profile, password, factors } = prints;
        Self { draft, todo, profile, password, factors, facts, in_doubt, quiet_at: None }
    }

    /// The user's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.draft.user_id
    }

    /// What is known of the user before a request is judged.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            in_doubt: self.in_doubt,
            links: !self.draft.links.is_empty(),
            codes: !self.draft.recovery_codes.is_empty(),
        }
    }

    /// The keys of the draft's metadata.
    #[must_use]
    pub fn keys(&self) -> HashSet<&str> {
        self.draft.metadata.iter().map(|entry| entry.key.as_str()).collect()
    }

    /// What a request says of the user, which leaves ZITADEL with `facts`.
    #[must_use]
    pub fn sent(&self, facts: &Facts) -> Sent {
        Sent { user_id: self.id().to_owned(), profile: self.profile, password: self.password, facts: facts.encode() }
    }

    /// What ZITADEL has from us once this is settled.
    #[must_use]
    pub fn have(&self) -> (Digest, Option<Digest>) {
        (self.profile, self.password)
    }
}

/// The ids of items.
#[must_use]
pub fn ids(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| item.id().to_owned()).collect()
}

/// What a worker is given.
#[derive(Debug)]
pub enum Job {
    /// For one import request.
    Batch(Vec<Item>),
    /// For one request of the users API each, one after another; looked up together before.
    Singles(Vec<Item>),
    /// To be changed, one after another.
    Updates(Vec<Item>),
}

/// How many users of the users API share a worker's turn.
const SINGLES: usize = 20;

/// Puts items together. A batch is closed by count, by bytes of protobuf (the server's limit is 4 MiB), or when it would
/// take too long for the server's `timeout`.
#[derive(Debug)]
pub struct Builder {
    max_users: usize,
    max_bytes: usize,
    max_time: Duration,
    batch: Vec<Item>,
    bytes: usize,
    work: f64,
    singles: Vec<Item>,
    updates: Vec<Item>,
}

impl Builder {
    /// An empty builder.
    #[must_use]
    pub fn new(config: &Import) -> Self {
        Self {
            max_users: config.batch_users.max(1),
            max_bytes: config.batch_bytes,
            max_time: config.timeout / 4,
            batch: Vec::new(),
            bytes: 0,
            work: 0.0,
            singles: Vec::new(),
            updates: Vec::new(),
        }
    }

    /// Takes an item; the job is complete where one comes back. `unit` is what one unit of [`work`] takes, in seconds.
    pub fn push(&mut self, item: Item, route: Route, unit: f64) -> Option<Job> {
        if item.todo.action == crate::ledger::states::Action::Update {
            self.updates.push(item);
            return (self.updates.len() >= SINGLES).then(|| Job::Updates(std::mem::take(&mut self.updates)));
        }
        if route == Route::UsersApi {
            self.singles.push(item);
            return (self.singles.len() >= SINGLES).then(|| Job::Singles(std::mem::take(&mut self.singles)));
        }
        let (bytes, work) = (protobuf_size(&item.draft), work(&item.draft));
        let full = self.batch.len() >= self.max_users
            || self.bytes + bytes > self.max_bytes
            || (self.work + work) * unit > self.max_time.as_secs_f64();
        let closed = (full && !self.batch.is_empty()).then(|| self.close());
        self.batch.push(item);
        self.bytes += bytes;
        self.work += work;
        closed
    }

    /// What is left.
    pub fn finish(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        if !self.batch.is_empty() {
            jobs.push(self.close());
        }
        if !self.singles.is_empty() {
            jobs.push(Job::Singles(std::mem::take(&mut self.singles)));
        }
        if !self.updates.is_empty() {
            jobs.push(Job::Updates(std::mem::take(&mut self.updates)));
        }
        jobs
    }

    fn close(&mut self) -> Job {
        self.bytes = 0;
        self.work = 0.0;
        Job::Batch(std::mem::take(&mut self.batch))
    }
}

/// What a user costs the import endpoint, in users without metadata: every metadata key, and either kind of factor, is a transaction of its own
/// (measured: 333 users/s without, 236 with one key, 146 with three).
#[must_use]
pub fn work(draft: &Draft) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a handful of keys")]
    let keys = draft.metadata.len() as f64;
    let factors = f64::from(u8::from(draft.totp_secret.is_some()) + u8::from(!draft.recovery_codes.is_empty()));
    (keys + factors).mul_add(0.45, 1.0)
}
