//! What happened in ZITADEL: its events, which are strongly consistent, and which not every account may read.
//!
//! `POST /admin/v1/events/_search` asks for `events.read` (`IAM_OWNER`, `IAM_OWNER_VIEWER`): others get a
//! [`Failure::NoPermission`]. An answer has at most 1,000 events, whatever limit is asked for, and does not say that there
//! are more: so a full answer counts as one that may not be whole.

mod kinds;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::kinds::{Change, kind};
use super::{
    client::{Client, LARGEST_PAGE, parse},
    failure::Failure,
};

/// The most events of an answer.
const PAGE: u32 = 1_000;
/// The most pages that [`Client::each_event_of`] reads.
const MOST_PAGES: u32 = 500;
/// This much of a page is read again with the next one: events of parallel transactions may become visible a little out of
/// order.
pub(super) const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// Which events are asked for.
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
    /// The user that a session is for, of `session.user.checked`.
    pub session_user_id: Option<String>,
    /// Provider and external id, of an event about a link.
    pub link: Option<(String, String)>,
    /// Whom it is about, of an event that is another aggregate's: a grant, a membership, the user of a session.
    pub about: Option<String>,
}

impl EventQuery {
    /// Events of these kinds. Their aggregates are named, too: ZITADEL's index begins with them.
    #[must_use]
    pub fn of_kinds(kinds: &[&str]) -> Self {
        let aggregates: BTreeSet<&str> = kinds.iter().map(|kind| kinds::aggregate_of(kind)).collect();
        Self {
            event_types: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            aggregate_types: aggregates.into_iter().map(str::to_owned).collect(),
            ..Self::default()
        }
    }
}

/// What happened to one user in the present life of the id, newest first. A user who is deleted and created again under the
/// same id has the events of the earlier life, too, and nothing of what they say: those are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// The events since the last deletion, without it.
    pub events: Vec<Event>,
    /// The last deletion. The user is gone if there are no events after it.
    pub removed: Option<Event>,
    /// No event of this life is missing: ZITADEL gave fewer than its limit, or reached back to a deletion.
    pub whole: bool,
}

impl Life {
    /// Sorts the events of one user into the present life and what was before.
    #[must_use]
    pub fn of(mut events: Vec<Event>, whole: bool) -> Self {
        events.sort_by_key(|event| std::cmp::Reverse(event.sequence));
        let end = events.iter().position(|event| event.kind == kind::USER_REMOVED);
        let removed = end.and_then(|end| events.split_off(end).into_iter().next());
        Self { events, whole: whole || removed.is_some(), removed }
    }

    /// The newest event.
    #[must_use]
    pub fn newest(&self) -> Option<&Event> {
        self.events.first()
    }

    /// Is there an event of this kind?
    #[must_use]
    pub fn has(&self, kind: &str) -> bool {
        self.events.iter().any(|event| event.kind == kind)
    }
}

/// Pages of events, oldest first.
#[derive(Debug)]
pub struct Pages<'a> {
    client: &'a Client,
    query: EventQuery,
    over: bool,
}

impl Pages<'_> {
    /// The next page; `None` behind the last one. An event may come twice.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>, Failure> {
        self.query.limit = PAGE;
        while !self.over {
            let (events, full) = match self.client.page_events(&self.query).await {
                // Large payloads (metadata): the answer would be larger than what ZITADEL sends.
                Err(Failure::TooLarge) if self.query.limit > 1 => {
                    self.query.limit = (self.query.limit / 4).max(1);
                    continue;
                }
                page => page?,
            };
            if let Some(newest) = events.iter().filter_map(|event| event.created).max() {
                self.query.since = Some(next_start(self.query.since.unwrap_or(Timestamp::MIN), newest));
                self.over = !full;
            } else {
                self.over = true;
            }
            return Ok(Some(events));
        }
        Ok(None)
    }

    /// Where the next page begins: a later reading may begin there, too.
    #[must_use]
    pub fn place(&self) -> Option<Timestamp> {
        self.query.since
    }
}

