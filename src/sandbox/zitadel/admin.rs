//! Organisations, providers, projects, policies, events.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail};
use super::people::{list, text};
use super::schema::bytes_of;
use super::state::{Event, Idp, Org, Project, State, details, time};
use super::users::number;

type Answer = Result<Value, Fail>;

impl State {
    pub(super) fn add_org(&mut self, id: &str, name: &str) -> Result<(), Fail> {
        if self.orgs.contains_key(id) || self.orgs.values().any(|org| org.name.eq_ignore_ascii_case(name)) {
            return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Org.AlreadyExists"));
        }
        let at = self.touch();
        let domain = format!("{}.localhost", name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let (id, name) = (id.to_owned(), name.to_owned());
        let org = Org {
            id: id.clone(),
            name,
            active: true,
            domain,
            sequence: 4,
            created: at,
            changed: at,
            metadata: BTreeMap::default(),
        };
        self.orgs.insert(id, org);
        Ok(())
    }

    fn change_org(&mut self, id: &str, change: impl FnOnce(&mut Org)) -> Answer {
        let at = self.touch();
        let Some(org) = self.orgs.get_mut(id) else {
            return Err(Fail::new(Code::NotFound, "ORG-1MRds", "Errors.Org.NotFound"));
        };
        change(org);
        org.sequence += 1;
        org.changed = at;
        Ok(json!({"changeDate": time(at)}))
    }
}

/// A page of rows under a name, with the pagination of the filter/v2 endpoints.
fn page(name: &str, rows: Vec<Value>) -> Value {
    let mut body = json!({"pagination": {"appliedLimit": "100"}});
    if !rows.is_empty() {
        body["pagination"]["totalResult"] = rows.len().to_string().into();
        body[name] = rows.into();
    }
    body
}

impl Server {
    /// `POST /v2/organizations`.
    pub(super) fn create_org(&self, request: &Value) -> Answer {
        let name = text(request, "name");
        if name.is_empty() || name.chars().count() > 200 {
            let reason = "invalid AddOrganizationRequest.Name: value length must be between 1 and 200 runes, inclusive";
            return Err(Fail::plain(Code::InvalidArgument, reason));
        }
        let mut state = self.state();
        let id = match text(request, "organizationId") {
            "" => state.id(),
            id => id.to_owned(),
        };
        state.add_org(&id, name)?;
        let at = time(state.orgs[&id].created);
        Ok(json!({"details": {"sequence": "4", "changeDate": at, "resourceOwner": id}, "organizationId": id}))
    }

    /// `POST /v2/organizations/_search`.
    pub(super) fn orgs(&self, caller: &str, request: &Value) -> Value {
        let state = self.state();
        let wanted = |org: &&Org| {
            list(request, "queries").iter().all(|query| {
                query["idQuery"]["id"].as_str().is_none_or(|id| id == org.id)
                    && query["nameQuery"]["name"].as_str().is_none_or(|name| name == org.name)
                    && query["stateQuery"]["state"]
                        .as_str()
                        .is_none_or(|state| (state == "ORGANIZATION_STATE_ACTIVE") == org.active)
                    && (query["defaultQuery"].is_null() || org.id == state.default_org)
            })
        };
        let rows: Vec<_> = state
            .orgs
            .values()
            .filter(wanted)
            .filter(|org| state.require(caller, "org.read", Some(&org.id), "").is_ok())
            .map(|org| {
                json!({
                    "id": org.id,
                    "details": details(org.sequence, org.created, org.changed, &org.id),
                    "state": if org.active { "ORGANIZATION_STATE_ACTIVE" } else { "ORGANIZATION_STATE_INACTIVE" },
                    "name": org.name,
                    "primaryDomain": org.domain,
                })
            })
            .collect();
        let mut body = json!({"details": {"timestamp": time(state.view.position)}});
        if !rows.is_empty() {
            body["details"]["totalResult"] = rows.len().to_string().into();
            body["result"] = rows.into();
        }
        body
    }

