//! Organisations, providers, policies, events.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail};
use super::pages::{Family, page};
use super::people::{list, text};
use super::schema::bytes_of;
use super::state::{Event, Idp, Org, State, details, time};
use super::users::number;

type Answer = Result<Value, Fail>;

impl State {
    pub(super) fn add_org(&mut self, id: &str, name: &str) -> Result<(), Fail> {
        let name = name.trim();
        if name.is_empty() {
            return Err(Fail::new(Code::InvalidArgument, "ORG-mruNY", "Errors.Invalid.Argument"));
        }
        if self.orgs.contains_key(id) {
            return Err(Fail::new(Code::AlreadyExists, "ORG-laho2n", "Errors.Org.AlreadyExisting"));
        }
        if self.orgs.values().any(|org| org.name.to_lowercase() == name.to_lowercase()) {
            return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Org.AlreadyExists"));
        }
        let kept: String =
            name.to_lowercase().replace(' ', "-").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let domain = format!("{kept}.localhost");
        // Names of other letters leave nothing to make a domain of.
        if !kept.is_empty() && self.orgs.values().any(|org| org.domain == domain) {
            return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Org.Domain.AlreadyExists"));
        }
        let at = self.touch();
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
            label: None,
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

/// What ZITADEL refuses of a new provider.
fn check_idp(kind: &str, request: &Value) -> Result<(), Fail> {
    let short = |field: &str, name: &str| {
        let message =
            format!("invalid Add{kind}Request.{name}: value length must be between 1 and 200 runes, inclusive");
        if text(request, field).is_empty() { Err(Fail::plain(Code::InvalidArgument, message)) } else { Ok(()) }
    };
    match kind {
        "PROVIDER_TYPE_SAML" => {
            // The sandbox fetches nothing: a URL counts as one that does not answer.
            if text(request, "metadataXml").is_empty() {
                return Err(Fail::new(Code::InvalidArgument, "ORG-ipzxvf3cv2", "Errors.Org.IDP.SAMLMetadataMissing"));
            }
            short("name", "Name")
        }
        "PROVIDER_TYPE_APPLE" => {
            short("clientId", "ClientId")?;
            let key = bytes_of(text(request, "privateKey"));
            if !key.is_some_and(|key| key.starts_with(b"-----BEGIN")) {
                return Err(Fail::new(Code::InvalidArgument, "ORG-Fk38d", "Errors.Org.IDP.PrivateKeyInvalid"));
            }
            Ok(())
        }
        _ => {
            short("clientId", "ClientId")?;
            short("clientSecret", "ClientSecret")
        }
    }
}

impl Server {
    /// `POST /v2/organizations`.
    pub(super) fn create_org(&self, caller: &str, request: &Value) -> Answer {
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
        let created = state.orgs[&id].created;
        state.events.push(Event {
            aggregate: id.clone(),
            aggregate_type: "org",
            owner: id.clone(),
            sequence: 1,
            at: created,
            kind: "org.added",
            payload: Some(json!({"name": name})),
            editor: caller.to_owned(),
        });
        let at = time(created);
        Ok(json!({"details": {"sequence": "4", "changeDate": at, "resourceOwner": id}, "organizationId": id}))
    }

    /// `POST /v2/organizations/_search`.
    pub(super) fn orgs(&self, caller: &str, request: &Value) -> Answer {
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
        let page = page(&self.options, Family::V2, &request["query"], rows)?;
        Ok(page.details(json!({"details": {"timestamp": time(state.view.position)}})))
    }

    /// The branding of an organisation: `…/policies/label`.
    pub(super) fn label(&self, method: &str, org: &str, request: &Value) -> Answer {
        let mut state = self.state();
        let default = json!({
            "primaryColor": "#5469d4", "warnColor": "#cd3d56", "backgroundColor": "#fafafa", "fontColor": "#000000",
            "primaryColorDark": "#2073c4", "backgroundColorDark": "#111827", "warnColorDark": "#ff3b5b",
            "fontColorDark": "#ffffff", "themeMode": "THEME_MODE_AUTO",
        });
        let own = state.orgs.get(org).and_then(|org| org.label.clone());
        if method == "GET" {
            let mut policy = own.clone().unwrap_or(default);
            policy["details"] = json!({"resourceOwner": org});
            if own.is_none() {
                policy["isDefault"] = true.into();
            }
            return Ok(json!({"policy": policy}));
        }
        if method == "DELETE" {
            if own.is_none() {
                return Err(Fail::new(Code::NotFound, "Org-3M9df", "Errors.Org.LabelPolicy.NotFound"));
            }
            return state.change_org(org, |org| org.label = None).map(|_| json!({"details": {"resourceOwner": org}}));
        }
        let hex = |text: &str| {
            text.strip_prefix('#').is_some_and(|digits| {
                matches!(digits.len(), 3 | 6) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            })
        };
        for (key, id) in [("primaryColor", "POLICY-391dG"), ("backgroundColor", "POLICY-502F1")] {
            if !text(request, key).is_empty() && !hex(text(request, key)) {
                return Err(Fail::new(Code::InvalidArgument, id, "Errors.Policy.Label.Invalid.PrimaryColor"));
            }
        }
        match (method, own) {
            ("POST", Some(_)) => {
                Err(Fail::new(Code::AlreadyExists, "Org-2B0ps", "Errors.Org.LabelPolicy.AlreadyExists"))
            }
            ("PUT", None) => Err(Fail::new(Code::NotFound, "Org-0K9dq", "Errors.Org.LabelPolicy.NotFound")),
            ("PUT", Some(own)) if own == *request => {
                Err(Fail::new(Code::FailedPrecondition, "Org-8nfSr", "Errors.Org.LabelPolicy.NotChanged"))
            }
            _ => {
                state.change_org(org, |org| org.label = Some(request.clone()))?;
                Ok(json!({"details": {"resourceOwner": org}}))
            }
        }
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
            "ListOrganizationMetadata" => {
                let Some(org) = state.orgs.get(id) else {
                    return Err(Fail::new(Code::NotFound, "ORG-1MRds", "Errors.Org.NotFound"));
                };
                let at = time(org.changed);
                let row = |(key, value): (&String, &Vec<u8>)| json!({"creationDate": at, "changeDate": at, "key": key, "value": STANDARD.encode(value)});
                let rows: Vec<_> = org.metadata.iter().map(row).collect();
                self.page("metadata", rows, request)
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
                state.grants.retain(|grant| grant.org != id);
                state.ghost_grants.retain(|grant| grant.org != id);
                state.projects.values_mut().for_each(|project| drop(project.granted.remove(id)));
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
            "gitlab" => ("PROVIDER_TYPE_GITLAB", "gitlab", &["clientId", "scopes"]),
            "apple" => ("PROVIDER_TYPE_APPLE", "apple", &["clientId", "teamId", "keyId", "scopes"]),
            "azure" => ("PROVIDER_TYPE_AZURE_AD", "azureAd", &["clientId", "tenant", "emailVerified", "scopes"]),
            "generic_oidc" => {
                ("PROVIDER_TYPE_OIDC", "oidc", &["issuer", "clientId", "scopes", "isIdTokenMapping", "usePkce"])
            }
            "oauth" => (
                "PROVIDER_TYPE_OAUTH",
                "oauth",
                &["clientId", "authorizationEndpoint", "tokenEndpoint", "userEndpoint", "scopes", "idAttribute"],
            ),
            "saml" => ("PROVIDER_TYPE_SAML", "saml", &["metadataXml"]),
            _ => return Err(Fail::plain(Code::NotFound, "Not Found")),
        };
        check_idp(kind, request)?;
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

    /// `DELETE …/idps/templates/{id}`: with it go the links to it.
    pub(super) fn delete_idp(&self, id: &str, org: Option<&str>, editor: &str) -> Answer {
        let mut state = self.state();
        let Some(at) = state.idps.iter().position(|idp| idp.id == id && idp.org.as_deref() == org) else {
            let missing = if org.is_some() { "ORG-Se3tg" } else { "INSTANCE-Se3tg" };
            return Err(Fail::new(Code::NotFound, missing, "Errors.Org.IDPConfig.NotExisting"));
        };
        state.idps.remove(at);
        let holders: Vec<_> =
            state.users.values().filter(|u| u.links.iter().any(|l| l.idp_id == id)).cloned().collect();
        for mut user in holders {
            user.links.retain(|link| link.idp_id != id);
            state.commit(user, vec![("user.human.externalidp.cascade.removed", None)], editor);
        }
        state.links.retain(|(idp, _), _| idp != id);
        state.instance_sequence += 1;
        let owner = org.unwrap_or(&state.instance).to_owned();
        let (sequence, changed) = (state.instance_sequence.to_string(), time(state.now()));
        Ok(json!({"details": {"sequence": sequence, "changeDate": changed, "resourceOwner": owner}}))
    }

    /// `POST …/idps/templates/_search`: those of the instance, and of one organisation.
    pub(super) fn idps(&self, org: Option<&str>, request: &Value) -> Answer {
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
        let page = page(&self.options, Family::V1, &request["query"], rows)?;
        Ok(page.details(json!({"details": {"viewTimestamp": now}})))
    }

    /// `GET /admin/v1/instances/me`, and `GetInstance` of the instance service.
    pub(super) fn instance(&self) -> Answer {
        let Some(version) = &self.options.version else {
            return Err(Fail::new(Code::PermissionDenied, "AUTH-5mWD2", "No matching permissions found"));
        };
        let state = self.state();
        Ok(json!({"instance": {
            "id": state.instance, "state": "STATE_RUNNING", "name": "ZITADEL", "version": version,
        }}))
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
