//! Finding users. A search reads the projections, which lag behind; a read by id does not.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{Client, Rest, page, parse},
    failure::{Failure, Reason},
    lists::{LARGEST_PAGE, List},
};
use crate::{http::Answer, mapping::delta::Held};

/// A read by id waits for the projections, and they may be far behind.
const READ: Duration = Duration::from_mins(2);
/// Between two attempts at the barrier.
const BARRIER_PAUSE: Duration = Duration::from_secs(1);
/// No user has this id.
const NOBODY: &str = "a2z-barrier";

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct SearchAnswer {
    /// The users.
    pub users: Vec<FoundUser>,
    /// How many there are, beyond this page too.
    pub total: u64,
    /// The time of the newest event that the projection has read.
    pub timestamp: Option<Timestamp>,
    /// ZITADEL's clock when it answered, to the second.
    pub server_date: Option<Timestamp>,
}

/// The state of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum UserState {
    /// May sign in.
    #[serde(rename = "USER_STATE_ACTIVE")]
    Active,
    /// May not.
    #[serde(rename = "USER_STATE_INACTIVE")]
    Inactive,
    /// Gone.
    #[serde(rename = "USER_STATE_DELETED")]
    Deleted,
    /// May not, until unlocked.
    #[serde(rename = "USER_STATE_LOCKED")]
    Locked,
    /// Never finished; Login V2 refuses it.
    #[serde(rename = "USER_STATE_INITIAL")]
    Initial,
    /// One that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A user as ZITADEL shows one. Texts that are missing are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundUser {
    /// The id.
    pub user_id: String,
    /// The organization that the user belongs to.
    pub organization_id: String,
    /// The state.
    pub state: UserState,
    /// The user name.
    pub user_name: String,
    /// What the user may sign in with.
    pub login_names: Vec<String>,
    /// No service account.
    pub is_human: bool,
    /// `givenName`.
    pub first_name: String,
    /// `familyName`.
    pub last_name: String,
    /// `nickName`.
    pub nick_name: String,
    /// `displayName`.
    pub display_name: String,
    /// `und` where there is none.
    pub preferred_language: String,
    /// The address.
    pub email: String,
    /// Is it verified?
    pub email_verified: bool,
    /// The number.
    pub phone: String,
    /// Is it verified?
    pub phone_verified: bool,
    /// When the password was set, as ZITADEL writes it; there is none where this is none.
    pub password_changed: Option<String>,
    /// When the user was created, as ZITADEL writes it.
    pub created: Option<String>,
    /// When the user was changed last, as ZITADEL writes it.
    pub changed: Option<String>,
}

impl FoundUser {
    /// Deactivated?
    #[must_use]
    pub fn is_inactive(&self) -> bool {
        self.state == UserState::Inactive
    }

