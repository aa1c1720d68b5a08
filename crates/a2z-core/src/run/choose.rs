//! Which run of the ledger is worked on: one that is not finished, or a new one.

use std::time::Duration;

use super::{goal::Goal, work::Work};
use crate::{
    error::{Error, Result},
    ledger::{Ledger, runs},
};

/// A plan that nobody confirmed is used by a later cutover only while it is this young.
const PLAN_IS_FRESH: Duration = Duration::from_hours(1);
/// Auth0 deletes a job and its file after 24 hours.
const JOB_IS_KEPT: Duration = Duration::from_hours(24);
/// Under this key the ledger keeps where the users of its latest run come from.
const SELECTION: &str = "selection";

/// The run to work on.
pub(super) struct Chosen {
    /// Its number.
    pub(super) run: i64,
    /// The digest of what its plan was made with, if the plan is complete.
    pub(super) planned_with: Option<String>,
    /// It was confirmed: there may be writes.
    pub(super) writing: bool,
    /// When it was begun; `now` of the operator's rules, also after a crash.
    pub(super) started_at: jiff::Timestamp,
}

/// Where the users come from, as the operator said it: another selection is another run.
fn selection(work: &Work) -> String {
    let config = &work.config;
    let users: Vec<String> = config.input.users.iter().map(ToString::to_string).collect();
    // One file is written down as it was before there could be several.
    let users = match users.as_slice() {
        [] => serde_json::Value::Null,
        [one] => one.as_str().into(),
        several => several.into(),
    };
    serde_json::json!({ "users": users, "connections": config.auth0.connections, "job": config.auth0.job }).to_string()
}

/// A run that is not finished is continued; a finished one is followed by a new one (the delta).
pub(super) async fn choose<G: Goal>(work: &Work, ledger: &Ledger) -> Result<Chosen> {
    let latest = ledger.read(runs::latest)?;
    let selected = selection(work);
    if let Some(run) = latest.filter(|run| run.finished_at.is_none()) {
        let before = ledger.read(|c| runs::meta(c, SELECTION))?;
        let same = before.is_none_or(|before| before == selected);
        let writing = run.importing_at.is_some();
        if writing && !same {
            return Err(Error::usage(format!("run {} is not finished, and it was begun with other users", run.run))
                .because("`--users`, `--connection` or `--job` are not what they were")
                .hint("run the same command as before to finish it; for other users, give another `--state DIR`"));
        }
        // A plan to look at is always of now; a cutover takes up a fresh one, and always one whose writes have begun.
        let by_hand = !work.config.input.users.is_empty();
        let open = G::WRITES || run.planned_at.is_none();
        if writing || (same && !by_hand && open && is_fresh(&run, jiff::Timestamp::now())) {
            work.events.notice(format!("continuing run {} of {}", run.run, run.started_at));
            let planned_with = run.planned_at.and(run.inputs_digest);
            let started_at = run.started_at.parse().unwrap_or_else(|_| jiff::Timestamp::now());
            return Ok(Chosen { run: run.run, planned_with, writing, started_at });
        }
    }
    let run = ledger
        .write(move |t| {
            runs::set_meta(t, SELECTION, &selected)?;
            runs::begin(t)
        })
        .await?;
    let begun = ledger.read(runs::latest)?.and_then(|run| run.started_at.parse().ok());
    let started_at = begun.unwrap_or_else(jiff::Timestamp::now);
    Ok(Chosen { run, planned_with: None, writing: false, started_at })
}

