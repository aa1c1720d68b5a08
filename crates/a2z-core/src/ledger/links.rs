//! Links to identity providers.

use rusqlite::params;

use crate::{
    ledger::{
        sql::{Result, Snapshot, Transaction},
        states::{DONE, LOST_KEPT, Lost, MOVING, NOT_LOST, OURS, OUT, TO_SEND, TO_UPDATE},
        users::{Claim, claim_columns, claim_or},
    },
    mapping::{draft::Link, finding::BlockedCode, links::fold},
};

/// Writes down the links that a user of this run brings.
///
/// # Errors
/// If SQLite fails.
pub(super) fn put_links(transaction: &Transaction<'_>, run: i64, user_id: &str, links: &[Link]) -> Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let mut upsert = transaction.prepare(&format!(
        "INSERT INTO links (user_id, idp_id, external_id, folded, by_import, run, holder)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?1)
         ON CONFLICT (user_id, idp_id, external_id) DO UPDATE SET
           by_import = excluded.by_import, run = excluded.run, lost = {NOT_LOST},
           -- One that ZITADEL has stays where it is.
           holder = CASE WHEN have = 1 THEN holder ELSE excluded.holder END"
    ))?;
    for link in links {
        let folded = fold(&link.external_user_id);
        let values = params![user_id, link.idp_id, link.external_user_id, folded, link.by_import, run];
        upsert.execute(values)?;
    }
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
/// If SQLite fails.
pub fn contested_links(connection: &Snapshot<'_>, run: i64) -> Result<Vec<LinkClaim>> {
    let holder = claim_columns("u.", "name_key");
    connection.all(
        &format!(
            "SELECT {holder}, l.idp_id, l.folded, l.external_id, l.user_id, l.have
             FROM links l JOIN users u ON u.user_id = l.holder
             WHERE (l.idp_id, l.folded) IN (SELECT idp_id, folded
                 FROM links GROUP BY idp_id, folded HAVING count(*) > 1)
               AND ((l.have = 1 AND (l.run = ?1 OR u.run <> ?1 OR u.action IN {OUT}))
                    OR (l.run = ?1 AND u.run = ?1 AND u.action NOT IN {OUT}))
             ORDER BY l.idp_id, l.folded, l.user_id"
        ),
        [run],
        link_claim,
    )
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

/// Nobody gets this link.
///
/// # Errors
/// If SQLite fails.
pub fn drop_link(transaction: &Transaction<'_>, link: &LinkClaim, why: Lost) -> Result<()> {
    transaction.execute(
        "UPDATE links SET holder = NULL, lost = ?4 WHERE user_id = ?1 AND idp_id = ?2 AND external_id = ?3",
        params![link.user_id, link.idp_id, link.external_id, why],
    )?;
    Ok(())
}

/// Claims on identities that somebody was to keep who is not moved after all, ordered by identity; each with who that was.
///
/// # Errors
/// If SQLite fails.
pub fn unclaimed(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(LinkClaim, Vec<String>)>> {
    let holder = claim_columns("u.", "name_key");
    connection.all(
        &format!(
            "SELECT {holder}, l.idp_id, l.folded, l.external_id, l.user_id, l.have,
                    (SELECT json_group_array(k.holder) FROM links k
                     WHERE k.idp_id = l.idp_id AND k.folded = l.folded AND k.holder IS NOT NULL)
             FROM links l LEFT JOIN joined j ON j.user_id = l.user_id AND j.run = ?1
               JOIN users u ON u.user_id = coalesce(j.into_id, l.user_id)
             WHERE l.run = ?1 AND l.holder IS NULL AND l.lost = {LOST_KEPT} AND u.run = ?1 AND u.action IN {MOVING}
               AND NOT EXISTS (
                 SELECT 1 FROM links k JOIN users h ON h.user_id = k.holder
                 WHERE k.idp_id = l.idp_id AND k.folded = l.folded
                   AND ((k.have = 1 AND h.code IS NOT ?2)
                        OR (k.run = ?1 AND h.run = ?1 AND h.action IN {MOVING}
                            -- Refused at the import, or found to be there: not moved either.
                            AND (h.owner = {OURS} OR h.progress <> {DONE}))))
             ORDER BY l.idp_id, l.folded, l.user_id"
        ),
        params![run, BlockedCode::GoneFromZitadel.code()],
        |row| {
            let before: String = row.get(14)?;
            Ok((link_claim(row)?, serde_json::from_str(&before).unwrap_or_default()))
        },
    )
}

/// This user gets the link after all.
///
/// # Errors
/// If SQLite fails.
pub fn give_link(transaction: &Transaction<'_>, link: &LinkClaim) -> Result<()> {
    transaction.execute(
        &format!(
            "UPDATE links SET holder = ?4, lost = {NOT_LOST}
             WHERE user_id = ?1 AND idp_id = ?2 AND external_id = ?3"
        ),
        params![link.user_id, link.idp_id, link.external_id, link.holder.user_id],
    )?;
    Ok(())
}

/// Links to a provider of the main organization that users of other organizations would get.
///
/// # Errors
/// If SQLite fails.
pub fn elsewhere(connection: &Snapshot<'_>, run: i64, idp_id: &str, main: Option<&str>) -> Result<Vec<LinkClaim>> {
    let holder = claim_columns("u.", "name_key");
    connection.all(
        &format!(
            "SELECT {holder}, l.idp_id, l.folded, l.external_id, l.user_id, l.have
             FROM links l JOIN users u ON u.user_id = l.holder
             WHERE l.idp_id = ?2 AND l.run = ?1 AND l.have = 0 AND u.run = ?1 AND u.action IN {MOVING}
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
/// If SQLite fails.
pub fn moved(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, String, String)>> {
    connection.all(
        &format!(
            "SELECT l.holder, l.idp_id, l.external_id FROM links l JOIN users a ON a.user_id = l.holder
             WHERE l.have = 1 AND l.run <> ?1 AND a.run = ?1 AND a.owner = {OURS} AND a.action = {TO_UPDATE}
               AND a.progress <> {DONE}
               AND EXISTS (SELECT 1 FROM links k JOIN users b ON b.user_id = k.holder
                           WHERE k.idp_id = l.idp_id AND k.folded = l.folded AND k.holder <> l.holder AND k.run = ?1
                             AND b.run = ?1 AND b.action IN {TO_SEND} AND b.progress <> {DONE})
               AND NOT EXISTS (SELECT 1 FROM links k WHERE k.idp_id = l.idp_id AND k.folded = l.folded
                                 AND k.holder = l.holder AND k.run = ?1)
             ORDER BY 1, 2, 3"
        ),
        [run],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// ZITADEL has this link of the user no more.
///
/// # Errors
/// If SQLite fails.
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
/// If SQLite fails.
pub fn ever(connection: &Snapshot<'_>, user_id: &str) -> Result<Vec<(String, String)>> {
    connection.all(
        "SELECT idp_id, external_id FROM links WHERE holder = ?1
         UNION SELECT idp_id, external_id FROM links WHERE user_id = ?1",
        [user_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// ZITADEL has exactly these links of the user from us.
///
/// # Errors
/// If SQLite fails.
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
/// If SQLite fails.
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
/// If SQLite fails.
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
/// If SQLite fails.
pub fn has_own_links(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<bool> {
    connection.one(
        "SELECT NOT EXISTS (SELECT 1 FROM links WHERE user_id = ?2 AND run = ?1 AND holder IS NOT ?2)
         AND NOT EXISTS (SELECT 1 FROM links WHERE holder = ?2 AND run = ?1 AND user_id <> ?2)",
        params![run, user_id],
        |row| row.get(0),
    )
}

/// How many users of a run hang on each provider.
///
/// # Errors
/// If SQLite fails.
pub fn count_by_provider(connection: &Snapshot<'_>, run: i64) -> Result<Vec<(String, u64)>> {
    connection.all(
        &format!(
            "SELECT l.idp_id, count(DISTINCT l.holder) FROM links l JOIN users u ON u.user_id = l.holder
             WHERE l.run = ?1 AND u.run = ?1 AND u.action NOT IN {OUT} GROUP BY l.idp_id"
        ),
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// How many users have links from us.
///
/// # Errors
/// If SQLite fails.
pub fn count_linked(connection: &Snapshot<'_>) -> Result<u64> {
    connection.one("SELECT count(DISTINCT holder) FROM links WHERE have = 1", [], |row| row.get(0))
}
