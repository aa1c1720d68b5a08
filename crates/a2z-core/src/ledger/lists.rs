//! How far the lists of Auth0 are read.

use rusqlite::params;

use crate::ledger::{
    sql::{Result, Snapshot, Transaction},
    states::NOT_MADE,
};

/// How a list of Auth0 is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// What to ask for the next page with.
    pub cursor: Option<String>,
    /// Read to its end.
    pub done: bool,
}

/// How far `run` has read a list.
///
/// # Errors
/// If SQLite fails.
pub fn list(connection: &Snapshot<'_>, run: i64, list: &str) -> Result<List> {
    connection
        .first("SELECT cursor, done FROM lists WHERE run = ?1 AND list = ?2", params![run, list], |row| {
            Ok(List { cursor: row.get(0)?, done: row.get(1)? })
        })
        .map(Option::unwrap_or_default)
}

/// Writes down how far `run` has read a list.
///
/// # Errors
/// If SQLite fails.
pub fn set_list(transaction: &Transaction<'_>, run: i64, list: &str, state: &List) -> Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO lists (run, list, cursor, done) VALUES (?1, ?2, ?3, ?4)",
        params![run, list, state.cursor, state.done],
    )?;
    Ok(())
}

/// Everything is read: what an earlier run read and this one did not is gone from the tenant.
///
/// # Errors
/// If SQLite fails.
pub fn forget_older(transaction: &Transaction<'_>, run: i64, roles: bool, organizations: bool) -> Result<()> {
    transaction.execute("DELETE FROM lists WHERE run < ?1", [run])?;
    if roles {
        transaction.execute("DELETE FROM role_users WHERE run < ?1", [run])?;
        // A role that ZITADEL has from us stays: rollback must know of it.
        transaction.execute(&format!("DELETE FROM roles WHERE run < ?1 AND made = {NOT_MADE}"), [run])?;
    }
    if organizations {
        transaction.execute("DELETE FROM members WHERE run < ?1", [run])?;
        transaction.execute(&format!("DELETE FROM organizations WHERE run < ?1 AND made = {NOT_MADE}"), [run])?;
    }
    Ok(())
}

/// Ids of the roles (or organizations) of `run`, after `after`, in their order.
///
/// # Errors
/// If SQLite fails.
pub fn ids(connection: &Snapshot<'_>, run: i64, which: Which, after: &str, limit: u32) -> Result<Vec<String>> {
    let statement = match which {
        Which::Roles => "SELECT role_id FROM roles WHERE run = ?1 AND role_id > ?2 ORDER BY role_id LIMIT ?3",
        Which::Organizations => {
            "SELECT organization_id FROM organizations WHERE run = ?1 AND organization_id > ?2
             ORDER BY organization_id LIMIT ?3"
        }
    };
    connection.all(statement, params![run, after, limit], |row| row.get(0))
}

/// Of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Roles.
    Roles,
    /// Organizations.
    Organizations,
}

/// Has an earlier run read any of these?
///
/// # Errors
/// If SQLite fails.
pub fn known_before(connection: &Snapshot<'_>, run: i64, which: Which) -> Result<bool> {
    let statement = match which {
        Which::Roles => "SELECT 1 FROM roles WHERE run < ?1",
        Which::Organizations => "SELECT 1 FROM organizations WHERE run < ?1",
    };
    connection.exists(statement, [run])
}
