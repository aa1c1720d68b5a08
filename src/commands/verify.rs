//! `a2z verify`: compares ZITADEL with the ledger, at any time after a cutover. It needs neither Auth0, nor the export, nor a
//! hash file, and it writes nothing to ZITADEL. `--login USER` proves one password instead: `login.rs`.

use std::fmt::Write as _;

use super::{Context, login, print};
use crate::{
    cli,
    error::{Result, count, printable, thousands},
    report::words_of_difference,
    run::{
        Folder,
        compare::{Readable, end},
    },
    structure::check::Looked,
    summary,
    verify::Verdict,
};

/// Organizations that are named.
const EXAMPLES: usize = 20;

/// Compares, prints what differs, and writes the reports again.
///
/// # Errors
/// When there is nothing to compare, ZITADEL cannot be asked, or (of kind `Incomplete`) somebody differs.
pub async fn verify(context: &Context, args: &cli::Verify) -> Result<()> {
    let folder = Folder::existing(&context.work)?;
    let readable = Readable::of(&context.work, &folder).await?;
    if let Some(user) = &args.login {
        return login::login(context, user, &readable).await;
    }
    let verdict = readable.compare().await?;
    summary::write(folder.state(), folder.ledger(), readable.run())?;
    print(&text(&verdict))?;
    let organizations = readable.organizations().await?;
    print(&organizations_text(&organizations))?;
    end(&verdict, &organizations, &folder.path().join("report.html"))
}

/// What was found, for standard output.
fn text(verdict: &Verdict) -> String {
    let mut out = String::new();
    let remark = match verdict.metadata_checked {
        0 => String::new(),
        n => format!("  with the metadata of {}", thousands(n)),
    };
    let _ = writeln!(out, "{:<12}{:>12}{remark}\n", "looked at", thousands(verdict.looked_at));
    for (what, users) in [("the same", verdict.same), ("different", verdict.different), ("missing", verdict.missing)] {
        let _ = writeln!(out, "{what:<12}{:>12}", thousands(users));
    }
    if verdict.wrong() > 0 {
        let _ = writeln!(out, "\nWhat differs");
        for (what, users) in &verdict.by_kind {
            let _ = writeln!(out, "  {:>10}  {what:<16}{}", thousands(*users), words_of_difference(what));
        }
        let _ = writeln!(out, "\nWho differs");
        for example in &verdict.examples {
            let differences: Vec<String> = example
                .differences
                .iter()
                .map(|difference| match &difference.detail {
                    Some(detail) => format!("{}: {detail}", difference.what),
                    None => difference.what.to_owned(),
                })
                .collect();
            let _ = writeln!(out, "  {:<40}  {}", printable(&example.user_id), differences.join("; "));
        }
        let more = verdict.wrong() - verdict.examples.len() as u64;
        if more > 0 {
            let _ = writeln!(out, "  and {} more: see `outcomes.ndjson`", thousands(more));
        }
    }
    out
}

/// The organizations that a2z made, where there are any.
fn organizations_text(looked: &Looked) -> String {
    if looked.organizations == 0 {
        return String::new();
    }
    let mut out = format!(
        "\n{} that a2z made, {} different\n",
        count(looked.organizations, "organization"),
        looked.different.len()
    );
    for (id, what) in looked.different.iter().take(EXAMPLES) {
        let _ = writeln!(out, "  {:<40}  {}", printable(id), printable(what));
    }
    let more = looked.different.len().saturating_sub(EXAMPLES);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more");
    }
    out
}
