//! Where the users go.

use secrecy::SecretString;
use url::Url;

/// The ZITADEL instance.
#[derive(Debug, Clone, Default)]
pub struct Zitadel {
    /// The instance's address, without path. None when nothing is to be written.
    pub url: Option<Url>,
    /// How to get in.
    pub credentials: Option<ZitadelCredentials>,
    /// The organization that receives the users.
    pub organization_id: Option<String>,
    /// The name of an organization to create for them, when no id is given.
    pub create_org: Option<String>,
    /// Create identity providers for connections that have none.
    pub create_idps: CreateIdps,
}

/// Whether identity providers are created, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CreateIdps {
    /// They are not. The default.
    #[default]
    No,
    /// In the instance where the account may (`IAM_OWNER`), else in the organization.
    Yes,
    /// In the instance: every organization sees them.
    Instance,
    /// In the organization.
    Organization,
}

/// How to get into ZITADEL.
#[derive(Debug, Clone)]
pub enum ZitadelCredentials {
    /// A personal access token.
    Token(SecretString),
    /// The JSON of a service account's key (`{"type":"serviceaccount",…}`).
    KeyJson(SecretString),
    /// Client credentials of a service account.
    Client {
        /// Its client id.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
}
