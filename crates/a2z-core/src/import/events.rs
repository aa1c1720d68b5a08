//! What ZITADEL's events tell about who changed a user. They are strongly consistent, and not everybody may read them.

use super::engine::Engine;
use crate::{error::Result, ledger::runs, zitadel::failure::Failure};

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

/// Did another account than ours make events of these `kinds` about the user? `None` if the account may not read events.
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub(super) async fn others(engine: &Engine, user_id: &str, kinds: &[&str]) -> Result<Option<bool>> {
    let accounts = engine.ledger.read(runs::accounts)?;
    match engine.client.life(user_id, kinds).await {
        Err(Failure::NoPermission(_)) => Ok(None),
        life => {
            let life = life.map_err(|f| f.into_error("could not read a user's events from ZITADEL"))?;
            let did = life.events.iter().any(|event| !accounts.contains(&event.editor_user_id));
            Ok((did || life.whole).then_some(did))
        }
    }
}
