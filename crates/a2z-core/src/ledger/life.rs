//! The states of users in the ledger: SQL stores them, [`State::after`] decides.
//!
//! Four columns have 576 values, of which few are a state: [`Columns::state`] knows which. They are written here only. In
//! debug builds every row that a write touched is loaded before the commit, and must hold a state.

use rusqlite::{Connection, Params, Row, params};

use super::{
    sql::{Fault, Result, Snapshot, Transaction},
    states::{Action, Outcome, Owner, Progress},
};
use crate::{
    error::Error,
    mapping::finding::BlockedCode,
    user::state::{Event, State, Task, Verdict, Why},
};

/// The code of a user that a rollback deleted.
const ROLLED_BACK: &str = "rolled-back";

/// The columns that hold a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// What the plan wants.
    pub action: Action,
    /// How far that is.
    pub progress: Progress,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Who made the user.
    pub owner: Owner,
    /// Why it ended so.
    pub code: Option<String>,
}

/// What [`Columns::read`] reads.
pub(super) const COLUMNS: &str = "action, progress, outcome, owner, code";

impl Columns {
    /// Reads them from a row that begins with [`COLUMNS`].
    ///
    /// # Errors
    /// As SQLite, and for a number that no enum knows.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            action: row.get(0)?,
            progress: row.get(1)?,
            outcome: row.get(2)?,
            owner: row.get(3)?,
            code: row.get(4)?,
        })
    }

    /// The state that they stand for; `None` if they stand for none.
    pub(super) fn state(&self) -> Option<State> {
        let state = match (self.progress, self.action, self.outcome, self.owner) {
            (Progress::Pending, _, None, _) => State::Planned(self.task()?),
            (Progress::InFlight, _, Some(Outcome::Unknown), _) => State::InFlight(self.task()?),
            (Progress::Unknown, _, Some(Outcome::Unknown), _) => State::InDoubt(self.task()?),
            (Progress::Unknown, Action::Blocked | Action::Skip, _, Owner::Ours) => {
                State::SetAside(Task::Update, self.why()?)
            }
            (Progress::Unknown, Action::Blocked | Action::Skip, _, _) => State::SetAside(Task::Create, self.why()?),
            (Progress::Done, _, Some(outcome), Owner::Ours) => State::Ours(self.verdict(outcome)?),
            (
                Progress::Done,
                Action::Create | Action::Update | Action::Existed,
                Some(Outcome::Existed),
                Owner::Other,
            ) => match self.code.as_deref() {
                Some(code) if code == BlockedCode::OwnerUnknown.code() => State::Unclear,
                _ => State::Theirs,
            },
            (Progress::Done, _, Some(_), Owner::None) => State::Out(self.why()?),
            _ => return None,
        };
        Some(state)
    }

    fn task(&self) -> Option<Task> {
        match (self.action, self.owner) {
            (Action::Create, Owner::None) => Some(Task::Create),
            (Action::Update, Owner::Ours) => Some(Task::Update),
            _ => None,
        }
    }

    fn verdict(&self, outcome: Outcome) -> Option<Verdict> {
        let sent = matches!(self.action, Action::Create | Action::Update | Action::Unchanged);
        match outcome {
            Outcome::Created if sent => Some(Verdict::Created),
            Outcome::Updated if sent => Some(Verdict::Updated),
            Outcome::Unchanged if sent => Some(Verdict::Unchanged),
            Outcome::Rejected if self.code.as_deref() == Some(BlockedCode::GoneFromZitadel.code()) => {
                Some(Verdict::Gone)
            }
            _ => self.why().map(Verdict::Left),
        }
    }

    fn why(&self) -> Option<Why> {
        match (self.action, self.outcome?) {
            (Action::Blocked, Outcome::Rejected) => Some(Why::Blocked),
            (Action::Skip, Outcome::Skipped) if self.code.as_deref() == Some(ROLLED_BACK) => Some(Why::RolledBack),
            (Action::Skip, Outcome::Skipped) => Some(Why::Skipped),
            (Action::Create | Action::Update, Outcome::Rejected) => Some(Why::Refused),
            _ => None,
        }
    }
}

