//! Where hashes are kept: about a hundred bytes each, in chunks, so that growing never copies. No `Debug` shows one.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroize as _};

use super::algorithm;

const CHUNK: usize = 4096;

/// The prefix of `user_id`s of database connections.
pub(super) const PREFIX: &str = "auth0|";

/// The identity of an account within its connection: 24 hex digits, or any text; perhaps with one `auth0|` before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) prefixed: bool,
    pub(super) base: Base<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Base<'a> {
    /// A database object id.
    Oid([u8; 12]),
    Text(&'a str),
}

impl<'a> Key<'a> {
    pub(super) fn parse(id: &'a str) -> Self {
        let stripped = id.strip_prefix(PREFIX);
        let base = stripped.unwrap_or(id);
        Self { prefixed: stripped.is_some(), base: oid(base).map_or(Base::Text(base), Base::Oid) }
    }

    pub(super) fn stripped(self) -> Self {
        match self.base {
            // A second prefix moves up.
            Base::Text(text) if self.prefixed => Self::parse(text),
            base => Self { prefixed: false, base },
        }
    }
}

fn oid(text: &str) -> Option<[u8; 12]> {
    let digits: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10), // capitals stay a text: ids differ by case
        _ => None,
    };
    let mut oid = [0; 12];
    for (byte, pair) in oid.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(oid)
}

const TEXT_KEY: u8 = 1;
const TEXT_HASH: u8 = 1 << 1;
const PREFIXED: u8 = 1 << 2;
const HAS_EMAIL: u8 = 1 << 3;
const SAYS_VERIFIED: u8 = 1 << 4;
const VERIFIED: u8 = 1 << 5;
const HAS_DATE: u8 = 1 << 6;
const DEAD: u8 = 1 << 7;

/// Of a row whose date cannot be read.
const BAD_DATE: i64 = i64::MIN;

/// One hash. 88 bytes.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    email: u64,
    set_at: i64,
    key: [u8; 12],
    /// Of bcrypt the salt and digest; of others the place in the side table.
    body: [u8; 53],
    version: u8,
    cost: u8,
    flags: u8,
    /// 0: none.
    pub(super) connection: u16,
    pub(super) file: u16,
}

/// What is to be stored of a row.
pub(super) struct New<'a> {
    pub(super) id: &'a str,
    pub(super) hash: &'a str,
    pub(super) connection: u16,
    pub(super) file: u16,
    /// Keyed hash of the e-mail in lower case.
    pub(super) email: Option<u64>,
    pub(super) email_verified: Option<bool>,
    pub(super) set_at: Option<Timestamp>,
    pub(super) bad_date: bool,
}

impl Entry {
    pub(super) fn is_dead(&self) -> bool {
        self.flags & DEAD != 0
    }

    pub(super) fn kill(&mut self) {
        self.flags |= DEAD;
        self.body.zeroize();
    }

    pub(super) fn email(&self) -> Option<u64> {
        (self.flags & HAS_EMAIL != 0).then_some(self.email)
    }

    pub(super) fn email_verified(&self) -> Option<bool> {
        (self.flags & SAYS_VERIFIED != 0).then_some(self.flags & VERIFIED != 0)
    }

    /// Milliseconds since the epoch; a row without a date is older than any with one.
    pub(super) fn set_at(&self) -> Option<i64> {
        (self.flags & HAS_DATE != 0).then_some(self.set_at)
    }

    /// The row says when the password was set, and it cannot be read.
    pub(super) fn bad_date(&self) -> bool {
        self.set_at == BAD_DATE
    }
}

/// The entries, and what does not fit into one.
#[derive(Default)]
pub(super) struct Store {
    chunks: Vec<Vec<Entry>>,
    keys: Vec<Box<str>>,
    hashes: Vec<SecretString>,
}

impl Store {
    pub(super) fn len(&self) -> usize {
        match self.chunks.as_slice() {
            [] => 0,
            [full @ .., last] => full.len() * CHUNK + last.len(),
        }
    }

    pub(super) fn push(&mut self, new: &New<'_>) {
        let key = Key::parse(new.id);
        let mut entry = Entry {
            email: new.email.unwrap_or_default(),
            set_at: new.set_at.map_or(if new.bad_date { BAD_DATE } else { 0 }, Timestamp::as_millisecond),
            key: [0; 12],
            body: [0; 53],
            version: 0,
            cost: 0,
            flags: 0,
            connection: new.connection,
            file: new.file,
        };
        for (is, flag) in [
            (key.prefixed, PREFIXED),
            (new.email.is_some(), HAS_EMAIL),
            (new.email_verified.is_some(), SAYS_VERIFIED),
            (new.email_verified == Some(true), VERIFIED),
            (new.set_at.is_some(), HAS_DATE),
        ] {
            if is {
                entry.flags |= flag;
            }
        }
        match key.base {
            Base::Oid(oid) => entry.key = oid,
            Base::Text(text) => {
                entry.flags |= TEXT_KEY;
                entry.key[..8].copy_from_slice(&(self.keys.len() as u64).to_le_bytes());
                self.keys.push(text.into());
            }
        }
        if let Some(bcrypt) = algorithm::bcrypt(new.hash) {
            (entry.version, entry.cost, entry.body) = (bcrypt.version, bcrypt.cost, *bcrypt.body);
        } else {
            entry.flags |= TEXT_HASH;
            entry.body[..8].copy_from_slice(&(self.hashes.len() as u64).to_le_bytes());
            self.hashes.push(SecretString::from(new.hash));
        }
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(entry),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(entry);
                self.chunks.push(chunk);
            }
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&Entry> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Entry> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flatten()
    }

    /// The key as it was written in the file.
    pub(super) fn key(&self, entry: &Entry) -> Key<'_> {
        let base = if entry.flags & TEXT_KEY == 0 {
            Base::Oid(entry.key)
        } else {
            Base::Text(self.keys.get(place(&entry.key)).map_or("", |key| key))
        };
        Key { prefixed: entry.flags & PREFIXED != 0, base }
    }

    pub(super) fn hash(&self, entry: &Entry) -> SecretString {
        if entry.flags & TEXT_HASH != 0 {
            return self.hashes.get(place(&entry.body)).cloned().unwrap_or_default();
        }
        let body = std::str::from_utf8(&entry.body).unwrap_or_default();
        SecretString::from(format!("$2{}${:02}${body}", char::from(entry.version), entry.cost))
    }

    pub(super) fn same_hash(&self, one: &Entry, other: &Entry) -> bool {
        self.hash(one).expose_secret() == self.hash(other).expose_secret()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for entry in self.chunks.iter_mut().flatten() {
            entry.body.zeroize();
        }
    }
}

fn place(bytes: &[u8]) -> usize {
    let bytes = bytes.first_chunk::<8>().copied().unwrap_or([u8::MAX; 8]);
    usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}
