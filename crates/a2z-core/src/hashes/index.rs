//! Finds the hash of an account by (connection, id), and by e-mail only where the operator turned that on.
//!
//! Ids are compared as Auth0 keeps them: without the `auth0|` of the `user_id`. A file whose rows all begin with
//! `auth0|` is taken for one that was written with it, and loses one; in any other file such an id is meant so (an
//! import of an export that was not stripped makes `auth0|auth0|…` users).

mod lookup;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};

use super::{
    algorithm::{self, Verifiers},
    audit::{Audit, FileAudit, refuse_useless},
    row,
    store::{Base, Entry, Key, New, Store},
};
use crate::{
    error::{Error, Result},
    event::{Events, Running, Stage},
    input::settings::Source,
    input::{self, Options, RecordKind, Records},
};

/// How the ticket files are read.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Make [`HashIndex::find_by_email`] work.
    pub by_email: bool,
    /// The longest row, in bytes.
    pub max_line: usize,
    /// See [`Options::spool`].
    pub spool: Option<PathBuf>,
    /// The verifiers that ZITADEL has.
    pub verifiers: Verifiers,
}

/// An empty slot of the table.
const FREE: u32 = u32::MAX;

/// All hashes of the ticket files. Its `Debug` shows none.
pub struct HashIndex {
    store: Store,
    /// Open addressing over entries; a power of two, at most half full.
    table: Vec<u32>,
    /// Entries with an e-mail in the order of its keyed hash; only with `by_email`.
    emails: Vec<u32>,
    connections: Vec<Box<str>>,
    connection_ids: HashMap<Box<str>, u16>,
    /// Whether all ids of a file begin with `auth0|`.
    prefixed_files: Vec<bool>,
    used: Vec<AtomicU64>,
    /// Entries whose id had white space around it in the file.
    padded: HashSet<u32>,
    hasher: RandomState,
    audit: Audit,
    digest: String,
    verifiers: Verifiers,
}

/// What became of a row.
struct Added {
    /// Its id begins with `auth0|`.
    prefixed: bool,
    /// ZITADEL takes its hash.
    usable: bool,
}

impl std::fmt::Debug for HashIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashIndex").field("rows", &self.store.len()).finish_non_exhaustive()
    }
}

impl HashIndex {
    /// Reads all files. Malformed rows are counted in the audit and do not end it.
    ///
    /// # Errors
    /// A file cannot be read (see [`Records::open`]), or there are more than 65,000 files.
    pub fn load(sources: &[Source], options: &LoadOptions, events: &Events) -> Result<Self> {
        let running = events.start(Stage::Hashes, None);
        let mut index = Self { verifiers: options.verifiers, ..Self::empty() };
        for source in sources {
            let mut reading = Options::new(options.max_line, "--passwords").with_digest();
            reading.spool.clone_from(&options.spool);
            let records = Records::open(source, &reading)?;
            index.read(records, options.max_line, &running)?;
        }
        index.finish(options.by_email)?;
        running.finish(index.audit.rows);
        Ok(index)
    }

