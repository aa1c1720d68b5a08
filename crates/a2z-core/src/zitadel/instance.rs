//! What there is to know about the instance, its organizations and the account that we use.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{Client, page},
    failure::Failure,
    lists::List as Whole,
};

/// The account behind the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Its id.
    pub user_id: String,
    /// Its name.
    pub user_name: String,
    /// The organization that it belongs to.
    pub organization_id: String,
}

/// A set of roles that the account holds somewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Membership {
    /// `IAM_OWNER`, `ORG_OWNER`, …
    pub roles: Vec<String>,
    /// In the whole instance.
    pub iam: bool,
    /// In this organization.
    pub org_id: Option<String>,
}

/// An organization.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `ORGANIZATION_STATE_ACTIVE` (or `ORG_STATE_ACTIVE`, of the default organization), …
    pub state: String,
    /// `zitadel.localhost`.
    pub primary_domain: String,
}

impl Organization {
    /// Can its users sign in?
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state.ends_with("_ACTIVE")
    }
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    result: Vec<T>,
}

impl Client {
    /// Is the instance up?
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.get("ask whether ZITADEL is ready", "debug/ready").anonymous().send().await.map(drop)
    }

    /// Who the credentials belong to.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn me(&self) -> Result<Me, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            user: Account,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Account {
            id: String,
            #[serde(default)]
            user_name: String,
            #[serde(default)]
            details: Details,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Details {
            resource_owner: String,
        }
        let user = self.get("ask who we are", "auth/v1/users/me").read::<Wire>().await?.user;
        Ok(Me { user_id: user.id, user_name: user.user_name, organization_id: user.details.resource_owner })
    }

    /// The roles that the account holds.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn memberships(&self) -> Result<Vec<Membership>, Failure> {
        let path = "auth/v1/memberships/me/_search";
        let request = |page| self.post("ask for our roles", path, &json!({ "query": page })).idempotent();
        // A membership has no id, and all of them are ours.
        let all = self.whole(Whole::of("result"), request, Value::to_string).await?;
        let odd = |_| Failure::Gibberish { what: "a membership of another shape".into() };
        all.into_iter().map(|membership| serde_json::from_value(membership).map_err(odd)).collect()
    }

    /// The organization with this id.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn organization(&self, id: &str) -> Result<Option<Organization>, Failure> {
        self.find_organization(&json!({ "idQuery": { "id": id } })).await
    }

    /// The organization with exactly this name.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn organization_by_name(&self, name: &str) -> Result<Option<Organization>, Failure> {
        self.find_organization(&json!({ "nameQuery": { "name": name, "method": "TEXT_QUERY_METHOD_EQUALS" } })).await
    }

    async fn find_organization(&self, query: &Value) -> Result<Option<Organization>, Failure> {
        let body = json!({ "query": page(0, 1), "queries": [query] });
        let request = self.post("look up the organization", "v2/organizations/_search", &body).idempotent();
        request.read::<List<_>>().await.map(|list| list.result.into_iter().next())
    }

    /// The organization that users belong to when nothing else is said.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn default_organization(&self) -> Result<Organization, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            org: Organization,
        }
        self.get("look up the default organization", "admin/v1/orgs/default").read::<Wire>().await.map(|wire| wire.org)
    }

    /// Creates an organization and returns its id. `Reason::Taken` says that the name or the id is taken.
    ///
    /// # Errors
    /// As [`Failure`] says; after an ambiguous one look it up by name.
    pub async fn create_organization(&self, name: &str, id: Option<&str>) -> Result<String, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            organization_id: String,
        }
        let mut body = json!({ "name": name });
        if let Some(id) = id {
            body["organizationId"] = id.into();
        }
        let request = self.post("create the organization", "v2/organizations", &body);
        request.read::<Wire>().await.map(|wire| wire.organization_id)
    }

    /// Deletes an organization, with everything that it owns; false where there is none (any more). Its users must be gone
    /// before: the ids of those who are not stay taken.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn delete_organization(&self, id: &str) -> Result<bool, Failure> {
        let body = json!({ "organizationId": id });
        let request =
            self.post("delete the organization", "zitadel.org.v2.OrganizationService/DeleteOrganization", &body);
        match request.idempotent().done().await {
            Ok(()) => Ok(true),
            Err(Failure::Refused { status: 404, id: Some(_), .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Must users of this organization write its domain behind their name to sign in (`ada@acme.example`)? Then names
    /// are unique in the organization only.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn domain_settings(&self, organization_id: &str) -> Result<bool, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            settings: Settings,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Settings {
            login_name_includes_domain: bool,
            user_login_must_be_domain: bool,
        }
        let id: String = url::form_urlencoded::byte_serialize(organization_id.as_bytes()).collect();
        let path = format!("v2/settings/domain?ctx.orgId={id}");
        let settings = self.get("read the domain settings", &path).read::<Wire>().await?.settings;
        Ok(settings.login_name_includes_domain || settings.user_login_must_be_domain)
    }

    /// Can the instance send e-mail?
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn mail_provider_configured(&self) -> Result<bool, Failure> {
        self.has_provider("ask for the mail provider", "admin/v1/email/_search", "EMAIL_PROVIDER_ACTIVE").await
    }

    /// Can the instance send SMS?
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn sms_provider_configured(&self) -> Result<bool, Failure> {
        self.has_provider("ask for the SMS provider", "admin/v1/sms/_search", "SMS_PROVIDER_CONFIG_ACTIVE").await
    }

    async fn has_provider(&self, what: &str, path: &str, active: &str) -> Result<bool, Failure> {
        #[derive(Deserialize)]
        struct Provider {
            #[serde(default)]
            id: String,
            #[serde(default)]
            state: String,
        }
        let request = |page| self.post(what, path, &json!({ "query": page })).idempotent();
        let providers = self.whole(Whole::of("result"), request, |provider: &Provider| provider.id.clone()).await?;
        Ok(providers.iter().any(|provider| provider.state == active))
    }

    /// Does ZITADEL write to users of this organization whose password was changed?
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn notifies_on_password_change(&self, organization_id: &str) -> Result<bool, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            policy: Policy,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Policy {
            password_change: bool,
        }
        let request = self.get("read the notification settings", "management/v1/policies/notification");
        request.in_organization(organization_id).read::<Wire>().await.map(|wire| wire.policy.password_change)
    }
}
