//! ZITADEL's projections: one table each, which read the events, lag behind them, and may skip one for good.
//!
//! A real instance skips events if requests run in parallel: an event is placed by the start of its transaction, and one
//! that waited for its turn is placed behind what a projection has already read. An event that inserts a row brings the
//! row back; every other event changes columns of a row, and nothing at all if the row is missing.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::people::{link_of, text};
use super::rules;
use super::schema::bytes_of;
use super::state::{Event, Link, State, User, UserState};

/// A projection of ZITADEL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Projection {
    /// Users (`users14`): no read and no search finds a missing one.
    Users,
    /// Login names (`login_names3_users`): a user without one is found by id, and cannot sign in; its grants are hidden.
    LoginNames,
    /// Metadata (`user_metadata5`).
    Metadata,
    /// Links to identity providers (`idp_user_links3`).
    Links,
    /// Second factors (`user_auth_methods5`).
    Factors,
    /// Role grants (`user_grants5`).
    Grants,
}

impl Projection {
    /// Those whose rows the events of a user write; grants have events of their own.
    const OF_USERS: [Self; 5] = [Self::Users, Self::LoginNames, Self::Metadata, Self::Links, Self::Factors];

    /// The event that inserts a row.
    pub(super) const fn inserted_by(self) -> &'static str {
        match self {
            Self::Users | Self::LoginNames => "user.human.added",
            Self::Metadata => "user.metadata.set",
            Self::Links => "user.human.externalidp.added",
            Self::Factors => "user.human.mfa.otp.added",
            Self::Grants => "user.grant.added",
        }
    }
}

/// The second factors of a user, as their projection has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Factors {
    /// Whether the secret was confirmed; `None` if there is none.
    pub(super) totp: Option<bool>,
    pub(super) otp_sms: bool,
    pub(super) otp_email: bool,
    pub(super) recovery_codes: bool,
}

/// What the projections hold of one user.
#[derive(Clone, Default)]
pub(super) struct Rows {
    pub(super) user: Option<Arc<User>>,
    pub(super) login_name: Option<String>,
    pub(super) metadata: BTreeMap<String, Vec<u8>>,
    pub(super) links: Vec<Link>,
    pub(super) factors: Factors,
}

/// One transaction that waits to be projected.
struct Pending {
    at: Timestamp,
    /// The user after it.
    user: Arc<User>,
    /// Its events, by their place in the store.
    events: Range<usize>,
    /// Which projection skips which of them.
    skipped: Vec<(Projection, &'static str)>,
    /// Nothing in the events tells what changed: everything is taken from the user.
    whole: bool,
}

/// What the outside sees: users as far as their events are projected.
#[derive(Default)]
pub(super) struct View {
    pub(super) rows: HashMap<String, Rows>,
    pub(super) position: Timestamp,
    pending: VecDeque<Pending>,
    /// The events that a projection will skip, once, by user.
    to_skip: HashSet<(Projection, &'static str, String)>,
}

/// Events that do not touch the users projection: they move neither its sequence nor its change date.
pub(super) fn is_projected(kind: &str) -> bool {
    ![
        "metadata",
        "externalidp",
        ".otp.",
        "recovery",
        "code.added",
        "verification.failed",
        "password.check",
        "password.hash",
        "password.changed",
    ]
    .iter()
    .any(|part| kind.contains(part))
}

impl View {
    /// Lets a projection skip the next event of a kind about a user.
    pub(super) fn skip(&mut self, projection: Projection, kind: &'static str, user_id: String) {
        self.to_skip.insert((projection, kind, user_id));
    }

    /// Is this event skipped? It is asked once per event.
    pub(super) fn skips(&mut self, projection: Projection, kind: &'static str, user_id: &str) -> bool {
        !self.to_skip.is_empty() && self.to_skip.remove(&(projection, kind, user_id.to_owned()))
    }

    /// Adds a transaction to what is to be projected. `events` are all events in store.
    pub(super) fn add(&mut self, at: Timestamp, user: &User, events: Range<usize>, store: &[Event], whole: bool) {
        let mut skipped = Vec::new();
        for event in &store[events.clone()] {
            let skips = |projection: &Projection| self.skips(*projection, event.kind, &user.id);
            skipped.extend(Projection::OF_USERS.into_iter().filter(skips).map(|projection| (projection, event.kind)));
        }
        self.pending.push_back(Pending { at, user: Arc::new(user.clone()), events, skipped, whole });
    }

