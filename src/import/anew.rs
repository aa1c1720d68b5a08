//! Users whom ZITADEL stored and whom one of its projections passed over, for good: made anew.
//!
//! ZITADEL places an event by the start of its transaction (`position`, `NOW()`), and lets a projection read up to the newest
//! event. Where requests run at a time, one that waited for its turn comes to lie behind what the projection has read. Measured
//! on a real instance: of 14,000 users nine had no login name, and so could not sign in; three lacked metadata that was
//! stored. Nothing says so, and to write the same once more changes nothing, for ZITADEL compares with what it stored. So
//! such a user is deleted and created again: only one whom this run created, and whom nobody else has touched since.

use std::time::Duration;

use super::Engine;
use crate::{
    error::Result,
    ledger::{
        import_queries::{count_seen, created_not_seen, doubt, set_seen, start_again},
        runs,
        verify_queries::{Lacking, passed_over},
    },
    rollback::changes::Kind,
    zitadel::{failure::Failure, search::EventQuery},
};

/// So many at the least may be made anew,
const MOST: usize = 100;
/// and one in so many of those whom the run wrote: more of them say that something else is wrong.
const ONE_IN: u64 = 50;
/// Before it is looked once more at what was read behind a barrier.
const MOMENT: Duration = Duration::from_secs(2);

/// Whom no search finds, although the projections have read everything. They are deleted and put back on the list.
///
/// Returns how many there are to be created again; 0 where there are none, too many, or the account may not delete.
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub async fn unseen(engine: &Engine) -> Result<u64> {
    let reader = engine.ledger.reader()?;
    let most = most(engine, &reader)?;
    let lost = created_not_seen(&reader, engine.run, most + 1).map_err(|error| engine.ledger_failed(&error))?;
    drop(reader);
    if lost.len() > most {
        return Ok(0);
    }
    let mut again = 0;
    for user_id in lost {
        engine.check_stopped()?;
        // Once more, by the read that waits for the projections: whoever is just late is never deleted.
        if engine.exists(&user_id).await?.is_some() {
            engine.ledger.write(move |t| set_seen(t, &[user_id])).await?;
        } else if delete(engine, user_id).await? {
            again += 1;
        } else {
            break;
        }
    }
    Ok(again)
}

/// Whom the comparison found to lack something that was stored: a login name, metadata, links, grants, the state. Those whom
/// nobody else has touched since are deleted and put back on the list.
///
/// Returns how many there are to be created again, as [`unseen`].
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub async fn lacking(engine: &Engine) -> Result<u64> {
    let reader = engine.ledger.reader()?;
    let most = most(engine, &reader)?;
    let lacking = passed_over(&reader, engine.run, most + 1).map_err(|error| engine.ledger_failed(&error))?;
    let accounts = runs::accounts(&reader).map_err(|error| engine.ledger_failed(&error))?;
    drop(reader);
    if lacking.len() > most {
        return Ok(0);
    }
    let mut again = 0;
    for user in lacking {
        engine.check_stopped()?;
        if !untouched(engine, &user, &accounts).await? {
            continue;
        }
        if !delete(engine, user.user_id).await? {
            break;
        }
        again += 1;
    }
    if again > 0 {
        // Who is found after this is there, and was not there before.
        let barrier = engine.client.barrier(engine.config.visible_deadline).await;
        barrier.map_err(|failure| failure.into_error("could not wait for ZITADEL's projections"))?;
    }
    Ok(again)
}

/// How long to wait before those who lack something count as passed over; none: nobody lacks anything.
///
/// # Errors
/// When the ledger fails.
pub fn pause(engine: &Engine) -> Result<Option<Duration>> {
    let reader = engine.ledger.reader()?;
    let lacking = passed_over(&reader, engine.run, MOST).map_err(|error| engine.ledger_failed(&error))?;
    let late = lacking.iter().any(|user| user.maybe_late);
    let longest = engine.config.passed_over_after;
    Ok((!lacking.is_empty()).then_some(if late { longest } else { longest.min(MOMENT) }))
}

fn most(engine: &Engine, reader: &rusqlite::Connection) -> Result<usize> {
    let (written, _) = count_seen(reader, engine.run).map_err(|error| engine.ledger_failed(&error))?;
    Ok(MOST.max(usize::try_from(written / ONE_IN).unwrap_or(usize::MAX)))
}

/// Did nobody but us do anything to the user since the creation? Only events tell. Where they may not be read, whoever has
/// no login name has not signed in, and the others are left as they are.
async fn untouched(engine: &Engine, user: &Lacking, accounts: &[String]) -> Result<bool> {
    let query = EventQuery {
        aggregate_types: vec!["user".into()],
        aggregate_id: Some(user.user_id.clone()),
        limit: 1000,
        ..EventQuery::default()
    };
    let events = match engine.client.events(&query).await {
        Err(Failure::NoPermission) => return Ok(user.nameless),
        events => events.map_err(|f| f.into_error("could not read ZITADEL's events"))?,
    };
    let Some(created) = events.iter().position(|event| event.kind == "user.human.added") else { return Ok(false) };
    Ok(events[..=created]
        .iter()
        .all(|event| accounts.contains(&event.editor_user_id) || Kind::of(&event.kind).is_none()))
}

/// Deletes a user, who is then to be created again. False where the account may not.
async fn delete(engine: &Engine, user_id: String) -> Result<bool> {
    // In doubt until it is done: whoever dies in between finds out in the next run.
    let id = user_id.clone();
    engine.ledger.write(move |t| doubt(t, &id, false)).await?;
    match engine.client.delete_user(&user_id).await {
        Ok(_) => {
            engine.ledger.write(move |t| start_again(t, &user_id)).await?;
            Ok(true)
        }
        Err(Failure::NoPermission) => {
            engine.ledger.write(move |t| doubt(t, &user_id, true)).await?;
            Ok(false)
        }
        Err(failure) => Err(failure.into_error("could not delete a user who is to be made anew")),
    }
}
