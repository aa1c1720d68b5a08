//! Links to identity providers, accounts that were joined, and identity providers that this ledger created.

use rusqlite::{Connection, Transaction, params};

use super::plan_queries::{CLAIM, Claim, Digest, claim};
use crate::mapping::{draft::Link, finding::Finding, links::fold};

/// Writes down the links that a user of this run brings.
///
/// # Errors
/// As SQLite.
pub(super) fn put_links(
    transaction: &Transaction<'_>,
    run: i64,
    user_id: &str,
    links: &[Link],
) -> rusqlite::Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO links (user_id, idp_id, external_id, folded, by_import, run, holder)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?1)
         ON CONFLICT (user_id, idp_id, external_id) DO UPDATE SET
           by_import = excluded.by_import, run = excluded.run,
           -- One that ZITADEL has stays where it is.
           holder = CASE WHEN have = 1 THEN holder ELSE excluded.holder END",
    )?;
    for link in links {
        let folded = fold(&link.external_user_id);
        let values = params![user_id, link.idp_id, link.external_user_id, folded, link.by_import, run];
        upsert.execute(values)?;
    }
    Ok(())
}

/// The users of this run who share a verified e-mail, ordered by it; each with it in place of the name.
///
/// # Errors
/// As SQLite.
pub fn sharing_email(connection: &Connection, run: i64) -> rusqlite::Result<Vec<Claim>> {
    let columns = CLAIM.replacen("name_key", "email_key", 1);
    connection
        .prepare(&format!(
            "SELECT {columns} FROM users
             WHERE email_key IN (SELECT email_key FROM users WHERE email_key IS NOT NULL
                                 GROUP BY email_key HAVING count(*) > 1)
               AND run = ?1 AND action NOT IN (4, 5)
             ORDER BY email_key, user_id"
        ))?
        .query_map([run], claim)?
        .collect()
}

/// May this account become part of another user? Not where ZITADEL has it already, or may have it.
///
/// # Errors
/// As SQLite.
pub fn is_free(connection: &Connection, user_id: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM users WHERE user_id = ?1 AND owner <> 1 AND progress = 0")?
        .exists([user_id])
}

/// The account becomes part of another user, with its links.
///
/// # Errors
/// As SQLite.
pub fn join(
    transaction: &Transaction<'_>,
    run: i64,
    user_id: &str,
    into: &str,
    code: &str,
    left: Option<&Finding>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE users SET action = 5, progress = 3, outcome = 4, code = ?2, detail = ?3 WHERE user_id = ?1",
        )?
        .execute(params![user_id, code, into])?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO joined (user_id, into_id, run) VALUES (?1, ?2, ?3)")?
        .execute(params![user_id, into, run])?;
    transaction
        .prepare_cached("UPDATE links SET holder = ?2 WHERE user_id = ?1 AND run = ?3")?
        .execute(params![user_id, into, run])?;
    if let Some(left) = left {
        find(transaction, user_id, left)?;
    }
    Ok(())
}

/// Accounts that were to become part of a user who is not moved after all are not moved either, and say so.
///
/// # Errors
/// As SQLite.
pub fn release(transaction: &Transaction<'_>, run: i64, code: &str) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE users SET action = 4, outcome = 5, code = ?2,
                detail = 'with ' || detail || ', whom a2z does not move: ' || (SELECT coalesce(k.code, 'existed') FROM users k WHERE k.user_id = users.detail)
         WHERE run = ?1 AND action = 5 AND user_id IN
           (SELECT j.user_id FROM joined j JOIN users k ON k.user_id = j.into_id WHERE j.run = ?1 AND k.action IN (3, 4))",
        params![run, code],
    )?;
    Ok(())
}

