//! What is read from a file, and how.

use std::io;

use std::path::PathBuf;

use crate::error::Error;

/// Between the name of a zip archive and that of a file in it, where it holds several.
pub(super) const IN_ZIP: &str = ": ";

/// How a file is to be read.
#[derive(Debug, Clone)]
pub struct Options {
    /// The longest record, in bytes.
    pub max_line: usize,
    /// Compute the SHA-256 of the raw bytes.
    pub digest: bool,
    /// The flag that names such a file, for hints: `--passwords`.
    pub flag: &'static str,
    /// Where a zip that cannot be read twice (standard input) is kept while it is read, in an unnamed file. Without
    /// it, such a zip is an error.
    pub spool: Option<PathBuf>,
}

impl Options {
    /// Options with the limit, for files that are named with `flag`.
    #[must_use]
    pub fn new(max_line: usize, flag: &'static str) -> Self {
        Self { max_line, digest: false, flag, spool: None }
    }

    /// The same, with a digest.
    #[must_use]
    pub fn with_digest(mut self) -> Self {
        self.digest = true;
        self
    }

    /// The same, with a folder for what cannot be streamed.
    #[must_use]
    pub fn with_spool(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spool = Some(folder.into());
        self
    }
}

/// One record of a file. Its bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The line on which it starts, from 1; in a zip archive with several files it is counted on from file to file.
    pub line: u64,
    /// What came of it.
    pub kind: RecordKind,
}

/// What came of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// The buffer holds it whole.
    Whole,
    /// It is longer than the limit; the buffer holds its beginning only.
    TooLong {
        /// How long it is, in bytes, perhaps with its line end.
        bytes: u64,
    },
}

/// How records are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One record a line.
    Lines,
    /// Elements of a JSON array.
    Array,
    /// Objects over several lines, one after another, as `jq '.[]'` prints them.
    Values,
    /// Several objects on a line.
    Packed,
    /// Elements of the lists of one object, or of several: `{"users":[…]}`.
    Wrapped,
}

/// The operator's error about a file.
pub(super) fn usage(label: &str, what: &str) -> Error {
    Error::usage(format!("cannot read `{label}`: {what}"))
}

/// An I/O error as the operator reads it; `in_array` tells that plain text ended inside of an element.
pub(super) fn read_error(label: &str, in_array: bool, error: &io::Error) -> Error {
    let again = "fetch the file again: it was not copied or downloaded whole";
    match error.kind() {
        io::ErrorKind::UnexpectedEof if in_array => {
            usage(label, "it is cut off: it ends inside a JSON value").hint(again)
        }
        io::ErrorKind::UnexpectedEof => usage(label, "it is cut off: its compressed data end early").hint(again),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            usage(label, "its compressed data are damaged").hint(again)
        }
        io::ErrorKind::FileTooLarge => {
            usage(label, "it is packed so often that it unpacks to more than 2,000 times its size")
                .hint("no export is like this: fetch the file again")
        }
        io::ErrorKind::IsADirectory => usage(label, "it is a directory"),
        _ => usage(label, "reading it failed").caused_by(error),
    }
}
