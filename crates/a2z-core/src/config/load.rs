//! Defaults < file < environment < flags.

use std::path::{Path, PathBuf};

use super::{
    Config, Environment, Source, check, credentials, file,
    level::Level,
    schema::{Collected, Given, KEYS, Value},
};
use crate::{
    error::{Error, Result, printable},
    text::nearest,
};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "a2z.toml";
/// Of ours in the environment, beside the keys.
const OTHER_VARIABLES: &[&str] = &["A2Z_CONFIG"];
/// A configuration is small; a larger file was named by mistake.
const MOST_BYTES: u64 = 1 << 20;

/// What the flags say; empty and none: nothing.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state`.
    pub state: Option<PathBuf>,
    /// `--connection`.
    pub connections: Vec<String>,
    /// `--passwords`.
    pub passwords: Vec<Source>,
    /// `--mfa`.
    pub mfa: Vec<Source>,
    /// `--mfa-survey`.
    pub mfa_survey: bool,
    /// `--mfa-codes`.
    pub mfa_codes: bool,
    /// `--users`.
    pub users: Vec<Source>,
    /// `--job`.
    pub job: Option<String>,
    /// `--org`.
    pub org: Option<String>,
    /// `--concurrency`.
    pub concurrency: Option<u32>,
    /// `--metadata` of `verify`.
    pub metadata: Option<super::VerifyMetadata>,
}

/// Something that the operator should know about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable code, kebab-case.
    pub code: &'static str,
    /// What it is.
    pub message: String,
}

/// A configuration, and how it came to be.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Say them before anything else.
    pub warnings: Vec<Warning>,
}

/// Reads the layers. Relative paths in the file are relative to its folder, all others to the working directory.
///
/// # Errors
/// Says which key of which layer is wrong, and never shows a value that could be a secret.
pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Loaded> {
    let mut collected = Collected { config: Config::default(), parts: credentials::Parts::new() };
    let mut warnings = Vec::new();
    let file = read_file(overrides, environment, &mut collected, &mut warnings)?;
    apply_environment(environment, &mut collected, &mut warnings)?;
    apply_flags(overrides, &mut collected)?;
    let Collected { mut config, parts } = collected;
    config.auth0.credentials = credentials::auth0(&parts, &mut warnings)?;
    config.zitadel.credentials = credentials::zitadel(&parts, &mut warnings)?;
    check::whole(&config)?;
    Ok(Loaded { config, file, warnings })
}

fn read_file(
    overrides: &Overrides,
    environment: &Environment,
    collected: &mut Collected,
    warnings: &mut Vec<Warning>,
) -> Result<Option<PathBuf>> {
    use std::io::Read as _;
    let named = overrides.config.clone().or_else(|| environment.get("A2Z_CONFIG").map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let cannot = |error: &std::io::Error| Error::usage(format!("cannot read `{}`", path.display())).caused_by(error);
    let mut opened = match std::fs::File::open(&path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(None),
        Err(error) => return Err(cannot(&error).hint("config.example.toml is a file to start from")),
    };
    let mut bytes = Vec::new();
    (&mut opened).take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::usage(format!("`{}` is larger than 1 MiB and no configuration", path.display())));
    }
    file::apply(&path, &bytes, collected)?;
    if collected.parts.contains_key("auth0.client_secret") {
        let mode = opened.metadata().ok().and_then(|metadata| credentials::readable_by_others(&metadata));
        if let Some(mode) = mode {
            let name = path.display();
            let message = format!(
                "`{name}` holds `auth0.client_secret` and can be read by other users of this machine (mode {mode:o}); \
                 `chmod 600` it, or use `client_secret_file`"
            );
            warnings.push(Warning { code: "secret-file-readable", message });
        }
    }
    Ok(Some(path))
}

fn apply_environment(environment: &Environment, collected: &mut Collected, warnings: &mut Vec<Warning>) -> Result<()> {
    for key in KEYS {
        if environment.not_text.iter().any(|name| name == key.env) {
            return Err(Error::usage(format!("`{}` in the environment is not UTF-8 text", key.env)));
        }
        let Some(value) = environment.get(key.env) else { continue };
        let origin = format!("`{}`", key.env);
        let given = Given { value: Value::Raw(value.to_owned()), level: Level::Environment, origin, base: None };
        (key.set)(collected, given)
            .map_err(|what| Error::usage(format!("`{}` in the environment: {what}", key.env)))?;
    }
    let known = || KEYS.iter().map(|key| key.env).chain(OTHER_VARIABLES.iter().copied());
    for name in environment.variables.keys().filter(|name| name.starts_with("A2Z_")) {
        // The tests' own.
        let ours = name.starts_with("A2Z_LIVE_") || name.starts_with("A2Z_TEST_");
        if !ours && !known().any(|key| key == name) {
            let near = nearest(name, known()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message = format!("`{}` in the environment means nothing{near}", printable(name));
            warnings.push(Warning { code: "unknown-variable", message });
        }
    }
    Ok(())
}

fn apply_flags(overrides: &Overrides, collected: &mut Collected) -> Result<()> {
    if let Some(n) = overrides.concurrency {
        flag("import.concurrency", "--concurrency", Value::Int(n.into()), collected)?;
    }
    if let Some(metadata) = overrides.metadata {
        collected.config.verify.metadata = metadata;
    }
    if let Some(org) = &overrides.org {
        flag("zitadel.org_id", "--org", Value::Text(org.clone()), collected)?;
    }
    if !overrides.connections.is_empty() {
        flag("auth0.connections", "--connection", Value::List(overrides.connections.clone()), collected)?;
    }
    let config = &mut collected.config;
    if let Some(state) = &overrides.state {
        config.state.clone_from(state);
    }
    if !overrides.users.is_empty() {
        config.input.users.clone_from(&overrides.users);
    }
    if let Some(job) = &overrides.job {
        // The flag asks for a job; an export file of the configuration would hide it.
        config.auth0.job = Some(job.clone());
        config.input.users.clear();
    }
    if !overrides.passwords.is_empty() {
        config.input.passwords.clone_from(&overrides.passwords);
    }
    config.input.mfa_survey |= overrides.mfa_survey;
    config.input.mfa_codes |= overrides.mfa_codes;
    if !overrides.mfa.is_empty() {
        config.input.mfa.clone_from(&overrides.mfa);
    }
    if config.state == Path::new("") {
        return Err(Error::usage("`--state` is empty"));
    }
    Ok(())
}

fn flag(path: &str, name: &str, value: Value, collected: &mut Collected) -> Result<()> {
    let Some(key) = KEYS.iter().find(|key| key.path == path) else { return Ok(()) };
    let given = Given { value, level: Level::Flag, origin: format!("`{name}`"), base: None };
    (key.set)(collected, given).map_err(|what| Error::usage(format!("`{name}`: {what}")))
}
