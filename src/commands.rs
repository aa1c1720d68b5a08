//! The verbs, one file each. They put the parts together; what a part does is in its own module.

mod begin;
pub mod check;
mod codes;
mod confirm;
pub mod cutover;
#[cfg(feature = "sandbox")]
pub mod demo;
mod export;
mod login;
pub mod merge;
mod preflight;
mod providers;
pub mod purge;
pub mod report;
pub mod rollback;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod status;
mod structure;
pub mod verify;

use std::future::Future;

use crate::{config::Config, error::Result, event::Events, import::Stop};

/// What every verb is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The configuration.
    pub config: Config,
    /// `--yes`.
    pub yes: bool,
    /// Colours may be used on standard output.
    pub color: bool,
    /// Who listens.
    pub events: Events,
    /// How it is stopped.
    pub stop: Stop,
}

impl Context {
    /// Runs `work` unless (and until) the operator stops the run; only for work that leaves nothing to settle.
    ///
    /// # Errors
    /// As `work`, or that the run was stopped.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            () = self.stop.drain.cancelled() => Err(Stop::error()),
        }
    }
}

/// Writes results to standard output. A reader that has gone away (`a2z status | head`) is no error.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(crate::state::cannot_say(&error)),
        _ => Ok(()),
    }
}

/// Listens for SIGINT and SIGTERM: the first drains, the second aborts.
pub async fn watch_signals(stop: Stop, events: Events) {
    if wait_for_signal().await.is_err() {
        return;
    }
    stop.drain.cancel();
    events.notice("stopping: what is in flight is settled first (once more to stop at once)");
    if wait_for_signal().await.is_ok() {
        stop.abort.cancel();
    }
}

/// A file that outgrows `ulimit -f` kills the program by default. Caught, the write fails, and says so like a full disk.
///
/// Call it inside the runtime, before the first file is opened.
#[cfg(unix)]
#[must_use]
pub fn catch_file_size() -> Option<tokio::signal::unix::Signal> {
    /// SIGXFSZ, where it has this number.
    const TOO_LARGE: i32 = 25;
    let known = cfg!(all(
        any(target_os = "linux", target_os = "macos", target_os = "freebsd"),
        not(any(target_arch = "mips", target_arch = "mips64"))
    ));
    known.then(|| tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(TOO_LARGE)).ok()).flatten()
}

#[cfg(unix)]
async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
