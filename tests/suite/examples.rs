//! `examples/small-tenant/README.md` is a transcript: every command in it is run as written, and must say what it says
//! there. `A2Z_TEST_BLESS=1` writes what was said into the file instead.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn tenant() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/small-tenant")
}

/// The tenant's files in a folder of their own.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(tenant()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

/// What a command of the transcript says: results first, then progress and errors.
fn say(command: &str, folder: &Path) -> String {
    let mut words = command.split_whitespace();
    match words.next() {
        Some("a2z") => {
            let output =
                Command::new(env!("CARGO_BIN_EXE_a2z")).args(words).current_dir(folder).env_clear().output().unwrap();
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
        }
        Some("cat") => words.map(|file| fs::read_to_string(folder.join(file)).unwrap()).collect(),
        other => panic!("the transcript has a command that the test does not know: {other:?}"),
    }
}

/// The text with every console block run again.
fn replay(text: &str, folder: &Path) -> String {
    let mut out = String::new();
    let mut blocks = text.split("```console\n");
    out.push_str(blocks.next().unwrap());
    for block in blocks {
        let (transcript, rest) = block.split_once("```").unwrap();
        let command = transcript.lines().next().and_then(|line| line.strip_prefix("$ ")).unwrap();
        write!(out, "```console\n$ {command}\n{}```{rest}", say(command, folder)).unwrap();
    }
    out
}

#[test]
fn the_small_tenant_is_what_its_readme_says() {
    let readme = tenant().join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let folder = copy();
    let replayed = replay(&text, folder.path());
    assert!(text.matches("```console\n$ a2z").count() >= 3, "the transcript is gone");
    if std::env::var_os("A2Z_TEST_BLESS").is_some() {
        fs::write(&readme, &replayed).unwrap();
    } else {
        assert!(text == replayed, "{}", similar(&text, &replayed));
    }
}

/// The first lines that differ.
fn similar(old: &str, new: &str) -> String {
    let differs = old.lines().zip(new.lines()).find(|(a, b)| a != b);
    format!("the README says, and the program:\n{differs:#?}\nA2Z_TEST_BLESS=1 cargo test examples:: writes it anew")
}

#[test]
fn merge_moves_whom_the_table_says() {
    let folder = copy();
    let command = "a2z merge --org 312909075212468224 --users users.ndjson --passwords passwords.ndjson \
                   --leave-out-stranded one-by-one.ndjson --progress none";
    say(command, folder.path());
    let body: Value = serde_json::from_slice(&fs::read(folder.path().join("importBody.json")).unwrap()).unwrap();
    let organization = &body["dataOrgs"]["orgs"][0];
    assert_eq!(organization["orgId"], "312909075212468224");
    let users = organization["humanUsers"].as_array().unwrap();
    let named = |name: &str| {
        let found = users.iter().find(|user| user["user"]["userName"].as_str().unwrap().to_lowercase() == name);
        found.unwrap_or_else(|| panic!("{name} is not in the body")).clone()
    };
    assert_eq!(users.len(), 5);
    assert!(users.iter().all(|user| user["user"]["hashedPassword"]["value"].as_str().unwrap().starts_with("$2b$10$")));
    assert!(users.iter().all(|user| user["user"]["email"]["isEmailVerified"] == true));
    named("ada@example.com");
    // The database account, and not the Google account with the same e-mail.
    assert_eq!(named("grace@example.com")["userId"], "auth0|65a000000000000000000007");
    // A Google account with a linked database account: the hash is the linked account's.
    assert_eq!(named("henry@example.com")["userId"], "google-oauth2|100000000000000000008");
    assert_eq!(named("jack@example.com")["state"], "USER_STATE_INACTIVE");
    assert_eq!(named("ken.adams@example.com")["user"]["userName"], "Ken.Adams@Example.com");
    let text = serde_json::to_string(&body).unwrap();
    assert!(!text.contains("google-oauth2|100000000000000000007"), "Grace's Google account must not get in");
}
