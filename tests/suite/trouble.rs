//! Everything that breaks on the way: interruptions, kills, lost answers, expired tokens. Afterwards the books balance,
//! nobody is lost or doubled, and every user is whole.

use std::time::Duration;

use a2z::sandbox::{
    auth0::DownloadOptions,
    faults::{Fault, Faults, RetryAfter, Rule, When},
    tenant::{Oddity, Tenant, TenantOptions},
    zitadel::User,
};

use crate::harness::{Expected, Run, World};

const IMPORT: &str = "/admin/v1/import";
const CREATE: &str = "/v2/users/new";

/// Users of every kind, but for the one whose half megabyte makes requests slow.
fn mixed(users: u64, seed: u64) -> Tenant {
    Tenant::made_up(TenantOptions { users, seed, oddity_rate: 0.05 }).without(&[Oddity::HugeMetadata])
}

/// One run through these faults brings everybody over.
#[track_caller]
fn survives(rules: impl IntoIterator<Item = Rule>) -> World {
    let world = World::of(mixed(300, 21)).faults(rules).start();
    world.cutover().env("A2Z_IMPORT_BATCH_USERS", "25").run().code(3);
    world.assert_balanced();
    world.assert_moved("created");
    let hit = world.zitadel.requests().iter().filter(|seen| seen.fault.is_some()).count();
    assert!(hit > 0, "no fault was met");
    world
}

#[test]
fn answers_lost_after_the_import_was_stored() {
    survives([Rule::new(IMPORT, When::Every(2), Fault::LoseAnswer)]);
}

#[test]
fn answers_lost_after_a_user_was_created() {
    survives([Rule::new(CREATE, When::Every(3), Fault::LoseAnswer)]);
}

#[test]
fn answers_cut_in_the_middle() {
    survives([
        Rule::new(IMPORT, When::Every(2), Fault::CutAnswer),
        Rule::new(CREATE, When::Every(3), Fault::CutAnswer),
    ]);
}

#[test]
fn answers_of_a_proxy() {
    survives([
        Rule::new(IMPORT, When::Nth(2), Fault::HtmlBody),
        Rule::new(IMPORT, When::Nth(4), Fault::EmptyBody),
        Rule::new(IMPORT, When::Nth(6), Fault::BadGateway),
        Rule::new(CREATE, When::Nth(2), Fault::HtmlBody),
        Rule::new(CREATE, When::Nth(4), Fault::EmptyBody),
        Rule::new(CREATE, When::Nth(6), Fault::BadGateway),
    ]);
}

#[test]
fn an_import_that_times_out_half_way() {
    survives([Rule::new(IMPORT, When::Every(2), Fault::ImportTimeout)]);
}

#[test]
fn bursts_of_429_and_503() {
    survives([
        Rule::new(IMPORT, When::Every(4), Fault::TooMany(RetryAfter::Seconds(1))),
        Rule::new(IMPORT, When::Every(3), Fault::Unavailable(RetryAfter::No)),
        Rule::new(CREATE, When::Every(5), Fault::TooMany(RetryAfter::No)),
        Rule::new(CREATE, When::Every(4), Fault::Unavailable(RetryAfter::Date(1))),
        Rule::new("/v2/users", When::Every(7), Fault::TooMany(RetryAfter::No)),
    ]);
}

#[test]
fn connections_that_break() {
    survives([Rule::new("", When::PerMille { hits: 100, seed: 5 }, Fault::DropRequest)]);
}

#[test]
fn a_server_that_is_gone_for_a_moment() {
    // As long as all attempts at one request take together, with the short waits of these tests.
    survives([Rule::new(IMPORT, When::Nth(3), Fault::Stop(Duration::from_millis(250)))]);
}

/// A 400 for the batch names nobody: it is halved until the one user is alone.
#[test]
fn one_poisonous_user_costs_one_user() {
    let plain = Tenant::made_up(TenantOptions { users: 8, seed: 22, oddity_rate: 0.0 });
    let world = World::of(plain).faults([Rule::new(IMPORT, When::First(4), Fault::Refused)]).start();
    world.cutover().args(["--concurrency", "1"]).run().code(3);
    world.assert_balanced();
    assert_eq!((world.balance("created"), world.balance("rejected")), (7, 1));
    let rejected: Vec<_> = world.outcomes().into_iter().filter(|line| line["outcome"] == "rejected").collect();
    assert_eq!(rejected[0]["code"], "refused-by-zitadel");
    assert!(!world.store().contains_key(rejected[0]["user_id"].as_str().unwrap()));

    // Running again tries that user once more.
    world.cutover().run().code(0);
    assert_eq!((world.balance("created"), world.balance("unchanged")), (1, 7));
    world.assert_store(&Expected::of(world.tenant()));
}

