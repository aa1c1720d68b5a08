//! Users who exist and are ours: brought to what the draft says. Everything here may be done twice.

use std::collections::HashMap;

use super::{Engine, item::Item, links, settle, worker::settled_by};
use crate::{
    error::Result,
    ledger::{import_queries::Settled, model::Outcome, plan_queries::Digest},
    mapping::{
        MAX_CHARS,
        draft::{Metadata, Route},
        facts::{Facts, Field, Flag},
        finding::{BlockedCode, Finding, FindingCode},
    },
    zitadel::{
        failure::Failure,
        search::{FoundUser, UserState},
        update::update_json,
    },
};

/// Updates users, one after another.
pub(super) async fn updates(engine: &Engine, items: Vec<Item>) -> Result<()> {
    for item in items {
        engine.check_not_aborted()?;
        let Some(user) = engine.exists(item.id()).await? else {
            let gone = Some(BlockedCode::GoneFromZitadel.code());
            engine.settle(vec![Settled { code: gone, ..Settled::new(item.id(), Outcome::Rejected) }]).await?;
            continue;
        };
        super::worker::begin(engine, std::slice::from_ref(&item)).await?;
        rewrite(engine, &item, &user, Outcome::Updated).await?;
    }
    Ok(())
}

/// A user whom a request of an earlier run created without our hearing of it, maybe from an older export.
pub(super) async fn finish_earlier(engine: &Engine, item: &Item) -> Result<()> {
    match engine.exists(item.id()).await? {
        Some(user) => rewrite(engine, item, &user, Outcome::Created).await,
        // Deleted between the search and this read; the next run sees a user who is not there.
        None => settle::existed_unseen(engine, item).await,
    }
}

/// A user whom a request of this run created from this very draft, without our hearing of it: what comes after the
/// creation is done again.
pub(super) async fn finish_ours(engine: &Engine, item: &Item) -> Result<()> {
    let Some(user) = engine.exists(item.id()).await? else {
        return settle::existed_unseen(engine, item).await;
    };
    // First of all: whoever was blocked must not sign in for longer than it takes to get here.
    let in_state = set_state(engine, item, user.is_inactive()).await?;
    let whole = write_metadata(engine, item, &HashMap::new()).await? && in_state;
    let refused = super::factors::complete(engine, std::slice::from_ref(item)).await?;
    let whole = whole && refused.is_empty();
    let mut settled = written(item, Outcome::Created, whole);
    if !item.draft.links.is_empty() {
        // They came with the user; unless the lost request was one without, because a link was taken.
        let mut known = links::shown(engine, item).await?;
        known.retain(|link| links::wanted(&item.draft).contains(link));
        links::sync(engine, item, &known).await?.note(&mut settled);
    }
    engine.settle(vec![settled]).await
}

/// Writes everything again.
async fn rewrite(engine: &Engine, item: &Item, user: &FoundUser, outcome: Outcome) -> Result<()> {
    let password = password(engine, item, user).await?;
    let email = &item.draft.email;
    let new_email = user.email != email.address || user.email_verified != email.verified;
    let patch = update_json(&item.draft, password == Password::Send, new_email);
    let mut sent = engine.client.update_user(item.id(), patch.clone()).await;
    if sent.as_ref().is_err_and(|failure| failure.id() == Some("V3-DKcYh") || failure.is_undecided()) {
        // The name is taken, or the database was slow: ZITADEL has one id for both.
        engine.pause(super::worker::NAMED_PAUSE).await?;
        sent = engine.client.update_user(item.id(), patch).await;
    }
    if let Err(failure) = sent {
        let mut settled = match failure {
            Failure::Refused { status: 400..=409, id, message, .. } => match id.as_deref() {
                Some("V3-DKcYh") => settle::taken(item),
                id => settle::rejected(item, id, &message),
            },
            // Again and again, for this user; where it is many, ZITADEL is ill.
            Failure::Refused { status: 500, id, message, .. } if engine.leave_unsettled(1) => {
                settle::rejected(item, id.as_deref(), &message)
            }
            failure => return Err(failure.into_error("could not update a user in ZITADEL")),
        };
        // Also one whom a lost request created, and whom the ledger does not know yet.
        settled.ours = true;
        return engine.settle(vec![settled]).await;
    }
    // Only one that came from us: a number that the user added in ZITADEL is the user's.
    if item.draft.phone.is_none() && item.todo.have_phone && !user.phone.is_empty() {
        let removed = engine.client.remove_phone(item.id()).await;
        removed.map_err(|failure| failure.into_error("could not remove a user's phone in ZITADEL"))?;
    }
    let current = engine
        .client
        .user_metadata(item.id())
        .await
        .map_err(|failure| failure.into_error("could not read a user's metadata from ZITADEL"))?;
    let whole = write_metadata(engine, item, &current).await?;
    let whole = set_state(engine, item, user.is_inactive()).await? && whole;
    let factors = super::factors::renew(engine, item).await?;
    let whole = whole && !factors.failed;
    let known = links::known(engine, item).await?;
    let linked = links::sync(engine, item, &known).await?;
    let mut settled = written(item, outcome, whole);
    match password {
        Password::Send => settled.password_at = engine.exists(item.id()).await?.and_then(|user| user.password_changed),
        Password::Landed => settled.password_at.clone_from(&user.password_changed),
        Password::Nothing => {}
        Password::Kept => settled.finding = Some(Finding::new(FindingCode::PasswordKept)),
        Password::Held => {
            // Not written: the next run tries again.
            settled.have = Some((item.profile, item.todo.have_password));
            settled.finding = Some(Finding::new(FindingCode::PasswordHeld));
        }
    }
    settled.factor_finding = factors.finding();
    if whole {
        settled.factors = factors.booked;
    }
    settled.facts = Some(rewritten(item, user, password, factors.booked).encode());
    linked.note(&mut settled);
    engine.settle(vec![settled]).await
}

