//! What the sandbox's ZITADEL knows: an event store, the users as their events make them, and a view that lags behind.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::projections::{View, is_projected};

/// The state of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserState {
    /// May sign in.
    #[default]
    Active,
    /// Deactivated.
    Inactive,
    /// Locked.
    Locked,
    /// Not initialised: Login V2 refuses these users.
    Initial,
    /// Deleted: kept for its event count only, and in no snapshot.
    Deleted,
}

impl UserState {
    /// The name in the v2 API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "USER_STATE_ACTIVE",
            Self::Inactive => "USER_STATE_INACTIVE",
            Self::Locked => "USER_STATE_LOCKED",
            Self::Initial => "USER_STATE_INITIAL",
            Self::Deleted => "USER_STATE_DELETED",
        }
    }
}

/// A link to an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The provider's id in ZITADEL.
    pub idp_id: String,
    /// The user's id at the provider.
    pub user_id: String,
    /// The user's name at the provider.
    pub user_name: String,
}

/// A user, with everything that arrived.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own in the vendor's model")]
pub struct User {
    /// The id.
    pub id: String,
    /// The organisation that owns it.
    pub organization_id: String,
    /// The state.
    pub state: UserState,
    /// The login name.
    pub user_name: String,
    /// The given name.
    pub first_name: String,
    /// The family name.
    pub last_name: String,
    /// The nick name, or empty.
    pub nick_name: String,
    /// The display name.
    pub display_name: String,
    /// A language tag, `und` for none.
    pub language: String,
    /// The gender as the API names it.
    pub gender: String,
    /// The e-mail address.
    pub email: String,
    /// Whether it is verified.
    pub email_verified: bool,
    /// The phone number, E.164.
    pub phone: Option<String>,
    /// Whether it is verified.
    pub phone_verified: bool,
    /// The password hash, as it arrived or as the first sign-in renewed it.
    pub hash: Option<String>,
    /// Whether the password is to be changed at the next sign-in.
    pub change_required: bool,
    /// Links to identity providers.
    pub links: Vec<Link>,
    /// The TOTP secret.
    pub totp: Option<String>,
    /// The hashes of the recovery codes.
    pub recovery_codes: Vec<String>,
    /// Codes by SMS are a second factor.
    pub otp_sms: bool,
    /// Codes by e-mail are a second factor.
    pub otp_email: bool,
    /// The metadata: key to bytes.
    pub metadata: BTreeMap<String, Vec<u8>>,
    /// How often a user of this id was created: more than 1 only after a delete.
    pub created_count: u32,
    /// Whether it is a service account.
    pub machine: bool,
    /// Whether it is the sandbox's own, not part of a snapshot.
    pub seeded: bool,
    /// Wrong passwords in a row.
    pub(super) failed_attempts: u32,
    /// Its organisation was deleted: no search finds it, but the id stays taken.
    pub(super) ghost: bool,
    /// The number of the last event of all, and of the last one that the users projection reads.
    pub(super) sequence: u64,
    pub(super) seen_sequence: u64,
    pub(super) created: Timestamp,
    pub(super) changed: Timestamp,
    pub(super) password_changed: Option<Timestamp>,
    /// A service account's client secret.
    pub(super) secret: Option<String>,
    /// The code that verifies the e-mail address, until it is used.
    pub(super) email_code: Option<String>,
}

/// Tells whose it is and what it has, never the secrets themselves.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("organization_id", &self.organization_id)
            .field("state", &self.state)
            .field("user_name", &self.user_name)
            .field("email", &self.email)
            .field("email_verified", &self.email_verified)
            .field("hash", &self.hash.is_some())
            .field("links", &self.links)
            .field("totp", &self.totp.is_some())
            .field("recovery_codes", &self.recovery_codes.len())
            .field("metadata", &self.metadata.keys())
            .field("created_count", &self.created_count)
            .finish_non_exhaustive()
    }
}

impl User {
    pub(super) fn exists(&self) -> bool {
        self.state != UserState::Deleted
    }
}

/// A message that would have gone to a user, had a provider been configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// "Initialise your account".
    Init,
    /// "Verify your e-mail address".
    VerifyEmail,
    /// "Verify your phone number", an SMS.
    VerifyPhone,
}

/// One such message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The user who would have got it.
    pub user_id: String,
    /// What it is.
    pub kind: MailKind,
}

