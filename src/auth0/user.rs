//! A user as Auth0 exports one. Absent, `null` and `""` are the same: `None`.

use jiff::Timestamp;
use serde_json::value::RawValue;

/// One row of an export.
#[derive(Debug, Clone, Default)]
pub struct ExportedUser {
    /// The line in the export file, from 1.
    pub line: u64,
    /// `auth0|…`, `google-oauth2|…`: whole, as Auth0 gives it.
    pub user_id: String,
    /// As Auth0 stores it; database connections store it in lower case, others keep the case.
    pub email: Option<String>,
    /// `None` where the row does not say.
    pub email_verified: Option<bool>,
    /// Of connections that require one.
    pub username: Option<String>,
    /// E.164 by Auth0's rule.
    pub phone_number: Option<String>,
    /// `None` where the row does not say.
    pub phone_verified: Option<bool>,
    /// Defaults to the e-mail for database users.
    pub name: Option<String>,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// Defaults to the local part of the e-mail.
    pub nickname: Option<String>,
    /// A URL.
    pub picture: Option<String>,
    /// `en`, `en-US`, `en_US`.
    pub locale: Option<String>,
    /// The first is the primary one. `None` where the export does not carry the field.
    pub identities: Option<Vec<Identity>>,
    /// When the user was created.
    pub created_at: Option<Timestamp>,
    /// Moves on every sign-in too.
    pub updated_at: Option<Timestamp>,
    /// The last sign-in.
    pub last_login: Option<Timestamp>,
    /// "Does not exist at user creation"; database connections only.
    pub last_password_reset: Option<Timestamp>,
    /// How often the user signed in.
    pub logins_count: Option<u64>,
    /// A blocked user cannot sign in.
    pub blocked: bool,
    /// A JSON value, byte-faithful; absent where it is missing, `null` or `{}`.
    pub user_metadata: Option<Box<RawValue>>,
    /// A JSON value, byte-faithful; absent where it is missing, `null` or `{}`.
    pub app_metadata: Option<Box<RawValue>>,
    /// What Auth0 says elsewhere than in the export: names and JSON values, which become metadata.
    pub beside: Vec<(String, String)>,
    /// Legacy factors: `duo`, `google-authenticator`.
    pub multifactor: Vec<String>,
}

/// One identity of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `auth0`, `google-oauth2`, `samlp`, `sms`, …
    pub provider: String,
    /// The connection's name.
    pub connection: Option<String>,
    /// The part that the provider gives, without the provider's prefix. Digits are kept (21-digit Google ids).
    pub user_id: String,
    /// As Auth0 says.
    pub is_social: bool,
    /// `profileData.email` of a linked secondary identity.
    pub email: Option<String>,
    /// `profileData.email_verified` of a linked secondary identity.
    pub email_verified: Option<bool>,
    /// `profileData.name` of a linked secondary identity.
    pub name: Option<String>,
}

impl ExportedUser {
    /// The provider and the rest of `user_id`, split at the first pipe only: the rest may hold more of them.
    #[must_use]
    pub fn split_id(&self) -> (&str, &str) {
        self.user_id.split_once('|').unwrap_or(("", &self.user_id))
    }

    /// The connection of the primary identity, where it is known.
    #[must_use]
    pub fn connection(&self) -> Option<&str> {
        self.identities.as_ref()?.first()?.connection.as_deref()
    }
}
