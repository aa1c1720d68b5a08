//! Organizations and their members: what the tenant has, what is planned, and what ZITADEL has from us.

use rusqlite::params;

use crate::{
    ledger::{
        life,
        roles::put_roles,
        sql::{Result, Snapshot, Transaction},
        states::{Action, IN_DOUBT, MADE, Made, NOT_MADE, OURS, Owner, PERHAPS_MADE, Progress},
    },
    user::state::{Event, Row, Why},
};

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
/// If SQLite fails.
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
/// If SQLite fails.
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

/// The memberships of a user as JSON, `[{"id":…,"name":…,"display_name":…,"roles":[…]}]`, where there are any.
///
/// # Errors
/// If SQLite fails.
pub fn memberships_json(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<Option<String>> {
    connection
        .one(
            "SELECT json_group_array(json(one)) FROM (
             SELECT json_object('id', o.organization_id, 'name', o.name, 'display_name', o.display_name,
                                'roles', json((SELECT json_group_array(name) FROM (
                                   SELECT r.name FROM json_each(m.roles) AS has
                                     JOIN roles r ON r.role_id = has.value
                                   ORDER BY r.name)))) AS one
             FROM members m JOIN organizations o USING (organization_id)
             WHERE m.user_id = ?2 AND m.run = ?1 AND o.run = ?1 ORDER BY o.organization_id)",
            params![run, user_id],
            |row| row.get::<_, String>(0),
        )
        .map(|json| (json != "[]").then_some(json))
}

/// An organization on its way into ZITADEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedOrganization {
    /// As Auth0 has it.
    pub auth0: Organization,
    /// ZITADEL's name, where the plan has found one.
    pub zitadel_name: Option<String>,
    /// Whether ZITADEL has it from us.
    pub made: Made,
    /// Digest of the metadata and branding that it has from us.
    pub dressed: Option<String>,
    /// The role keys of the project grant that it has from us, JSON.
    pub granted: Option<String>,
}

/// Organizations of `run`, after `after`, in the order of their ids.
///
/// # Errors
/// If SQLite fails.
pub fn organizations(connection: &Snapshot<'_>, run: i64, after: &str, limit: u32) -> Result<Vec<PlannedOrganization>> {
    connection.all(
        "SELECT organization_id, name, display_name, branding, metadata, zitadel_name, made, dressed, granted
         FROM organizations WHERE run = ?1 AND organization_id > ?2 ORDER BY organization_id LIMIT ?3",
        params![run, after, limit],
        planned_organization,
    )
}

/// Organizations that ZITADEL has from us, of whatever run, after `after`, in the order of their ids.
///
/// # Errors
/// If SQLite fails.
pub fn organizations_ours(connection: &Snapshot<'_>, after: &str, limit: u32) -> Result<Vec<PlannedOrganization>> {
    connection.all(
        &format!(
            "SELECT organization_id, name, display_name, branding, metadata, zitadel_name, made, dressed, granted
             FROM organizations WHERE made = {MADE} AND organization_id > ?1 ORDER BY organization_id LIMIT ?2"
        ),
        params![after, limit],
        planned_organization,
    )
}

fn planned_organization(row: &rusqlite::Row<'_>) -> rusqlite::Result<PlannedOrganization> {
    Ok(PlannedOrganization {
        auth0: Organization {
            id: row.get(0)?,
            name: row.get(1)?,
            display_name: row.get(2)?,
            branding: row.get(3)?,
            metadata: row.get(4)?,
        },
        zitadel_name: row.get(5)?,
        made: row.get(6)?,
        dressed: row.get(7)?,
        granted: row.get(8)?,
    })
}

/// Forgets what the instance held at an earlier plan.
///
/// # Errors
/// If SQLite fails.
pub fn begin_instance(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute("DELETE FROM instance_organizations", []).map(drop)
}

/// Writes down organizations of the instance: id and folded name.
///
/// # Errors
/// If SQLite fails.
pub fn put_instance_organizations(transaction: &Transaction<'_>, all: &[(String, String)]) -> Result<()> {
    let mut put = transaction
        .prepare("INSERT OR REPLACE INTO instance_organizations (organization_id, name_key) VALUES (?1, ?2)")?;
    for (id, name) in all {
        put.execute(params![id, name])?;
    }
    Ok(())
}

