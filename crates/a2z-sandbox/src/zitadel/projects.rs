//! Projects, their roles, who may give them, and who has them. What was made a moment ago is in no list while the
//! projections lag.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail};
use super::pages::{Family, page};
use super::people::{list, text};
use super::projections::Projection;
use super::state::{Grant, Project, Role, State, time};

type Answer = Result<Value, Fail>;

fn keys(request: &Value) -> Vec<String> {
    list(request, "roleKeys").iter().filter_map(|role| role.as_str().map(str::to_owned)).collect()
}

/// Every one of the filters that is there lets the value through.
fn wanted(request: &Value, filter: &str, value: &str) -> bool {
    list(request, "filters").iter().all(|entry| {
        let entry = &entry[filter];
        let ids = list(entry, "ids");
        entry.is_null()
            || entry["id"].as_str().or(entry["organizationId"].as_str()).is_some_and(|id| id == value)
            || ids.iter().any(|id| id == value)
    })
}

impl Server {
    /// A page of rows under a name, as the request asks, with the pagination of the filter/v2 endpoints.
    pub(super) fn page(&self, name: &str, rows: Vec<Value>, request: &Value) -> Answer {
        page(&self.options, Family::Filter, &request["pagination"], rows).map(|page| page.pagination(name))
    }

    /// The methods of the project service.
    pub(super) fn project_service(&self, method: &str, request: &Value) -> Answer {
        let mut state = self.state();
        let id = text(request, "projectId");
        let granted = text(request, "grantedOrganizationId");
        match method {
            "CreateProject" => {
                let (org, name) = (text(request, "organizationId"), text(request, "name"));
                state.org_exists(org)?;
                if name.is_empty() || name.chars().count() > 200 {
                    let reason =
                        "invalid CreateProjectRequest.Name: value length must be between 1 and 200 runes, inclusive";
                    return Err(Fail::plain(Code::InvalidArgument, reason));
                }
                let id = match id {
                    "" => state.id(),
                    id => id.to_owned(),
                };
                state.add_project(&id, org, name)?;
                Ok(json!({"projectId": id, "creationDate": time(state.now())}))
            }
            "GetProject" => match state.projects.get(id) {
                Some(project) => Ok(json!({"project": project_row(id, project)})),
                None => Err(Fail::new(Code::NotFound, "QUERY-fk2fs", "Errors.Project.NotFound")),
            },
            "DeleteProject" => {
                // The unique constraints on its roles stay behind, as they do in the real one.
                state.projects.remove(id);
                state.grants.retain(|grant| grant.project_id != id);
                state.ghost_grants.retain(|grant| grant.project_id != id);
                Ok(json!({"deletionDate": time(state.touch())}))
            }
            "AddProjectRole" => {
                if text(request, "displayName").is_empty() {
                    let reason = "invalid AddProjectRoleRequest.DisplayName: value length must be between 1 and 200 runes, inclusive";
                    return Err(Fail::plain(Code::InvalidArgument, reason));
                }
                state.add_role(request)?;
                Ok(json!({"creationDate": time(state.now())}))
            }
            "RemoveProjectRole" => {
                let key = text(request, "roleKey").to_owned();
                state.remove_role(id, &key);
                Ok(json!({"removalDate": time(state.touch())}))
            }
            "CreateProjectGrant" => {
                state.check_project_grant(id, granted, &keys(request))?;
                state.add_project_grant(id, granted, keys(request))?;
                Ok(json!({"creationDate": time(state.now())}))
            }
            "UpdateProjectGrant" => {
                if !state.projects.get(id).is_some_and(|project| project.granted.contains_key(granted)) {
                    return Err(Fail::new(Code::NotFound, "PROJECT-D8JxR", "Errors.Project.Grant.NotFound"));
                }
                state.check_project_grant(id, granted, &keys(request))?;
                if let Some(project) = state.projects.get_mut(id) {
                    project.granted.insert(granted.to_owned(), keys(request));
                }
                Ok(json!({"changeDate": time(state.touch())}))
            }
            "ListProjectRoles" => {
                let mut roles: Vec<_> =
                    state.projects.get(id).map(|project| project.roles.iter().collect()).unwrap_or_default();
                roles.retain(|role| state.is_projected_at(role.created));
                roles.sort_by_key(|role| std::cmp::Reverse(role.created));
                self.page("projectRoles", roles.into_iter().map(|role| role_row(id, role)).collect(), request)
            }
            "ListProjectGrants" => self.page("projectGrants", state.project_grant_rows(request), request),
            "ListProjects" => self.page("projects", state.project_rows(request), request),
            _ => Err(Fail::plain(Code::Unimplemented, "the sandbox does not have this method")),
        }
    }

