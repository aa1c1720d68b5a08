//! The one way to the network: one connection pool a vendor, no redirects, a limit on what is read, retries, pacing and
//! tokens around each call.

use std::{error::Error as StdError, path::Path, sync::Arc, time::Duration};

use reqwest::{
    Certificate, ClientBuilder,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use super::{
    Answer, Body, Call, Fault,
    pace::Pace,
    retry::{self, Context, Missed, Policy},
    token::TokenCache,
};
use crate::{
    error::{Error, Result},
    event::Events,
    http::settings::Http,
};

/// The largest answer that is read.
pub const MAX_ANSWER: usize = 64 << 20;

/// How a call proves who it is from.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// With a bearer token.
    Bearer(TokenCache),
}

/// A way to one vendor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    vendor: &'static str,
    http: reqwest::Client,
    policy: Policy,
    pace: Pace,
    max_answer: usize,
    request_timeout: Duration,
    events: Events,
    cancel: CancellationToken,
}

impl Client {
    /// A client for the vendor at `base`. Cancelling drops waits and requests in flight at once: whoever wants those
    /// settled first cancels this token later.
    ///
    /// # Errors
    /// Of kind `Usage`: plain http to a host that is not this machine, an unreadable `ca_file`.
    pub fn new(
        vendor: &'static str,
        base: &Url,
        config: &Http,
        requests_per_second: Option<f64>,
        events: Events,
        cancel: CancellationToken,
    ) -> Result<Self> {
        require_secure(base)?;
        let http = build(config, |builder| {
            let builder = builder
                .redirect(redirect::Policy::none())
                .connect_timeout(config.connect_timeout)
                .tcp_keepalive(Duration::from_secs(30));
            // A request to this machine never takes a detour over a proxy, least of all an unencrypted one.
            if is_loopback(base) { builder.no_proxy() } else { builder }
        })?;
        Ok(Self(Arc::new(Inner {
            vendor,
            http,
            policy: Policy::from(config),
            pace: Pace::new(requests_per_second),
            max_answer: MAX_ANSWER,
            request_timeout: config.request_timeout,
            events,
            cancel,
        })))
    }

    /// The same client that reads answers of at most `bytes`.
    #[cfg(test)]
    fn with_max_answer(self, bytes: usize) -> Self {
        let inner = Arc::into_inner(self.0).unwrap();
        Self(Arc::new(Inner { max_answer: bytes, ..inner }))
    }

    /// Who listens to this client's events.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// What ends it early.
    #[must_use]
    pub fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// The bounds on retries, for work that only the caller may do again.
    #[must_use]
    pub fn patience(&self) -> retry::Patience {
        retry::Patience::new(self.0.policy)
    }

    /// Sends a call, again as often as [`retry`] allows, and returns the answer whatever its status. After a 401 the
    /// token is renewed and the call sent once more. `is_final` names answers that no repetition will change although
    /// their status says so.
    ///
    /// # Errors
    /// Where there is no answer; see [`Fault`].
    pub async fn send(
        &self,
        call: &Call,
        auth: &Auth,
        is_final: &(dyn Fn(&Answer) -> bool + Send + Sync),
    ) -> Result<Answer, Fault> {
        let inner = &*self.0;
        let context = Context {
            policy: &inner.policy,
            pace: &inner.pace,
            vendor: inner.vendor,
            what: &call.what,
            idempotent: call.idempotent,
            is_final,
            events: &inner.events,
            cancel: &inner.cancel,
        };
        let mut renewed = false;
        loop {
            let (header, secret) = self.authorization(auth).await?;
            let began = std::time::Instant::now();
            let answer = retry::run(&context, || self.attempt(call, header.as_ref())).await;
            log(inner.vendor, call, &answer, began.elapsed());
            let answer = answer?;
            if answer.status == 401
                && !renewed
                && let (Auth::Bearer(cache), Some(secret)) = (auth, secret)
                && cache.refused(&secret).await
            {
                renewed = true;
                continue;
            }
            return Ok(answer);
        }
    }

    async fn authorization(&self, auth: &Auth) -> Result<(Option<HeaderValue>, Option<SecretString>), Fault> {
        let (text, secret) = match auth {
            Auth::None => return Ok((None, None)),
            Auth::Bearer(cache) => {
                let got = self.0.cancel.run_until_cancelled(cache.get()).await.ok_or(Fault::Cancelled)?;
                let secret = got.map_err(Fault::Token)?.secret;
                (SecretString::from(format!("Bearer {}", secret.expose_secret())), Some(secret))
            }
        };
        let mut header = HeaderValue::from_str(text.expose_secret()).map_err(|_| {
            Fault::Token(
                Error::usage(format!("the {} token holds characters that no token has", self.0.vendor))
                    .hint("look for a line break or a quotation mark that was copied along"),
            )
        })?;
        header.set_sensitive(true);
        Ok((Some(header), secret))
    }

