use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::*;

fn bytes(tenant: &Tenant) -> [Vec<u8>; 3] {
    let mut files = [Vec::new(), Vec::new(), Vec::new()];
    tenant.write_export(&mut files[0]).unwrap();
    tenant.write_hashes(&mut files[1]).unwrap();
    tenant.write_mfa(&mut files[2]).unwrap();
    files
}

fn some(users: u64, seed: u64) -> Tenant {
    Tenant::made_up(TenantOptions { users, seed, oddity_rate: 0.05 }).without(&[Oddity::HugeMetadata])
}

#[test]
fn same_seed_same_bytes_and_another_seed_others() {
    assert_eq!(bytes(&some(700, 1)), bytes(&some(700, 1)));
    assert_ne!(bytes(&some(700, 1)), bytes(&some(700, 2)));
}

#[test]
fn every_oddity_appears_alone_in_the_small_tenant() {
    let tenant = Tenant::one_of_each();
    let seen: Vec<_> = tenant.rows().flat_map(|row| row.labels).collect();
    assert_eq!(seen, Oddity::ALL);
    assert!(tenant.rows().step_by(2).all(|row| row.labels.is_empty()));
}

#[test]
fn shares_are_near_the_rate() {
    let tenant = some(8000, 3);
    let mut counts: HashMap<Oddity, u64> = HashMap::new();
    for row in tenant.rows() {
        let axes: HashSet<_> = row.labels.iter().map(|label| label.axis()).collect();
        assert_eq!(axes.len(), row.labels.len(), "two oddities of one axis: {:?}", row.labels);
        for label in row.labels {
            *counts.entry(label).or_default() += 1;
        }
    }
    // 5 % of 8000 is 400; hash and factor oddities need a database account, and no more than 90 % of an axis is odd.
    for oddity in Oddity::ALL.iter().filter(|oddity| **oddity != Oddity::HugeMetadata) {
        let count = counts.get(oddity).copied().unwrap_or_default();
        assert!((30..500).contains(&count), "{oddity:?}: {count}");
    }
}

#[test]
fn labels_are_unique() {
    let labels: BTreeSet<_> = Oddity::ALL.iter().map(|oddity| oddity.label()).collect();
    assert_eq!(labels.len(), Oddity::ALL.len());
}

#[test]
fn the_pool_s_hashes_are_those_of_its_passwords() {
    for (password, hash) in POOL {
        assert!(bcrypt::verify(password, hash).unwrap(), "{password}");
        assert!(hash.starts_with("$2b$10$"));
    }
}

#[test]
fn rows_are_users_as_auth0_gives_them() {
    for row in some(1500, 4).rows() {
        let line: Result<Value, _> = serde_json::from_str(&row.line());
        if row.damaged.is_some() {
            assert!(!line.is_ok_and(|value| value.get("user_id").is_some()));
            continue;
        }
        let user = line.unwrap();
        assert_eq!(user["user_id"], row.user_id);
        assert_eq!(user["identities"][0]["connection"], row.connection);
        assert!(user.as_object().unwrap().values().all(|value| !value.is_null()), "absent, never null");
        let (provider, local) = row.user_id.split_once('|').unwrap();
        assert_eq!(user["identities"][0]["provider"], provider);
        if !row.is(Oddity::NumericId) {
            assert_eq!(user["identities"][0]["user_id"], local);
        }
    }
}

#[test]
fn ids_are_unique_but_for_the_oddities() {
    let mut seen = HashSet::new();
    for row in some(4000, 5).rows().filter(|row| row.is_user() && !row.is(Oddity::SameUserId)) {
        assert!(seen.insert(row.user_id.clone()), "{}", row.user_id);
    }
}

#[test]
fn pairs_share_what_they_say() {
    let tenant = some(3000, 6);
    let mut seen = BTreeSet::new();
    for row in tenant.rows() {
        let Some(pair) = row.labels.iter().copied().find(|label| label.is_pair()) else { continue };
        let before = tenant.row(row.index - 1).unwrap();
        assert_eq!(before.labels, []);
        match pair {
            Oddity::DuplicateRow => assert_eq!(row.line(), before.line()),
            Oddity::SameUserId => assert_eq!(row.user_id, before.user_id),
            Oddity::SharedEmail => assert_eq!(row.email, before.email),
            _ => {
                assert_ne!(row.email, before.email);
                assert_eq!(row.email.map(|email| email.to_lowercase()), before.email);
            }
        }
        seen.insert(pair);
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_password_goes_with_its_hash() {
    for row in some(1500, 8).rows().filter(Row::is_user) {
        let Some(password) = row.password else { continue };
        let hash: Value = serde_json::from_str(&row.hashes[0]).unwrap();
        let pooled = POOL.iter().find(|(_, pooled)| hash["passwordHash"] == *pooled).unwrap();
        assert_eq!(pooled.0, password);
    }
}

#[test]
fn big_numbers_keep_their_digits() {
    let tenant = Tenant::one_of_each();
    let row = tenant.rows().find(|row| row.is(Oddity::NumericId)).unwrap();
    let raw = row.value_at("identities[0].user_id").unwrap();
    assert_eq!(format!("google-oauth2|{raw}"), row.user_id);
    assert_eq!(raw.len(), 21);
    let row = tenant.rows().find(|row| row.is(Oddity::BigInteger)).unwrap();
    assert_eq!(row.value_at("user_metadata.account").unwrap(), "9007199254740993123456789");
}

#[test]
fn asked_fields_only_in_that_order() {
    let row = Tenant::one_of_each().row(0).unwrap();
    let line = row.line_of([("user_id", "Id"), ("username", "username"), ("identities[0].connection", "Connection")]);
    assert_eq!(line, format!(r#"{{"Id":"{}","Connection":"Username-Password-Authentication"}}"#, row.user_id));
}

#[test]
fn style_of_the_files() {
    let style = FileStyle { byte_order_mark: true, crlf: true, blank_lines: true };
    let [export, ..] = bytes(&some(20, 9).styled(style));
    let text = String::from_utf8(export).unwrap();
    assert!(text.starts_with("\u{feff}{"));
    assert_eq!(text.matches("\r\n\r\n").count(), 2);
    assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 20);
}
