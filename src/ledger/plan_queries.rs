//! What the plan writes and reads.

use rusqlite::params;

use super::sql::{Result, Snapshot, Transaction};
use super::{
    address_queries, link_queries,
    model::{Action, Outcome, Owner, Progress, route_number},
};
use crate::mapping::{
    draft::{Link, Route},
    finding::{Blocked, BlockedCode, Finding},
};

/// A 16-byte digest.
pub type Digest = [u8; 16];

/// One row of the export, planned.
#[derive(Debug, Clone)]
pub struct PlannedUser {
    /// Auth0's `user_id`.
    pub user_id: String,
    /// The connection of the primary identity, where it is known.
    pub connection: Option<String>,
    /// The export file, from 0.
    pub file: i64,
    /// The line in it, from 1.
    pub line: u64,
    /// The row in it, from 1: what tells two rows on one line apart.
    pub row: u64,
    /// E-mail verified (decides who keeps a user name).
    pub verified: bool,
    /// Last sign-in, ms since the epoch (decides who keeps a user name).
    pub last_login: Option<i64>,
    /// The verified e-mail, folded, where accounts with the same one are joined.
    pub email_key: Option<String>,
    /// [`crate::mapping::codes::number_key`] of the verified number, where there is one.
    pub number: Option<String>,
    /// The e-mail, folded as user names are, if it is not the user name, too.
    pub address_key: Option<String>,
    /// There is metadata, which would stay behind if the account were joined to another.
    pub has_metadata: bool,
    /// The links of its own.
    pub links: Vec<Link>,
    /// What is to be sent, or why nothing is.
    pub plan: Result<Wanted, Blocked>,
    /// What there is to say.
    pub findings: Vec<Finding>,
}

/// What is to be sent, as the ledger knows it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The user name, folded as ZITADEL's unique constraint folds it.
    pub name_key: String,
    /// The road.
    pub route: Route,
    /// Everything but the password.
    pub profile: Digest,
    /// The password.
    pub password: Option<Digest>,
    /// The second factors.
    pub factors: Option<Digest>,
    /// The same, field by field ([`crate::mapping::facts`], encoded), if the ledger has users to compare with.
    pub facts: Option<Vec<u8>>,
}

/// A line of the export that is no user.
#[derive(Debug, Clone)]
pub struct PlannedLine {
    /// The export file, from 0.
    pub file: i64,
    /// The line in it, from 1.
    pub line: u64,
    /// The row in it, from 1: what tells two rows on one line apart.
    pub row: u64,
    /// Where it could be read.
    pub user_id: Option<String>,
    /// Where it could be read.
    pub connection: Option<String>,
    /// Rejected or skipped.
    pub outcome: Outcome,
    /// Why.
    pub code: BlockedCode,
    /// What about it.
    pub detail: Option<String>,
}

/// Prepares the tables for a plan pass; what an earlier, interrupted pass of the same run wrote is undone.
///
/// # Errors
/// As SQLite.
pub fn begin(transaction: &Transaction<'_>, run: i64) -> Result<()> {
    // Whatever plan there was is no plan any more.
    transaction.execute("UPDATE runs SET planned_at = NULL, inputs_digest = NULL WHERE run = ?1", [run])?;
    transaction.execute("DELETE FROM lines WHERE run = ?1", [run])?;
    transaction.execute("UPDATE users SET run = 0 WHERE run = ?1", [run])?;
    transaction.execute("UPDATE links SET run = 0 WHERE run = ?1", [run])?;
    transaction.execute("DELETE FROM joined WHERE have = 0", [])?;
    transaction.execute("UPDATE joined SET run = 0 WHERE run = ?1", [run])?;
    transaction.execute("DELETE FROM instance_users", [])?;
    address_queries::begin(transaction)?;
    // Rebuilt after the pass: cheaper than keeping it up to date.
    transaction.execute_batch(
        "DROP INDEX IF EXISTS users_by_name; DROP INDEX IF EXISTS users_by_email;
         DROP INDEX IF EXISTS links_by_identity; DROP INDEX IF EXISTS instance_users_by_name",
    )
}

