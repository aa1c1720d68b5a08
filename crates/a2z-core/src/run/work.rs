//! What every job is given, and how it ends early.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::{
    auth0::client::Client as Auth0,
    config::Config,
    error::{Error, Result},
    event::Events,
    stop::Stop,
    zitadel::client::Client as Zitadel,
};

/// Attempts at the first contact with a vendor.
const FIRST_CONTACT_ATTEMPTS: u32 = 3;

/// What every job is given: the settings, the listener, and how it is stopped.
#[derive(Debug, Clone)]
pub struct Work {
    /// The configuration.
    pub config: Config,
    /// The listener.
    pub events: Events,
    /// How the job is stopped.
    pub stop: Stop,
}

impl Work {
    /// Runs `work` unless (and until) the operator stops the run; only for work that leaves nothing to resolve.
    ///
    /// # Errors
    /// As `work`, or that the run was stopped.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            () = self.stop.drain.cancelled() => Err(Stop::error()),
        }
    }

    /// The same for the first contact: a wrong address should not take minutes to show.
    pub(super) fn first_contact(&self) -> Self {
        let mut work = self.clone();
        work.config.http.max_attempts = work.config.http.max_attempts.min(FIRST_CONTACT_ATTEMPTS);
        work
    }

    /// A client of Auth0. The first signal cuts its requests off: it only reads.
    pub(super) fn auth0(&self) -> Result<Auth0> {
        Auth0::new(&self.config.auth0, &self.config.http, self.events.clone(), self.stop.drain.clone())
    }

    /// A client of ZITADEL that writes: requests in flight are resolved after the first signal, and only the second cuts
    /// them off.
    pub(super) fn zitadel(&self) -> Result<Zitadel> {
        self.zitadel_until(self.stop.abort.clone())
    }

    /// A client of ZITADEL that only reads: the first signal cuts its requests off.
    pub(super) fn zitadel_to_read(&self) -> Result<Zitadel> {
        self.zitadel_until(self.stop.drain.clone())
    }

    fn zitadel_until(&self, cancel: CancellationToken) -> Result<Zitadel> {
        let config = &self.config;
        Zitadel::new(&config.zitadel, &config.http, config.import.requests_per_second, self.events.clone(), cancel)
    }
}

/// Why a run ended early.
#[derive(Debug)]
pub struct Stopped {
    /// The error for the operator.
    pub error: Error,
    /// Users were written, so the reports of the unfinished run are of use.
    pub wrote: bool,
}

impl Stopped {
    /// The end of a run that may have written users.
    pub(super) fn after_writes(error: Error) -> Self {
        Self { error, wrote: true }
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self { error, wrote: false }
    }
}
