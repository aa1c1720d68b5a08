//! One line a user of whom there is something to say: NDJSON, without secrets.

use std::{
    io::{BufWriter, Write as _},
    path::PathBuf,
};

use serde::Serialize;
use tempfile::NamedTempFile;

use super::{body::write_error, options::folder_of, stranded::Stranded};
use crate::{error::Result, mapping::finding::Blocked};

#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    user_id: Option<&'a str>,
    /// In the export file, from 1.
    line: u64,
    outcome: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<&'static str>,
    message: &'static str,
    hint: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl<'a> Entry<'a> {
    pub(super) fn blocked(user_id: Option<&'a str>, line: u64, blocked: &'a Blocked) -> Self {
        let code = blocked.code;
        Self {
            user_id,
            line,
            outcome: "blocked",
            reason: code.code(),
            also: Vec::new(),
            message: code.message(),
            hint: code.hint(),
            detail: blocked.detail.as_deref(),
        }
    }

    pub(super) fn stranded(user_id: &'a str, line: u64, reasons: &[Stranded], left_out: bool) -> Self {
        let mut codes = reasons.iter().map(|reason| reason.code());
        Self {
            user_id: Some(user_id),
            line,
            outcome: if left_out { "left-out" } else { "stranded" },
            reason: codes.next().unwrap_or_default(),
            also: codes.collect(),
            message: reasons.first().map_or("", |reason| reason.message()),
            hint: "create the user with `POST /v2/users/new`, as `a2z cutover` does",
            detail: None,
        }
    }
}

/// A listing that is being written, in a private file beside its place.
pub(super) struct Listing {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    lines: u64,
}

impl Listing {
    pub(super) fn new(path: PathBuf) -> Result<Self> {
        let file = NamedTempFile::new_in(folder_of(&path)).map_err(|error| write_error(&path, &error))?;
        Ok(Self { path, file: BufWriter::new(file), lines: 0 })
    }

    pub(super) fn write(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.lines += 1;
        serde_json::to_writer(&mut self.file, entry)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|error| write_error(&self.path, &error))
    }

    /// Puts the listing into its place: where it has lines, or was asked for. An empty one takes an old one away.
    pub(super) fn finish(self, always: bool) -> Result<Option<PathBuf>> {
        let Self { path, file, lines } = self;
        let file = file.into_inner().map_err(|error| write_error(&path, error.error()))?;
        if lines == 0 && !always {
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(write_error(&path, &error));
            }
            return Ok(None);
        }
        file.persist(&path).map_err(|error| write_error(&path, &error.error))?;
        Ok(Some(path))
    }
}
