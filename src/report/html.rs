//! `report.html`: one file that needs nothing else, for whoever signs the migration off.

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{CodeCount, Outcome, Summary, words_of_difference};
use crate::{
    error::{Result, printable, thousands},
    state::whole::Whole,
};

/// The most users that the page lists; `outcomes.ndjson` has all.
const MOST: usize = 1_000;

/// The users that need the operator: the first thousand, and how many there are.
#[derive(Debug, Clone, Default)]
pub struct Attention {
    users: Vec<Outcome>,
    total: u64,
}

impl Attention {
    /// Takes in an outcome, where it needs the operator.
    pub fn consider(&mut self, outcome: &Outcome) {
        if outcome.needs_operator() {
            self.total += 1;
            if self.users.len() < MOST {
                self.users.push(outcome.clone());
            }
        }
    }
}

/// Writes `report.html`: whole or not at all, 0600.
///
/// # Errors
/// When the file cannot be written.
pub fn write_html(path: &Path, summary: &Summary, attention: &Attention) -> Result<()> {
    let mut file = Whole::report(path)?;
    file.write(page(summary, attention).into_string().as_bytes())?;
    file.finish()
}

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5d687a;--line:#dfe3ea;--ground:#f6f7f9;--card:#fff;--good:#127a46;--warn:#96610a;--bad:#b42332}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#98a3b5;--line:#2d3543;--ground:#12161d;--card:#1a202a;--good:#4cc38a;--warn:#e2b257;--bad:#ff7a85}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 80px}h1{font-size:26px;margin:0 0 4px}h2{font-size:17px;margin:36px 0 10px}
.soft{color:var(--soft)}.verdict{font-weight:600}.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(118px,1fr));gap:12px;margin:24px 0 0}
.figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.figure b{display:block;font-size:22px;font-variant-numeric:tabular-nums}.figure span{color:var(--soft);font-size:13px}
.stack{display:flex;height:10px;border-radius:5px;overflow:hidden;background:var(--line);margin:14px 0 0}.stack i{display:block;min-width:2px}
.table{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:8px 14px;border-top:1px solid var(--line)}
tr:first-child th,tr:first-child td{border-top:0}th{color:var(--soft);font-weight:500;font-size:13px}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}@media print{body{background:none}main{padding:0}}
";

fn page(summary: &Summary, attention: &Attention) -> Markup {
    let title = format!("a2z: run {}", summary.run.number);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing is loaded and nothing runs, whatever a name may hold.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { "Users from Auth0 to ZITADEL" }
                div.soft { (route(summary)) }
                div.soft { "Run " (summary.run.number) ", " (summary.run.started_at)
                    @if let Some(end) = &summary.run.finished_at { " to " (end) }
                    ", a2z " (summary.run.version) }
                p.verdict { (verdict(summary)) }
                (balance(summary))
                (codes("Rejected and unknown", &summary.codes, &["rejected", "unknown"]))
                (codes("Skipped and there before", &summary.codes, &["skipped", "existed"]))
                (codes("Moved, with a remark", &summary.findings, &[]))
                (rules(summary))
                (sign_in(summary))
                (facts(summary))
                (users(attention))
            } }
        }
    }
}

fn route(summary: &Summary) -> String {
    let from = summary.source.tenant.clone().unwrap_or_else(|| summary.source.files.join(", "));
    let to = summary.target.instance.as_deref().unwrap_or("ZITADEL");
    let organization =
        summary.target.organization_id.as_ref().map_or_else(String::new, |id| format!(", organization {id}"));
    let version = summary.target.version.as_ref().map_or_else(String::new, |version| {
        format!(", ZITADEL {version} (projections that skip events: {})", summary.target.skips_events)
    });
    printable(&format!("{from} \u{2192} {to}{organization}{version}"))
}

fn verdict(summary: &Summary) -> Markup {
    let balance = &summary.balance;
    html! {
        @if balance.balances() { span.good { "The books balance." } } @else { span.bad { "The books do not balance." } }
        " "
        @if balance.unknown > 0 { span.bad { (thousands(balance.unknown)) " unknown." } }
        @else if balance.rejected > 0 { span.warn { (thousands(balance.rejected)) " rejected." } }
        @else { span.good { "Nobody was rejected." } }
        " Next: " (summary.next()) "."
    }
}

fn balance(summary: &Summary) -> Markup {
    let balance = &summary.balance;
    let figures = [
        ("created", balance.created, "var(--good)"),
        ("updated", balance.updated, "#3b82c4"),
        ("unchanged", balance.unchanged, "#8793a8"),
        ("existed", balance.existed, "#a78bfa"),
        ("skipped", balance.skipped, "var(--warn)"),
        ("rejected", balance.rejected, "var(--bad)"),
        ("unknown", balance.unknown, "#d946a6"),
    ];
    html! {
        div.figures {
            div.figure { b { (thousands(balance.exported)) } span { "exported" } }
            @for (name, users, _) in figures { div.figure { b { (thousands(users)) } span { (name) } } }
        }
        div.stack role="img" aria-label="shares of the outcomes" {
            @for (name, users, color) in figures {
                @if users > 0 { i title=(name) style=(format!("flex:{users};background:{color}")) {} }
            }
        }
    }
}

