//! Files as people have them: hash, MFA and export files in every shape, and what is said if they are of no use.

use std::{fs, io::Write as _};

use a2z::sandbox::tenant::{Row, Tenant, TenantOptions};
use serde_json::{Value, json};

use crate::harness::{Ran, World};

/// People with a password that moves.
fn people(users: usize) -> Vec<Row> {
    let all = Tenant::made_up(TenantOptions { users: users as u64 * 4, seed: 31, oddity_rate: 0.0 });
    let fits = |row: &Row| row.password.is_some() && row.value_at("email_verified").as_deref() == Some("true");
    let mut rows: Vec<Row> = all.rows().filter(fits).take(users).collect();
    assert_eq!(rows.len(), users);
    for row in &mut rows {
        (row.mfa, row.authentication_methods) = (Vec::new(), Vec::new());
    }
    rows
}

fn world(users: usize) -> World {
    World::of(Tenant::of(people(users))).start()
}

/// Each row put into `before` and `after`.
fn each(rows: &[String], before: &str, after: &str) -> String {
    rows.iter().flat_map(|row| [before, row.as_str(), after]).collect()
}

/// Another spelling of a file of rows.
fn shaped(shape: &str, rows: &[String]) -> String {
    match shape {
        "commas" => each(rows, "", ",\n"),
        "one line" => rows.concat(),
        "one line with commas" => rows.join(", "),
        "two on a line" => rows.chunks(2).map(|pair| pair.join(" ")).collect::<Vec<_>>().join("\n"),
        "in an object" => format!("{{\"users\":[{}]}}", rows.join(",")),
        "pages" => each(rows, "{\"start\":0,\"length\":1,\"users\":[", "],\"total\":9}\n"),
        "array" => format!("[\n{}\n]\n", rows.join(",\n")),
        "windows" => format!("\u{feff}{}\r\n", rows.join("\r\n")),
        _ => panic!("no shape `{shape}`"),
    }
}

const SHAPES: [&str; 8] =
    ["commas", "one line", "one line with commas", "two on a line", "in an object", "pages", "array", "windows"];

fn lines(path: std::path::PathBuf) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The check failed, and nothing was written.
#[track_caller]
fn refused(world: &World, ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word) || ran.stdout.contains(word), "`{word}`: {}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(world.writes(), [] as [String; 0]);
    assert!(world.store().is_empty());
}

#[test]
fn a_hash_file_of_any_shape_gives_everybody_the_password() {
    for shape in SHAPES {
        let world = world(5);
        let rows = lines(world.path("passwords.ndjson"));
        fs::write(world.path("passwords.ndjson"), shaped(shape, &rows)).unwrap();
        let ran = world.cutover().run().code(0);
        world.assert_moved("created");
        assert!(!ran.stdout.contains("bring nobody a password"), "{shape}: {}", ran.stdout);
    }
}

#[test]
fn an_export_of_any_shape_is_read() {
    for shape in SHAPES {
        let world = world(5);
        let export = String::from_utf8(world.export()).unwrap();
        let rows: Vec<String> = export.lines().map(str::to_owned).collect();
        fs::write(world.path("export.json"), shaped(shape, &rows)).unwrap();
        world.cutover().args(["--users", "export.json"]).run().code(0);
        assert_eq!((world.balance("exported"), world.balance("created")), (5, 5), "{shape}");
        world.assert_store_whole();
    }
}

#[test]
fn a_hash_file_without_a_usable_row_stops_before_the_first_write() {
    let argon = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
    let of = |world: &World, hash: Value| -> String {
        let row = |line: String| {
            let mut row: Value = serde_json::from_str(&line).unwrap();
            row["passwordHash"] = hash.clone();
            format!("{row}\n")
        };
        lines(world.path("passwords.ndjson")).into_iter().map(row).collect()
    };
    let world = world(4);
    let cut: Vec<String> = lines(world.path("passwords.ndjson")).iter().map(|line| line[..40].to_owned()).collect();
    let cut = each(&cut, "", "\n");
    for (text, why) in [
        (of(&world, Value::Null), "without a hash"),
        (of(&world, json!(argon)), "with a hash that ZITADEL would refuse"),
        (of(&world, json!(["$2b$10$x"])), "without a hash"),
        (cut, "cannot be read"),
        ("[]\n".to_owned(), "0 hash rows"),
    ] {
        fs::write(world.path("passwords.ndjson"), &text).unwrap();
        let words = ["no row of `passwords.ndjson` is of use", why, "arrive without their passwords"];
        for verb in ["check", "plan"] {
            let ran = world.a2z([verb, "--passwords", "passwords.ndjson"]).run().code(4);
            refused(&world, &ran, &words);
        }
        let ran = world.cutover().run().code(4);
        refused(&world, &ran, &words);
        assert!(ran.error().contains("Hint: "), "{}", ran.error());
        assert!(!ran.stderr.contains("argon2id$v"), "{}", ran.stderr);
    }
    // One of two files is enough to stop: its connection's users would be without a password.
    fs::write(world.path("other.ndjson"), "{\"_id\":\"1\",\"passwordHash\":null}\n").unwrap();
    let ran = world.cutover().args(["--passwords", "other.ndjson"]).run().code(4);
    refused(&world, &ran, &["of `passwords.ndjson`"]);
    let merge = ["merge", "--org", "1", "--users", "export.ndjson", "--passwords", "other.ndjson"];
    fs::write(world.path("export.ndjson"), world.export()).unwrap();
    let ran = world.a2z(merge).run().code(4);
    refused(&world, &ran, &["no row of `other.ndjson` is of use"]);
}

