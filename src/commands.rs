//! The commands, one file each: they parse, confirm and print. What a run does, stage after stage, is in [`run`](mod@crate::run).

pub mod check;
mod confirm;
pub mod cutover;
#[cfg(feature = "sandbox")]
pub mod demo;
mod login;
pub mod merge;
pub mod purge;
pub mod report;
pub mod rollback;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod status;
pub mod verify;

use crate::{error::Result, event::Events, run::Work, stop::Stop};

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The settings, the listener, and how the command is stopped.
    pub work: Work,
    /// `--yes`.
    pub yes: bool,
    /// Colours may be used on standard output.
    pub color: bool,
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