fn codes(heading: &str, codes: &[CodeCount], outcomes: &[&str]) -> Markup {
    let wanted = |code: &&CodeCount| match &code.outcome {
        Some(outcome) => outcomes.contains(&outcome.as_str()),
        None => outcomes.is_empty(),
    };
    let mut codes: Vec<&CodeCount> = codes.iter().filter(wanted).collect();
    codes.sort_by(|a, b| b.users.cmp(&a.users).then_with(|| a.code.cmp(&b.code)));
    html! {
        @if !codes.is_empty() {
            h2 { (heading) }
            div.table { table {
                tr { th.n { "Users" } th { "Code" } th { "What it means" } th { "What to do" } }
                @for code in codes {
                    @let (message, hint) = code.words();
                    tr { td.n { (thousands(code.users)) } td { code { (printable(&code.code)) } } td { (message) } td { (hint) } }
                }
            } }
        }
    }
}

fn rules(summary: &Summary) -> Markup {
    html! {
        @if !summary.filtered.is_empty() {
            h2 { "Left out by rules" }
            div.table { table {
                tr { th.n { "Users" } th { "Rule" } }
                @for rule in &summary.filtered { tr { td.n { (thousands(rule.users)) } td { (printable(&rule.rule)) } } }
            } }
        }
    }
}

fn sign_in(summary: &Summary) -> Markup {
    html! {
        @if summary.ways().next().is_some() {
            h2 { "How they sign in from now on" }
            div.table { table {
                tr { th.n { "Users" } th { "Who" } th { "How" } th { "What to do in ZITADEL" } }
                @for (users, who, how, what) in summary.ways() {
                    tr { td.n { (thousands(users)) } td { (who) } td { (how) } td { (what) } }
                }
            } }
        }
    }
}

fn facts(summary: &Summary) -> Markup {
    let (hashes, verified, timing) = (&summary.hashes, &summary.verified, &summary.timing);
    let seconds = |value: Option<f64>| value.map_or_else(|| "\u{2013}".to_owned(), |value| format!("{value:.1} s"));
    let algorithms: Vec<String> =
        hashes.algorithms.iter().map(|(name, rows)| format!("{} {}", thousands(*rows), printable(name))).collect();
    html! {
        h2 { "Hashes" }
        div.table { table {
            tr { th { "rows" } th { "joined" } th { "users without" } th { "unused" } th { "stale" } th { "unusable" } th { "algorithms" } }
            tr {
                @for n in [hashes.rows, hashes.matched, hashes.users_without, hashes.unused, hashes.stale, hashes.unusable] {
                    td { (thousands(n)) }
                }
                td { (algorithms.join(", ")) }
            }
        } }
        @for warning in &summary.warnings {
            p { strong { "Warning: " } (printable(warning)) }
        }
        @if verified.checked + verified.looked_at > 0 {
            h2 { "Verified" }
            div.table { table {
                tr { th { "written" } th { "found" } th { "compared" } th { "the same" } th { "missing" } th { "different" } th { "with metadata" } }
                tr {
                    @for n in [
                        verified.checked, verified.found, verified.looked_at, verified.same, verified.missing,
                        verified.different, verified.metadata_checked,
                    ] {
                        td { (thousands(n)) }
                    }
                }
            } }
            @if !verified.by_kind.is_empty() {
                div.table { table {
                    tr { th.n { "Users" } th { "What differs" } th { "" } }
                    @for (kind, users) in &verified.by_kind {
                        tr { td.n { (thousands(*users)) } td { code { (printable(kind)) } } td { (words_of_difference(kind)) } }
                    }
                } }
            }
        }
        @if let Some(counts) = &summary.structure {
            h2 { "Roles and organizations" }
            div.table { table {
                tr { th { "roles" } th { "from us" } th { "organizations" } th { "from us" } th { "role grants from us" } th { "not as planned" } }
                tr {
                    @for n in [
                        counts.roles, counts.roles_ours, counts.organizations, counts.organizations_ours,
                        counts.grants_ours, counts.grants_left,
                    ] {
                        td { (thousands(n)) }
                    }
                }
            } }
        }
        h2 { "Time" }
        div.table { table {
            tr { th { "export" } th { "plan" } th { "import" } th { "visible" } th { "verify" } th { "total" } }
            tr {
                @for value in [timing.export_s, timing.plan_s, timing.import_s, timing.visible_s, timing.verify_s, timing.total_s] {
                    td { (seconds(value)) }
                }
            }
        } }
    }
}

/// The code and the reason that a user is listed for: its own, else what `verify` found.
fn why(user: &Outcome) -> (&str, String) {
    if let Some(code) = &user.code {
        return (code, user.message.clone().unwrap_or_default());
    }
    let Some(finding) = user.findings.iter().rev().find(|finding| finding.code.is_of_verify()) else {
        return ("", String::new());
    };
    (finding.code.code(), finding.detail.clone().unwrap_or_else(|| finding.code.message().to_owned()))
}

fn users(attention: &Attention) -> Markup {
    html! {
        @if !attention.users.is_empty() {
            h2 { "Users that need you" }
            p.soft {
                @if attention.total > attention.users.len() as u64 {
                    "The first " (thousands(attention.users.len() as u64)) " of " (thousands(attention.total)) "; "
                    code { "outcomes.ndjson" } " has all."
                } @else { (thousands(attention.total)) " in all." }
            }
            div.table { table {
                tr { th { "User" } th { "Connection" } th { "Outcome" } th { "Code" } th { "Why" } }
                @for user in &attention.users {
                    tr {
                        td { code {
                            @if let Some(id) = &user.user_id { (printable(id)) } @else { "file " (user.file + 1) ", line " (user.line) }
                        } }
                        td { (printable(user.connection.as_deref().unwrap_or_default())) }
                        td { (user.outcome) }
                        @let (code, why) = why(user);
                        td { code { (printable(code)) } }
                        td { (printable(&why)) }
                    }
                }
            } }
        }
    }
}
