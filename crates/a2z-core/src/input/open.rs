//! Opens a source and takes off what wraps its text.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Cursor, Read, Seek as _, SeekFrom},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::{
    Crc,
    read::{DeflateDecoder, MultiGzDecoder},
};
use sha2::{Digest as _, Sha256};

use super::{
    record::{IN_ZIP, Options, read_error, usage},
    sniff::{self, Container},
};
use crate::{
    error::{Error, Result},
    input::settings::Source,
};

/// Containers in containers (a zip with a `.json.gz`) are opened this deep.
const DEPTH: usize = 3;

type Stream = Box<dyn Read + Send>;

/// A text without its containers.
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// How errors call it.
    pub(super) label: String,
    /// The other files of zip archives around it, the innermost last.
    pub(super) more: Vec<Archive>,
}

/// The files of a zip archive that are still to be read.
pub(super) struct Archive {
    file: File,
    label: String,
    /// How deep its files are packed.
    depth: usize,
    files: VecDeque<Packed>,
    /// The archive holds several files.
    several: bool,
}

/// Where a file lies in its archive.
struct Packed {
    name: String,
    start: u64,
    size: u64,
    method: zip::CompressionMethod,
    /// Its length and checksum.
    expected: (u64, u32),
}

/// Counts the raw bytes and digests them.
#[derive(Clone)]
pub struct Digest(Arc<Tally>);

struct Tally {
    bytes: AtomicU64,
    /// Bytes of text, unpacked.
    unpacked: AtomicU64,
    sha: Option<Mutex<Sha256>>,
}

impl Digest {
    pub(super) fn new(wanted: bool) -> Self {
        Self(Arc::new(Tally {
            bytes: AtomicU64::new(0),
            unpacked: AtomicU64::new(0),
            sha: wanted.then(|| Mutex::new(Sha256::new())),
        }))
    }

    fn add(&self, bytes: &[u8]) {
        self.0.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Some(sha) = &self.0.sha {
            sha.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn hex(&self) -> Option<String> {
        let sha = self.0.sha.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(crate::text::hex(&sha.finalize()))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Digest").field(&self.bytes_read()).finish()
    }
}

/// A reader whose raw bytes are counted.
struct Counted<R> {
    inner: R,
    digest: Digest,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.digest.add(&buf[..read]);
        Ok(read)
    }
}

/// Deflate makes a file at most 1,032 times smaller; what grows by more was packed several times to be a bomb.
const MOST_GROWTH: u64 = 2_000;
/// Below this nothing is too large.
const HARMLESS: u64 = 64 << 20;

/// Text that came out of containers: an error where it grows without end.
struct Unpacked {
    inner: Stream,
    digest: Digest,
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let tally = &self.digest.0;
        let bytes = tally.unpacked.fetch_add(read as u64, Ordering::Relaxed) + read as u64;
        if bytes > HARMLESS && bytes / MOST_GROWTH > tally.bytes.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(read)
    }
}

impl Opened {
    fn checked(self, digest: &Digest) -> Self {
        Self { stream: Box::new(Unpacked { inner: self.stream, digest: digest.clone() }), ..self }
    }
}

pub(super) fn open(source: &Source, options: &Options, digest: &Digest) -> Result<Opened> {
    Ok(open_any(source, options, digest)?.checked(digest))
}

pub(super) fn from_reader(
    reader: impl Read + Send + 'static,
    label: &str,
    options: &Options,
    digest: &Digest,
) -> Result<Opened> {
    Ok(counted(reader, label, options, digest)?.checked(digest))
}

/// The next file of the innermost archive that has one; none: everything is read.
pub(super) fn next_file(more: &mut Vec<Archive>, options: &Options, digest: &Digest) -> Result<Option<Opened>> {
    while let Some(archive) = more.last_mut() {
        if let Some(opened) = archive.next(options)? {
            return Ok(Some(opened.checked(digest)));
        }
        more.pop();
    }
    Ok(None)
}

