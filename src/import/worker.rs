//! One worker's turn: look up, send, settle.
//!
//! A turn ends with every one of its users settled in the ledger, or with an error that ends the run and leaves the
//! unsettled ones marked in doubt. The order of writes is what makes a kill harmless:
//!
//! 1. Who exists already is found out *before* the first attempt: whoever is there then is not ours.
//! 2. The rest is marked in flight, on the disk, before the request leaves.
//! 3. Whoever is found after that, although the answer was lost, may be ours, or somebody else was quicker: [`owner`] asks
//!    who created the user. Ours are completed, for metadata comes after the users inside one import request.

use std::{collections::HashSet, time::Duration};

use super::{
    Engine,
    item::{Item, ids},
    links, owner, settle,
};
use crate::{
    error::{Error, Result},
    http::retry::Patience,
    ledger::{
        states::Outcome,
        users::{Settled, begin_request, lost, not_sent},
    },
    mapping::draft::Route,
    zitadel::{
        failure::{Failure, Reason},
        import::ImportBody,
    },
};

/// How often an answer may be lost for the same users before the run gives up.
pub(super) const MAX_LOSSES: u32 = 6;
/// With so many users refused one by one and none accepted, the cause is not in the users.
const ALL_REFUSED: u64 = 25;

/// So often a refusal is doubted that may come from a database that gave no answer.
const DOUBTS: u32 = 2;
/// Before ZITADEL is asked once more whether a user name is taken.
pub(super) const NAMED_PAUSE: Duration = Duration::from_millis(250);

/// Users that are sent together, and what happened to them so far.
struct Group {
    items: Vec<Item>,
    losses: u32,
    /// From the first time on that the server said that it was too much.
    patience: Option<Patience>,
}

/// Imports `items`, in as many requests as it takes.
pub(super) async fn batch(engine: &Engine, items: Vec<Item>) -> Result<()> {
    let items = look(engine, items).await?;
    let mut groups = regroup(items, 0);
    while let Some(group) = groups.pop() {
        if group.items.is_empty() {
            continue;
        }
        engine.check_not_aborted()?;
        if group.losses > MAX_LOSSES {
            if group.items.len() > 1 {
                // One of them may be the cause: the others must not wait for it for ever.
                groups.extend(halves(group.items, MAX_LOSSES - 1));
            } else if !engine.leave_unsettled(group.items.len()) {
                return Err(gave_up(&group.items));
            }
            continue;
        }
        groups.extend(send(engine, group).await?);
    }
    Ok(())
}

/// Finds out who of `items` exists, and settles those; returns the others.
pub(super) async fn look(engine: &Engine, items: Vec<Item>) -> Result<Vec<Item>> {
    let answer = engine.search(&ids(&items)).await.map_err(|f| f.into_error("could not look users up in ZITADEL"))?;
    let found: std::collections::HashMap<&str, &str> =
        answer.users.iter().map(|user| (user.user_id.as_str(), user.organization_id.as_str())).collect();
    let shown: Vec<String> =
        items.iter().filter(|item| found.contains_key(item.id())).map(|item| item.id().to_owned()).collect();
    let deleted = if shown.is_empty() {
        HashSet::new()
    } else {
        let deleted = engine.client.deleted_of(&shown, &engine.deletions).await;
        deleted.map_err(|failure| failure.into_error("could not read ZITADEL's events"))?
    };
    let (mut left, mut there, mut existed) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        match found.get(item.id()) {
            None => left.push(item),
            Some(_) if deleted.contains(item.id()) => left.push(item),
            // We create each user in one organization only: who is in another one is not ours, doubt or not.
            Some(organization) if item.in_doubt && *organization == engine.organization_of(&item) => there.push(item),
            Some(organization) => existed.push(settle::existed(&item, organization, engine.organization_of(&item))),
        }
    }
    engine.settle(existed).await?;
    let (ours, absent) = owner::sort(engine, there).await?;
    left.extend(absent);
    for item in ours {
        // A search may be behind a deletion of our own, in a recreation. This read is not.
        if engine.exists(item.id()).await?.is_none() {
            left.push(item);
            continue;
        }
        // A lost request created this user: this very draft, or one from an older export.
        if item.todo.sent == Some(item.have()) {
            super::update::finish_ours(engine, &item).await?;
        } else {
            super::update::finish_earlier(engine, &item).await?;
        }
    }
    Ok(left)
}

