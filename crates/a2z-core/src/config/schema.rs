//! Every key of the configuration, once: its name in the file, its name in the environment, and what it sets.
//! File, environment and flags all go through this table, so they accept and refuse the same values.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Collisions, Config, Conflicts, CreateIdps, MetadataStyle, OrganizationsPolicy, Recreate, RolesMode, Source,
    StaleHash, UnmatchedIdps, VerifyMetadata, address,
    credentials::{Part, Parts},
    level::Level,
    values,
};
use crate::{
    hashes::algorithm::Verifiers,
    mapping::paths::{History, Skip},
};

/// A value as it was given.
#[derive(Clone)]
pub(super) enum Value {
    /// A string of the file.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A list of strings.
    List(Vec<String>),
    /// From the environment: text that may stand for any of them.
    Raw(String),
}

/// A value with its place.
pub(super) struct Given<'a> {
    pub(super) value: Value,
    pub(super) level: Level,
    /// For messages: `` `AUTH0_TOKEN` ``, `` `auth0.client_id` in `a2z.toml` ``.
    pub(super) origin: String,
    /// What relative paths are relative to; none: the working directory.
    pub(super) base: Option<&'a Path>,
}

/// What the layers have come to so far.
pub(super) struct Collected {
    pub(super) config: Config,
    pub(super) parts: Parts,
}

