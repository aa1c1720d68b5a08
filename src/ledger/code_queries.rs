//! Codes by SMS and by e-mail as second factors: who is to get them, who has them from us, and what became of the rest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{
    Connection, OptionalExtension as _, ToSql, Transaction, params,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use super::runs::now;
use crate::mapping::{
    codes::{Abilities, Destinations, Kind, Person, decide},
    finding::{Finding, FindingCode},
};

/// When we wrote a user of the table `users` last, a factor among it; empty if never.
pub(super) const LAST_WRITE: &str = "max(coalesce(settled_at, ''), coalesce((SELECT max(at) FROM codes
    WHERE codes.user_id = users.user_id AND codes.state = 2), ''))";

/// Who is left to be given something. A refusal is tried again by the next run only.
const TODO: &str = "codes.run = ?1 AND users.run = ?1
    AND (codes.state IN (0, 1) OR (codes.state = 5 AND codes.tried IS NOT ?1))";

/// Users of ours whose import is settled.
const SETTLED: &str = "users.owner = 1 AND users.progress = 3 AND users.outcome IN (0, 1, 2)";

/// Where a factor stands; numbers of the ledger: never give one another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was sent.
    Planned = 0,
    /// A request may have been carried out.
    InDoubt = 1,
    /// ZITADEL has it from us, or had.
    Ours = 2,
    /// The user had one already, not from us.
    Theirs = 3,
    /// It was ours, and somebody removed it in ZITADEL.
    TakenAway = 4,
    /// Not given, for a cause of the user's.
    Refused = 5,
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value.as_i64()? {
            0 => Self::Planned,
            1 => Self::InDoubt,
            2 => Self::Ours,
            3 => Self::Theirs,
            4 => Self::TakenAway,
            5 => Self::Refused,
            other => return Err(FromSqlError::OutOfRange(other)),
        })
    }
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(*self as i64))
    }
}

impl FromSql for Kind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Sms),
            1 => Ok(Self::Email),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

impl ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Sms => 0_i64,
            Self::Email => 1,
        }))
    }
}

/// A factor that is to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeTodo {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub kind: Kind,
    /// An earlier request may have been carried out.
    pub in_doubt: bool,
    /// This run created the user: what the plan says of the user is true of ZITADEL's.
    pub is_new: bool,
    /// ZITADEL has a password or a link of the user from us.
    pub has_way_in: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledCode {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub kind: Kind,
    /// How it ended.
    pub state: State,
    /// What there is to say about it.
    pub code: Option<FindingCode>,
    /// The server's id and words, where it refused.
    pub detail: Option<String>,
}

/// Nothing is wanted in this run until [`plan`] says so.
///
/// # Errors
/// As SQLite.
pub(super) fn begin(transaction: &Transaction<'_>, run: i64) -> rusqlite::Result<()> {
    transaction.execute("UPDATE codes SET run = 0 WHERE run = ?1", [run]).map(drop)
}

