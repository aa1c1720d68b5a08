//! The loop of the import: looks, has requests sent, asks [`judge`] what comes next, and has it done by the leaves.
//!
//! A turn ends with every one of its users settled in the ledger, or with an error that ends the run and leaves the
//! unsettled ones marked in doubt. The order of writes is what makes a kill harmless:
//!
//! 1. Who exists already is found out *before* the first attempt: whoever is there then is not ours.
//! 2. The rest is marked in flight, on the disk, before the request leaves.
//! 3. Whoever is found after that, although the answer was lost, may be ours, or somebody else was quicker: [`resolve`] asks
//!    who created the user. Ours are completed, for metadata comes after the users inside one import request.

use std::{collections::HashSet, time::Duration};

use super::{
    complete, create,
    engine::Engine,
    item::{Item, ids},
    judge::{self, Attempt, MAX_LOSSES, NAMED_PAUSE, Next, NextBatch, Refusal},
    outcome, resolve, update,
};
use crate::{
    error::{Error, Result},
    http::retry::Patience,
    ledger::users::{begin_request, lost, not_sent},
    mapping::draft::Route,
    zitadel::{failure::Failure, import::ImportAnswer},
};

/// With so many users refused one by one and none accepted, the cause is not in the users.
const ALL_REFUSED: u64 = 25;
/// Before users are sent again that ZITADEL could not store for a cause of its own, times the attempts so far.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);
/// While ZITADEL has too much to do.
const PRESSED: Duration = Duration::from_secs(1);

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
async fn look(engine: &Engine, items: Vec<Item>) -> Result<Vec<Item>> {
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
            Some(organization) => existed.push(outcome::existed(&item, organization, engine.organization_of(&item))),
        }
    }
    engine.settle(existed).await?;
    let (ours, absent) = resolve::sort(engine, there).await?;
    left.extend(absent);
    for item in ours {
        // A search may be behind a deletion of our own, in a recreation. This read is not.
        if engine.exists(item.id()).await?.is_none() {
            left.push(item);
            continue;
        }
        // A lost request created this user: this very draft, or one from an older export.
        if item.todo.sent == Some(item.have()) {
            update::finish_ours(engine, &item).await?;
        } else {
            update::finish_earlier(engine, &item).await?;
        }
    }
    Ok(left)
}

/// Sends one request; returns what is still to be sent.
async fn send(engine: &Engine, group: Group) -> Result<Vec<Group>> {
    let Group { mut items, losses, patience } = group;
    begin(engine, &items).await?;
    let sent = create::batch(engine, &mut items).await;
    match sent.answer {
        Ok(answer) => answered(engine, items, &answer, losses).await.map(|left| regroup(left, losses + 1)),
        Err(failure) => {
            tracing::info!(users = items.len(), losses, ?failure, "an import request failed");
            let place = |(organization, user): (usize, usize)| sent.places.get(organization)?.get(user).copied();
            let next = judge::batch(items.len(), &failure, place);
            failed(engine, Group { items, losses, patience }, next, failure).await
        }
    }
}

