//! How a user ended.

use rusqlite::params;

use crate::{
    ledger::{
        links::set_have,
        runs::now,
        sql::{Result, Transaction},
        states::{Outcome, route_number},
        users::{findings::add_finding, plan::Digest},
    },
    mapping::{
        draft::Route,
        finding::{Finding, FindingCode},
    },
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
    let now = now();
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
            user.route.map(route_number),
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
            set_have(transaction, &user.user_id, links)?;
        }
        if let Some(finding) = &user.link_finding {
            add_finding(transaction, &user.user_id, finding)?;
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
