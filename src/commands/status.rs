//! `a2z status`: where the ledger stands. It only reads, also while a run is writing.

use std::fmt::Write as _;

use super::{Context, print};
use crate::{
    error::Result,
    ledger::{import_queries, report_queries, rollback_queries, runs},
    state::StateDir,
};

/// Prints where the latest run stands.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub fn status(context: &Context) -> Result<()> {
    let state = StateDir::look(&context.config.state)?;
    let reader = crate::ledger::read_only(&state.ledger())?;
    let text = text(&reader).map_err(|error| crate::ledger::failure(&state.ledger(), &error))?;
    print(&text)
}

fn text(reader: &rusqlite::Connection) -> rusqlite::Result<String> {
    use crate::error::thousands;
    let Some(run) = runs::latest(reader)? else { return Ok("no run yet\n".into()) };
    let stage = match (&run.finished_at, &run.importing_at, &run.planned_at) {
        (Some(at), ..) => format!("finished at {at}"),
        (None, Some(at), _) => format!("importing since {at}; run `a2z cutover` to go on if it is not running"),
        (None, None, Some(at)) => format!("planned at {at}, nothing written; `a2z cutover` goes on from here"),
        (None, None, None) => "exporting or planning, nothing written".to_owned(),
    };
    let mut text = format!("run {} of {}\n{stage}\n", run.run, run.started_at);
    for (key, what) in [("tenant", "from"), ("instance", "to"), ("organization", "organization")] {
        if let Some(value) = runs::meta(reader, key)? {
            let _ = writeln!(text, "{what:<13} {value}");
        }
    }
    for file in runs::exports(reader, run.run)? {
        let job = file.job_id.unwrap_or_else(|| "given by hand".into());
        let place = file.path.unwrap_or_else(|| "not downloaded yet".into());
        let _ = writeln!(text, "export        {job}: {place}");
    }
    let notes = runs::notes(reader, run.run, runs::Notes::Notes)?;
    let notes: serde_json::Value = serde_json::from_str(&notes).unwrap_or_default();
    if let Some(done) = notes["rollback"].as_object() {
        let number = |key: &str| thousands(done.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0));
        let at = done.get("at").and_then(serde_json::Value::as_str).unwrap_or_default();
        let deleted = thousands(rollback_queries::count_removed(reader)?);
        let _ = if done.contains_key("unfinished") {
            writeln!(text, "rollback      begun at {at}, {deleted} deleted so far; run `a2z rollback` to go on")
        } else {
            let (gone, left, failed) = (number("gone"), number("left_alone"), number("failed"));
            writeln!(
                text,
                "rolled back   at {at}: {deleted} deleted, {gone} gone already, {left} left alone, {failed} failed"
            )
        };
    }
    let balance = report_queries::balance(reader, run.run)?;
    let left = import_queries::count_todo(reader, run.run)?;
    let doubt = import_queries::count_in_doubt(reader, run.run)?;
    for (what, n) in [
        ("exported", balance.exported),
        ("created", balance.created),
        ("updated", balance.updated),
        ("unchanged", balance.unchanged),
        ("existed", balance.existed),
        ("skipped", balance.skipped),
        ("rejected", balance.rejected),
        ("left to do", left),
        ("in doubt", doubt),
    ] {
        let _ = writeln!(text, "{what:<13} {:>12}", thousands(n));
    }
    Ok(text)
}
