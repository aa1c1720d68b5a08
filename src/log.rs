//! The log, by `tracing`, to standard error. It speaks of a2z only: the crates below us could log headers.

use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

use crate::progress::Screen;

/// How to write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Begins to log. A second call does nothing.
pub fn init(format: LogFormat, verbose: u8, quiet: bool, color: bool, screen: &Screen) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(verbose, quiet)))
        .with_span_events(FmtSpan::NONE)
        .with_writer(screen.clone())
        .with_ansi(color);
    let _already = match format {
        LogFormat::Text => builder.with_target(verbose >= 2).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

fn filter(verbose: u8, quiet: bool) -> &'static str {
    match (quiet, verbose) {
        (true, _) => "off,a2z=error",
        (false, 0) => "off,a2z=warn",
        (false, 1) => "off,a2z=info",
        (false, 2) => "off,a2z=debug",
        (false, _) => "off,a2z=trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_we_are_heard() {
        for verbose in 0..5 {
            assert!(filter(verbose, false).starts_with("off,a2z="));
            assert!(EnvFilter::try_new(filter(verbose, false)).is_ok());
        }
        assert_eq!(filter(3, true), "off,a2z=error");
    }
}