/// Writes planned users. A second row with the same `user_id` in one run goes to `lines`: as skipped when it is of the
/// same connection, as rejected when it is another account.
///
/// # Errors
/// As SQLite.
pub fn put_users(transaction: &Transaction<'_>, run: i64, users: &[PlannedUser]) -> Result<()> {
    let mut upsert = transaction.prepare(
        "INSERT INTO users (user_id, connection, run, file, line, row, name_key, verified, last_login, route,
                            want_profile, want_password, action, progress, outcome, code, detail, findings,
                            email_key, has_metadata, want_factors, row_profile, number, want_facts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?11, ?22, ?23)
         ON CONFLICT (user_id) DO UPDATE SET
           connection = excluded.connection, run = excluded.run, file = excluded.file, line = excluded.line,
           row = excluded.row,
           name_key = excluded.name_key, verified = excluded.verified,
           last_login = excluded.last_login, route = excluded.route, want_profile = excluded.want_profile,
           want_password = excluded.want_password, want_factors = excluded.want_factors, code = excluded.code, detail = excluded.detail,
           row_profile = excluded.row_profile, number = excluded.number,
           findings = excluded.findings, visible = 0, want_facts = excluded.want_facts, keeps = 0,
           email_key = excluded.email_key, has_metadata = excluded.has_metadata, adjusted = 0,
           -- A name that ZITADEL has from us stays; one that was only planned is planned anew.
           name_suffix = CASE WHEN owner = 1 THEN name_suffix ELSE NULL END,
           owner = CASE WHEN owner = 2 THEN 0 ELSE owner END,
           action = CASE
             WHEN excluded.action IN (4, 5) THEN excluded.action
             WHEN owner = 1 AND progress IN (1, 2) THEN 1
             WHEN owner = 1 AND have_profile IS excluded.want_profile
                  AND (excluded.want_password IS NULL OR have_password IS excluded.want_password)
                  AND (excluded.want_factors IS NULL OR have_factors IS excluded.want_factors) THEN 2
             WHEN owner = 1 THEN 1
             ELSE 0 END,
           -- A user whose last request is in doubt stays in doubt, whatever the new plan says.
           progress = CASE
             WHEN progress IN (1, 2) THEN 2
             WHEN excluded.action IN (4, 5) THEN 3
             WHEN owner = 1 AND have_profile IS excluded.want_profile
                  AND (excluded.want_password IS NULL OR have_password IS excluded.want_password)
                  AND (excluded.want_factors IS NULL OR have_factors IS excluded.want_factors) THEN 3
             ELSE 0 END,
           outcome = CASE
             WHEN excluded.action IN (4, 5) THEN excluded.outcome
             WHEN progress IN (1, 2) THEN 6
             WHEN owner = 1 AND have_profile IS excluded.want_profile
                  AND (excluded.want_password IS NULL OR have_password IS excluded.want_password)
                  AND (excluded.want_factors IS NULL OR have_factors IS excluded.want_factors) THEN 2
             ELSE NULL END
         WHERE users.run <> excluded.run",
    )?;
    for user in users {
        let blocked = user.plan.as_ref().err();
        let wanted = user.plan.as_ref().ok();
        let findings = (!user.findings.is_empty()).then(|| serde_json::to_string(&user.findings).unwrap_or_default());
        let changed = upsert.execute(params![
            user.user_id,
            user.connection,
            run,
            user.file,
            user.line,
            user.row,
            wanted.map(|w| &w.name_key),
            user.verified,
            user.last_login,
            wanted.map(|w| route_number(w.route)),
            wanted.map(|w| w.profile),
            wanted.and_then(|w| w.password),
            blocked.map_or(Action::Create, |b| if is_skip(b) { Action::Skip } else { Action::Blocked }),
            if blocked.is_some() { Progress::Done } else { Progress::Pending },
            blocked.map(|b| if is_skip(b) { Outcome::Skipped } else { Outcome::Rejected }),
            blocked.map(|b| b.code.code()),
            blocked.and_then(|b| b.detail.as_deref()),
            findings,
            user.email_key,
            user.has_metadata,
            wanted.and_then(|w| w.factors),
            user.number,
            wanted.and_then(|w| w.facts.as_deref()),
        ])?;
        if changed == 0 {
            put_duplicate(transaction, run, user)?;
        } else {
            link_queries::put_links(transaction, run, &user.user_id, &user.links)?;
            address_queries::put(transaction, user)?;
        }
    }
    Ok(())
}

