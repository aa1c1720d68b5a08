//! An Auth0 tenant on a loopback port: tokens, the export job, its download on another port, and the lists.
//!
//! Rules, shapes and texts are those of `contract/auth0` and of Auth0's published description. It never writes: the
//! migrator does not either.

mod download;
mod export;
mod jobs;
mod lists;
mod paging;
mod reply;
mod token;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicU32},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use url::form_urlencoded;

use self::{
    jobs::Job,
    paging::Query,
    reply::{Bucket, Failure},
    token::Grant,
};
use super::{Door, Seen, Site, body_of, faults::Faults, tenant::Tenant};

/// The scope without which connections come without their `options` (since 2025-07-08).
pub const CONNECTION_OPTIONS: &str = "read:connections_options";

/// Every scope that a migration reads with.
pub const SCOPES: &[&str] = &[
    "read:users",
    "read:connections",
    CONNECTION_OPTIONS,
    "read:roles",
    "read:role_members",
    "read:organizations",
    "read:organization_members",
    "read:organization_member_roles",
    "read:organization_connections",
    "read:authentication_methods",
    "read:stats",
];

/// The application that may ask for tokens.
pub const CLIENT_ID: &str = "a2zSandboxClient0000000000000000";

/// How the tenant behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port of the tenant, 0 for any.
    pub port: u16,
    /// The port of the downloads, 0 for any.
    pub download_port: u16,
    /// Its users.
    pub tenant: Tenant,
    /// The only audience that gives a useful token; `None` for the tenant's own `{url}/api/v2/`.
    pub audience: Option<String>,
    /// How long a token lives, in seconds.
    pub expires_in: u64,
    /// The scopes of the client grant.
    pub scopes: Vec<String>,
    /// The client has a grant for the Management API.
    pub granted: bool,
    /// The rate limit of the Management API.
    pub limit: Limit,
    /// The most entries on a page of a list, whatever the request asks for.
    pub largest_page: usize,
    /// How export jobs go.
    pub job: JobOptions,
    /// How the download goes.
    pub download: DownloadOptions,
    /// What goes wrong at the tenant.
    pub faults: Faults,
    /// What goes wrong at the download's host.
    pub download_faults: Faults,
}

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Its size, in requests.
    pub burst: u32,
    /// How fast it refills, in requests a second.
    pub per_second: f64,
}

/// How export jobs go. A job moves on with every question about it.
#[derive(Debug, Clone, Copy)]
pub struct JobOptions {
    /// How many answers say `pending`.
    pub pending: u32,
    /// How many answers after them say `processing` (more where the file is not ready yet).
    pub processing: u32,
    /// How many answers after them say `completed` without a `location`.
    pub without_location: u32,
    /// What `time_left_seconds` says, where it is present: every second time.
    pub time_left_seconds: u64,
    /// The job ends as `failed`.
    pub fails: bool,
    /// "All job-related data is automatically deleted after 24 hours."
    pub lifetime: Duration,
}

/// How the download goes.
#[derive(Debug, Clone, Copy)]
pub struct DownloadOptions {
    /// "The download link is valid for 60 seconds." Counted in whole seconds.
    pub lifetime: Duration,
    /// Gzip members that the file is made of.
    pub members: u32,
    /// How many downloads give a file that ends in the middle, and say nothing of it.
    pub truncated: u32,
    /// How many downloads break off in the middle.
    pub dropped: u32,
    /// The answer says `Content-Encoding: gzip` beside.
    pub content_encoding: bool,
    /// The link answers with a redirect first.
    pub redirect: bool,
    /// A pause before every 64 KiB.
    pub pause: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            download_port: 0,
            tenant: Tenant::one_of_each(),
            audience: None,
            expires_in: 86_400,
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            granted: true,
            limit: Limit::default(),
            largest_page: 100,
            job: JobOptions::default(),
            download: DownloadOptions::default(),
            faults: Faults::none(),
            download_faults: Faults::none(),
        }
    }
}

