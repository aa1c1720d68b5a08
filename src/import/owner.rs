//! Users that a lost request may have created: the owner is resolved before anything is written to them.

use super::{Engine, item::Item, settle, update};
use crate::{
    error::Result,
    ledger::{
        states::Outcome,
        users::{Settled, written_at},
    },
    ownership::{Claim, Evidence, Ownership},
    zitadel::{events::kind, failure::Failure, search::FoundUser},
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
async fn of_item(engine: &Engine, item: &Item) -> Result<Ownership> {
    of(engine, item.id(), engine.organization_of(item), false).await
}

/// Is a user in doubt, which no search finds, ours?
pub(super) async fn is_ours(engine: &Engine, item: &Item) -> Result<bool> {
    Ok(of_item(engine, item).await? == Ownership::Ours)
}

/// Settles the users that are not ours, of users in doubt that ZITADEL has. Returns the users that are ours, and those that
/// are not there after all.
pub(super) async fn sort(engine: &Engine, items: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>)> {
    let (mut ours, mut absent) = (Vec::new(), Vec::new());
    for item in items {
        match of_item(engine, &item).await? {
            Ownership::Ours => ours.push(item),
            Ownership::Absent => absent.push(item),
            Ownership::Theirs => settle::existed_unseen(engine, &item).await?,
            Ownership::CannotTell => engine.settle(vec![settle::owner_unknown(&item)]).await?,
        }
    }
    Ok((ours, absent))
}

/// Settles a user in doubt that ZITADEL has. False if the user is not there after all.
pub(super) async fn resolve(engine: &Engine, item: &Item) -> Result<bool> {
    let (ours, absent) = sort(engine, vec![item.clone()]).await?;
    for item in ours {
        update::finish_ours(engine, &item).await?;
    }
    Ok(absent.is_empty())
}

/// May a user that an earlier run created be changed? Not if somebody deleted that user and created another one under the
/// same id: that is settled here.
pub(super) async fn is_still_ours(engine: &Engine, item: &Item, user: &FoundUser) -> Result<bool> {
    match of(engine, item.id(), engine.organization_of(item), true).await? {
        Ownership::Ours => return Ok(true),
        // The ledger has the user from an answer that was read: only the change is left out.
        Ownership::CannotTell => {
            let left = Settled { outcome: Outcome::Rejected, ours: true, ..settle::owner_unknown(item) };
            engine.settle(vec![left]).await?;
        }
        Ownership::Theirs | Ownership::Absent => {
            let settled = settle::existed(item, &user.organization_id, engine.organization_of(item));
            engine.settle(vec![settled]).await?;
        }
    }
    Ok(false)
}