#[test]
fn some_useless_hash_rows_are_said_everywhere_and_stop_nothing() {
    let world = world(5);
    let mut rows = lines(world.path("passwords.ndjson"));
    let mut without: Value = serde_json::from_str(&rows[1]).unwrap();
    without["passwordHash"] = Value::Null;
    rows[1] = without.to_string();
    rows[3].truncate(30);
    fs::write(world.path("passwords.ndjson"), rows.join("\n")).unwrap();
    let warning = "2 of 5 hash rows bring nobody a password: 1 cannot be read, 1 without a hash";
    let ran = world.a2z(["check", "--passwords", "passwords.ndjson"]).run().code(0);
    assert!(ran.stdout.contains("warning hashes") && ran.stdout.contains(warning), "{}", ran.stdout);
    let ran = world.a2z(["plan", "--passwords", "passwords.ndjson"]).run().code(0);
    assert!(ran.stdout.contains(&format!("warning: {warning}")), "{}", ran.stdout);
    let ran = world.cutover().run().code(0);
    assert_eq!(ran.stdout.matches(&format!("warning: {warning}")).count(), 2, "{}", ran.stdout);
    assert_eq!(world.balance("created"), 5);
    let hashes = &world.report()["hashes"];
    assert_eq!((&hashes["malformed_rows"], &hashes["rows_without_hash"]), (&json!(1), &json!(1)));
    assert_eq!(world.report()["warnings"], json!([warning]));
    assert!(fs::read_to_string(world.state().join("report.html")).unwrap().contains(warning));
}

#[test]
fn white_space_in_a_hash_file_means_nothing() {
    let world = world(4);
    let row = |line: &String| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row["passwordHash"] = format!(" {}\t\n", row["passwordHash"].as_str().unwrap()).into();
        row["connection"] = format!("{} ", row["connection"].as_str().unwrap()).into();
        if let Some(id) = row["_id"]["$oid"].as_str().map(str::to_owned) {
            row["_id"]["$oid"] = format!(" {id} ").into();
        }
        format!("{row}\n")
    };
    let text: String = lines(world.path("passwords.ndjson")).iter().map(row).collect();
    assert!(text.contains("\\t\\n"));
    fs::write(world.path("passwords.ndjson"), text).unwrap();
    world.cutover().run().code(0);
    world.assert_moved("created");
}

#[test]
fn an_mfa_file_without_a_usable_row_stops_before_the_first_write() {
    let world = world(3);
    let id = world.tenant().row(0).unwrap().user_id;
    for text in [
        format!("{{\"user_id\":\"{id}\",\"type\":\"otp\",\"secret\":\"JBSWY3DPEHPK3PXP\"}}\n"),
        format!("{{\"user_id\":\"{id}\",\"type\":\"otp\",\"otp_secret\":\"canary!\"}}\n"),
        "{\"user_id\":\n".to_owned(),
        "[]".to_owned(),
    ] {
        fs::write(world.path("mfa.ndjson"), &text).unwrap();
        for verb in ["check", "plan"] {
            let run = world.a2z([verb, "--passwords", "passwords.ndjson", "--mfa", "mfa.ndjson"]);
            refused(&world, &run.run().code(4), &["no row of `mfa.ndjson` is of use"]);
        }
        let ran = world.cutover().args(["--mfa", "mfa.ndjson"]).run().code(4);
        refused(&world, &ran, &["no row of `mfa.ndjson` is of use", "without their second factors"]);
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    }
}

