//! An in-process ZITADEL: a new instance with one organisation, one owner of it all, and no mail provider.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use serde_json::json;
use url::Url;

mod access;
mod admin;
mod answer;
mod codes;
mod email;
mod import;
mod pages;
mod people;
mod projections;
mod projects;
mod routes;
mod rules;
mod schema;
mod sessions;
mod shapes;
mod state;
mod users;

pub use codes::Provider;
pub use projections::Projection;
pub use state::{Link, Mail, MailKind, User, UserState};

use super::faults::{Faults, Rule};
use super::{Control, Door, Seen, Site};
use answer::{Code, Fail};
use state::{State, Token};

/// What the instance is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on loopback, 0 for any that is free.
    pub port: u16,
    /// How far the projections stay behind the events.
    pub lag: Duration,
    /// How many entities an import stores in a second; `None` for as fast as it goes.
    pub import_users_per_second: Option<f64>,
    /// What goes wrong, and when.
    pub faults: Faults,
    /// How long a token from the token endpoint is good for. The owner's personal access token never expires.
    pub token_ttl: Duration,
    /// The bcrypt cost to which a successful sign-in renews a hash of another cost; the real one has 14. `None` for
    /// no renewal.
    pub rehash_cost: Option<u32>,
    /// The largest message that the import takes, in bytes of protobuf.
    pub largest_request: usize,
    /// Users that the import refuses with the whole request, by id; and whether it says at which place they stand.
    pub poison: Vec<(String, bool)>,
    /// The version that it says it has; none: whoever asks is refused.
    pub version: Option<String>,
    /// The most rows in one answer to a list (`SystemDefaults.MaxQueryLimit`), 0 for no bound. Who asks for more is
    /// refused.
    pub largest_page: usize,
    /// The rows for who does not say how many (`SystemDefaults.DefaultQueryLimit`).
    pub default_page: usize,
    /// Whether all lists keep to these two, as since v4.19.5, or only those with `pagination`, as before.
    pub enforce_limits: bool,
    /// No answer to a list has more rows than this, and none says so, but for its total. No version that is known does
    /// that.
    pub quiet_cap: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            lag: Duration::ZERO,
            import_users_per_second: None,
            faults: Faults::none(),
            token_ttl: Duration::from_hours(12),
            rehash_cost: Some(4),
            largest_request: import::LARGEST,
            poison: Vec::new(),
            version: Some("v4.19.5".to_owned()),
            largest_page: pages::LARGEST,
            default_page: pages::DEFAULT,
            enforce_limits: true,
            quiet_cap: None,
        }
    }
}

/// Every user with everything that arrived, by id; without the sandbox's own.
pub type Snapshot = BTreeMap<String, User>;

/// An organisation, as it arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenOrganization {
    /// Its name.
    pub name: String,
    /// Key to bytes.
    pub metadata: BTreeMap<String, Vec<u8>>,
    /// Its own branding, where it has one.
    pub branding: Option<serde_json::Value>,
}

/// A project, as it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenProject {
    /// Its name.
    pub name: String,
    /// The organisation that owns it.
    pub organization_id: String,
    /// Keys and display names.
    pub roles: BTreeMap<String, String>,
    /// Organisations that may give its roles, and which.
    pub granted: BTreeMap<String, Vec<String>>,
}

/// What there is beside the users; all by id, grants by user, project and organisation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Structure {
    /// All organisations, the first one among them.
    pub organizations: BTreeMap<String, SeenOrganization>,
    /// All projects.
    pub projects: BTreeMap<String, SeenProject>,
    /// Role keys, sorted.
    pub grants: BTreeMap<(String, String, String), Vec<String>>,
}

/// A running instance. Dropping it ends it.
pub struct Zitadel {
    /// Where it is.
    pub url: Url,
    /// A personal access token of an `IAM_OWNER`.
    pub token: String,
    /// The organisation that is there from the start.
    pub organization_id: String,
    /// A service-account key of the same owner, for the JWT profile.
    pub key_json: String,
    /// The same owner's client credentials.
    pub client_id: String,
    /// See [`Self::client_id`].
    pub client_secret: String,
    server: Arc<Server>,
    door: Door,
}

