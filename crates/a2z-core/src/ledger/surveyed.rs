//! What Auth0 says of users' second factors: kept for good, so that a survey that was stopped goes on where it was.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::{
    ledger::{
        codes as given,
        runs::now,
        sql::{Result, Snapshot, Transaction},
        states::{MOVING, Part, TO_KEEP, TO_SEND},
        users::Digest,
    },
    mapping::{
        codes::{self, Abilities, Destinations, Kind, Person},
        finding::{Finding, FindingCode},
    },
};

/// Users who are to be moved, and if `?3` those that an earlier run moved, about whom Auth0 was not asked since `?2`.
const TO_ASK: Part = Part(|f| {
    write!(
        f,
        "run = ?1 AND (action IN {TO_SEND} OR (?3 AND action = {TO_KEEP})) AND NOT EXISTS
         (SELECT 1 FROM surveyed WHERE surveyed.user_id = users.user_id AND surveyed.asked_at >= ?2
          AND surveyed.codes IS NOT NULL)"
    )
});

/// How many users there are to ask about; `moved`: those that an earlier run moved among them.
///
/// # Errors
/// If SQLite fails.
pub fn count_to_ask(connection: &Snapshot<'_>, run: i64, since: &str, moved: bool) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM users WHERE {TO_ASK}");
    connection.one(&sql, params![run, since, moved], |row| row.get(0))
}