/// A plan is of use for an hour; an export under way (or one that nobody planned yet) as long as Auth0 keeps its job.
fn is_fresh(run: &runs::Run, now: jiff::Timestamp) -> bool {
    let (since, limit) = match &run.planned_at {
        Some(planned_at) => (planned_at, PLAN_IS_FRESH),
        None => (&run.started_at, JOB_IS_KEPT),
    };
    since
        .parse::<jiff::Timestamp>()
        .is_ok_and(|at| Duration::try_from(now.duration_since(at)).is_ok_and(|age| age < limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Source},
        error::Kind,
        event::Events,
        ledger::runs::Mark,
        run::goal::{Cutover, PlanOnly},
        stop::Stop,
    };

    fn work(change: impl FnOnce(&mut Config)) -> Work {
        let mut config = Config::default();
        change(&mut config);
        Work { config, events: Events::silent(), stop: Stop::default() }
    }

    fn of_the_tenant() -> Work {
        work(|_| {})
    }

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        (dir, ledger)
    }

    async fn mark(ledger: &Ledger, run: i64, mark: Mark) {
        ledger.write(move |t| runs::mark(t, run, mark)).await.unwrap();
    }

    #[tokio::test]
    async fn a_cutover_takes_up_a_fresh_plan_and_a_plan_is_made_again() {
        let (_dir, ledger) = ledger();
        let work = of_the_tenant();
        let planned = choose::<PlanOnly>(&work, &ledger).await.unwrap();
        assert_eq!((planned.run, planned.planned_with, planned.writing), (1, None, false));
        ledger.write(|t| runs::set_inputs_digest(t, 1, "d")).await.unwrap();
        mark(&ledger, 1, Mark::Planned).await;
        let taken_up = choose::<Cutover>(&work, &ledger).await.unwrap();
        assert_eq!((taken_up.run, taken_up.planned_with.as_deref()), (1, Some("d")));
        assert_eq!(choose::<PlanOnly>(&work, &ledger).await.unwrap().run, 2, "a plan to look at is of now");
    }

    #[tokio::test]
    async fn an_export_under_way_is_taken_up_by_both() {
        let (_dir, ledger) = ledger();
        let work = of_the_tenant();
        assert_eq!(choose::<PlanOnly>(&work, &ledger).await.unwrap().run, 1);
        assert_eq!(choose::<PlanOnly>(&work, &ledger).await.unwrap().run, 1);
        assert_eq!(choose::<Cutover>(&work, &ledger).await.unwrap().run, 1);
    }

    #[tokio::test]
    async fn writes_that_have_begun_go_on_with_the_same_users_only() {
        let (_dir, ledger) = ledger();
        let work_before = of_the_tenant();
        choose::<Cutover>(&work_before, &ledger).await.unwrap();
        mark(&ledger, 1, Mark::Importing).await;
        assert!(choose::<Cutover>(&work_before, &ledger).await.unwrap().writing);
        let others = work(|config| config.input.users = vec![Source::File("users.ndjson".into())]);
        let Err(refused) = choose::<Cutover>(&others, &ledger).await else {
            panic!("other users go into the same run")
        };
        assert_eq!(refused.kind(), Kind::Usage);
        mark(&ledger, 1, Mark::Finished).await;
        assert_eq!(
            choose::<Cutover>(&others, &ledger).await.unwrap().run,
            2,
            "a finished run is followed by a new one"
        );
    }

    #[tokio::test]
    async fn files_by_hand_are_planned_each_time_until_writes_begin() {
        let (_dir, ledger) = ledger();
        let by_hand = work(|config| config.input.users = vec![Source::File("users.ndjson".into())]);
        assert_eq!(choose::<Cutover>(&by_hand, &ledger).await.unwrap().run, 1);
        assert_eq!(choose::<Cutover>(&by_hand, &ledger).await.unwrap().run, 2);
        mark(&ledger, 2, Mark::Importing).await;
        assert_eq!(choose::<Cutover>(&by_hand, &ledger).await.unwrap().run, 2);
    }

    #[test]
    fn a_plan_is_fresh_for_an_hour_and_an_export_for_a_day() {
        let at = |time: &str| time.parse::<jiff::Timestamp>().unwrap();
        let mut run = runs::Run {
            run: 1,
            started_at: "2026-12-01T00:00:00Z".into(),
            inputs_digest: None,
            planned_at: None,
            importing_at: None,
            finished_at: None,
        };
        assert!(is_fresh(&run, at("2026-12-01T23:59:59Z")));
        assert!(!is_fresh(&run, at("2026-12-02T00:00:00Z")));
        run.planned_at = Some("2026-12-01T12:00:00Z".into());
        assert!(is_fresh(&run, at("2026-12-01T12:59:59Z")));
        assert!(!is_fresh(&run, at("2026-12-01T13:00:00Z")));
        run.planned_at = Some("not a time".into());
        assert!(!is_fresh(&run, at("2026-12-01T12:00:00Z")));
    }
}
