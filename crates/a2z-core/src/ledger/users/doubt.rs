//! Users whose last request may have been carried out.

use rusqlite::params;

use crate::{
    ledger::{
        codes::forget,
        grants::forget_grants,
        life,
        links::set_have,
        repairs,
        runs::now,
        sql::{Result, Snapshot, Transaction},
        states::{DONE, IN_DOUBT, OURS, Progress, TO_SEND},
        users::planned::Digest,
    },
    mapping::finding::Finding,
    user::state::{Event, Found, State},
};

/// How many of them are in doubt.
///
/// # Errors
/// If SQLite fails.
pub fn count_in_doubt(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection
        .one(&format!("SELECT count(*) FROM users WHERE run = ?1 AND progress IN {IN_DOUBT}"), [run], |row| row.get(0))
}

/// A user in doubt that a run does not send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The ledger's own row number.
    pub row: i64,
    /// Whose.
    pub user_id: String,
    /// An earlier request, whose answer was read, created the user; the one in doubt is an update.
    pub ours: bool,
    /// Blocked in Auth0, by the latest export that held the user.
    pub blocked: bool,
    /// Where the request would have created the user; none: in the main organization.
    pub organization: Option<String>,
}

/// Users in doubt that `run` does not send, after row `after`: its plan blocks them, or its export does not hold them. At
/// most `limit`.
///
/// # Errors
/// If SQLite fails.
pub fn in_doubt_aside(connection: &Snapshot<'_>, run: i64, after: i64, limit: usize) -> Result<Vec<Aside>> {
    connection.all(
        &format!(
            "SELECT id, user_id, owner = {OURS}, blocked, organization FROM users
             WHERE progress IN {IN_DOUBT} AND (run <> ?1 OR action NOT IN {TO_SEND}) AND id > ?2 ORDER BY id LIMIT ?3"
        ),
        params![run, after, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            Ok(Aside {
                row: row.get(0)?,
                user_id: row.get(1)?,
                ours: row.get(2)?,
                blocked: row.get(3)?,
                organization: row.get(4)?,
            })
        },
    )
}

/// Resolves users of [`in_doubt_aside`], each with who has the user in ZITADEL; of one who is ours, `finding` says so
/// beside what blocks the row.
///
/// # Errors
/// If SQLite fails.
pub fn settled_aside(transaction: &Transaction<'_>, users: &[(String, Found)], finding: &Finding) -> Result<()> {
    let finding = serde_json::to_string(finding).unwrap_or_default();
    let mut ours = transaction.prepare(
        "UPDATE users SET settled_at = ?3, findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?2))
         WHERE user_id = ?1",
    )?;
    let now = now();
    for (user_id, found) in users {
        life::take(transaction, user_id, Event::Resolve(*found))?;
        if *found == Found::Ours {
            ours.execute(params![user_id, finding, now])?;
        }
    }
    Ok(())
}

/// The answers about these users were lost. Whoever is settled stays settled.
///
/// # Errors
/// If SQLite fails.
pub fn lost(transaction: &Transaction<'_>, user_ids: &[String]) -> Result<()> {
    user_ids.iter().try_for_each(|user_id| life::take_if_known(transaction, user_id, Event::Lose).map(drop))
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
/// If SQLite fails.
pub fn begin_request(transaction: &Transaction<'_>, users: &[Sent]) -> Result<()> {
    let mut update = transaction
        .prepare("UPDATE users SET sent_profile = ?2, sent_password = ?3, sent_facts = ?4 WHERE user_id = ?1")?;
    for user in users {
        life::take(transaction, &user.user_id, Event::Send)?;
        update.execute(params![user.user_id, user.profile, user.password, user.facts])?;
    }
    Ok(())
}

/// A request with these users was certainly not carried out: they are as they were before it.
///
/// # Errors
/// If SQLite fails.
pub fn not_sent(transaction: &Transaction<'_>, user_ids: &[String]) -> Result<()> {
    let mut update = transaction.prepare("UPDATE users SET sent_facts = NULL WHERE user_id = ?1")?;
    for user_id in user_ids {
        if let Some(State::Planned(_)) = life::take_if_known(transaction, user_id, Event::NotSent)? {
            update.execute([user_id])?;
        }
    }
    Ok(())
}

/// A user of this ledger is about to be deleted, to be created once more; or (`back`) it was not done after all. Until then
/// the user is in doubt, and so are the user's grants.
///
/// # Errors
/// If SQLite fails.
pub fn doubt(transaction: &Transaction<'_>, user_id: &str, back: bool) -> Result<()> {
    life::take(transaction, user_id, if back { Event::Keep } else { Event::Delete })?;
    let progress = if back { Progress::Done } else { Progress::Unknown };
    transaction
        .execute(
            &format!(
                "UPDATE grants SET progress = ?2, sent = CASE WHEN ?2 = {DONE} THEN NULL ELSE have END
                 WHERE user_id = ?1 AND owner = {OURS}"
            ),
            params![user_id, progress],
        )
        .map(drop)
}

/// A user who is to be created once more, as if the first time had not been.
///
/// # Errors
/// If SQLite fails.
pub fn start_again(transaction: &Transaction<'_>, user_id: &str) -> Result<()> {
    life::take(transaction, user_id, Event::Deleted)?;
    transaction.execute(
        "UPDATE users SET code = NULL, detail = NULL,
                have_profile = NULL, have_password = NULL, have_factors = NULL, facts = NULL, password_at = NULL,
                have_inactive = 0, settled_at = NULL, visible = 0, wrote_run = NULL, wrote = NULL,
                sent_profile = NULL, sent_password = NULL, sent_facts = NULL
         WHERE user_id = ?1",
        [user_id],
    )?;
    set_have(transaction, user_id, &[])?;
    forget(transaction, user_id)?;
    repairs::forget(transaction, user_id)?;
    forget_grants(transaction, user_id)
}
