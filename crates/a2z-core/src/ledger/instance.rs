//! What the instance holds, as the plan is held against it.

use rusqlite::params;

use crate::{
    ledger::{
        life,
        sql::{Result, Snapshot, Transaction},
        states::{Action, NOBODY, OURS, Owner, PENDING, Progress, TO_CREATE, TO_KEEP, TO_UPDATE},
    },
    mapping::finding::BlockedCode,
    user::state::{Event, Row, Why},
};

/// A user that the instance holds.
#[derive(Debug, Clone)]
pub struct InstanceUser {
    /// ZITADEL's id.
    pub user_id: String,
    /// The user name, folded.
    pub name_key: String,
    /// The organization that owns the user.
    pub organization_id: String,
}

/// Writes down users of the instance.
///
/// # Errors
/// If SQLite fails.
pub fn put_instance_users(transaction: &Transaction<'_>, users: &[InstanceUser]) -> Result<()> {
    let mut insert = transaction
        .prepare("INSERT OR REPLACE INTO instance_users (user_id, name_key, organization_id) VALUES (?1, ?2, ?3)")?;
    for user in users {
        insert.execute(params![user.user_id, user.name_key, user.organization_id])?;
    }
    Ok(())
}

/// Users of ours whom the list of the instance's users does not hold, after `after` (the ledger's own row number); each
/// with that number.
///
/// # Errors
/// If SQLite fails.
pub fn ours_unlisted(connection: &Snapshot<'_>, run: i64, after: i64, limit: usize) -> Result<Vec<(i64, String)>> {
    connection.all(
        &format!(
            "SELECT id, user_id FROM users WHERE id > ?2 AND run = ?1 AND owner = {OURS}
             AND action IN ({TO_UPDATE}, {TO_KEEP})
             AND user_id NOT IN (SELECT user_id FROM instance_users) ORDER BY id LIMIT ?3"
        ),
        params![run, after, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Holds the plan against the instance: who is there already, whose name is taken, and (where the list of the instance's
/// users is `complete`) who of ours is gone. Names are unique in the instance, or in an organization where they are `scoped`.
///
/// # Errors
/// If SQLite fails.
pub fn hold_against_instance(
    transaction: &Transaction<'_>,
    run: i64,
    organization_id: Option<&str>,
    complete: bool,
    scoped: bool,
) -> Result<()> {
    let (create, pending) = (Action::Create, Progress::Pending);
    let theirs = "run = ?1 AND action = ?2 AND progress = ?3 AND owner = ?4
                  AND user_id IN (SELECT user_id FROM instance_users)";
    transaction.execute(
        &format!(
            "UPDATE users SET
                code = CASE WHEN (SELECT organization_id FROM instance_users i WHERE i.user_id = users.user_id)
                                 IS NOT coalesce(organization, ?5)
                            THEN 'existed-elsewhere' ELSE NULL END,
                detail = CASE WHEN (SELECT organization_id FROM instance_users i WHERE i.user_id = users.user_id)
                                   IS NOT coalesce(organization, ?5)
                            THEN 'organization ' || (SELECT organization_id FROM instance_users i
                                WHERE i.user_id = users.user_id)
                            ELSE NULL END
             WHERE {theirs}"
        ),
        params![run, create, pending, Owner::None, organization_id],
    )?;
    life::take_where(transaction, theirs, params![run, create, pending, Owner::None], Event::PlanFoundTheirs)?;

    let taken = "run = ?1 AND action = ?4 AND progress = ?5
                 AND name_key IN (SELECT name_key FROM instance_users)
                 AND EXISTS (SELECT 1 FROM instance_users i WHERE i.name_key = users.name_key
                     AND i.user_id <> users.user_id
                             AND (NOT ?2 OR i.organization_id IS coalesce(users.organization, ?3)))";
    let code = BlockedCode::UserNameTaken.code();
    transaction.execute(
        &format!(
            "UPDATE users SET code = ?6,
                detail = (SELECT 'held by ' || i.user_id FROM instance_users i
                          WHERE i.name_key = users.name_key AND i.user_id <> users.user_id LIMIT 1)
             WHERE {taken}"
        ),
        params![run, scoped, organization_id, create, pending, code],
    )?;
    let which = params![run, scoped, organization_id, create, pending];
    life::take_where(transaction, taken, which, Event::Adjust(Row::Out(Why::Blocked)))?;

    if complete {
        let gone = "run = ?1 AND owner = ?2 AND action IN (?3, ?4) AND progress IN (?5, ?6)
                    AND user_id NOT IN (SELECT user_id FROM instance_users)";
        let which = params![run, Owner::Ours, Action::Update, Action::Unchanged, pending, Progress::Done];
        let code = BlockedCode::GoneFromZitadel.code();
        transaction.execute(&format!("UPDATE users SET code = '{code}', detail = NULL WHERE {gone}"), which)?;
        life::take_where(transaction, gone, which, Event::Miss)?;
    }
    Ok(())
}

/// Listed users who stand in the way of a user to be created: of the same id, or of the same user name.
///
/// # Errors
/// If SQLite fails.
pub fn in_the_way(connection: &Snapshot<'_>, run: i64) -> Result<Vec<String>> {
    connection.all(
        &format!(
            "SELECT i.user_id FROM instance_users i
             WHERE EXISTS (SELECT 1 FROM users u WHERE u.user_id = i.user_id AND u.run = ?1
                 AND u.action = {TO_CREATE}
                           AND u.progress = {PENDING} AND u.owner = {NOBODY})
                OR EXISTS (SELECT 1 FROM users u WHERE u.name_key = i.name_key AND u.user_id <> i.user_id
                    AND u.run = ?1
                           AND u.action = {TO_CREATE} AND u.progress = {PENDING})"
        ),
        [run],
        |row| row.get(0),
    )
}

/// These listed users are not there.
///
/// # Errors
/// If SQLite fails.
pub fn unlist(transaction: &Transaction<'_>, user_ids: &[String]) -> Result<()> {
    let mut delete = transaction.prepare("DELETE FROM instance_users WHERE user_id = ?1")?;
    for user_id in user_ids {
        delete.execute([user_id])?;
    }
    Ok(())
}
