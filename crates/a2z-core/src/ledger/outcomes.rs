//! How every row of an export ended.

use rusqlite::params;

use crate::{
    ledger::{
        sql::{Result, Snapshot},
        states::{Action, Outcome, Progress, UNKNOWN, route_of},
    },
    mapping::{
        draft::Route,
        finding::{Finding, FindingCode},
    },
};

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
    let mut statement = connection.prepare(&format!(
        "SELECT user_id, connection, file, line, action, progress, coalesce(outcome, {UNKNOWN}), route, code, detail,
         findings,
                (SELECT group_concat(what || coalesce(': ' || detail, ''), '; ') FROM differences
                 WHERE differences.user_id = users.user_id)
         FROM users WHERE run = ?1 ORDER BY id"
    ))?;
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
        "SELECT user_id, connection, file, line, outcome, code, detail FROM lines WHERE run = ?1
         ORDER BY file, row",
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
