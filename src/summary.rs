//! The reports of a run, made from the ledger alone: after a crash they are the same as after a success.

pub mod plan;

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    error::Result,
    hashes::{audit::Audit, mfa::MfaAudit},
    ledger::{
        self, Snapshot, View, codes, differences, outcomes,
        runs::{self, Notes},
        structure::{self, Counts},
        users,
    },
    mapping::{codes::Kind, draft::Route, finding::FindingCode},
    report::{
        Attention, CodeCount, Factors, Hashes, Outcome, OutcomeFile, RunInfo, SourceInfo, Summary, TargetInfo, Timing,
        Verified, write_html, write_report_json,
    },
    state::StateDir,
    verify::Verdict,
    zitadel::version::Skips,
};

/// Reports that were written.
#[derive(Debug)]
pub struct Reported {
    summary: Summary,
    /// Users for whom there is something to do.
    pub needs_operator: u64,
}

impl Reported {
    /// The balance, for standard output. `folder` is where the reports are.
    #[must_use]
    pub fn text(&self, color: bool, folder: &Path) -> String {
        self.summary.text(color, folder)
    }
}

/// Writes `report.json`, `outcomes.ndjson` and `report.html`.
///
/// # Errors
/// When one of them cannot be written; the others and the ledger stay as they are.
pub fn write(state: &StateDir, ledger: &View, run: i64) -> Result<Reported> {
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
    Ok(Reported { summary, needs_operator })
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

/// Counted each time again; `None` if neither roles nor organizations were read.
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
