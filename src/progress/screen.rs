//! The terminal, and standard error shared by progress and log.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indicatif::ProgressBar;
use tracing_subscriber::fmt::MakeWriter;

use crate::environment::Environment;

/// What standard error can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// A person sees it, and it can move the cursor.
    pub interactive: bool,
    /// Colours are welcome.
    pub color: bool,
    /// It shows more than ASCII.
    pub unicode: bool,
}

impl Terminal {
    /// That of this process's standard error.
    #[must_use]
    pub fn of_stderr(environment: &Environment) -> Self {
        Self::new(io::stderr().is_terminal(), environment)
    }

    /// That of this process's standard output, for the texts of `report`.
    #[must_use]
    pub fn of_stdout(environment: &Environment) -> Self {
        Self::new(io::stdout().is_terminal(), environment)
    }

    pub(super) fn new(is_terminal: bool, environment: &Environment) -> Self {
        let interactive = is_terminal && environment.get("TERM").is_some_and(|term| term != "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| environment.get(name));
        let unicode = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self { interactive, color: interactive && environment.get("NO_COLOR").is_none(), unicode }
    }
}

/// Standard error, shared by progress and log: whatever is written makes room for the bar first.
#[derive(Clone, Default)]
pub struct Screen(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    bar: Option<ProgressBar>,
    #[cfg(test)]
    captured: Option<String>,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Screen")
    }
}

impl Screen {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whole lines above the bar. A closed standard error is no reason to stop a migration.
    pub(super) fn write(&self, bytes: &[u8]) {
        #[cfg(test)]
        if let Some(captured) = &mut self.lock().captured {
            captured.push_str(&String::from_utf8_lossy(bytes));
            return;
        }
        // Not through the bar's own `println`: that swallows the text where the bar is hidden.
        let bar = self.lock().bar.clone();
        let write = || drop(io::stderr().lock().write_all(bytes));
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    pub(super) fn line(&self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    pub(super) fn set_bar(&self, bar: Option<ProgressBar>) {
        self.lock().bar = bar;
    }

    #[cfg(test)]
    pub(super) fn captured() -> Self {
        Self(Arc::new(Mutex::new(Inner { bar: None, captured: Some(String::new()) })))
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        self.lock().captured.clone().unwrap_or_default()
    }

    /// Takes the bar away while `ask` talks to the operator.
    pub fn suspend<R>(&self, ask: impl FnOnce() -> R) -> R {
        let bar = self.lock().bar.clone();
        match bar {
            Some(bar) => bar.suspend(ask),
            None => ask(),
        }
    }
}

/// One log line at a time, so that a line and the bar never share a row.
#[derive(Debug)]
pub struct LogLine {
    screen: Screen,
    bytes: Vec<u8>,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.screen.write(&self.bytes);
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { screen: self.clone(), bytes: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_needs_a_terminal_that_can_draw_one() {
        let utf8 = Environment::from_iter([("TERM", "xterm"), ("LANG", "en_GB.UTF-8")]);
        assert_eq!(Terminal::new(true, &utf8), Terminal { interactive: true, color: true, unicode: true });
        assert!(!Terminal::new(false, &utf8).interactive);
        let dumb = Environment::from_iter([("TERM", "dumb"), ("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]);
        assert_eq!(Terminal::new(true, &dumb), Terminal { interactive: false, color: false, unicode: false });
        let plain = Environment::from_iter([("TERM", "xterm"), ("NO_COLOR", "1")]);
        assert_eq!(Terminal::new(true, &plain), Terminal { interactive: true, color: false, unicode: false });
    }

    #[test]
    fn log_lines_arrive_whole() {
        let screen = Screen::captured();
        {
            let mut line = screen.make_writer();
            line.write_all(b"half ").unwrap();
            assert_eq!(screen.text(), "");
            line.write_all(b"and half\n").unwrap();
        }
        assert_eq!(screen.text(), "half and half\n");
    }
}