/// Carries out what comes next for every user of a request that was answered; returns those who are to be sent again.
async fn answered(engine: &Engine, items: Vec<Item>, answer: &ImportAnswer, losses: u32) -> Result<Vec<Item>> {
    let (mut settled, mut incomplete, mut unseen, mut silent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut named, mut alone, mut doubted, mut troubled) = (Vec::new(), Vec::new(), Vec::new(), false);
    for item in items {
        let attempt = Attempt { losses, refusals: 0 };
        let about = (item.id(), engine.organization_of(&item), &item.keys());
        match judge::in_batch(item.asked(), attempt, about, answer) {
            Next::Created => settled.push(outcome::created(&item, Route::Import)),
            Next::Refused(refusal) => settled.push(outcome::refused(&item, &refusal)),
            Next::Complete => incomplete.push(item),
            Next::WhoseUser => doubted.push(item),
            Next::Existed => unseen.push(item),
            Next::WhoseName => named.push(item),
            Next::Alone => alone.push(item),
            Next::Again => {
                tracing::info!(user = item.id(), losses, "ZITADEL had trouble with a user");
                troubled = true;
                silent.push(item);
            }
            Next::Lost | Next::WithoutLinks | Next::Throttled | Next::NoOrganization | Next::Stop => silent.push(item),
        }
    }
    engine.settle(settled).await?;
    let (ours, absent) = resolve::sort(engine, doubted).await?;
    incomplete.extend(ours);
    unseen.extend(absent);
    complete::complete(engine, incomplete).await?;
    for item in alone {
        one(engine, item).await?;
    }
    for item in named {
        whose_name(engine, item).await?;
    }
    for item in unseen {
        resolve::existed_unseen(engine, &item).await?;
    }
    if troubled {
        engine.pressed(PRESSED);
        engine.pause(TROUBLE_PAUSE * (losses + 1)).await?;
    }
    if silent.is_empty() { Ok(silent) } else { complete::lost(engine, silent).await.map(doubtful) }
}

/// Carries out what comes next for a request that failed as a whole.
async fn failed(engine: &Engine, group: Group, next: NextBatch, failure: Failure) -> Result<Vec<Group>> {
    let Group { mut items, losses, patience } = group;
    match next {
        NextBatch::Halve => Ok(halves(items, losses)),
        NextBatch::RefuseOne(index, refusal) => {
            let poison = items.remove(index);
            refuse(engine, &poison, refusal).await?;
            Ok(regroup(items, losses))
        }
        NextBatch::Throttled => {
            engine.pressed(PRESSED);
            mark_lost(engine, &items).await?;
            let mut patience = patience.unwrap_or_else(|| engine.client.patience());
            let Some(wait) = patience.again(None) else {
                return Err(failure.into_error("could not import users into ZITADEL"));
            };
            engine.throttled("import users", wait);
            engine.pause(wait).await?;
            Ok(vec![Group { items: doubtful(items), losses, patience: Some(patience) }])
        }
        NextBatch::Lost { halve } => {
            engine.pressed(PRESSED);
            mark_lost(engine, &items).await?;
            let missing = doubtful(complete::lost(engine, items).await?);
            let halve = halve && missing.len() > 1;
            Ok(if halve { halves(missing, losses + 1) } else { regroup(missing, losses + 1) })
        }
        NextBatch::Stop => {
            undo(engine, &items).await?;
            Err(failure.into_error("could not import users into ZITADEL"))
        }
    }
}

async fn refuse(engine: &Engine, item: &Item, refusal: Refusal) -> Result<()> {
    engine.settle(vec![outcome::refused(item, &refusal)]).await?;
    let progress = engine.progress();
    match refusal {
        Refusal::Other { message, .. }
            if progress.created + progress.existed == 0 && progress.rejected >= ALL_REFUSED =>
        {
            Err(Error::gave_up(format!("ZITADEL refused the first {ALL_REFUSED} users, one after another"))
                .because(message)
                .hint("the cause is not in the users: see the message, and `a2z check`"))
        }
        _ => Ok(()),
    }
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
async fn mark_lost(engine: &Engine, items: &[Item]) -> Result<()> {
    let ids = ids(items);
    engine.ledger.write(move |t| lost(t, &ids)).await
}

/// The same users, in doubt.
fn doubtful(mut items: Vec<Item>) -> Vec<Item> {
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
        if let Err(error) = one(engine, item).await {
            // Those after this one were not sent at all.
            let _ = undo(engine, left.as_slice()).await;
            return Err(error);
        }
    }
    Ok(())
}

/// Updates users, one after another.
pub(super) async fn updates(engine: &Engine, items: Vec<Item>) -> Result<()> {
    for item in items {
        engine.check_not_aborted()?;
        update::one(engine, &item).await?;
    }
    Ok(())
}

