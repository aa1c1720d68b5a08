//! Auth0's Management API: the token, the calls, and what their errors mean.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    config,
    error::{Error, Kind, Result, printable},
    event::Events,
    http::{
        Answer, Body, Call, Fault,
        client::{Auth, Client as Http},
        token::{Token, TokenCache},
    },
};

/// The most characters of an answer's message that are shown.
const MESSAGE: usize = 300;

/// A way to one tenant. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: Url,
    auth: Auth,
    tokens: TokenCache,
    /// The token was given, not fetched: its scopes are read from itself.
    given: bool,
}

/// Why a call failed.
#[derive(Debug)]
pub enum Failure {
    /// Auth0 answered, and said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// `insufficient_scope`, `inexistent_connection`, …; often absent.
        code: Option<String>,
        /// Auth0's words, cut and printable.
        message: String,
    },
    /// No answer.
    Fault(Fault),
    /// Not an answer of Auth0.
    Gibberish(String),
}

impl Client {
    /// A client for the configured tenant. Nothing is sent yet.
    ///
    /// # Errors
    /// Of kind `Usage` where address or credentials are missing.
    pub fn new(config: &config::Auth0, http: &config::Http, events: Events, cancel: CancellationToken) -> Result<Self> {
        let base = config.url.clone().ok_or_else(|| {
            Error::usage("the Auth0 tenant is not named")
                .hint("set `AUTH0_DOMAIN` (or `auth0.domain`), for example `tenant.eu.auth0.com`; or give an export with `--users`")
        })?;
        let client = Http::new("Auth0", &base, http, None, events, cancel)?;
        let (tokens, given) = match &config.credentials {
            Some(config::Auth0Credentials::Token(token)) => (TokenCache::fixed(token.clone()), true),
            Some(config::Auth0Credentials::Client { client_id, client_secret }) => {
                let audience = config.audience.clone().unwrap_or_else(|| format!("{base}api/v2/"));
                let grant = Grant {
                    http: client.clone(),
                    base: base.clone(),
                    audience,
                    client_id: client_id.clone(),
                    client_secret: client_secret.clone(),
                };
                (
                    TokenCache::new(move || {
                        let grant = grant.clone();
                        Box::pin(async move { grant.fetch().await })
                    }),
                    false,
                )
            }
            None => {
                return Err(Error::usage("there are no credentials for Auth0").hint(
                    "set `AUTH0_CLIENT_ID` and `AUTH0_CLIENT_SECRET` of a machine-to-machine application, or `AUTH0_TOKEN`",
                ));
            }
        };
        Ok(Self { http: client, base, auth: Auth::Bearer(tokens.clone()), tokens, given })
    }

    /// The tenant's address.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Who listens.
    #[must_use]
    pub fn events(&self) -> &Events {
        self.http.events()
    }

    /// The scopes of the token: from the answer that brought it, or read from a token that was given. `None` where
    /// neither says.
    ///
    /// # Errors
    /// When no token can be had.
    pub async fn scopes(&self) -> Result<Option<BTreeSet<String>>> {
        let token = self.tokens.get().await?;
        let scope = if self.given { scope_of(&token.secret) } else { token.scope };
        Ok(scope.map(|scope| scope.split_whitespace().map(str::to_owned).collect()))
    }