#[test]
fn who_loses_a_factor_by_a_damaged_row_is_told_by_name() {
    let world = world(7);
    let id = |at: u64| world.tenant().row(at).unwrap().user_id;
    let secret = "JBSWY3DPEHPK3PXP";
    let rows = [
        json!({"user_id": id(0), "type": "otp", "otp_secret": secret}).to_string(),
        json!({"user_id": id(1), "type": "otp", "otp_secret": [secret]}).to_string(),
        json!({"user_id": id(2), "type": "otp"}).to_string(),
        json!({"user_id": id(3), "type": "recovery-code", "recovery_code": null}).to_string(),
        json!({"user_id": id(4), "type": 7.5}).to_string() + "}",
        format!("{{\"user_id\":\"{}\",\"type\":\"otp\",\"otp_sec", id(5)),
        json!({"type": "otp", "otp_secret": secret}).to_string(),
    ];
    for shape in ["commas", "windows"] {
        fs::write(world.path("mfa.ndjson"), shaped(shape, &rows)).unwrap();
        let warning = "6 of 7 rows in the MFA files cannot be read or are of no use to ZITADEL";
        let ran = world.a2z(["check", "--mfa", "mfa.ndjson"]).run().code(0);
        assert!(ran.stdout.contains("warning factors") && ran.stdout.contains(warning), "{}", ran.stdout);
        let ran = world.cutover().args(["--mfa", "mfa.ndjson"]).run().code(0);
        assert!(ran.stdout.contains(&format!("warning: {warning}")), "{}", ran.stdout);
        for at in 1..=5 {
            let outcome = world.outcome(&id(at));
            let findings = outcome["findings"].as_array().unwrap();
            assert!(findings.iter().any(|finding| finding["code"] == "factor-unusable"), "{outcome}");
        }
        for at in [0, 6] {
            assert_eq!(world.outcome(&id(at))["findings"], json!([]), "{at}");
        }
        let list = fs::read_to_string(world.state().join("factors.csv")).unwrap();
        let mut listed: Vec<&str> = list.lines().skip(1).map(|line| line.split('"').nth(1).unwrap()).collect();
        let mut expected: Vec<String> = (1..=5).map(id).collect();
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected);
        assert_eq!(world.report()["factors"]["malformed_rows"], 6);
    }
    assert_eq!(world.store()[&id(0)].totp.as_deref(), Some(secret));
}

#[test]
fn exports_may_be_several_files_or_a_zip_of_them() {
    let rows = people(6);
    let of = |range: std::ops::Range<usize>| -> Vec<u8> {
        rows[range].iter().flat_map(|row| [row.line().into_bytes(), b"\n".to_vec()].concat()).collect()
    };
    let several = |world: &World| {
        fs::write(world.path("a.ndjson"), of(0..2)).unwrap();
        let archive = zip(&[("b/one.json", &of(2..4)), ("b/two.json", &of(4..6)), ("b/none.json", b"")]);
        fs::write(world.path("b.zip"), archive).unwrap();
    };
    let world = World::of(Tenant::of(rows.clone())).start();
    several(&world);
    world.cutover().args(["--users", "a.ndjson", "--users", "b.zip"]).run().code(0);
    world.assert_balanced();
    world.assert_store_whole();
    assert_eq!(world.balance("created"), 6);
    let places: Vec<_> = world.outcomes().iter().map(|line| (line["file"].clone(), line["line"].clone())).collect();
    assert_eq!(places[5], (json!(1), json!(4)), "the lines of a zip count on from file to file");
    // Again: nothing is new. Another list of files is another run, not a mistake.
    world.cutover().args(["--users", "b.zip", "--users", "a.ndjson"]).run().code(0);
    assert_eq!(world.balance("unchanged"), 6);
    // The configuration and the environment name several, too.
    fs::write(world.path("a2z.toml"), "[input]\nusers = [\"a.ndjson\", \"b.zip\"]\n").unwrap();
    world.cutover().run().code(0);
    assert_eq!(world.balance("exported"), 6);
    fs::write(world.path("a2z.toml"), "[input]\nusers = \"b.zip\"\n").unwrap();
    world.cutover().run().code(0);
    assert_eq!(world.balance("exported"), 4);
    fs::remove_file(world.path("a2z.toml")).unwrap();
    world.cutover().env("A2Z_INPUT_USERS", "a.ndjson,b.zip").run().code(0);
    assert_eq!(world.balance("exported"), 6);
    let ran = world.cutover().args(["--users", "a.ndjson", "--users", "a.ndjson"]).run().code(2);
    assert!(ran.error().contains("named twice"), "{}", ran.error());
    let ran = world.cutover().args(["--users", "-", "--users", "-"]).run().code(2);
    assert!(ran.error().contains("more than once"), "{}", ran.error());
}

