//! How a user ended.

use rusqlite::params;

use crate::{
    ledger::{
        life,
        links::set_have,
        runs::now,
        sql::{Result, Transaction},
        states::{Outcome, route_number},
        users::{findings::add_finding, planned::Digest},
    },
    mapping::{
        draft::Route,
        finding::{BlockedCode, Finding, FindingCode},
    },
    user::state::{Answer, Event},
};

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
    /// Whatever the outcome: we created the user that ZITADEL has.
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
/// If SQLite fails.
pub fn settle(transaction: &Transaction<'_>, settled: &[Settled]) -> Result<()> {
    let mut update = transaction.prepare(
        "UPDATE users SET code = ?3, detail = ?4,
                wrote = coalesce(?2, wrote), wrote_run = CASE WHEN ?2 IS NULL THEN wrote_run ELSE run END,
                have_profile = coalesce(?5, have_profile), have_password = coalesce(?6, have_password),
                findings = CASE WHEN ?7 IS NULL THEN findings
                                ELSE json_insert(coalesce(findings, '[]'), '$[#]', json(?7)) END,
                route = coalesce(?8, route), password_at = coalesce(?9, password_at),
                have_inactive = CASE WHEN ?5 IS NULL THEN have_inactive ELSE ?10 END,
                facts = coalesce(?11, facts), have_factors = coalesce(?13, have_factors),
                -- Nothing was written to a user if it cannot be told who created it.
                sent_facts = CASE WHEN ?14 THEN sent_facts END,
                settled_at = CASE WHEN ?14 THEN settled_at ELSE ?12 END
         WHERE user_id = ?1",
    )?;
    let mut also = transaction.prepare(
        "UPDATE users SET findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?2)) WHERE user_id = ?1",
    )?;
    let mut joined = transaction.prepare(
        "UPDATE joined SET have = 1 WHERE into_id = ?1 AND run = (SELECT run FROM users WHERE user_id = ?1)",
    )?;
    let now = now();
    for user in settled {
        if let Some(merged) = &user.merged {
            put_merged(transaction, &user.user_id, merged)?;
        }
        let finding = user.finding.as_ref().map(|f| serde_json::to_string(f).unwrap_or_default());
        if let Some(finding) = &user.factor_finding {
            also.execute(params![user.user_id, serde_json::to_string(finding).unwrap_or_default()])?;
        }
        let wrote = wrote(transaction, user)?;
        let event = event(user, wrote);
        life::take(transaction, &user.user_id, event)?;
        update.execute(params![
            user.user_id,
            wrote,
            user.code,
            user.detail,
            user.have.as_ref().map(|(profile, _)| *profile),
            user.have.as_ref().and_then(|(_, password)| *password),
            finding,
            user.route.map(route_number),
            user.password_at,
            user.inactive,
            user.facts,
            now,
            user.factors,
            event == Event::Answer(Answer::Unclear),
        ])?;
        if user.have.is_some() {
            joined.execute([&user.user_id])?;
        }
        if let Some(links) = &user.links {
            set_have(transaction, &user.user_id, links)?;
        }
        if let Some(finding) = &user.link_finding {
            add_finding(transaction, &user.user_id, finding)?;
        }
    }
    Ok(())
}

/// What this run has done to the user, if `settled` is a write: whoever it created and then wrote once more (it was planned
/// a second time in the middle), it created.
fn wrote(transaction: &Transaction<'_>, settled: &Settled) -> Result<Option<Outcome>> {
    match settled.outcome {
        Outcome::Updated => {
            let created = transaction
                .prepare("SELECT wrote_run = run AND wrote = ?2 FROM users WHERE user_id = ?1")?
                .query_row(params![settled.user_id, Outcome::Created], |row| row.get::<_, Option<bool>>(0))?;
            Ok(Some(if created == Some(true) { Outcome::Created } else { Outcome::Updated }))
        }
        Outcome::Created => Ok(Some(Outcome::Created)),
        _ => Ok(None),
    }
}

/// What an outcome is to the user's life.
fn event(settled: &Settled, wrote: Option<Outcome>) -> Event {
    let answer = match wrote.unwrap_or(settled.outcome) {
        Outcome::Created => Answer::Created,
        Outcome::Updated => Answer::Updated,
        Outcome::Unchanged => Answer::Unchanged,
        Outcome::Existed if settled.code == Some(BlockedCode::OwnerUnknown.code()) => Answer::Unclear,
        Outcome::Existed => Answer::Existed,
        _ if settled.code == Some(BlockedCode::GoneFromZitadel.code()) => return Event::Miss,
        _ if settled.ours => Answer::RefusedOurs,
        _ => Answer::Refused,
    };
    Event::Answer(answer)
}

/// Puts what a merge came to in place of what an earlier one found, and counts the user among those who keep a value.
///
/// # Errors
/// If SQLite fails.
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