    /// `POST /management/v1/projects/{id}/roles/_bulk`: all of them or none.
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

    /// `GET /management/v1/users/{id}/grants/{id}`: brings the projection of grants up to date first.
    pub(super) fn get_grant(&self, id: &str) -> Answer {
        let mut state = self.state();
        state.grants_read_to = state.now();
        let shown = state.grants.iter().any(|grant| grant.id == id && state.shows(grant));
        if shown || state.ghost_grants.iter().any(|grant| grant.id == id) {
            return Ok(json!({"userGrant": {"id": id}}));
        }
        Err(Fail::new(Code::NotFound, "QUERY-wIPkA", "Errors.UserGrant.NotFound"))
    }

    /// The methods of the authorisation service.
    pub(super) fn authorization_service(&self, caller: &str, method: &str, request: &Value) -> Answer {
        let mut state = self.state();
        let id = text(request, "id");
        let unique: BTreeSet<_> = keys(request).into_iter().collect();
        if unique.len() < keys(request).len() {
            let reason = format!(
                "invalid {method}Request.RoleKeys[{}]: repeated value must contain unique items",
                keys(request).len() - 1
            );
            return Err(Fail::plain(Code::InvalidArgument, reason));
        }
        match method {
            "CreateAuthorization" => {
                let (user, project) = (text(request, "userId"), text(request, "projectId"));
                let place = (project, text(request, "organizationId"));
                let grant = state.add_grant(user, place, keys(request), caller)?;
                Ok(json!({"id": grant.id, "creationDate": time(grant.created)}))
            }
            "UpdateAuthorization" => {
                let Some(grant) = state.grants.iter().find(|grant| grant.id == id).cloned() else {
                    return Err(Fail::new(Code::NotFound, "COMMAND-3M9sd", "Errors.UserGrant.NotFound"));
                };
                state.check_grant(&grant.project_id, &grant.org, &keys(request))?;
                let changed = state.touch();
                if grant.roles == keys(request) {
                    // No event, and so no repair of what the projection has.
                    return Ok(json!({"changeDate": time(changed)}));
                }
                let skipped = state.view.skips(Projection::Grants, "user.grant.changed", &grant.user_id);
                if let Some(grant) = state.grants.iter_mut().find(|grant| grant.id == id) {
                    grant.roles = keys(request);
                    if let Some(row) = grant.row.as_mut().filter(|_| !skipped) {
                        row.clone_from(&grant.roles);
                    }
                }
                let payload = json!({"userId": grant.user_id, "roleKeys": keys(request)});
                state.note(("usergrant", id, &grant.org), "user.grant.changed", payload, caller);
                Ok(json!({"changeDate": time(changed)}))
            }
            "DeleteAuthorization" => {
                let Some(at) = state.grants.iter().position(|grant| grant.id == id) else {
                    return Ok(json!({"deletionDate": "0001-01-01T00:00:00Z"}));
                };
                let grant = state.grants.remove(at);
                let payload = json!({"userId": grant.user_id, "projectId": grant.project_id});
                state.note(("usergrant", id, &grant.org), "user.grant.removed", payload, caller);
                if state.view.skips(Projection::Grants, "user.grant.removed", &grant.user_id) && grant.row.is_some() {
                    state.ghost_grants.push(grant);
                }
                Ok(json!({"deletionDate": time(state.touch())}))
            }
            "ListAuthorizations" => self.page("authorizations", state.grant_rows(request), request),
            _ => Err(Fail::plain(Code::Unimplemented, "the sandbox does not have this method")),
        }
    }
}

