//! What is left to do with a user.

use rusqlite::params;

use crate::{
    ledger::{
        links::{ever, have},
        sql::{Result, Snapshot, Transaction},
        states::{Action, BY_IMPORT, DONE, MOVING, OURS, PENDING, Progress, TO_SEND, TO_UPDATE, route_of},
        users::{
            planned::{Digest, PlannedUser},
            rows::adjust_profile,
        },
    },
    mapping::{draft::Route, facts::Facts},
};

/// What is to be done with a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Todo {
    /// The export file and row that count, where the same id stands in several.
    pub place: (i64, u64),
    /// Create or update.
    pub action: Action,
    /// In doubt, when an earlier answer was lost.
    pub progress: Progress,
    /// Appended to the user name, where the plan says so.
    pub name_suffix: Option<String>,
    /// The plan made more of the user than the row itself says: see [`crate::ledger::links`].
    pub adjusted: bool,
    /// The links that ZITADEL has from us: provider and external id.
    pub have_links: Vec<(String, String)>,
    /// Of a user in doubt: every link that a lost request may have brought.
    pub sent_links: Vec<(String, String)>,
    /// The road.
    pub route: Route,
    /// What the plan wants; the import must come to the same.
    pub profile: Digest,
    /// The password that ZITADEL has from us.
    pub have_password: Option<Digest>,
    /// We deactivated the user.
    pub have_inactive: bool,
    /// What the last request said, whose answer was lost.
    pub sent: Option<(Digest, Option<Digest>)>,
    /// The second factors that ZITADEL has from us.
    pub have_factors: Option<Digest>,
    /// When ZITADEL says that we changed the password last; none: only when we created the user.
    pub password_at: Option<String>,
    /// The organization that the user is in, or is to be created in; none: the main one.
    pub organization: Option<String>,
    /// What a2z wrote, field by field: [`crate::mapping::facts`].
    pub facts: Option<Facts>,
    /// What a request said whose answer may be lost.
    pub sent_facts: Option<Facts>,
    /// A part of what was to be written was not: the user is not all that `facts` say.
    pub incomplete: bool,
}

