//! Faults that ask for more than sending again: doubts that a new plan passes by, proxies that lie, users
//! who are late, poison, limits, and time.

use std::time::Duration;

use a2z::sandbox::{
    faults::{Fault, Faults, RetryAfter, Rule, When},
    tenant::{Row, Tenant, TenantOptions},
    zitadel::UserState,
};

use crate::harness::World;

const IMPORT: &str = "/admin/v1/import";
const CREATE: &str = "/v2/users/new";

/// Plain users, as rows that can be changed.
fn rows(users: u64) -> Vec<Row> {
    Tenant::made_up(TenantOptions { users, seed: 41, oddity_rate: 0.0 }).rows().collect()
}

/// Plain users who all take the import.
fn by_import(users: usize) -> Vec<Row> {
    let fits = |row: &Row| row.password.is_some() && row.value_at("email_verified").as_deref() == Some("true");
    let rows: Vec<Row> = rows(users as u64 * 4).into_iter().filter(fits).take(users).collect();
    assert_eq!(rows.len(), users);
    rows
}

fn set(row: &mut Row, key: &'static str, raw: &str) {
    row.fields.retain(|(name, _)| name != key);
    row.fields.push((key.into(), raw.to_owned()));
    if key == "email" {
        row.email = serde_json::from_str(raw).unwrap();
    }
}

fn count(world: &World, path: &str) -> usize {
    world.zitadel.requests().iter().filter(|seen| seen.path == path).count()
}