    /// Reads one file that is open.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of(records: Records, options: &LoadOptions) -> Result<Self> {
        let mut index = Self::empty();
        index.read(records, options.max_line, &Events::silent().start(Stage::Hashes, None))?;
        index.finish(options.by_email)?;
        Ok(index)
    }

    /// An index of nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            store: Store::default(),
            table: Vec::new(),
            emails: Vec::new(),
            connections: Vec::new(),
            connection_ids: HashMap::new(),
            prefixed_files: Vec::new(),
            used: Vec::new(),
            padded: HashSet::new(),
            hasher: RandomState::new(),
            audit: Audit::default(),
            digest: String::new(),
            verifiers: Verifiers::default(),
        }
    }

    fn read(&mut self, mut records: Records, max_line: usize, running: &Running) -> Result<()> {
        let too_many = || Error::usage("too many hash files").hint("put them together with `cat`");
        let file = u16::try_from(self.prefixed_files.len()).map_err(|_| too_many())?;
        let (mut buf, mut rows, mut usable, mut all_prefixed) = (Zeroizing::new(Vec::new()), 0, 0, true);
        while let Some(record) = records.next(&mut buf)? {
            let added = match record.kind {
                RecordKind::Whole => self.add(&buf, file),
                RecordKind::TooLong { bytes } => Err(input::too_long(bytes, max_line)),
            };
            if added.is_err() && records.divide(&buf) {
                continue;
            }
            rows += 1;
            self.audit.rows += 1;
            match added {
                Ok(added) => {
                    all_prefixed &= added.prefixed;
                    usable += u64::from(added.usable);
                }
                Err(reason) => self.audit.malformed(records.label(), record.line, reason),
            }
            if self.audit.rows.is_multiple_of(4096) {
                running.advanced(self.audit.rows, None);
            }
        }
        self.prefixed_files.push(all_prefixed);
        let sha256 = records.digest().unwrap_or_default();
        self.audit.files.push(FileAudit { file: records.label().to_owned(), rows, usable, sha256 });
        Ok(())
    }

    /// Adds a row.
    fn add(&mut self, json: &[u8], file: u16) -> Result<Added, String> {
        let row = row::read(json)?;
        let name = row.connection.as_deref().unwrap_or_default();
        let connection = self.connection(name)?;
        match self.audit.by_connection.get_mut(name) {
            Some(rows) => *rows += 1,
            None => drop(self.audit.by_connection.insert(name.to_owned(), 1)),
        }
        let prefixed = Key::parse(&row.id).prefixed;
        self.audit.newest_set_at = self.audit.newest_set_at.max(row.set_at);
        self.audit.bad_dates += u64::from(row.bad_date);
        let hash = match &row.hash {
            Ok(hash) => hash,
            Err(keys) => {
                self.audit.without_hash += 1;
                self.audit.algorithm(&no_hash(keys));
                return Ok(Added { prefixed, usable: false });
            }
        };
        self.audit.algorithm(&algorithm::describe(hash));
        let usable = algorithm::usable(hash, self.verifiers).is_ok();
        self.audit.unusable += u64::from(!usable);
        if self.store.len() >= FREE as usize / 2 {
            return Err("there are too many hashes".to_owned());
        }
        if row.padded {
            self.padded.extend(u32::try_from(self.store.len()).ok());
        }
        self.store.push(&New {
            id: &row.id,
            hash,
            connection,
            file,
            email: row.email.as_deref().map(|email| self.email_key(email)),
            email_verified: row.email_verified,
            set_at: row.set_at,
            bad_date: row.bad_date,
        });
        Ok(Added { prefixed, usable })
    }

    /// The number of a connection; 0 is none.
    fn connection(&mut self, name: &str) -> Result<u16, String> {
        if name.is_empty() {
            return Ok(0);
        }
        if let Some(id) = self.connection_ids.get(name) {
            return Ok(*id);
        }
        let id = u16::try_from(self.connections.len() + 1).map_err(|_| "there are too many connections".to_owned())?;
        self.connections.push(name.into());
        self.connection_ids.insert(name.into(), id);
        Ok(id)
    }

    /// Builds the tables when all files are read: only then is it known how each writes its ids.
    fn finish(&mut self, by_email: bool) -> Result<()> {
        let entries = u32::try_from(self.store.len()).map_err(|_| Error::usage("there are too many hashes"))?;
        self.used = (0..=self.store.len() / 64).map(|_| AtomicU64::new(0)).collect();
        self.table = vec![FREE; (self.store.len() * 2).next_power_of_two()];
        for index in 0..entries {
            self.place(index);
        }
        if by_email {
            let store = &self.store;
            let live = |index: &u32| store.get(*index).is_some_and(|entry| !entry.is_dead() && entry.email().is_some());
            self.emails = (0..entries).filter(live).collect();
            self.emails.sort_unstable_by_key(|index| store.get(*index).and_then(Entry::email));
        }
        let mut digests: Vec<_> = self.audit.files.iter().map(|file| file.sha256.as_str()).collect();
        digests.sort_unstable();
        self.digest = crate::text::hex(&Sha256::digest(digests.concat()));
        Ok(())
    }

    /// Puts an entry into the table. Of several for one (connection, id) the newest stays.
    fn place(&mut self, index: u32) {
        let Some(new) = self.store.get(index) else { return };
        let key = self.true_key(new);
        let mut slot = self.slot(key);
        while let Some(held) = self.table.get(slot).copied().filter(|held| *held != FREE) {
            if let Some(old) = self.store.get(held)
                && old.connection == new.connection
                && self.true_key(old) == key
            {
                if self.store.same_hash(old, new) {
                    self.audit.duplicates += 1;
                } else {
                    self.audit.superseded += 1;
                }
                // Of two ids that differ by white space the exact one counts; without dates the later row.
                let dead = match (self.padded.contains(&held), self.padded.contains(&index)) {
                    (true, false) => held,
                    (false, true) => index,
                    _ if new.set_at() >= old.set_at() => held,
                    _ => index,
                };
                if dead == held {
                    self.table[slot] = index;
                }
                if let Some(entry) = self.store.get_mut(dead) {
                    entry.kill();
                }
                return;
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
        self.table[slot] = index;
    }

    /// The id as Auth0 keeps it.
    fn true_key(&self, entry: &Entry) -> Key<'_> {
        let key = self.store.key(entry);
        let strip = self.prefixed_files.get(usize::from(entry.file)).copied().unwrap_or_default();
        if strip { key.stripped() } else { key }
    }

    fn slot(&self, key: Key<'_>) -> usize {
        let hash = match key.base {
            Base::Oid(oid) => self.hasher.hash_one((key.prefixed, oid)),
            Base::Text(text) => self.hasher.hash_one((key.prefixed, text)),
        };
        usize::try_from(hash & (self.table.len() as u64 - 1)).unwrap_or_default()
    }

    fn email_key(&self, email: &str) -> u64 {
        self.hasher.hash_one(email.trim().to_lowercase())
    }

    /// How many accounts have a hash.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.iter().filter(|entry| !entry.is_dead()).count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 over all files, in whatever order they were named.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The audit. Its `unused` counts the hashes that were not found for anybody until now.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let used: u64 = self.used.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        Audit { unused: (self.len() as u64).saturating_sub(used), ..self.audit.clone() }
    }

    /// A file without one usable row would move everybody without a password.
    ///
    /// # Errors
    /// Of kind `Check`, with the file's name, what is wrong with its rows, and what to do.
    pub fn require_usable(&self) -> Result<()> {
        let words = ("hash row", "passwords", "--passwords");
        refuse_useless(&self.audit.files, &self.audit.malformed, words, &self.audit.reasons())
    }

    /// Forgets who was found, for a second pass over the users.
    pub fn forget_used(&self) {
        self.used.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

/// `no passwordHash (other keys: …)`: under which key other hashes come is not documented.
fn no_hash(keys: &[String]) -> String {
    const USUAL: [&str; 2] = ["tenant", "_tmp_is_unique"];
    let mut names: Vec<_> = keys.iter().filter(|key| !USUAL.contains(&key.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    let names: Vec<String> = names.into_iter().take(20).map(|key| key.chars().take(80).collect()).collect();
    if names.is_empty() {
        "no passwordHash".to_owned()
    } else {
        format!("no passwordHash (other keys: {})", names.join(", "))
    }
}
