//! Addresses that are not their user's own user name, for as long as a plan is made: a user name may be another user's
//! address, and several users may have one address. They are in a temporary table, so that the ledger keeps no address.

use rusqlite::params;

use crate::ledger::{
    sql::{Result, Snapshot, Transaction},
    states::OUT,
    users::planned::PlannedUser,
};

/// Begins with none.
///
/// # Errors
/// If SQLite fails.
pub fn begin_addresses(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS addresses (user_id TEXT NOT NULL, key TEXT NOT NULL);
         DELETE FROM temp.addresses",
    )
}

/// Takes up the address of a planned user, if it is not the user name, too.
///
/// # Errors
/// If SQLite fails.
pub fn put_address(transaction: &Transaction<'_>, user: &PlannedUser) -> Result<()> {
    let Some(key) = &user.address_key else { return Ok(()) };
    transaction.execute("INSERT INTO temp.addresses (user_id, key) VALUES (?1, ?2)", params![user.user_id, key])?;
    Ok(())
}

/// The user with a user name, and the other user whose address it is. Of users who are moved.
///
/// # Errors
/// If SQLite fails.
pub fn names_of_others(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, String)>> {
    connection.all(
        &format!(
            "SELECT n.user_id, a.user_id FROM temp.addresses a
             JOIN users n ON n.name_key = a.key AND n.user_id <> a.user_id AND n.run = ?1 AND n.action NOT IN {OUT}
             JOIN users o ON o.user_id = a.user_id AND o.run = ?1 AND o.action NOT IN {OUT}
             ORDER BY n.user_id, a.user_id"
        ),
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Users who are moved, share an address, and of whom none has it as user name: key and user, ordered by key.
///
/// # Errors
/// If SQLite fails.
pub fn shared(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, String)>> {
    connection.all(
        &format!(
            "SELECT a.key, a.user_id FROM temp.addresses a
             JOIN users o ON o.user_id = a.user_id AND o.run = ?1 AND o.action NOT IN {OUT}
             WHERE a.key IN (SELECT key FROM temp.addresses GROUP BY key HAVING count(*) > 1)
               AND NOT EXISTS (SELECT 1 FROM users n WHERE n.name_key = a.key AND n.run = ?1
                   AND n.action NOT IN {OUT})
             ORDER BY a.key, a.user_id"
        ),
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
