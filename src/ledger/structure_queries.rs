//! Roles and organizations: what is planned, and what ZITADEL has from us. What the tenant has is in
//! [`super::fetched_queries`], who is granted what in [`super::grant_queries`].

use rusqlite::params;

use super::fetched_queries::Organization;
use super::sql::{Result, Snapshot, Transaction};

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

super::model::stored! {
    /// Whether ZITADEL has something from us.
    Made {
        /// No.
        No = 0, "no";
        /// A request of ours may have made it.
        Doubt = 1, "doubt";
        /// We made it.
        Ours = 2, "ours";
        /// It was there before.
        Other = 3, "other";
    }
}

/// An id for something that is to be made in ZITADEL: digits, like ZITADEL's own, and never used before.
///
/// # Errors
/// As SQLite.
pub fn new_id(connection: &Snapshot<'_>) -> Result<String> {
    let sql = "SELECT '9' || substr('00000000000000000' || abs(random() % 100000000000000000), -17)";
    connection.one(sql, [], |row| row.get(0))
}

/// The roles of `run`, those that ZITADEL has first, then in the order of their ids.
///
/// # Errors
/// As SQLite.
pub fn roles(connection: &Snapshot<'_>, run: i64) -> Result<Vec<PlannedRole>> {
    connection.all(
        "SELECT role_id, name, role_key, made FROM roles WHERE run = ?1 ORDER BY made = 0, role_id",
        [run],
        |row| Ok(PlannedRole { id: row.get(0)?, name: row.get(1)?, key: row.get(2)?, made: row.get(3)? }),
    )
}

/// Gives a role its key.
///
/// # Errors
/// As SQLite.
pub fn set_role_key(transaction: &Transaction<'_>, role_id: &str, key: &str) -> Result<()> {
    transaction.execute("UPDATE roles SET role_key = ?2 WHERE role_id = ?1", params![role_id, key]).map(drop)
}