#[derive(Clone, Debug)]
pub(super) struct Org {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) active: bool,
    pub(super) domain: String,
    pub(super) sequence: u64,
    pub(super) created: Timestamp,
    pub(super) changed: Timestamp,
    pub(super) metadata: BTreeMap<String, Vec<u8>>,
    /// Its own branding, where it has one.
    pub(super) label: Option<Value>,
}

#[derive(Clone, Debug)]
pub(super) struct Idp {
    pub(super) id: String,
    /// `None` for one of the instance.
    pub(super) org: Option<String>,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) options: Value,
    pub(super) config: (&'static str, Value),
    pub(super) sequence: u64,
    pub(super) created: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) key: String,
    pub(super) display_name: String,
    pub(super) group: String,
    pub(super) created: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) org: String,
    pub(super) roles: Vec<Role>,
    /// Organisations that may give its roles, and which.
    pub(super) granted: BTreeMap<String, Vec<String>>,
    pub(super) created: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) id: String,
    pub(super) user_id: String,
    pub(super) project_id: String,
    pub(super) org: String,
    pub(super) roles: Vec<String>,
    /// The roles as the projection has them; `None` if it has no row.
    pub(super) row: Option<Vec<String>>,
    pub(super) created: Timestamp,
}

/// Roles of a user in an organisation, or in the instance.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) user_id: String,
    pub(super) org: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) created: Timestamp,
}

#[derive(Clone)]
pub(super) struct Token {
    pub(super) user_id: String,
    pub(super) expires: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) aggregate: String,
    pub(super) aggregate_type: &'static str,
    pub(super) owner: String,
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
    pub(super) kind: &'static str,
    pub(super) payload: Option<Value>,
    pub(super) editor: String,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) instance: String,
    pub(super) default_org: String,
    pub(super) issuer: String,
    pub(super) lag: Duration,
    pub(super) users: HashMap<String, User>,
    pub(super) names: HashMap<String, String>,
    pub(super) links: HashMap<(String, String), String>,
    pub(super) orgs: BTreeMap<String, Org>,
    pub(super) idps: Vec<Idp>,
    pub(super) projects: BTreeMap<String, Project>,
    /// Unique constraints of roles: project and folded key. They outlive the project.
    pub(super) role_keys: HashSet<(String, String)>,
    /// How far a read of one grant has brought their projection.
    pub(super) grants_read_to: Timestamp,
    pub(super) grants: Vec<Grant>,
    /// Grants that were removed and are still listed: their projection skipped the removal.
    pub(super) ghost_grants: Vec<Grant>,
    pub(super) members: Vec<Member>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) keys: HashMap<String, (String, Vec<u8>)>,
    pub(super) sessions: BTreeMap<String, String>,
    pub(super) events: Vec<Event>,
    pub(super) mails: Vec<Mail>,
    pub(super) view: View,
    pub(super) instance_sequence: u64,
    pub(super) last: Timestamp,
    pub(super) ids: u64,
    pub(super) sms_provider: super::codes::Provider,
    pub(super) mail_provider: super::codes::Provider,
}

impl State {
    /// A moment later than every one before, to the microsecond as PostgreSQL keeps it.
    pub(super) fn now(&mut self) -> Timestamp {
        let micros = Timestamp::now().as_microsecond().max(self.last.as_microsecond() + 1);
        self.last = Timestamp::from_microsecond(micros).unwrap_or(self.last);
        self.last
    }

    /// An id like ZITADEL's own: eighteen digits, rising.
    pub(super) fn id(&mut self) -> String {
        self.ids += 1;
        (400_913_786_954_845_222_u64 + self.ids * 52_428_801).to_string()
    }

