//! Codes by SMS and by e-mail as second factors: who is to get them, who has them from us, and what became of the rest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use crate::{
    ledger::{
        runs::now,
        sql::{Result, Snapshot, Transaction},
        states::{
            CODE_IN_DOUBT, CODE_OURS, CODE_PLANNED, CODE_REFUSED, CREATED, CodeState, DONE, OURS, Part, TO_SEND,
            UNCHANGED, UPDATED,
        },
    },
    mapping::{
        codes::{Abilities, Destinations, Kind, Person, decide},
        finding::{Finding, FindingCode},
    },
};

/// When a user of the table `users` was written last, a factor or a repair among it; empty if never.
pub(super) const LAST_WRITE: Part = Part(|f| {
    write!(
        f,
        "max(coalesce(settled_at, ''), coalesce((SELECT max(at) FROM codes
         WHERE codes.user_id = users.user_id AND codes.state = {CODE_OURS}), ''),
         coalesce((SELECT max(at) FROM repairs WHERE repairs.user_id = users.user_id), ''))"
    )
});

/// Who is left to be given something. A refusal is tried again by the next run only.
const TODO: Part = Part(|f| {
    write!(
        f,
        "codes.run = ?1 AND users.run = ?1
         AND (codes.state IN ({CODE_PLANNED}, {CODE_IN_DOUBT}) OR (codes.state = {CODE_REFUSED}
             AND codes.tried IS NOT ?1))"
    )
});

/// Users of ours whose import is settled.
const SETTLED: Part = Part(|f| {
    write!(
        f,
        "users.owner = {OURS} AND users.progress = {DONE} AND users.outcome IN ({CREATED}, {UPDATED}, {UNCHANGED})"
    )
});

/// A factor that is to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeTodo {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub kind: Kind,
    /// An earlier request may have been carried out.
    pub in_doubt: bool,
    /// This run created the user: what the plan says of the user is true of ZITADEL's.
    pub is_new: bool,
    /// ZITADEL has a password or a link of the user from us.
    pub has_way_in: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledCode {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub kind: Kind,
    /// How it ended.
    pub state: CodeState,
    /// What there is to say about it.
    pub code: Option<FindingCode>,
    /// The server's id and words, where it refused.
    pub detail: Option<String>,
}

/// Nothing is wanted in this run until [`plan`] says so.
///
/// # Errors
/// If SQLite fails.
pub(super) fn begin(transaction: &Transaction<'_>, run: i64) -> Result<()> {
    transaction.execute("UPDATE codes SET run = 0 WHERE run = ?1", [run]).map(drop)
}

