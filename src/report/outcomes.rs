//! `outcomes.ndjson`: one line a user, written as the ledger is read.

use std::path::Path;

use super::{Outcome, Whole};
use crate::error::{Error, Result, printable_json};

/// An `outcomes.ndjson` under way. It appears under its name only by [`OutcomeFile::finish`].
pub struct OutcomeFile<'a> {
    file: Whole<'a>,
}

impl std::fmt::Debug for OutcomeFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutcomeFile({})", self.file.path.display())
    }
}

impl<'a> OutcomeFile<'a> {
    /// Begins it.
    ///
    /// # Errors
    /// When a file cannot be made in the folder.
    pub fn create(path: &'a Path) -> Result<Self> {
        Ok(Self { file: Whole::create(path)? })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, outcome: &Outcome) -> Result<()> {
        let line = serde_json::to_string(outcome)
            .map_err(|error| Error::internal("cannot write an outcome as JSON").caused_by(&error))?;
        self.file.write(printable_json(&line).as_bytes())?;
        self.file.write(b"\n")
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it cannot be written to the end.
    pub fn finish(self) -> Result<()> {
        self.file.finish()
    }
}

/// Writes all of `outcomes`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_outcomes(path: &Path, outcomes: impl IntoIterator<Item = Outcome>) -> Result<()> {
    let mut file = OutcomeFile::create(path)?;
    for outcome in outcomes {
        file.push(&outcome)?;
    }
    file.finish()
}
