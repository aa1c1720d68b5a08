//! A user in ZITADEL's terms, checked against ZITADEL's own rules.

use secrecy::SecretString;

/// A user that may be sent.
#[derive(Debug, Clone)]
pub struct Draft {
    /// 1 to 200 characters; Auth0's `user_id`, as it is.
    pub user_id: String,
    /// 1 to 200 characters, trimmed; unique in the instance, whatever its case.
    pub user_name: String,
    /// The name.
    pub profile: Profile,
    /// The e-mail.
    pub email: Email,
    /// E.164, where there is one.
    pub phone: Option<Phone>,
    /// The hash, where ZITADEL will take it.
    pub password: Option<Password>,
    /// Auth0's `blocked`.
    pub inactive: bool,
    /// Links to ZITADEL's identity providers.
    pub links: Vec<Link>,
    /// A TOTP secret, base32.
    pub totp_secret: Option<SecretString>,
    /// Hashes of recovery codes, at most 10.
    pub recovery_codes: Vec<SecretString>,
    /// Key and value.
    pub metadata: Vec<Metadata>,
}

/// The name of a user; each 1 to 200 characters where present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// `firstName`, `givenName`. Never blank.
    pub first_name: String,
    /// `lastName`, `familyName`. Never blank.
    pub last_name: String,
    /// ZITADEL makes "first last" where it is missing.
    pub display_name: Option<String>,
    /// `nickName`.
    pub nick_name: Option<String>,
    /// A base language (`en`).
    pub preferred_language: Option<String>,
}

impl Profile {
    /// The display name that an update sends. ZITADEL makes "first last" when it creates a user who has none, and does not make
    /// it again when the names change; and an update takes 200 characters.
    #[must_use]
    pub fn display_name_of_update(&self) -> String {
        let made = || format!("{} {}", self.first_name, self.last_name).chars().take(super::text::MAX_CHARS).collect();
        self.display_name.clone().unwrap_or_else(made)
    }
}

/// An e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// 1 to 200 characters.
    pub address: String,
    /// As Auth0 says.
    pub verified: bool,
}

/// A phone number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// E.164.
    pub number: String,
    /// As Auth0 says.
    pub verified: bool,
}

/// A password hash in ZITADEL's encoding.
#[derive(Debug, Clone)]
pub struct Password {
    /// `$2b$10$…`.
    pub hash: SecretString,
    /// The user must change it at the next sign-in (users API only).
    pub change_required: bool,
}

/// A link to an identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// ZITADEL's id of the provider.
    pub idp_id: String,
    /// The id that the provider gave the user, exactly.
    pub external_user_id: String,
    /// What is shown; 1 to 200 characters.
    pub display_name: String,
    /// The import endpoint takes it: the provider allows that users are created.
    pub by_import: bool,
}

/// One metadata entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// 1 to 200 characters.
    pub key: String,
    /// 1 to 500,000 bytes.
    pub value: Vec<u8>,
}

/// Which of ZITADEL's two roads a user takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// `POST /admin/v1/import`, in batches.
    Import,
    /// `POST /v2/users/new`, one call per user.
    UsersApi,
}

impl Draft {
    /// The road for this user. The import endpoint leaves users INITIAL (who cannot sign in with Login V2, and get an
    /// e-mail) unless their e-mail is verified and they have a hash or a link; an unverified phone would get an SMS; it
    /// ignores `changeRequired`; and every metadata key costs it a transaction.
    #[must_use]
    pub fn route(&self, users_api_from_metadata_keys: usize) -> Route {
        // Creation is forbidden at the provider; the users API does not ask.
        let refused = self.links.iter().any(|link| !link.by_import);
        let stranded = !self.email.verified || (self.password.is_none() && self.links.is_empty());
        let sms = self.phone.as_ref().is_some_and(|phone| !phone.verified);
        let change = self.password.as_ref().is_some_and(|password| password.change_required);
        let slow = self.metadata.len() >= users_api_from_metadata_keys && self.recovery_codes.is_empty();
        // The import sets the state with the user; the users API needs a second call, and in between the user is active.
        let slow = slow && !self.inactive;
        if stranded || sms || change || slow || refused { Route::UsersApi } else { Route::Import }
    }
}
