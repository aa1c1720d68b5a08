//! Where second factors are kept: texts one after another in chunks that never move, so that no copy of a secret is left
//! behind by growing. Of each user a chain, newest first.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use secrecy::zeroize::Zeroize as _;

/// The most factors that are kept of one user: nobody has as many, and a file of one user's only must not fill the memory.
const MOST: u8 = 100;
const CHUNK_BITS: u32 = 20;
const CHUNK: usize = 1 << CHUNK_BITS;
/// No record, no user.
const NONE: u32 = u32::MAX;
/// Before the text of a record: the one before it, its kind, its length.
const HEAD: usize = 7;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Totp,
    RecoveryCode,
    Other,
    UnusableTotp,
    UnusableRecoveryCode,
    /// Of a row that does not tell its factor.
    Unusable,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Totp, Self::RecoveryCode, Self::Other, Self::UnusableTotp, Self::UnusableRecoveryCode, Self::Unusable];
}

struct User {
    /// The newest factor.
    newest: u32,
    /// The id, as a record.
    id: u32,
    /// Another user whose id has the same hash.
    next: u32,
    factors: u8,
}

#[derive(Default)]
pub(super) struct Store {
    chunks: Vec<Vec<u8>>,
    users: Vec<User>,
    by_hash: HashMap<u64, u32>,
    hasher: RandomState,
    asked: Vec<AtomicU64>,
}

impl Store {
    pub(super) fn users(&self) -> u64 {
        self.users.len() as u64
    }

    /// Users that [`Self::find`] was never asked for.
    pub(super) fn unused(&self) -> u64 {
        let asked: u64 = self.asked.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        self.users().saturating_sub(asked)
    }

    /// Keeps a factor; false where it was known, or there are too many.
    pub(super) fn put(&mut self, user_id: &str, kind: Kind, text: &[u8]) -> Result<bool, String> {
        let at = match self.place(user_id) {
            Some(at) => at,
            None => self.add_user(user_id)?,
        };
        let Some(User { newest, factors, .. }) = self.users.get(at as usize) else { return Ok(false) };
        if *factors >= MOST || self.chain(*newest).any(|known| known == (kind, text)) {
            return Ok(false);
        }
        let record = self.push(*newest, kind, text)?;
        if let Some(user) = self.users.get_mut(at as usize) {
            (user.newest, user.factors) = (record, user.factors + 1);
        }
        Ok(true)
    }

    /// The factors of a user in the order in which they came.
    pub(super) fn find(&self, user_id: &str) -> Option<Vec<(Kind, &[u8])>> {
        let at = self.place(user_id)?;
        if let Some(word) = self.asked.get(at as usize / 64) {
            word.fetch_or(1 << (at % 64), Ordering::Relaxed);
        }
        let mut factors: Vec<_> = self.chain(self.users.get(at as usize)?.newest).collect();
        factors.reverse();
        Some(factors)
    }

    fn place(&self, user_id: &str) -> Option<u32> {
        let mut at = *self.by_hash.get(&self.hasher.hash_one(user_id))?;
        while let Some(user) = self.users.get(at as usize) {
            if self.record(user.id).is_some_and(|(_, _, id)| id == user_id.as_bytes()) {
                return Some(at);
            }
            at = user.next;
        }
        None
    }

    fn add_user(&mut self, user_id: &str) -> Result<u32, String> {
        let at = u32::try_from(self.users.len()).map_err(|_| too_many())?;
        let id = self.push(NONE, Kind::Other, user_id.as_bytes())?;
        let next = self.by_hash.insert(self.hasher.hash_one(user_id), at).unwrap_or(NONE);
        self.users.push(User { newest: NONE, id, next, factors: 0 });
        if at.is_multiple_of(64) {
            self.asked.push(AtomicU64::new(0));
        }
        Ok(at)
    }

    fn chain(&self, newest: u32) -> impl Iterator<Item = (Kind, &[u8])> {
        let mut at = newest;
        std::iter::from_fn(move || {
            let (before, kind, text) = self.record(at)?;
            at = before;
            Some((kind, text))
        })
    }

    fn record(&self, at: u32) -> Option<(u32, Kind, &[u8])> {
        let chunk = self.chunks.get((at >> CHUNK_BITS) as usize)?;
        let (head, rest) = chunk.get(at as usize % CHUNK..)?.split_first_chunk::<HEAD>()?;
        let [b0, b1, b2, b3, kind, low, high] = *head;
        let text = rest.get(..usize::from(u16::from_le_bytes([low, high])))?;
        Some((u32::from_le_bytes([b0, b1, b2, b3]), *Kind::ALL.get(usize::from(kind))?, text))
    }

    fn push(&mut self, before: u32, kind: Kind, text: &[u8]) -> Result<u32, String> {
        let length = u16::try_from(text.len()).map_err(|_| "a text is too long".to_owned())?;
        let fits = |chunk: &Vec<u8>| chunk.len() + HEAD + text.len() <= CHUNK;
        if !self.chunks.last().is_some_and(fits) {
            if self.chunks.len() + 1 >= 1 << (32 - CHUNK_BITS) {
                return Err(too_many());
            }
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let number = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().ok_or_else(too_many)?;
        let at = u32::try_from(number << CHUNK_BITS | chunk.len()).map_err(|_| too_many())?;
        chunk.extend(before.to_le_bytes());
        chunk.push(kind as u8);
        chunk.extend(length.to_le_bytes());
        chunk.extend(text);
        Ok(at)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.chunks.iter_mut().for_each(Vec::zeroize);
    }
}

fn too_many() -> String {
    "there are too many factors".to_owned()
}
