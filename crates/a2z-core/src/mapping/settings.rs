//! How a user is put into ZITADEL's terms.

use std::collections::BTreeMap;

use super::{
    paths::{History, Rename, Skip},
    rules::Rules,
};
use crate::hashes::algorithm::Verifiers;

/// How a user is put into ZITADEL's terms.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// `PLACEHOLDER.example`: users without an e-mail get `<id>@` it, unverified. Default none: they are blocked.
    pub placeholder_email_domain: Option<String>,
    /// What to do with a hash that is older than the user's `last_password_reset`.
    pub stale_hash: StaleHash,
    /// What to do with two users who would get one user name.
    pub collisions: Collisions,
    /// Of a value that changed on both sides.
    pub conflicts: Conflicts,
    /// Send `user_metadata` and `app_metadata` as two JSON values, or spread their top-level keys.
    pub metadata: MetadataStyle,
    /// The metadata key prefix. Default `auth0.`.
    pub metadata_prefix: String,
    /// Values of the metadata that get keys of their own. Default none.
    pub metadata_rename: Vec<Rename>,
    /// What is left out of the metadata. Default nothing.
    pub metadata_skip: Vec<Skip>,
    /// What of the profile's history becomes metadata. It does not count as a change of the user. Default nothing.
    pub history: Vec<History>,
    /// The verifiers that the instance has, beside bcrypt. Default none.
    pub verifiers: Verifiers,
    /// Connections whose texts in `email_verified` count as verified, as they do at Auth0. Default none: a text that is not
    /// `true` verifies nothing.
    pub verified_texts: Vec<String>,
    /// The operator's own rules. Default none.
    pub rules: Rules,
}

impl Mapping {
    /// The metadata keys of [`Mapping::history`]: their values are no change of a user.
    #[must_use]
    pub fn history_keys(&self) -> Vec<String> {
        self.history.iter().map(|history| history.key(&self.metadata_prefix)).collect()
    }
}

/// What to do with a hash that is older than the user's `last_password_reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StaleHash {
    /// Leave it out: the user must reset. The default.
    #[default]
    Drop,
    /// Send it and require a change at the next sign-in (users API only).
    RequireChange,
    /// Send it as if it were fresh.
    Keep,
}

/// What to do with users who would get one user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Collisions {
    /// One is imported, the others are blocked as `duplicate-user-name`. The default.
    #[default]
    Block,
    /// The others get the connection as a suffix.
    Suffix,
    /// Accounts with the same verified e-mail become one user, with all their links. What remains is blocked.
    Link,
}

/// What counts if a value changed in Auth0 and in ZITADEL since a2z wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conflicts {
    /// ZITADEL's value stays, and the report says so. The default.
    #[default]
    Keep,
    /// Auth0's value is written.
    Overwrite,
}

/// How metadata travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetadataStyle {
    /// `auth0.user_metadata` and `auth0.app_metadata`, each one JSON value. The default.
    #[default]
    Json,
    /// Each top-level key a value of its own: `auth0.user_metadata.KEY`.
    Spread,
    /// Not at all.
    None,
}

/// Which identity provider stands for which connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Idps {
    /// The connection's name, and ZITADEL's id of the provider.
    pub by_connection: BTreeMap<String, String>,
    /// What becomes of users of a connection without a provider.
    pub unmatched: UnmatchedIdps,
}

/// What becomes of users of a connection without a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnmatchedIdps {
    /// They are created, without the link. The default.
    #[default]
    CreateWithoutLink,
    /// They are not moved.
    Block,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            placeholder_email_domain: None,
            stale_hash: StaleHash::default(),
            collisions: Collisions::default(),
            conflicts: Conflicts::default(),
            metadata: MetadataStyle::default(),
            metadata_prefix: "auth0.".into(),
            metadata_rename: Vec::new(),
            metadata_skip: Vec::new(),
            history: Vec::new(),
            verifiers: Verifiers::default(),
            verified_texts: Vec::new(),
            rules: Rules::default(),
        }
    }
}
