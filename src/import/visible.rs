//! The end of an import: wait until ZITADEL's projections have caught up, then count every user back by id.
//!
//! A search that finds a user proves that the user is there; one that does not proves nothing until the projections have
//! come past the last write. So first the barrier, then the count, and again for those who are missing.

use std::time::{Duration, Instant};

use super::Engine;
use crate::{
    error::Result,
    event::Stage,
    ledger::import_queries::{count_seen, created_not_seen, not_seen, set_seen, start_again},
    zitadel::failure::Failure,
};

/// Ids in one search.
const CHUNK: usize = 500;
/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(2);

/// More users than this are not made anew: then something else is wrong.
const MOST_ANEW: usize = 100;

/// How the count went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Users that this run wrote.
    pub written: u64,
    /// Users that a search found.
    pub seen: u64,
    /// The projections had caught up, and still not everybody was found. Not so where only the deadline passed: those who
    /// are missing then may just be late.
    pub passed_over: bool,
}

/// Waits until every user that this run wrote is found by a search, or the deadline passes.
///
/// # Errors
/// When ZITADEL cannot be asked, the ledger fails, or the run is stopped.
pub async fn wait(engine: &Engine) -> Result<Counted> {
    let reader = engine.ledger.reader()?;
    let count = || count_seen(&reader, engine.run).map_err(|error| engine.ledger_failed(&error));
    let (written, mut seen) = count()?;
    let stage = engine.events.start(Stage::Visible, Some(written));
    stage.advanced(seen, Some(written));
    let deadline = Instant::now() + engine.config.visible_deadline;
    // The projections have caught up, and for so long nobody more was found: waiting longer brings nobody.
    let patience = engine.config.passed_over_after;
    let mut progressed = Instant::now();
    let mut passed_over = false;
    while seen < written {
        if progressed.elapsed() >= patience {
            passed_over = true;
            break;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let asked = Instant::now();
        engine
            .client
            .barrier(left)
            .await
            .map_err(|failure| failure.into_error("could not wait for ZITADEL's projections"))?;
        // Projections that are still busy are no standstill.
        progressed += asked.elapsed();
        let mut after = 0;
        loop {
            let chunk = not_seen(&reader, engine.run, after, CHUNK).map_err(|error| engine.ledger_failed(&error))?;
            let Some((last, _)) = chunk.last() else { break };
            after = *last;
            let ids: Vec<String> = chunk.into_iter().map(|(_, id)| id).collect();
            let answer =
                engine.search(&ids).await.map_err(|failure| failure.into_error("could not count the users back"))?;
            let found: Vec<String> = answer.users.into_iter().map(|user| user.user_id).collect();
            if !found.is_empty() {
                engine.ledger.write(move |t| set_seen(t, &found)).await?;
            }
            let before = std::mem::replace(&mut seen, count()?.1);
            if seen > before {
                progressed = Instant::now();
            }
            stage.advanced(seen, Some(written));
            engine.check_stopped()?;
        }
        if seen < written {
            tokio::time::sleep(PAUSE.min(patience / 4).min(deadline.saturating_duration_since(Instant::now()))).await;
        }
    }
    stage.finish(seen);
    Ok(Counted { written, seen, passed_over })
}

/// Users whom ZITADEL stored and whom its projections passed over: seen once on a real instance; the likely cause
/// is an event that is committed late, behind the place that the projection has come to. Nobody can find such a user, who cannot sign in,
/// and the id stays taken. They are this run's own, so they are deleted and put back on the list.
///
/// Returns how many there are to be created again; 0 where there are none, too many, or the account may not delete.
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub async fn make_anew(engine: &Engine) -> Result<u64> {
    let reader = engine.ledger.reader()?;
    let lost = created_not_seen(&reader, engine.run, MOST_ANEW + 1).map_err(|error| engine.ledger_failed(&error))?;
    drop(reader);
    if lost.len() > MOST_ANEW {
        return Ok(0);
    }
    let mut again = 0;
    for user_id in lost {
        engine.check_stopped()?;
        // Once more, by the read that waits for the projections: whoever is just late is never deleted.
        if engine.exists(&user_id).await?.is_some() {
            engine.ledger.write(move |t| set_seen(t, &[user_id])).await?;
            continue;
        }
        match engine.client.delete_user(&user_id).await {
            Ok(_) => {}
            Err(Failure::NoPermission) => break,
            Err(failure) => return Err(failure.into_error("could not delete a user who cannot be found")),
        }
        engine.ledger.write(move |t| start_again(t, &user_id)).await?;
        again += 1;
    }
    Ok(again)
}
