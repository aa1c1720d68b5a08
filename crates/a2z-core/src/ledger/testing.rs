//! Users for tests.

use rusqlite::params;

use super::{
    sql::{Result, Snapshot, Transaction},
    states::{Action, Outcome, Owner, Progress},
    users::{PlannedUser, Wanted},
};
use crate::mapping::{draft::Route, finding::Blocked};

/// What is wanted of a user without a password, whose profile has this digest.
pub(crate) fn wanted(user_id: &str, profile: u8) -> Wanted {
    Wanted {
        name_key: user_id.into(),
        route: Route::Import,
        profile: [profile; 16],
        password: None,
        factors: None,
        facts: None,
    }
}

/// A planned user in this row of the first file.
pub(crate) fn planned_user(user_id: &str, row: u64, plan: std::result::Result<Wanted, Blocked>) -> PlannedUser {
    PlannedUser {
        user_id: user_id.into(),
        connection: None,
        file: 0,
        line: row,
        row,
        verified: true,
        last_login: None,
        email_key: None,
        number: None,
        address_key: None,
        has_metadata: false,
        links: Vec::new(),
        plan,
        findings: Vec::new(),
    }
}

/// A user that run 1 created, or may have created, and who was written last at `settled_at`.
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
