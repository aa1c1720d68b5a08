//! What can go wrong with a call to ZITADEL, told apart by status and error id, never by a translated text.

mod reason;

use serde_json::Value;

pub use self::reason::Reason;
use crate::{
    error::{Error, Kind, printable},
    http::{Answer, Fault},
};

/// The most characters of a server's message that are kept.
const MESSAGE_LIMIT: usize = 400;

/// Why a call gave no usable answer.
#[derive(Debug)]
pub enum Failure {
    /// ZITADEL understood the request and said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The gRPC code.
        code: Option<i64>,
        /// The error id, which is stable, unlike the message. Decisions ask [`Failure::reason`].
        id: Option<String>,
        /// The user that the validation names, as `Orgs[i]` and `HumanUsers[j]` of the request.
        index: Option<(usize, usize)>,
        /// The server's words, cut and printable.
        message: String,
    },
    /// More than 4 MiB of protobuf: to be split. ZITADEL answers 429 and code 8, and no waiting helps.
    TooLarge,
    /// 429, on all attempts where the request may be made twice. Not by ZITADEL's doing carried out; a proxy may have said
    /// it after the work was done.
    Throttled,
    /// ZITADEL's own time limit for an import (500, code 2): a part is committed, and which is not said.
    Timeout500,
    /// The request was sent and its answer lost.
    Lost {
        /// In words.
        reason: String,
    },
    /// The request did not reach ZITADEL.
    Unreachable {
        /// In words.
        reason: String,
    },
    /// 401: the token is not valid, and a new one did not help. With the server's words.
    Unauthenticated(String),
    /// The token is valid and the account lacks a role. With the server's words: `HTTP 403, AUTHZ-…: …`.
    NoPermission(String),
    /// No instance answers under this host name.
    InstanceNotFound,
    /// Not an answer of ZITADEL: HTML, nothing, cut JSON, an error under a status of success.
    Gibberish {
        /// What came instead.
        what: String,
    },
    /// The run is being stopped.
    Cancelled,
    /// Nothing was sent, and there is an operator's error already: no token could be had.
    Other(Error),
}