/// What ZITADEL should have of a user who was `user` before the rewrite: not all of the draft, for some of it is another's
/// to decide.
fn rewritten(item: &Item, user: &FoundUser, password: Password, factors: Option<Digest>) -> Facts {
    let mut facts = item.facts.clone();
    let names = &item.draft.profile;
    if names.display_name.is_none() && names.first_name.chars().count() + names.last_name.chars().count() >= MAX_CHARS {
        // An update cuts the name that is made of the two, a creation does not.
        facts.forget(Field::DisplayName);
    }
    let keeps_phone = item.draft.phone.is_none() && !item.todo.have_phone && !user.phone.is_empty();
    facts.set(Flag::NoPhone, item.draft.phone.is_none() && !keeps_phone);
    let has_password = match password {
        Password::Send | Password::Landed | Password::Kept => true,
        Password::Nothing => item.todo.have_password.is_some() || user.password_changed.is_some(),
        Password::Held => user.password_changed.is_some(),
    };
    facts.set(Flag::Password, has_password);
    let (totp, codes) = super::factors::has(factors, item.todo.have_factors);
    facts.set(Flag::Totp, totp);
    facts.set(Flag::RecoveryCodes, codes);
    let was_out = matches!(user.state, UserState::Inactive | UserState::Locked);
    facts.set(Flag::StateOfOthers, !item.draft.inactive && !item.todo.have_inactive && was_out);
    facts
}

/// What becomes of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Password {
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

async fn password(engine: &Engine, item: &Item, user: &FoundUser) -> Result<Password> {
    if item.password.is_none() || item.password == item.todo.have_password {
        return Ok(Password::Nothing);
    }
    let known = item.todo.password_at.as_ref().or(user.created.as_ref());
    // The hash that a lost request carried: it is there already where the password is newer than what we know of.
    let sent_before = item.in_doubt && item.todo.sent.is_some_and(|(_, password)| password == item.password);
    if sent_before
        && user
            .password_changed
            .as_ref()
            .is_some_and(|changed| known != Some(changed) || item.todo.have_password.is_none())
    {
        return Ok(Password::Landed);
    }
    let Some(changed) = &user.password_changed else {
        return engine
            .password_mails(engine.organization_of(item))
            .await
            .map(|mails| if mails { Password::Held } else { Password::Send });
    };
    if known != Some(changed) {
        return Ok(Password::Kept);
    }
    engine
        .password_mails(engine.organization_of(item))
        .await
        .map(|mails| if mails { Password::Held } else { Password::Send })
}

/// Makes the metadata what the draft says. `current` is what is there; keys of ours that the draft has no more are
/// removed.
async fn write_metadata(engine: &Engine, item: &Item, current: &HashMap<String, Vec<u8>>) -> Result<bool> {
    let change: Vec<Metadata> =
        item.draft.metadata.iter().filter(|entry| current.get(&entry.key) != Some(&entry.value)).cloned().collect();
    let ours = |key: &&String| engine.is_our_key(key) && !item.draft.metadata.iter().any(|entry| entry.key == **key);
    let gone: Vec<String> = current.keys().filter(ours).cloned().collect();
    let mut result = Ok(());
    if !change.is_empty() {
        result = engine.client.set_metadata(item.id(), &change).await;
    }
    if result.is_ok() && !gone.is_empty() {
        result = engine.client.remove_metadata(item.id(), &gone).await;
    }
    match result {
        Ok(()) => Ok(true),
        Err(failure) if is_this_users(engine, &failure) => Ok(false),
        Err(failure) => Err(failure.into_error("could not write a user's metadata in ZITADEL")),
    }
}

/// Does the failure cost this user, and nobody else? A 500 after all attempts does, unless it is many.
pub(super) fn is_this_users(engine: &Engine, failure: &Failure) -> bool {
    match failure {
        Failure::Refused { status: 400..=409, .. } => true,
        Failure::Refused { status: 500, .. } => engine.leave_unsettled(1),
        _ => false,
    }
}

/// Makes the state what the draft says. False where ZITADEL refuses, which costs this user and nobody else.
pub(super) async fn set_state(engine: &Engine, item: &Item, inactive: bool) -> Result<bool> {
    let result = match (item.draft.inactive, inactive) {
        (true, false) => engine.client.deactivate(item.id()).await,
        // Only where we deactivated: another's decision stays.
        (false, true) if item.todo.have_inactive => engine.client.reactivate(item.id()).await,
        _ => return Ok(true),
    };
    match result {
        Ok(()) => Ok(true),
        Err(failure) if is_this_users(engine, &failure) => Ok(false),
        Err(failure) => Err(failure.into_error("could not change a user's state in ZITADEL")),
    }
}

pub(super) fn written(item: &Item, outcome: Outcome, whole: bool) -> Settled {
    let mut settled = settled_by(item, outcome, Route::UsersApi);
    if !whole {
        settled.code = Some(BlockedCode::Incomplete.code());
        // So that the next run finds a difference and writes the rest.
        settled.have = Some(([0; 16], item.password));
        settled.factors = None;
    }
    settled
}