/// Decides about one user of whom Auth0 was asked. Returns which kinds do not count as lost, and what there is to say. Without
/// abilities (the operator does not ask for it) nothing is planned; what ZITADEL has is not lost all the same.
///
/// # Errors
/// As SQLite.
pub(super) fn plan(
    transaction: &Transaction<'_>,
    run: i64,
    user_id: &str,
    (destinations, person): (&Destinations, Person<'_>),
    abilities: Option<Abilities>,
) -> rusqlite::Result<(Vec<Kind>, Vec<Finding>)> {
    let (mut moving, mut said) = (Vec::new(), BTreeMap::<FindingCode, Vec<String>>::new());
    for kind in Kind::ALL.into_iter().filter(|kind| destinations.has(*kind)) {
        let (state, tried, code, detail) = known(transaction, user_id, kind)?;
        let mut say = |code: FindingCode, detail: Option<String>| {
            let what = detail.map_or_else(|| kind.word().to_owned(), |detail| format!("{}: {detail}", kind.word()));
            said.entry(code).or_default().push(what);
        };
        match state {
            State::Ours | State::Theirs => {
                moving.push(kind);
                if state == State::Theirs && tried == Some(run) {
                    say(FindingCode::FactorKept, None);
                }
            }
            State::TakenAway => {
                moving.push(kind);
                say(FindingCode::FactorTakenAway, None);
                continue;
            }
            State::Planned | State::InDoubt | State::Refused => {
                let Some(abilities) = abilities else { continue };
                if let Err(why) = decide(kind, destinations, person, abilities) {
                    say(why, None);
                    continue;
                }
                if state == State::Refused && tried == Some(run) {
                    say(code.unwrap_or(FindingCode::FactorRefused), detail);
                } else {
                    moving.push(kind);
                }
            }
        }
        transaction
            .prepare_cached(
                "INSERT INTO codes (user_id, kind, run) VALUES (?1, ?2, ?3)
                 ON CONFLICT (user_id, kind) DO UPDATE SET run = excluded.run",
            )?
            .execute(params![user_id, kind, run])?;
    }
    let findings = said.into_iter().map(|(code, what)| Finding::about(code, what.join(", "))).collect();
    Ok((moving, findings))
}

type Known = (State, Option<i64>, Option<FindingCode>, Option<String>);

fn known(connection: &Connection, user_id: &str, kind: Kind) -> rusqlite::Result<Known> {
    let known = connection
        .prepare_cached("SELECT state, tried, code, detail FROM codes WHERE user_id = ?1 AND kind = ?2")?
        .query_row(params![user_id, kind], |row| {
            let code: Option<String> = row.get(2)?;
            Ok((row.get(0)?, row.get(1)?, code.and_then(|code| FindingCode::parse(&code)), row.get(3)?))
        })
        .optional()?;
    Ok(known.unwrap_or((State::Planned, None, None, None)))
}

/// How many the plan wants to be given, those of users who are not created yet among them.
///
/// # Errors
/// As SQLite.
pub fn count_planned(connection: &Connection, run: i64) -> rusqlite::Result<u64> {
    connection.query_row(
        &format!(
            "SELECT count(*) FROM codes JOIN users USING (user_id)
             WHERE {TODO} AND ({SETTLED} OR (users.action IN (0, 1) AND users.progress <> 3))"
        ),
        [run],
        |row| row.get(0),
    )
}

/// How many users of this run get each kind, or have it from us.
///
/// # Errors
/// As SQLite.
pub fn count_moving(connection: &Connection, run: i64) -> rusqlite::Result<BTreeMap<&'static str, u64>> {
    let rows: Vec<(Kind, u64)> = connection
        .prepare(
            "SELECT kind, count(*) FROM codes WHERE run = ?1 AND (state IN (0, 1, 2)
                    OR (state = 5 AND tried IS NOT ?1)) GROUP BY kind",
        )?
        .query_map([run], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().map(|(kind, users)| (kind.word(), users)).collect())
}

/// How many users of this run have this kind from us.
///
/// # Errors
/// As SQLite.
pub fn count_given(connection: &Connection, run: i64, kind: Kind) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT count(*) FROM codes JOIN users USING (user_id) WHERE users.run = ?1 AND kind = ?2 AND state = 2",
        params![run, kind],
        |row| row.get(0),
    )
}

/// How many are left to be given now.
///
/// # Errors
/// As SQLite.
pub fn count_todo(connection: &Connection, run: i64) -> rusqlite::Result<u64> {
    connection.query_row(
        &format!("SELECT count(*) FROM codes JOIN users USING (user_id) WHERE {TODO} AND {SETTLED}"),
        [run],
        |row| row.get(0),
    )
}

/// At most `limit` of them after `after` (user and kind), in that order.
///
/// # Errors
/// As SQLite.
pub fn todo(
    connection: &Connection,
    run: i64,
    after: Option<(&str, Kind)>,
    limit: usize,
) -> rusqlite::Result<Vec<CodeTodo>> {
    let (user_id, kind) = after.unwrap_or(("", Kind::Sms));
    connection
        .prepare_cached(&format!(
            "SELECT codes.user_id, codes.kind, codes.state = 1, users.wrote_run IS ?1 AND users.wrote = 0,
                    users.have_password IS NOT NULL
                      OR EXISTS (SELECT 1 FROM links WHERE links.holder = users.user_id AND links.have = 1)
             FROM codes JOIN users USING (user_id)
             WHERE {TODO} AND {SETTLED} AND (codes.user_id, codes.kind) > (?2, ?3)
             ORDER BY codes.user_id, codes.kind LIMIT ?4"
        ))?
        .query_map(params![run, user_id, kind, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(CodeTodo {
                user_id: row.get(0)?,
                kind: row.get(1)?,
                in_doubt: row.get(2)?,
                is_new: row.get(3)?,
                has_way_in: row.get(4)?,
            })
        })?
        .collect()
}

