//! The metadata of users who exist and are ours: merged with what ZITADEL holds, and written.

use std::collections::HashMap;

use super::{engine::Engine, events, item::Item};
use crate::{
    error::Result,
    mapping::{
        delta::{Gone, MetadataDelta, MetadataSides},
        facts::Facts,
    },
};

/// What tells that somebody took metadata away.
const REMOVED: [&str; 2] = ["user.metadata.removed", "user.metadata.removed.all"];

/// Merges the metadata of a user that a2z wrote before.
///
/// # Errors
/// When ZITADEL cannot be read.
pub(super) async fn merge(engine: &Engine, item: &Item) -> Result<MetadataDelta> {
    let nothing = |facts: &Option<Facts>| facts.as_ref().is_some_and(|facts| facts.metadata().is_empty());
    if item.draft.metadata.is_empty() && nothing(&item.todo.facts) && item.todo.sent_facts.is_none() {
        return Ok(MetadataDelta::default());
    }
    let held = held(engine, item).await?;
    let sides = MetadataSides {
        base: item.todo.facts.as_ref(),
        sent: item.todo.sent_facts.as_ref(),
        ours: &item.facts,
        held: &held,
        salt: engine.salt(item.id()),
        conflicts: engine.conflicts,
    };
    let delta = sides.delta(Gone::Removed);
    if delta.missing.is_empty() {
        return Ok(delta);
    }
    if item.todo.incomplete && !events::somebody_else_did(engine, item.id(), &REMOVED).await? {
        return Ok(sides.delta(Gone::NeverWritten));
    }
    // A key that a2z wrote and nobody took away: ZITADEL's projection skipped it.
    if events::nobody_else_did(engine, item.id(), &REMOVED).await? {
        return Ok(sides.delta(Gone::Skipped));
    }
    Ok(delta)
}

/// Decides what a lost request, which created the user from this very draft, may have left out.
///
/// # Errors
/// When ZITADEL cannot be read.
pub(super) async fn complete(engine: &Engine, item: &Item) -> Result<MetadataDelta> {
    if item.draft.metadata.is_empty() {
        return Ok(MetadataDelta::default());
    }
    let held = held(engine, item).await?;
    let sides = MetadataSides {
        base: Some(&item.facts),
        sent: None,
        ours: &item.facts,
        held: &held,
        salt: engine.salt(item.id()),
        conflicts: engine.conflicts,
    };
    let delta = sides.delta(Gone::NeverWritten);
    // Unless somebody took it away in the meantime.
    if !delta.missing.is_empty() && events::somebody_else_did(engine, item.id(), &REMOVED).await? {
        return Ok(sides.delta(Gone::Removed));
    }
    Ok(delta)
}

async fn held(engine: &Engine, item: &Item) -> Result<HashMap<String, Vec<u8>>> {
    let held = engine.client.user_metadata(item.id()).await;
    held.map_err(|failure| failure.into_error("could not read a user's metadata from ZITADEL"))
}

/// Carries out `delta`. False if ZITADEL refuses, which costs this user and nobody else.
///
/// # Errors
/// When ZITADEL fails for other reasons.
pub(super) async fn write(engine: &Engine, item: &Item, delta: &MetadataDelta) -> Result<bool> {
    let mut result = Ok(());
    if !delta.set.is_empty() {
        let entries = item.draft.metadata.iter().filter(|entry| delta.set.contains(&entry.key));
        result = engine.client.set_metadata(item.id(), &entries.cloned().collect::<Vec<_>>()).await;
    }
    if result.is_ok() && !delta.remove.is_empty() {
        result = engine.client.remove_metadata(item.id(), &delta.remove).await;
    }
    match result {
        Ok(()) => Ok(true),
        Err(failure) if engine.is_this_users(&failure) => Ok(false),
        Err(failure) => Err(failure.into_error("could not write a user's metadata in ZITADEL")),
    }
}
