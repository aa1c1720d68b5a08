//! From a connection's options to a provider that ZITADEL can create. What is missing is said, never invented.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{Kind, issuer};
use crate::{
    auth0::connections::{Connection, OPTIONS_SCOPE, Options},
    zitadel::idps::{Body, NewProvider},
};

/// ZITADEL's limits, in characters.
const MAX: usize = 200;
const MAX_SCOPES: usize = 20;

/// The name that a provider of this connection gets.
#[must_use]
pub fn name(connection: &Connection) -> String {
    let social = matches!(connection.strategy.as_str(), "google-oauth2" | "github" | "windowslive" | "apple");
    match Kind::of_connection(connection) {
        // People see it on the button.
        Some(kind) if social => kind.name().to_owned(),
        _ => connection.name.chars().filter(|c| !c.is_control()).take(MAX).collect(),
    }
}

/// The provider that `connection` describes.
///
/// # Errors
/// In words, what is missing and what to do.
pub fn from_connection(connection: &Connection) -> Result<NewProvider, String> {
    let kind = Kind::of_connection(connection).ok_or_else(|| {
        format!("ZITADEL has no template for `{}`: create a generic provider by hand", connection.strategy)
    })?;
    let options = connection.options.as_ref().ok_or_else(|| {
        format!(
            "Auth0 does not tell its options (the scope `{OPTIONS_SCOPE}`): grant it, or create the provider by hand"
        )
    })?;
    // Linking and creation must be allowed, or ZITADEL refuses the links; nothing happens by itself.
    let flags =
        json!({ "isLinkingAllowed": true, "isCreationAllowed": true, "isAutoCreation": false, "isAutoUpdate": false });
    let mut body = json!({ "name": name(connection), "providerOptions": flags });
    let client_id = || text(options.client_id.as_deref(), "a client id (Auth0's developer keys stay with Auth0)");
    let path = match kind {
        Kind::Saml => {
            saml(options, &mut body)?;
            "saml"
        }
        Kind::Ldap => {
            return Err("a directory needs its address and its bind account: create the provider by hand".into());
        }
        Kind::Apple => {
            body["clientId"] = client_id()?.into();
            body["teamId"] = exactly_ten(options.team_id.as_deref(), "the team id")?.into();
            body["keyId"] = exactly_ten(options.key_id.as_deref(), "the key id")?.into();
            let key = options.client_secret.as_ref().filter(|key| key.expose_secret().contains("-----BEGIN"));
            let key =
                key.ok_or("the private key cannot be read from Auth0: create the provider by hand, with the .p8 file")?;
            body["privateKey"] = STANDARD.encode(key.expose_secret()).into();
            body["scopes"] = json!(["name", "email"]);
            "apple"
        }
        _ => {
            body["clientId"] = client_id()?.into();
            let secret = options.client_secret.as_ref().map(|secret| secret.expose_secret().to_owned());
            let most = if matches!(kind, Kind::Oidc | Kind::OAuth) { 1000 } else { MAX };
            let secret = secret.filter(|secret| (1..=most).contains(&secret.chars().count()));
            body["clientSecret"] = secret
                .ok_or("the client secret cannot be read from Auth0: create the provider by hand, with the secret from its owner")?
                .into();
            with_secret(kind, connection, options, &mut body)?
        }
    };
    Ok(NewProvider { path, body: Body(body) })
}

fn with_secret(
    kind: Kind,
    connection: &Connection,
    options: &Options,
    body: &mut Value,
) -> Result<&'static str, String> {
    Ok(match kind {
        Kind::Google => {
            body["scopes"] = json!(["openid", "profile", "email"]);
            "google"
        }
        Kind::GitHub => {
            body["scopes"] = json!(["openid", "profile", "email"]);
            "github"
        }
        Kind::GitLab => {
            body["scopes"] = json!(["openid", "profile", "email"]);
            "gitlab"
        }
        Kind::Microsoft => {
            body["scopes"] = json!(["openid", "profile", "email", "User.Read"]);
            let tenant = options.tenant_id.as_deref().or(options.tenant_domain.as_deref());
            body["tenant"] = match tenant.filter(|_| connection.strategy == "waad" && !options.common_endpoint) {
                Some(tenant) => json!({ "tenantId": tenant }),
                None => json!({ "tenantType": "AZURE_AD_TENANT_TYPE_COMMON" }),
            };
            "azure"
        }
        Kind::Oidc => {
            body["issuer"] = text(issuer(connection).as_deref(), "the issuer")?.into();
            body["scopes"] = scopes(&options.scopes, &["openid", "profile", "email"]);
            "generic_oidc"
        }
        _ => {
            body["authorizationEndpoint"] = text(options.authorization_url.as_deref(), "the authorization URL")?.into();
            body["tokenEndpoint"] = text(options.token_url.as_deref(), "the token URL")?.into();
            // Auth0 reads the profile by a script of the customer's, which tells neither in a way to rely on.
            return Err(
                "its profile is read by a script at Auth0; ZITADEL needs the user endpoint and the id's attribute: \
                        create the provider by hand and name it under `[idps]`"
                    .into(),
            );
        }
    })
}

fn saml(options: &Options, body: &mut Value) -> Result<(), String> {
    match (&options.metadata_xml, &options.metadata_url) {
        (Some(xml), _) if xml.len() <= 500_000 => body["metadataXml"] = STANDARD.encode(xml).into(),
        (_, Some(url)) => body["metadataUrl"] = text(Some(url), "the metadata")?.into(),
        _ => {
            return Err(
                "Auth0 does not keep its metadata: create the provider by hand, with the metadata from its owner"
                    .into(),
            );
        }
    }
    Ok(())
}

fn text(value: Option<&str>, what: &str) -> Result<String, String> {
    let fits = value.filter(|text| (1..=MAX).contains(&text.chars().count()));
    fits.map(str::to_owned).ok_or_else(|| format!("Auth0 does not tell {what}: create the provider by hand"))
}

fn exactly_ten(value: Option<&str>, what: &str) -> Result<String, String> {
    text(value.filter(|id| id.chars().count() == 10), what)
}

fn scopes(wanted: &[String], default: &[&str]) -> Value {
    let fit: Vec<&str> =
        wanted.iter().map(String::as_str).filter(|scope| scope.chars().count() <= 100).take(MAX_SCOPES).collect();
    if fit.is_empty() { json!(default) } else { json!(fit) }
}
