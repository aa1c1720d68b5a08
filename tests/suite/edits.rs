//! What people changed in ZITADEL after a cutover is theirs: a later run changes a value only if Auth0's changed and ZITADEL
//! still holds what a2z wrote.

use a2z::sandbox::{
    faults::{Fault, Rule, When},
    tenant::{Row, Tenant, TenantOptions},
    zitadel::{User, UserState},
};
use serde_json::{Value, json};

use crate::{
    delta::set,
    harness::{Ran, World},
};

/// Plain users with a value in every field.
fn rows(users: u64) -> Vec<Row> {
    let tenant = Tenant::made_up(TenantOptions { users, seed: 11, oddity_rate: 0.0 });
    let full = |(at, mut row): (usize, Row)| {
        set(&mut row, "given_name", r#""Ada""#);
        set(&mut row, "family_name", r#""Lovelace""#);
        set(&mut row, "name", r#""Ada L.""#);
        set(&mut row, "nickname", r#""al""#);
        set(&mut row, "locale", r#""en""#);
        set(&mut row, "email_verified", "true");
        set(&mut row, "phone_number", &format!(r#""+4179000{at:04}""#));
        set(&mut row, "phone_verified", "true");
        set(&mut row, "user_metadata", r#"{"theme":"dark"}"#);
        set(&mut row, "app_metadata", r#"{"plan":1}"#);
        row
    };
    tenant.rows().enumerate().map(full).collect()
}

type Edit = fn(&mut User);

/// One change of every field, as people make them in ZITADEL, with the name that the report has for it.
const EDITS: [(&str, Edit); 10] = [
    ("username", |user| user.user_name = format!("new-{}", user.user_name)),
    ("givenName", |user| user.first_name = "Augusta".into()),
    ("familyName", |user| user.last_name = "King".into()),
    ("displayName", |user| user.display_name = "Countess".into()),
    ("nickName", |user| user.nick_name = "countess".into()),
    ("preferredLanguage", |user| user.language = "fr".into()),
    ("email", |user| user.email = format!("new.{}", user.email)),
    ("phone", |user| user.phone = Some("+41791111111".into())),
    ("state", |user| user.state = UserState::Inactive),
    ("metadata auth0.user_metadata", |user| {
        user.metadata.insert("auth0.user_metadata".into(), br#"{"theme":"light"}"#.to_vec());
    }),
];

/// The change of Auth0's value of the same field.
const CHANGES: [(&str, &str, &str); 8] = [
    ("givenName", "given_name", r#""A.""#),
    ("familyName", "family_name", r#""Byron""#),
    ("displayName", "name", r#""Ada B.""#),
    ("nickName", "nickname", r#""ab""#),
    ("preferredLanguage", "locale", r#""de""#),
    ("email", "email", r#""ada.byron@example.com""#),
    ("phone", "phone_number", r#""+41792222222""#),
    ("metadata auth0.user_metadata", "user_metadata", r#"{"theme":"blue"}"#),
];

fn findings(world: &World, user_id: &str, code: &str) -> Vec<String> {
    let outcome = world.outcome(user_id);
    let found = outcome["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == code);
    found.map(|finding| finding["detail"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The part of a user that people see and change.
fn visible(user: &User) -> Value {
    json!([
        user.user_name,
        user.first_name,
        user.last_name,
        user.display_name,
        user.nick_name,
        user.language,
        user.email,
        user.email_verified,
        user.phone,
        user.phone_verified,
        format!("{:?}", user.state),
        user.hash.is_some(),
    ])
}

#[test]
fn what_only_zitadel_changed_stays() {
    let mut rows = rows(12);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    for ((_, edit), row) in EDITS.iter().zip(&rows) {
        world.zitadel.tamper(&row.user_id, edit);
    }
    let everything = rows[EDITS.len()].clone();
    for (_, edit) in EDITS {
        world.zitadel.tamper(&everything.user_id, edit);
    }
    let edited = world.store();
    // Only this changes at Auth0, for everybody.
    let changed = |rows: &mut [Row], value: &str| rows.iter_mut().for_each(|row| set(row, "app_metadata", value));
    changed(&mut rows, r#"{"plan":2}"#);
    world.becomes(Tenant::of(rows.clone()));
    let plan = world.a2z(["plan"]).args(["--passwords", "passwords.ndjson"]).run().code(0);
    assert!(plan.stdout.contains("~ 12 to update, 11 keep a value of ZITADEL"), "{}", plan.stdout);
    world.cutover().run().code(0);
    world.assert_balanced();
    assert_eq!(world.balance("updated"), 12);
    let after = world.store();
    for row in &rows {
        let id = &row.user_id;
        assert_eq!(visible(&after[id]), visible(&edited[id]), "{id}");
        assert_eq!(after[id].metadata["auth0.app_metadata"], br#"{"plan":2}"#, "{id}");
        assert_eq!(after[id].metadata["auth0.user_metadata"], edited[id].metadata["auth0.user_metadata"], "{id}");
    }
    for ((field, _), row) in EDITS.iter().zip(&rows) {
        assert_eq!(findings(&world, &row.user_id, "field-kept"), [*field]);
    }
    let all = EDITS.map(|(field, _)| field).join(", ");
    assert_eq!(findings(&world, &everything.user_id, "field-kept"), [all]);
    assert_eq!(findings(&world, &rows[11].user_id, "field-kept"), [""; 0]);
    assert_eq!(world.mails(), []);
    // What is kept is no difference, and stays kept when Auth0's side changes again.
    world.a2z(["verify"]).run().code(0);
    changed(&mut rows, r#"{"plan":3}"#);
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(0);
    let last = world.store();
    for row in &rows {
        assert_eq!(visible(&last[&row.user_id]), visible(&edited[&row.user_id]), "{}", row.user_id);
        assert_eq!(last[&row.user_id].metadata["auth0.app_metadata"], br#"{"plan":3}"#);
    }
    world.a2z(["verify"]).run().code(0);
    let html = std::fs::read_to_string(world.state().join("report.html")).unwrap();
    assert!(html.contains("field-kept"));
}

#[test]
fn a_value_that_both_changed_is_kept_and_needs_the_operator() {
    let mut rows = rows(CHANGES.len() as u64);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let edit = |field: &str| EDITS.iter().find(|(name, _)| *name == field).unwrap().1;
    for ((field, key, value), row) in CHANGES.into_iter().zip(&mut rows) {
        world.zitadel.tamper(&row.user_id, edit(field));
        set(row, key, value);
    }
    let edited = world.store();
    world.becomes(Tenant::of(rows.clone()));
    for run in ["first", "second"] {
        // The conflict stays one until somebody decides.
        let ran: Ran = world.cutover().run();
        ran.code(3);
        world.assert_balanced();
        for ((field, ..), row) in CHANGES.iter().zip(&rows) {
            let id = &row.user_id;
            assert_eq!(findings(&world, id, "field-conflict"), [*field], "{run}");
            let (before, after) = (&edited[id], &world.store()[id]);
            // The user name is made of the address, and nobody changed it in ZITADEL.
            let user_name = if *field == "email" { &rows[5].email.clone().unwrap() } else { &before.user_name };
            assert_eq!(&after.user_name, user_name);
            let mut before = before.clone();
            before.user_name.clone_from(&after.user_name);
            assert_eq!(visible(after), visible(&before), "{field}");
            assert_eq!(after.metadata["auth0.user_metadata"], before.metadata["auth0.user_metadata"], "{field}");
        }
        world.a2z(["verify"]).run().code(0);
    }
    world.cutover().env("A2Z_MAPPING_CONFLICTS", "overwrite").run().code(0);
    let store = world.store();
    for ((field, ..), row) in CHANGES.iter().zip(&rows) {
        assert_eq!(findings(&world, &row.user_id, "field-overwritten"), [*field]);
        assert_eq!(findings(&world, &row.user_id, "field-conflict"), [""; 0]);
    }
    assert_eq!(store[&rows[0].user_id].first_name, "A.");
    assert_eq!(store[&rows[4].user_id].language, "de");
    assert_eq!(store[&rows[5].user_id].email, "ada.byron@example.com");
    assert_eq!(store[&rows[6].user_id].phone.as_deref(), Some("+41792222222"));
    assert_eq!(store[&rows[7].user_id].metadata["auth0.user_metadata"], br#"{"theme":"blue"}"#);
    assert_eq!(world.mails(), []);
    // Decided: there is nothing more to do.
    world.cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), CHANGES.len() as u64);
}

/// The second hash file after going live: passwords move, and nothing that people did is undone.
#[test]
fn a_hash_file_after_going_live_undoes_nothing() {
    let rows = rows(6);
    let world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().without_arg("--passwords").run().code(0);
    for (_, edit) in EDITS.iter().filter(|(field, _)| *field != "state") {
        world.zitadel.tamper(&rows[0].user_id, edit);
    }
    world.zitadel.tamper(&rows[1].user_id, |user| user.state = UserState::Inactive);
    let edited = world.store();
    world.cutover().run().code(0);
    for row in &rows {
        let (before, after) = (&edited[&row.user_id], &world.store()[&row.user_id]);
        assert!(after.hash.is_some(), "{}", row.user_id);
        let mut before = before.clone();
        before.hash.clone_from(&after.hash);
        assert_eq!(visible(after), visible(&before));
        assert_eq!(after.metadata, before.metadata);
    }
    assert_eq!(world.mails(), []);
}

/// The same values, written in another way: nobody is written.
#[test]
fn an_export_that_is_only_written_otherwise_changes_nobody() {
    let mut rows = rows(10);
    for row in &mut rows {
        set(row, "user_metadata", r#"{"a":[1,{"b":"é","c":null}],"d":1.5}"#);
    }
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let writes = world.writes().len();
    for row in &mut rows {
        set(row, "user_metadata", "{ \"d\": 15e-1,\t\"a\": [1, {\"c\":null, \"b\" : \"\\u00e9\"}] }");
    }
    world.becomes(Tenant::of(rows));
    world.cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), 10);
    assert_eq!(world.writes().len(), writes);
}

/// Fingerprints of an older a2z are other bytes: users are compared field by field, and nobody is written.
#[test]
fn another_version_of_fingerprints_writes_nobody() {
    let mut rows = rows(10);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let writes = world.writes().len();
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    let old = || ledger.execute("UPDATE users SET have_profile = randomblob(16)", []).unwrap();
    assert_eq!(old(), 10);
    world.cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), 10);
    assert_eq!(world.writes().len(), writes);
    // Who changed all the same is written.
    old();
    set(&mut rows[3], "given_name", r#""Augusta""#);
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(0);
    assert_eq!((world.balance("unchanged"), world.balance("updated")), (9, 1));
    assert_eq!(world.store()[&rows[3].user_id].first_name, "Augusta");
}

/// A ledger that does not know what was written: ZITADEL's values are kept.
#[test]
fn without_a_base_zitadels_values_are_kept() {
    let mut rows = rows(3);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    ledger.execute("UPDATE users SET facts = NULL", []).unwrap();
    world.zitadel.tamper(&rows[0].user_id, |user| user.first_name = "Augusta".into());
    set(&mut rows[0], "family_name", r#""King""#);
    set(&mut rows[1], "family_name", r#""King""#);
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(0);
    let store = world.store();
    assert_eq!(
        (store[&rows[0].user_id].first_name.as_str(), store[&rows[0].user_id].last_name.as_str()),
        ("Augusta", "Lovelace")
    );
    assert_eq!(findings(&world, &rows[0].user_id, "field-kept"), ["givenName, familyName"]);
    assert_eq!(findings(&world, &rows[1].user_id, "field-kept"), ["familyName"]);
    assert_eq!(world.balance("unchanged"), 3);
    world.a2z(["verify"]).run().code(0);
    // From then on the ledger knows what Auth0 said.
    set(&mut rows[2], "family_name", r#""King""#);
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(0);
}

/// A user who was deactivated, deleted, or whose metadata was taken away in ZITADEL stays so.
#[test]
fn what_was_taken_away_in_zitadel_stays_away() {
    let mut rows = rows(4);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let admin = world.zitadel.add_token(&["IAM_OWNER"]);
    world.user_service_as(&admin, "DeactivateUser", &json!({ "userId": rows[0].user_id }));
    world.user_service_as(
        &admin,
        "DeleteUserMetadata",
        &json!({ "userId": rows[1].user_id, "keys": ["auth0.user_metadata"] }),
    );
    world.user_service_as(&admin, "RemovePhone", &json!({ "userId": rows[2].user_id }));
    world.user_service_as(&admin, "DeleteUser", &json!({ "userId": rows[3].user_id }));
    for row in &mut rows {
        set(row, "app_metadata", r#"{"plan":2}"#);
    }
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(3);
    let store = world.store();
    assert_eq!(store[&rows[0].user_id].state, UserState::Inactive);
    assert!(!store[&rows[1].user_id].metadata.contains_key("auth0.user_metadata"));
    assert_eq!(store[&rows[2].user_id].phone, None);
    assert!(!store.contains_key(&rows[3].user_id));
    assert_eq!(findings(&world, &rows[0].user_id, "field-kept"), ["state"]);
    assert_eq!(findings(&world, &rows[1].user_id, "field-kept"), ["metadata auth0.user_metadata"]);
    assert_eq!(findings(&world, &rows[2].user_id, "field-kept"), ["phone"]);
    assert_eq!(world.outcome(&rows[3].user_id)["code"], "gone-from-zitadel");
    for row in &rows[..3] {
        assert_eq!(store[&row.user_id].metadata["auth0.app_metadata"], br#"{"plan":2}"#);
    }
}

/// An update whose answer a2z never heard, and an export that changed since, of the same run: nothing is a conflict.
#[test]
fn an_update_whose_answer_was_lost_is_nobodys_change() {
    for arrives in [Fault::LoseAnswer, Fault::DropRequest] {
        let mut rows = rows(3);
        let world = World::of(Tenant::of(rows.clone())).start();
        let cutover = |rows: &[Row]| {
            let lines: Vec<String> = rows.iter().map(Row::line).collect();
            std::fs::write(world.path("users.ndjson"), lines.join("\n")).unwrap();
            world.cutover().args(["--users", "users.ndjson"]).run()
        };
        let change = |rows: &mut [Row], name: &str| {
            set(&mut rows[0], "given_name", &format!("\"{name}\""));
            set(&mut rows[1], "user_metadata", &format!(r#"{{"theme":"{name}"}}"#));
        };
        cutover(&rows).code(0);
        change(&mut rows, "Lost");
        let lose = |method, path: &'static str| Rule::new(path, When::Always, arrives.clone()).method(method);
        world.zitadel.set_faults([lose("PATCH", "/v2/users/"), lose("POST", "/v2/users/*/metadata")]);
        cutover(&rows).code(5);
        world.zitadel.set_faults([]);
        change(&mut rows, "Found");
        cutover(&rows).code(0);
        assert_eq!(world.balance("updated"), 2);
        for row in &rows {
            assert_eq!(findings(&world, &row.user_id, "field-conflict"), [""; 0], "{arrives:?}");
            assert_eq!(findings(&world, &row.user_id, "field-kept"), [""; 0], "{arrives:?}");
        }
        let store = world.store();
        assert_eq!(store[&rows[0].user_id].first_name, "Found", "{arrives:?}");
        assert_eq!(store[&rows[1].user_id].metadata["auth0.user_metadata"], br#"{"theme":"Found"}"#, "{arrives:?}");
    }
}

/// The same, and Auth0's side is as it was: whatever the lost request wrote counts as written by the run that finds it.
#[test]
fn an_update_that_arrived_unheard_is_counted_as_an_update() {
    let mut rows = rows(2);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    set(&mut rows[0], "given_name", r#""Augusta""#);
    world.becomes(Tenant::of(rows.clone()));
    world.zitadel.set_faults([Rule::new("/v2/users/", When::Always, Fault::LoseAnswer).method("PATCH")]);
    world.cutover().run().code(5);
    assert_eq!(world.store()[&rows[0].user_id].first_name, "Augusta");
    world.zitadel.set_faults([]);
    world.cutover().run().code(0);
    assert_eq!((world.balance("updated"), world.balance("unchanged")), (1, 1));
    assert_eq!(findings(&world, &rows[0].user_id, "field-kept"), [""; 0]);
}