/// What is left to do with this user, if anything.
///
/// # Errors
/// If SQLite fails.
pub fn todo(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<Option<Todo>> {
    select(connection, run, user_id, &format!("action IN {TO_SEND} AND progress <> {DONE}"))
}

/// A user of ours with whom this run is done, as the plan wanted the user: for a repair.
///
/// # Errors
/// If SQLite fails.
pub fn settled_todo(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<Option<Todo>> {
    select(connection, run, user_id, &format!("action IN {MOVING} AND owner = {OURS} AND progress = {DONE}"))
}

fn select(connection: &Snapshot<'_>, run: i64, user_id: &str, filter: &str) -> Result<Option<Todo>> {
    let todo = connection.first(
        &format!(
            "SELECT file, row, action, progress, name_suffix, route, want_profile, have_password, password_at,
                    have_profile IS zeroblob(16), have_inactive, sent_profile, sent_password, organization,
                      adjusted, have_factors,
                    facts, sent_facts
             FROM users
             WHERE user_id = ?1 AND run = ?2 AND {filter}"
        ),
        params![user_id, run],
        |row| {
            Ok(Todo {
                place: (row.get(0)?, row.get(1)?),
                action: row.get(2)?,
                progress: row.get(3)?,
                name_suffix: row.get(4)?,
                route: route_of(row.get(5)?),
                profile: row.get(6)?,
                have_password: row.get(7)?,
                password_at: row.get(8)?,
                incomplete: row.get(9)?,
                have_inactive: row.get(10)?,
                adjusted: row.get(14)?,
                have_links: Vec::new(),
                sent_links: Vec::new(),
                sent: match row.get(11)? {
                    Some(profile) => Some((profile, row.get(12)?)),
                    None => None,
                },
                organization: row.get(13)?,
                have_factors: row.get(15)?,
                facts: row.get::<_, Option<Vec<u8>>>(16)?.as_deref().and_then(Facts::decode),
                sent_facts: row.get::<_, Option<Vec<u8>>>(17)?.as_deref().and_then(Facts::decode),
            })
        },
    )?;
    let Some(mut todo) = todo else { return Ok(None) };
    if todo.action != Action::Create || todo.progress == Progress::Done {
        todo.have_links = have(connection, user_id)?;
    }
    if todo.progress != Progress::Pending {
        todo.sent_links = ever(connection, user_id)?;
    }
    Ok(Some(todo))
}

/// How many users are left to do.
///
/// # Errors
/// If SQLite fails.
pub fn count_todo(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one(
        &format!("SELECT count(*) FROM users WHERE run = ?1 AND action IN {TO_SEND} AND progress <> {DONE}"),
        [run],
        |row| row.get(0),
    )
}

/// A user of ours whom a run would update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToUpdate {
    /// The ledger's own row number.
    pub id: i64,
    /// Whose.
    pub user_id: String,
    /// What a2z wrote.
    pub facts: Option<Facts>,
    /// What a request said whose answer was lost.
    pub sent: Option<Facts>,
    /// What Auth0 says, mapped.
    pub want: Facts,
    /// We deactivated the user.
    pub have_inactive: bool,
    /// The user name in ZITADEL has a suffix that is not in the row.
    pub has_suffix: bool,
}

/// Users of ours whom `run` would update, after row `after`; nobody in doubt.
///
/// # Errors
/// If SQLite fails.
pub fn to_update(connection: &Snapshot<'_>, run: i64, after: i64, limit: usize) -> Result<Vec<ToUpdate>> {
    let facts = |bytes: Option<Vec<u8>>| bytes.as_deref().and_then(Facts::decode);
    connection.all(
        &format!(
            "SELECT id, user_id, facts, want_facts, have_inactive, name_suffix IS NOT NULL, sent_facts FROM users
             WHERE id > ?2 AND run = ?1 AND owner = {OURS} AND action = {TO_UPDATE} AND progress = {PENDING}
               AND want_facts IS NOT NULL
             ORDER BY id LIMIT ?3"
        ),
        params![run, after, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            Ok(ToUpdate {
                id: row.get(0)?,
                user_id: row.get(1)?,
                facts: facts(row.get(2)?),
                sent: facts(row.get(6)?),
                want: facts(row.get(3)?).unwrap_or_default(),
                have_inactive: row.get(4)?,
                has_suffix: row.get(5)?,
            })
        },
    )
}

/// How many users that `run` would update keep a value of ZITADEL's.
///
/// # Errors
/// If SQLite fails.
pub fn count_keeping(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one(
        &format!("SELECT count(*) FROM users WHERE run = ?1 AND action = {TO_UPDATE} AND keeps"),
        [run],
        |row| row.get(0),
    )
}

/// Takes over the new fingerprint of users of ours who have another one and about whom Auth0 says, field by field, what a2z
/// wrote: nothing of them changed. Values under the metadata keys `history` do not count.
///
/// # Errors
/// If SQLite fails.
pub fn adopt_fingerprints(transaction: &Transaction<'_>, users: &[PlannedUser], history: &[String]) -> Result<()> {
    // An incomplete user has a fingerprint of zeros, and must stay different.
    let mut known = transaction.prepare(&format!(
        "SELECT facts FROM users
         WHERE user_id = ?1 AND owner = {OURS} AND progress = {DONE} AND have_profile <> ?2
           AND have_profile <> zeroblob(16)"
    ))?;
    let mut adopt = transaction.prepare("UPDATE users SET have_profile = ?2 WHERE user_id = ?1")?;
    for user in users {
        let Ok(wanted) = &user.plan else { continue };
        let Some(want) = wanted.facts.as_deref().and_then(Facts::decode) else { continue };
        let mut rows = known.query(params![user.user_id, wanted.profile])?;
        let Some(row) = rows.next()? else { continue };
        let have = row.get::<_, Option<Vec<u8>>>(0)?.as_deref().and_then(Facts::decode);
        if have.is_some_and(|have| have.is_same_profile(&want, history)) {
            drop(rows);
            adopt.execute(params![user.user_id, wanted.profile])?;
        }
    }
    Ok(())
}

/// What the fingerprint of a user that `run` is to write is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// That of the row alone.
    pub profile: Digest,
    /// There is a password to send.
    pub has_password: bool,
}

/// What the fingerprint of a user that `run` is to write is made from, with the suffix of the user name; none of anybody
/// else.
///
/// # Errors
/// If SQLite fails.
pub fn base(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<Option<(Base, Option<String>)>> {
    connection.first(
        &format!(
            "SELECT row_profile, want_password IS NOT NULL, name_suffix FROM users
             WHERE user_id = ?2 AND run = ?1 AND action IN {MOVING} AND row_profile IS NOT NULL"
        ),
        params![run, user_id],
        |row| Ok((Base { profile: row.get(0)?, has_password: row.get(1)? }, row.get(2)?)),
    )
}

/// A user whose links may not be the row's own alone (`adjusted`): another fingerprint, and maybe another road.
///
/// # Errors
/// If SQLite fails.
pub fn adjust(
    transaction: &Transaction<'_>,
    user_id: &str,
    profile: Digest,
    (adjusted, users_api): (bool, bool),
) -> Result<()> {
    transaction.execute(
        &format!("UPDATE users SET adjusted = ?3, route = max(coalesce(route, {BY_IMPORT}), ?2) WHERE user_id = ?1"),
        params![user_id, users_api, adjusted],
    )?;
    adjust_profile(transaction, user_id, profile)
}
