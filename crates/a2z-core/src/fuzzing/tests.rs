use std::{fs, path::PathBuf};

use jiff::Timestamp;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::*;

/// The committed inputs of a target; those that a fuzzer left beside them too.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.truncate(50);
    assert!(files.len() >= 2, "{target}");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % most.max(1)
    }
}

fn mutate(input: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const WORDS: [&[u8]; 12] = [
        b"\"",
        b"\\",
        b"\\ud800",
        b"{",
        b"]",
        b"\n",
        b"\0",
        b"\xff",
        b"null",
        b"1e999",
        b"\xe2\x80\xae",
        b"-9223372036854775809",
    ];
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(20)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..end, WORDS[random.below(WORDS.len())].iter().copied())),
            3 => bytes.truncate(at),
            4 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len());
                bytes.splice(at..end, other[from..].iter().copied().take(200));
            }
            _ => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes.truncate(64 << 10);
    bytes
}

/// `A2Z_TEST_MUTATIONS` makes it a longer one.
#[test]
fn every_target_holds_over_its_corpus_and_what_comes_of_it() {
    let rounds =
        std::env::vars().find(|(name, _)| name == "A2Z_TEST_MUTATIONS").map_or(60, |(_, n)| n.parse().unwrap());
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for input in &inputs {
            target(input);
            for _ in 0..rounds {
                target(&mutate(input, &inputs, &mut random));
            }
        }
    }
}

