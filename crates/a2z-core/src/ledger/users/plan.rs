//! What a plan wants of each user, and what it finds unchanged.

use rusqlite::params;

use crate::{
    ledger::{
        life,
        lines::{PlannedLine, put_lines},
        links::put_links,
        sql::{Result, Snapshot, Transaction},
        states::{Action, Outcome, Owner, Progress},
        users::{
            addresses::{begin_addresses, put_address},
            planned::PlannedUser,
            rows,
        },
    },
    mapping::finding::{Blocked, BlockedCode},
    user::state::{Event, Row, Task, Why},
};

/// Prepares the tables for a plan pass; what an earlier, interrupted pass of the same run wrote is undone.
///
/// # Errors
/// If SQLite fails.
pub fn begin_plan(transaction: &Transaction<'_>, run: i64) -> Result<()> {
    // Whatever plan there was is no plan any more.
    transaction.execute("UPDATE runs SET planned_at = NULL, inputs_digest = NULL WHERE run = ?1", [run])?;
    transaction.execute("DELETE FROM lines WHERE run = ?1", [run])?;
    transaction.execute("UPDATE users SET run = 0 WHERE run = ?1", [run])?;
    transaction.execute("UPDATE links SET run = 0 WHERE run = ?1", [run])?;
    transaction.execute("DELETE FROM joined WHERE have = 0", [])?;
    transaction.execute("UPDATE joined SET run = 0 WHERE run = ?1", [run])?;
    transaction.execute("DELETE FROM instance_users", [])?;
    begin_addresses(transaction)?;
    // Rebuilt after the pass: cheaper than keeping it up to date.
    transaction.execute_batch(
        "DROP INDEX IF EXISTS users_by_name; DROP INDEX IF EXISTS users_by_email;
         DROP INDEX IF EXISTS links_by_identity; DROP INDEX IF EXISTS instance_users_by_name",
    )
}

/// Makes the index by name; call it once after the pass.
///
/// # Errors
/// If SQLite fails.
pub fn index_names(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute_batch(
        "CREATE INDEX IF NOT EXISTS users_by_name ON users (name_key);
         CREATE INDEX IF NOT EXISTS users_by_email ON users (email_key) WHERE email_key IS NOT NULL;
         CREATE INDEX IF NOT EXISTS links_by_identity ON links (idp_id, folded);
         CREATE INDEX IF NOT EXISTS instance_users_by_name ON instance_users (name_key)",
    )
}

/// Writes planned users. A second row with the same `user_id` in one run goes to `lines`: as skipped when it is of the
/// same connection, as rejected when it is another account.
///
/// # Errors
/// If SQLite fails.
pub fn put_users(transaction: &Transaction<'_>, run: i64, users: &[PlannedUser]) -> Result<()> {
    for user in users {
        if rows::put_user(transaction, run, user)? {
            put_links(transaction, run, &user.user_id, &user.links)?;
            put_address(transaction, user)?;
        } else {
            put_duplicate(transaction, run, user)?;
        }
    }
    Ok(())
}

fn put_duplicate(transaction: &Transaction<'_>, run: i64, user: &PlannedUser) -> Result<()> {
    let (file, line, connection): (i64, u64, Option<String>) =
        transaction.one("SELECT file, line, connection FROM users WHERE user_id = ?1", [&user.user_id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let same = connection == user.connection;
    let place = if file == user.file { format!("line {line}") } else { format!("file {} line {line}", file + 1) };
    let detail = match (&connection, same) {
        (Some(connection), false) => format!("first in {place}, of connection `{connection}`"),
        _ => format!("first in {place}"),
    };
    let line = PlannedLine {
        file: user.file,
        line: user.line,
        row: user.row,
        user_id: Some(user.user_id.clone()),
        connection: user.connection.clone(),
        outcome: if same { Outcome::Skipped } else { Outcome::Rejected },
        code: BlockedCode::DuplicateUserId,
        detail: Some(detail),
    };
    put_lines(transaction, run, std::slice::from_ref(&line))
}

/// Blocks a planned user.
///
/// # Errors
/// If SQLite fails.
pub fn block(transaction: &Transaction<'_>, user_id: &str, blocked: &Blocked) -> Result<()> {
    life::take(transaction, user_id, Event::Adjust(Row::Out(Why::Blocked)))?;
    let values = params![user_id, blocked.code.code(), blocked.detail];
    transaction.execute("UPDATE users SET code = ?2, detail = ?3 WHERE user_id = ?1", values).map(drop)
}

/// A plan that is made a second time in the middle of a run finds users that the run wrote before unchanged: what became of
/// them in this run counts.
///
/// # Errors
/// If SQLite fails.
pub fn count_as_written(transaction: &Transaction<'_>, run: i64) -> Result<()> {
    for (wrote, task) in [(Outcome::Created, Task::Create), (Outcome::Updated, Task::Update)] {
        life::take_where(
            transaction,
            "run = ?1 AND wrote_run = ?1 AND owner = ?2 AND progress = ?3 AND outcome = ?4 AND wrote = ?5",
            params![run, Owner::Ours, Progress::Done, Outcome::Unchanged, wrote],
            Event::Recall(task),
        )?;
    }
    Ok(())
}

/// How many users the ledger says are ours.
///
/// # Errors
/// If SQLite fails.
pub fn count_ours(connection: &Snapshot<'_>) -> Result<u64> {
    connection.one("SELECT count(*) FROM users WHERE owner = ?1", [Owner::Ours], |row| row.get(0))
}

/// How many users are planned for `action`.
///
/// # Errors
/// If SQLite fails.
pub fn count_action(connection: &Snapshot<'_>, run: i64, action: Action) -> Result<u64> {
    connection
        .first("SELECT count(*) FROM users WHERE run = ?1 AND action = ?2", params![run, action], |row| row.get(0))
        .map(Option::unwrap_or_default)
}
