use std::io::{Cursor, Write as _};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use sha2::Digest as _;

use super::*;

mod shapes;

fn options() -> Options {
    Options::new(1 << 16, "--users").with_digest().with_spool(std::env::temp_dir())
}

fn records(bytes: impl Into<Vec<u8>>) -> Result<Records> {
    Records::from_reader(Cursor::new(bytes.into()), "x.json", &options())
}

fn all(bytes: impl Into<Vec<u8>>) -> Result<Vec<(u64, String)>> {
    let (mut records, mut buf, mut found) = (records(bytes)?, Vec::new(), Vec::new());
    while let Some(record) = records.next(&mut buf)? {
        let text = match record.kind {
            RecordKind::Whole => String::from_utf8_lossy(&buf).trim().to_owned(),
            RecordKind::TooLong { bytes } => format!("too long: {bytes}"),
        };
        found.push((record.line, text));
    }
    Ok(found)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn pairs(found: &[(u64, &str)]) -> Vec<(u64, String)> {
    found.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
}

#[test]
fn lines_with_bom_crlf_and_blanks() {
    let text = "\u{feff}{\"a\":1}\r\n\r\n  \n{\"b\":2}\n\u{feff}{\"c\":3}";
    assert_eq!(all(text).unwrap(), pairs(&[(1, "{\"a\":1}"), (4, "{\"b\":2}"), (5, "{\"c\":3}")]));
}

#[test]
fn arrays_pretty_or_not() {
    assert_eq!(
        all("[{\"a\":\"]},\\\"{\"},\n{\n\"b\":[1,{}]\n}\n,3]\n").unwrap(),
        pairs(&[(1, "{\"a\":\"]},\\\"{\"}"), (2, "{\n\"b\":[1,{}]\n}"), (5, "3")])
    );
    assert_eq!(all("\u{feff} \n[ ]\n").unwrap(), []);
    assert_eq!(all("[1]\n[2]").unwrap(), pairs(&[(1, "1"), (2, "2")]), "several arrays");
    assert_eq!(all("[1]\ngarbage\n[2]").unwrap(), pairs(&[(1, "1"), (2, "garbage"), (3, "2")]));
}

#[test]
fn objects_over_several_lines_without_an_array() {
    assert_eq!(
        all("{\n \"a\": 1\n}\n{\n \"b\": {}\n}\noops oops\n{\"c\":3}").unwrap(),
        pairs(&[(1, "{\n \"a\": 1\n}"), (4, "{\n \"b\": {}\n}"), (7, "oops oops"), (8, "{\"c\":3}")])
    );
}

#[test]
fn what_ends_early_is_an_error() {
    for bytes in [b"[{\"a\":1}".to_vec(), b"[{\"a\":".to_vec(), b"[\"abc".to_vec(), b"{\n\"a\":1\n".to_vec()] {
        assert!(all(bytes.clone()).unwrap_err().message().contains("cut off"), "{bytes:?}");
    }
    let whole = gzip(&b"{\"a\":1}\n".repeat(5000));
    for cut in [whole.len() - 1, whole.len() - 8, whole.len() / 2, 12] {
        assert!(all(&whole[..cut]).unwrap_err().message().contains("cut off"), "{cut}");
    }
    let mut bad = whole;
    let middle = bad.len() - 6;
    bad[middle] ^= 0xff;
    assert!(all(bad).unwrap_err().message().contains("damaged"));
}

#[test]
fn an_error_is_not_followed_by_records() {
    let mut records = records("[1,{").unwrap();
    let mut buf = Vec::new();
    assert!(records.next(&mut buf).unwrap().is_some());
    assert!(records.next(&mut buf).is_err());
    assert!(records.next(&mut buf).unwrap().is_none());
}

#[test]
fn gzip_with_members_and_zip_with_one_file() {
    let two = [gzip(b"{\"a\":1}\n"), gzip(b"{\"b\":2}\n")].concat();
    assert_eq!(all(two).unwrap(), pairs(&[(1, "{\"a\":1}"), (2, "{\"b\":2}")]));
    let expected = pairs(&[(1, "{\"a\":1}")]);
    assert_eq!(all(zip(&[("h.json", b"{\"a\":1}"), ("__MACOSX/._h.json", b"x")])).unwrap(), expected);
    assert_eq!(all(zip(&[("h.json.gz", &gzip(b"[{\"a\":1}]"))])).unwrap(), expected);
    assert_eq!(all(gzip(&zip(&[("h.json", b"{\"a\":1}")]))).unwrap(), expected);
    let whole = zip(&[("a.json", b"{}")]);
    assert!(all(&whole[..whole.len() - 30]).unwrap_err().message().contains("damaged or cut off"));
    // An export of nobody.
    assert_eq!(all(gzip(b"")).unwrap(), []);
}

#[test]
fn a_zip_file_is_read_in_place_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.zip");
    let mut bytes = zip(&[("h.json", b"{\"a\":1}\n{\"b\":2}")]);
    std::fs::write(&path, &bytes).unwrap();
    let no_spool = Options::new(100, "--passwords").with_digest();
    let mut records = Records::open(&Source::File(path.clone()), &no_spool).unwrap();
    let mut buf = Vec::new();
    while records.next(&mut buf).unwrap().is_some() {}
    assert_eq!(records.bytes_read(), bytes.len() as u64);
    assert!(records.digest().is_some());
    // The checksum in the directory at the end.
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[directory + 16] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let result = Records::open(&Source::File(path), &no_spool).and_then(|mut records| {
        while records.next(&mut buf)?.is_some() {}
        Ok(())
    });
    assert!(result.unwrap_err().message().contains("damaged"));
    let stream = Records::from_reader(Cursor::new(zip(&[("a", b"{}")])), "standard input", &no_spool);
    assert!(stream.unwrap_err().hints()[0].contains("unzip -p"));
}