    /// `GET /admin/v1/orgs/default`.
    pub(super) fn default_org(&self) -> Answer {
        let state = self.state();
        let org = state
            .orgs
            .get(&state.default_org)
            .ok_or_else(|| Fail::new(Code::NotFound, "QUERY-iTTGJ", "Errors.Org.NotFound"))?;
        Ok(json!({"org": {
            "id": org.id,
            "details": details(6, org.created, org.changed, &org.id),
            "state": "ORG_STATE_ACTIVE",
            "name": org.name,
            "primaryDomain": org.domain,
        }}))
    }

    /// The methods of the organisation service, after the permission check.
    pub(super) fn org_service(&self, method: &str, request: &Value) -> Answer {
        let id = text(request, "organizationId");
        let mut state = self.state();
        match method {
            "UpdateOrganization" => {
                let name = text(request, "name");
                if state.orgs.values().any(|org| org.id != id && org.name.eq_ignore_ascii_case(name)) {
                    return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Org.AlreadyExists"));
                }
                state.change_org(id, |org| name.clone_into(&mut org.name))
            }
            "DeactivateOrganization" | "ActivateOrganization" => {
                state.change_org(id, |org| org.active = method.starts_with('A'))
            }
            "SetOrganizationMetadata" => {
                let entries = list(request, "metadata")
                    .iter()
                    .map(|e| (text(e, "key").to_owned(), bytes_of(text(e, "value")).unwrap_or_default()));
                let changed = state.change_org(id, |org| org.metadata.extend(entries))?;
                Ok(json!({"setDate": changed["changeDate"]}))
            }
            "DeleteOrganization" => {
                if id == state.default_org {
                    return Err(Fail::new(
                        Code::FailedPrecondition,
                        "COMMA-wG9p1",
                        "Errors.Org.DefaultOrgNotDeletable",
                    ));
                }
                if state.orgs.remove(id).is_none() {
                    return Ok(json!({"deletionDate": "0001-01-01T00:00:00Z"}));
                }
                let at = state.touch();
                state.ghost(id);
                state.members.retain(|member| member.org.as_deref() != Some(id));
                Ok(json!({"deletionDate": time(at)}))
            }
            _ => Err(Fail::plain(Code::Unimplemented, "the sandbox does not have this method")),
        }
    }

    /// `POST …/idps/{kind}`.
    pub(super) fn create_idp(&self, kind: &str, org: Option<&str>, request: &Value) -> Answer {
        let (kind, field, names): (_, _, &[&str]) = match kind {
            "google" => ("PROVIDER_TYPE_GOOGLE", "google", &["clientId", "scopes"]),
            "github" => ("PROVIDER_TYPE_GITHUB", "github", &["clientId", "scopes"]),
            "azure" => ("PROVIDER_TYPE_AZURE_AD", "azureAd", &["clientId", "tenant", "emailVerified", "scopes"]),
            "generic_oidc" => ("PROVIDER_TYPE_OIDC", "oidc", &["issuer", "clientId", "scopes"]),
            "oauth" => (
                "PROVIDER_TYPE_OAUTH",
                "oauth",
                &["clientId", "authorizationEndpoint", "tokenEndpoint", "userEndpoint", "scopes"],
            ),
            "saml" => ("PROVIDER_TYPE_SAML", "saml", &["metadataXml"]),
            _ => return Err(Fail::plain(Code::NotFound, "Not Found")),
        };
        // What is empty or false is omitted, as protobuf's JSON does.
        let set =
            |value: &Value| !(value.is_null() || value == &json!([]) || value == &json!("") || value == &json!(false));
        let mut config = json!({});
        for name in names.iter().filter(|name| set(&request[**name])) {
            config[*name] = request[*name].clone();
        }
        let mut options = json!({});
        for name in ["isLinkingAllowed", "isCreationAllowed", "isAutoCreation", "isAutoUpdate"] {
            if request["providerOptions"][name] == true {
                options[name] = true.into();
            }
        }
        let mut state = self.state();
        state.instance_sequence += 1;
        let (id, created, sequence) = (state.id(), state.touch(), state.instance_sequence);
        let owner = org.unwrap_or(&state.instance).to_owned();
        let org = org.map(str::to_owned);
        let name = text(request, "name").to_owned();
        state.idps.push(Idp { id: id.clone(), org, name, kind, options, config: (field, config), sequence, created });
        Ok(
            json!({"details": {"sequence": sequence.to_string(), "creationDate": time(created), "resourceOwner": owner}, "id": id}),
        )
    }

