//! Whom this ledger created, and that they are gone again.

use jiff::Timestamp;
use rusqlite::params;

use crate::{
    ledger::{
        codes::{LAST_WRITE, forget},
        life,
        links::set_have,
        repairs,
        runs::now,
        sql::{Result, Snapshot, Transaction},
        states::{DONE, IN_DOUBT, OTHERS, OURS},
    },
    mapping::facts::Facts,
    user::state::Event,
};

/// A user who may have been created by this ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The ledger's own row number.
    pub row: i64,
    /// Whose.
    pub user_id: String,
    /// The connection in Auth0, where it is known.
    pub connection: Option<String>,
    /// When we wrote the user last, where that is known.
    pub settled_at: Option<Timestamp>,
    /// Where we created the user; none: in the main organization.
    pub organization: Option<String>,
    /// A run found that somebody had changed the user in ZITADEL, and kept the value.
    pub keeps: bool,
}

/// Which candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Certainly created by this ledger.
    Created,
    /// An answer was lost: perhaps created. They did not exist before.
    InDoubt,
}

impl Which {
    fn condition(self) -> String {
        match self {
            Self::Created => format!("owner = {OURS}"),
            Self::InDoubt => format!("owner <> {OURS} AND progress IN {IN_DOUBT}"),
        }
    }
}

/// The next candidates after row `after`, at most `limit`.
///
/// # Errors
/// If SQLite fails.
pub fn candidates(connection: &Snapshot<'_>, which: Which, after: i64, limit: usize) -> Result<Vec<Candidate>> {
    let condition = which.condition();
    connection.all(
        &format!(
            "SELECT id, user_id, connection, {LAST_WRITE}, organization, facts FROM users
             WHERE id > ?1 AND {condition} ORDER BY id LIMIT ?2"
        ),
        params![after, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            let settled_at: Option<String> = row.get(3)?;
            Ok(Candidate {
                row: row.get(0)?,
                user_id: row.get(1)?,
                connection: row.get(2)?,
                settled_at: settled_at.and_then(|at| at.parse().ok()),
                organization: row.get(4)?,
                keeps: row
                    .get::<_, Option<Vec<u8>>>(5)?
                    .as_deref()
                    .and_then(Facts::decode)
                    .is_some_and(|facts| facts.keeps_any()),
            })
        },
    )
}

/// When we wrote this user last: ours, and no request is under way or in doubt.
///
/// # Errors
/// If SQLite fails.
pub fn settled_at(connection: &Snapshot<'_>, user_id: &str) -> Result<Option<Timestamp>> {
    let at: Option<Option<String>> = connection.first(
        &format!("SELECT {LAST_WRITE} FROM users WHERE user_id = ?1 AND owner = {OURS} AND progress = {DONE}"),
        [user_id],
        |row| row.get(0),
    )?;
    Ok(at.flatten().and_then(|at| at.parse().ok()))
}

/// When we wrote this user of ours last, whatever is under way since.
///
/// # Errors
/// If SQLite fails.
pub fn written_at(connection: &Snapshot<'_>, user_id: &str) -> Result<Option<Timestamp>> {
    let at: Option<Option<String>> = connection.first(
        &format!("SELECT {LAST_WRITE} FROM users WHERE user_id = ?1 AND owner = {OURS}"),
        [user_id],
        |row| row.get(0),
    )?;
    Ok(at.flatten().and_then(|at| at.parse().ok()))
}

/// How many candidates there are.
///
/// # Errors
/// If SQLite fails.
pub fn count_candidates(connection: &Snapshot<'_>, which: Which) -> Result<u64> {
    connection.one(&format!("SELECT count(*) FROM users WHERE {}", which.condition()), [], |row| row.get(0))
}

/// How many users of this ledger were in ZITADEL before it.
///
/// # Errors
/// If SQLite fails.
pub fn count_existed(connection: &Snapshot<'_>) -> Result<u64> {
    connection.one(&format!("SELECT count(*) FROM users WHERE owner = {OTHERS}"), [], |row| row.get(0))
}

/// How many users a rollback has deleted since the last import.
///
/// # Errors
/// If SQLite fails.
pub fn count_removed(connection: &Snapshot<'_>) -> Result<u64> {
    connection.one("SELECT count(*) FROM removed", [], |row| row.get(0))
}

/// The user is gone from ZITADEL: as if never sent, so that a later run creates the user again. `deleted`: by us.
///
/// # Errors
/// If SQLite fails.
pub fn removed(transaction: &Transaction<'_>, user_id: &str, deleted: bool) -> Result<()> {
    let detail = (!deleted).then_some("was gone already");
    life::take(transaction, user_id, Event::RollBack)?;
    transaction.execute(
        "UPDATE users SET code = 'rolled-back', detail = ?2, findings = NULL,
                have_profile = NULL, have_password = NULL, have_factors = NULL, password_at = NULL,
                  have_inactive = 0,
                sent_profile = NULL, sent_password = NULL, name_suffix = NULL, visible = 0, facts = NULL,
                settled_at = NULL, wrote_run = NULL, wrote = NULL
         WHERE user_id = ?1",
        params![user_id, detail],
    )?;
    if deleted {
        transaction
            .execute("INSERT OR REPLACE INTO removed (user_id, removed_at) VALUES (?1, ?2)", params![user_id, now()])?;
    }
    set_have(transaction, user_id, &[])?;
    transaction.execute("UPDATE joined SET have = 0 WHERE into_id = ?1", [user_id])?;
    transaction.execute("DELETE FROM differences WHERE user_id = ?1", [user_id])?;
    forget(transaction, user_id)?;
    repairs::forget(transaction, user_id)?;
    // They went with the user.
    transaction.execute("DELETE FROM grants WHERE user_id = ?1", [user_id])?;
    Ok(())
}

/// A user in doubt who was never created: nothing is left of the lost request.
///
/// # Errors
/// If SQLite fails.
pub fn never_created(transaction: &Transaction<'_>, user_id: &str) -> Result<()> {
    removed(transaction, user_id, false)?;
    transaction.execute("UPDATE users SET detail = 'was never created' WHERE user_id = ?1", [user_id])?;
    Ok(())
}

/// An import begins: what a rollback before it deleted is history.
///
/// # Errors
/// If SQLite fails.
pub fn forget_removed(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute("DELETE FROM removed", [])?;
    Ok(())
}
