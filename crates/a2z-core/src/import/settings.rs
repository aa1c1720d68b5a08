//! How the import behaves.

use std::time::Duration;

/// Which users may be deleted and created again, because nothing else lets them sign in. Never one that somebody else touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recreate {
    /// Users that this run created and that nobody could reach since.
    #[default]
    ThisRun,
    /// Whoever the operator is asked about: users of earlier runs, too, and those without the TOTP secret that they had.
    Ask,
    /// Nobody.
    Never,
}

/// How the import behaves.
#[derive(Debug, Clone)]
pub struct Import {
    /// A fixed number of requests in flight; none: found by adapting between 2 and 16.
    pub concurrency: Option<u32>,
    /// The most users in a batch. Default 100.
    pub batch_users: usize,
    /// The most bytes of protobuf in a batch. Default 1 MiB; the server's limit is 4 MiB.
    pub batch_bytes: usize,
    /// ZITADEL's own limit for one import request. Default 60 s; our own wait is longer.
    pub timeout: Duration,
    /// How far ZITADEL's projections may fall behind. Default 15 s.
    pub max_lag: Duration,
    /// From how many metadata keys on the users API is the faster road. Default 4.
    pub users_api_from_metadata_keys: usize,
    /// How long to wait at the end until every user is visible. Default 30 min.
    pub visible_deadline: Duration,
    /// The projections have caught up, and for this long nobody more is found: the events of the others were skipped, and
    /// they are repaired. Default 45 s.
    pub passed_over_after: Duration,
    /// Which users may be deleted and created again, of those that cannot be found or have no login name.
    pub recreate: Recreate,
    /// Also repairs the state of a user, which changes it for a moment. Default: false.
    pub repair_states: bool,
    /// A ceiling on requests per second to ZITADEL. None: 45 for ZITADEL Cloud, none elsewhere.
    pub requests_per_second: Option<f64>,
}

impl Default for Import {
    fn default() -> Self {
        Self {
            concurrency: None,
            batch_users: 100,
            batch_bytes: 1 << 20,
            timeout: Duration::from_mins(1),
            max_lag: Duration::from_secs(15),
            users_api_from_metadata_keys: 4,
            visible_deadline: Duration::from_mins(30),
            passed_over_after: Duration::from_secs(45),
            recreate: Recreate::default(),
            repair_states: false,
            requests_per_second: None,
        }
    }
}