/// Requests for these are about to leave.
///
/// # Errors
/// As SQLite.
pub fn begin_requests(transaction: &Transaction<'_>, todo: &[CodeTodo]) -> rusqlite::Result<()> {
    let mut update = transaction
        .prepare_cached("UPDATE codes SET state = 1 WHERE user_id = ?1 AND kind = ?2 AND state IN (0, 5)")?;
    for code in todo {
        update.execute(params![code.user_id, code.kind])?;
    }
    Ok(())
}

/// These were not sent after all: the run was stopped.
///
/// # Errors
/// As SQLite.
pub fn not_sent(transaction: &Transaction<'_>, todo: &[CodeTodo]) -> rusqlite::Result<()> {
    let mut update =
        transaction.prepare_cached("UPDATE codes SET state = 0 WHERE user_id = ?1 AND kind = ?2 AND state = 1")?;
    for code in todo.iter().filter(|code| !code.in_doubt) {
        update.execute(params![code.user_id, code.kind])?;
    }
    Ok(())
}

/// Settles one.
///
/// # Errors
/// As SQLite.
pub fn settle(transaction: &Transaction<'_>, run: i64, settled: &SettledCode) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE codes SET state = ?3, tried = ?4, code = ?5, detail = ?6, at = CASE WHEN ?3 = 2 THEN ?7 ELSE at END,
                    gave = CASE WHEN ?3 = 2 THEN ?4 ELSE gave END
             WHERE user_id = ?1 AND kind = ?2",
        )?
        .execute(params![
            settled.user_id,
            settled.kind,
            settled.state,
            run,
            settled.code.map(FindingCode::code),
            settled.detail,
            now()
        ])
        .map(drop)
}

/// When the first of those was given that ZITADEL has from us; none: it has none.
///
/// # Errors
/// As SQLite.
pub fn first_given(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let first: Option<String> =
        connection.query_row("SELECT min(at) FROM codes WHERE state = 2", [], |row| row.get(0))?;
    Ok(first.and_then(|at| at.parse().ok()))
}

/// Does ZITADEL have this from us, as far as the ledger knows?
///
/// # Errors
/// As SQLite.
pub fn is_given(connection: &Connection, user_id: &str, kind: Kind) -> rusqlite::Result<bool> {
    Ok(known(connection, user_id, kind)?.0 == State::Ours)
}

/// Of these, which are gone in ZITADEL, and whether somebody else took them: then they are not given again.
///
/// # Errors
/// As SQLite.
pub fn gone(transaction: &Transaction<'_>, gone: &[(String, Kind, bool)]) -> rusqlite::Result<()> {
    let mut update =
        transaction.prepare_cached("UPDATE codes SET state = ?3 WHERE user_id = ?1 AND kind = ?2 AND state = 2")?;
    for (user_id, kind, by_others) in gone {
        let state = if *by_others { State::TakenAway } else { State::Planned };
        update.execute(params![user_id, kind, state])?;
    }
    Ok(())
}

