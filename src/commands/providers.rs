//! Identity providers: which one stands for which connection, and those that are to be created.

mod remember;

use std::{collections::BTreeSet, time::Duration};

pub(super) use self::remember::remember;

use super::{Context, preflight::Facts};
use crate::{
    auth0::connections::Connection,
    config::{Config, CreateIdps, OrganizationsPolicy},
    error::{Error, Kind, Result, count, printable},
    ledger::{
        Ledger,
        idps::{self, CreatedIdp},
    },
    mapping::providers::{Found, Match, Providers, Target},
    plan::{
        people::Reach,
        providers::{self, create},
    },
    zitadel::{
        client::Client as Zitadel,
        failure::Failure,
        idps::{NewProvider, Provider, Scope},
    },
};

/// ZITADEL lists providers from a projection: so often it is asked whether a lost request made one.
const LOOKS: u32 = 5;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the check found out about identity providers.
#[derive(Debug, Default)]
pub(super) struct Idps {
    /// ZITADEL said which there are.
    known: bool,
    /// Their ids.
    there: BTreeSet<String>,
    pub(super) providers: Providers,
    /// To be created, by connection.
    pub(super) new: Vec<(String, NewProvider)>,
    /// Matched providers that the login page does not offer.
    pub(super) not_offered: Vec<String>,
}

/// Matches the tenant's connections to ZITADEL's providers.
pub(super) async fn check(facts: &mut Facts, client: &Zitadel, config: &Config) {
    let organization = facts.organization.as_ref().map(|organization| organization.id.clone());
    let scope = organization.as_deref().map_or(Scope::Instance, Scope::Organization);
    let listed = match client.providers(scope).await {
        Ok(listed) => listed,
        Err(failure)
            if failure.is_refusal()
                && config.idps.by_connection.is_empty()
                && config.zitadel.create_idps == CreateIdps::No =>
        {
            let error = failure.into_error("no access");
            let text = format!(
                "ZITADEL's identity providers cannot be read: no access ({}): users of social and enterprise connections get no link",
                error.reason()
            );
            return facts.warn("zitadel-idps", text);
        }
        Err(failure) => {
            return facts.fail("zitadel-idps", failure.into_error("could not read ZITADEL's identity providers"));
        }
    };
    let there = listed.iter().filter(|provider| provider.active).map(|provider| provider.id.clone()).collect();
    let mut providers = match providers::match_all(&facts.connections, &listed, &config.idps) {
        Ok(providers) => providers,
        Err(error) => return facts.fail("zitadel-idps", error),
    };
    let mut new = Vec::new();
    if config.zitadel.create_idps != CreateIdps::No {
        plan_new(&facts.connections, &mut providers, &mut new, !in_instance(config, facts));
    }
    warn_of_scope(facts, config, &providers);
    let mut not_offered = Vec::new();
    if let Some(organization) = &organization {
        match client.offered_providers(organization).await {
            Ok(offered) => {
                let matched = providers.matches.values().filter_map(|found| found.target.as_ref());
                let hidden = matched.filter(|t| t.found != Found::New && !offered.contains(&t.idp_id));
                not_offered = hidden.map(|target| target.idp_id.clone()).collect();
            }
            // Nothing hangs on it but a remark.
            Err(failure) if failure.is_refusal() => {}
            Err(failure) => {
                facts.unread("zitadel-idps", failure, "could not ask which providers the login page offers");
            }
        }
    }
    say(facts, &providers);
    facts.idps = Idps { known: true, there, providers, new, not_offered };
}

fn plan_new(
    connections: &[Connection],
    providers: &mut Providers,
    new: &mut Vec<(String, NewProvider)>,
    of_organization: bool,
) {
    for connection in connections {
        let Some(found) = providers.matches.get_mut(&connection.name) else { continue };
        if found.target.is_some() || found.ambiguous {
            continue;
        }
        match create::from_connection(connection) {
            Ok(provider) => {
                found.why_not = None;
                found.target = Some(Target {
                    idp_id: format!("new:{}", connection.name),
                    name: create::name(connection),
                    found: Found::New,
                    creation_allowed: true,
                    linking_allowed: true,
                    of_organization,
                    same_client: true,
                });
                new.push((connection.name.clone(), provider));
            }
            Err(why) => found.why_not = Some(why),
        }
    }
}

/// A provider of the main organization is of no use to users who live in another one.
fn warn_of_scope(facts: &mut Facts, config: &Config, providers: &Providers) {
    if config.organizations.policy != OrganizationsPolicy::Orgs {
        return;
    }
    let names: BTreeSet<String> =
        providers.of_main_only().map(|target| format!("`{}`", printable(&target.name))).collect();
    if !names.is_empty() {
        let text = format!(
            "{}: of the main organization only, so users who go to other organizations get no link: use a provider of the instance",
            Vec::from_iter(names).join(", ")
        );
        facts.warn("zitadel-idps", text);
    }
}

/// Where links may be made, for the plan.
pub(super) fn reach(facts: &Facts, providers: &Providers) -> Reach {
    Reach {
        of_main_only: providers.of_main_only().map(|target| target.idp_id.clone()).collect(),
        main: facts.organization.as_ref().map(|organization| organization.id.clone()),
        block_unmatched: providers.block_unmatched,
    }
}