/// At most `limit` of them after row `after`, each with its row.
///
/// # Errors
/// If SQLite fails.
pub fn to_ask(
    connection: &Snapshot<'_>,
    run: i64,
    (since, moved): (&str, bool),
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>> {
    connection.all(
        &format!("SELECT id, user_id FROM users WHERE {TO_ASK} AND id > ?4 ORDER BY id LIMIT ?5"),
        params![run, since, moved, after, limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// What Auth0 said of a user: the kinds of factors, one after another, and where codes are sent.
///
/// # Errors
/// If SQLite fails.
pub fn answered(
    transaction: &Transaction<'_>,
    user_id: &str,
    kinds: &[String],
    destinations: &Destinations,
) -> Result<()> {
    let codes = serde_json::to_string(destinations).unwrap_or_default();
    transaction.execute(
        "INSERT OR REPLACE INTO surveyed (user_id, asked_at, kinds, codes) VALUES (?1, ?2, ?3, ?4)",
        params![user_id, now(), kinds.join(", "), codes],
    )?;
    Ok(())
}

/// Says of every user of `run` about whom Auth0 was asked which factors stay behind, and plans the codes that move if
/// `abilities` are given. May be done twice. Returns how many were asked about, and how many of them lose what.
///
/// # Errors
/// If SQLite fails.
pub fn apply(
    transaction: &Transaction<'_>,
    run: i64,
    abilities: Option<Abilities>,
) -> Result<(u64, BTreeMap<String, u64>)> {
    given::begin(transaction, run)?;
    let mut users = transaction.prepare(&format!(
        "SELECT users.id, kinds, findings, want_factors, users.user_id, codes, verified, number,
                want_password IS NOT NULL OR have_password IS NOT NULL
                  OR EXISTS (SELECT 1 FROM links WHERE links.holder = users.user_id AND (links.run = ?1
                      OR have = 1))
         FROM users JOIN surveyed USING (user_id)
         WHERE users.run = ?1 AND action IN {MOVING}"
    ))?;
    let mut update = transaction.prepare("UPDATE users SET findings = ?2 WHERE id = ?1")?;
    let (mut asked, mut all) = (0, BTreeMap::<String, u64>::new());
    let mut rows = users.query([run])?;
    while let Some(row) = rows.next()? {
        asked += 1;
        let (id, kinds): (i64, String) = (row.get(0)?, row.get(1)?);
        let (findings, factors): (Option<String>, Option<Digest>) = (row.get(2)?, row.get(3)?);
        let (user_id, destinations, number): (String, Option<String>, Option<String>) =
            (row.get(4)?, row.get(5)?, row.get(7)?);
        let before: Vec<Finding> = findings.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let destinations: Option<Destinations> = destinations.and_then(|json| serde_json::from_str(&json).ok());
        // Nobody reads what is sent to a placeholder.
        let has_address = before.iter().all(|finding| finding.code != FindingCode::PlaceholderEmail);
        let person = Person {
            email_verified: row.get::<_, bool>(6)? && has_address,
            number: number.as_deref(),
            has_way_in: row.get(8)?,
        };
        let decided = (&destinations.unwrap_or_default(), person);
        let (moving, said) = given::plan(transaction, run, &user_id, decided, abilities)?;
        let mut after = with_lost(before.clone(), &kinds, factors.unwrap_or_default(), &moving);
        after.retain(|finding| !codes::is_ours(finding));
        let new: Vec<Finding> = said.into_iter().filter(|finding| !after.contains(finding)).collect();
        after.extend(new);
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

/// `factors`: one half the TOTP secret that moves, the other the recovery codes; zero where none does. `moving`: the codes
/// that move.
fn with_lost(mut findings: Vec<Finding>, kinds: &str, factors: Digest, moving: &[Kind]) -> Vec<Finding> {
    let moves = |kind: &str| match kind {
        "totp" => factors[..8] != [0; 8],
        "recovery-code" => factors[8..] != [0; 8],
        _ => moving.iter().any(|moving| moving.of_auth0() == kind),
    };
    let known = findings.iter().position(|finding| finding.code == FindingCode::FactorNotMoved);
    let before = known.and_then(|at| findings[at].detail.clone()).unwrap_or_default();
    let mut lost: Vec<&str> =
        before.split(", ").chain(kinds.split(", ")).filter(|kind| !kind.is_empty() && !moves(kind)).collect();
    lost.sort_unstable();
    lost.dedup();
    let finding = (!lost.is_empty()).then(|| Finding::about(FindingCode::FactorNotMoved, lost.join(", ")));
    match (known, finding) {
        (Some(at), Some(finding)) => findings[at] = finding,
        // The survey knows what the MFA file does not: it moves after all.
        (Some(at), None) => drop(findings.remove(at)),
        (None, finding) => findings.extend(finding),
    }
    findings
}

/// The factors that a user that `run` moves loses, as far as the plan found; none of anybody else.
///
/// # Errors
/// If SQLite fails.
pub fn lost(connection: &Snapshot<'_>, run: i64, place: (i64, i64), user_id: &str) -> Result<Option<Vec<String>>> {
    let findings: Option<Option<String>> = connection.first(
        &format!(
            "SELECT findings FROM users
             WHERE user_id = ?1 AND run = ?2 AND file = ?3 AND row = ?4 AND action IN {MOVING}"
        ),
        params![user_id, run, place.0, place.1],
        |row| row.get(0),
    )?;
    let Some(findings) = findings else { return Ok(None) };
    let findings: Vec<Finding> = findings.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    let lost = findings.iter().filter(|finding| finding.code == FindingCode::FactorNotMoved);
    let kinds = lost.flat_map(|finding| finding.detail.as_deref().unwrap_or_default().split(", "));
    Ok(Some(kinds.filter(|kind| !kind.is_empty()).map(str::to_owned).collect()))
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
        assert!(with_lost(Vec::new(), "", none, &[]).is_empty());
        assert!(with_lost(Vec::new(), "recovery-code, totp", both, &[]).is_empty());
        let lost = with_lost(Vec::new(), "phone, push, totp", both, &[]);
        assert_eq!(details(&lost), ["phone, push"]);
        assert_eq!(with_lost(lost.clone(), "phone, push, totp", both, &[]), lost);
        assert_eq!(details(&with_lost(lost.clone(), "totp", none, &[])), ["phone, push, totp"]);
        assert_eq!(details(&with_lost(lost, "email, phone, push", both, &[Kind::Sms])), ["email, push"]);
        let file = vec![Finding::about(FindingCode::FactorNotMoved, "phone")];
        assert!(with_lost(file, "email, phone", none, &Kind::ALL).is_empty());
    }
}