/// Creates one user by the users API, until the user is settled.
pub(super) async fn one(engine: &Engine, item: Item) -> Result<()> {
    create_one(engine, item, false).await
}

/// ZITADEL says of a user of a batch that a name or a link is taken: by the user's own earlier request, if that raced with
/// this one, else by another user.
async fn whose_name(engine: &Engine, item: Item) -> Result<()> {
    if is_resolved(engine, &item).await? {
        return Ok(());
    }
    if item.draft.links.is_empty() {
        return refuse(engine, &item, Refusal::NameTaken).await;
    }
    create_one(engine, item, true).await
}

/// Was the name taken by the user's own earlier request, or by somebody else's user with the same id? Then the user is settled.
async fn is_resolved(engine: &Engine, item: &Item) -> Result<bool> {
    Ok(item.in_doubt && engine.exists(item.id()).await?.is_some() && complete::resolve_one(engine, item).await?)
}

/// `bare`: without links, for ZITADEL does not say whether a name or a link is taken. Without links it can only be the
/// name; and if it is not, the user is there, and gets the links that are free.
async fn create_one(engine: &Engine, mut item: Item, mut bare: bool) -> Result<()> {
    let (mut attempt, mut patience) = (Attempt::default(), None);
    while attempt.losses <= MAX_LOSSES {
        engine.check_not_aborted()?;
        let failure = create::single(engine, &item, bare).await.err();
        let mut asked = item.asked();
        asked.links &= !bare;
        let wait = match judge::single(asked, attempt, failure.as_ref()) {
            Next::Created if !bare => return complete::created_single(engine, &item).await,
            Next::Created | Next::Complete => return update::finish_ours(engine, &item).await,
            Next::WhoseUser if complete::resolve_one(engine, &item).await? => return Ok(()),
            Next::WhoseUser | Next::Existed => return resolve::existed_unseen(engine, &item).await,
            Next::WhoseName if is_resolved(engine, &item).await? => return Ok(()),
            Next::WhoseName if !asked.links => return refuse(engine, &item, Refusal::NameTaken).await,
            Next::WhoseName | Next::WithoutLinks => {
                (bare, attempt.refusals) = (true, 0);
                continue;
            }
            Next::Refused(refusal) => return refuse(engine, &item, refusal).await,
            Next::NoOrganization => return Err(no_organization(engine.organization_of(&item))),
            Next::Again => {
                attempt.refusals += 1;
                NAMED_PAUSE
            }
            Next::Lost => {
                mark_pressed(engine, &item).await?;
                // The read by id is strongly consistent, unlike the search.
                if engine.exists(item.id()).await?.is_some() && complete::resolve_one(engine, &item).await? {
                    return Ok(());
                }
                (attempt.losses, item.in_doubt) = (attempt.losses + 1, true);
                Duration::from_millis(200 << attempt.losses.min(5))
            }
            Next::Throttled => {
                mark_pressed(engine, &item).await?;
                item.in_doubt = true;
                let patience = patience.get_or_insert_with(|| engine.client.patience());
                let Some(wait) = patience.again(None) else {
                    return Err(Failure::Throttled.into_error("could not create a user in ZITADEL"));
                };
                engine.throttled("create a user", wait);
                wait
            }
            Next::Alone | Next::Stop => {
                undo(engine, std::slice::from_ref(&item)).await?;
                let error = |failure: Failure| failure.into_error("could not create a user in ZITADEL");
                return failure.map_or(Ok(()), |failure| Err(error(failure)));
            }
        };
        engine.pause(wait).await?;
    }
    if engine.leave_unsettled(1) { Ok(()) } else { Err(gave_up(std::slice::from_ref(&item))) }
}

async fn mark_pressed(engine: &Engine, item: &Item) -> Result<()> {
    engine.pressed(PRESSED);
    mark_lost(engine, std::slice::from_ref(item)).await
}

fn no_organization(id: &str) -> Error {
    Error::gave_up(format!("the organization `{id}` does not exist")).hint("run `a2z check`")
}
