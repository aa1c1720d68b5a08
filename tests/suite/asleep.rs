//! Time that passes unseen: a machine that sleeps in the middle, a clock that was set between two runs, an export job of
//! yesterday. a2z reads the machine's clock, so what it wrote down is set back or forward here.

use std::time::Duration;

use a2z::sandbox::tenant::{Tenant, TenantOptions};
use rusqlite::Connection;

use crate::harness::{Run, World};

fn tenant(users: u64) -> Tenant {
    Tenant::made_up(TenantOptions { users, seed: 61, oddity_rate: 0.02 })
}

/// The run began, planned and wrote so many hours before (or, below 0, after) it did.
fn hours_ago(world: &World, hours: i64) {
    let ledger = Connection::open(world.state().join("ledger.sqlite")).unwrap();
    let mut set = 0;
    for column in ["started_at", "planned_at", "importing_at"] {
        let earlier = format!("strftime('%Y-%m-%dT%H:%M:%SZ', {column}, '{} hours')", -hours);
        let update = format!("UPDATE runs SET {column} = {earlier} WHERE {column} IS NOT NULL");
        set += ledger.execute(&update, []).unwrap();
    }
    assert!(set > 0);
}

fn with_key(world: &World) -> Run {
    std::fs::write(world.path("key.json"), &world.zitadel.key_json).unwrap();
    let run = world.cutover().without_env("ZITADEL_TOKEN").env("ZITADEL_KEY_FILE", "key.json");
    run.env("A2Z_IMPORT_BATCH_USERS", "10")
}

fn jobs(world: &World) -> usize {
    world.auth0().requests().iter().filter(|seen| seen.path.ends_with("/users-exports")).count()
}

/// When it wakes, every connection is dead and every token has expired: first in the export, then in the import.
#[test]
fn a_laptop_that_sleeps_in_the_middle() {
    let world = World::of(tenant(200))
        .auth0(|options| options.job.processing = 3)
        .zitadel(|options| options.import_users_per_second = Some(100.0))
        .start();
    let running = with_key(&world).spawn();
    world.wait_until("the export", |world| jobs(world) > 0);
    assert!(running.signal("STOP"));
    world.auth0().down();
    world.auth0().expire_tokens();
    world.auth0().up();
    assert!(running.signal("CONT"));
    world.wait_until("the import", |world| world.store().len() > 20);
    assert!(running.signal("STOP"));
    let there = world.store().len();
    world.zitadel.stop();
    world.zitadel.expire_tokens();
    world.auth0().expire_tokens();
    world.zitadel.restart();
    assert!(running.signal("CONT"));
    running.wait().code(3);
    world.assert_balanced();
    world.assert_moved("created");
    assert!(there < world.store().len(), "it was not in the middle");
    assert_eq!(jobs(&world), 1);
}

/// The job is still kept, the link that it gave is long void.
#[test]
fn an_export_job_of_yesterday() {
    for (hours, more) in [(23, 0), (25, 1)] {
        let world = World::of(tenant(120))
            .auth0(|options| {
                options.download.lifetime = Duration::from_secs(1);
                options.download.pause = Some(Duration::from_millis(700));
            })
            .start();
        let running = world.cutover().spawn();
        world.wait_until("the download", |world| !world.auth0().seen_downloads().is_empty());
        running.kill();
        hours_ago(&world, hours);
        std::thread::sleep(Duration::from_secs(2));
        world.cutover().run().code(3);
        world.assert_balanced();
        world.assert_moved("created");
        assert_eq!(jobs(&world), 1 + more, "{hours} hours");
    }
}

/// Whose writes have begun is gone on with, whatever the clock says; what is not begun is planned again.
#[test]
fn a_clock_that_is_set_between_two_runs() {
    for hours in [-5, 48] {
        let world = World::of(tenant(150)).zitadel(|options| options.import_users_per_second = Some(100.0)).start();
        let run = || world.cutover().env("A2Z_IMPORT_BATCH_USERS", "10");
        let running = run().spawn();
        world.wait_until("the import", |world| world.store().len() > 20);
        running.kill();
        hours_ago(&world, hours);
        run().run().code(3);
        world.assert_balanced();
        world.assert_moved("created");
        assert_eq!(jobs(&world), 1, "{hours} hours");
        // And at the next one nobody is touched.
        hours_ago(&world, -hours);
        let writes = world.writes().len();
        run().run().code(3);
        world.assert_moved("unchanged");
        let more = world.writes().split_off(writes);
        assert!(more.is_empty(), "{more:?}");
    }
}
