//! A file that appears whole or not at all.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use super::cannot;
use crate::error::{Error, Result};

/// A file of the state folder that appears under its name only by [`Whole::finish`], 0600.
pub struct Whole {
    path: PathBuf,
    out: BufWriter<tempfile::NamedTempFile>,
    failed: fn(&Path, &io::Error) -> Error,
}

impl std::fmt::Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Whole({})", self.path.display())
    }
}

impl Whole {
    /// Begins a file.
    ///
    /// # Errors
    /// When a file cannot be made in the folder.
    pub fn create(path: &Path) -> Result<Self> {
        Self::begin(path, |path, error| cannot(path, "write", error))
    }

    /// Begins a report, whose errors say how it is written again.
    ///
    /// # Errors
    /// When a file cannot be made in the folder.
    pub fn report(path: &Path) -> Result<Self> {
        Self::begin(path, cannot_report)
    }

    fn begin(path: &Path, failed: fn(&Path, &io::Error) -> Error) -> Result<Self> {
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        // tempfile makes files 0600; in the same folder, so that the rename stays within one file system.
        let file = tempfile::Builder::new().prefix(".report-").tempfile_in(folder);
        let file = file.map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::with_capacity(64 << 10, file), failed })
    }

    /// Where the file will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| (self.failed)(&self.path, &error))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// When it cannot be written to the end.
    pub fn finish(self) -> Result<()> {
        let fail = |error: &io::Error| (self.failed)(&self.path, error);
        let file = self.out.into_inner().map_err(|error| fail(error.error()))?;
        file.as_file().sync_all().map_err(|error| fail(&error))?;
        let file: File = file.persist(&self.path).map_err(|error| fail(&error.error))?;
        drop(file);
        Ok(())
    }
}

fn cannot_report(path: &Path, error: &io::Error) -> Error {
    let cannot = Error::usage(format!("cannot write `{}`", path.display())).caused_by(error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            cannot.hint("the disk is full: make room, then `a2z report` writes the reports again; nothing else is lost")
        }
        _ => cannot.hint("the users are in ZITADEL and in the ledger; `a2z report` writes the reports again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named() {
        let error = cannot_report(Path::new("report.json"), &io::Error::from(io::ErrorKind::StorageFull));
        assert!(error.render().contains("disk is full"), "{}", error.render());
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, "old\n").unwrap();
        Whole::create(&path).unwrap().write(b"new\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut file = Whole::report(&path).unwrap();
        file.write(b"new\n").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
    }
}
