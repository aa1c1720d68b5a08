use std::{
    collections::HashMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::{config::Source, event::Events};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hashes").join(name)
}

fn load(files: &[PathBuf], by_email: bool) -> HashIndex {
    let sources: Vec<_> = files.iter().cloned().map(Source::File).collect();
    let options = LoadOptions { by_email, max_line: 1 << 20, ..LoadOptions::default() };
    HashIndex::load(&sources, &options, &Events::silent()).unwrap()
}

fn write(rows: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rows.as_bytes()).unwrap();
    file
}

/// The last letter of the hash that was found, or what else came.
fn last(lookup: &Lookup) -> String {
    match lookup {
        Lookup::None => "none".into(),
        Lookup::Found(row) => row.hash.expose_secret().chars().last().unwrap().to_string(),
        Lookup::Ambiguous(names) => names.join("+"),
    }
}

const OID: &str = "5dea9f9c82dd7c0e76e4ec";

#[test]
fn every_form_of_a_row_is_found() {
    let index = load(&[fixture("every-form.ndjson")], false);
    let find = |id: &str| last(&index.find(Some("DB"), id));
    for (id, hash) in [("01", "A"), ("03", "C"), ("04", "D"), ("05", "E"), ("02", "none"), ("06", "none")] {
        assert_eq!(find(&format!("{OID}{id}")), hash, "{id}");
        assert_eq!(find(&format!("auth0|{OID}{id}")), hash, "{id}");
    }
    assert_eq!(find("euclid"), "B");
    // In a file whose other ids have no prefix this is an account of that very id: `auth0|auth0|…`.
    assert_eq!(find(&format!("auth0|{OID}08")), "H");
    assert_eq!(find(&format!("{OID}08")), "none");
    for (email, hash) in [("EIGHT@nico.com", "H"), ("else@nico.com", "none")] {
        assert_eq!(last(&index.find_for(Some("DB"), &format!("{OID}08"), Some(email))), hash);
    }
    assert_eq!(last(&index.find(Some("Other"), &format!("{OID}01"))), "none");
    let Lookup::Found(row) = index.find_for(Some("DB"), &format!("{OID}01"), Some("ONE@nico.com")) else { panic!() };
    assert_eq!(row.email_verified, Some(false));
    assert_eq!(row.set_at, Some("2019-12-06T18:36:12.412Z".parse().unwrap()));
    for (email, verified) in [(None, None), (Some("three@nico.com"), Some(true)), (Some("else@nico.com"), None)] {
        let Lookup::Found(row) = index.find_for(Some("DB"), &format!("{OID}03"), email) else { panic!() };
        assert_eq!(row.email_verified, verified);
    }
    let Lookup::Found(row) = index.find(Some("DB"), &format!("{OID}05")) else { panic!() };
    assert_eq!(row.set_at, Some("2019-12-06T18:36:12.412Z".parse().unwrap()));
}