impl Columns {
    /// The columns of a user that the ledger did not know before.
    pub(super) fn first(state: State) -> Self {
        let nothing =
            Self { action: Action::Create, progress: Progress::Pending, outcome: None, owner: Owner::None, code: None };
        nothing.with(state, true)
    }

    /// The columns of `next`. `planned`: a plan came to it, so that what the plan wants is written down with it; what a plan
    /// wanted stays through all that follows.
    pub(super) fn with(&self, next: State, planned: bool) -> Self {
        let action = match next {
            State::Planned(task) | State::InFlight(task) | State::InDoubt(task) => match task {
                Task::Create => Action::Create,
                Task::Update => Action::Update,
            },
            State::SetAside(_, why) | State::Out(why) | State::Ours(Verdict::Left(why)) => match why {
                Why::Blocked => Action::Blocked,
                Why::Skipped | Why::RolledBack => Action::Skip,
                Why::Refused => self.action,
            },
            State::Ours(Verdict::Gone) => Action::Blocked,
            State::Ours(Verdict::Unchanged) if planned => Action::Unchanged,
            State::Theirs if planned => Action::Existed,
            State::Ours(_) | State::Theirs | State::Unclear => self.action,
        };
        let progress = match next {
            State::Planned(_) => Progress::Pending,
            State::InFlight(_) => Progress::InFlight,
            State::InDoubt(_) | State::SetAside(..) => Progress::Unknown,
            State::Ours(_) | State::Theirs | State::Unclear | State::Out(_) => Progress::Done,
        };
        let owner = match next {
            State::Theirs | State::Unclear => Owner::Other,
            _ if next.is_ours() => Owner::Ours,
            _ => Owner::None,
        };
        Self { action, progress, outcome: outcome(next), owner, code: self.code.clone() }
    }
}

/// How a run ends for a user in this state, so far.
pub(super) fn outcome(state: State) -> Option<Outcome> {
    Some(match state {
        State::Planned(_) => return None,
        State::InFlight(_) | State::InDoubt(_) => Outcome::Unknown,
        State::Theirs | State::Unclear => Outcome::Existed,
        State::Ours(Verdict::Created) => Outcome::Created,
        State::Ours(Verdict::Updated) => Outcome::Updated,
        State::Ours(Verdict::Unchanged) => Outcome::Unchanged,
        State::Ours(Verdict::Gone) => Outcome::Rejected,
        State::SetAside(_, why) | State::Out(why) | State::Ours(Verdict::Left(why)) => match why {
            Why::Blocked | Why::Refused => Outcome::Rejected,
            Why::Skipped | Why::RolledBack => Outcome::Skipped,
        },
    })
}

fn load(connection: &Snapshot<'_>, user_id: &str) -> Result<(i64, Columns)> {
    let sql = format!("SELECT {COLUMNS}, id FROM users WHERE user_id = ?1");
    connection.one(&sql, [user_id], |row| Ok((row.get(5)?, Columns::read(row)?)))
}

/// Lets `event` happen to a user, and stores what the user becomes.
///
/// # Errors
/// As SQLite, for a user that the ledger does not know, and for an event that the state does not know.
pub(super) fn take(transaction: &Transaction<'_>, user_id: &str, event: Event) -> Result<State> {
    let (id, columns) = load(transaction, user_id)?;
    store(transaction, user_id, id, &columns, event)
}

/// [`take`], if the state knows the event; else nothing happens, and the answer is `None`.
///
/// # Errors
/// As SQLite, and for a user that the ledger does not know.
pub(super) fn take_if_known(transaction: &Transaction<'_>, user_id: &str, event: Event) -> Result<Option<State>> {
    let (id, columns) = load(transaction, user_id)?;
    match columns.state() {
        Some(state) if state.after(event).is_err() => Ok(None),
        _ => store(transaction, user_id, id, &columns, event).map(Some),
    }
}

