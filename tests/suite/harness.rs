//! Runs the real program against both vendors in process, and reads afterwards what arrived.
//!
//! ```ignore
//! let world = World::of(Tenant::one_of_each()).start();
//! let ran = world.cutover().run();
//! ran.code(3);
//! world.assert_balanced();
//! ```

pub(crate) mod canaries;
pub(crate) mod expected;
mod run;
pub(crate) mod verdict;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use a2z::sandbox::{
    auth0::{self, Auth0},
    faults::{Faults, Rule},
    tenant::Tenant,
    zitadel::{self, Mail, Snapshot, Zitadel},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(crate) use self::{
    expected::{Expected, Fate},
    run::{Ran, Run},
};

/// What whoever runs the tests set for them.
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var_os(name).map(|text| text.into_string().unwrap())
}

/// Both vendors, a state folder, and the ticket files.
pub(crate) struct World {
    // Dropped before the runtime that serves it.
    auth0: Option<Auth0>,
    pub(crate) zitadel: Zitadel,
    /// How the tenant behaves from the next `becomes` on.
    pub(crate) auth0_options: auth0::Options,
    folder: tempfile::TempDir,
    /// What no run may print or leave in its state folder: looked for after each.
    canaries: Arc<canaries::Canaries>,
    runtime: Runtime,
}

/// A world that is not started yet.
#[must_use]
pub(crate) struct Builder {
    auth0: auth0::Options,
    zitadel: zitadel::Options,
}

impl Builder {
    /// Changes how the tenant behaves.
    pub(crate) fn auth0(mut self, change: impl FnOnce(&mut auth0::Options)) -> Self {
        change(&mut self.auth0);
        self
    }

    /// Changes how the instance behaves.
    pub(crate) fn zitadel(mut self, change: impl FnOnce(&mut zitadel::Options)) -> Self {
        change(&mut self.zitadel);
        self
    }

    /// Faults of the instance.
    pub(crate) fn faults(self, rules: impl IntoIterator<Item = Rule>) -> Self {
        let faults = Faults::of(rules);
        self.zitadel(|options| options.faults = faults)
    }

    /// Starts both vendors and writes the ticket files.
    #[track_caller]
    pub(crate) fn start(self) -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (auth0, zitadel) = runtime.block_on(async {
            (Auth0::start(self.auth0.clone()).await.unwrap(), Zitadel::start(self.zitadel).await.unwrap())
        });
        let folder = tempfile::tempdir().unwrap();
        let canaries = Arc::new(canaries::Canaries::of(&auth0, &zitadel));
        let world = World { auth0: Some(auth0), zitadel, auth0_options: self.auth0, folder, canaries, runtime };
        world.write_ticket();
        world
    }
}

impl World {
    /// A world with this tenant.
    pub(crate) fn of(tenant: Tenant) -> Builder {
        // Quick jobs: how a job lives is tested elsewhere.
        let job = auth0::JobOptions { pending: 0, processing: 1, without_location: 0, ..auth0::JobOptions::default() };
        let auth0 = auth0::Options { tenant, job, ..auth0::Options::default() };
        Builder { auth0, zitadel: zitadel::Options::default() }
    }

    pub(crate) fn auth0(&self) -> &Auth0 {
        self.auth0.as_ref().unwrap()
    }

    pub(crate) fn tenant(&self) -> &Tenant {
        self.auth0().tenant()
    }