    async fn attempt(&self, call: &Call, authorization: Option<&HeaderValue>) -> Result<Answer, Missed> {
        let inner = &*self.0;
        let limit = call.timeout.unwrap_or(inner.request_timeout);
        let mut request =
            inner.http.request(call.method.clone(), call.url.clone()).timeout(limit).header(ACCEPT, "application/json");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        request = match &call.body {
            Body::Empty => request,
            Body::Json(bytes) => request.header(CONTENT_TYPE, "application/json").body(bytes.clone()),
            Body::Form(fields) => {
                let fields: Vec<(&str, &str)> = fields.iter().map(|(name, v)| (*name, v.expose_secret())).collect();
                request.form(&fields)
            }
        };
        let mut response = request.send().await.map_err(|error| missed(&call.url, &error, limit))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = bytes::BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() > inner.max_answer => {
                    drop(chunk);
                    return Err(Missed::Final(Fault::TooLarge { limit: inner.max_answer }));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) if error.is_timeout() => return Err(Missed::Lost(timed_out(limit))),
                Err(error) => {
                    let reason = format!("cut in the middle: {}", innermost(&error));
                    return Err(Missed::Lost(Fault::Lost { reason }));
                }
            }
        }
        Ok(Answer { status, headers, body: body.freeze(), attempts: 1 })
    }
}

/// A line for `-vv`: what was asked and how it went. Bodies and queries are never logged: they may hold hashes, secrets
/// and signatures.
fn log(vendor: &str, call: &Call, answer: &Result<Answer, Fault>, elapsed: Duration) {
    let (what, method, path) = (&call.what, &call.method, call.url.path());
    match answer {
        Ok(answer) => {
            let (status, attempts, bytes) = (answer.status, answer.attempts, answer.body.len());
            tracing::debug!(vendor, what, %method, path, status, attempts, bytes, ?elapsed, "answered");
        }
        Err(fault) => tracing::debug!(vendor, what, %method, path, %fault, ?elapsed, "no answer"),
    }
}

/// What a transport error says about the request: did it leave?
fn missed(url: &Url, error: &reqwest::Error, limit: Duration) -> Missed {
    let reason = innermost(error);
    if error.is_connect() || error.is_builder() {
        // rustls names the peer's certificate; another attempt meets the same one.
        let forever = error.is_builder() || reason.starts_with("invalid peer certificate");
        let reason = if error.is_timeout() { "timed out".to_owned() } else { reason };
        return Missed::NotSent { fault: Fault::NotSent { host: host_and_port(url), reason }, forever };
    }
    if error.is_timeout() {
        return Missed::Lost(timed_out(limit));
    }
    Missed::Lost(Fault::Lost { reason })
}

fn timed_out(limit: Duration) -> Fault {
    Fault::Lost { reason: format!("no answer within {limit:?}") }
}

/// The innermost cause: it says what happened, and holds no URL.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        // Its text ends with the URL.
        Some(error) if error.is_timeout() => "timed out".to_owned(),
        Some(error) if error.is_redirect() => "refused to follow a redirect".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => crate::error::printable(&cause.to_string()),
    }
}

/// `host:port` for messages: never the path or the query.
#[must_use]
pub fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Does this URL lead to this machine?
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Is this URL https, or http to this machine?
#[must_use]
pub fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Refuses plain http to anything but this machine: tokens and hashes would travel in clear.
///
/// # Errors
/// Of kind `Usage`.
pub fn require_secure(url: &Url) -> Result<()> {
    if is_secure(url) {
        return Ok(());
    }
    let place = format!("{}://{}", url.scheme(), host_and_port(url));
    Err(Error::usage(format!("`{place}` is not https")).hint(format!(
        "write `https://{}`; plain http is taken only for this machine (localhost, 127.0.0.1, [::1])",
        url.host_str().unwrap_or("…")
    )))
}

/// A reqwest client with our user agent and certificate authorities: the system's, or Mozilla's where the machine has
/// none (bare containers), and those of `ca_file`.
///
/// # Errors
/// Of kind `Usage` where `ca_file` cannot be read.
pub(crate) fn build(config: &Http, shape: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<reqwest::Client> {
    let extra = config.ca_file.as_deref().map(read_ca_file).transpose()?.unwrap_or_default();
    let base = || shape(reqwest::Client::builder().user_agent(concat!("a2z/", env!("CARGO_PKG_VERSION"))));
    // The builder fails where the system has no certificate store, even for plain http.
    if let Ok(client) = base().tls_certs_merge(extra.clone()).build() {
        return Ok(client);
    }
    let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der).ok());
    base().tls_certs_only(mozilla.chain(extra)).build().map_err(|error| {
        Error::usage("could not set up TLS")
            .because(innermost(&error))
            .hint("install the package `ca-certificates`, or check `http.ca_file`")
    })
}

fn read_ca_file(path: &Path) -> Result<Vec<Certificate>> {
    let failed = || Error::usage(format!("could not read the certificate authorities in `{}`", path.display()));
    let pem = std::fs::read(path).map_err(|error| failed().caused_by(&error))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed().because(innermost(&error)))?;
    if certificates.is_empty() {
        return Err(failed()
            .because("it holds no certificate")
            .hint("the file must be PEM: -----BEGIN CERTIFICATE-----"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests;
