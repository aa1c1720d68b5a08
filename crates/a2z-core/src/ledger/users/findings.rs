//! What there is to say about a user.

use rusqlite::params;

use crate::{
    ledger::sql::{Result, Snapshot, Transaction},
    mapping::finding::Finding,
};

/// One more thing to say about a user; said once, however often it is found.
///
/// # Errors
/// If SQLite fails.
pub fn add_finding(transaction: &Transaction<'_>, user_id: &str, finding: &Finding) -> Result<()> {
    let finding = serde_json::to_string(finding).unwrap_or_default();
    transaction.execute(
        "UPDATE users SET findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?2)) WHERE user_id = ?1
         AND NOT EXISTS (SELECT 1 FROM json_each(coalesce(findings, '[]')) WHERE value = json(?2))",
        params![user_id, finding],
    )?;
    Ok(())
}

/// Takes back what was said about a user.
///
/// # Errors
/// If SQLite fails.
pub fn remove_finding(transaction: &Transaction<'_>, user_id: &str, finding: &Finding) -> Result<()> {
    let known: Option<String> =
        transaction.one("SELECT findings FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))?;
    let mut findings: Vec<Finding> = known.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    findings.retain(|known| known != finding);
    let left = (!findings.is_empty()).then(|| serde_json::to_string(&findings).unwrap_or_default());
    transaction.execute("UPDATE users SET findings = ?2 WHERE user_id = ?1", params![user_id, left])?;
    Ok(())
}

/// How many users of a run have a finding with this code, by its detail.
///
/// # Errors
/// If SQLite fails.
pub fn count_findings(connection: &Snapshot<'_>, run: i64, code: &str) -> Result<Vec<(String, u64)>> {
    connection.all(
        "SELECT coalesce(json_extract(f.value, '$.detail'), ''), count(DISTINCT u.id)
         FROM users u, json_each(u.findings) f
         WHERE u.run = ?1 AND u.findings IS NOT NULL AND json_extract(f.value, '$.code') = ?2
         GROUP BY 1 ORDER BY 1",
        params![run, code],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Findings by code.
///
/// # Errors
/// If SQLite fails.
pub fn count_all_findings(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, u64)>> {
    connection.all(
        "SELECT json_extract(each.value, '$.code') AS finding, count(*)
         FROM users, json_each(users.findings) AS each
         WHERE run = ?1 AND findings IS NOT NULL GROUP BY finding ORDER BY finding",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
