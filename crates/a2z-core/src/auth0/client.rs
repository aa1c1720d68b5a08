//! Auth0's Management API: the token, the calls, and what their errors mean.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    auth0::settings::{Auth0, Auth0Credentials},
    error::{Error, Kind, Result, printable},
    event::Events,
    http::settings,
    http::{
        Answer, Body, Call, Fault,
        client::{Auth, Client as Http},
        quota::Quota,
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

/// Why Auth0 forbids a call. Told apart by the error code, never by the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// `insufficient_scope`: the token lacks a scope.
    Scope,
    /// Any other code: `operation_not_supported` (no verified credit card on file), `insufficient_entitlement`,
    /// `feature_not_enabled`, …: no scope helps.
    Tenant,
    /// There is no code.
    Unknown,
}

impl Client {
    /// A client for the configured tenant. Nothing is sent yet.
    ///
    /// # Errors
    /// Of kind `Usage` where address or credentials are missing.
    pub fn new(config: &Auth0, http: &settings::Http, events: Events, cancel: CancellationToken) -> Result<Self> {
        let base = config.url.clone().ok_or_else(|| {
            Error::usage("the Auth0 tenant is not named")
                .hint("set `AUTH0_DOMAIN` (or `auth0.domain`), for example `tenant.eu.auth0.com`; or give an export with `--users`")
        })?;
        let client = Http::new("Auth0", &base, http, None, events, cancel)?;
        let (tokens, given) = match &config.credentials {
            Some(Auth0Credentials::Token(token)) => (TokenCache::fixed(token.clone()), true),
            Some(Auth0Credentials::Client { client_id, client_secret }) => {
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
        self.call(self.to_get(what, path, query)?).await
    }

    fn to_get(&self, what: &str, path: &str, query: &[(&str, &str)]) -> Result<Call, Failure> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(Call {
            what: what.to_owned(),
            method: Method::GET,
            url,
            body: Body::Empty,
            headers: Vec::new(),
            idempotent: true,
            timeout: None,
        })
    }

    /// [`Self::get`], for many calls one after another: each waits for its turn in the quota that the answers tell. Auth0
    /// counts by groups of endpoints, so a quota is for one kind of call.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn get_in_pace<T: DeserializeOwned>(
        &self,
        quota: &Quota,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let call = self.to_get(what, path, query)?;
        let turn =
            self.http.cancel().run_until_cancelled(quota.turn()).await.ok_or(Failure::Fault(Fault::Cancelled))?;
        let answer = self.http.send(&call, &self.auth, &|_| false).await.map_err(Failure::Fault)?;
        turn.answered(&answer.headers);
        read(&answer)
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
        read(&self.http.send(&call, &self.auth, &|_| false).await.map_err(Failure::Fault)?)
    }
}

/// What an answer of success says.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    if !answer.is_success() {
        return Err(Failure::from_answer(answer));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        // The text of serde's error may quote the body.
        let kind = if answer.body.is_empty() { "an empty body".to_owned() } else { format!("{:?}", error.classify()) };
        Failure::Gibberish(format!("HTTP {} with a body that is not what Auth0 sends ({kind})", answer.status))
    })
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
            Failure::Refused { status: 403, code, .. } if code.as_deref().is_none_or(|code| code == "access_denied") => failure.bare(&what).hint(format!(
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

    /// Did Auth0 itself say that the caller may not: 401 or 403?
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// Did nobody answer, or somebody who is not Auth0?
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Fault(_) | Self::Gibberish(_))
    }

    /// Why a call was forbidden (403), by its error code.
    #[must_use]
    pub fn forbidden(&self) -> Option<Forbidden> {
        match self {
            Self::Refused { status: 403, code, .. } => Some(match code.as_deref() {
                Some("insufficient_scope") => Forbidden::Scope,
                Some(_) => Forbidden::Tenant,
                None => Forbidden::Unknown,
            }),
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
                let forbidden = self.forbidden();
                let error = self.bare(what);
                match status {
                    401 => error.hint("the token is not valid for this tenant, or has expired: give another one, or client credentials"),
                    403 => error.hint(match forbidden {
                        Some(Forbidden::Scope) => "give the application (or token) the missing scope; `docs/src/before.md` lists what a2z needs",
                        Some(Forbidden::Tenant) => "no scope changes this: Auth0 does not allow it to this tenant (its plan, a feature that is off, or no verified credit card on file); Auth0's own words above say which",
                        _ => "Auth0's own words above say why",
                    }),
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
