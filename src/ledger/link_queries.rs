//! Links to identity providers, accounts that were joined, and identity providers that this ledger created.

use rusqlite::params;

use super::plan_queries::{CLAIM, Claim, Digest, claim};
use super::sql::{Result, Snapshot, Transaction};
use crate::mapping::{draft::Link, finding::Finding, links::fold};

/// Writes down the links that a user of this run brings.
///
/// # Errors
/// As SQLite.
pub(super) fn put_links(transaction: &Transaction<'_>, run: i64, user_id: &str, links: &[Link]) -> Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let mut upsert = transaction.prepare(
        "INSERT INTO links (user_id, idp_id, external_id, folded, by_import, run, holder)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?1)
         ON CONFLICT (user_id, idp_id, external_id) DO UPDATE SET
           by_import = excluded.by_import, run = excluded.run, lost = 0,
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
pub fn sharing_email(connection: &Snapshot<'_>, run: i64) -> Result<Vec<Claim>> {
    let columns = CLAIM.replacen("name_key", "email_key", 1);
    connection.all(
        &format!(
            "SELECT {columns} FROM users
             WHERE email_key IN (SELECT email_key FROM users WHERE email_key IS NOT NULL
                                 GROUP BY email_key HAVING count(*) > 1)
               AND run = ?1 AND action NOT IN (4, 5)
             ORDER BY email_key, user_id"
        ),
        [run],
        claim,
    )
}

/// Accounts of this run that became part of a user whom ZITADEL has with them from us, each with that user's id, ordered by
/// it.
///
/// # Errors
/// As SQLite.
pub fn joined_before(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, Claim)>> {
    let columns = CLAIM.split(", ").map(|column| format!("u.{column}")).collect::<Vec<_>>().join(", ");
    connection.all(&format!(
            "SELECT {columns}, j.into_id FROM joined j JOIN users u USING (user_id) JOIN users k ON k.user_id = j.into_id
             WHERE j.have = 1 AND k.owner = 1 AND u.run = ?1 AND u.action NOT IN (4, 5)
             ORDER BY j.into_id, u.user_id"
        ), [run], |row| Ok((row.get(9)?, claim_or(row)?)))
}

/// Has the user a password, or is to get one?
///
/// # Errors
/// As SQLite.
pub fn has_password(connection: &Snapshot<'_>, user_id: &str) -> Result<bool> {
    connection.one(
        "SELECT want_password IS NOT NULL OR have_password IS NOT NULL FROM users WHERE user_id = ?1",
        [user_id],
        |row| row.get(0),
    )
}

/// What the fingerprint of a user whom `run` is to write is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// That of the row alone.
    pub profile: Digest,
    /// There is a password to send.
    pub has_password: bool,
}

