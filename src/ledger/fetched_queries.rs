//! Roles, organizations and their members, as Auth0 has them.

use rusqlite::params;

use super::sql::{Result, Snapshot, Transaction};

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
/// As SQLite.
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
/// As SQLite.
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
/// As SQLite.
pub fn forget_older(transaction: &Transaction<'_>, run: i64, roles: bool, organizations: bool) -> Result<()> {
    transaction.execute("DELETE FROM lists WHERE run < ?1", [run])?;
    if roles {
        transaction.execute("DELETE FROM role_users WHERE run < ?1", [run])?;
        // A role that ZITADEL has from us stays: rollback must know of it.
        transaction.execute("DELETE FROM roles WHERE run < ?1 AND made = 0", [run])?;
    }
    if organizations {
        transaction.execute("DELETE FROM members WHERE run < ?1", [run])?;
        transaction.execute("DELETE FROM organizations WHERE run < ?1 AND made = 0", [run])?;
    }
    Ok(())
}

/// Writes roles of the tenant: id and name.
///
/// # Errors
/// As SQLite.
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
/// As SQLite.
pub fn put_role_users(transaction: &Transaction<'_>, run: i64, role_id: &str, users: &[String]) -> Result<()> {
    let mut put =
        transaction.prepare("INSERT OR REPLACE INTO role_users (user_id, role_id, run) VALUES (?1, ?2, ?3)")?;
    for user in users {
        put.execute(params![user, role_id, run])?;
    }
    Ok(())
}

/// An organization of the tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Organization {
    /// `org_…`.
    pub id: String,
    /// Unique in the tenant.
    pub name: String,
    /// For people.
    pub display_name: Option<String>,
    /// JSON, as Auth0 has it.
    pub branding: Option<String>,
    /// JSON, as Auth0 has it.
    pub metadata: Option<String>,
}

/// Writes organizations of the tenant.
///
/// # Errors
/// As SQLite.
pub fn put_organizations(transaction: &Transaction<'_>, run: i64, all: &[Organization]) -> Result<()> {
    let mut put = transaction.prepare(
        "INSERT INTO organizations (organization_id, run, name, display_name, branding, metadata)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (organization_id) DO UPDATE SET
           run = excluded.run, name = excluded.name, display_name = excluded.display_name,
           branding = excluded.branding, metadata = excluded.metadata",
    )?;
    for one in all {
        put.execute(params![one.id, run, one.name, one.display_name, one.branding, one.metadata])?;
    }
    Ok(())
}

/// Writes members of an organization, each with the roles in it: ids and names. Roles that only stand there (the list of
/// roles may not be readable) are written, too.
///
/// # Errors
/// As SQLite.
pub fn put_members(
    transaction: &Transaction<'_>,
    run: i64,
    organization_id: &str,
    members: &[(String, Vec<(String, String)>)],
) -> Result<()> {
    let mut put = transaction
        .prepare("INSERT OR REPLACE INTO members (user_id, organization_id, run, roles) VALUES (?1, ?2, ?3, ?4)")?;
    for (user, roles) in members {
        let ids: Vec<&str> = roles.iter().map(|(id, _)| id.as_str()).collect();
        put.execute(params![user, organization_id, run, serde_json::json!(ids).to_string()])?;
        put_roles(transaction, run, roles)?;
    }
    Ok(())
}

/// Ids of the roles (or organizations) of `run`, after `after`, in their order.
///
/// # Errors
/// As SQLite.
pub fn ids(connection: &Snapshot<'_>, run: i64, which: Which, after: &str, limit: u32) -> Result<Vec<String>> {
    let statement = match which {
        Which::Roles => "SELECT role_id FROM roles WHERE run = ?1 AND role_id > ?2 ORDER BY role_id LIMIT ?3",
        Which::Organizations => {
            "SELECT organization_id FROM organizations WHERE run = ?1 AND organization_id > ?2 ORDER BY organization_id LIMIT ?3"
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
/// As SQLite.
pub fn known_before(connection: &Snapshot<'_>, run: i64, which: Which) -> Result<bool> {
    let statement = match which {
        Which::Roles => "SELECT 1 FROM roles WHERE run < ?1",
        Which::Organizations => "SELECT 1 FROM organizations WHERE run < ?1",
    };
    connection.exists(statement, [run])
}

/// The memberships of a user as JSON, `[{"id":…,"name":…,"display_name":…,"roles":[…]}]`, where there are any.
///
/// # Errors
/// As SQLite.
pub fn memberships_json(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<Option<String>> {
    connection
        .one(
            "SELECT json_group_array(json(one)) FROM (
               SELECT json_object('id', o.organization_id, 'name', o.name, 'display_name', o.display_name,
                                  'roles', json((SELECT json_group_array(name) FROM (
                                     SELECT r.name FROM json_each(m.roles) AS has JOIN roles r ON r.role_id = has.value
                                     ORDER BY r.name)))) AS one
               FROM members m JOIN organizations o USING (organization_id)
               WHERE m.user_id = ?2 AND m.run = ?1 AND o.run = ?1 ORDER BY o.organization_id)",
            params![run, user_id],
            |row| row.get::<_, String>(0),
        )
        .map(|json| (json != "[]").then_some(json))
}

/// The names of a user's roles as JSON, sorted, where there are any.
///
/// # Errors
/// As SQLite.
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
