//! What a rollback shows: the plan, the question, and the end.

use std::fmt::Write as _;

use crate::{
    error::{count, printable, thousands},
    rollback::Count,
    run::rollback::{Known, Listed, Organization, Surveyed, Undone},
};

/// What a rollback would do.
pub(super) fn plan(surveyed: &Surveyed<'_>) -> String {
    let Surveyed { known, planned, include_changed, .. } = surveyed;
    let mut text = String::new();
    let mut line = |what: &str, n: u64, remark: &str| {
        let _ = writeln!(text, "{what:<14}{:>12}  {remark}", thousands(n));
    };
    line("created", known.created, "by this ledger");
    line("to delete", planned.deleted, if *include_changed { "changed ones too (`--include-changed`)" } else { "" });
    if planned.gone > 0 {
        line("not found", planned.gone, "gone already, or invisible: deleted by id to be certain");
    }
    line("to leave", planned.left, if planned.left > 0 { "changed by others since, or not ours any more" } else { "" });
    if known.in_doubt > 0 {
        line("in doubt", known.in_doubt, "an answer was lost: deleted where they are there");
    }
    if known.existed > 0 {
        line("existed", known.existed, "were there before this ledger: never touched");
    }
    if known.removed > 0 {
        line("done before", known.removed, "deleted by an earlier `a2z rollback`");
    }
    let fate = match &known.created_organization {
        Some(_) if planned.left > 0 => "created by this ledger; stays, for somebody stays in it",
        Some(_) => "created by this ledger: deleted once nobody is left in it",
        None => "was there before this ledger: stays",
    };
    let _ = writeln!(text, "organization  {}  {fate}", printable(surveyed.organization_id()));
    if known.structure {
        let what = "roles, the project and organizations that this ledger made go where nobody else uses them";
        let _ = writeln!(text, "beside        {what}");
    }
    describe(&surveyed.left, &mut text);
    text
}

/// What is asked before anything is deleted.
pub(super) fn question(Surveyed { known, planned, .. }: &Surveyed<'_>) -> String {
    let Known { in_doubt, created_organization, .. } = known;
    let doubt = if *in_doubt > 0 { format!(" and {} in doubt", thousands(*in_doubt)) } else { String::new() };
    let organization = created_organization.as_ref().map_or("", |_| ", then the organization,");
    format!("Delete {}{doubt}{organization} from ZITADEL for good?", count(planned.deleted, "user"))
}

/// What was done, and what to do next.
pub(super) fn end(undone: &Undone) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "\n{:<14}{:>12}  by this ledger", "created", thousands(undone.created()));
    let Count { deleted, gone, left, failed, .. } = undone.done;
    for (what, n) in [("deleted", deleted), ("gone already", gone), ("left alone", left), ("failed", failed)] {
        let _ = writeln!(text, "{what:<14}{:>12}", thousands(n));
    }
    let verdict = if undone.sum() == undone.created() { "balanced" } else { "DOES NOT BALANCE" };
    let _ = writeln!(text, "{:>26}\n{:>26}  {verdict}", "------------", thousands(undone.sum()));
    for line in &undone.structure {
        let _ = writeln!(text, "{}", printable(line));
    }
    match &undone.organization {
        Organization::NotOurs => {}
        Organization::Deleted => text.push_str("organization  deleted\n"),
        Organization::Stays(why) => {
            let _ = writeln!(text, "organization  stays: {}", printable(why));
        }
    }
    describe(&undone.left, &mut text);
    let next = if undone.stays() > 0 {
        "look at those who stay; `a2z rollback --include-changed` deletes the changed ones, too"
    } else {
        "`a2z cutover` starts from the beginning; `a2z purge` removes what is left on this machine"
    };
    let _ = writeln!(text, "next          {next}");
    text
}

/// Who is left alone.
fn describe(left: &Listed, text: &mut String) {
    if left.by_code.is_empty() {
        return;
    }
    text.push_str("\nLeft alone\n");
    for (code, users) in &left.by_code {
        let _ = writeln!(text, "{:>12}  {code}", thousands(*users));
    }
    for line in &left.first {
        let _ = writeln!(text, "  {line}");
    }
    let more = left.by_code.values().sum::<u64>() - left.first.len() as u64;
    if more > 0 {
        let _ = writeln!(text, "  … and {} more", thousands(more));
    }
    let _ = writeln!(text, "all of them   {}", left.path.display());
}
