//! What the import reads and writes. Everything is keyed by `user_id`.

use rusqlite::params;

use super::sql::{Result, Snapshot, Transaction};
use super::{
    model::{Action, Outcome, Owner, Progress, route_of},
    plan_queries::Digest,
};
use crate::mapping::{
    draft::Route,
    facts::Facts,
    finding::{Finding, FindingCode},
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
    /// The plan made more of the user than the row itself says: see [`super::link_queries`].
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
/// As SQLite.
pub fn todo(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<Option<Todo>> {
    let todo = connection.first("SELECT file, row, action, progress, name_suffix, route, want_profile, have_password, password_at,
                    have_profile IS zeroblob(16), have_inactive, sent_profile, sent_password, organization, adjusted, have_factors,
                    facts, sent_facts
             FROM users
             WHERE user_id = ?1 AND run = ?2 AND action IN (0, 1) AND progress <> 3", params![user_id, run], |row| {
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
        })?;
    let Some(mut todo) = todo else { return Ok(None) };
    if todo.action == Action::Update {
        todo.have_links = super::link_queries::have(connection, user_id)?;
    }
    if todo.progress != Progress::Pending {
        todo.sent_links = super::link_queries::ever(connection, user_id)?;
    }
    Ok(Some(todo))
}

/// How many users are left to do.
///
/// # Errors
/// As SQLite.
pub fn count_todo(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one("SELECT count(*) FROM users WHERE run = ?1 AND action IN (0, 1) AND progress <> 3", [run], |row| {
        row.get(0)
    })
}

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
    let now = super::runs::now();
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

/// A user whose fate is certain.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Whose.
    pub user_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, for all but a plain success.
    pub code: Option<&'static str>,
    /// What about it; the server's id and words, never a secret.
    pub detail: Option<String>,
    /// One more thing to say.
    pub finding: Option<Finding>,
    /// And about the second factors.
    pub factor_finding: Option<Finding>,
    /// What the merge with ZITADEL's values came to, if there was one; it replaces what an earlier one found.
    pub merged: Option<Vec<Finding>>,
    /// What ZITADEL has from us now: everything but the password, and the password.
    pub have: Option<(Digest, Option<Digest>)>,
    /// The second factors among it.
    pub factors: Option<Digest>,
    /// The same, field by field, for `verify`: [`crate::mapping::facts`], encoded.
    pub facts: Option<Vec<u8>>,
    /// The user was made inactive by us.
    pub inactive: bool,
    /// When ZITADEL says that our password change was, where it was one.
    pub password_at: Option<String>,
    /// The road it took.
    pub route: Option<Route>,
    /// The links that ZITADEL has from us now (provider and external id), where they were written.
    pub links: Option<Vec<(String, String)>>,
    /// What there is to say about the links.
    pub link_finding: Option<Finding>,
    /// Whatever the outcome: we created the user whom ZITADEL has.
    pub ours: bool,
}

impl Settled {
    /// A user who ended so, with nothing more to say.
    #[must_use]
    pub fn new(user_id: &str, outcome: Outcome) -> Self {
        Self {
            user_id: user_id.to_owned(),
            outcome,
            code: None,
            detail: None,
            finding: None,
            factor_finding: None,
            merged: None,
            have: None,
            factors: None,
            facts: None,
            inactive: false,
            password_at: None,
            route: None,
            links: None,
            link_finding: None,
            ours: false,
        }
    }
}

/// Settles users.
///
/// # Errors
/// As SQLite.
pub fn settle(transaction: &Transaction<'_>, settled: &[Settled]) -> Result<()> {
    let mut update = transaction.prepare(
        // Whom this run created, and then wrote once more (planned anew in the middle), it created.
        "UPDATE users SET progress = 3, code = ?3, detail = ?4,
                outcome = CASE WHEN ?2 = 1 AND wrote_run = run AND wrote = 0 THEN 0 ELSE ?2 END,
                wrote = CASE WHEN ?2 = 0 OR (?2 = 1 AND (wrote_run IS NOT run OR wrote <> 0)) THEN ?2 ELSE wrote END,
                wrote_run = CASE WHEN ?2 IN (0, 1) THEN run ELSE wrote_run END,
                owner = CASE WHEN ?13 OR ?2 IN (0, 1) THEN 1 WHEN ?2 = 3 THEN 2 ELSE owner END,
                have_profile = coalesce(?5, have_profile), have_password = coalesce(?6, have_password),
                findings = CASE WHEN ?7 IS NULL THEN findings
                                ELSE json_insert(coalesce(findings, '[]'), '$[#]', json(?7)) END,
                route = coalesce(?8, route), password_at = coalesce(?9, password_at),
                have_inactive = CASE WHEN ?5 IS NULL THEN have_inactive ELSE ?10 END,
                facts = coalesce(?11, facts), sent_facts = NULL, settled_at = ?12, have_factors = coalesce(?14, have_factors)
         WHERE user_id = ?1",
    )?;
    let mut also = transaction.prepare(
        "UPDATE users SET findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?2)) WHERE user_id = ?1",
    )?;
    let mut joined = transaction.prepare(
        "UPDATE joined SET have = 1 WHERE into_id = ?1 AND run = (SELECT run FROM users WHERE user_id = ?1)",
    )?;
    let now = super::runs::now();
    for user in settled {
        if let Some(merged) = &user.merged {
            put_merged(transaction, &user.user_id, merged)?;
        }
        let finding = user.finding.as_ref().map(|f| serde_json::to_string(f).unwrap_or_default());
        if let Some(finding) = &user.factor_finding {
            also.execute(params![user.user_id, serde_json::to_string(finding).unwrap_or_default()])?;
        }
        update.execute(params![
            user.user_id,
            user.outcome,
            user.code,
            user.detail,
            user.have.as_ref().map(|(profile, _)| *profile),
            user.have.as_ref().and_then(|(_, password)| *password),
            finding,
            user.route.map(super::model::route_number),
            user.password_at,
            user.inactive,
            user.facts,
            now,
            user.ours,
            user.factors,
        ])?;
        if user.have.is_some() {
            joined.execute([&user.user_id])?;
        }
        if let Some(links) = &user.links {
            super::link_queries::set_have(transaction, &user.user_id, links)?;
        }
        if let Some(finding) = &user.link_finding {
            super::link_queries::find(transaction, &user.user_id, finding)?;
        }
    }
    Ok(())
}

