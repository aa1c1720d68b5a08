//! What becomes metadata of a user: looked up in the ledger while the export is read, so that memory stays flat.

use std::sync::OnceLock;

use super::Wanted;
use crate::{
    auth0::user::ExportedUser,
    error::{Error, Result},
    ledger::{Ledger, organizations, roles},
    structure::settings::{OrganizationsPolicy, RolesMode},
};

/// The roles and memberships that this run has read.
#[derive(Debug)]
pub struct Memberships {
    ledger: Ledger,
    run: i64,
    wanted: Wanted,
    failed: OnceLock<Error>,
}

impl Memberships {
    /// Those of `run`; none where none become metadata.
    #[must_use]
    pub fn of(ledger: &Ledger, run: i64, wanted: Wanted) -> Option<Self> {
        let ledger = ledger.clone();
        wanted.metadata().then(|| Self { ledger, run, wanted, failed: OnceLock::new() })
    }

    /// Puts what is known of the user beside what the export says.
    pub fn put(&self, user: &mut ExportedUser) {
        let mut put = |name: &str, json: Result<Option<String>>| match json {
            Ok(Some(json)) => user.beside.push((name.to_owned(), json)),
            Ok(None) => {}
            Err(error) => drop(self.failed.set(error)),
        };
        if self.wanted.roles == RolesMode::Metadata {
            put("roles", self.ledger.read(|c| roles::role_names_json(c, self.run, &user.user_id)));
        }
        if self.wanted.organizations == OrganizationsPolicy::Metadata {
            let memberships = self.ledger.read(|c| organizations::memberships_json(c, self.run, &user.user_id));
            put("organizations", memberships);
        }
    }

    /// Could everything be looked up?
    ///
    /// # Errors
    /// Where not: the plan would lack something.
    pub fn check(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(why) => Err(Error::internal("memberships could not be read from the ledger").because(why.to_string())),
        }
    }
}
