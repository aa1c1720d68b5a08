use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::config::{Collisions, MetadataStyle};

const HASH: &str = "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDhywTou";

/// A folder with an export and a hash file.
struct Tenant {
    folder: tempfile::TempDir,
    options: MergeOptions,
}

impl Tenant {
    fn new(users: &[Value], hashes: &[Value]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, rows: &[Value]| {
            let path = folder.path().join(name);
            let lines: Vec<_> = rows.iter().map(Value::to_string).collect();
            fs::write(&path, lines.join("\n")).unwrap();
            Source::File(path)
        };
        let options = MergeOptions {
            users: write("users.ndjson", users),
            passwords: if hashes.is_empty() { Vec::new() } else { vec![write("hashes.ndjson", hashes)] },
            mfa: Vec::new(),
            output: folder.path().join("body.json"),
            organization_id: "42".into(),
            timeout: std::time::Duration::from_mins(30),
            multiline: false,
            email_verified: None,
            split_users: None,
            leave_out_stranded: None,
            join: join::Join::default(),
            mapping: Mapping::default(),
            max_line: 1 << 20,
        };
        Self { folder, options }
    }

    fn merge(&self) -> MergeSummary {
        let summary = merge(&self.options, &Events::silent()).unwrap();
        assert_eq!(summary.read, summary.written + summary.blocked_count() + summary.left_out, "{summary}");
        summary
    }

    fn body(&self) -> Value {
        self.json("body.json")
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// The `humanUsers` entry of this user.
    fn user(&self, user_id: &str) -> Option<Value> {
        let body = self.body();
        let users = body["dataOrgs"]["orgs"][0]["humanUsers"].as_array().unwrap();
        users.iter().find(|user| user["userId"] == user_id).cloned()
    }

    fn listed(&self, name: &str) -> Vec<(String, String, String)> {
        let field = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let lines = self.text(name);
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (field(&line, "user_id"), field(&line, "outcome"), field(&line, "reason"))).collect()
    }
}

fn db_user(id: &str, email: &str) -> Value {
    json!({
        "user_id": format!("auth0|{id}"), "email": email, "email_verified": true, "name": email,
        "identities": [{"provider": "auth0", "connection": "DB", "user_id": id, "isSocial": false}],
    })
}

fn social_user(id: &str, email: &str) -> Value {
    json!({
        "user_id": format!("google-oauth2|{id}"), "email": email, "email_verified": true, "name": "So Cial",
        "identities": [{"provider": "google-oauth2", "connection": "google-oauth2", "user_id": id, "isSocial": true}],
    })
}

fn hash_row(id: &str, email: &str) -> Value {
    json!({"_id": {"$oid": id}, "email": email, "email_verified": true, "passwordHash": HASH, "connection": "DB"})
}

fn with(mut user: Value, field: &str, value: impl Into<Value>) -> Value {
    user[field] = value.into();
    user
}

#[test]
fn second_factors_of_the_ticket_are_in_the_body_once_sent_with_the_user() {
    let users = [db_user("1", "a@e.com"), db_user("2", "b@e.com")];
    let mut tenant = Tenant::new(&users, &[hash_row("1", "a@e.com"), hash_row("2", "b@e.com")]);
    let row =
        |kind: &str, key: &str, value: &str| json!({"user_id": "auth0|1", "tenant": "t", "type": kind, key: value});
    let rows = [row("otp", "otp_secret", "JBSWY3DPEHPK3PXP"), row("recovery-code", "recovery_code", HASH)];
    let path = tenant.folder.path().join("mfa.ndjson");
    fs::write(&path, rows.map(|row| row.to_string()).join("\n")).unwrap();
    tenant.options.mfa = vec![Source::File(path)];
    let summary = tenant.merge();
    assert_eq!(summary.with_factor, 1);
    assert!(summary.to_string().contains("with a second factor: 1"), "{summary}");
    let user = &tenant.user("auth0|1").unwrap()["user"];
    assert_eq!((&user["otpCode"], &user["recoveryCodes"]), (&json!("JBSWY3DPEHPK3PXP"), &json!([{"hash": HASH}])));
    assert_eq!(tenant.user("auth0|2").unwrap()["user"]["otpCode"], Value::Null);
}