type Set = fn(&mut Collected, Given<'_>) -> Result<(), String>;

/// A key of the configuration.
pub(super) struct Key {
    /// `section.name`, or `name` at the top.
    pub(super) path: &'static str,
    /// Its name in the environment.
    pub(super) env: &'static str,
    /// May it stand in the file? Some secrets may not.
    pub(super) in_file: bool,
    pub(super) set: Set,
}

const fn key(path: &'static str, env: &'static str, set: Set) -> Key {
    Key { path, env, in_file: true, set }
}

const fn env_only(path: &'static str, env: &'static str, set: Set) -> Key {
    Key { path, env, in_file: false, set }
}

/// A credential is kept with its place; `credentials` decides at the end which one counts.
macro_rules! part {
    ($path:literal) => {
        |c, v| {
            let (level, origin, base) = (v.level, v.origin.clone(), v.base.map(Path::to_owned));
            c.parts.insert($path, Part { value: v.text()?.into(), level, origin, base });
            Ok(())
        }
    };
}

macro_rules! set {
    ($($field:ident).+ = $v:ident => $value:expr) => {
        |c, $v| {
            c.config.$($field).+ = $value;
            Ok(())
        }
    };
}

/// In the order of the file.
pub(super) static KEYS: &[Key] = &[
    key("state", "A2Z_STATE", set!(state = v => v.path()?)),
    key(
        "auth0.domain",
        "AUTH0_DOMAIN",
        set!(auth0.url = v => Some(address::normalise(&v.text()?, "tenant.eu.auth0.com")?)),
    ),
    key("auth0.audience", "AUTH0_AUDIENCE", set!(auth0.audience = v => Some(v.text()?))),
    key("auth0.client_id", "AUTH0_CLIENT_ID", part!("auth0.client_id")),
    key("auth0.client_secret", "AUTH0_CLIENT_SECRET", part!("auth0.client_secret")),
    key("auth0.client_secret_file", "AUTH0_CLIENT_SECRET_FILE", part!("auth0.client_secret_file")),
    env_only("auth0.token", "AUTH0_TOKEN", part!("auth0.token")),
    key("auth0.token_file", "AUTH0_TOKEN_FILE", part!("auth0.token_file")),
    key("auth0.connections", "A2Z_AUTH0_CONNECTIONS", set!(auth0.connections = v => v.list()?)),
    key("auth0.job_deadline", "A2Z_AUTH0_JOB_DEADLINE", set!(auth0.job_deadline = v => v.time(SECOND..=DAY)?)),
    key(
        "zitadel.url",
        "ZITADEL_URL",
        set!(zitadel.url = v => Some(address::normalise(&v.text()?, "https://your.zitadel.cloud")?)),
    ),
    env_only("zitadel.token", "ZITADEL_TOKEN", part!("zitadel.token")),
    key("zitadel.token_file", "ZITADEL_TOKEN_FILE", part!("zitadel.token_file")),
    key("zitadel.key_file", "ZITADEL_KEY_FILE", part!("zitadel.key_file")),
    key("zitadel.client_id", "ZITADEL_CLIENT_ID", part!("zitadel.client_id")),
    env_only("zitadel.client_secret", "ZITADEL_CLIENT_SECRET", part!("zitadel.client_secret")),
    key("zitadel.client_secret_file", "ZITADEL_CLIENT_SECRET_FILE", part!("zitadel.client_secret_file")),
    key("zitadel.org_id", "ZITADEL_ORG_ID", set!(zitadel.organization_id = v => Some(v.text()?))),
    key("zitadel.create_org", "A2Z_ZITADEL_CREATE_ORG", set!(zitadel.create_org = v => Some(v.text()?))),
    key("zitadel.create_idps", "A2Z_ZITADEL_CREATE_IDPS", set!(zitadel.create_idps = v => v.create_idps()?)),
    // In the file every other key of `[idps]` is a connection's name.
    env_only("idps", "A2Z_IDPS", |c, v| {
        for pair in v.list()? {
            let (name, id) = pair.rsplit_once('=').ok_or("expected pairs such as \"google-oauth2=ID,github=ID\"")?;
            c.config.idps.by_connection.insert(name.trim().to_owned(), provider_id(id)?);
        }
        Ok(())
    }),
    key("idps.unmatched", "A2Z_IDPS_UNMATCHED", set!(idps.unmatched = v => v.one_of(UNMATCHED)?)),
    key("zitadel.verifiers", "A2Z_ZITADEL_VERIFIERS", |c, v| {
        c.config.mapping.verifiers = Verifiers::parse(&v.list()?)?;
        Ok(())
    }),
    key("input.users", "A2Z_INPUT_USERS", set!(input.users = v => v.one_or_more_sources()?)),
    key("input.passwords", "A2Z_INPUT_PASSWORDS", set!(input.passwords = v => v.sources()?)),
    key("input.mfa", "A2Z_INPUT_MFA", set!(input.mfa = v => v.sources()?)),
    key("mfa.survey", "A2Z_MFA_SURVEY", set!(input.mfa_survey = v => v.boolean()?)),
    key("mfa.codes", "A2Z_MFA_CODES", set!(input.mfa_codes = v => v.boolean()?)),
    key("input.max_line", "A2Z_INPUT_MAX_LINE", set!(input.max_line = v => v.bytes(64 << 10..=1 << 30)?)),
    key("join.by_email", "A2Z_JOIN_BY_EMAIL", set!(join.by_email = v => v.boolean()?)),
    key(
        "mapping.placeholder_email_domain",
        "A2Z_MAPPING_PLACEHOLDER_EMAIL_DOMAIN",
        set!(mapping.placeholder_email_domain = v => Some(v.domain()?)),
    ),
    key("mapping.verified_texts", "A2Z_MAPPING_VERIFIED_TEXTS", set!(mapping.verified_texts = v => v.list()?)),
    key("mapping.stale_hash", "A2Z_MAPPING_STALE_HASH", set!(mapping.stale_hash = v => v.one_of(STALE_HASH)?)),
    key("mapping.collisions", "A2Z_MAPPING_COLLISIONS", set!(mapping.collisions = v => v.one_of(COLLISIONS)?)),
    key("mapping.conflicts", "A2Z_MAPPING_CONFLICTS", set!(mapping.conflicts = v => v.one_of(CONFLICTS)?)),
    key("mapping.metadata", "A2Z_MAPPING_METADATA", set!(mapping.metadata = v => v.one_of(METADATA)?)),
    key("mapping.metadata_prefix", "A2Z_MAPPING_METADATA_PREFIX", set!(mapping.metadata_prefix = v => v.prefix()?)),
    key("mapping.metadata_skip", "A2Z_MAPPING_METADATA_SKIP", |c, v| {
        c.config.mapping.metadata_skip = v.list()?.iter().map(|path| Skip::parse(path)).collect::<Result<_, _>>()?;
        Ok(())
    }),
    key("mapping.history", "A2Z_MAPPING_HISTORY", |c, v| {
        c.config.mapping.history = v.list()?.iter().map(|name| History::parse(name)).collect::<Result<_, _>>()?;
        Ok(())
    }),
    key("roles.mode", "A2Z_ROLES_MODE", set!(roles.mode = v => v.one_of(ROLES)?)),
    key("roles.project_id", "A2Z_ROLES_PROJECT_ID", set!(roles.project_id = v => Some(v.text()?))),
    key("roles.create_project", "A2Z_ROLES_CREATE_PROJECT", set!(roles.create_project = v => Some(v.named()?))),
    key("organizations.policy", "A2Z_ORGANIZATIONS_POLICY", set!(organizations.policy = v => v.one_of(ORGANIZATIONS)?)),
    key("import.concurrency", "A2Z_IMPORT_CONCURRENCY", set!(import.concurrency = v => Some(v.whole(1..=64)?))),
    key("import.batch_users", "A2Z_IMPORT_BATCH_USERS", set!(import.batch_users = v => v.whole(1..=500)?)),
    key("import.batch_bytes", "A2Z_IMPORT_BATCH_BYTES", set!(import.batch_bytes = v => v.bytes(64 << 10..=7 << 19)?)),
    key("import.timeout", "A2Z_IMPORT_TIMEOUT", set!(import.timeout = v => v.time(SECOND..=HALF_HOUR)?)),
    key("import.max_lag", "A2Z_IMPORT_MAX_LAG", set!(import.max_lag = v => v.time(INSTANT..=HALF_HOUR)?)),
    key(
        "import.users_api_from_metadata_keys",
        "A2Z_IMPORT_USERS_API_FROM_METADATA_KEYS",
        set!(import.users_api_from_metadata_keys = v => v.whole(1..=1_000)?),
    ),
    key(
        "import.visible_deadline",
        "A2Z_IMPORT_VISIBLE_DEADLINE",
        set!(import.visible_deadline = v => v.time(SECOND..=DAY)?),
    ),
    key(
        "import.passed_over_after",
        "A2Z_IMPORT_PASSED_OVER_AFTER",
        set!(import.passed_over_after = v => v.time(INSTANT..=DAY)?),
    ),
    key("import.recreate", "A2Z_IMPORT_RECREATE", set!(import.recreate = v => v.one_of(RECREATE)?)),
    key("import.repair_states", "A2Z_IMPORT_REPAIR_STATES", set!(import.repair_states = v => v.boolean()?)),
    key(
        "import.requests_per_second",
        "A2Z_IMPORT_REQUESTS_PER_SECOND",
        set!(import.requests_per_second = v => Some(v.rate()?)),
    ),
    key("verify.metadata", "A2Z_VERIFY_METADATA", set!(verify.metadata = v => v.one_of(VERIFY_METADATA)?)),
    key("http.ca_file", "A2Z_HTTP_CA_FILE", set!(http.ca_file = v => Some(v.path()?))),
    key("http.max_attempts", "A2Z_HTTP_MAX_ATTEMPTS", set!(http.max_attempts = v => v.whole(1..=30)?)),
    key("http.max_elapsed", "A2Z_HTTP_MAX_ELAPSED", set!(http.max_elapsed = v => v.time(SECOND..=DAY)?)),
    key(
        "http.first_wait",
        "A2Z_HTTP_FIRST_WAIT",
        set!(http.first_wait = v => v.time(Duration::from_millis(1)..=Duration::from_mins(1))?),
    ),
    key("http.max_wait", "A2Z_HTTP_MAX_WAIT", set!(http.max_wait = v => v.time(Duration::from_millis(1)..=HALF_HOUR)?)),
    key(
        "http.connect_timeout",
        "A2Z_HTTP_CONNECT_TIMEOUT",
        set!(http.connect_timeout = v => v.time(INSTANT..=HALF_HOUR)?),
    ),
    key(
        "http.request_timeout",
        "A2Z_HTTP_REQUEST_TIMEOUT",
        set!(http.request_timeout = v => v.time(INSTANT..=HALF_HOUR)?),
    ),
];

const INSTANT: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HALF_HOUR: Duration = Duration::from_mins(30);
const DAY: Duration = Duration::from_hours(24);

const STALE_HASH: &[(&str, StaleHash)] =
    &[("drop", StaleHash::Drop), ("require-change", StaleHash::RequireChange), ("keep", StaleHash::Keep)];
const RECREATE: &[(&str, Recreate)] =
    &[("this-run", Recreate::ThisRun), ("ask", Recreate::Ask), ("never", Recreate::Never)];
const CONFLICTS: &[(&str, Conflicts)] = &[("keep", Conflicts::Keep), ("overwrite", Conflicts::Overwrite)];
const COLLISIONS: &[(&str, Collisions)] =
    &[("block", Collisions::Block), ("suffix", Collisions::Suffix), ("link", Collisions::Link)];
const UNMATCHED: &[(&str, UnmatchedIdps)] =
    &[("create-without-link", UnmatchedIdps::CreateWithoutLink), ("block", UnmatchedIdps::Block)];
const CREATE_IDPS: &[(&str, CreateIdps)] = &[
    ("false", CreateIdps::No),
    ("true", CreateIdps::Yes),
    ("instance", CreateIdps::Instance),
    ("organization", CreateIdps::Organization),
];
const VERIFY_METADATA: &[(&str, VerifyMetadata)] =
    &[("all", VerifyMetadata::All), ("sample", VerifyMetadata::Sample), ("none", VerifyMetadata::None)];
const METADATA: &[(&str, MetadataStyle)] =
    &[("json", MetadataStyle::Json), ("spread", MetadataStyle::Spread), ("none", MetadataStyle::None)];

const ROLES: &[(&str, RolesMode)] =
    &[("ignore", RolesMode::Ignore), ("metadata", RolesMode::Metadata), ("grants", RolesMode::Grants)];
const ORGANIZATIONS: &[(&str, OrganizationsPolicy)] = &[
    ("ignore", OrganizationsPolicy::Ignore),
    ("metadata", OrganizationsPolicy::Metadata),
    ("orgs", OrganizationsPolicy::Orgs),
];

/// Every key that the file may hold, as `section.name`, with its name in the environment.
pub fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.iter().filter(|key| key.in_file).map(|key| (key.path, key.env))
}

