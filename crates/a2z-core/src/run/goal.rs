//! How far a run goes, and the client of ZITADEL that it has for that.

use super::work::Work;
use crate::{error::Result, zitadel::client::Client as Zitadel};

/// How far a run goes.
pub trait Goal: Sized {
    /// Users are to be written, so ZITADEL must be there.
    const WRITES: bool;

    /// Is ZITADEL asked?
    #[must_use]
    fn asks_zitadel(work: &Work) -> bool {
        Self::WRITES || work.config.zitadel.url.is_some()
    }

    /// The goal with its client.
    ///
    /// # Errors
    /// When the settings are not enough for a client.
    fn of(work: &Work) -> Result<Self>;

    /// The client, if ZITADEL is asked.
    fn zitadel(&self) -> Option<&Zitadel>;
}

/// Everything but the writes. ZITADEL is asked if its address is known.
#[derive(Debug)]
pub struct PlanOnly(Option<Zitadel>);

/// The whole job.
#[derive(Debug)]
pub struct Cutover(pub(super) Zitadel);

impl Goal for PlanOnly {
    const WRITES: bool = false;

    fn of(work: &Work) -> Result<Self> {
        Self::asks_zitadel(work).then(|| work.zitadel()).transpose().map(Self)
    }

    fn zitadel(&self) -> Option<&Zitadel> {
        self.0.as_ref()
    }
}

impl Goal for Cutover {
    const WRITES: bool = true;

    fn of(work: &Work) -> Result<Self> {
        work.zitadel().map(Self)
    }

    fn zitadel(&self) -> Option<&Zitadel> {
        Some(&self.0)
    }
}
