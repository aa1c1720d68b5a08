//! Who claims which user name.

use rusqlite::params;

use crate::{
    ledger::{
        sql::{Result, Snapshot, Transaction},
        states::{OURS, OUT},
        users::{planned::Digest, rows::adjust_profile},
    },
    mapping::finding::Finding,
};

/// A user who claims a user name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub user_id: String,
    /// The folded name.
    pub name_key: String,
    /// The connection, for a suffix.
    pub connection: Option<String>,
    /// ZITADEL holds this user from us already.
    pub ours: bool,
    /// E-mail verified.
    pub verified: bool,
    /// Has a usable hash.
    pub has_password: bool,
    /// Last sign-in, ms since the epoch.
    pub last_login: Option<i64>,
    /// What is wanted, for a new fingerprint when the name changes.
    pub profile: Option<Digest>,
    /// The suffix that the name in ZITADEL has.
    pub suffix: Option<String>,
}

/// All claims on names that more than one row of the ledger has, ordered by name; a name may turn out to have one claim.
///
/// # Errors
/// If SQLite fails.
pub fn contested(connection: &Snapshot<'_>, run: i64) -> Result<Vec<Claim>> {
    let columns = claim_columns("", "name_key");
    connection.all(
        &format!(
            "SELECT {columns} FROM users
               -- The index alone answers the inner part; who of them counts is asked of the few that it finds.
             WHERE name_key IN (SELECT name_key FROM users WHERE name_key IS NOT NULL
               GROUP BY name_key HAVING count(*) > 1) AND ((run = ?1 AND action NOT IN {OUT}) OR owner = {OURS})
             ORDER BY name_key, user_id"
        ),
        [run],
        claim,
    )
}

/// The columns of a [`Claim`] to `key`, of the table `of` (empty, or with a dot).
pub(in crate::ledger) fn claim_columns(of: &str, key: &str) -> String {
    format!(
        "{of}user_id, {of}{key}, {of}connection, {of}owner = {OURS}, {of}verified, {of}want_password IS NOT NULL,
           {of}last_login, {of}want_profile, {of}name_suffix"
    )
}

pub(in crate::ledger) fn claim(row: &rusqlite::Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        user_id: row.get(0)?,
        name_key: row.get(1)?,
        connection: row.get(2)?,
        ours: row.get(3)?,
        verified: row.get(4)?,
        has_password: row.get(5)?,
        last_login: row.get(6)?,
        profile: row.get(7)?,
        suffix: row.get(8)?,
    })
}

/// A claim of a user who may have no name of this run.
pub(in crate::ledger) fn claim_or(row: &rusqlite::Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        user_id: row.get(0)?,
        name_key: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
        connection: row.get(2)?,
        ours: row.get(3)?,
        verified: row.get(4)?,
        has_password: row.get(5)?,
        last_login: row.get(6)?,
        profile: row.get(7)?,
        suffix: row.get(8)?,
    })
}

/// Gives a planned user another name.
///
/// # Errors
/// If SQLite fails.
pub fn rename(
    transaction: &Transaction<'_>,
    user_id: &str,
    suffix: &str,
    name_key: &str,
    profile: Digest,
    finding: &Finding,
) -> Result<()> {
    let finding = serde_json::to_string(finding).unwrap_or_default();
    transaction.execute(
        "UPDATE users SET name_suffix = ?2, name_key = ?3,
                findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?4))
         WHERE user_id = ?1",
        params![user_id, suffix, name_key, finding],
    )?;
    adjust_profile(transaction, user_id, profile)
}

/// Claims of users of ours whose name in ZITADEL has a suffix already.
///
/// # Errors
/// If SQLite fails.
pub fn suffixed_before(connection: &Snapshot<'_>, run: i64) -> Result<Vec<Claim>> {
    let columns = claim_columns("", "name_key");
    connection.all(
        &format!(
            "SELECT {columns} FROM users
             WHERE run = ?1 AND owner = {OURS} AND name_suffix IS NOT NULL AND action NOT IN {OUT}"
        ),
        [run],
        claim,
    )
}

/// Does another planned user, or one of ours, have this name?
///
/// # Errors
/// If SQLite fails.
pub fn name_is_claimed(connection: &Snapshot<'_>, run: i64, name_key: &str) -> Result<bool> {
    connection.exists(
        &format!("SELECT 1 FROM users WHERE name_key = ?2 AND ((run = ?1 AND action NOT IN {OUT}) OR owner = {OURS})"),
        params![run, name_key],
    )
}
