//! What became of users whose answer was lost, and of users that ZITADEL says exist: whoever is not ours is settled here.

use std::collections::{HashMap, HashSet};

use super::{engine::Engine, item::Item, outcome, owner};
use crate::{
    error::Result,
    ledger::{states::Outcome, users::Settled},
    ownership::Ownership,
    zitadel::{barrier::Looks, search::FoundUser},
};

/// Which of these users (each with the organization) a lost request stored, once that no longer changes.
pub(super) async fn stored(engine: &Engine, users: &[(String, String)]) -> Result<HashSet<String>> {
    let ids: Vec<String> = users.iter().map(|(id, _)| id.clone()).collect();
    let places: HashMap<&str, &str> = users.iter().map(|(id, place)| (id.as_str(), place.as_str())).collect();
    let mut looks = Looks::default();
    loop {
        engine.check_not_aborted()?;
        engine
            .client
            .barrier(engine.config.visible_deadline)
            .await
            .map_err(|f| f.into_error("could not wait for ZITADEL's projections"))?;
        let answer = engine.search(&ids).await.map_err(|f| f.into_error("could not look users up in ZITADEL"))?;
        // We create each user in one organization only: who is in another one is not ours.
        let here = |user: &FoundUser| places.get(user.user_id.as_str()) == Some(&user.organization_id.as_str());
        let ours = answer.users.into_iter().filter(here);
        let found: HashSet<String> = ours.map(|user| user.user_id).collect();
        let is_whole = found.len() == ids.len();
        if let Some(found) = looks.last(found, is_whole).await {
            return Ok(found);
        }
    }
}

/// Settles the users that are not ours, of users in doubt that ZITADEL has. Returns the users that are ours, and those that
/// are not there after all.
pub(super) async fn sort(engine: &Engine, items: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>)> {
    let (mut ours, mut absent) = (Vec::new(), Vec::new());
    for item in items {
        match owner::of_item(engine, &item).await? {
            Ownership::Ours => ours.push(item),
            Ownership::Absent => absent.push(item),
            Ownership::Theirs => existed_unseen(engine, &item).await?,
            Ownership::CannotTell => engine.settle(vec![outcome::owner_unknown(&item)]).await?,
        }
    }
    Ok((ours, absent))
}

/// May a user that an earlier run created be changed? Not if somebody deleted that user and created another one under the
/// same id: that is settled here.
pub(super) async fn is_still_ours(engine: &Engine, item: &Item, user: &FoundUser) -> Result<bool> {
    match owner::of(engine, item.id(), engine.organization_of(item), true).await? {
        Ownership::Ours => return Ok(true),
        // The ledger has the user from an answer that was read: only the change is left out.
        Ownership::CannotTell => {
            let left = Settled { outcome: Outcome::Rejected, ours: true, ..outcome::owner_unknown(item) };
            engine.settle(vec![left]).await?;
        }
        Ownership::Theirs | Ownership::Absent => {
            let settled = outcome::existed(item, &user.organization_id, engine.organization_of(item));
            engine.settle(vec![settled]).await?;
        }
    }
    Ok(false)
}

/// ZITADEL says that the user exists, and the search did not find the user: somebody created the user since, or it is the
/// ghost of a deleted organization; or a lost request of ours created the user, whom the projections passed over.
pub(super) async fn existed_unseen(engine: &Engine, item: &Item) -> Result<()> {
    let settled = match engine.exists(item.id()).await? {
        Some(user) => outcome::existed(item, &user.organization_id, engine.organization_of(item)),
        // Found by no search: the repair at the end of the run recreates the user.
        None if item.in_doubt && owner::is_ours(engine, item).await? => outcome::written(item, Outcome::Created, false),
        None => outcome::ghost(item),
    };
    engine.settle(vec![settled]).await
}
