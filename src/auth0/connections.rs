//! The tenant's connections.

mod options;

use serde::Deserialize;

pub use self::options::Options;

use super::client::{Client, Failure};
use crate::error::{Error, Kind, Result};

/// The largest page that Auth0 gives.
const PAGE: u64 = 100;

/// Auth0 gives the first 1,000 by page; a list that goes on for longer than this never ends.
const MOST_PAGES: u32 = 100;

/// One connection.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Connection {
    /// `con_…`.
    pub id: String,
    /// What users' identities name.
    pub name: String,
    /// `auth0` for databases, `google-oauth2`, `samlp`, `sms`, …
    pub strategy: String,
    /// What is known of it beyond that.
    #[serde(default)]
    pub options: Options,
}

impl Connection {
    /// A database connection.
    #[must_use]
    pub fn is_database(&self) -> bool {
        self.strategy == "auth0"
    }

    /// Can Auth0 hold password hashes of its users? Not for a custom database without import mode: "Auth0 will never store
    /// any password hashes".
    #[must_use]
    pub fn can_have_hashes(&self) -> bool {
        let custom = self.options.enabled_database_customization == Some(true);
        self.is_database() && !(custom && self.options.import_mode != Some(true))
    }
}

/// All connections of the tenant, page by page.
///
/// # Errors
/// See [`Failure`].
pub async fn list(client: &Client) -> Result<Vec<Connection>, Failure> {
    #[derive(Deserialize)]
    struct Page {
        connections: Vec<Connection>,
        total: u64,
    }
    let mut all = Vec::new();
    for page in 0..MOST_PAGES {
        let (number, size) = (page.to_string(), PAGE.to_string());
        let query = [
            ("include_totals", "true"),
            ("page", number.as_str()),
            ("per_page", size.as_str()),
            ("fields", "id,name,strategy,options"),
            ("include_fields", "true"),
        ];
        let Page { connections, total } = client.get("list the connections", "connections", &query).await?;
        let empty = connections.is_empty();
        all.extend(connections);
        if empty || all.len() as u64 >= total {
            return Ok(all);
        }
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
                    .because(format!("it has: {}", existing.join(", ")))
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
            options: Options { import_mode: import, enabled_database_customization: custom, ..Options::default() },
        }
    }

    #[test]
    fn a_custom_database_without_import_mode_has_no_hashes() {
        assert!(connection("a", "auth0", None, None).can_have_hashes());
        assert!(connection("a", "auth0", Some(true), Some(true)).can_have_hashes());
        assert!(!connection("a", "auth0", Some(true), Some(false)).can_have_hashes());
        assert!(!connection("a", "google-oauth2", None, None).can_have_hashes());
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
