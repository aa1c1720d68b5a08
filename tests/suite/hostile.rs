//! Input that was made to do harm: bounded memory, no panic, nothing printed raw, a clear error or a finding.
//!
//! That nothing is printed raw is asserted for every run (`harness/canaries.rs`).

use std::{
    fs,
    io::{Read, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use a2z::sandbox::tenant::{Tenant, TenantOptions};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::harness::World;

fn small() -> World {
    World::of(Tenant::made_up(TenantOptions { users: 3, seed: 1, oddity_rate: 0.0 })).start()
}

fn gzip(text: impl Read, to: impl std::io::Write) {
    let mut text = text;
    let mut encoder = GzEncoder::new(to, Compression::fast());
    std::io::copy(&mut text, &mut encoder).unwrap();
    encoder.finish().unwrap();
}

/// A user who would be moved.
fn user(id: &str, name: &str) -> serde_json::Value {
    let own = id.split_once('|').map_or("", |id| id.1);
    json!({ "user_id": id, "email": format!("u{own}@example.com"), "email_verified": true, "name": name,
        "identities": [{ "provider": "auth0", "connection": "db", "user_id": own }] })
}

/// `a2z merge` with the export on standard input, written by `write`; the most memory that it took, in MiB, its exit code,
/// and what it said.
fn merge(
    folder: &Path,
    write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()> + Send + 'static,
) -> (u64, i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_a2z"))
        .args(["merge", "--org", "1", "--users", "-", "--output", "body.json", "--progress", "plain"])
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || drop(write(&mut stdin)));
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0_u64));
        thread::sleep(std::time::Duration::from_millis(2));
    }
    writer.join().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    crate::harness::canaries::assert_quiet("the output", &text);
    assert!(most > 0, "the memory was not measured");
    (most >> 10, output.status.code().unwrap(), text)
}

/// How large: small enough for every day, or as large as `A2Z_TEST_FULL_SIZE` wants it.
fn size(usual: u64, full: u64) -> u64 {
    if std::env::vars().any(|(name, _)| name == "A2Z_TEST_FULL_SIZE") { full } else { usual }
}

#[test]
fn a_line_of_a_gibibyte() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, code, text) = merge(folder.path(), |to| {
        let first = user("auth0|1", "Ada Lovelace").to_string();
        writeln!(to, "{first}")?;
        write!(to, "{{\"user_id\":\"auth0|2\",\"name\":\"")?;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..size(256, 1024) {
            to.write_all(&piece)?;
        }
        writeln!(to, "\"}}\n{}", user("auth0|3", "Grace Hopper"))
    });
    assert!(memory < 160, "{memory} MiB");
    assert!(code == 0 || code == 3, "{code}: {text}");
    assert!(text.contains("malformed-row"), "{text}");
    let body = fs::read_to_string(folder.path().join("body.json")).unwrap();
    assert!(body.contains("auth0|1") && body.contains("auth0|3") && !body.contains("auth0|2"), "{text}");
}

