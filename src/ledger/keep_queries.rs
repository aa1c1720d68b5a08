//! What the merge with ZITADEL's values reads and writes before the import.

use rusqlite::params;

use super::plan_queries::PlannedUser;
use super::sql::{Result, Snapshot, Transaction};
use crate::mapping::facts::Facts;

/// A user of ours whom a run would update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToUpdate {
    /// The ledger's own row number.
    pub id: i64,
    /// Whose.
    pub user_id: String,
    /// What a2z wrote.
    pub facts: Option<Facts>,
    /// What a request said whose answer was lost.
    pub sent: Option<Facts>,
    /// What Auth0 says, mapped.
    pub want: Facts,
    /// We deactivated the user.
    pub have_inactive: bool,
    /// The user name in ZITADEL has a suffix that is not in the row.
    pub has_suffix: bool,
}

/// Users of ours whom `run` would update, after row `after`; nobody in doubt.
///
/// # Errors
/// As SQLite.
pub fn to_update(connection: &Snapshot<'_>, run: i64, after: i64, limit: usize) -> Result<Vec<ToUpdate>> {
    let facts = |bytes: Option<Vec<u8>>| bytes.as_deref().and_then(Facts::decode);
    connection.all(
        "SELECT id, user_id, facts, want_facts, have_inactive, name_suffix IS NOT NULL, sent_facts FROM users
             WHERE id > ?2 AND run = ?1 AND owner = 1 AND action = 1 AND progress = 0 AND want_facts IS NOT NULL
             ORDER BY id LIMIT ?3",
        params![run, after, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            Ok(ToUpdate {
                id: row.get(0)?,
                user_id: row.get(1)?,
                facts: facts(row.get(2)?),
                sent: facts(row.get(6)?),
                want: facts(row.get(3)?).unwrap_or_default(),
                have_inactive: row.get(4)?,
                has_suffix: row.get(5)?,
            })
        },
    )
}

/// How many users whom `run` would update keep a value of ZITADEL's.
///
/// # Errors
/// As SQLite.
pub fn count_keeping(connection: &Snapshot<'_>, run: i64) -> Result<u64> {
    connection.one("SELECT count(*) FROM users WHERE run = ?1 AND action = 1 AND keeps", [run], |row| row.get(0))
}

/// Takes over the new fingerprint of users of ours who have another one and about whom Auth0 says, field by field, what a2z
/// wrote: nothing of them changed. Values under the metadata keys `history` do not count.
///
/// # Errors
/// As SQLite.
pub fn adopt_fingerprints(transaction: &Transaction<'_>, users: &[PlannedUser], history: &[String]) -> Result<()> {
    // An incomplete user has a fingerprint of zeros, and must stay different.
    let mut known = transaction.prepare(
        "SELECT facts FROM users
         WHERE user_id = ?1 AND owner = 1 AND progress = 3 AND have_profile <> ?2 AND have_profile <> zeroblob(16)",
    )?;
    let mut adopt = transaction.prepare("UPDATE users SET have_profile = ?2 WHERE user_id = ?1")?;
    for user in users {
        let Ok(wanted) = &user.plan else { continue };
        let Some(want) = wanted.facts.as_deref().and_then(Facts::decode) else { continue };
        let mut rows = known.query(params![user.user_id, wanted.profile])?;
        let Some(row) = rows.next()? else { continue };
        let have = row.get::<_, Option<Vec<u8>>>(0)?.as_deref().and_then(Facts::decode);
        if have.is_some_and(|have| have.is_same_profile(&want, history)) {
            drop(rows);
            adopt.execute(params![user.user_id, wanted.profile])?;
        }
    }
    Ok(())
}
