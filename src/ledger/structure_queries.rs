//! Roles, organizations and grants: what the tenant has, what is planned, and what ZITADEL has from us.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::model::Owner;
use crate::mapping::finding::FindingCode;

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
pub fn list(connection: &Connection, run: i64, list: &str) -> rusqlite::Result<List> {
    connection
        .prepare_cached("SELECT cursor, done FROM lists WHERE run = ?1 AND list = ?2")?
        .query_row(params![run, list], |row| Ok(List { cursor: row.get(0)?, done: row.get(1)? }))
        .optional()
        .map(Option::unwrap_or_default)
}

/// Writes down how far `run` has read a list.
///
/// # Errors
/// As SQLite.
pub fn set_list(transaction: &Transaction<'_>, run: i64, list: &str, state: &List) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO lists (run, list, cursor, done) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![run, list, state.cursor, state.done])?;
    Ok(())
}

/// Everything is read: what an earlier run read and this one did not is gone from the tenant.
///
/// # Errors
/// As SQLite.
pub fn forget_older(transaction: &Transaction<'_>, run: i64, roles: bool, organizations: bool) -> rusqlite::Result<()> {
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
pub fn put_roles(transaction: &Transaction<'_>, run: i64, roles: &[(String, String)]) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
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
pub fn put_role_users(
    transaction: &Transaction<'_>,
    run: i64,
    role_id: &str,
    users: &[String],
) -> rusqlite::Result<()> {
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO role_users (user_id, role_id, run) VALUES (?1, ?2, ?3)")?;
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
pub fn put_organizations(transaction: &Transaction<'_>, run: i64, all: &[Organization]) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
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
) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO members (user_id, organization_id, run, roles) VALUES (?1, ?2, ?3, ?4)",
    )?;
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
pub fn ids(connection: &Connection, run: i64, which: Which, after: &str, limit: u32) -> rusqlite::Result<Vec<String>> {
    let statement = match which {
        Which::Roles => "SELECT role_id FROM roles WHERE run = ?1 AND role_id > ?2 ORDER BY role_id LIMIT ?3",
        Which::Organizations => {
            "SELECT organization_id FROM organizations WHERE run = ?1 AND organization_id > ?2 ORDER BY organization_id LIMIT ?3"
        }
    };
    connection.prepare_cached(statement)?.query_map(params![run, after, limit], |row| row.get(0))?.collect()
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
pub fn known_before(connection: &Connection, run: i64, which: Which) -> rusqlite::Result<bool> {
    let statement = match which {
        Which::Roles => "SELECT 1 FROM roles WHERE run < ?1",
        Which::Organizations => "SELECT 1 FROM organizations WHERE run < ?1",
    };
    connection.prepare(statement)?.exists([run])
}

/// The memberships of a user as JSON, `[{"id":…,"name":…,"display_name":…,"roles":[…]}]`, where there are any.
///
/// # Errors
/// As SQLite.
pub fn memberships_json(connection: &Connection, run: i64, user_id: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT json_group_array(json(one)) FROM (
               SELECT json_object('id', o.organization_id, 'name', o.name, 'display_name', o.display_name,
                                  'roles', json((SELECT json_group_array(name) FROM (
                                     SELECT r.name FROM json_each(m.roles) AS has JOIN roles r ON r.role_id = has.value
                                     ORDER BY r.name)))) AS one
               FROM members m JOIN organizations o USING (organization_id)
               WHERE m.user_id = ?2 AND m.run = ?1 AND o.run = ?1 ORDER BY o.organization_id)",
        )?
        .query_row(params![run, user_id], |row| row.get::<_, String>(0))
        .map(|json| (json != "[]").then_some(json))
}

/// The names of a user's roles as JSON, sorted, where there are any.
///
/// # Errors
/// As SQLite.
pub fn role_names_json(connection: &Connection, run: i64, user_id: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT json_group_array(name) FROM (
               SELECT r.name FROM role_users ru JOIN roles r USING (role_id)
               WHERE ru.user_id = ?2 AND ru.run = ?1 AND r.run = ?1 ORDER BY r.name)",
        )?
        .query_row(params![run, user_id], |row| row.get::<_, String>(0))
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

/// The roles of `run`, those that ZITADEL has first, then in the order of their ids.
///
/// # Errors
/// As SQLite.
pub fn roles(connection: &Connection, run: i64) -> rusqlite::Result<Vec<PlannedRole>> {
    connection
        .prepare("SELECT role_id, name, role_key, made FROM roles WHERE run = ?1 ORDER BY made = 0, role_id")?
        .query_map([run], |row| {
            Ok(PlannedRole { id: row.get(0)?, name: row.get(1)?, key: row.get(2)?, made: row.get(3)? })
        })?
        .collect()
}

/// Gives a role its key.
///
/// # Errors
/// As SQLite.
pub fn set_role_key(transaction: &Transaction<'_>, role_id: &str, key: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE roles SET role_key = ?2 WHERE role_id = ?1")?
        .execute(params![role_id, key])
        .map(drop)
}

/// Writes down whether ZITADEL has a role from us.
///
/// # Errors
/// As SQLite.
pub fn set_role_made(transaction: &Transaction<'_>, role_id: &str, made: Made) -> rusqlite::Result<()> {
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
pub fn organizations(
    connection: &Connection,
    run: i64,
    after: &str,
    limit: u32,
) -> rusqlite::Result<Vec<PlannedOrganization>> {
    connection
        .prepare_cached(
            "SELECT organization_id, name, display_name, branding, metadata, zitadel_name, made, dressed, granted
             FROM organizations WHERE run = ?1 AND organization_id > ?2 ORDER BY organization_id LIMIT ?3",
        )?
        .query_map(params![run, after, limit], planned_organization)?
        .collect()
}

/// Organizations that ZITADEL has from us, of whatever run, after `after`, in the order of their ids.
///
/// # Errors
/// As SQLite.
pub fn organizations_ours(
    connection: &Connection,
    after: &str,
    limit: u32,
) -> rusqlite::Result<Vec<PlannedOrganization>> {
    connection
        .prepare_cached(
            "SELECT organization_id, name, display_name, branding, metadata, zitadel_name, made, dressed, granted
             FROM organizations WHERE made = 2 AND organization_id > ?1 ORDER BY organization_id LIMIT ?2",
        )?
        .query_map(params![after, limit], planned_organization)?
        .collect()
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
pub fn begin_instance(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM instance_organizations", []).map(drop)
}

/// Writes down organizations of the instance: id and folded name.
///
/// # Errors
/// As SQLite.
pub fn put_instance_organizations(transaction: &Transaction<'_>, all: &[(String, String)]) -> rusqlite::Result<()> {
    let mut put = transaction
        .prepare_cached("INSERT OR REPLACE INTO instance_organizations (organization_id, name_key) VALUES (?1, ?2)")?;
    for (id, name) in all {
        put.execute(params![id, name])?;
    }
    Ok(())
}

/// Does the instance hold an organization of this id? And is the (folded) name another's?
///
/// # Errors
/// As SQLite.
pub fn in_instance(connection: &Connection, id: &str, name_key: &str) -> rusqlite::Result<(bool, bool)> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM instance_organizations WHERE organization_id = ?1),
                    EXISTS (SELECT 1 FROM instance_organizations WHERE name_key = ?2 AND organization_id <> ?1)",
        )?
        .query_row([id, name_key], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Gives an organization its name in ZITADEL.
///
/// # Errors
/// As SQLite.
pub fn set_organization_name(transaction: &Transaction<'_>, id: &str, name: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE organizations SET zitadel_name = ?2 WHERE organization_id = ?1")?
        .execute(params![id, name])
        .map(drop)
}

/// Writes down whether ZITADEL has an organization from us.
///
/// # Errors
/// As SQLite.
pub fn set_organization_made(transaction: &Transaction<'_>, id: &str, made: Made) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE organizations SET made = ?2 WHERE organization_id = ?1")?
        .execute(params![id, made])
        .map(drop)
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
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE organizations SET dressed = coalesce(?2, dressed), granted = coalesce(?3, granted)
             WHERE organization_id = ?1",
        )?
        .execute(params![id, dressed, granted])
        .map(drop)
}

/// Who belongs where: users to create who are members of exactly one organization belong to it. Whoever is in ZITADEL
/// already, or may be, stays where that was.
///
/// # Errors
/// As SQLite.
pub fn place_users(transaction: &Transaction<'_>, run: i64, orgs: bool) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE users SET organization = CASE WHEN ?2 THEN
           (SELECT max(m.organization_id) FROM members m JOIN organizations o USING (organization_id)
            WHERE m.user_id = users.user_id AND m.run = ?1 AND o.run = ?1 HAVING count(*) = 1) END
         WHERE run = ?1 AND owner <> 1 AND progress IN (0, 3) AND (?2 OR organization IS NOT NULL)",
        params![run, orgs],
    )?;
    Ok(())
}

/// What the plan wants to be granted, by user and organization. Only users who are (or are about to be) ours get any, those
/// of the accounts that became part of them among it;
/// those who are not in this run's export, or are blocked now, keep what they have.
///
/// # Errors
/// As SQLite.
pub fn plan_grants(transaction: &Transaction<'_>, run: i64, roles: bool, orgs: bool) -> rusqlite::Result<()> {
    if !roles {
        return Ok(());
    }
    // Nothing is wanted until somebody says so.
    transaction.execute(
        "UPDATE grants SET run = ?1, want = NULL,
                progress = CASE WHEN progress IN (1, 2) THEN 2 WHEN owner = 1 THEN 0 ELSE 3 END, code = NULL, detail = NULL
         WHERE EXISTS (SELECT 1 FROM users u WHERE u.user_id = grants.user_id AND u.run = ?1 AND u.action IN (0, 1, 2))",
        [run],
    )?;
    let put = "ON CONFLICT (user_id, organization) DO UPDATE SET run = excluded.run, want = excluded.want,
                 progress = CASE WHEN progress IN (1, 2) THEN 2
                                 WHEN owner = 1 AND have = excluded.want THEN 3 ELSE 0 END, code = NULL, detail = NULL";
    let who = "u.run = ?1 AND u.action IN (0, 1, 2) AND (u.owner = 1 OR u.action = 0)";
    transaction.execute(
        &format!(
            "INSERT INTO grants (user_id, organization, run, want)
             SELECT user_id, '', ?1, json_group_array(role_key) FROM (
               SELECT DISTINCT u.user_id, r.role_key FROM role_users ru JOIN roles r USING (role_id)
                 LEFT JOIN joined j ON j.user_id = ru.user_id AND j.run = ?1
                 JOIN users u ON u.user_id = coalesce(j.into_id, ru.user_id)
               WHERE ru.run = ?1 AND r.run = ?1 AND r.role_key IS NOT NULL AND {who} ORDER BY u.user_id, r.role_key)
             WHERE true GROUP BY user_id {put}"
        ),
        [run],
    )?;
    if orgs {
        // Somebody who lives in the organization needs a grant for the roles only; to others it is the membership.
        transaction.execute(
            &format!(
                "INSERT INTO grants (user_id, organization, run, want)
                 SELECT user_id, organization_id, ?1, keys FROM (
                   SELECT u.user_id, u.organization AS home, m.organization_id,
                          (SELECT json_group_array(role_key) FROM (
                             SELECT DISTINCT r.role_key FROM members one
                               JOIN json_each(one.roles) AS has JOIN roles r ON r.role_id = has.value
                             WHERE one.run = ?1 AND one.organization_id = m.organization_id
                               AND one.user_id IN (SELECT u.user_id UNION SELECT user_id FROM joined
                                                   WHERE into_id = u.user_id AND run = ?1)
                               AND r.role_key IS NOT NULL ORDER BY r.role_key)) AS keys
                   FROM members m JOIN organizations o USING (organization_id)
                     LEFT JOIN joined j ON j.user_id = m.user_id AND j.run = ?1
                     JOIN users u ON u.user_id = coalesce(j.into_id, m.user_id)
                   WHERE m.run = ?1 AND o.run = ?1 AND {who} GROUP BY u.user_id, m.organization_id)
                 WHERE keys <> '[]' OR home IS NOT organization_id {put}"
            ),
            [run],
        )?;
    }
    transaction.execute("DELETE FROM grants WHERE want IS NULL AND owner <> 1 AND progress IN (0, 3)", [])?;
    leave_others(transaction, run, orgs)
}

/// Users who were in ZITADEL before a2z, which may show at the import only, get no grants, and that is said.
///
/// # Errors
/// As SQLite.
pub fn leave_others(transaction: &Transaction<'_>, run: i64, orgs: bool) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM grants WHERE run = ?1 AND owner <> 1 AND progress IN (0, 3)
           AND user_id IN (SELECT user_id FROM users WHERE run = ?1 AND owner = 2)",
        [run],
    )?;
    let code = FindingCode::GrantNotGiven.code();
    transaction.execute(
        r#"UPDATE users SET findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?3))
           WHERE run = ?1 AND owner = 2 AND coalesce(findings, '') NOT LIKE '%"' || ?4 || '"%'
             AND (EXISTS (SELECT 1 FROM role_users r WHERE r.user_id = users.user_id AND r.run = ?1)
                  OR (?2 AND EXISTS (SELECT 1 FROM members m WHERE m.user_id = users.user_id AND m.run = ?1)))"#,
        params![run, orgs, serde_json::json!({ "code": code, "detail": null }).to_string(), code],
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
pub fn counts(connection: &Connection, run: i64) -> rusqlite::Result<Counts> {
    let one = |sql: &str| connection.query_row(sql, [run], |row| row.get::<_, u64>(0));
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

/// A grant that is to be given, changed or taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantTodo {
    /// Whose.
    pub user_id: String,
    /// In which organization; empty for the main one.
    pub organization: String,
    /// The role keys, sorted; none: no grant.
    pub want: Option<Vec<String>>,
    /// The role keys that it has from us.
    pub have: Option<Vec<String>>,
    /// The role keys of the last request, whose answer may have been lost.
    pub sent: Option<Vec<String>>,
    /// Ours.
    pub ours: bool,
    /// A request with it was lost.
    pub in_doubt: bool,
}

/// Grants that are to be done, after `after` (user and organization), in that order; only of users who are ours.
///
/// # Errors
/// As SQLite.
pub fn grants_todo(
    connection: &Connection,
    run: i64,
    after: (&str, &str),
    limit: usize,
) -> rusqlite::Result<Vec<GrantTodo>> {
    let keys = |json: Option<String>| json.map(|json| serde_json::from_str(&json).unwrap_or_default());
    connection
        .prepare_cached(
            "SELECT g.user_id, g.organization, g.want, g.have, g.sent, g.owner = 1, g.progress IN (1, 2)
             FROM grants g JOIN users u USING (user_id)
             WHERE g.run = ?1 AND u.owner = 1 AND g.progress <> 3 AND (g.user_id, g.organization) > (?2, ?3)
             ORDER BY g.user_id, g.organization LIMIT ?4",
        )?
        .query_map(params![run, after.0, after.1, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(GrantTodo {
                user_id: row.get(0)?,
                organization: row.get(1)?,
                want: keys(row.get(2)?),
                have: keys(row.get(3)?),
                sent: keys(row.get(4)?),
                ours: row.get(5)?,
                in_doubt: row.get(6)?,
            })
        })?
        .collect()
}

/// How many are left.
///
/// # Errors
/// As SQLite.
pub fn count_grants_todo(connection: &Connection, run: i64) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT count(*) FROM grants g JOIN users u USING (user_id) WHERE g.run = ?1 AND u.owner = 1 AND g.progress <> 3",
        [run],
        |row| row.get(0),
    )
}