    /// `POST …/idps/templates/_search`: those of the instance, and of one organisation.
    pub(super) fn idps(&self, org: Option<&str>) -> Value {
        let mut state = self.state();
        let now = time(state.now());
        let here = |idp: &&Idp| idp.org.is_none() || idp.org.as_deref() == org;
        let rows: Vec<_> = state.idps.iter().filter(here).map(|idp| {
            let mut config = json!({"options": idp.options});
            config[idp.config.0] = idp.config.1.clone();
            json!({
                "id": idp.id,
                "details": details(idp.sequence, idp.created, idp.created, idp.org.as_deref().unwrap_or(&state.instance)),
                "state": "IDP_STATE_ACTIVE",
                "name": idp.name,
                "owner": if idp.org.is_some() { "IDP_OWNER_TYPE_ORG" } else { "IDP_OWNER_TYPE_SYSTEM" },
                "type": idp.kind,
                "config": config,
            })
        }).collect();
        if rows.is_empty() {
            return json!({"details": {"viewTimestamp": now}});
        }
        json!({"details": {"totalResult": rows.len().to_string(), "viewTimestamp": now}, "result": rows})
    }

    /// The methods of the project service.
    pub(super) fn project_service(&self, method: &str, request: &Value) -> Answer {
        let mut state = self.state();
        let project = text(request, "projectId");
        match method {
            "CreateProject" => {
                let org = text(request, "organizationId");
                state.org_exists(org)?;
                let id = match project {
                    "" => state.id(),
                    id => id.to_owned(),
                };
                state.add_project(&id, org, text(request, "name"))?;
                Ok(json!({"projectId": id, "creationDate": time(state.now())}))
            }
            "AddProjectRole" => {
                state.add_role(request)?;
                Ok(json!({"creationDate": time(state.now())}))
            }
            "CreateProjectGrant" => {
                let org = text(request, "grantedOrganizationId").to_owned();
                let Some(project) = state.projects.get_mut(project) else {
                    return Err(Fail::new(Code::NotFound, "PROJECT-Gm9s1", "Errors.Project.NotFound"));
                };
                if project.granted.contains(&org) {
                    return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Project.Grant.AlreadyExists"));
                }
                project.granted.push(org);
                Ok(json!({"creationDate": time(state.now())}))
            }
            "ListProjectRoles" => {
                let mut roles: Vec<_> =
                    state.projects.get(project).map(|project| project.roles.iter().collect()).unwrap_or_default();
                roles.sort_by_key(|role| std::cmp::Reverse(role.created));
                let rows = roles.into_iter().map(|role| {
                    let at = time(role.created);
                    let mut row = json!({"projectId": project, "key": role.key, "creationDate": at, "changeDate": at, "displayName": role.display_name});
                    if !role.group.is_empty() {
                        row["group"] = role.group.as_str().into();
                    }
                    row
                });
                Ok(page("projectRoles", rows.collect()))
            }
            "ListProjects" => {
                let row = |(id, project): (&String, &Project)| json!({"projectId": id, "organizationId": project.org, "name": project.name, "state": "PROJECT_STATE_ACTIVE"});
                Ok(page("projects", state.projects.iter().map(row).collect()))
            }
            _ => Err(Fail::plain(Code::Unimplemented, "the sandbox does not have this method")),
        }
    }