    /// The moment of the newest event that waits to be projected.
    pub(super) fn newest_pending(&self) -> Option<Timestamp> {
        self.pending.back().map(|pending| pending.at)
    }

    /// The user row, if there is one.
    pub(super) fn user(&self, id: &str) -> Option<&Arc<User>> {
        self.rows.get(id)?.user.as_ref()
    }

    /// The user who signs in by a name: both the name and the user must have a row.
    pub(super) fn by_login_name(&self, name: &str) -> Option<String> {
        let is = |rows: &&Rows| rows.login_name.as_ref().is_some_and(|own| own.to_lowercase() == name.to_lowercase());
        Some(self.rows.values().find(is)?.user.as_ref()?.id.clone())
    }

    /// Reads all events up to a moment.
    fn read(&mut self, limit: Timestamp, store: &[Event]) {
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.at <= limit) {
            self.position = self.position.max(pending.at);
            let user = &pending.user;
            let rows = self.rows.entry(user.id.clone()).or_default();
            for event in &store[pending.events] {
                for projection in Projection::OF_USERS {
                    if !pending.skipped.contains(&(projection, event.kind)) {
                        rows.read(projection, event, user);
                    }
                }
            }
            if pending.whole {
                rows.take(user);
            }
            if user.ghost {
                *rows = Rows::default();
            }
            if rows.is_empty() && (user.ghost || !user.exists()) {
                self.rows.remove(&user.id);
            }
        }
    }
}

impl State {
    /// What the projections hold of an id, and the user that it belongs or belonged to.
    pub(super) fn held(&self, id: &str) -> Option<(&Rows, &User)> {
        Some((self.view.rows.get(id)?, self.users.get(id)?))
    }

    /// Lets the view read all events up to a moment.
    pub(super) fn project_to(&mut self, limit: Timestamp) {
        self.view.read(limit, &self.events);
    }
}

impl Rows {
    fn is_empty(&self) -> bool {
        let Self { user, login_name, metadata, links, factors } = self;
        user.is_none()
            && login_name.is_none()
            && metadata.is_empty()
            && links.is_empty()
            && *factors == Factors::default()
    }

    /// Reads one event into one table.
    fn read(&mut self, projection: Projection, event: &Event, now: &User) {
        let nothing = Value::Null;
        let payload = event.payload.as_ref().unwrap_or(&nothing);
        match projection {
            Projection::Users => self.read_user(event, payload, now),
            Projection::LoginNames => match event.kind {
                "user.human.added" | "user.machine.added" => {
                    self.login_name.get_or_insert_with(|| now.user_name.clone());
                }
                "user.username.changed" => {
                    if let Some(name) = &mut self.login_name {
                        text(payload, "userName").clone_into(name);
                    }
                }
                "user.removed" => self.login_name = None,
                _ => {}
            },
            Projection::Metadata => match event.kind {
                "user.metadata.set" => {
                    let value = bytes_of(text(payload, "value")).unwrap_or_default();
                    self.metadata.insert(text(payload, "key").to_owned(), value);
                }
                "user.metadata.removed" => drop(self.metadata.remove(text(payload, "key"))),
                "user.removed" => self.metadata.clear(),
                _ => {}
            },
            Projection::Links => self.read_link(event.kind, payload, now),
            Projection::Factors => self.factors.read(event.kind),
            Projection::Grants => {}
        }
    }

