//! Can Auth0 be read: token, scopes, connections, users?

use std::collections::BTreeSet;

use crate::{
    auth0::{
        client::{Client as Auth0, Failure},
        connections::{self, Connection, OPTIONS_SCOPE},
    },
    config::{Auth0Credentials, Config},
    error::{Error, Kind, Result, count, some_of},
    run::facts::Facts,
};

/// Every check of the tenant, a line each.
///
/// # Errors
/// None: what fails is in the lines.
pub(super) async fn check(facts: &mut Facts, client: &Auth0, config: &Config) -> Result<()> {
    let scopes = match client.scopes().await {
        Ok(scopes) => scopes,
        Err(error) => {
            facts.fail("auth0-token", error);
            return Ok(());
        }
    };
    match &scopes {
        Some(scopes) if !scopes.contains("read:users") => {
            let held = scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            facts.fail(
                "auth0-scopes",
                Error::new(Kind::Check, "the Auth0 token lacks the scope `read:users`")
                    .because(if held.is_empty() { "it has no scope at all".to_owned() } else { format!("it has: {held}") })
                    .hint("in the dashboard: Applications > APIs > Auth0 Management API > Machine to Machine > the application > tick `read:users`, `read:connections` and `read:connections_options`"),
            );
            return Ok(());
        }
        Some(scopes) if config.input.mfa_survey && !scopes.contains("read:authentication_methods") => {
            facts.warn("auth0-scopes", "the Auth0 token lacks the scope `read:authentication_methods`: the survey of second factors will find nothing");
        }
        // Of a token that was given nobody has been asked yet.
        Some(_) if matches!(config.auth0.credentials, Some(Auth0Credentials::Token(_))) => {
            facts.ok("auth0-token", "the token that was given says it has read:users");
        }
        Some(_) => facts.ok("auth0-token", format!("`{}` gives a token with read:users", client.base())),
        None => facts.warn("auth0-token", "the token does not say which scopes it has"),
    }
    let lacks = scopes.as_ref().map(|scopes| {
        structure_scopes(config).into_iter().filter(|scope| !scopes.contains(*scope)).collect::<Vec<_>>()
    });
    if let Some(lacks) = lacks.filter(|lacks| !lacks.is_empty()) {
        let list = lacks.join("`, `");
        facts.fail(
            "auth0-scopes",
            Error::new(Kind::Check, format!("the Auth0 token lacks `{list}`"))
                .because("`roles.mode` and `organizations.policy` of the configuration ask for it")
                .hint("in the dashboard: Applications > APIs > Auth0 Management API > Machine to Machine > the application > tick it"),
        );
    }
    if let Err(unreachable) = check_connections(facts, client, config, scopes.as_ref()).await {
        // Whoever does not answer is asked nothing more.
        facts.fail("auth0", unreachable);
        return Ok(());
    }
    check_users(facts, client, config).await;
    Ok(())
}

/// Counts the users, to hold the export against.
async fn check_users(facts: &mut Facts, client: &Auth0, config: &Config) {
    let one = match config.auth0.connections.as_slice() {
        [name] => Some(name.as_str()),
        _ => None,
    };
    match client.count_users(one).await {
        Ok(users) => {
            facts.auth0_users = Some(users);
            facts.ok("auth0-users", format!("Auth0 counts {}", count(users, "user")));
        }
        Err(failure) if failure.is_unreachable() => facts.fail("auth0", unreachable(client, failure)),
        Err(failure) if failure.is_refusal() => {
            facts.fail("auth0-users", failure.into_error("could not count the users at Auth0"));
        }
        Err(failure) => {
            let error = failure.into_error("could not count the users at Auth0");
            facts.warn("auth0-users", format!("{}: {}", error.message(), error.reason()));
        }
    }
}

