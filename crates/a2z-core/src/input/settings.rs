//! The files that are read.

use std::path::PathBuf;

/// A file, or standard input (`-`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(PathBuf::from(text)) }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

/// Files given by hand.
#[derive(Debug, Clone)]
pub struct Input {
    /// Exports to use instead of a job; none: a job is started.
    pub users: Vec<Source>,
    /// Password-hash files from the support ticket.
    pub passwords: Vec<Source>,
    /// MFA files from the support ticket.
    pub mfa: Vec<Source>,
    /// Ask Auth0 about every user's second factors: one call per user. Default false.
    pub mfa_survey: bool,
    /// Move codes by SMS and e-mail, which the survey shows, as second factors. Default false.
    pub mfa_codes: bool,
    /// The longest line that is read, in bytes. Default 16 MiB.
    pub max_line: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            passwords: Vec::new(),
            mfa: Vec::new(),
            mfa_survey: false,
            mfa_codes: false,
            max_line: 16 << 20,
        }
    }
}
