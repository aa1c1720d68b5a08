//! The machine itself gives out: no space, no right to write, a damaged file. Nothing is corrupt, the error is clear, and
//! the same command goes on after the mend.

use std::fs;

use a2z::sandbox::{
    faults::{Fault, Rule, When},
    tenant::{Oddity, Tenant, TenantOptions},
};

use crate::harness::World;

fn world() -> World {
    let tenant = Tenant::made_up(TenantOptions { users: 400, seed: 51, oddity_rate: 0.05 });
    World::of(tenant.without(&[Oddity::HugeMetadata])).start()
}

/// `ulimit -f` counts blocks of 512 bytes. Every limit meets another file: the lock's neighbours, the export, the ledger,
/// its log, the reports.
#[test]
fn files_that_cannot_grow_any_more() {
    let world = world();
    let mut gave_up = 0;
    for blocks in [1, 8, 32, 80, 160, 320, 640, 1280] {
        let ran = world.cutover().after(&format!("ulimit -f {blocks}")).run();
        match ran.exit() {
            Some(5) => {
                assert!(ran.error().contains("\nHint: "), "{blocks}: {}", ran.error());
                assert!(ran.error().contains("cannot"), "{blocks}: {}", ran.error());
                gave_up += 1;
            }
            Some(3) => {}
            other => panic!("{blocks} blocks: {other:?}\n{}", ran.stderr),
        }
    }
    assert!(gave_up >= 3, "the limits were met {gave_up} times only");
    world.cutover().run().code(3);
    world.assert_balanced();
    assert!(world.verdict().is_clean(), "{:?}", world.verdict());
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    let sound: String = ledger.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

/// In the middle of the import: what is in flight then is in doubt, and settled by the next run.
#[test]
fn a_disk_that_is_full_in_the_middle_of_the_import() {
    for blocks in [400, 500, 600, 800] {
        let world = world();
        let batches = |world: &World| world.cutover().env("A2Z_IMPORT_BATCH_USERS", "10");
        let ran = batches(&world).after(&format!("ulimit -f {blocks}")).run();
        assert!(matches!(ran.exit(), Some(3 | 5)), "{blocks}: {:?}\n{}", ran.exit(), ran.stderr);
        batches(&world).run().code(3);
        world.assert_balanced();
        assert!(world.verdict().is_clean(), "{blocks}: {:?}", world.verdict());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_is_full() {
    let world = world();
    let ran = world.cutover().stdout_to("/dev/full").run();
    assert_eq!(ran.exit(), Some(5), "{}", ran.stderr);
    assert!(ran.error().contains("standard output"), "{}", ran.error());
    world.cutover().run().code(3);
    world.assert_balanced();
    assert!(world.verdict().is_clean(), "{:?}", world.verdict());
}

/// Who is root may write everywhere: a folder that cannot be a folder stands in for one that is read-only.
#[test]
fn a_state_folder_that_cannot_be_written() {
    let world = world();
    fs::write(world.path("file"), "").unwrap();
    let state = world.path("file").join("state");
    let ran = world.a2z(["plan"]).without_arg("--state").args(["--state", state.to_str().unwrap()]).run().code(2);
    assert!(ran.error().contains("cannot make the folder"), "{}", ran.error());

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::create_dir(world.state()).unwrap();
        fs::set_permissions(world.state(), fs::Permissions::from_mode(0o500)).unwrap();
        if fs::write(world.state().join("probe"), "").is_ok() {
            fs::remove_file(world.state().join("probe")).unwrap();
            println!("skipped: as root, a folder of mode 0500 can be written");
        } else {
            let ran = world.cutover().run().code(2);
            assert!(ran.error().contains("--state DIR"), "{}", ran.error());
        }
        fs::set_permissions(world.state(), fs::Permissions::from_mode(0o700)).unwrap();
    }
    world.cutover().run().code(3);
    assert!(world.verdict().is_clean(), "{:?}", world.verdict());
}

#[test]
fn a_ledger_that_is_damaged() {
    let world = world();
    world.cutover().run().code(3);
    let path = world.state().join("ledger.sqlite");
    let whole = fs::read(&path).unwrap();
    let writes = world.writes().len();
    let mut holed = whole.clone();
    holed[100..].fill(0xa5);
    for damaged in [b"this is no ledger, it is a text that somebody put here".repeat(100), holed] {
        fs::write(&path, damaged).unwrap();
        let ran = world.cutover().run().code(2);
        assert!(ran.error().contains("is damaged"), "{}", ran.error());
        assert!(ran.error().contains("\nHint: "), "{}", ran.error());
    }
    assert_eq!(world.writes().len(), writes, "nothing was written on the word of a damaged ledger");
    fs::write(&path, whole).unwrap();
    world.cutover().run().code(3);
    assert!(world.verdict().is_clean(), "{:?}", world.verdict());
}

/// The second signal does not wait for what is in flight.
#[test]
fn interrupted_twice() {
    let world = world();
    world.zitadel.set_faults([Rule::new(
        "/admin/v1/import",
        When::Always,
        Fault::Delay(std::time::Duration::from_mins(3)),
    )]);
    let running = world.cutover().spawn();
    world.wait_until("the import", |world| world.zitadel.requests().iter().any(|seen| seen.path == "/admin/v1/import"));
    running.interrupt();
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.interrupt();
    let ran = running.wait().code(130);
    assert!(ran.stderr.contains("once more to stop at once"), "{}", ran.stderr);
    world.zitadel.set_faults([]);
    world.cutover().run().code(3);
    assert!(world.verdict().is_clean(), "{:?}", world.verdict());
}

/// SIGTERM is SIGINT; also where the run waits for the projections.
#[test]
fn terminated_while_waiting_for_the_projections() {
    let world = world();
    let barriers = |world: &World| {
        world.zitadel.requests().iter().filter(|seen| seen.path.starts_with("/v2/users/a2z-barrier")).count()
    };
    let running = world.cutover().env("A2Z_IMPORT_MAX_LAG", "10m").spawn();
    world.wait_until("the import", |world| !world.store().is_empty());
    world.zitadel.set_lag(std::time::Duration::from_mins(3));
    let before = barriers(&world);
    world.wait_until("the wait", |world| barriers(world) > before);
    assert!(running.signal("TERM"));
    let ran = running.wait().code(130);
    assert!(ran.stderr.contains("run the same command again"), "{}", ran.stderr);
    world.zitadel.set_lag(std::time::Duration::ZERO);
    world.cutover().run().code(3);
    world.assert_balanced();
    assert!(world.verdict().is_clean(), "{:?}", world.verdict());
}

/// A hash file that changed asks for another plan; another organization or instance for another folder.
#[test]
fn what_changes_between_the_runs_is_noticed() {
    let world = world();
    world.a2z(["plan"]).args(["--passwords", "passwords.ndjson"]).run();
    let hashes = fs::read_to_string(world.path("passwords.ndjson")).unwrap();
    fs::write(world.path("passwords.ndjson"), hashes.lines().skip(5).collect::<Vec<_>>().join("\n")).unwrap();
    let ran = world.a2z(["cutover", "--yes"]).args(["--passwords", "passwords.ndjson"]).run().code(3);
    assert!(!ran.stderr.contains("going on with the plan"), "{}", ran.stderr);
    world.assert_balanced();

    let writes = world.writes().len();
    let ran = world.cutover().env("ZITADEL_ORG_ID", "999999999999999999").run();
    assert!(matches!(ran.exit(), Some(2 | 4)), "{}", ran.stderr);
    assert_eq!(world.writes().len(), writes);
}