/// Left out on purpose: nobody has anything to mend.
fn is_skip(blocked: &Blocked) -> bool {
    blocked.code == BlockedCode::Filtered
}

fn put_duplicate(transaction: &Transaction<'_>, run: i64, user: &PlannedUser) -> Result<()> {
    let (file, line, connection): (i64, u64, Option<String>) =
        transaction.one("SELECT file, line, connection FROM users WHERE user_id = ?1", [&user.user_id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let same = connection == user.connection;
    let place = if file == user.file { format!("line {line}") } else { format!("file {} line {line}", file + 1) };
    let detail = match (&connection, same) {
        (Some(connection), false) => format!("first in {place}, of connection `{connection}`"),
        _ => format!("first in {place}"),
    };
    let line = PlannedLine {
        file: user.file,
        line: user.line,
        row: user.row,
        user_id: Some(user.user_id.clone()),
        connection: user.connection.clone(),
        outcome: if same { Outcome::Skipped } else { Outcome::Rejected },
        code: BlockedCode::DuplicateUserId,
        detail: Some(detail),
    };
    put_lines(transaction, run, std::slice::from_ref(&line))
}

/// Writes lines that are no user of their own.
///
/// # Errors
/// As SQLite.
pub fn put_lines(transaction: &Transaction<'_>, run: i64, lines: &[PlannedLine]) -> Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO lines (run, file, line, row, user_id, connection, outcome, code, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for line in lines {
        insert.execute(params![
            run,
            line.file,
            line.line,
            line.row,
            line.user_id,
            line.connection,
            line.outcome,
            line.code.code(),
            line.detail
        ])?;
    }
    Ok(())
}

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

/// Makes the index by name; call it once after the pass.
///
/// # Errors
/// As SQLite.
pub fn index_names(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute_batch(
        "CREATE INDEX IF NOT EXISTS users_by_name ON users (name_key);
         CREATE INDEX IF NOT EXISTS users_by_email ON users (email_key) WHERE email_key IS NOT NULL;
         CREATE INDEX IF NOT EXISTS links_by_identity ON links (idp_id, folded);
         CREATE INDEX IF NOT EXISTS instance_users_by_name ON instance_users (name_key)",
    )
}

/// All claims on names that more than one row of the ledger has, ordered by name; a name may turn out to have one claim.
///
/// # Errors
/// As SQLite.
pub fn contested(connection: &Snapshot<'_>, run: i64) -> Result<Vec<Claim>> {
    connection.all(
        &format!(
            "SELECT {CLAIM} FROM users
             -- The index alone answers the inner part; who of them counts is asked of the few that it finds.
             WHERE name_key IN (SELECT name_key FROM users WHERE name_key IS NOT NULL
                                GROUP BY name_key HAVING count(*) > 1)
               AND ((run = ?1 AND action NOT IN (4, 5)) OR owner = 1)
             ORDER BY name_key, user_id"
        ),
        [run],
        claim,
    )
}

pub(super) const CLAIM: &str = "user_id, name_key, connection, owner = 1, verified, want_password IS NOT NULL, last_login, want_profile, name_suffix";

pub(super) fn claim(row: &rusqlite::Row<'_>) -> rusqlite::Result<Claim> {
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

/// Blocks a planned user.
///
/// # Errors
/// As SQLite.
pub fn block(transaction: &Transaction<'_>, user_id: &str, blocked: &Blocked) -> Result<()> {
    transaction.execute(
        // A user in doubt stays in doubt: whether ZITADEL has the user is found out, whatever becomes of the row.
        "UPDATE users SET action = 4, progress = CASE WHEN progress IN (1, 2) THEN 2 ELSE 3 END, outcome = 5,
                    code = ?2, detail = ?3
             WHERE user_id = ?1",
        params![user_id, blocked.code.code(), blocked.detail],
    )?;
    Ok(())
}

/// Gives a planned user another name.
///
/// # Errors
/// As SQLite.
pub fn rename(
    transaction: &Transaction<'_>,
    user_id: &str,
    suffix: &str,
    name_key: &str,
    profile: Digest,
    finding: &Finding,
) -> Result<()> {
    let finding = serde_json::to_string(finding).unwrap_or_default();
    // With the name that ZITADEL has, a user of ours may turn out to be unchanged.
    let same = "owner = 1 AND progress NOT IN (1, 2) AND have_profile IS ?4
                AND (want_password IS NULL OR have_password IS want_password)
                AND (want_factors IS NULL OR have_factors IS want_factors)";
    transaction.execute(
        &format!(
            "UPDATE users SET name_suffix = ?2, name_key = ?3, want_profile = ?4,
                    findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?5)),
                    action = CASE WHEN {same} THEN 2 ELSE action END,
                    outcome = CASE WHEN {same} THEN 2 ELSE outcome END,
                    progress = CASE WHEN {same} THEN 3 ELSE progress END
             WHERE user_id = ?1"
        ),
        params![user_id, suffix, name_key, profile, finding],
    )?;
    Ok(())
}

