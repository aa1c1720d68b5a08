//! Shapes of files that people really have: commas between rows, several rows on a line, lists in an object, zips.

use super::*;

fn rows(found: &[&str]) -> Vec<String> {
    found.iter().map(|text| (*text).to_owned()).collect()
}

fn texts(bytes: impl Into<Vec<u8>>) -> Vec<String> {
    all(bytes).unwrap().into_iter().map(|(_, text)| text).collect()
}

/// Reads as the indexes do: a row that is several is divided.
fn divided(text: &str, max_line: usize) -> Vec<(u64, String)> {
    let options = Options::new(max_line, "--users");
    let mut records = Records::from_reader(Cursor::new(text.to_owned()), "x", &options).unwrap();
    let (mut buf, mut found) = (Vec::new(), Vec::new());
    while let Some(record) = records.next(&mut buf).unwrap() {
        let sound = serde_json::from_slice::<serde::de::IgnoredAny>(&buf).is_ok();
        if !sound && records.divide(&buf) {
            continue;
        }
        let text = match record.kind {
            RecordKind::Whole => String::from_utf8_lossy(&buf).into_owned(),
            RecordKind::TooLong { bytes } => format!("too long: {bytes}"),
        };
        found.push((record.line, text));
    }
    found
}

#[test]
fn a_comma_between_rows_is_harmless() {
    for text in [
        "{\"a\":1},\n{\"b\":2},\n",
        "{\"a\":1} , \r\n{\"b\":2},,",
        "{\"a\":1}\n,{\"b\":2}\n",
        "{\"a\":1}\n,\n{\"b\":2}\n ,\n",
        "\u{feff}{\"a\":1},\r\n\u{feff}{\"b\":2},\r\n",
    ] {
        assert_eq!(texts(text), rows(&["{\"a\":1}", "{\"b\":2}"]), "{text}");
    }
    let pretty = "{\n\"a\":1\n},\n{\n\"b\":2\n},\n";
    assert_eq!(texts(pretty), rows(&["{\n\"a\":1\n}", "{\n\"b\":2\n}"]));
    // A comma is part of what is no row.
    assert_eq!(texts("oops,\n{\"a\":1}\n"), rows(&["oops,", "{\"a\":1}"]));
}

#[test]
fn several_rows_on_a_line_are_several_rows() {
    let expected = pairs(&[(1, "{\"a\":\"}{\"}"), (1, "{\"b\":[{},{}]}"), (2, "{\"c\":3}")]);
    for text in [
        "{\"a\":\"}{\"}{\"b\":[{},{}]}\n{\"c\":3}\n",
        "{\"a\":\"}{\"}, {\"b\":[{},{}]},\n{\"c\":3}",
        "{\"a\":\"}{\"}\t{\"b\":[{},{}]}\r\n{\"c\":3}",
    ] {
        assert_eq!(divided(text, 1000), expected, "{text}");
    }
    // Files that were put together with `cat` where one had no line end at its own.
    assert_eq!(
        divided("{\"a\":1}\n{\"b\":2}{\"c\":3}\n{\"d\":4}\n", 1000),
        pairs(&[(1, "{\"a\":1}"), (2, "{\"b\":2}"), (2, "{\"c\":3}"), (3, "{\"d\":4}")])
    );
}

#[test]
fn a_whole_file_on_one_line_is_longer_than_any_row() {
    let text = "{\"a\":1},".repeat(50);
    assert_eq!(divided(&text, 20).len(), 50);
    let long = format!("{}{{\"long\":\"{}\"}}{{\"b\":2}}", "{\"a\":1}".repeat(3), "x".repeat(40));
    let found: Vec<_> = divided(&long, 20).into_iter().map(|(_, text)| text).collect();
    assert_eq!(found, rows(&["{\"a\":1}", "{\"a\":1}", "{\"a\":1}", "too long: 51", "{\"b\":2}"]));
    // One row that is too long is one row.
    assert_eq!(divided(&format!("{{\"a\":\"{}\"}}\n{{}}", "x".repeat(40)), 20).len(), 2);
}

#[test]
fn a_damaged_row_among_several_on_a_line_costs_its_line_only() {
    let found = divided("{\"a\":1}{\"b\":2}\n{\"c\":\"3\n{\"d\":{\n{\"e\":5}\n{\"f\":6", 1000);
    let expected =
        [(1, "{\"a\":1}"), (1, "{\"b\":2}"), (2, "{\"c\":\"3"), (3, "{\"d\":{"), (4, "{\"e\":5}"), (5, "{\"f\":6")];
    assert_eq!(found, pairs(&expected));
}

