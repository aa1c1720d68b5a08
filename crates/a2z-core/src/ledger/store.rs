//! The door: one thread that writes, and connections that read.
//!
//! The writing thread owns its connection. Callers send it closures; it commits several at a time and answers each after
//! the commit, so what a caller was told is on the disk.
//!
//! Reads run on the caller's thread, each in a snapshot of its own (the file is in WAL mode: a read neither waits for the
//! writer nor sees half of a commit). Their connections are kept: to open one reads the schema again and prepares every
//! statement again. They are kept in a pool and not per thread, because a task of the runtime moves between threads.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    life, schema,
    sql::{Fault, Result, Snapshot, Transaction},
};
use crate::error::{Error, Result as Told};

/// At most so many writes share a commit.
const GROUP_WRITES: usize = 100;

/// A piece of work. It is told the transaction, or why there is none; it says whether its changes stay, and hands back
/// how to answer its caller once the commit's fate is known.
type Job = Box<dyn FnOnce(Result<&Transaction<'_>, &rusqlite::Error>) -> (bool, Answer) + Send>;
type Answer = Box<dyn FnOnce(rusqlite::Result<()>) + Send>;

/// A ledger to look at, also while somebody else writes it.
#[derive(Debug)]
pub struct View {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl View {
    /// A view of the ledger at `path`, which is opened by the first read.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default() }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on a snapshot: everything that it reads is of one moment.
    ///
    /// # Errors
    /// When the file cannot be opened, is no ledger of this format, or `work` fails.
    pub fn read<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Told<T> {
        let idle = self.idle().pop();
        let connection = idle.map_or_else(|| schema::open_reader(&self.path), Ok)?;
        let result = Snapshot::take(&connection, work);
        // One that failed may be broken: the next read opens another.
        if result.is_ok() {
            self.idle().push(connection);
        }
        result.map_err(|fault| fault.at(&self.path))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open ledger. Cheap to clone; the file is closed when the last clone goes.
#[derive(Debug, Clone)]
pub struct Ledger {
    // Dropped in this order: who writes last leaves one tidy file behind only if nobody has it open to read.
    view: Arc<View>,
    jobs: mpsc::Sender<Job>,
    _thread: Arc<Closer>,
}

impl Deref for Ledger {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

/// Joins the writing thread when the last handle is gone, so that the last commit and the checkpoint are done.
#[derive(Debug)]
struct Closer(Mutex<Option<thread::JoinHandle<()>>>);

impl Ledger {
    /// Opens the ledger, making it if there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, is no ledger, or was made by a newer a2z.
    pub fn open(path: &Path) -> Told<Self> {
        let mut connection = schema::open(path)?;
        let touched = life::Touched::of(&mut connection).map_err(|error| Fault::from(error).at(path))?;
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write_loop(&mut connection, &queue, &touched))
            .map_err(|error| Error::internal("cannot start the ledger's thread").caused_by(&error))?;
        let closer = Closer(Mutex::new(Some(thread)));
        Ok(Self { view: Arc::new(View::of(path)), jobs, _thread: Arc::new(closer) })
    }

    /// Runs `work` in a transaction and returns its result after the commit.
    ///
    /// # Errors
    /// When `work` or SQLite fails; nothing of `work` is kept then.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Told<T> {
        let Written { view, receiver } = self.write_later(work);
        receiver.await.map_err(|_| stopped())?.map_err(|fault| fault.at(&view.path))
    }

    /// [`Ledger::write`] for a thread that may block.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Told<T> {
        self.write_later(work).wait()
    }

    /// [`Ledger::write`] that is waited for later, by a thread that may block.
    #[must_use]
    pub fn write_later<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Written<T> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let result = transaction.map_err(|error| duplicate(error).into()).and_then(work);
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |commit| {
                let _ = sender.send(commit.map_err(Fault::from).and(result));
            });
            (keep, answer)
        });
        // A thread that is gone drops the sender, which the receiver notices.
        let _ = self.jobs.send(job);
        Written { view: Arc::clone(&self.view), receiver }
    }
}

/// A write under way.
#[derive(Debug)]
pub struct Written<T> {
    view: Arc<View>,
    receiver: oneshot::Receiver<Result<T>>,
}

impl<T> Written<T> {
    /// Blocks until it is committed.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn wait(self) -> Told<T> {
        self.receiver.blocking_recv().map_err(|_| stopped())?.map_err(|fault| fault.at(&self.view.path))
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

fn write_loop(connection: &mut Connection, queue: &mpsc::Receiver<Job>, touched: &life::Touched) {
    while let Ok(first) = queue.recv() {
        // What queued up while the last commit was written shares the next one.
        let group: Vec<Job> = std::iter::once(first).chain(queue.try_iter().take(GROUP_WRITES - 1)).collect();
        commit(connection, group, touched);
    }
    // Leaves one tidy file behind; a failure here loses nothing, the WAL is replayed at the next opening.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// Runs the jobs in one transaction, each in a savepoint of its own, so that a failure undoes only its own changes.
fn commit(connection: &mut Connection, group: Vec<Job>, touched: &life::Touched) {
    let mut answers = Vec::with_capacity(group.len());
    let mut group = group.into_iter();
    let outcome = (|| {
        let transaction = connection.transaction()?;
        for job in group.by_ref() {
            transaction.execute_batch("SAVEPOINT job")?;
            let (keep, answer) = job(Ok(&Transaction::of(&transaction)));
            answers.push(answer);
            transaction.execute_batch(if keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
        }
        touched.check(&transaction)?;
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