fn open_any(source: &Source, options: &Options, digest: &Digest) -> Result<Opened> {
    let label = source.to_string();
    match source {
        Source::Stdin => counted(io::stdin(), &label, options, digest),
        Source::File(path) => {
            let (mut file, regular) = open_file(path, &label)?;
            if regular && starts_as_zip(&mut file).map_err(|error| read_error(&label, false, &error))? {
                return zip(file, &label, options, Some(digest), DEPTH);
            }
            counted(file, &label, options, digest)
        }
    }
}

fn open_file(path: &Path, label: &str) -> Result<(File, bool)> {
    let fail = |error: io::Error| {
        match error.kind() {
        io::ErrorKind::NotFound => usage(label, "there is no such file")
            .hint("give the file's path; a relative one starts at the working directory, in a configuration file at its folder"),
        io::ErrorKind::PermissionDenied => usage(label, "permission denied"),
        _ => usage(label, "it cannot be opened").caused_by(&error),
    }
    };
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(usage(label, "it is a directory").hint("name the file in it"));
    }
    Ok((file, metadata.is_file()))
}

fn starts_as_zip(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; 4];
    let read = read_full(file, &mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(magic[..read] == *b"PK\x03\x04")
}

fn counted(reader: impl Read + Send + 'static, label: &str, options: &Options, digest: &Digest) -> Result<Opened> {
    let counted = Counted { inner: reader, digest: digest.clone() };
    unwrap(Box::new(counted), label, options, true, DEPTH)
}

/// Takes one container after another off `stream`.
fn unwrap(mut stream: Stream, label: &str, options: &Options, raw: bool, depth: usize) -> Result<Opened> {
    let mut head = [0; sniff::HEAD];
    let read = read_full(&mut stream, &mut head).map_err(|error| read_error(label, false, &error))?;
    if read == 0 && raw {
        return Err(usage(label, "it is empty"));
    }
    let container = sniff::container(&head[..read], label, options)?;
    let whole: Stream = Box::new(Cursor::new(head).take(read as u64).chain(stream));
    match container {
        Container::Plain => Ok(Opened { stream: whole, label: label.to_owned(), more: Vec::new() }),
        _ if depth == 0 => Err(usage(label, "it is packed more than three times")),
        Container::Gzip => unwrap(Box::new(MultiGzDecoder::new(whole)), label, options, false, depth - 1),
        Container::Zip => zip(spool(whole, label, options)?, label, options, None, depth),
    }
}

/// A zip names its files at its end, so it must be a file that can be sought in.
fn spool(mut stream: Stream, label: &str, options: &Options) -> Result<File> {
    let Some(folder) = &options.spool else {
        return Err(usage(label, "a zip archive cannot be read from a stream")
            .hint(format!("unzip -p FILE | a2z cutover {} -", options.flag)));
    };
    let fail = |error: io::Error| usage(label, "the zip archive cannot be set aside").caused_by(&error);
    let mut file = tempfile::tempfile_in(folder).map_err(fail)?;
    io::copy(&mut stream, &mut file).map_err(|error| read_error(label, false, &error))?;
    file.seek(SeekFrom::Start(0)).map_err(fail)?;
    Ok(file)
}

/// The first file of a zip archive, and the others. With `digest`, the archive's own bytes are digested first.
fn zip(mut file: File, label: &str, options: &Options, digest: Option<&Digest>, depth: usize) -> Result<Opened> {
    let read = |error: io::Error| read_error(label, false, &error);
    if let Some(digest) = digest {
        io::copy(&mut Counted { inner: &mut file, digest: digest.clone() }, &mut io::sink()).map_err(read)?;
        file.seek(SeekFrom::Start(0)).map_err(read)?;
    }
    let (file, files) = directory(file, label, options)?;
    let several = files.len() > 1;
    let mut archive = Archive { file, label: label.to_owned(), depth: depth - 1, files, several };
    let mut first = archive.next(options)?.ok_or_else(|| usage(label, "the zip archive is empty"))?;
    first.more.insert(0, archive);
    Ok(first)
}

