//! Role grants: what is planned for whom, what is left to do, and what users have from us.

use rusqlite::params;

use crate::{
    ledger::{
        sql::{Result, Snapshot, Transaction},
        states::{DONE, IN_DOUBT, IN_FLIGHT, LOST, MOVING, NOBODY, OTHERS, OURS, Owner, PENDING, TO_CREATE},
    },
    mapping::finding::FindingCode,
};

/// What the plan wants to be granted, by user and organization. Only users who are (or are about to be) ours get any, those
/// of the accounts that became part of them among it;
/// those who are not in this run's export, or are blocked now, keep what they have.
///
/// # Errors
/// If SQLite fails.
pub fn plan_grants(transaction: &Transaction<'_>, run: i64, roles: bool, orgs: bool) -> Result<()> {
    if !roles {
        return Ok(());
    }
    // Nothing is wanted until somebody says so.
    transaction.execute(
        &format!(
            "UPDATE grants SET run = ?1, want = NULL,
                    progress = CASE WHEN progress IN {IN_DOUBT} THEN {LOST} WHEN owner = {OURS} THEN {PENDING} ELSE {DONE} END,
                    code = NULL, detail = NULL
             WHERE EXISTS (SELECT 1 FROM users u WHERE u.user_id = grants.user_id AND u.run = ?1
                 AND u.action IN {MOVING})"
        ),
        [run],
    )?;
    let put = &format!(
        "ON CONFLICT (user_id, organization) DO UPDATE SET run = excluded.run, want = excluded.want,
         progress = CASE WHEN progress IN {IN_DOUBT} THEN {LOST}
                         WHEN owner = {OURS} AND have = excluded.want THEN {DONE} ELSE {PENDING} END,
         code = NULL, detail = NULL"
    );
    let who = &format!("u.run = ?1 AND u.action IN {MOVING} AND (u.owner = {OURS} OR u.action = {TO_CREATE})");
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
    transaction.execute(
        &format!("DELETE FROM grants WHERE want IS NULL AND owner <> {OURS} AND progress NOT IN {IN_DOUBT}"),
        [],
    )?;
    leave_others(transaction, run, orgs)
}

