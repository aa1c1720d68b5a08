//! Which of ZITADEL's identity providers stands for which of Auth0's connections.
//!
//! A wrong match would let one provider's users into another's accounts. So a match that nobody configured needs proof:
//! the same client, or ids that are the same everywhere (Google, GitHub), or the same tenant, team or endpoint.

pub mod create;

use std::collections::BTreeMap;

use crate::{
    auth0::connections::{Connection, OPTIONS_SCOPE},
    error::{Error, Kind as ErrorKind, Result, printable, some_of},
    mapping::providers::{Found, Match, Providers, Target},
    mapping::settings::{Idps, UnmatchedIdps},
    zitadel::idps::Provider,
};

/// What a provider speaks, in ZITADEL's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Google, Workspace too.
    Google,
    /// GitHub.
    GitHub,
    /// gitlab.com.
    GitLab,
    /// Microsoft Entra and Microsoft accounts.
    Microsoft,
    /// Apple.
    Apple,
    /// Any OpenID Connect provider.
    Oidc,
    /// Any OAuth 2 provider.
    OAuth,
    /// Any SAML 2 provider.
    Saml,
    /// A directory.
    Ldap,
}

impl Kind {
    /// Of a connection.
    #[must_use]
    pub fn of_connection(connection: &Connection) -> Option<Self> {
        let url = connection.options.as_ref().and_then(|options| options.authorization_url.as_deref());
        let gitlab = url.is_some_and(|url| host(url) == Some("gitlab.com"));
        Some(match connection.strategy.as_str() {
            "google-oauth2" | "google-apps" => Self::Google,
            "github" => Self::GitHub,
            "windowslive" | "waad" => Self::Microsoft,
            "apple" => Self::Apple,
            "oidc" | "okta" => Self::Oidc,
            "oauth2" if gitlab => Self::GitLab,
            "oauth2" | "oauth1" => Self::OAuth,
            "samlp" | "pingfederate" => Self::Saml,
            "ad" | "auth0-adldap" => Self::Ldap,
            _ => return None,
        })
    }

