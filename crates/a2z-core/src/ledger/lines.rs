//! Lines of an export that are no user of their own.

use rusqlite::params;

use crate::{
    ledger::{
        sql::{Result, Snapshot, Transaction},
        states::Outcome,
    },
    mapping::finding::BlockedCode,
};

/// A line of the export that is no user.
#[derive(Debug, Clone)]
pub struct PlannedLine {
    /// The export file, from 0.
    pub file: i64,
    /// The line in it, from 1.
    pub line: u64,
    /// The row in it, from 1: what tells two rows on one line apart.
    pub row: u64,
    /// Where it could be read.
    pub user_id: Option<String>,
    /// Where it could be read.
    pub connection: Option<String>,
    /// Rejected or skipped.
    pub outcome: Outcome,
    /// Why.
    pub code: BlockedCode,
    /// What about it.
    pub detail: Option<String>,
}

/// Writes lines that are no user of their own.
///
/// # Errors
/// If SQLite fails.
pub fn put_lines(transaction: &Transaction<'_>, run: i64, lines: &[PlannedLine]) -> Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO lines (run, file, line, row, user_id, connection, outcome, code, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for line in lines {
        insert.execute(params![
            run,
            line.file,
            line.line,
            line.row,
            line.user_id,
            line.connection,
            line.outcome,
            line.code.code(),
            line.detail
        ])?;
    }
    Ok(())
}

/// Lines that are no user, by outcome and code.
///
/// # Errors
/// If SQLite fails.
pub fn count_lines(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(Outcome, String, u64)>> {
    connection.all(
        "SELECT outcome, code, count(*) FROM lines WHERE run = ?1 GROUP BY outcome, code ORDER BY outcome, code",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}
