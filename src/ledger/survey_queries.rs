//! What Auth0 says of users' second factors: kept for good, so that a survey that was stopped goes on where it was.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::plan_queries::Digest;
use crate::mapping::finding::{Finding, FindingCode};

/// Users who are to be moved, and about whom Auth0 was not asked since `?2`.
const TO_ASK: &str = "run = ?1 AND action IN (0, 1) AND NOT EXISTS
    (SELECT 1 FROM surveyed WHERE surveyed.user_id = users.user_id AND surveyed.asked_at >= ?2)";

/// How many users there are to ask about.
///
/// # Errors
/// As SQLite.
pub fn count_to_ask(connection: &Connection, run: i64, since: &str) -> rusqlite::Result<u64> {
    connection.query_row(&format!("SELECT count(*) FROM users WHERE {TO_ASK}"), params![run, since], |row| row.get(0))
}

/// At most `limit` of them after row `after`, each with its row.
///
/// # Errors
/// As SQLite.
pub fn to_ask(
    connection: &Connection,
    run: i64,
    since: &str,
    after: i64,
    limit: i64,
) -> rusqlite::Result<Vec<(i64, String)>> {
    connection
        .prepare_cached(&format!("SELECT id, user_id FROM users WHERE {TO_ASK} AND id > ?3 ORDER BY id LIMIT ?4"))?
        .query_map(params![run, since, after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// What Auth0 said of a user: the kinds of factors, one after another.
///
/// # Errors
/// As SQLite.
pub fn answered(transaction: &Transaction<'_>, user_id: &str, kinds: &[String]) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO surveyed (user_id, asked_at, kinds) VALUES (?1, ?2, ?3)",
        params![user_id, super::runs::now(), kinds.join(", ")],
    )?;
    Ok(())
}

/// Says of every user of `run` about whom Auth0 was asked which factors stay behind. May be done twice. Returns how many
/// were asked about, and how many of them lose what.
///
/// # Errors
/// As SQLite.
pub fn apply(transaction: &Transaction<'_>, run: i64) -> rusqlite::Result<(u64, BTreeMap<String, u64>)> {
    let mut users = transaction.prepare(
        "SELECT users.id, kinds, findings, want_factors FROM users JOIN surveyed USING (user_id)
         WHERE run = ?1 AND action IN (0, 1, 2)",
    )?;
    let mut update = transaction.prepare("UPDATE users SET findings = ?2 WHERE id = ?1")?;
    let (mut asked, mut all) = (0, BTreeMap::<String, u64>::new());
    let mut rows = users.query([run])?;
    while let Some(row) = rows.next()? {
        asked += 1;
        let (id, kinds): (i64, String) = (row.get(0)?, row.get(1)?);
        let (findings, factors): (Option<String>, Option<Digest>) = (row.get(2)?, row.get(3)?);
        let before: Vec<Finding> = findings.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let after = with_lost(before.clone(), &kinds, factors.unwrap_or_default());
        let lost = after.iter().filter(|finding| finding.code == FindingCode::FactorNotMoved);
        for kind in lost.flat_map(|finding| finding.detail.as_deref().unwrap_or_default().split(", ")) {
            *all.entry(kind.to_owned()).or_default() += 1;
        }
        if after != before {
            update.execute(params![id, serde_json::to_string(&after).unwrap_or_default()])?;
        }
    }
    Ok((asked, all))
}

/// `factors`: one half the TOTP secret that moves, the other the recovery codes; zero where none does.
fn with_lost(mut findings: Vec<Finding>, kinds: &str, factors: Digest) -> Vec<Finding> {
    let moves = |kind: &str| match kind {
        "totp" => factors[..8] != [0; 8],
        "recovery-code" => factors[8..] != [0; 8],
        _ => false,
    };
    let known = findings.iter().position(|finding| finding.code == FindingCode::FactorNotMoved);
    let before = known.and_then(|at| findings[at].detail.clone()).unwrap_or_default();
    let mut lost: Vec<&str> =
        before.split(", ").chain(kinds.split(", ")).filter(|kind| !kind.is_empty() && !moves(kind)).collect();
    lost.sort_unstable();
    lost.dedup();
    if lost.is_empty() {
        return findings;
    }
    let finding = Finding::about(FindingCode::FactorNotMoved, lost.join(", "));
    match known {
        Some(at) => findings[at] = finding,
        None => findings.push(finding),
    }
    findings
}

/// What a user of `run` loses, where there is something; also of a factor that ZITADEL could not use.
///
/// # Errors
/// As SQLite.
pub fn lost(connection: &Connection, run: i64, place: (i64, i64), user_id: &str) -> rusqlite::Result<Vec<String>> {
    let findings: Option<Option<String>> = connection
        .prepare_cached(
            "SELECT findings FROM users
             WHERE user_id = ?1 AND run = ?2 AND file = ?3 AND row = ?4 AND action IN (0, 1, 2)",
        )?
        .query_row(params![user_id, run, place.0, place.1], |row| row.get(0))
        .optional()?;
    let findings: Vec<Finding> =
        findings.flatten().and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    let of = |code| findings.iter().filter(move |finding| finding.code == code);
    let mut lost: Vec<String> = of(FindingCode::FactorNotMoved)
        .flat_map(|finding| finding.detail.as_deref().unwrap_or_default().split(", "))
        .filter(|kind| !kind.is_empty())
        .map(str::to_owned)
        .collect();
    for finding in of(FindingCode::FactorUnusable) {
        let detail = finding.detail.as_deref().unwrap_or_default();
        for (words, kind) in [("TOTP secret", "totp"), ("recovery code", "recovery-code")] {
            if detail.contains(words) && !lost.iter().any(|known| known == kind) {
                lost.push(kind.to_owned());
            }
        }
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.detail.as_deref().unwrap_or_default()).collect()
    }

    #[test]
    fn what_moves_is_not_lost_and_nothing_is_said_twice() {
        let none = [0; 16];
        let mut both = [0; 16];
        both[0] = 1;
        both[15] = 1;
        assert!(with_lost(Vec::new(), "", none).is_empty());
        assert!(with_lost(Vec::new(), "recovery-code, totp", both).is_empty());
        let lost = with_lost(Vec::new(), "phone, push, totp", both);
        assert_eq!(details(&lost), ["phone, push"]);
        assert_eq!(with_lost(lost.clone(), "phone, push, totp", both), lost);
        assert_eq!(details(&with_lost(lost, "totp", none)), ["phone, push, totp"]);
    }
}
