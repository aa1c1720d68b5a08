//! Which of the users that a run wrote a search has found.

use rusqlite::params;

use crate::ledger::{
    sql::{Result, Snapshot, Transaction},
    states::{OURS, Part, UNCHANGED, WRITTEN},
};

/// Users that this run wrote. One that was planned again in the middle counts those that it wrote before as unchanged: the
/// time tells.
const OF_RUN: Part = Part(|f| {
    write!(
        f,
        "run = ?1 AND (outcome IN {WRITTEN} OR (outcome = {UNCHANGED} AND owner = {OURS}
         AND settled_at > (SELECT started_at FROM runs WHERE run = ?1)))"
    )
});

/// Ids of users that this run wrote and that were not seen in ZITADEL yet, after `after` (the ledger's own row number);
/// each with that number.
///
/// # Errors
/// If SQLite fails.
pub fn not_seen(connection: &Snapshot<'_>, run: i64, after: i64, limit: usize) -> Result<Vec<(i64, String)>> {
    connection.all(
        &format!("SELECT id, user_id FROM users WHERE id > ?2 AND {OF_RUN} AND visible = 0 ORDER BY id LIMIT ?3"),
        params![run, after, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// These users were found by a search.
///
/// # Errors
/// If SQLite fails.
pub fn set_seen(transaction: &Transaction<'_>, user_ids: &[String]) -> Result<()> {
    let mut update = transaction.prepare("UPDATE users SET visible = 1 WHERE user_id = ?1")?;
    for user_id in user_ids {
        update.execute([user_id])?;
    }
    Ok(())
}

/// Of the users that this run wrote: how many there are, and how many were seen.
///
/// # Errors
/// If SQLite fails.
pub fn count_seen(connection: &Snapshot<'_>, run: i64) -> Result<(u64, u64)> {
    connection.one(&format!("SELECT count(*), coalesce(sum(visible), 0) FROM users WHERE {OF_RUN}"), [run], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    #[test]
    fn whom_a_run_wrote_before_it_was_planned_anew_is_counted_back_too() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        ledger
            .write_blocking(|t| {
                t.execute("INSERT INTO runs (run, started_at) VALUES (2, '2026-11-23T10:00:00Z')", [])?;
                let mut insert = t.prepare(
                    "INSERT INTO users (user_id, run, file, line, row, action, owner, progress, outcome,
                        settled_at, visible)
                     VALUES (?1, 2, 0, 1, 1, 0, 1, 3, ?2, ?3, ?4)",
                )?;
                insert.execute(params!["created", 0, "2026-11-23T10:05:00Z", true])?;
                insert.execute(params!["before-the-plan", 2, "2026-11-23T10:00:01Z", false])?;
                insert.execute(params!["of-an-earlier-run", 2, "2026-11-23T10:00:00Z", false])?;
                Ok(())
            })
            .unwrap();
        assert_eq!(ledger.read(|c| count_seen(c, 2)).unwrap(), (2, 1));
        let ids: Vec<_> = ledger.read(|c| not_seen(c, 2, 0, 10)).unwrap().into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, ["before-the-plan"]);
    }
}
