//! The reports of a run, made from the ledger alone: after a crash they are the same as after a success.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize as _;
use serde_json::Value;

use super::{Context, preflight::USERS_PER_SECOND, print};
use crate::{
    error::{Error, Result},
    hashes::{audit::Audit, mfa::MfaAudit},
    ledger::{
        self, Snapshot, View, codes, differences, lines, outcomes,
        runs::{self, Notes},
        states::{Action, Outcome as Ended},
        structure::{self, Counts},
        users,
    },
    mapping::{codes::Kind, draft::Route, finding::FindingCode},
    report::{
        Attention, CodeCount, Factors, Hashes, Outcome, OutcomeFile, PlanSummary, RunInfo, SourceInfo, Summary,
        TargetInfo, Timing, Verified, write_html, write_report_json,
    },
    state::StateDir,
    verify::Verdict,
    zitadel::version::Skips,
};

/// What was written.
#[derive(Debug)]
pub(super) struct Reported {
    /// The balance, for standard output.
    pub(super) text: String,
    /// Users for whom there is something to do.
    pub(super) needs_operator: u64,
}

/// `a2z report`: makes the reports of the latest run again.
///
/// # Errors
/// When there is no ledger, or a report cannot be written.
pub fn report(context: &Context) -> Result<()> {
    let state = StateDir::look(&context.config.state)?;
    let ledger = View::of(&state.ledger());
    let run = ledger.read(runs::latest)?.ok_or_else(|| {
        Error::usage(format!("the ledger in `{}` has no run yet", state.path().display())).hint("run `a2z plan` first")
    })?;
    let reported = write(context, &state, &ledger, run.run)?;
    if run.importing_at.is_none() {
        print(&format!(
            "Run {} is a plan: nothing was written, and whom it would send counts as unknown.\n\n",
            run.run
        ))?;
    }
    print(&reported.text)
}

/// Writes `report.json`, `outcomes.ndjson` and `report.html`.
///
/// # Errors
/// When one of them cannot be written; the others and the ledger stay as they are.
pub(super) fn write(context: &Context, state: &StateDir, ledger: &View, run: i64) -> Result<Reported> {
    let folder = state.path();
    let outcomes = folder.join("outcomes.ndjson");
    let mut file = OutcomeFile::create(&outcomes)?;
    let mut attention = Attention::default();
    let mut needs_operator = 0;
    let summary = ledger.read(|c| {
        outcomes::each_row(c, run, |row| {
            let outcome = Outcome::from(row);
            needs_operator += u64::from(outcome.needs_operator());
            attention.consider(&outcome);
            Ok(file.push(&outcome)?)
        })?;
        summary(c, run)
    })?;
    file.finish()?;
    write_report_json(&folder.join("report.json"), &summary)?;
    write_html(&folder.join("report.html"), &summary, &attention)?;
    Ok(Reported { text: summary.text(context.color, folder), needs_operator })
}

fn summary(reader: &Snapshot<'_>, run: i64) -> ledger::Result<Summary> {
    let info = runs::latest(reader)?;
    let files = runs::exports(reader, run)?;
    let notes: Value = serde_json::from_str(&runs::notes(reader, run, Notes::Notes)?).unwrap_or_default();
    let version = notes["zitadel_version"].as_str().map(str::to_owned);
    let timing = serde_json::from_str::<Timing>(&runs::notes(reader, run, Notes::Timing)?).unwrap_or_default();
    let findings = users::count_all_findings(reader, run)?;
    let routes: BTreeMap<String, u64> = users::count_routes(reader, run)?
        .into_iter()
        .map(|(route, users)| (if route == Route::Import { "import" } else { "users-api" }.to_owned(), users))
        .collect();
    let hashes = hashes(&notes["hashes"], &findings, reader, run)?;
    let (missing, different) = differences::count_differing(reader, run)?;
    let mut findings: Vec<CodeCount> =
        findings.into_iter().map(|(code, users)| CodeCount::finding(code, users)).collect();
    for (code, users) in [(FindingCode::MissingInZitadel, missing), (FindingCode::DiffersInZitadel, different)] {
        findings.extend((users > 0).then(|| CodeCount::finding(code.code(), users)));
    }
    Ok(Summary {
        format: 1,
        run: RunInfo {
            number: run,
            started_at: info.as_ref().map(|info| info.started_at.clone()).unwrap_or_default(),
            finished_at: info.and_then(|info| info.finished_at),
            version: env!("CARGO_PKG_VERSION").into(),
        },
        source: SourceInfo {
            tenant: runs::meta(reader, "tenant")?,
            connections: files.iter().filter_map(|file| file.connection.clone()).collect(),
            jobs: files.iter().filter_map(|file| file.job_id.clone()).collect(),
            files: files.iter().filter_map(|file| file.path.clone()).collect(),
        },
        target: TargetInfo {
            instance: runs::meta(reader, "instance")?,
            organization_id: runs::meta(reader, "organization")?,
            skips_events: version.as_deref().map_or(Skips::Unknown, Skips::of).to_string(),
            version,
        },
        balance: users::balance(reader, run)?,
        codes: users::count_codes(reader, run)?
            .into_iter()
            .map(|(outcome, code, users)| CodeCount::of(outcome.word(), code, users))
            .collect(),
        hashes,
        factors: Factors {
            rows: notes["mfa"]["rows"].as_u64().unwrap_or(0),
            users: notes["mfa"]["users"].as_u64().unwrap_or(0),
            totp: notes["mfa"]["totp"].as_u64().unwrap_or(0),
            recovery_codes: notes["mfa"]["recovery_codes"].as_u64().unwrap_or(0),
            unused: notes["mfa"]["unused"].as_u64().unwrap_or(0),
            malformed_rows: notes["mfa"]["malformed_rows"].as_u64().unwrap_or(0),
            surveyed: notes["mfa_survey"]["asked"].as_u64().unwrap_or(0),
            lost: serde_json::from_value(notes["mfa_survey"]["lost"].clone()).unwrap_or_default(),
            sms_codes: codes::count_given(reader, run, Kind::Sms)?,
            email_codes: codes::count_given(reader, run, Kind::Email)?,
        },
        warnings: file_warnings(&notes),
        findings,
        routes,
        filtered: users::count_filtered(reader, run)?.into_iter().map(Into::into).collect(),
        sign_in: users::count_sign_in(reader, run)?.into_iter().collect(),
        structure: structure(reader, run)?,
        verified: verified(&notes["verified"], &notes["verify"]),
        timing,
    })
}

