//! A connection's options, as far as they tell who the identity provider behind it is. Names and types differ from strategy
//! to strategy, and tenants hold old forms: what is not as expected counts as absent, and costs no connection.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// What is known of a connection. Its Debug shows no secret.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// There is not one of them. A connection that needs some to work has them: of such a one nothing was told.
    pub is_empty: bool,
    /// Users are moved into Auth0's own store as they sign in.
    pub import_mode: Option<bool>,
    /// The users are in somebody else's database.
    pub enabled_database_customization: Option<bool>,
    /// Our client at the provider.
    pub client_id: Option<String>,
    /// Its secret; a private key (PEM) for Apple.
    pub client_secret: Option<SecretString>,
    /// Scopes that are asked for.
    pub scopes: Vec<String>,
    /// OIDC: the issuer.
    pub issuer: Option<String>,
    /// OIDC: where the provider describes itself.
    pub discovery_url: Option<String>,
    /// OAuth: where users are sent to.
    pub authorization_url: Option<String>,
    /// OAuth: where codes become tokens.
    pub token_url: Option<String>,
    /// OAuth and OIDC: where the profile is read.
    pub userinfo_url: Option<String>,
    /// Microsoft Entra: the tenant, `acme.onmicrosoft.com`.
    pub tenant_domain: Option<String>,
    /// Microsoft Entra: the tenant's id.
    pub tenant_id: Option<String>,
    /// Microsoft Entra: any tenant's users may come.
    pub common_endpoint: bool,
    /// Apple: the team.
    pub team_id: Option<String>,
    /// Apple: the key's id.
    pub key_id: Option<String>,
    /// SAML: the provider's entity id.
    pub entity_id: Option<String>,
    /// SAML: where users are sent to.
    pub sign_in_endpoint: Option<String>,
    /// SAML: its metadata.
    pub metadata_xml: Option<String>,
    /// SAML: where its metadata is.
    pub metadata_url: Option<String>,
    /// SAML: the certificate that it signs with, PEM or base64 of PEM.
    pub signing_cert: Option<String>,
    /// SAML: the attribute that Auth0 takes for the user's id, where it is not the `NameID`.
    pub user_id_attribute: Option<String>,
}

impl Options {
    /// Reads them; anything but an object tells nothing.
    pub(super) fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Object(object) => Some(Self::of(object)),
            _ => None,
        })
    }

    fn of(mut object: Map<String, Value>) -> Self {
        let is_empty = object.is_empty();
        let mut secret = |name: &str| match object.remove(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => Some(SecretString::from(text)),
            _ => None,
        };
        let (app_secret, client_secret) = (secret("app_secret"), secret("client_secret"));
        let flag = |name: &str| object.get(name).and_then(Value::as_bool);
        let text = |name: &str| {
            let text = object.get(name).and_then(Value::as_str).map(str::trim);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        Self {
            is_empty,
            import_mode: flag("import_mode"),
            enabled_database_customization: flag("enabledDatabaseCustomization"),
            client_id: text("client_id"),
            client_secret: app_secret.or(client_secret),
            scopes: scopes(object.get("scope")),
            issuer: text("issuer"),
            discovery_url: text("discovery_url"),
            authorization_url: text("authorizationURL").or_else(|| text("authorization_endpoint")),
            token_url: text("tokenURL").or_else(|| text("token_endpoint")),
            userinfo_url: text("userInfoURL").or_else(|| text("userinfo_endpoint")),
            tenant_domain: text("tenant_domain").or_else(|| text("domain")),
            tenant_id: text("tenantId"),
            common_endpoint: flag("useCommonEndpoint").or_else(|| flag("waad_common_endpoint")).unwrap_or(false),
            team_id: text("team_id"),
            key_id: text("kid"),
            entity_id: text("entityId").or_else(|| text("entityID")),
            sign_in_endpoint: text("signInEndpoint"),
            metadata_xml: text("metadataXml"),
            metadata_url: text("metadataUrl"),
            signing_cert: text("signingCert").or_else(|| text("cert")),
            user_id_attribute: text("user_id_attribute").or_else(|| mapped_user_id(object.get("fieldsMap"))),
        }
    }
}

/// `"openid profile"`, `"email,public_profile"`, `["email"]`.
fn scopes(value: Option<&Value>) -> Vec<String> {
    let split =
        |text: &str| text.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    match value {
        Some(Value::String(text)) => split(text),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).flat_map(split).collect(),
        _ => Vec::new(),
    }
}

/// The first claim of `fieldsMap.user_id`.
fn mapped_user_id(map: Option<&Value>) -> Option<String> {
    let user_id = map?.get("user_id")?;
    user_id.as_str().or_else(|| user_id.get(0)?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    fn options(value: Value) -> Options {
        Options::told(value).unwrap().unwrap_or_default()
    }

    #[test]
    fn reads_every_strategys_names_and_keeps_secrets_to_itself() {
        let apple = options(
            json!({"client_id": "a", "app_secret": "-----KEY", "team_id": "T", "kid": "K", "scope": "name email"}),
        );
        assert_eq!(apple.client_secret.as_ref().map(|s| s.expose_secret().to_owned()).as_deref(), Some("-----KEY"));
        assert_eq!(apple.scopes, ["name", "email"]);
        assert!(!format!("{apple:?}").contains("-----KEY"));
        let oauth =
            options(json!({"authorizationURL": "https://a/x", "tokenURL": "https://a/t", "scope": ["a", "b c"]}));
        assert_eq!(oauth.authorization_url.as_deref(), Some("https://a/x"));
        assert_eq!(oauth.scopes, ["a", "b", "c"]);
        let saml = options(json!({"fieldsMap": {"user_id": ["urn:uid", "urn:upn"]}, "entityId": "urn:acme"}));
        assert_eq!(saml.user_id_attribute.as_deref(), Some("urn:uid"));
        let waad = options(json!({"useCommonEndpoint": true, "tenant_domain": "acme.example", "client_secret": ""}));
        assert!(waad.common_endpoint && waad.client_secret.is_none());
    }

    #[test]
    fn odd_values_count_as_absent() {
        for odd in
            [json!(null), json!([]), json!("x"), json!({"client_id": 7, "scope": {"a": 1}, "import_mode": "yes"})]
        {
            let options = options(odd);
            assert!(options.client_id.is_none() && options.scopes.is_empty() && options.import_mode.is_none());
        }
    }
}