/// Sends one request; returns what is still to be sent.
async fn send(engine: &Engine, group: Group) -> Result<Vec<Group>> {
    let Group { items, losses, patience } = group;
    begin(engine, &items).await?;
    let mut body = ImportBody::new(&engine.organization_id);
    for item in &items {
        body.organization(engine.organization_of(item));
        // Recovery codes are appended each time they are sent.
        if item.in_doubt { body.push_without_codes(&item.draft) } else { body.push(&item.draft) }
    }
    let places = body.places();
    let timeout = engine.config.timeout;
    let started = std::time::Instant::now();
    let answer = {
        let _in_flight = engine.in_flight();
        engine.client.import(body.finish(timeout), timeout).await
    };
    match answer {
        Ok(answer) => {
            engine.took(&items, started.elapsed());
            let mut items = items;
            for item in items.iter_mut().filter(|item| !item.in_doubt) {
                // It is over, and there was none before it.
                item.quiet_at = Some(std::time::Instant::now());
            }
            settle::answered(engine, items, &answer, losses).await.map(|left| regroup(left, losses + 1))
        }
        Err(failure) => {
            let mut items = items;
            for item in &mut items {
                item.quiet_at = Some(super::factors::quiet_after(engine, started));
            }
            failed(engine, Group { items, losses, patience }, &places, failure).await
        }
    }
}

/// What to do when the request as a whole failed.
async fn failed(engine: &Engine, group: Group, places: &[Vec<usize>], failure: Failure) -> Result<Vec<Group>> {
    let Group { items, losses, patience } = group;
    tracing::info!(users = items.len(), losses, ?failure, "an import request failed");
    let named = |(organization, user): (usize, usize)| places.get(organization)?.get(user).copied();
    match failure {
        Failure::TooLarge if items.len() > 1 => Ok(halves(items, losses)),
        Failure::TooLarge => {
            let settled = settle::rejected(&items[0], None, "larger than ZITADEL takes in one request (4 MiB)");
            engine.settle(vec![settled]).await?;
            Ok(Vec::new())
        }
        Failure::Refused { status: 400, index, id, message, .. } => {
            if let Some(index) = index.and_then(named).filter(|index| *index < items.len()) {
                let mut items = items;
                let poison = items.remove(index);
                refuse(engine, &poison, id.as_deref(), &message).await?;
                return Ok(regroup(items, losses));
            }
            if items.len() > 1 {
                return Ok(halves(items, losses));
            }
            refuse(engine, &items[0], id.as_deref(), &message).await?;
            Ok(Vec::new())
        }
        Failure::Throttled => {
            // A proxy may have said it after the work was done, so from here on these users are in doubt.
            engine.pressed(Duration::from_secs(1));
            mark_lost(engine, &items).await?;
            let mut patience = patience.unwrap_or_else(|| engine.client.patience());
            let Some(wait) = patience.again(None) else {
                return Err(failure.into_error("could not import users into ZITADEL"));
            };
            engine.throttled("import users", wait);
            engine.pause(wait).await?;
            Ok(vec![Group { items: doubtful(items), losses, patience: Some(patience) }])
        }
        failure if failure.is_ambiguous() => {
            engine.pressed(Duration::from_secs(1));
            mark_lost(engine, &items).await?;
            let missing = settle::lost(engine, items).await?;
            // Where ZITADEL ran out of time, less at once is what helps.
            let halve = matches!(failure, Failure::Timeout500) && missing.len() > 1;
            Ok(if halve { halves(missing, losses + 1) } else { regroup(missing, losses + 1) })
        }
        failure => {
            undo(engine, &items).await?;
            Err(failure.into_error("could not import users into ZITADEL"))
        }
    }
}

