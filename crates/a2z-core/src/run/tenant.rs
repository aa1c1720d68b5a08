//! What a run reads from the Auth0 tenant.

use super::work::Work;
use crate::{auth0::client::Client as Auth0, config::Config, error::Result};

/// Where the export comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// Files that the operator names.
    Files,
    /// A job of Auth0's.
    Job(Auth0),
}

/// What a run reads from the tenant, each part with its client.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) export: Origin,
    /// For roles and organizations, which are in no export; `None` if they are not wanted.
    pub(super) structure: Option<Auth0>,
    /// For the survey of second factors; `None` if it is not wanted.
    pub(super) survey: Option<Auth0>,
}

impl Tenant {
    /// Does a run need more of the tenant than a survey?
    pub(super) fn is_needed(config: &Config) -> bool {
        config.input.users.is_empty() || config.wants_structure()
    }

    /// The parts that the settings ask for.
    ///
    /// # Errors
    /// When the settings are not enough for a client.
    pub(super) fn of(work: &Work) -> Result<Self> {
        let config = &work.config;
        if !Self::is_needed(config) && !config.input.mfa_survey {
            return Ok(Self { export: Origin::Files, structure: None, survey: None });
        }
        let client = work.auth0()?;
        Ok(Self {
            structure: config.wants_structure().then(|| client.clone()),
            survey: config.input.mfa_survey.then(|| client.clone()),
            export: if config.input.users.is_empty() { Origin::Job(client) } else { Origin::Files },
        })
    }
}
