//! A user that another account creates under the same id is theirs, whatever became of our own request: nothing is written
//! to that user. Who may not read events cannot tell, and leaves the user alone, too.

use std::time::Duration;

use a2z::sandbox::{
    faults::{Fault, Rule, When},
    tenant::{Organization, Role, Row, Tenant, TenantOptions},
    zitadel::{Projection, UserState},
};
use serde_json::{Value, json};

use crate::{
    delta::set,
    harness::{Run, World},
};

const IMPORT: &str = "/admin/v1/import";
const CREATE: &str = "/v2/users/new";
const BARRIER: &str = "/v2/users/a2z-barrier";

/// Users with metadata. The first one takes the users API if `singly`.
fn rows(users: u64, singly: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Tenant::made_up(TenantOptions { users, seed: 11, oddity_rate: 0.0 }).rows().collect();
    for row in &mut rows {
        set(row, "user_metadata", r#"{"plan":"pro"}"#);
    }
    if singly {
        set(&mut rows[0], "email_verified", "false");
    }
    rows
}

/// Another account creates a user with this id.
fn create_as(world: &World, token: &str, user_id: &str) {
    let body = json!({
        "organizationId": world.zitadel.organization_id, "userId": user_id, "username": "theirs",
        "human": {
            "profile": { "givenName": "Some", "familyName": "Body" },
            "email": { "email": "theirs@example.com", "isVerified": true }
        }
    });
    world.user_service_as(token, "CreateUser", &body);
}

/// Nothing was written to the other account's user.
#[track_caller]
fn assert_untouched(world: &World, user_id: &str) {
    let store = world.store();
    let user = store.get(user_id).expect("the user is gone");
    assert_eq!((user.first_name.as_str(), user.user_name.as_str()), ("Some", "theirs"));
    assert_eq!((user.state, user.hash.is_some(), user.metadata.len()), (UserState::Active, false, 0));
}

#[track_caller]
fn wait_for(world: &World, method: &str, path: &str) {
    let asked = |world: &World| world.zitadel.requests().iter().any(|seen| seen.method == method && seen.path == path);
    world.wait_until("the request", asked);
}

/// A request was dropped on the way, and somebody else was quicker than the next one.
#[test]
fn who_is_created_by_others_while_our_request_is_lost_is_theirs() {
    for (path, singly) in [(IMPORT, false), (CREATE, true)] {
        let rows = rows(4, singly);
        let id = rows[0].user_id.clone();
        let world = World::of(Tenant::of(rows)).start();
        let other = world.zitadel.add_token(&["IAM_OWNER"]);
        let slow = Fault::Delay(Duration::from_millis(1500));
        world.zitadel.set_faults([
            Rule::new(path, When::Nth(1), Fault::DropRequest),
            Rule::new(BARRIER, When::Always, slow.clone()),
            Rule::new(format!("/v2/users/{}", id.replace('|', "%7C")), When::Always, slow).method("GET"),
        ]);
        let running = world.cutover().args(["--concurrency", "1"]).spawn();
        wait_for(&world, "POST", path);
        create_as(&world, &other, &id);
        let ran = running.wait();
        assert_eq!(ran.exit(), Some(0), "{path}: {}", ran.stderr);
        assert_untouched(&world, &id);
        assert_eq!(world.outcome(&id)["outcome"], "existed", "{path}");
        assert_eq!(world.balance("created"), 3, "{path}");
        world.assert_balanced();
        world.a2z(["rollback", "--yes"]).run().code(0);
        assert_untouched(&world, &id);
        assert_eq!(world.store().len(), 1);
    }
}

/// A world in which a run was killed before its first request was carried out, and another account created the first user.
fn killed_and_quicker(rows: Vec<Row>, path: &str, run: impl Fn(&World) -> Run) -> World {
    let id = rows[0].user_id.clone();
    let world = World::of(Tenant::of(rows)).start();
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    world.zitadel.set_faults([Rule::new(path, When::Always, Fault::Delay(Duration::from_mins(1)))]);
    let running = run(&world).spawn();
    wait_for(&world, "POST", path);
    running.kill();
    world.zitadel.set_faults([]);
    create_as(&world, &other, &id);
    world
}

#[test]
fn who_is_created_by_others_after_a_kill_is_theirs() {
    for (path, singly) in [(IMPORT, false), (CREATE, true)] {
        let rows = rows(4, singly);
        let id = rows[0].user_id.clone();
        let world = killed_and_quicker(rows, path, World::cutover);
        world.cutover().run().code(0);
        assert_untouched(&world, &id);
        assert_eq!(world.outcome(&id)["outcome"], "existed", "{path}");
        assert_eq!(world.balance("created"), 3, "{path}");
        world.cutover().run().code(0);
        assert_untouched(&world, &id);
        world.a2z(["rollback", "--yes"]).run().code(0);
        assert_untouched(&world, &id);
    }
}

/// The user is blocked in Auth0 by now, and the row is not moved: ours would be deactivated.
#[test]
fn who_is_created_by_others_is_not_deactivated() {
    let mut rows = rows(4, false);
    let id = rows[0].user_id.clone();
    let mut world = killed_and_quicker(rows.clone(), IMPORT, World::cutover);
    set(&mut rows[0], "blocked", "true");
    set(&mut rows[0], "email", "null");
    world.becomes(Tenant::of(rows));
    // The export of the run under way is made once more.
    std::fs::remove_file(world.state().join("export-1-0.ndjson.gz")).unwrap();
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    ledger.execute("UPDATE exports SET path = NULL, job_id = NULL, digest = NULL", []).unwrap();
    drop(ledger);
    world.cutover().run().code(3);
    assert_untouched(&world, &id);
    assert_eq!(world.outcome(&id)["code"], "no-email");
    world.a2z(["rollback", "--yes"]).run().code(0);
    assert_untouched(&world, &id);
}

#[test]
fn who_is_created_by_others_after_a_kill_is_left_alone_by_a_rollback() {
    let rows = rows(4, false);
    let id = rows[0].user_id.clone();
    let world = killed_and_quicker(rows, IMPORT, World::cutover);
    let ran = world.a2z(["rollback", "--yes"]).run().code(3);
    assert!(ran.stdout.contains("created-by-others"), "{}", ran.stdout);
    assert_untouched(&world, &id);
}

/// The run that was to create the user once more died after the deletion.
#[test]
fn who_is_created_by_others_between_a_deletion_and_our_creation_is_theirs() {
    let rows = rows(12, false);
    let id = rows[5].user_id.clone();
    let world = World::of(Tenant::of(rows)).start();
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    world.zitadel.skip(Projection::LoginNames, [id.clone()]);
    let slow = Fault::SlowAnswer(Duration::from_mins(1));
    world.zitadel.set_faults([Rule::new("/v2/users/", When::Nth(1), slow).method("DELETE")]);
    let running = world.cutover().env("A2Z_IMPORT_PASSED_OVER_AFTER", "300ms").spawn();
    world.wait_until("the deletion", |world| !world.store().is_empty() && !world.store().contains_key(&id));
    running.kill();
    world.zitadel.set_faults([]);
    create_as(&world, &other, &id);
    world.cutover().run().code(0);
    assert_untouched(&world, &id);
    assert_eq!(world.outcome(&id)["outcome"], "existed");
}

#[test]
fn who_was_deleted_and_created_by_others_is_not_updated() {
    let mut rows = rows(4, false);
    let id = rows[0].user_id.clone();
    let mut world = World::of(Tenant::of(rows.clone())).start();
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    world.cutover().run().code(0);
    world.user_service_as(&other, "DeleteUser", &json!({ "userId": id }));
    create_as(&world, &other, &id);
    set(&mut rows[0], "given_name", r#""Augusta""#);
    set(&mut rows[0], "blocked", "true");
    set(&mut rows[1], "given_name", r#""Augusta""#);
    world.becomes(Tenant::of(rows.clone()));
    world.cutover().run();
    assert_untouched(&world, &id);
    assert_eq!(world.outcome(&id)["outcome"], "existed");
    assert_eq!(world.store()[&rows[1].user_id].first_name, "Augusta");
    world.a2z(["rollback", "--yes"]).run().code(0);
    assert_untouched(&world, &id);
}

/// An owner of the organization may not read events: a user whose answer was lost may be anybody's.
#[test]
fn who_cannot_tell_leaves_the_user_alone() {
    let rows = rows(4, false);
    let world = World::of(Tenant::of(rows.clone())).start();
    let owner = world.zitadel.add_token(&["ORG_OWNER"]);
    world.zitadel.set_faults([Rule::new(CREATE, When::Nth(1), Fault::LoseAnswer)]);
    let cutover = || world.cutover().args(["--concurrency", "1"]).env("ZITADEL_TOKEN", &owner);
    cutover().run().code(3);
    let unknown: Vec<_> = world.outcomes().into_iter().filter(|line| line["code"] == "owner-unknown").collect();
    assert_eq!((unknown.len(), &unknown[0]["outcome"]), (1, &json!("existed")), "{unknown:?}");
    let id = unknown[0]["user_id"].as_str().unwrap();
    assert_eq!((world.balance("created"), world.store().len()), (3, 4));
    world.assert_balanced();
    world.a2z(["rollback", "--yes"]).env("ZITADEL_TOKEN", &owner).run();
    assert_eq!(world.store().into_keys().collect::<Vec<_>>(), [id]);
    // Whose it is, an operator finds out; without the user, the row is moved.
    world.user_service("DeleteUser", &json!({ "userId": id }));
    world.zitadel.set_faults([]);
    cutover().run().code(0);
    assert_eq!(world.balance("created"), 4);
}

/// The doubt is not forgotten: each run asks again, and an account that may read events finishes what was begun.
#[test]
fn who_can_tell_later_finishes_the_user() {
    let mut rows = rows(4, false);
    for row in &mut rows {
        set(row, "blocked", "true");
    }
    let world = World::of(Tenant::of(rows)).start();
    let owner = world.zitadel.add_token(&["ORG_OWNER"]);
    let cutover = |token: &str| world.cutover().args(["--concurrency", "1"]).env("ZITADEL_TOKEN", token);
    world.zitadel.set_faults([Rule::new(CREATE, When::Nth(1), Fault::LoseAnswer)]);
    cutover(&owner).run().code(3);
    world.zitadel.set_faults([]);
    let active = || world.store().into_iter().filter(|(_, user)| user.state == UserState::Active).count();
    assert_eq!((world.store().len(), active()), (4, 1));
    cutover(&owner).run().code(3);
    let unknown = world.outcomes().into_iter().filter(|line| line["code"] == "owner-unknown").count();
    assert_eq!((unknown, active()), (1, 1));
    let viewer = world.zitadel.add_token(&["ORG_OWNER", "IAM_OWNER_VIEWER"]);
    cutover(&viewer).run().code(0);
    assert_eq!((world.balance("created"), world.balance("unchanged"), active()), (1, 3, 0));
    world.a2z(["rollback", "--yes"]).env("ZITADEL_TOKEN", &viewer).run().code(0);
    assert!(world.store().is_empty());
}

/// The answer to an update was lost, and the row is not moved any more: the user was ours before.
#[test]
fn a_user_of_ours_in_doubt_stays_ours_without_events() {
    let mut rows = rows(4, false);
    let id = rows[0].user_id.clone();
    let mut world = World::of(Tenant::of(rows.clone())).start();
    let owner = world.zitadel.add_token(&["ORG_OWNER"]);
    let cutover = |world: &World| world.cutover().env("ZITADEL_TOKEN", &owner);
    cutover(&world).run().code(0);
    set(&mut rows[0], "given_name", r#""Augusta""#);
    world.becomes(Tenant::of(rows.clone()));
    let path = format!("/v2/users/{}", id.replace('|', "%7C"));
    world
        .zitadel
        .set_faults([Rule::new(path, When::Always, Fault::SlowAnswer(Duration::from_mins(1))).method("PATCH")]);
    let running = cutover(&world).spawn();
    world.wait_until("the update", |world| world.store()[&id].first_name == "Augusta");
    running.kill();
    world.zitadel.set_faults([]);
    set(&mut rows[0], "blocked", "true");
    set(&mut rows[0], "email", "null");
    world.becomes(Tenant::of(rows));
    // The export of the run under way is made once more.
    std::fs::remove_file(world.state().join("export-2-0.ndjson.gz")).unwrap();
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    ledger.execute("UPDATE exports SET path = NULL, job_id = NULL, digest = NULL WHERE run = 2", []).unwrap();
    drop(ledger);
    cutover(&world).run().code(3);
    assert_eq!(world.store()[&id].state, UserState::Inactive, "blocked in Auth0");
    world.a2z(["rollback", "--yes"]).env("ZITADEL_TOKEN", &owner).run();
    assert_eq!(world.store().get(&id).map(|user| user.first_name.clone()), None);
}

#[test]
fn who_cannot_tell_after_a_kill_neither_writes_nor_deletes() {
    let rows = rows(4, true);
    let id = rows[0].user_id.clone();
    let with = |world: &World, run: Run| {
        let owner = world.zitadel.add_token(&["ORG_OWNER"]);
        run.env("ZITADEL_TOKEN", &owner)
    };
    let cutover = |world: &World| with(world, world.cutover().args(["--concurrency", "1"]));
    let world = killed_and_quicker(rows.clone(), CREATE, cutover);
    let ran = with(&world, world.a2z(["rollback", "--yes"])).run().code(3);
    assert!(ran.stdout.contains("owner-unknown"), "{}", ran.stdout);
    assert_untouched(&world, &id);
    let world = killed_and_quicker(rows, CREATE, cutover);
    cutover(&world).run().code(3);
    assert_eq!(world.outcome(&id)["code"], "owner-unknown");
    assert_untouched(&world, &id);
}

/// Another account creates an organization under the id of one that is on its way.
#[test]
fn an_organization_of_others_is_neither_dressed_nor_deleted() {
    let rows = rows(3, false);
    let mut tenant = Tenant::of(rows.clone());
    tenant.organizations = vec![Organization {
        id: "org_acme".into(),
        name: "acme".into(),
        display_name: "Acme".into(),
        members: vec![(rows[0].user_id.clone(), Vec::new())],
        branding: Value::Null,
        metadata: json!({ "plan": "pro" }),
    }];
    let world = World::of(tenant).start();
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    let late = Rule::new("/v2/organizations", When::Nth(1), Fault::Delay(Duration::from_millis(1500))).exact();
    world.zitadel.set_faults([late.method("POST")]);
    let orgs = |run: Run| run.env("A2Z_ROLES_MODE", "grants").env("A2Z_ORGANIZATIONS_POLICY", "orgs");
    let running = orgs(world.cutover()).spawn();
    wait_for(&world, "POST", "/v2/organizations");
    world.call_as(&other, "/v2/organizations", &json!({ "name": "Theirs", "organizationId": "org_acme" }));
    let ran = running.wait();
    assert_eq!(ran.exit(), Some(0), "{}", ran.stderr);
    let dressed = |world: &World| world.zitadel.structure().organizations["org_acme"].metadata.len();
    assert_eq!((world.store()[&rows[0].user_id].organization_id.as_str(), dressed(&world)), ("org_acme", 0));
    orgs(world.a2z(["rollback", "--yes"])).run().code(0);
    assert_eq!(world.zitadel.structure().organizations["org_acme"].name, "Theirs");
}

/// Another account gives the grant that a request of ours, which was dropped on the way, was to give.
#[test]
fn a_grant_that_others_give_is_not_taken_away() {
    const GRANTS_BARRIER: &str = "/management/v1/users/a2z-barrier/grants/a2z-barrier";
    let rows = rows(2, false);
    let roles = |users: &[&Row]| {
        let users = users.iter().map(|row| row.user_id.clone()).collect();
        vec![Role { id: "rol_a".into(), name: "a".into(), description: String::new(), users }]
    };
    let mut tenant = Tenant::of(rows.clone());
    tenant.roles = roles(&[&rows[0], &rows[1]]);
    let mut world = World::of(tenant.clone()).start();
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    // The users come with the first.
    world.zitadel.set_faults([
        Rule::new(IMPORT, When::Nth(2), Fault::DropRequest),
        Rule::new(GRANTS_BARRIER, When::Always, Fault::Delay(Duration::from_millis(1500))),
    ]);
    let cutover = |world: &World| world.cutover().env("A2Z_ROLES_MODE", "grants");
    let running = cutover(&world).args(["--concurrency", "1"]).spawn();
    let imports = |world: &World| world.zitadel.requests().iter().filter(|seen| seen.path == IMPORT).count();
    world.wait_until("the grants", |world| imports(world) == 2);
    let project = world.zitadel.structure().projects.into_keys().next().unwrap();
    let grant = json!({
        "userId": rows[0].user_id, "projectId": project, "organizationId": world.zitadel.organization_id,
        "roleKeys": ["a"],
    });
    world.call_as(&other, "/zitadel.authorization.v2.AuthorizationService/CreateAuthorization", &grant);
    let ran = running.wait();
    assert_eq!(ran.exit(), Some(0), "{}", ran.stderr);
    world.zitadel.set_faults([]);
    assert_eq!(world.zitadel.structure().grants.len(), 2);
    // Auth0 takes both away: ours goes.
    tenant.roles = roles(&[]);
    world.becomes(tenant);
    cutover(&world).run().code(0);
    let left: Vec<String> = world.zitadel.structure().grants.into_keys().map(|(user, ..)| user).collect();
    assert_eq!(left, [rows[0].user_id.clone()]);
}
