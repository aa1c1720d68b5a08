//! How ZITADEL differs from the ledger, as `verify` found it last.

use jiff::Timestamp;
use rusqlite::params;

use crate::{
    ledger::{
        codes::LAST_WRITE,
        sql::{Result, Snapshot, Transaction},
        states::{CODE_OURS, EMAIL, IN_DOUBT, OURS, Part, SMS, WRITTEN},
    },
    mapping::codes::Kind,
};

/// Ours, and no request is under way or in doubt that may have changed the user. Whom `rollback` deleted is no longer
/// looked for.
pub(super) const SETTLED: Part = Part(|f| {
    write!(
        f,
        "owner = {OURS} AND progress NOT IN {IN_DOUBT}
         AND NOT EXISTS (SELECT 1 FROM removed WHERE removed.user_id = users.user_id)"
    )
});

/// The user differed when looked at last.
const DIFFERS: &str = "EXISTS (SELECT 1 FROM differences WHERE differences.user_id = users.user_id)";

/// Which users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody that this ledger created.
    All,
    /// Whom this run created or updated, and who differed before. A run that was planned again in the middle counts those
    /// whom it wrote before as unchanged: the time tells.
    Run(i64),
    /// Who differed when looked at last.
    Differing,
}

/// What a projection that passed over an event may be the cause of, whatever about it differs.
const OF_PROJECTIONS: [&str; 6] = ["organization", "login-name", "links", "roles", "state", "totp"];

impl Scope {
    fn filter(self) -> String {
        match self {
            Self::All => SETTLED.to_string(),
            Self::Run(run) => format!(
                "{SETTLED} AND ((run = {run} AND outcome IN {WRITTEN}) OR (run = {run}
                       AND settled_at > (SELECT started_at FROM runs WHERE run = {run}))
                     OR user_id IN (SELECT user_id FROM codes WHERE gave = {run}) OR {DIFFERS})"
            ),
            Self::Differing => format!("{SETTLED} AND {DIFFERS}"),
        }
    }
}

/// A user to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// The ledger's own row number.
    pub id: i64,
    /// Whose.
    pub user_id: String,
    /// [`crate::mapping::facts`], encoded; none where an older a2z wrote the user.
    pub facts: Option<Vec<u8>>,
    /// The metadata or the links differed when they were looked at last.
    pub metadata_differed: bool,
    /// The second factors differed when they were looked at last.
    pub factors_differed: bool,
    /// Where we created the user; none: in the main organization.
    pub organization: Option<String>,
    /// When we wrote the user last, where that is known.
    pub settled_at: Option<Timestamp>,
    /// The kinds of codes that the user has from us as second factors.
    pub codes: Vec<Kind>,
}

/// A way in which a user differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// A stable code: `missing`, `state`, `email`, …
    pub what: &'static str,
    /// What about it; printable, no secret and no value of the user's.
    pub detail: Option<String>,
    /// A projection that passed over an event may be the cause.
    pub passed_over: bool,
}

impl Difference {
    /// A difference of this code.
    #[must_use]
    pub fn new(what: &'static str, detail: Option<String>) -> Self {
        Self { what, detail, passed_over: OF_PROJECTIONS.contains(&what) }
    }
}

/// How many users there are to look at, and how many of them have metadata.
///
/// # Errors
/// If SQLite fails.
pub fn count(connection: &Snapshot<'_>, scope: Scope) -> Result<(u64, u64)> {
    let sql =
        format!("SELECT count(*), coalesce(sum(substr(facts, 2, 1) = x'01'), 0) FROM users WHERE {}", scope.filter());
    connection.one(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// How many of them have second factors from us.
///
/// # Errors
/// If SQLite fails.
pub fn count_with_factors(connection: &Snapshot<'_>, scope: Scope) -> Result<u64> {
    let sql = format!(
        "SELECT count(*) FROM users WHERE (have_factors IS NOT NULL OR user_id IN (SELECT user_id FROM codes
           WHERE state = {CODE_OURS}))
         AND {}",
        scope.filter()
    );
    connection.one(&sql, [], |row| row.get(0))
}

/// At most `limit` users after row `after`.
///
/// # Errors
/// If SQLite fails.
pub fn page(connection: &Snapshot<'_>, scope: Scope, after: i64, limit: usize) -> Result<Vec<Ours>> {
    let sql = format!(
        "SELECT id, user_id, facts,
                EXISTS (SELECT 1 FROM differences WHERE differences.user_id = users.user_id
                    AND what IN ('metadata', 'links')),
                EXISTS (SELECT 1 FROM differences WHERE differences.user_id = users.user_id
                        AND what IN ('totp', 'recovery-codes', 'sms-codes', 'email-codes')),
                organization, {LAST_WRITE},
                EXISTS (SELECT 1 FROM codes WHERE codes.user_id = users.user_id AND kind = {SMS}
                    AND state = {CODE_OURS}),
                EXISTS (SELECT 1 FROM codes WHERE codes.user_id = users.user_id AND kind = {EMAIL}
                    AND state = {CODE_OURS})
         FROM users WHERE id > ?1 AND {} ORDER BY id LIMIT ?2",
        scope.filter()
    );
    connection.all(&sql, params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(Ours {
            id: row.get(0)?,
            user_id: row.get(1)?,
            facts: row.get(2)?,
            metadata_differed: row.get(3)?,
            factors_differed: row.get(4)?,
            organization: row.get(5)?,
            settled_at: row.get::<_, Option<String>>(6)?.and_then(|at| at.parse().ok()),
            codes: Kind::ALL
                .into_iter()
                .zip([row.get(7)?, row.get(8)?])
                .filter_map(|(k, has)| bool::then_some(has, k))
                .collect(),
        })
    })
}

