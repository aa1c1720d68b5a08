//! `a2z merge` takes what `zitadel-tools migrate auth0` takes: the command lines of ZITADEL's guide and of the tool's own
//! README, word for word behind the command.

use std::{fs, path::Path};

use serde_json::Value;

use super::harness::{Ran, Run};

/// Every command line of the guide (`guides/migrate/sources/auth0`, 4.2) and of the tool's README (`cmd/migration/auth0`),
/// as they stand there; the id of the organization is left to the reader in each.
const COMMAND_LINES: [(&str, &str, &str); 3] = [
    (
        "the guide",
        "zitadel-tools migrate auth0 --org=<ORG_ID> --users=./profiles.json --passwords=./passwords.ndjson --multiline \
         --email-verified --output=./importBody.json --timeout=5m0s",
        "300000ms",
    ),
    ("basic usage", "zitadel-tools migrate auth0 --org=<organisation id>", "1800000ms"),
    (
        "advanced usage",
        "zitadel-tools migrate auth0 --org=<organisation id> --users=./users.json --passwords=./passwords.json \
         --output=./importBody.json --timeout=1h --multiline --email-verified",
        "3600000ms",
    ),
];

const HASH: &str = "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDhywTou";

/// A folder with the two files under all of their names; one e-mail is verified, one is not.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let user = |id: &str, verified: bool| {
        format!(r#"{{"user_id":"auth0|{id}","email_verified":{verified},"name":"{id} X","email":"{id}@example.com"}}"#)
    };
    let hash = |id: &str, verified: bool| {
        format!(
            r#"{{"_id":{{"$oid":"{id}"}},"email_verified":{verified},"email":"{id}@example.com","passwordHash":"{HASH}","password_set_date":{{"$date":"2025-06-30T00:00:00.000Z"}},"tenant":"test","connection":"Username-Password-Authentication","_tmp_is_unique":true}}"#
        )
    };
    let lines = |row: &dyn Fn(&str, bool) -> String| format!("{}\n{}\n", row("ada", true), row("bob", false));
    for name in ["users.json", "profiles.json"] {
        fs::write(folder.path().join(name), lines(&user)).unwrap();
    }
    for name in ["passwords.json", "passwords.ndjson"] {
        fs::write(folder.path().join(name), lines(&hash)).unwrap();
    }
    folder
}

/// Runs a command line in the folder.
fn run(line: &str, folder: &Path) -> Ran {
    let line = line.replace("<ORG_ID>", "42").replace("<organisation id>", "42");
    let words = line.strip_prefix("zitadel-tools migrate auth0 ").unwrap();
    let mut run = Run::new(folder).args(["merge"]);
    for word in words.split_whitespace() {
        run = run.args([word]);
    }
    run.run()
}

/// Id, whether the e-mail is verified, and whether there is a hash, of each user in the body.
fn body(folder: &Path) -> (Value, Vec<(String, bool, bool)>) {
    let body: Value = serde_json::from_slice(&fs::read(folder.join("importBody.json")).unwrap()).unwrap();
    let users = body["dataOrgs"]["orgs"][0]["humanUsers"].as_array().unwrap().iter();
    let users = users.map(|user| {
        let verified = user["user"]["email"]["isEmailVerified"].as_bool().unwrap();
        (user["userId"].as_str().unwrap().to_owned(), verified, user["user"]["hashedPassword"]["value"] == HASH)
    });
    let users = users.collect();
    (body, users)
}

/// Ada's and Bob's flags after a run with this flag, and the exit code.
fn verified(flag: &str) -> (bool, bool, Option<i32>) {
    let folder = folder();
    let ran = run(&format!("zitadel-tools migrate auth0 --org=42 {flag}"), folder.path());
    let (_, users) = body(folder.path());
    assert_eq!(users.iter().map(|user| user.0.as_str()).collect::<Vec<_>>(), ["auth0|ada", "auth0|bob"]);
    assert!(users.iter().all(|user| user.2), "{users:?}");
    (users[0].1, users[1].1, ran.exit())
}