#[test]
fn every_target_has_its_file() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let text = fs::read_to_string(root.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(text.contains(&format!("a2z_core::fuzzing::{name}(bytes)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}

fn few() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

/// Texts as strangers write them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[A-Za-z]{1,12}",
        2 => "\\PC{0,30}",
        1 => ".{0,240}",
        1 => Just(String::new()),
        1 => Just(" \u{202e}\u{200b}\0<script>\u{1b}[31m ".to_owned()),
        1 => "[a-zé]{195,210}",
    ]
}

fn maybe(text: impl Strategy<Value = String>) -> impl Strategy<Value = Option<String>> {
    prop::option::of(text)
}

prop_compose! {
    fn user()(
        user_id in prop_oneof![4 => "auth0\\|[0-9a-f]{24}", 1 => "[a-z0-9-]{1,9}\\|.{1,30}"],
        email in maybe(prop_oneof![3 => "[a-z]{1,9}@[a-z]{1,9}\\.[a-z]{2,3}", 1 => text()]),
        verified in any::<Option<bool>>(),
        words in prop::array::uniform5(maybe(text())),
        phone in maybe(prop_oneof!["\\+[1-9][0-9]{4,13}", text()]),
        locale in maybe(prop_oneof!["[a-z]{2}(-[A-Z]{2})?", text()]),
        blocked: bool,
        metadata in prop::collection::btree_map(text(), prop_oneof![any::<i64>().prop_map(Value::from), text().prop_map(Value::from), Just(json!({"n": [1, null]}))], 0..6),
    ) -> Value {
        let [name, given, family, nickname, username] = words;
        json!({
            "user_id": user_id, "email": email, "email_verified": verified, "name": name, "given_name": given,
            "family_name": family, "nickname": nickname, "username": username, "phone_number": phone, "locale": locale,
            "blocked": blocked, "user_metadata": metadata,
            "identities": [{ "provider": "auth0", "connection": "db", "user_id": user_id.split_once('|').unwrap().1 }],
        })
    }
}

/// A hash row of the account; `n` makes another hash of it.
fn hash_row(account: u8, n: u8, minute: Option<u8>) -> Value {
    let mut row = json!({
        "_id": { "$oid": format!("5dea9f9c82dd7c0e76e4{account:04x}") },
        "passwordHash": format!("$2b$10$zLlN.2NvxP8Vi9PLbstbxOpYpDGteOsmkcslxheOxRfUaknVQT{:02}A", n % 100),
        "connection": "db",
        "email": format!("u{account}@example.com"),
        "email_verified": n.is_multiple_of(2),
    });
    if let Some(minute) = minute {
        row["password_set_date"] = json!({ "$date": format!("2020-01-01T00:{:02}:00.000Z", minute % 60) });
    }
    row
}

fn index(rows: &[Value]) -> HashIndex {
    let text = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
    let options = LoadOptions { max_line: 1 << 16, ..LoadOptions::default() };
    let records = Records::from_reader(io::Cursor::new(text), "x", &Options::new(1 << 16, "--passwords").with_digest());
    HashIndex::of(records.unwrap(), &options).unwrap()
}

fn found(index: &HashIndex, account: u8) -> Option<(String, Option<Timestamp>)> {
    match index.find(Some("db"), &format!("5dea9f9c82dd7c0e76e4{account:04x}")) {
        Lookup::Found(row) => Some((row.hash.expose_secret().to_owned(), row.set_at)),
        Lookup::None => None,
        Lookup::Ambiguous(_) => panic!("one connection only"),
    }
}

proptest! {
    #![proptest_config(few())]

    /// What stands in a row is what is read, and what the mapping lets through ZITADEL takes.
    #[test]
    fn users_are_read_as_they_are_written(users in prop::collection::vec(user(), 1..8), array: bool) {
        let lines: Vec<_> = users.iter().map(Value::to_string).collect();
        let text = if array { format!("[{}]", lines.join(",\n")) } else { lines.join("\n") };
        let options = Options::new(1 << 20, "--users");
        let mut rows = Rows::over(Records::from_reader(io::Cursor::new(text.clone()), "x", &options).unwrap(), &options);
        for user in &users {
            let row = rows.next().unwrap().unwrap();
            let RowKind::User(read) = row.kind else { panic!("{:?}", row.kind) };
            let said = |key: &str| user[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            prop_assert_eq!(Some(read.user_id.clone()), said("user_id"));
            prop_assert_eq!(&read.email, &said("email"));
            prop_assert_eq!(&read.name, &said("name"));
            prop_assert_eq!(&read.given_name, &said("given_name"));
            prop_assert_eq!(&read.username, &said("username"));
            prop_assert_eq!(&read.phone_number, &said("phone_number"));
            prop_assert_eq!(read.blocked, user["blocked"] == true);
            let metadata = user["user_metadata"].as_object().filter(|object| !object.is_empty());
            let kept = read.user_metadata.as_ref().map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
            prop_assert_eq!(kept.as_ref().and_then(Value::as_object), metadata);
        }
        prop_assert!(rows.next().unwrap().is_none());
        export_rows(text.as_bytes());
    }

    /// The fingerprint changes if, and only if, something that is sent changes.
    #[test]
    fn fingerprints_tell_what_is_sent(one in user(), other in user()) {
        let drafts: Vec<_> = [&one, &one, &other].iter().filter_map(|user| {
            let options = Options::new(1 << 20, "--users");
            let records = Records::from_reader(io::Cursor::new(user.to_string()), "x", &options).unwrap();
            let RowKind::User(user) = Rows::over(records, &options).next().unwrap().unwrap().kind else { panic!() };
            let config = config::Config::default();
            let joined = join::join(*user, &HashIndex::empty(), &config.join, &Shape::default());
            mapping::map(joined, &config.mapping, Roads::ImportOnly).draft.ok()
        }).collect();
        for a in &drafts {
            for b in &drafts {
                let sent = |draft: &Draft| {
                    let mut body = ImportBody::new("1");
                    body.push(draft);
                    body.finish(std::time::Duration::from_secs(1))
                };
                let same = fingerprints(a, &[1; 16]) == fingerprints(b, &[1; 16]);
                prop_assert_eq!(same, sent(a) == sent(b));
            }
        }
    }

    /// The hash of an account is the newest, in whatever order the rows come.
    #[test]
    fn the_newest_hash_wins_in_any_order(
        rows in prop::collection::vec((0_u8..6, any::<u8>()), 0..40),
        order in any::<prop::sample::Index>(),
    ) {
        // Every date once: of two rows of one moment the later row counts, which is an order.
        let rows: Vec<_> = rows.iter().take(60).enumerate().map(|(at, (account, n))| (*account, *n, u8::try_from(at).unwrap())).collect();
        let written: Vec<_> = rows.iter().map(|(account, n, minute)| hash_row(*account, *n, Some(*minute))).collect();
        let mut turned = written.clone();
        if !turned.is_empty() {
            let middle = order.index(turned.len());
            turned.rotate_left(middle);
            turned.swap(0, middle);
        }
        if written.is_empty() {
            return Ok(());
        }
        let (one, other) = (index(&written), index(&turned));
        for account in 0..6 {
            let newest = rows.iter().filter(|row| row.0 == account).max_by_key(|row| row.2);
            let expected = newest.map(|row| hash_row(row.0, row.1, Some(row.2))["passwordHash"].as_str().unwrap().to_owned());
            prop_assert_eq!(found(&one, account).map(|found| found.0), expected);
            prop_assert_eq!(found(&one, account), found(&other, account));
        }
        prop_assert_eq!(one.len(), other.len());
        let (one, other) = (one.audit(), other.audit());
        // A row that repeats a hash is a duplicate or superseded, by what stands between: only their sum is the same.
        prop_assert_eq!(one.duplicates + one.superseded, other.duplicates + other.superseded);
    }

    /// Whatever bytes come: all targets.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), json in "[\\[{\"a:1,\\\\}\\]\n \u{202e}]{0,60}") {
        for (_, target) in TARGETS {
            target(&bytes);
            target(json.as_bytes());
        }
    }
}
