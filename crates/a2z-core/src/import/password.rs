//! What becomes of the password of a user who exists and is ours.

use super::{engine::Engine, item::Item};
use crate::{error::Result, zitadel::search::FoundUser};

/// What becomes of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Password {
    /// It is written.
    Send,
    /// There is none, or ZITADEL has it.
    Nothing,
    /// A request whose answer was lost brought it.
    Landed,
    /// The user changed it in ZITADEL: it is the user's.
    Kept,
    /// ZITADEL would send the user an e-mail about it.
    Held,
}

/// Decides on the password of `user`.
///
/// # Errors
/// When ZITADEL's notification settings cannot be read.
pub(super) async fn decide(engine: &Engine, item: &Item, user: &FoundUser) -> Result<Password> {
    if item.password.is_none() || item.password == item.todo.have_password {
        return Ok(Password::Nothing);
    }
    let known = item.todo.password_at.as_ref().or(user.created.as_ref());
    // The hash that a lost request carried: it is there already if the password is newer than what we know of.
    let sent_before = item.in_doubt && item.todo.sent.is_some_and(|(_, password)| password == item.password);
    if sent_before
        && user
            .password_changed
            .as_ref()
            .is_some_and(|changed| known != Some(changed) || item.todo.have_password.is_none())
    {
        return Ok(Password::Landed);
    }
    if user.password_changed.as_ref().is_some_and(|changed| known != Some(changed)) {
        return Ok(Password::Kept);
    }
    let mails = engine.password_mails(engine.organization_of(item)).await?;
    Ok(if mails { Password::Held } else { Password::Send })
}