/// Are new providers created in the instance?
fn in_instance(config: &Config, facts: &Facts) -> bool {
    match config.zitadel.create_idps {
        CreateIdps::Instance => true,
        CreateIdps::Organization => false,
        CreateIdps::Yes | CreateIdps::No => facts.may_import,
    }
}

/// One line; [`lines`] has the rest.
fn say(facts: &mut Facts, providers: &Providers) {
    let all = providers.matches.len() as u64;
    let without: Vec<&String> =
        providers.matches.iter().filter(|(_, found)| found.target.is_none()).map(|(name, _)| name).collect();
    if all == 0 {
        return facts.ok("zitadel-idps", "the tenant has no social or enterprise connection");
    }
    let matched = all - without.len() as u64;
    let text = format!("{matched} of {} have an identity provider", count(all, "social or enterprise connection"));
    facts.ok("zitadel-idps", text);
}

/// A line for every connection: its provider, how that was found, and what to think about.
pub(super) fn lines(found: &Idps) -> Vec<(bool, String)> {
    found
        .providers
        .matches
        .iter()
        .map(|(name, matched)| (matched.target.is_some(), line(name, matched, found)))
        .collect()
}

fn line(name: &str, matched: &Match, found: &Idps) -> String {
    let name = printable(name);
    let Some(target) = &matched.target else {
        return format!("`{name}` ({}): no link; {}", matched.strategy, matched.why_not.as_deref().unwrap_or_default());
    };
    let mut notes = vec![target.found.word().to_owned()];
    if !target.creation_allowed {
        notes.push("creation is not allowed there, so its users go one by one".into());
    }
    if !target.linking_allowed {
        notes.push("linking is not allowed there: users cannot add it themselves".into());
    }
    if found.not_offered.contains(&target.idp_id) {
        notes.push("the login page does not offer it: switch it on under the login settings".into());
    }
    let id = if target.found == Found::New { String::new() } else { format!(" ({})", target.idp_id) };
    format!("`{name}` -> `{}`{id}: {}", printable(&target.name), notes.join("; "))
}

/// The addresses that must be set at a provider: for Login V2, and for the login of version 1.
pub(super) fn redirect_uris(base: &url::Url, provider: &NewProvider, idp_id: Option<&str>) -> String {
    if provider.path == "saml" {
        let id = idp_id.unwrap_or("ID");
        return format!("{base}idps/{id}/saml/acs (its metadata: {base}idps/{id}/saml/metadata)");
    }
    format!("{base}idps/callback (for the old login also {base}ui/login/login/externalidp/callback)")
}

/// Creates the providers that the plan showed, and puts their ids into the match. True where there were any.
///
/// # Errors
/// When ZITADEL refuses one, or the ledger fails.
pub(super) async fn create_all(
    context: &Context,
    ledger: &Ledger,
    client: &Zitadel,
    facts: &mut Facts,
    organization: &str,
) -> Result<bool> {
    let new = std::mem::take(&mut facts.idps.new);
    if new.is_empty() {
        return Ok(false);
    }
    let scope = if in_instance(&context.config, facts) { Scope::Instance } else { Scope::Organization(organization) };
    for (connection, provider) in new {
        let id = create_one(ledger, client, &connection, &provider, scope).await?;
        context.events.notice(format!(
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

/// The lines of the plan: connections whose users are there, and providers that are to be created. `users` are counted by
/// provider, `without` by connection.
pub(super) fn plan_lines(
    found: &Idps,
    base: &url::Url,
    users: &[(String, u64)],
    without: &mut Vec<(String, u64)>,
) -> Vec<String> {
    let mut all = Vec::new();
    for (name, matched) in &found.providers.matches {
        let id = matched.target.as_ref().map(|target| target.idp_id.as_str());
        let n = match id {
            Some(id) => users.iter().find(|(idp, _)| idp == id).map_or(0, |(_, n)| *n),
            None => without.iter().position(|(c, _)| c == name).map_or(0, |at| without.remove(at).1),
        };
        let new = found.new.iter().find(|(connection, _)| connection == name);
        if n > 0 || new.is_some() {
            all.push(format!("{}; {}", line(name, matched, found), count(n, "user")));
        }
        if let Some((_, provider)) = new {
            all.push(format!("    set at the provider: {}", redirect_uris(base, provider, None)));
        }
    }
    // Connections that Auth0 does not list (any more), or could not be asked for.
    for (name, n) in without.drain(..) {
        all.push(format!("`{}`: no link; name a provider under `[idps]`; {}", printable(&name), count(n, "user")));
    }
    all
}

/// Deletes the providers that this ledger created, once nobody of ours is `left` who may sign in by them.
///
/// # Errors
/// When ZITADEL or the ledger fails; running again goes on.
pub(super) async fn delete_created(context: &Context, ledger: &Ledger, client: &Zitadel, left: u64) -> Result<()> {
    let created = ledger.read(idps::created_idps)?;
    for idp in created {
        let name = printable(&idp.name);
        let Some(id) = &idp.idp_id else {
            context
                .events
                .warn("identity-provider-in-doubt", format!("`{name}` may have been created: look in the console"));
            continue;
        };
        if left > 0 {
            context
                .events
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
        context.events.notice(format!("deleted the identity provider `{name}` ({id})"));
    }
    Ok(())
}
