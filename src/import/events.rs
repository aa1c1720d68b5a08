//! What ZITADEL's events tell about who changed a user. They are strongly consistent, and not everybody may read them.

use super::{Engine, factors::REMOVED};
use crate::{
    error::Result,
    ledger::runs,
    zitadel::{failure::Failure, search::EventQuery},
};

/// The most events of these kinds that one user is expected to have.
const MOST: u32 = 1_000;

/// Can it be told that no other account than ours made events of these `kinds` about the user?
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub(super) async fn nobody_else_did(engine: &Engine, user_id: &str, kinds: &[&str]) -> Result<bool> {
    others(engine, user_id, kinds).await.map(|did| did == Some(false))
}

/// Can it be told that another account than ours made an event of these `kinds` about the user?
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub(super) async fn somebody_else_did(engine: &Engine, user_id: &str, kinds: &[&str]) -> Result<bool> {
    others(engine, user_id, kinds).await.map(|did| did == Some(true))
}

/// `None` if the account may not read events.
async fn others(engine: &Engine, user_id: &str, kinds: &[&str]) -> Result<Option<bool>> {
    let accounts = engine.ledger.read(runs::accounts)?;
    let query = EventQuery {
        event_types: kinds.iter().chain([&REMOVED]).map(|kind| (*kind).to_owned()).collect(),
        aggregate_id: Some(user_id.to_owned()),
        limit: MOST,
        ..EventQuery::default()
    };
    match engine.client.events(&query).await {
        Err(Failure::NoPermission(_)) => Ok(None),
        events => {
            let events = events.map_err(|f| f.into_error("could not read a user's events from ZITADEL"))?;
            // Newest first. What happened before the user was created again is of another life.
            let mut life = events.iter().take_while(|event| event.kind != REMOVED);
            Ok(Some(life.any(|event| !accounts.contains(&event.editor_user_id))))
        }
    }
}