impl Failure {
    /// May the request have been carried out, wholly or partly, all the same?
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        match self {
            // A proxy gives up (502, 504) or the server stumbles (500) with the work half done.
            Self::Refused { status, .. } => *status >= 500,
            Self::Timeout500 | Self::Lost { .. } | Self::Gibberish { .. } | Self::Cancelled => true,
            Self::TooLarge
            | Self::Throttled
            | Self::Unreachable { .. }
            | Self::Unauthenticated(_)
            | Self::NoPermission(_)
            | Self::InstanceNotFound
            | Self::Other(_) => false,
        }
    }

    /// ZITADEL says no, in words that it also uses where its database gave no answer: another attempt may go well.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.reason().is_undecided()
    }

    /// Did ZITADEL itself say that the account may not: 401, 403, or the 404 behind which it hides what the account may not
    /// see?
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Unauthenticated(_) | Self::NoPermission(_))
    }

    /// Did nobody answer, or somebody who is not ZITADEL?
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Lost { .. }
                | Self::Unreachable { .. }
                | Self::InstanceNotFound
                | Self::Gibberish { .. }
                | Self::Cancelled
                | Self::Other(_)
        )
    }

    /// The stable error id, where the server gave one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Refused { id, .. } => id.as_deref(),
            _ => None,
        }
    }

    /// What ZITADEL means by the error id.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::of(self.id())
    }

    /// The failure behind an answer that is no success.
    #[must_use]
    pub fn from_answer(answer: &Answer) -> Self {
        let status = answer.status;
        let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
            return match status {
                401 => Self::Unauthenticated(not_json(answer)),
                429 => Self::Throttled,
                // A proxy's own limit, often 1 MiB.
                413 => Self::TooLarge,
                _ => Self::Gibberish { what: not_json(answer) },
            };
        };
        let code = body.get("code").and_then(code_number);
        let id = error_id(&body);
        let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
        if is_too_large(answer) {
            return Self::TooLarge;
        }
        let words = || {
            let id = id.as_ref().map_or_else(String::new, |id| format!(", {id}"));
            format!("HTTP {status}{id}: {}", cut(&printable(message)))
        };
        let reason = Reason::of(id.as_deref());
        match (status, code, reason) {
            (429, ..) => Self::Throttled,
            (401, ..) | (_, Some(16), _) => Self::Unauthenticated(words()),
            // ZITADEL hides what the caller may not see behind 404; the id tells it from a user that is not there.
            (_, _, Reason::NotPermitted) | (403, ..) | (_, Some(7), _) => Self::NoPermission(words()),
            (404, _, Reason::InstanceNotFound) => Self::InstanceNotFound,
            (404, ..) if reason::names_no_instance(message) => Self::InstanceNotFound,
            (500, Some(2), _) if message.starts_with("context deadline exceeded") => Self::Timeout500,
            (200..=399, ..) => Self::Gibberish { what: format!("an unexpected body under status {status}") },
            _ => Self::Refused { status, code, id, index: user_index(message), message: cut(&printable(message)) },
        }
    }

    /// The failure behind a fault on the wire.
    #[must_use]
    pub fn from_fault(fault: Fault) -> Self {
        match fault {
            Fault::NotSent { .. } => Self::Unreachable { reason: fault.to_string() },
            Fault::Lost { reason } => Self::Lost { reason },
            Fault::TooLarge { .. } => Self::Gibberish { what: fault.to_string() },
            Fault::Token(error) => Self::Other(error),
            Fault::Cancelled => Self::Cancelled,
        }
    }

    /// The operator's error; `what` is what was tried: `could not create the organization`.
    #[must_use]
    pub fn into_error(self, what: &str) -> Error {
        let gave_up = |reason: String| Error::gave_up(what).because(reason);
        let check = |reason: &str| Error::new(Kind::Check, what).because(reason);
        match self {
            Self::Refused { status, id, message, .. } => {
                let id = id.map_or_else(String::new, |id| format!(", {id}"));
                gave_up(format!("ZITADEL refused (HTTP {status}{id}): {message}"))
            }
            Self::TooLarge => gave_up("ZITADEL refused the request as larger than it takes (4 MiB)".into())
                .hint("lower `import.batch_bytes`"),
            Self::Throttled => gave_up("ZITADEL kept answering that there are too many requests".into())
                .hint("lower `import.requests_per_second` or `import.concurrency`, and run again to go on"),
            Self::Timeout500 => gave_up("ZITADEL ran into the time limit of the import request".into())
                .hint("lower `import.batch_users` or raise `import.timeout`, and run again to go on"),
            Self::Lost { reason } => {
                gave_up(format!("the answer was lost: {reason}")).hint("run again to go on; nothing is done twice")
            }
            Self::Unreachable { reason } => {
                gave_up(reason).hint("check `ZITADEL_URL`, the network and the proxy, and run again to go on")
            }
            Self::Unauthenticated(words) => check(&format!("ZITADEL does not accept the token ({words})")).hint(
                "make a new personal access token or key of the service account; it must belong to this instance",
            ),
            Self::NoPermission(words) => check(&format!("the service account lacks a role ({words})"))
                .hint("give it IAM_OWNER (instance settings, administrators); the import endpoint asks for it"),
            Self::InstanceNotFound => check("no ZITADEL instance answers under this host name")
                .hint("`zitadel.url` must be the instance's own domain, as in its console's address"),
            Self::Gibberish { what: reason } => gave_up(format!("ZITADEL's answer makes no sense: {reason}"))
                .hint("is `zitadel.url` the instance itself, and does a proxy stand before it?"),
            Self::Cancelled => Error::new(Kind::Interrupted, format!("{what}: stopped")),
            Self::Other(error) => error.because(what.to_owned()),
        }
    }
}

/// Is this the answer to a request of more than 4 MiB? It comes as 429, and only code 8 with these words of the gRPC
/// library (which nobody translates) tells it from a rate limit.
#[must_use]
pub fn is_too_large(answer: &Answer) -> bool {
    answer.status == 429
        && serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| {
            body.get("code").and_then(Value::as_i64) == Some(8)
                && body.get("message").and_then(Value::as_str).is_some_and(|m| m.contains("larger than max"))
        })
}

/// The gateway gives a number, Connect a word.
fn code_number(code: &Value) -> Option<i64> {
    if let Some(number) = code.as_i64() {
        return Some(number);
    }
    let number = match code.as_str()? {
        "canceled" => 1,
        "unknown" => 2,
        "invalid_argument" => 3,
        "deadline_exceeded" => 4,
        "not_found" => 5,
        "already_exists" => 6,
        "permission_denied" => 7,
        "resource_exhausted" => 8,
        "failed_precondition" => 9,
        "aborted" => 10,
        "out_of_range" => 11,
        "unimplemented" => 12,
        "internal" => 13,
        "unavailable" => 14,
        "data_loss" => 15,
        "unauthenticated" => 16,
        _ => return None,
    };
    Some(number)
}