/// Writes down whether ZITADEL has a role from us.
///
/// # Errors
/// As SQLite.
pub fn set_role_made(transaction: &Transaction<'_>, role_id: &str, made: Made) -> Result<()> {
    transaction.execute("UPDATE roles SET made = ?2 WHERE role_id = ?1", params![role_id, made]).map(drop)
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
/// As SQLite.
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
/// As SQLite.
pub fn organizations_ours(connection: &Snapshot<'_>, after: &str, limit: u32) -> Result<Vec<PlannedOrganization>> {
    connection.all(
        "SELECT organization_id, name, display_name, branding, metadata, zitadel_name, made, dressed, granted
             FROM organizations WHERE made = 2 AND organization_id > ?1 ORDER BY organization_id LIMIT ?2",
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
/// As SQLite.
pub fn begin_instance(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute("DELETE FROM instance_organizations", []).map(drop)
}

/// Writes down organizations of the instance: id and folded name.
///
/// # Errors
/// As SQLite.
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
/// As SQLite.
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
/// As SQLite.
pub fn set_organization_name(transaction: &Transaction<'_>, id: &str, name: &str) -> Result<()> {
    transaction
        .execute("UPDATE organizations SET zitadel_name = ?2 WHERE organization_id = ?1", params![id, name])
        .map(drop)
}

/// Writes down whether ZITADEL has an organization from us.
///
/// # Errors
/// As SQLite.
pub fn set_organization_made(transaction: &Transaction<'_>, id: &str, made: Made) -> Result<()> {
    transaction.execute("UPDATE organizations SET made = ?2 WHERE organization_id = ?1", params![id, made]).map(drop)
}

/// Writes down what an organization has from us; what is none stays.
///
/// # Errors
/// As SQLite.
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
/// As SQLite.
pub fn place_users(transaction: &Transaction<'_>, run: i64, orgs: bool) -> Result<()> {
    transaction.execute(
        "UPDATE users SET organization = CASE WHEN ?2 THEN
           (SELECT max(m.organization_id) FROM members m JOIN organizations o USING (organization_id)
            WHERE m.user_id = users.user_id AND m.run = ?1 AND o.run = ?1 HAVING count(*) = 1) END
         WHERE run = ?1 AND owner <> 1 AND progress IN (0, 3) AND (?2 OR organization IS NOT NULL)",
        params![run, orgs],
    )?;
    Ok(())
}

/// What the plan came to, for its text and the report.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Roles of the tenant.
    pub roles: u64,
    /// Of them, those that ZITADEL does not have yet.
    pub roles_to_create: u64,
    /// Organizations of the tenant.
    pub organizations: u64,
    /// Of them, those that ZITADEL does not have yet.
    pub organizations_to_create: u64,
    /// Exported users who are members of exactly one organization.
    pub members_of_one: u64,
    /// Of several.
    pub members_of_several: u64,
    /// Of none.
    pub members_of_none: u64,
    /// Who has a role or a membership and is not in the export.
    pub strangers: u64,
    /// Grants to give.
    pub grants_to_give: u64,
    /// Grants of ours whose roles changed.
    pub grants_to_change: u64,
    /// Grants of ours that are no more.
    pub grants_to_take: u64,
    /// Grants that are as they should be.
    pub grants_unchanged: u64,
    /// Roles that ZITADEL has from us.
    pub roles_ours: u64,
    /// Organizations that ZITADEL has from us.
    pub organizations_ours: u64,
    /// Grants that ZITADEL has from us.
    pub grants_ours: u64,
    /// Grants that could not be given, or that somebody else changed.
    pub grants_left: u64,
}

/// Counts what the plan of `run` came to.
///
/// # Errors
/// As SQLite.
pub fn counts(connection: &Snapshot<'_>, run: i64) -> Result<Counts> {
    let one = |sql: &str| connection.one(sql, [run], |row| row.get::<_, u64>(0));
    let by_memberships = |how: &str| {
        one(&format!(
            "SELECT count(*) FROM users u WHERE u.run = ?1
             AND (SELECT count(*) FROM members m JOIN organizations o USING (organization_id)
                  WHERE m.user_id = u.user_id AND m.run = ?1 AND o.run = ?1) {how}"
        ))
    };
    let grants = |what: &str| {
        one(&format!(
            "SELECT count(*) FROM grants g JOIN users u USING (user_id)
             WHERE g.run = ?1 AND u.run = ?1 AND (u.owner = 1 OR (u.action = 0 AND u.progress <> 3)) AND {what}"
        ))
    };
    let organizations = one("SELECT count(*) FROM organizations WHERE run = ?1")?;
    Ok(Counts {
        roles: one("SELECT count(*) FROM roles WHERE run = ?1")?,
        roles_to_create: one("SELECT count(*) FROM roles WHERE run = ?1 AND role_key IS NOT NULL AND made < 2")?,
        organizations,
        organizations_to_create: one(
            "SELECT count(*) FROM organizations WHERE run = ?1 AND zitadel_name IS NOT NULL AND made < 2",
        )?,
        members_of_one: if organizations > 0 { by_memberships("= 1")? } else { 0 },
        members_of_several: if organizations > 0 { by_memberships("> 1")? } else { 0 },
        members_of_none: if organizations > 0 { by_memberships("= 0")? } else { 0 },
        strangers: one("SELECT count(*) FROM (SELECT user_id FROM role_users WHERE run = ?1
                                    UNION SELECT user_id FROM members WHERE run = ?1) AS who
             WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.user_id = who.user_id AND u.run = ?1)")?,
        grants_to_give: grants("g.want IS NOT NULL AND g.owner <> 1 AND g.progress <> 3")?,
        grants_to_change: grants("g.want IS NOT NULL AND g.owner = 1 AND g.progress <> 3")?,
        grants_to_take: grants("g.want IS NULL AND g.owner = 1 AND g.progress <> 3")?,
        grants_unchanged: grants("g.progress = 3 AND g.code IS NULL AND g.want IS NOT NULL")?,
        roles_ours: one("SELECT count(*) FROM roles WHERE run = ?1 AND made = 2")?,
        organizations_ours: one("SELECT count(*) FROM organizations WHERE run = ?1 AND made = 2")?,
        grants_ours: grants("g.owner = 1")?,
        grants_left: grants("g.code IS NOT NULL")?,
    })
}

/// ZITADEL wants no such organization: whoever was to be created in it is blocked.
///
/// # Errors
/// As SQLite.
pub fn block_organization(transaction: &Transaction<'_>, id: &str, why: &str) -> Result<()> {
    transaction
        .execute(
            "UPDATE users SET action = 4, progress = 3, outcome = 5, code = ?2, detail = ?3
             WHERE organization = ?1 AND owner <> 1 AND action = 0 AND progress = 0",
            params![id, crate::mapping::finding::BlockedCode::OrganizationRefused.code(), format!("{id}: {why}")],
        )
        .map(drop)
}

/// Is there a project, a role or an organization in ZITADEL that this ledger made, or may have?
///
/// # Errors
/// As SQLite.
pub fn made_anything(connection: &Snapshot<'_>) -> Result<bool> {
    connection.one(
        "SELECT EXISTS (SELECT 1 FROM meta WHERE key IN ('created_project', 'pending_project'))
             OR EXISTS (SELECT 1 FROM roles WHERE made IN (1, 2))
             OR EXISTS (SELECT 1 FROM organizations WHERE made IN (1, 2))",
        [],
        |row| row.get(0),
    )
}

/// Id and key of the roles that ZITADEL has from us, or may have.
///
/// # Errors
/// As SQLite.
pub fn roles_made(connection: &Snapshot<'_>) -> Result<Vec<(String, String)>> {
    connection.all(
        "SELECT role_id, role_key FROM roles WHERE made IN (1, 2) AND role_key IS NOT NULL ORDER BY role_id",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// The organizations that ZITADEL has from us, or may have.
///
/// # Errors
/// As SQLite.
pub fn organizations_made(connection: &Snapshot<'_>) -> Result<Vec<String>> {
    connection.all(
        "SELECT organization_id FROM organizations WHERE made IN (1, 2) ORDER BY organization_id",
        [],
        |row| row.get(0),
    )
}

/// The project of this ledger is gone: a later run makes another one.
///
/// # Errors
/// As SQLite.
pub fn project_gone(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute("DELETE FROM meta WHERE key IN ('project', 'created_project', 'pending_project')", [])?;
    transaction.execute("UPDATE roles SET made = 0, role_key = NULL", [])?;
    transaction.execute("UPDATE organizations SET granted = NULL", [])?;
    transaction.execute("DELETE FROM grants", [])?;
    Ok(())
}

/// An organization of this ledger is gone.
///
/// # Errors
/// As SQLite.
pub fn organization_gone(transaction: &Transaction<'_>, id: &str) -> Result<()> {
    transaction
        .execute(
            "UPDATE organizations SET made = 0, dressed = NULL, granted = NULL, zitadel_name = NULL WHERE organization_id = ?1",
            [id],
        )
        .map(drop)
}

/// Users of ours live in other organizations than the main one.
///
/// # Errors
/// As SQLite.
pub fn users_elsewhere(connection: &Snapshot<'_>) -> Result<bool> {
    connection.one("SELECT EXISTS (SELECT 1 FROM users WHERE organization IS NOT NULL)", [], |row| row.get(0))
}
