//! Roles: what the tenant has, what is planned, and what ZITADEL has from us.

use rusqlite::params;

use crate::ledger::{
    sql::{Result, Snapshot, Transaction},
    states::{Made, NOT_MADE, PERHAPS_MADE},
};

/// Writes roles of the tenant: id and name.
///
/// # Errors
/// If SQLite fails.
pub fn put_roles(transaction: &Transaction<'_>, run: i64, roles: &[(String, String)]) -> Result<()> {
    let mut put = transaction.prepare(
        "INSERT INTO roles (role_id, run, name) VALUES (?1, ?2, ?3)
         ON CONFLICT (role_id) DO UPDATE SET run = excluded.run, name = excluded.name",
    )?;
    for (id, name) in roles {
        put.execute(params![id, run, name])?;
    }
    Ok(())
}

/// Writes who has a role.
///
/// # Errors
/// If SQLite fails.
pub fn put_role_users(transaction: &Transaction<'_>, run: i64, role_id: &str, users: &[String]) -> Result<()> {
    let mut put =
        transaction.prepare("INSERT OR REPLACE INTO role_users (user_id, role_id, run) VALUES (?1, ?2, ?3)")?;
    for user in users {
        put.execute(params![user, role_id, run])?;
    }
    Ok(())
}

/// The names of a user's roles as JSON, sorted, where there are any.
///
/// # Errors
/// If SQLite fails.
pub fn role_names_json(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<Option<String>> {
    connection
        .one(
            "SELECT json_group_array(name) FROM (
             SELECT r.name FROM role_users ru JOIN roles r USING (role_id)
             WHERE ru.user_id = ?2 AND ru.run = ?1 AND r.run = ?1 ORDER BY r.name)",
            params![run, user_id],
            |row| row.get::<_, String>(0),
        )
        .map(|json| (json != "[]").then_some(json))
}

/// A role on its way into ZITADEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRole {
    /// `rol_…`.
    pub id: String,
    /// Auth0's name.
    pub name: String,
    /// ZITADEL's key, where the plan has found one.
    pub key: Option<String>,
    /// Whether ZITADEL has it from us.
    pub made: Made,
}

/// The roles of `run`, those that ZITADEL has first, then in the order of their ids.
///
/// # Errors
/// If SQLite fails.
pub fn roles(connection: &Snapshot<'_>, run: i64) -> Result<Vec<PlannedRole>> {
    connection.all(
        &format!("SELECT role_id, name, role_key, made FROM roles WHERE run = ?1 ORDER BY made = {NOT_MADE}, role_id"),
        [run],
        |row| Ok(PlannedRole { id: row.get(0)?, name: row.get(1)?, key: row.get(2)?, made: row.get(3)? }),
    )
}

/// Gives a role its key.
///
/// # Errors
/// If SQLite fails.
pub fn set_role_key(transaction: &Transaction<'_>, role_id: &str, key: &str) -> Result<()> {
    transaction.execute("UPDATE roles SET role_key = ?2 WHERE role_id = ?1", params![role_id, key]).map(drop)
}

/// Writes down whether ZITADEL has a role from us.
///
/// # Errors
/// If SQLite fails.
pub fn set_role_made(transaction: &Transaction<'_>, role_id: &str, made: Made) -> Result<()> {
    transaction.execute("UPDATE roles SET made = ?2 WHERE role_id = ?1", params![role_id, made]).map(drop)
}

/// Id and key of the roles that ZITADEL has from us, or may have.
///
/// # Errors
/// If SQLite fails.
pub fn roles_made(connection: &Snapshot<'_>) -> Result<Vec<(String, String)>> {
    connection.all(
        &format!(
            "SELECT role_id, role_key FROM roles WHERE made IN {PERHAPS_MADE} AND role_key IS NOT NULL
             ORDER BY role_id"
        ),
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// An id for something that is to be made in ZITADEL: digits, like ZITADEL's own, and never used before.
///
/// # Errors
/// If SQLite fails.
pub fn new_id(connection: &Snapshot<'_>) -> Result<String> {
    let sql = "SELECT '9' || substr('00000000000000000' || abs(random() % 100000000000000000), -17)";
    connection.one(sql, [], |row| row.get(0))
}

/// The project of this ledger is gone: a later run makes another one.
///
/// # Errors
/// If SQLite fails.
pub fn project_gone(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute("DELETE FROM meta WHERE key IN ('project', 'created_project', 'pending_project')", [])?;
    transaction.execute(&format!("UPDATE roles SET made = {NOT_MADE}, role_key = NULL"), [])?;
    transaction.execute("UPDATE organizations SET granted = NULL", [])?;
    transaction.execute("DELETE FROM grants", [])?;
    Ok(())
}