/// Has the account metadata?
///
/// # Errors
/// As SQLite.
pub fn has_metadata(connection: &Connection, user_id: &str) -> rusqlite::Result<bool> {
    connection.query_row("SELECT has_metadata FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))
}

/// One more thing to say about a user.
///
/// # Errors
/// As SQLite.
pub fn find(transaction: &Transaction<'_>, user_id: &str, finding: &Finding) -> rusqlite::Result<()> {
    let finding = serde_json::to_string(finding).unwrap_or_default();
    transaction
        .prepare_cached(
            "UPDATE users SET findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?2)) WHERE user_id = ?1",
        )?
        .execute(params![user_id, finding])?;
    Ok(())
}

/// Somebody's claim to an identity at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkClaim {
    /// The provider.
    pub idp_id: String,
    /// The external id as the unique constraint sees it.
    pub folded: String,
    /// The external id.
    pub external_id: String,
    /// Whose identity it is.
    pub user_id: String,
    /// ZITADEL has it from us already.
    pub have: bool,
    /// Who would get it.
    pub holder: Claim,
}

/// All claims on identities that more than one user has, ordered by identity.
///
/// # Errors
/// As SQLite.
pub fn contested_links(connection: &Connection, run: i64) -> rusqlite::Result<Vec<LinkClaim>> {
    let holder = CLAIM.split(", ").map(|column| format!("u.{column}")).collect::<Vec<_>>().join(", ");
    connection
        .prepare(&format!(
            "SELECT {holder}, l.idp_id, l.folded, l.external_id, l.user_id, l.have
             FROM links l JOIN users u ON u.user_id = l.holder
             WHERE (l.idp_id, l.folded) IN (SELECT idp_id, folded FROM links GROUP BY idp_id, folded HAVING count(*) > 1)
               AND (l.have = 1 OR (l.run = ?1 AND u.run = ?1 AND u.action NOT IN (4, 5)))
             ORDER BY l.idp_id, l.folded, l.user_id"
        ))?
        .query_map([run], |row| {
            Ok(LinkClaim {
                holder: Claim { name_key: String::new(), ..claim_or(row)? },
                idp_id: row.get(9)?,
                folded: row.get(10)?,
                external_id: row.get(11)?,
                user_id: row.get(12)?,
                have: row.get(13)?,
            })
        })?
        .collect()
}

/// A claim of a user who may have no name of this run.
fn claim_or(row: &rusqlite::Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        user_id: row.get(0)?,
        name_key: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
        connection: row.get(2)?,
        ours: row.get(3)?,
        verified: row.get(4)?,
        has_password: row.get(5)?,
        last_login: row.get(6)?,
        profile: row.get(7)?,
        suffix: row.get(8)?,
    })
}

/// Nobody gets this link: another user keeps the identity.
///
/// # Errors
/// As SQLite.
pub fn drop_link(transaction: &Transaction<'_>, link: &LinkClaim) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE links SET holder = NULL WHERE user_id = ?1 AND idp_id = ?2 AND external_id = ?3")?
        .execute(params![link.user_id, link.idp_id, link.external_id])?;
    Ok(())
}

/// ZITADEL has exactly these links of the user from us.
///
/// # Errors
/// As SQLite.
pub fn set_have(transaction: &Transaction<'_>, user_id: &str, links: &[(String, String)]) -> rusqlite::Result<()> {
    transaction.prepare_cached("UPDATE links SET have = 0 WHERE holder = ?1 AND have = 1")?.execute([user_id])?;
    let mut have = transaction
        .prepare_cached("UPDATE links SET have = 1 WHERE holder = ?1 AND idp_id = ?2 AND external_id = ?3")?;
    for (idp_id, external_id) in links {
        have.execute(params![user_id, idp_id, external_id])?;
    }
    Ok(())
}

