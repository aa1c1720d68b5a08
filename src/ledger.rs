//! The ledger: what this migration knows, in one SQLite file (0600, WAL, `synchronous = FULL`).
//!
//! One thread owns the writing connection. Callers send it closures; it commits several at a time and answers each after
//! the commit, so what a caller was told is on the disk. Readers (`status`, `report`) open the file for themselves.
//!
//! No secret is ever stored: a hash appears only as a salted digest ([`crate::mapping::fingerprint`]).

pub mod address_queries;
pub mod code_queries;
pub mod fetched_queries;
pub mod grant_queries;
pub mod import_queries;
pub mod instance_queries;
pub mod keep_queries;
pub mod link_queries;
pub mod model;
pub mod plan_queries;
pub mod report_queries;
pub mod rollback_queries;
pub mod runs;
mod schema;
pub mod structure_queries;
pub mod survey_queries;
pub mod verify_queries;

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};

/// At most so many writes share a commit.
const GROUP_WRITES: usize = 100;

/// A piece of work. It is told the transaction, or why there is none; it says whether its changes stay, and hands back
/// how to answer its caller once the commit's fate is known.
type Job = Box<dyn FnOnce(Result<&Transaction<'_>, &rusqlite::Error>) -> (bool, Answer) + Send>;
type Answer = Box<dyn FnOnce(rusqlite::Result<()>) + Send>;

/// An open ledger. Cheap to clone; the file is closed when the last clone goes.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    _thread: std::sync::Arc<Closer>,
}

/// Joins the writing thread when the last handle is gone, so that the last commit and the checkpoint are done.
#[derive(Debug)]
struct Closer(std::sync::Mutex<Option<thread::JoinHandle<()>>>);

impl Ledger {
    /// Opens the ledger, making it where there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, is no ledger, or was made by a newer a2z.
    pub fn open(path: &Path) -> Result<Self> {
        let mut connection = schema::open(path)?;
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write_loop(&mut connection, &queue))
            .map_err(|error| Error::internal("cannot start the ledger's thread").caused_by(&error))?;
        let closer = Closer(std::sync::Mutex::new(Some(thread)));
        Ok(Self { path: path.to_owned(), jobs, _thread: std::sync::Arc::new(closer) })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in a transaction and returns its result after the commit.
    ///
    /// # Errors
    /// When SQLite fails; nothing of `work` is kept then.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let receiver = self.submit(work);
        receiver.await.map_err(|_| stopped())?.map_err(|error| self.failed(&error))
    }

    /// [`Ledger::write`] for a thread that may block.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let receiver = self.submit(work);
        receiver.blocking_recv().map_err(|_| stopped())?.map_err(|error| self.failed(&error))
    }

    /// [`Ledger::write`] that is waited for later, by a thread that may block.
    #[must_use]
    pub fn write_later<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Written<T> {
        Written { path: self.path.clone(), receiver: self.submit(work) }
    }

    fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> oneshot::Receiver<rusqlite::Result<T>> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let result = match transaction {
                Ok(transaction) => work(transaction),
                Err(error) => Err(duplicate(error)),
            };
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |commit| {
                let _ = sender.send(commit.and(result));
            });
            (keep, answer)
        });
        // A thread that is gone drops the sender, which the receiver notices.
        let _ = self.jobs.send(job);
        receiver
    }

    /// A connection of one's own, to read with.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn reader(&self) -> Result<Connection> {
        schema::open_reader(&self.path)
    }

    fn failed(&self, error: &rusqlite::Error) -> Error {
        failure(&self.path, error)
    }
}

/// A write under way.
#[derive(Debug)]
pub struct Written<T> {
    path: PathBuf,
    receiver: oneshot::Receiver<rusqlite::Result<T>>,
}

impl<T> Written<T> {
    /// Blocks until it is committed.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn wait(self) -> Result<T> {
        self.receiver.blocking_recv().map_err(|_| stopped())?.map_err(|error| failure(&self.path, &error))
    }
}

