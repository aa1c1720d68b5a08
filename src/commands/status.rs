//! `a2z status`: where the ledger stands. It only reads, also while a run is writing.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value;

use super::{Context, print};
use crate::{
    error::{Result, thousands},
    ledger::{self, Snapshot, View, grants, runs, users},
    state::StateDir,
    text::time,
    verify::Verdict,
};

/// Prints where the latest run stands.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub fn status(context: &Context) -> Result<()> {
    let state = StateDir::look(&context.work.config.state)?;
    let running = state.is_in_use();
    let text = View::of(&state.ledger()).read(|ledger| text(ledger, running))?;
    print(&text)
}

fn text(reader: &Snapshot<'_>, running: bool) -> ledger::Result<String> {
    let now = if running { "a2z is running in this state folder" } else { "not running" };
    let Some(run) = runs::latest(reader)? else { return Ok(format!("{now}\nno run yet\n")) };
    let left = users::count_todo(reader, run.run)?;
    let again = if running { "" } else { "; `a2z cutover` goes on from here" };
    let stage = match (&run.finished_at, &run.importing_at, &run.planned_at) {
        (Some(at), ..) => format!("finished at {at}"),
        (None, Some(at), _) if left > 0 => format!("importing since {at}{again}"),
        (None, Some(at), _) => {
            format!("importing since {at}; everybody has an outcome, the end is to be counted and compared{again}")
        }
        (None, None, Some(at)) => format!("planned at {at}, nothing written{again}"),
        (None, None, None) => format!("exporting or planning, nothing written{again}"),
    };
    let mut text = format!("{now}\nrun {} of {}\n{stage}\n", run.run, run.started_at);
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
    let notes: Value = serde_json::from_str(&notes).unwrap_or_default();
    if let Some(done) = notes["rollback"].as_object() {
        let number = |key: &str| thousands(done.get(key).and_then(Value::as_u64).unwrap_or(0));
        let at = done.get("at").and_then(Value::as_str).unwrap_or_default();
        let deleted = thousands(users::count_removed(reader)?);
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
    let balance = users::balance(reader, run.run)?;
    let doubt = users::count_in_doubt(reader, run.run)?;
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
    let grants = grants::count_grants_planned(reader, run.run)?;
    if grants > 0 {
        let _ = writeln!(text, "{:<13} {:>12}", "grants left", thousands(grants));
    }
    let notes: Value = serde_json::from_str(&runs::notes(reader, run.run, runs::Notes::Notes)?).unwrap_or_default();
    if let Some(pace) = running.then(|| pace(&notes["sending"], left)).flatten() {
        let _ = writeln!(text, "{:<13} {pace}", "pace");
    }
    let compared = runs::meta(reader, "verified")?.and_then(|json| serde_json::from_str::<Verdict>(&json).ok());
    if let Some(verdict) = compared.filter(|verdict| verdict.looked_at > 0) {
        let Verdict { at, looked_at, same, different, missing, .. } = verdict;
        let [looked_at, same, different, missing] = [looked_at, same, different, missing].map(thousands);
        let differ = format!("{same} the same, {different} different, {missing} missing");
        let _ = writeln!(text, "{:<13} at {at}, {looked_at} looked at: {differ}", "compared");
    }
    Ok(text)
}

/// How fast it goes, and how long it will take: `sending` says how many were left when this process began to send.
fn pace(sending: &Value, left: u64) -> Option<String> {
    let began: jiff::Timestamp = sending["at"].as_str()?.parse().ok()?;
    let done = sending["left"].as_u64()?.checked_sub(left).filter(|done| *done > 0)?;
    let elapsed = Duration::try_from(jiff::Timestamp::now().duration_since(began)).ok()?.as_secs_f64().max(1.0);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (rate, left) = (done as f64 / elapsed, left as f64);
    let rest = Duration::try_from_secs_f64(left / rate).ok()?;
    let rest = if left > 0.0 { format!(", about {} left", time(rest)) } else { String::new() };
    Some(format!("{rate:.0} users a second{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_of_this_process() {
        let at = (jiff::Timestamp::now() - Duration::from_secs(10)).to_string();
        let sending = serde_json::json!({ "at": at, "left": 1_500 });
        let text = pace(&sending, 500).unwrap();
        assert!(text.ends_with(" left") && (text.starts_with("100 ") || text.starts_with('9')), "{text}");
        assert!(!pace(&sending, 0).unwrap().contains("left"));
        assert_eq!(pace(&sending, 1_500), None);
        assert_eq!(pace(&sending, 2_000), None);
        assert_eq!(pace(&Value::Null, 5), None);
    }
}
