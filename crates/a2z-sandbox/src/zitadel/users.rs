//! The users API v2: create, change, delete, states, metadata, links, and the search.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Server;
use super::answer::{Code, Fail};
use super::pages::{Family, Page, page};
use super::people::{
    added, checked_email, checked_phone, link_of, linked, list, no_nul, take_password, take_profile, text,
};
use super::projections::Rows;
use super::rules;
use super::schema::{Message, bytes_of, decode, validate};
use super::shapes::{ADD_LINK, CREATE_USER, SET_METADATA, UPDATE_USER};
use super::state::{State, User, UserState, details, time};

/// The code for a permission that the v2 commands miss.
pub(super) const DENIED: &str = "AUTH-AWfge";

/// Decodes and validates a request of which the id stands in the path.
pub(super) fn read(message: &Message, body: &[u8], user_id: Option<&str>) -> Result<Value, Fail> {
    let invalid = |message| Fail::plain(Code::InvalidArgument, message);
    let mut request = decode(message, body).map_err(invalid)?;
    if let Some(id) = user_id {
        request["userId"] = id.into();
    }
    validate(message, &request).map_err(invalid)?;
    Ok(request)
}

/// A user as lists and gets show it.
fn shown(user: &User, login_name: Option<&str>) -> Value {
    let mut body = json!({
        "userId": user.id,
        "details": details(user.seen_sequence, user.created, user.changed, &user.organization_id),
        "state": user.state.name(),
        "username": user.user_name,
    });
    if let Some(name) = login_name {
        body["loginNames"] = json!([name]);
        body["preferredLoginName"] = name.into();
    }
    if user.machine {
        body["machine"] = json!({"name": user.display_name, "accessTokenType": "ACCESS_TOKEN_TYPE_BEARER"});
        return body;
    }
    let mut human = json!({
        "profile": {
            "givenName": user.first_name,
            "familyName": user.last_name,
            "nickName": user.nick_name,
            "displayName": user.display_name,
            "preferredLanguage": user.language,
            "gender": user.gender,
        },
        "email": {"email": user.email},
        "phone": {},
    });
    if user.email_verified {
        human["email"]["isVerified"] = true.into();
    }
    if let Some(phone) = &user.phone {
        human["phone"]["phone"] = phone.as_str().into();
        if user.phone_verified {
            human["phone"]["isVerified"] = true.into();
        }
    }
    if user.change_required {
        human["passwordChangeRequired"] = true.into();
    }
    if let Some(at) = user.password_changed {
        human["passwordChanged"] = time(at).into();
    }
    body["human"] = human;
    body
}

/// What a change of a user answers: the number and time of its last event.
pub(super) fn changed(user: &User, at: Timestamp) -> Value {
    json!({"details": {"sequence": user.sequence.to_string(), "changeDate": time(at), "resourceOwner": user.organization_id}})
}