    /// The profile, for a merge.
    #[must_use]
    pub fn held(&self) -> Held<'_> {
        Held {
            user_name: &self.user_name,
            first_name: &self.first_name,
            last_name: &self.last_name,
            display_name: &self.display_name,
            nick_name: &self.nick_name,
            language: &self.preferred_language,
            email: &self.email,
            email_verified: self.email_verified,
            phone: &self.phone,
            phone_verified: self.phone_verified,
            inactive: self.is_inactive(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUser {
    user_id: String,
    #[serde(default)]
    details: WireDetails,
    #[serde(default)]
    state: UserState,
    #[serde(default)]
    username: String,
    #[serde(default)]
    login_names: Vec<String>,
    #[serde(default)]
    human: Option<WireHuman>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireDetails {
    resource_owner: String,
    creation_date: Option<String>,
    change_date: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireHuman {
    profile: WireProfile,
    email: WireEmail,
    phone: WirePhone,
    password_changed: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireProfile {
    given_name: String,
    family_name: String,
    nick_name: String,
    display_name: String,
    preferred_language: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireEmail {
    email: String,
    is_verified: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WirePhone {
    phone: String,
    is_verified: bool,
}

#[derive(Deserialize)]
struct WireSearch {
    details: WireSearchDetails,
    #[serde(default)]
    result: Vec<WireUser>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSearchDetails {
    /// Left out where it is 0.
    #[serde(default)]
    total_result: Option<String>,
    #[serde(default)]
    timestamp: Option<Timestamp>,
}

impl From<WireUser> for FoundUser {
    fn from(wire: WireUser) -> Self {
        let is_human = wire.human.is_some();
        let human = wire.human.unwrap_or_default();
        Self {
            user_id: wire.user_id,
            organization_id: wire.details.resource_owner,
            state: wire.state,
            user_name: wire.username,
            login_names: wire.login_names,
            is_human,
            first_name: human.profile.given_name,
            last_name: human.profile.family_name,
            nick_name: human.profile.nick_name,
            display_name: human.profile.display_name,
            preferred_language: human.profile.preferred_language,
            email: human.email.email,
            email_verified: human.email.is_verified,
            phone: human.phone.phone,
            phone_verified: human.phone.is_verified,
            password_changed: human.password_changed,
            created: wire.details.creation_date,
            changed: wire.details.change_date,
        }
    }
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// `user.human.added`, …; at most 30. Empty: all.
    pub event_types: Vec<String>,
    /// `user`, `session`, …; at most 10. Empty: all.
    pub aggregate_types: Vec<String>,
    /// Of this user (or other aggregate).
    pub aggregate_id: Option<String>,
    /// Of this organization.
    pub organization_id: Option<String>,
    /// Made by this account.
    pub editor_user_id: Option<String>,
    /// Later than this (or, newest first, earlier).
    pub since: Option<Timestamp>,
    /// Oldest first.
    pub ascending: bool,
    /// At most so many.
    pub limit: u32,
}

/// Something that happened. Its payload, which may hold hashes, is not even read, but for the user of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `user.human.added`.
    pub kind: String,
    /// The user (or other aggregate).
    pub aggregate_id: String,
    /// The organization.
    pub organization_id: String,
    /// When.
    pub created: Option<Timestamp>,
    /// The account that did it.
    pub editor_user_id: String,
    /// Its number among the events of its aggregate, from 1.
    pub sequence: u64,
    /// The user whom a session is for, of `session.user.checked`.
    pub session_user_id: Option<String>,
    /// Provider and external id, of an event about a link.
    pub link: Option<(String, String)>,
    /// Whom it is about, of an event that is another aggregate's: a grant, a membership, the user of a session.
    pub about: Option<String>,
}

impl Client {
    /// Which of these ids exist; all of them at a time, if ZITADEL gives so many in one answer. Reads the projections: a user who was created a moment ago may be
    /// missing, see [`SearchAnswer::timestamp`] and [`Self::barrier`].
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn search_by_ids(&self, ids: &[String]) -> Result<SearchAnswer, Failure> {
        let (mut answer, hidden) = self.search_chunks("look users up", ids, &[]).await?;
        for id in hidden {
            match self.user(&id).await {
                Ok(user) => answer.users.extend(user),
                // Whom the account may not see.
                Err(Failure::NoPermission(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(answer)
    }

    /// Which of these users (at most 500) have metadata with this key, as far as ZITADEL has projected it.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn search_by_metadata_key(&self, ids: &[String], key: &str) -> Result<HashSet<String>, Failure> {
        let filter = json!({ "metadataKeyFilter": { "key": key, "method": "TEXT_FILTER_METHOD_EQUALS" } });
        let (found, _) = match self.search_chunks("look metadata up", ids, &[filter]).await {
            // Of a ZITADEL that does not know this filter nobody is said to lack anything.
            Err(Failure::Refused { status: 400, .. }) => return Ok(ids.iter().cloned().collect()),
            found => found?,
        };
        Ok(found.users.into_iter().map(|user| user.user_id).collect())
    }

    /// How many users (service accounts included) the instance has.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn count_users(&self) -> Result<u64, Failure> {
        let body = json!({ "query": { "limit": 1 }, "queries": [] });
        self.search("count the users", &body).await.map(|answer| answer.total)
    }

    /// The ids of at most `enough` users of an organization, and how many there are.
    pub(super) async fn first_users_of(
        &self,
        organization_id: &str,
        enough: usize,
    ) -> Result<(Vec<String>, u64), Failure> {
        let what = "list the users of an organization";
        let queries = json!([{ "organizationIdQuery": { "organizationId": organization_id } }]);
        let count = self.search(what, &json!({ "query": { "limit": 1 }, "queries": queries })).await?.total;
        let users = self.search_enough(what, &queries, enough).await?;
        let users: Vec<String> = users.into_iter().map(|user| user.user_id).collect();
        let count = count.max(users.len() as u64);
        Ok((users, count))
    }

    /// The users for whom these queries hold; once there are `enough`, no more are asked for.
    pub(super) async fn search_enough(
        &self,
        what: &str,
        queries: &Value,
        enough: usize,
    ) -> Result<Vec<FoundUser>, Failure> {
        let request = |page| self.post(what, "v2/users", &json!({ "query": page, "queries": queries })).idempotent();
        let users = self.whole(List::of("result").enough(enough), request, |user: &WireUser| user.user_id.clone());
        Ok(users.await?.into_iter().map(FoundUser::from).collect())
    }

    /// One page of all the users of the instance, oldest first, and where the next one starts; there is none behind the
    /// last.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn page_users(&self, offset: u64, limit: u64) -> Result<(Vec<FoundUser>, Option<u64>), Failure> {
        let request = |limit| {
            let mut query = page(offset, limit);
            query["asc"] = true.into();
            let body = json!({ "query": query, "sortingColumn": "USER_FIELD_NAME_CREATION_DATE" });
            self.post("list the users", "v2/users", &body).idempotent()
        };
        let (answer, limit) = self.ask_for(limit, request).await?;
        let answer = read_search(&answer)?;
        let received = answer.users.len() as u64;
        let next = offset + if received > 0 { received } else { limit };
        let over = if received > 0 { answer.total > 0 && next >= answer.total } else { next >= answer.total };
        Ok((answer.users, (!over).then_some(next)))
    }

    async fn search(&self, what: &str, body: &Value) -> Result<SearchAnswer, Failure> {
        let answer = self.post(what, "v2/users", body).idempotent().send().await?;
        read_search(&answer)
    }

    /// The user with this id. Strongly consistent: waits for the projections, so it may take as long as they lag.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn user(&self, id: &str) -> Result<Option<FoundUser>, Failure> {
        self.read_user("read a user", id, READ).await
    }

    async fn read_user(&self, what: &str, id: &str, timeout: Duration) -> Result<Option<FoundUser>, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            user: WireUser,
        }
        let rest = Rest { method: Method::GET, path: "", procedure: "GetUserByID" };
        let request = self.of_user(what, id, &rest, json!({})).idempotent().timeout(timeout);
        match request.read::<Wire>().await {
            Ok(wire) => Ok(Some(wire.user.into())),
            Err(failure) if failure.reason() == Reason::UserNotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Returns when the users projection has read every event that was there at the call: a read of an id that does
    /// not exist is answered only then.
    ///
    /// # Errors
    /// The last failure, when `timeout` has passed; at once where no repetition helps.
    pub async fn barrier(&self, timeout: Duration) -> Result<(), Failure> {
        self.patiently(timeout, |left| async move {
            self.read_user("wait for the projections", NOBODY, left).await.map(drop)
        })
        .await
    }

    /// The same for grants, which have a projection of their own.
    ///
    /// # Errors
    /// As [`Self::barrier`].
    pub async fn grants_barrier(&self, timeout: Duration) -> Result<(), Failure> {
        let path = format!("management/v1/users/{NOBODY}/grants/{NOBODY}");
        let path = path.as_str();
        self.patiently(timeout, |left| async move {
            match self.get("wait for the projections", path).timeout(left).send().await {
                Err(failure) if failure.reason() == Reason::GrantNotFound => Ok(()),
                answer => answer.map(drop),
            }
        })
        .await
    }

    /// The same for metadata.
    ///
    /// # Errors
    /// As [`Self::barrier`].
    pub async fn metadata_barrier(&self, timeout: Duration) -> Result<(), Failure> {
        self.patiently(timeout, |left| async move {
            let rest = Rest { method: Method::POST, path: "/metadata/search", procedure: "ListUserMetadata" };
            let request = self.of_user("wait for the projections", NOBODY, &rest, json!({ "pagination": page(0, 1) }));
            let request = request.idempotent();
            request.timeout(left).done().await
        })
        .await
    }

    /// Attempts until one succeeds or `timeout` has passed.
    async fn patiently<T: Future<Output = Result<(), Failure>>>(
        &self,
        timeout: Duration,
        attempt: impl Fn(Duration) -> T,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
            let Err(failure) = attempt(left).await else { return Ok(()) };
            let may_pass =
                failure.is_ambiguous() || matches!(failure, Failure::Throttled | Failure::Unreachable { .. });
            let over = Instant::now() + BARRIER_PAUSE >= deadline;
            if over || !may_pass || self.is_cancelled() || matches!(failure, Failure::Other(_)) {
                return Err(failure);
            }
            tokio::time::sleep(BARRIER_PAUSE).await;
        }
    }

    /// The metadata of a user.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn user_metadata(&self, id: &str) -> Result<HashMap<String, Vec<u8>>, Failure> {
        #[derive(Deserialize)]
        struct Entry {
            key: String,
            #[serde(default)]
            value: String,
        }
        let rest = Rest { method: Method::POST, path: "/metadata/search", procedure: "ListUserMetadata" };
        let request =
            |page| self.of_user("read a user's metadata", id, &rest, json!({ "pagination": page })).idempotent();
        let entries = self.whole(List::of("metadata"), request, |entry: &Entry| entry.key.clone()).await?;
        let decoded = entries.into_iter().map(|entry| {
            let value = STANDARD.decode(&entry.value);
            Ok((
                entry.key,
                value.map_err(|_| Failure::Gibberish { what: "a metadata value that is not base64".into() })?,
            ))
        });
        decoded.collect()
    }

    /// How the user may sign in (`AUTHENTICATION_METHOD_TYPE_TOTP`, …), as ZITADEL has projected it so far. Nothing of a
    /// user who does not exist.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn authentication_methods(&self, id: &str) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            #[serde(default)]
            auth_method_types: Vec<String>,
        }
        let rest =
            Rest { method: Method::GET, path: "/authentication_methods", procedure: "ListAuthenticationMethodTypes" };
        let request = self.of_user("read a user's authentication methods", id, &rest, json!({})).idempotent();
        request.read::<Wire>().await.map(|wire| wire.auth_method_types)
    }

    /// Events, strongly consistent: at most as many as the query says, and at most 1,000.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, Failure> {
        self.page_events(query).await.map(|(events, _)| events)
    }

    /// The same, and whether there may be more.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn page_events(&self, query: &EventQuery) -> Result<(Vec<Event>, bool), Failure> {
        let mut body = json!({ "limit": query.limit, "asc": query.ascending });
        if !query.event_types.is_empty() {
            body["eventTypes"] = json!(query.event_types);
        }
        if !query.aggregate_types.is_empty() {
            body["aggregateTypes"] = json!(query.aggregate_types);
        }
        if let Some(id) = &query.organization_id {
            body["resourceOwner"] = json!(id);
        }
        if let Some(id) = &query.aggregate_id {
            body["aggregateId"] = json!(id);
        }
        if let Some(id) = &query.editor_user_id {
            body["editorUserId"] = json!(id);
        }
        if let Some(since) = query.since {
            body["from"] = json!(since);
        }
        // No version is known that refuses a limit here: it is cut to 1,000.
        let request = |limit: u64| {
            let mut body = body.clone();
            body["limit"] = limit.into();
            self.post("search events", "admin/v1/events/_search", &body).idempotent()
        };
        let (answer, limit) =
            self.ask_for(if query.limit == 0 { LARGEST_PAGE } else { query.limit.into() }, request).await?;
        let events: Vec<Event> = parse::<WireEvents>(&answer)?.events.into_iter().map(Event::from).collect();
        let more = events.len() as u64 >= limit;
        Ok((events, more))
    }
}

/// Reads the answer to a search.
pub(crate) fn read_search(answer: &Answer) -> Result<SearchAnswer, Failure> {
    let wire: WireSearch = parse(answer)?;
    Ok(SearchAnswer {
        users: wire.result.into_iter().map(FoundUser::from).collect(),
        total: wire.details.total_result.and_then(|total| total.parse().ok()).unwrap_or(0),
        timestamp: wire.details.timestamp,
        server_date: answer.date(),
    })
}

#[derive(Deserialize)]
struct WireEvents {
    #[serde(default)]
    events: Vec<WireEvent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent {
    #[serde(default)]
    editor: WireEditor,
    aggregate: WireAggregate,
    #[serde(default)]
    sequence: Option<String>,
    #[serde(default)]
    creation_date: Option<Timestamp>,
    #[serde(default)]
    payload: Option<WirePayload>,
    r#type: WireType,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WirePayload {
    /// Whatever it is: payloads are as many as types of events.
    #[serde(rename = "userID")]
    user: Value,
    #[serde(rename = "idpConfigId")]
    provider: Value,
    /// Of an event about a link; the user's id elsewhere.
    #[serde(rename = "userId")]
    external: Value,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireEditor {
    user_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAggregate {
    id: String,
    #[serde(default)]
    resource_owner: String,
}

#[derive(Deserialize)]
struct WireType {
    r#type: String,
}

impl From<WireEvent> for Event {
    fn from(wire: WireEvent) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let payload = wire.payload.unwrap_or_default();
        Self {
            kind: wire.r#type.r#type,
            aggregate_id: wire.aggregate.id,
            organization_id: wire.aggregate.resource_owner,
            created: wire.creation_date,
            editor_user_id: wire.editor.user_id,
            sequence: wire.sequence.and_then(|number| number.parse().ok()).unwrap_or(0),
            session_user_id: text(&payload.user),
            link: text(&payload.provider).zip(text(&payload.external)),
            about: text(&payload.user).or_else(|| text(&payload.external)),
        }
    }
}
