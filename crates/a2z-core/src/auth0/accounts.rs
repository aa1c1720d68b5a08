//! The accounts of a user in database connections: those that have a password.

use super::user::{ExportedUser, Identity};

/// The provider of every database connection, also of those with custom scripts.
const DATABASE: &str = "auth0";

/// One database account of a user.
#[derive(Debug)]
pub struct Account<'a> {
    /// The connection, if it is known.
    pub connection: Option<&'a str>,
    /// The id, without the provider's prefix.
    pub id: &'a str,
    /// The e-mail that this very account has, where the export says so.
    pub email: Option<&'a str>,
    /// The user name of a linked account, where the export says so.
    pub user_name: Option<&'a str>,
    /// It is the one that the user signs in to.
    pub primary: bool,
}

/// The user's database accounts, the primary one first.
#[must_use]
pub fn accounts(user: &ExportedUser) -> Vec<Account<'_>> {
    let (provider, id) = user.split_id();
    let Some(identities) = user.identities.as_deref().filter(|identities| !identities.is_empty()) else {
        if provider != DATABASE || id.is_empty() {
            return Vec::new();
        }
        return vec![Account { connection: None, id, email: user.email.as_deref(), user_name: None, primary: true }];
    };
    let is_primary = |identity: &Identity| identity.provider == provider && identity.user_id == id;
    let mut accounts: Vec<_> = identities
        .iter()
        .filter(|identity| identity.provider == DATABASE && !identity.user_id.is_empty())
        .map(|identity| {
            let primary = is_primary(identity);
            // The root e-mail is the primary profile's; a linked account has its own, or none that we know.
            let email = if primary { user.email.as_deref() } else { identity.email.as_deref() };
            let user_name = if primary { None } else { identity.username.as_deref() };
            Account { connection: identity.connection.as_deref(), id: &identity.user_id, email, user_name, primary }
        })
        .collect();
    accounts.sort_by_key(|account| !account.primary);
    accounts
}

/// Whether the user has an account of a database connection, as far as the export tells.
#[must_use]
pub fn is_database_user(user: &ExportedUser) -> bool {
    !accounts(user).is_empty()
}