fn project_row(id: &str, project: &Project) -> Value {
    let at = time(project.created);
    json!({
        "projectId": id, "organizationId": project.org, "creationDate": at, "changeDate": at, "name": project.name,
        "state": "PROJECT_STATE_ACTIVE",
    })
}

fn role_row(project: &str, role: &Role) -> Value {
    let at = time(role.created);
    let mut row = json!({"projectId": project, "key": role.key, "creationDate": at, "changeDate": at, "displayName": role.display_name});
    if !role.group.is_empty() {
        row["group"] = role.group.as_str().into();
    }
    row
}

impl State {
    /// A project stands there once more for every organisation that it is granted to.
    fn project_rows(&self, request: &Value) -> Vec<Value> {
        let named = |project: &Project| {
            list(request, "filters").iter().all(|entry| {
                let filter = &entry["projectNameFilter"];
                filter.is_null() || filter["projectName"] == project.name.as_str()
            })
        };
        let mut rows = Vec::new();
        for (id, project) in self.projects.iter().filter(|(_, project)| self.is_projected_at(project.created)) {
            if named(project) && wanted(request, "inProjectIdsFilter", id) {
                rows.push(project_row(id, project));
                rows.extend(project.granted.keys().map(|org| {
                    let mut row = project_row(id, project);
                    row["grantedOrganizationId"] = org.as_str().into();
                    row["grantedOrganizationName"] = self.orgs.get(org).map(|org| org.name.as_str()).into();
                    row["grantedState"] = "GRANTED_PROJECT_STATE_ACTIVE".into();
                    row
                }));
            }
        }
        rows
    }

    fn project_grant_rows(&self, request: &Value) -> Vec<Value> {
        let to = |org: &str| {
            list(request, "filters").iter().all(|entry| {
                let filter = &entry["grantedOrganizationIdFilter"];
                filter.is_null() || filter["id"] == org
            })
        };
        let mut rows = Vec::new();
        for (id, project) in self.projects.iter().filter(|(id, _)| wanted(request, "inProjectIdsFilter", id)) {
            rows.extend(project.granted.iter().filter(|(org, _)| to(org)).map(|(org, keys)| {
                json!({
                    "organizationId": project.org, "grantedOrganizationId": org, "grantedRoleKeys": keys,
                    "projectId": id, "projectName": project.name, "state": "PROJECT_GRANT_STATE_ACTIVE",
                })
            }));
        }
        rows
    }

    fn grant_rows(&self, request: &Value) -> Vec<Value> {
        let rows = self.grants.iter().chain(&self.ghost_grants);
        let found = rows.filter(|grant| {
            self.is_grant_projected_at(grant.created)
                && self.shows(grant)
                && wanted(request, "projectId", &grant.project_id)
                && wanted(request, "userId", &grant.user_id)
                && wanted(request, "inUserIds", &grant.user_id)
                && wanted(request, "organizationId", &grant.org)
                && list(request, "filters").iter().all(|entry| {
                    let key = &entry["roleKey"]["key"];
                    key.is_null() || grant.row.iter().flatten().any(|role| key == role)
                })
        });
        let row = |grant: &Grant| {
            let (user, project) = (self.users.get(&grant.user_id)?, self.projects.get(&grant.project_id)?);
            let role = |key: &String| {
                let display_name =
                    project.roles.iter().find(|role| role.key == *key).map(|role| role.display_name.as_str());
                json!({"key": key, "displayName": display_name})
            };
            let mut row = json!({
                "id": grant.id,
                "creationDate": time(grant.created),
                "changeDate": time(grant.created),
                "project": {"id": grant.project_id, "name": project.name, "organizationId": project.org},
                "organization": {"id": grant.org, "name": self.orgs.get(&grant.org).map(|org| org.name.as_str())},
                "user": {
                    "id": user.id,
                    "preferredLoginName": user.user_name,
                    "displayName": user.display_name,
                    "organizationId": user.organization_id,
                },
                "state": "STATE_ACTIVE",
            });
            let roles: Vec<_> = grant.row.iter().flatten().map(role).collect();
            if !roles.is_empty() {
                row["roles"] = roles.into();
            }
            Some(row)
        };
        found.filter_map(row).collect()
    }