/// How many the plan wants to be done, those of users who are not created yet among them.
///
/// # Errors
/// As SQLite.
pub fn count_grants_planned(connection: &Connection, run: i64) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT count(*) FROM grants g JOIN users u USING (user_id)
         WHERE g.run = ?1 AND (u.owner = 1 OR (u.action = 0 AND u.progress <> 3)) AND g.progress <> 3",
        [run],
        |row| row.get(0),
    )
}

/// A request with these grants is about to leave.
///
/// # Errors
/// As SQLite.
pub fn begin_grants(transaction: &Transaction<'_>, grants: &[GrantTodo]) -> rusqlite::Result<()> {
    let mut update = transaction.prepare_cached(
        "UPDATE grants SET progress = max(progress, 1), sent = ?3 WHERE user_id = ?1 AND organization = ?2",
    )?;
    for grant in grants {
        update.execute(params![grant.user_id, grant.organization, json(grant.want.as_ref())])?;
    }
    Ok(())
}

/// How a grant ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledGrant {
    /// Whose.
    pub user_id: String,
    /// In which organization; empty for the main one.
    pub organization: String,
    /// What ZITADEL has from us now; none: nothing.
    pub have: Option<Vec<String>>,
    /// Why not as wanted.
    pub code: Option<&'static str>,
    /// What about it.
    pub detail: Option<String>,
}