/// What the routes share.
struct Server {
    state: Mutex<State>,
    control: Arc<Control>,
    options: Options,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SITE: Site = Site {
    token_expired: || -> Response { access::invalid_token().gateway() },
    too_many: || -> Response { Fail::plain(Code::ResourceExhausted, "too many requests").gateway() },
    refused: || -> Response { Fail::plain(Code::InvalidArgument, "invalid request").gateway() },
    forbidden: |id| -> Response { Fail::new(Code::PermissionDenied, id, "No matching permissions found").gateway() },
    internal_error: r#"{"code":13,"message":"Errors.Internal (SANDB-1)","details":[{"@type":"type.googleapis.com/zitadel.v1.ErrorDetail","id":"SANDB-1","message":"Errors.Internal"}]}"#,
};

const OWNER: &str = "sandbox-owner";

impl Zitadel {
    /// Starts an instance.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let mut state = State { lag: options.lag, ..State::default() };
        state.instance = state.id();
        let (organization_id, owner, key_id) = (state.id(), state.id(), state.id());
        state.default_org.clone_from(&organization_id);
        state.instance_sequence = 107;
        seed(&mut state, &organization_id, &owner, &key_id);

        let (token, secret) = ("sandbox-pat-owner".to_owned(), "sandbox-secret-owner".to_owned());
        state.tokens.insert(token.clone(), Token { user_id: owner.clone(), expires: None });
        if let Some(user) = state.users.get_mut(&owner) {
            user.secret = Some(secret.clone());
        }
        let mut shared = None;
        let settings = options.clone();
        let door = Door::open(options.port, options.faults.clone(), SITE, |control, address| {
            state.issuer = format!("http://{address}");
            let server = Arc::new(Server { state: Mutex::new(state), control, options: settings });
            shared = Some(Arc::clone(&server));
            Router::new().fallback(routes::serve).with_state(server)
        })
        .await?;
        let server = shared.ok_or_else(|| io::Error::other("the sandbox has no state"))?;
        let url = Url::parse(&server.state().issuer).map_err(io::Error::other)?;
        let key =
            json!({"type": "serviceaccount", "keyId": key_id, "key": include_str!("zitadel/key.pem"), "userId": owner});
        Ok(Self {
            url,
            token,
            organization_id,
            key_json: key.to_string(),
            client_id: OWNER.to_owned(),
            client_secret: secret,
            server,
            door,
        })
    }

    /// Every user with everything that arrived, whether the projections have read it or not. Deleted users and the
    /// sandbox's own are not in it; those of a deleted organisation are.
    #[must_use]
    pub fn store(&self) -> Snapshot {
        let state = self.server.state();
        let arrived = state.users.values().filter(|user| user.exists() && !user.seeded);
        arrived.map(|user| (user.id.clone(), user.clone())).collect()
    }

    /// Organisations, projects and grants, whether the projections have read them or not.
    #[must_use]
    pub fn structure(&self) -> Structure {
        let state = self.server.state();
        let organization = |org: &state::Org| SeenOrganization {
            name: org.name.clone(),
            metadata: org.metadata.clone(),
            branding: org.label.clone(),
        };
        let project = |project: &state::Project| SeenProject {
            name: project.name.clone(),
            organization_id: project.org.clone(),
            roles: project.roles.iter().map(|role| (role.key.clone(), role.display_name.clone())).collect(),
            granted: project.granted.clone(),
        };
        let grant = |grant: &state::Grant| {
            let mut roles = grant.roles.clone();
            roles.sort();
            ((grant.user_id.clone(), grant.project_id.clone(), grant.org.clone()), roles)
        };
        Structure {
            organizations: state.orgs.values().map(|org| (org.id.clone(), organization(org))).collect(),
            projects: state.projects.iter().map(|(id, one)| (id.clone(), project(one))).collect(),
            grants: state.grants.iter().map(grant).collect(),
        }
    }