    /// `GET {base}api/v2/{path}`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn get<T: DeserializeOwned>(&self, what: &str, path: &str, query: &[(&str, &str)]) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.call(Call {
            what: what.to_owned(),
            method: Method::GET,
            url,
            body: Body::Empty,
            headers: Vec::new(),
            idempotent: true,
            timeout: None,
        })
        .await
    }

    /// [`Self::get`], for many calls one after another: where an answer's headers say that no more are allowed for now, it
    /// is waited until they are. Better than to be refused: refusals count, too.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn get_in_pace<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(query);
        let call = Call {
            what: what.to_owned(),
            method: Method::GET,
            url,
            body: Body::Empty,
            headers: Vec::new(),
            idempotent: true,
            timeout: None,
        };
        let (result, pause) = self.answer(call).await?;
        if let Some(pause) = pause {
            let waited = self.http.cancel().run_until_cancelled(tokio::time::sleep(pause)).await;
            waited.ok_or(Failure::Fault(Fault::Cancelled))?;
        }
        Ok(result)
    }

    /// `POST {base}api/v2/{path}`. Only for calls that do no harm when they are made twice.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T, Failure> {
        self.call(Call {
            what: what.to_owned(),
            method: Method::POST,
            url: self.url(path)?,
            body: Body::Json(body.to_string().into()),
            headers: Vec::new(),
            idempotent: true,
            timeout: None,
        })
        .await
    }

    /// How many users the tenant has, by `GET /users`: to hold the export against. `connection` narrows it to one.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn count_users(&self, connection: Option<&str>) -> Result<u64, Failure> {
        #[derive(Deserialize)]
        struct Page {
            total: u64,
        }
        let mut query = vec![("page", "0"), ("per_page", "1"), ("include_totals", "true"), ("search_engine", "v3")];
        let filter = connection.map(|name| format!("identities.connection:\"{}\"", name.replace('"', "\\\"")));
        if let Some(filter) = &filter {
            query.push(("q", filter));
        }
        self.get::<Page>("count the users", "users", &query).await.map(|page| page.total)
    }

    /// Does `work`, unless the run is stopped first.
    ///
    /// # Errors
    /// Of kind `Interrupted`.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let done = self.http.cancel().run_until_cancelled(work).await;
        done.ok_or_else(|| Failure::Fault(Fault::Cancelled).into_error("stopped"))
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        self.base.join(&format!("api/v2/{path}")).map_err(|error| Failure::Gibberish(error.to_string()))
    }

    async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, Failure> {
        self.answer(call).await.map(|(result, _)| result)
    }

    /// The answer, and how long Auth0 allows no more calls.
    async fn answer<T: DeserializeOwned>(&self, call: Call) -> Result<(T, Option<Duration>), Failure> {
        let answer = self.http.send(&call, &self.auth, &|_| false).await.map_err(Failure::Fault)?;
        if !(200..300).contains(&answer.status) {
            return Err(Failure::from_answer(&answer));
        }
        let pause = used_up(&answer.headers);
        let result = serde_json::from_slice(&answer.body);
        result.map(|result| (result, pause)).map_err(|error| {
            // The text of serde's error may quote the body.
            let kind =
                if answer.body.is_empty() { "an empty body".to_owned() } else { format!("{:?}", error.classify()) };
            Failure::Gibberish(format!("HTTP {} with a body that is not what Auth0 sends ({kind})", answer.status))
        })
    }
}

/// Until when no more calls are allowed, by the headers: the last one is used up, and there will be more at the reset (epoch
/// seconds, held against the answer's own date). Never more than a minute: clocks differ.
fn used_up(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let number = |name: &str| header(name)?.parse::<i64>().ok();
    if number("x-ratelimit-remaining")? > 0 {
        return None;
    }
    let date = header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let now = date.map_or_else(jiff::Timestamp::now, |date| date.timestamp()).as_second();
    let wait = number("x-ratelimit-reset")?.saturating_sub(now);
    u64::try_from(wait).ok().filter(|wait| *wait > 0).map(|wait| Duration::from_secs(wait.min(60)))
}

/// What is needed to fetch a token.
#[derive(Clone)]
struct Grant {
    http: Http,
    base: Url,
    audience: String,
    client_id: String,
    client_secret: SecretString,
}