/// Lets `event` happen to every user of `users` that `filter`, an SQL condition, finds.
///
/// # Errors
/// As [`take`].
pub(super) fn take_where(transaction: &Transaction<'_>, filter: &str, params: impl Params, event: Event) -> Result<()> {
    let sql = format!("SELECT {COLUMNS}, id, user_id FROM users WHERE {filter}");
    let found = transaction.all(&sql, params, |row| Ok((row.get(5)?, row.get(6)?, Columns::read(row)?)))?;
    found.iter().try_for_each(|(id, user_id, columns): &(i64, String, Columns)| {
        store(transaction, user_id, *id, columns, event).map(drop)
    })
}

impl Columns {
    /// The state after `event`, and its columns.
    ///
    /// # Errors
    /// For an event that the state does not know.
    pub(super) fn after(&self, user_id: &str, event: Event) -> Result<(State, Self)> {
        let before = self.state().ok_or_else(|| fault(user_id, &format!("has no legal state: {self:?}")))?;
        let next = before.after(event).map_err(|illegal| fault(user_id, &illegal.to_string()))?;
        let planned = matches!(event, Event::Plan(_) | Event::Adjust(_) | Event::PlanFoundTheirs);
        Ok((next, self.with(next, planned)))
    }
}

fn store(transaction: &Transaction<'_>, user_id: &str, id: i64, columns: &Columns, event: Event) -> Result<State> {
    let (state, Columns { action, progress, outcome, owner, .. }) = columns.after(user_id, event)?;
    transaction.execute(
        "UPDATE users SET action = ?2, progress = ?3, outcome = ?4, owner = ?5 WHERE id = ?1",
        params![id, action, progress, outcome, owner],
    )?;
    if let Some(word) = event.word() {
        transaction.execute(
            "INSERT INTO history (user, run, at, event, state) SELECT id, run, ?2, ?3, ?4 FROM users WHERE id = ?1",
            params![id, super::runs::now(), word, state.word()],
        )?;
    }
    Ok(state)
}

/// A fault of the program, not of SQLite: nothing of the write is kept.
fn fault(user_id: &str, what: &str) -> Fault {
    Error::internal(format!("the ledger refused a write: `{user_id}`: {what}"))
        .hint("nothing that was reported as done is lost; keep the state folder and report this")
        .into()
}

/// Fails if a user of these rows has no legal state: a fault of the program, found before it is on the disk.
fn check(connection: &Connection, rows: &[i64]) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS}, user_id FROM users WHERE id = ?1"))?;
    for id in rows {
        let mut found = select.query([id])?;
        let Some(row) = found.next()? else { continue };
        let columns = Columns::read(row)?;
        if columns.state().is_none() {
            let text = format!("`{}` has no legal state: {columns:?}", row.get::<_, String>(5)?);
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
                Some(text),
            ));
        }
    }
    Ok(())
}

/// The rows of `users` that writes have touched since they were taken last; none in a release build, which does not look.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched(std::sync::Arc<std::sync::Mutex<std::collections::HashSet<i64>>>);

impl Touched {
    /// Notes every row that `connection` writes.
    ///
    /// # Errors
    /// If SQLite fails.
    pub(super) fn of(connection: &mut Connection) -> rusqlite::Result<Self> {
        let touched = Self::default();
        if cfg!(debug_assertions) {
            let noted = touched.clone();
            connection.update_hook(Some(move |_, _: &str, table: &str, id: i64| {
                if table == "users" {
                    noted.rows().insert(id);
                }
            }))?;
        }
        Ok(touched)
    }

    /// Checks them, once.
    ///
    /// # Errors
    /// As SQLite, and for a user without a state, whose columns it names.
    pub(super) fn check(&self, connection: &Connection) -> rusqlite::Result<()> {
        let rows: Vec<i64> = self.rows().drain().collect();
        check(connection, &rows)
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<i64>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
