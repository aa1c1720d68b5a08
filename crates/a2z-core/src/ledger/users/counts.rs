//! How many users ended how.

use rusqlite::params;

use crate::{
    ledger::{
        sql::{Result, Snapshot},
        states::{Action, Balance, MOVING, Outcome, TO_CREATE, UNKNOWN, route_of},
    },
    mapping::{draft::Route, finding::BlockedCode},
};

/// How the users of a run ended.
///
/// # Errors
/// If SQLite fails.
pub fn balance(connection: &Snapshot<'_>, run: i64) -> Result<Balance> {
    let mut balance = Balance::default();
    let mut statement = connection.prepare(&format!(
        "SELECT outcome, count(*) FROM (
           SELECT coalesce(outcome, {UNKNOWN}) AS outcome FROM users WHERE run = ?1
           UNION ALL SELECT outcome FROM lines WHERE run = ?1
         ) GROUP BY outcome"
    ))?;
    let mut rows = statement.query([run])?;
    while let Some(row) = rows.next()? {
        let count: u64 = row.get(1)?;
        let slot = match row.get::<_, Outcome>(0)? {
            Outcome::Created => &mut balance.created,
            Outcome::Updated => &mut balance.updated,
            Outcome::Unchanged => &mut balance.unchanged,
            Outcome::Existed => &mut balance.existed,
            Outcome::Skipped => &mut balance.skipped,
            Outcome::Rejected => &mut balance.rejected,
            Outcome::Unknown => &mut balance.unknown,
        };
        *slot += count;
    }
    // Counted for itself, not as the sum: `balances()` would prove nothing otherwise.
    balance.exported = exported(connection, run)?.unwrap_or_else(|| {
        balance.created
            + balance.updated
            + balance.unchanged
            + balance.existed
            + balance.skipped
            + balance.rejected
            + balance.unknown
    });
    Ok(balance)
}

/// The rows that the reader of the export counted, where the plan is complete.
///
/// # Errors
/// If SQLite fails.
pub fn exported(connection: &Snapshot<'_>, run: i64) -> Result<Option<u64>> {
    connection
        .first("SELECT json_extract(notes, '$.exported') FROM runs WHERE run = ?1", [run], |row| row.get(0))
        .map(Option::flatten)
}

/// Users by action and code, for the plan's summary.
///
/// # Errors
/// If SQLite fails.
pub fn count_actions(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(Action, Option<String>, u64)>> {
    connection.all(
        "SELECT action, code, count(*) FROM users WHERE run = ?1 GROUP BY action, code ORDER BY action, code",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// Users to create by route.
///
/// # Errors
/// If SQLite fails.
pub fn count_routes(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(Route, u64)>> {
    connection.all(
        &format!(
            "SELECT route, count(*) FROM users WHERE run = ?1 AND action = {TO_CREATE} GROUP BY route
             ORDER BY route"
        ),
        [run],
        |row| Ok((route_of(row.get(0)?), row.get(1)?)),
    )
}

/// Outcomes with a code, by outcome and code.
///
/// # Errors
/// If SQLite fails.
pub fn count_codes(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(Outcome, String, u64)>> {
    connection.all(
        &format!(
            "SELECT outcome, code, count(*) FROM (
               SELECT coalesce(outcome, {UNKNOWN}) AS outcome, code FROM users WHERE run = ?1 AND code IS NOT NULL
               UNION ALL SELECT outcome, code FROM lines WHERE run = ?1
             ) GROUP BY outcome, code ORDER BY outcome, code"
        ),
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// Users of a run with a password to send (or sent before).
///
/// # Errors
/// If SQLite fails.
pub fn count_with_password(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one("SELECT count(*) FROM users WHERE run = ?1 AND want_password IS NOT NULL", [run], |row| row.get(0))
}

/// Users that a rule of the operator's leaves out, by the rule's words.
///
/// # Errors
/// If SQLite fails.
pub fn count_filtered(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, u64)>> {
    connection.all(
        "SELECT coalesce(detail, ''), count(*) FROM users WHERE run = ?1 AND code = ?2
         GROUP BY detail ORDER BY count(*) DESC, detail",
        params![run, BlockedCode::Filtered.code()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// How the users of a run who are (or are to be) in ZITADEL from us sign in there: with a password, or, without one, by
/// the provider of their Auth0 account.
///
/// # Errors
/// If SQLite fails.
pub fn count_sign_in(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, u64)>> {
    connection.all(
        &format!(
            "SELECT CASE WHEN want_password IS NOT NULL THEN 'password'
                         WHEN user_id LIKE 'sms|%' THEN 'sms'
                         WHEN user_id LIKE 'email|%' THEN 'email'
                         WHEN user_id LIKE 'auth0|%' THEN 'none'
                         ELSE 'provider' END AS kind, count(*)
             FROM users WHERE run = ?1 AND action IN {MOVING} GROUP BY kind ORDER BY kind"
        ),
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