#[test]
fn the_audit_counts_everything_and_shows_no_hash() {
    let index = load(&[fixture("every-form.ndjson")], false);
    let _ = index.find(Some("DB"), "euclid");
    let _ = index.find(Some("DB"), "euclid");
    let audit = index.audit();
    assert_eq!((audit.rows, audit.malformed_rows, audit.without_hash, audit.unusable), (10, 2, 1, 1));
    assert_eq!(audit.unused, 6);
    assert_eq!(audit.malformed.iter().map(|row| row.line).collect::<Vec<_>>(), [9, 10]);
    assert_eq!(audit.by_connection["DB"], 5);
    assert_eq!(audit.by_connection[""], 1);
    assert_eq!(audit.by_algorithm["bcrypt 2b cost 10"], 6);
    assert_eq!(audit.by_algorithm["argon2id"], 1);
    assert_eq!(
        audit.by_algorithm["no passwordHash (other keys: custom_password_hash, not of the documented shape)"],
        1
    );
    let shown = format!("{audit}{audit:?}{index:?}{}", serde_json::to_string(&audit).unwrap());
    for secret in ["canary", "zLlN.", "aGFzaA", "nico.com"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    index.forget_used();
    assert_eq!(index.audit().unused, 7);
}

#[test]
fn a_file_that_prefixes_all_its_ids_loses_one() {
    let index = load(&[fixture("all-prefixed.ndjson")], false);
    for id in [format!("{OID}01"), format!("auth0|{OID}01")] {
        assert_eq!(last(&index.find(Some("DB"), &id)), "A");
    }
    assert_eq!(last(&index.find(Some("DB"), "euclid")), "B");
    // Beside a file without prefixes it is the same account, once.
    let index = load(&[fixture("all-prefixed.ndjson"), fixture("two-connections-one-id.ndjson")], false);
    assert_eq!(last(&index.find(Some("DB"), &format!("{OID}01"))), "A");
}

#[test]
fn a_doubled_prefix_does_not_take_another_accounts_hash() {
    let row = |id: &str, email: &str, end: char| {
        let body = "zLlN.2NvxP8Vi9PLbstbxOpYpDGteOsmkcslxheOxRfUaknVQTL6";
        format!(
            "{{\"_id\":\"{id}\",\"email\":\"{email}\",\"connection\":\"DB\",\"passwordHash\":\"$2b$10${body}{end}\"}}\n"
        )
    };
    let both = write(&(row("x", "x@b.co", 'A') + &row("auth0|x", "y@b.co", 'B')));
    let index = load(&[both.path().to_owned()], false);
    assert_eq!(last(&index.find(Some("DB"), "x")), "A");
    assert_eq!(last(&index.find(Some("DB"), "auth0|x")), "B");
    // Its own row is missing: the e-mail objects.
    let one = write(&row("x", "x@b.co", 'A'));
    let index = load(&[one.path().to_owned()], false);
    assert_eq!(last(&index.find_for(Some("DB"), "auth0|x", Some("y@b.co"))), "none");
    assert_eq!(last(&index.find_for(Some("DB"), "auth0|x", Some("X@b.co"))), "A");
}

#[test]
fn connections_are_kept_apart() {
    let index = load(&[fixture("two-connections-one-id.ndjson")], true);
    let (one, two) = (format!("{OID}01"), format!("{OID}02"));
    assert_eq!(last(&index.find(Some("Old"), &one)), "A");
    assert_eq!(last(&index.find(Some("New"), &one)), "B");
    assert_eq!(last(&index.find(Some("Third"), &one)), "none");
    assert_eq!(last(&index.find(None, &one)), "New+Old");
    assert_eq!(last(&index.find(None, &two)), "C");
    assert_eq!(last(&index.find(Some("Third"), &two)), "C", "a row without connection");
    assert_eq!(last(&index.find_by_email(None, "A@B.co")), "New+Old");
    assert_eq!(last(&index.find_by_email(Some("Old"), "A@B.co")), "A");
    assert_eq!(last(&index.find_by_email(None, "c@b.co")), "C");
    assert_eq!(last(&index.find_by_email(None, "")), "none");
    let index = load(&[fixture("two-connections-one-id.ndjson")], false);
    assert_eq!(last(&index.find_by_email(None, "c@b.co")), "none", "off by default");
}

#[test]
fn the_newest_of_several_rows_counts() {
    let index = load(&[fixture("superseded.ndjson")], false);
    assert_eq!(last(&index.find(Some("DB"), &format!("{OID}01"))), "B");
    let audit = index.audit();
    assert_eq!((audit.superseded, audit.duplicates, index.len()), (1, 1, 1));
}

#[test]
fn the_digest_does_not_hang_on_the_order() {
    let files = [fixture("superseded.ndjson"), fixture("all-prefixed.ndjson")];
    let turned = [files[1].clone(), files[0].clone()];
    assert_eq!(load(&files, false).digest(), load(&turned, false).digest());
    assert_ne!(load(&files, false).digest(), load(&files[..1], false).digest());
    assert!(HashIndex::empty().is_empty());
    assert_eq!(last(&HashIndex::empty().find(None, "x")), "none");
}

#[test]
fn an_entry_is_small() {
    assert_eq!(size_of::<store::Entry>(), 88);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everybody_gets_the_own_hash_or_none(
        rows in prop::collection::hash_map(
            ("[ABC]", prop_oneof!["[0-9a-f]{24}", "[a-c]{1,3}", "auth0\\|[ab]{1,2}"]),
            prop::sample::select(vec!["$2b$10$", "$2a$12$", "$argon2id$"]),
            1..60,
        ),
        other in "[a-d]{1,3}",
    ) {
        let hash = |connection: &str, id: &str, prefix: &str| {
            // 53 characters that say whose it is.
            let mark: String = format!("{connection}{id}").replace('|', "/");
            format!("{prefix}{mark:.<53}")
        };
        // One plain id, so that no file looks as if it wrote all ids with a prefix.
        let mut text = String::from("{\"_id\":\"plain\",\"passwordHash\":\"x\",\"connection\":\"Z\"}\n");
        let mut expected = HashMap::new();
        for ((connection, id), prefix) in &rows {
            let hash = hash(connection, id, prefix);
            text += &serde_json::json!({ "_id": { "$oid": id }, "connection": connection, "passwordHash": hash }).to_string();
            text.push('\n');
            expected.insert((connection.clone(), id.clone()), hash);
        }
        let file = write(&text);
        let index = load(&[file.path().to_owned()], false);
        prop_assert_eq!(index.len(), rows.len() + 1);
        for connection in ["A", "B", "C"] {
            for id in rows.keys().map(|(_, id)| id).chain([&other]) {
                let found = match index.find(Some(connection), id) {
                    Lookup::Found(row) => Some(row.hash.expose_secret().to_owned()),
                    _ => None,
                };
                let own = expected.get(&(connection.to_owned(), id.clone()));
                // An id that is asked for as a whole `auth0|…` may mean the plain one.
                let plain = id.strip_prefix("auth0|").filter(|_| own.is_none());
                let or = plain.and_then(|id| expected.get(&(connection.to_owned(), id.to_owned())));
                // Rows of the own id in other connections keep it from falling back.
                if own.is_some() || plain.is_none() {
                    prop_assert_eq!(found.as_ref(), own);
                } else {
                    prop_assert!(found.is_none() || found.as_ref() == or);
                }
            }
        }
    }
}

fn row(id: &str, hash: &str) -> String {
    format!("{{\"_id\":{{\"$oid\":\"{id}\"}},\"connection\":\"DB\",\"passwordHash\":\"{hash}\"}}")
}

/// bcrypt that ends with this letter.
fn bcrypt(letter: char) -> String {
    format!("$2b$10$.qHPp/srqo1NAAAAAvlkmOdqAbH2Rg0qPv2Txj3ZwXfjJnewSjc4{letter}")
}

#[test]
fn the_case_from_the_field_is_read() {
    let index = load(&[fixture("trailing-comma.ndjson")], false);
    let audit = index.audit();
    assert_eq!((audit.rows, audit.malformed_rows, audit.files[0].usable), (2, 0, 2));
    for id in ["64db9dba7f18450dc2502301", "64db9dba7f18450dc2502302"] {
        assert!(matches!(index.find(Some("DB"), id), Lookup::Found(_)), "{id}");
    }
    assert!(index.require_usable().is_ok() && audit.warning().is_none());
}

#[test]
fn rows_are_found_in_any_shape() {
    let (a, b) = (row("a", &bcrypt('A')), row("b", &bcrypt('B')));
    for text in [
        format!("{a}{b}"),
        format!("{a}, {b},\n"),
        format!("{{\"users\":[{a},{b}]}}"),
        format!("{{\n  \"users\" : [\n{a},\n{b}\n]}}\n"),
        format!("{a}\n,{b}\n"),
    ] {
        let index = load(&[write(&text).path().to_owned()], false);
        assert_eq!((last(&index.find(Some("DB"), "a")), last(&index.find(Some("DB"), "b"))), ("A".into(), "B".into()));
        let audit = index.audit();
        assert_eq!((audit.rows, audit.malformed_rows, audit.files[0].usable), (2, 0, 2), "{text}");
    }
}

#[test]
fn a_file_is_of_use_if_one_row_is() {
    let argon = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
    let good = write(&row("a", &bcrypt('A')));
    for (text, usable) in [
        (format!("{}\n{}", row("b", argon), row("c", "")), false),
        (format!("{}\n{}\n{{", row("b", argon), row("c", &bcrypt('C'))), true),
        ("[]".to_owned(), false),
        ("{\"_id\":\"b\",".to_owned(), false),
    ] {
        let file = write(&text);
        let index = load(&[good.path().to_owned(), file.path().to_owned()], false);
        let refused = index.require_usable();
        assert_eq!(refused.is_ok(), usable, "{text}");
        if let Err(error) = refused {
            assert!(error.message().contains(file.path().to_str().unwrap()), "{error:?}");
            assert_eq!(error.kind(), crate::error::Kind::Check);
            assert!(!error.render().contains("argon2id$v"), "{error:?}");
        }
    }
    let audit =
        load(&[write(&format!("{}\n{}\noops", row("b", argon), row("c", &bcrypt('C')))).path().to_owned()], false);
    let expected =
        "2 of 3 hash rows bring nobody a password: 1 cannot be read, 1 with a hash that ZITADEL would refuse";
    assert_eq!(audit.audit().warning().as_deref(), Some(expected));
}

#[test]
fn white_space_around_hash_and_id_means_nothing() {
    let text = [
        row(" a\\t", &format!(" {}\\n", bcrypt('A'))),
        // Two ids that differ by white space: each has its own.
        row("b", &bcrypt('B')),
        row("b ", &bcrypt('C')),
        row("  ", &bcrypt('D')),
        row("e", "   "),
    ];
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]] {
        let text = order.map(|at: usize| text[at].clone()).join("\n");
        let index = load(&[write(&text).path().to_owned()], false);
        assert_eq!(last(&index.find(Some("DB"), "a")), "A");
        let Lookup::Found(found) = index.find(Some("DB"), "a") else { panic!() };
        assert_eq!(found.hash.expose_secret(), bcrypt('A'));
        assert_eq!(last(&index.find(Some("DB"), "b")), "B");
        assert_eq!(last(&index.find(Some("DB"), "e")), "none");
        let audit = index.audit();
        assert_eq!((audit.malformed_rows, audit.without_hash), (1, 1));
    }
    let index = load(&[write(&row("f ", &bcrypt('F'))).path().to_owned()], false);
    assert_eq!((last(&index.find(Some("DB"), "f")), last(&index.find(Some("DB"), "f "))), ("F".into(), "F".into()));
}

#[test]
fn a_date_that_cannot_be_read_is_not_an_absent_one() {
    let with = |id: &str, date: &str| {
        format!("{{\"_id\":\"{id}\",\"passwordHash\":\"{}\",\"password_set_date\":{date}}}\n", bcrypt('A'))
    };
    let text =
        [with("a", "\"tomorrow\""), with("b", "null"), with("c", "{\"$date\":{\"$numberLong\":\"1575657372412\"}}")];
    let index = load(&[write(&text.concat()).path().to_owned()], false);
    let of = |id: &str| {
        let Lookup::Found(row) = index.find(None, id) else { panic!("{id}") };
        (row.set_at.map(Timestamp::as_millisecond), row.bad_date)
    };
    assert_eq!((of("a"), of("b"), of("c")), ((None, true), (None, false), (Some(1_575_657_372_412), false)));
    assert_eq!(index.audit().bad_dates, 1);
    assert!(index.audit().warning().unwrap().contains("1 hash row has a `password_set_date`"));
}