    /// The e-mails and SMS that would have gone out.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.server.state().mails.clone()
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.door.control.seen()
    }

    /// Replaces the fault rules.
    pub fn set_faults(&self, rules: impl IntoIterator<Item = Rule>) {
        self.door.control.faults.set(rules);
    }

    /// Lets a projection skip the next event that would insert a row for each of these users, for good: it is stored, and
    /// the projection never reads it. A real instance does that if requests run in parallel (zitadel#12703).
    pub fn skip(&self, projection: Projection, user_ids: impl IntoIterator<Item = String>) {
        self.skip_event(projection, projection.inserted_by(), user_ids);
    }

    /// The same for the next event of this type: `user.removed` leaves a ghost behind, `user.human.email.verified` an old
    /// value.
    pub fn skip_event(&self, projection: Projection, kind: &'static str, user_ids: impl IntoIterator<Item = String>) {
        let mut state = self.server.state();
        user_ids.into_iter().for_each(|id| state.view.skip(projection, kind, id));
    }

    /// Says whether the instance could send SMS and e-mails. The sandbox itself sends nothing.
    pub fn set_providers(&self, sms: Provider, mail: Provider) {
        let mut state = self.server.state();
        (state.sms_provider, state.mail_provider) = (sms, mail);
    }

    /// Changes how far the projections stay behind.
    pub fn set_lag(&self, lag: Duration) {
        self.server.state().lag = lag;
    }

    /// Makes an identity provider of the instance, and gives its id. `kind` is the last part of the path: `google`.
    #[expect(clippy::must_use_candidate, reason = "often only that it is there counts")]
    pub fn add_idp(&self, kind: &str, name: &str, client_id: &str, creation_allowed: bool) -> String {
        self.put_idp(None, kind, name, client_id, creation_allowed)
    }

    /// The same, of the organization alone.
    #[expect(clippy::must_use_candidate, reason = "often only that it is there counts")]
    pub fn add_idp_of_organization(&self, kind: &str, name: &str, client_id: &str) -> String {
        self.put_idp(Some(&self.organization_id), kind, name, client_id, true)
    }

    fn put_idp(&self, org: Option<&str>, kind: &str, name: &str, client_id: &str, creation_allowed: bool) -> String {
        let request = serde_json::json!({
            "name": name, "clientId": client_id, "clientSecret": "x", "metadataXml": "PHgvPg==",
            "providerOptions": { "isLinkingAllowed": true, "isCreationAllowed": creation_allowed },
        });
        let made = self.server.create_idp(kind, org, &request);
        made.ok().and_then(|made| made["id"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Id, kind (`PROVIDER_TYPE_GOOGLE`), name and client of every identity provider.
    #[must_use]
    pub fn idps(&self) -> Vec<[String; 4]> {
        let state = self.server.state();
        let row = |idp: &state::Idp| {
            let client = idp.config.1["clientId"].as_str().unwrap_or_default().to_owned();
            [idp.id.clone(), idp.kind.to_owned(), idp.name.clone(), client]
        };
        state.idps.iter().map(row).collect()
    }

    /// Puts a user there who was there before. Its id, names and links must be free, as nothing checks them here.
    pub fn add_user(&self, user: User) {
        let mut state = self.server.state();
        let mut fresh = state.fresh(&user.id, &user.organization_id);
        let (sequence, created_count) = (fresh.sequence, fresh.created_count);
        fresh = User { created_count, sequence, ..user };
        for (part, default) in [
            (&mut fresh.organization_id, self.organization_id.as_str()),
            (&mut fresh.gender, "GENDER_UNSPECIFIED"),
            (&mut fresh.language, "und"),
        ] {
            if part.is_empty() {
                default.clone_into(part);
            }
        }
        state.claim(&fresh);
        let kind = if fresh.machine { "user.machine.added" } else { "user.human.added" };
        let payload = people::added(&fresh, false);
        state.write(fresh, vec![(kind, Some(payload))], "", true);
    }

    /// Changes a user behind everybody's back, in a way that no request can: another organization, no password. Nothing
    /// happens where there is no such user.
    pub fn tamper(&self, user_id: &str, change: impl FnOnce(&mut User)) {
        let mut state = self.server.state();
        let Some(mut user) = state.users.get(user_id).cloned() else { return };
        let (had_totp, codes) = (user.totp.is_some(), user.recovery_codes.len());
        let had_codes = (user.otp_sms, user.otp_email);
        let name = user.user_name.to_lowercase();
        change(&mut user);
        if user.user_name.to_lowercase() != name {
            state.names.remove(&name);
            state.names.insert(user.user_name.to_lowercase(), user.id.clone());
        }
        let mut events = vec![("user.human.profile.changed", None)];
        events.extend(user.codes_changed(had_codes).into_iter().map(|kind| (kind, None)));
        match (had_totp, user.totp.is_some()) {
            (true, false) => events.push(("user.human.mfa.otp.removed", None)),
            (false, true) => events.push(("user.human.mfa.otp.verified", None)),
            _ => {}
        }
        if user.recovery_codes.len() > codes {
            events.push(("user.human.mfa.recoverycode.added", None));
        }
        if user.hash.is_none() {
            user.password_changed = None;
        }
        state.write(user, events, "", true);
    }

    /// A personal access token of a new service account with these roles in the instance (`IAM_…`) and in the
    /// first organisation (all others). None at all is possible, too.
    #[must_use]
    pub fn add_token(&self, roles: &[&str]) -> String {
        let mut state = self.server.state();
        let id = state.id();
        let mut user = state.fresh(&id, &self.organization_id);
        user.user_name = format!("account-{id}");
        user.display_name.clone_from(&user.user_name);
        (user.machine, user.seeded) = (true, true);
        state.claim(&user);
        state.commit(user, vec![("user.machine.added", None)], "");
        let (instance, org): (Vec<_>, Vec<_>) =
            roles.iter().map(|role| (*role).to_owned()).partition(|role: &String| role.starts_with("IAM_"));
        for (place, roles) in [(None, instance), (Some(self.organization_id.as_str()), org)] {
            if !roles.is_empty() {
                // The account is new: it cannot have them yet.
                let _ = state.add_member(&id, place, roles);
            }
        }
        let token = format!("sandbox-pat-{id}");
        state.tokens.insert(token.clone(), Token { user_id: id, expires: None });
        token
    }

    /// Lets every token from the token endpoint expire now.
    pub fn expire_tokens(&self) {
        let mut state = self.server.state();
        let now = state.now();
        state.tokens.values_mut().filter(|token| token.expires.is_some()).for_each(|token| token.expires = Some(now));
    }

    /// Whether the server process would be dead: a malformed user killed it.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.door.control.is_down()
    }

    /// Stops answering, until [`Self::restart`].
    pub fn stop(&self) {
        self.door.control.down(None);
    }

    /// Starts the process again; what was stored is still there.
    pub fn restart(&self) {
        self.door.control.up();
    }
}

/// What every instance has: an organisation, a human admin, and the service account that the token belongs to.
fn seed(state: &mut State, org: &str, owner: &str, key_id: &str) {
    // Nothing is there yet that these could collide with.
    let _ = state.add_org(org, "ZITADEL");
    let admin = state.id();
    let mut user = state.fresh(&admin, org);
    "zitadel-admin@zitadel.localhost".clone_into(&mut user.user_name);
    user.email.clone_from(&user.user_name);
    "ZITADEL".clone_into(&mut user.first_name);
    "Admin".clone_into(&mut user.last_name);
    "ZITADEL Admin".clone_into(&mut user.display_name);
    "en".clone_into(&mut user.language);
    (user.email_verified, user.seeded) = (true, true);
    user.hash = bcrypt::hash("Password1!", 4).ok();
    state.claim(&user);
    let events = vec![("user.human.added", Some(people::added(&user, false))), ("user.human.email.verified", None)];
    state.commit(user, events, "");

    let mut user = state.fresh(owner, org);
    OWNER.clone_into(&mut user.user_name);
    "Sandbox owner".clone_into(&mut user.display_name);
    (user.machine, user.seeded) = (true, true);
    state.claim(&user);
    state.commit(user, vec![("user.machine.added", None)], "");
    let _ = state.add_member(owner, Some(org), vec!["ORG_OWNER".to_owned()]);
    let _ = state.add_member(owner, None, vec!["IAM_OWNER".to_owned()]);
    state.keys.insert(key_id.to_owned(), (owner.to_owned(), include_bytes!("zitadel/key.pub.pem").to_vec()));
    state.project_to(jiff::Timestamp::MAX);
    state.mails.clear();
}