/// The links of the user that ZITADEL has from us.
///
/// # Errors
/// As SQLite.
pub fn have(connection: &Connection, user_id: &str) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare_cached("SELECT DISTINCT idp_id, external_id FROM links WHERE holder = ?1 AND have = 1 ORDER BY 1, 2")?
        .query_map([user_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The links that the user gets after all in this run (without names to show, which the ledger does not keep), and the
/// accounts that became part of the user; both in a fixed order.
///
/// # Errors
/// As SQLite.
pub fn made_of(connection: &Connection, run: i64, user_id: &str) -> rusqlite::Result<(Vec<Link>, Vec<String>)> {
    let links = connection
        .prepare_cached(
            "SELECT DISTINCT idp_id, external_id, by_import FROM links WHERE holder = ?1 AND run = ?2
             ORDER BY idp_id, external_id",
        )?
        .query_map(params![user_id, run], link)?
        .collect::<rusqlite::Result<_>>()?;
    let joined = connection
        .prepare_cached("SELECT user_id FROM joined WHERE into_id = ?1 AND run = ?2 ORDER BY user_id")?
        .query_map(params![user_id, run], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok((links, joined))
}

fn link(row: &rusqlite::Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link { idp_id: row.get(0)?, external_user_id: row.get(1)?, display_name: String::new(), by_import: row.get(2)? })
}

/// A user whose links are not the row's own alone: another fingerprint, and maybe another road.
///
/// # Errors
/// As SQLite.
pub fn adjust(transaction: &Transaction<'_>, user_id: &str, profile: Digest, users_api: bool) -> rusqlite::Result<()> {
    // With these links a user of ours may turn out to be unchanged, or to be changed after all.
    let same = "have_profile IS ?2 AND (want_password IS NULL OR have_password IS want_password)";
    transaction.execute(
        &format!(
            "UPDATE users SET want_profile = ?2, adjusted = 1, route = max(coalesce(route, 0), ?3),
                    outcome = CASE WHEN owner = 1 AND progress NOT IN (1, 2)
                                   THEN CASE WHEN {same} THEN 2 ELSE NULL END ELSE outcome END,
                    action = CASE WHEN owner = 1 AND progress NOT IN (1, 2)
                                  THEN CASE WHEN {same} THEN 2 ELSE 1 END ELSE action END,
                    progress = CASE WHEN owner = 1 AND progress NOT IN (1, 2)
                                    THEN CASE WHEN {same} THEN 3 ELSE 0 END ELSE progress END
             WHERE user_id = ?1"
        ),
        params![user_id, profile, users_api],
    )?;
    Ok(())
}

/// How many users of a run hang on each provider.
///
/// # Errors
/// As SQLite.
pub fn count_by_provider(connection: &Connection, run: i64) -> rusqlite::Result<Vec<(String, u64)>> {
    connection
        .prepare(
            "SELECT l.idp_id, count(DISTINCT l.holder) FROM links l JOIN users u ON u.user_id = l.holder
             WHERE l.run = ?1 AND u.run = ?1 AND u.action NOT IN (4, 5) GROUP BY l.idp_id",
        )?
        .query_map([run], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// How many users of a run have a finding with this code, by its detail.
///
/// # Errors
/// As SQLite.
pub fn count_findings(connection: &Connection, run: i64, code: &str) -> rusqlite::Result<Vec<(String, u64)>> {
    connection
        .prepare(
            "SELECT coalesce(json_extract(f.value, '$.detail'), ''), count(DISTINCT u.id)
             FROM users u, json_each(u.findings) f
             WHERE u.run = ?1 AND u.findings IS NOT NULL AND json_extract(f.value, '$.code') = ?2
             GROUP BY 1 ORDER BY 1",
        )?
        .query_map(params![run, code], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

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
/// As SQLite.
pub fn created_idps(connection: &Connection) -> rusqlite::Result<Vec<CreatedIdp>> {
    connection
        .prepare("SELECT connection, idp_id, name, organization FROM created_idps ORDER BY connection")?
        .query_map([], |row| {
            Ok(CreatedIdp {
                connection: row.get(0)?,
                idp_id: row.get(1)?,
                name: row.get(2)?,
                organization: row.get(3)?,
            })
        })?
        .collect()
}

/// Writes down a provider that is about to be created, or was.
///
/// # Errors
/// As SQLite.
pub fn put_created_idp(transaction: &Transaction<'_>, idp: &CreatedIdp) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO created_idps (connection, idp_id, name, organization, requested_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (connection) DO UPDATE SET idp_id = excluded.idp_id, name = excluded.name,
           organization = excluded.organization",
        params![idp.connection, idp.idp_id, idp.name, idp.organization, super::runs::now()],
    )?;
    Ok(())
}

/// The provider was not created, or is gone.
///
/// # Errors
/// As SQLite.
pub fn forget_created_idp(transaction: &Transaction<'_>, connection: &str) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM created_idps WHERE connection = ?1", [connection])?;
    Ok(())
}