/// Decides about one user of whom Auth0 was asked. Returns which kinds do not count as lost, and what there is to say. Without
/// abilities (the operator does not ask for it) nothing is planned; what ZITADEL has is not lost all the same.
///
/// # Errors
/// If SQLite fails.
pub(super) fn plan(
    transaction: &Transaction<'_>,
    run: i64,
    user_id: &str,
    (destinations, person): (&Destinations, Person<'_>),
    abilities: Option<Abilities>,
) -> Result<(Vec<Kind>, Vec<Finding>)> {
    let (mut moving, mut said) = (Vec::new(), BTreeMap::<FindingCode, Vec<String>>::new());
    for kind in Kind::ALL.into_iter().filter(|kind| destinations.has(*kind)) {
        let (state, tried, code, detail) = known(transaction, user_id, kind)?;
        let mut say = |code: FindingCode, detail: Option<String>| {
            let what = detail.map_or_else(|| kind.word().to_owned(), |detail| format!("{}: {detail}", kind.word()));
            said.entry(code).or_default().push(what);
        };
        match state {
            CodeState::Ours | CodeState::Theirs => {
                moving.push(kind);
                if state == CodeState::Theirs && tried == Some(run) {
                    say(FindingCode::FactorKept, None);
                }
            }
            CodeState::TakenAway => {
                moving.push(kind);
                say(FindingCode::FactorTakenAway, None);
                continue;
            }
            CodeState::Planned | CodeState::InDoubt | CodeState::Refused => {
                let Some(abilities) = abilities else { continue };
                if let Err(why) = decide(kind, destinations, person, abilities) {
                    say(why, None);
                    continue;
                }
                if state == CodeState::Refused && tried == Some(run) {
                    say(code.unwrap_or(FindingCode::FactorRefused), detail);
                } else {
                    moving.push(kind);
                }
            }
        }
        transaction.execute(
            "INSERT INTO codes (user_id, kind, run) VALUES (?1, ?2, ?3)
             ON CONFLICT (user_id, kind) DO UPDATE SET run = excluded.run",
            params![user_id, kind, run],
        )?;
    }
    let findings = said.into_iter().map(|(code, what)| Finding::about(code, what.join(", "))).collect();
    Ok((moving, findings))
}

type Known = (CodeState, Option<i64>, Option<FindingCode>, Option<String>);

fn known(connection: &Snapshot<'_>, user_id: &str, kind: Kind) -> Result<Known> {
    let known = connection.first(
        "SELECT state, tried, code, detail FROM codes WHERE user_id = ?1 AND kind = ?2",
        params![user_id, kind],
        |row| {
            let code: Option<String> = row.get(2)?;
            Ok((row.get(0)?, row.get(1)?, code.and_then(|code| FindingCode::parse(&code)), row.get(3)?))
        },
    )?;
    Ok(known.unwrap_or((CodeState::Planned, None, None, None)))
}

/// How many the plan wants to be given, those of users who are not created yet among them.
///
/// # Errors
/// If SQLite fails.
pub fn count_planned(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one(
        &format!(
            "SELECT count(*) FROM codes JOIN users USING (user_id)
             WHERE {TODO} AND ({SETTLED} OR (users.action IN {TO_SEND} AND users.progress <> {DONE}))"
        ),
        [run],
        |row| row.get(0),
    )
}

/// How many users of this run get each kind, or have it from us.
///
/// # Errors
/// If SQLite fails.
pub fn count_moving(connection: &Snapshot<'_>, run: i64) -> Result<BTreeMap<&'static str, u64>> {
    let rows: Vec<(Kind, u64)> = connection.all(
        &format!(
            "SELECT kind, count(*) FROM codes WHERE run = ?1
             AND (state IN ({CODE_PLANNED}, {CODE_IN_DOUBT}, {CODE_OURS})
             OR (state = {CODE_REFUSED} AND tried IS NOT ?1)) GROUP BY kind"
        ),
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(rows.into_iter().map(|(kind, users)| (kind.word(), users)).collect())
}

/// How many users of this run have this kind from us.
///
/// # Errors
/// If SQLite fails.
pub fn count_given(connection: &Snapshot<'_>, run: i64, kind: Kind) -> Result<u64> {
    connection.one(
        &format!(
            "SELECT count(*) FROM codes JOIN users USING (user_id)
             WHERE users.run = ?1 AND kind = ?2 AND state = {CODE_OURS}"
        ),
        params![run, kind],
        |row| row.get(0),
    )
}

/// How many are left to be given now.
///
/// # Errors
/// If SQLite fails.
pub fn count_todo(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one(
        &format!("SELECT count(*) FROM codes JOIN users USING (user_id) WHERE {TODO} AND {SETTLED}"),
        [run],
        |row| row.get(0),
    )
}

/// At most `limit` of them after `after` (user and kind), in that order.
///
/// # Errors
/// If SQLite fails.
pub fn todo(connection: &Snapshot<'_>, run: i64, after: Option<(&str, Kind)>, limit: usize) -> Result<Vec<CodeTodo>> {
    let (user_id, kind) = after.unwrap_or(("", Kind::Sms));
    connection.all(
        &format!(
            "SELECT codes.user_id, codes.kind, codes.state = {CODE_IN_DOUBT}, users.wrote_run IS ?1
             AND users.wrote = {CREATED},
                    users.have_password IS NOT NULL
                      OR EXISTS (SELECT 1 FROM links WHERE links.holder = users.user_id AND links.have = 1)
             FROM codes JOIN users USING (user_id)
             WHERE {TODO} AND {SETTLED} AND (codes.user_id, codes.kind) > (?2, ?3)
             ORDER BY codes.user_id, codes.kind LIMIT ?4"
        ),
        params![run, user_id, kind, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            Ok(CodeTodo {
                user_id: row.get(0)?,
                kind: row.get(1)?,
                in_doubt: row.get(2)?,
                is_new: row.get(3)?,
                has_way_in: row.get(4)?,
            })
        },
    )
}

/// Requests for these are about to leave.
///
/// # Errors
/// If SQLite fails.
pub fn begin_requests(transaction: &Transaction<'_>, todo: &[CodeTodo]) -> Result<()> {
    let mut update = transaction.prepare(&format!(
        "UPDATE codes SET state = {CODE_IN_DOUBT}
         WHERE user_id = ?1 AND kind = ?2 AND state IN ({CODE_PLANNED}, {CODE_REFUSED})"
    ))?;
    for code in todo {
        update.execute(params![code.user_id, code.kind])?;
    }
    Ok(())
}

/// These were not sent after all: the run was stopped.
///
/// # Errors
/// If SQLite fails.
pub fn not_sent(transaction: &Transaction<'_>, todo: &[CodeTodo]) -> Result<()> {
    let mut update = transaction.prepare(&format!(
        "UPDATE codes SET state = {CODE_PLANNED} WHERE user_id = ?1 AND kind = ?2 AND state = {CODE_IN_DOUBT}"
    ))?;
    for code in todo.iter().filter(|code| !code.in_doubt) {
        update.execute(params![code.user_id, code.kind])?;
    }
    Ok(())
}

/// Settles one.
///
/// # Errors
/// If SQLite fails.
pub fn settle(transaction: &Transaction<'_>, run: i64, settled: &SettledCode) -> Result<()> {
    transaction
        .execute(
            &format!(
                "UPDATE codes SET state = ?3, tried = ?4, code = ?5, detail = ?6, at = CASE WHEN ?3 = {CODE_OURS} THEN ?7
                 ELSE at END,
                        gave = CASE WHEN ?3 = {CODE_OURS} THEN ?4 ELSE gave END
                 WHERE user_id = ?1 AND kind = ?2"
            ),
            params![
                settled.user_id,
                settled.kind,
                settled.state,
                run,
                settled.code.map(FindingCode::code),
                settled.detail,
                now()
            ],
        )
        .map(drop)
}

/// When the first of those was given that ZITADEL has from us; none: it has none.
///
/// # Errors
/// If SQLite fails.
pub fn first_given(connection: &Snapshot<'_>) -> Result<Option<Timestamp>> {
    let first: Option<String> =
        connection.one(&format!("SELECT min(at) FROM codes WHERE state = {CODE_OURS}"), [], |row| row.get(0))?;
    Ok(first.and_then(|at| at.parse().ok()))
}

/// Does ZITADEL have this from us, as far as the ledger knows?
///
/// # Errors
/// If SQLite fails.
pub fn is_given(connection: &Snapshot<'_>, user_id: &str, kind: Kind) -> Result<bool> {
    Ok(known(connection, user_id, kind)?.0 == CodeState::Ours)
}

/// Of these, which are gone in ZITADEL, and whether somebody else took them: then they are not given again.
///
/// # Errors
/// If SQLite fails.
pub fn gone(transaction: &Transaction<'_>, gone: &[(String, Kind, bool)]) -> Result<()> {
    let mut update = transaction
        .prepare(&format!("UPDATE codes SET state = ?3 WHERE user_id = ?1 AND kind = ?2 AND state = {CODE_OURS}"))?;
    for (user_id, kind, by_others) in gone {
        let state = if *by_others { CodeState::TakenAway } else { CodeState::Planned };
        update.execute(params![user_id, kind, state])?;
    }
    Ok(())
}

/// The user is gone, and so are the factors.
///
/// # Errors
/// If SQLite fails.
pub(super) fn forget(transaction: &Transaction<'_>, user_id: &str) -> Result<()> {
    transaction
        .execute(
            &format!(
                "UPDATE codes SET state = {CODE_PLANNED}, gave = NULL, tried = NULL, at = NULL, code = NULL,
                 detail = NULL
                 WHERE user_id = ?1"
            ),
            [user_id],
        )
        .map(drop)
}

#[cfg(test)]
mod tests;
