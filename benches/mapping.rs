//! Join, map and fingerprint, on one core. Aim: 300,000 users/s and more.

use std::hint::black_box;

use a2z::{
    auth0::user::{ExportedUser, Identity},
    config::{self, Config},
    hashes::{HashRow, Lookup},
    join::{Hashes, Shape, join},
    mapping::{Roads, fingerprint::fingerprints, map},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;

const USERS: u64 = 1000;

/// Everybody has a hash: the index has a bench of its own.
struct Everybody;

impl Hashes for Everybody {
    fn find_for(&self, _: Option<&str>, _: &str, _: Option<&str>) -> Lookup {
        let hash = "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDhywTou";
        Lookup::Found(HashRow { hash: hash.into(), set_at: None, bad_date: false, email_verified: None })
    }

    fn find_by_email(&self, _: Option<&str>, _: &str) -> Lookup {
        Lookup::None
    }
}

fn user(n: u64) -> ExportedUser {
    let id = format!("5dea9f9c82dd7c0e{n:08x}");
    ExportedUser {
        user_id: format!("auth0|{id}"),
        email: Some(format!("user{n}@example.com")),
        email_verified: Some(true),
        name: Some(format!("User Number {n}")),
        nickname: Some(format!("user{n}")),
        locale: Some("en-US".into()),
        phone_number: Some("+41791234567".into()),
        identities: Some(vec![Identity {
            provider: "auth0".into(),
            connection: Some("Username-Password-Authentication".into()),
            user_id: id,
            ..Identity::default()
        }]),
        user_metadata: RawValue::from_string(r#"{"plan":"pro","theme":"dark"}"#.into()).ok(),
        app_metadata: RawValue::from_string(r#"{"roles":["a","b"],"tenant":123456789}"#.into()).ok(),
        ..ExportedUser::default()
    }
}

fn mapping(c: &mut Criterion) {
    let config = Config::default().mapping;
    let users: Vec<_> = (0..USERS).map(user).collect();
    let roads = Roads::Both { users_api_from_metadata_keys: 4 };
    let mut group = c.benchmark_group("mapping");
    group.throughput(Throughput::Elements(USERS));
    group.bench_function("join, map, fingerprint", |b| {
        b.iter_batched(
            || users.clone(),
            |users| {
                for user in users {
                    let joined = join(user, &Everybody, &config::Join::default(), &Shape::default());
                    let mapped = map(joined, &config, roads);
                    black_box(mapped.draft.map(|draft| fingerprints(&draft, &[7; 16])).ok());
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, mapping);
criterion_main!(benches);
