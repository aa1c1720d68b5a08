//! Canaries: secrets run through a whole cutover with the fullest log, and none of them is found anywhere afterwards.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use a2z::sandbox::{
    faults::{Fault, Rule, When},
    tenant::{POOL, Tenant},
};

use crate::harness::{World, canaries::Canaries};

/// Every file of the state folder but the export itself, which is the tenant's own.
fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The search finds what it is for: else every test of the suite would pass for nothing.
#[test]
fn the_search_finds_every_canary() {
    let world = World::of(Tenant::one_of_each()).start();
    let canaries = Canaries::of(world.auth0(), &world.zitadel);
    assert!(canaries.len() > 40, "{}", canaries.len());
    let hash = &POOL[0].1;
    for text in [
        world.auth0().client_secret.as_str(),
        &world.zitadel.token,
        &world.zitadel.client_secret,
        &hash[hash.len() - 20..],
        POOL[0].0,
        "eyJhbGciOi",
        "&Signature=x",
        "-----BEGIN PRIVATE KEY-----",
    ] {
        assert!(canaries.find(format!("a {text} b").as_bytes()).is_some(), "{text}");
    }
    assert_eq!(canaries.find(b"nothing to see"), None);
}

/// The search is part of every run (`harness/canaries.rs`); here every verb speaks at the highest level, in both formats.
#[test]
fn every_verb_at_its_loudest_shows_no_secret() {
    let world = World::of(Tenant::one_of_each()).start();
    for format in ["text", "json"] {
        for verb in ["check", "plan", "cutover", "status", "report", "cutover"] {
            let run = world.a2z([verb]).args(["-vvvv", "--log-format", format]);
            let run = match verb {
                "check" | "plan" => run.args(["--passwords", "passwords.ndjson", "--mfa", "mfa.ndjson"]),
                "cutover" => run.args(["--yes", "--passwords", "passwords.ndjson", "--mfa", "mfa.ndjson"]),
                _ => run,
            };
            let run = if format == "json" { run.without_arg("--progress").args(["--progress", "json"]) } else { run };
            let ran = run.run();
            assert!(!ran.stdout.is_empty() || !ran.stderr.is_empty(), "{verb}");
            assert!(!ran.stderr.contains("Internal error"), "{verb}: {}", ran.stderr);
        }
    }
    fs::write(world.path("export.ndjson"), world.export()).unwrap();
    let merge = world.a2z(["merge", "-vvvv", "--org", "1", "--users", "export.ndjson", "--output", "body.json"]);
    drop(merge.args(["--passwords", "passwords.ndjson"]).run());
}

#[test]
fn a_cutover_leaves_no_secret_anywhere() {
    for format in ["text", "json"] {
        let world = World::of(Tenant::one_of_each())
            .faults([
                Rule::new("/admin/v1/import", When::Nth(1), Fault::LoseAnswer),
                Rule::new("/v2/users/new", When::Nth(2), Fault::Status(400)),
                Rule::new("/v2/users/new", When::Nth(4), Fault::HtmlBody),
            ])
            .start();
        let run = world.cutover().args(["--mfa", "mfa.ndjson", "-vvv", "--log-format", format]);
        let ran = run.run().code(3);
        let names = files(&world.state());
        for name in ["ledger.sqlite", "report.json", "outcomes.ndjson", "report.html"] {
            assert!(names.iter().any(|other| other == name), "{name}: {names:?}");
        }
        assert!(ran.stderr.contains("answered"), "the log is there: {}", ran.stderr);
    }
}

#[test]
fn failures_show_no_secret() {
    let world = World::of(Tenant::one_of_each()).start();
    fs::write(world.path("key.json"), &world.zitadel.key_json).unwrap();
    let wrong_secret = format!("wrong-{}", world.auth0().client_secret);
    let runs = [
        world.cutover().env("AUTH0_CLIENT_SECRET", &wrong_secret),
        world.cutover().env("ZITADEL_TOKEN", &format!("wrong-{}", world.zitadel.token)),
        world.cutover().env("ZITADEL_TOKEN_FILE", &world.zitadel.token),
        world.cutover().without_env("ZITADEL_TOKEN").env("ZITADEL_KEY_FILE", "key.json").env("ZITADEL_ORG_ID", "1"),
        // The two files in each other's place.
        world.cutover().without_arg("--passwords").args(["--users", "passwords.ndjson", "--passwords", "mfa.ndjson"]),
        world.cutover().without_arg("--passwords").args(["--passwords", "mfa.ndjson"]),
        world.cutover().without_arg("--passwords").args(["--passwords", "key.json"]),
    ];
    for (number, run) in runs.into_iter().enumerate() {
        let ran = run.args(["-vvv"]).run();
        assert!(!ran.stderr.is_empty(), "run {number}");
    }
}

#[test]
fn only_the_operator_may_read_what_is_left() {
    let world = World::of(Tenant::one_of_each()).start();
    world.cutover().run().code(3);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.state()), 0o700);
    let mut seen = 0;
    for entry in fs::read_dir(world.state()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 5);
}
