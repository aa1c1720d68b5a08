//! The tables, and how the file is opened.

use std::{fs::OpenOptions, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::sql::failure;
use crate::{
    error::{Error, Result},
    state::{cannot, private_file},
};

/// The steps to the newest format; `PRAGMA user_version` says how many a file has taken. Never change one that was
/// released: add another.
const STEPS: &[&str] = &[TABLES, VERIFY_AND_ROLLBACK, CODES, MERGE, HISTORY];

/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 256;

/// The newest format.
const FORMAT: i64 = 5;

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row a plan pass. A run that is not finished is continued by the next one.
CREATE TABLE runs (
  run            INTEGER PRIMARY KEY,
  started_at     TEXT NOT NULL,
  inputs_digest  TEXT,              -- hash files and mapping; a change asks for a new plan
  planned_at     TEXT,
  importing_at   TEXT,              -- confirmed: from here on there may be writes
  finished_at    TEXT,
  timing         TEXT NOT NULL DEFAULT '{}',
  notes          TEXT NOT NULL DEFAULT '{}'
);

-- The files of a run, in the order in which they are read.
CREATE TABLE exports (
  run            INTEGER NOT NULL,
  file           INTEGER NOT NULL,
  connection_id  TEXT,
  connection     TEXT,
  job_id         TEXT,
  started_at     TEXT,
  path           TEXT,
  digest         TEXT,
  bytes          INTEGER,
  PRIMARY KEY (run, file)
) WITHOUT ROWID;

-- One row a user, for good: what is wanted (the latest plan) and what ZITADEL has from us.
CREATE TABLE users (
  id             INTEGER PRIMARY KEY,
  user_id        TEXT NOT NULL UNIQUE,
  connection     TEXT,
  run            INTEGER NOT NULL,  -- the last run whose export held the user
  file           INTEGER NOT NULL,
  line           INTEGER NOT NULL,  -- for people; several rows may share one
  row            INTEGER NOT NULL,  -- the place in the file, from 1
  name_key       TEXT,
  name_suffix    TEXT,
  verified       INTEGER NOT NULL DEFAULT 0,
  last_login     INTEGER,
  route          INTEGER,
  want_profile   BLOB,
  want_password  BLOB,
  have_profile   BLOB,
  have_password  BLOB,
  password_at    TEXT,              -- when ZITADEL says our last password change was; NULL: at the creation
  have_phone     INTEGER NOT NULL DEFAULT 0,
  have_inactive  INTEGER NOT NULL DEFAULT 0,
  sent_profile   BLOB,              -- what the last request said, whose answer may have been lost
  sent_password  BLOB,
  owner          INTEGER NOT NULL DEFAULT 0,
  action         INTEGER NOT NULL,
  progress       INTEGER NOT NULL DEFAULT 0,
  outcome        INTEGER,
  code           TEXT,
  detail         TEXT,
  findings       TEXT,
  visible        INTEGER NOT NULL DEFAULT 0
);

-- Lines of an export that are no user of their own: unreadable ones, and repetitions.
CREATE TABLE lines (
  run            INTEGER NOT NULL,
  file           INTEGER NOT NULL,
  line           INTEGER NOT NULL,
  row            INTEGER NOT NULL,
  user_id        TEXT,
  connection     TEXT,
  outcome        INTEGER NOT NULL,
  code           TEXT NOT NULL,
  detail         TEXT,
  PRIMARY KEY (run, file, row)
) WITHOUT ROWID;

-- The users that the instance held when the plan was made: names are unique in the whole instance.
CREATE TABLE instance_users (
  user_id         TEXT PRIMARY KEY,
  name_key        TEXT NOT NULL,
  organization_id TEXT NOT NULL
) WITHOUT ROWID;
";

const VERIFY_AND_ROLLBACK: &str = "
-- What ZITADEL was told of the user, field by field, as salted digests: `verify` compares with it.
ALTER TABLE users ADD COLUMN facts BLOB;

-- Second factors, one half the TOTP secret, the other the recovery codes.
ALTER TABLE users ADD COLUMN want_factors BLOB;
ALTER TABLE users ADD COLUMN have_factors BLOB;

-- When we wrote the user last (our clock): whatever changed later was changed by somebody else.
ALTER TABLE users ADD COLUMN settled_at TEXT;

-- What Auth0 said of a user's second factors, when it was asked: kinds, one after another.
CREATE TABLE surveyed (
  user_id        TEXT PRIMARY KEY,
  asked_at       TEXT NOT NULL,
  kinds          TEXT NOT NULL
) WITHOUT ROWID;

-- How ZITADEL differs from the ledger, as `verify` found it last.
CREATE TABLE differences (
  user_id        TEXT NOT NULL,
  what           TEXT NOT NULL,
  detail         TEXT,
  PRIMARY KEY (user_id, what)
) WITHOUT ROWID;

-- Whom `rollback` has deleted.
CREATE TABLE removed (
  user_id        TEXT PRIMARY KEY,
  removed_at     TEXT NOT NULL
) WITHOUT ROWID;

-- What decides whether accounts of one person are joined, and whether what the plan wants is not the row's own alone.
ALTER TABLE users ADD COLUMN email_key TEXT;  -- a salted digest
ALTER TABLE users ADD COLUMN has_metadata INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN adjusted INTEGER NOT NULL DEFAULT 0;
-- The fingerprint of the row alone, from which that of the plan is made.
ALTER TABLE users ADD COLUMN row_profile BLOB;

-- The last run that wrote the user, and as what (an outcome): a plan that is made anew in the middle must not forget it.
ALTER TABLE users ADD COLUMN wrote_run INTEGER;
ALTER TABLE users ADD COLUMN wrote INTEGER;

-- Links to identity providers.
CREATE TABLE links (
  user_id        TEXT NOT NULL,     -- whose identity it is at Auth0
  idp_id         TEXT NOT NULL,
  external_id    TEXT NOT NULL,
  folded         TEXT NOT NULL,     -- as the unique constraint sees it
  by_import      INTEGER NOT NULL,
  run            INTEGER NOT NULL,  -- the last run whose export held it
  holder         TEXT,              -- who gets it; NULL: nobody, another user keeps it
  have           INTEGER NOT NULL DEFAULT 0,  -- ZITADEL has it from us, at the holder
  lost           INTEGER NOT NULL DEFAULT 0,  -- why nobody gets it: 1 another user keeps it, 2 the provider is elsewhere
  PRIMARY KEY (user_id, idp_id, external_id)
) WITHOUT ROWID;
CREATE INDEX links_by_holder ON links (holder);

-- Accounts that became part of another user.
CREATE TABLE joined (
  user_id        TEXT PRIMARY KEY,
  into_id        TEXT NOT NULL,
  run            INTEGER NOT NULL,  -- the last run that joined them
  have           INTEGER NOT NULL DEFAULT 0  -- ZITADEL has the user with this account from us: it stays so
) WITHOUT ROWID;
CREATE INDEX joined_by_into ON joined (into_id);

-- Identity providers that this ledger created; `idp_id` is NULL while the request is in doubt.
CREATE TABLE created_idps (
  connection     TEXT PRIMARY KEY,
  idp_id         TEXT,
  name           TEXT NOT NULL,
  organization   TEXT,              -- NULL: in the instance
  requested_at   TEXT NOT NULL
) WITHOUT ROWID;

-- The organization that the user is in, or is to be created in; NULL: the main one.
ALTER TABLE users ADD COLUMN organization TEXT;

-- The lists of Auth0 that a run reads page by page: `roles`, `organizations`, `role ID`, `organization ID`.
CREATE TABLE lists (
  run            INTEGER NOT NULL,
  list           TEXT NOT NULL,
  cursor         TEXT,              -- of the next page
  done           INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (run, list)
) WITHOUT ROWID;

-- Auth0's roles. `run` is the last run that read them, here and below. `made`: 0 not made, 1 a request of ours may have
-- made it, 2 ours, 3 was there before.
CREATE TABLE roles (
  role_id        TEXT PRIMARY KEY,
  run            INTEGER NOT NULL,
  name           TEXT NOT NULL,
  role_key       TEXT,              -- in ZITADEL
  made           INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE role_users (
  user_id        TEXT NOT NULL,
  role_id        TEXT NOT NULL,
  run            INTEGER NOT NULL,
  PRIMARY KEY (user_id, role_id)
) WITHOUT ROWID;

CREATE TABLE organizations (
  organization_id TEXT PRIMARY KEY, -- the same in ZITADEL
  run            INTEGER NOT NULL,
  name           TEXT NOT NULL,
  display_name   TEXT,
  branding       TEXT,              -- JSON
  metadata       TEXT,              -- JSON
  zitadel_name   TEXT,
  made           INTEGER NOT NULL DEFAULT 0,
  dressed        TEXT,              -- digest of the metadata and branding that it has from us
  granted        TEXT               -- the role keys of the project grant that it has from us, JSON
) WITHOUT ROWID;

CREATE TABLE members (
  user_id        TEXT NOT NULL,
  organization_id TEXT NOT NULL,
  run            INTEGER NOT NULL,
  roles          TEXT NOT NULL,     -- ids, JSON
  PRIMARY KEY (user_id, organization_id)
) WITHOUT ROWID;
CREATE INDEX members_by_organization ON members (organization_id);

-- The organizations that the instance held when the plan was made.
CREATE TABLE instance_organizations (
  organization_id TEXT PRIMARY KEY,
  name_key        TEXT NOT NULL
) WITHOUT ROWID;

-- Role assignments: what is wanted and what ZITADEL has from us, as sorted JSON. `organization` is empty for the main one.
CREATE TABLE grants (
  user_id        TEXT NOT NULL,
  organization   TEXT NOT NULL,
  run            INTEGER NOT NULL,
  want           TEXT,              -- NULL: no more
  have           TEXT,
  sent           TEXT,              -- what the last request said, whose answer may have been lost
  owner          INTEGER NOT NULL DEFAULT 0,
  progress       INTEGER NOT NULL DEFAULT 0,
  code           TEXT,
  detail         TEXT,
  PRIMARY KEY (user_id, organization)
) WITHOUT ROWID;
";

const CODES: &str = "
-- Where Auth0 sends a user's codes, without the numbers: JSON. NULL: an older a2z asked.
ALTER TABLE surveyed ADD COLUMN codes TEXT;

-- A salted digest of the last digits of the verified number.
ALTER TABLE users ADD COLUMN number TEXT;

-- Codes by SMS (0) and by e-mail (1) as second factors. `run` is the last run that wanted it, `tried` the last one that
-- settled it, `gave` the one that gave it and `at` when. `state`: 0 nothing was sent, 1 a request may have been carried out,
-- 2 ours, 3 another's, 4 ours and taken away in ZITADEL, 5 refused.
CREATE TABLE codes (
  user_id        TEXT NOT NULL,
  kind           INTEGER NOT NULL,
  run            INTEGER NOT NULL,
  state          INTEGER NOT NULL DEFAULT 0,
  tried          INTEGER,
  gave           INTEGER,
  at             TEXT,
  code           TEXT,
  detail         TEXT,
  PRIMARY KEY (user_id, kind)
) WITHOUT ROWID;
";

const MERGE: &str = "
-- What a request whose answer may be lost says, field by field: what ZITADEL may hold beside `facts`.
ALTER TABLE users ADD COLUMN sent_facts BLOB;

-- Of a user to update: what the row says, field by field.
ALTER TABLE users ADD COLUMN want_facts BLOB;

-- The plan found that a value of ZITADEL's stays.
ALTER TABLE users ADD COLUMN keeps INTEGER NOT NULL DEFAULT 0;

-- Blocked in Auth0, by the latest export that held the user.
ALTER TABLE users ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
UPDATE users SET blocked = 1
WHERE EXISTS (SELECT 1 FROM json_each(findings) WHERE json_extract(value, '$.code') = 'blocked-user');

-- A projection that passed over an event may be the cause.
ALTER TABLE differences ADD COLUMN passed_over INTEGER NOT NULL DEFAULT 0;
";

const HISTORY: &str = "
-- What became of users in ZITADEL, one row per event, never changed: words of `user::state`. `user` is the row's number.
CREATE TABLE history (
  id             INTEGER PRIMARY KEY,
  user           INTEGER NOT NULL,
  run            INTEGER NOT NULL,
  at             TEXT NOT NULL,
  event          TEXT NOT NULL,
  state          TEXT NOT NULL
);
";

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
        .hint("use the version of a2z that wrote it, or start anew with another `--state DIR`")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ledger::life;

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
    /// Ledgers of format 2, recorded from processes that were killed in the middle of an import and of a delta.
    const RECORDED: [&str; 2] = [
        include_str!("../../tests/fixtures/ledger/format-2-killed-import.sql"),
        include_str!("../../tests/fixtures/ledger/format-2-killed-delta.sql"),
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
