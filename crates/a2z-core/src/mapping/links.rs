//! Identities that are not of a database become links to identity providers; and what stays behind is reported.
//!
//! A link holds the id by which *ZITADEL* will see the user there. Auth0 often writes something before it, and for some
//! strategies keeps another id altogether: then there is no link, and a finding says so.

use super::{
    draft::Link,
    finding::{Blocked, BlockedCode, Finding, FindingCode},
    providers::{Match, Providers},
    text,
    text::MAX_CHARS,
};
use crate::auth0::user::{ExportedUser, Identity};

/// Database accounts move as users; passwordless ones have no identity provider behind them.
const WITHOUT_PROVIDER: [&str; 4] = ["auth0", "sms", "email", ""];

/// What the identities of a user came to.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// What is to be linked.
    pub links: Vec<Link>,
    /// The user is not moved: an identity has no provider, and the operator wants it so.
    pub blocked: Option<Blocked>,
}

/// The links of a user.
#[must_use]
pub fn links(user: &ExportedUser, providers: &Providers, findings: &mut Vec<Finding>) -> Links {
    let mut found = Links::default();
    let mut missing: Vec<(FindingCode, String)> = Vec::new();
    for identity in identities(user) {
        let shown = identity.connection.unwrap_or(identity.provider);
        let matched = providers.of(identity.connection, identity.provider);
        let target = matched.and_then(|(name, matched)| Some((name, matched, matched.target.as_ref()?)));
        let Some((name, matched, target)) = target else {
            missing.push((FindingCode::LinkNotMoved, shown.to_owned()));
            continue;
        };
        match external_id(name, matched, &identity) {
            Ok(id) => {
                let twice = |link: &Link| link.idp_id == target.idp_id && fold(&link.external_user_id) == fold(id);
                if !found.links.iter().any(twice) {
                    found.links.push(Link {
                        idp_id: target.idp_id.clone(),
                        external_user_id: id.to_owned(),
                        display_name: display_name(&identity, id),
                        by_import: target.creation_allowed,
                    });
                }
            }
            Err((code, why)) => missing.push((code, format!("{shown}: {why}"))),
        }
    }
    missing.sort();
    missing.dedup();
    if providers.block_unmatched
        && let Some((_, detail)) = missing.first()
    {
        found.blocked = Some(Blocked::about(BlockedCode::NoIdentityProvider, detail.clone()));
    }
    findings.extend(missing.into_iter().map(|(code, detail)| Finding::about(code, detail)));
    found
}

/// The external id as ZITADEL's unique constraint sees it.
#[must_use]
pub fn fold(external_id: &str) -> String {
    super::collision::name_key(external_id)
}

/// Says which factors stay behind.
pub(super) fn report(user: &ExportedUser, findings: &mut Vec<Finding>) {
    if !user.multifactor.is_empty() {
        findings.push(Finding::about(FindingCode::FactorNotMoved, user.multifactor.join(", ")));
    }
}

/// An identity at somebody else's.
struct Foreign<'a> {
    provider: &'a str,
    connection: Option<&'a str>,
    id: &'a str,
    /// What a person would know the account by.
    names: [Option<&'a str>; 3],
}

fn identities(user: &ExportedUser) -> Vec<Foreign<'_>> {
    let own = [user.email.as_deref(), user.nickname.as_deref(), user.name.as_deref()];
    let (provider, id) = user.split_id();
    let primary = user.primary();
    match user.identities.as_deref() {
        Some(identities) if !identities.is_empty() => identities
            .iter()
            .filter(|identity| has_provider(&identity.provider))
            .map(|identity| {
                let names = if primary.is_some_and(|primary| primary == identity) { own } else { names(identity) };
                let connection = identity.connection.as_deref();
                Foreign { provider: &identity.provider, connection, id: &identity.user_id, names }
            })
            .collect(),
        // An identity that cannot be read is no link.
        _ if has_provider(provider) && !user.identities_damaged => {
            vec![Foreign { provider, connection: None, id, names: own }]
        }
        _ => Vec::new(),
    }
}

fn names(identity: &Identity) -> [Option<&str>; 3] {
    [identity.email.as_deref(), identity.name.as_deref(), None]
}

fn has_provider(provider: &str) -> bool {
    !WITHOUT_PROVIDER.contains(&provider)
}

fn display_name(identity: &Foreign<'_>, id: &str) -> String {
    let mut names = identity.names.into_iter().flatten().chain([id]).map(|name| text::clean(name).text.into_owned());
    let name = names.find(|name| !name.is_empty()).unwrap_or_default();
    text::cut(&name).0.to_owned()
}

/// The id by which ZITADEL will see the user, as its source takes it from each kind of provider (`internal/idp`).
fn external_id<'a>(
    connection: &str,
    matched: &Match,
    identity: &Foreign<'a>,
) -> Result<&'a str, (FindingCode, &'static str)> {
    let id = identity.id;
    let differs = |why| Err((FindingCode::ForeignIdDiffers, why));
    let unknown = |why| Err((FindingCode::OptionUnknown, why));
    // Enterprise and custom social ids begin with the connection's name; what follows is the provider's, pipes included.
    let own = id.strip_prefix(connection).and_then(|rest| rest.strip_prefix('|')).unwrap_or(id);
    if own.is_empty() || own.chars().count() > MAX_CHARS || own.chars().any(char::is_control) {
        return differs("ZITADEL does not take the id (1 to 200 characters)");
    }
    let same_client = matched.target.as_ref().is_some_and(|target| target.same_client);
    // A connection that nobody listed has its strategy in the identity.
    let strategy = if matched.strategy.is_empty() { identity.provider } else { &matched.strategy };
    match strategy {
        // ZITADEL sees Google's number; without `map_user_id_to_id` Auth0 keeps the address.
        "google-apps" if own.contains('@') => differs("Auth0 keeps the e-mail address, ZITADEL sees Google's number"),
        // Graph's `id` is the object id. A `sub` is another one for every client; ZITADEL finds a user by it too, when
        // the object id is unknown (`RetrievePreviousID`), and it is the same one for the same client only.
        "waad" if is_guid(own) || (same_client && !own.contains('@')) => Ok(own),
        "waad" if own.contains('@') => differs("Auth0 keeps the user principal name, ZITADEL sees the object id"),
        "waad" if matched.options_unknown => {
            unknown("Auth0 keeps the `sub` of its client, and does not tell which client that is")
        }
        "waad" => differs("Auth0 keeps the `sub` of its own client, ZITADEL's client gets another"),
        // Apple's ids are a team's; the match has looked at that.
        // ZITADEL goes by the NameID.
        "samlp" | "pingfederate" if matched.options_unknown => {
            unknown("Auth0 does not tell whether the id is the NameID or an attribute")
        }
        "samlp" | "pingfederate" if matched.id_attribute.as_deref().is_some_and(|claim| !is_name_id(claim)) => {
            differs("Auth0 takes the id from an attribute, ZITADEL from the NameID")
        }
        _ => Ok(own),
    }
}

fn is_name_id(claim: &str) -> bool {
    claim.to_ascii_lowercase().ends_with("nameidentifier")
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_guid(id: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let mut parts = id.split('-');
    lengths
        .iter()
        .all(|length| parts.next().is_some_and(|p| p.len() == *length && p.bytes().all(|b| b.is_ascii_hexdigit())))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests;