/// Puts what a merge came to in place of what an earlier one found, and counts the user among those who keep a value.
///
/// # Errors
/// As SQLite.
pub fn put_merged(transaction: &Transaction<'_>, user_id: &str, merged: &[Finding]) -> Result<()> {
    let known: Option<String> =
        transaction.one("SELECT findings FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))?;
    let mut findings: Vec<Finding> = known.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    findings.retain(|finding| !finding.code.is_of_merge());
    findings.extend_from_slice(merged);
    let keeps = merged.iter().any(|finding| finding.code != FindingCode::FieldOverwritten);
    let findings = (!findings.is_empty()).then(|| serde_json::to_string(&findings).unwrap_or_default());
    transaction
        .execute("UPDATE users SET findings = ?2, keeps = ?3 WHERE user_id = ?1", params![user_id, findings, keeps])?;
    Ok(())
}

/// Users that this run wrote. One that was planned anew in the middle counts those whom it wrote before as unchanged: the
/// time tells.
const WRITTEN: &str = "run = ?1 AND (outcome IN (0, 1) OR (outcome = 2 AND owner = 1
    AND settled_at > (SELECT started_at FROM runs WHERE run = ?1)))";

/// Ids of users that this run wrote and that were not seen in ZITADEL yet, after `after` (the ledger's own row number);
/// each with that number.
///
/// # Errors
/// As SQLite.
pub fn not_seen(connection: &Snapshot<'_>, run: i64, after: i64, limit: usize) -> Result<Vec<(i64, String)>> {
    connection.all(
        &format!("SELECT id, user_id FROM users WHERE id > ?2 AND {WRITTEN} AND visible = 0 ORDER BY id LIMIT ?3"),
        params![run, after, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
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
    super::link_queries::set_have(transaction, user_id, &[])?;
    super::code_queries::forget(transaction, user_id)?;
    super::grant_queries::forget_grants(transaction, user_id)
}

/// Ids of users whom this run created and whom no search has found, at most `limit`.
///
/// # Errors
/// As SQLite.
pub fn created_not_seen(connection: &Snapshot<'_>, run: i64, limit: usize) -> Result<Vec<String>> {
    connection.all(
        "SELECT user_id FROM users WHERE run = ?1 AND outcome = 0 AND visible = 0 ORDER BY id LIMIT ?2",
        params![run, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| row.get(0),
    )
}

/// These users were found by a search.
///
/// # Errors
/// As SQLite.
pub fn set_seen(transaction: &Transaction<'_>, user_ids: &[String]) -> Result<()> {
    let mut update = transaction.prepare("UPDATE users SET visible = 1 WHERE user_id = ?1")?;
    for user_id in user_ids {
        update.execute([user_id])?;
    }
    Ok(())
}

/// Of the users that this run wrote: how many there are, and how many were seen.
///
/// # Errors
/// As SQLite.
pub fn count_seen(connection: &Snapshot<'_>, run: i64) -> Result<(u64, u64)> {
    connection.one(&format!("SELECT count(*), coalesce(sum(visible), 0) FROM users WHERE {WRITTEN}"), [run], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// Whether a user of this ledger is ours.
///
/// # Errors
/// As SQLite.
pub fn owner(connection: &Snapshot<'_>, user_id: &str) -> Result<Option<Owner>> {
    connection.first("SELECT owner FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    #[test]
    fn whom_a_run_wrote_before_it_was_planned_anew_is_counted_back_too() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        ledger
            .write_blocking(|t| {
                t.execute("INSERT INTO runs (run, started_at) VALUES (2, '2026-11-23T10:00:00Z')", [])?;
                let mut insert = t.prepare(
                    "INSERT INTO users (user_id, run, file, line, row, action, owner, progress, outcome, settled_at, visible)
                     VALUES (?1, 2, 0, 1, 1, 0, 1, 3, ?2, ?3, ?4)",
                )?;
                insert.execute(params!["created", 0, "2026-11-23T10:05:00Z", true])?;
                insert.execute(params!["before-the-plan", 2, "2026-11-23T10:00:01Z", false])?;
                insert.execute(params!["of-an-earlier-run", 2, "2026-11-23T10:00:00Z", false])?;
                Ok(())
            })
            .unwrap();
        assert_eq!(ledger.read(|c| count_seen(c, 2)).unwrap(), (2, 1));
        let ids: Vec<_> = ledger.read(|c| not_seen(c, 2, 0, 10)).unwrap().into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, ["before-the-plan"]);
    }
}
