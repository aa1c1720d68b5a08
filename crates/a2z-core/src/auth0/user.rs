//! A user as Auth0 exports one. Absent, `null` and `""` are the same: `None`.

use std::borrow::Cow;

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
    /// `email_verified` is no flag but something that Auth0 would take for true, a text for example. It counts as
    /// unverified, unless the operator says that the texts of this connection count.
    pub email_verified_truthy: bool,
    /// Auth0's user name, if the primary identity is of a database; an identity provider may write anything there.
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
    /// An identity of the row cannot be read and is not in `identities`: what is missing there is not known to be absent.
    pub identities_damaged: bool,
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
    /// What is not as Auth0 documents it, and how it was read; the first [`MOST_ODD`] of it.
    pub odd: Vec<Odd>,
}

/// How many odd values of one row are remembered, so that a hostile row takes no memory.
pub const MOST_ODD: usize = 16;

/// A value of a row that is of another type than Auth0 documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// What became of it.
    pub reading: Reading,
    /// Where it is: `nickname`, `identities[1].profileData.email`.
    pub field: Cow<'static, str>,
    /// What it is, or how it was read, in words that quote nothing of it.
    pub what: &'static str,
}

/// What became of an odd value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It was read as what it most likely means.
    Repaired,
    /// It is as good as absent.
    LeftOut,
    /// It is no flag, and the address counts as unverified.
    Unverified,
    /// It is an identity that counts for nothing: no link and no password comes of it.
    Identity,
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
    /// `profileData.email_verified` is no flag; as [`ExportedUser::email_verified_truthy`].
    pub email_verified_truthy: bool,
    /// `profileData.username` of a linked secondary identity.
    pub username: Option<String>,
    /// `profileData.name` of a linked secondary identity.
    pub name: Option<String>,
}

impl ExportedUser {
    /// The provider and the rest of `user_id`, split at the first pipe only: the rest may hold more of them.
    #[must_use]
    pub fn split_id(&self) -> (&str, &str) {
        self.user_id.split_once('|').unwrap_or(("", &self.user_id))
    }

    /// The primary identity: the one that `user_id` names, else the first. If an identity could not be read and none is
    /// named by `user_id`, nobody knows which one was the first.
    #[must_use]
    pub fn primary(&self) -> Option<&Identity> {
        let (provider, id) = self.split_id();
        let identities = self.identities.as_deref()?;
        let named = identities.iter().find(|identity| identity.provider == provider && identity.user_id == id);
        named.or_else(|| identities.first().filter(|_| !self.identities_damaged))
    }

    /// The connection of the primary identity, where it is known.
    #[must_use]
    pub fn connection(&self) -> Option<&str> {
        self.primary()?.connection.as_deref()
    }

    /// The provider of the primary identity, by `user_id` if it says, else by the identity; empty if neither does.
    #[must_use]
    pub fn provider(&self) -> &str {
        let (provider, _) = self.split_id();
        if provider.is_empty() { self.primary().map_or("", |identity| &identity.provider) } else { provider }
    }

    /// Remembers an odd value.
    pub(crate) fn note(&mut self, reading: Reading, field: impl Into<Cow<'static, str>>, what: &'static str) {
        if self.odd.len() < MOST_ODD {
            self.odd.push(Odd { reading, field: field.into(), what });
        }
    }
}