/// Does the instance hold an organization of this id? And is the (folded) name another's?
///
/// # Errors
/// If SQLite fails.
pub fn in_instance(connection: &Snapshot<'_>, id: &str, name_key: &str) -> Result<(bool, bool)> {
    connection.one(
        "SELECT EXISTS (SELECT 1 FROM instance_organizations WHERE organization_id = ?1),
         EXISTS (SELECT 1 FROM instance_organizations WHERE name_key = ?2 AND organization_id <> ?1)",
        [id, name_key],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Gives an organization its name in ZITADEL.
///
/// # Errors
/// If SQLite fails.
pub fn set_organization_name(transaction: &Transaction<'_>, id: &str, name: &str) -> Result<()> {
    transaction
        .execute("UPDATE organizations SET zitadel_name = ?2 WHERE organization_id = ?1", params![id, name])
        .map(drop)
}

/// Writes down whether ZITADEL has an organization from us.
///
/// # Errors
/// If SQLite fails.
pub fn set_organization_made(transaction: &Transaction<'_>, id: &str, made: Made) -> Result<()> {
    transaction.execute("UPDATE organizations SET made = ?2 WHERE organization_id = ?1", params![id, made]).map(drop)
}

/// Writes down what an organization has from us; what is none stays.
///
/// # Errors
/// If SQLite fails.
pub fn set_organization_has(
    transaction: &Transaction<'_>,
    id: &str,
    dressed: Option<&str>,
    granted: Option<&str>,
) -> Result<()> {
    transaction
        .execute(
            "UPDATE organizations SET dressed = coalesce(?2, dressed), granted = coalesce(?3, granted)
             WHERE organization_id = ?1",
            params![id, dressed, granted],
        )
        .map(drop)
}

/// Who belongs where: users to create who are members of exactly one organization belong to it. Whoever is in ZITADEL
/// already, or may be, stays where that was.
///
/// # Errors
/// If SQLite fails.
pub fn place_users(transaction: &Transaction<'_>, run: i64, orgs: bool) -> Result<()> {
    transaction.execute(
        &format!(
            "UPDATE users SET organization = CASE WHEN ?2 THEN
               (SELECT max(m.organization_id) FROM members m JOIN organizations o USING (organization_id)
                WHERE m.user_id = users.user_id AND m.run = ?1 AND o.run = ?1 HAVING count(*) = 1) END
             WHERE run = ?1 AND owner <> {OURS} AND progress NOT IN {IN_DOUBT} AND (?2 OR organization IS NOT NULL)"
        ),
        params![run, orgs],
    )?;
    Ok(())
}

/// ZITADEL wants no such organization: whoever was to be created in it is blocked.
///
/// # Errors
/// If SQLite fails.
pub fn block_organization(transaction: &Transaction<'_>, id: &str, why: &str) -> Result<()> {
    let blocked = "organization = ?1 AND owner <> ?2 AND action = ?3 AND progress = ?4";
    let which = params![id, Owner::Ours, Action::Create, Progress::Pending];
    let code = crate::mapping::finding::BlockedCode::OrganizationRefused.code();
    transaction.execute(
        &format!("UPDATE users SET code = ?5, detail = ?6 WHERE {blocked}"),
        params![id, Owner::Ours, Action::Create, Progress::Pending, code, format!("{id}: {why}")],
    )?;
    life::take_where(transaction, blocked, which, Event::Adjust(Row::Out(Why::Blocked)))
}

/// The organizations that ZITADEL has from us, or may have.
///
/// # Errors
/// If SQLite fails.
pub fn organizations_made(connection: &Snapshot<'_>) -> Result<Vec<String>> {
    connection.all(
        &format!("SELECT organization_id FROM organizations WHERE made IN {PERHAPS_MADE} ORDER BY organization_id"),
        [],
        |row| row.get(0),
    )
}

/// An organization of this ledger is gone.
///
/// # Errors
/// If SQLite fails.
pub fn organization_gone(transaction: &Transaction<'_>, id: &str) -> Result<()> {
    transaction
        .execute(
            &format!(
                "UPDATE organizations SET made = {NOT_MADE}, dressed = NULL, granted = NULL, zitadel_name = NULL
                 WHERE organization_id = ?1"
            ),
            [id],
        )
        .map(drop)
}

/// Users of ours live in other organizations than the main one.
///
/// # Errors
/// If SQLite fails.
pub fn users_elsewhere(connection: &Snapshot<'_>) -> Result<bool> {
    connection.one("SELECT EXISTS (SELECT 1 FROM users WHERE organization IS NOT NULL)", [], |row| row.get(0))
}
