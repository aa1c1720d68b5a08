//! Canaries: secrets run through a whole cutover with the fullest log, and none of them is found anywhere afterwards.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use a2z::sandbox::{
    faults::{Fault, Rule, When},
    tenant::{POOL, Tenant},
};

use crate::harness::World;

/// Everything that must not be found, with a name to show instead.
fn canaries(world: &World) -> Vec<(String, Vec<u8>)> {
    let mut canaries = vec![
        ("the client secret of Auth0".to_owned(), world.auth0().client_secret.clone()),
        ("ZITADEL's token".to_owned(), world.zitadel.token.clone()),
        ("ZITADEL's client secret".to_owned(), world.zitadel.client_secret.clone()),
        // `{"alg":` and `{"typ":`: a JWT's head begins so; signed links end so.
        ("a JWT".to_owned(), "eyJhbGci".to_owned()),
        ("a JWT with its type first".to_owned(), "eyJ0eXAi".to_owned()),
        ("a signed link".to_owned(), "Signature=".to_owned()),
        ("a link's signature".to_owned(), "~-__".to_owned()),
        ("a private key".to_owned(), "PRIVATE KEY".to_owned()),
    ];
    for row in world.tenant().rows() {
        for line in row.hashes.iter().chain(&row.mfa) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            for key in ["passwordHash", "otp_secret", "recovery_code"] {
                let Some(secret) = line[key].as_str().filter(|secret| secret.len() > 2) else { continue };
                canaries.push((format!("{key} of row {}", row.index), secret.to_owned()));
                // A hash without its salt, too.
                canaries
                    .push((format!("the end of {key} of row {}", row.index), secret[secret.len() - 20..].to_owned()));
            }
        }
    }
    for (number, (password, _)) in POOL.iter().enumerate().filter(|(_, (password, _))| password.len() > 8) {
        // Passwords are in no input at all; that nobody prints them is sure, and cheap to see.
        canaries.push((format!("password {number}"), (*password).to_owned()));
    }
    canaries.into_iter().map(|(name, secret)| (name, secret.into_bytes())).collect()
}

fn find(text: &[u8], secret: &[u8]) -> bool {
    text.windows(secret.len()).any(|window| window == secret)
}

#[track_caller]
fn assert_clean(world: &World, texts: &[(String, Vec<u8>)]) {
    let mut canaries = canaries(world);
    canaries.sort_by(|a, b| a.1.cmp(&b.1));
    canaries.dedup_by(|a, b| a.1 == b.1);
    assert!(canaries.len() > 40);
    for (place, text) in texts {
        for (name, secret) in &canaries {
            assert!(!find(text, secret), "{name} is in {place}");
        }
    }
}

/// Every file of the state folder but the export itself, which is the tenant's own.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("export-") {
            files.push((name, fs::read(&path).unwrap()));
        }
    }
    files
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
        let mut texts = files(&world.state());
        let names: Vec<_> = texts.iter().map(|(name, _)| name.clone()).collect();
        for name in ["ledger.sqlite", "report.json", "outcomes.ndjson", "report.html"] {
            assert!(names.iter().any(|other| other == name), "{name}: {names:?}");
        }
        texts.push(("stdout".to_owned(), ran.stdout.into_bytes()));
        texts.push(("stderr".to_owned(), ran.stderr.into_bytes()));
        assert_clean(&world, &texts);
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
        let place = |what: &str| format!("{what} of run {number}");
        let mut texts = vec![(place("stdout"), ran.stdout.into_bytes()), (place("stderr"), ran.stderr.into_bytes())];
        if world.state().exists() {
            texts.extend(files(&world.state()));
        }
        assert_clean(&world, &texts);
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
