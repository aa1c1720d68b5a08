//! Readers of [`crate::event`]s: a bar on a terminal, plain lines in CI, NDJSON, or none. All of it goes to standard
//! error; standard output carries results. Texts of strangers pass `printable`.

mod bar;
mod json;
mod plain;
mod screen;
mod words;

use crate::event::Events;

pub use self::screen::{LogLine, Screen, Terminal};

/// How to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ProgressKind {
    /// A bar on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// A bar that is drawn in place
    Bar,
    /// A line when a stage starts and ends, and every 10 seconds
    Plain,
    /// One JSON object a line
    Json,
    /// Nothing
    None,
}

/// The reader for `kind`. A bar needs a terminal; without one it becomes plain lines.
#[must_use]
pub fn listener(kind: ProgressKind, terminal: Terminal, screen: &Screen) -> Events {
    let screen = screen.clone();
    match kind {
        ProgressKind::Auto | ProgressKind::Bar if terminal.interactive => Events::new(bar::Bar::new(screen, terminal)),
        ProgressKind::Auto | ProgressKind::Bar | ProgressKind::Plain => Events::new(plain::Plain::new(screen)),
        ProgressKind::Json => Events::new(json::Json::new(screen)),
        ProgressKind::None => Events::silent(),
    }
}
