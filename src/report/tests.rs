use std::{path::Path, time::Duration};

use super::*;

fn summary() -> Summary {
    Summary {
        format: 1,
        run: RunInfo {
            number: 2,
            started_at: "2026-11-23T20:00:00Z".into(),
            finished_at: None,
            version: "0.1.0".into(),
        },
        balance: states::Balance {
            exported: 120_501,
            created: 120_342,
            updated: 14,
            existed: 100,
            skipped: 8,
            rejected: 37,
            ..states::Balance::default()
        },
        codes: vec![
            CodeCount::of("rejected", "bad-email", 7),
            CodeCount::of("rejected", "no-email", 30),
            CodeCount::of("skipped", "duplicate-user-id", 8),
        ],
        findings: vec![CodeCount::finding("no-hash", 1_203), CodeCount::finding("blocked-user", 4)],
        verified: Verified { checked: 120_356, found: 120_356, ..Verified::default() },
        timing: Timing { plan_s: Some(3.21), import_s: Some(241.0), total_s: Some(250.4), ..Timing::default() },
        ..Summary::default()
    }
}

fn outcome(id: &str) -> Outcome {
    Outcome::from(Row {
        user_id: Some(id.into()),
        connection: Some("db".into()),
        file: 0,
        line: 7,
        action: Some(states::Action::Blocked),
        progress: states::Progress::Done,
        outcome: states::Outcome::Rejected,
        route: None,
        code: Some("bad-email".into()),
        detail: Some("<script>alert(1)</script>\u{202e}".into()),
        findings: vec![Finding::about(FindingCode::NameCut, "name")],
    })
}

#[test]
fn the_summary_reads_well() {
    insta::assert_snapshot!(summary().text(false, Path::new(".a2z")), @"
    exported         120,501

    created          120,342
    updated               14
    unchanged              0
    existed              100  there before, left alone
    skipped                8  left out on purpose
    rejected              37
                ------------
                     120,501  balanced

    Rejected
                30  no-email                  ZITADEL needs an e-mail and the user has none
                                              -> set `mapping.placeholder_email_domain`, or add an e-mail in Auth0
                 7  bad-email                 ZITADEL would refuse the e-mail address
                                              -> correct it in Auth0 and run again

    Skipped
                 8  duplicate-user-id         another row of the export has the same `user_id`
                                              -> the first row counts; compare the two lines

    Moved, with a remark
             1,203  no-hash                   no password hash was found for this database user
                                              -> the user sets a new password at the first sign-in; ask Auth0 support for hashes of this connection
                 4  blocked-user              the user is blocked in Auth0 and becomes inactive

    found       120,356 of 120,356 users found in ZITADEL
    time        plan 3.2 s, import 4 min 1 s, total 4 min 10 s
    reports     .a2z/report.html
                .a2z/outcomes.ndjson
    next        mend the 37 users above, then run the same command again: it sends what is left or changed
    ");
}

#[test]
fn what_does_not_balance_cannot_be_missed() {
    let mut summary = summary();
    summary.balance.created -= 2;
    assert!(summary.text(false, Path::new("s")).contains("DOES NOT BALANCE: off by 2"));
    summary.balance.unknown = 2;
    let text = summary.text(false, Path::new("s"));
    assert!(text.contains("balanced") && text.contains("goes on where this run stopped"), "{text}");
}

#[test]
fn colour_only_where_it_is_wanted() {
    assert!(!summary().text(false, Path::new("s")).contains('\u{1b}'));
    assert!(summary().text(true, Path::new("s")).contains("\u{1b}[31mrejected"));
}

#[test]
fn the_plan_reads_well() {
    let plan = PlanSummary {
        exported: 120_501,
        to_create: 120_342,
        to_update: 14,
        existed: 100,
        blocked: vec![CodeCount::of("rejected", "no-email", 30), CodeCount::of("rejected", "bad-email", 7)],
        skipped: vec![CodeCount::of("skipped", "duplicate-user-id", 8)],
        findings: vec![CodeCount::finding("stale-hash", 3)],
        by_import: 118_000,
        by_users_api: 2_342,
        hashes: vec!["119,000 rows, all bcrypt 10".into()],
        warnings: vec!["the lock-out policy is \u{1b}[31mstrict".into()],
        estimate: Some(Duration::from_mins(12)),
        ..PlanSummary::default()
    };
    insta::assert_snapshot!(plan.text(false), @r"
    Hashes
      119,000 rows, all bcrypt 10

    Blocked
                30  no-email                  ZITADEL needs an e-mail and the user has none
                                              -> set `mapping.placeholder_email_domain`, or add an e-mail in Auth0
                 7  bad-email                 ZITADEL would refuse the e-mail address
                                              -> correct it in Auth0 and run again

    Skipped
                 8  duplicate-user-id         another row of the export has the same `user_id`
                                              -> the first row counts; compare the two lines

    Moved, with a remark
                 3  stale-hash                the password was changed after the hash file was made
                                              -> ask for a fresh hash file, or let the user reset; see `mapping.stale_hash`

    warning: the lock-out policy is \u{1b}[31mstrict

    Plan for 120,501 users: + 120,342 to create  ~ 14 to update  = 0 unchanged  = 100 there already  - 8 skipped  ! 37 blocked
      118,000 in batches, 2,342 one by one, about 12 min
    ");
    assert!(PlanSummary { unchanged: 3, ..PlanSummary::default() }.is_empty());
}

#[test]
fn report_json_is_as_the_design_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    write_report_json(&path, &summary()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["format"], 1);
    let keys: Vec<&str> = value["balance"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["created", "existed", "exported", "rejected", "skipped", "unchanged", "unknown", "updated"]);
    for key in ["run", "source", "target", "hashes", "verified"] {
        assert!(value[key].is_object(), "{key}");
    }
    let keys: Vec<&str> = value["timing"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["export_s", "import_s", "plan_s", "total_s", "verify_s", "visible_s"]);
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary());
}

#[test]
fn outcomes_are_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outcomes.ndjson");
    write_outcomes(&path, [outcome("auth0|1"), outcome("auth0|2\n")]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["user_id"], "auth0|1");
    assert_eq!(first["outcome"], "rejected");
    assert_eq!(first["code"], "bad-email");
    assert!(first["message"].as_str().unwrap().starts_with(BlockedCode::BadEmail.message()));
    assert_eq!(first["hint"], BlockedCode::BadEmail.hint());
    assert_eq!(first["retryable"], false);
    assert_eq!(first["findings"][0]["code"], "name-cut");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_file_that_was_not_finished_does_not_appear() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outcomes.ndjson");
    std::fs::write(&path, "old\n").unwrap();
    let mut file = OutcomeFile::create(&path).unwrap();
    file.push(&outcome("auth0|1")).unwrap();
    drop(file);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_page_escapes_strangers_and_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let mut attention = Attention::default();
    for _ in 0..1_001 {
        attention.consider(&outcome("auth0|<img src=x>"));
    }
    let mut created = outcome("auth0|fine");
    (created.outcome, created.code) = ("created".into(), None);
    attention.consider(&created);
    write_html(&path, &summary(), &attention).unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img"), "a name became markup");
    assert!(!page.contains('\u{202e}'));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("The first 1,000 of 1,001"));
    assert!(!page.contains("auth0|fine"));
    assert!(!page.contains("http://") && !page.contains("https://"), "the page loads something");
}
