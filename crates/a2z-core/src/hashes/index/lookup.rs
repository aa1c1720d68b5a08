//! Finds the rows of an account in the index.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::{FREE, HashIndex};
use crate::hashes::{
    HashRow, Lookup,
    store::{Entry, Key},
};

impl HashIndex {
    /// The entries with this id, in no order.
    fn with_id(&self, key: Key<'_>) -> Vec<u32> {
        let mut found = Vec::new();
        if self.table.is_empty() {
            return found;
        }
        let mut slot = self.slot(key);
        while let Some(index) = self.table.get(slot).copied().filter(|index| *index != FREE) {
            if self.store.get(index).is_some_and(|entry| self.true_key(entry) == key) {
                found.push(index);
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
        found
    }

    /// The hash of the account `id` of a connection. `id` is what [`crate::auth0::user::Identity::user_id`] holds, the
    /// part after the first pipe of the `user_id`; a whole `auth0|…` finds it too.
    #[must_use]
    pub fn find(&self, connection: Option<&str>, id: &str) -> Lookup {
        self.find_for(connection, id, None)
    }

    /// The same, for a user with this e-mail: [`HashRow::email_verified`] is known where it is the row's e-mail too.
    #[must_use]
    pub fn find_for(&self, connection: Option<&str>, id: &str, email: Option<&str>) -> Lookup {
        let email = email.filter(|email| !email.is_empty()).map(|email| self.email_key(email));
        let key = Key::parse(id);
        let mut rows = self.with_id(key);
        let of_row = |row: &u32| self.store.get(*row).and_then(Entry::email);
        if rows.is_empty() && key.prefixed {
            // A whole user id was asked for, or all users of the file have a doubled prefix. The e-mail may object.
            rows = self.with_id(key.stripped());
            rows.retain(|row| email.is_none() || of_row(row).is_none() || of_row(row) == email);
        } else if rows.is_empty() && id.trim().len() < id.len() {
            rows = self.with_id(Key::parse(id.trim()));
            rows.retain(|row| self.padded.contains(row));
        } else if rows.is_empty() && email.is_some() {
            // A row with a prefix in a file that has others without: the e-mail must agree.
            rows = self.with_id(Key { prefixed: true, ..key });
            rows.retain(|row| of_row(row) == email);
        }
        self.choose(connection, &rows, email)
    }

    /// The hash of the one account with this e-mail, whatever its id. Always `None` unless loaded with `by_email`.
    #[must_use]
    pub fn find_by_email(&self, connection: Option<&str>, email: &str) -> Lookup {
        if email.is_empty() {
            return Lookup::None;
        }
        let asked = self.email_key(email);
        let of = |index: &u32| self.store.get(*index).and_then(Entry::email).unwrap_or_default();
        let start = self.emails.partition_point(|index| of(index) < asked);
        let rows: Vec<_> = self.emails[start..].iter().copied().take_while(|index| of(index) == asked).collect();
        // Two accounts of one connection with one address: nothing tells them apart.
        let number = connection.and_then(|name| self.connection_ids.get(name).copied());
        let of_connection =
            |index: &&u32| self.store.get(**index).is_some_and(|entry| Some(entry.connection) == number);
        if rows.iter().filter(of_connection).count() > 1 {
            return Lookup::Ambiguous(self.names(&rows));
        }
        self.choose(connection, &rows, Some(asked))
    }

    fn choose(&self, connection: Option<&str>, rows: &[u32], email: Option<u64>) -> Lookup {
        let Some(connection) = connection else {
            return match rows {
                [] => Lookup::None,
                [only] => self.found(*only, email),
                _ => Lookup::Ambiguous(self.names(rows)),
            };
        };
        let number = self.connection_ids.get(connection).copied();
        let of = |row: &u32| self.store.get(*row).map_or(0, |entry| entry.connection);
        if let Some(row) = rows.iter().find(|row| Some(of(row)) == number) {
            return self.found(*row, email);
        }
        match rows {
            [only] if of(only) == 0 => self.found(*only, email),
            // One of them may be meant, or none.
            _ if rows.iter().any(|row| of(row) == 0) => Lookup::Ambiguous(self.names(rows)),
            _ => Lookup::None,
        }
    }

    fn names(&self, rows: &[u32]) -> Vec<String> {
        let name = |row: &u32| {
            let connection = self.store.get(*row).map_or(0, |entry| entry.connection);
            let name = usize::from(connection).checked_sub(1).and_then(|at| self.connections.get(at));
            name.map_or_else(|| "(no connection)".to_owned(), ToString::to_string)
        };
        let mut names: Vec<_> = rows.iter().map(name).collect();
        names.sort_unstable();
        names
    }

    fn found(&self, index: u32, email: Option<u64>) -> Lookup {
        let Some(entry) = self.store.get(index) else { return Lookup::None };
        if let Some(word) = self.used.get(index as usize / 64) {
            word.fetch_or(1 << (index % 64), Ordering::Relaxed);
        }
        let same = email.is_some() && entry.email() == email;
        Lookup::Found(HashRow {
            hash: self.store.hash(entry),
            set_at: entry.set_at().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            bad_date: entry.bad_date(),
            email_verified: entry.email_verified().filter(|_| same),
        })
    }
}
