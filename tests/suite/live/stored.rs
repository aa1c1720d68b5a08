//! What a real ZITADEL holds, from its events: they are strongly consistent, and no projection stands between.

use a2z::sandbox::zitadel::{Link, User, UserState};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;
use crate::harness::Expected;

impl Live {
    /// The user as the events tell, whoever it was before; none where the user was never created, or is gone. A TOTP
    /// secret is told only by [`Self::exported`]: here it is `-`.
    pub(super) async fn stored(&self, user_id: &str) -> Option<User> {
        of_events(&self.events(user_id).await)
    }

    /// Every row of the tenant became what the mapping's table says, whole, once, without a message; and nobody else is
    /// in the organization. Identities at Google are links to the provider `google`; others may be links, where the
    /// instance has a provider.
    pub(super) async fn assert_arrived(&self, tenant: &Tenant, google: Option<&str>) {
        let expected = Expected::of(tenant);
        let people = expected.users();
        let rows: BTreeMap<String, Row> = tenant.rows().map(|row| (row.user_id.clone(), row)).collect();
        for (id, person) in &people {
            let events = self.events(id).await;
            let mut user = of_events(&events).unwrap_or_else(|| panic!("`{id}` did not arrive"));
            assert_links(&rows[*id], &std::mem::take(&mut user.links), google);
            person.assert_is(&user, &self.organization_id);
            assert_eq!(user.created_count, 1, "`{id}`");
            assert_eq!(messages(&events), 0, "`{id}` would have got a message");
        }
        let there = self.ever_created().await;
        let strangers: Vec<_> = there.iter().filter(|id| !people.contains_key(id.as_str())).collect();
        assert!(strangers.is_empty(), "nobody should have moved these: {strangers:?}");
    }