    /// Of a provider.
    #[must_use]
    pub fn of_provider(provider: &Provider) -> Option<Self> {
        Some(match provider.kind.as_str() {
            "PROVIDER_TYPE_GOOGLE" => Self::Google,
            "PROVIDER_TYPE_GITHUB" => Self::GitHub,
            "PROVIDER_TYPE_GITLAB" => Self::GitLab,
            "PROVIDER_TYPE_AZURE_AD" => Self::Microsoft,
            "PROVIDER_TYPE_APPLE" => Self::Apple,
            "PROVIDER_TYPE_OIDC" => Self::Oidc,
            "PROVIDER_TYPE_OAUTH" => Self::OAuth,
            "PROVIDER_TYPE_SAML" => Self::Saml,
            "PROVIDER_TYPE_LDAP" => Self::Ldap,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Google => "Google",
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
            Self::Microsoft => "Microsoft",
            Self::Apple => "Apple",
            Self::Oidc => "OIDC",
            Self::OAuth => "OAuth",
            Self::Saml => "SAML",
            Self::Ldap => "LDAP",
        }
    }
}

/// Users of these are not somebody else's: databases and passwordless connections.
const OWN: [&str; 3] = ["auth0", "sms", "email"];
/// Connections that an export may hold although nobody listed them: Auth0 names social ones after their strategy.
const STANDARD: [&str; 2] = ["google-oauth2", "github"];

/// Matches connections to providers. Where Auth0's connections could not be read, `connections` is empty: what is
/// configured counts, and the two social connections whose ids are the same everywhere.
///
/// # Errors
/// Of kind `Usage`, where the configuration names what does not exist.
pub fn match_all(connections: &[Connection], providers: &[Provider], config: &Idps) -> Result<Providers> {
    let listed = !connections.is_empty();
    let mut foreign: Vec<Connection> =
        connections.iter().filter(|c| !OWN.contains(&c.strategy.as_str())).cloned().collect();
    if !listed {
        let names = STANDARD.iter().copied().chain(config.by_connection.keys().map(String::as_str));
        for name in names {
            if !foreign.iter().any(|known| known.name == name) {
                let strategy = if STANDARD.contains(&name) { name } else { "" };
                foreign.push(Connection { name: name.into(), strategy: strategy.into(), ..Connection::default() });
            }
        }
    }
    check_configured(&foreign, providers, config)?;
    let mut matches = BTreeMap::new();
    for connection in &foreign {
        let found = if let Some(id) = config.by_connection.get(&connection.name) {
            providers
                .iter()
                .find(|p| p.id == *id)
                .map(|p| target(p, connection, Found::Configured))
                .ok_or_else(Why::default)
        } else {
            find(connection, &foreign, providers)
        };
        let told = connection.options.as_ref().filter(|options| !options.is_empty);
        let id_attribute = told.and_then(|options| options.user_id_attribute.clone());
        let options_unknown = told.is_none();
        let (target, why_not, ambiguous) = match found {
            Ok(target) => (Some(target), None, false),
            Err(why) => (None, Some(why.text), why.ambiguous),
        };
        let strategy = connection.strategy.clone();
        let matched = Match { strategy, target, why_not, ambiguous, id_attribute, options_unknown };
        matches.insert(connection.name.clone(), matched);
    }
    let block_unmatched = config.unmatched == UnmatchedIdps::Block;
    Ok(Providers { matches, block_unmatched })
}

fn check_configured(foreign: &[Connection], providers: &[Provider], config: &Idps) -> Result<()> {
    for (name, id) in &config.by_connection {
        if !foreign.iter().any(|connection| connection.name == *name) {
            let mut names: Vec<String> =
                foreign.iter().map(|c| format!("`{}` ({})", printable(&c.name), c.strategy)).collect();
            names.sort();
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`idps.{name}`: the Auth0 tenant has no such social or enterprise connection"),
            )
            .because(format!("it has: {}", some_of(&names)))
            .hint("correct the name under `[idps]`"));
        }
        match providers.iter().find(|provider| provider.id == *id) {
            Some(provider) if provider.active => {}
            found => {
                let why = if found.is_some() {
                    "is not active"
                } else {
                    "does not exist, or belongs to another organization"
                };
                let list: Vec<String> = providers
                    .iter()
                    .filter(|p| p.active)
                    .map(|p| format!("`{}` ({})", p.id, printable(&p.name)))
                    .collect();
                let list = if list.is_empty() {
                    "there is none".to_owned()
                } else {
                    format!("there are: {}", list.join(", "))
                };
                return Err(Error::new(ErrorKind::Usage, format!("`idps.{name}`: the identity provider `{id}` {why}"))
                    .because(list)
                    .hint("the id is in the console, in the address of the provider's page"));
            }
        }
    }
    Ok(())
}

fn target(provider: &Provider, connection: &Connection, found: Found) -> Target {
    Target {
        idp_id: provider.id.clone(),
        name: provider.name.clone(),
        found,
        creation_allowed: provider.creation_allowed,
        linking_allowed: provider.linking_allowed,
        of_organization: provider.of_organization,
        same_client: has_client_of(provider, connection),
    }
}

/// Are provider and connection certainly the same client?
fn has_client_of(provider: &Provider, connection: &Connection) -> bool {
    let client_id = connection.options.as_ref().and_then(|options| options.client_id.as_ref());
    client_id.is_some() && provider.client_id.as_ref() == client_id
}

/// Why there is no match.
#[derive(Default)]
struct Why {
    text: String,
    /// More than one could be meant.
    ambiguous: bool,
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self { text, ambiguous: false }
    }
}

