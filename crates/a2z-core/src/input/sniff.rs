//! What a file is, by its first bytes.

use std::io::{BufRead, BufReader, Read};

use super::record::{IN_ZIP, Mode, Options, read_error, usage};
use crate::error::Result;

pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Bytes that are enough to tell containers apart.
pub(super) const HEAD: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Gzip,
    Zip,
    Plain,
}

/// What wraps the text, or why it cannot be read.
pub(super) fn container(head: &[u8], label: &str, options: &Options) -> Result<Container> {
    match head {
        [0x1f, 0x8b, ..] => Ok(Container::Gzip),
        [b'P', b'K', 3, 4, ..] => Ok(Container::Zip),
        [b'P', b'K', 5, 6, ..] => Err(usage(label, "the zip archive is empty")),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] | [b'{' | b'[', 0, ..] => Err(usage(
            label,
            "it is UTF-16 text; UTF-8 is needed",
        )
        .hint(format!("iconv -f UTF-16 -t UTF-8 {} | a2z cutover {} -", quoted(label), options.flag))),
        [b'B', b'Z', b'h', ..] => Err(compressed(label, "bzip2", "bzip2 -dc", options)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(compressed(label, "xz", "xz -dc", options)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(compressed(label, "zstd", "zstd -dc", options)),
        [b'7', b'z', 0xbc, 0xaf, ..] => Err(compressed(label, "7-Zip", "7z x -so", options)),
        _ if is_openpgp(head) => Err(usage(label, "it is encrypted with OpenPGP").hint(format!(
            "gpg --decrypt {} | a2z cutover {} -",
            quoted(label),
            options.flag
        ))),
        [first, ..] if *first >= 0x80 && !head.starts_with(BOM) => {
            Err(usage(label, "it is neither JSON text nor gzip nor zip"))
        }
        _ => Ok(Container::Plain),
    }
}

fn compressed(label: &str, what: &str, command: &str, options: &Options) -> crate::error::Error {
    usage(label, &format!("it is compressed with {what}; only gzip and zip are read")).hint(format!(
        "{command} {} | a2z cutover {} -",
        quoted(label),
        options.flag
    ))
}

/// A file name as it may be pasted into a shell; what is no file by itself is `FILE`.
fn quoted(name: &str) -> String {
    if name == "standard input" || name.contains(IN_ZIP) {
        return "FILE".to_owned();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

/// Armoured, or a binary packet that an encrypted (or signed, or compressed) message begins with, RFC 9580 section 4.2.
fn is_openpgp(head: &[u8]) -> bool {
    let text = head.strip_prefix(BOM).unwrap_or(head).trim_ascii_start();
    if text.starts_with(b"-----BEGIN PGP") {
        return true;
    }
    let tag = match head.first() {
        Some(byte) if byte & 0xc0 == 0xc0 => byte & 0x3f,
        Some(byte) if byte & 0x80 == 0x80 => (byte & 0x3c) >> 2,
        _ => return false,
    };
    // Session keys, one-pass signature, compressed, encrypted, marker, encrypted with integrity.
    matches!(tag, 1 | 3 | 4 | 8 | 9 | 10 | 18 | 20) && !head.starts_with(BOM)
}

/// How many bytes show the first row whole, and what follows it.
const START: u64 = 64 << 10;

/// The same stream, whose first read gives as much as [`text`] looks at: streams begin with a few bytes at times.
pub(super) fn with_start(mut stream: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
    let mut start = Vec::new();
    match stream.by_ref().take(START).read_to_end(&mut start) {
        Ok(_) => Box::new(std::io::Cursor::new(start).chain(stream)),
        // What came before the error is read first.
        Err(error) => Box::new(std::io::Cursor::new(start).chain(Broken(error.kind()))),
    }
}

/// A stream that has failed, and goes on failing.
struct Broken(std::io::ErrorKind);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(self.0.into())
    }
}

/// How the text is divided into records; takes the byte-order mark away.
pub(super) fn text<R: Read>(reader: &mut BufReader<R>, label: &str, options: &Options) -> Result<Mode> {
    let fail = |error: std::io::Error| read_error(label, false, &error);
    if reader.fill_buf().map_err(fail)?.starts_with(BOM) {
        reader.consume(BOM.len());
    }
    let head = reader.fill_buf().map_err(fail)?;
    let start = head.trim_ascii_start();
    let end = start.iter().position(|b| *b == b'\n').unwrap_or(start.len());
    let line = start[..end].trim_ascii_end();
    // A first row that is damaged must not speak for the others: behind a whole array, or a lone brace, no object can begin
    // unless every line is a record.
    let row_follows = start[end..].trim_ascii_start().first() == Some(&b'{');
    match start.first() {
        Some(b'[') if row_follows && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok() => Ok(Mode::Lines),
        Some(b'{') if row_follows && line == b"{" => Ok(Mode::Lines),
        Some(b'[') => Ok(Mode::Array),
        Some(b'{') if super::envelope::is_one(start) => Ok(Mode::Wrapped),
        Some(b'{') if line == b"{" || is_over_several_lines(start, end) => Ok(Mode::Values),
        Some(b'{') => Ok(Mode::Lines),
        Some(b'<') => Err(usage(label, "it is a web page or XML, not JSON")
            .hint("download the export again; an expired link answers with such a page")),
        Some(_) if !row_follows && super::csv::looks_like_it(start) => Err(super::csv::refused(label, options.flag)),
        _ => Ok(Mode::Lines),
    }
}

/// Does the first object end behind the first line, which ends at `end`?
fn is_over_several_lines(start: &[u8], end: usize) -> bool {
    let mut values = serde_json::Deserializer::from_slice(start).into_iter::<serde::de::IgnoredAny>();
    matches!(values.next(), Some(Ok(_))) && values.byte_offset() > end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_first_row_does_not_speak_for_the_others() {
        let options = Options::new(100, "--users");
        let mode = |bytes: &'static [u8]| text(&mut BufReader::new(bytes), "x", &options).unwrap();
        for lines in [&b"{\n{\"a\":1}\n"[..], b"[1,2]\n{\"a\":1}\n", b"[]\n\n{\"a\":1}\n", b"{\"a\n{\"a\":1}\n"] {
            assert!(matches!(mode(lines), Mode::Lines), "{}", String::from_utf8_lossy(lines));
        }
        for array in [&b"[{\"a\":1},{\"a\":2}]\n"[..], b"[\n{\"a\":1}\n]\n", b"[]\n"] {
            assert!(matches!(mode(array), Mode::Array), "{}", String::from_utf8_lossy(array));
        }
        assert!(matches!(mode(b"{\n  \"a\": 1\n}\n{\n}\n"), Mode::Values));
        assert!(matches!(mode(b"{ \"a\": 1,\n  \"b\": 2 }\n{ \"a\": 1 }\n"), Mode::Values));
    }
}
