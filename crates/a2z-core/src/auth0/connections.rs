//! The tenant's connections.

mod options;

use serde::Deserialize;

pub use self::options::Options;

use super::{
    client::{Client, Failure},
    paging::{self, MOST_PAGES},
};
use crate::{
    error::{Error, Kind, Result, some_of},
    http::quota::Quota,
};

/// The scope without which Auth0 leaves [`Connection::options`] out, beside `read:connections` for the rest (its migration
/// guide "Management API Connection Options Scopes", in force since 2025-07-08).
pub const OPTIONS_SCOPE: &str = "read:connections_options";

/// The largest page that Auth0 gives.
const PAGE: u64 = 100;

/// One connection.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Connection {
    /// `con_…`.
    pub id: String,
    /// What users' identities name.
    pub name: String,
    /// `auth0` for databases, `google-oauth2`, `samlp`, `sms`, …
    pub strategy: String,
    /// What is known of it beyond that. `None`: Auth0 did not tell ([`OPTIONS_SCOPE`]), so any option may have any value.
    #[serde(default, deserialize_with = "Options::told")]
    pub options: Option<Options>,
}

impl Connection {
    /// A database connection.
    #[must_use]
    pub fn is_database(&self) -> bool {
        self.strategy == "auth0"
    }

    /// Can Auth0 hold password hashes of its users? Not for a custom database without import mode: "Auth0 will never store
    /// any password hashes". `None` for a database of which that is not known.
    #[must_use]
    pub fn can_have_hashes(&self) -> Option<bool> {
        if !self.is_database() {
            return Some(false);
        }
        let options = self.options.as_ref()?;
        let custom = options.enabled_database_customization == Some(true);
        Some(!custom || options.import_mode == Some(true))
    }
}

/// All connections of the tenant. By checkpoint: by offset Auth0 gives the first 1,000 only, and B2B tenants have thousands.
///
/// # Errors
/// See [`Failure`].
pub async fn list(client: &Client) -> Result<Vec<Connection>, Failure> {
    #[derive(Deserialize)]
    struct Page {
        connections: Vec<Connection>,
        next: Option<String>,
    }
    // Small plans allow 50 such calls per minute.
    let quota = Quota::default();
    let take = PAGE.to_string();
    let (mut all, mut from) = (Vec::new(), None::<String>);
    for _ in 0..MOST_PAGES {
        let mut query =
            vec![("take", take.as_str()), ("fields", "id,name,strategy,options"), ("include_fields", "true")];
        query.extend(from.as_deref().map(|from| ("from", from)));
        let what = "list the connections";
        let Page { connections, next } = client.get_in_pace(&quota, what, "connections", &query).await?;
        let next = paging::checkpoint(next, from.as_deref(), connections.len())?;
        all.extend(connections);
        let Some(next) = next else { return Ok(all) };
        from = Some(next);
    }
    Err(Failure::Gibberish(format!("the list of connections does not end after {MOST_PAGES} pages")))
}

/// The connections with these names, in this order.
///
/// # Errors
/// Of kind `Check` where a name does not exist; it lists those that do.
pub fn by_name<'a>(all: &'a [Connection], names: &[String]) -> Result<Vec<&'a Connection>> {
    names
        .iter()
        .map(|name| {
            all.iter().find(|connection| connection.name == *name).ok_or_else(|| {
                let mut existing: Vec<String> = all.iter().map(|c| format!("`{}` ({})", c.name, c.strategy)).collect();
                existing.sort();
                Error::new(Kind::Check, format!("the Auth0 tenant has no connection `{name}`"))
                    .because(format!("it has: {}", some_of(&existing)))
                    .hint("correct `--connection`; without any, the whole tenant is exported")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(name: &str, strategy: &str, custom: Option<bool>, import: Option<bool>) -> Connection {
        Connection {
            id: format!("con_{name}"),
            name: name.into(),
            strategy: strategy.into(),
            options: Some(Options {
                import_mode: import,
                enabled_database_customization: custom,
                ..Options::default()
            }),
        }
    }

    #[test]
    fn a_custom_database_without_import_mode_has_no_hashes() {
        assert_eq!(connection("a", "auth0", None, None).can_have_hashes(), Some(true));
        assert_eq!(connection("a", "auth0", Some(true), Some(true)).can_have_hashes(), Some(true));
        assert_eq!(connection("a", "auth0", Some(true), Some(false)).can_have_hashes(), Some(false));
        assert_eq!(connection("a", "google-oauth2", None, None).can_have_hashes(), Some(false));
        let unknown = |strategy| Connection { options: None, ..connection("a", strategy, None, None) };
        assert_eq!(unknown("auth0").can_have_hashes(), None);
        assert_eq!(unknown("samlp").can_have_hashes(), Some(false));
    }

    #[test]
    fn options_that_are_not_told_are_not_the_defaults() {
        let read = |json: &str| serde_json::from_str::<Connection>(json).unwrap();
        assert!(read(r#"{"id":"con_1","name":"a","strategy":"auth0"}"#).options.is_none());
        assert!(read(r#"{"id":"con_1","name":"a","strategy":"auth0","options":null}"#).options.is_none());
        assert!(read(r#"{"id":"con_1","name":"a","strategy":"auth0","options":[]}"#).options.is_none());
        assert!(read(r#"{"id":"con_1","name":"a","strategy":"auth0","options":{}}"#).options.is_some());
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let all = [connection("db", "auth0", None, None), connection("google", "google-oauth2", None, None)];
        assert_eq!(by_name(&all, &["google".into()]).unwrap()[0].id, "con_google");
        let error = by_name(&all, &["DB".into()]).unwrap_err();
        assert!(error.render().contains("`db` (auth0), `google` (google-oauth2)"), "{error:?}");
        assert_eq!(error.kind().exit_code(), 4);
    }
}