    /// Time passes at Auth0: the same tenant, at the same address, with other users; and fresh ticket files.
    #[track_caller]
    pub(crate) fn becomes(&mut self, tenant: Tenant) {
        let port = |url: &str| url.rsplit(':').next().unwrap().parse().unwrap();
        let old = self.auth0.take().unwrap();
        self.auth0_options.tenant = tenant;
        self.auth0_options.port = port(&old.url);
        drop(old);
        // The old listener closes when its task has been dropped, which takes a moment.
        let options = self.auth0_options.clone();
        self.auth0 = Some(self.runtime.block_on(async {
            for _ in 0..200 {
                if let Ok(auth0) = Auth0::start(options.clone()).await {
                    return auth0;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            panic!("the port stays taken");
        }));
        self.canaries = Arc::new(canaries::Canaries::of(self.auth0(), &self.zitadel));
        self.write_ticket();
    }

    /// A place in the world's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    fn write_ticket(&self) {
        let mut hashes = Vec::new();
        self.tenant().write_hashes(&mut hashes).unwrap();
        fs::write(self.path("passwords.ndjson"), hashes).unwrap();
        let mut mfa = Vec::new();
        self.tenant().write_mfa(&mut mfa).unwrap();
        fs::write(self.path("mfa.ndjson"), mfa).unwrap();
    }

    /// The whole export, as a job without a choice of fields would give it.
    pub(crate) fn export(&self) -> Vec<u8> {
        let mut export = Vec::new();
        self.tenant().write_export(&mut export).unwrap();
        export
    }

    /// The program with the credentials of this world in its environment, and nothing else.
    pub(crate) fn a2z<const N: usize>(&self, args: [&str; N]) -> Run {
        let auth0 = self.auth0();
        Run::new(self.folder.path())
            .canaries(Arc::clone(&self.canaries))
            .args(args)
            .args(["--state", self.state().to_str().unwrap(), "--progress", "plain"])
            .env("AUTH0_DOMAIN", &auth0.url)
            .env("AUTH0_CLIENT_ID", &auth0.client_id)
            .env("AUTH0_CLIENT_SECRET", &auth0.client_secret)
            .env("ZITADEL_URL", self.zitadel.url.as_str())
            .env("ZITADEL_TOKEN", &self.zitadel.token)
            .env("ZITADEL_ORG_ID", &self.zitadel.organization_id)
            .env("A2Z_HTTP_FIRST_WAIT", "10ms")
            .env("A2Z_HTTP_MAX_WAIT", "100ms")
            .env("A2Z_HTTP_CONNECT_TIMEOUT", "5s")
    }

    /// `a2z cutover --yes` with the ticket's hashes.
    pub(crate) fn cutover(&self) -> Run {
        self.a2z(["cutover", "--yes"]).args(["--passwords", "passwords.ndjson"])
    }

    /// `report.json`.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        let path = self.state().join("report.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap()
    }

    /// How many users ended so, by `report.json`.
    #[track_caller]
    pub(crate) fn balance(&self, outcome: &str) -> u64 {
        self.report()["balance"][outcome].as_u64().unwrap_or_else(|| panic!("no `{outcome}` in the balance"))
    }

