//! Users in doubt whom this run does not send: its plan blocks them, or its export holds them no more.
//!
//! A request of an earlier run may have created them. What is there is ours, and the books must say so: `rollback` deletes
//! what is ours, and a later plan changes it.

use super::{Engine, settle, update::is_this_users};
use crate::{
    error::Result,
    ledger::users::{in_doubt_aside, settled_aside},
    mapping::finding::{Finding, FindingCode},
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
        let found = settle::stored(engine, &users).await?;
        for user in aside.iter().filter(|user| user.blocked && found.contains(&user.user_id)) {
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
        let ids: Vec<(String, Found)> = users
            .into_iter()
            .map(|(id, _)| {
                let who = if found.contains(&id) { Found::Ours } else { Found::Nobody };
                (id, who)
            })
            .collect();
        engine.ledger.write(move |t| settled_aside(t, &ids, &finding)).await?;
    }
}
