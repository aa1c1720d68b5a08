//! Users that ZITADEL stored and does not show completely: they are repaired in place; only users that cannot sign in are
//! deleted and created again, and nobody that somebody else touched.

use std::time::Duration;

use a2z::sandbox::{
    faults::{Fault, Rule, When},
    tenant::{Role, Row, Tenant, TenantOptions},
    zitadel::{Link, Projection, User, UserState},
};
use serde_json::json;

use crate::harness::{Expected, Run, World};

const CREATE: &str = "/v2/users/new";

/// Plain users, every one with metadata and a Google account beside the password.
fn rows(users: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = Tenant::made_up(TenantOptions { users, seed: 41, oddity_rate: 0.0 }).rows().collect();
    for (n, row) in rows.iter_mut().enumerate() {
        set(row, "user_metadata", r#"{"plan":"pro"}"#);
        let own = row.user_id.split_once('|').unwrap().1;
        let connection = "Username-Password-Authentication";
        let identities = json!([
            { "provider": "auth0", "connection": connection, "user_id": own, "isSocial": false },
            { "provider": "google-oauth2", "connection": "google-oauth2", "user_id": format!("10354799{n:05}"), "isSocial": true },
        ]);
        set(row, "identities", &identities.to_string());
    }
    rows
}

fn set(row: &mut Row, key: &'static str, raw: &str) {
    row.fields.retain(|(name, _)| name != key);
    row.fields.push((key.into(), raw.to_owned()));
}

fn cutover(world: &World) -> Run {
    world.cutover().env("A2Z_IMPORT_PASSED_OVER_AFTER", "300ms")
}

/// A tenant whose users have links and roles, too.
fn linked_world(rows: &[Row]) -> World {
    let mut tenant = Tenant::of(rows.to_vec());
    tenant.roles = vec![Role {
        id: "rol_a".into(),
        name: "admin".into(),
        description: String::new(),
        users: rows.iter().map(|row| row.user_id.clone()).collect(),
    }];
    let world = World::of(tenant).start();
    world.zitadel.add_idp("google", "Google", "sandbox-google-oauth2", true);
    world
}

/// Everybody is there as exported, and these were created twice.
#[track_caller]
fn assert_recreated(world: &World, recreated: &[&str]) {
    world.assert_balanced();
    let (store, fates) = (world.store(), Expected::of(world.tenant()));
    for (id, person) in fates.users() {
        // The links are the test's own.
        let mut user = store[id].clone();
        user.links.clear();
        person.assert_is(&user, &world.zitadel.organization_id);
        assert_eq!(store[id].created_count, if recreated.contains(&id) { 2 } else { 1 }, "`{id}`");
    }
}

/// Nobody is created twice, and ZITADEL shows everything.
#[track_caller]
fn assert_repaired_in_place(world: &World) {
    assert_recreated(world, &[]);
    world.a2z(["verify", "--metadata", "all"]).run().code(0);
}

/// Is it said?
fn differs(world: &World, user_id: &str) -> bool {
    let findings = world.outcome(user_id)["findings"].as_array().unwrap().clone();
    findings.iter().any(|found| found["code"] == "differs-in-zitadel" || found["code"] == "missing-in-zitadel")
}

#[test]
fn what_a_projection_skipped_is_written_again_in_place() {
    let users = rows(40);
    for projection in [Projection::Metadata, Projection::Links, Projection::Grants] {
        let world = linked_world(&users);
        let lost = [users[3].user_id.clone(), users[9].user_id.clone()];
        world.zitadel.skip(projection, lost.clone());
        let ran = cutover(&world).env("A2Z_ROLES_MODE", "grants").run().code(0);
        assert!(ran.stderr.contains("of 2 users") && !ran.stderr.contains("made-anew"), "{}", ran.stderr);
        assert_repaired_in_place(&world);
        assert_eq!(world.balance("created"), 40);
        for user in world.store().values().filter(|user| !user.seeded && !user.machine) {
            assert_eq!(user.links.len(), 1, "{projection:?}: `{}`", user.id);
        }
        assert_eq!(world.zitadel.structure().grants.len(), 40, "{projection:?}");
        // And the next run has nothing to do.
        let before = world.zitadel.requests().len();
        cutover(&world).env("A2Z_ROLES_MODE", "grants").run().code(0);
        assert_eq!(world.balance("unchanged"), 40);
        let after = world.zitadel.requests().split_off(before);
        let writes = ["DELETE", "PATCH"];
        assert!(!after.iter().any(|seen| writes.contains(&seen.method.as_str()) || seen.path == "/admin/v1/import"));
    }
}

/// The list hides the grants of a user without a login name, and a deletion would forget them: they go first.
#[test]
fn a_recreated_user_has_its_grants_and_links() {
    let users = rows(40);
    let world = linked_world(&users);
    let lost = [users[3].user_id.clone(), users[9].user_id.clone()];
    world.zitadel.skip(Projection::LoginNames, lost.clone());
    world.zitadel.skip(Projection::Grants, [lost[0].clone()]);
    let ran = cutover(&world).env("A2Z_ROLES_MODE", "grants").run().code(0);
    assert_eq!(ran.stderr.matches("made-anew").count(), 1, "{}", ran.stderr);
    assert_recreated(&world, &[&lost[0], &lost[1]]);
    assert!(lost.iter().all(|id| world.store()[id].links.len() == 1));
    assert_eq!(world.zitadel.structure().grants.len(), 40);
    world.a2z(["verify", "--metadata", "all"]).run().code(0);
}

/// A skipped event of an update leaves an old value, which the same value does not replace.
#[test]
fn an_old_value_is_replaced() {
    let mut users = rows(20);
    let mut world = World::of(Tenant::of(users.clone())).start();
    cutover(&world).run().code(0);
    let kinds = ["user.human.profile.changed", "user.username.changed", "user.human.email.changed"];
    for (user, kind) in users.iter().zip(kinds) {
        world.zitadel.skip_event(Projection::Users, kind, [user.user_id.clone()]);
    }
    world.zitadel.skip_event(Projection::Users, "user.human.email.verified", [users[3].user_id.clone()]);
    for user in &mut users {
        set(user, "given_name", r#""Augusta""#);
        set(user, "family_name", r#""King""#);
        set(user, "email", &format!(r#""new.{}@example.com""#, user.user_id.split_once('|').unwrap().1));
    }
    world.becomes(Tenant::of(users.clone()));
    let before = world.zitadel.mails().len();
    let ran = cutover(&world).run().code(0);
    assert!(ran.stderr.contains("ZITADEL stores more than it shows"), "{}", ran.stderr);
    assert_repaired_in_place(&world);
    assert_eq!(world.zitadel.mails().len(), before, "nobody gets a message");
}

#[test]
fn an_address_whose_verification_was_skipped_is_verified_without_a_message() {
    let users = rows(8);
    let world = World::of(Tenant::of(users.clone())).start();
    world.zitadel.skip_event(Projection::Users, "user.human.email.verified", [users[2].user_id.clone()]);
    let ran = cutover(&world).run().code(0);
    assert!(ran.stderr.contains("email-verified of 1 user"), "{}", ran.stderr);
    assert_repaired_in_place(&world);
    assert_eq!(world.zitadel.mails().len(), 0);
}

/// An inactive user would be active for a moment: only if the operator says so.
#[test]
fn a_state_is_repaired_only_if_the_operator_says_so() {
    let mut users = rows(8);
    set(&mut users[2], "blocked", "true");
    let world = World::of(Tenant::of(users.clone())).start();
    world.zitadel.skip_event(Projection::Users, "user.deactivated", [users[2].user_id.clone()]);
    cutover(&world).run().code(3);
    assert!(differs(&world, &users[2].user_id));
    let active = |seen: &a2z::sandbox::Seen| seen.path.ends_with("/reactivate");
    assert!(!world.zitadel.requests().iter().any(active));
    cutover(&world).env("A2Z_IMPORT_REPAIR_STATES", "true").run().code(0);
    assert_repaired_in_place(&world);
}

/// What a person takes away while a2z looks is not given again, whether the account may read events or not.
#[test]
fn what_somebody_removes_meanwhile_stays_away() {
    for role in ["IAM_OWNER", "ORG_OWNER"] {
        let users = rows(12);
        let id = users[2].user_id.clone();
        let world = World::of(Tenant::of(users.clone())).start();
        let idp = world.zitadel.add_idp("google", "Google", "sandbox-google-oauth2", true);
        let (other, token) = (world.zitadel.add_token(&["IAM_OWNER"]), world.zitadel.add_token(&[role]));
        world.zitadel.skip(Projection::Metadata, [id.clone()]);
        let running =
            world.cutover().env("ZITADEL_TOKEN", &token).env("A2Z_IMPORT_PASSED_OVER_AFTER", "1500ms").spawn();
        world.wait_until("the user", |world| {
            world.store().get(&id).is_some_and(|user| !user.metadata.is_empty() && !user.links.is_empty())
        });
        let keys: Vec<String> = world.store()[&id].metadata.keys().cloned().collect();
        world.user_service_as(&other, "DeleteUserMetadata", &json!({ "userId": id, "keys": keys }));
        let linked = world.store()[&id].links[0].user_id.clone();
        world.user_service_as(&other, "RemoveIDPLink", &json!({ "userId": id, "idpId": idp, "linkedUserId": linked }));
        let ran = running.wait();
        assert_eq!(ran.exit(), Some(3), "{role}: {}", ran.stderr);
        let user = &world.store()[&id];
        assert!(user.metadata.is_empty() && user.links.is_empty(), "{role}: {user:?}");
        assert_eq!(user.created_count, 1);
    }
}

/// Whoever dies between the removal and the writing goes on with it.
#[test]
fn a_kill_in_the_middle_of_a_repair_in_place() {
    for role in ["IAM_OWNER", "ORG_OWNER"] {
        for (projection, request) in
            [(Projection::Metadata, "DeleteUserMetadata"), (Projection::Links, "RemoveIDPLink")]
        {
            let users = rows(12);
            let lost = users[5].user_id.clone();
            let world = linked_world(&users);
            let token = world.zitadel.add_token(&[role]);
            world.zitadel.skip(projection, [lost.clone()]);
            let slow = Fault::SlowAnswer(Duration::from_mins(1));
            let path = format!("/zitadel.user.v2.UserService/{request}");
            world.zitadel.set_faults([Rule::new(&path, When::Nth(1), slow)]);
            let running = cutover(&world).env("ZITADEL_TOKEN", &token).spawn();
            world.wait_until("the removal", |world| world.zitadel.requests().iter().any(|seen| seen.path == path));
            std::thread::sleep(Duration::from_millis(100));
            running.kill();
            world.zitadel.set_faults([]);
            cutover(&world).env("ZITADEL_TOKEN", &token).run().code(0);
            assert_eq!(world.store()[&lost].links.len(), 1, "{role} {projection:?}");
            assert_repaired_in_place(&world);
        }
    }
}

/// `never` means never, and `ask` that a yes is needed.
#[test]
fn the_operator_decides_who_is_recreated() {
    let users = rows(12);
    for (policy, code, recreated) in [("never", 3, false), ("ask", 0, true), ("this-run", 0, true)] {
        let world = World::of(Tenant::of(users.clone())).start();
        let lost = users[4].user_id.clone();
        world.zitadel.skip(Projection::LoginNames, [lost.clone()]);
        cutover(&world).env("A2Z_IMPORT_RECREATE", policy).run().code(code);
        let twice = [lost.as_str()];
        assert_recreated(&world, if recreated { &twice } else { &[] });
        assert_eq!(differs(&world, &lost), !recreated, "{policy}");
    }
}

/// A user of an earlier run may have been used: nothing recreates it unless the operator says yes.
#[test]
fn a_user_of_an_earlier_run_is_reported() {
    let mut users = rows(12);
    let lost = users[4].user_id.clone();
    let mut world = World::of(Tenant::of(users.clone())).start();
    world.zitadel.skip(Projection::LoginNames, [lost.clone()]);
    cutover(&world).env("A2Z_IMPORT_RECREATE", "never").run().code(3);
    set(&mut users[0], "given_name", r#""Augusta""#);
    world.becomes(Tenant::of(users));
    let ran = cutover(&world).run().code(3);
    assert!(ran.stderr.contains("created by an earlier run"), "{}", ran.stderr);
    assert_eq!(world.store()[&lost].created_count, 1);
    // A run without the hash files would take the password away.
    let ask = |run: Run| run.env("A2Z_IMPORT_PASSED_OVER_AFTER", "300ms").env("A2Z_IMPORT_RECREATE", "ask");
    let ran = ask(world.a2z(["cutover", "--yes"])).run().code(3);
    assert!(ran.stderr.contains("[not-recreated]"), "{}", ran.stderr);
    assert_eq!(world.store()[&lost].created_count, 1);
    ask(world.cutover()).run().code(0);
    let user = world.store()[&lost].clone();
    assert!(user.created_count == 2 && user.hash.is_some(), "{user:?}");
}

/// A deletion forgets the grants that ZITADEL does not show, and they would stay taken for ever.
#[test]
fn a_rollback_takes_grants_that_are_not_shown() {
    let users = rows(8);
    let world = linked_world(&users);
    world.zitadel.skip(Projection::LoginNames, [users[1].user_id.clone()]);
    world.zitadel.skip(Projection::Grants, [users[2].user_id.clone()]);
    let never = |world: &World| cutover(world).env("A2Z_ROLES_MODE", "grants").env("A2Z_IMPORT_RECREATE", "never");
    never(&world).run().code(3);
    world.zitadel.skip(Projection::Grants, [users[3].user_id.clone()]);
    world.a2z(["rollback", "--yes"]).run().code(0);
    assert_eq!(world.zitadel.structure().grants.len(), 0);
}

/// What was reported about a user the first time is not reported twice.
#[test]
fn what_is_found_twice_is_reported_once() {
    let users = rows(12);
    let lost = users[5].user_id.clone();
    let world = World::of(Tenant::of(users)).start();
    let idp_id = world.zitadel.add_idp("google", "Google", "sandbox-google-oauth2", true);
    let mut somebody = User::default();
    somebody.id = "somebody".into();
    somebody.organization_id.clone_from(&world.zitadel.organization_id);
    somebody.user_name = "somebody@example.com".into();
    somebody.email = "somebody@example.com".into();
    somebody.links = vec![Link { idp_id, user_id: "1035479900005".into(), user_name: "x".into() }];
    world.zitadel.add_user(somebody);
    world.zitadel.skip(Projection::LoginNames, [lost.clone()]);
    let ran = cutover(&world).run().code(0);
    assert!(ran.stderr.contains("made-anew"), "{}", ran.stderr);
    let findings = world.outcome(&lost)["findings"].as_array().unwrap().clone();
    assert_eq!(findings.iter().filter(|found| found["code"] == "link-taken").count(), 1, "{findings:?}");
}

/// Few users have their metadata read, and all of them have their keys looked for.
#[test]
fn nobody_outside_the_sample_is_missed() {
    let users = rows(450);
    let world = World::of(Tenant::of(users.clone())).start();
    let lost = users[301].user_id.clone();
    world.zitadel.skip(Projection::Metadata, [lost.clone()]);
    cutover(&world).run().code(0);
    assert_repaired_in_place(&world);
}

#[test]
fn who_cannot_be_found_or_cannot_sign_in_can_afterwards() {
    let mut users = rows(20);
    set(&mut users[1], "email_verified", "false");
    let world = World::of(Tenant::of(users.clone())).start();
    let own = world.search_count();
    world.zitadel.skip(Projection::Users, [users[1].user_id.clone(), users[7].user_id.clone()]);
    world.zitadel.skip(Projection::LoginNames, [users[2].user_id.clone()]);
    let ran = cutover(&world).run().code(0);
    assert_eq!(ran.stderr.matches("made-anew").count(), 1, "{}", ran.stderr);
    assert_recreated(&world, &[&users[1].user_id, &users[7].user_id, &users[2].user_id]);
    assert_eq!(world.search_count(), 20 + own, "everybody is found, and the sandbox's own");
    let name = world.store()[&users[2].user_id].user_name.clone();
    world.sign_in(&name, users[2].password.unwrap()).unwrap();
}

/// The answer to the creation was lost, too: the id is taken, nobody is found, and the events say by whom.
#[test]
fn a_user_in_doubt_that_the_projection_skipped_is_ours() {
    let mut users = rows(3);
    set(&mut users[1], "email_verified", "false");
    let lost = users[1].user_id.clone();
    let world = World::of(Tenant::of(users)).start();
    world.zitadel.skip(Projection::Users, [lost.clone()]);
    world.zitadel.set_faults([Rule::new(CREATE, When::First(1), Fault::LoseAnswer)]);
    let ran = cutover(&world).run().code(0);
    assert!(ran.stderr.contains("made-anew"), "{}", ran.stderr);
    assert_recreated(&world, &[&lost]);
    assert_eq!(world.balance("created"), 3);
}

/// Whoever dies between the deletion and the new creation goes on with it.
#[test]
fn a_kill_in_the_middle_of_a_recreation() {
    let (before, after) = (Fault::Delay(Duration::from_millis(400)), Fault::SlowAnswer(Duration::from_millis(400)));
    for (what, fault, policy) in
        [("before", before, "block"), ("after", after.clone(), "block"), ("after, and planned anew", after, "suffix")]
    {
        let users = rows(12);
        let world = linked_world(&users);
        let lost = users[5].user_id.clone();
        world.zitadel.skip(Projection::LoginNames, [lost.clone()]);
        world.zitadel.set_faults([Rule::new("/v2/users/", When::Nth(1), fault).method("DELETE")]);
        let run = || cutover(&world).env("A2Z_ROLES_MODE", "grants");
        let running = run().spawn();
        world.wait_until("the deletion", |world| world.zitadel.requests().iter().any(|seen| seen.method == "DELETE"));
        std::thread::sleep(Duration::from_millis(50));
        running.signal("KILL");
        drop(running.wait());
        // Also where the plan is made again.
        run().env("A2Z_MAPPING_COLLISIONS", policy).run().code(0);
        assert_recreated(&world, &[&lost]);
        assert_eq!(world.balance("created"), 12, "{what}");
        assert_eq!(world.zitadel.structure().grants.len(), 12, "{what}");
        world.a2z(["verify", "--metadata", "all"]).run().code(0);
    }
}

/// Somebody takes the user name meanwhile: then the user is not there, and nothing says otherwise.
#[test]
fn a_name_that_is_taken_meanwhile() {
    let users = rows(12);
    let lost = users[5].user_id.clone();
    let world = World::of(Tenant::of(users)).start();
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    world.zitadel.skip(Projection::LoginNames, [lost.clone()]);
    let slow = Fault::SlowAnswer(Duration::from_millis(500));
    world.zitadel.set_faults([Rule::new("/v2/users/", When::Nth(1), slow).method("DELETE")]);
    let running = cutover(&world).spawn();
    world.wait_until("the user", |world| world.store().contains_key(&lost));
    let name = world.store()[&lost].user_name.clone();
    world.wait_until("the deletion", |world| !world.store().contains_key(&lost));
    world.user_service_as(
        &other,
        "CreateUser",
        &json!({
            "organizationId": world.zitadel.organization_id, "userId": "quicker", "username": name,
            "human": {
                "profile": {"givenName": "A", "familyName": "B"},
                "email": {"email": "quicker@example.com", "isVerified": true}
            }
        }),
    );
    let ran = running.wait();
    assert_eq!(ran.exit(), Some(3), "{}", ran.stderr);
    assert!(!ran.stderr.contains("made-anew"), "{}", ran.stderr);
    assert_eq!(world.outcome(&lost)["code"], "user-name-taken");
    world.assert_balanced();
    let verified = &world.report()["verified"];
    assert_eq!((&verified["looked_at"], &verified["same"]), (&json!(11), &json!(11)), "{verified}");
    assert!(!differs(&world, &lost));
}

/// The next run is so quick that a search still finds whom this one deleted.
#[test]
fn a_kill_after_a_deletion_that_does_not_show_yet() {
    let users = rows(12);
    let lost = users[5].user_id.clone();
    let world = World::of(Tenant::of(users)).start();
    world.zitadel.skip(Projection::LoginNames, [lost.clone()]);
    let slow = Fault::SlowAnswer(Duration::from_millis(400));
    world.zitadel.set_faults([Rule::new("/v2/users/", When::Nth(1), slow).method("DELETE")]);
    let running = cutover(&world).spawn();
    world.wait_until("the deletion", |world| !world.store().contains_key(&lost) && !world.store().is_empty());
    running.signal("KILL");
    drop(running.wait());
    world.zitadel.set_lag(Duration::from_secs(3));
    cutover(&world).run().code(0);
    world.zitadel.set_lag(Duration::ZERO);
    assert_recreated(&world, &[&lost]);
    assert_eq!(world.balance("created"), 12);
}

/// Without the right to read events nobody knows who touched a user since: nobody is deleted.
#[test]
fn without_events_nobody_is_recreated() {
    let users = rows(6);
    let world = World::of(Tenant::of(users.clone())).start();
    let token = world.zitadel.add_token(&["ORG_OWNER"]);
    world.zitadel.skip(Projection::LoginNames, [users[1].user_id.clone()]);
    world.zitadel.skip(Projection::Metadata, [users[2].user_id.clone()]);
    cutover(&world).env("ZITADEL_TOKEN", &token).run().code(3);
    assert_recreated(&world, &[]);
    assert!(differs(&world, &users[1].user_id));
    assert!(!differs(&world, &users[2].user_id), "in place it needs no events: what was removed cannot be taken away");
}

#[test]
fn whom_others_touched_is_left_alone_and_said() {
    let users = rows(6);
    let world = World::of(Tenant::of(users.clone())).start();
    let touched = users[2].user_id.clone();
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    world.zitadel.skip(Projection::LoginNames, [touched.clone()]);
    // Between the first look and the second, somebody else is quicker.
    let running = world.cutover().env("A2Z_IMPORT_PASSED_OVER_AFTER", "1500ms").spawn();
    world.wait_until("the user", |world| world.store().get(&touched).is_some_and(|user| !user.metadata.is_empty()));
    world.user_service_as(&other, "DeactivateUser", &json!({ "userId": touched }));
    let ran = running.wait();
    assert_eq!(ran.exit(), Some(3), "{}", ran.stderr);
    assert_eq!(world.store()[&touched].created_count, 1);
    assert_eq!(world.store()[&touched].state, UserState::Inactive);
    assert!(differs(&world, &touched));
}

/// What others did for a user, and no event of the user's own tells: it would be lost with the user.
#[test]
fn whom_others_did_something_for_is_left_alone() {
    let users = rows(20);
    let ids: Vec<String> = [2, 4, 6].map(|n: usize| users[n].user_id.clone()).into();
    let (signed_in, member, taken) = (&ids[0], &ids[1], &ids[2]);
    let world = linked_world(&users);
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    world.zitadel.skip(Projection::LoginNames, ids[..2].iter().cloned());
    // Only the grants of a user with a login name are shown.
    world.zitadel.skip(Projection::Users, [taken.clone()]);
    let running = cutover(&world).env("A2Z_ROLES_MODE", "grants").env("A2Z_IMPORT_PASSED_OVER_AFTER", "3s");
    world.zitadel.skip(Projection::LoginNames, [users[8].user_id.clone()]);
    let running = running.spawn();
    world.wait_until("the grants", |world| world.zitadel.structure().grants.len() == 20);
    // Through an identity provider: the session alone says so.
    world.call_as(&other, "/v2/sessions", &json!({ "checks": { "user": { "userId": signed_in } } }));
    let place = &world.zitadel.organization_id;
    let membership = json!({ "orgId": place, "orgMembers": [{ "userId": member, "roles": ["ORG_OWNER"] }] });
    world.call_as(&other, "/admin/v1/import", &json!({ "dataOrgs": { "orgs": [membership] }, "timeout": "10s" }));
    let service = |method: &str| format!("/zitadel.authorization.v2.AuthorizationService/{method}");
    let list = world.call_as(&other, &service("ListAuthorizations"), &json!({}));
    let grant = list["authorizations"].as_array().unwrap().iter().find(|grant| grant["user"]["id"] == **taken).unwrap();
    world.call_as(&other, &service("DeleteAuthorization"), &json!({ "id": grant["id"] }));
    let ran = running.wait();
    assert_eq!(ran.exit(), Some(3), "{}", ran.stderr);
    let store = world.store();
    for id in &ids {
        assert_eq!(store[id].created_count, 1, "`{id}`");
        assert!(differs(&world, id), "`{id}`");
    }
    assert_eq!(store[&users[8].user_id].created_count, 2, "whom nobody touched");
    assert_eq!(world.zitadel.structure().grants.len(), 19, "what an admin took away is not given again");
}

/// More than one in four: something else is wrong, and to create them again would change nothing.
#[test]
fn nothing_is_repaired_if_it_is_many() {
    for (projection, all, skipped) in [(Projection::Metadata, 200, 101), (Projection::LoginNames, 20, 6)] {
        let users = rows(all);
        let world = World::of(Tenant::of(users.clone())).start();
        world.zitadel.skip(projection, users[..skipped].iter().map(|user| user.user_id.clone()));
        let ran = cutover(&world).run().code(3);
        assert!(ran.stderr.contains(&format!("leave {skipped} users (too many at once")), "{}", ran.stderr);
        assert!(!ran.stderr.contains("made-anew"), "{}", ran.stderr);
        assert!(world.store().values().all(|user| user.created_count <= 1));
    }
}

/// Somebody that an admin deletes before the end stays deleted.
#[test]
fn who_was_deleted_meanwhile_stays_deleted() {
    let users = rows(12);
    let gone = users[5].user_id.clone();
    let world = World::of(Tenant::of(users)).start();
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    // Not found by the first count, so that the second is waited for.
    world.zitadel.skip(Projection::Users, [gone.clone()]);
    let running = world.cutover().env("A2Z_IMPORT_PASSED_OVER_AFTER", "3s").spawn();
    world.wait_until("the user", |world| world.store().get(&gone).is_some_and(|user| !user.metadata.is_empty()));
    world.user_service_as(&other, "DeleteUser", &json!({ "userId": gone }));
    let ran = running.wait();
    assert_eq!(ran.exit(), Some(3), "{}", ran.stderr);
    assert!(!world.store().contains_key(&gone));
    assert_eq!(world.outcome(&gone)["code"], "gone-from-zitadel");
    world.assert_balanced();
    cutover(&world).run().code(3);
    assert!(!world.store().contains_key(&gone));
}

/// Deletions that the users projection passed over: the ids are free, and so are the names.
#[test]
fn who_is_deleted_and_still_shown_is_not_there() {
    let users = rows(30);
    for shown in [2, 25] {
        deleted_and_shown(&users, shown);
    }
}

fn deleted_and_shown(users: &[Row], shown: usize) {
    let world = World::of(Tenant::of(users.to_vec())).start();
    cutover(&world).run().code(0);
    world.zitadel.skip_event(Projection::Users, "user.removed", users[..shown].iter().map(|user| user.user_id.clone()));
    world.a2z(["rollback", "--yes"]).run().code(0);
    assert_eq!(world.store().values().filter(|user| !user.seeded && !user.machine).count(), 0);
    let ran = cutover(&world).run().code(0);
    assert!(ran.stderr.contains("deleted-and-shown"), "{}", ran.stderr);
    assert_eq!(world.balance("created"), 30);
    let store = world.store();
    for user in users {
        assert_eq!(store[&user.user_id].created_count, 2, "`{}`", user.user_id);
    }
}

/// An organization of the ledger's own in which only such users are shown goes, and they with it.
#[test]
fn an_organization_of_deleted_users_goes() {
    let users = rows(30);
    let world = World::of(Tenant::of(users.clone())).start();
    let run = |verb| world.a2z([verb, "--yes"]).without_env("ZITADEL_ORG_ID").env("A2Z_ZITADEL_CREATE_ORG", "Night");
    run("cutover").args(["--passwords", "passwords.ndjson"]).run().code(0);
    world.zitadel.skip_event(Projection::Users, "user.removed", [users[4].user_id.clone()]);
    let ran = run("rollback").run().code(0);
    assert!(ran.stdout.contains("organization  deleted"), "{}", ran.stdout);
    run("cutover").args(["--passwords", "passwords.ndjson"]).run().code(0);
    assert_eq!(world.balance("created"), 30);
}
