//! From an answer (or the lack of one) to the outcome of every user in the request.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{
    Engine,
    item::Item,
    owner,
    worker::{MAX_LOSSES, keys, settled_by},
};
use crate::{
    error::Result,
    ledger::{states::Outcome, users::Settled},
    mapping::{draft::Route, finding::BlockedCode},
    zitadel::{
        barrier::Looks,
        failure::Reason,
        import::{EntityError, ImportAnswer, ImportBody},
        search::FoundUser,
    },
};

/// Before users are sent again whom ZITADEL could not store for a cause of its own, times the attempts so far.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);

/// Settles the users of a request that was answered; returns those of whom the answer says nothing.
pub(super) async fn answered(
    engine: &Engine,
    items: Vec<Item>,
    answer: &ImportAnswer,
    losses: u32,
) -> Result<Vec<Item>> {
    let (mut settled, mut incomplete, mut unseen, mut silent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut named, mut singly, mut troubled) = (Vec::new(), Vec::new(), false);
    let mut doubtful = Vec::new();
    for item in items {
        let refusal = answer.errors.iter().find(|error| error.kind == "human_user" && error.id == item.id());
        match refusal {
            Some(error) => match error.reason() {
                Reason::UserExists if item.in_doubt || losses > 0 => doubtful.push(item),
                Reason::UserExists => unseen.push(item),
                _ if !error.is_decided() && losses < MAX_LOSSES => {
                    tracing::info!(user = item.id(), %error.message_key, losses, "ZITADEL had trouble with a user");
                    troubled = true;
                    silent.push(item);
                }
                Reason::Taken
                    if error.is_decided() && (item.in_doubt || losses > 0 || !item.draft.links.is_empty()) =>
                {
                    named.push(item);
                }
                // The provider forbids creation since the plan was made; the users API does not ask.
                Reason::CreationForbidden => singly.push(item),
                Reason::Taken if error.is_decided() => settled.push(taken(&item)),
                _ => settled.push(rejected(&item, error.error_id.as_deref(), &error.message_key)),
            },
            None if answer.created.contains(item.id()) => {
                let without_codes = item.in_doubt && !item.draft.recovery_codes.is_empty();
                if is_complete(&item, answer) && !without_codes {
                    settled.push(settled_by(&item, Outcome::Created, Route::Import));
                } else {
                    incomplete.push(item);
                }
            }
            None => match answer
                .errors
                .iter()
                .find(|e| e.kind == "org" && e.is_decided() && e.id == engine.organization_of(&item))
            {
                // This organization as a whole, of several.
                Some(error) => settled.push(rejected(&item, error.error_id.as_deref(), &error.message_key)),
                None => silent.push(item),
            },
        }
    }
    engine.settle(settled).await?;
    let (ours, absent) = owner::sort(engine, doubtful).await?;
    incomplete.extend(ours);
    unseen.extend(absent);
    complete(engine, incomplete).await?;
    for item in singly {
        super::worker::until_settled(engine, item).await?;
    }
    for item in named {
        name_taken(engine, &item).await?;
    }
    for item in unseen {
        existed_unseen(engine, &item).await?;
    }
    if troubled {
        engine.pressed(Duration::from_secs(1));
        engine.pause(TROUBLE_PAUSE * (losses + 1)).await?;
    }
    if silent.is_empty() { Ok(silent) } else { lost(engine, silent).await }
}

/// Every metadata key of the user was written, and every factor that was in the request.
fn is_complete(item: &Item, answer: &ImportAnswer) -> bool {
    let about = |error: &EntityError| error.is_about(item.id());
    !answer.errors.iter().any(about)
        && keys(item).iter().all(|key| answer.metadata.contains(&(item.id().to_owned(), (*key).to_owned())))
}

/// The answer of a request with `items` was lost. Waits until what it stored no longer changes; those who are there are
/// settled, ours once they are complete; the others are returned, in doubt.
pub(super) async fn lost(engine: &Engine, items: Vec<Item>) -> Result<Vec<Item>> {
    let users: Vec<(String, String)> =
        items.iter().map(|item| (item.id().to_owned(), engine.organization_of(item).to_owned())).collect();
    let found = stored(engine, &users).await?;
    let (there, mut missing): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| found.contains(item.id()));
    let (ours, absent) = owner::sort(engine, there).await?;
    missing.extend(absent);
    complete(engine, ours).await?;
    Ok(super::worker::doubtful(missing))
}

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

