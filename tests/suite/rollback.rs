//! Undoing: exactly the users that this ledger created are deleted, and whoever changed since stays.

use std::{fs, time::Duration};

use a2z::sandbox::{
    faults::{Fault, RetryAfter, Rule, When},
    tenant::{Row, Tenant, TenantOptions},
    zitadel::User,
};
use serde_json::Value;

use crate::harness::{Expected, Ran, Run, World};

const DELETE: &str = "/v2/users/";

fn plain(users: u64) -> Tenant {
    Tenant::made_up(TenantOptions { users, seed: 41, oddity_rate: 0.0 })
}

/// A world whose users have moved.
#[track_caller]
fn moved(users: u64) -> (World, Vec<Row>) {
    let world = World::of(plain(users)).start();
    world.cutover().run().code(0);
    let rows = world.tenant().rows().collect();
    (world, rows)
}

/// Without Auth0's credentials: a rollback needs none.
fn rollback(world: &World) -> Run {
    world
        .a2z(["rollback", "--yes"])
        .without_env("AUTH0_DOMAIN")
        .without_env("AUTH0_CLIENT_ID")
        .without_env("AUTH0_CLIENT_SECRET")
}

/// The figure behind a word on standard output, of the summary at the end.
#[track_caller]
fn figure(ran: &Ran, what: &str) -> u64 {
    let line = ran.stdout.lines().rev().find(|line| line.starts_with(what));
    let line = line.unwrap_or_else(|| panic!("no `{what}` in:\n{}", ran.stdout));
    let number = line[what.len()..].split_whitespace().next().unwrap();
    number.replace(',', "").parse().unwrap()
}

#[track_caller]
fn assert_summary(ran: &Ran, created: u64, deleted: u64, gone: u64, left: u64) {
    let found = ["created", "deleted", "gone already", "left alone"].map(|what| figure(ran, what));
    assert_eq!(found, [created, deleted, gone, left], "{}", ran.stdout);
    assert!(ran.stdout.contains("  balanced"), "{}", ran.stdout);
}

/// `rollback.ndjson`, as `user_id -> code`.
#[track_caller]
fn listed(world: &World) -> Vec<(String, String)> {
    let text = fs::read_to_string(world.state().join("rollback.ndjson")).unwrap();
    let mut listed: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (line["user_id"].as_str().unwrap().to_owned(), line["code"].as_str().unwrap().to_owned()))
        .collect();
    listed.sort();
    listed
}

/// Somebody that a2z did not create.
fn user(id: &str, user_name: &str, organization: &str) -> User {
    let mut user = User::default();
    user.id = id.into();
    user.user_name = user_name.into();
    user.organization_id = organization.into();
    user
}

fn deletes(world: &World) -> usize {
    world.zitadel.requests().iter().filter(|seen| seen.method == "DELETE" && seen.path.starts_with(DELETE)).count()
}

#[test]
fn deletes_exactly_whom_it_created_and_a_cutover_moves_them_again() {
    let world = World::of(Tenant::one_of_each()).start();
    let expected = Expected::of(world.tenant());
    // Users of one row each: the books have a line for every row.
    let mut ours: Vec<String> = expected.users().keys().map(|id| (*id).to_owned()).collect();
    let rows: Vec<String> = world.tenant().rows().map(|row| row.user_id).collect();
    ours.sort_by_key(|id| (rows.iter().filter(|row| *row == id).count(), id.clone()));
    let before = user(&ours[0], "was-there-before", "");
    let stranger = user("stranger", "a-stranger", "");
    world.zitadel.add_user(before);
    world.zitadel.add_user(stranger);
    world.cutover().run().code(3);
    let created = world.balance("created");
    assert_eq!((created, world.balance("existed")), (ours.len() as u64 - 1, 1));

    let ran = rollback(&world).run().code(0);
    assert_summary(&ran, created, created, 0, 0);
    assert!(ran.stdout.contains("existed"), "{}", ran.stdout);
    let left: Vec<_> = world.store().into_keys().collect();
    let mut stay = vec![ours[0].clone(), "stranger".to_owned()];
    stay.sort();
    assert_eq!(left, stay);
    assert_eq!(world.mails(), []);

    // The books say so.
    world.assert_balanced();
    assert_eq!((world.balance("created"), world.balance("existed")), (0, 1));
    assert_eq!(world.outcome(&ours[1])["code"], "rolled-back");
    let status = world.a2z(["status"]).run().code(0).stdout;
    assert!(status.contains("rolled back   at 2") && status.contains(&format!("{created} deleted")), "{status}");
    let again = rollback(&world).run().code(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);

    // From the beginning, whole, with the same ids.
    world.cutover().run().code(3);
    world.assert_balanced();
    assert_eq!((world.balance("created"), world.balance("existed")), (created, 1));
    let store = world.store();
    for (id, user) in expected.users().iter().filter(|(id, _)| **id != ours[0]) {
        user.assert_is(&store[*id], &world.zitadel.organization_id);
        assert_eq!(store[*id].created_count, 2);
    }
    assert!(!world.a2z(["status"]).run().code(0).stdout.contains("rolled back"));
    // And a second time.
    let ran = rollback(&world).run().code(0);
    assert_summary(&ran, created, created, 0, 0);
}

