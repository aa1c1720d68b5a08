//! Everything under `/api/v2`: who may call it, and the lists.

use std::{collections::HashMap, sync::Arc};

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    CONNECTION_OPTIONS, Call, Shared, jobs,
    paging::{Checkpoint, page, within_reach},
    reply::{Answer, Failure},
};
use crate::tenant::{Role, Row, object};

const ROLE_USERS: &[&str] = &["read:users", "read:roles", "read:role_members"];

pub(super) fn answer(shared: &Arc<Shared>, call: &Call, steps: &[&str]) -> Answer {
    let may = |any_of: &[&str]| shared.authorize(call, any_of);
    let tenant = &shared.options.tenant;
    if call.method == Method::POST && steps == ["jobs", "users-exports"] {
        may(&["read:users"])?;
        return jobs::create(shared, call);
    }
    if call.method != Method::GET {
        return Err(Failure::not_found("Not Found", None));
    }
    match steps {
        ["jobs", id] => {
            may(&["create:users", "read:users"])?;
            jobs::get(shared, id)
        }
        ["jobs", id, "errors"] => {
            may(&["create:users", "read:users"])?;
            jobs::errors(shared, id)
        }
        ["connections"] => {
            may(&["read:connections"])?;
            connections(shared, call)
        }
        ["connections", id] => {
            may(&["read:connections"])?;
            let wants = connection_fields(shared, call)?;
            let found = tenant.connections.iter().find(|connection| connection["id"] == *id);
            let found = found.ok_or_else(no_connection)?;
            Ok(Some(chosen(found, wants).to_string()))
        }
        ["users"] => {
            may(&["read:users", "read:user_idp_tokens"])?;
            users(shared, call)
        }
        ["users", id] => {
            may(&["read:users", "read:current_user", "read:user_idp_tokens"])?;
            let wants = call.query.wants()?;
            Ok(Some(user_json(&user(shared, id)?, wants)))
        }
        ["users", id, "authentication-methods"] => {
            may(&["read:authentication_methods"])?;
            methods(&user(shared, id)?, call)
        }
        ["users", id, "roles"] => {
            may(ROLE_USERS)?;
            let roles: Vec<_> =
                tenant.roles.iter().filter(|role| role.users.iter().any(|user| user == id)).map(role_json).collect();
            Ok(Some(page("roles", &roles, &call.query, Checkpoint::None, false)?))
        }
        ["users", id, "organizations"] => {
            may(&["read:organizations"])?;
            let organizations: Vec<_> = tenant
                .organizations
                .iter()
                .filter(|organization| organization.members.iter().any(|(user, _)| user == id))
                .map(organization_json)
                .collect();
            Ok(Some(page("organizations", &organizations, &call.query, Checkpoint::None, false)?))
        }
        ["roles", rest @ ..] => roles(shared, call, rest),
        ["organizations", rest @ ..] => organizations(shared, call, rest),
        ["stats", "active-users"] => {
            may(&["read:stats"])?;
            Ok(Some(shared.users().div_ceil(2).to_string()))
        }
        ["stats", "daily"] => {
            may(&["read:stats"])?;
            Ok(Some(daily()))
        }
        _ => Err(Failure::not_found("Not Found", None)),
    }
}

fn no_connection() -> Failure {
    Failure::not_found("The connection does not exist", Some("inexistent_connection"))
}