/// What a zip archive holds, without folders and what the Finder adds; of several files those that are not empty.
fn directory(file: File, label: &str, options: &Options) -> Result<(File, VecDeque<Packed>)> {
    let damaged = || usage(label, "the zip archive is damaged or cut off").hint("download it again");
    let mut archive = zip::ZipArchive::new(file).map_err(|_| damaged())?;
    let mut files = VecDeque::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|_| damaged())?;
        let finder = entry.name().starts_with("__MACOSX/") || entry.name().ends_with(".DS_Store");
        if entry.is_dir() || finder {
            continue;
        }
        if entry.encrypted() {
            return Err(usage(label, "the zip archive is encrypted")
                .hint(format!("unzip -p FILE | a2z cutover {} -", options.flag)));
        }
        files.push_back(Packed {
            name: entry.name().to_owned(),
            start: entry.data_start().ok_or_else(damaged)?,
            size: entry.compressed_size(),
            method: entry.compression(),
            expected: (entry.size(), entry.crc32()),
        });
    }
    if files.len() > 1 {
        // The export of a connection without users.
        files.retain(|file| file.expected.0 > 0);
    }
    Ok((archive.into_inner(), files))
}

impl Archive {
    /// Opens the next file. The one before it must have been read: they share their place in the archive.
    fn next(&mut self, options: &Options) -> Result<Option<Opened>> {
        let Some(Packed { name, start, size, method, expected }) = self.files.pop_front() else { return Ok(None) };
        let label = if self.several { format!("{}{IN_ZIP}{name}", self.label) } else { self.label.clone() };
        let read = |error: io::Error| read_error(&label, false, &error);
        let mut file = self.file.try_clone().map_err(read)?;
        file.seek(SeekFrom::Start(start)).map_err(read)?;
        let data = file.take(size);
        let inner: Stream = match method {
            zip::CompressionMethod::Stored => Box::new(data),
            zip::CompressionMethod::Deflated => Box::new(DeflateDecoder::new(data)),
            _ => {
                return Err(usage(&label, "the zip archive uses a compression that is not read")
                    .hint(format!("unzip -p FILE | a2z cutover {} -", options.flag)));
            }
        };
        let checked = Checked { inner, crc: Crc::new(), bytes: 0, expected };
        unwrap(Box::new(checked), &label, options, true, self.depth).map(Some)
    }
}

/// A file of a zip: its length and checksum are those that the archive gives, or it is an error.
struct Checked {
    inner: Stream,
    crc: Crc,
    bytes: u64,
    expected: (u64, u32),
}

impl Read for Checked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.crc.update(&buf[..read]);
        self.bytes += read as u64;
        if read == 0 && !buf.is_empty() {
            if self.bytes < self.expected.0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if (self.bytes, self.crc.sum()) != self.expected {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(read)
    }
}

fn read_full(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match reader.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Copies a source's raw bytes to a new file that only its owner can read, so that they can be read twice.
///
/// # Errors
/// The source cannot be read, or the file cannot be written.
pub fn keep(source: &Source, to: &Path) -> Result<u64> {
    let label = source.to_string();
    let mut from: Stream = match source {
        Source::Stdin => Box::new(io::stdin()),
        Source::File(path) => Box::new(open_file(path, &label)?.0),
    };
    let write = |error: io::Error| Error::usage(format!("cannot write `{}`", to.display())).caused_by(&error);
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(write)?;
    let bytes = io::copy(&mut from, &mut file).map_err(|error| read_error(&label, false, &error))?;
    file.as_file().sync_all().map_err(write)?;
    file.persist(to).map_err(|error| write(error.error))?;
    Ok(bytes)
}
