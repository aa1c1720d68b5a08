//! `a2z rollback`: undoes what this ledger did.

mod text;

use super::{Context, confirm::confirm_deletion, print};
use crate::{
    cli,
    error::Result,
    run::{Folder, rollback::Surveyed},
    summary,
};

/// Deletes exactly the users that this ledger created, and the organization, if this ledger created that.
///
/// # Errors
/// `Incomplete` when somebody was left alone or could not be deleted; the first thing that stops it otherwise. What was
/// deleted by then is in the ledger; running again goes on.
pub async fn rollback(context: &Context, args: &cli::Rollback) -> Result<()> {
    let folder = Folder::existing(&context.work)?;
    let Some(surveyed) = Surveyed::of(&context.work, &folder, args.include_changed).await? else {
        return print("Nothing to do: this ledger has no user in ZITADEL.\n");
    };
    print(&text::plan(&surveyed))?;
    let run = surveyed.known.run;
    let report = || run.map_or(Ok(()), |run| summary::write(folder.state(), folder.ledger(), run).map(|_| ()));
    let agreed = async |surveyed: &Surveyed<'_>| confirm_deletion(context, &text::question(surveyed)).await;
    let undone = surveyed.next(agreed).await.map_err(|stopped| {
        if stopped.wrote {
            let _ = report();
        }
        stopped.error
    })?;
    report()?;
    print(&text::end(&undone))?;
    undone.end()
}