#[test]
fn whoever_changed_since_stays_unless_told_otherwise() {
    // More events than one answer holds.
    let (world, rows) = moved(600);
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    let id = |at: usize| rows[at].user_id.clone();
    world.sign_in_as(&other, rows[3].email.as_deref().unwrap(), rows[3].password.unwrap()).unwrap();
    world.user_service_as(
        &other,
        "SetUserMetadata",
        &serde_json::json!({"userId": id(5), "metadata": [{"key": "k", "value": "dg=="}]}),
    );
    world.user_service_as(&other, "DeactivateUser", &serde_json::json!({"userId": id(7)}));
    // Neither a wrong password nor our own canary is a change.
    world.sign_in_as(&other, rows[9].email.as_deref().unwrap(), "wrong").unwrap_err();
    world.sign_in(rows[11].email.as_deref().unwrap(), rows[11].password.unwrap()).unwrap();

    let ran = rollback(&world).run().code(3);
    assert_summary(&ran, 600, 597, 0, 3);
    let mut expected =
        vec![(id(3), "signed-in".to_owned()), (id(5), "changed".to_owned()), (id(7), "changed".to_owned())];
    expected.sort();
    assert_eq!(listed(&world), expected);
    assert!(ran.stdout.contains(&id(3)), "{}", ran.stdout);
    let mut left: Vec<_> = world.store().into_keys().collect();
    left.sort();
    assert_eq!(left, expected.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(world.state().join("rollback.ndjson")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let ran = rollback(&world).args(["--include-changed"]).run().code(0);
    assert_summary(&ran, 3, 3, 0, 0);
    assert!(world.store().is_empty());
}

#[test]
fn deleted_and_created_anew_by_somebody_else_is_not_ours() {
    let (world, rows) = moved(6);
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    let (anew, gone) = (rows[1].user_id.clone(), rows[2].user_id.clone());
    for id in [&anew, &gone] {
        world.user_service_as(&other, "DeleteUser", &serde_json::json!({"userId": id}));
    }
    world.zitadel.add_user(user(&anew, "anew", ""));
    let ran = rollback(&world).args(["--include-changed"]).run().code(3);
    assert_summary(&ran, 6, 4, 1, 1);
    assert_eq!(listed(&world), [(anew.clone(), "created-by-others".to_owned())]);
    assert_eq!(world.store().into_keys().collect::<Vec<_>>(), [anew]);
}

/// The account that rolls back is not the one that moved the users: what it created again is not the ledger's, and what it
/// changed is a change.
#[test]
fn what_another_account_did_is_not_ours_although_it_rolls_back() {
    let (world, rows) = moved(4);
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    let (anew, changed) = (rows[1].user_id.clone(), rows[2].user_id.clone());
    world.user_service_as(&other, "DeleteUser", &serde_json::json!({"userId": anew}));
    let user = serde_json::json!({
        "organizationId": world.zitadel.organization_id, "userId": anew, "username": "anew",
        "human": {
            "profile": {"givenName": "A", "familyName": "N"},
            "email": {"email": "anew@example.com", "isVerified": true}
        }
    });
    world.user_service_as(&other, "CreateUser", &user);
    world.user_service_as(&other, "DeactivateUser", &serde_json::json!({"userId": changed}));
    let ran = rollback(&world).env("ZITADEL_TOKEN", &other).run().code(3);
    assert_summary(&ran, 4, 2, 0, 2);
    let mut expected = vec![(anew, "created-by-others".to_owned()), (changed, "changed".to_owned())];
    expected.sort();
    assert_eq!(listed(&world), expected);
}

#[test]
fn without_the_right_to_read_events_the_search_tells_and_the_operator_is_told() {
    let (world, rows) = moved(10);
    let manager = world.zitadel.add_token(&["IAM_USER_MANAGER"]);
    let ran = rollback(&world).env("ZITADEL_TOKEN", &manager).run().code(0);
    assert!(ran.stderr.contains("events-not-readable"), "{}", ran.stderr);
    assert_summary(&ran, 10, 10, 0, 0);
    assert!(rows.iter().all(|row| !world.store().contains_key(&row.user_id)));
}

#[test]
fn through_answers_that_are_lost_and_a_server_that_is_busy() {
    let world = World::of(plain(120)).start();
    world.cutover().run().code(0);
    // Spread, so that no user meets as many of them as there are attempts.
    let of_deletes = |calls: &[u64], what: &Fault| -> Vec<Rule> {
        calls.iter().map(|&n| Rule::new(DELETE, When::Nth(n), what.clone()).method("DELETE")).collect()
    };
    let mut rules = of_deletes(&[2, 15, 40, 77, 100], &Fault::LoseAnswer);
    rules.extend(of_deletes(&[3, 30, 60], &Fault::TooMany(RetryAfter::No)));
    rules.extend(of_deletes(&[9, 50, 90], &Fault::Unavailable(RetryAfter::No)));
    rules.push(Rule::new("/admin/v1/events/_search", When::Every(2), Fault::Unavailable(RetryAfter::No)));
    rules.push(Rule::new("/v2/users", When::Nth(1), Fault::CutAnswer));
    world.zitadel.set_faults(rules);
    let ran = rollback(&world).run().code(0);
    // A lost answer makes the second attempt find nobody: both mean that the user is gone.
    let (deleted, gone) = (figure(&ran, "deleted"), figure(&ran, "gone already"));
    assert_eq!((deleted + gone, figure(&ran, "left alone")), (120, 0), "{}", ran.stdout);
    assert!(gone > 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("  balanced"), "{}", ran.stdout);
    assert!(world.store().is_empty());
    world.zitadel.set_faults([]);
    world.cutover().run().code(0);
    assert_eq!(world.balance("created"), 120);
}

#[test]
fn a_server_that_stays_away_is_given_up_on_and_the_rest_goes_later() {
    let (world, _) = moved(30);
    world.zitadel.set_faults([Rule::new(DELETE, When::Always, Fault::Unavailable(RetryAfter::No)).method("DELETE")]);
    rollback(&world).env("A2Z_HTTP_MAX_ATTEMPTS", "2").run().code(5);
    assert_eq!(world.store().len(), 30);
    world.zitadel.set_faults([]);
    let ran = rollback(&world).run().code(0);
    assert_summary(&ran, 30, 30, 0, 0);
}

/// Deletions that take a moment, so that a run can be stopped in the middle.
fn slow(world: &World) {
    world
        .zitadel
        .set_faults([Rule::new(DELETE, When::Always, Fault::Delay(Duration::from_millis(60))).method("DELETE")]);
}

#[test]
fn kill_nine_and_ctrl_c_in_the_middle() {
    let (world, _) = moved(150);
    slow(&world);
    let running = rollback(&world).spawn();
    world.wait_until("some deletions", |_| deletes(&world) > 20);
    running.kill();
    let status = world.a2z(["status"]).run().code(0).stdout;
    assert!(status.contains("rollback      begun at") && status.contains("run `a2z rollback` to go on"), "{status}");
    assert!(!world.store().is_empty());
    let before = world.store().len();
    let running = rollback(&world).spawn();
    world.wait_until("some more", |world| world.store().len() + 20 < before);
    running.interrupt();
    let ran = running.wait().code(130);
    assert!(ran.stderr.contains("run the same command again"), "{}", ran.stderr);
    world.zitadel.set_faults([]);
    let ran = rollback(&world).run().code(0);
    assert!(ran.stdout.contains("done before"), "{}", ran.stdout);
    assert!(world.store().is_empty());
    world.cutover().run().code(0);
    assert_eq!(world.balance("created"), 150);
    world.assert_store_whole();
}

/// A cutover that was killed: users in doubt are there or not, and all who are there go.
#[test]
fn users_in_doubt_go_where_they_are_there() {
    let world = World::of(plain(200)).zitadel(|options| options.import_users_per_second = Some(80.0)).start();
    let running = world.cutover().env("A2Z_IMPORT_BATCH_USERS", "25").spawn();
    world.wait_until("the import", |world| world.store().len() > 30);
    running.kill();
    let ran = rollback(&world).run().code(0);
    assert!(ran.stdout.contains("in doubt"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  balanced"), "{}", ran.stdout);
    assert!(world.store().is_empty(), "{:?}", world.store().keys());
    world.cutover().run().code(0);
    world.assert_balanced();
    assert_eq!(world.balance("created"), 200);
    world.assert_store_whole();
}

#[test]
fn the_organization_goes_last_where_this_ledger_created_it() {
    let world = World::of(plain(12)).start();
    let cutover = || world.cutover().without_env("ZITADEL_ORG_ID").env("A2Z_ZITADEL_CREATE_ORG", "Acme");
    let back = || rollback(&world).without_env("ZITADEL_ORG_ID").env("A2Z_ZITADEL_CREATE_ORG", "Acme");
    cutover().run().code(0);
    let organization = world.store().into_values().next().unwrap().organization_id;
    assert_ne!(organization, world.zitadel.organization_id);
    world.zitadel.add_user(user("stranger", "s", &organization));
    let ran = back().run().code(3);
    assert_summary(&ran, 12, 12, 0, 0);
    assert!(ran.stdout.contains("organization  stays: 1 account of others"), "{}", ran.stdout);
    let deletion = "/zitadel.org.v2.OrganizationService/DeleteOrganization";
    assert!(world.zitadel.requests().iter().all(|seen| seen.path != deletion));

    world.user_service("DeleteUser", &serde_json::json!({"userId": "stranger"}));
    let ran = back().run().code(0);
    assert!(ran.stdout.contains("organization  deleted"), "{}", ran.stdout);
    assert!(world.zitadel.requests().iter().any(|seen| seen.path == deletion));
    // No ghosts: the same ids can be created again, in a new organization.
    cutover().run().code(0);
    world.assert_balanced();
    assert_eq!(world.balance("created"), 12);
    assert_ne!(world.store().into_values().next().unwrap().organization_id, organization);
}

#[test]
fn an_organization_is_ours_although_its_creation_was_not_heard_of() {
    let world = World::of(plain(6)).start();
    let run = |run: Run| run.without_env("ZITADEL_ORG_ID").env("A2Z_ZITADEL_CREATE_ORG", "Acme");
    world.zitadel.set_faults([Rule::new("/v2/organizations", When::Always, Fault::LoseAnswer).exact()]);
    run(world.cutover()).run().code(5);
    world.zitadel.set_faults([]);
    run(world.cutover()).run().code(0);
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    let clock = "SELECT json_extract(notes, '$.clock_ms') FROM runs";
    let clock: i64 = ledger.query_row(clock, [], |row| row.get(0)).unwrap();
    assert!((-60_000..=0).contains(&clock), "the sandbox has our clock: {clock} ms");
    drop(ledger);
    let ran = run(rollback(&world)).run().code(0);
    assert!(ran.stdout.contains("organization  deleted"), "{}", ran.stdout);
}

/// Somebody deleted the organization by hand: its users are ghosts, whose ids stay taken until they are deleted, too.
#[test]
fn ghosts_of_a_deleted_organization_are_freed() {
    let world = World::of(plain(8)).start();
    let run = |run: Run| run.without_env("ZITADEL_ORG_ID").env("A2Z_ZITADEL_CREATE_ORG", "Acme");
    run(world.cutover()).run().code(0);
    let organization = world.store().into_values().next().unwrap().organization_id;
    world.call(
        "/zitadel.org.v2.OrganizationService/DeleteOrganization",
        &serde_json::json!({"organizationId": organization}),
    );
    let ran = run(rollback(&world)).run().code(0);
    assert_summary(&ran, 8, 8, 0, 0);
    assert!(world.store().is_empty());
    run(world.cutover()).run().code(0);
    assert_eq!(world.balance("created"), 8);
}

#[test]
fn refuses_what_is_not_its_own() {
    let (world, _) = moved(3);
    let ran = rollback(&world).env("ZITADEL_ORG_ID", "4711").run().code(2);
    assert!(ran.error().contains("another ZITADEL organization"), "{}", ran.stderr);
    let ran = rollback(&world).env("ZITADEL_URL", "http://127.0.0.1:9/").run().code(2);
    assert!(ran.error().contains("another ZITADEL instance"), "{}", ran.stderr);
    let ran = rollback(&world).without_arg("--state").args(["--state", "elsewhere"]).run().code(2);
    assert!(ran.error().contains("no ledger"), "{}", ran.stderr);
    // Nobody is asked without a terminal.
    let ran = world.a2z(["rollback"]).run().code(2);
    assert!(ran.error().contains("no terminal") && ran.stdout.contains("to delete"), "{}", ran.stderr);
    assert_eq!((world.store().len(), deletes(&world)), (3, 0));
}
