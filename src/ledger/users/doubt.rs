//! Users whose last request may have been carried out.

use rusqlite::params;

use crate::{
    ledger::{
        codes::forget,
        grants::forget_grants,
        links::set_have,
        runs::now,
        sql::{Result, Snapshot, Transaction},
        states::{Outcome, Owner, Progress},
        users::plan::Digest,
    },
    mapping::finding::Finding,
};

/// How many of them are in doubt.
///
/// # Errors
/// As SQLite.
pub fn count_in_doubt(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one("SELECT count(*) FROM users WHERE run = ?1 AND progress IN (1, 2)", [run], |row| row.get(0))
}

/// A user in doubt whom a run does not send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Whose.
    pub user_id: String,
    /// Blocked in Auth0, by the latest export that held the user.
    pub blocked: bool,
    /// Where the request would have created the user; none: in the main organization.
    pub organization: Option<String>,
}

/// Users in doubt whom `run` does not send: its plan blocks them, or its export does not hold them. At most `limit`.
///
/// # Errors
/// As SQLite.
pub fn in_doubt_aside(connection: &Snapshot<'_>, run: i64, limit: usize) -> Result<Vec<Aside>> {
    connection.all(
        r#"SELECT user_id, coalesce(findings, '') LIKE '%"blocked-user"%', organization FROM users
               WHERE progress IN (1, 2) AND (run <> ?1 OR action NOT IN (0, 1)) ORDER BY id LIMIT ?2"#,
        params![run, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| Ok(Aside { user_id: row.get(0)?, blocked: row.get(1)?, organization: row.get(2)? }),
    )
}

/// Settles users of [`in_doubt_aside`], each with whether ZITADEL has the user: then the user is ours, and `finding` says
/// so beside what blocks the row.
///
/// # Errors
/// As SQLite.
pub fn settled_aside(transaction: &Transaction<'_>, users: &[(String, bool)], finding: &Finding) -> Result<()> {
    let finding = serde_json::to_string(finding).unwrap_or_default();
    // Whoever is not blocked is of an older run: created then, or not at all.
    let mut update = transaction.prepare(
        "UPDATE users SET progress = CASE WHEN ?2 OR action IN (4, 5) THEN 3 ELSE 0 END,
                owner = CASE WHEN ?2 THEN 1 ELSE owner END,
                settled_at = CASE WHEN ?2 THEN ?4 ELSE settled_at END,
                outcome = CASE action WHEN 4 THEN 5 WHEN 5 THEN 4 ELSE CASE WHEN ?2 THEN 0 END END,
                findings = CASE WHEN ?2 THEN json_insert(coalesce(findings, '[]'), '$[#]', json(?3)) ELSE findings END
         WHERE user_id = ?1 AND progress IN (1, 2)",
    )?;
    let now = now();
    for (user_id, there) in users {
        update.execute(params![user_id, there, finding, now])?;
    }
    Ok(())
}

/// These users' progress changes; a user in doubt stays in doubt when a request begins.
///
/// # Errors
/// As SQLite.
pub fn set_progress(transaction: &Transaction<'_>, user_ids: &[String], progress: Progress) -> Result<()> {
    let mut update =
        transaction.prepare("UPDATE users SET progress = ?2, outcome = 6 WHERE user_id = ?1 AND progress < ?2")?;
    for user_id in user_ids {
        update.execute(params![user_id, progress])?;
    }
    Ok(())
}

/// What a request is about to say of a user.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Whose.
    pub user_id: String,
    /// Everything but the password.
    pub profile: Digest,
    /// The password.
    pub password: Option<Digest>,
    /// The same, field by field: [`crate::mapping::facts`], encoded.
    pub facts: Vec<u8>,
}

/// A request with these users is about to leave. Whoever is in doubt stays in doubt.
///
/// # Errors
/// As SQLite.
pub fn begin_request(transaction: &Transaction<'_>, users: &[Sent]) -> Result<()> {
    let mut update = transaction.prepare(
        "UPDATE users SET progress = max(progress, 1), outcome = 6, sent_profile = ?2, sent_password = ?3,
                sent_facts = ?4
         WHERE user_id = ?1 AND progress < 3",
    )?;
    for user in users {
        update.execute(params![user.user_id, user.profile, user.password, user.facts])?;
    }
    Ok(())
}

/// A request with these users was certainly not carried out: they are as they were before it.
///
/// # Errors
/// As SQLite.
pub fn not_sent(transaction: &Transaction<'_>, user_ids: &[String]) -> Result<()> {
    let mut update = transaction.prepare(
        "UPDATE users SET progress = 0, outcome = NULL, sent_facts = NULL WHERE user_id = ?1 AND progress = 1",
    )?;
    for user_id in user_ids {
        update.execute([user_id])?;
    }
    Ok(())
}

/// A user of this ledger is about to be deleted, to be created once more; or (`back`) it was not done after all. Until then
/// the user is in doubt, and so are the user's grants.
///
/// # Errors
/// As SQLite.
pub fn doubt(transaction: &Transaction<'_>, user_id: &str, back: bool) -> Result<()> {
    let (progress, outcome, owner) = if back {
        (Progress::Done, Outcome::Created, Owner::Ours)
    } else {
        // Like a creation in doubt: a plan that is made anew must create whoever is gone, not miss them.
        (Progress::Unknown, Outcome::Unknown, Owner::None)
    };
    transaction.execute(
        "UPDATE users SET progress = ?2, outcome = ?3, owner = ?4 WHERE user_id = ?1",
        params![user_id, progress, outcome, owner],
    )?;
    transaction
        .execute(
            "UPDATE grants SET progress = ?2, sent = CASE WHEN ?2 = 3 THEN NULL ELSE have END
             WHERE user_id = ?1 AND owner = 1",
            params![user_id, progress],
        )
        .map(drop)
}

/// A user who is to be created once more, as if the first time had not been.
///
/// # Errors
/// As SQLite.
pub fn start_again(transaction: &Transaction<'_>, user_id: &str) -> Result<()> {
    transaction.execute(
        "UPDATE users SET action = 0, progress = 0, outcome = NULL, code = NULL, detail = NULL, owner = 0,
                have_profile = NULL, have_password = NULL, have_factors = NULL, facts = NULL, password_at = NULL,
                have_inactive = 0, settled_at = NULL, visible = 0, wrote_run = NULL, wrote = NULL,
                sent_profile = NULL, sent_password = NULL, sent_facts = NULL
         WHERE user_id = ?1",
        [user_id],
    )?;
    set_have(transaction, user_id, &[])?;
    forget(transaction, user_id)?;
    forget_grants(transaction, user_id)
}
