//! The way to one ZITADEL instance. What can be asked stands in `instance`, `search` and `users`.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    failure::{Failure, is_too_large},
    token,
};
use crate::{
    error::{Error, Result},
    event::Events,
    http::settings::Http,
    http::{
        Answer, Body, Call,
        client::{self as http, Auth},
    },
    zitadel::settings::Zitadel,
};

/// ZITADEL Cloud takes 50 requests per second and address (its rate limit policy); a little below, for others share it.
const CLOUD_REQUESTS_PER_SECOND: f64 = 45.0;

/// The most entries of a list that ZITADEL gives in one answer, unless its operator set another number.
pub(super) const LARGEST_PAGE: u64 = 1_000;

/// A ZITADEL instance. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Url,
    http: http::Client,
    auth: Auth,
    ceiling: Option<f64>,
    /// The most entries of a list that ZITADEL gives in one answer, as far as is known.
    largest_page: AtomicU64,
}

impl Client {
    /// A client for the configured instance, which makes at most `requests_per_second` (`None`: 45 for ZITADEL Cloud, no
    /// bound elsewhere). `cancel` drops waits and requests in flight at once.
    ///
    /// # Errors
    /// Of kind `Usage`: no address, no credentials, plain http, a broken key.
    pub fn new(
        zitadel: &Zitadel,
        http: &Http,
        requests_per_second: Option<f64>,
        events: Events,
        cancel: CancellationToken,
    ) -> Result<Self> {
        let url = zitadel.url.as_ref().ok_or_else(|| {
            Error::usage("the ZITADEL instance is not named")
                .hint("set `ZITADEL_URL` (or `zitadel.url`), for example `https://your-instance.eu1.zitadel.cloud`")
        })?;
        let credentials = zitadel.credentials.as_ref().ok_or_else(|| {
            Error::usage("there are no credentials for ZITADEL")
                .hint("set `ZITADEL_TOKEN`, or `ZITADEL_KEY_FILE`, or `ZITADEL_CLIENT_ID` and `ZITADEL_CLIENT_SECRET`")
        })?;
        let base = without_path(url);
        let ceiling = requests_per_second.or_else(|| is_cloud(&base).then_some(CLOUD_REQUESTS_PER_SECOND));
        let http = http::Client::new("ZITADEL", &base, http, ceiling, events, cancel)?;
        let auth = Auth::Bearer(token::tokens(&http, &base, credentials)?);
        Ok(Self(Arc::new(Inner { base, http, auth, ceiling, largest_page: AtomicU64::new(LARGEST_PAGE) })))
    }

    /// The instance's address, with a slash at the end.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.0.base
    }

    /// The most requests per second that are made, where there is a bound.
    #[must_use]
    pub fn ceiling(&self) -> Option<f64> {
        self.0.ceiling
    }

    /// The bounds on retries, for requests that only the caller may make again.
    #[must_use]
    pub fn patience(&self) -> crate::http::retry::Patience {
        self.0.http.patience()
    }

    pub(super) fn largest_page(&self) -> &AtomicU64 {
        &self.0.largest_page
    }

    /// Has the run been told to stop at once?
    pub(super) fn is_cancelled(&self) -> bool {
        self.0.http.cancel().is_cancelled()
    }

    pub(super) fn get(&self, what: &str, path: &str) -> Request<'_> {
        Request::new(self, what, Method::GET, path, None).idempotent()
    }

    pub(super) fn post(&self, what: &str, path: &str, body: &Value) -> Request<'_> {
        Request::new(self, what, Method::POST, path, Some(Bytes::from(body.to_string())))
    }

    pub(super) fn put(&self, what: &str, path: &str, body: &Value) -> Request<'_> {
        Request::new(self, what, Method::PUT, path, Some(Bytes::from(body.to_string())))
    }

    pub(super) fn post_bytes(&self, what: &str, path: &str, body: Bytes) -> Request<'_> {
        Request::new(self, what, Method::POST, path, Some(body))
    }

    pub(super) fn delete(&self, what: &str, path: &str) -> Request<'_> {
        Request::new(self, what, Method::DELETE, path, None)
    }

    /// A request about one user: by path where the id may stand in one, else by Connect with the id in the body.
    /// `body` is an object.
    pub(super) fn of_user(&self, what: &str, id: &str, rest: &Rest<'_>, mut body: Value) -> Request<'_> {
        if let Some(id) = path_segment(id) {
            let path = format!("v2/users/{id}{}", rest.path);
            let body = (rest.method != Method::GET && rest.method != Method::DELETE).then(|| body.to_string().into());
            return Request::new(self, what, rest.method.clone(), &path, body);
        }
        body["userId"] = id.into();
        self.post(what, &format!("zitadel.user.v2.UserService/{}", rest.procedure), &body)
    }
}

