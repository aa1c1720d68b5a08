//! How a run is stopped.

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};

/// The two ways to stop: after what is in flight, and at once.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// No new requests; those in flight are settled.
    pub drain: CancellationToken,
    /// At once.
    pub abort: CancellationToken,
}

impl Stop {
    /// The error of a run that was stopped.
    #[must_use]
    pub fn error() -> Error {
        Error::new(Kind::Interrupted, "stopped; what was in flight is settled")
            .hint("run the same command again: it goes on where it stopped")
    }
}
