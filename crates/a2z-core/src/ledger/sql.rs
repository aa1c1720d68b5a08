//! What the queries run on: a snapshot that reads, a transaction that writes, and the one error of both.

use std::{ops::Deref, path::Path};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, Row};

use crate::error::{Error, Kind};

/// The result of a query.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// Why a read or a write failed: SQLite, or what the caller did on the way.
#[derive(Debug)]
pub struct Fault(Cause);

#[derive(Debug)]
enum Cause {
    Sqlite(rusqlite::Error),
    Caller(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self(Cause::Sqlite(error))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(Cause::Caller(error))
    }
}

impl Fault {
    /// The operator's error, for the ledger at `path`.
    pub(super) fn at(self, path: &Path) -> Error {
        match self.0 {
            Cause::Sqlite(error) => failure(path, &error),
            Cause::Caller(error) => error,
        }
    }
}

/// The operator's error for what SQLite says.
pub(super) fn failure(path: &Path, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let said = |kind, what| Error::new(kind, format!("the ledger `{}` {what}", path.display())).caused_by(error);
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => said(Kind::GaveUp, "cannot be written or read")
            .hint("free some disk space and run the same command again: it goes on where it stopped"),
        // A quota, a limit on the size of files, a disk that fails: SQLite does not tell them apart.
        Some(Code::SystemIoFailure) => said(Kind::GaveUp, "cannot be written or read")
            .hint("look at the disk (space, quota, limits), then run the same command again: it goes on where it stopped"),
        Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => said(Kind::Usage, "cannot be written")
            .hint("a2z must be able to write there; give another folder with `--state DIR`"),
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => said(Kind::Usage, "is damaged")
            .hint("put a copy of the state folder back where there is one, and run again")
            .hint("without one, keep the file, and start with another `--state DIR`: users who are in ZITADEL already are then found as `existed` and left alone"),
        _ => said(Kind::Internal, "cannot be written or read")
            .hint("nothing that was reported as done is lost; if the file is damaged, keep it and report this"),
    }
}

/// The ledger as it was at one moment.
#[derive(Debug)]
pub struct Snapshot<'a> {
    connection: &'a Connection,
}

impl Snapshot<'_> {
    /// Runs `work` on a snapshot that lasts as long as it.
    pub(super) fn take<T>(connection: &Connection, work: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let moment = connection.unchecked_transaction()?;
        work(&Snapshot { connection: &moment })
    }

    /// Every row that a query finds.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        Ok(self.prepare(sql)?.query_map(params, each)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The only row of a query that finds one.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        Ok(self.prepare(sql)?.query_row(params, read)?)
    }

    /// The first row of a query, if it finds any.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.prepare(sql)?.query_row(params, read).optional()?)
    }

    /// Whether a query finds anything.
    pub(super) fn exists(&self, sql: &str, params: impl Params) -> Result<bool> {
        Ok(self.prepare(sql)?.exists(params)?)
    }

    /// A statement that is to be run several times.
    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.connection.prepare_cached(sql)?)
    }
}

/// A snapshot that may be changed; the changes stay or go as a whole.
#[derive(Debug)]
pub struct Transaction<'a> {
    snapshot: Snapshot<'a>,
}

impl<'a> Deref for Transaction<'a> {
    type Target = Snapshot<'a>;

    fn deref(&self) -> &Snapshot<'a> {
        &self.snapshot
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn of(transaction: &'a rusqlite::Transaction<'_>) -> Self {
        Self { snapshot: Snapshot { connection: transaction } }
    }

    /// Changes rows, and returns how many.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.prepare(sql)?.execute(params)?)
    }

    /// Runs several statements.
    pub(super) fn execute_batch(&self, sql: &str) -> Result<()> {
        Ok(self.connection.execute_batch(sql)?)
    }

    /// The number of the row that was written last.
    pub(super) fn last_insert_rowid(&self) -> i64 {
        self.connection.last_insert_rowid()
    }
}