#[test]
fn every_command_line_of_the_guide_and_of_the_tool_is_taken() {
    for (which, line, timeout) in COMMAND_LINES {
        let folder = folder();
        // Bob's e-mail is not verified at Auth0: without the flag the import endpoint would strand him.
        let ran = run(line, folder.path()).code(if line.contains("--email-verified") { 0 } else { 3 });
        let (body, users) = body(folder.path());
        assert_eq!(body["timeout"], timeout, "{which}");
        assert_eq!(body["dataOrgs"]["orgs"][0]["orgId"], "42", "{which}");
        let ids: Vec<_> = users.iter().map(|user| user.0.as_str()).collect();
        assert_eq!(ids, ["auth0|ada", "auth0|bob"], "{which}");
        assert!(users.iter().all(|user| user.2), "{which}: {users:?}\n{}", ran.stderr);
        let lines = fs::read_to_string(folder.path().join("importBody.json")).unwrap().lines().count();
        assert_eq!(lines > 1, line.contains("--multiline"), "{which}");
    }
}

#[test]
fn email_verified_has_three_states() {
    assert_eq!(verified(""), (true, false, Some(3)));
    assert_eq!(verified("--email-verified"), (true, true, Some(0)));
    assert_eq!(verified("--email-verified=true"), (true, true, Some(0)));
    // The import endpoint strands users without a verified e-mail, and the run says so.
    assert_eq!(verified("--email-verified=false"), (false, false, Some(3)));
}

/// Go's `strconv.ParseBool`, its durations, and that the last of two flags counts.
#[test]
fn flags_are_read_as_go_reads_them() {
    assert_eq!(verified("--email-verified=T"), (true, true, Some(0)));
    assert_eq!(verified("--email-verified=0"), (false, false, Some(3)));
    assert_eq!(verified("--email-verified --email-verified=FALSE"), (false, false, Some(3)));
    let cases = [
        ("--timeout 1h15m0.5s --multiline=false", "4500500ms", false),
        ("--timeout=1.5h30m --multiline=1", "7200000ms", true),
        ("--timeout=1m --timeout=2m --multiline=true", "120000ms", true),
    ];
    for (flags, timeout, multiline) in cases {
        let folder = folder();
        drop(run(&format!("zitadel-tools migrate auth0 --org 1 --org 42 {flags}"), folder.path()).code(3));
        let (body, _) = body(folder.path());
        assert_eq!(
            (&body["timeout"], &body["dataOrgs"]["orgs"][0]["orgId"]),
            (&timeout.into(), &"42".into()),
            "{flags}"
        );
        let lines = fs::read_to_string(folder.path().join("importBody.json")).unwrap().lines().count();
        assert_eq!(lines > 1, multiline, "{flags}");
    }
}

#[test]
fn what_go_does_not_take_is_a_usage_error_that_says_what_to_write() {
    let folder = folder();
    let cases = [
        // Go would take the flag as true, and nobody who writes this means that.
        ("--email-verified false", "unexpected argument 'false'"),
        ("--email-verified=no", "expected `true` or `false`"),
        ("--timeout=5", "the unit is missing"),
        ("--timeout=5parsecs", "expected a time"),
    ];
    for (flags, says) in cases {
        let ran = run(&format!("zitadel-tools migrate auth0 --org=42 {flags}"), folder.path()).code(2);
        assert!(ran.stderr.contains(says), "{flags}: {}", ran.stderr);
        assert!(!folder.path().join("importBody.json").exists(), "{flags}");
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let folder = folder();
    for name in ["users.json", "passwords.json"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let ran = run("zitadel-tools migrate auth0 --org=42", folder.path()).code(2);
    assert!(ran.error().contains("users.json") && ran.error().contains("--users"), "{}", ran.stderr);

    // Without a hash file nobody gets a password, which is said; with one that is named and not there nothing is done.
    let line = "zitadel-tools migrate auth0 --org=42 --users=./profiles.json";
    let ran = run(line, folder.path()).code(3);
    assert!(ran.stderr.contains("[no-hash-file]") && ran.stderr.contains("passwords.json"), "{}", ran.stderr);
    assert!(body(folder.path()).1.iter().all(|user| !user.2));
    let ran = run(&format!("{line} --passwords=./passwords.json"), folder.path()).code(2);
    assert!(ran.error().contains("passwords.json"), "{}", ran.stderr);
}