async fn refuse(engine: &Engine, item: &Item, id: Option<&str>, message: &str) -> Result<()> {
    engine.settle(vec![settle::rejected(item, id, message)]).await?;
    let progress = engine.progress();
    if progress.created + progress.existed == 0 && progress.rejected >= ALL_REFUSED {
        return Err(Error::gave_up(format!("ZITADEL refused the first {ALL_REFUSED} users, one after another"))
            .because(message.to_owned())
            .hint("the cause is not in the users: see the message, and `a2z check`"));
    }
    Ok(())
}

/// Writes down that a request with these users is about to leave, and what it says.
pub(super) async fn begin(engine: &Engine, items: &[Item]) -> Result<()> {
    let users: Vec<_> = items.iter().map(|item| item.sent(&item.facts)).collect();
    engine.ledger.write(move |t| begin_request(t, &users)).await
}

/// The request was certainly not carried out. Whoever was in doubt before stays in doubt.
async fn undo(engine: &Engine, items: &[Item]) -> Result<()> {
    let ids = items.iter().filter(|item| !item.in_doubt).map(|item| item.id().to_owned()).collect::<Vec<_>>();
    engine.ledger.write(move |t| not_sent(t, &ids)).await
}

/// Writes down that the answer to a request with these users was lost.
pub(super) async fn mark_lost(engine: &Engine, items: &[Item]) -> Result<()> {
    let ids = ids(items);
    engine.ledger.write(move |t| lost(t, &ids)).await
}

/// The same users, in doubt.
pub(super) fn doubtful(mut items: Vec<Item>) -> Vec<Item> {
    for item in &mut items {
        item.in_doubt = true;
    }
    items
}

fn regroup(items: Vec<Item>, losses: u32) -> Vec<Group> {
    if items.is_empty() { Vec::new() } else { vec![Group { items, losses, patience: None }] }
}

fn halves(mut items: Vec<Item>, losses: u32) -> Vec<Group> {
    let right = items.split_off(items.len() / 2);
    [regroup(right, losses), regroup(items, losses)].into_iter().flatten().collect()
}

fn gave_up(items: &[Item]) -> Error {
    Error::gave_up(format!(
        "ZITADEL's answers for {} were lost again and again",
        crate::error::count(items.len() as u64, "user")
    ))
    .because(format!("the first of them is `{}`", items.first().map_or("", Item::id)))
    .hint("these users are marked as in doubt; run the same command again to settle them")
}

/// Creates users by one call each.
pub(super) async fn singles(engine: &Engine, items: Vec<Item>) -> Result<()> {
    let items = look(engine, items).await?;
    begin(engine, &items).await?;
    let mut left = items.into_iter();
    while let Some(item) = left.next() {
        if let Err(error) = until_settled(engine, item).await {
            // Those after this one were not sent at all.
            let _ = undo(engine, left.as_slice()).await;
            return Err(error);
        }
    }
    Ok(())
}

pub(super) async fn until_settled(engine: &Engine, mut item: Item) -> Result<()> {
    let (mut losses, mut patience, mut refusals) = (0, None, 0);
    while losses <= MAX_LOSSES {
        engine.check_not_aborted()?;
        let wait = match single(engine, &item, refusals).await? {
            Attempt::Settled => return Ok(()),
            Attempt::Refused => {
                refusals += 1;
                engine.pause(NAMED_PAUSE).await?;
                continue;
            }
            Attempt::Lost => {
                losses += 1;
                Duration::from_millis(200 << losses.min(5))
            }
            Attempt::Throttled => {
                let patience = patience.get_or_insert_with(|| engine.client.patience());
                let Some(wait) = patience.again(None) else {
                    return Err(Failure::Throttled.into_error("could not create a user in ZITADEL"));
                };
                engine.throttled("create a user", wait);
                wait
            }
        };
        item.in_doubt = true;
        engine.pause(wait).await?;
    }
    if engine.leave_unsettled(1) { Ok(()) } else { Err(gave_up(std::slice::from_ref(&item))) }
}

