//! What ZITADEL's events say about users that may be deleted and created again: only users that nobody but this ledger
//! touched since it created them. Sessions, memberships and grants by others would be lost with the user.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::plan::{Left, Recreate};
use crate::{
    error::Result,
    import::engine::Engine,
    ledger::repairs::Suspect,
    ownership::Us,
    zitadel::{events::kind, failure::Failure, search::FoundUser},
};

/// Events of parallel transactions may show a little out of order.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// What was found about a user that nobody can find, or that has no login name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It may be recreated.
    Recreate(Recreate),
    /// It is left as it is.
    Left(Left),
    /// It is shown, with a login name: it was only late.
    Shown,
    /// Somebody deleted it.
    Gone,
}

/// What a user's own events say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Created by this ledger at this time, and touched by nobody else since.
    Ours(Option<Timestamp>),
    /// Somebody else created or changed the user, or the user has signed in.
    Touched,
    /// The user is deleted.
    Gone,
    /// The account may not read events, or there are more than one answer holds.
    Unknown,
}

/// Looks at each of these users once more, and at what others did for them. Returns what was found about every one.
pub(super) async fn of_all(engine: &Engine, users: Vec<(Suspect, Recreate)>) -> Result<Vec<(String, Found)>> {
    let us = engine.us()?;
    let (mut found, mut ours, mut since) = (Vec::new(), Vec::new(), None);
    for (suspect, how) in users {
        engine.check_stopped()?;
        let id = suspect.user_id;
        // By the read that waits for the projections: whoever is only late is never deleted.
        let lacks_totp = suspect.differences.iter().any(|(what, _)| what == "totp");
        let place = suspect.organization.as_ref().unwrap_or(&engine.organization_id);
        let is_whole = |user: &FoundUser| !user.login_names.is_empty() && user.organization_id == *place;
        if !lacks_totp && engine.exists(&id).await?.is_some_and(|user| is_whole(&user)) {
            found.push((id, Found::Shown));
            continue;
        }
        match life(engine, &id, suspect.settled_at, &us).await? {
            Life::Ours(created) => {
                since = created.map(|at| since.map_or(at, |since: Timestamp| since.min(at))).or(since);
                ours.push((id, how));
            }
            Life::Gone => found.push((id, Found::Gone)),
            Life::Touched => found.push((id, Found::Left(Left::Touched))),
            Life::Unknown => found.push((id, Found::Left(Left::NoEvents))),
        }
    }
    let Some(since) = since else { return Ok(found) };
    let elsewhere = elsewhere(engine, &ours, since, &us).await?;
    for (id, how) in ours {
        let state = match &elsewhere {
            // Too many events to look through.
            None => Found::Left(Left::NoEvents),
            Some(elsewhere) if elsewhere.touched.contains(&id) => Found::Left(Left::Touched),
            Some(elsewhere) => {
                Found::Recreate(Recreate { grants: elsewhere.grants.get(&id).cloned().unwrap_or_default(), ..how })
            }
        };
        found.push((id, state));
    }
    Ok(found)
}

/// What no event of a user's own tells.
struct Elsewhere {
    /// Users for whom others did something.
    touched: HashSet<String>,
    /// The ids of the grants that each user has from us.
    grants: HashMap<String, Vec<String>>,
}

async fn elsewhere(
    engine: &Engine,
    users: &[(String, Recreate)],
    since: Timestamp,
    us: &Us,
) -> Result<Option<Elsewhere>> {
    let since = since.checked_sub(OVERLAP).unwrap_or(since);
    let ids: HashSet<&str> = users.iter().map(|(id, _)| id.as_str()).collect();
    let (mut grants, mut touched) = (HashMap::new(), HashSet::new());
    let whole = engine.client.each_event(&kind::ELSEWHERE, since, |event| {
        let is_grant = event.kind.starts_with("user.grant.");
        // What became of a grant need not say whose it is.
        let whose = event.about.filter(|id| ids.contains(id.as_str()));
        let Some(whose) = whose.or_else(|| grants.get(&event.aggregate_id).cloned()) else { return };
        if event.kind == kind::GRANT_ADDED {
            grants.insert(event.aggregate_id, whose.clone());
        }
        // We give roles, and nothing else of these.
        if !(is_grant && us.accounts.contains(&event.editor_user_id)) {
            touched.insert(whose);
        }
    });
    if !whole.await.map_err(|f| f.into_error("could not read ZITADEL's events"))? {
        return Ok(None);
    }
    let mut given: HashMap<String, Vec<String>> = HashMap::new();
    for (grant, user_id) in grants {
        given.entry(user_id).or_default().push(grant);
    }
    Ok(Some(Elsewhere { touched, grants: given }))
}

/// What the events of one user say. `settled_at`: when the ledger wrote the user last.
pub(super) async fn life(engine: &Engine, user_id: &str, settled_at: Option<Timestamp>, us: &Us) -> Result<Life> {
    let life = match engine.client.life(user_id, &[]).await {
        // Or there is more than ZITADEL sends in one answer.
        Err(Failure::NoPermission(_) | Failure::TooLarge) => return Ok(Life::Unknown),
        life => life.map_err(|f| f.into_error("could not read ZITADEL's events"))?,
    };
    if life.whole && life.events.is_empty() {
        return Ok(Life::Gone);
    }
    let created = life.events.iter().find(|event| event.kind == kind::HUMAN_ADDED);
    Ok(match created {
        Some(created) if life.whole && us.touched(&life, settled_at).is_none() => Life::Ours(created.created),
        _ => Life::Touched,
    })
}
