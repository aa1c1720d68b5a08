//! ZITADEL's identity providers, and the links of users to them.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{Client, Rest},
    failure::{Failure, Reason},
    lists::List,
};
use crate::mapping::draft::Link;

/// Where a provider lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// In the instance: every organization can use it.
    Instance,
    /// In this organization.
    Organization(&'a str),
}

/// An identity provider, without its secrets, which ZITADEL does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own in the vendor's model")]
pub struct Provider {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `PROVIDER_TYPE_GOOGLE`, …
    pub kind: String,
    /// Can it be used?
    pub active: bool,
    /// Of one organization, not of the instance.
    pub of_organization: bool,
    /// Users may link themselves to it.
    pub linking_allowed: bool,
    /// Users may be created with a link to it: the import endpoint asks for it, the users API does not.
    pub creation_allowed: bool,
    /// Its client.
    pub client_id: Option<String>,
    /// OIDC, and GitLab of one's own: the issuer.
    pub issuer: Option<String>,
    /// OAuth: where users are sent to.
    pub authorization_endpoint: Option<String>,
    /// Microsoft Entra: the tenant's id or domain; `None` where it is open to many.
    pub tenant: Option<String>,
    /// Apple: the team.
    pub team_id: Option<String>,
    /// SAML: its metadata.
    pub metadata_xml: Option<Vec<u8>>,
}

/// What is to be created.
#[derive(Debug, Clone)]
pub struct NewProvider {
    /// The last part of the path: `google`, `generic_oidc`, …
    pub path: &'static str,
    /// The body; it holds a secret, so it has no Debug of its own.
    pub body: Body,
}

impl NewProvider {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.body.0["name"].as_str().unwrap_or_default()
    }

    /// Its client.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.body.0["clientId"].as_str()
    }
}

/// A request's body with a secret in it.
#[derive(Clone)]
pub struct Body(pub Value);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body(..)")
    }
}

#[derive(Deserialize)]
struct WireProvider {
    id: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    config: Value,
}

impl From<WireProvider> for Provider {
    fn from(wire: WireProvider) -> Self {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let allowed = |name: &str| wire.config["options"][name] == true;
        // Beside the options there is one object, named after the type.
        let empty = Value::Null;
        let kind = wire.config.as_object().and_then(|c| c.iter().find(|(name, _)| *name != "options"));
        let config = kind.map_or(&empty, |(_, config)| config);
        let text = |name: &str| config[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            active: wire.state == "IDP_STATE_ACTIVE",
            of_organization: wire.owner == "IDP_OWNER_TYPE_ORG",
            linking_allowed: allowed("isLinkingAllowed"),
            creation_allowed: allowed("isCreationAllowed") || allowed("isAutoCreation"),
            client_id: text("clientId"),
            issuer: text("issuer"),
            authorization_endpoint: text("authorizationEndpoint"),
            tenant: config["tenant"]["tenantId"].as_str().map(str::to_owned),
            team_id: text("teamId"),
            metadata_xml: text("metadataXml").and_then(|xml| STANDARD.decode(xml).ok()),
            id: wire.id,
            name: wire.name,
            kind: wire.r#type,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLink {
    idp_id: String,
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    user_name: String,
}

impl Client {
    /// The providers that users of a place can use: an organization's own and the instance's, or the instance's alone.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn providers(&self, scope: Scope<'_>) -> Result<Vec<Provider>, Failure> {
        let path = format!("{}/idps/templates/_search", root(scope));
        let request = |page| {
            let request = self.post("list the identity providers", &path, &json!({ "query": page }));
            in_scope(request.idempotent(), scope)
        };
        let all = self.whole(List::of("result"), request, |provider: &WireProvider| provider.id.clone()).await?;
        Ok(all.into_iter().map(Provider::from).collect())
    }

    /// Creates a provider and returns its id. Never sent twice by itself: ZITADEL would make a second one.
    ///
    /// # Errors
    /// As [`Failure`] says; after an ambiguous one look for it.
    pub async fn create_provider(&self, provider: &NewProvider, scope: Scope<'_>) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            id: String,
        }
        let path = format!("{}/idps/{}", root(scope), provider.path);
        let request = in_scope(self.post("create an identity provider", &path, &provider.body.0), scope);
        request.read::<Wire>().await.map(|wire| wire.id)
    }

