//! Identity providers that this ledger created.

use rusqlite::params;

use crate::ledger::{
    runs::now,
    sql::{Result, Snapshot, Transaction},
};

/// An identity provider that this ledger created, or asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedIdp {
    /// The connection that it stands for.
    pub connection: String,
    /// ZITADEL's id; `None` while the request is in doubt.
    pub idp_id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its organization; `None`: in the instance.
    pub organization: Option<String>,
}

/// The identity providers that this ledger created.
///
/// # Errors
/// If SQLite fails.
pub fn created_idps(connection: &Snapshot<'_>) -> Result<Vec<CreatedIdp>> {
    connection.all("SELECT connection, idp_id, name, organization FROM created_idps ORDER BY connection", [], |row| {
        Ok(CreatedIdp { connection: row.get(0)?, idp_id: row.get(1)?, name: row.get(2)?, organization: row.get(3)? })
    })
}

/// Writes down a provider that is about to be created, or was.
///
/// # Errors
/// If SQLite fails.
pub fn put_created_idp(transaction: &Transaction<'_>, idp: &CreatedIdp) -> Result<()> {
    transaction.execute(
        "INSERT INTO created_idps (connection, idp_id, name, organization, requested_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (connection) DO UPDATE SET idp_id = excluded.idp_id, name = excluded.name,
           organization = excluded.organization",
        params![idp.connection, idp.idp_id, idp.name, idp.organization, now()],
    )?;
    Ok(())
}

/// The provider was not created, or is gone.
///
/// # Errors
/// If SQLite fails.
pub fn forget_created_idp(transaction: &Transaction<'_>, connection: &str) -> Result<()> {
    transaction.execute("DELETE FROM created_idps WHERE connection = ?1", [connection])?;
    Ok(())
}
