//! The end of an import: wait until ZITADEL's projections have caught up, then count every user back by id.
//!
//! A search that finds a user proves that the user is there; one that does not proves nothing until the projections have
//! come past the last write. So first the barrier, then the count, and again for those who are missing.

use std::time::{Duration, Instant};

use super::engine::Engine;
use crate::{
    error::Result,
    event::Stage,
    ledger::users::{count_seen, not_seen, set_seen},
};

/// Ids in one search.
const CHUNK: usize = 500;
/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(2);

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
    let count = || engine.ledger.read(|c| count_seen(c, engine.run));
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
            let chunk = engine.ledger.read(|c| not_seen(c, engine.run, after, CHUNK))?;
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