/// An instance that imports slowly, so that a run can be stopped in the middle.
fn slow() -> World {
    World::of(mixed(400, 23)).zitadel(|options| options.import_users_per_second = Some(60.0)).start()
}

#[test]
fn ctrl_c_in_the_middle() {
    let world = slow();
    let running = world.cutover().env("A2Z_IMPORT_BATCH_USERS", "20").spawn();
    world.wait_until("the import", |world| world.store().len() > 60);
    running.interrupt();
    let ran = running.wait().code(130);
    assert!(ran.stderr.contains("run the same command again"), "{}", ran.stderr);
    let arrived = world.store().len() as u64;
    assert!(arrived < Expected::of(world.tenant()).moved(), "it was not in the middle");
    // What was in flight is settled: the report of the stopped run knows everybody who is there.
    assert_eq!(world.balance("created"), arrived);

    world.cutover().run().code(3);
    world.assert_balanced();
    world.assert_moved("created");
    let jobs = world.auth0().requests().iter().filter(|request| request.path.ends_with("/users-exports")).count();
    assert_eq!(jobs, 1);
}

#[test]
fn killed_in_the_middle_again_and_again() {
    let world = slow();
    for part in 1..=4 {
        let mut running = world.cutover().env("A2Z_IMPORT_BATCH_USERS", "20").spawn();
        world.wait_until("the import", |world| world.store().len() > 50 * part || running.has_ended());
        running.kill();
    }
    assert!((world.store().len() as u64) < Expected::of(world.tenant()).moved(), "it was not in the middle");
    world.cutover().run().code(3);
    world.assert_balanced();
    world.assert_moved("created");
}

#[test]
fn killed_while_the_export_job_runs() {
    let world = World::of(mixed(100, 24))
        .auth0(|options| (options.job.processing, options.job.time_left_seconds) = (4, 1))
        .start();
    let running = world.cutover().spawn();
    world.wait_until("the first poll", |world| {
        world.auth0().requests().iter().any(|request| request.path.starts_with("/api/v2/jobs/job_"))
    });
    running.kill();
    let again = world.cutover().run().code(3);
    assert!(again.stderr.contains("taking up the export job"), "{}", again.stderr);
    world.assert_moved("created");
    let jobs = world.auth0().requests().iter().filter(|request| request.path.ends_with("/users-exports")).count();
    assert_eq!(jobs, 1);
}

/// With a service account's key, and batches small enough for many requests.
fn with_key(world: &World) -> Run {
    std::fs::write(world.path("key.json"), &world.zitadel.key_json).unwrap();
    let run = world.cutover().without_env("ZITADEL_TOKEN").env("ZITADEL_KEY_FILE", "key.json");
    run.env("A2Z_IMPORT_BATCH_USERS", "10")
}

#[track_caller]
fn assert_tokens_were_renewed(world: &World) {
    let tokens = world.zitadel.requests().iter().filter(|seen| seen.path == "/oauth/v2/token").count();
    // The check and the import ask for one each; every 401 for one more, not for one a request.
    assert!((3..10).contains(&tokens), "{tokens} tokens");
}

#[test]
fn tokens_of_zitadel_that_are_refused() {
    let world = World::of(mixed(200, 25))
        .faults([
            Rule::new(IMPORT, When::Nth(2), Fault::TokenExpired),
            Rule::new(CREATE, When::Nth(3), Fault::TokenExpired),
        ])
        .start();
    with_key(&world).run().code(3);
    world.assert_balanced();
    world.assert_moved("created");
    assert_tokens_were_renewed(&world);
}

#[test]
fn tokens_of_zitadel_that_expire_in_the_middle() {
    let world = World::of(mixed(200, 25)).zitadel(|options| options.import_users_per_second = Some(200.0)).start();
    let running = with_key(&world).spawn();
    world.wait_until("the import", |world| world.store().len() > 20);
    world.zitadel.expire_tokens();
    assert!((world.store().len() as u64) < Expected::of(world.tenant()).moved(), "it was not in the middle");
    running.wait().code(3);
    world.assert_balanced();
    world.assert_moved("created");
    assert_tokens_were_renewed(&world);
}

