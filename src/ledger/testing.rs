//! Users for the tests of other modules.

use rusqlite::params;

use super::{
    sql::{Result, Snapshot, Transaction},
    states::{Action, Outcome, Owner, Progress},
};

/// A user whom run 1 created, or may have created, and who was written last at `settled_at`.
pub(crate) fn put_created(
    transaction: &Transaction<'_>,
    user_id: &str,
    progress: Progress,
    settled_at: &str,
) -> Result<()> {
    let sql = "INSERT INTO users (user_id, run, file, line, row, action, owner, progress, outcome, settled_at)
               VALUES (?1, 1, 0, 1, 1, ?2, ?3, ?4, ?5, ?6)";
    let (owner, outcome) =
        if progress == Progress::Done { (Owner::Ours, Outcome::Created) } else { (Owner::None, Outcome::Unknown) };
    let values = params![user_id, Action::Create, owner, progress, outcome, settled_at];
    transaction.execute(sql, values).map(drop)
}

/// What the plan says of a user, and why.
pub(crate) fn planned(snapshot: &Snapshot<'_>, user_id: &str) -> Result<(Action, Option<String>)> {
    let sql = "SELECT action, code FROM users WHERE user_id = ?1";
    snapshot.one(sql, [user_id], |row| Ok((row.get(0)?, row.get(1)?)))
}
