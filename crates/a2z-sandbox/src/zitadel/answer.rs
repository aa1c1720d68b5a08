//! Errors in ZITADEL's three shapes: gateway, Connect, and the lines of an import report.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};

/// gRPC codes, as the gateway puts them in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unauthenticated = 16,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::Unknown | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidArgument | Self::FailedPrecondition => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists => StatusCode::CONFLICT,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }

    const fn connect(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

/// An error on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fail {
    pub(super) code: Code,
    pub(super) id: &'static str,
    /// The i18n key, or the whole message where there is no id.
    pub(super) key: String,
    /// Wrong passwords in a row, for the session API.
    pub(super) attempts: Option<u32>,
    /// Whether the body has `details`.
    pub(super) detailed: bool,
}

impl Fail {
    /// An error of ZITADEL's own, with an id.
    pub(super) fn new(code: Code, id: &'static str, key: &str) -> Self {
        Self { code, id, key: key.to_owned(), attempts: None, detailed: true }
    }

    /// An error of the layers before: gateway, validation, gRPC.
    pub(super) fn plain(code: Code, message: impl Into<String>) -> Self {
        Self { code, id: "", key: message.into(), attempts: None, detailed: false }
    }

    /// An error that is none of ZITADEL's: code 2, HTTP 500, with empty brackets for the id.
    pub(super) fn unknown(message: &str) -> Self {
        Self { code: Code::Unknown, id: "", key: message.to_owned(), attempts: None, detailed: true }
    }

    /// As a line of an import report, untranslated.
    pub(super) fn line(&self) -> String {
        if self.id.is_empty() { self.key.clone() } else { format!("ID={} Message={}", self.id, self.key) }
    }

    fn message(&self) -> String {
        if self.detailed { format!("{} ({})", translate(&self.key), self.id) } else { self.key.clone() }
    }

    /// As the gateway answers.
    pub(super) fn gateway(&self) -> Response {
        let mut body = json!({"code": self.code as u8, "message": self.message()});
        if self.detailed {
            let mut detail =
                json!({"@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "message": translate(&self.key)});
            if !self.id.is_empty() {
                detail["id"] = self.id.into();
            }
            if let Some(attempts) = self.attempts {
                detail["@type"] = "type.googleapis.com/zitadel.v1.CredentialsCheckError".into();
                detail["failedAttempts"] = attempts.into();
            }
            body["details"] = json!([detail]);
        }
        let mut answer = reply(self.code.status(), &body);
        if self.code == Code::Unauthenticated
            && let Ok(value) = self.message().parse()
        {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        answer
    }

    /// As a Connect handler answers.
    pub(super) fn connect(&self) -> Response {
        let mut body = json!({"code": self.code.connect(), "message": self.message()});
        if self.detailed {
            let message = translate(&self.key);
            let mut value = Vec::new();
            for (tag, text) in [(0x0a, self.id), (0x12, message.as_str())] {
                value.push(tag);
                value.push(u8::try_from(text.len()).unwrap_or(0x7f));
                value.extend_from_slice(text.as_bytes());
            }
            body["details"] = json!([{
                "type": "zitadel.v1.ErrorDetail",
                "value": STANDARD_NO_PAD.encode(value),
                "debug": {"id": self.id, "message": message},
            }]);
        }
        reply(self.code.status(), &body)
    }
}

/// A JSON answer.
pub(super) fn reply(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The English of the i18n keys that have one; the others go out as they are, as with the real one.
fn translate(key: &str) -> String {
    match key {
        "Errors.Internal" => "An internal error occurred",
        "Errors.User.AlreadyExists" => "User already exists",
        "Errors.User.NotFound" => "User could not be found",
        "Errors.User.Password.Invalid" => "Password is invalid",
        "Errors.User.Password.Empty" => "Password is empty",
        "Errors.User.Email.Invalid" => "Email is invalid",
        "Errors.User.Phone.Invalid" => "Phone number is invalid",
        "Errors.User.Profile.FirstNameEmpty" => "First name in profile is empty",
        "Errors.User.Profile.LastNameEmpty" => "Last name in profile is empty",
        "Errors.User.ExternalIDP.AlreadyExists" => "External IDP already taken",
        "Errors.User.ExternalIDP.NotFound" => "External IDP not found",
        "Errors.Org.IDP.SAMLMetadataMissing" => "SAML metadata is missing",
        "Errors.Org.IDP.PrivateKeyInvalid" => "Invalid Private Key format",
        "Errors.Org.NotFound" => "Organisation not found",
        "Errors.Org.AlreadyExists" => "Organisation's name or id already taken",
        "Errors.Project.Role.AlreadyExists" => "Role already exists",
        "Errors.Project.AlreadyExists" => "Project already exists on organization",
        "Errors.Project.Grant.AlreadyExists" => "Project Grant already exists",
        "Errors.Project.Grant.NotFound" => "Project Grant not found",
        "Errors.Project.Grant.Invalid" => "Project Grant is invalid",
        "Errors.Project.NotFound" => "Project not found",
        "Errors.UserGrant.NotFound" => "User grant not found",
        "Errors.Org.Domain.AlreadyExists" => "Domain already exists",
        "Errors.Query.LimitExceeded" => "Limit exceeded",
        "Errors.UserGrant.AlreadyExists" => "User grant already exists",
        key => key,
    }
    .to_owned()
}