    /// Writes events of one user, in one transaction, and what they make of the user.
    pub(super) fn commit(&mut self, user: User, events: Vec<(&'static str, Option<Value>)>, editor: &str) -> Timestamp {
        self.write(user, events, editor, false)
    }

    /// The same for a change that the events do not tell in whole: the projections take the user as it is.
    pub(super) fn write(
        &mut self,
        mut user: User,
        events: Vec<(&'static str, Option<Value>)>,
        editor: &str,
        whole: bool,
    ) -> Timestamp {
        let (at, first) = (self.now(), self.events.len());
        for (kind, payload) in events {
            user.sequence += 1;
            if is_projected(kind) {
                user.seen_sequence = user.sequence;
                user.changed = at;
            }
            match kind {
                "user.human.added" | "user.machine.added" => {
                    user.created = at;
                    user.password_changed = user.hash.is_some().then_some(at);
                    user.created_count += 1;
                }
                "user.human.password.changed" => user.password_changed = Some(at),
                _ => {}
            }
            self.mail_for(kind, payload.as_ref(), &user.id);
            self.events.push(Event {
                aggregate: user.id.clone(),
                aggregate_type: "user",
                owner: user.organization_id.clone(),
                sequence: user.sequence,
                at,
                kind,
                payload,
                editor: editor.to_owned(),
            });
        }
        self.view.add(at, &user, first..self.events.len(), &self.events, whole);
        self.users.insert(user.id.clone(), user);
        at
    }

    /// An event of an aggregate (its type, its id and its organization) that the sandbox keeps no store of.
    pub(super) fn note(
        &mut self,
        (aggregate_type, aggregate, owner): (&'static str, &str, &str),
        kind: &'static str,
        payload: Value,
        editor: &str,
    ) {
        let at = self.now();
        // Later ones have higher numbers; that they have no gaps matters to nobody.
        let sequence = self.events.len() as u64 + 1;
        self.events.push(Event {
            aggregate: aggregate.to_owned(),
            aggregate_type,
            owner: owner.to_owned(),
            sequence,
            at,
            kind,
            payload: Some(payload),
            editor: editor.to_owned(),
        });
    }

    fn mail_for(&mut self, kind: &str, payload: Option<&Value>, user_id: &str) {
        let returned = payload.is_some_and(|payload| payload["codeReturned"] == true);
        let kind = match kind {
            "user.human.initialization.code.added" => MailKind::Init,
            "user.human.email.code.added" if !returned => MailKind::VerifyEmail,
            "user.human.phone.code.added" if !returned => MailKind::VerifyPhone,
            _ => return,
        };
        self.mails.push(Mail { user_id: user_id.to_owned(), kind });
    }

    /// Notes a change that is not a user's: the projections must read it too.
    pub(super) fn touch(&mut self) -> Timestamp {
        let at = self.now();
        self.view.position = self.view.position.max(at.min(self.caught_up_to()));
        at
    }

    fn caught_up_to(&self) -> Timestamp {
        Timestamp::now().checked_sub(self.lag).unwrap_or(Timestamp::MIN)
    }

    /// Would the projection of grants have read an event of this moment?
    pub(super) fn is_grant_projected_at(&self, at: Timestamp) -> bool {
        self.is_projected_at(at) || at <= self.grants_read_to
    }

    /// Would a projection have read an event of this moment?
    pub(super) fn is_projected_at(&self, at: Timestamp) -> bool {
        self.lag.is_zero() || at <= self.caught_up_to()
    }

    /// Lets the view read all events that are older than the lag.
    pub(super) fn project(&mut self) {
        self.project_to(if self.lag.is_zero() { Timestamp::MAX } else { self.caught_up_to() });
    }

    /// `GET /v2/settings/login/idps`: here every provider is switched on.
    pub(super) fn offered_idps(&self, org: Option<&str>) -> Value {
        let here = |idp: &&Idp| idp.org.is_none() || idp.org.as_deref() == org;
        let rows: Vec<Value> =
            self.idps.iter().filter(here).map(|idp| json!({"id": idp.id, "name": idp.name})).collect();
        let mut body = json!({"details": {"timestamp": time(self.view.position)}});
        if !rows.is_empty() {
            body["details"]["totalResult"] = rows.len().to_string().into();
            body["identityProviders"] = rows.into();
        }
        body
    }

    /// Makes the ghosts of an organisation's users invisible, now and for good.
    pub(super) fn ghost(&mut self, org: &str) {
        let at = self.now();
        for user in self.users.values_mut().filter(|user| user.organization_id == org && user.exists()) {
            user.ghost = true;
            self.names.remove(&user.user_name.to_lowercase());
            for link in &user.links {
                self.links.remove(&(link.idp_id.clone(), link.user_id.to_lowercase()));
            }
            let none = self.events.len()..self.events.len();
            self.view.add(at, user, none, &self.events, false);
        }
    }
}

/// A moment as protobuf's JSON has it: no, three or six digits.
pub(super) fn time(at: Timestamp) -> String {
    match at.subsec_microsecond() {
        _ if at.subsec_nanosecond() == 0 => format!("{at:.0}"),
        0 => format!("{at:.3}"),
        _ => format!("{at:.6}"),
    }
}

/// `details` of an object in a list.
pub(super) fn details(sequence: u64, created: Timestamp, changed: Timestamp, owner: &str) -> Value {
    json!({
        "sequence": sequence.to_string(),
        "creationDate": time(created),
        "changeDate": time(changed),
        "resourceOwner": owner,
    })
}