/// The verification of an e-mail or phone in a v2 request, as events.
fn verification(
    set: &Value,
    kinds: [&'static str; 2],
    code: &mut Option<String>,
) -> (bool, Option<(&'static str, Option<Value>)>) {
    if set["isVerified"] == true {
        return (true, Some((kinds[0], None)));
    }
    // An explicit false stores it as unverified and sends nothing.
    if set["isVerified"] == false {
        return (false, None);
    }
    let returned = set["returnCode"].is_object();
    if returned {
        *code = Some(super::email::CODE.to_owned());
    }
    (false, Some((kinds[1], Some(json!({"codeReturned": returned})))))
}

impl Server {
    /// Waits until the users projection has read every event that is stored now: as long as the lag.
    pub(super) async fn barrier(&self) {
        let (until, lag) = {
            let state = self.state();
            (state.view.newest_pending(), state.lag)
        };
        let Some(until) = until else { return };
        let behind = until
            .checked_add(lag)
            .map_or(Duration::ZERO, |due| Duration::try_from(due - Timestamp::now()).unwrap_or_default());
        sleep(behind).await;
        self.state().project_to(until);
    }

    /// `GET /v2/users/{id}`: a barrier, then the user.
    pub(super) async fn get_user(&self, caller: &str, id: &str) -> Result<Value, Fail> {
        self.barrier().await;
        let state = self.state();
        let Some((user, name)) =
            state.view.rows.get(id).and_then(|rows| Some((rows.user.clone()?, rows.login_name.clone())))
        else {
            return Err(Fail::new(Code::NotFound, "QUERY-Dfbg2", "Errors.User.NotFound"));
        };
        if caller != id {
            state.require(caller, "user.read", Some(&user.organization_id), DENIED)?;
        }
        let body = shown(&user, name.as_deref());
        Ok(json!({"details": body["details"], "user": body}))
    }

    /// `POST /v2/users/new`.
    pub(super) fn create_user(&self, caller: &str, body: &[u8]) -> Result<Value, Fail> {
        let request = read(&CREATE_USER, body, None)?;
        let mut state = self.state();
        let org = text(&request, "organizationId");
        if request["machine"].is_object() {
            state.require(caller, "user.write", Some(org), DENIED)?;
            state.org_exists(org)?;
            let id = request["userId"].as_str().map_or_else(|| state.id(), str::to_owned);
            let name = request["username"].as_str().unwrap_or(&id).to_owned();
            state.add_machine(&id, org, &name, text(&request["machine"], "name"), caller)?;
            let created = state.existing(&id, "")?.created;
            return Ok(json!({"id": id, "creationDate": time(created)}));
        }
        state.create_human(caller, org, &request)
    }

    /// `PATCH /v2/users/{id}`.
    pub(super) fn update_user(&self, caller: &str, id: Option<&str>, body: &[u8]) -> Result<Value, Fail> {
        let request = read(&UPDATE_USER, body, id)?;
        if !request["human"].is_object() {
            // Seen live: the type of the user is taken from it, whatever else is to change.
            return Err(Fail::new(Code::Unimplemented, "", "user type is not implemented"));
        }
        self.state().update_human(caller, &request)
    }

    /// `POST /v2/users/{id}/deactivate`, `reactivate`, `lock`, `unlock`.
    pub(super) fn set_state(&self, caller: &str, id: &str, verb: &str) -> Result<Value, Fail> {
        use UserState::{Active, Inactive, Initial, Locked};
        let mut state = self.state();
        let mut user = state.existing(
            id,
            match verb {
                "deactivate" => "COMMAND-5gp2p62iin",
                "reactivate" => "COMMAND-9hy5kzbuk6",
                "lock" => "COMMAND-450yxuqrh1",
                _ => "COMMAND-x377t913pw",
            },
        )?;
        state.require(caller, "user.write", Some(&user.organization_id), DENIED)?;
        let refused = |id, key| Err(Fail::new(Code::FailedPrecondition, id, key));
        let (next, kind) = match (verb, user.state) {
            ("deactivate", Initial) => return refused("COMMAND-gvx4kct9r2", "Errors.User.CantDeactivateInitial"),
            ("deactivate", Inactive) => return refused("COMMAND-5gunjw0cd7", "Errors.User.AlreadyInactive"),
            ("deactivate", _) => (Inactive, "user.deactivated"),
            ("reactivate", Inactive) => (Active, "user.reactivated"),
            ("reactivate", _) => return refused("COMMAND-s5qqcz97hf", "Errors.User.NotInactive"),
            ("lock", Active | Initial) => (Locked, "user.locked"),
            ("lock", _) => return refused("COMMAND-lgws8wtsqf", "Errors.User.ShouldBeActiveOrInitial"),
            (_, Locked) => (Active, "user.unlocked"),
            _ => return refused("COMMAND-olb9vb0oca", "Errors.User.NotLocked"),
        };
        user.state = next;
        user.failed_attempts = 0;
        let at = state.commit(user, vec![(kind, None)], caller);
        Ok(changed(&state.existing(id, "")?, at))
    }

    /// `DELETE /v2/users/{id}/phone`.
    pub(super) fn remove_phone(&self, caller: &str, id: &str) -> Result<Value, Fail> {
        let mut state = self.state();
        let mut user = state.existing(id, "COMMAND-ieJ2e")?;
        state.require(caller, "user.write", Some(&user.organization_id), DENIED)?;
        if user.phone.take().is_none() {
            return Err(Fail::new(Code::FailedPrecondition, "COMMAND-ieJ2e", "Errors.User.Phone.NotFound"));
        }
        user.phone_verified = false;
        // It goes with the number, without an event of its own.
        user.otp_sms = false;
        let at = state.commit(user, vec![("user.human.phone.removed", None)], caller);
        Ok(changed(&state.existing(id, "")?, at))
    }

    /// `DELETE /v2/users/{id}`.
    pub(super) fn delete_user(&self, caller: &str, id: &str) -> Result<Value, Fail> {
        let mut state = self.state();
        let owner = state.existing(id, "COMMAND-bd4ir1mblj")?.organization_id;
        if caller != id {
            state.require(caller, "user.delete", Some(&owner), DENIED)?;
        }
        let user = state.delete(id, caller)?;
        Ok(changed(&user, user.changed))
    }

    /// `POST /v2/users/{id}/metadata`.
    pub(super) fn put_metadata(&self, caller: &str, id: Option<&str>, body: &[u8]) -> Result<Value, Fail> {
        let request = read(&SET_METADATA, body, id)?;
        let mut state = self.state();
        let id = text(&request, "userId");
        let owner = state.existing(id, "COMMAND-uXHNj")?.organization_id;
        state.require(caller, "user.write", Some(&owner), DENIED)?;
        state.set_metadata(id, list(&request, "metadata"), "COMMAND-uXHNj", caller)?;
        Ok(json!({"setDate": time(state.now())}))
    }

    /// `DeleteUserMetadata`: all keys or none.
    pub(super) fn remove_metadata(&self, caller: &str, id: &str, request: &Value) -> Result<Value, Fail> {
        let mut state = self.state();
        let mut user = state.existing(id, "COMMAND-uXHNj")?;
        state.require(caller, "user.write", Some(&user.organization_id), DENIED)?;
        let keys: Vec<_> = list(request, "keys").iter().filter_map(Value::as_str).collect();
        if keys.is_empty() {
            return Err(Fail::new(Code::FailedPrecondition, "META-9mm2d", "Errors.Metadata.NoData"));
        }
        if keys.iter().any(|key| user.metadata.remove(*key).is_none()) {
            return Err(Fail::new(Code::NotFound, "META-2nnds", "Errors.Metadata.KeyNotExisting"));
        }
        let events = keys.iter().map(|key| ("user.metadata.removed", Some(json!({"key": key})))).collect();
        state.commit(user, events, caller);
        Ok(json!({"deletionDate": time(state.now())}))
    }

    /// `POST /v2/users/{id}/metadata/search`: eventual.
    pub(super) fn metadata(&self, caller: &str, id: &str, request: &Value) -> Result<Value, Fail> {
        let mut state = self.state();
        state.project();
        let mut rows = Vec::new();
        if let Some((held, user)) = state.held(id) {
            if caller != id {
                state.require(caller, "user.read", Some(&user.organization_id), DENIED)?;
            }
            let at = time(user.changed);
            rows.extend(held.metadata.iter().map(|(key, value)| {
                use base64::Engine as _;
                let value = base64::engine::general_purpose::STANDARD.encode(value);
                json!({"creationDate": at, "changeDate": at, "key": key, "value": value})
            }));
        }
        drop(state);
        self.page("metadata", rows, request)
    }

    /// `POST /v2/users/{id}/links`.
    pub(super) fn link_user(&self, caller: &str, id: Option<&str>, body: &[u8]) -> Result<Value, Fail> {
        let request = read(&ADD_LINK, body, id)?;
        let mut state = self.state();
        let id = text(&request, "userId");
        let owner = state
            .existing(id, "")
            .map_err(|_| Fail::new(Code::FailedPrecondition, "COMMAND-vzktar7b7f", "Errors.User.NotFound"))?
            .organization_id;
        state.require(caller, "user.write", Some(&owner), DENIED)?;
        let link = link_of(&request["idpLink"], ["idpId", "userId", "userName"]);
        let user = state.add_link(id, link, "COMMAND-uXHNj", "COMMAND-39nf2", caller)?;
        let at = state.now();
        Ok(changed(&user, at))
    }

    /// `DELETE /v2/users/{id}/links/{idp}/{linked}`: the external id is compared exactly.
    pub(super) fn unlink_user(&self, caller: &str, id: &str, idp: &str, linked: &str) -> Result<Value, Fail> {
        let mut state = self.state();
        let missing = || Fail::new(Code::NotFound, "COMMAND-1M9xR", "Errors.User.ExternalIDP.NotFound");
        let mut user = state.existing(id, "").map_err(|_| missing())?;
        state.require(caller, "user.write", Some(&user.organization_id), DENIED)?;
        let at = user.links.iter().position(|link| link.idp_id == idp && link.user_id == linked).ok_or_else(missing)?;
        let link = user.links.remove(at);
        state.links.remove(&(link.idp_id.clone(), link.user_id.to_lowercase()));
        let payload = json!({"idpConfigId": link.idp_id, "userId": link.user_id});
        let at = state.commit(user, vec![("user.human.externalidp.removed", Some(payload))], caller);
        let user = state.existing(id, "")?;
        Ok(changed(&user, at))
    }

    /// `POST /v2/users/{id}/links/_search`: eventual.
    pub(super) fn links(&self, caller: &str, id: &str, request: &Value) -> Result<Value, Fail> {
        let mut state = self.state();
        state.project();
        let mut links = Vec::new();
        if let Some((held, user)) = state.held(id) {
            if caller != id {
                state.require(caller, "user.read", Some(&user.organization_id), DENIED)?;
            }
            links.extend(
                held.links.iter().map(|l| json!({"idpId": l.idp_id, "userId": l.user_id, "userName": l.user_name})),
            );
        }
        let page = page(&self.options, Family::V2, &request["query"], links)?;
        Ok(page.details(json!({"details": {"timestamp": time(state.view.position)}})))
    }

    /// `GET /v2/users/{id}/authentication_methods`: eventual.
    pub(super) fn methods(&self, caller: &str, id: &str) -> Result<Value, Fail> {
        let mut state = self.state();
        state.project();
        let timestamp = time(state.view.position);
        let mut methods = Vec::new();
        // The list starts from the users, and joins the others to them.
        if let Some((held, user)) = state.view.rows.get(id).and_then(|held| Some((held, held.user.as_ref()?))) {
            if caller != id {
                state.require(caller, "user.read", Some(&user.organization_id), DENIED)?;
            }
            let factors = held.factors;
            let has = [
                (factors.totp == Some(true), "AUTHENTICATION_METHOD_TYPE_TOTP"),
                (factors.otp_sms, "AUTHENTICATION_METHOD_TYPE_OTP_SMS"),
                (factors.otp_email, "AUTHENTICATION_METHOD_TYPE_OTP_EMAIL"),
                (factors.recovery_codes, "AUTHENTICATION_METHOD_TYPE_RECOVERY_CODE"),
                (user.hash.is_some(), "AUTHENTICATION_METHOD_TYPE_PASSWORD"),
                (!held.links.is_empty(), "AUTHENTICATION_METHOD_TYPE_IDP"),
            ];
            methods.extend(has.into_iter().filter(|(has, _)| *has).map(|(_, name)| name));
        }
        if methods.is_empty() {
            return Ok(json!({"details": {"timestamp": timestamp}}));
        }
        Ok(
            json!({"details": {"totalResult": methods.len().to_string(), "timestamp": timestamp}, "authMethodTypes": methods}),
        )
    }

    /// `POST /v2/users`: what the projection has read so far.
    pub(super) fn search(&self, caller: &str, request: &Value) -> Result<Value, Fail> {
        let mut state = self.state();
        state.project();
        let queries = list(request, "queries");
        for (i, query) in queries.iter().enumerate() {
            known_query(query, 20).map_err(|reason| {
                Fail::plain(Code::InvalidArgument, format!("invalid ListUsersRequest.Queries[{i}]: {reason}"))
            })?;
        }
        let mut found: Vec<(&Arc<User>, &Rows)> = Vec::new();
        // By id the map answers at once; everything else looks at every user.
        let ids = queries.iter().find_map(|query| query["inUserIdsQuery"]["userIds"].as_array());
        let matches = |(user, rows): &(&Arc<User>, &Rows)| {
            (user.id == caller || state.require(caller, "user.read", Some(&user.organization_id), DENIED).is_ok())
                && queries.iter().all(|query| matches(query, user, rows))
        };
        match ids {
            Some(ids) => {
                let unique: std::collections::HashSet<_> = ids.iter().filter_map(Value::as_str).collect();
                let rows = unique.into_iter().filter_map(|id| state.view.rows.get(id));
                found.extend(rows.filter_map(with_user).filter(matches));
            }
            None => found.extend(state.view.rows.values().filter_map(with_user).filter(matches)),
        }
        let column = text(request, "sortingColumn");
        let key = |user: &Arc<User>| match column {
            "USER_FIELD_NAME_USER_NAME" => user.user_name.clone(),
            "USER_FIELD_NAME_EMAIL" => user.email.clone(),
            "USER_FIELD_NAME_FIRST_NAME" => user.first_name.clone(),
            "USER_FIELD_NAME_LAST_NAME" => user.last_name.clone(),
            "USER_FIELD_NAME_DISPLAY_NAME" => user.display_name.clone(),
            _ => String::new(),
        };
        found.sort_by_cached_key(|(user, _)| (key(user), user.created));
        if request["query"]["asc"] != true {
            found.reverse();
        }
        let page = page(&self.options, Family::V2, &request["query"], found)?;
        let rows = page.rows.iter().map(|(user, rows)| shown(user, rows.login_name.as_deref())).collect();
        let page = Page { rows, total: page.total, limit: page.limit };
        let nobody = page.rows.is_empty();
        let mut body = page.details(json!({"details": {"timestamp": time(state.view.position)}}));
        if nobody {
            return Ok(body);
        }
        if !column.is_empty() && column != "USER_FIELD_NAME_UNSPECIFIED" {
            body["sortingColumn"] = column.into();
        }
        Ok(body)
    }
}

/// A number that protobuf's JSON may give as text.
pub(super) fn number(value: &Value, name: &str) -> usize {
    let value = &value[name];
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0);
    usize::try_from(number).unwrap_or(usize::MAX)
}

const QUERIES: &[&str] = &[
    "userNameQuery",
    "firstNameQuery",
    "lastNameQuery",
    "nickNameQuery",
    "displayNameQuery",
    "emailQuery",
    "phoneQuery",
    "stateQuery",
    "typeQuery",
    "loginNameQuery",
    "inUserIdsQuery",
    "inUserEmailsQuery",
    "organizationIdQuery",
    "orQuery",
    "andQuery",
    "notQuery",
    "metadataKeyFilter",
];

/// Refuses a query that names nothing the server knows: it drops the unknown name, and then the choice is missing.
fn known_query(query: &Value, depth: u32) -> Result<(), String> {
    let Some(name) = QUERIES.iter().find(|name| !query[**name].is_null()) else {
        return Err(
            "embedded message failed validation | caused by: invalid SearchQuery.Query: value is required".to_owned()
        );
    };
    if depth == 0 {
        return Err("Errors.Query.TooManyNestingLevels".to_owned());
    }
    let inner = &query[*name];
    match *name {
        "orQuery" | "andQuery" => list(inner, "queries").iter().try_for_each(|query| known_query(query, depth - 1)),
        "notQuery" => known_query(&inner["query"], depth - 1),
        _ => Ok(()),
    }
}

/// The rows of a user that the users projection knows.
fn with_user(rows: &Rows) -> Option<(&Arc<User>, &Rows)> {
    rows.user.as_ref().map(|user| (user, rows))
}

fn matches(query: &Value, user: &User, rows: &Rows) -> bool {
    let Some(name) = QUERIES.iter().find(|name| !query[**name].is_null()) else { return false };
    let inner = &query[*name];
    let one_of = |names: &str, value: &str| list(inner, names).iter().any(|wanted| wanted == value);
    let method = text(inner, "method");
    match *name {
        "userNameQuery" => compare(method, &user.user_name, text(inner, "userName")),
        "loginNameQuery" => {
            rows.login_name.as_deref().is_some_and(|name| compare(method, name, text(inner, "loginName")))
        }
        "firstNameQuery" => compare(method, &user.first_name, text(inner, "firstName")),
        "lastNameQuery" => compare(method, &user.last_name, text(inner, "lastName")),
        "nickNameQuery" => compare(method, &user.nick_name, text(inner, "nickName")),
        "displayNameQuery" => compare(method, &user.display_name, text(inner, "displayName")),
        "emailQuery" => compare(method, &user.email, text(inner, "emailAddress")),
        "phoneQuery" => compare(method, user.phone.as_deref().unwrap_or_default(), text(inner, "number")),
        "metadataKeyFilter" => rows.metadata.keys().any(|key| compare(method, key, text(inner, "key"))),
        "stateQuery" => user.state.name() == text(inner, "state"),
        "typeQuery" => (text(inner, "type") == "TYPE_MACHINE") == user.machine,
        "inUserIdsQuery" => one_of("userIds", &user.id),
        "inUserEmailsQuery" => one_of("userEmails", &user.email),
        "organizationIdQuery" => text(inner, "organizationId") == user.organization_id,
        "orQuery" => list(inner, "queries").iter().any(|query| matches(query, user, rows)),
        "andQuery" => list(inner, "queries").iter().all(|query| matches(query, user, rows)),
        "notQuery" => !matches(&inner["query"], user, rows),
        _ => false,
    }
}

fn compare(method: &str, value: &str, wanted: &str) -> bool {
    let method = method.strip_prefix("TEXT_QUERY_METHOD_").unwrap_or(method);
    let (method, value, wanted) = match method.strip_suffix("_IGNORE_CASE") {
        Some(method) => (method, value.to_lowercase(), wanted.to_lowercase()),
        None => (method, value.to_owned(), wanted.to_owned()),
    };
    match method {
        "STARTS_WITH" => value.starts_with(&wanted),
        "ENDS_WITH" => value.ends_with(&wanted),
        "CONTAINS" => value.contains(&wanted),
        _ => value == wanted,
    }
}

impl State {
    pub(super) fn org_exists(&self, org: &str) -> Result<(), Fail> {
        if self.orgs.contains_key(org) {
            return Ok(());
        }
        Err(Fail::new(Code::FailedPrecondition, "COMMAND-QXPGs", "Errors.Org.NotFound"))
    }

    fn create_human(&mut self, caller: &str, org: &str, request: &Value) -> Result<Value, Fail> {
        let human = &request["human"];
        let id = request["userId"].as_str().map_or_else(|| self.id(), str::to_owned);
        let mut user = self.fresh(&id, org);
        text(&human["email"], "email").trim().clone_into(&mut user.email);
        checked_email(&user.email)?;
        let name = request["username"].as_str().map_or_else(|| user.email.clone(), |name| name.trim().to_owned());
        user.user_name = name;
        take_profile(&mut user, &human["profile"], ["givenName", "familyName"]);
        for part in [&mut user.first_name, &mut user.last_name, &mut user.display_name] {
            *part = part.trim().to_owned();
        }
        let empty = |id, key| Err(Fail::new(Code::InvalidArgument, id, key));
        if user.user_name.is_empty() {
            return empty("V2-zzad3", "Errors.User.UsernameNotFound");
        }
        if user.first_name.is_empty() {
            return empty("USER-UCej2", "Errors.User.Profile.FirstNameEmpty");
        }
        if user.last_name.is_empty() {
            return empty("USER-4hB7d", "Errors.User.Profile.LastNameEmpty");
        }
        if !text(&human["phone"], "phone").is_empty() {
            user.phone = Some(checked_phone(text(&human["phone"], "phone"))?);
        }
        take_password(&mut user, human)?;
        self.require(caller, "user.write", Some(org), DENIED)?;
        self.org_exists(org)?;
        if self.users.get(&id).is_some_and(User::exists) {
            return Err(Fail::new(Code::FailedPrecondition, "COMMAND-7yiox1isql", "Errors.User.AlreadyExisting"));
        }
        for link in list(human, "idpLinks").iter().map(|link| link_of(link, ["idpId", "userId", "userName"])) {
            if !self.has_idp(&link.idp_id, org) {
                return Err(Fail::new(Code::FailedPrecondition, "COMMAND-39nf2", "Errors.IDPConfig.NotExisting"));
            }
            self.free_link(&link)?;
            user.links.push(link);
        }
        no_nul(request)?;
        self.free_name(&user.user_name, &id, org)?;
        self.claim(&user);

        let (mut email_code, mut phone_code) = (None, None);
        let mut events = vec![("user.human.added", Some(added(&user, false)))];
        let kinds = ["user.human.email.verified", "user.human.email.code.added"];
        let (verified, event) = verification(&human["email"], kinds, &mut email_code);
        user.email_verified = verified;
        events.extend(event);
        if user.phone.is_some() {
            let kinds = ["user.human.phone.verified", "user.human.phone.code.added"];
            let (verified, event) = verification(&human["phone"], kinds, &mut phone_code);
            user.phone_verified = verified;
            events.extend(event);
        }
        for entry in list(request, "metadata").iter().chain(list(human, "metadata")) {
            events.push(("user.metadata.set", Some(entry.clone())));
            user.metadata.insert(text(entry, "key").to_owned(), bytes_of(text(entry, "value")).unwrap_or_default());
        }
        events.extend(user.links.iter().map(|link| ("user.human.externalidp.added", Some(linked(link)))));
        if let Some(secret) = human["totpSecret"].as_str() {
            user.totp = Some(secret.to_owned());
            events.extend([("user.human.mfa.otp.added", None), ("user.human.mfa.otp.verified", None)]);
        }
        user.email_code.clone_from(&email_code);
        let at = self.commit(user, events, caller);
        let mut answer = json!({"id": id, "creationDate": time(at)});
        for (name, code) in [("emailCode", email_code), ("phoneCode", phone_code)] {
            if let Some(code) = code {
                answer[name] = code.into();
            }
        }
        Ok(answer)
    }

    fn update_human(&mut self, caller: &str, request: &Value) -> Result<Value, Fail> {
        let id = text(request, "userId");
        let human = &request["human"];
        if human["email"].is_object() {
            checked_email(text(&human["email"], "email"))?;
        }
        let phone = match human["phone"]["phone"].as_str() {
            Some("") | None => None,
            Some(phone) => Some(checked_phone(phone)?),
        };
        let mut user = self.existing(id, "COMMAND-ugjs0upun6")?;
        if caller != id {
            self.require(caller, "user.write", Some(&user.organization_id), DENIED)?;
        }
        let password = take_password(&mut user, &human["password"])?;
        no_nul(request)?;
        let mut events: Vec<(&'static str, Option<Value>)> = Vec::new();
        if let Some(name) = request["username"].as_str().filter(|name| *name != user.user_name) {
            self.free_name(name, id, &user.organization_id)?;
            self.names.remove(&user.user_name.to_lowercase());
            name.clone_into(&mut user.user_name);
            self.claim(&user);
            events.push(("user.username.changed", Some(json!({"userName": name}))));
        }
        if let Some(changed) = update_profile(&mut user, &human["profile"]) {
            events.push(("user.human.profile.changed", Some(changed)));
        }
        let (mut email_code, mut phone_code) = (None, None);
        if human["email"].is_object() {
            let email = text(&human["email"], "email");
            if email != user.email {
                email.clone_into(&mut user.email);
                (user.email_verified, user.email_code) = (false, None);
                events.push(("user.human.email.changed", Some(json!({"email": email}))));
            }
            let kinds = ["user.human.email.verified", "user.human.email.code.added"];
            let (verified, event) = verification(&human["email"], kinds, &mut email_code);
            if verified != user.email_verified || !verified {
                events.extend(event);
            }
            user.email_verified |= verified;
        }
        if let Some(phone) = phone {
            if user.phone.as_ref() != Some(&phone) {
                events.push(("user.human.phone.changed", Some(json!({"phone": phone}))));
                user.phone = Some(phone);
                user.phone_verified = false;
            }
            let kinds = ["user.human.phone.verified", "user.human.phone.code.added"];
            let (verified, event) = verification(&human["phone"], kinds, &mut phone_code);
            if verified != user.phone_verified || !verified {
                events.extend(event);
            }
            user.phone_verified |= verified;
        }
        if email_code.is_some() {
            user.email_code.clone_from(&email_code);
        }
        if password {
            events.push(("user.human.password.changed", Some(json!({"encodedHash": user.hash}))));
        }
        // Nothing changed: the answer has the date of the last change that this command looks at, the creation's.
        let at = if events.is_empty() { user.created } else { self.commit(user, events, caller) };
        let mut answer = json!({"changeDate": time(at)});
        for (name, code) in [("emailCode", email_code), ("phoneCode", phone_code)] {
            if let Some(code) = code {
                answer[name] = code.into();
            }
        }
        Ok(answer)
    }
}

/// Changes a profile; the fields that changed, by their names in the event.
fn update_profile(user: &mut User, profile: &Value) -> Option<Value> {
    let mut changed = serde_json::Map::new();
    let language = profile["preferredLanguage"].as_str().map(rules::language);
    for (name, event_name, part) in [
        ("givenName", "firstName", &mut user.first_name),
        ("familyName", "lastName", &mut user.last_name),
        ("nickName", "nickName", &mut user.nick_name),
        ("displayName", "displayName", &mut user.display_name),
        ("gender", "gender", &mut user.gender),
        ("preferredLanguage", "preferredLanguage", &mut user.language),
    ] {
        let value = if name == "preferredLanguage" { language.as_deref() } else { profile[name].as_str() };
        if let Some(value) = value.filter(|value| value != part) {
            value.clone_into(part);
            changed.insert(event_name.to_owned(), value.into());
        }
    }
    (!changed.is_empty()).then(|| changed.into())
}
