//! What the roles and organizations came to.

use crate::ledger::{
    sql::{Result, Snapshot},
    states::{DONE, MADE, OURS, PERHAPS_MADE, TO_CREATE},
};

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
/// If SQLite fails.
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
             WHERE g.run = ?1 AND u.run = ?1 AND (u.owner = {OURS} OR (u.action = {TO_CREATE}
                 AND u.progress <> {DONE})) AND {what}"
        ))
    };
    let organizations = one("SELECT count(*) FROM organizations WHERE run = ?1")?;
    Ok(Counts {
        roles: one("SELECT count(*) FROM roles WHERE run = ?1")?,
        roles_to_create: one(&format!(
            "SELECT count(*) FROM roles WHERE run = ?1 AND role_key IS NOT NULL AND made < {MADE}"
        ))?,
        organizations,
        organizations_to_create: one(&format!(
            "SELECT count(*) FROM organizations WHERE run = ?1 AND zitadel_name IS NOT NULL AND made < {MADE}"
        ))?,
        members_of_one: if organizations > 0 { by_memberships("= 1")? } else { 0 },
        members_of_several: if organizations > 0 { by_memberships("> 1")? } else { 0 },
        members_of_none: if organizations > 0 { by_memberships("= 0")? } else { 0 },
        strangers: one("SELECT count(*) FROM (SELECT user_id FROM role_users WHERE run = ?1
                                               UNION SELECT user_id FROM members WHERE run = ?1) AS who
                        WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.user_id = who.user_id AND u.run = ?1)")?,
        grants_to_give: grants(&format!("g.want IS NOT NULL AND g.owner <> {OURS} AND g.progress <> {DONE}"))?,
        grants_to_change: grants(&format!("g.want IS NOT NULL AND g.owner = {OURS} AND g.progress <> {DONE}"))?,
        grants_to_take: grants(&format!("g.want IS NULL AND g.owner = {OURS} AND g.progress <> {DONE}"))?,
        grants_unchanged: grants(&format!("g.progress = {DONE} AND g.code IS NULL AND g.want IS NOT NULL"))?,
        roles_ours: one(&format!("SELECT count(*) FROM roles WHERE run = ?1 AND made = {MADE}"))?,
        organizations_ours: one(&format!("SELECT count(*) FROM organizations WHERE run = ?1 AND made = {MADE}"))?,
        grants_ours: grants(&format!("g.owner = {OURS}"))?,
        grants_left: grants("g.code IS NOT NULL")?,
    })
}

/// Is there a project, a role or an organization in ZITADEL that this ledger made, or may have?
///
/// # Errors
/// If SQLite fails.
pub fn made_anything(connection: &Snapshot<'_>) -> Result<bool> {
    connection.one(
        &format!(
            "SELECT EXISTS (SELECT 1 FROM meta WHERE key IN ('created_project', 'pending_project'))
             OR EXISTS (SELECT 1 FROM roles WHERE made IN {PERHAPS_MADE})
             OR EXISTS (SELECT 1 FROM organizations WHERE made IN {PERHAPS_MADE})"
        ),
        [],
        |row| row.get(0),
    )
}