/// The two addresses of one operation on a user.
pub(super) struct Rest<'a> {
    pub(super) method: Method,
    /// What follows `/v2/users/{id}`.
    pub(super) path: &'a str,
    /// Of `zitadel.user.v2.UserService`.
    pub(super) procedure: &'a str,
}

/// A request that is being put together.
pub(super) struct Request<'a> {
    client: &'a Client,
    call: Call,
    anonymous: bool,
}

impl<'a> Request<'a> {
    fn new(client: &'a Client, what: &str, method: Method, path: &str, body: Option<Bytes>) -> Self {
        // A path of ours joins to any base; were it not so, the server would say 404.
        let url = client.0.base.join(path).unwrap_or_else(|_| client.0.base.clone());
        let body = body.map_or(Body::Empty, Body::Json);
        let call =
            Call { what: what.to_owned(), method, url, body, headers: Vec::new(), idempotent: false, timeout: None };
        Self { client, call, anonymous: false }
    }

    /// It may be sent twice.
    pub(super) fn idempotent(mut self) -> Self {
        self.call.idempotent = true;
        self
    }

    /// Its own time for one attempt.
    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout = Some(timeout);
        self
    }

    /// In the name of this organization.
    pub(super) fn in_organization(mut self, id: &str) -> Self {
        self.call.headers.push(("x-zitadel-orgid", id.to_owned()));
        self
    }

    /// Without a token.
    pub(super) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Sends it; the answer has a status of success.
    pub(super) async fn send(self) -> Result<Answer, Failure> {
        let auth = if self.anonymous { &Auth::None } else { &self.client.0.auth };
        let answer = self.client.0.http.send(&self.call, auth, &is_too_large).await.map_err(Failure::from_fault)?;
        if answer.is_success() { Ok(answer) } else { Err(Failure::from_answer(&answer)) }
    }

    /// Sends it and reads the answer.
    pub(super) async fn read<T: DeserializeOwned>(self) -> Result<T, Failure> {
        parse(&self.send().await?)
    }

    /// Sends it; that the answer is a JSON object proves that ZITADEL, and not something before it, said yes.
    pub(super) async fn done(self) -> Result<(), Failure> {
        self.read::<serde_json::Map<String, Value>>().await.and_then(|object| match object.get("code") {
            Some(_) => Err(Failure::Gibberish { what: "an error under a status of success".into() }),
            None => Ok(()),
        })
    }
}

/// Reads the body of a success.
pub(super) fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    #[derive(serde::Deserialize)]
    struct Coded {
        #[serde(rename = "code")]
        _code: serde::de::IgnoredAny,
        #[serde(rename = "message")]
        _message: serde::de::IgnoredAny,
    }
    // Every field of an answer may be left out, so an error would pass for an answer of nothing.
    if serde_json::from_slice::<Coded>(&answer.body).is_ok() && answer.body.trim_ascii_start().starts_with(b"{") {
        return Err(Failure::Gibberish { what: format!("an error under status {}", answer.status) });
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        // The error's text may quote the body, its place and category do not.
        let what = match answer.body.trim_ascii_start().first() {
            None => "an empty body".to_owned(),
            Some(b'<') => "an HTML page".to_owned(),
            Some(_) => format!("unexpected JSON ({:?}, column {})", error.classify(), error.column()),
        };
        Failure::Gibberish { what: format!("{what} under status {}", answer.status) }
    })
}

/// `https://host[:port]/`.
fn without_path(url: &Url) -> Url {
    let mut base = url.clone();
    base.set_path("/");
    base.set_query(None);
    base.set_fragment(None);
    // Neither fails for a URL with a host.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    base
}

fn is_cloud(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.ends_with(".zitadel.cloud") || host.ends_with(".zitadel.app"))
}

/// The id as a segment of a path, where it is sure to arrive as it is: `/` and its encoding are cut by the gateway, a
/// colon starts a verb, and dots at the start may be taken for a way up.
fn path_segment(id: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '|' | '-' | '_' | '.' | '@');
    if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
        return None;
    }
    Some(id.replace('|', "%7C"))
}

/// `{"limit": …}` for the searches of version 1 and 2.
pub(super) fn page(offset: u64, limit: u64) -> Value {
    // 64-bit numbers travel as strings in protobuf's JSON.
    if offset == 0 { json!({ "limit": limit }) } else { json!({ "offset": offset.to_string(), "limit": limit }) }
}

#[cfg(test)]
pub(super) mod tests;