/// The reader of a ledger that somebody else may be writing.
///
/// # Errors
/// When the file cannot be opened or is no ledger of this format.
pub fn read_only(path: &Path) -> Result<Connection> {
    schema::open_reader(path)
}

/// The operator's error for what SQLite says.
#[must_use]
pub fn failure(path: &Path, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let said = |kind, what| Error::new(kind, format!("the ledger `{}` {what}", path.display())).caused_by(error);
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => said(Kind::GaveUp, "cannot be written or read")
            .hint("free some disk space and run the same command again: it goes on where it stopped"),
        // A quota, a limit on the size of files, a disk that fails: SQLite does not tell them apart.
        Some(Code::SystemIoFailure) => said(Kind::GaveUp, "cannot be written or read")
            .hint("look at the disk (space, quota, limits), then run the same command again: it goes on where it stopped"),
        Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => said(Kind::Usage, "cannot be written")
            .hint("a2z must be able to write there; give another folder with `--state DIR`"),
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => said(Kind::Usage, "is damaged")
            .hint("put a copy of the state folder back where there is one, and run again")
            .hint("without one, keep the file, and start with another `--state DIR`: users who are in ZITADEL already are then found as `existed` and left alone"),
        _ => said(Kind::Internal, "cannot be written or read")
            .hint("nothing that was reported as done is lost; if the file is damaged, keep it and report this"),
    }
}

fn stopped() -> Error {
    Error::internal("the ledger's thread has stopped")
}

impl Drop for Closer {
    fn drop(&mut self) {
        // The sender is a field of the same handle and is dropped before this one, so the thread is on its way out.
        if let Ok(mut slot) = self.0.lock()
            && let Some(thread) = slot.take()
        {
            let _ = thread.join();
        }
    }
}

fn write_loop(connection: &mut Connection, queue: &mpsc::Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        // What queued up while the last commit was written shares the next one.
        let group: Vec<Job> = std::iter::once(first).chain(queue.try_iter().take(GROUP_WRITES - 1)).collect();
        commit(connection, group);
    }
    // Leaves one tidy file behind; a failure here loses nothing, the WAL is replayed at the next opening.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// Runs the jobs in one transaction, each in a savepoint of its own, so that a failure undoes only its own changes.
