//! Projects, roles, grants (which the API calls authorizations) and organizations.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::Client,
    failure::{Failure, Reason, cut},
    instance::Organization,
    lists::List,
};
use crate::error::printable;

/// How much longer than ZITADEL's own limit an answer is waited for.
const GRACE: Duration = Duration::from_secs(30);

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its id.
    #[serde(rename = "projectId")]
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The organization that owns it.
    #[serde(default)]
    pub organization_id: String,
    /// Of a list only: the organization that it is granted to.
    #[serde(default)]
    granted_organization_id: Option<String>,
}

/// How the making of something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is made.
    New,
    /// There is one of this id (or key, or user) already.
    Exists,
    /// There is none, and the name is taken.
    NameTaken,
}

/// A grant: roles of a project, given to a user in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// ZITADEL's id.
    pub id: String,
    /// Whose.
    pub user_id: String,
    /// In which organization.
    pub organization_id: String,
    /// The role keys, sorted.
    pub roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireGrant {
    id: String,
    #[serde(default)]
    user: WireId,
    #[serde(default)]
    organization: WireId,
    #[serde(default)]
    roles: Vec<WireKey>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireId {
    id: String,
}

#[derive(Deserialize)]
struct WireKey {
    key: String,
}

/// A grant that is to be given.
#[derive(Debug, Clone, Copy)]
pub struct NewGrant<'a> {
    /// Whose.
    pub user_id: &'a str,
    /// In which organization.
    pub organization_id: &'a str,
    /// The role keys; may be empty.
    pub roles: &'a [String],
}

/// How a grant of a batch went: the server's error id (where it has one) and key, if it was refused.
pub type Given = Option<(Option<String>, String)>;

/// What to do to a grant.
#[derive(Debug, Clone, Copy)]
pub enum GrantChange<'a> {
    /// Other roles.
    Roles(&'a [String]),
    /// Take it away.
    Delete,
}

