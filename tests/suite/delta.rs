//! Running again: whoever changed in Auth0 is written, nobody else is touched, and nobody gets an e-mail.

use a2z::sandbox::{
    tenant::{Row, Tenant, TenantOptions},
    zitadel::UserState,
};

use crate::harness::{Expected, World};

/// Plain users, as rows that can be changed.
fn rows(users: u64) -> Vec<Row> {
    Tenant::made_up(TenantOptions { users, seed: 11, oddity_rate: 0.0 }).rows().collect()
}

pub(crate) fn set(row: &mut Row, key: &'static str, raw: &str) {
    row.fields.retain(|(name, _)| name != key);
    row.fields.push((key.into(), raw.to_owned()));
    if key == "email" {
        row.email = serde_json::from_str(raw).unwrap();
    }
}

/// The hash of another user, whose password is another.
fn other_hash(rows: &[Row], of: usize) -> (String, &'static str) {
    let other = rows.iter().find(|row| row.password.is_some() && row.password != rows[of].password).unwrap();
    let line: serde_json::Value = serde_json::from_str(&other.hashes[0]).unwrap();
    (line["passwordHash"].as_str().unwrap().to_owned(), other.password.unwrap())
}

#[test]
fn only_what_changed_is_written() {
    let mut rows = rows(60);
    set(&mut rows[5], "email_verified", "false");
    set(&mut rows[6], "email_verified", "false");
    set(&mut rows[6], "app_metadata", r#"{"before":1}"#);
    set(&mut rows[12], "phone_number", r#""+41790000012""#);
    set(&mut rows[12], "phone_verified", "true");
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    world.assert_moved("created");

    set(&mut rows[1], "given_name", r#""Augusta""#);
    set(&mut rows[2], "blocked", "true");
    set(&mut rows[3], "user_metadata", r#"{"plan":"free","big":9007199254740993123456789}"#);
    set(&mut rows[4], "locale", r#""fr-CH""#);
    set(&mut rows[5], "email_verified", "true");
    // Still unverified, and another address: ZITADEL must not write to it.
    set(&mut rows[6], "email", r#""new.address@example.com""#);
    rows[6].fields.retain(|(key, _)| key != "app_metadata");
    set(&mut rows[7], "email", r#""verified.new@example.com""#);
    let (hash, password) = other_hash(&rows, 8);
    let old = rows[8].hashes[0].clone();
    let was = serde_json::from_str::<serde_json::Value>(&old).unwrap()["passwordHash"].as_str().unwrap().to_owned();
    rows[8].hashes[0] = old.replace(&was, &hash);
    rows[8].password = Some(password);
    set(&mut rows[9], "phone_number", r#""+41791234567""#);
    set(&mut rows[9], "phone_verified", "false");
    rows[12].fields.retain(|(key, _)| !key.starts_with("phone"));
    let new = Tenant::made_up(TenantOptions { users: 61, seed: 12, oddity_rate: 0.0 }).row(60).unwrap();
    rows.push(new.clone());
    // What no mapping reads is no change.
    set(&mut rows[10], "logins_count", "12345");
    set(&mut rows[11], "last_login", r#""2026-11-01T00:00:00.000Z""#);

    let changed: Vec<String> =
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 12].iter().map(|&at: &usize| rows[at].user_id.clone()).collect();
    world.becomes(Tenant::of(rows.clone()));
    let writes = world.writes().len();
    world.cutover().run().code(0);
    world.assert_balanced();
    for id in &changed {
        assert_eq!(world.outcome(id)["outcome"], "updated", "{}", world.outcome(id));
    }
    assert_eq!(world.balance("created"), 1);
    assert_eq!(world.balance("updated"), changed.len() as u64);
    assert_eq!(world.balance("unchanged"), 50);
    assert_eq!(world.outcome(&new.user_id)["outcome"], "created");
    world.assert_store(&Expected::of(world.tenant()));
    assert_eq!(world.store()[&rows[2].user_id].state, UserState::Inactive);
    // Of the others, no request says anything.
    let writes = world.writes().split_off(writes);
    for row in rows.iter().filter(|row| !changed.contains(&row.user_id)) {
        let encoded = row.user_id.replace('|', "%7C");
        assert!(!writes.iter().any(|write| write.contains(&encoded) || write.contains(&row.user_id)), "{writes:?}");
    }
    world.sign_in(rows[8].email.as_deref().unwrap(), password).unwrap();

    // And a third time there is nothing to do.
    let before = world.writes().len();
    world.cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), 61);
    assert_eq!(world.writes().len(), before);
}

#[test]
fn unblocked_in_auth0_is_active_again() {
    let mut rows = rows(3);
    set(&mut rows[0], "blocked", "true");
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    assert_eq!(world.store()[&rows[0].user_id].state, UserState::Inactive);
    rows[0].fields.retain(|(key, _)| key != "blocked");
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(0);
    world.assert_store(&Expected::of(world.tenant()));
    assert_eq!(world.balance("updated"), 1);
}

#[test]
fn a_hash_file_that_comes_later_brings_the_passwords() {
    let rows = rows(20);
    let world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().without_arg("--passwords").run().code(0);
    assert!(world.store().values().all(|user| user.hash.is_none()));
    assert_eq!(world.mails(), []);
    world.cutover().run().code(0);
    assert_eq!(world.balance("updated"), 20);
    world.assert_store(&Expected::of(world.tenant()));
    world.sign_in(rows[0].email.as_deref().unwrap(), rows[0].password.unwrap()).unwrap();
}

#[test]
fn a_user_who_left_auth0_is_left_alone() {
    let mut rows = rows(10);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let gone = rows.remove(4);
    world.becomes(Tenant::of(rows));
    world.cutover().run().code(0);
    world.assert_balanced();
    assert_eq!((world.balance("exported"), world.balance("unchanged")), (9, 9));
    assert_eq!(world.store()[&gone.user_id].created_count, 1);
}

#[test]
fn suffixed_names_stay_as_they_are() {
    let world = World::of(Tenant::one_of_each()).start();
    let cutover = || world.cutover().env("A2Z_MAPPING_COLLISIONS", "suffix").run().code(3);
    cutover();
    world.assert_balanced();
    let expected = Expected::of(world.tenant());
    let store = world.store();
    // Everybody who loses the name under `block` is there with a suffix now.
    let losers: Vec<_> = world
        .tenant()
        .rows()
        .zip(&expected.fates)
        .filter(|(_, fate)| matches!(fate, crate::harness::Fate::Rejected("duplicate-user-name")))
        .map(|(row, _)| row)
        .collect();
    assert_eq!(losers.len(), 2);
    for row in &losers {
        let user = &store[&row.user_id];
        let email = row.email.as_deref().unwrap();
        assert_eq!(user.user_name, format!("{email}+{}", row.connection));
        assert_eq!(user.email, email);
    }
    assert_eq!(store.len() as u64, expected.moved() + 2);
    assert_eq!(world.mails(), []);

    let writes = world.writes().len();
    cutover();
    world.assert_balanced();
    assert_eq!((world.balance("unchanged"), world.balance("updated")), (expected.moved() + 2, 0));
    assert_eq!(world.writes().len(), writes);
}

/// The users API, which changes users, refuses addresses that the import took: such a user must not be stuck.
#[test]
fn an_address_that_only_the_import_takes_does_not_cost_a_change() {
    let mut rows = rows(3);
    set(&mut rows[0], "email", r#""ada@bücher.example""#);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    assert_eq!(world.outcome(&rows[0].user_id)["route"], "import");
    set(&mut rows[0], "family_name", r#""Lovelace""#);
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(0);
    assert_eq!(world.outcome(&rows[0].user_id)["outcome"], "updated");
    world.assert_store(&Expected::of(world.tenant()));
}

/// Metadata that others wrote in ZITADEL is not the tenant's.
#[test]
fn what_others_wrote_in_zitadel_stays() {
    let rows = rows(3);
    let world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    let id = &rows[1].user_id;
    world.set_metadata(id, "theirs", "c29tZXRoaW5n");
    world.cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), 3);
    assert_eq!(world.store()[id].metadata["theirs"], b"something");

    // Also where a2z writes the user.
    let mut changed = rows;
    set(&mut changed[1], "user_metadata", r#"{"plan":"new"}"#);
    let mut world = world;
    world.becomes(Tenant::of(changed.clone()));
    world.cutover().run().code(0);
    let store = world.store();
    let metadata = &store[&changed[1].user_id].metadata;
    assert_eq!(metadata["theirs"], b"something");
    assert_eq!(metadata["auth0.user_metadata"], br#"{"plan":"new"}"#);
}
