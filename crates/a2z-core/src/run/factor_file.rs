//! `factors.csv`: a line per user who loses a second factor, for a mailing.

use std::path::Path;

use crate::{
    error::{Result, printable},
    state::whole::Whole,
};

/// A `factors.csv` under way. It appears under its name only by [`FactorFile::finish`].
#[derive(Debug)]
pub(super) struct FactorFile {
    file: Whole,
}

impl FactorFile {
    /// Begins the file.
    ///
    /// # Errors
    /// When a file cannot be made in the folder.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let mut file = Whole::report(path)?;
        file.write(b"user_id,email,lost\r\n")?;
        Ok(Self { file })
    }

    /// Adds a user, and the factors that the user loses.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn push(&mut self, user_id: &str, email: &str, lost: &[String]) -> Result<()> {
        let line = format!("{},{},{}\r\n", cell(user_id), cell(email), cell(&lost.join("; ")));
        self.file.write(line.as_bytes())
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// When it cannot be written to the end.
    pub(super) fn finish(self) -> Result<()> {
        self.file.finish()
    }
}

/// A cell. Strangers write these texts: one that a spreadsheet would take for a formula gets an apostrophe before it.
fn cell(text: &str) -> String {
    let text = printable(text).replace(['\r', '\n', '\t'], " ");
    let formula = text.starts_with(['=', '+', '-', '@']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_texts_whatever_is_in_them() {
        assert_eq!(cell("auth0|1"), r#""auth0|1""#);
        assert_eq!(cell(r#"=HYPERLINK("x")"#), r#""'=HYPERLINK(""x"")""#);
        for first in ["+1", "-1", "@a"] {
            assert_eq!(cell(first), format!("\"'{first}\""));
        }
        assert!(!cell("a\r\nb").contains(['\r', '\n']));
    }
}
