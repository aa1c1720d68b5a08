//! Opens a file (or standard input) of JSON records and yields them one at a time, in constant memory.
//!
//! What a file is, is told by its first bytes, never by its name: gzip (with several members), zip (with one file or
//! several, which are read one after another), NDJSON (a comma between rows or several rows on a line are harmless), a
//! JSON array, an object around one (`{"users":[…]}`), a UTF-8 byte-order mark; UTF-16, `OpenPGP` and CSV are recognised
//! and refused with a hint.
//! A record that is longer than the limit is handed out as such and skipped, so that it costs one user and no memory.

mod csv;
mod dates;
mod envelope;
pub(crate) mod lenient;
mod open;
mod record;
pub(crate) mod scalar;
pub mod settings;
mod sniff;
mod split;

use std::io::{self, BufRead, BufReader, Cursor, Read};

use crate::{error::Result, input::settings::Source};

use record::Mode;

pub use open::{Digest, keep};
pub use record::{Options, Record, RecordKind};

const BUFFER: usize = 256 << 10;

/// The text, with what was read of it and put back.
struct Text {
    back: Cursor<Vec<u8>>,
    text: BufReader<Box<dyn Read + Send>>,
}

impl Text {
    fn has_back(&self) -> bool {
        self.back.position() < self.back.get_ref().len() as u64
    }
}

impl Read for Text {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.has_back() { self.back.read(buf) } else { self.text.read(buf) }
    }
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.has_back() { self.back.fill_buf() } else { self.text.fill_buf() }
    }

    fn consume(&mut self, amount: usize) {
        if self.has_back() { self.back.consume(amount) } else { self.text.consume(amount) }
    }
}

/// The records of one file.
pub struct Records {
    label: String,
    /// How errors call what is being read: in a zip archive with several files one of these.
    place: String,
    reader: Text,
    digest: Digest,
    options: Options,
    /// The other files of zip archives, the innermost last.
    more: Vec<open::Archive>,
    mode: Mode,
    splitter: split::Splitter,
    /// The number of the last line read (line mode).
    line: u64,
    failed: bool,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("label", &self.label).field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Records {
    /// Opens a file or standard input.
    ///
    /// # Errors
    /// The file cannot be read, is empty, a directory, encrypted, UTF-16, CSV, or damaged.
    pub fn open(source: &Source, options: &Options) -> Result<Self> {
        let digest = Digest::new(options.digest);
        let opened = open::open(source, options, &digest)?;
        Self::over(opened, source.to_string(), options, digest)
    }

    /// Reads from anything; `label` is how errors call it.
    ///
    /// # Errors
    /// As [`Records::open`].
    pub fn from_reader(reader: impl Read + Send + 'static, label: &str, options: &Options) -> Result<Self> {
        let digest = Digest::new(options.digest);
        let opened = open::from_reader(reader, label, options, &digest)?;
        Self::over(opened, label.to_owned(), options, digest)
    }

    fn over(opened: open::Opened, label: String, options: &Options, digest: Digest) -> Result<Self> {
        let (reader, mode) = begin(opened.stream, &opened.label, options)?;
        let splitter = split::Splitter::new(options.max_line, 1);
        let (options, more, place) = (options.clone(), opened.more, opened.label);
        Ok(Self { label, place, reader, digest, options, more, mode, splitter, line: 0, failed: false })
    }

    /// The next record; its bytes replace what `buf` holds. `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read on, is cut off, or is damaged. There is nothing to read after an error.
    pub fn next(&mut self, buf: &mut Vec<u8>) -> Result<Option<Record>> {
        buf.clear();
        if self.failed {
            return Ok(None);
        }
        let mut result = self.next_of_file(buf);
        while matches!(result, Ok(None)) {
            match self.next_file() {
                Ok(true) => result = self.next_of_file(buf),
                Ok(false) => break,
                Err(error) => result = Err(error),
            }
        }
        self.failed = result.is_err();
        result
    }

    fn next_of_file(&mut self, buf: &mut Vec<u8>) -> Result<Option<Record>> {
        let result = match self.mode {
            Mode::Lines => self.next_line(buf),
            Mode::Array => self.splitter.next_element(&mut self.reader, buf),
            Mode::Values => self.splitter.next_value(&mut self.reader, buf),
            Mode::Packed => self.splitter.next_packed(&mut self.reader, buf),
            Mode::Wrapped => self.splitter.next_wrapped(&mut self.reader, buf),
        };
        result.map_err(|error| record::read_error(&self.place, self.splitter.unfinished(), &error))
    }

    /// Goes on with the next file of a zip archive.
    fn next_file(&mut self) -> Result<bool> {
        let Some(opened) = open::next_file(&mut self.more, &self.options, &self.digest)? else { return Ok(false) };
        let lines = if self.mode == Mode::Lines { self.line } else { self.splitter.line() };
        (self.reader, self.mode) = begin(opened.stream, &opened.label, &self.options)?;
        self.splitter = split::Splitter::new(self.options.max_line, lines + 1);
        self.line = lines;
        self.place = opened.label;
        self.more.extend(opened.more);
        Ok(true)
    }

    /// Are these several objects on one line? Then they are handed out next, one by one. `row` is the record that was
    /// read last and could not be understood.
    pub fn divide(&mut self, row: &[u8]) -> bool {
        if self.mode != Mode::Lines || !split::holds_several(row) {
            return false;
        }
        self.put_back(row.to_vec(), self.line);
        true
    }

    /// Reads this again, as objects on one line, and what follows in the same way.
    fn put_back(&mut self, mut line: Vec<u8>, number: u64) {
        line.push(b'\n');
        self.reader.back = Cursor::new(line);
        self.splitter = split::Splitter::new(self.options.max_line, number);
        self.mode = Mode::Packed;
    }

    /// How errors call the file.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Raw (compressed) bytes read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.digest.bytes_read()
    }

