//! Accounts that become part of another user.

use rusqlite::params;

use crate::{
    ledger::{
        life,
        sql::{Result, Snapshot, Transaction},
        states::{Action, OURS, OUT, Outcome, Owner, PENDING},
        users::{Claim, Digest, add_finding, claim, claim_columns, claim_or},
    },
    mapping::finding::Finding,
    user::state::{Event, Row, Why},
};

/// The users of this run who share a verified e-mail, ordered by it; each with it in place of the name.
///
/// # Errors
/// If SQLite fails.
pub fn sharing_email(connection: &Snapshot<'_>, run: i64) -> Result<Vec<Claim>> {
    let columns = claim_columns("", "email_key");
    connection.all(
        &format!(
            "SELECT {columns} FROM users
             WHERE email_key IN (SELECT email_key FROM users WHERE email_key IS NOT NULL
                                 GROUP BY email_key HAVING count(*) > 1)
               AND run = ?1 AND action NOT IN {OUT}
             ORDER BY email_key, user_id"
        ),
        [run],
        claim,
    )
}

/// Accounts of this run that became part of a user that ZITADEL has with them from us, each with that user's id, ordered by
/// it.
///
/// # Errors
/// If SQLite fails.
pub fn joined_before(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, Claim)>> {
    let columns = claim_columns("u.", "name_key");
    connection.all(
        &format!(
            "SELECT {columns}, j.into_id FROM joined j JOIN users u USING (user_id)
             JOIN users k ON k.user_id = j.into_id
             WHERE j.have = 1 AND k.owner = {OURS} AND u.run = ?1 AND u.action NOT IN {OUT}
             ORDER BY j.into_id, u.user_id"
        ),
        [run],
        |row| Ok((row.get(9)?, claim_or(row)?)),
    )
}

/// May this account become part of another user? Not where ZITADEL has it already, or may have it.
///
/// # Errors
/// If SQLite fails.
pub fn is_free(connection: &Snapshot<'_>, user_id: &str) -> Result<bool> {
    connection.exists(
        &format!("SELECT 1 FROM users WHERE user_id = ?1 AND owner <> {OURS} AND progress = {PENDING}"),
        [user_id],
    )
}

/// Has the user a password, or is to get one?
///
/// # Errors
/// If SQLite fails.
pub fn has_password(connection: &Snapshot<'_>, user_id: &str) -> Result<bool> {
    connection.one(
        "SELECT want_password IS NOT NULL OR have_password IS NOT NULL FROM users WHERE user_id = ?1",
        [user_id],
        |row| row.get(0),
    )
}

/// Has the account metadata?
///
/// # Errors
/// If SQLite fails.
pub fn has_metadata(connection: &Snapshot<'_>, user_id: &str) -> Result<bool> {
    connection.one("SELECT has_metadata FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))
}

/// Has the account roles? And is it a member of an organization?
///
/// # Errors
/// If SQLite fails.
pub fn has_roles(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<(bool, bool)> {
    connection.one(
        "SELECT EXISTS (SELECT 1 FROM role_users WHERE user_id = ?2 AND run = ?1),
         EXISTS (SELECT 1 FROM members WHERE user_id = ?2 AND run = ?1)",
        params![run, user_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// The second factors that the MFA files hold of the account.
///
/// # Errors
/// If SQLite fails.
pub fn factors(connection: &Snapshot<'_>, user_id: &str) -> Result<Option<Digest>> {
    connection.one("SELECT want_factors FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))
}

/// The account becomes part of another user, with its links.
///
/// # Errors
/// If SQLite fails.
pub fn join(
    transaction: &Transaction<'_>,
    run: i64,
    user_id: &str,
    into: &str,
    code: &str,
    left: Option<&Finding>,
) -> Result<()> {
    life::take(transaction, user_id, Event::Adjust(Row::Out(Why::Skipped)))?;
    transaction.execute("UPDATE users SET code = ?2, detail = ?3 WHERE user_id = ?1", params![user_id, code, into])?;
    transaction.execute(
        "INSERT INTO joined (user_id, into_id, run) VALUES (?1, ?2, ?3)
         ON CONFLICT (user_id) DO UPDATE SET have = have AND into_id = excluded.into_id,
           into_id = excluded.into_id, run = excluded.run",
        params![user_id, into, run],
    )?;
    transaction.execute("UPDATE links SET holder = ?2 WHERE user_id = ?1 AND run = ?3", params![user_id, into, run])?;
    if let Some(left) = left {
        add_finding(transaction, user_id, left)?;
    }
    Ok(())
}

/// Accounts that were to become part of a user who is not moved after all are not moved either, and say so.
///
/// # Errors
/// If SQLite fails.
pub fn release(transaction: &Transaction<'_>, run: i64, code: &str) -> Result<()> {
    const LEFT: &str = "run = ?1 AND action = ?2 AND user_id IN
                        (SELECT j.user_id FROM joined j JOIN users k ON k.user_id = j.into_id
                         WHERE j.run = ?1 AND (k.action IN (?3, ?4) OR (k.outcome IN (?5, ?6) AND k.owner <> ?7)))";
    let which =
        params![run, Action::Skip, Action::Existed, Action::Blocked, Outcome::Existed, Outcome::Rejected, Owner::Ours];
    let left: Vec<String> =
        transaction.all(&format!("SELECT user_id FROM users WHERE {LEFT}"), which, |row| row.get(0))?;
    let mut say = transaction.prepare(
        "UPDATE users SET code = ?2,
                detail = (SELECT 'with ' || k.user_id || ', whom a2z does not move: ' || coalesce(k.code, 'existed')
                          FROM joined j JOIN users k ON k.user_id = j.into_id WHERE j.user_id = users.user_id)
         WHERE user_id = ?1",
    )?;
    for user_id in left {
        life::take(transaction, &user_id, Event::Adjust(Row::Out(Why::Blocked)))?;
        say.execute(params![user_id, code])?;
    }
    Ok(())
}