/// Users who were in ZITADEL before a2z, which may show at the import only, get no grants, and that is reported.
///
/// # Errors
/// If SQLite fails.
pub fn leave_others(transaction: &Transaction<'_>, run: i64, orgs: bool) -> Result<()> {
    transaction.execute(
        &format!(
            "DELETE FROM grants WHERE run = ?1 AND owner <> {OURS} AND progress NOT IN {IN_DOUBT}
             AND user_id IN (SELECT user_id FROM users WHERE run = ?1 AND owner = {OTHERS})"
        ),
        [run],
    )?;
    let code = FindingCode::GrantNotGiven.code();
    transaction.execute(
        &format!(
            "UPDATE users SET findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?3))
             WHERE run = ?1 AND owner = {OTHERS} AND NOT EXISTS (SELECT 1 FROM json_each(findings) f
               WHERE json_extract(f.value, '$.code') = ?4)
               AND (EXISTS (SELECT 1 FROM role_users r WHERE r.user_id = users.user_id AND r.run = ?1)
                 OR (?2 AND EXISTS (SELECT 1 FROM members m WHERE m.user_id = users.user_id AND m.run = ?1)))"
        ),
        params![run, orgs, serde_json::json!({ "code": code, "detail": null }).to_string(), code],
    )?;
    Ok(())
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
/// If SQLite fails.
pub fn grants_todo(connection: &Snapshot<'_>, run: i64, after: (&str, &str), limit: usize) -> Result<Vec<GrantTodo>> {
    let keys = |json: Option<String>| json.map(|json| serde_json::from_str(&json).unwrap_or_default());
    connection.all(
        &format!(
            "SELECT g.user_id, g.organization, g.want, g.have, g.sent, g.owner = {OURS}, g.progress IN {IN_DOUBT}
             FROM grants g JOIN users u USING (user_id)
             WHERE g.run = ?1 AND u.owner = {OURS} AND g.progress <> {DONE}
               AND (g.user_id, g.organization) > (?2, ?3)
             ORDER BY g.user_id, g.organization LIMIT ?4"
        ),
        params![run, after.0, after.1, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            Ok(GrantTodo {
                user_id: row.get(0)?,
                organization: row.get(1)?,
                want: keys(row.get(2)?),
                have: keys(row.get(3)?),
                sent: keys(row.get(4)?),
                ours: row.get(5)?,
                in_doubt: row.get(6)?,
            })
        },
    )
}

/// How many are left.
///
/// # Errors
/// If SQLite fails.
pub fn count_grants_todo(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one(
        &format!(
            "SELECT count(*) FROM grants g JOIN users u USING (user_id)
             WHERE g.run = ?1 AND u.owner = {OURS} AND g.progress <> {DONE}"
        ),
        [run],
        |row| row.get(0),
    )
}

/// How many the plan wants to be done, those of users who are not created yet among them.
///
/// # Errors
/// If SQLite fails.
pub fn count_grants_planned(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one(
        &format!(
            "SELECT count(*) FROM grants g JOIN users u USING (user_id)
             WHERE g.run = ?1 AND (u.owner = {OURS} OR (u.action = {TO_CREATE} AND u.progress <> {DONE}))
               AND g.progress <> {DONE}"
        ),
        [run],
        |row| row.get(0),
    )
}

/// A request with these grants is about to leave.
///
/// # Errors
/// If SQLite fails.
pub fn begin_grants(transaction: &Transaction<'_>, grants: &[GrantTodo]) -> Result<()> {
    let mut update = transaction.prepare(&format!(
        "UPDATE grants SET progress = max(progress, {IN_FLIGHT}), sent = ?3
         WHERE user_id = ?1 AND organization = ?2"
    ))?;
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
/// If SQLite fails.
pub fn settle_grants(transaction: &Transaction<'_>, settled: &[SettledGrant]) -> Result<()> {
    let mut update = transaction.prepare(&format!(
        "UPDATE grants SET progress = {DONE}, sent = NULL, have = ?3, owner = ?4, code = ?5, detail = ?6
         WHERE user_id = ?1 AND organization = ?2"
    ))?;
    let mut say = transaction.prepare(
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
    transaction.execute(
        &format!("DELETE FROM grants WHERE want IS NULL AND have IS NULL AND progress = {DONE} AND code IS NULL"),
        [],
    )?;
    Ok(())
}

/// These users are about to be created again, without the grants that they had.
///
/// # Errors
/// If SQLite fails.
pub fn forget_grants(transaction: &Transaction<'_>, user_id: &str) -> Result<()> {
    transaction
        .execute(
            &format!(
                "UPDATE grants SET have = NULL, sent = NULL, owner = {NOBODY}, progress = {PENDING}
                 WHERE user_id = ?1"
            ),
            [user_id],
        )
        .map(drop)
}

fn json(keys: Option<&Vec<String>>) -> Option<String> {
    keys.map(|keys| serde_json::json!(keys).to_string())
}

/// The grants that these users have from us: user, organization (empty for the main one), and role keys, sorted.
///
/// # Errors
/// If SQLite fails.
pub fn grants_of(connection: &Snapshot<'_>, users: &[String]) -> Result<Vec<(String, String, Vec<String>)>> {
    let mut of = connection.prepare(&format!(
        "SELECT organization, have FROM grants
         WHERE user_id = ?1 AND owner = {OURS} AND have IS NOT NULL AND progress = {DONE}"
    ))?;
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
    use crate::ledger::{
        Ledger,
        organizations::{Organization, place_users, put_members, put_organizations},
        roles::{put_role_users, put_roles, set_role_key},
        states::{Action, Outcome, Progress},
        structure::counts,
        testing::{planned_user, wanted},
        users::put_users,
    };

    fn role(id: &str) -> (String, String) {
        (id.to_owned(), id.to_owned())
    }

    /// What everybody is granted, as `user organization roles`.
    fn grants(ledger: &Ledger) -> Vec<String> {
        let sql = "SELECT user_id || ' ' || organization || ' ' || coalesce(want, 'none') FROM grants
                       ORDER BY 1";
        ledger.read(|c| c.all(sql, [], |row| row.get(0))).unwrap()
    }

    #[test]
    fn one_organization_is_home_and_every_other_membership_is_a_grant() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        let named = |id: &str| Organization { id: id.into(), name: id.into(), ..Organization::default() };
        ledger
            .write_blocking(move |t| {
                put_users(t, 1, &["none", "one", "two"].map(|id| planned_user(id, 1, Ok(wanted(id, 1)))))?;
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
        let home = |id: &str| -> Option<String> {
            ledger.read(|c| c.one("SELECT organization FROM users WHERE user_id = ?1", [id], |row| row.get(0))).unwrap()
        };
        assert_eq!((home("none"), home("one").as_deref(), home("two")), (None, Some("x"), None));
        let found = ledger.read(|c| counts(c, 1)).unwrap();
        assert_eq!((found.members_of_one, found.members_of_several, found.members_of_none), (1, 1, 1));
        assert_eq!((found.grants_to_give, found.strangers), (5, 1));
        assert!(ledger.read(|c| grants_todo(c, 1, ("", ""), 10)).unwrap().is_empty(), "nobody is created yet");

        // Given once, and then wanted no more, or another.
        ledger
            .write_blocking(|t| {
                let done = params![Owner::Ours, Progress::Done, Action::Unchanged, Outcome::Unchanged];
                t.execute("UPDATE users SET owner = ?1, progress = ?2, action = ?3, outcome = ?4", done)?;
                let done = params![Owner::Ours, Progress::Done];
                t.execute("UPDATE grants SET owner = ?1, have = want, progress = ?2", done)?;
                put_role_users(t, 2, "b", &["one".into()])?;
                t.execute("UPDATE users SET run = 2", [])?;
                put_roles(t, 2, &[role("a"), role("b")])?;
                plan_grants(t, 2, true, true)
            })
            .unwrap();
        let todo = ledger.read(|c| grants_todo(c, 2, ("", ""), 10)).unwrap();
        let todo: Vec<_> =
            todo.iter().map(|g| (g.user_id.as_str(), g.organization.as_str(), g.want.is_some())).collect();
        assert_eq!(
            todo,
            [("none", "", false), ("one", "", true), ("one", "x", false), ("two", "x", false), ("two", "y", false)]
        );
        let found = ledger.read(|c| counts(c, 2)).unwrap();
        assert_eq!((found.grants_to_give, found.grants_to_change, found.grants_to_take), (0, 1, 4));
    }
}