    /// A provider of kind `google` (the last part of the path) in the organization.
    pub(super) async fn add_provider(&self, kind: &str, mut provider: Value) -> String {
        provider["name"] = format!("a2z {kind}").into();
        let request = self.http.post(format!("{}/management/v1/idps/{kind}", self.url)).bearer_auth(&self.token);
        let request =
            request.header("content-type", "application/json").header("x-zitadel-orgid", &self.organization_id);
        let answer = request.body(provider.to_string()).send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Everybody who was ever created in the organization.
    async fn ever_created(&self) -> BTreeSet<String> {
        let query = json!({
            "resourceOwner": self.organization_id, "eventTypes": ["user.human.added"], "asc": true, "limit": 1000,
        });
        let (status, answer) = self.post("/admin/v1/events/_search", query).await;
        assert_eq!(status, 200, "{answer}");
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        assert!(events.len() < 1000, "too many to read at once");
        events.iter().map(|event| text(&event["aggregate"]["id"])).collect()
    }

    /// The TOTP secrets of the organization's users, in clear, by user id. Reads projections.
    pub(super) async fn secrets(&self) -> BTreeMap<String, String> {
        let query = json!({
            "orgIds": [self.organization_id], "withPasswords": false, "withOtp": true, "timeout": "60s",
            "responseOutput": true,
        });
        let (status, answer) = self.post("/admin/v1/export", query).await;
        assert_eq!(status, 200, "{answer}");
        let users = answer["orgs"][0]["humanUsers"].as_array().cloned().unwrap_or_default();
        let secret = |user: &Value| Some((text(&user["userId"]), user["user"]["otpCode"].as_str()?.to_owned()));
        users.iter().filter_map(secret).collect()
    }
}

/// Each link is an identity of the row's, and there once; and none at Google is missing.
#[track_caller]
fn assert_links(row: &Row, links: &[Link], google: Option<&str>) {
    let user: Value = serde_json::from_str(&row.line()).unwrap();
    let identities: Vec<(String, bool)> = user["identities"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|identity| identity["provider"] != "auth0")
        .map(|identity| {
            // A number of 21 digits is more than serde_json holds; then it is the whole of the user's own id.
            let own = || row.user_id.rsplit('|').next().unwrap_or_default().to_owned();
            let id = identity["user_id"].as_str().map_or_else(own, str::to_owned);
            (id, identity["connection"] == "google-oauth2")
        })
        .collect();
    let linked: BTreeSet<(String, String)> =
        links.iter().map(|link| (link.idp_id.clone(), link.user_id.clone())).collect();
    assert_eq!(linked.len(), links.len(), "`{}` has a link twice: {links:?}", row.user_id);
    for (idp_id, id) in &linked {
        let is_google = Some(idp_id.as_str()) == google;
        // Of an enterprise identity only what stands behind the connection's name is the id.
        let known = identities.iter().any(|(own, at_google)| own.ends_with(id) && (*at_google || !is_google));
        assert!(known, "`{}`: {id} of {identities:?}", row.user_id);
    }
    for (id, _) in identities.iter().filter(|(_, at_google)| *at_google) {
        if let Some(google) = google {
            assert!(linked.contains(&(google.to_owned(), id.clone())), "`{}`: {id}, {linked:?}", row.user_id);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn of_events(events: &[Value]) -> Option<User> {
    let mut user = None;
    for event in events {
        follow(&mut user, event);
    }
    user
}

/// What an event does to a user.
fn follow(user: &mut Option<User>, event: &Value) {
    let (kind, payload) = (event["type"]["type"].as_str().unwrap_or_default(), &event["payload"]);
    if kind == "user.human.added" {
        let created_count = user.as_ref().map_or(0, |user| user.created_count) + 1;
        *user = Some(added(event, created_count));
        return;
    }
    if kind == "user.removed" {
        *user = None;
        return;
    }
    let Some(user) = user else { return };
    match kind {
        "user.human.email.changed" => (user.email, user.email_verified) = (text(&payload["email"]), false),
        "user.human.email.verified" => user.email_verified = true,
        "user.human.phone.changed" => (user.phone, user.phone_verified) = (Some(text(&payload["phone"])), false),
        "user.human.phone.verified" => user.phone_verified = true,
        "user.human.phone.removed" => (user.phone, user.phone_verified) = (None, false),
        "user.human.password.changed" | "user.human.password.hash.updated" => {
            user.hash = Some(text(&payload["encodedHash"]));
            user.change_required = payload["changeRequired"] == true;
        }
        "user.username.changed" => user.user_name = text(&payload["userName"]),
        "user.deactivated" => user.state = UserState::Inactive,
        "user.locked" => user.state = UserState::Locked,
        "user.reactivated" | "user.unlocked" => user.state = UserState::Active,
        "user.human.initialization.code.added" => user.state = UserState::Initial,
        "user.human.externalidp.added" => user.links.push(Link {
            idp_id: text(&payload["idpConfigId"]),
            user_id: text(&payload["userId"]),
            user_name: text(&payload["displayName"]),
        }),
        "user.human.mfa.otp.verified" => user.totp = Some("-".to_owned()),
        "user.human.mfa.recoverycode.added" => {
            user.recovery_codes.extend(payload["codes"].as_array().into_iter().flatten().map(text));
        }
        "user.metadata.set" => {
            let value = STANDARD.decode(text(&payload["value"])).unwrap();
            user.metadata.insert(text(&payload["key"]), value);
        }
        "user.metadata.removed" => drop(user.metadata.remove(&text(&payload["key"]))),
        "user.human.profile.changed" => {
            for (key, field) in [
                ("firstName", &mut user.first_name),
                ("lastName", &mut user.last_name),
                ("nickName", &mut user.nick_name),
                ("displayName", &mut user.display_name),
                ("preferredLanguage", &mut user.language),
            ] {
                if payload[key].is_string() {
                    *field = text(&payload[key]);
                }
            }
        }
        _ => {}
    }
}

fn added(event: &Value, created_count: u32) -> User {
    let payload = &event["payload"];
    let mut user = User::default();
    user.id = text(&event["aggregate"]["id"]);
    user.organization_id = text(&event["aggregate"]["resourceOwner"]);
    user.created_count = created_count;
    user.user_name = text(&payload["userName"]);
    user.first_name = text(&payload["firstName"]);
    user.last_name = text(&payload["lastName"]);
    user.nick_name = text(&payload["nickName"]);
    user.display_name = text(&payload["displayName"]);
    payload["preferredLanguage"].as_str().unwrap_or("und").clone_into(&mut user.language);
    user.email = text(&payload["email"]);
    user.phone = payload["phone"].as_str().map(str::to_owned);
    user.hash = payload["encodedHash"].as_str().map(str::to_owned);
    user.change_required = payload["changeRequired"] == true;
    user
}
