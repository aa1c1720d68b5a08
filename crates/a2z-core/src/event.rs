//! What the engine says aloud. The bar, the plain lines and the NDJSON stream are readers of this one enum
//! (`progress/`); the engine itself never prints. Events carry no secret and no personal data beyond what an
//! operator needs to follow the run.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

/// A stage of a run, in the order of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Can it work at all.
    Check,
    /// Auth0 prepares the export (its job).
    Export,
    /// The export file is downloaded. Unit: bytes.
    Download,
    /// The ticket's hash files are read. Unit: rows.
    Hashes,
    /// The ticket's MFA files are read. Unit: rows.
    Factors,
    /// Roles and organizations are read from Auth0. Unit: rows.
    Structure,
    /// Pass 1. Unit: users.
    Plan,
    /// Auth0 is asked who has which second factor. Unit: users.
    Survey,
    /// Pass 2. Unit: users.
    Import,
    /// Waiting until ZITADEL's projections show every user. Unit: users.
    Visible,
    /// Giving roles to users. Unit: grants.
    Grants,
    /// Giving users codes by SMS and e-mail as second factors. Unit: second factors.
    Codes,
    /// Comparing ZITADEL with the ledger. Unit: users.
    Verify,
    /// Repairing users that ZITADEL does not show completely. Unit: users.
    Repair,
    /// Writing the reports.
    Report,
    /// Deleting what this ledger created. Unit: users.
    Rollback,
}

impl Stage {
    /// The word for it in a progress line.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Export => "export",
            Self::Download => "download",
            Self::Hashes => "hashes",
            Self::Factors => "factors",
            Self::Structure => "structure",
            Self::Plan => "plan",
            Self::Survey => "survey",
            Self::Import => "import",
            Self::Visible => "visible",
            Self::Grants => "grants",
            Self::Codes => "codes",
            Self::Verify => "verify",
            Self::Repair => "repair",
            Self::Report => "report",
            Self::Rollback => "rollback",
        }
    }
}

/// Where the import stands. Counts are of this run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ImportProgress {
    /// Users whose outcome is in the ledger.
    pub done: u64,
    /// Users that this pass has to deal with.
    pub total: u64,
    /// Created so far.
    pub created: u64,
    /// Updated so far.
    pub updated: u64,
    /// Found there already, not ours.
    pub existed: u64,
    /// Refused by ZITADEL.
    pub rejected: u64,
    /// Requests in flight.
    pub in_flight: u32,
    /// How many requests may be in flight now.
    pub concurrency: u32,
    /// How far ZITADEL's projections are behind its events, in milliseconds.
    pub lag_ms: u64,
    /// Why the importer holds back, where it does: `lag`, `rate limit`, `errors`.
    pub throttled: Option<&'static str>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A stage began; `total` in the stage's unit, where it is known.
    StageStarted {
        /// The stage.
        stage: Stage,
        /// How much there is to do, in the stage's unit.
        total: Option<u64>,
    },
    /// A stage moved on. Absolute, not a difference.
    Advanced {
        /// The stage.
        stage: Stage,
        /// How much is done, in the stage's unit.
        done: u64,
        /// How much there is to do, in the stage's unit, where it is known by now.
        total: Option<u64>,
    },
    /// A stage ended well.
    StageFinished {
        /// The stage.
        stage: Stage,
        /// How much was done, in the stage's unit.
        done: u64,
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
    },
    /// Auth0's export job answered a poll.
    ExportJob {
        /// `job_…`.
        job_id: String,
        /// The connection that it exports, where it is for one.
        connection: Option<String>,
        /// As Auth0 spells it: `pending`, `processing`, `completed`, …
        status: String,
        /// Per cent done, where Auth0 says so.
        percentage_done: Option<u64>,
        /// Seconds left, where Auth0 says so.
        time_left_seconds: Option<u64>,
    },
    /// Where the import stands.
    Import(ImportProgress),
    /// A request is sent again.
    Retry {
        /// `Auth0` or `ZITADEL`.
        vendor: &'static str,
        /// What the request was for, in a word or two.
        what: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// The wait before the next, in milliseconds.
        wait_ms: u64,
        /// Why: `HTTP 503`, `connection reset`, …
        reason: String,
    },
    /// Something that the operator should know and that does not stop the run.
    Warning {
        /// A stable code, kebab-case.
        code: &'static str,
        /// What it is.
        message: String,
    },
    /// A fact worth a line.
    Notice {
        /// What it is.
        message: String,
    },
}

/// Something that reads events. It must not block for long: it is called from the engine's tasks.
pub trait Listen: Send + Sync {
    /// Called once for each event.
    fn on(&self, event: &Event);
}

/// The mouth of the engine: cheap to clone, and silent by default.
#[derive(Clone)]
pub struct Events(Arc<dyn Listen>);

impl Events {
    /// Events that go to `listener`.
    pub fn new(listener: impl Listen + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Events that nobody hears.
    #[must_use]
    pub fn silent() -> Self {
        struct Nobody;
        impl Listen for Nobody {
            fn on(&self, _: &Event) {}
        }
        Self::new(Nobody)
    }

    /// Says it.
    pub fn emit(&self, event: &Event) {
        self.0.on(event);
    }

    /// A warning with a stable code.
    pub fn warn(&self, code: &'static str, message: impl Into<String>) {
        self.emit(&Event::Warning { code, message: message.into() });
    }

    /// A fact worth a line.
    pub fn notice(&self, message: impl Into<String>) {
        self.emit(&Event::Notice { message: message.into() });
    }

    /// A stage that reports its own end; see [`Running`].
    #[must_use]
    pub fn start(&self, stage: Stage, total: Option<u64>) -> Running {
        self.emit(&Event::StageStarted { stage, total });
        Running { events: self.clone(), stage, started: std::time::Instant::now() }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

/// A stage that has begun.
#[derive(Debug)]
pub struct Running {
    events: Events,
    stage: Stage,
    started: std::time::Instant,
}

impl Running {
    /// Says how far it is; readers throttle, so call it as often as is cheap (every few hundred items).
    pub fn advanced(&self, done: u64, total: Option<u64>) {
        self.events.emit(&Event::Advanced { stage: self.stage, done, total });
    }

    /// Ends the stage and says how long it took.
    #[expect(clippy::must_use_candidate, reason = "most callers end a stage and need no figure")]
    pub fn finish(self, done: u64) -> Duration {
        let elapsed = self.started.elapsed();
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.events.emit(&Event::StageFinished { stage: self.stage, done, elapsed_ms });
        elapsed
    }
}