#[test]
fn client_credentials_of_zitadel() {
    let world = World::of(mixed(60, 26)).start();
    let run = world.cutover().without_env("ZITADEL_TOKEN").env("ZITADEL_CLIENT_ID", &world.zitadel.client_id);
    run.env("ZITADEL_CLIENT_SECRET", &world.zitadel.client_secret).run().code(3);
    world.assert_moved("created");
}

#[test]
fn tokens_of_auth0_that_expire() {
    let faults = Faults::of([
        Rule::new("/api/v2/connections", When::Nth(1), Fault::TokenExpired),
        Rule::new("/api/v2/jobs/job_", When::Nth(2), Fault::TokenExpired),
        Rule::new("/api/v2/jobs/users-exports", When::Nth(1), Fault::TokenExpired),
    ]);
    let world = World::of(mixed(60, 27)).auth0(|options| options.faults = faults).start();
    world.cutover().run().code(3);
    world.assert_moved("created");
}

#[test]
fn a_ready_token_of_auth0() {
    let world = World::of(mixed(60, 28)).start();
    let token = world.auth0().token();
    let run = world.cutover().without_env("AUTH0_CLIENT_ID").without_env("AUTH0_CLIENT_SECRET");
    run.env("AUTH0_TOKEN", &token).run().code(3);
    world.assert_moved("created");
    assert!(world.auth0().requests().iter().all(|request| request.path != "/oauth/token"));
}

#[test]
fn downloads_that_fail() {
    let expired = [Rule::new("", When::Nth(1), Fault::Status(403))];
    let usual = DownloadOptions::default();
    for (what, options, faults) in [
        ("a link that expired", usual, Faults::of(expired)),
        ("truncated", DownloadOptions { truncated: 2, ..usual }, Faults::none()),
        ("broken off", DownloadOptions { dropped: 2, ..usual }, Faults::none()),
        ("moved, in three members", DownloadOptions { redirect: true, members: 3, ..usual }, Faults::none()),
        ("gzip twice said", DownloadOptions { content_encoding: true, ..usual }, Faults::none()),
    ] {
        let world = World::of(mixed(120, 29))
            .auth0(|auth0| (auth0.download, auth0.download_faults) = (options, faults))
            .start();
        let ran = world.cutover().run();
        assert!(ran.stderr.contains("ok  import"), "{what}: {}", ran.stderr);
        world.assert_moved("created");
        // The bearer token never goes to the download's host.
        assert!(world.auth0().seen_downloads().iter().all(|seen| !seen.authorization), "{what}");
    }
}

#[test]
fn rate_limits_of_auth0() {
    let faults = Faults::of([
        Rule::new("/api/v2/", When::Every(3), Fault::TooMany(RetryAfter::Seconds(1))),
        Rule::new("/oauth/token", When::Nth(1), Fault::Unavailable(RetryAfter::No)),
    ]);
    let world = World::of(mixed(60, 30)).auth0(|options| options.faults = faults).start();
    world.cutover().run().code(3);
    world.assert_moved("created");
}

#[test]
fn a_vendor_that_is_gone_for_good() {
    let world = World::of(mixed(100, 31)).faults([Rule::new(IMPORT, When::Always, Fault::Unavailable(RetryAfter::No))]);
    let world = world.start();
    let ran = world.cutover().env("A2Z_HTTP_MAX_ATTEMPTS", "2").run().code(5);
    assert!(ran.error().contains("\nHint: "), "{}", ran.error());
    world.zitadel.set_faults([]);
    world.cutover().run().code(3);
    world.assert_balanced();
    world.assert_moved("created");
}

/// Between the plan and the import somebody else took the name.
#[test]
fn a_name_that_is_taken_in_the_middle() {
    let plain = Tenant::made_up(TenantOptions { users: 40, seed: 32, oddity_rate: 0.0 });
    let world = World::of(plain).start();
    world.a2z(["plan"]).args(["--passwords", "passwords.ndjson"]).run().code(0);
    let last = world.tenant().row(39).unwrap();
    let mut user = User::default();
    "400000000000000002".clone_into(&mut user.id);
    user.user_name = last.email.as_deref().unwrap().to_uppercase();
    world.zitadel.add_user(user);
    world.cutover().run().code(3);
    world.assert_balanced();
    assert_eq!((world.balance("created"), world.balance("rejected")), (39, 1));
    assert_eq!(world.outcome(&last.user_id)["code"], "user-name-taken");
    assert!(!world.store().contains_key(&last.user_id));
}