/// Settles grants.
///
/// # Errors
/// As SQLite.
pub fn settle_grants(transaction: &Transaction<'_>, settled: &[SettledGrant]) -> rusqlite::Result<()> {
    let mut update = transaction.prepare_cached(
        "UPDATE grants SET progress = 3, sent = NULL, have = ?3, owner = ?4, code = ?5, detail = ?6
         WHERE user_id = ?1 AND organization = ?2",
    )?;
    let mut say = transaction.prepare_cached(
        "UPDATE users SET findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?2)),
                code = CASE WHEN ?5 THEN coalesce(code, ?3) ELSE code END,
                detail = CASE WHEN ?5 AND code IS NULL THEN ?4 ELSE detail END
         WHERE user_id = ?1",
    )?;
    for grant in settled {
        let owner = match (&grant.have, grant.code) {
            (Some(_), _) => Owner::Ours,
            (None, Some(_)) => Owner::Other,
            (None, None) => Owner::None,
        };
        let (have, user, organization) = (json(grant.have.as_ref()), &grant.user_id, &grant.organization);
        update.execute(params![user, organization, have, owner, grant.code, grant.detail])?;
        if let Some(code) = grant.code {
            let place = (!organization.is_empty()).then(|| format!("organization {organization}"));
            let detail: Vec<String> = place.into_iter().chain(grant.detail.clone()).collect();
            let detail = (!detail.is_empty()).then(|| detail.join(": "));
            let finding = serde_json::json!({ "code": code, "detail": detail }).to_string();
            say.execute(params![user, finding, code, detail, code == FindingCode::GrantRefused.code()])?;
        }
    }
    transaction
        .execute("DELETE FROM grants WHERE want IS NULL AND have IS NULL AND progress = 3 AND code IS NULL", [])?;
    Ok(())
}

