//! `a2z check`: each check a line with ok, warning or failure, and what to do.

use std::fmt::Write as _;

use super::{Context, print};
use crate::{
    error::{Error, Kind, Result, printable, thousands},
    hashes::{audit::Audit, mfa::MfaAudit},
    run::{
        check,
        facts::Status,
        tickets::{load_hashes, load_mfa},
    },
    summary::plan::USERS_PER_SECOND,
};

/// Runs every check that the configuration allows and prints a line each.
///
/// # Errors
/// Of kind `Check` when one failed.
pub async fn check(context: &Context) -> Result<()> {
    let facts = check::run(&context.work, true).await?;
    let mut text = String::new();
    let mut failures = 0;
    for line in &facts.lines {
        failures += u64::from(line.status == Status::Failure);
        line_text(&mut text, context, line.status, line.name, &line.text);
        if let Some(error) = &line.error {
            for rest in error.render().lines().skip(1) {
                let _ = writeln!(text, "        {}", printable(rest));
            }
        }
    }
    for (matched, line) in facts.idps.lines() {
        let status = if matched { Status::Ok } else { Status::Warning };
        line_text(&mut text, context, status, "identity-provider", &line);
    }
    failures += check_hash_files(context, &mut text);
    failures += check_mfa_files(context, &mut text);
    if let Some(users) = facts.auth0_users {
        let minutes = (users / USERS_PER_SECOND).div_ceil(60).max(1);
        let note = format!(
            "about {} min for {} users, at {USERS_PER_SECOND} a second (a stock ZITADEL on two cores; see the handbook's `docs/src/speed.md`)",
            thousands(minutes),
            thousands(users)
        );
        line_text(&mut text, context, Status::Ok, "estimate", &note);
    }
    print(&text)?;
    if failures == 0 {
        return Ok(());
    }
    Err(Error::new(Kind::Check, format!("{} failed", crate::error::count(failures, "check")))
        .hint("each failure above says what to do"))
}

/// The same for the MFA files.
fn check_mfa_files(context: &Context, text: &mut String) -> u64 {
    if context.work.config.input.mfa.is_empty() {
        return 0;
    }
    match load_mfa(&context.work, None) {
        Ok(index) => {
            let audit = MfaAudit { unused: 0, ..index.audit() };
            let warning = audit.warning();
            let status = if warning.is_some() { Status::Warning } else { Status::Ok };
            line_text(text, context, status, "factors", audit.to_string().trim_end());
            for rest in warning.iter().chain(&audit.listed()) {
                let _ = writeln!(text, "        {}", printable(rest));
            }
            index.require_usable().map_or_else(|error| failure_text(text, context, "factors", &error), |()| 0)
        }
        Err(error) => failure_text(text, context, "factors", &error),
    }
}

/// Reads the hash files whole: an encrypted or damaged one shows before the night of the cutover.
fn check_hash_files(context: &Context, text: &mut String) -> u64 {
    if context.work.config.input.passwords.is_empty() {
        line_text(
            text,
            context,
            Status::Warning,
            "hashes",
            "no hash file: database users will have to set new passwords",
        );
        return 0;
    }
    match load_hashes(&context.work, None) {
        Ok(index) => {
            // Which hashes have no user is known only after a plan.
            let audit = Audit { unused: 0, ..index.audit() };
            let warning = audit.warning();
            let status = if warning.is_some() { Status::Warning } else { Status::Ok };
            let words = audit.to_string();
            let mut lines = words.lines();
            line_text(text, context, status, "hashes", lines.next().unwrap_or_default());
            for rest in warning.as_deref().into_iter().chain(lines) {
                let _ = writeln!(text, "        {}", printable(rest));
            }
            index.require_usable().map_or_else(|error| failure_text(text, context, "hashes", &error), |()| 0)
        }
        Err(error) => failure_text(text, context, "hashes", &error),
    }
}

/// A failure with what it is about and what to do; gives how many that are.
fn failure_text(text: &mut String, context: &Context, name: &str, error: &Error) -> u64 {
    line_text(text, context, Status::Failure, name, error.message());
    for rest in error.render().lines().skip(1) {
        let _ = writeln!(text, "        {}", printable(rest));
    }
    1
}

fn line_text(text: &mut String, context: &Context, status: Status, name: &str, what: &str) {
    let (word, color) = match status {
        Status::Ok => ("ok     ", "\u{1b}[32m"),
        Status::Warning => ("warning", "\u{1b}[33m"),
        Status::Failure => ("FAILURE", "\u{1b}[31m"),
    };
    let (on, off) = if context.color { (color, "\u{1b}[0m") } else { ("", "") };
    let _ = writeln!(text, "{on}{word}{off} {name:<24} {}", printable(what));
}