/// What reading roles and organizations asks for, beyond `read:users`.
fn structure_scopes(config: &Config) -> Vec<&'static str> {
    let wanted = config.structure();
    let mut scopes = Vec::new();
    if wanted.reads_roles() {
        scopes.push("read:roles");
    }
    if wanted.reads_organizations() {
        scopes.extend(["read:organizations", "read:organization_members", "read:organization_member_roles"]);
    }
    scopes
}

/// Reads the connections.
///
/// # Errors
/// Where Auth0 does not answer.
async fn check_connections(
    facts: &mut Facts,
    client: &Auth0,
    config: &Config,
    scopes: Option<&BTreeSet<String>>,
) -> Result<()> {
    let named = &config.auth0.connections;
    match connections::list(client).await {
        Ok(all) => {
            if let Err(error) = connections::by_name(&all, named) {
                facts.fail("auth0-connections", error);
            }
            let chosen = || all.iter().filter(|c| named.is_empty() || named.contains(&c.name));
            let databases: Vec<&Connection> = chosen().filter(|c| c.is_database()).collect();
            facts.ok(
                "auth0-connections",
                format!(
                    "{} to export, {} of them databases",
                    count(chosen().count() as u64, "connection"),
                    databases.len()
                ),
            );
            for custom in databases.iter().filter(|c| c.can_have_hashes() == Some(false)) {
                facts.warn(
                    "auth0-custom-database",
                    format!("`{}` is a custom database without import mode: Auth0 holds no hashes of it", custom.name),
                );
            }
            if let Some(text) = what_options_would_tell(&all, scopes) {
                facts.warn("auth0-connection-options", text);
            }
            facts.connections = all;
        }
        Err(failure) if failure.is_unreachable() => return Err(unreachable(client, failure)),
        Err(failure) if named.is_empty() && failure.is_refusal() => {
            let reason = failure.into_error("no access").reason();
            facts.warn("auth0-connections", format!("the connections cannot be read: no access ({reason})"));
        }
        Err(failure) => facts.fail("auth0-connections", failure.into_error("could not look up the connections")),
    }
    Ok(())
}

/// What hangs on the options of connections whose options Auth0 does not tell; none where nothing does.
fn what_options_would_tell(all: &[Connection], scopes: Option<&BTreeSet<String>>) -> Option<String> {
    let names = |wanted: &dyn Fn(&Connection) -> bool| {
        let unknown = all.iter().filter(|c| c.options.is_none() && wanted(c));
        unknown.map(|c| format!("`{}`", c.name)).collect::<Vec<_>>()
    };
    let databases = names(&Connection::is_database);
    let foreign = names(&|c| !c.is_database() && !matches!(c.strategy.as_str(), "sms" | "email"));
    let linked_by_one = names(&|c| matches!(c.strategy.as_str(), "samlp" | "pingfederate" | "waad"));
    let mut parts = Vec::new();
    if !foreign.is_empty() {
        parts.push(format!("no provider is found by the client id or created for {}", some_of(&foreign)));
    }
    if !linked_by_one.is_empty() {
        let names = some_of(&linked_by_one);
        parts.push(format!("users of {names} get no link where the id hangs on an option (`option-unknown`)"));
    }
    if !databases.is_empty() {
        parts.push(format!("{} may be a custom database, of which Auth0 holds no hashes", some_of(&databases)));
    }
    if parts.is_empty() {
        return None;
    }
    let unknown = count((databases.len() + foreign.len()) as u64, "connection");
    let why = match scopes {
        Some(scopes) if !scopes.contains(OPTIONS_SCOPE) => format!("the token lacks the scope `{OPTIONS_SCOPE}`"),
        _ => format!("that takes the scope `{OPTIONS_SCOPE}`"),
    };
    Some(format!("Auth0 does not tell the options of {unknown} ({why}): {}", parts.join("; ")))
}

fn unreachable(client: &Auth0, failure: Failure) -> Error {
    failure.into_error(&format!("Auth0 does not answer at `{}`", client.base()))
}