impl Default for Limit {
    /// More than a test needs; a tenant of the Enterprise plan has 50 and 16.
    fn default() -> Self {
        Self { burst: 1000, per_second: 1000.0 }
    }
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            pending: 1,
            processing: 2,
            without_location: 1,
            time_left_seconds: 0,
            fails: false,
            lifetime: Duration::from_hours(24),
        }
    }
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_mins(1),
            members: 1,
            truncated: 0,
            dropped: 0,
            content_encoding: false,
            redirect: false,
            pause: None,
        }
    }
}

/// A request that the tenant or the download's host looked at. Values of headers and the client's secret are not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// `GET`, `POST`.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// The names of the headers, in lower case.
    pub headers: Vec<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The body: JSON as it is, a form as an object of strings.
    pub body: Option<Value>,
    /// What was answered.
    pub status: u16,
    /// It went to the download's host.
    pub download: bool,
}

/// A running tenant. Dropping it ends the servers.
pub struct Auth0 {
    /// The base of the tenant, without a slash at the end: `http://127.0.0.1:…`.
    pub url: String,
    /// The base of the downloads.
    pub download_url: String,
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    shared: Arc<Shared>,
    tenant: Door,
    downloads: Door,
}

impl fmt::Debug for Auth0 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth0").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What both ports share.
struct Shared {
    options: Options,
    client_secret: String,
    url: OnceLock<String>,
    download_url: OnceLock<String>,
    tokens: Mutex<HashMap<String, Grant>>,
    jobs: Mutex<BTreeMap<String, Job>>,
    bucket: Mutex<Bucket>,
    requests: Mutex<Vec<Recorded>>,
    /// Downloads that began.
    begun: AtomicU32,
    /// Counted when first asked for.
    users: OnceLock<u64>,
}

impl Auth0 {
    /// Opens both ports on loopback.
    ///
    /// # Errors
    /// A port that is taken.
    pub async fn start(options: Options) -> io::Result<Self> {
        let (port, download_port) = (options.port, options.download_port);
        let (faults, download_faults) = (options.faults.clone(), options.download_faults.clone());
        let client_secret = format!("a2z-sandbox-secret-{:016x}{:016x}", any(), any());
        let shared = Arc::new(Shared {
            bucket: Mutex::new(Bucket::new(options.limit)),
            options,
            client_secret: client_secret.clone(),
            url: OnceLock::new(),
            download_url: OnceLock::new(),
            tokens: Mutex::default(),
            jobs: Mutex::default(),
            requests: Mutex::default(),
            begun: AtomicU32::new(0),
            users: OnceLock::new(),
        });
        let site = Site {
            token_expired: || Failure::expired_token().into_response(),
            too_many: || Failure::too_many().into_response(),
            refused: || Failure::bad_request("Payload validation error", "invalid_body").into_response(),
            forbidden: |code| Failure::forbidden(code).into_response(),
            internal_error: r#"{"statusCode":500,"error":"Internal Server Error","message":"Internal error"}"#,
        };
        let downloads = Door::open(download_port, download_faults, site, |_, address| {
            shared.download_url.get_or_init(|| format!("http://{address}"));
            Router::new().fallback(serve_download).with_state(Arc::clone(&shared))
        })
        .await?;
        let tenant = Door::open(port, faults, site, |_, address| {
            shared.url.get_or_init(|| format!("http://{address}"));
            Router::new().fallback(serve).with_state(Arc::clone(&shared))
        })
        .await?;
        Ok(Self {
            url: shared.url().to_owned(),
            download_url: shared.download_url().to_owned(),
            client_id: CLIENT_ID.to_owned(),
            client_secret,
            shared,
            tenant,
            downloads,
        })
    }

    /// The tenant's users.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.shared.options.tenant
    }

    /// Every request that was looked at so far, of both ports. Requests that a fault swallowed are in [`Self::seen`].
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// Replaces the fault rules of the tenant.
    pub fn set_faults(&self, rules: impl IntoIterator<Item = super::faults::Rule>) {
        self.tenant.control.faults.set(rules);
    }

    /// Every request that reached the tenant's port, with the fault that hit it.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.tenant.control.seen()
    }

    /// Every request that reached the download's port.
    #[must_use]
    pub fn seen_downloads(&self) -> Vec<Seen> {
        self.downloads.control.seen()
    }

    /// A ready token with the scopes of the options, as the dashboard's API explorer gives one.
    #[must_use]
    pub fn token(&self) -> String {
        self.shared.issue(false)
    }

    /// Every token that was given out is expired from now on.
    pub fn expire_tokens(&self) {
        self.shared.expire();
    }

    /// Resets every connection and every new one, until [`Self::up`].
    pub fn down(&self) {
        self.tenant.control.down(None);
        self.downloads.control.down(None);
    }

    /// Serves again.
    pub fn up(&self) {
        self.tenant.control.up();
        self.downloads.control.up();
    }
}

