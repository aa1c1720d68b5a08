//! Which of several credentials counts: the most specific source wins, and two of one source are an error.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};

use super::{Auth0Credentials, Warning, ZitadelCredentials, level::Level};
use crate::error::{Error, Result};

/// A credential, or the name of the file that holds it.
pub(super) struct Part {
    /// Secret or file name; a file name may be a secret that was put into the wrong key.
    pub(super) value: SecretString,
    pub(super) level: Level,
    pub(super) origin: String,
    pub(super) base: Option<PathBuf>,
}

/// By key. Later layers replace earlier ones.
pub(super) type Parts = BTreeMap<&'static str, Part>;

/// Secrets are short; a file that is larger was named by mistake.
const MOST_BYTES: u64 = 64 << 10;

struct Resolver<'a> {
    parts: &'a Parts,
    vendor: &'static str,
    warnings: &'a mut Vec<Warning>,
}

/// A way in that is complete.
enum Found<'a> {
    Token(&'a Part, bool),
    Key(&'a Part),
    Client { id: &'a Part, secret: &'a Part, is_file: bool },
}

impl Found<'_> {
    fn level(&self) -> Level {
        match self {
            Self::Token(part, _) | Self::Key(part) => part.level,
            Self::Client { id, secret, .. } => id.level.max(secret.level),
        }
    }

    fn origin(&self) -> String {
        match self {
            Self::Token(part, _) | Self::Key(part) => part.origin.clone(),
            Self::Client { id, secret, .. } => format!("{} with {}", id.origin, secret.origin),
        }
    }
}

pub(super) fn auth0(parts: &Parts, warnings: &mut Vec<Warning>) -> Result<Option<Auth0Credentials>> {
    let mut resolver = Resolver { parts, vendor: "Auth0", warnings };
    let token = resolver.slot("auth0.token", "auth0.token_file")?.map(|(part, is_file)| Found::Token(part, is_file));
    let client = resolver.client("auth0.client_id", "auth0.client_secret", "auth0.client_secret_file")?;
    Ok(match resolver.choose([token, client])? {
        None | Some(Found::Key(_)) => None,
        Some(Found::Token(part, is_file)) => Some(Auth0Credentials::Token(resolver.read(part, is_file)?)),
        Some(Found::Client { id, secret, is_file }) => Some(Auth0Credentials::Client {
            client_id: id.value.expose_secret().to_owned(),
            client_secret: resolver.read(secret, is_file)?,
        }),
    })
}

pub(super) fn zitadel(parts: &Parts, warnings: &mut Vec<Warning>) -> Result<Option<ZitadelCredentials>> {
    let mut resolver = Resolver { parts, vendor: "ZITADEL", warnings };
    let token =
        resolver.slot("zitadel.token", "zitadel.token_file")?.map(|(part, is_file)| Found::Token(part, is_file));
    let key = parts.get("zitadel.key_file").map(Found::Key);
    let client = resolver.client("zitadel.client_id", "zitadel.client_secret", "zitadel.client_secret_file")?;
    Ok(match resolver.choose([token, key, client])? {
        None => None,
        Some(Found::Token(part, is_file)) => Some(ZitadelCredentials::Token(resolver.read(part, is_file)?)),
        Some(Found::Key(part)) => {
            let json = resolver.read_file(part)?;
            check_key(&json, &part.origin)?;
            Some(ZitadelCredentials::KeyJson(json))
        }
        Some(Found::Client { id, secret, is_file }) => Some(ZitadelCredentials::Client {
            client_id: id.value.expose_secret().to_owned(),
            client_secret: resolver.read(secret, is_file)?,
        }),
    })
}

impl<'a> Resolver<'a> {
    /// A secret that may be given itself or as a file; true when it is a file.
    fn slot(&self, inline: &str, file: &str) -> Result<Option<(&'a Part, bool)>> {
        Ok(match (self.parts.get(inline), self.parts.get(file)) {
            (None, None) => None,
            (Some(inline), None) => Some((inline, false)),
            (None, Some(file)) => Some((file, true)),
            (Some(inline), Some(file)) if inline.level > file.level => Some((inline, false)),
            (Some(inline), Some(file)) if inline.level < file.level => Some((file, true)),
            (Some(inline), Some(file)) => return Err(self.both(&inline.origin, &file.origin)),
        })
    }