#[test]
fn what_cannot_be_read_says_what_it_is() {
    for (bytes, message, hint) in [
        (&b""[..], "it is empty", ""),
        (b"-----BEGIN PGP MESSAGE-----\n\n", "OpenPGP", "gpg --decrypt x.json | a2z cutover --users -"),
        (b"\x85\x02\x0c\x03", "OpenPGP", "gpg --decrypt"),
        (b"\x84\x5e\x03", "OpenPGP", "gpg --decrypt"),
        (b"\x8c\x0d\x04", "OpenPGP", "gpg --decrypt"),
        (b"\xc1\xc0\x4c", "OpenPGP", "gpg --decrypt"),
        (b"\xd2\xea\x01", "OpenPGP", "gpg --decrypt"),
        (b"\xff\xfe{\0", "UTF-16", "iconv"),
        (b"\xfe\xff\0{", "UTF-16", "iconv"),
        (b"{\0\"\0", "UTF-16", "iconv"),
        (b"BZh91AY", "bzip2", "bzip2 -dc"),
        (b"\"Id\",\"Email\",\"Email Verified\"\n\"auth0|1\"", "CSV", "JSON"),
        (b"user_id,email\n", "CSV", "JSON"),
        (b"\xef\xbb\xbfId;Email\r\n", "CSV", "JSON"),
        (b"<?xml version=\"1.0\"?><Error>", "XML", "again"),
    ] {
        let error = records(bytes).unwrap_err();
        assert!(error.message().contains(message), "{bytes:?}: {error:?}");
        assert!(error.message().contains("x.json"));
        assert!(error.hints().concat().contains(hint), "{error:?}");
        assert_eq!(error.kind(), crate::error::Kind::Usage);
    }
    assert!(records(gzip(b"-----BEGIN PGP MESSAGE-----")).unwrap_err().message().contains("OpenPGP"));
    let folder = std::env::temp_dir();
    let error = Records::open(&Source::File(folder.clone()), &options()).unwrap_err();
    assert!(error.message().contains("directory"));
    let error = Records::open(&Source::File(folder.join("no/such/file")), &options()).unwrap_err();
    assert!(error.message().contains("no such file"));
}

#[test]
fn garbage_is_a_record_and_not_csv() {
    assert_eq!(all("hello\n{\"a\":1}").unwrap().len(), 2);
    assert_eq!(all("\"a\", oops: {\n").unwrap().len(), 1);
}

#[test]
fn a_record_over_the_limit_is_skipped() {
    let mut options = options();
    options.max_line = 7;
    for (text, lines) in [
        ("{\"a\":1}\r\n{\"abcdefghijk\":1}\n{\"b\":2}", [1, 2, 3]),
        ("[{\"a\":1},\n{\"abcdefghijk\":1},\n{\"b\":2}]", [1, 2, 3]),
    ] {
        let mut records = Records::from_reader(Cursor::new(text), "x", &options).unwrap();
        let mut buf = Vec::new();
        let mut kinds = Vec::new();
        while let Some(record) = records.next(&mut buf).unwrap() {
            assert!(buf.len() <= 9);
            kinds.push((record.line, record.kind));
        }
        let long = |kind| matches!(kind, RecordKind::TooLong { bytes: 17 | 18 });
        assert_eq!(kinds.iter().map(|(line, _)| *line).collect::<Vec<_>>(), lines);
        assert_eq!(kinds.iter().map(|(_, kind)| long(*kind)).collect::<Vec<_>>(), [false, true, false]);
    }
}

#[test]
fn the_digest_is_that_of_the_raw_bytes() {
    let raw = gzip(b"{\"a\":1}\n");
    let mut records = records(raw.clone()).unwrap();
    let mut buf = Vec::new();
    while records.next(&mut buf).unwrap().is_some() {}
    let expected = crate::text::hex(&sha2::Sha256::digest(&raw));
    assert_eq!(records.digest(), Some(expected));
    assert_eq!(records.bytes_read(), raw.len() as u64);
}

#[cfg(unix)]
#[test]
fn kept_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::write(&from, "{}").unwrap();
    assert_eq!(keep(&Source::File(from), &to).unwrap(), 2);
    assert_eq!(std::fs::metadata(to).unwrap().permissions().mode() & 0o777, 0o600);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(head in prop::sample::select(vec![&b""[..], b"[", b"{\n", b"\x1f\x8b\x08", b"PK\x03\x04"]), tail: Vec<u8>) {
        let _ = all([head, &tail].concat());
    }

    #[test]
    fn no_record_is_lost_or_invented(
        values in prop::collection::vec("[ -~é\u{1f600}]{0,40}", 0..30),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\n\n", "\r\n \r\n"]), 30),
        bom: bool, open_end: bool, packed: bool,
    ) {
        let rows: Vec<_> = values.iter().map(|value| serde_json::json!({ "v": value }).to_string()).collect();
        let mut text = String::from(if bom { "\u{feff}" } else { "" });
        for (index, row) in rows.iter().enumerate() {
            text.push_str(row);
            if !(open_end && index + 1 == rows.len()) {
                text.push_str(ends[index]);
            }
        }
        text.push_str(if rows.is_empty() { "\n" } else { "" });
        let bytes = if packed { gzip(text.as_bytes()) } else { text.into_bytes() };
        let found: Vec<_> = all(bytes).unwrap().into_iter().map(|(_, text)| text).collect();
        prop_assert_eq!(&found, &rows);
        let array = format!("[{}]", rows.join(" ,\n"));
        let found: Vec<_> = all(array).unwrap().into_iter().map(|(_, text)| text).collect();
        prop_assert_eq!(&found, &rows);
    }
}