    pub(super) fn add_project(&mut self, id: &str, org: &str, name: &str) -> Result<(), Fail> {
        if self.projects.contains_key(id) {
            return Err(Fail::new(Code::AlreadyExists, "COMMAND-opamwu", "Errors.Project.AlreadyExisting"));
        }
        if self.projects.values().any(|project| project.org == org && project.name.eq_ignore_ascii_case(name)) {
            return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Project.AlreadyExists"));
        }
        let created = self.touch();
        let (name, org) = (name.to_owned(), org.to_owned());
        self.projects
            .insert(id.to_owned(), Project { name, org, roles: Vec::new(), granted: BTreeMap::new(), created });
        Ok(())
    }

    pub(super) fn add_role(&mut self, data: &Value) -> Result<(), Fail> {
        let created = self.touch();
        self.add_role_at(data, created)
    }

    /// The same at a moment that several roles share.
    pub(super) fn add_role_at(&mut self, data: &Value, created: Timestamp) -> Result<(), Fail> {
        let id = text(data, "projectId");
        let Some(project) = self.projects.get_mut(id) else {
            return Err(Fail::new(Code::FailedPrecondition, "EDITOR-EbBUFz", "Errors.Project.NotFound"));
        };
        let key = text(data, "roleKey").to_owned();
        if key.contains('\0') {
            return Err(Fail::unknown(
                "unknown database error: ERROR: unsupported Unicode escape sequence (SQLSTATE 22P05)",
            ));
        }
        if key.is_empty() || key.chars().count() > 200 {
            let reason =
                "invalid AddProjectRoleRequest.RoleKey: value length must be between 1 and 200 runes, inclusive";
            return Err(Fail::plain(Code::InvalidArgument, reason));
        }
        if !self.role_keys.insert((id.to_owned(), key.to_lowercase())) {
            return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Project.Role.AlreadyExists"));
        }
        let (display_name, group) = (text(data, "displayName").to_owned(), text(data, "group").to_owned());
        project.roles.push(Role { key, display_name, group, created });
        Ok(())
    }

    /// From the project, its grants to organisations, and those to users.
    fn remove_role(&mut self, id: &str, key: &str) {
        let Some(project) = self.projects.get_mut(id) else { return };
        let before = project.roles.len();
        project.roles.retain(|role| role.key != key);
        if project.roles.len() == before {
            return;
        }
        project.granted.values_mut().for_each(|keys| keys.retain(|one| one != key));
        self.role_keys.remove(&(id.to_owned(), key.to_lowercase()));
        for grant in self.grants.iter_mut().chain(&mut self.ghost_grants).filter(|grant| grant.project_id == id) {
            grant.roles.retain(|one| one != key);
            grant.row.iter_mut().for_each(|row| row.retain(|one| one != key));
        }
    }

    fn check_project_grant(&self, id: &str, org: &str, keys: &[String]) -> Result<(), Fail> {
        let refused = |id, key| Err(Fail::new(Code::FailedPrecondition, id, key));
        if !self.orgs.contains_key(org) {
            return refused("COMMAND-3m9gg", "Errors.Org.NotFound");
        }
        let Some(project) = self.projects.get(id) else {
            return refused("COMMAND-m9gsd", "Errors.Project.NotFound");
        };
        if !keys.iter().all(|key| project.roles.iter().any(|role| role.key == *key)) {
            return refused("COMMAND-6m9gd", "Errors.Project.Role.NotFound");
        }
        if project.org == org {
            return refused("PROJECT-ckUpbvboAH", "Errors.Project.Grant.Invalid");
        }
        Ok(())
    }