fn hashes(audit: &Value, findings: &[(String, u64)], reader: &Snapshot<'_>, run: i64) -> ledger::Result<Hashes> {
    let number = |key: &str| audit[key].as_u64().unwrap_or(0);
    let found = |code: FindingCode| findings.iter().find(|(c, _)| c == code.code()).map_or(0, |(_, users)| *users);
    Ok(Hashes {
        rows: number("rows"),
        matched: users::count_with_password(reader, run)?,
        users_without: found(FindingCode::NoHash),
        unused: number("unused"),
        stale: found(FindingCode::StaleHash),
        unusable: found(FindingCode::UnusableHash),
        algorithms: serde_json::from_value(audit["by_algorithm"].clone()).unwrap_or_default(),
        malformed_rows: number("malformed_rows"),
        rows_without_hash: number("without_hash"),
        refused_rows: number("unusable"),
        bad_dates: number("bad_dates"),
    })
}

/// What the audits of the ticket files warn of.
fn file_warnings(notes: &Value) -> Vec<String> {
    let hashes = Audit::deserialize(&notes["hashes"]).ok().and_then(|audit| audit.warning());
    let mfa = MfaAudit::deserialize(&notes["mfa"]).ok().and_then(|audit| audit.warning());
    hashes.into_iter().chain(mfa).collect()
}

/// Counted anew each time: none where neither roles nor organizations were read.
fn structure(reader: &Snapshot<'_>, run: i64) -> ledger::Result<Option<Counts>> {
    let counts = structure::counts(reader, run)?;
    Ok((counts != Counts::default()).then_some(counts))
}

/// `counted`: who was written and found at the end of the import; `compared`: what `verify` found last.
fn verified(counted: &Value, compared: &Value) -> Verified {
    let number = |key: &str| counted[key].as_u64().unwrap_or(0);
    let (written, visible) = (number("written"), number("visible"));
    let mut verified =
        Verified { checked: written, found: visible, missing: written - visible.min(written), ..Verified::default() };
    if let Ok(verdict) = serde_json::from_value::<Verdict>(compared.clone()) {
        verified.missing = verified.missing.max(verdict.missing);
        verified.different = verdict.different;
        verified.at = Some(verdict.at);
        verified.looked_at = verdict.looked_at;
        verified.same = verdict.same;
        verified.metadata_checked = verdict.metadata_checked;
        verified.by_kind = verdict.by_kind;
    }
    verified
}

/// The plan, for standard output.
///
/// # Errors
/// As SQLite.
pub(super) fn plan_text(
    reader: &Snapshot<'_>,
    run: i64,
    providers: Vec<String>,
    warnings: Vec<String>,
    color: bool,
) -> ledger::Result<String> {
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
    plan.structure = crate::report::structure::plan_lines(&structure::counts(reader, run)?);
    plan.warnings.extend(file_warnings(&notes));
    plan.hashes = hash_lines(&notes["hashes"]);
    plan.factors = factor_lines(&notes["mfa"], &notes["mfa_survey"]);
    let work = plan.to_create + plan.to_update;
    plan.estimate = (work > 0).then(|| Duration::from_secs((work / USERS_PER_SECOND).max(1)));
    Ok(plan.text(color))
}

/// What the MFA files hold, and what Auth0 says of whom they say nothing.
fn factor_lines(audit: &Value, survey: &Value) -> Vec<String> {
    let line = |n: u64, words: &str| format!("  {:>9}  {words}", crate::error::thousands(n));
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut lines = Vec::new();
    if number(&audit["rows"]) > 0 {
        let users = crate::error::count(number(&audit["users"]), "user");
        lines.push(format!("{} of {users} read", crate::error::count(number(&audit["rows"]), "factor")));
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
        lines.push(format!("{} asked about at Auth0", crate::error::count(asked, "user")));
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
    let mut lines = vec![format!("{} read", crate::error::count(number("rows"), "hash row"))];
    if let Some(kinds) = audit["by_algorithm"].as_object() {
        lines.extend(
            kinds
                .iter()
                .map(|(kind, rows)| format!("  {:>9}  {kind}", crate::error::thousands(rows.as_u64().unwrap_or(0)))),
        );
    }
    for (key, words) in [
        ("malformed_rows", "malformed"),
        ("superseded", "superseded by a newer row"),
        ("bad_dates", "with a date that cannot be read"),
        ("unusable", "that ZITADEL would refuse"),
        ("unused", "without a user in this export"),
    ] {
        if number(key) > 0 {
            lines.push(format!("  {:>9}  {words}", crate::error::thousands(number(key))));
        }
    }
    lines
}
