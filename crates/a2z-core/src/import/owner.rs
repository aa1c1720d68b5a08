//! Whose a user is that a lost request may have created, or that an earlier run wrote. Only asks.

use super::{engine::Engine, item::Item};
use crate::{
    error::Result,
    ledger::users::written_at,
    ownership::{Claim, Evidence, Ownership},
    zitadel::{events::kind, failure::Failure},
};

/// Whose a user is. `settled`: the ledger has the user from an answer that was read, else a request is in doubt.
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub(super) async fn of(engine: &Engine, user_id: &str, organization: &str, settled: bool) -> Result<Ownership> {
    let settled_at = if settled { engine.ledger.read(|c| written_at(c, user_id))? } else { None };
    let claim = Claim { organization, settled_at };
    let us = engine.us()?;
    match engine.client.life(user_id, &kind::USER_CREATED).await {
        Ok(life) => Ok(us.owner_of_user(claim, Evidence::Life(&life))),
        Err(Failure::NoPermission(_)) => {
            let found = engine.exists(user_id).await?;
            Ok(us.owner_of_user(claim, Evidence::Shown(found.as_ref())))
        }
        Err(failure) => Err(failure.into_error("could not read a user's events from ZITADEL")),
    }
}

/// Whose a user in doubt is.
pub(super) async fn of_item(engine: &Engine, item: &Item) -> Result<Ownership> {
    of(engine, item.id(), engine.organization_of(item), false).await
}

/// Is a user in doubt, which no search finds, ours?
pub(super) async fn is_ours(engine: &Engine, item: &Item) -> Result<bool> {
    Ok(of_item(engine, item).await? == Ownership::Ours)
}
