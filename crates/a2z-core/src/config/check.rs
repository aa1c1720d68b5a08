//! What no single key can tell: rules between keys, and what a verb needs.

use url::Url;

use super::{Auth0Credentials, Config, Mapping, MetadataStyle, Source, ZitadelCredentials};
use crate::error::{Error, Result};

/// Rules between keys.
pub(super) fn whole(config: &Config) -> Result<()> {
    let input = &config.input;
    let sources = input.users.iter().chain(&input.passwords).chain(&input.mfa);
    if sources.filter(|source| **source == Source::Stdin).count() > 1 {
        return Err(Error::usage("standard input (`-`) is named more than once")
            .hint("only one of users, passwords and mfa can come from a pipe; put the others into files"));
    }
    metadata_keys(&config.mapping)?;
    let http = &config.http;
    if http.first_wait > http.max_wait {
        return Err(Error::usage("`http.first_wait` is longer than `http.max_wait`"));
    }
    if config.import.timeout > config.http.max_elapsed {
        return Err(Error::usage("`import.timeout` is longer than `http.max_elapsed`")
            .hint("one attempt at a batch must fit into the time for all attempts"));
    }
    Ok(())
}

/// A key that every user would have twice is a mistake of the configuration, not of the users.
fn metadata_keys(mapping: &Mapping) -> Result<()> {
    let prefix = &mapping.metadata_prefix;
    let mut keys: Vec<String> = mapping.history.iter().map(|history| history.key(prefix)).collect();
    if mapping.metadata == MetadataStyle::Json {
        keys.extend(["user_metadata", "app_metadata"].map(|root| format!("{prefix}{root}")));
    }
    match mapping.metadata_rename.iter().find(|rename| keys.contains(&rename.to)) {
        Some(rename) => Err(Error::usage(format!(
            "`mapping.metadata_rename` gives a value the key `{}`, which another value has already",
            rename.to
        ))),
        None => Ok(()),
    }
}

impl Config {
    /// The Auth0 tenant and the way in.
    ///
    /// # Errors
    /// Says which is missing and where to put it.
    pub fn require_auth0(&self) -> Result<(&Url, &Auth0Credentials)> {
        let url = self.auth0.url.as_ref().ok_or_else(|| {
            Error::usage("no Auth0 tenant is given")
                .hint("set `AUTH0_DOMAIN` or `auth0.domain`, or read an export file with `--users FILE`")
        })?;
        let credentials = self.auth0.credentials.as_ref().ok_or_else(|| {
            Error::usage("no credentials for Auth0 are given").hint(
                "set `AUTH0_CLIENT_ID` and `AUTH0_CLIENT_SECRET` (a machine-to-machine application), or `AUTH0_TOKEN`",
            )
        })?;
        Ok((url, credentials))
    }

    /// The ZITADEL instance and the way in.
    ///
    /// # Errors
    /// Says which is missing and where to put it.
    pub fn require_zitadel(&self) -> Result<(&Url, &ZitadelCredentials)> {
        let url =
            self.zitadel.url.as_ref().ok_or_else(|| {
                Error::usage("no ZITADEL instance is given").hint("set `ZITADEL_URL` or `zitadel.url`")
            })?;
        let credentials = self.zitadel.credentials.as_ref().ok_or_else(|| {
            Error::usage("no credentials for ZITADEL are given").hint(
                "set `ZITADEL_TOKEN` (a personal access token), `ZITADEL_KEY_FILE` (a service account's key), or \
                 `ZITADEL_CLIENT_ID` and `ZITADEL_CLIENT_SECRET`",
            )
        })?;
        Ok((url, credentials))
    }
}
