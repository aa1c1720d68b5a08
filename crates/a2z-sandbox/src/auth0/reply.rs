//! Answers: errors in Auth0's shape, and the rate limit.

use std::time::Instant;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::{Limit, now};

/// A good answer: JSON, or `None` for 204.
pub(super) type Answer = Result<Option<String>, Failure>;

/// An error of the Management API.
#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    error: &'static str,
    message: String,
    /// Often absent.
    code: Option<&'static str>,
    /// Some 401s carry the message once more, in `attributes`.
    attributes: bool,
}

impl Failure {
    pub(super) fn new(
        status: u16,
        error: &'static str,
        message: impl Into<String>,
        code: Option<&'static str>,
    ) -> Self {
        Self { status, error, message: message.into(), code, attributes: false }
    }

    pub(super) fn bad_request(message: impl Into<String>, code: &'static str) -> Self {
        Self::new(400, "Bad Request", message, Some(code))
    }

    pub(super) fn not_found(message: &str, code: Option<&'static str>) -> Self {
        Self::new(404, "Not Found", message, code)
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self { attributes: true, ..Self::new(401, "Unauthorized", message, None) }
    }

    pub(super) fn no_authentication() -> Self {
        Self::new(401, "Unauthorized", "Missing authentication", None)
    }

    pub(super) fn expired_token() -> Self {
        Self::unauthorized("Expired token received for JSON Web Token validation")
    }

    pub(super) fn scope(any_of: &[&str]) -> Self {
        let message = format!("Insufficient scope, expected any of: {}", any_of.join(","));
        Self::new(403, "Forbidden", message, Some("insufficient_scope"))
    }

    /// 403 under any error code but that of a missing scope: the tenant's plan, a feature that is off, or no credit card.
    pub(super) fn forbidden(code: &'static str) -> Self {
        let message = match code {
            "insufficient_entitlement" => "Please upgrade your subscription to use this feature",
            "operation_not_supported" => "There must be a verified credit card on file to perform this operation",
            _ => "The account is not allowed to perform this operation, please contact our support team",
        };
        Self::new(403, "Forbidden", message, Some(code).filter(|code| !code.is_empty()))
    }

    pub(super) fn too_many() -> Self {
        Self::new(429, "Too Many Requests", "Global limit has been reached", Some("too_many_requests"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("statusCode".to_owned(), self.status.into());
        body.insert("error".to_owned(), self.error.into());
        if self.attributes {
            body.insert("attributes".to_owned(), serde_json::json!({"error": self.message}));
        }
        body.insert("message".to_owned(), self.message.into());
        if let Some(code) = self.code {
            body.insert("errorCode".to_owned(), code.into());
        }
        json(self.status, Value::Object(body).to_string())
    }
}

/// JSON with a status.
pub(super) fn json(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

pub(super) fn response(answer: Answer) -> Response {
    match answer {
        Ok(Some(body)) => json(200, body),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(failure) => failure.into_response(),
    }
}

/// A token bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: Limit,
    tokens: f64,
    at: Instant,
}

/// What is left in the bucket.
pub(super) struct Left {
    pub(super) allowed: bool,
    limit: u32,
    remaining: u32,
    reset: i64,
}

impl Bucket {
    pub(super) fn new(limit: Limit) -> Self {
        Self { limit, tokens: f64::from(limit.burst), at: Instant::now() }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a u32, or seconds")]
    pub(super) fn take(&mut self) -> Left {
        let burst = f64::from(self.limit.burst);
        self.tokens = (self.tokens + self.at.elapsed().as_secs_f64() * self.limit.per_second).min(burst);
        self.at = Instant::now();
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        // Until there is one again.
        let wait =
            if self.tokens >= 1.0 { 1.0 } else { ((1.0 - self.tokens) / self.limit.per_second.max(1e-6)).ceil() };
        Left {
            allowed,
            limit: self.limit.burst,
            remaining: self.tokens as u32,
            reset: now() + (wait.clamp(1.0, 1e6) as i64),
        }
    }
}

impl Left {
    /// "X-RateLimit-Reset": UTC epoch seconds.
    pub(super) fn on(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert("x-ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("x-ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("x-ratelimit-reset", HeaderValue::from(self.reset));
        response
    }
}