    /// The SHA-256 of the raw bytes read so far, in hex, where it was asked for; call it after the last record.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        self.digest.hex()
    }

    fn next_line(&mut self, buf: &mut Vec<u8>) -> io::Result<Option<Record>> {
        let max_line = self.options.max_line;
        let most = u64::try_from(max_line).unwrap_or(u64::MAX).saturating_add(2); // its end may be CRLF
        loop {
            buf.clear();
            let read = (&mut self.reader).take(most).read_until(b'\n', buf)?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            let mut bytes = read as u64;
            if buf.last() == Some(&b'\n') {
                buf.pop();
                bytes -= 1;
            } else if bytes == most {
                if split::holds_several(buf) {
                    // A whole file on one line, perhaps.
                    self.put_back(std::mem::take(buf), self.line);
                    self.reader.back.get_mut().pop();
                    return self.splitter.next_packed(&mut self.reader, buf);
                }
                bytes += self.reader.skip_until(b'\n')? as u64;
            }
            if buf.last() == Some(&b'\r') && buf.len() as u64 == bytes {
                buf.pop();
                bytes -= 1;
            }
            if buf.starts_with(sniff::BOM) {
                // Files that were put together with `cat` have one in the middle.
                buf.drain(..sniff::BOM.len());
                bytes -= sniff::BOM.len() as u64;
            }
            if bytes > max_line as u64 {
                buf.truncate(max_line);
                return Ok(Some(Record { line: self.line, kind: RecordKind::TooLong { bytes } }));
            }
            without_commas(buf);
            if !buf.trim_ascii().is_empty() {
                return Ok(Some(Record { line: self.line, kind: RecordKind::Whole }));
            }
        }
    }
}

/// How a text is read.
fn begin(stream: Box<dyn Read + Send>, label: &str, options: &Options) -> Result<(Text, Mode)> {
    let mut text = BufReader::with_capacity(BUFFER, sniff::with_start(stream));
    let mode = sniff::text(&mut text, label, options)?;
    Ok((Text { back: Cursor::default(), text }, mode))
}

/// Takes away the commas between rows, before or after an object on its line.
fn without_commas(line: &mut Vec<u8>) {
    let is_between = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
    if line.trim_ascii_end().last() == Some(&b',') {
        let end = line.iter().rposition(|byte| !is_between(byte)).map_or(0, |last| last + 1);
        if end == 0 || line.get(end - 1) == Some(&b'}') {
            line.truncate(end);
        }
    }
    if line.trim_ascii_start().first() == Some(&b',') {
        let start = line.iter().position(|byte| !is_between(byte)).unwrap_or(line.len());
        if line.get(start).is_none_or(|byte| *byte == b'{') {
            line.drain(..start);
        }
    }
}

/// `bytes` as a fragment of a reason: `too long (12 bytes; the limit is 10)`.
#[must_use]
pub fn too_long(bytes: u64, limit: usize) -> String {
    format!(
        "the row is too long: {} bytes, the limit is {}",
        crate::error::thousands(bytes),
        crate::error::thousands(limit as u64)
    )
}

/// A serde error of a record in words that quote nothing of the record: what and at which column.
#[must_use]
pub fn json_reason(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => "the row ends in the middle of its JSON".to_owned(),
        Category::Syntax | Category::Io => format!("not valid JSON at column {}", error.column()),
        Category::Data => format!("not a JSON object of the expected shape, at column {}", error.column()),
    }
}

#[cfg(test)]
mod tests;
