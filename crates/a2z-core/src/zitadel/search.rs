//! Finding users. A search reads the projections, which lag behind; a read by id does not.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{Client, Rest, page, parse},
    failure::{Failure, Reason},
    lists::List,
};
use crate::{http::Answer, mapping::delta::Held};

/// A read by id waits for the projections, and they may be far behind.
const READ: Duration = Duration::from_mins(2);

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

    pub(super) async fn read_user(
        &self,
        what: &str,
        id: &str,
        timeout: Duration,
    ) -> Result<Option<FoundUser>, Failure> {
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
