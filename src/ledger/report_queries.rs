//! What the reports read: the balance, counts by code, and one outcome after another.

use rusqlite::params;

use super::model::{Action, Balance, Outcome, Progress, route_of};
use super::sql::{Result, Snapshot};
use crate::mapping::{
    draft::Route,
    finding::{BlockedCode, Finding, FindingCode},
};

/// How the users of a run ended.
///
/// # Errors
/// As SQLite.
pub fn balance(connection: &Snapshot<'_>, run: i64) -> Result<Balance> {
    let mut balance = Balance::default();
    let mut statement = connection.prepare(
        "SELECT outcome, count(*) FROM (
           SELECT coalesce(outcome, 6) AS outcome FROM users WHERE run = ?1
           UNION ALL SELECT outcome FROM lines WHERE run = ?1
         ) GROUP BY outcome",
    )?;
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
/// As SQLite.
pub fn exported(connection: &Snapshot<'_>, run: i64) -> Result<Option<u64>> {
    connection
        .first("SELECT json_extract(notes, '$.exported') FROM runs WHERE run = ?1", [run], |row| row.get(0))
        .map(Option::flatten)
}

/// Users by action and code, for the plan's summary.
///
/// # Errors
/// As SQLite.
pub fn actions(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(Action, Option<String>, u64)>> {
    connection.all(
        "SELECT action, code, count(*) FROM users WHERE run = ?1 GROUP BY action, code ORDER BY action, code",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// Lines that are no user, by outcome and code.
///
/// # Errors
/// As SQLite.
pub fn lines(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(Outcome, String, u64)>> {
    connection.all(
        "SELECT outcome, code, count(*) FROM lines WHERE run = ?1 GROUP BY outcome, code ORDER BY outcome, code",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// Users to create by route.
///
/// # Errors
/// As SQLite.
pub fn routes(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(Route, u64)>> {
    connection.all(
        "SELECT route, count(*) FROM users WHERE run = ?1 AND action = 0 GROUP BY route ORDER BY route",
        [run],
        |row| Ok((route_of(row.get(0)?), row.get(1)?)),
    )
}

/// Findings by code.
///
/// # Errors
/// As SQLite.
pub fn findings(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, u64)>> {
    connection.all(
        "SELECT json_extract(each.value, '$.code') AS finding, count(*) FROM users, json_each(users.findings) AS each
             WHERE run = ?1 AND findings IS NOT NULL GROUP BY finding ORDER BY finding",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Outcomes with a code, by outcome and code.
///
/// # Errors
/// As SQLite.
pub fn codes(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(Outcome, String, u64)>> {
    connection.all(
        "SELECT outcome, code, count(*) FROM (
               SELECT coalesce(outcome, 6) AS outcome, code FROM users WHERE run = ?1 AND code IS NOT NULL
               UNION ALL SELECT outcome, code FROM lines WHERE run = ?1
             ) GROUP BY outcome, code ORDER BY outcome, code",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// One exported row with how it ended.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it could be read.
    pub user_id: Option<String>,
    /// Where it is known.
    pub connection: Option<String>,
    /// The export file, from 0.
    pub file: i64,
    /// The line in it, from 1.
    pub line: u64,
    /// Planned.
    pub action: Option<Action>,
    /// How far.
    pub progress: Progress,
    /// How it ended.
    pub outcome: Outcome,
    /// The road.
    pub route: Option<Route>,
    /// Why.
    pub code: Option<String>,
    /// What about it.
    pub detail: Option<String>,
    /// What else there is to say.
    pub findings: Vec<Finding>,
}

/// Calls `each` for every exported row of a run: users in the order in which the ledger met them, then the lines that are
/// no user.
///
/// # Errors
/// As SQLite, or what `each` returns.
pub fn each_row(connection: &Snapshot<'_>, run: i64, mut each: impl FnMut(Row) -> Result<()>) -> Result<()> {
    let mut statement = connection.prepare(
        "SELECT user_id, connection, file, line, action, progress, coalesce(outcome, 6), route, code, detail, findings,
                (SELECT group_concat(what || coalesce(': ' || detail, ''), '; ') FROM differences
                 WHERE differences.user_id = users.user_id)
         FROM users WHERE run = ?1 ORDER BY id",
    )?;
    let mut rows = statement.query([run])?;
    while let Some(row) = rows.next()? {
        let action: Action = row.get(4)?;
        let outcome: Outcome = row.get(6)?;
        let sent =
            matches!(action, Action::Create | Action::Update) || matches!(outcome, Outcome::Created | Outcome::Updated);
        let findings: Option<String> = row.get(10)?;
        let mut findings: Vec<Finding> = findings.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        findings.extend(row.get::<_, Option<String>>(11)?.map(differs));
        each(Row {
            user_id: row.get(0)?,
            connection: row.get(1)?,
            file: row.get(2)?,
            line: row.get(3)?,
            action: Some(action),
            progress: row.get(5)?,
            outcome,
            route: row.get::<_, Option<i64>>(7)?.filter(|_| sent).map(route_of),
            code: row.get(8)?,
            detail: row.get(9)?,
            findings,
        })?;
    }
    let mut statement = connection.prepare(
        "SELECT user_id, connection, file, line, outcome, code, detail FROM lines WHERE run = ?1 ORDER BY file, row",
    )?;
    let mut rows = statement.query(params![run])?;
    while let Some(row) = rows.next()? {
        each(Row {
            user_id: row.get(0)?,
            connection: row.get(1)?,
            file: row.get(2)?,
            line: row.get(3)?,
            action: None,
            progress: Progress::Done,
            outcome: row.get(4)?,
            route: None,
            code: row.get(5)?,
            detail: row.get(6)?,
            findings: Vec::new(),
        })?;
    }
    Ok(())
}

/// What `verify` found about a user, as a finding.
fn differs(differences: String) -> Finding {
    match differences.strip_prefix("missing") {
        Some("") => Finding::new(FindingCode::MissingInZitadel),
        Some(rest) => Finding::about(FindingCode::MissingInZitadel, rest.trim_start_matches(": ")),
        None => Finding::about(FindingCode::DiffersInZitadel, differences),
    }
}

/// Users of a run with a password to send (or sent before).
///
/// # Errors
/// As SQLite.
pub fn count_with_password(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one("SELECT count(*) FROM users WHERE run = ?1 AND want_password IS NOT NULL", [run], |row| row.get(0))
}

/// Users whom a rule of the operator's leaves out, by the rule's words.
///
/// # Errors
/// As SQLite.
pub fn filtered(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, u64)>> {
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
/// As SQLite.
pub fn sign_in(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, u64)>> {
    connection.all(
        "SELECT CASE WHEN want_password IS NOT NULL THEN 'password'
                         WHEN user_id LIKE 'sms|%' THEN 'sms'
                         WHEN user_id LIKE 'email|%' THEN 'email'
                         WHEN user_id LIKE 'auth0|%' THEN 'none'
                         ELSE 'provider' END AS kind, count(*)
             FROM users WHERE run = ?1 AND action IN (0, 1, 2) GROUP BY kind ORDER BY kind",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