    /// Deletes a provider, and with it every link to it. False where there was none (any more).
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn delete_provider(&self, id: &str, scope: Scope<'_>) -> Result<bool, Failure> {
        let path = format!("{}/idps/templates/{id}", root(scope));
        let request = in_scope(self.delete("delete an identity provider", &path).idempotent(), scope);
        match request.done().await {
            Ok(()) => Ok(true),
            Err(Failure::Refused { status: 404, id: Some(_), .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// The ids of the providers that the login page of an organization offers.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn offered_providers(&self, organization_id: &str) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default, rename = "identityProviders")]
            providers: Vec<Offered>,
        }
        #[derive(Deserialize)]
        struct Offered {
            id: String,
        }
        let id: String = url::form_urlencoded::byte_serialize(organization_id.as_bytes()).collect();
        let request =
            self.get("read which providers the login offers", &format!("v2/settings/login/idps?ctx.orgId={id}"));
        request.read::<Wire>().await.map(|wire| wire.providers.into_iter().map(|offered| offered.id).collect())
    }

    /// The links of a user. Reads a projection of its own, which no barrier waits for: a link of a moment ago may be
    /// missing, and one that was removed may still be there.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn links(&self, user_id: &str) -> Result<Vec<Link>, Failure> {
        let rest = Rest { method: Method::POST, path: "/links/_search", procedure: "ListIDPLinks" };
        let request = |page| self.of_user("read a user's links", user_id, &rest, json!({ "query": page })).idempotent();
        let key = |link: &WireLink| (link.idp_id.clone(), link.user_id.clone());
        let all = self.whole(List::of("result"), request, key).await?;
        let link = |link: WireLink| Link {
            idp_id: link.idp_id,
            external_user_id: link.user_id,
            display_name: link.user_name,
            by_import: true,
        };
        Ok(all.into_iter().map(link).collect())
    }

    /// Links a user to a provider. False where the external identity is taken: by another user, or by this one.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn add_link(&self, user_id: &str, link: &Link) -> Result<bool, Failure> {
        let rest = Rest { method: Method::POST, path: "/links", procedure: "AddIDPLink" };
        let body = json!({ "idpLink": {
            "idpId": link.idp_id, "userId": link.external_user_id, "userName": link.display_name,
        } });
        match self.of_user("link a user", user_id, &rest, body).idempotent().done().await {
            Ok(()) => Ok(true),
            Err(failure) if failure.reason() == Reason::Taken => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Takes a link away, unless that is done. The external id must be exact, its case too.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn remove_link(&self, user_id: &str, idp_id: &str, external_id: &str) -> Result<(), Failure> {
        // By Connect always: external ids hold slashes, which no path takes.
        let body = json!({ "userId": user_id, "idpId": idp_id, "linkedUserId": external_id });
        let sent = self.post("remove a user's link", "zitadel.user.v2.UserService/RemoveIDPLink", &body);
        match sent.idempotent().done().await {
            Err(failure) if failure.reason() == Reason::LinkNotFound => Ok(()),
            result => result,
        }
    }
}

fn root(scope: Scope<'_>) -> &'static str {
    match scope {
        Scope::Instance => "admin/v1",
        Scope::Organization(_) => "management/v1",
    }
}

fn in_scope<'a>(request: super::client::Request<'a>, scope: Scope<'_>) -> super::client::Request<'a> {
    match scope {
        Scope::Instance => request,
        Scope::Organization(id) => request.in_organization(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_recorded_providers() {
        let path =
            format!("{}/../../tests/fixtures/contract/zitadel/091-idps-org-search.json", env!("CARGO_MANIFEST_DIR"));
        let exchange: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let page: Vec<WireProvider> = serde_json::from_value(exchange["response"]["body"]["result"].clone()).unwrap();
        let all: Vec<Provider> = page.into_iter().map(Provider::from).collect();
        let seen: Vec<_> = all.iter().map(|p| (p.kind.as_str(), p.creation_allowed, p.of_organization)).collect();
        assert_eq!(
            seen,
            [
                ("PROVIDER_TYPE_GOOGLE", true, false),
                ("PROVIDER_TYPE_GITHUB", false, false),
                ("PROVIDER_TYPE_GOOGLE", true, false),
                ("PROVIDER_TYPE_OIDC", true, false),
                ("PROVIDER_TYPE_AZURE_AD", true, false),
                ("PROVIDER_TYPE_GOOGLE", true, true),
            ]
        );
        assert!(all.iter().all(|p| p.active && p.linking_allowed && p.client_id.is_some()));
        assert_eq!(all[3].issuer.as_deref(), Some("https://issuer.example"));
        assert_eq!(all[4].tenant.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
    }

    #[test]
    fn a_body_with_a_secret_has_no_debug() {
        let new = NewProvider { path: "google", body: Body(json!({ "clientSecret": "canary" })) };
        assert!(!format!("{new:?}").contains("canary"));
    }
}
