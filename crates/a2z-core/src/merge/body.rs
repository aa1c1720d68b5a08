//! The bodies: written to private files beside their place, and put there when everything is written.

use std::{
    io::{self, BufWriter, Seek as _, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::{NamedTempFile, SpooledTempFile, TempPath};

use super::options::{MergeOptions, folder_of};
use crate::{
    error::{Error, Result},
    mapping::draft::Draft,
    zitadel::import::{human_user_json, metadata_json, protobuf_size},
};

/// What ZITADEL takes in one request (grpc-go's default), in bytes of protobuf.
pub const MAX_PROTOBUF: usize = 4 << 20;
/// The messages around the users: organization, timeout, lengths.
const ENVELOPE: usize = 1024;
/// Metadata comes after all users in a body; so much of it is held in memory.
const SPOOL: usize = 8 << 20;

/// Whether not even a body of its own would do.
pub(super) fn is_too_large(draft: &Draft) -> bool {
    protobuf_size(draft) + ENVELOPE > MAX_PROTOBUF
}

pub(super) fn write_error(path: &Path, error: &io::Error) -> Error {
    Error::usage(format!("cannot write `{}`", path.display())).caused_by(error)
}

/// The bodies that are being written.
pub(super) struct Bodies<'a> {
    options: &'a MergeOptions,
    open: Option<Body>,
    done: Vec<(TempPath, PathBuf)>,
    largest: usize,
    json: Vec<u8>,
}

struct Body {
    file: BufWriter<NamedTempFile>,
    metadata: SpooledTempFile,
    users: usize,
    metadata_entries: bool,
    protobuf: usize,
}

impl<'a> Bodies<'a> {
    pub(super) fn new(options: &'a MergeOptions) -> Result<Self> {
        let mut bodies = Self { options, open: None, done: Vec::new(), largest: 0, json: Vec::new() };
        if options.split_users.is_none() {
            // One body, also of nobody; and a folder that cannot be written is found before the work.
            bodies.open()?;
        }
        Ok(bodies)
    }

    fn folder(&self) -> &'a Path {
        folder_of(&self.options.output)
    }

    fn error(&self, error: &io::Error) -> Error {
        write_error(&self.options.output, error)
    }

    fn open(&mut self) -> Result<()> {
        let folder = self.folder();
        let begin = || {
            let mut file = BufWriter::with_capacity(256 << 10, NamedTempFile::new_in(folder)?);
            file.write_all(br#"{"dataOrgs":{"orgs":[{"orgId":"#)?;
            serde_json::to_writer(&mut file, &self.options.organization_id)?;
            file.write_all(br#","humanUsers":["#)?;
            Ok(file)
        };
        let file = begin().map_err(|error| self.error(&error))?;
        let metadata = tempfile::spooled_tempfile_in(SPOOL, folder);
        self.open = Some(Body { file, metadata, users: 0, metadata_entries: false, protobuf: ENVELOPE });
        Ok(())
    }

    pub(super) fn push(&mut self, draft: &Draft) -> Result<()> {
        let size = protobuf_size(draft);
        if let (Some(most), Some(body)) = (self.options.split_users, &self.open)
            && (body.users >= most.max(1) || body.protobuf + size > MAX_PROTOBUF)
        {
            self.close()?;
        }
        if self.open.is_none() {
            self.open()?;
        }
        let line = if self.options.multiline { &b"\n"[..] } else { b"" };
        let Some(body) = &mut self.open else { return Ok(()) };
        let written = body.push(draft, size, line, &mut self.json);
        written.map_err(|error| self.error(&error))
    }

    fn close(&mut self) -> Result<()> {
        let Some(body) = self.open.take() else { return Ok(()) };
        self.largest = self.largest.max(body.protobuf);
        let line = if self.options.multiline { &b"\n"[..] } else { b"" };
        let file = body.finish(self.options.timeout, line).map_err(|error| self.error(&error))?;
        let path = match self.options.split_users {
            Some(_) => numbered(&self.options.output, self.done.len() + 1),
            None => self.options.output.clone(),
        };
        // Closed, so that a thousand bodies do not need a thousand open files.
        self.done.push((file.into_temp_path(), path));
        Ok(())
    }

    /// Puts all bodies into their places. Gives them, and the size of the largest.
    pub(super) fn finish(mut self) -> Result<(Vec<PathBuf>, usize)> {
        self.close()?;
        let mut paths = Vec::with_capacity(self.done.len());
        for (file, path) in self.done {
            file.persist(&path).map_err(|error| write_error(&path, &error.error))?;
            paths.push(path);
        }
        if self.options.split_users.is_some() {
            take_away_from(&self.options.output, paths.len() + 1)?;
        }
        Ok((paths, self.largest))
    }
}

impl Body {
    fn push(&mut self, draft: &Draft, size: usize, line: &[u8], json: &mut Vec<u8>) -> io::Result<()> {
        json.clear();
        if self.users > 0 {
            json.push(b',');
        }
        json.extend_from_slice(line);
        human_user_json(draft, json);
        self.file.write_all(json)?;
        self.users += 1;
        self.protobuf += size;
        if draft.metadata.is_empty() {
            return Ok(());
        }
        json.clear();
        if self.metadata_entries {
            json.push(b',');
        }
        json.extend_from_slice(line);
        metadata_json(draft, json);
        self.metadata_entries = true;
        self.metadata.write_all(json)
    }

    fn finish(mut self, timeout: Duration, line: &[u8]) -> io::Result<NamedTempFile> {
        self.file.write_all(line)?;
        self.file.write_all(b"]")?;
        if self.metadata_entries {
            self.file.write_all(br#","userMetadata":["#)?;
            self.metadata.rewind()?;
            io::copy(&mut self.metadata, &mut self.file)?;
            self.file.write_all(line)?;
            self.file.write_all(b"]")?;
        }
        // ZITADEL wants Go's notation, and answers 500 without one.
        writeln!(self.file, r#"}}]}},"timeout":"{}ms"}}"#, timeout.as_millis().max(1))?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        Ok(file)
    }
}

/// `body.json` -> `body-0001.json`.
fn numbered(output: &Path, number: usize) -> PathBuf {
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    let extension = output.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    output.with_file_name(format!("{stem}-{number:04}{extension}"))
}

/// Bodies of an earlier, longer run under these numbers would be sent along: they go.
fn take_away_from(output: &Path, first: usize) -> Result<()> {
    for number in first.. {
        let path = numbered(output, number);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(write_error(&path, &error)),
        }
    }
    Ok(())
}