impl Client {
    /// The project with this id.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn project(&self, id: &str) -> Result<Option<Project>, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            project: Project,
        }
        match self
            .project_service("read the project", "GetProject", &json!({ "projectId": id }))
            .idempotent()
            .read()
            .await
        {
            Ok(Wire { project }) => Ok(Some(project)),
            Err(failure) if failure.reason() == Reason::ProjectNotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The organization's project with exactly this name.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn project_by_name(&self, organization_id: &str, name: &str) -> Result<Option<Project>, Failure> {
        let filter = json!({ "projectNameFilter": { "projectName": name, "method": "TEXT_FILTER_METHOD_EQUALS" } });
        let request = |page| {
            let body = json!({ "pagination": page, "filters": [filter] });
            self.project_service("look up the project", "ListProjects", &body).idempotent()
        };
        let key = |project: &Project| (project.id.clone(), project.granted_organization_id.clone());
        let projects = self.whole(List::of("projects"), request, key).await?;
        // A project stands there once more for each organization that it is granted to.
        let here = |project: &Project| {
            project.organization_id == organization_id
                && project.granted_organization_id.is_none()
                && project.name == name
        };
        Ok(projects.into_iter().find(here))
    }

    /// Creates a project with an id of ours, so that a lost answer makes no second one. An id must never be used again
    /// after its project was deleted: the keys of the old roles would stay taken.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn create_project(&self, organization_id: &str, id: &str, name: &str) -> Result<Made, Failure> {
        let body = json!({ "organizationId": organization_id, "projectId": id, "name": name });
        let sent = self.project_service("create the project", "CreateProject", &body).idempotent().done().await;
        made(sent, Reason::ProjectExists)
    }

    /// Deletes a project; one that is gone is no error. Its roles must be deleted before it.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn delete_project(&self, id: &str) -> Result<(), Failure> {
        self.project_service("delete the project", "DeleteProject", &json!({ "projectId": id }))
            .idempotent()
            .done()
            .await
    }

    /// The keys of the project's roles.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn project_roles(&self, id: &str) -> Result<Vec<String>, Failure> {
        let request = |page| {
            let body = json!({ "projectId": id, "pagination": page });
            self.project_service("list the roles of the project", "ListProjectRoles", &body).idempotent()
        };
        let roles = self.whole(List::of("projectRoles"), request, |role: &WireKey| role.key.clone()).await?;
        Ok(roles.into_iter().map(|role| role.key).collect())
    }

    /// Adds a role to a project. Keys are unique in it, whatever their case.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn add_project_role(&self, project_id: &str, key: &str, display_name: &str) -> Result<Made, Failure> {
        let body = json!({ "projectId": project_id, "roleKey": key, "displayName": display_name });
        let sent = self.project_service("add a role", "AddProjectRole", &body).idempotent().done().await;
        made(sent, Reason::Taken)
    }

    /// Removes a role from a project, and from the grants that have it.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn remove_project_role(&self, project_id: &str, key: &str) -> Result<(), Failure> {
        let body = json!({ "projectId": project_id, "roleKey": key });
        self.project_service("remove a role", "RemoveProjectRole", &body).idempotent().done().await
    }

    /// Lets an organization give these roles of a project of another one, beside those that it may give already: ZITADEL
    /// takes a role that is left out from every user of that organization who has it.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn grant_project(&self, project_id: &str, organization_id: &str, keys: &[String]) -> Result<(), Failure> {
        let mut body = json!({ "projectId": project_id, "grantedOrganizationId": organization_id, "roleKeys": keys });
        let what = "grant the project to an organization";
        let sent = self.project_service(what, "CreateProjectGrant", &body).idempotent().done().await;
        match made(sent, Reason::Taken)? {
            Made::New => Ok(()),
            Made::Exists | Made::NameTaken => {
                let mut all = self.project_grant(project_id, organization_id).await?;
                all.extend(keys.iter().cloned());
                all.sort();
                all.dedup();
                body["roleKeys"] = json!(all);
                self.project_service(what, "UpdateProjectGrant", &body).idempotent().done().await
            }
        }
    }

    /// The roles of a project that an organization may give.
    async fn project_grant(&self, project_id: &str, organization_id: &str) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct WireGrant {
            #[serde(default)]
            project_id: String,
            #[serde(default)]
            granted_organization_id: String,
            #[serde(default)]
            granted_role_keys: Vec<String>,
        }
        let filters = json!([
            { "inProjectIdsFilter": { "ids": [project_id] } },
            { "grantedOrganizationIdFilter": { "id": organization_id } },
        ]);
        let request = |page| {
            let body = json!({ "pagination": page, "filters": filters });
            self.project_service("read to whom the project is granted", "ListProjectGrants", &body).idempotent()
        };
        let key = |grant: &WireGrant| (grant.project_id.clone(), grant.granted_organization_id.clone());
        let grants = self.whole(List::of("projectGrants"), request, key).await?;
        let this =
            |grant: &WireGrant| grant.project_id == project_id && grant.granted_organization_id == organization_id;
        Ok(grants.into_iter().filter(this).flat_map(|grant| grant.granted_role_keys).collect())
    }

    fn project_service(&self, what: &str, method: &str, body: &Value) -> super::client::Request<'_> {
        self.post(what, &format!("zitadel.project.v2.ProjectService/{method}"), body)
    }

    fn authorization_service(&self, what: &str, method: &str, body: &Value) -> super::client::Request<'_> {
        self.post(what, &format!("zitadel.authorization.v2.AuthorizationService/{method}"), body)
    }

    fn organization_service(&self, what: &str, method: &str, body: &Value) -> super::client::Request<'_> {
        self.post(what, &format!("zitadel.org.v2.OrganizationService/{method}"), body)
    }

    /// The grants of these users (at most 500) in a project. Reads the projections, which lag behind.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn grants(&self, project_id: &str, user_ids: &[String]) -> Result<Vec<Grant>, Failure> {
        let filters = json!([{ "inUserIds": { "ids": user_ids } }, { "projectId": { "id": project_id } }]);
        let request = |page| {
            let body =
                json!({ "pagination": page, "filters": filters, "sortingColumn": "AUTHORIZATION_FIELD_NAME_ID" });
            self.authorization_service("look up grants", "ListAuthorizations", &body).idempotent()
        };
        let grants = self.whole(List::of("authorizations"), request, |grant: &WireGrant| grant.id.clone()).await?;
        let grant = |grant: WireGrant| {
            let mut roles: Vec<String> = grant.roles.into_iter().map(|role| role.key).collect();
            roles.sort();
            Grant { id: grant.id, user_id: grant.user.id, organization_id: grant.organization.id, roles }
        };
        Ok(grants.into_iter().map(grant).collect())
    }

    /// How many grants there are in a project, of all its users; only those with a role, where one is named.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn count_grants(&self, project_id: &str, role_key: Option<&str>) -> Result<u64, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            pagination: Pagination,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Pagination {
            total_result: Option<String>,
        }
        let mut filters = vec![json!({ "projectId": { "id": project_id } })];
        filters.extend(role_key.map(|key| json!({ "roleKey": { "key": key, "method": "TEXT_FILTER_METHOD_EQUALS" } })));
        let body = json!({ "pagination": { "limit": 1 }, "filters": filters });
        let request = self.authorization_service("count the grants", "ListAuthorizations", &body).idempotent();
        let total = request.read::<Wire>().await?.pagination.total_result;
        Ok(total.and_then(|total| total.parse().ok()).unwrap_or(0))
    }

    /// Gives a user roles of a project in an organization. An empty list is a grant without roles.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn create_grant(
        &self,
        project_id: &str,
        organization_id: &str,
        user_id: &str,
        roles: &[String],
    ) -> Result<Made, Failure> {
        let body = json!({
            "userId": user_id, "projectId": project_id, "organizationId": organization_id, "roleKeys": roles,
        });
        let sent = self.authorization_service("give a user roles", "CreateAuthorization", &body).idempotent();
        made(sent.done().await, Reason::Taken)
    }

    /// Gives grants by the import endpoint, which only an `IAM_OWNER` may call, and tells of each how it went, in their
    /// order. Never sent twice by itself. `timeout` is ZITADEL's own limit.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn import_grants(
        &self,
        project_id: &str,
        grants: &[NewGrant<'_>],
        timeout: Duration,
    ) -> Result<Vec<Given>, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            errors: Vec<WireError>,
            success: WireSuccess,
        }
        #[derive(Deserialize)]
        struct WireError {
            #[serde(default)]
            r#type: String,
            #[serde(default)]
            id: String,
            #[serde(default)]
            message: String,
        }
        #[derive(Deserialize)]
        struct WireSuccess {
            #[serde(default)]
            orgs: Vec<WireOrg>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct WireOrg {
            #[serde(default)]
            org_id: String,
            #[serde(default)]
            user_grants: Vec<WireGiven>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct WireGiven {
            #[serde(default)]
            user_id: String,
        }
        let mut orgs: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for grant in grants {
            let entry = json!({ "userId": grant.user_id, "projectId": project_id, "roleKeys": grant.roles });
            orgs.entry(grant.organization_id).or_default().push(entry);
        }
        let orgs: Vec<Value> =
            orgs.into_iter().map(|(id, grants)| json!({ "orgId": id, "userGrants": grants })).collect();
        let limit = format!("{}ms", timeout.as_millis());
        let body = json!({ "dataOrgs": { "orgs": orgs }, "timeout": limit });
        let wire: Wire = self.post("give roles", "admin/v1/import", &body).timeout(timeout + GRACE).read().await?;
        let given: HashSet<(&str, &str)> = wire
            .success
            .orgs
            .iter()
            .flat_map(|org| org.user_grants.iter().map(|grant| (org.org_id.as_str(), grant.user_id.as_str())))
            .collect();
        let refused: HashMap<&str, &str> = wire
            .errors
            .iter()
            .filter(|error| error.r#type == "user_grant")
            .map(|error| (error.id.as_str(), error.message.as_str()))
            .collect();
        // An organization that is not there is skipped as a whole, and its users are not named. Of one that is there
        // ZITADEL says just that.
        let skipped: HashMap<&str, (Option<String>, String)> = wire
            .errors
            .iter()
            .filter(|error| error.r#type == "org")
            .map(|error| (error.id.as_str(), refusal(&error.message)))
            .filter(|(_, (id, key))| {
                id.is_some()
                    && Reason::of(id.as_deref()) != Reason::OrganizationExists
                    && key.starts_with("Errors.")
                    && key != "Errors.Internal"
            })
            .collect();
        let how = |grant: &NewGrant<'_>| {
            let id = format!("{}_{project_id}_{}", grant.organization_id, grant.user_id);
            match refused.get(id.as_str()) {
                Some(message) => Some(refusal(message)),
                None if given.contains(&(grant.organization_id, grant.user_id)) => None,
                None => Some(
                    skipped
                        .get(grant.organization_id)
                        .cloned()
                        .unwrap_or_else(|| (None, "the answer says nothing of it".to_owned())),
                ),
            }
        };
        Ok(grants.iter().map(how).collect())
    }

    /// Changes a grant, or takes it away.
    ///
    /// # Errors
    /// As [`Failure`] says: [`Reason::GrantNotFound`] if it is gone.
    pub async fn change_grant(&self, id: &str, change: GrantChange<'_>) -> Result<(), Failure> {
        let sent = match change {
            GrantChange::Roles(roles) => {
                let body = json!({ "id": id, "roleKeys": roles });
                self.authorization_service("change a user's roles", "UpdateAuthorization", &body)
            }
            GrantChange::Delete => {
                self.authorization_service("take a user's roles", "DeleteAuthorization", &json!({ "id": id }))
            }
        };
        sent.idempotent().done().await
    }

    /// Creates an organization with this id and name.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn create_organization_with_id(&self, id: &str, name: &str) -> Result<Made, Failure> {
        let body = json!({ "name": name, "organizationId": id });
        let sent = self.post("create an organization", "v2/organizations", &body).idempotent().done().await;
        made(sent, Reason::OrganizationExists)
    }

    /// The organizations of the instance, as far as the account may see them.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn organizations(&self) -> Result<Vec<Organization>, Failure> {
        let request = |mut page: Value| {
            page["asc"] = true.into();
            let body = json!({ "query": page, "sortingColumn": "ORGANIZATION_FIELD_NAME_NAME" });
            self.post("list the organizations", "v2/organizations/_search", &body).idempotent()
        };
        self.whole(List::of("result"), request, |organization: &Organization| organization.id.clone()).await
    }

    /// Writes metadata of an organization.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn set_organization_metadata(&self, id: &str, entries: &[(String, String)]) -> Result<(), Failure> {
        let entry = |(key, value): &(String, String)| json!({ "key": key, "value": STANDARD.encode(value) });
        let body = json!({ "organizationId": id, "metadata": entries.iter().map(entry).collect::<Vec<_>>() });
        let what = "write an organization's metadata";
        self.organization_service(what, "SetOrganizationMetadata", &body).idempotent().done().await
    }

    /// The metadata of an organization.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn organization_metadata(&self, id: &str) -> Result<HashMap<String, String>, Failure> {
        #[derive(Deserialize)]
        struct Entry {
            key: String,
            #[serde(default)]
            value: String,
        }
        let request = |page| {
            let body = json!({ "organizationId": id, "pagination": page });
            self.organization_service("read an organization's metadata", "ListOrganizationMetadata", &body).idempotent()
        };
        let entries = self.whole(List::of("metadata"), request, |entry: &Entry| entry.key.clone()).await?;
        let text = |value: &str| STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(entries.into_iter().filter_map(|entry| Some((entry.key, text(&entry.value)?))).collect())
    }

    /// Gives an organization colours of its own (`#rrggbb` or `#rgb`); everything else of its look stays the instance's.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn set_colors(
        &self,
        organization_id: &str,
        primary: Option<&str>,
        background: Option<&str>,
    ) -> Result<(), Failure> {
        const PATH: &str = "management/v1/policies/label";
        #[derive(Deserialize)]
        struct Wire {
            policy: serde_json::Map<String, Value>,
        }
        // A policy of one's own replaces the instance's as a whole.
        let request = self.get("read the branding", PATH).in_organization(organization_id);
        let mut policy = request.read::<Wire>().await?.policy;
        policy.retain(|key, _| {
            key.contains("Color") || matches!(key.as_str(), "hideLoginNameSuffix" | "disableWatermark" | "themeMode")
        });
        for (key, color) in [("primaryColor", primary), ("backgroundColor", background)] {
            if let Some(color) = color {
                policy.insert(key.into(), color.into());
            }
        }
        let policy = Value::Object(policy);
        let sent = self.post("write the branding", PATH, &policy).in_organization(organization_id).idempotent();
        match sent.done().await {
            Err(failure) if failure.reason() == Reason::BrandingExists => {
                let sent = self.put("write the branding", PATH, &policy).in_organization(organization_id).idempotent();
                match sent.done().await {
                    Err(failure) if failure.reason() == Reason::BrandingUnchanged => {}
                    result => result?,
                }
            }
            result => result?,
        }
        let activate = self.post("activate the branding", &format!("{PATH}/_activate"), &json!({}));
        activate.in_organization(organization_id).idempotent().done().await
    }
}

/// The id and the key of a message like `ID=… Message=Errors.Project.Role.NotFound`.
fn refusal(message: &str) -> (Option<String>, String) {
    let message = printable(message);
    match message.strip_prefix("ID=").and_then(|rest| rest.split_once(" Message=")) {
        Some((id, key)) => (Some(cut(id)), cut(key)),
        None => (None, cut(&message)),
    }
}

fn made(sent: Result<(), Failure>, exists: Reason) -> Result<Made, Failure> {
    match sent {
        Ok(()) => Ok(Made::New),
        Err(failure) if failure.reason() == exists => Ok(Made::Exists),
        Err(failure) if failure.reason() == Reason::Taken => Ok(Made::NameTaken),
        Err(failure) => Err(failure),
    }
}
