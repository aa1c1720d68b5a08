//! Who changed since this ledger created them, by ZITADEL's own events. They are strongly consistent, and the only place
//! where a sign-in shows: the users projection does not read it.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    error::Result,
    ledger::{Ledger, users},
    ownership::Us,
    zitadel::{
        client::Client,
        events::{Change, Event, EventQuery, kind},
        failure::Failure,
    },
};

/// ZITADEL's clock may be behind ours by so much.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// What the events say of a user; nothing: ours, as we made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Deleted by somebody else.
    Gone,
    /// Somebody else created this user.
    Theirs,
    /// Changed by somebody else since we created the user.
    Changed {
        /// How.
        kind: Change,
        /// The type of the event.
        event: String,
        /// When.
        at: Option<Timestamp>,
    },
}

#[derive(Debug, Default)]
struct Session {
    user_id: Option<String>,
    proved: Option<(String, Option<Timestamp>)>,
}

/// The events since the ledger's first import, folded.
#[derive(Debug)]
pub struct Changes {
    us: Us,
    /// Knows when each user was written.
    ledger: Option<Ledger>,
    /// Where our users are; none: in several organizations.
    organization_id: Option<String>,
    users: HashMap<String, Seen>,
    sessions: HashMap<String, Session>,
    read_to: [Timestamp; 2],
}

impl Changes {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(us: Us, organization_id: Option<&str>) -> Self {
        let first_import = us.first_import.unwrap_or(Timestamp::UNIX_EPOCH);
        let from = first_import.checked_sub(SKEW).unwrap_or(Timestamp::MIN);
        Self {
            us,
            ledger: None,
            organization_id: organization_id.map(str::to_owned),
            users: HashMap::new(),
            sessions: HashMap::new(),
            read_to: [from; 2],
        }
    }

    /// What our account did to a user long after `ledger` settled the user counts as done by others.
    #[must_use]
    pub fn with_ledger(mut self, ledger: &Ledger) -> Self {
        self.ledger = Some(ledger.clone());
        self
    }

    /// What somebody else did to this user.
    #[must_use]
    pub fn of(&self, user_id: &str) -> Option<&Seen> {
        self.users.get(user_id)
    }

    /// Reads what happened since the last call.
    ///
    /// # Errors
    /// As [`Failure`] says: `NoPermission` where the account may not read events.
    pub async fn catch_up(&mut self, client: &Client) -> std::result::Result<(), Failure> {
        let users = EventQuery {
            aggregate_types: vec!["user".into()],
            organization_id: self.organization_id.clone(),
            ..EventQuery::default()
        };
        self.read(client, users, 0).await?;
        self.read(client, EventQuery::of_kinds(&kind::SESSION_SIGN_IN), 1).await
    }

    async fn read(&mut self, client: &Client, query: EventQuery, slot: usize) -> std::result::Result<(), Failure> {
        let mut pages = client.event_pages(query, self.read_to[slot]);
        while let Some(mut events) = pages.next().await? {
            events.sort_by_key(|event| (event.created, event.sequence));
            let late = self.late(&events).map_err(Failure::Other)?;
            for (at, event) in events.into_iter().enumerate() {
                // An event that is read twice changes nothing.
                self.fold(event, late.contains(&at));
            }
            self.read_to[slot] = pages.place().unwrap_or(self.read_to[slot]);
        }
        Ok(())
    }

    /// Which of these events are of our account, and too late to be ours. Sign-ins are: those of a test user.
    fn late(&self, events: &[Event]) -> Result<HashSet<usize>> {
        let Some(ledger) = &self.ledger else { return Ok(HashSet::new()) };
        let mut late = HashSet::new();
        for (at, event) in events.iter().enumerate() {
            let ours = self.us.made(event) && event.kind.starts_with("user.") && event.kind != kind::USER_REMOVED;
            if !ours || matches!(Change::of(&event.kind), None | Some(Change::SignedIn)) {
                continue;
            }
            let settled = ledger.read(|c| users::settled_at(c, &event.aggregate_id))?;
            if self.us.is_late(event.created, settled) {
                late.insert(at);
            }
        }
        Ok(late)
    }

    /// `late`: of our account, and not by this ledger.
    fn fold(&mut self, event: Event, late: bool) {
        let ours = self.us.made(&event) && !late;
        match event.kind.as_str() {
            kind if kind.starts_with("session.") && !ours => self.fold_session(event),
            kind if kind::USER_CREATED.contains(&kind) => {
                if ours {
                    self.users.remove(&event.aggregate_id);
                } else {
                    self.users.insert(event.aggregate_id, Seen::Theirs);
                }
            }
            kind::USER_REMOVED => {
                if ours {
                    self.users.remove(&event.aggregate_id);
                } else {
                    self.users.insert(event.aggregate_id, Seen::Gone);
                }
            }
            kind if !ours => {
                if let Some(kind) = Change::of(kind) {
                    self.changed(event.aggregate_id, kind, event.kind, event.created);
                }
            }
            _ => {}
        }
    }

    /// A session names its user in one event and proves the person in another.
    fn fold_session(&mut self, event: Event) {
        let session = self.sessions.entry(event.aggregate_id.clone()).or_default();
        if event.kind == kind::SESSION_INTENT_CHECKED {
            session.proved = Some((event.kind, event.created));
        } else if event.session_user_id.is_some() {
            session.user_id = event.session_user_id;
        }
        if let Session { user_id: Some(user_id), proved: Some((kind, at)) } = session {
            let (user_id, kind, at) = (user_id.clone(), kind.clone(), *at);
            self.sessions.remove(&event.aggregate_id);
            self.changed(user_id, Change::SignedIn, kind, at);
        }
    }

