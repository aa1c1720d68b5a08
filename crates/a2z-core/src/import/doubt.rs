//! Users in doubt that this run does not send: its plan blocks them, or its export no longer holds them.
//!
//! A request of an earlier run may have created them. The ledger must know which of them are ours: `rollback` deletes what
//! is ours, and a later plan changes it.

use super::{engine::Engine, owner, resolve};
use crate::{
    error::{Result, printable},
    ledger::users::{Aside, in_doubt_aside, settled_aside},
    mapping::finding::{BlockedCode, Finding, FindingCode},
    ownership::Ownership,
    user::state::Found,
};

/// Users that are looked up together.
const CHUNK: usize = 500;

/// Finds out which of them exist, and whose they are. A user of whom that cannot be told stays in doubt, and is reported.
///
/// # Errors
/// When ZITADEL or the ledger fails; running again goes on.
pub async fn settle_aside(engine: &Engine) -> Result<()> {
    let mut after = 0;
    loop {
        let aside = engine.ledger.read(|c| in_doubt_aside(c, engine.run, after, CHUNK))?;
        let Some(last) = aside.last() else { return Ok(()) };
        after = last.row;
        let place = |user: &Aside| user.organization.clone().unwrap_or_else(|| engine.organization_id.clone());
        let places: Vec<_> = aside.iter().map(|user| (user.user_id.clone(), place(user))).collect();
        let stored = resolve::stored(engine, &places).await?;
        let mut found = Vec::new();
        for user in aside {
            let there = stored.contains(&user.user_id);
            let who = if there { whose(engine, &user, &place(&user)).await? } else { Some(Found::Nobody) };
            let Some(who) = who else { continue };
            if user.blocked && who == Found::Ours {
                deactivate(engine, &user.user_id).await?;
            }
            found.push((user.user_id, who));
        }
        let finding = Finding::new(FindingCode::InZitadelAlready);
        engine.ledger.write(move |t| settled_aside(t, &found, &finding)).await?;
    }
}

/// Nothing of this user can be written, but for this: who was blocked in Auth0 must not sign in.
async fn deactivate(engine: &Engine, user_id: &str) -> Result<()> {
    match engine.client.deactivate(user_id).await {
        Err(failure) if engine.is_this_users(&failure) => {
            let id = failure.id().unwrap_or("without an id");
            let message = format!("`{user_id}` is blocked in Auth0 and stays active: ZITADEL refused ({id})");
            engine.events.warn("not-deactivated", message);
            Ok(())
        }
        done => done.map_err(|failure| failure.into_error("could not deactivate a user in ZITADEL")),
    }
}

/// Who has a user in doubt that ZITADEL shows; `None` if that cannot be told.
async fn whose(engine: &Engine, user: &Aside, organization: &str) -> Result<Option<Found>> {
    Ok(match owner::of(engine, &user.user_id, organization, user.ours).await? {
        Ownership::Ours => Some(Found::Ours),
        Ownership::Absent => Some(Found::Nobody),
        Ownership::Theirs => Some(Found::Theirs),
        Ownership::CannotTell => {
            let message = format!("`{}`: {}", printable(&user.user_id), BlockedCode::OwnerUnknown.message());
            engine.events.warn(BlockedCode::OwnerUnknown.code(), message);
            None
        }
    })
}