/// Everything is stored and every answer lost, to the end; then the rows of two of the users become unreadable to us.
#[test]
fn users_in_doubt_whom_the_next_plan_blocks_are_ours() {
    let mut changed = by_import(20);
    let mut world = World::of(Tenant::of(changed.clone())).start();
    world.zitadel.set_faults([Rule::new(IMPORT, When::Always, Fault::SlowAnswer(Duration::from_mins(1)))]);
    let running = world.cutover().spawn();
    world.wait_until("the import", |world| count(world, IMPORT) > 0);
    world.wait_until("what is stored", |world| world.store().len() == 20);
    running.kill();
    world.zitadel.set_faults([]);

    set(&mut changed[3], "email", "null");
    set(&mut changed[3], "blocked", "true");
    set(&mut changed[4], "email", "\"two@@example\"");
    let (third, fourth) = (changed[3].user_id.clone(), changed[4].user_id.clone());
    let gone = changed.remove(10).user_id;
    world.becomes(Tenant::of(changed));
    // Another selection of users would be refused; the export of the run under way is made again.
    std::fs::remove_file(world.state().join("export-1-0.ndjson.gz")).unwrap();
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    ledger.execute("UPDATE exports SET path = NULL, job_id = NULL, digest = NULL", []).unwrap();
    let doubt: u64 = ledger.query_row("SELECT count(*) FROM users WHERE progress = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(doubt, 20);
    drop(ledger);
    // Only that one is to be deactivated; a refusal costs that one.
    world.zitadel.set_faults([Rule::new("/v2/users/*/deactivate", When::Always, Fault::Refused)]);
    let ran = world.cutover().run().code(3);
    assert!(ran.stderr.contains("not-deactivated") && ran.stderr.contains(&third), "{}", ran.stderr);
    world.assert_balanced();
    for id in [&third, &fourth] {
        let line = world.outcome(id);
        assert_eq!(line["outcome"], "rejected");
        assert!(line["findings"].to_string().contains("in-zitadel-already"), "{line}");
    }
    assert_eq!(world.balance("created"), 17);
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    for id in [&third, &fourth, &gone] {
        let owner = "SELECT owner, progress FROM users WHERE user_id = ?1";
        let found: (i64, i64) = ledger.query_row(owner, [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(found, (1, 3), "`{id}` is ours, and no doubt is left");
    }
}

/// Created by a lost request, then refused when brought to what a newer export says: rejected, and ours all the same.
#[test]
fn who_was_created_by_a_lost_request_is_rolled_back_though_the_change_was_refused() {
    let mut changed = by_import(6);
    let mut world = World::of(Tenant::of(changed.clone())).start();
    world.zitadel.set_faults([Rule::new(IMPORT, When::Always, Fault::SlowAnswer(Duration::from_mins(1)))]);
    let running = world.cutover().spawn();
    world.wait_until("the import", |world| count(world, IMPORT) > 0);
    world.wait_until("what is stored", |world| world.store().len() == 6);
    running.kill();
    set(&mut changed[3], "nickname", "\"changed\"");
    let id = changed[3].user_id.clone();
    world.becomes(Tenant::of(changed));
    std::fs::remove_file(world.state().join("export-1-0.ndjson.gz")).unwrap();
    let path = format!("/v2/users/{}", id.replace('|', "%7C"));
    world.zitadel.set_faults([Rule::new(path, When::Always, Fault::Refused).method("PATCH")]);
    world.cutover().run().code(3);
    world.assert_balanced();
    assert_eq!(world.outcome(&id)["outcome"], "rejected");
    world.a2z(["rollback", "--yes"]).run().code(0);
    assert!(world.store().is_empty());
}

/// A proxy that does the work and then says that it was too much.
#[test]
fn a_429_after_the_work_was_done() {
    let mut odd = rows(30);
    for row in &mut odd[..10] {
        set(row, "email_verified", "false");
    }
    let world = World::of(Tenant::of(odd))
        .faults([
            Rule::new(IMPORT, When::Nth(1), Fault::DoneAndTooMany(RetryAfter::No)),
            Rule::new(CREATE, When::Every(2), Fault::DoneAndTooMany(RetryAfter::Seconds(1))),
        ])
        .start();
    world.cutover().run().code(0);
    world.assert_balanced();
    world.assert_moved("created");
}

/// A slow database shows as an error of single users, under the id of a name that is taken (seen with a real ZITADEL, and
/// PostgreSQL slower than the 15 s that it gives a write).
#[test]
fn trouble_of_the_database_is_no_fault_of_the_user() {
    let mut odd = rows(30);
    for row in &mut odd[..6] {
        set(row, "email_verified", "false");
    }
    let mut world = World::of(Tenant::of(odd.clone()))
        .faults([Rule::new(IMPORT, When::First(3), Fault::Stumble), Rule::new(CREATE, When::First(1), Fault::Stumble)])
        .start();
    world.cutover().run().code(0);
    world.assert_balanced();
    world.assert_moved("created");
    for row in &mut odd {
        set(row, "nickname", "\"changed\"");
    }
    world.becomes(Tenant::of(odd));
    world.zitadel.set_faults([Rule::new("/v2/users/", When::First(1), Fault::Stumble).method("PATCH")]);
    world.cutover().run().code(0);
    world.assert_moved("updated");
}

/// A change that ZITADEL stumbles over with HTTP 500, always, costs this user: the others are changed, and the run ends.
#[test]
fn a_500_for_one_user_costs_one_user() {
    let mut odd = by_import(5);
    let mut world = World::of(Tenant::of(odd.clone())).start();
    world.cutover().run().code(0);
    for row in &mut odd {
        set(row, "nickname", "\"changed\"");
    }
    let id = odd[2].user_id.clone();
    world.becomes(Tenant::of(odd));
    let path = format!("/v2/users/{}", id.replace('|', "%7C"));
    world.zitadel.set_faults([Rule::new(path, When::Always, Fault::Broken).method("PATCH")]);
    world.cutover().env("A2Z_HTTP_MAX_ATTEMPTS", "2").run().code(3);
    world.assert_balanced();
    assert_eq!((world.balance("updated"), world.outcome(&id)["outcome"].as_str()), (4, Some("rejected")));
    world.zitadel.set_faults([]);
    world.cutover().run().code(0);
    assert_eq!((world.balance("updated"), world.balance("unchanged")), (1, 4));
}

/// What cannot be stored, ever, ends as the user's own fault after a while, and costs nobody else.
#[test]
fn a_user_whom_the_database_never_takes_is_rejected() {
    let users = by_import(2);
    let world = World::of(Tenant::of(users.clone())).faults([Rule::new(IMPORT, When::Always, Fault::Stumble)]).start();
    world.cutover().run().code(3);
    world.assert_balanced();
    assert_eq!((world.balance("created"), world.balance("rejected")), (1, 1));
    let rejected = users.iter().map(|user| world.outcome(&user.user_id)).find(|line| line["outcome"] == "rejected");
    assert_eq!(rejected.unwrap()["code"], "refused-by-zitadel");
}

#[test]
fn a_server_that_always_says_too_much_ends_the_run() {
    for (path, retry) in [
        (IMPORT, RetryAfter::No),
        (CREATE, RetryAfter::Text("31536000")),
        (IMPORT, RetryAfter::Text("Fri, 31 Dec 2999 23:59:59 GMT")),
        (IMPORT, RetryAfter::Text("0")),
    ] {
        let mut odd = rows(6);
        set(&mut odd[0], "email_verified", "false");
        let world = World::of(Tenant::of(odd)).faults([Rule::new(path, When::Always, Fault::TooMany(retry))]).start();
        let ran = world.cutover().env("A2Z_HTTP_MAX_ATTEMPTS", "4").run().code(5);
        assert!(ran.error().contains("too many requests"), "{}", ran.error());
        assert_eq!(count(&world, path), 4, "{retry:?}");
        world.zitadel.set_faults([]);
        world.cutover().run().code(0);
        world.assert_moved("created");
    }
}

/// Auth0's limit by `x-ratelimit-reset`, for ever.
#[test]
fn auth0_that_always_says_too_much_ends_the_run() {
    let faults = Faults::of([Rule::new("/api/v2/jobs/users-exports", When::Always, Fault::TooMany(RetryAfter::No))]);
    let world = World::of(Tenant::of(rows(5))).auth0(|options| options.faults = faults.clone()).start();
    world.cutover().env("A2Z_HTTP_MAX_ATTEMPTS", "3").run().code(5);
    faults.set([]);
    world.cutover().run().code(0);
    world.assert_moved("created");
}

/// Created by the users API, which knows no state, and the program dies before it can deactivate.
#[test]
fn blocked_users_do_not_stay_active() {
    let mut odd = rows(8);
    set(&mut odd[2], "email_verified", "false");
    set(&mut odd[2], "blocked", "true");
    let id = odd[2].user_id.clone();
    let deactivate = format!("/v2/users/{}/deactivate", id.replace('|', "%7C"));
    let slow = Rule::new(&deactivate, When::Always, Fault::Delay(Duration::from_mins(1)));
    let world = World::of(Tenant::of(odd)).faults([slow]).start();
    let running = world.cutover().spawn();
    world.wait_until("the deactivation", |world| count(world, &deactivate) > 0);
    running.kill();
    assert_eq!(world.store()[&id].state, UserState::Active, "the moment that is meant");
    world.zitadel.set_faults([]);
    world.cutover().run().code(0);
    assert_eq!(world.store()[&id].state, UserState::Inactive);
    world.assert_moved("created");
}

/// What ZITADEL will not do to one user costs that user only.
#[test]
fn a_deactivation_that_is_refused_costs_one_user() {
    let mut odd = rows(8);
    set(&mut odd[2], "email_verified", "false");
    set(&mut odd[2], "blocked", "true");
    let id = odd[2].user_id.clone();
    let refused = Rule::new("/v2/users/*/deactivate", When::Always, Fault::Refused);
    let world = World::of(Tenant::of(odd)).faults([refused]).start();
    world.cutover().run().code(3);
    world.assert_balanced();
    assert_eq!(world.outcome(&id)["code"], "incomplete");
    assert_eq!(world.balance("created"), 8);
    world.zitadel.set_faults([]);
    world.cutover().run().code(0);
    assert_eq!(world.store()[&id].state, UserState::Inactive);
}

/// Late by ten times what counts as passed over: waited for, never deleted.
#[test]
fn users_who_are_late_are_never_deleted() {
    let world = World::of(Tenant::of(rows(40))).zitadel(|options| options.lag = Duration::from_secs(2)).start();
    world.cutover().env("A2Z_IMPORT_PASSED_OVER_AFTER", "200ms").run().code(0);
    world.assert_moved("created");
    let deleted = world.zitadel.requests().iter().filter(|seen| seen.method == "DELETE").count();
    assert_eq!(deleted, 0);
}

/// n users and k bad ones, with and without an index: the requests are counted.
#[test]
fn poison_costs_its_user_and_few_requests() {
    for (bad, index, most) in [(1, true, 2), (1, false, 2 * 6), (3, true, 4), (3, false, 3 * 2 * 6)] {
        let odd = by_import(64);
        let poison: Vec<String> = odd.iter().step_by(20).take(bad).map(|row| row.user_id.clone()).collect();
        let world = World::of(Tenant::of(odd))
            .zitadel(|options| options.poison = poison.iter().map(|id| (id.clone(), index)).collect())
            .start();
        world.cutover().args(["--concurrency", "1"]).run().code(3);
        world.assert_balanced();
        assert_eq!((world.balance("created"), world.balance("rejected")), (64 - bad as u64, bad as u64));
        for id in &poison {
            assert_eq!(world.outcome(id)["code"], "refused-by-zitadel");
        }
        let requests = world.zitadel.requests().iter().filter(|seen| seen.path == IMPORT).count();
        assert!(requests <= 1 + most, "{bad} bad, index {index}: {requests} requests");
        let store = world.store();
        assert!(poison.iter().all(|id| !store.contains_key(id)));
    }
}

/// More than a day passes between the start of the job and the next run: Auth0 knows it no more.
#[test]
fn a_job_that_is_gone() {
    let mut world = World::of(Tenant::of(rows(10))).auth0(|options| options.job.processing = 3).start();
    let jobs =
        |world: &World, path: &str| world.auth0().requests().iter().filter(|seen| seen.path.contains(path)).count();
    let running = world.cutover().spawn();
    world.wait_until("the first poll", |world| jobs(world, "/jobs/job_") > 0);
    running.kill();
    world.becomes(Tenant::of(rows(10)));
    let killed = jobs(&world, "/users-exports");
    let running = world.cutover().spawn();
    world.wait_until("another job", |world| jobs(world, "/users-exports") > killed);
    // The link of a finished job is asked for again at every attempt; that it expires is tested with the downloads.
    let ran = running.wait().code(0);
    assert!(ran.stderr.contains("is gone: starting a new one"), "{}", ran.stderr);
    world.assert_moved("created");
}

/// Both vendors' tokens live for two seconds, and everything is slow.
#[test]
fn tokens_that_live_shortly() {
    let mut odd = rows(120);
    for row in odd.iter_mut().step_by(4) {
        set(row, "email_verified", "false");
    }
    let world = World::of(Tenant::of(odd))
        .auth0(|options| {
            options.expires_in = 1;
            options.job.processing = 3;
        })
        .zitadel(|options| {
            options.token_ttl = Duration::from_secs(1);
            options.import_users_per_second = Some(40.0);
        })
        .start();
    std::fs::write(world.path("key.json"), &world.zitadel.key_json).unwrap();
    let run = world.cutover().without_env("ZITADEL_TOKEN").env("ZITADEL_KEY_FILE", "key.json");
    run.env("A2Z_IMPORT_BATCH_USERS", "10").run().code(0);
    world.assert_moved("created");
}

/// More than 4 MiB of protobuf in one request: split, not waited on; who alone is too large costs nobody else.
#[test]
fn batches_that_are_too_large_are_split() {
    let mut odd = by_import(24);
    for row in &mut odd {
        let filler = format!(r#"{{"filler":"{}"}}"#, "x".repeat(400_000));
        set(row, "user_metadata", &filler);
    }
    let world = World::of(Tenant::of(odd)).zitadel(|options| options.largest_request = 1 << 20).start();
    world.cutover().env("A2Z_IMPORT_BATCH_BYTES", "3584KiB").run().code(0);
    world.assert_moved("created");

    let mut odd = by_import(10);
    set(&mut odd[4], "user_metadata", &format!(r#"{{"filler":"{}"}}"#, "x".repeat(450_000)));
    let id = odd[4].user_id.clone();
    let world = World::of(Tenant::of(odd)).zitadel(|options| options.largest_request = 400_000).start();
    world.cutover().run().code(3);
    world.assert_balanced();
    assert_eq!((world.balance("created"), world.balance("rejected")), (9, 1));
    assert_eq!(world.outcome(&id)["code"], "refused-by-zitadel");
}