/// The user is gone, and so are the factors.
///
/// # Errors
/// As SQLite.
pub(super) fn forget(transaction: &Transaction<'_>, user_id: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE codes SET state = 0, gave = NULL, tried = NULL, at = NULL, code = NULL, detail = NULL
             WHERE user_id = ?1",
        )?
        .execute([user_id])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, rollback_queries, verify_queries};

    const ALL: Abilities = Abilities { sms_provider: true, mail_provider: true, permitted: true };

    fn ledger(dir: &tempfile::TempDir) -> Ledger {
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        ledger
            .write_blocking(|t| {
                t.execute("INSERT INTO runs (run, started_at) VALUES (1, '2026-11-23T10:00:00Z')", [])?;
                t.execute(
                    "INSERT INTO users (user_id, run, file, line, row, action, owner, progress, outcome, settled_at)
                     VALUES ('a', 1, 0, 1, 1, 2, 1, 3, 2, '2026-01-01T00:00:00Z')",
                    [],
                )
            })
            .unwrap();
        ledger
    }

    fn plan_one(
        t: &Transaction<'_>,
        run: i64,
        abilities: Option<Abilities>,
    ) -> rusqlite::Result<(Vec<Kind>, Vec<Finding>)> {
        let destinations = Destinations { email: true, ..Destinations::default() };
        let person = Person { email_verified: true, number: None, has_way_in: true };
        begin(t, run)?;
        plan(t, run, "a", (&destinations, person), abilities)
    }

    fn settled(state: State, code: Option<FindingCode>) -> SettledCode {
        SettledCode { user_id: "a".into(), kind: Kind::Email, state, code, detail: code.map(|_| "COMMAND-x".into()) }
    }

    /// Each state, in the run that came to it and in the next one: is it planned, is it to be sent, what is said.
    #[test]
    fn what_became_of_it_decides_what_a_plan_makes_of_it() {
        use FindingCode::{FactorKept, FactorRefused, FactorTakenAway};
        type Case = (State, bool, [u64; 2], [Option<FindingCode>; 2]);
        let cases: [Case; 6] = [
            (State::Planned, true, [1, 1], [None, None]),
            (State::InDoubt, true, [1, 1], [None, None]),
            (State::Ours, true, [0, 0], [None, None]),
            (State::Theirs, true, [0, 0], [Some(FactorKept), None]),
            (State::TakenAway, true, [0, 0], [Some(FactorTakenAway), Some(FactorTakenAway)]),
            (State::Refused, false, [0, 1], [Some(FactorRefused), None]),
        ];
        for (state, moves, left, said) in cases {
            let dir = tempfile::tempdir().unwrap();
            let ledger = ledger(&dir);
            ledger
                .write_blocking(move |t| {
                    plan_one(t, 1, Some(ALL))?;
                    settle(t, 1, &settled(state, (state == State::Refused).then_some(FactorRefused)))?;
                    for (at, run) in [1, 2].into_iter().enumerate() {
                        t.execute("UPDATE users SET run = ?1", [run])?;
                        let (moving, findings) = plan_one(t, run, Some(ALL))?;
                        assert_eq!(moving == [Kind::Email], moves || run == 2, "{state:?} {run}");
                        assert_eq!(findings.first().map(|finding| finding.code), said[at], "{state:?} {run}");
                        assert_eq!(count_todo(t, run)?, left[at], "{state:?} {run}");
                        assert_eq!(todo(t, run, None, 10)?.len() as u64, left[at], "{state:?} {run}");
                    }
                    // Who does not ask for it any more gets nothing, and loses nothing.
                    let (moving, _) = plan_one(t, 2, None)?;
                    let has = matches!(state, State::Ours | State::Theirs | State::TakenAway);
                    assert_eq!((moving == [Kind::Email], count_todo(t, 2)?), (has, 0), "{state:?}");
                    Ok(())
                })
                .unwrap();
        }
    }

    #[test]
    fn giving_is_a_write_of_ours_and_goes_with_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir);
        let before: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |ledger: &Ledger| rollback_queries::settled_at(&ledger.reader().unwrap(), "a").unwrap();
        assert_eq!(at(&ledger), Some(before));
        ledger
            .write_blocking(|t| {
                plan_one(t, 1, Some(ALL))?;
                settle(t, 1, &settled(State::Ours, None))
            })
            .unwrap();
        // What our account did a moment ago is not another tool's work.
        assert!(at(&ledger).is_some_and(|at| at > before));
        let reader = ledger.reader().unwrap();
        let scope = verify_queries::Scope::Run(1);
        let page = verify_queries::page(&reader, scope, 0, 10).unwrap();
        assert_eq!(page.iter().map(|user| user.codes.clone()).collect::<Vec<_>>(), [vec![Kind::Email]]);
        assert_eq!(verify_queries::count_with_factors(&reader, scope).unwrap(), 1);
        assert!(is_given(&reader, "a", Kind::Email).unwrap() && !is_given(&reader, "a", Kind::Sms).unwrap());
        ledger.write_blocking(|t| rollback_queries::removed(t, "a", true)).unwrap();
        assert!(!is_given(&ledger.reader().unwrap(), "a", Kind::Email).unwrap());
        assert_eq!(first_given(&ledger.reader().unwrap()).unwrap(), None);
    }

    #[test]
    fn only_who_was_not_in_doubt_is_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir);
        ledger
            .write_blocking(|t| {
                plan_one(t, 1, Some(ALL))?;
                let first = todo(t, 1, None, 10)?;
                begin_requests(t, &first)?;
                assert!(todo(t, 1, None, 10)?[0].in_doubt);
                not_sent(t, &first)?;
                assert!(!todo(t, 1, None, 10)?[0].in_doubt);
                begin_requests(t, &first)?;
                not_sent(t, &todo(t, 1, None, 10)?)?;
                assert!(todo(t, 1, None, 10)?[0].in_doubt);
                gone(t, &[("a".into(), Kind::Email, true)])?;
                assert!(todo(t, 1, None, 10)?[0].in_doubt, "only what is ours can be gone");
                settle(t, 1, &settled(State::Ours, None))?;
                gone(t, &[("a".into(), Kind::Email, false)])?;
                assert_eq!(todo(t, 1, None, 10)?.len(), 1);
                Ok(())
            })
            .unwrap();
    }
}