/// The provider of a connection that nobody configured, or why there is none.
fn find(connection: &Connection, foreign: &[Connection], providers: &[Provider]) -> Result<Target, Why> {
    let options = connection.options.as_ref();
    let name_it = match options {
        Some(_) => "name one under `[idps]`".to_owned(),
        None => format!(
            "Auth0 does not tell its options (the scope `{OPTIONS_SCOPE}`): grant it, or name one under `[idps]`"
        ),
    };
    let Some(kind) = Kind::of_connection(connection) else {
        return Err(format!(
            "ZITADEL has no template for `{}`: create a generic provider and {name_it}",
            connection.strategy
        )
        .into());
    };
    let of_kind: Vec<&Provider> = providers.iter().filter(|p| p.active && Kind::of_provider(p) == Some(kind)).collect();
    let same_client: Vec<&&Provider> = of_kind
        .iter()
        .filter(|p| has_client_of(p, connection))
        .filter(|p| agree(kind, connection, p) != Some(false))
        .collect();
    match same_client.as_slice() {
        [one] => return Ok(target(one, connection, Found::ClientId)),
        [] => {}
        several => {
            let text = format!("{} providers have its client id: {name_it}", several.len());
            return Err(Why { text, ambiguous: true });
        }
    }
    if kind == Kind::OAuth && options.is_none() {
        // Which service it is, GitLab perhaps, is an option.
        return Err(format!("nothing tells what it is: {name_it}").into());
    }
    let alike = foreign.iter().filter(|other| may_be(kind, other)).count();
    match of_kind.as_slice() {
        [] if options.is_none() => Err(format!(
            "ZITADEL has no {} provider: create one (`zitadel.create_idps` takes the scope `{OPTIONS_SCOPE}`)",
            kind.name()
        )
        .into()),
        [] => Err(format!("ZITADEL has no {} provider: create one, or set `zitadel.create_idps`", kind.name()).into()),
        [one] if alike == 1 => {
            let everywhere = matches!(kind, Kind::Google | Kind::GitHub | Kind::GitLab);
            let agreed = agree(kind, connection, one);
            if agreed == Some(true) || (everywhere && agreed.is_none()) {
                Ok(target(one, connection, Found::Kind))
            } else {
                Err(format!(
                    "nothing proves that ZITADEL's {} provider `{}` is the same one: if it is, {name_it}",
                    kind.name(),
                    printable(&one.name)
                )
                .into())
            }
        }
        _ => Err(format!("there are several of kind {}, and none with its client id: {name_it}", kind.name()).into()),
    }
}

/// Is it of this kind, as far as Auth0 tells?
fn may_be(kind: Kind, connection: &Connection) -> bool {
    let of_connection = Kind::of_connection(connection);
    of_connection == Some(kind)
        || (kind == Kind::GitLab && of_connection == Some(Kind::OAuth) && connection.options.is_none())
}

/// Do connection and provider mean the same tenant, team or endpoint? `None` where one of them does not say.
fn agree(kind: Kind, connection: &Connection, provider: &Provider) -> Option<bool> {
    let options = connection.options.as_ref()?;
    match kind {
        Kind::Google | Kind::GitHub | Kind::GitLab | Kind::Ldap => None,
        Kind::Microsoft => {
            let theirs = provider.tenant.as_deref()?;
            let ours = [options.tenant_id.as_deref(), options.tenant_domain.as_deref()];
            if ours.iter().flatten().any(|tenant| tenant.eq_ignore_ascii_case(theirs)) {
                return Some(true);
            }
            // A domain against an id proves nothing; two ids, or two domains, that differ prove something.
            let is_id = |tenant: &str| !tenant.contains('.');
            ours.into_iter().flatten().any(|tenant| is_id(tenant) == is_id(theirs)).then_some(false)
        }
        Kind::Apple => Some(options.team_id.as_deref()? == provider.team_id.as_deref()?),
        Kind::Oidc => Some(same_url(&issuer(connection)?, provider.issuer.as_deref()?)),
        Kind::OAuth => {
            Some(same_url(options.authorization_url.as_deref()?, provider.authorization_endpoint.as_deref()?))
        }
        Kind::Saml => {
            let endpoint = options.sign_in_endpoint.as_deref()?;
            let metadata = String::from_utf8_lossy(provider.metadata_xml.as_deref()?);
            let escaped = endpoint.replace('&', "&amp;");
            Some(metadata.contains(&format!("\"{endpoint}\"")) || metadata.contains(&format!("\"{escaped}\"")))
        }
    }
}

/// The issuer of an OIDC connection.
#[must_use]
pub fn issuer(connection: &Connection) -> Option<String> {
    let options = connection.options.as_ref()?;
    let discovered =
        || Some(options.discovery_url.as_deref()?.strip_suffix("/.well-known/openid-configuration")?.to_owned());
    let okta =
        || Some(format!("https://{}", options.tenant_domain.as_deref().filter(|_| connection.strategy == "okta")?));
    options.issuer.clone().or_else(discovered).or_else(okta)
}

fn same_url(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    rest.split(['/', '?', '#']).next()
}

#[cfg(test)]
mod tests;
