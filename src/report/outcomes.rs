//! `outcomes.ndjson`: one line a user, written as the ledger is read.

use std::path::Path;

use super::Outcome;
use crate::{
    error::{Error, Result, printable_json},
    state::whole::Whole,
};

/// An `outcomes.ndjson` under way. It appears under its name only by [`OutcomeFile::finish`].
#[derive(Debug)]
pub struct OutcomeFile {
    file: Whole,
}

impl OutcomeFile {
    /// Begins it.
    ///
    /// # Errors
    /// When a file cannot be made in the folder.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: Whole::report(path)? })
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