    /// `POST /management/v1/projects/{id}/roles/_bulk`.
    pub(super) fn roles_bulk(&self, project: &str, org: &str, request: &Value) -> Answer {
        let mut state = self.state();
        let created = state.touch();
        for role in list(request, "roles") {
            let (key, display_name) = (text(role, "key"), text(role, "displayName"));
            state.add_role_at(
                &json!({"projectId": project, "roleKey": key, "displayName": display_name, "group": role["group"]}),
                created,
            )?;
        }
        Ok(json!({"details": {"resourceOwner": org}}))
    }

    /// The methods of the authorisation service.
    pub(super) fn authorization_service(&self, method: &str, request: &Value) -> Answer {
        let mut state = self.state();
        if method == "CreateAuthorization" {
            let roles = list(request, "roleKeys").iter().filter_map(|role| role.as_str().map(str::to_owned)).collect();
            let grant = state.add_grant(
                text(request, "userId"),
                text(request, "projectId"),
                text(request, "organizationId"),
                roles,
            )?;
            return Ok(json!({"id": grant.id, "creationDate": time(grant.created)}));
        }
        if method != "ListAuthorizations" {
            return Err(Fail::plain(Code::Unimplemented, "the sandbox does not have this method"));
        }
        let wanted = |filter: &str, value: &str| {
            list(request, "filters").iter().all(|entry| entry[filter]["id"].as_str().is_none_or(|id| id == value))
        };
        let mut rows = Vec::new();
        for grant in state
            .grants
            .iter()
            .filter(|grant| wanted("projectId", &grant.project_id) && wanted("userId", &grant.user_id))
        {
            let (Some(user), Some(project)) = (state.users.get(&grant.user_id), state.projects.get(&grant.project_id))
            else {
                continue;
            };
            let role = |key: &String| {
                let display_name =
                    project.roles.iter().find(|role| role.key == *key).map(|role| role.display_name.as_str());
                json!({"key": key, "displayName": display_name})
            };
            rows.push(json!({
                "id": grant.id,
                "creationDate": time(grant.created),
                "changeDate": time(grant.created),
                "project": {"id": grant.project_id, "name": project.name, "organizationId": project.org},
                "organization": {"id": grant.org, "name": state.orgs.get(&grant.org).map(|org| org.name.as_str())},
                "user": {
                    "id": user.id,
                    "preferredLoginName": user.user_name,
                    "displayName": user.display_name,
                    "organizationId": user.organization_id,
                },
                "state": "STATE_ACTIVE",
                "roles": grant.roles.iter().map(role).collect::<Vec<_>>(),
            }));
        }
        Ok(page("authorizations", rows))
    }

