//! Where the ledger has a user.

use crate::ledger::{
    sql::{Result, Snapshot},
    states::{OURS, Owner},
};

/// Where the ledger has a user, and whose the user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub user_id: String,
    /// The run whose export held the user last.
    pub run: i64,
    /// The file and the row in it.
    pub place: (i64, u64),
    /// Who made the ZITADEL user.
    pub owner: Owner,
}

/// The user with this id, else the one with this user name ([`crate::mapping::collision::name_key`]).
///
/// # Errors
/// If SQLite fails.
pub fn find_user(connection: &Snapshot<'_>, user_id: &str, name_key: &str) -> Result<Option<Place>> {
    connection.first(
        &format!(
            "SELECT user_id, run, file, row, owner FROM users WHERE user_id = ?1
             UNION ALL
             SELECT * FROM (SELECT user_id, run, file, row, owner FROM users WHERE name_key = ?2
                 AND name_suffix IS NULL
                            ORDER BY owner = {OURS} DESC, id)
             LIMIT 1"
        ),
        [user_id, name_key],
        |row| {
            Ok(Place { user_id: row.get(0)?, run: row.get(1)?, place: (row.get(2)?, row.get(3)?), owner: row.get(4)? })
        },
    )
}