/// How one attempt at one user went.
enum Attempt {
    Settled,
    /// Refused with an id that ZITADEL has for trouble with its database, too. Nothing was stored.
    Refused,
    /// The answer was lost, and the user is not there.
    Lost,
    /// Too much at a time. A proxy may say so after the work was done.
    Throttled,
}

/// `refusals`: so often ZITADEL refused before, and may not have meant it.
async fn single(engine: &Engine, item: &Item, refusals: u32) -> Result<Attempt> {
    let body = crate::zitadel::create::new_user_json(&item.draft, engine.organization_of(item));
    let answer = {
        let _in_flight = engine.in_flight();
        engine.client.create_user(body).await
    };
    let Err(failure) = answer else {
        settle::created_single(engine, item).await?;
        return Ok(Attempt::Settled);
    };
    let reason = failure.reason();
    match failure {
        _ if reason.is_undecided() && refusals < DOUBTS => Ok(Attempt::Refused),
        Failure::Refused { status: 400..=409, id, message, .. } => {
            match reason {
                Reason::UserExists if item.in_doubt && owner::resolve(engine, item).await? => {}
                Reason::UserExists => settle::existed_unseen(engine, item).await?,
                // The organization is gone, which is not this user's fault.
                Reason::OrganizationNotFound => {
                    return Err(Error::gave_up(format!(
                        "the organization `{}` does not exist",
                        engine.organization_of(item)
                    ))
                    .hint("run `a2z check`"));
                }
                // The provider is gone, or is of another organization than the user: that costs the link, not the user.
                Reason::ProviderNotFound if !item.draft.links.is_empty() => links::create_without(engine, item).await?,
                Reason::Taken if refusals == 0 => return Ok(Attempt::Refused),
                Reason::Taken => settle::name_taken(engine, item).await?,
                _ => refuse(engine, item, id.as_deref(), &message).await?,
            }
            Ok(Attempt::Settled)
        }
        Failure::TooLarge => {
            refuse(engine, item, None, "larger than ZITADEL takes in one request (4 MiB)").await?;
            Ok(Attempt::Settled)
        }
        Failure::Throttled => {
            engine.pressed(Duration::from_secs(1));
            mark_lost(engine, std::slice::from_ref(item)).await?;
            Ok(Attempt::Throttled)
        }
        failure if failure.is_ambiguous() => {
            engine.pressed(Duration::from_secs(1));
            mark_lost(engine, std::slice::from_ref(item)).await?;
            // The read by id is strongly consistent, unlike the search.
            let there = engine.exists(item.id()).await?.is_some();
            Ok(if there && owner::resolve(engine, item).await? { Attempt::Settled } else { Attempt::Lost })
        }
        failure => {
            undo(engine, std::slice::from_ref(item)).await?;
            Err(failure.into_error("could not create a user in ZITADEL"))
        }
    }
}

/// The keys of a draft's metadata.
pub(super) fn keys(item: &Item) -> HashSet<&str> {
    item.draft.metadata.iter().map(|entry| entry.key.as_str()).collect()
}

/// The road that is settled with an item.
pub(super) fn settled_by(item: &Item, outcome: Outcome, route: Route) -> Settled {
    Settled {
        have: Some(item.have()),
        facts: Some(item.facts.encode()),
        inactive: item.draft.inactive,
        factors: item.factors,
        route: Some(route),
        links: (!item.draft.links.is_empty()).then(|| links::wanted(&item.draft)),
        ..Settled::new(item.id(), outcome)
    }
}