    /// `POST /admin/v1/events/_search`: strongly consistent.
    pub(super) fn events(&self, request: &Value) -> Answer {
        let state = self.state();
        let from = match request["from"].as_str() {
            None => None,
            Some(text) => match text.parse::<jiff::Timestamp>() {
                Ok(at) => Some(at),
                Err(_) => {
                    return Err(Fail::plain(Code::InvalidArgument, "proto: invalid google.protobuf.Timestamp value"));
                }
            },
        };
        let kinds: Vec<_> = list(request, "eventTypes").iter().filter_map(Value::as_str).collect();
        let types: Vec<_> = list(request, "aggregateTypes").iter().filter_map(Value::as_str).collect();
        if kinds.len() > 30 {
            return Err(Fail::plain(
                Code::InvalidArgument,
                "invalid ListEventsRequest.EventTypes: value must contain no more than 30 item(s)",
            ));
        }
        let same = |name: &str, value: &str| text(request, name).is_empty() || text(request, name) == value;
        let wanted = |event: &&Event| {
            (kinds.is_empty() || kinds.contains(&event.kind))
                && (types.is_empty() || types.contains(&event.aggregate_type))
                && same("aggregateId", &event.aggregate)
                && same("resourceOwner", &event.owner)
                && same("editorUserId", &event.editor)
                && from.is_none_or(|from| if request["asc"] == true { event.at > from } else { event.at < from })
        };
        let limit = match number(request, "limit") {
            0 => 1000,
            limit => limit.min(1000),
        };
        let found: Vec<_> = if request["asc"] == true {
            state.events.iter().filter(wanted).take(limit).collect()
        } else {
            state.events.iter().rev().filter(wanted).take(limit).collect()
        };
        let rows: Vec<_> = found.into_iter().map(|event| state.event(event)).collect();
        Ok(if rows.is_empty() { json!({}) } else { json!({"events": rows}) })
    }
}

impl State {
    fn event(&self, event: &Event) -> Value {
        let mut editor = json!({"service": "zitadel"});
        if !event.editor.is_empty() {
            editor["userId"] = event.editor.as_str().into();
        }
        if let Some(user) = self.users.get(&event.editor) {
            editor["displayName"] = user.display_name.as_str().into();
        }
        let spoken = match event.kind {
            "user.human.added" => "Person added",
            "user.human.email.verified" => "Email address verified",
            "user.removed" => "User deleted",
            kind => kind,
        };
        let mut row = json!({
            "editor": editor,
            "aggregate": {
                "id": event.aggregate,
                "type": {"type": event.aggregate_type, "localized": {"key": format!("AggregateTypes.{}", event.aggregate_type), "localizedMessage": "User"}},
                "resourceOwner": event.owner,
            },
            "sequence": event.sequence.to_string(),
            "creationDate": time(event.at),
            "type": {"type": event.kind, "localized": {"key": format!("EventTypes.{}", event.kind), "localizedMessage": spoken}},
        });
        if let Some(payload) = &event.payload {
            row["payload"] = payload.clone();
        }
        row
    }

    /// Policies and settings: those of a new instance.
    pub(super) fn setting(&self, which: &str) -> Value {
        let start = self.orgs.get(&self.default_org).map(|org| org.created).unwrap_or_default();
        let details = |sequence| details(sequence, start, start, &self.instance);
        let login = json!({
            "allowUsernamePassword": true,
            "allowRegister": true,
            "allowExternalIdp": true,
            "passwordCheckLifetime": "864000s",
            "externalLoginCheckLifetime": "864000s",
            "mfaInitSkipLifetime": "2592000s",
            "secondFactorCheckLifetime": "64800s",
            "multiFactorCheckLifetime": "43200s",
            "secondFactors": ["SECOND_FACTOR_TYPE_OTP", "SECOND_FACTOR_TYPE_U2F"],
            "multiFactors": ["MULTI_FACTOR_TYPE_U2F_WITH_VERIFICATION"],
            "allowDomainDiscovery": true,
        });
        let owner = "RESOURCE_OWNER_TYPE_INSTANCE";
        match which {
            "policy/domain" => json!({"policy": {"details": details(15), "isDefault": true}}),
            "policy/login" => {
                let mut policy = login;
                policy["details"] = details(19);
                policy["passwordlessType"] = "PASSWORDLESS_TYPE_ALLOWED".into();
                policy["isDefault"] = true.into();
                json!({"policy": policy})
            }
            "policy/complexity" => json!({"policy": {
                "details": details(13), "minLength": "8", "hasUppercase": true, "hasLowercase": true, "hasNumber": true, "hasSymbol": true, "isDefault": true,
            }}),
            "settings/login" => {
                let mut settings = login;
                settings["allowLocalAuthentication"] = true.into();
                settings["passkeysType"] = "PASSKEYS_TYPE_ALLOWED".into();
                settings["resourceOwnerType"] = owner.into();
                json!({"details": details(19), "settings": settings})
            }
            "settings/domain" => json!({"details": details(15), "settings": {"resourceOwnerType": owner}}),
            _ => json!({"details": details(13), "settings": {
                "minLength": "8", "requiresUppercase": true, "requiresLowercase": true, "requiresNumber": true, "requiresSymbol": true, "resourceOwnerType": owner,
            }}),
        }
    }
}