impl Shared {
    fn url(&self) -> &str {
        self.url.get().map_or("", String::as_str)
    }

    fn download_url(&self) -> &str {
        self.download_url.get().map_or("", String::as_str)
    }

    fn audience(&self) -> String {
        self.options.audience.clone().unwrap_or_else(|| format!("{}/api/v2/", self.url()))
    }

    fn users(&self) -> u64 {
        *self.users.get_or_init(|| self.options.tenant.users())
    }

    fn note(&self, request: &Call, status: u16, download: bool) {
        let mut body = request.body.clone();
        if let Some(secret) = body.as_mut().and_then(|body| body.get_mut("client_secret")) {
            *secret = Value::from("***");
        }
        lock(&self.requests).push(Recorded {
            method: request.method.to_string(),
            path: request.path.clone(),
            headers: request.headers.keys().map(|name| name.as_str().to_owned()).collect(),
            content_type: request.header(&header::CONTENT_TYPE).map(str::to_owned),
            body,
            status,
            download,
        });
    }
}

/// A request, taken apart.
struct Call {
    method: Method,
    /// Path and query, as sent.
    path: String,
    /// The path's steps, decoded.
    steps: Vec<String>,
    query: Query,
    headers: HeaderMap,
    body: Option<Value>,
    /// There was a body that is neither JSON nor a form.
    unreadable: bool,
}

impl Call {
    async fn of(request: Request) -> Self {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let steps = request.uri().path().split('/').skip(1).map(decoded).collect();
        let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let bytes = body_of(request).await.unwrap_or_default();
        let form = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form"));
        let body = if bytes.is_empty() {
            None
        } else if form {
            Some(
                form_urlencoded::parse(&bytes)
                    .map(|(key, value)| (key.into_owned(), Value::from(value.into_owned())))
                    .collect(),
            )
        } else {
            serde_json::from_slice(&bytes).ok()
        };
        Self {
            unreadable: !bytes.is_empty() && body.is_none(),
            method,
            path,
            steps,
            query: Query { pairs: query, largest_page: 100 },
            headers,
            body,
        }
    }

    fn header(&self, name: &header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The way of every request to the tenant.
async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let mut call = Call::of(request).await;
    call.query.largest_page = shared.options.largest_page;
    let steps: Vec<&str> = call.steps.iter().map(String::as_str).collect();
    let response = match steps.as_slice() {
        ["oauth", "token"] if call.method == Method::POST => token::answer(&shared, call.body.as_ref()),
        ["api", "v2", rest @ ..] => {
            let left = lock(&shared.bucket).take();
            let result = if left.allowed { lists::answer(&shared, &call, rest) } else { Err(Failure::too_many()) };
            left.on(reply::response(result))
        }
        _ => Failure::new(404, "Not Found", "Not Found", None).into_response(),
    };
    shared.note(&call, response.status().as_u16(), false);
    response
}

/// The way of every request to the download's host.
async fn serve_download(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let call = Call::of(request).await;
    let response = download::answer(&shared, &call).await;
    shared.note(&call, response.status().as_u16(), true);
    response
}

/// A step of a path without its percent signs.
fn decoded(step: &str) -> String {
    // A form would take a plus sign for a space; a path does not.
    let step = step.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(step.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that nobody can guess: the standard library seeds its hash maps so.
fn any() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Sixteen letters and digits, as Auth0's ids have.
fn any_id() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut number = u128::from(any()) << 64 | u128::from(any());
    let mut id = String::new();
    for _ in 0..16 {
        id.push(char::from(LETTERS[(number % 62) as usize]));
        number /= 62;
    }
    id
}

/// Unix seconds.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
