//! `report.json`.

use std::path::Path;

use super::Summary;
use crate::{
    error::{Error, Result, printable_json},
    state::whole::Whole,
};

/// Writes `report.json`: whole or not at all, 0600.
///
/// # Errors
/// When the file cannot be written.
pub fn write_report_json(path: &Path, summary: &Summary) -> Result<()> {
    let json = serde_json::to_string_pretty(summary)
        .map_err(|error| Error::internal("cannot write the summary as JSON").caused_by(&error))?;
    let mut file = Whole::report(path)?;
    file.write(printable_json(&json).as_bytes())?;
    file.write(b"\n")?;
    file.finish()
}