/// A connection of `[idps]` in the file, with the id of its provider.
pub(super) fn idp(collected: &mut Collected, connection: &str, value: &Value) -> Result<(), String> {
    let id = match value {
        Value::Text(id) => provider_id(id)?,
        Value::Int(id) => provider_id(&id.to_string())?,
        other => return Err(other.wanted("the id of an identity provider")),
    };
    collected.config.idps.by_connection.insert(connection.to_owned(), id);
    Ok(())
}

/// ZITADEL's own ids are digits.
fn provider_id(text: &str) -> Result<String, String> {
    let text = text.trim();
    let sound = (1..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if sound { Ok(text.to_owned()) } else { Err("expected the id of an identity provider, which is digits".into()) }
}

impl Value {
    fn found(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Raw(_) => "a string",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
        }
    }

    fn wanted(&self, what: &str) -> String {
        match self {
            Self::Raw(_) => format!("expected {what}"),
            _ => format!("expected {what}, found {}", self.found()),
        }
    }
}

impl Given<'_> {
    fn text(self) -> Result<String, String> {
        match self.value {
            Value::Text(text) | Value::Raw(text) if text.trim().is_empty() => Err("is empty".into()),
            Value::Text(text) | Value::Raw(text) => Ok(text.trim().to_owned()),
            other => Err(other.wanted("a string")),
        }
    }

    fn resolve(base: Option<&Path>, path: &str) -> PathBuf {
        base.map_or_else(|| PathBuf::from(path), |base| base.join(path))
    }

    fn path(self) -> Result<PathBuf, String> {
        let base = self.base;
        Ok(Self::resolve(base, &self.text()?))
    }

    /// A string of the file is one source, whatever is in it.
    fn one_or_more_sources(self) -> Result<Vec<Source>, String> {
        match &self.value {
            Value::Text(_) => {
                let base = self.base;
                Ok(vec![Self::to_source(base, &self.text()?)])
            }
            _ => self.sources(),
        }
    }

    fn sources(self) -> Result<Vec<Source>, String> {
        let base = self.base;
        Ok(self.list()?.iter().map(|text| Self::to_source(base, text)).collect())
    }

    fn to_source(base: Option<&Path>, text: &str) -> Source {
        if text == "-" { Source::Stdin } else { Source::File(Self::resolve(base, text)) }
    }

    fn list(self) -> Result<Vec<String>, String> {
        let items = match self.value {
            Value::List(items) => items,
            Value::Raw(text) => text.split(',').map(str::to_owned).collect(),
            other => return Err(other.wanted("a list of strings such as [\"a\", \"b\"]")),
        };
        let items: Vec<String> = items.into_iter().map(|item| item.trim().to_owned()).collect();
        if items.iter().any(String::is_empty) { Err("holds an empty entry".into()) } else { Ok(items) }
    }

    fn boolean(self) -> Result<bool, String> {
        match &self.value {
            Value::Bool(value) => Ok(*value),
            Value::Raw(text) => match text.trim() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(self.value.wanted("true or false")),
            },
            other => Err(other.wanted("true or false")),
        }
    }

    fn whole<N: TryFrom<i64>>(self, range: RangeInclusive<i64>) -> Result<N, String> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let number = match &self.value {
            Value::Int(number) => *number,
            Value::Raw(text) => text.trim().parse().map_err(|_| self.value.wanted(&wanted))?,
            other => return Err(other.wanted(&wanted)),
        };
        if !range.contains(&number) {
            return Err(format!("expected {wanted}, got {number}"));
        }
        N::try_from(number).map_err(|_| format!("expected {wanted}"))
    }

    fn rate(self) -> Result<f64, String> {
        let wanted = "a number above 0, up to 1000";
        let number = match &self.value {
            #[expect(clippy::cast_precision_loss, reason = "1000 is the most that is accepted")]
            Value::Int(number) => *number as f64,
            Value::Float(number) => *number,
            Value::Raw(text) => text.trim().parse().map_err(|_| self.value.wanted(wanted))?,
            other => return Err(other.wanted(wanted)),
        };
        if number > 0.0 && number <= 1000.0 { Ok(number) } else { Err(format!("expected {wanted}, got {number}")) }
    }

    fn time(self, range: RangeInclusive<Duration>) -> Result<Duration, String> {
        let time = match &self.value {
            Value::Text(text) | Value::Raw(text) => values::duration(text)?,
            other => return Err(other.wanted("a time with its unit such as \"30s\"")),
        };
        if range.contains(&time) {
            return Ok(time);
        }
        Err(format!("expected a time from {:?} to {:?}, got {time:?}", range.start(), range.end()))
    }

    fn bytes(self, range: RangeInclusive<usize>) -> Result<usize, String> {
        let bytes = match &self.value {
            Value::Text(text) | Value::Raw(text) => values::size(text)?,
            Value::Int(number) => usize::try_from(*number).map_err(|_| "a size cannot be negative".to_owned())?,
            other => return Err(other.wanted("a size such as \"1MiB\"")),
        };
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        Err(format!("expected a size from {} to {} bytes, got {bytes}", range.start(), range.end()))
    }

    fn one_of<T: Copy>(self, choices: &[(&str, T)]) -> Result<T, String> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            format!("expected one of {}, got \"{text}\"", names.join(", "))
        })
    }

    fn create_idps(self) -> Result<CreateIdps, String> {
        match self.value {
            Value::Bool(value) => Ok(if value { CreateIdps::Yes } else { CreateIdps::No }),
            _ => self.one_of(CREATE_IDPS),
        }
    }

    fn domain(self) -> Result<String, String> {
        let text = self.text()?;
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let sound = text.contains('.') && text.len() <= 100 && text.split('.').all(label);
        if sound { Ok(text) } else { Err("expected a domain of your own such as \"no-mail.example.com\"".into()) }
    }

    /// A name as ZITADEL takes it.
    fn named(self) -> Result<String, String> {
        let text = self.text()?;
        if text.chars().count() <= 200 { Ok(text) } else { Err("expected at most 200 characters".into()) }
    }

    /// Unlike other texts a prefix may be empty.
    fn prefix(self) -> Result<String, String> {
        match self.value {
            Value::Text(text) | Value::Raw(text) if text.len() <= 100 => Ok(text),
            Value::Text(_) | Value::Raw(_) => Err("expected at most 100 characters".into()),
            other => Err(other.wanted("a string")),
        }
    }
}
