//! The state folder: ledger, export files, reports. 0700, its files 0600, one run at a time.

pub mod contents;
pub mod whole;

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::error::{Error, Kind, Result};

/// How often, and how long apart, the lock is tried.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An open state folder. While it lives, no other run can open it for writing.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: Option<File>,
}

impl StateDir {
    /// Opens (and makes, where needed) the folder and takes its lock.
    ///
    /// # Errors
    /// When it cannot be made or written to, or when another run holds the lock.
    pub fn open(path: &Path) -> Result<Self> {
        // Absolute: the ledger keeps paths, and the next run may start elsewhere.
        let path = &std::path::absolute(path).map_err(|error| cannot(path, "find", &error))?;
        make_private_dir(path)?;
        let lock_path = path.join("lock");
        let lock = private_file(OpenOptions::new().create(true).write(true).truncate(false), &lock_path)
            .map_err(|error| cannot(&lock_path, "write", &error))?;
        let mut locked = lock.try_lock();
        // `a2z status` holds it for a moment, to see whether somebody has it.
        for _ in 0..LOCK_TRIES {
            if !matches!(locked, Err(fs::TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
            locked = lock.try_lock();
        }
        match locked {
            Ok(()) => Ok(Self { path: path.clone(), _lock: Some(lock) }),
            Err(fs::TryLockError::WouldBlock) => Err(Error::usage(format!(
                "another run of a2z is using the state folder `{}`",
                path.display()
            ))
            .hint("wait for it, or follow it with `a2z status`; to do something else meanwhile, give another `--state DIR`")),
            Err(fs::TryLockError::Error(error)) => Err(cannot(&lock_path, "lock", &error)),
        }
    }

    /// Opens the folder to look at only; no lock is taken.
    ///
    /// # Errors
    /// When there is none.
    pub fn look(path: &Path) -> Result<Self> {
        if path.join("ledger.sqlite").is_file() {
            return Ok(Self { path: path.to_owned(), _lock: None });
        }
        Err(Error::usage(format!("there is no ledger in `{}`", path.display()))
            .hint("run `a2z plan` or `a2z cutover` first, or give the folder with `--state DIR`"))
    }

    /// Is a run writing here now? Takes the lock for a moment, shared, so that two who look do not see one another.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        let lock = File::open(self.path.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.sqlite")
    }

    /// The export file number `index` of run `run`.
    #[must_use]
    pub fn export(&self, run: i64, index: usize) -> PathBuf {
        self.path.join(format!("export-{run}-{index}.ndjson.gz"))
    }
}

/// Makes a folder that only its owner can enter; one that exists is left as it is.
///
/// # Errors
/// When it cannot be made.
pub fn make_private_dir(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| cannot(path, "make the folder", &error))
}

/// Opens a file that only its owner can read.
///
/// # Errors
/// As `open(2)`.
pub fn private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// The error for a file that cannot be used. A full disk and a read-only folder say what to do.
#[must_use]
pub fn cannot(path: &Path, verb: &str, error: &io::Error) -> Error {
    let shown = Error::new(kind_of(error), format!("cannot {verb} `{}`", path.display())).caused_by(error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            shown.hint("free some disk space and run the same command again: it goes on where it stopped")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            shown.hint("a2z must be able to write there; give another folder with `--state DIR`")
        }
        _ => shown,
    }
}

/// The error for results that cannot be printed.
#[must_use]
pub fn cannot_say(error: &io::Error) -> Error {
    Error::new(kind_of(error), "cannot write to standard output")
        .caused_by(error)
        .hint("what was settled is in the ledger: mend it, and run the same command again")
}

fn kind_of(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Kind::GaveUp,
        _ => Kind::Usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let first = StateDir::open(&path).unwrap();
        let second = StateDir::open(&path).unwrap_err();
        assert!(second.message().contains("another run"), "{second:?}");
        assert!(first.is_in_use());
        drop(first);
        let third = StateDir { path: path.clone(), _lock: None };
        assert!(!third.is_in_use());
        StateDir::open(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn private_to_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let state = StateDir::open(&path).unwrap();
        assert_eq!(fs::metadata(state.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path.join("lock")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
