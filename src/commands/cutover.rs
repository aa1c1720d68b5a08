//! `a2z cutover` and `a2z plan`: one road, of which the plan walks the first half.

use super::{
    Context,
    confirm::{confirm, confirmed},
    print,
};
use crate::{
    config::Recreate,
    error::{Result, count},
    run::{Checked, Cutover, Folder, Goal, PlanOnly, Planned, Stopped, ToWrite, Verified},
    summary,
};

/// Makes the plan and prints it; nothing is written to ZITADEL.
///
/// # Errors
/// The first thing that stops it; running again goes on.
pub async fn plan(context: &Context) -> Result<()> {
    let folder = Folder::open(&context.work)?;
    let planned = Checked::<PlanOnly>::of(&context.work, &folder).await?.next().await?;
    print_plan(context, &folder, &planned)
}

/// Does the whole job, and prints how it ended.
///
/// # Errors
/// The first thing that stops it, or what the counts say at the end. What was done by then is in the ledger; running again
/// goes on.
pub async fn cutover(context: &Context) -> Result<()> {
    let folder = Folder::open(&context.work)?;
    let planned = Checked::<Cutover>::of(&context.work, &folder).await?.next().await?;
    print_plan(context, &folder, &planned)?;
    let run = planned.number();
    let verified = carry_out(context, planned).await.map_err(|stopped| {
        if stopped.wrote {
            // A report of an unfinished run is of use, too; the error that stopped it is what counts.
            let _ = summary::write(folder.state(), folder.ledger(), run);
        }
        stopped.error
    })?;
    let reported = summary::write(folder.state(), folder.ledger(), run)?;
    print(&reported.text(context.color, folder.path()))?;
    verified.end(reported.needs_operator, &folder.path().join("report.html"))
}

async fn carry_out(context: &Context, planned: Planned<'_, Cutover>) -> Result<Verified, Stopped> {
    let recreate = context.work.config.import.recreate;
    let agreed = async |what: ToWrite| confirm(context, &format!("{}{}", question(what), may_recreate(recreate))).await;
    let agree = async |users: u64| confirmed(context, &recreation(users)).await;
    planned.next(agreed).await?.next(agree).await
}

/// What the operator must know before the first write: a user may be deleted, though nobody can have used it yet.
fn may_recreate(recreate: Recreate) -> &'static str {
    match recreate {
        Recreate::ThisRun => {
            " A user that ZITADEL then stores and cannot sign in is deleted and created again, if nobody touched it \
             (`import.recreate`)."
        }
        Recreate::Ask | Recreate::Never => "",
    }
}

fn recreation(users: u64) -> String {
    format!(
        "Delete and create again {}, because ZITADEL does not let them sign in as before? Nobody else touched them; their \
         sessions end, and their grants get new ids.",
        count(users, "user")
    )
}

fn print_plan(context: &Context, folder: &Folder, planned: &Planned<'_, impl Goal>) -> Result<()> {
    let (providers, warnings) = (planned.providers()?, planned.warnings());
    let plan = folder.ledger().read(|c| summary::plan::of(c, planned.number(), providers, warnings))?;
    print(&plan.text(context.color))
}

fn question(ToWrite { users, grants, codes }: ToWrite) -> String {
    let grants = if grants > 0 { format!(" and {}", count(grants, "role grant")) } else { String::new() };
    let codes = if codes > 0 { format!(" and {}", count(codes, "second factor")) } else { String::new() };
    format!("Write {}{grants}{codes} to ZITADEL?", count(users, "user"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_everything_that_is_written() {
        let question = |users, grants, codes| question(ToWrite { users, grants, codes });
        assert_eq!(question(1, 0, 0), "Write 1 user to ZITADEL?");
        assert_eq!(question(0, 2, 1), "Write 0 users and 2 role grants and 1 second factor to ZITADEL?");
    }
}