/// What the fingerprint of a user whom `run` is to write is made from, with the suffix of the user name; none of anybody
/// else.
///
/// # Errors
/// As SQLite.
pub fn base(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<Option<(Base, Option<String>)>> {
    connection.first(
        "SELECT row_profile, want_password IS NOT NULL, name_suffix FROM users
             WHERE user_id = ?2 AND run = ?1 AND action IN (0, 1, 2) AND row_profile IS NOT NULL",
        params![run, user_id],
        |row| Ok((Base { profile: row.get(0)?, has_password: row.get(1)? }, row.get(2)?)),
    )
}

/// May this account become part of another user? Not where ZITADEL has it already, or may have it.
///
/// # Errors
/// As SQLite.
pub fn is_free(connection: &Snapshot<'_>, user_id: &str) -> Result<bool> {
    connection.exists("SELECT 1 FROM users WHERE user_id = ?1 AND owner <> 1 AND progress = 0", [user_id])
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
) -> Result<()> {
    transaction.execute(
        "UPDATE users SET action = 5, progress = 3, outcome = 4, code = ?2, detail = ?3 WHERE user_id = ?1",
        params![user_id, code, into],
    )?;
    transaction.execute(
        "INSERT INTO joined (user_id, into_id, run) VALUES (?1, ?2, ?3)
             ON CONFLICT (user_id) DO UPDATE SET have = have AND into_id = excluded.into_id,
               into_id = excluded.into_id, run = excluded.run",
        params![user_id, into, run],
    )?;
    transaction.execute("UPDATE links SET holder = ?2 WHERE user_id = ?1 AND run = ?3", params![user_id, into, run])?;
    if let Some(left) = left {
        find(transaction, user_id, left)?;
    }
    Ok(())
}

/// Accounts that were to become part of a user who is not moved after all are not moved either, and say so.
///
/// # Errors
/// As SQLite.
pub fn release(transaction: &Transaction<'_>, run: i64, code: &str) -> Result<()> {
    transaction.execute(
        "UPDATE users SET action = 4, outcome = 5, code = ?2,
                detail = 'with ' || detail || ', whom a2z does not move: ' || (SELECT coalesce(k.code, 'existed') FROM users k WHERE k.user_id = users.detail)
         WHERE run = ?1 AND action = 5 AND user_id IN
           (SELECT j.user_id FROM joined j JOIN users k ON k.user_id = j.into_id
            WHERE j.run = ?1 AND (k.action IN (3, 4) OR (k.outcome IN (3, 5) AND k.owner <> 1)))",
        params![run, code],
    )?;
    Ok(())
}

/// Has the account metadata?
///
/// # Errors
/// As SQLite.
pub fn has_metadata(connection: &Snapshot<'_>, user_id: &str) -> Result<bool> {
    connection.one("SELECT has_metadata FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))
}

/// Has the account roles? And is it a member of an organization?
///
/// # Errors
/// As SQLite.
pub fn has_roles(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<(bool, bool)> {
    connection.one(
        "SELECT EXISTS (SELECT 1 FROM role_users WHERE user_id = ?2 AND run = ?1),
                EXISTS (SELECT 1 FROM members WHERE user_id = ?2 AND run = ?1)",
        params![run, user_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// The second factors that the MFA files hold of the account.
///
/// # Errors
/// As SQLite.
pub fn factors(connection: &Snapshot<'_>, user_id: &str) -> Result<Option<Digest>> {
    connection.one("SELECT want_factors FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))
}

/// One more thing to say about a user; said once, however often it is found.
///
/// # Errors
/// As SQLite.
pub fn find(transaction: &Transaction<'_>, user_id: &str, finding: &Finding) -> Result<()> {
    let finding = serde_json::to_string(finding).unwrap_or_default();
    transaction.execute(
        "UPDATE users SET findings = json_insert(coalesce(findings, '[]'), '$[#]', json(?2)) WHERE user_id = ?1
               AND NOT EXISTS (SELECT 1 FROM json_each(coalesce(findings, '[]')) WHERE value = json(?2))",
        params![user_id, finding],
    )?;
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

/// All claims on identities that more than one user has, ordered by identity. Who has one in ZITADEL claims it; but not who
/// is about to lose it, for it is not that user's in Auth0 any more.
///
/// # Errors
/// As SQLite.
pub fn contested_links(connection: &Snapshot<'_>, run: i64) -> Result<Vec<LinkClaim>> {
    let holder = CLAIM.split(", ").map(|column| format!("u.{column}")).collect::<Vec<_>>().join(", ");
    connection.all(&format!(
            "SELECT {holder}, l.idp_id, l.folded, l.external_id, l.user_id, l.have
             FROM links l JOIN users u ON u.user_id = l.holder
             WHERE (l.idp_id, l.folded) IN (SELECT idp_id, folded FROM links GROUP BY idp_id, folded HAVING count(*) > 1)
               AND ((l.have = 1 AND (l.run = ?1 OR u.run <> ?1 OR u.action IN (4, 5)))
                    OR (l.run = ?1 AND u.run = ?1 AND u.action NOT IN (4, 5)))
             ORDER BY l.idp_id, l.folded, l.user_id"
        ), [run], link_claim)
}

fn link_claim(row: &rusqlite::Row<'_>) -> rusqlite::Result<LinkClaim> {
    Ok(LinkClaim {
        holder: Claim { name_key: String::new(), ..claim_or(row)? },
        idp_id: row.get(9)?,
        folded: row.get(10)?,
        external_id: row.get(11)?,
        user_id: row.get(12)?,
        have: row.get(13)?,
    })
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

/// Why nobody gets a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Another user keeps the identity.
    Kept = 1,
    /// The provider is of another organization than the user.
    Elsewhere = 2,
}

/// Nobody gets this link.
///
/// # Errors
/// As SQLite.
pub fn drop_link(transaction: &Transaction<'_>, link: &LinkClaim, why: Lost) -> Result<()> {
    transaction.execute(
        "UPDATE links SET holder = NULL, lost = ?4 WHERE user_id = ?1 AND idp_id = ?2 AND external_id = ?3",
        params![link.user_id, link.idp_id, link.external_id, why as i64],
    )?;
    Ok(())
}

/// Claims on identities that somebody was to keep who is not moved after all, ordered by identity; each with who that was.
///
/// # Errors
/// As SQLite.
pub fn unclaimed(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(LinkClaim, Vec<String>)>> {
    let holder = CLAIM.split(", ").map(|column| format!("u.{column}")).collect::<Vec<_>>().join(", ");
    connection.all(
        &format!(
            "SELECT {holder}, l.idp_id, l.folded, l.external_id, l.user_id, l.have,
                    (SELECT json_group_array(k.holder) FROM links k
                     WHERE k.idp_id = l.idp_id AND k.folded = l.folded AND k.holder IS NOT NULL)
             FROM links l LEFT JOIN joined j ON j.user_id = l.user_id AND j.run = ?1
               JOIN users u ON u.user_id = coalesce(j.into_id, l.user_id)
             WHERE l.run = ?1 AND l.holder IS NULL AND l.lost = 1 AND u.run = ?1 AND u.action IN (0, 1, 2)
               AND NOT EXISTS (
                 SELECT 1 FROM links k JOIN users h ON h.user_id = k.holder
                 WHERE k.idp_id = l.idp_id AND k.folded = l.folded
                   AND ((k.have = 1 AND h.code IS NOT 'gone-from-zitadel')
                        OR (k.run = ?1 AND h.run = ?1 AND h.action IN (0, 1, 2)
                            -- Refused at the import, or found to be there: not moved either.
                            AND (h.owner = 1 OR h.progress <> 3))))
             ORDER BY l.idp_id, l.folded, l.user_id"
        ),
        [run],
        |row| {
            let before: String = row.get(14)?;
            Ok((link_claim(row)?, serde_json::from_str(&before).unwrap_or_default()))
        },
    )
}

/// This user gets the link after all.
///
/// # Errors
/// As SQLite.
pub fn give_link(transaction: &Transaction<'_>, link: &LinkClaim) -> Result<()> {
    transaction.execute(
        "UPDATE links SET holder = ?4, lost = 0 WHERE user_id = ?1 AND idp_id = ?2 AND external_id = ?3",
        params![link.user_id, link.idp_id, link.external_id, link.holder.user_id],
    )?;
    Ok(())
}

/// Links to a provider of the main organization that users of other organizations would get.
///
/// # Errors
/// As SQLite.
pub fn elsewhere(connection: &Snapshot<'_>, run: i64, idp_id: &str, main: Option<&str>) -> Result<Vec<LinkClaim>> {
    let holder = CLAIM.split(", ").map(|column| format!("u.{column}")).collect::<Vec<_>>().join(", ");
    connection.all(
        &format!(
            "SELECT {holder}, l.idp_id, l.folded, l.external_id, l.user_id, l.have
             FROM links l JOIN users u ON u.user_id = l.holder
             WHERE l.idp_id = ?2 AND l.run = ?1 AND l.have = 0 AND u.run = ?1 AND u.action IN (0, 1, 2)
               AND u.organization IS NOT NULL AND u.organization IS NOT ?3
             ORDER BY l.user_id, l.external_id"
        ),
        params![run, idp_id, main],
        link_claim,
    )
}

/// Links that ZITADEL has at users who are about to lose them, and that are another's in this run: holder, provider and
/// external id.
///
/// # Errors
/// As SQLite.
pub fn moved(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, String, String)>> {
    connection.all(
        "SELECT l.holder, l.idp_id, l.external_id FROM links l JOIN users a ON a.user_id = l.holder
             WHERE l.have = 1 AND l.run <> ?1 AND a.run = ?1 AND a.owner = 1 AND a.action = 1 AND a.progress <> 3
               AND EXISTS (SELECT 1 FROM links k JOIN users b ON b.user_id = k.holder
                           WHERE k.idp_id = l.idp_id AND k.folded = l.folded AND k.holder <> l.holder AND k.run = ?1
                             AND b.run = ?1 AND b.action IN (0, 1) AND b.progress <> 3)
               AND NOT EXISTS (SELECT 1 FROM links k WHERE k.idp_id = l.idp_id AND k.folded = l.folded
                                 AND k.holder = l.holder AND k.run = ?1)
             ORDER BY 1, 2, 3",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// ZITADEL has this link of the user no more.
///
/// # Errors
/// As SQLite.
pub fn taken_away(
    transaction: &Transaction<'_>,
    (holder, idp_id, external_id): &(String, String, String),
) -> Result<()> {
    transaction.execute(
        "UPDATE links SET have = 0 WHERE holder = ?1 AND idp_id = ?2 AND external_id = ?3",
        [holder, idp_id, external_id],
    )?;
    Ok(())
}

/// Every link that any run wanted to give to this user.
///
/// # Errors
/// As SQLite.
pub fn ever(connection: &Snapshot<'_>, user_id: &str) -> Result<Vec<(String, String)>> {
    connection.all(
        "SELECT idp_id, external_id FROM links WHERE holder = ?1
             UNION SELECT idp_id, external_id FROM links WHERE user_id = ?1",
        [user_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Takes back what was said about a user.
///
/// # Errors
/// As SQLite.
pub fn unfind(transaction: &Transaction<'_>, user_id: &str, finding: &Finding) -> Result<()> {
    let known: Option<String> =
        transaction.one("SELECT findings FROM users WHERE user_id = ?1", [user_id], |row| row.get(0))?;
    let mut findings: Vec<Finding> = known.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    findings.retain(|known| known != finding);
    let left = (!findings.is_empty()).then(|| serde_json::to_string(&findings).unwrap_or_default());
    transaction.execute("UPDATE users SET findings = ?2 WHERE user_id = ?1", params![user_id, left])?;
    Ok(())
}

/// ZITADEL has exactly these links of the user from us.
///
/// # Errors
/// As SQLite.
pub fn set_have(transaction: &Transaction<'_>, user_id: &str, links: &[(String, String)]) -> Result<()> {
    transaction.execute("UPDATE links SET have = 0 WHERE holder = ?1 AND have = 1", [user_id])?;
    let mut have =
        transaction.prepare("UPDATE links SET have = 1 WHERE holder = ?1 AND idp_id = ?2 AND external_id = ?3")?;
    for (idp_id, external_id) in links {
        have.execute(params![user_id, idp_id, external_id])?;
    }
    Ok(())
}

/// The links of the user that ZITADEL has from us.
///
/// # Errors
/// As SQLite.
pub fn have(connection: &Snapshot<'_>, user_id: &str) -> Result<Vec<(String, String)>> {
    connection.all(
        "SELECT DISTINCT idp_id, external_id FROM links WHERE holder = ?1 AND have = 1 ORDER BY 1, 2",
        [user_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// The links that the user gets after all in this run (without names to show, which the ledger does not keep), and the
/// accounts that became part of the user; both in a fixed order.
///
/// # Errors
/// As SQLite.
pub fn made_of(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<(Vec<Link>, Vec<String>)> {
    let links = connection.all(
        "SELECT DISTINCT idp_id, external_id, by_import FROM links WHERE holder = ?1 AND run = ?2
             ORDER BY idp_id, external_id",
        params![user_id, run],
        link,
    )?;
    let joined = connection.all(
        "SELECT user_id FROM joined WHERE into_id = ?1 AND run = ?2 ORDER BY user_id",
        params![user_id, run],
        |row| row.get(0),
    )?;
    Ok((links, joined))
}

fn link(row: &rusqlite::Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link { idp_id: row.get(0)?, external_user_id: row.get(1)?, display_name: String::new(), by_import: row.get(2)? })
}

/// Does the user get every link of the row, and no other?
///
/// # Errors
/// As SQLite.
pub fn has_own_links(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<bool> {
    connection.one(
        "SELECT NOT EXISTS (SELECT 1 FROM links WHERE user_id = ?2 AND run = ?1 AND holder IS NOT ?2)
                AND NOT EXISTS (SELECT 1 FROM links WHERE holder = ?2 AND run = ?1 AND user_id <> ?2)",
        params![run, user_id],
        |row| row.get(0),
    )
}

/// A user whose links may not be the row's own alone (`adjusted`): another fingerprint, and maybe another road.
///
/// # Errors
/// As SQLite.
pub fn adjust(
    transaction: &Transaction<'_>,
    user_id: &str,
    profile: Digest,
    (adjusted, users_api): (bool, bool),
) -> Result<()> {
    // With these links a user of ours may turn out to be unchanged, or to be changed after all.
    let same = "have_profile IS ?2 AND (want_password IS NULL OR have_password IS want_password)
                AND (want_factors IS NULL OR have_factors IS want_factors)";
    transaction.execute(
        &format!(
            "UPDATE users SET want_profile = ?2, adjusted = ?4, route = max(coalesce(route, 0), ?3),
                    outcome = CASE WHEN owner = 1 AND progress NOT IN (1, 2)
                                   THEN CASE WHEN {same} THEN 2 ELSE NULL END ELSE outcome END,
                    action = CASE WHEN owner = 1 AND progress NOT IN (1, 2)
                                  THEN CASE WHEN {same} THEN 2 ELSE 1 END ELSE action END,
                    progress = CASE WHEN owner = 1 AND progress NOT IN (1, 2)
                                    THEN CASE WHEN {same} THEN 3 ELSE 0 END ELSE progress END
             WHERE user_id = ?1"
        ),
        params![user_id, profile, users_api, adjusted],
    )?;
    Ok(())
}

/// How many users of a run hang on each provider.
///
/// # Errors
/// As SQLite.
pub fn count_by_provider(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, u64)>> {
    connection.all(
        "SELECT l.idp_id, count(DISTINCT l.holder) FROM links l JOIN users u ON u.user_id = l.holder
             WHERE l.run = ?1 AND u.run = ?1 AND u.action NOT IN (4, 5) GROUP BY l.idp_id",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// How many users of a run have a finding with this code, by its detail.
///
/// # Errors
/// As SQLite.
pub fn count_findings(connection: &Snapshot<'_>, run: i64, code: &str) -> Result<Vec<(String, u64)>> {
    connection.all(
        "SELECT coalesce(json_extract(f.value, '$.detail'), ''), count(DISTINCT u.id)
             FROM users u, json_each(u.findings) f
             WHERE u.run = ?1 AND u.findings IS NOT NULL AND json_extract(f.value, '$.code') = ?2
             GROUP BY 1 ORDER BY 1",
        params![run, code],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
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
pub fn created_idps(connection: &Snapshot<'_>) -> Result<Vec<CreatedIdp>> {
    connection.all("SELECT connection, idp_id, name, organization FROM created_idps ORDER BY connection", [], |row| {
        Ok(CreatedIdp { connection: row.get(0)?, idp_id: row.get(1)?, name: row.get(2)?, organization: row.get(3)? })
    })
}

/// Writes down a provider that is about to be created, or was.
///
/// # Errors
/// As SQLite.
pub fn put_created_idp(transaction: &Transaction<'_>, idp: &CreatedIdp) -> Result<()> {
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
pub fn forget_created_idp(transaction: &Transaction<'_>, connection: &str) -> Result<()> {
    transaction.execute("DELETE FROM created_idps WHERE connection = ?1", [connection])?;
    Ok(())
}