/// Of several exports one comes by standard input, and the run dies in the middle.
#[test]
fn several_exports_are_gone_on_with_after_a_stop() {
    use a2z::sandbox::faults::{Fault, Rule, When};
    let rows = people(6);
    let of = |range: std::ops::Range<usize>| -> Vec<u8> {
        rows[range].iter().flat_map(|row| [row.line().into_bytes(), b"\n".to_vec()].concat()).collect()
    };
    let world = World::of(Tenant::of(rows.clone())).start();
    fs::write(world.path("a.ndjson"), of(0..3)).unwrap();
    let run = || world.cutover().args(["--users", "a.ndjson", "--users", "-"]).stdin(of(3..6));
    world.zitadel.set_faults([Rule::new("/admin/v1/import", When::Always, Fault::LoseAnswer)]);
    run().env("A2Z_HTTP_MAX_ATTEMPTS", "1").run();
    world.zitadel.set_faults([]);
    run().run().code(0);
    world.assert_balanced();
    assert_eq!(world.balance("exported"), 6);
    world.assert_store_whole();
}

#[test]
fn csv_is_refused_with_what_is_wanted_whatever_its_header() {
    let world = world(3);
    let text = "\"Id\";\"E-mail: {work}\";\"identities[0].connection\"\r\n\"'auth0|1\";\"a@example.com\";\"DB\"\r\n";
    fs::write(world.path("file.csv"), text).unwrap();
    for (flag, wanted) in [("--users", "\"format\":\"json\""), ("--passwords", "passwordHash"), ("--mfa", "otp_secret")]
    {
        let run = world.cutover().without_arg("--passwords").args([flag, "file.csv"]);
        let ran = run.run().code(2);
        refused(&world, &ran, &["it is CSV", wanted]);
        assert!(!ran.stderr.contains("a@example.com"), "{}", ran.stderr);
    }
}

#[test]
fn utf_16_says_how_to_turn_it_into_utf_8() {
    let world = world(3);
    let text = fs::read_to_string(world.path("passwords.ndjson")).unwrap();
    for (name, bytes) in [
        ("le.ndjson", [b"\xff\xfe".to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()),
        ("be file.ndjson", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ] {
        fs::write(world.path(name), bytes).unwrap();
        let ran = world.cutover().without_arg("--passwords").args(["--passwords", name]).run().code(2);
        refused(&world, &ran, &["UTF-16", "iconv -f UTF-16 -t UTF-8", "| a2z cutover --passwords -"]);
    }
}

#[test]
fn a_date_that_cannot_be_read_does_not_let_an_old_password_in_silently() {
    let mut rows = people(4);
    let reset = |row: &mut Row, date: &str| {
        row.fields.retain(|(name, _)| name != "last_password_reset");
        row.fields.push(("last_password_reset".into(), date.to_owned()));
    };
    let dated = |row: &mut Row, date: Value| {
        let mut hash: Value = serde_json::from_str(&row.hashes[0]).unwrap();
        hash["password_set_date"] = date;
        row.hashes = vec![hash.to_string()];
    };
    for (row, date) in rows.iter_mut().zip([
        json!("3rd of May"),
        json!("3rd of May"),
        json!(1_767_225_600),
        json!({"$date": "Thu, 01 Jan 2026 00:00:00 GMT"}),
    ]) {
        dated(row, date);
    }
    reset(&mut rows[0], "\"2026-02-01T00:00:00.000Z\"");
    rows[1].fields.retain(|(name, _)| name != "last_password_reset");
    reset(&mut rows[2], "\"2026-02-01T00:00:00.000Z\"");
    reset(&mut rows[3], "1764547200");
    let ids: Vec<String> = rows.iter().map(|row| row.user_id.clone()).collect();
    let world = World::of(Tenant::of(rows)).start();
    let ran = world.cutover().run().code(0);
    let warning = "2 hash rows have a `password_set_date` that cannot be read";
    assert!(ran.stdout.contains(&format!("warning: {warning}")), "{}", ran.stdout);
    let codes = |id: &str| -> Vec<String> {
        let outcome = world.outcome(id);
        outcome["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&ids[0]), ["hash-of-unknown-age"]);
    assert_eq!(codes(&ids[1]), [""; 0], "who never changed it has the one of the hash");
    assert_eq!(codes(&ids[2]), ["stale-hash"], "seconds are a date");
    assert_eq!(codes(&ids[3]), [""; 0], "RFC 2822 is a date");
    let store = world.store();
    let has: Vec<bool> = ids.iter().map(|id| store[id].hash.is_some()).collect();
    assert_eq!(has, [false, true, false, true]);
    let ran = world.a2z(["check", "--passwords", "passwords.ndjson"]).run().code(0);
    assert!(ran.stdout.contains("warning hashes") && ran.stdout.contains(warning), "{}", ran.stdout);
}
