//! What is to be said about the ticket files: how many hashes, of what kind, and what is wrong with them. Never a hash.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result, count, thousands};

/// Malformed rows are listed up to here, and counted beyond.
pub const LISTED: usize = 100;

/// Algorithms are told apart up to here; files from strangers may hold anything.
const KINDS: usize = 64;

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalformedRow {
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong; it quotes nothing of the row.
    pub reason: String,
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAudit {
    /// Its name.
    pub file: String,
    /// Its rows, malformed ones included.
    pub rows: u64,
    /// Rows that are of use: with a hash that ZITADEL takes, or with a factor that is understood.
    #[serde(default)]
    pub usable: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

/// The error for the first file that has nothing of use in it: going on would move everybody without what it is to
/// bring. `what` names its rows, `lacks` what the users would be without, `why` what is wrong with them.
pub(super) fn refuse_useless(
    files: &[FileAudit],
    malformed: &[MalformedRow],
    (what, lacks, flag): (&str, &str, &str),
    why: &[(u64, String)],
) -> Result<()> {
    let Some(file) = files.iter().find(|file| file.usable == 0) else { return Ok(()) };
    let mut error = Error::new(Kind::Check, format!("no row of `{}` is of use: {}", file.file, count(file.rows, what)))
        .because(format!("its users would arrive without their {lacks}"));
    for (rows, why) in why.iter().filter(|(rows, _)| files.len() == 1 && *rows > 0) {
        error = error.because(format!("{} {why}", thousands(*rows)));
    }
    for row in malformed.iter().filter(|row| row.file == file.file).take(3) {
        error = error.because(format!("line {}: {}", row.line, row.reason));
    }
    Err(error.hint(format!(
        "look at the file: one JSON object per line is wanted, as Auth0's support sends it; to go on without it, leave it out of `{flag}`"
    )))
}

/// The audit of the hash files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Audit {
    /// The files, in the order in which they were named.
    pub files: Vec<FileAudit>,
    /// All rows, malformed ones included.
    pub rows: u64,
    /// Rows that could not be read.
    pub malformed_rows: u64,
    /// The first of them.
    pub malformed: Vec<MalformedRow>,
    /// Rows by connection; rows without one are under the empty name.
    pub by_connection: BTreeMap<String, u64>,
    /// Rows by algorithm and cost: `bcrypt 2b cost 10`, `argon2id`, `no passwordHash (other keys: …)`.
    pub by_algorithm: BTreeMap<String, u64>,
    /// Rows for an account that had one already, with the same hash.
    pub duplicates: u64,
    /// Rows for an account that has a newer one.
    pub superseded: u64,
    /// Rows without a hash.
    pub without_hash: u64,
    /// Rows with a hash that ZITADEL would refuse.
    pub unusable: u64,
    /// Hashes that no user asked for; known after the plan.
    pub unused: u64,
    /// Rows with a `password_set_date` that cannot be read.
    pub bad_dates: u64,
    /// The latest `password_set_date`: about when the file was made.
    pub newest_set_at: Option<Timestamp>,
}

impl Audit {
    pub(super) fn malformed(&mut self, file: &str, line: u64, reason: String) {
        self.malformed_rows += 1;
        list(&mut self.malformed, file, line, reason);
    }

    /// In a sentence, how many rows bring nobody a password, or a date that counts; none if all do.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let reasons = self.reasons();
        let rows: u64 = reasons.iter().map(|(rows, _)| rows).sum();
        let mut parts = Vec::new();
        if rows > 0 {
            parts.push(format!(
                "{} of {} bring nobody a password: {}",
                thousands(rows),
                count(self.rows, "hash row"),
                listed(&reasons)
            ));
        }
        if self.bad_dates > 0 {
            parts.push(format!(
                "{} a `password_set_date` that cannot be read: such a hash counts as stale if the user ever changed the password",
                have(self.bad_dates)
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// What is wrong with rows that bring nothing.
    pub(super) fn reasons(&self) -> Vec<(u64, String)> {
        let rest = [
            (self.malformed_rows, "cannot be read"),
            (self.without_hash, "without a hash"),
            (self.unusable, "with a hash that ZITADEL would refuse"),
        ];
        rest.into_iter().filter(|(rows, _)| *rows > 0).map(|(rows, why)| (rows, why.to_owned())).collect()
    }

    pub(super) fn algorithm(&mut self, name: &str) {
        tally(&mut self.by_algorithm, name);
    }
}

/// `2 cannot be read, 1 without a hash`.
pub(super) fn listed(reasons: &[(u64, String)]) -> String {
    reasons.iter().map(|(rows, why)| format!("{} {why}", thousands(*rows))).collect::<Vec<_>>().join(", ")
}

/// `1 hash row has`, `2 hash rows have`.
fn have(rows: u64) -> String {
    format!("{} {}", count(rows, "hash row"), if rows == 1 { "has" } else { "have" })
}

/// Adds a row to a list that is bounded.
pub(super) fn list(rows: &mut Vec<MalformedRow>, file: &str, line: u64, reason: String) {
    if rows.len() < LISTED {
        rows.push(MalformedRow { file: file.to_owned(), line, reason });
    }
}

/// Counts `name` in a map that is bounded.
pub(super) fn tally(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(n) = counts.get_mut(name) {
        *n += 1;
    } else {
        let name = if counts.len() < KINDS { name } else { "others" };
        *counts.entry(name.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} in {}", count(self.rows, "hash row"), count(self.files.len() as u64, "file"))?;
        for (connection, rows) in &self.by_connection {
            let name = if connection.is_empty() { "(no connection)" } else { connection };
            writeln!(f, "  {:>11}  {name}", thousands(*rows))?;
        }
        for (algorithm, rows) in &self.by_algorithm {
            writeln!(f, "  {:>11}  {algorithm}", thousands(*rows))?;
        }
        let mut rest = String::new();
        for (n, what) in [
            (self.malformed_rows, "malformed"),
            (self.duplicates, "duplicate"),
            (self.superseded, "superseded by a newer row"),
            (self.without_hash, "without a hash"),
            (self.unusable, "with a hash that ZITADEL would refuse"),
            (self.bad_dates, "with a date that cannot be read"),
            (self.unused, "without a user"),
        ] {
            if n > 0 {
                let _ = write!(rest, "{}{} {what}", if rest.is_empty() { "" } else { ", " }, thousands(n));
            }
        }
        if !rest.is_empty() {
            writeln!(f, "  {rest}")?;
        }
        if let Some(newest) = self.newest_set_at {
            writeln!(f, "  the latest password is of {newest}")?;
        }
        for row in self.malformed.iter().take(5) {
            writeln!(f, "  {}:{}: {}", row.file, row.line, row.reason)?;
        }
        Ok(())
    }
}