impl Grant {
    async fn fetch(&self) -> Result<Token> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: SecretString,
            expires_in: Option<u64>,
            scope: Option<String>,
        }
        let url = self.base.join("oauth/token").map_err(|error| Error::internal("a bad URL").caused_by(&error))?;
        let call = Call {
            what: "get a token".into(),
            method: Method::POST,
            url,
            body: Body::Form(vec![
                ("grant_type", "client_credentials".into()),
                ("client_id", self.client_id.clone().into()),
                ("client_secret", self.client_secret.clone()),
                ("audience", self.audience.clone().into()),
            ]),
            headers: Vec::new(),
            idempotent: true,
            timeout: None,
        };
        let failed = |failure: Failure| self.explain(failure);
        let answer =
            self.http.send(&call, &Auth::None, &|_| false).await.map_err(|fault| failed(Failure::Fault(fault)))?;
        if answer.status != 200 {
            return Err(failed(Failure::from_answer(&answer)));
        }
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| failed(Failure::Gibberish("HTTP 200 without an access token".into())))?;
        Ok(Token {
            secret: granted.access_token,
            expires_in: granted.expires_in.map(Duration::from_secs),
            scope: granted.scope,
        })
    }

    fn explain(&self, failure: Failure) -> Error {
        let what = format!("could not get a token from Auth0 at `{}`", self.base);
        match &failure {
            Failure::Refused { status: 401, .. } => failure
                .bare(&what)
                .hint("check `AUTH0_CLIENT_ID` and `AUTH0_CLIENT_SECRET`: the secret does not belong to this application"),
            Failure::Refused { status: 403, code, .. } if code.as_deref() == Some("unauthorized_client") => failure
                .bare(&what)
                .hint("the application must be of type Machine to Machine, with the grant `client_credentials`"),
            Failure::Refused { status: 403, .. } => failure.bare(&what).hint(format!(
                "authorize the application for the API `{}` in the dashboard (Applications > APIs > Auth0 Management API > Machine to Machine); with a custom domain, set `auth0.audience` to the tenant's own `https://TENANT.REGION.auth0.com/api/v2/`",
                self.audience
            )),
            _ => failure.into_error(&what),
        }
    }
}

impl Failure {
    /// The failure behind an answer that is no success.
    pub(crate) fn from_answer(answer: &Answer) -> Self {
        #[derive(Deserialize)]
        struct Body {
            message: Option<String>,
            #[serde(rename = "errorCode")]
            error_code: Option<String>,
            // Of the token endpoint.
            error: Option<String>,
            error_description: Option<String>,
        }
        let status = answer.status;
        match serde_json::from_slice::<Body>(&answer.body) {
            Ok(body) => {
                let oauth = body.error_description.is_some();
                let message =
                    body.message.or(body.error_description).or_else(|| body.error.clone()).unwrap_or_default();
                let code = body.error_code.or_else(|| body.error.filter(|_| oauth)).map(|code| shown(&code));
                Self::Refused { status, code, message: shown(&message) }
            }
            // A page of somebody else's: an error by status all the same.
            Err(_) if status == 401 || status == 403 || status == 429 || status >= 500 => {
                Self::Refused { status, code: None, message: "an answer that is no JSON".into() }
            }
            Err(_) => Self::Gibberish(format!("HTTP {status} with a body that is no JSON")),
        }
    }

    /// The HTTP status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What was tried and what Auth0 said to it, without advice.
    fn bare(self, what: &str) -> Error {
        match self {
            Self::Refused { status, code, message } => {
                let kind = if matches!(status, 429 | 500..) { Kind::GaveUp } else { Kind::Check };
                let code = code.map_or_else(String::new, |code| format!(", {code}"));
                Error::new(kind, what).because(format!("Auth0 refused (HTTP {status}{code}): {message}"))
            }
            other => other.into_error(what),
        }
    }

