//! What becomes metadata of a user: looked up in the ledger while the export is read, so that memory stays flat.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::Wanted;
use crate::{
    auth0::user::ExportedUser,
    config::{OrganizationsPolicy, RolesMode},
    error::{Error, Result},
    ledger::{Ledger, fetched_queries},
};

/// The roles and memberships that this run has read.
#[derive(Debug)]
pub struct Memberships {
    reader: Mutex<rusqlite::Connection>,
    run: i64,
    wanted: Wanted,
    failed: OnceLock<String>,
}

impl Memberships {
    /// Those of `run`; none where none become metadata.
    ///
    /// # Errors
    /// When the ledger cannot be opened.
    pub fn open(ledger: &Ledger, run: i64, wanted: Wanted) -> Result<Option<Self>> {
        if !wanted.metadata() {
            return Ok(None);
        }
        Ok(Some(Self { reader: Mutex::new(ledger.reader()?), run, wanted, failed: OnceLock::new() }))
    }

    /// Puts what is known of the user beside what the export says.
    pub fn put(&self, user: &mut ExportedUser) {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut put = |name: &str, json: rusqlite::Result<Option<String>>| match json {
            Ok(Some(json)) => user.beside.push((name.to_owned(), json)),
            Ok(None) => {}
            Err(error) => drop(self.failed.set(error.to_string())),
        };
        if self.wanted.roles == RolesMode::Metadata {
            put("roles", fetched_queries::role_names_json(&reader, self.run, &user.user_id));
        }
        if self.wanted.organizations == OrganizationsPolicy::Metadata {
            put("organizations", fetched_queries::memberships_json(&reader, self.run, &user.user_id));
        }
    }

    /// Could everything be looked up?
    ///
    /// # Errors
    /// Where not: the plan would lack something.
    pub fn check(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(why) => Err(Error::internal("memberships could not be read from the ledger").because(why.clone())),
        }
    }
}
