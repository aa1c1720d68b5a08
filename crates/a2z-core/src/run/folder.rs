//! The state folder of a job: locked, with its ledger open.

use std::path::Path;

use super::work::Work;
use crate::{
    config::Config,
    error::{Error, Result},
    ledger::{Ledger, runs},
    state::StateDir,
};

/// The state folder of a job, locked against other runs, with its ledger.
#[derive(Debug)]
pub struct Folder {
    pub(super) state: StateDir,
    pub(super) ledger: Ledger,
}

impl Folder {
    /// Opens the folder for a run, and makes it if there is none.
    ///
    /// # Errors
    /// When it cannot be used, or another run uses it; when a survey is wanted and Auth0's settings are missing.
    pub fn open(work: &Work) -> Result<Self> {
        if work.config.input.mfa_survey {
            // Also if the export is a file: before anything else is done, not after.
            work.auth0()?;
        }
        Self::lock(work)
    }

    fn lock(work: &Work) -> Result<Self> {
        let state = StateDir::open(&work.config.state)?;
        let ledger = Ledger::open(&state.ledger())?;
        Ok(Self { state, ledger })
    }

    /// Opens a folder that has a ledger.
    ///
    /// # Errors
    /// When there is no ledger, it cannot be used, or another run uses it.
    pub fn existing(work: &Work) -> Result<Self> {
        // Before the folder is made: without a ledger there is nothing to look at.
        StateDir::look(&work.config.state)?;
        Self::lock(work)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.state.path()
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// The ledger, to look at.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The ledger's own key for fingerprints, random, made once.
    pub(super) async fn key(&self) -> Result<[u8; 16]> {
        let hex = self.ledger.write(runs::key).await?;
        let number = u128::from_str_radix(&hex, 16)
            .map_err(|error| Error::internal("the ledger's key is damaged").caused_by(&error))?;
        Ok(number.to_be_bytes())
    }

    /// Binds the ledger to one tenant, one instance and one organization: what it says of a user is true of no other.
    ///
    /// # Errors
    /// When it is bound to another.
    pub(super) async fn bind(&self, config: &Config) -> Result<()> {
        let bound = [
            ("tenant", config.auth0.url.as_ref().map(ToString::to_string), "Auth0 tenant"),
            ("instance", config.zitadel.url.as_ref().map(ToString::to_string), "ZITADEL instance"),
            ("organization", config.zitadel.organization_id.clone(), "ZITADEL organization"),
            ("project", config.roles.project_id.clone(), "ZITADEL project"),
        ];
        for (key, value, what) in bound {
            let Some(value) = value else { continue };
            match self.ledger.read(|c| runs::meta(c, key))? {
                Some(known) if known != value => {
                    return Err(self
                        .is_of_another(what, &known, &value)
                        .hint("give each migration a state folder of its own with `--state DIR`"));
                }
                Some(_) => {}
                None => self.ledger.write(move |t| runs::set_meta(t, key, &value)).await?,
            }
        }
        Ok(())
    }

    /// The error for a ledger that is bound to something else.
    pub(super) fn is_of_another(&self, what: &str, known: &str, value: &str) -> Error {
        let folder = self.path().display();
        Error::usage(format!("the state folder `{folder}` belongs to another {what}: `{known}`, not `{value}`"))
    }
}