    pub(super) fn add_project_grant(&mut self, id: &str, org: &str, keys: Vec<String>) -> Result<(), Fail> {
        self.check_project_grant(id, org, &keys)?;
        self.touch();
        match self.projects.get_mut(id) {
            Some(project) if !project.granted.contains_key(org) => {
                project.granted.insert(org.to_owned(), keys);
                Ok(())
            }
            _ => Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.Project.Grant.AlreadyExists")),
        }
    }

    /// The organisation owns the project, or has it granted; the roles are those that it may give.
    fn check_grant(&self, project: &str, org: &str, roles: &[String]) -> Result<(), Fail> {
        let known = self.projects.get(project);
        let may: Vec<&String> = match known {
            Some(known) if known.org == org => known.roles.iter().map(|role| &role.key).collect(),
            Some(known) if known.granted.contains_key(org) => known.granted[org].iter().collect(),
            _ => return Err(Fail::new(Code::FailedPrecondition, "COMMAND-4m9ff", "Errors.Project.Grant.NotFound")),
        };
        if roles.iter().all(|role| may.contains(&role)) {
            return Ok(());
        }
        Err(Fail::new(Code::FailedPrecondition, "COMMAND-mm9F4", "Errors.Project.Role.NotFound"))
    }

    /// The list joins grants with users and their login names: a user without one seems to have no grants.
    pub(super) fn shows(&self, grant: &Grant) -> bool {
        // A user who was created a moment ago is not in the view yet, and neither is the grant in its own projection.
        let named = self.view.rows.get(&grant.user_id).is_none_or(|rows| rows.login_name.is_some());
        grant.row.is_some() && named
    }

    /// A deleted user's grants are found by what the list shows of them. A grant that it does not show is forgotten: it has
    /// no row any more, as every grant of a deleted user, and stays taken.
    pub(super) fn delete_grants(&mut self, user_id: &str, editor: &str) {
        let (of_user, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.grants).into_iter().partition(|grant| grant.user_id == user_id);
        self.grants = others;
        for grant in of_user {
            if self.shows(&grant) {
                self.note(("usergrant", &grant.id, &grant.org), "user.grant.cascade.removed", Value::Null, editor);
            } else {
                self.grants.push(Grant { row: None, ..grant });
            }
        }
        self.ghost_grants.retain(|grant| grant.user_id != user_id);
    }

    pub(super) fn add_grant(
        &mut self,
        user: &str,
        (project, org): (&str, &str),
        roles: Vec<String>,
        editor: &str,
    ) -> Result<Grant, Fail> {
        if !self.users.get(user).is_some_and(super::state::User::exists) {
            return Err(Fail::new(Code::FailedPrecondition, "COMMAND-4f8sg", "Errors.User.NotFound"));
        }
        self.check_grant(project, org, &roles)?;
        if self.grants.iter().any(|grant| grant.user_id == user && grant.project_id == project && grant.org == org) {
            return Err(Fail::new(Code::AlreadyExists, "V3-DKcYh", "Errors.UserGrant.AlreadyExists"));
        }
        let (id, created) = (self.id(), self.touch());
        let (user_id, project_id, org) = (user.to_owned(), project.to_owned(), org.to_owned());
        let skipped = self.view.skips(Projection::Grants, "user.grant.added", user);
        let row = (!skipped).then(|| roles.clone());
        let grant = Grant { id, user_id, project_id, org, roles, row, created };
        let payload = json!({"userId": grant.user_id, "projectId": grant.project_id, "roleKeys": grant.roles});
        self.note(("usergrant", &grant.id, &grant.org), "user.grant.added", payload, editor);
        self.grants.push(grant.clone());
        Ok(grant)
    }
}