#[test]
fn bombs_of_gzip() {
    let zeros = || std::io::repeat(b' ').take(size(256, 2048) << 20);
    let mut once = Vec::new();
    gzip(zeros(), &mut once);
    let mut twice = Vec::new();
    gzip(&once[..], &mut twice);
    let mut deep = twice.clone();
    for _ in 0..3 {
        let inner = std::mem::take(&mut deep);
        gzip(&inner[..], &mut deep);
    }
    // Two hundred thousand members of nothing.
    let mut nothing = Vec::new();
    gzip(std::io::empty(), &mut nothing);
    for (name, bytes, code, words) in [
        ("one long line", once, 3, "malformed-row"),
        ("packed twice", twice, 2, "unpacks to more than"),
        ("packed five times", deep, 2, "packed more than three times"),
        ("empty members", nothing.repeat(200_000), 0, ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (memory, ended, text) = merge(folder.path(), move |to| to.write_all(&bytes));
        assert!(memory < 160, "{name}: {memory} MiB");
        assert!(ended == code || (code == 3 && ended == 0), "{name}: {ended}: {text}");
        assert!(text.contains(words), "{name}: {text}");
    }
}

#[test]
fn one_id_over_and_over() {
    let rows = size(100_000, 10_000_000);
    let folder = tempfile::tempdir().unwrap();
    let (memory, code, text) = merge(folder.path(), move |to| {
        let line = format!("{}\n", user("auth0|1", "Ada Lovelace"));
        for _ in 0..rows {
            to.write_all(line.as_bytes())?;
        }
        Ok(())
    });
    assert!(memory < 160 + rows * 24 / (1 << 20), "{memory} MiB");
    assert!(code == 0 || code == 3, "{code}: {text}");
    let body = fs::read_to_string(folder.path().join("body.json")).unwrap();
    assert_eq!(body.matches("\"userId\":\"auth0|1\"").count(), 1);
}

#[test]
fn names_that_attack_and_json_that_is_deep() {
    let world = small();
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    let names = [
        "\u{1b}]0;owned\u{7}\u{1b}[2J",
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "\u{202e}gpj.exe\u{2066}",
        "nul\0nul",
        "zero\u{200b}\u{200d}\u{feff}width",
        "c1 \u{9b}31m",
        "'\"><svg onload=alert(1)>",
        "\u{e0041}\u{e007f} tags",
    ];
    let mut lines = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let mut row = user(&format!("auth0|{number}"), name);
        row["email"] = json!(format!("u{number}@example.com"));
        row["user_metadata"] = json!({ *name: name });
        lines.push(row.to_string());
        // And in the id, the address, and the connection, where errors and reports name the user.
        let mut row = user(&format!("auth0|x{name}"), "X");
        row["email"] = json!(name);
        row["identities"][0]["connection"] = json!(name);
        lines.push(row.to_string());
    }
    lines.push(r#"{"user_id":"auth0|s1","email":"s1@example.com","name":"\ud800 lone"}"#.to_owned());
    lines.push(r#"{"user_id":"auth0|s2","email":"s2@example.com","user_metadata":{"\udfff":"\ud800"}}"#.to_owned());
    lines.push(format!(
        r#"{{"user_id":"auth0|d1","email":"d1@example.com","user_metadata":{{"a":{}}}}}"#,
        deep(100_000)
    ));
    lines.push(format!(r#"{{"user_id":{},"email":"d2@example.com"}}"#, deep(100_000)));
    lines.push(format!(r#"{{"user_id":"auth0|d3","email":"d3@example.com","other":{}}}"#, "{\"a\":".repeat(100_000)));
    lines.push(deep(100_000));
    lines.push("[".repeat(100_000));
    fs::write(world.path("users.ndjson"), lines.join("\n")).unwrap();
    for args in [["--progress", "plain"], ["--progress", "json"]] {
        let run =
            world.a2z(["cutover", "--yes", "-vv", "--users", "users.ndjson"]).without_arg("--progress").args(args);
        let ran = run.run();
        assert!(!ran.stderr.contains("Internal error"), "{}", ran.stderr);
        world.assert_balanced();
        assert_eq!(world.balance("exported"), lines.len() as u64);
        let page = fs::read_to_string(world.state().join("report.html")).unwrap();
        for tag in ["<script", "<img", "<svg", "onload=alert(1)>"] {
            assert!(!page.contains(tag), "{tag}");
        }
    }
    // Byte for byte what Auth0 had, where it moved.
    let store = world.store();
    let metadata: &[u8] = store["auth0|1"].metadata["auth0.user_metadata"].as_ref();
    assert_eq!(String::from_utf8_lossy(metadata), json!({ names[1]: names[1] }).to_string());
    world.a2z(["status"]).run();
    world.a2z(["report"]).run();
}

#[test]
fn tickets_of_one_user_without_end() {
    let world = small();
    let rows = size(30_000, 1_000_000);
    let mut mfa = Vec::new();
    for n in 0..rows {
        let secret: String = (0..16).map(|at| char::from(b'A' + u8::try_from((n >> (at * 2)) & 15).unwrap())).collect();
        writeln!(mfa, "{{\"user_id\":\"auth0|1\",\"otp_secret\":\"{secret}\"}}").unwrap();
        writeln!(mfa, "{{\"user_id\":\"auth0|1\",\"type\":\"kind{n}\"}}").unwrap();
    }
    fs::write(world.path("many.ndjson"), mfa).unwrap();
    world.cutover().args(["--mfa", "many.ndjson"]).run().code(0);
    world.assert_balanced();
}
