//! Readers of the ledger: the summary on standard output, `report.json`, `outcomes.ndjson`, `report.html`. They hold no
//! secret and no hash; names in them come from strangers and are escaped by each writer in its own way.

mod html;
mod json;
mod outcomes;
mod plan;
mod sign_in;
pub mod structure;
mod summary;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    html::{Attention, write_html},
    json::write_report_json,
    outcomes::{OutcomeFile, write_outcomes},
    plan::PlanSummary,
};
use crate::{
    ledger::{outcomes::Row, states, structure::Counts},
    mapping::{
        draft::Route,
        finding::{BlockedCode, Finding, FindingCode},
    },
};

/// `report.json`: how a run ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The version of this shape: 1.
    pub format: u32,
    /// The run.
    pub run: RunInfo,
    /// Where the users came from.
    pub source: SourceInfo,
    /// Where they went.
    pub target: TargetInfo,
    /// How many users ended in which outcome.
    pub balance: states::Balance,
    /// Why users were rejected, skipped, or found there.
    pub codes: Vec<CodeCount>,
    /// What else there is to say, by code.
    pub findings: Vec<CodeCount>,
    /// Users sent by each route (`import`, `users-api`).
    pub routes: BTreeMap<String, u64>,
    /// Users that a rule leaves out, by the rule's words.
    #[serde(default)]
    pub filtered: Vec<RuleCount>,
    /// How the users sign in from now on: `password`, `provider`, `email`, `sms`, `none`.
    #[serde(default)]
    pub sign_in: BTreeMap<String, u64>,
    /// The hash audit.
    pub hashes: Hashes,
    /// The second factors.
    #[serde(default)]
    pub factors: Factors,
    /// What the operator must know about the files, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Roles and organizations, where any were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structure: Option<Counts>,
    /// What the comparison with ZITADEL found.
    pub verified: Verified,
    /// How long it took.
    pub timing: Timing,
}

/// The run of a [`Summary`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its number in the ledger, from 1.
    pub number: i64,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; none while it is under way.
    pub finished_at: Option<String>,
    /// The a2z that made it.
    pub version: String,
}

/// Where the users came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// Host of the tenant; none where a file was read.
    pub tenant: Option<String>,
    /// Names of the connections; empty: the whole tenant.
    pub connections: Vec<String>,
    /// Ids of the export jobs.
    pub jobs: Vec<String>,
    /// The export files.
    pub files: Vec<String>,
}

/// Where they went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// Host of the instance.
    pub instance: Option<String>,
    /// The organization.
    pub organization_id: Option<String>,
    /// The version that the instance said it has when the run began; none: it did not say.
    #[serde(default)]
    pub version: Option<String>,
    /// Whether the projections of that version skip events: `fixed`, `affected` or `unknown`.
    #[serde(default)]
    pub skips_events: String,
}

/// How often a code came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeCount {
    /// The outcome that it explains; none for findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The stable code.
    pub code: String,
    /// How many users.
    pub users: u64,
}

/// How many users a rule leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The rule's own words.
    pub rule: String,
    /// How many users.
    pub users: u64,
}

impl From<(String, u64)> for RuleCount {
    fn from((rule, users): (String, u64)) -> Self {
        Self { rule, users }
    }
}

impl CodeCount {
    /// A code that explains an outcome.
    pub fn of(outcome: impl Into<String>, code: impl Into<String>, users: u64) -> Self {
        Self { outcome: Some(outcome.into()), code: code.into(), users }
    }

    /// A finding.
    pub fn finding(code: impl Into<String>, users: u64) -> Self {
        Self { outcome: None, code: code.into(), users }
    }

    /// What the code means, and what to do.
    #[must_use]
    pub fn words(&self) -> (&'static str, &'static str) {
        words(&self.code)
    }
}

/// Message and hint of a code; empty where it is not in the tables.
#[must_use]
pub fn words(code: &str) -> (&'static str, &'static str) {
    let blocked = BlockedCode::parse(code).map(|code| (code.message(), code.hint()));
    blocked.or_else(|| FindingCode::parse(code).map(|code| (code.message(), code.hint()))).unwrap_or_default()
}

/// The hash audit in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// Rows in the ticket files.
    pub rows: u64,
    /// Users who got a hash.
    pub matched: u64,
    /// Users of a database connection without one.
    pub users_without: u64,
    /// Rows that belong to no exported user.
    pub unused: u64,
    /// Hashes older than the last reset.
    pub stale: u64,
    /// Hashes that ZITADEL would refuse.
    pub unusable: u64,
    /// Rows by algorithm and cost (`bcrypt 10`).
    pub algorithms: BTreeMap<String, u64>,
    /// Rows that could not be read.
    #[serde(default)]
    pub malformed_rows: u64,
    /// Rows without a hash.
    #[serde(default)]
    pub rows_without_hash: u64,
    /// Rows with a hash that ZITADEL would refuse, whether they belong to a user or not.
    #[serde(default)]
    pub refused_rows: u64,
    /// Rows with a `password_set_date` that cannot be read.
    #[serde(default)]
    pub bad_dates: u64,
}

/// The audit of the MFA files, and what Auth0 said when it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors {
    /// Rows in the MFA files.
    pub rows: u64,
    /// Users with a factor in them.
    pub users: u64,
    /// TOTP secrets.
    pub totp: u64,
    /// Recovery codes.
    pub recovery_codes: u64,
    /// Users of the files who are not in the export.
    pub unused: u64,
    /// Rows that could not be read, or whose factor ZITADEL could not use.
    #[serde(default)]
    pub malformed_rows: u64,
    /// Users about whom Auth0 was asked (`--mfa-survey`).
    pub surveyed: u64,
    /// Of those, who loses which kind of factor.
    pub lost: BTreeMap<String, u64>,
    /// Users who have codes by SMS as a second factor from us.
    #[serde(default)]
    pub sms_codes: u64,
    /// Users who have codes by e-mail as a second factor from us.
    #[serde(default)]
    pub email_codes: u64,
}