    fn client(&mut self, id: &str, secret: &str, file: &str) -> Result<Option<Found<'a>>> {
        let id = self.parts.get(id);
        let (secret, origin) = (self.slot(secret, file)?, id.map(|id| id.origin.clone()));
        match (id, secret) {
            (Some(id), Some((secret, is_file))) => return Ok(Some(Found::Client { id, secret, is_file })),
            (None, None) => {}
            (_, secret) => {
                let (given, missing) = match (origin, secret) {
                    (_, Some((secret, _))) => (secret.origin.clone(), "client id"),
                    (origin, None) => (origin.unwrap_or_default(), "client secret"),
                };
                let message = format!("{given} is given, and the {missing} for {} is not", self.vendor);
                self.warnings.push(Warning { code: "credentials-incomplete", message });
            }
        }
        Ok(None)
    }

    fn choose<const N: usize>(&self, candidates: [Option<Found<'a>>; N]) -> Result<Option<Found<'a>>> {
        let mut best: Option<Found<'a>> = None;
        let mut rival: Option<Found<'a>> = None;
        for candidate in candidates.into_iter().flatten() {
            match &best {
                Some(one) if one.level() > candidate.level() => {}
                Some(one) if one.level() == candidate.level() => rival = Some(candidate),
                _ => (best, rival) = (Some(candidate), None),
            }
        }
        match (best, rival) {
            (Some(one), Some(other)) => Err(self.both(&one.origin(), &other.origin())),
            (best, _) => Ok(best),
        }
    }

    fn both(&self, one: &str, other: &str) -> Error {
        Error::usage(format!("two ways into {} are given: {one}, and {other}", self.vendor)).hint("keep one of them")
    }

    fn read(&mut self, part: &Part, is_file: bool) -> Result<SecretString> {
        let secret = if is_file { self.read_file(part)? } else { part.value.clone() };
        // It becomes part of a header or a form; a line end inside is a file with something else in it.
        if secret.expose_secret().chars().any(char::is_control) {
            return Err(Error::usage(format!("the secret of {} holds more than one line", part.origin)));
        }
        Ok(secret)
    }

    fn read_file(&mut self, part: &Part) -> Result<SecretString> {
        let given = part.value.expose_secret();
        let path = part.base.as_ref().map_or_else(|| PathBuf::from(given), |base| base.join(given));
        let shown = if looks_like_a_path(given) { format!("`{}`", path.display()) } else { "the file".to_owned() };
        let fail = |what: &str| {
            let error = Error::usage(format!("cannot use {shown}, named by {}: {what}", part.origin));
            if looks_like_a_path(given) {
                error
            } else {
                error.hint("the value must be a file name, not the secret itself")
            }
        };
        let metadata = std::fs::metadata(&path).map_err(|error| fail(&io(&error)))?;
        if !metadata.is_file() && !is_stream(&metadata) {
            return Err(fail("it is no file"));
        }
        let bytes = read_capped(&path).map_err(|error| fail(&io(&error)))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(fail("it is larger than 64 KiB"));
        }
        let text = String::from_utf8(bytes).map_err(|_| fail("it is not UTF-8 text"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        if let Some(mode) = readable_by_others(&metadata) {
            let message = format!("{shown} can be read by other users of this machine (mode {mode:o}); `chmod 600` it");
            self.warnings.push(Warning { code: "secret-file-readable", message });
        }
        Ok(SecretString::from(text.to_owned()))
    }
}

fn read_capped(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn io(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "it may not be read".into(),
        kind => kind.to_string(),
    }
}

/// Someone who pastes a token where a file name belongs must not find it in the error. Tokens are long and without
/// a slash (base64url, or dots between).
fn looks_like_a_path(text: &str) -> bool {
    text.len() < 200 && !text.contains(['\n', '{']) && (text.len() < 32 || text.contains(['/', '\\']))
}

/// Mode bits, where group or others may read a file.
#[cfg(unix)]
pub(super) fn readable_by_others(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    (metadata.is_file() && mode & 0o044 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub(super) fn readable_by_others(_: &std::fs::Metadata) -> Option<u32> {
    None
}

/// `<(vault read …)` is a pipe.
#[cfg(unix)]
fn is_stream(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    metadata.file_type().is_fifo() || metadata.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_stream(_: &std::fs::Metadata) -> bool {
    false
}

/// A key that ZITADEL made for a service account; one for an application looks much the same and cannot do this.
fn check_key(json: &SecretString, origin: &str) -> Result<()> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ServiceAccount {
        r#type: Option<String>,
        key_id: Option<String>,
        user_id: Option<String>,
        key: Option<SecretString>,
    }
    let hint = "make one in ZITADEL's console: Users, Service Accounts, Keys, New, type JSON";
    // serde's own words could quote the key.
    let key: ServiceAccount = serde_json::from_str(json.expose_secret())
        .map_err(|_| Error::usage(format!("the key file that {origin} names is not the JSON of a key")).hint(hint))?;
    if key.r#type.as_deref() == Some("application") {
        return Err(Error::usage(format!("the key file that {origin} names is of an application")).hint(hint));
    }
    let whole = key.key_id.is_some() && key.user_id.is_some() && key.key.is_some();
    if key.r#type.as_deref() != Some("serviceaccount") || !whole {
        return Err(Error::usage(format!("the key file that {origin} names is no service account's key")).hint(hint));
    }
    Ok(())
}
