//! Users of ours that ZITADEL shows otherwise than it was told, and the repairs under way.
//!
//! A repair takes two requests: one that takes the thing away (or writes another value), and one that writes it again. It
//! is in the journal from before the first until after the second, so that whoever dies in between goes on with it.

use rusqlite::params;

use crate::ledger::{
    codes::LAST_WRITE,
    differences::SETTLED,
    runs::now,
    sql::{Result, Snapshot, Transaction},
    states::{CODE_OURS, CREATED, OURS},
};

/// A user of ours that differed when it was compared last, or whose repair was begun and did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Whose.
    pub user_id: String,
    /// The codes of the differences; of those, whether a projection that skipped an event may be the cause.
    pub differences: Vec<(String, bool)>,
    /// What was being repaired.
    pub begun: Vec<String>,
    /// This run's export holds the user: what is to be written is known.
    pub in_export: bool,
    /// This run created the user.
    pub is_new: bool,
    /// Where the user is; none: in the main organization.
    pub organization: Option<String>,
    /// When the user was written last.
    pub settled_at: Option<jiff::Timestamp>,
}

/// Such users, in the order of the ledger.
///
/// # Errors
/// If SQLite fails.
pub fn suspects(connection: &Snapshot<'_>, run: i64) -> Result<Vec<Suspect>> {
    // A row per difference and per repair that was begun: two statements for each user would take minutes if it is many.
    let of = |columns: &str, table: &str| {
        format!(
            "SELECT users.user_id, users.run = ?1,
                    (users.run = ?1 AND outcome = {CREATED}) OR (wrote_run IS ?1 AND wrote IS {CREATED}),
                    {LAST_WRITE}, organization, users.id, {columns}
             FROM users JOIN {table} WHERE {SETTLED}"
        )
    };
    let sql = format!(
        "{} UNION ALL {} ORDER BY 6, 7",
        of("d.what, d.passed_over, 0", "differences d ON d.user_id = users.user_id"),
        of("p.part, 0, 1", "repairs p ON p.user_id = users.user_id AND p.ended = 0"),
    );
    let rows = connection.all(&sql, [run], |row| {
        let suspect = Suspect {
            user_id: row.get(0)?,
            differences: Vec::new(),
            begun: Vec::new(),
            in_export: row.get(1)?,
            is_new: row.get(2)?,
            organization: row.get(4)?,
            settled_at: row.get::<_, Option<String>>(3)?.and_then(|at| at.parse().ok()),
        };
        Ok((suspect, row.get::<_, String>(6)?, row.get::<_, bool>(7)?, row.get::<_, bool>(8)?))
    })?;
    let mut suspects: Vec<Suspect> = Vec::new();
    for (suspect, what, skipped, is_begun) in rows {
        if suspects.last().is_none_or(|last| last.user_id != suspect.user_id) {
            suspects.push(suspect);
        }
        let Some(last) = suspects.last_mut() else { continue };
        if is_begun {
            last.begun.push(what);
        } else {
            last.differences.push((what, skipped));
        }
    }
    Ok(suspects)
}

/// Does the user have role grants or codes from an earlier run, of which `run` knows nothing? A recreation would lose them.
///
/// # Errors
/// If SQLite fails.
pub fn has_more(connection: &Snapshot<'_>, run: i64, user_id: &str) -> Result<bool> {
    connection.one(
        &format!(
            "SELECT EXISTS (SELECT 1 FROM grants WHERE user_id = ?1 AND owner = {OURS} AND have IS NOT NULL AND run <> ?2)
                 OR EXISTS (SELECT 1 FROM codes WHERE user_id = ?1 AND state = {CODE_OURS} AND run <> ?2)"
        ),
        params![user_id, run],
        |row| row.get(0),
    )
}

/// Was a repair of this part of a user begun, and did not end?
///
/// # Errors
/// If SQLite fails.
pub fn is_begun(connection: &Snapshot<'_>, user_id: &str, part: &str) -> Result<bool> {
    connection.one(
        "SELECT EXISTS (SELECT 1 FROM repairs WHERE user_id = ?1 AND part = ?2 AND ended = 0)",
        params![user_id, part],
        |row| row.get(0),
    )
}

/// The first request of a repair is about to leave.
///
/// # Errors
/// If SQLite fails.
pub fn begin(transaction: &Transaction<'_>, user_id: &str, part: &str) -> Result<()> {
    transaction
        .execute(
            "INSERT OR REPLACE INTO repairs (user_id, part, at) VALUES (?1, ?2, ?3)",
            params![user_id, part, now()],
        )
        .map(drop)
}

/// ZITADEL stores what it is to store, or refused. What the account did until now is this ledger's work.
///
/// # Errors
/// If SQLite fails.
pub fn end(transaction: &Transaction<'_>, user_id: &str, part: &str) -> Result<()> {
    transaction
        .execute(
            "UPDATE repairs SET ended = 1, at = ?3 WHERE user_id = ?1 AND part = ?2",
            params![user_id, part, now()],
        )
        .map(drop)
}

/// The user is deleted: there is nothing left to repair.
///
/// # Errors
/// If SQLite fails.
pub(super) fn forget(transaction: &Transaction<'_>, user_id: &str) -> Result<()> {
    transaction.execute("DELETE FROM repairs WHERE user_id = ?1", [user_id]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{
        Ledger,
        states::{Action, Outcome, Owner, Progress},
        users::written_at,
    };

    #[test]
    fn a_repair_is_begun_until_it_ends_and_counts_as_a_write() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        ledger
            .write_blocking(|t| {
                t.execute(
                    "INSERT INTO users (user_id, run, file, line, row, action, owner, progress, outcome, settled_at)
                     VALUES ('a', 2, 0, 1, 1, ?1, ?2, ?3, ?4, '2026-11-23T10:00:00Z')",
                    params![Action::Create, Owner::Ours, Progress::Done, Outcome::Created],
                )?;
                begin(t, "a", "links")
            })
            .unwrap();
        let suspect = || ledger.read(|c| suspects(c, 2)).unwrap().pop();
        let begun = suspect().unwrap();
        assert_eq!((begun.begun.as_slice(), begun.in_export, begun.is_new), (&["links".to_owned()][..], true, true));
        assert!(ledger.read(|c| is_begun(c, "a", "links")).unwrap());
        ledger.write_blocking(|t| end(t, "a", "links")).unwrap();
        assert_eq!(suspect(), None);
        assert!(!ledger.read(|c| is_begun(c, "a", "links")).unwrap());
        let written = ledger.read(|c| written_at(c, "a")).unwrap().unwrap();
        assert!(written > "2026-11-23T10:00:00Z".parse().unwrap(), "a rollback would take it for another tool's work");
    }
}
