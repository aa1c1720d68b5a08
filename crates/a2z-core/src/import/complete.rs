//! Users that a request created, with less than all of their data, or nobody knows with how much: the rest is written, and
//! the user is settled.

use super::{engine::Engine, factors, item::Item, judge, outcome, resolve, update};
use crate::{error::Result, ledger::states::Outcome, mapping::draft::Route, zitadel::import::ImportBody};

/// The answer of a request with `items` was lost. Waits until what it stored no longer changes; those who are there are
/// settled, ours once they are complete; the others are returned.
pub(super) async fn lost(engine: &Engine, items: Vec<Item>) -> Result<Vec<Item>> {
    let users: Vec<(String, String)> =
        items.iter().map(|item| (item.id().to_owned(), engine.organization_of(item).to_owned())).collect();
    let found = resolve::stored(engine, &users).await?;
    let (there, mut missing): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| found.contains(item.id()));
    let (ours, absent) = resolve::sort(engine, there).await?;
    missing.extend(absent);
    complete(engine, ours).await?;
    Ok(missing)
}

/// Settles a user in doubt that ZITADEL has. False if the user is not there after all.
pub(super) async fn resolve_one(engine: &Engine, item: &Item) -> Result<bool> {
    let (ours, absent) = resolve::sort(engine, vec![item.clone()]).await?;
    for item in ours {
        update::finish_ours(engine, &item).await?;
    }
    Ok(absent.is_empty())
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
            whole = items.iter().all(|item| judge::is_complete(item.id(), &item.keys(), &answer));
        }
    }
    if whole {
        let refused = factors::complete(engine, &items).await?;
        let settled = |item: &Item| {
            let mut settled = outcome::written(item, Outcome::Created, !refused.contains(item.id()));
            settled.route = Some(Route::Import);
            settled
        };
        return engine.settle(items.iter().map(settled).collect()).await;
    }
    for item in &items {
        update::finish_ours(engine, item).await?;
    }
    Ok(())
}

/// A user that the users API created: everything in one transaction, only the state comes after it, for that API knows
/// none. Until then the user counts as in flight: whoever dies in between deactivates the user in the next run.
pub(super) async fn created_single(engine: &Engine, item: &Item) -> Result<()> {
    let in_state = update::set_state(engine, item, false).await?;
    let refused = factors::add_codes(engine, std::slice::from_ref(item)).await?;
    let whole = in_state && refused.is_empty();
    let mut settled = outcome::written(item, Outcome::Created, whole);
    settled.inactive &= in_state;
    engine.settle(vec![settled]).await
}
