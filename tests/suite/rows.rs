//! Rows as people really have them: `tests/fixtures/rows/rows.ndjson`, made after public reports.

use std::fs;

use a2z::sandbox::tenant::{POOL, Row, Tenant};
use serde_json::{Value, json, value::RawValue};

use crate::{harness::World, links::codes};

/// The cases, each as a row of the tenant; database accounts have a password.
fn tenant() -> Tenant {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rows/rows.ndjson");
    let text = fs::read_to_string(path).unwrap();
    let rows: Vec<Row> = text
        .lines()
        .map(|line| {
            let case: Value = serde_json::from_str(line).unwrap();
            row(&case["raw"].as_str().map_or_else(|| case["user"].to_string(), str::to_owned))
        })
        .collect();
    assert_eq!(rows.len(), 10);
    Tenant::of(rows)
}

/// A row of raw values, so that half an emoji stays half an emoji.
fn row(json: &str) -> Row {
    let fields: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).unwrap();
    let id: String = serde_json::from_str(fields["user_id"].get()).unwrap();
    let identities: Vec<Value> = serde_json::from_str(fields["identities"].get()).unwrap();
    let mut row = Row::from_user(&json!({ "user_id": id, "identities": identities }));
    row.fields = fields.into_iter().map(|(key, raw)| (key.into(), raw.get().to_owned())).collect();
    for identity in identities.iter().filter(|identity| identity["provider"] == "auth0") {
        let hash = json!({
            "_id": { "$oid": identity["user_id"] }, "connection": identity["connection"], "passwordHash": POOL[0].1,
        });
        row.hashes.push(hash.to_string());
        row.password = Some(POOL[0].0);
    }
    row
}

#[test]
fn all_cases_from_the_field_are_moved() {
    let world = World::of(tenant()).start();
    world.cutover().run().code(0);
    world.assert_balanced();
    assert_eq!(world.balance("created"), 10);
    assert_eq!(world.mails(), []);
    let store = world.store();
    let says = |id: &str, code: &str| {
        let outcome = world.outcome(id);
        let findings = outcome["findings"].as_array().cloned().unwrap_or_default();
        let found = findings.iter().find(|finding| finding["code"] == code);
        found.unwrap_or_else(|| panic!("`{code}` of {outcome}"))["detail"].as_str().unwrap_or_default().to_owned()
    };

    let nina = &store["samlp|globex|nina@globex.example"];
    assert_eq!((nina.email.as_str(), nina.email_verified), ("nina@globex.example", false));
    assert_eq!(says("samlp|globex|nina@globex.example", "email-verified-odd"), "email_verified: a text");

    assert_eq!(store["samlp|globex|bo"].nick_name, "bo");
    assert_eq!(says("samlp|globex|bo", "field-repaired"), "nickname: a list of one");

    assert_eq!(store["google-oauth2|100000000000000000001"].first_name, "Lena \u{fffd}");
    says("google-oauth2|100000000000000000001", "field-repaired");

    assert_eq!(store["samlp|acme|u1"].user_name, "john.smith@acme.example");
    assert_eq!(store["samlp|globex|u2"].user_name, "jane.smith@globex.example");
    assert_eq!(store["auth0|u3"].user_name, "jsmith");
    world.sign_in("jsmith", POOL[0].0).unwrap();

    let dan = &store["sms|lk4"];
    assert_eq!(
        (dan.email.as_str(), dan.email_verified, dan.user_name.as_str()),
        ("dan@d.example", true, "dan@d.example")
    );
    world.sign_in("dan@d.example", POOL[0].0).unwrap();
    says("sms|lk4", "email-of-linked-identity");
    assert_eq!(says("sms|lk4", "sign-in-names-lost"), "user name");

    let bob = &store["google-oauth2|100000000000000000007"];
    assert_eq!((bob.user_name.as_str(), bob.hash.is_some()), ("bob.new@gmail.example", true));
    assert_eq!(says("google-oauth2|100000000000000000007", "sign-in-names-lost"), "user name, e-mail");

    assert_eq!(says("auth0|c1", "name-is-anothers-address"), "the user name is the e-mail of auth0|c2");
    assert_eq!(says("auth0|c2", "name-is-anothers-address"), "the e-mail is the user name of auth0|c1");
    for id in ["auth0|u3", "samlp|acme|u1"] {
        let outcome = world.outcome(id);
        assert!(!codes(&outcome).contains(&"name-is-anothers-address"), "{outcome}");
    }

    // Nothing of it is a change.
    world.cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), 10);
    assert!(codes(&world.outcome("auth0|c1")).contains(&"name-is-anothers-address"));
}

#[test]
fn texts_verify_where_the_operator_says_so() {
    let world = World::of(tenant()).start();
    world.cutover().env("A2Z_MAPPING_VERIFIED_TEXTS", "globex").run().code(0);
    let nina = "samlp|globex|nina@globex.example";
    assert!(world.store()[nina].email_verified);
    assert!(!codes(&world.outcome(nina)).contains(&"email-verified-odd"));
}

#[test]
fn the_same_by_merge() {
    let world = World::of(tenant()).start();
    fs::write(world.path("users.ndjson"), world.export()).unwrap();
    let ran = world
        .a2z([
            "merge",
            "--org",
            "1",
            "--users",
            "users.ndjson",
            "--passwords",
            "passwords.ndjson",
            "--output",
            "body.json",
        ])
        .without_arg("--state")
        .run();
    assert!(ran.stdout.contains("2 name-is-anothers-address"), "{}{}", ran.stdout, ran.stderr);
    let body = fs::read_to_string(world.path("body.json")).unwrap();
    assert_eq!(body.matches("\"userId\"").count(), 10, "{body}");
}

/// One address, and nobody has it as user name: ZITADEL's login finds two.
#[test]
fn an_address_of_two_users_with_other_names_is_told() {
    let named = |id: &str, name: &str, email: &str, connection: &str| {
        row(&json!({
            "user_id": format!("auth0|{id}"), "username": name, "email": email, "email_verified": true,
            "given_name": "A", "family_name": "B",
            "identities": [{ "provider": "auth0", "connection": connection, "user_id": id }],
        })
        .to_string())
    };
    let rows = vec![
        named("s1", "one", "Shared@x.example", "A"),
        named("s2", "two", "shared@x.example", "B"),
        named("s3", "three", "own@x.example", "A"),
    ];
    let world = World::of(Tenant::of(rows)).start();
    world.cutover().run().code(0);
    for (id, expected) in [("auth0|s1", true), ("auth0|s2", true), ("auth0|s3", false)] {
        let outcome = world.outcome(id);
        assert_eq!(codes(&outcome).contains(&"email-shared"), expected, "{outcome}");
    }
}