    /// The operator's error; `what` is what was tried.
    #[must_use]
    pub fn into_error(self, what: &str) -> Error {
        match self {
            Self::Refused { status, .. } => {
                let error = self.bare(what);
                match status {
                    401 => error.hint("the token is not valid for this tenant, or has expired: give another one, or client credentials"),
                    403 => error.hint("give the application (or token) the missing scope; the README lists what a2z needs"),
                    429 | 500.. => error.hint("run the same command again to go on"),
                    _ => error,
                }
            }
            Self::Fault(Fault::NotSent { host, reason }) => Error::gave_up(what)
                .because(format!("could not reach `{host}`: {reason}"))
                .hint("check `AUTH0_DOMAIN` (it is the tenant's domain, like `tenant.eu.auth0.com`) and the network"),
            Self::Fault(Fault::Token(error)) => error,
            Self::Fault(Fault::Cancelled) => {
                Error::new(Kind::Interrupted, "stopped").hint("run the same command again: it goes on where it stopped")
            }
            Self::Fault(fault) => {
                Error::gave_up(what).because(fault.to_string()).hint("run the same command again to go on")
            }
            Self::Gibberish(reason) => Error::new(Kind::Check, what)
                .because(reason)
                .hint("is `AUTH0_DOMAIN` really an Auth0 tenant, and is there no proxy in between?"),
        }
    }
}

/// A text of an answer as it may be shown, and no more of it than is read.
pub(super) fn shown(text: &str) -> String {
    printable(text).chars().take(MESSAGE).collect()
}

/// The scopes that a token says it has, where it is a JWT. The signature is Auth0's to check.
fn scope_of(token: &SecretString) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    #[derive(Deserialize)]
    struct Payload {
        scope: Option<String>,
        permissions: Option<Vec<String>>,
    }
    let payload = token.expose_secret().split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let payload: Payload = serde_json::from_slice(&bytes).ok()?;
    payload.scope.or_else(|| payload.permissions.map(|list| list.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_from_a_token_that_is_a_jwt() {
        // {"scope":"read:users read:connections"}
        let token = "e30.eyJzY29wZSI6InJlYWQ6dXNlcnMgcmVhZDpjb25uZWN0aW9ucyJ9.sig".to_owned();
        assert_eq!(scope_of(&token.into()).as_deref(), Some("read:users read:connections"));
        assert_eq!(scope_of(&"opaque".to_owned().into()), None);
    }

    #[test]
    fn a_limit_that_is_used_up_is_waited_for() {
        const DATE: &str = "Wed, 25 Jan 2023 17:48:15 GMT";
        let headers = |remaining: &str, reset: &str| {
            let all = [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset), ("date", DATE)];
            let named = all.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            reqwest::header::HeaderMap::from_iter(named)
        };
        assert_eq!(used_up(&headers("1", "1674668897")), None);
        assert_eq!(used_up(&headers("0", "1674668897")), Some(Duration::from_secs(2)));
        assert_eq!(used_up(&headers("0", "1674668895")), None);
        assert_eq!(used_up(&headers("0", "9223372036854775807")), Some(Duration::from_mins(1)));
        assert_eq!(used_up(&headers("0", "soon")), None);
    }

    #[test]
    fn errors_of_both_shapes_are_read() {
        let answer = |status, body: &str| Answer {
            status,
            headers: reqwest::header::HeaderMap::new(),
            body: body.to_owned().into(),
            attempts: 1,
        };
        let api =
            r#"{"statusCode":403,"error":"Forbidden","message":"Insufficient scope","errorCode":"insufficient_scope"}"#;
        let Failure::Refused { code, message, .. } = Failure::from_answer(&answer(403, api)) else { panic!() };
        assert_eq!((code.as_deref(), message.as_str()), (Some("insufficient_scope"), "Insufficient scope"));
        let oauth = r#"{"error":"access_denied","error_description":"Unauthorized"}"#;
        let Failure::Refused { code, message, .. } = Failure::from_answer(&answer(401, oauth)) else { panic!() };
        assert_eq!((code.as_deref(), message.as_str()), (Some("access_denied"), "Unauthorized"));
        let bare = r#"{"statusCode":404,"error":"Not Found","message":"The role does not exist."}"#;
        let Failure::Refused { code, .. } = Failure::from_answer(&answer(404, bare)) else { panic!() };
        assert_eq!(code, None, "`error` is the status in words, no code");
        assert!(matches!(Failure::from_answer(&answer(404, "<html>")), Failure::Gibberish(_)));
    }
}