/// The wanted keys of an object.
fn chosen(value: &Value, wants: impl Fn(&str) -> bool) -> Value {
    let object = value.as_object().into_iter().flatten();
    // Recorded: `is_domain_connection` comes whatever the fields are.
    object
        .filter(|(key, _)| wants(key) || *key == "is_domain_connection")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The fields that are wanted of a connection and may be read: `options` take a scope of their own.
fn connection_fields(shared: &Shared, call: &Call) -> Result<impl Fn(&str) -> bool, Failure> {
    let wants = call.query.wants()?;
    let options = shared.options.scopes.iter().any(|scope| scope == CONNECTION_OPTIONS);
    Ok(move |field: &str| wants(field) && (options || field != "options"))
}

fn connections(shared: &Shared, call: &Call) -> Answer {
    let wants = connection_fields(shared, call)?;
    let strategies: Vec<_> = call.query.all("strategy").collect();
    let name = call.query.get("name");
    let found: Vec<_> = shared
        .options
        .tenant
        .connections
        .iter()
        .filter(|connection| name.is_none_or(|name| connection["name"] == name))
        .filter(|connection| strategies.is_empty() || strategies.iter().any(|one| connection["strategy"] == *one))
        .map(|connection| chosen(connection, &wants))
        .collect();
    Ok(Some(page("connections", &found, &call.query, Checkpoint::FullPages, true)?))
}

fn user(shared: &Shared, id: &str) -> Result<Row, Failure> {
    let none = || Failure::not_found("The user does not exist.", Some("inexistent_user"));
    shared.options.tenant.user(id).ok_or_else(none)
}

fn user_json(row: &Row, wants: impl Fn(&str) -> bool) -> String {
    object(row.fields.iter().filter(|(key, _)| wants(key)).map(|(key, raw)| (key.as_ref(), raw.as_str())))
}

fn users(shared: &Shared, call: &Call) -> Answer {
    let wants = call.query.wants()?;
    let totals = call.query.flag("include_totals")? == Some(true);
    let (start, limit) = call.query.offset(0)?;
    within_reach(start, limit)?;
    let connection = call.query.get("connection");
    // `q` is taken and not looked at.
    let wanted = |row: &Row| row.is_user() && connection.is_none_or(|name| row.connection == name);
    let rows = shared.options.tenant.rows().filter(wanted).skip(start).take(limit);
    let shown: Vec<_> = rows.map(|row| user_json(&row, &wants)).collect();
    let list = format!("[{}]", shown.join(","));
    if !totals {
        return Ok(Some(list));
    }
    let total = match connection {
        None => shared.users(),
        Some(_) => shared.options.tenant.rows().filter(wanted).count() as u64,
    };
    let length = shown.len();
    Ok(Some(format!(r#"{{"start":{start},"limit":{limit},"length":{length},"users":{list},"total":{total}}}"#)))
}

/// The list, masked, with totals as recorded: an empty one has no `total`.
fn methods(row: &Row, call: &Call) -> Answer {
    let (start, limit) = call.query.offset(0)?;
    let all = &row.authentication_methods;
    let shown: Vec<_> = all.iter().skip(start).take(limit).map(masked).collect();
    if call.query.flag("include_totals")? != Some(true) {
        return Ok(Some(Value::from(shown).to_string()));
    }
    let mut body = json!({"authenticators": shown, "start": start, "limit": limit});
    if !all.is_empty() {
        body["total"] = all.len().into();
    }
    Ok(Some(body.to_string()))
}

/// As recorded: four letters of each part of an address, four digits of a number.
fn masked(method: &Value) -> Value {
    let mut method = method.clone();
    let stars = |text: &str, keep: usize| {
        let kept: String = text.chars().take(keep).collect();
        let hidden = text.chars().count().saturating_sub(keep);
        format!("{kept}{}", "*".repeat(hidden))
    };
    if let Some((local, domain)) = method["email"].as_str().and_then(|email| email.split_once('@')) {
        let local = if local.chars().count() > 4 { stars(local, 4) } else { "****".to_owned() };
        method["email"] = format!("{local}@{}", stars(domain, 4)).into();
    }
    if let Some(phone) = method["phone_number"].as_str() {
        let digits: Vec<char> = phone.chars().filter(|letter| *letter != '+').collect();
        let last: String = digits.iter().skip(digits.len().saturating_sub(4)).collect();
        method["phone_number"] = format!("{}{last}", "X".repeat(digits.len().saturating_sub(4) + 1)).into();
    }
    if let Some(method) = method.as_object_mut() {
        method.remove("totp_secret");
    }
    method
}

fn role_json(role: &Role) -> Value {
    json!({"id": role.id, "name": role.name, "description": role.description})
}

fn organization_json(organization: &crate::tenant::Organization) -> Value {
    let mut body = json!({"id": organization.id, "name": organization.name, "display_name": organization.display_name});
    // What is not set is left out, as recorded.
    for (key, value) in [("branding", &organization.branding), ("metadata", &organization.metadata)] {
        if !value.is_null() {
            body[key] = value.clone();
        }
    }
    body
}

/// Members as the lists give them, whoever of these ids exists; one walk through the tenant.
fn people(shared: &Shared, ids: &[&String]) -> Vec<Value> {
    let mut found = HashMap::new();
    for row in shared.options.tenant.rows().filter(Row::is_user) {
        if found.len() == ids.len() {
            break;
        }
        if let Some(id) = ids.iter().find(|id| ***id == row.user_id) {
            found.entry(id.as_str()).or_insert_with(|| {
                let wants = |key: &str| ["user_id", "email", "picture", "name"].contains(&key);
                serde_json::from_str(&user_json(&row, wants)).unwrap_or_default()
            });
        }
    }
    ids.iter().filter_map(|id| found.remove(id.as_str())).collect()
}

fn roles(shared: &Shared, call: &Call, steps: &[&str]) -> Answer {
    let roles = &shared.options.tenant.roles;
    let find = |id: &str| {
        let none = || Failure::not_found("The role does not exist.", None);
        roles.iter().find(|role| role.id == id).ok_or_else(none)
    };
    match steps {
        [] => {
            shared.authorize(call, &["read:roles"])?;
            let filter = call.query.get("name_filter").unwrap_or_default().to_lowercase();
            let found: Vec<_> =
                roles.iter().filter(|role| role.name.to_lowercase().contains(&filter)).map(role_json).collect();
            Ok(Some(page("roles", &found, &call.query, Checkpoint::None, false)?))
        }
        [id] => {
            shared.authorize(call, &["read:roles"])?;
            Ok(Some(role_json(find(id)?).to_string()))
        }
        [id, "users"] => {
            shared.authorize(call, ROLE_USERS)?;
            let people = people(shared, &find(id)?.users.iter().collect::<Vec<_>>());
            Ok(Some(page("users", &people, &call.query, Checkpoint::FullPages, true)?))
        }
        _ => Err(Failure::not_found("Not Found", None)),
    }
}

fn organizations(shared: &Shared, call: &Call, steps: &[&str]) -> Answer {
    let (all, roles) = (&shared.options.tenant.organizations, &shared.options.tenant.roles);
    let find = |id: &str| {
        let none = || Failure::not_found("No organization found by that id or name", None);
        all.iter().find(|organization| organization.id == id).ok_or_else(none)
    };
    match steps {
        [] => {
            shared.authorize(call, &["read:organizations", "read:organizations_summary"])?;
            let all: Vec<_> = all.iter().map(organization_json).collect();
            Ok(Some(page("organizations", &all, &call.query, Checkpoint::FullPages, true)?))
        }
        [id] => {
            shared.authorize(call, &["read:organizations", "read:organizations_summary"])?;
            Ok(Some(organization_json(find(id)?).to_string()))
        }
        [id, "enabled_connections"] => {
            shared.authorize(call, &["read:organization_connections"])?;
            find(id)?;
            Ok(Some(page("enabled_connections", &[], &call.query, Checkpoint::None, false)?))
        }
        [id, "members"] => {
            shared.authorize(call, &["read:organization_members"])?;
            let wants = call.query.wants()?;
            let members = &find(id)?.members;
            let mut people = people(shared, &members.iter().map(|(user, _)| user).collect::<Vec<_>>());
            for person in &mut people {
                // `roles` only where it is asked for by name.
                if call.query.get("fields").is_some() {
                    let has = members.iter().find(|(user, _)| person["user_id"] == **user);
                    let has = has.map(|(_, has)| has.as_slice()).unwrap_or_default();
                    person["roles"] = roles
                        .iter()
                        .filter(|role| has.contains(&role.id))
                        .map(|role| json!({"id": role.id, "name": role.name}))
                        .collect();
                }
                if let Some(person) = person.as_object_mut() {
                    person.retain(|key, _| wants(key));
                }
            }
            Ok(Some(page("members", &people, &call.query, Checkpoint::UntilEmpty, true)?))
        }
        [id, "members", user, "roles"] => {
            shared.authorize(call, &["read:organization_member_roles"])?;
            let has = find(id)?.members.iter().find(|(member, _)| member == user);
            let none = || Failure::not_found("The member does not exist", None);
            let (_, has) = has.ok_or_else(none)?;
            let has: Vec<_> = roles.iter().filter(|role| has.contains(&role.id)).map(role_json).collect();
            Ok(Some(page("roles", &has, &call.query, Checkpoint::None, false)?))
        }
        _ => Err(Failure::not_found("Not Found", None)),
    }
}

/// Five days, the last of them with a few sign-ups.
fn daily() -> String {
    let day = |day: u32| {
        let mut stats = json!({"date": format!("2026-01-{day:02}T00:00:00.000Z"),
            "created_at": format!("2026-01-{day:02}T09:21:33.903Z"),
            "updated_at": format!("2026-01-{day:02}T23:21:32.480Z"),
            "logins": 3 * day, "signups": day % 3, "leaked_passwords": 0});
        if day > 2 {
            // Recorded: on later days only.
            stats["leaked_passwords_signup"] = 0.into();
        }
        stats
    };
    (1..=5).map(day).collect::<Value>().to_string()
}
