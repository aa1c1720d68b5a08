//! Identity providers that a run creates, and that a rollback deletes.

use std::time::Duration;

use super::{facts::Facts, idps::redirect_uris, remember::remember, work::Work};
use crate::{
    error::{Error, Kind, Result, count, printable},
    ledger::{
        Ledger,
        idps::{self, CreatedIdp},
    },
    mapping::providers::Found,
    plan::people::Reach,
    zitadel::{
        client::Client as Zitadel,
        failure::Failure,
        idps::{NewProvider, Provider, Scope},
    },
};

/// How many times ZITADEL, which lists providers from a projection, is asked whether a lost request made one.
const LOOKS: u32 = 5;
/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where links may be made, for the plan.
pub(super) fn reach(facts: &Facts) -> Reach {
    let providers = &facts.idps.providers;
    Reach {
        of_main_only: providers.of_main_only().map(|target| target.idp_id.clone()).collect(),
        main: facts.organization.as_ref().map(|organization| organization.id.clone()),
        block_unmatched: providers.block_unmatched,
    }
}

/// Creates the providers that the plan showed, and puts their ids into the match. True if there were any.
///
/// # Errors
/// When ZITADEL refuses one, or the ledger fails.
pub(super) async fn create_all(
    work: &Work,
    ledger: &Ledger,
    client: &Zitadel,
    facts: &mut Facts,
    organization: &str,
) -> Result<bool> {
    let new = std::mem::take(&mut facts.idps.new);
    if new.is_empty() {
        return Ok(false);
    }
    let scope =
        if facts.creates_idps_in_instance(&work.config) { Scope::Instance } else { Scope::Organization(organization) };
    for (connection, provider) in new {
        let id = create_one(ledger, client, &connection, &provider, scope).await?;
        work.events.notice(format!(
            "created the identity provider `{}` ({id}); set its redirect URI at the provider: {}",
            printable(provider.name()),
            redirect_uris(client.base(), &provider, Some(&id))
        ));
        if let Some(target) = facts.idps.providers.matches.get_mut(&connection).and_then(|found| found.target.as_mut())
        {
            target.idp_id = id;
            target.found = Found::ClientId;
        }
    }
    remember(facts, ledger).await?;
    Ok(true)
}

async fn create_one(
    ledger: &Ledger,
    client: &Zitadel,
    connection: &str,
    provider: &NewProvider,
    scope: Scope<'_>,
) -> Result<String> {
    let what = format!("could not create the identity provider for `{}`", printable(connection));
    let organization = match scope {
        Scope::Instance => None,
        Scope::Organization(id) => Some(id.to_owned()),
    };
    let mut record =
        CreatedIdp { connection: connection.to_owned(), idp_id: None, name: provider.name().to_owned(), organization };
    let known = ledger.read(idps::created_idps)?;
    let asked_before = known.iter().any(|idp| idp.connection == connection && idp.idp_id.is_none());
    let intent = record.clone();
    ledger.write(move |t| idps::put_created_idp(t, &intent)).await?;
    let mut found = if asked_before { look(client, provider, scope, &what).await? } else { None };
    let mut attempts = 0;
    let id = loop {
        if let Some(id) = found.take() {
            break id;
        }
        attempts += 1;
        match client.create_provider(provider, scope).await {
            Ok(id) => break id,
            // It may be there all the same: a second one with the same client would confuse everybody.
            Err(failure) if failure.is_ambiguous() && attempts < 3 => {
                found = look(client, provider, scope, &what).await?;
            }
            Err(failure) => {
                if !failure.is_ambiguous() {
                    let connection = connection.to_owned();
                    ledger.write(move |t| idps::forget_created_idp(t, &connection)).await?;
                }
                return Err(refused(failure, &what));
            }
        }
    };
    record.idp_id = Some(id.clone());
    ledger.write(move |t| idps::put_created_idp(t, &record)).await?;
    Ok(id)
}

fn refused(failure: Failure, what: &str) -> Error {
    let error = failure.into_error(what);
    let kind = if error.kind() == Kind::Interrupted { Kind::Interrupted } else { Kind::GaveUp };
    error.with_kind(kind).hint("create it by hand and name it under `[idps]`, or leave `zitadel.create_idps` out; nothing else was written yet")
}

/// The provider that a request made whose answer was lost.
async fn look(client: &Zitadel, provider: &NewProvider, scope: Scope<'_>, what: &str) -> Result<Option<String>> {
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_AGAIN).await;
        let listed = client.providers(scope).await.map_err(|failure| failure.into_error(what))?;
        let same = |found: &&Provider| {
            found.name == provider.name()
                && provider.client_id().is_none_or(|id| found.client_id.as_deref() == Some(id))
        };
        if let Some(found) = listed.iter().find(same) {
            return Ok(Some(found.id.clone()));
        }
    }
    Ok(None)
}

/// Deletes the providers that this ledger created, once nobody of ours is `left` who may sign in by them.
///
/// # Errors
/// When ZITADEL or the ledger fails; running again goes on.
pub(super) async fn delete_created(work: &Work, ledger: &Ledger, client: &Zitadel, left: u64) -> Result<()> {
    let created = ledger.read(idps::created_idps)?;
    for idp in created {
        let name = printable(&idp.name);
        let Some(id) = &idp.idp_id else {
            work.events
                .warn("identity-provider-in-doubt", format!("`{name}` may have been created: look in the console"));
            continue;
        };
        if left > 0 {
            work.events
                .notice(format!("the identity provider `{name}` ({id}) stays, for {} stay", count(left, "user")));
            continue;
        }
        let scope = idp.organization.as_deref().map_or(Scope::Instance, Scope::Organization);
        let deleted = client.delete_provider(id, scope).await;
        deleted.map_err(|failure| {
            failure.into_error(&format!("could not delete the identity provider `{name}`")).with_kind(Kind::GaveUp)
        })?;
        let connection = idp.connection.clone();
        ledger.write(move |t| idps::forget_created_idp(t, &connection)).await?;
        work.events.notice(format!("deleted the identity provider `{name}` ({id})"));
    }
    Ok(())
}
