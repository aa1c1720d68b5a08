//! What is in a state folder, and what of it a2z made.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::cannot;
use crate::error::Result;

/// What one run leaves, by name.
const NAMES: [&str; 9] = [
    "ledger.sqlite",
    "ledger.sqlite-wal",
    "ledger.sqlite-shm",
    "ledger.sqlite-journal",
    "report.json",
    "report.html",
    "outcomes.ndjson",
    "factors.csv",
    "rollback.ndjson",
];
/// Held while a2z runs; the last file to go.
pub const LOCK: &str = "lock";

/// What a file of the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An export.
    Export,
    /// The ledger, a report, or what one of them is written to first.
    Other,
    /// The lock.
    Lock,
    /// Not a2z's, or no plain file.
    NotOurs,
}

/// A file of the folder.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What it is.
    pub what: What,
}

/// Everything in the folder, by name. A folder that is not there is empty.
///
/// # Errors
/// When the folder cannot be read.
pub fn look(folder: &Path) -> Result<Vec<Found>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot(folder, "read the folder", &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| cannot(folder, "read the folder", &error))?.path();
        // Of the entry itself: a link is not followed.
        let about = fs::symlink_metadata(&path).map_err(|error| cannot(&path, "look at", &error))?;
        let what = if about.is_file() { kind(&path) } else { What::NotOurs };
        found.push(Found { path, bytes: about.len(), what });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn kind(path: &Path) -> What {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return What::NotOurs };
    // What a report or an archive is written to first.
    let unfinished = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.len() == 6 && rest.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    if name == LOCK {
        What::Lock
    } else if is_export(name) {
        What::Export
    } else if NAMES.contains(&name) || unfinished(".report-") || unfinished(".tmp") {
        What::Other
    } else {
        What::NotOurs
    }
}

/// `export-RUN-FILE.ndjson.gz`, and the same while it is downloaded; `export-RUN-stdin`, kept for the second pass.
fn is_export(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let rest = name.strip_suffix(".part").unwrap_or(name).strip_prefix("export-");
    let numbers = rest.and_then(|rest| rest.strip_suffix(".ndjson.gz"));
    let kept = rest.and_then(|rest| rest.strip_suffix("-stdin"));
    numbers.and_then(|numbers| numbers.split_once('-')).is_some_and(|(run, file)| number(run) && number(file))
        || kept.is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_files_and_no_others() {
        for (name, what) in [
            ("export-1-0.ndjson.gz", What::Export),
            ("export-12-3.ndjson.gz.part", What::Export),
            ("export-3-stdin", What::Export),
            ("export-a-stdin", What::NotOurs),
            ("ledger.sqlite-wal", What::Other),
            (".report-a1B2c3", What::Other),
            ("lock", What::Lock),
            ("export-1.ndjson.gz", What::NotOurs),
            ("export-a-0.ndjson.gz", What::NotOurs),
            (".report-of-the-boss", What::NotOurs),
            ("passwords.ndjson", What::NotOurs),
            ("ledger.sqlite.bak", What::NotOurs),
        ] {
            assert_eq!(kind(Path::new(name)), what, "{name}");
        }
    }
}
