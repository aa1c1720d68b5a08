//! HTTP that knows no vendor: one client, retry as data, pacing, tokens. The only user of `backoff` is `http/retry.rs`.
//!
//! A request says whether it may be sent twice ([`Call::idempotent`]); that, and what happened on the wire, decides
//! whether a failure is retried here or handed up as [`Fault::Lost`], which only the caller can resolve.

pub mod client;
pub mod pace;
pub mod quota;
pub mod retry;
pub mod settings;
#[cfg(test)]
pub(crate) mod testing;
pub mod token;

use std::time::Duration;

use secrecy::SecretString;

/// A request, as data: it can be sent again.
#[derive(Debug, Clone)]
pub struct Call {
    /// What it is for, in a word or two (for events and errors): `import 100 users`.
    pub what: String,
    /// The method.
    pub method: reqwest::Method,
    /// Where to. Never printed where it may hold a signature.
    pub url: url::Url,
    /// The body.
    pub body: Body,
    /// More headers (`x-zitadel-orgid`, …).
    pub headers: Vec<(&'static str, String)>,
    /// May it be sent again although the first may have been carried out?
    pub idempotent: bool,
    /// For one attempt; the client's default where it is none.
    pub timeout: Option<Duration>,
}

/// A request's body.
#[derive(Clone)]
pub enum Body {
    /// None.
    Empty,
    /// JSON, made by the caller, shared between attempts.
    Json(bytes::Bytes),
    /// A form; values may be secret and are shown nowhere.
    Form(Vec<(&'static str, SecretString)>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Json(bytes) => write!(f, "Json({} bytes)", bytes.len()),
            Self::Form(fields) => write!(f, "Form({} fields)", fields.len()),
        }
    }
}

/// An answer that was read whole, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, at most the client's limit.
    pub body: bytes::Bytes,
    /// Attempts made, this one included.
    pub attempts: u32,
}

impl Answer {
    /// An answer that nobody gave; headers that cannot be are left out.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of(status: u16, headers: &[(&'static str, &[u8])], body: &[u8]) -> Self {
        use reqwest::header::{HeaderName, HeaderValue};
        let headers = headers
            .iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?)));
        Self { status, headers: headers.collect(), body: bytes::Bytes::copy_from_slice(body), attempts: 1 }
    }

    /// The server's own clock, from the `Date` header.
    #[must_use]
    pub fn date(&self) -> Option<jiff::Timestamp> {
        let date = self.headers.get(reqwest::header::DATE)?.to_str().ok()?;
        jiff::fmt::rfc2822::parse(date.trim()).ok().map(|date| date.timestamp())
    }

    /// Is the status one of success?
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The request certainly did not reach the server's application (name, connection, TLS), on all attempts.
    #[error("could not reach {host}: {reason}")]
    NotSent {
        /// Host and port.
        host: String,
        /// In words, without the URL.
        reason: String,
    },
    /// The request was sent and its answer lost: it may have been carried out, and may still be.
    #[error("the answer was lost: {reason}")]
    Lost {
        /// In words, without the URL.
        reason: String,
    },
    /// The answer is larger than we read.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// No token could be had; the inner error says why.
    #[error("{0}")]
    Token(crate::error::Error),
    /// The run is being stopped.
    #[error("stopped")]
    Cancelled,
}