fn commit(connection: &mut Connection, group: Vec<Job>) {
    let mut answers = Vec::with_capacity(group.len());
    let mut group = group.into_iter();
    let outcome = (|| {
        let transaction = connection.transaction()?;
        for job in group.by_ref() {
            transaction.execute_batch("SAVEPOINT job")?;
            let (keep, answer) = job(Ok(&transaction));
            answers.push(answer);
            transaction.execute_batch(if keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
        }
        transaction.commit()
    })();
    match outcome {
        Ok(()) => answers.into_iter().for_each(|answer| answer(Ok(()))),
        Err(error) => {
            for answer in answers.into_iter().chain(group.map(|job| job(Err(&error)).1)) {
                answer(Err(duplicate(&error)));
            }
        }
    }
}

/// `rusqlite::Error` is not `Clone`; the code and the text are what matters to the callers.
fn duplicate(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(other.to_string()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        import_queries::{Settled, settle},
        model::{Action, Outcome, Progress},
        plan_queries::{PlannedUser, Wanted, put_users},
        *,
    };
    use crate::mapping::draft::Route;

    fn planned(user_id: &str, line: u64, profile: u8) -> PlannedUser {
        PlannedUser {
            user_id: user_id.into(),
            connection: Some("db".into()),
            file: 0,
            line,
            row: line,
            verified: true,
            last_login: None,
            email_key: None,
            number: None,
            address_key: None,
            has_metadata: false,
            links: Vec::new(),
            plan: Ok(Wanted {
                name_key: format!("{user_id}@x"),
                route: Route::Import,
                profile: [profile; 16],
                password: Some([7; 16]),
                factors: None,
                facts: None,
            }),
            findings: Vec::new(),
        }
    }

    fn state(ledger: &Ledger, user_id: &str) -> (Action, Progress, Option<Outcome>) {
        ledger
            .reader()
            .unwrap()
            .query_row("SELECT action, progress, outcome FROM users WHERE user_id = ?1", [user_id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap()
    }

    fn open() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        (dir, ledger)
    }

    #[test]
    fn a_second_pass_knows_what_changed() {
        let (_dir, ledger) = open();
        let users = vec![planned("a", 1, 1), planned("b", 2, 1), planned("c", 3, 1), planned("a", 4, 9)];
        ledger.write_blocking(move |t| put_users(t, 1, &users)).unwrap();
        assert_eq!(state(&ledger, "a"), (Action::Create, Progress::Pending, None));
        let settled: Vec<_> = ["a", "b"]
            .map(|id| Settled { have: Some(([1; 16], Some([7; 16]))), ..Settled::new(id, Outcome::Created) })
            .into();
        ledger.write_blocking(move |t| settle(t, &settled)).unwrap();
        ledger
            .write_blocking(|t| import_queries::set_progress(t, &["c".into(), "a".into()], Progress::InFlight))
            .unwrap();
        assert_eq!(state(&ledger, "a").1, Progress::Done, "a settled user is not put in doubt again");

        let users = vec![planned("a", 1, 1), planned("b", 2, 2), planned("c", 3, 1), planned("d", 4, 1)];
        ledger.write_blocking(move |t| put_users(t, 2, &users)).unwrap();
        assert_eq!(state(&ledger, "a"), (Action::Unchanged, Progress::Done, Some(Outcome::Unchanged)));
        assert_eq!(state(&ledger, "b"), (Action::Update, Progress::Pending, None));
        assert_eq!(state(&ledger, "c"), (Action::Create, Progress::Unknown, Some(Outcome::Unknown)));
        assert_eq!(state(&ledger, "d"), (Action::Create, Progress::Pending, None));
        let balance = report_queries::balance(&ledger.reader().unwrap(), 2).unwrap();
        assert_eq!((balance.unchanged, balance.unknown), (1, 3));
    }

    #[test]
    fn a_repeated_id_is_in_the_books_once_as_a_user_and_once_as_a_line() {
        let (_dir, ledger) = open();
        let mut other = planned("a", 3, 1);
        other.connection = Some("other-db".into());
        let users = vec![planned("a", 1, 1), planned("a", 2, 1), other];
        ledger.write_blocking(move |t| put_users(t, 1, &users)).unwrap();
        let lines = report_queries::lines(&ledger.reader().unwrap(), 1).unwrap();
        assert_eq!(
            lines,
            [
                (Outcome::Skipped, "duplicate-user-id".to_owned(), 1),
                (Outcome::Rejected, "duplicate-user-id".to_owned(), 1)
            ]
        );
        assert_eq!(report_queries::balance(&ledger.reader().unwrap(), 1).unwrap().exported, 3);
    }

    #[test]
    fn a_failed_write_undoes_only_itself() {
        let (_dir, ledger) = open();
        ledger.write_blocking(|t| runs::set_meta(t, "kept", "1")).unwrap();
        let failed = ledger.write_blocking(|t| {
            runs::set_meta(t, "lost", "1")?;
            t.execute("INSERT INTO nowhere VALUES (1)", [])
        });
        assert!(failed.is_err());
        let reader = ledger.reader().unwrap();
        assert_eq!(runs::meta(&reader, "kept").unwrap().as_deref(), Some("1"));
        assert_eq!(runs::meta(&reader, "lost").unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn all_its_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, ledger) = open();
        ledger.write_blocking(|t| runs::set_meta(t, "a", "1")).unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", entry.path().display());
        }
    }
}
