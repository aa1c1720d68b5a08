//! Runs, their export files, and what binds a ledger to one tenant, one organization and one mapping.

use jiff::Timestamp;
use rusqlite::params;

use super::sql::{Result, Snapshot, Transaction};

/// A run as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number, from 1.
    pub run: i64,
    /// When it began.
    pub started_at: String,
    /// Digest of the hash files and the mapping that its plan was made with.
    pub inputs_digest: Option<String>,
    /// When its plan was complete.
    pub planned_at: Option<String>,
    /// When it was confirmed: there may be writes.
    pub importing_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
}

/// One file of a run's export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportFile {
    /// Its place in the order, from 0.
    pub file: i64,
    /// The connection that it holds, where it is one.
    pub connection_id: Option<String>,
    /// That connection's name.
    pub connection: Option<String>,
    /// The job that makes (or made) it; none for a file given by hand.
    pub job_id: Option<String>,
    /// When the job was started.
    pub started_at: Option<String>,
    /// Where it is, once it is here whole.
    pub path: Option<String>,
    /// SHA-256 of its bytes, hex.
    pub digest: Option<String>,
}

/// Now, as the ledger writes times.
#[must_use]
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A fact about the whole ledger.
///
/// # Errors
/// If SQLite fails.
pub fn meta(connection: &Snapshot<'_>, key: &str) -> Result<Option<String>> {
    connection.first("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
}

/// The ledger's own key for digests: 32 hexadecimal digits, random, made once.
///
/// # Errors
/// If SQLite fails.
pub fn key(transaction: &Transaction<'_>) -> Result<String> {
    if let Some(known) = meta(transaction, "key")? {
        return Ok(known);
    }
    let key: String = transaction.one("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
    set_meta(transaction, "key", &key)?;
    Ok(key)
}

/// Sets a fact about the whole ledger.
///
/// # Errors
/// If SQLite fails.
pub fn set_meta(connection: &Transaction<'_>, key: &str, value: &str) -> Result<()> {
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [key, value],
    )?;
    Ok(())
}

/// The service accounts that wrote with this ledger.
const ACCOUNTS: &str = "accounts";

/// Writes down that this service account is about to write.
///
/// # Errors
/// If SQLite fails.
pub fn add_account(transaction: &Transaction<'_>, account: &str) -> Result<()> {
    let mut known = accounts(transaction)?;
    if known.iter().any(|other| other == account) {
        return Ok(());
    }
    known.push(account.to_owned());
    set_meta(transaction, ACCOUNTS, &serde_json::to_string(&known).unwrap_or_default())
}

/// The service accounts that wrote with this ledger.
///
/// # Errors
/// If SQLite fails.
pub fn accounts(connection: &Snapshot<'_>) -> Result<Vec<String>> {
    let known = meta(connection, ACCOUNTS)?;
    Ok(known.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
}

/// The latest run.
///
/// # Errors
/// If SQLite fails.
pub fn latest(connection: &Snapshot<'_>) -> Result<Option<Run>> {
    connection.first(
        "SELECT run, started_at, inputs_digest, planned_at, importing_at, finished_at FROM runs
         ORDER BY run DESC LIMIT 1",
        [],
        |row| {
            Ok(Run {
                run: row.get(0)?,
                started_at: row.get(1)?,
                inputs_digest: row.get(2)?,
                planned_at: row.get(3)?,
                importing_at: row.get(4)?,
                finished_at: row.get(5)?,
            })
        },
    )
}

/// Begins a run.
///
/// # Errors
/// If SQLite fails.
pub fn begin(transaction: &Transaction<'_>) -> Result<i64> {
    transaction.execute("INSERT INTO runs (started_at) VALUES (?1)", [now()])?;
    Ok(transaction.last_insert_rowid())
}

/// A moment in the life of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The plan is complete.
    Planned,
    /// The operator confirmed.
    Importing,
    /// The run ended.
    Finished,
}

/// Writes down that `run` has come to `mark`.
///
/// # Errors
/// If SQLite fails.
pub fn mark(transaction: &Transaction<'_>, run: i64, mark: Mark) -> Result<()> {
    let statement = match mark {
        Mark::Planned => "UPDATE runs SET planned_at = ?2 WHERE run = ?1",
        Mark::Importing => "UPDATE runs SET importing_at = coalesce(importing_at, ?2) WHERE run = ?1",
        Mark::Finished => "UPDATE runs SET finished_at = ?2 WHERE run = ?1",
    };
    transaction.execute(statement, params![run, now()])?;
    Ok(())
}

/// Sets what the plan of `run` was made with.
///
/// # Errors
/// If SQLite fails.
pub fn set_inputs_digest(transaction: &Transaction<'_>, run: i64, digest: &str) -> Result<()> {
    transaction.execute("UPDATE runs SET inputs_digest = ?2 WHERE run = ?1", params![run, digest])?;
    Ok(())
}

/// A JSON value of the run, kept under `key` in its notes (what the check found, the hash audit) or its timing.
///
/// # Errors
/// If SQLite fails.
pub fn note(transaction: &Transaction<'_>, run: i64, column: Notes, key: &str, json: &str) -> Result<()> {
    let statement = match column {
        Notes::Timing => "UPDATE runs SET timing = json_set(timing, '$.' || ?2, json(?3)) WHERE run = ?1",
        Notes::Notes => "UPDATE runs SET notes = json_set(notes, '$.' || ?2, json(?3)) WHERE run = ?1",
    };
    transaction.execute(statement, params![run, key, json])?;
    Ok(())
}

/// Which of the two JSON columns of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notes {
    /// Seconds by stage.
    Timing,
    /// Everything else.
    Notes,
}