/// What the comparison with ZITADEL found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Users asked for.
    pub checked: u64,
    /// Users found, in the right organization.
    pub found: u64,
    /// Users not found.
    pub missing: u64,
    /// Users who are not what was sent.
    pub different: u64,
    /// When they were compared last, RFC 3339; none: not yet.
    pub at: Option<String>,
    /// Users who were compared with what was sent.
    pub looked_at: u64,
    /// Users who are what was sent.
    pub same: u64,
    /// Users whose metadata was compared, too.
    pub metadata_checked: u64,
    /// Users by what differs.
    pub by_kind: BTreeMap<String, u64>,
}

/// What a kind of difference means.
#[must_use]
pub fn words_of_difference(kind: &str) -> &'static str {
    match kind {
        "missing" => "not found in ZITADEL",
        "organization" => "in another organization",
        "login-name" => "ZITADEL gives the user no login name: the user cannot sign in",
        "state" => "active, inactive or locked, and should not be",
        "user-name" => "another user name",
        "email" => "another e-mail",
        "email-verified" => "the e-mail's flag",
        "phone" => "another phone number, or none",
        "phone-verified" => "the phone number's flag",
        "password" => "no password",
        "name" => "another first, last, display or nick name",
        "language" => "another language",
        "totp" => "no TOTP secret",
        "recovery-codes" => "no recovery codes",
        "sms-codes" => "codes by SMS are no second factor",
        "email-codes" => "codes by e-mail are no second factor",
        "links" => "a link to an identity provider is missing",
        "metadata" => "a metadata value is missing or another",
        "roles" => "a role grant is gone or has other roles",
        _ => "",
    }
}

/// How long it took, in seconds; none: not done in this run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The export job and the download.
    pub export_s: Option<f64>,
    /// Pass 1.
    pub plan_s: Option<f64>,
    /// Pass 2.
    pub import_s: Option<f64>,
    /// The wait for ZITADEL's projections.
    pub visible_s: Option<f64>,
    /// The comparison.
    pub verify_s: Option<f64>,
    /// From start to end.
    pub total_s: Option<f64>,
}

/// A line of `outcomes.ndjson`: how one exported row ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// None where the row could not be read that far.
    pub user_id: Option<String>,
    /// Where it is known.
    pub connection: Option<String>,
    /// `created`, `updated`, `unchanged`, `existed`, `skipped`, `rejected`, `unknown`.
    pub outcome: String,
    /// The road into ZITADEL, for users who were sent.
    pub route: Option<Route>,
    /// Why, for all but a plain success.
    pub code: Option<String>,
    /// What the code means, and about what.
    pub message: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Running again may help without any change.
    pub retryable: bool,
    /// The export file, from 0, and the line in it, from 1.
    pub file: i64,
    /// The line in the file, from 1.
    pub line: u64,
    /// What else there is to say.
    pub findings: Vec<Finding>,
}

impl From<Row> for Outcome {
    fn from(row: Row) -> Self {
        let (message, hint) = row.code.as_deref().map(words).unwrap_or_default();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let message = match (some(message), row.detail) {
            (Some(message), Some(detail)) => Some(format!("{message}: {detail}")),
            (message, detail) => message.or(detail),
        };
        Self {
            user_id: row.user_id,
            connection: row.connection,
            outcome: row.outcome.word().to_owned(),
            route: row.route,
            code: row.code,
            message,
            hint: some(hint),
            retryable: row.outcome == states::Outcome::Unknown,
            file: row.file,
            line: row.line,
            findings: row.findings,
        }
    }
}

impl Outcome {
    /// Is there something for the operator to do about this user?
    #[must_use]
    pub fn needs_operator(&self) -> bool {
        if self.findings.iter().any(|finding| finding.code.needs_operator()) {
            return true;
        }
        // A code beside a success: created, but not whole; there already, but elsewhere.
        matches!(self.outcome.as_str(), "rejected" | "unknown") || (self.code.is_some() && self.outcome != "skipped")
    }
}

/// Text in colour, on a terminal.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn code(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    fn green(self, text: &str) -> String {
        self.code("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.code("33", text)
    }

    fn red(self, text: &str) -> String {
        self.code("31", text)
    }
}

/// The codes of a table, the most frequent first: a figure, the code, what it means, what to do.
fn code_lines(out: &mut String, codes: &[&CodeCount], rules: &[RuleCount], paint: Paint) {
    use crate::error::{printable, thousands};
    let mut sorted = codes.to_vec();
    sorted.sort_by(|a, b| b.users.cmp(&a.users).then_with(|| a.code.cmp(&b.code)));
    for code in sorted {
        let (message, hint) = code.words();
        let name = format!("{:<24}", printable(&code.code));
        let line = format!("  {:>12}  {}  {message}", thousands(code.users), paint.bold(&name));
        out.push_str(line.trim_end());
        out.push('\n');
        for RuleCount { rule, users } in rules.iter().filter(|_| code.code == BlockedCode::Filtered.code()) {
            let line = format!("  {:>12}  {:<24}  - {}: {}\n", "", "", thousands(*users), printable(rule));
            out.push_str(&line);
        }
        if !hint.is_empty() && hint != "nothing" {
            out.push_str(&paint.dim(&format!("  {:>12}  {:<24}  -> {hint}", "", "")));
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests;