/// The four faults that `facts/peers.md` shows in zitadel-tools.
mod faults_of_zitadel_tools {
    use super::*;

    #[test]
    fn verified_flags_come_from_the_data() {
        let users = [db_user("1", "a@e.com"), with(db_user("2", "b@e.com"), "email_verified", false)];
        let mut tenant = Tenant::new(&users, &[hash_row("1", "a@e.com"), hash_row("2", "b@e.com")]);
        let verified = |tenant: &Tenant| {
            ["auth0|1", "auth0|2"].map(|id| tenant.user(id).unwrap()["user"]["email"]["isEmailVerified"].clone())
        };
        tenant.merge();
        assert_eq!(verified(&tenant), [true, false]);
        tenant.options.email_verified = Some(true);
        tenant.merge();
        assert_eq!(verified(&tenant), [true, true]);
    }

    #[test]
    fn a_social_user_gets_no_database_hash() {
        let users = [
            social_user("9", "a@e.com"),
            with(db_user("1", "a@e.com"), "username", "one"),
            social_user("1", "c@e.com"),
        ];
        for by_email in [false, true] {
            let mut tenant = Tenant::new(&users, &[hash_row("1", "a@e.com")]);
            tenant.options.join.by_email = by_email;
            assert_eq!(tenant.merge().with_password, 1);
            assert_eq!(tenant.user("auth0|1").unwrap()["user"]["hashedPassword"]["value"], HASH);
            assert_eq!(tenant.user("google-oauth2|9").unwrap()["user"]["hashedPassword"], Value::Null);
            assert_eq!(tenant.user("google-oauth2|1").unwrap()["user"]["hashedPassword"], Value::Null);
        }
    }

    #[test]
    fn a_mixed_case_email_keeps_its_password() {
        let tenant = Tenant::new(&[db_user("1", "Mixed.Case@E.com")], &[hash_row("1", "mixed.case@e.com")]);
        tenant.merge();
        let user = tenant.user("auth0|1").unwrap();
        assert_eq!(user["user"]["hashedPassword"]["value"], HASH);
        assert_eq!(user["user"]["email"]["email"], "Mixed.Case@E.com");
    }

    #[test]
    fn a_blocked_user_becomes_inactive() {
        let users = [with(db_user("1", "a@e.com"), "blocked", true), db_user("2", "b@e.com")];
        let tenant = Tenant::new(&users, &[hash_row("1", "a@e.com"), hash_row("2", "b@e.com")]);
        tenant.merge();
        assert_eq!(tenant.user("auth0|1").unwrap()["state"], "USER_STATE_INACTIVE");
        assert_ne!(tenant.user("auth0|2").unwrap()["state"], "USER_STATE_INACTIVE");
    }
}

#[test]
fn the_body_is_what_zitadel_reads() {
    let user = with(db_user("1", "ada@e.com"), "user_metadata", json!({"a": 1}));
    let mut tenant = Tenant::new(&[user], &[hash_row("1", "ada@e.com")]);
    for multiline in [false, true] {
        tenant.options.multiline = multiline;
        let summary = tenant.merge();
        assert!(!summary.too_large() && summary.listing.is_none());
        let body = tenant.body();
        assert_eq!(body["timeout"], "1800000ms");
        let org = &body["dataOrgs"]["orgs"][0];
        assert_eq!(org["orgId"], "42");
        assert_eq!(org["humanUsers"][0]["userId"], "auth0|1");
        assert_eq!(
            org["userMetadata"],
            json!([{"id": "auth0|1", "key": "auth0.user_metadata", "value": "eyJhIjoxfQ=="}])
        );
        assert_eq!(tenant.text("body.json").lines().count() > 1, multiline);
    }
}