/// These users are about to be created anew, without the grants that they had.
///
/// # Errors
/// As SQLite.
pub fn forget_grants(transaction: &Transaction<'_>, user_id: &str) -> rusqlite::Result<()> {
    transaction
        .execute("UPDATE grants SET have = NULL, sent = NULL, owner = 0, progress = 0 WHERE user_id = ?1", [user_id])
        .map(drop)
}

fn json(keys: Option<&Vec<String>>) -> Option<String> {
    keys.map(|keys| serde_json::json!(keys).to_string())
}

/// ZITADEL wants no such organization: whoever was to be created in it is blocked.
///
/// # Errors
/// As SQLite.
pub fn block_organization(transaction: &Transaction<'_>, id: &str, why: &str) -> rusqlite::Result<()> {
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
pub fn made_anything(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
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
pub fn roles_made(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare("SELECT role_id, role_key FROM roles WHERE made IN (1, 2) AND role_key IS NOT NULL ORDER BY role_id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The organizations that ZITADEL has from us, or may have.
///
/// # Errors
/// As SQLite.
pub fn organizations_made(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT organization_id FROM organizations WHERE made IN (1, 2) ORDER BY organization_id")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// The project of this ledger is gone: a later run makes another one.
///
/// # Errors
/// As SQLite.
pub fn project_gone(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
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
pub fn organization_gone(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<()> {
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
pub fn users_elsewhere(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM users WHERE organization IS NOT NULL)", [], |row| row.get(0))
}

/// The grants that these users have from us: user, organization (empty for the main one), and role keys, sorted.
///
/// # Errors
/// As SQLite.
pub fn grants_of(connection: &Connection, users: &[String]) -> rusqlite::Result<Vec<(String, String, Vec<String>)>> {
    let mut of = connection.prepare_cached(
        "SELECT organization, have FROM grants WHERE user_id = ?1 AND owner = 1 AND have IS NOT NULL AND progress = 3",
    )?;
    let mut grants = Vec::new();
    for user in users {
        let rows = of.query_map([user], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        for row in rows {
            let (organization, have) = row?;
            grants.push((user.clone(), organization, serde_json::from_str(&have).unwrap_or_default()));
        }
    }
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{
            Ledger,
            plan_queries::{PlannedUser, Wanted, put_users},
        },
        mapping::draft::Route,
    };

    fn planned(user_id: &str) -> PlannedUser {
        PlannedUser {
            email_key: None,
            has_metadata: false,
            links: Vec::new(),
            user_id: user_id.into(),
            connection: None,
            file: 0,
            line: 1,
            row: 1,
            verified: true,
            last_login: None,
            plan: Ok(Wanted {
                name_key: user_id.into(),
                route: Route::Import,
                profile: [1; 16],
                password: None,
                factors: None,
            }),
            findings: Vec::new(),
        }
    }

    fn role(id: &str) -> (String, String) {
        (id.to_owned(), id.to_owned())
    }

    /// What everybody is granted, as `user organization roles`.
    fn grants(ledger: &Ledger) -> Vec<String> {
        let reader = ledger.reader().unwrap();
        let mut statement = reader
            .prepare("SELECT user_id || ' ' || organization || ' ' || coalesce(want, 'none') FROM grants ORDER BY 1")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn one_organization_is_home_and_every_other_membership_is_a_grant() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        let named = |id: &str| Organization { id: id.into(), name: id.into(), ..Organization::default() };
        ledger
            .write_blocking(move |t| {
                put_users(t, 1, &["none", "one", "two"].map(planned))?;
                put_roles(t, 1, &[role("a"), role("b")])?;
                put_organizations(t, 1, &[named("x"), named("y")])?;
                put_members(t, 1, "x", &[("one".into(), vec![role("b")]), ("two".into(), vec![role("b"), role("a")])])?;
                put_members(t, 1, "y", &[("two".into(), Vec::new()), ("stranger".into(), Vec::new())])?;
                put_role_users(t, 1, "a", &["one".into(), "none".into(), "stranger".into()])?;
                ["a", "b"].iter().try_for_each(|id| set_role_key(t, id, &id.to_uppercase()))?;
                place_users(t, 1, true)?;
                plan_grants(t, 1, true, true)
            })
            .unwrap();
        assert_eq!(
            grants(&ledger),
            [r#"none  ["A"]"#, r#"one  ["A"]"#, r#"one x ["B"]"#, r#"two x ["A","B"]"#, r"two y []"]
        );
        let reader = ledger.reader().unwrap();
        let home = |id: &str| -> Option<String> {
            reader.query_row("SELECT organization FROM users WHERE user_id = ?1", [id], |row| row.get(0)).unwrap()
        };
        assert_eq!((home("none"), home("one").as_deref(), home("two")), (None, Some("x"), None));
        let found = counts(&reader, 1).unwrap();
        assert_eq!((found.members_of_one, found.members_of_several, found.members_of_none), (1, 1, 1));
        assert_eq!((found.grants_to_give, found.strangers), (5, 1));
        assert!(grants_todo(&reader, 1, ("", ""), 10).unwrap().is_empty(), "nobody is created yet");
        drop(reader);

        // Given once, and then wanted no more, or another.
        ledger
            .write_blocking(|t| {
                t.execute("UPDATE users SET owner = 1, progress = 3, action = 2", [])?;
                t.execute("UPDATE grants SET owner = 1, have = want, progress = 3", [])?;
                put_role_users(t, 2, "b", &["one".into()])?;
                t.execute("UPDATE users SET run = 2", [])?;
                put_roles(t, 2, &[role("a"), role("b")])?;
                plan_grants(t, 2, true, true)
            })
            .unwrap();
        let reader = ledger.reader().unwrap();
        let todo = grants_todo(&reader, 2, ("", ""), 10).unwrap();
        let todo: Vec<_> =
            todo.iter().map(|g| (g.user_id.as_str(), g.organization.as_str(), g.want.is_some())).collect();
        assert_eq!(
            todo,
            [("none", "", false), ("one", "", true), ("one", "x", false), ("two", "x", false), ("two", "y", false)]
        );
        let found = counts(&reader, 2).unwrap();
        assert_eq!((found.grants_to_give, found.grants_to_change, found.grants_to_take), (0, 1, 4));
    }
}