/// Makes sure that users who exist (and are ours) have all their data, and settles them.
pub(super) async fn complete(engine: &Engine, items: Vec<Item>) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let mut body = ImportBody::new(&engine.organization_id);
    for item in &items {
        body.organization(engine.organization_of(item));
        body.push_metadata_only(&item.draft);
    }
    let mut whole = body.is_empty();
    if !whole {
        let timeout = engine.config.timeout;
        // Metadata is an upsert in ZITADEL: to write it again changes nothing.
        if let Ok(answer) = engine.client.import(body.finish(timeout), timeout).await {
            whole = items.iter().all(|item| is_complete(item, &answer));
        }
    }
    if whole {
        let refused = super::factors::complete(engine, &items).await?;
        let settled = |item: &Item| {
            let mut settled = super::update::written(item, Outcome::Created, !refused.contains(item.id()));
            settled.route = Some(Route::Import);
            settled
        };
        return engine.settle(items.iter().map(settled).collect()).await;
    }
    for item in &items {
        super::update::finish_ours(engine, item).await?;
    }
    Ok(())
}

/// A user that the users API created: everything in one transaction, only the state comes after it, for that API knows
/// none. Until then the user counts as in flight: whoever dies in between deactivates the user in the next run.
pub(super) async fn created_single(engine: &Engine, item: &Item) -> Result<()> {
    let in_state = super::update::set_state(engine, item, false).await?;
    let refused = super::factors::add_codes(engine, std::slice::from_ref(item)).await?;
    let whole = in_state && refused.is_empty();
    let mut settled = super::update::written(item, Outcome::Created, whole);
    settled.inactive &= in_state;
    engine.settle(vec![settled]).await
}

/// A user who was there before, and was found.
pub(super) fn existed(item: &Item, organization: &str, ours: &str) -> Settled {
    let elsewhere = organization != ours;
    Settled {
        code: if elsewhere { Some(BlockedCode::ExistedElsewhere.code()) } else { None },
        detail: elsewhere.then(|| format!("organization {organization}")),
        ..Settled::new(item.id(), Outcome::Existed)
    }
}

/// ZITADEL says that the user exists, and the search did not find the user: somebody created the user since, or it is the
/// ghost of a deleted organization; or a lost request of ours created the user, whom the projections passed over.
pub(super) async fn existed_unseen(engine: &Engine, item: &Item) -> Result<()> {
    let settled = match engine.exists(item.id()).await? {
        Some(user) => existed(item, &user.organization_id, engine.organization_of(item)),
        // Found by no search: the repair at the end of the run recreates the user.
        None if item.in_doubt && owner::is_ours(engine, item).await? => {
            super::update::written(item, Outcome::Created, false)
        }
        None => Settled { code: Some(BlockedCode::GhostUser.code()), ..Settled::new(item.id(), Outcome::Rejected) },
    };
    engine.settle(vec![settled]).await
}

/// A user that ZITADEL has, if it cannot be told whether a lost request created it.
pub(super) fn owner_unknown(item: &Item) -> Settled {
    Settled { code: Some(BlockedCode::OwnerUnknown.code()), ..Settled::new(item.id(), Outcome::Existed) }
}

/// ZITADEL says that the name is taken: by the user's own earlier request, where that raced with this one, else by another
/// user.
pub(super) async fn name_taken(engine: &Engine, item: &Item) -> Result<()> {
    if item.in_doubt && engine.exists(item.id()).await?.is_some() && owner::resolve(engine, item).await? {
        return Ok(());
    }
    if item.draft.links.is_empty() {
        return engine.settle(vec![taken(item)]).await;
    }
    super::links::create_without(engine, item).await
}

/// The user name is another user's.
pub(super) fn taken(item: &Item) -> Settled {
    Settled {
        code: Some(BlockedCode::UserNameTaken.code()),
        detail: Some(format!("`{}`", crate::error::printable(&item.draft.user_name))),
        ..Settled::new(item.id(), Outcome::Rejected)
    }
}

/// ZITADEL refused the user.
pub(super) fn rejected(item: &Item, id: Option<&str>, message: &str) -> Settled {
    let detail = match id {
        Some(id) => format!("{id}: {message}"),
        None => message.to_owned(),
    };
    Settled {
        code: Some(BlockedCode::RefusedByZitadel.code()),
        detail: Some(detail),
        ..Settled::new(item.id(), Outcome::Rejected)
    }
}
