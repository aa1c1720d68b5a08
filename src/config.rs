//! One validated [`Config`]: defaults < file < environment < flags. Nothing below this module sees clap, TOML or the
//! environment. Secrets are wrapped at this door.

mod address;
mod check;
mod credentials;
mod file;
mod load;
mod rules;
mod schema;
pub mod values;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

use crate::{
    hashes::algorithm::Verifiers,
    mapping::{
        metadata::{History, Rename, Skip},
        rules::Rules,
    },
};

pub use self::{
    load::{Environment, Loaded, Overrides, Warning, load},
    schema::keys,
};

/// Everything that a run needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state folder: ledger, export file, reports. Default `.a2z`.
    pub state: PathBuf,
    /// Where the users come from.
    pub auth0: Auth0,
    /// Where they go.
    pub zitadel: Zitadel,
    /// Files given by hand.
    pub input: Input,
    /// How hash rows find their users.
    pub join: Join,
    /// How a user is put into ZITADEL's terms.
    pub mapping: Mapping,
    /// Which identity provider stands for which connection.
    pub idps: Idps,
    /// What becomes of Auth0's roles.
    pub roles: Roles,
    /// What becomes of Auth0's organizations.
    pub organizations: Organizations,
    /// How the import behaves.
    pub import: Import,
    /// How ZITADEL is compared with the ledger.
    pub verify: Verify,
    /// How both vendors are talked to.
    pub http: Http,
}

/// The Auth0 tenant.
#[derive(Debug, Clone, Default)]
pub struct Auth0 {
    /// `https://TENANT.eu.auth0.com/`, or the custom domain. None when only files are read.
    pub url: Option<Url>,
    /// The audience of the token, where it is not `{url}api/v2/` (a custom domain keeps the tenant's own).
    pub audience: Option<String>,
    /// How to get in.
    pub credentials: Option<Auth0Credentials>,
    /// Names of the connections to export; empty: the whole tenant.
    pub connections: Vec<String>,
    /// A job to take up instead of starting one (`job_…`).
    pub job: Option<String>,
    /// How long an export job may take. Default 2 h.
    pub job_deadline: Duration,
}

/// How to get into Auth0.
#[derive(Debug, Clone)]
pub enum Auth0Credentials {
    /// A machine-to-machine application.
    Client {
        /// Its client id.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// A ready Management API token.
    Token(SecretString),
}

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

/// A file, or standard input (`-`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(PathBuf::from(text)) }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

/// Files given by hand.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Exports to use instead of a job; none: a job is started.
    pub users: Vec<Source>,
    /// Password-hash files from the support ticket.
    pub passwords: Vec<Source>,
    /// MFA files from the support ticket.
    pub mfa: Vec<Source>,
    /// Ask Auth0 about every user's second factors: one call a user. Default false.
    pub mfa_survey: bool,
    /// Move codes by SMS and e-mail, which the survey shows, as second factors. Default false.
    pub mfa_codes: bool,
    /// The longest line that is read, in bytes. Default 16 MiB.
    pub max_line: usize,
}

/// How hash rows find their users.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// Fall back to the e-mail where (connection, id) finds nothing and the e-mail is unambiguous. Default false.
    pub by_email: bool,
}

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

/// What becomes of Auth0's roles.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// Default: nothing.
    pub mode: RolesMode,
    /// The ZITADEL project that gets the roles.
    pub project_id: Option<String>,
    /// The name of a project to create for them, when no id is given. Default `Auth0 roles`.
    pub create_project: Option<String>,
}

impl Roles {
    /// The name of the project to create.
    #[must_use]
    pub fn project_name(&self) -> &str {
        self.create_project.as_deref().unwrap_or("Auth0 roles")
    }
}

/// What becomes of Auth0's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RolesMode {
    /// They stay behind. The default.
    #[default]
    Ignore,
    /// The names of a user's roles, as a metadata value.
    Metadata,
    /// Roles of a ZITADEL project, and grants (role assignments) to the users.
    Grants,
}

/// What becomes of Auth0's organizations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Organizations {
    /// Default: nothing.
    pub policy: OrganizationsPolicy,
}

/// What becomes of Auth0's organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrganizationsPolicy {
    /// They stay behind. The default.
    #[default]
    Ignore,
    /// A user's memberships, with the roles in them, as a metadata value.
    Metadata,
    /// Each becomes a ZITADEL organization; a user who is a member of exactly one belongs to it.
    Orgs,
}