    fn read_user(&mut self, event: &Event, payload: &Value, now: &User) {
        match event.kind {
            // The row of a user who was deleted and is still shown stays: the insert fails, and is given up.
            "user.human.added" | "user.machine.added" => {
                self.user.get_or_insert_with(|| Arc::new(as_added(now, event)));
                return;
            }
            "user.removed" => self.user = None,
            _ => {}
        }
        let Some(row) = self.user.as_mut().map(Arc::make_mut) else { return };
        if is_projected(event.kind) {
            (row.seen_sequence, row.changed) = (event.sequence, event.at);
        }
        match event.kind {
            "user.username.changed" => text(payload, "userName").clone_into(&mut row.user_name),
            "user.human.profile.changed" => take_changed(row, payload),
            "user.human.email.changed" => {
                text(payload, "email").clone_into(&mut row.email);
                row.email_verified = false;
            }
            "user.human.email.verified" => row.email_verified = true,
            "user.human.phone.changed" => {
                row.phone = payload["phone"].as_str().map(str::to_owned);
                row.phone_verified = false;
            }
            "user.human.phone.verified" => row.phone_verified = true,
            "user.human.phone.removed" => (row.phone, row.phone_verified) = (None, false),
            "user.human.password.changed" => {
                row.hash.clone_from(&now.hash);
                (row.password_changed, row.change_required) = (Some(event.at), now.change_required);
            }
            "user.human.initialization.code.added" => row.state = UserState::Initial,
            "user.deactivated" => row.state = UserState::Inactive,
            "user.locked" => row.state = UserState::Locked,
            "user.reactivated" | "user.unlocked" => row.state = UserState::Active,
            _ => {}
        }
    }

    fn read_link(&mut self, kind: &str, payload: &Value, now: &User) {
        let link = link_of(payload, ["idpConfigId", "userId", "displayName"]);
        let same = |other: &Link| other.idp_id == link.idp_id && other.user_id == link.user_id;
        match kind {
            "user.human.externalidp.added" if !self.links.iter().any(same) => self.links.push(link),
            "user.human.externalidp.removed" => self.links.retain(|other| !same(other)),
            // The provider is gone.
            "user.human.externalidp.cascade.removed" => self.links.retain(|other| now.links.contains(other)),
            "user.removed" => self.links.clear(),
            _ => {}
        }
    }

    /// Takes everything from a user who was changed in a way that no event tells. What is missing stays missing.
    fn take(&mut self, user: &User) {
        if let Some(row) = &mut self.user {
            let (created, sequence) = (row.created, row.seen_sequence);
            *row = Arc::new(User { created, seen_sequence: sequence, ..user.clone() });
        }
        if let Some(name) = &mut self.login_name {
            name.clone_from(&user.user_name);
        }
        self.metadata.clone_from(&user.metadata);
        self.links.clone_from(&user.links);
        self.factors = Factors {
            totp: user.totp.is_some().then_some(true),
            otp_sms: user.otp_sms,
            otp_email: user.otp_email,
            recovery_codes: !user.recovery_codes.is_empty(),
        };
    }
}

impl Factors {
    fn read(&mut self, kind: &str) {
        match kind {
            "user.human.mfa.otp.added" => self.totp = Some(false),
            "user.human.mfa.otp.verified" => self.totp = self.totp.map(|_| true),
            "user.human.mfa.otp.removed" => self.totp = None,
            "user.human.mfa.otp.sms.added" => self.otp_sms = true,
            "user.human.mfa.otp.sms.removed" | "user.human.phone.removed" => self.otp_sms = false,
            "user.human.mfa.otp.email.added" => self.otp_email = true,
            "user.human.mfa.otp.email.removed" => self.otp_email = false,
            "user.human.mfa.recoverycode.added" => self.recovery_codes = true,
            "user.removed" => *self = Self::default(),
            _ => {}
        }
    }
}

/// The row that the creation alone inserts. Verified flags and states have events of their own.
fn as_added(user: &User, event: &Event) -> User {
    User {
        state: UserState::Active,
        email_verified: false,
        phone_verified: false,
        seen_sequence: event.sequence,
        created: event.at,
        changed: event.at,
        password_changed: user.hash.is_some().then_some(event.at),
        ..user.clone()
    }
}

/// Only the fields that changed are in the event.
fn take_changed(row: &mut User, payload: &Value) {
    for (name, part) in [
        ("firstName", &mut row.first_name),
        ("lastName", &mut row.last_name),
        ("nickName", &mut row.nick_name),
        ("displayName", &mut row.display_name),
        ("gender", &mut row.gender),
    ] {
        if let Some(value) = payload[name].as_str() {
            value.clone_into(part);
        }
    }
    if let Some(language) = payload["preferredLanguage"].as_str() {
        row.language = rules::language(language);
    }
}
