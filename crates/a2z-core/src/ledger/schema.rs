//! How the file is opened, and brought to the newest format.

mod steps;

use std::{fs::OpenOptions, path::Path};

use rusqlite::{Connection, OpenFlags};

use self::steps::STEPS;
use super::sql::failure;
use crate::{
    error::{Error, Result},
    state::{cannot, private_file},
};

/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 256;

/// The newest format.
const FORMAT: i64 = 5;

/// Opens the file to write, makes it and its tables where they are missing.
pub(super) fn open(path: &Path) -> Result<Connection> {
    // SQLite would make the file readable by the group: it is made here first. The WAL takes the mode of the file.
    private_file(OpenOptions::new().create(true).append(true), path).map_err(|error| cannot(path, "write", &error))?;
    let connection = Connection::open(path).map_err(|error| failure(path, &error))?;
    prepare(&connection).map_err(|error| failure(path, &error))?;
    let found = version(&connection).map_err(|error| failure(path, &error))?;
    let taken = usize::try_from(found).ok().filter(|taken| *taken <= STEPS.len()).ok_or_else(|| newer(path, found))?;
    for step in taken..STEPS.len() {
        take(&connection, step).map_err(|error| failure(path, &error))?;
    }
    Ok(connection)
}

/// Opens the file to read.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failure(path, &error))?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(|error| failure(path, &error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    match version(&connection).map_err(|error| failure(path, &error))? {
        FORMAT => Ok(connection),
        0..FORMAT => Err(older(path)),
        other => Err(newer(path, other)),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: what was reported as done survives a loss of power, too. Group commit makes it cheap.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A plan touches the index by user_id at random; 64 MiB hold that of a million users.
    connection.pragma_update(None, "cache_size", -65_536)?;
    // The default of 4 MiB would copy the same pages into the file again and again while a plan is written.
    connection.pragma_update(None, "wal_autocheckpoint", 16_384)
}

fn take(connection: &Connection, step: usize) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(STEPS[step])?;
    transaction.pragma_update(None, "user_version", i64::try_from(step + 1).unwrap_or(FORMAT))?;
    transaction.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn older(path: &Path) -> Error {
    Error::usage(format!("the ledger `{}` is of an older a2z", path.display()))
        .hint("run `a2z cutover` (or `a2z plan`) once: it brings the ledger up to date and loses nothing")
}

fn newer(path: &Path, version: i64) -> Error {
    Error::usage(format!("the ledger `{}` has format {version}; this a2z knows format {FORMAT}", path.display()))
        .hint("use the version of a2z that wrote it, or start again with another `--state DIR`")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        ledger::life,
        user::state::{State, Task},
    };

    #[test]
    fn a_ledger_of_an_older_format_is_brought_up_to_date() {
        assert_eq!(usize::try_from(FORMAT), Ok(STEPS.len()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let old = Connection::open(&path).unwrap();
        take(&old, 0).unwrap();
        old.execute("INSERT INTO meta VALUES ('kept', '1')", []).unwrap();
        let blocked = r#"[{"code":"no-hash","detail":null},{"code":"blocked-user","detail":null}]"#;
        for (user, findings) in [("blocked", Some(blocked)), ("other", Some("[]")), ("plain", None)] {
            let sql =
                "INSERT INTO users (user_id, run, file, line, row, action, findings) VALUES (?1, 1, 0, 1, 1, 0, ?2)";
            old.execute(sql, rusqlite::params![user, findings]).unwrap();
        }
        drop(old);
        assert!(open_reader(&path).unwrap_err().render().contains("older a2z"));
        let opened = open(&path).unwrap();
        assert_eq!(version(&opened).unwrap(), FORMAT);
        let kept: String = opened.query_row("SELECT value FROM meta WHERE key = 'kept'", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "1");
        let blocked: String =
            opened.query_row("SELECT group_concat(user_id) FROM users WHERE blocked", [], |row| row.get(0)).unwrap();
        assert_eq!(blocked, "blocked");
        assert!(open_reader(&path).is_ok());
        opened.pragma_update(None, "user_version", FORMAT + 1).unwrap();
        assert!(open(&path).unwrap_err().render().contains(&format!("format {}", FORMAT + 1)));
    }

    #[test]
    fn a_user_in_the_middle_of_a_recreation_by_an_older_a2z_is_to_be_created() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let old = Connection::open(&path).unwrap();
        (0..2).for_each(|step| take(&old, step).unwrap());
        let insert = "INSERT INTO users (user_id, run, file, line, row, action, progress, outcome, owner)
                      VALUES (?1, 1, 0, 1, 1, 2, ?2, ?3, 0)";
        old.execute(insert, rusqlite::params!["deleted", 2, 6]).unwrap();
        old.execute(insert, rusqlite::params!["not-found", 0, None::<i64>]).unwrap();
        drop(old);
        let migrated = open(&path).unwrap();
        let mut rows = migrated.prepare(&format!("SELECT {} FROM users ORDER BY id", life::COLUMNS)).unwrap();
        let states = rows.query_map([], life::Columns::read).unwrap().map(|columns| columns.unwrap().state());
        let expected = [State::InDoubt(Task::Create), State::Planned(Task::Create)];
        assert_eq!(states.collect::<Vec<_>>(), expected.map(Some));
    }

    /// Ledgers of format 2, recorded from processes that were killed in the middle of an import and of a delta.
    const RECORDED: [&str; 2] = [
        include_str!("../../../../tests/fixtures/ledger/format-2-killed-import.sql"),
        include_str!("../../../../tests/fixtures/ledger/format-2-killed-delta.sql"),
    ];

    #[test]
    fn a_recorded_ledger_of_an_older_format_keeps_the_state_of_every_user() {
        let states = RECORDED.map(|recorded| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ledger.sqlite");
            Connection::open(&path).unwrap().execute_batch(recorded).unwrap();
            let migrated = open(&path).unwrap();
            assert_eq!(version(&migrated).unwrap(), FORMAT);
            let mut count = BTreeMap::new();
            let mut rows = migrated.prepare(&format!("SELECT {} FROM users", life::COLUMNS)).unwrap();
            for columns in rows.query_map([], life::Columns::read).unwrap() {
                *count.entry(format!("{:?}", columns.unwrap().state().unwrap())).or_insert(0) += 1;
            }
            count
        });
        let expect = |states: &[(&str, i32)]| states.iter().map(|(state, n)| ((*state).to_owned(), *n)).collect();
        let import: BTreeMap<String, i32> =
            expect(&[("InFlight(Create)", 2), ("Ours(Created)", 12), ("Out(Blocked)", 8), ("Planned(Create)", 14)]);
        let delta = expect(&[
            ("InFlight(Update)", 1),
            ("Ours(Unchanged)", 20),
            ("Ours(Updated)", 3),
            ("Out(Blocked)", 8),
            ("Planned(Update)", 4),
        ]);
        assert_eq!(states, [import, delta]);
    }
}