/// Claims of users of ours whose name in ZITADEL has a suffix already.
///
/// # Errors
/// As SQLite.
pub fn suffixed_before(connection: &Snapshot<'_>, run: i64) -> Result<Vec<Claim>> {
    connection.all(&format!(
            "SELECT {CLAIM} FROM users WHERE run = ?1 AND owner = 1 AND name_suffix IS NOT NULL AND action NOT IN (4, 5)"
        ), [run], claim)
}

/// Does another planned user, or one of ours, have this name?
///
/// # Errors
/// As SQLite.
pub fn name_is_claimed(connection: &Snapshot<'_>, run: i64, name_key: &str) -> Result<bool> {
    connection.exists(
        "SELECT 1 FROM users WHERE name_key = ?2 AND ((run = ?1 AND action NOT IN (4, 5)) OR owner = 1)",
        params![run, name_key],
    )
}

/// A plan that is made anew in the middle of a run finds whom the run wrote before unchanged: what became of them in this
/// run counts.
///
/// # Errors
/// As SQLite.
pub fn count_as_written(transaction: &Transaction<'_>, run: i64) -> Result<()> {
    transaction
        .execute(
            "UPDATE users SET outcome = wrote
             WHERE run = ?1 AND wrote_run = ?1 AND owner = 1 AND action = 2 AND outcome = 2 AND wrote IN (0, 1)",
            [run],
        )
        .map(drop)
}

/// The names that are to be created, folded, for a search where paging the whole instance would be dearer.
///
/// # Errors
/// As SQLite.
pub fn names_to_create(connection: &Snapshot<'_>, run: i64, limit: u64) -> Result<Vec<String>> {
    connection.all(
        "SELECT name_key FROM users WHERE run = ?1 AND action = 0 AND progress = 0 LIMIT ?2",
        params![run, limit],
        |row| row.get(0),
    )
}

/// How many users the ledger says are ours.
///
/// # Errors
/// As SQLite.
pub fn count_ours(connection: &Snapshot<'_>) -> Result<u64> {
    connection.one("SELECT count(*) FROM users WHERE owner = ?1", [Owner::Ours], |row| row.get(0))
}

/// How many users are planned for `action`.
///
/// # Errors
/// As SQLite.
pub fn count_action(connection: &Snapshot<'_>, run: i64, action: Action) -> Result<u64> {
    connection
        .first("SELECT count(*) FROM users WHERE run = ?1 AND action = ?2", params![run, action], |row| row.get(0))
        .map(Option::unwrap_or_default)
}
