//! What a2z left on the machine goes, and nothing else.

use std::fs;

use a2z::sandbox::tenant::{Tenant, TenantOptions};

use crate::harness::World;

fn moved() -> World {
    let world = World::of(Tenant::made_up(TenantOptions { users: 5, seed: 42, oddity_rate: 0.0 })).start();
    world.cutover().run().code(0);
    world
}

fn files(world: &World) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(world.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // SQLite's own, where somebody reads the ledger.
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

#[test]
fn removes_everything_and_the_folder() {
    let world = moved();
    let ran = world.a2z(["purge", "--yes"]).run().code(0);
    assert!(ran.stdout.contains("ledger.sqlite") && ran.stdout.contains("export-1-0.ndjson.gz"), "{}", ran.stdout);
    assert!(ran.stderr.contains("purge-ledger") && ran.stderr.contains("5 users"), "{}", ran.stderr);
    assert!(!world.state().exists());
    let ran = world.a2z(["purge", "--yes"]).run().code(0);
    assert!(ran.stdout.contains("Nothing to remove"), "{}", ran.stdout);
    assert!(!world.state().exists(), "looking must not make the folder");
}

#[test]
fn exports_only_keeps_ledger_and_reports() {
    let world = moved();
    world.a2z(["purge", "--yes", "--exports-only"]).run().code(0);
    let left = files(&world);
    assert!(!left.iter().any(|name| name.starts_with("export-")), "{left:?}");
    assert!(left.contains(&"ledger.sqlite".to_owned()) && left.contains(&"report.json".to_owned()), "{left:?}");
    world.a2z(["report"]).run().code(0);
    world.cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), 5);
}

#[test]
fn what_it_does_not_know_stays() {
    let world = moved();
    fs::write(world.state().join("notes.txt"), "mine").unwrap();
    fs::write(world.path("precious"), "mine").unwrap();
    fs::create_dir(world.state().join("export-9-9.ndjson.gz")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(world.path("precious"), world.state().join("export-7-0.ndjson.gz")).unwrap();
    // After every run the harness looks whether others may read what is in the folder.
    #[cfg(unix)]
    for path in [world.state().join("notes.txt"), world.path("precious"), world.state().join("export-9-9.ndjson.gz")] {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let ran = world.a2z(["purge", "--yes"]).run().code(0);
    assert!(ran.stdout.contains("notes.txt: not a2z's, stays"), "{}", ran.stdout);
    let left = files(&world);
    assert!(left.contains(&"notes.txt".to_owned()) && left.contains(&"export-9-9.ndjson.gz".to_owned()), "{left:?}");
    assert!(!left.contains(&"ledger.sqlite".to_owned()) && !left.contains(&"lock".to_owned()), "{left:?}");
    assert_eq!(fs::read_to_string(world.path("precious")).unwrap(), "mine");
}

#[test]
fn asks_first_and_waits_for_nobody() {
    let world = moved();
    let before = files(&world);
    let ran = world.a2z(["purge"]).run().code(2);
    assert!(ran.error().contains("no terminal"), "{}", ran.stderr);
    assert_eq!(files(&world), before);
    // Another run is at work.
    let lock = fs::OpenOptions::new().write(true).open(world.state().join("lock")).unwrap();
    lock.lock().unwrap();
    let ran = world.a2z(["purge", "--yes"]).run().code(2);
    assert!(ran.error().contains("another run"), "{}", ran.stderr);
    assert_eq!(files(&world), before);
}