impl Config {
    /// Are Auth0's roles or organizations to be read?
    #[must_use]
    pub fn wants_structure(&self) -> bool {
        self.roles.mode != RolesMode::Ignore || self.organizations.policy != OrganizationsPolicy::Ignore
    }
}

/// Which users may be deleted and created again, because nothing else lets them sign in. Never one that somebody else touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recreate {
    /// Users that this run created and that nobody could reach since.
    #[default]
    ThisRun,
    /// Whoever the operator is asked about: users of earlier runs, too, and those without the TOTP secret that they had.
    Ask,
    /// Nobody.
    Never,
}

/// How the import behaves.
#[derive(Debug, Clone)]
pub struct Import {
    /// A fixed number of requests in flight; none: found by adapting between 2 and 16.
    pub concurrency: Option<u32>,
    /// The most users in a batch. Default 100.
    pub batch_users: usize,
    /// The most bytes of protobuf in a batch. Default 1 MiB; the server's limit is 4 MiB.
    pub batch_bytes: usize,
    /// ZITADEL's own limit for one import request. Default 60 s; our own wait is longer.
    pub timeout: Duration,
    /// How far ZITADEL's projections may fall behind. Default 15 s.
    pub max_lag: Duration,
    /// From how many metadata keys on the users API is the faster road. Default 4.
    pub users_api_from_metadata_keys: usize,
    /// How long to wait at the end until every user is visible. Default 30 min.
    pub visible_deadline: Duration,
    /// The projections have caught up, and for this long nobody more is found: the events of the others were skipped, and
    /// they are repaired. Default 45 s.
    pub passed_over_after: Duration,
    /// Which users may be deleted and created again, of those that cannot be found or have no login name.
    pub recreate: Recreate,
    /// Also repairs the state of a user, which changes it for a moment. Default: false.
    pub repair_states: bool,
    /// A ceiling on requests per second to ZITADEL. None: 45 for ZITADEL Cloud, none elsewhere.
    pub requests_per_second: Option<f64>,
}

/// How ZITADEL is compared with the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verify {
    /// Whose metadata is read: a request a user.
    pub metadata: VerifyMetadata,
}

/// Whose metadata is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum VerifyMetadata {
    /// Everybody's: a request a user
    All,
    /// Of 200 users, always the same, spread over the whole
    #[default]
    Sample,
    /// Nobody's
    None,
}

/// How both vendors are talked to.
#[derive(Debug, Clone)]
pub struct Http {
    /// More certificate authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// Attempts at one request, the first included. Default 8.
    pub max_attempts: u32,
    /// The longest time spent on one request with all its retries. Default 5 min.
    pub max_elapsed: Duration,
    /// The first wait between two attempts. Default 500 ms (the tests use less).
    pub first_wait: Duration,
    /// The longest wait between two attempts, also where the server asks for more. Default 60 s.
    pub max_wait: Duration,
    /// To connect. Default 10 s.
    pub connect_timeout: Duration,
    /// For a whole small request. Default 60 s.
    pub request_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state: PathBuf::from(".a2z"),
            auth0: Auth0 { job_deadline: Duration::from_hours(2), ..Auth0::default() },
            zitadel: Zitadel::default(),
            input: Input { max_line: 16 << 20, ..Input::default() },
            join: Join::default(),
            mapping: Mapping {
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
            },
            idps: Idps::default(),
            roles: Roles::default(),
            organizations: Organizations::default(),
            verify: Verify::default(),
            import: Import {
                concurrency: None,
                batch_users: 100,
                batch_bytes: 1 << 20,
                timeout: Duration::from_mins(1),
                max_lag: Duration::from_secs(15),
                users_api_from_metadata_keys: 4,
                visible_deadline: Duration::from_mins(30),
                passed_over_after: Duration::from_secs(45),
                recreate: Recreate::default(),
                repair_states: false,
                requests_per_second: None,
            },
            http: Http {
                ca_file: None,
                max_attempts: 8,
                max_elapsed: Duration::from_mins(5),
                first_wait: Duration::from_millis(500),
                max_wait: Duration::from_mins(1),
                connect_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_mins(1),
            },
        }
    }
}