/// `details[].id` of the gateway, `details[].debug.id` of Connect.
fn error_id(body: &Value) -> Option<String> {
    body.get("details")?.as_array()?.iter().find_map(|detail| {
        let id = detail.get("id").or_else(|| detail.get("debug")?.get("id"))?.as_str()?;
        (!id.is_empty()).then(|| cut(&printable(id)))
    })
}

/// The indices in `Orgs[0]` and `HumanUsers[17]` of a validation message: written by the validation library, not translated.
fn user_index(message: &str) -> Option<(usize, usize)> {
    let number = |name: &str| message.split_once(name)?.1.split_once(']')?.0.parse().ok();
    Some((number(".Orgs[").unwrap_or(0), number("HumanUsers[")?))
}

fn not_json(answer: &Answer) -> String {
    let status = answer.status;
    let start = answer.body.trim_ascii_start();
    match start.first() {
        None => format!("an empty body under status {status}"),
        Some(b'<') => format!("an HTML page under status {status}"),
        Some(_) => format!("a body that is not JSON under status {status}"),
    }
}

/// The first [`MESSAGE_LIMIT`] characters.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, headers: reqwest::header::HeaderMap::new(), body: body.to_owned().into(), attempts: 1 }
    }

    pub(in crate::zitadel) fn recorded(name: &str) -> Failure {
        let path = format!("{}/../../tests/fixtures/contract/zitadel/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read(path).unwrap();
        let exchange: Value = serde_json::from_slice(&text).unwrap();
        let status = u16::try_from(exchange["response"]["status"].as_u64().unwrap()).unwrap();
        Failure::from_answer(&answer(status, &exchange["response"]["body"].to_string()))
    }

    #[test]
    fn tells_recorded_failures_apart() {
        assert!(matches!(recorded("007-bad-token"), Failure::Unauthenticated(_)));
        assert!(matches!(recorded("006-no-token"), Failure::Unauthenticated(_)));
        assert!(matches!(recorded("027-import-too-large"), Failure::TooLarge));
        assert!(matches!(recorded("026-import-timeout"), Failure::Timeout500));
        assert!(matches!(recorded("116-import-no-permission"), Failure::NoPermission(_)));
        assert!(matches!(recorded("123-wrong-host"), Failure::InstanceNotFound));
        assert_eq!(recorded("048-user-get-missing").id(), Some("QUERY-Dfbg2"));
        assert_eq!(recorded("058-v2-create-again").id(), Some("COMMAND-7yiox1isql"));
        assert_eq!(recorded("059-v2-create-username-taken").id(), Some("V3-DKcYh"));
        assert!(!recorded("058-v2-create-again").is_undecided());
        let id = Some("COMMAND-8ugTs".to_owned());
        assert!(
            Failure::Refused { status: 400, code: Some(9), id, index: None, message: String::new() }.is_undecided()
        );
        // Connect's shape.
        let Failure::Refused { status, code, id, .. } = recorded("102-authorization-unknown-role") else { panic!() };
        assert_eq!((status, code, id.as_deref()), (400, Some(9), Some("COMMAND-mm9F4")));
        let Failure::Refused { index, code, .. } = recorded("018-import-reject-first-name") else { panic!() };
        assert_eq!((index, code), (Some((0, 1)), Some(3)));
    }

    #[test]
    fn what_may_have_been_written() {
        assert!(recorded("026-import-timeout").is_ambiguous());
        assert!(!recorded("027-import-too-large").is_ambiguous());
        assert!(!recorded("018-import-reject-first-name").is_ambiguous());
        assert!(Failure::from_answer(&answer(502, "<html>bad gateway")).is_ambiguous());
        assert!(Failure::from_answer(&answer(500, r#"{"code":13,"message":"x"}"#)).is_ambiguous());
        assert!(!Failure::from_answer(&answer(429, "slow down")).is_ambiguous());
    }

    #[test]
    fn messages_are_short_and_printable() {
        let body = serde_json::json!({ "code": 9, "message": format!("\u{1b}[31m{}", "ä".repeat(5000)) });
        let Failure::Refused { message, .. } = Failure::from_answer(&answer(400, &body.to_string())) else { panic!() };
        assert!(message.starts_with("\\u{1b}[31mää") && message.chars().count() == MESSAGE_LIMIT + 1, "{message}");
        let error = Failure::from_answer(&answer(400, &body.to_string())).into_error("could not do it");
        assert!(error.render().starts_with("Error: could not do it\nCaused by: ZITADEL refused (HTTP 400)"));
    }
}
