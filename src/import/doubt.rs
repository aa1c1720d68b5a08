//! Users in doubt whom this run does not send: its plan blocks them, or its export holds them no more.
//!
//! A request of an earlier run may have created them. Who is there and ours must be so in the ledger: `rollback` deletes
//! what is ours, and a later plan changes it.

use std::collections::HashMap;

use super::{Engine, owner, settle, update::is_this_users};
use crate::{
    error::{Result, printable},
    ledger::users::{in_doubt_aside, settled_aside},
    mapping::finding::{BlockedCode, Finding, FindingCode},
    ownership::Ownership,
    user::state::Found,
};

/// Users that are looked up together.
const CHUNK: usize = 500;

/// Finds out who of them exists, and settles all of them.
///
/// # Errors
/// When ZITADEL or the ledger fails; running again goes on.
pub async fn settle_aside(engine: &Engine) -> Result<()> {
    loop {
        let aside = engine.ledger.read(|c| in_doubt_aside(c, engine.run, CHUNK))?;
        if aside.is_empty() {
            return Ok(());
        }
        let users: Vec<(String, String)> = aside
            .iter()
            .map(|user| {
                let place = user.organization.as_ref().unwrap_or(&engine.organization_id);
                (user.user_id.clone(), place.clone())
            })
            .collect();
        let stored = settle::stored(engine, &users).await?;
        let mut found = HashMap::new();
        for (user_id, organization) in users {
            let there = stored.contains(&user_id);
            let who = if there { whose(engine, &user_id, &organization).await? } else { Found::Nobody };
            found.insert(user_id, who);
        }
        for user in aside.iter().filter(|user| user.blocked && found[&user.user_id] == Found::Ours) {
            // Nothing of this user can be written, but for this: who was blocked in Auth0 must not sign in.
            let done = engine.client.deactivate(&user.user_id).await;
            match done {
                Ok(()) => {}
                Err(failure) if is_this_users(engine, &failure) => {
                    engine.events.warn(
                        "not-deactivated",
                        format!(
                            "`{}` is blocked in Auth0 and stays active: ZITADEL refused ({})",
                            user.user_id,
                            failure.id().unwrap_or("without an id")
                        ),
                    );
                }
                Err(failure) => return Err(failure.into_error("could not deactivate a user in ZITADEL")),
            }
        }
        let finding = Finding::new(FindingCode::InZitadelAlready);
        let ids: Vec<(String, Found)> = found.into_iter().collect();
        engine.ledger.write(move |t| settled_aside(t, &ids, &finding)).await?;
    }
}

/// Who has a user in doubt whom ZITADEL shows. If that cannot be told, the user counts as another's, and it is reported.
async fn whose(engine: &Engine, user_id: &str, organization: &str) -> Result<Found> {
    Ok(match owner::of(engine, user_id, organization, false).await? {
        Ownership::Ours => Found::Ours,
        Ownership::Absent => Found::Nobody,
        Ownership::Theirs => Found::Theirs,
        Ownership::CannotTell => {
            let message = format!("`{}`: {}", printable(user_id), BlockedCode::OwnerUnknown.message());
            engine.events.warn(BlockedCode::OwnerUnknown.code(), message);
            Found::Theirs
        }
    })
}