/// The JSON of [`note`]s.
///
/// # Errors
/// If SQLite fails.
pub fn notes(connection: &Snapshot<'_>, run: i64, column: Notes) -> Result<String> {
    let statement = match column {
        Notes::Timing => "SELECT timing FROM runs WHERE run = ?1",
        Notes::Notes => "SELECT notes FROM runs WHERE run = ?1",
    };
    connection.one(statement, [run], |row| row.get(0))
}

/// ZITADEL's clock was so far ahead of ours (in milliseconds; negative: behind) while `run` wrote. An answer travels for a
/// while, which makes the server seem behind: the largest difference is the truest.
///
/// # Errors
/// If SQLite fails.
pub fn note_clock(transaction: &Transaction<'_>, run: i64, ahead_ms: i64) -> Result<()> {
    transaction.execute(
        "UPDATE runs SET notes = json_set(notes, '$.clock_ms',
         max(?2, coalesce(json_extract(notes, '$.clock_ms'), ?2))) WHERE run = ?1",
        params![run, ahead_ms],
    )?;
    Ok(())
}

/// How far ZITADEL's clock was ahead of ours, in milliseconds: the least of all runs, for a change that comes too late to
/// be ours is another's. 0 where it is not known.
///
/// # Errors
/// If SQLite fails.
pub fn clock(connection: &Snapshot<'_>) -> Result<i64> {
    connection.one("SELECT coalesce(min(json_extract(notes, '$.clock_ms')), 0) FROM runs", [], |row| row.get(0))
}

/// The files of a run, in order.
///
/// # Errors
/// If SQLite fails.
pub fn exports(connection: &Snapshot<'_>, run: i64) -> Result<Vec<ExportFile>> {
    connection.all(
        "SELECT file, connection_id, connection, job_id, started_at, path, digest FROM exports WHERE run = ?1
         ORDER BY file",
        [run],
        |row| {
            Ok(ExportFile {
                file: row.get(0)?,
                connection_id: row.get(1)?,
                connection: row.get(2)?,
                job_id: row.get(3)?,
                started_at: row.get(4)?,
                path: row.get(5)?,
                digest: row.get(6)?,
            })
        },
    )
}

/// Writes down (or changes) a file of a run.
///
/// # Errors
/// If SQLite fails.
pub fn put_export(transaction: &Transaction<'_>, run: i64, file: &ExportFile) -> Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO exports (run, file, connection_id, connection, job_id, started_at, path, digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            run,
            file.file,
            file.connection_id,
            file.connection,
            file.job_id,
            file.started_at,
            file.path,
            file.digest
        ],
    )?;
    Ok(())
}

/// When the first import of this ledger began; none: it never wrote to ZITADEL.
///
/// # Errors
/// If SQLite fails.
pub fn first_import(connection: &Snapshot<'_>) -> Result<Option<Timestamp>> {
    let first: Option<String> = connection.one("SELECT min(importing_at) FROM runs", [], |row| row.get(0))?;
    Ok(first.and_then(|at| at.parse().ok()))
}

/// Is there a run whose writes have begun and that has not ended?
///
/// # Errors
/// If SQLite fails.
pub fn is_unfinished(connection: &Snapshot<'_>) -> Result<bool> {
    connection
        .first("SELECT 1 FROM runs WHERE importing_at IS NOT NULL AND finished_at IS NULL LIMIT 1", [], |_| Ok(()))
        .map(|found| found.is_some())
}

/// A rollback is about to delete: no run is gone on with after it, and the next one starts from the beginning.
///
/// # Errors
/// If SQLite fails.
pub fn close_runs(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute("UPDATE runs SET finished_at = ?1 WHERE finished_at IS NULL", [now()])?;
    // What was found in ZITADEL then is not there any more.
    transaction.execute("UPDATE runs SET notes = json_remove(notes, '$.verified')", [])?;
    Ok(())
}

/// The organization that this ledger created is gone.
///
/// # Errors
/// If SQLite fails.
pub fn organization_removed(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute("DELETE FROM meta WHERE key IN ('organization', 'created_organization')", [])?;
    Ok(())
}

/// What `status` and the reports say about a rollback, kept with the run that was the latest then.
///
/// # Errors
/// If SQLite fails.
pub fn note_rollback(transaction: &Transaction<'_>, run: i64, json: &str) -> Result<()> {
    note(transaction, run, Notes::Notes, "rollback", json)
}
