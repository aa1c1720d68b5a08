//! How both vendors are talked to.

use std::{path::PathBuf, time::Duration};

/// How both vendors are talked to.
#[derive(Debug, Clone)]
pub struct Http {
    /// More certificate authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// Attempts at one request, the first included. Default 8.
    pub max_attempts: u32,
    /// The longest time spent on one request with all its retries. Default 5 min.
    pub max_elapsed: Duration,
    /// The first wait between two attempts. Default 500 ms (the tests use less).
    pub first_wait: Duration,
    /// The longest wait between two attempts, also where the server asks for more. Default 60 s.
    pub max_wait: Duration,
    /// To connect. Default 10 s.
    pub connect_timeout: Duration,
    /// For a whole small request. Default 60 s.
    pub request_timeout: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            ca_file: None,
            max_attempts: 8,
            max_elapsed: Duration::from_mins(5),
            first_wait: Duration::from_millis(500),
            max_wait: Duration::from_mins(1),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_mins(1),
        }
    }
}
