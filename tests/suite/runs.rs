//! Which run a command works on, what it takes from an earlier one, and whose decisions it leaves alone.

use a2z::sandbox::{
    tenant::{Row, Tenant, TenantOptions},
    zitadel::UserState,
};

use crate::harness::World;

fn rows(users: u64) -> Vec<Row> {
    Tenant::made_up(TenantOptions { users, seed: 23, oddity_rate: 0.0 }).rows().collect()
}

/// An array on one line: every row says line 1, and none may take another's place in the ledger.
#[test]
fn an_array_on_one_line_balances() {
    let rows = rows(5);
    let world = World::of(Tenant::of(rows.clone())).start();
    let mut items: Vec<String> = rows.iter().map(Row::line).collect();
    items.push(rows[1].line());
    items.push(rows[2].line());
    items.extend(["17".to_owned(), r#"{"email":"nobody@example.com"}"#.to_owned(), "null".to_owned()]);
    std::fs::write(world.path("users.json"), format!("[{}]", items.join(","))).unwrap();
    world.cutover().args(["--users", "users.json"]).run().code(3);
    assert_eq!(world.balance("exported"), 10);
    assert_eq!((world.balance("created"), world.balance("skipped"), world.balance("rejected")), (5, 2, 3));
    assert_eq!(world.outcomes().len(), 10);
    assert_eq!(world.store().len(), 5);
    world.cutover().args(["--users", "users.json"]).run().code(3);
    assert_eq!((world.balance("unchanged"), world.balance("skipped"), world.balance("rejected")), (5, 2, 3));
}

/// A plan of a sample is not what a cutover of the tenant goes on with.
#[test]
fn a_cutover_of_the_tenant_does_not_take_up_a_plan_of_a_sample() {
    let rows = rows(20);
    let world = World::of(Tenant::of(rows.clone())).start();
    std::fs::write(world.path("sample.ndjson"), format!("{}\n", rows[0].line())).unwrap();
    world.a2z(["plan", "--passwords", "passwords.ndjson", "--users", "sample.ndjson"]).run().code(0);
    world.cutover().run().code(0);
    assert_eq!((world.balance("exported"), world.balance("created")), (20, 20));
}

/// A user that somebody deactivated in ZITADEL stays so, whatever else changes in Auth0.
#[test]
fn a_user_who_was_deactivated_in_zitadel_stays_inactive() {
    let mut rows = rows(3);
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.cutover().run().code(0);
    world.deactivate(&rows[1].user_id);
    rows[1].fields.retain(|(key, _)| key != "given_name");
    rows[1].fields.push(("given_name".into(), r#""Changed""#.into()));
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run().code(0);
    assert_eq!(world.balance("updated"), 1);
    let user = world.store()[&rows[1].user_id].clone();
    assert_eq!((user.state, user.first_name.as_str()), (UserState::Inactive, "Changed"));
}

/// Writes that began with hash files do not go on without: the rest would arrive without passwords.
#[test]
fn a_run_that_began_with_hashes_does_not_go_on_without() {
    let world = World::of(Tenant::of(rows(600))).zitadel(|o| o.import_users_per_second = Some(150.0)).start();
    let running = world.cutover().spawn();
    world.wait_until("some users arrive", |world| !world.store().is_empty());
    running.kill();
    let ran = world.a2z(["cutover", "--yes"]).run().code(2);
    assert!(ran.error().contains("began with hash files"), "{}", ran.stderr);
    world.cutover().run().code(0);
    world.assert_balanced();
    world.assert_moved("created");
}
