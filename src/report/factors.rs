//! `factors.csv`: who loses which second factor, for a mailing.

use std::path::Path;

use super::Whole;
use crate::error::{Result, printable};

/// A `factors.csv` under way. It appears under its name only by [`FactorFile::finish`].
pub struct FactorFile<'a> {
    file: Whole<'a>,
}

impl std::fmt::Debug for FactorFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FactorFile({})", self.file.path.display())
    }
}

impl<'a> FactorFile<'a> {
    /// Begins it.
    ///
    /// # Errors
    /// When a file cannot be made in the folder.
    pub fn create(path: &'a Path) -> Result<Self> {
        let mut file = Whole::create(path)?;
        file.write(b"user_id,email,lost\r\n")?;
        Ok(Self { file })
    }

    /// Adds a user, and what the user loses.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, user_id: &str, email: &str, lost: &[String]) -> Result<()> {
        let line = format!("{},{},{}\r\n", cell(user_id), cell(email), cell(&lost.join("; ")));
        self.file.write(line.as_bytes())
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it cannot be written to the end.
    pub fn finish(self) -> Result<()> {
        self.file.finish()
    }
}

/// A cell. Texts are strangers': one that a spreadsheet would take for a formula gets an apostrophe before it.
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