/// These users were looked at, and this is how they differ.
///
/// # Errors
/// If SQLite fails.
pub fn replace(transaction: &Transaction<'_>, looked_at: &[(String, Vec<Difference>)]) -> Result<()> {
    let mut delete = transaction.prepare("DELETE FROM differences WHERE user_id = ?1")?;
    let mut insert =
        transaction.prepare("INSERT INTO differences (user_id, what, detail, passed_over) VALUES (?1, ?2, ?3, ?4)")?;
    for (user_id, differences) in looked_at {
        delete.execute([user_id])?;
        for difference in differences {
            insert.execute(params![user_id, difference.what, difference.detail, difference.passed_over])?;
        }
    }
    Ok(())
}

/// Forgets the differences of users who are ours no more. Returns how many users that is.
///
/// # Errors
/// If SQLite fails.
pub fn forget_strangers(transaction: &Transaction<'_>) -> Result<u64> {
    const STRANGERS: Part = Part(|f| {
        write!(
            f,
            "FROM differences WHERE user_id NOT IN (SELECT user_id FROM users WHERE owner = {OURS})
             OR user_id IN (SELECT user_id FROM removed)"
        )
    });
    let users = transaction.one(&format!("SELECT count(DISTINCT user_id) {STRANGERS}"), [], |row| row.get(0))?;
    transaction.execute(&format!("DELETE {STRANGERS}"), [])?;
    Ok(users)
}

/// Users of a run who differ, by what; one user may differ in several ways.
///
/// # Errors
/// If SQLite fails.
pub fn by_kind(connection: &Snapshot<'_>) -> Result<Vec<(String, u64)>> {
    connection.all("SELECT what, count(*) FROM differences GROUP BY what ORDER BY what", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// How many users of a run are missing, and how many differ otherwise.
///
/// # Errors
/// If SQLite fails.
pub fn count_differing(connection: &Snapshot<'_>, run: i64) -> Result<(u64, u64)> {
    connection.one(
        "SELECT coalesce(sum(gone), 0), count(*) - coalesce(sum(gone), 0) FROM
         (SELECT max(what = 'missing') AS gone FROM differences JOIN users USING (user_id)
          WHERE users.run = ?1 GROUP BY user_id)",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    #[test]
    fn only_whom_the_ledger_owns_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        ledger
            .write_blocking(|t| {
                let mut insert = t.prepare(
                    "INSERT INTO users (user_id, run, file, line, row, action, owner, progress, outcome, facts)
                     VALUES (?1, ?2, 0, 1, 1, 0, ?3, ?4, ?5, ?6)",
                )?;
                let with_metadata = Some(vec![1u8, 1]);
                insert.execute(params!["created", 2, 1, 3, 0, with_metadata])?;
                insert.execute(params!["in-doubt", 2, 0, 2, 6, None::<Vec<u8>>])?;
                insert.execute(params!["another's", 2, 2, 3, 3, None::<Vec<u8>>])?;
                insert.execute(params!["removed", 2, 1, 3, 0, None::<Vec<u8>>])?;
                insert.execute(params!["unchanged", 2, 1, 3, 2, Some(vec![1u8, 0])])?;
                insert.execute(params!["earlier", 1, 1, 3, 0, None::<Vec<u8>>])?;
                insert.execute(params!["before-the-plan", 2, 1, 3, 2, None::<Vec<u8>>])?;
                t.execute("INSERT INTO runs (run, started_at) VALUES (2, '2026-11-23T10:00:00Z')", [])?;
                t.execute("UPDATE users SET settled_at = '2026-11-23T09:59:59Z' WHERE user_id = 'unchanged'", [])?;
                t.execute(
                    "UPDATE users SET settled_at = '2026-11-23T10:00:01Z' WHERE user_id = 'before-the-plan'",
                    [],
                )?;
                t.execute("INSERT INTO removed VALUES ('removed', '')", [])?;
                let missing = Difference::new("missing", None);
                replace(t, &[("earlier".into(), vec![missing]), ("another's".into(), Vec::new())])?;
                Ok(())
            })
            .unwrap();
        let ids = |scope| {
            let users: Vec<_> =
                ledger.read(|c| page(c, scope, 0, 10)).unwrap().into_iter().map(|user| user.user_id).collect();
            assert_eq!(ledger.read(|c| count(c, scope)).unwrap().0, users.len() as u64);
            users
        };
        assert_eq!(ids(Scope::All), ["created", "unchanged", "earlier", "before-the-plan"]);
        assert_eq!(ids(Scope::Run(2)), ["created", "earlier", "before-the-plan"]);
        assert_eq!(ledger.read(|c| count(c, Scope::All)).unwrap(), (4, 1));
        assert_eq!(ledger.read(|c| count_differing(c, 1)).unwrap(), (1, 0));
        assert_eq!(ledger.read(|c| count_differing(c, 2)).unwrap(), (0, 0));
        ledger.write_blocking(|t| replace(t, &[("earlier".into(), Vec::new())])).unwrap();
        assert_eq!(ids(Scope::Run(2)), ["created", "before-the-plan"]);
    }
}