#[test]
fn a_list_in_an_object_is_read_as_the_list() {
    for text in [
        "{\"users\":[{\"a\":1},{\"b\":[{}]}]}",
        "{\n  \"users\": [\n    {\"a\":1},\n    {\"b\":[{}]},\n  ]\n}\n",
        "{\"start\":0,\"limit\":50,\"length\":2,\"users\":[{\"a\":1},{\"b\":[{}]}],\"total\":2}\n",
        "{\"users\":[{\"a\":1}]}\n{\"users\":[{\"b\":[{}]}]}\n{\"users\":[]}\n",
        "{\"users\":[{\"a\":1}]},{\"users\":[{\"b\":[{}]}]}",
        "\u{feff}{\"Users\" : [{\"a\":1},{\"b\":[{}]}], \"more\": {\"users\": [1]}}",
        "{\"data\":[{\"a\":1},{\"b\":[{}]}]}",
    ] {
        assert_eq!(texts(text), rows(&["{\"a\":1}", "{\"b\":[{}]}"]), "{text}");
    }
    assert_eq!(texts("{\"users\":[]}"), rows(&[]));
    // Lists of a row are its own.
    for row in [
        "{\"user_id\":\"auth0|1\",\"users\":[{\"a\":1}]}",
        "{\"identities\":[{\"a\":1}],\"user_id\":\"auth0|1\"}",
        "{\"users\":\"[{}]\",\"user_id\":\"auth0|1\"}",
        "{\"app_metadata\":{\"users\":[{\"a\":1}]},\"user_id\":\"auth0|1\"}",
    ] {
        assert_eq!(texts(format!("{row}\n")), rows(&[row]));
    }
    // And an object without a list among others is a row that somebody will look at.
    let found = texts("{\"users\":[{\"a\":1}]}\n{\"user_id\":\"auth0|1\",\"users\":[1]}\n");
    assert_eq!(found, rows(&["{\"a\":1}", "{\"user_id\":\"auth0|1\",\"users\":[1]}"]));
    for cut in ["{\"users\":[{\"a\":1},", "{\"users\":[{\"a\":1}]", "{\"users\":[{\"a\":"] {
        assert!(all(cut).unwrap_err().message().contains("cut off"), "{cut}");
    }
}

#[test]
fn objects_over_several_lines_need_no_line_of_their_own_for_the_brace() {
    assert_eq!(
        all("{ \"a\": 1,\n  \"b\": 2 }\n{ \"c\": 3,\n  \"d\": 4 }\n").unwrap(),
        pairs(&[(1, "{ \"a\": 1,\n  \"b\": 2 }"), (3, "{ \"c\": 3,\n  \"d\": 4 }")])
    );
}

#[test]
fn a_zip_may_hold_several_files() {
    let gz = gzip(b"[{\"c\":3}]");
    let inner = zip(&[("d.json", b"{\"d\":4}\n"), ("e.json", b"{\"e\":5}")]);
    let bytes = zip(&[
        ("a.json", b"{\"a\":1}"),
        ("__MACOSX/._a.json", b"x"),
        ("b.json", b"\xef\xbb\xbf{\"users\":[\n{\"b\":2}\n]}\n"),
        ("empty.json", b""),
        ("c.json.gz", &gz),
        ("inner.zip", &inner),
        ("f.json", b"{\"f\":6}\n{\"g\":7}"),
    ]);
    let expected = rows(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "{\"d\":4}", "{\"e\":5}", "{\"f\":6}", "{\"g\":7}"]);
    let found = all(bytes.clone()).unwrap();
    assert_eq!(found.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>(), expected);
    // The lines count on, so that no two rows have one.
    assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "{found:?}");
    // The same from a file, which is read in place.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.zip");
    std::fs::write(&path, &bytes).unwrap();
    let mut records = Records::open(&Source::File(path), &options()).unwrap();
    let (mut buf, mut found) = (Vec::new(), Vec::new());
    while records.next(&mut buf).unwrap().is_some() {
        found.push(String::from_utf8_lossy(&buf).trim().to_owned());
    }
    assert_eq!(found, expected);
    assert_eq!(records.digest(), Some(crate::text::hex(&sha2::Sha256::digest(&bytes))));
}

#[test]
fn a_bad_file_of_a_zip_is_named() {
    for (bad, message, hint) in [
        (&b"Id,Email\n1,a@example.com\n"[..], "it is CSV", "JSON"),
        (b"-----BEGIN PGP MESSAGE-----\n\n", "OpenPGP", "gpg --decrypt FILE |"),
        (b"[{\"a\":1}", "cut off", "again"),
    ] {
        let error = all(zip(&[("a.json", b"{\"a\":1}\n"), ("b.json", bad)])).unwrap_err();
        assert!(error.message().contains(message) && error.message().contains("b.json"), "{error:?}");
        assert!(error.hints().concat().contains(hint), "{error:?}");
    }
}

#[test]
fn csv_says_what_is_wanted_instead() {
    for (flag, wanted) in [("--users", "\"format\":\"json\""), ("--passwords", "passwordHash"), ("--mfa", "otp_secret")]
    {
        let options = Options::new(100, flag);
        let text = "id;e-mail: work;hash [bcrypt]\r\n1;a@example.com;$2b$10$x\r\n";
        let error = Records::from_reader(Cursor::new(text), "x", &options).unwrap_err();
        assert!(error.message().contains("CSV"), "{error:?}");
        assert!(error.hints().concat().contains(wanted), "{error:?}");
    }
}
