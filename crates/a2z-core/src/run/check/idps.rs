//! Which identity providers are there, which connection does each stand for, and which are to be created?

use std::collections::BTreeSet;

use crate::{
    auth0::connections::Connection,
    config::{Config, CreateIdps, OrganizationsPolicy},
    error::{count, printable},
    mapping::providers::{Found, Providers, Target},
    plan::providers::{self, create},
    run::{facts::Facts, idps::Idps},
    zitadel::{
        client::Client as Zitadel,
        idps::{NewProvider, Scope},
    },
};

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
        plan_new(&facts.connections, &mut providers, &mut new, !facts.creates_idps_in_instance(config));
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
            // Nothing depends on it but a note.
            Err(failure) if failure.is_refusal() => {}
            Err(failure) => {
                facts.unread("zitadel-idps", failure, "could not ask which providers the login page offers");
            }
        }
    }
    report(facts, &providers);
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

/// One line; [`Idps::lines`] has the rest.
fn report(facts: &mut Facts, providers: &Providers) {
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