/// Where the next page begins. Events of one transaction have the same time, and a page may end between them: a part of
/// this page is read again, as long as that leaves a way forward.
fn next_start(from: Timestamp, newest: Timestamp) -> Timestamp {
    let microsecond = SignedDuration::from_micros(1);
    let overlap = OVERLAP.min(newest.duration_since(from) / 4).max(microsecond);
    let next = newest.checked_sub(overlap).unwrap_or(newest);
    // A whole page of one instant: it can only be passed.
    if next <= from { newest } else { next }
}

impl Client {
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

    /// What happened to a user in the present life of the id: events of these kinds, or of all kinds if none is named. At
    /// most 1,000; see [`Life::whole`].
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn life(&self, user_id: &str, kinds: &[&str]) -> Result<Life, Failure> {
        let kinds = if kinds.is_empty() { Vec::new() } else { [kinds, &[kind::USER_REMOVED]].concat() };
        let query = EventQuery {
            aggregate_types: vec!["user".into()],
            aggregate_id: Some(user_id.to_owned()),
            limit: PAGE,
            ..EventQuery::of_kinds(&kinds)
        };
        self.page_events(&query).await.map(|(events, more)| Life::of(events, !more))
    }

    /// The newest event of this kind about one thing: the one that created it. `None` if there is none, or the account may
    /// not read events.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn creation(&self, kind: &str, id: &str) -> Result<Option<Event>, Failure> {
        let query = EventQuery { aggregate_id: Some(id.to_owned()), limit: 1, ..EventQuery::of_kinds(&[kind]) };
        match self.events(&query).await {
            Err(Failure::NoPermission(_)) => Ok(None),
            events => Ok(events?.into_iter().next()),
        }
    }

    /// The events of a query from `since` on, page by page; the query's own order, limit and time do not count.
    #[must_use]
    pub fn event_pages(&self, query: EventQuery, since: Timestamp) -> Pages<'_> {
        let since = (since > Timestamp::MIN).then_some(since);
        Pages { client: self, query: EventQuery { ascending: true, since, ..query }, over: false }
    }

    /// Every event of these kinds since then, oldest first; some of them twice. False if there are too many: those up to
    /// then were all.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn each_event(&self, kinds: &[&str], since: Timestamp, each: impl FnMut(Event)) -> Result<bool, Failure> {
        self.each_event_of(EventQuery::of_kinds(kinds), since, each).await
    }

    /// The same, of a query as [`Self::event_pages`] takes it.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn each_event_of(
        &self,
        query: EventQuery,
        since: Timestamp,
        mut each: impl FnMut(Event),
    ) -> Result<bool, Failure> {
        let mut pages = self.event_pages(query, since);
        for _ in 0..MOST_PAGES {
            match pages.next().await? {
                Some(events) => events.into_iter().for_each(&mut each),
                None => return Ok(true),
            }
        }
        Ok(pages.over)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_and_cut_no_instant() {
        let at = |micros| Timestamp::from_microsecond(micros).unwrap();
        assert_eq!(next_start(at(0), at(40_000_000)), at(39_000_000));
        assert_eq!(next_start(at(0), at(400)), at(300));
        assert_eq!(next_start(at(0), at(2)), at(1));
        assert_eq!(next_start(at(5), at(6)), at(6), "a page of one instant is passed");
    }

    #[test]
    fn an_earlier_life_of_the_id_does_not_count() {
        let event = |sequence, kind: &str| Event { kind: kind.into(), sequence, ..Event::default() };
        let life = |events: &[(u64, &str)], whole| {
            let events = events.iter().map(|(sequence, kind)| event(*sequence, kind)).collect();
            let life = Life::of(events, whole);
            let now: Vec<u64> = life.events.iter().map(|event| event.sequence).collect();
            (now, life.removed.map(|event| event.sequence), life.whole)
        };
        let added = "user.human.added";
        assert_eq!(life(&[], true), (vec![], None, true));
        assert_eq!(life(&[(1, added), (2, "x")], true), (vec![2, 1], None, true));
        assert_eq!(life(&[(4, added), (3, "user.removed"), (1, added)], true), (vec![4], Some(3), true));
        assert_eq!(life(&[(1, added), (2, "user.removed")], true), (vec![], Some(2), true));
        assert_eq!(life(&[(9, "x"), (8, "x")], false), (vec![9, 8], None, false), "the beginning is not known");
        assert_eq!(life(&[(9, "x"), (8, "user.removed")], false), (vec![9], Some(8), true));
    }
}