    fn changed(&mut self, user_id: String, kind: Change, event: String, at: Option<Timestamp>) {
        let seen = self.users.entry(user_id).or_insert_with(|| Seen::Changed { kind, event: event.clone(), at });
        if let Seen::Changed { kind: before, .. } = seen
            && *before < kind
        {
            *seen = Seen::Changed { kind, event, at };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Transaction, states::Progress, testing::put_created};

    fn event(second: i64, user: &str, kind: &str, editor: &str) -> Event {
        Event {
            kind: kind.into(),
            aggregate_id: user.into(),
            created: Timestamp::from_second(second).ok(),
            editor_user_id: editor.into(),
            ..Event::default()
        }
    }

    fn us(clock: i64) -> Us {
        Us { accounts: vec!["us".into()], clock: SignedDuration::from_secs(clock), first_import: None }
    }

    fn folded(events: impl IntoIterator<Item = Event>) -> Changes {
        let mut changes = Changes::new(us(0), Some("org"));
        events.into_iter().for_each(|event| changes.fold(event, false));
        changes
    }

    fn kind(changes: &Changes, user: &str) -> Option<Change> {
        match changes.of(user) {
            Some(Seen::Changed { kind, .. }) => Some(*kind),
            _ => None,
        }
    }

    #[test]
    fn what_we_do_is_no_change_and_what_others_do_is_one() {
        let changes = folded([
            event(1, "a", "user.human.added", "us"),
            event(1, "a", "user.human.email.verified", "us"),
            event(2, "a", "user.human.password.check.succeeded", "us"),
            event(2, "a", "user.human.password.hash.updated", "us"),
            event(2, "a", "user.human.password.check.failed", "b"),
            event(2, "a", "user.human.email.code.sent", "NOTIFICATION"),
            event(1, "b", "user.human.added", "us"),
            event(3, "b", "user.human.password.changed", "b"),
            event(4, "b", "user.human.profile.changed", "b"),
            event(1, "c", "user.human.added", "us"),
            event(2, "c", "user.human.mfa.otp.added", "c"),
            event(3, "c", "user.human.password.check.succeeded", "login"),
        ]);
        assert_eq!(changes.of("a"), None);
        assert_eq!(kind(&changes, "b"), Some(Change::Password));
        assert_eq!(kind(&changes, "c"), Some(Change::SignedIn));
    }

    #[test]
    fn who_made_the_user_last_counts() {
        let changes = folded([
            event(1, "a", "user.human.added", "us"),
            event(2, "a", "user.removed", "them"),
            event(3, "a", "user.human.added", "them"),
            event(1, "b", "user.human.added", "them"),
            event(2, "b", "user.removed", "them"),
            event(3, "b", "user.human.added", "us"),
            event(1, "c", "user.human.added", "us"),
            event(2, "c", "user.removed", "them"),
        ]);
        assert_eq!(changes.of("a"), Some(&Seen::Theirs));
        assert_eq!(changes.of("b"), None);
        assert_eq!(changes.of("c"), Some(&Seen::Gone));
    }

    #[test]
    fn a_sign_in_through_a_provider_shows_in_its_session_only() {
        let checked = |session: &str, editor: &str| Event {
            session_user_id: Some("a".into()),
            link: None,
            ..event(2, session, "session.user.checked", editor)
        };
        assert_eq!(folded([checked("s", "login")]).of("a"), None, "nothing was proved");
        assert_eq!(folded([checked("s", "us"), event(2, "s", "session.intent.checked", "us")]).of("a"), None);
        let changes = folded([checked("s", "login"), event(2, "s", "session.intent.checked", "login")]);
        assert_eq!(kind(&changes, "a"), Some(Change::SignedIn));
    }

    #[test]
    fn what_our_account_does_with_another_tool_is_anothers() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        let users =
            [("a", Progress::Done), ("b", Progress::Done), ("c", Progress::Done), ("in-doubt", Progress::Unknown)];
        let write = move |t: &Transaction<'_>| {
            users.iter().try_for_each(|(id, progress)| put_created(t, id, *progress, "1970-01-01T00:01:00Z"))
        };
        ledger.write_blocking(write).unwrap();
        let events = [
            event(60, "a", "user.human.added", "us"),
            event(170, "a", "user.human.profile.changed", "us"),
            event(5000, "a", "user.human.password.check.succeeded", "us"),
            event(60, "b", "user.human.added", "us"),
            event(5000, "b", "user.removed", "us"),
            event(5001, "b", "user.human.added", "us"),
            event(5000, "c", "user.human.profile.changed", "us"),
            event(5000, "in-doubt", "user.human.profile.changed", "us"),
        ];
        let with_clock = |seconds| {
            let mut changes = Changes::new(us(seconds), Some("org")).with_ledger(&ledger);
            let late = changes.late(&events).unwrap();
            for (at, event) in events.iter().enumerate() {
                changes.fold(event.clone(), late.contains(&at));
            }
            changes
        };
        let changes = with_clock(0);
        assert_eq!(changes.of("a"), None);
        assert_eq!(changes.of("b"), Some(&Seen::Theirs));
        assert_eq!(kind(&changes, "c"), Some(Change::Changed));
        assert_eq!(changes.of("in-doubt"), None);
        assert_eq!(with_clock(5000).of("b"), None, "ZITADEL's clock is ahead");
    }
}