#[cfg(unix)]
#[test]
fn what_is_written_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut tenant = Tenant::new(&[db_user("1", "a@e.com"), json!({"user_id": "sms|1"})], &[]);
    tenant.options.leave_out_stranded = Some(tenant.folder.path().join("out.ndjson"));
    fs::write(&tenant.options.output, "old").unwrap();
    tenant.merge();
    for name in ["body.json", "body.listing.ndjson", "out.ndjson"] {
        let mode = fs::metadata(tenant.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let left = fs::read_dir(tenant.folder.path()).unwrap().count();
    assert_eq!(left, 4, "no temporary file stays");
}

#[test]
fn nobody_is_dropped_in_silence() {
    let users = [
        db_user("1", "a@e.com"),
        json!({"user_id": "sms|5", "phone_number": "+41791234567"}),
        json!("no user"),
        with(db_user("1", "a@e.com"), "name", "again"),
        db_user("2", "a..b@e.com"),
    ];
    let tenant = Tenant::new(&users, &[hash_row("1", "a@e.com")]);
    let summary = tenant.merge();
    assert_eq!((summary.read, summary.written), (5, 1));
    let reasons: Vec<_> =
        tenant.listed("body.listing.ndjson").into_iter().map(|(id, _, reason)| (id, reason)).collect();
    let expected =
        [("sms|5", "no-email"), ("", "malformed-row"), ("auth0|1", "duplicate-user-id"), ("auth0|2", "bad-email")];
    assert_eq!(reasons, expected.map(|(id, reason)| (id.to_owned(), reason.to_owned())));
    assert!(summary.to_string().starts_with("5 rows = 1 written (1 with a password) + 4 blocked + 0 left out"));
}

#[test]
fn stranded_users_are_listed_and_can_be_left_out() {
    let phone = with(db_user("3", "c@e.com"), "phone_number", "+41791234567");
    let users = [
        db_user("1", "a@e.com"),
        with(db_user("2", "b@e.com"), "email_verified", false),
        phone,
        social_user("4", "d@e.com"),
    ];
    let hashes = ["1", "2", "3"].map(|id| hash_row(id, "x@e.com"));
    let mut tenant = Tenant::new(&users, &hashes);
    let summary = tenant.merge();
    assert_eq!((summary.written, summary.stranded_count(), summary.left_out), (4, 3, 0));
    let stranded = |outcome: &str| {
        [
            ("auth0|2", "email-not-verified"),
            ("auth0|3", "phone-not-verified"),
            ("google-oauth2|4", "no-usable-password"),
        ]
        .map(|(id, reason)| (id.to_owned(), outcome.to_owned(), reason.to_owned()))
    };
    assert_eq!(tenant.listed("body.listing.ndjson"), stranded("stranded"));

    tenant.options.leave_out_stranded = Some(tenant.folder.path().join("out.ndjson"));
    let summary = tenant.merge();
    assert_eq!((summary.written, summary.stranded_count(), summary.left_out), (1, 3, 3));
    assert_eq!(tenant.listed("out.ndjson"), stranded("left-out"));
    assert!(!tenant.folder.path().join("body.listing.ndjson").exists(), "the old listing is gone");
    assert!(!tenant.text("out.ndjson").contains("$2b$"));
}

#[test]
fn one_user_keeps_a_name_the_others_are_blocked_or_suffixed() {
    let users = [
        social_user("7", "Ada@e.com"),
        with(db_user("1", "ada@e.com"), "email_verified", false),
        db_user("2", "ADA@e.com"),
        db_user("3", "bob@e.com"),
    ];
    let mut tenant = Tenant::new(&users, &[hash_row("1", "ada@e.com"), hash_row("2", "ada@e.com")]);
    let summary = tenant.merge();
    assert_eq!(summary.blocked.get("duplicate-user-name"), Some(&2));
    assert!(tenant.user("auth0|2").is_some() && tenant.user("auth0|3").is_some());
    assert!(tenant.text("body.listing.ndjson").contains("the name is kept by auth0|2"));

    tenant.options.mapping.collisions = Collisions::Suffix;
    let summary = tenant.merge();
    assert_eq!((summary.written, summary.findings.get("user-name-suffixed")), (4, Some(&2)));
    assert_eq!(tenant.user("google-oauth2|7").unwrap()["user"]["userName"], "Ada@e.com+google-oauth2");
    assert_eq!(tenant.user("auth0|1").unwrap()["user"]["userName"], "ada@e.com+DB");
    assert_eq!(tenant.user("auth0|2").unwrap()["user"]["userName"], "ADA@e.com");
}

#[test]
fn suffixes_do_not_collide_either() {
    let users = [
        db_user("1", "ada@e.com"),
        db_user("2", "ada@e.com"),
        db_user("3", "ada@e.com"),
        with(db_user("4", "d@e.com"), "username", "ADA@e.com+db"),
    ];
    let mut tenant = Tenant::new(&users, &[]);
    tenant.options.mapping.collisions = Collisions::Suffix;
    tenant.merge();
    let name = |id: &str| tenant.user(id).unwrap()["user"]["userName"].as_str().unwrap().to_owned();
    let names = ["auth0|1", "auth0|2", "auth0|3", "auth0|4"].map(name);
    assert_eq!(names, ["ada@e.com", "ada@e.com+DB+2", "ada@e.com+DB+3", "ADA@e.com+db"]);
}

#[test]
fn bodies_are_split_by_users_and_by_size() {
    let users: Vec<_> = (0..25).map(|n| db_user(&n.to_string(), &format!("u{n}@e.com"))).collect();
    let mut tenant = Tenant::new(&users, &[]);
    tenant.options.split_users = Some(10);
    fs::write(tenant.folder.path().join("body-0004.json"), "of an earlier run").unwrap();
    let summary = tenant.merge();
    let count = |name: &str| tenant.json(name)["dataOrgs"]["orgs"][0]["humanUsers"].as_array().unwrap().len();
    assert_eq!(["body-0001.json", "body-0002.json", "body-0003.json"].map(count), [10, 10, 5]);
    assert_eq!(summary.bodies.len(), 3);
    assert!(!tenant.folder.path().join("body-0004.json").exists());

    let large = json!({"x": "y".repeat(400_000)});
    let users: Vec<_> = users.into_iter().map(|user| with(user, "user_metadata", large.clone())).collect();
    let mut tenant = Tenant::new(&users, &[]);
    assert!(tenant.merge().too_large());
    tenant.options.split_users = Some(1000);
    let summary = tenant.merge();
    assert_eq!((summary.bodies.len(), summary.too_large(), summary.written), (3, false, 25));
}

#[test]
fn a_user_larger_than_any_body_is_blocked() {
    let metadata: serde_json::Map<_, _> = (0..9).map(|n| (n.to_string(), "x".repeat(499_000).into())).collect();
    let users = [with(db_user("1", "a@e.com"), "user_metadata", metadata), db_user("2", "b@e.com")];
    let mut tenant = Tenant::new(&users, &[]);
    tenant.options.max_line = 16 << 20;
    tenant.options.mapping.metadata = MetadataStyle::Spread;
    let summary = tenant.merge();
    assert_eq!((summary.written, summary.blocked.get("refused-by-zitadel")), (1, Some(&1)));
}

#[test]
fn an_export_with_the_guides_three_fields_works() {
    let users = [
        json!({"user_id": "auth0|1", "email": "a@e.com", "name": "Ada"}),
        json!({"user_id": "auth0|2", "email": "other@e.com", "name": "Bob"}),
    ];
    let tenant = Tenant::new(&users, &[hash_row("1", "a@e.com"), hash_row("2", "b@e.com")]);
    let summary = tenant.merge();
    assert_eq!(summary.with_password, 2);
    assert_eq!(tenant.user("auth0|1").unwrap()["user"]["email"]["isEmailVerified"], true);
    assert_ne!(tenant.user("auth0|2").unwrap()["user"]["email"]["isEmailVerified"], true);
    assert_eq!(summary.findings.get("verified-by-hash-row"), Some(&1));
    assert_eq!(summary.findings.get("email-verified-unknown"), Some(&1));
}

#[test]
fn a_failure_leaves_what_was_there() {
    let mut tenant = Tenant::new(&[db_user("1", "a@e.com")], &[]);
    fs::write(&tenant.options.output, "old").unwrap();
    tenant.options.users = Source::File(tenant.folder.path().join("missing"));
    assert_eq!(merge(&tenant.options, &Events::silent()).unwrap_err().kind(), crate::error::Kind::Usage);
    assert_eq!(tenant.text("body.json"), "old");
    tenant.options.passwords = vec![Source::Stdin];
    tenant.options.users = Source::Stdin;
    assert_eq!(merge(&tenant.options, &Events::silent()).unwrap_err().kind(), crate::error::Kind::Usage);
}
