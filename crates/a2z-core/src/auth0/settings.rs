//! Where the users come from.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// The Auth0 tenant.
#[derive(Debug, Clone)]
pub struct Auth0 {
    /// `https://TENANT.eu.auth0.com/`, or the custom domain. None when only files are read.
    pub url: Option<Url>,
    /// The audience of the token, where it is not `{url}api/v2/` (a custom domain keeps the tenant's own).
    pub audience: Option<String>,
    /// How to get in.
    pub credentials: Option<Auth0Credentials>,
    /// Names of the connections to export; empty: the whole tenant.
    pub connections: Vec<String>,
    /// A job to take up instead of starting one (`job_…`).
    pub job: Option<String>,
    /// How long an export job may take. Default 2 h.
    pub job_deadline: Duration,
}

/// How to get into Auth0.
#[derive(Debug, Clone)]
pub enum Auth0Credentials {
    /// A machine-to-machine application.
    Client {
        /// Its client id.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// A ready Management API token.
    Token(SecretString),
}

impl Default for Auth0 {
    fn default() -> Self {
        Self {
            url: None,
            audience: None,
            credentials: None,
            connections: Vec::new(),
            job: None,
            job_deadline: Duration::from_hours(2),
        }
    }
}