    /// `outcomes.ndjson`.
    #[track_caller]
    pub(crate) fn outcomes(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state().join("outcomes.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The outcome of a user who has one line only.
    #[track_caller]
    pub(crate) fn outcome(&self, user_id: &str) -> Value {
        let mut found: Vec<_> = self.outcomes().into_iter().filter(|line| line["user_id"] == user_id).collect();
        assert_eq!(found.len(), 1, "outcomes of `{user_id}`: {found:?}");
        found.remove(0)
    }

    pub(crate) fn store(&self) -> Snapshot {
        self.zitadel.store()
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.zitadel.mails()
    }

    /// Requests to the instance that change something, as `METHOD path`.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.zitadel
            .requests()
            .into_iter()
            .filter(|seen| !is_read(&seen.method, &seen.path))
            .map(|seen| format!("{} {}", seen.method, seen.path))
            .collect()
    }

    /// The balance is whole, and `outcomes.ndjson` has exactly one line for every line of the export.
    #[track_caller]
    pub(crate) fn assert_balanced(&self) {
        let report = self.report();
        let balance: BTreeMap<String, u64> = serde_json::from_value(report["balance"].clone()).unwrap();
        let exported = balance["exported"];
        let sum: u64 = balance.iter().filter(|(key, _)| *key != "exported").map(|(_, users)| users).sum();
        assert_eq!(exported, sum, "{balance:?}");
        assert_eq!(balance["unknown"], 0, "{balance:?}");
        let outcomes = self.outcomes();
        assert_eq!(outcomes.len() as u64, exported);
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        let mut places = HashSet::new();
        for line in &outcomes {
            *counted.entry(line["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
            let place = (line["file"].as_i64().unwrap(), line["line"].as_u64().unwrap());
            assert!(places.insert(place), "twice: {line}");
        }
        for (outcome, users) in balance.iter().filter(|(key, _)| *key != "exported") {
            assert_eq!(counted.get(outcome).copied().unwrap_or(0), *users, "{outcome}: {balance:?} {counted:?}");
        }
    }

    /// Every row ended as the mapping table says, every user in the store is whole, and nobody else is there. `gone`:
    /// `created` at the first run, `unchanged` after it, for users who were moved.
    #[track_caller]
    pub(crate) fn assert_moved(&self, moved_as: &str) {
        let fates = Expected::of(self.tenant());
        let lines: HashMap<u64, Value> =
            self.outcomes().into_iter().map(|line| (line["line"].as_u64().unwrap(), line)).collect();
        for (index, fate) in fates.fates.iter().enumerate() {
            let line = &lines[&(index as u64 + 1)];
            let (outcome, code) = match fate {
                Fate::Moved(_) => (moved_as, None),
                Fate::Rejected(code) => ("rejected", Some(*code)),
                Fate::Skipped(code) => ("skipped", Some(*code)),
            };
            assert_eq!((line["outcome"].as_str(), line["code"].as_str()), (Some(outcome), code), "{line}");
        }
        assert_eq!(lines.len(), fates.fates.len());
        self.assert_store(&fates);
    }

    /// The store holds exactly the users who are to be there, each whole and created once; no message was sent.
    #[track_caller]
    pub(crate) fn assert_store(&self, fates: &Expected) {
        let store = self.store();
        let users = fates.users();
        for (id, user) in &users {
            let found = store.get(*id).unwrap_or_else(|| panic!("`{id}` did not arrive"));
            user.assert_is(found, &self.zitadel.organization_id);
            assert_eq!(found.created_count, 1, "`{id}`");
        }
        let strangers: Vec<_> = store.keys().filter(|id| !users.contains_key(id.as_str())).collect();
        assert!(strangers.is_empty(), "nobody should have moved these: {strangers:?}");
        assert_eq!(self.mails(), []);
    }

    /// Every user of the tenant is in the store, whole, however often the id was created.
    #[track_caller]
    pub(crate) fn assert_store_whole(&self) {
        let (expected, store) = (Expected::of(self.tenant()), self.store());
        let users = expected.users();
        assert_eq!(store.len(), users.len());
        for (id, user) in users {
            user.assert_is(&store[id], &self.zitadel.organization_id);
        }
        assert_eq!(self.mails(), []);
    }

    /// Tries to sign in as Login V2 does, with the account that a2z has, too; the id of the error where it is refused.
    #[track_caller]
    pub(crate) fn sign_in(&self, login_name: &str, password: &str) -> Result<(), String> {
        self.sign_in_as(&self.zitadel.token, login_name, password)
    }

    /// The same through another service account.
    #[track_caller]
    pub(crate) fn sign_in_as(&self, token: &str, login_name: &str, password: &str) -> Result<(), String> {
        let url = self.zitadel.url.join("/v2/sessions").unwrap();
        let checks = json!({"checks": {"user": {"loginName": login_name}, "password": {"password": password}}});
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let answer = client.post(url).bearer_auth(token).json(&checks).send().await.unwrap();
            if answer.status().is_success() {
                return Ok(());
            }
            let body: Value = answer.json().await.unwrap();
            Err(body["details"][0]["id"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// Somebody else writes metadata; `value` is base64.
    #[track_caller]
    pub(crate) fn set_metadata(&self, user_id: &str, key: &str, value: &str) {
        self.user_service("SetUserMetadata", &json!({"userId": user_id, "metadata": [{"key": key, "value": value}]}));
    }

    /// Somebody else deactivates a user.
    #[track_caller]
    pub(crate) fn deactivate(&self, user_id: &str) {
        self.user_service("DeactivateUser", &json!({"userId": user_id}));
    }

    /// A call of the user service, by the account that a2z has, too.
    #[track_caller]
    pub(crate) fn user_service(&self, procedure: &str, body: &Value) {
        self.user_service_as(&self.zitadel.token, procedure, body);
    }

    /// The same by another service account.
    #[track_caller]
    pub(crate) fn user_service_as(&self, token: &str, procedure: &str, body: &Value) {
        self.call_as(token, &format!("/zitadel.user.v2.UserService/{procedure}"), body);
    }

    /// Any call, by the account that a2z has, too.
    #[track_caller]
    pub(crate) fn call(&self, path: &str, body: &Value) -> Value {
        self.call_as(&self.zitadel.token, path, body)
    }

    #[track_caller]
    pub(crate) fn call_as(&self, token: &str, path: &str, body: &Value) -> Value {
        let url = self.zitadel.url.join(path).unwrap();
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let answer = client.post(url).bearer_auth(token).json(body).send().await.unwrap();
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            answer.json().await.unwrap_or_default()
        })
    }

    /// How many users a search finds, the sandbox's own included.
    #[track_caller]
    pub(crate) fn search_count(&self) -> u64 {
        let url = self.zitadel.url.join("/v2/users").unwrap();
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let answer = client.post(url).bearer_auth(&self.zitadel.token).json(&json!({})).send().await.unwrap();
            let body: Value = answer.json().await.unwrap();
            body["details"]["totalResult"].as_str().unwrap().parse().unwrap()
        })
    }

    /// Waits until `done`, at most 60 s.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..6_000 {
            if done(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("waited for too long: {what}");
    }
}

/// Searches are POSTs, too.
fn is_read(method: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    method == "GET"
        || path.ends_with("_search")
        || path.ends_with("/search")
        || path.contains("/List")
        || path.contains("/Get")
        || path == "/v2/users"
        || path == "/oauth/v2/token"
        || path.starts_with("/v2/sessions")
}
