//! The plan, made from the ledger.

use std::time::Duration;

use serde_json::Value;

use super::file_warnings;
use crate::{
    error::{count, thousands},
    ledger::{
        self, Snapshot, lines,
        runs::{self, Notes},
        states::{Action, Outcome as Ended},
        structure, users,
    },
    mapping::draft::Route,
    report::{CodeCount, PlanSummary, structure::plan_lines},
};

/// Users per second that a stock ZITADEL makes visible on two cores; for the estimate.
pub const USERS_PER_SECOND: u64 = 200;

/// What the plan of a run came to. `providers` and `warnings` are shown as they are, a line each.
///
/// # Errors
/// When the ledger cannot be read.
pub fn of(
    reader: &Snapshot<'_>,
    run: i64,
    providers: Vec<String>,
    warnings: Vec<String>,
) -> ledger::Result<PlanSummary> {
    let mut plan = PlanSummary {
        exported: users::exported(reader, run)?.unwrap_or(0),
        providers,
        warnings,
        ..PlanSummary::default()
    };
    for (action, code, users) in users::count_actions(reader, run)? {
        match action {
            Action::Create => plan.to_create += users,
            Action::Update => plan.to_update += users,
            Action::Unchanged => plan.unchanged += users,
            Action::Existed => plan.existed += users,
            Action::Blocked => plan.blocked.push(CodeCount::of("rejected", code.unwrap_or_default(), users)),
            Action::Skip => plan.skipped.push(CodeCount::of("skipped", code.unwrap_or_default(), users)),
        }
    }
    for (outcome, code, users) in lines::count_lines(reader, run)? {
        let list = if outcome == Ended::Skipped { &mut plan.skipped } else { &mut plan.blocked };
        list.push(CodeCount::of(outcome.word(), code, users));
    }
    plan.keeping = users::count_keeping(reader, run)?;
    plan.filtered = users::count_filtered(reader, run)?.into_iter().map(Into::into).collect();
    for (route, users) in users::count_routes(reader, run)? {
        match route {
            Route::Import => plan.by_import = users,
            Route::UsersApi => plan.by_users_api = users,
        }
    }
    plan.findings =
        users::count_all_findings(reader, run)?.into_iter().map(|(c, users)| CodeCount::finding(c, users)).collect();
    let notes: Value = serde_json::from_str(&runs::notes(reader, run, Notes::Notes)?).unwrap_or_default();
    plan.structure = plan_lines(&structure::counts(reader, run)?);
    plan.warnings.extend(file_warnings(&notes));
    plan.hashes = hash_lines(&notes["hashes"]);
    plan.factors = factor_lines(&notes["mfa"], &notes["mfa_survey"]);
    let users = plan.to_create + plan.to_update;
    plan.estimate = (users > 0).then(|| Duration::from_secs((users / USERS_PER_SECOND).max(1)));
    Ok(plan)
}

/// What the MFA files hold, and what Auth0 says of users of whom they say nothing.
fn factor_lines(audit: &Value, survey: &Value) -> Vec<String> {
    let line = |n: u64, words: &str| format!("  {:>9}  {words}", thousands(n));
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut lines = Vec::new();
    if number(&audit["rows"]) > 0 {
        let users = count(number(&audit["users"]), "user");
        lines.push(format!("{} of {users} read", count(number(&audit["rows"]), "factor")));
        let known = [
            ("totp", "TOTP"),
            ("recovery_codes", "recovery code"),
            ("malformed_rows", "malformed, or of no use to ZITADEL"),
            ("unused", "users who are not in this export"),
        ];
        lines.extend(known.iter().filter(|(k, _)| number(&audit[*k]) > 0).map(|(k, w)| line(number(&audit[*k]), w)));
        for (kind, n) in audit["others"].as_object().into_iter().flatten() {
            lines.push(line(number(n), &format!("{kind} (cannot move)")));
        }
    }
    if let Some(asked) = survey["asked"].as_u64() {
        lines.push(format!("{} asked about at Auth0", count(asked, "user")));
        for (kind, n) in survey["codes"].as_object().into_iter().flatten() {
            lines.push(line(number(n), &format!("keep codes by {kind} as a second factor")));
        }
        for (kind, n) in survey["lost"].as_object().into_iter().flatten() {
            lines.push(line(number(n), &format!("lose {kind}")));
        }
    }
    lines
}

/// The audit in a few lines.
fn hash_lines(audit: &Value) -> Vec<String> {
    let number = |key: &str| audit[key].as_u64().unwrap_or(0);
    if number("rows") == 0 {
        return vec!["no hash file: database users will have to set new passwords".into()];
    }
    let mut lines = vec![format!("{} read", count(number("rows"), "hash row"))];
    if let Some(kinds) = audit["by_algorithm"].as_object() {
        lines
            .extend(kinds.iter().map(|(kind, rows)| format!("  {:>9}  {kind}", thousands(rows.as_u64().unwrap_or(0)))));
    }
    for (key, words) in [
        ("malformed_rows", "malformed"),
        ("superseded", "superseded by a newer row"),
        ("bad_dates", "with a date that cannot be read"),
        ("unusable", "that ZITADEL would refuse"),
        ("unused", "without a user in this export"),
    ] {
        if number(key) > 0 {
            lines.push(format!("  {:>9}  {words}", thousands(number(key))));
        }
    }
    lines
}
