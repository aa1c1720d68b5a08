//! Second factors: what moves, what is never sent twice, and who has to enrol again.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use a2z::sandbox::{
    faults::{Fault, Faults, RetryAfter, Rule, When},
    tenant::{Row, Tenant, TenantOptions},
    zitadel::User,
};
use serde_json::{Value, json};

use crate::harness::{Run, World};

const IMPORT: &str = "/admin/v1/import";
/// 53 characters of bcrypt with room for a number at the end.
const CODE: &str = "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDh";

/// Plain users who all take the import.
pub(crate) fn people(users: usize) -> Vec<Row> {
    let fits = |row: &Row| row.password.is_some() && row.value_at("email_verified").as_deref() == Some("true");
    let all = Tenant::made_up(TenantOptions { users: users as u64 * 4, seed: 47, oddity_rate: 0.0 });
    let mut rows: Vec<Row> = all.rows().filter(fits).take(users).collect();
    assert_eq!(rows.len(), users);
    for row in &mut rows {
        (row.mfa, row.authentication_methods) = (Vec::new(), Vec::new());
    }
    rows
}

pub(crate) fn set(row: &mut Row, key: &'static str, raw: &str) {
    row.fields.retain(|(name, _)| name != key);
    row.fields.push((key.into(), raw.to_owned()));
}

/// A secret of this number alone.
pub(crate) fn secret(number: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = (0..32).map(|at| char::from(LETTERS[(number * 7 + at * 5 + at * at * (number + 1)) % 32]));
    digits.collect()
}

fn code(user: usize, number: usize) -> String {
    format!("{CODE}{user:03}{number:02}")
}

pub(crate) fn codes(user: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| code(user, number)).collect()
}

pub(crate) fn line(row: &Row, kind: &str, key: &str, value: &str) -> String {
    json!({"user_id": row.user_id, "tenant": "t", "type": kind, key: value}).to_string()
}

/// Everybody has a TOTP secret and this many codes.
pub(crate) fn with_factors(mut rows: Vec<Row>, count: usize) -> Vec<Row> {
    for (user, row) in rows.iter_mut().enumerate() {
        let mut mfa = vec![line(row, "otp", "otp_secret", &secret(user))];
        mfa.extend(codes(user, count).iter().map(|code| line(row, "recovery-code", "recovery_code", code)));
        row.mfa = mfa;
    }
    rows
}

fn cutover(world: &World) -> Run {
    // A request whose answer was lost may go on for so long: recovery codes wait for its end.
    world.cutover().args(["--mfa", "mfa.ndjson"]).env("A2Z_IMPORT_TIMEOUT", "2s")
}

#[track_caller]
fn assert_factors(world: &World, rows: &[Row], count: usize) {
    let store = world.store();
    for (user, row) in rows.iter().enumerate() {
        let found = &store[&row.user_id];
        assert_eq!(found.totp.as_deref(), Some(secret(user).as_str()), "`{}`", row.user_id);
        assert_eq!(found.recovery_codes, codes(user, count), "`{}`", row.user_id);
        assert_eq!(found.created_count, 1);
    }
    assert_eq!(world.mails(), []);
}

fn imports(world: &World) -> usize {
    world.zitadel.requests().iter().filter(|seen| seen.path == IMPORT).count()
}

/// The details of this finding at this user.
#[track_caller]
pub(crate) fn finding(world: &World, user_id: &str, code: &str) -> Vec<String> {
    let outcome = world.outcome(user_id);
    let findings = outcome["findings"].as_array().unwrap();
    let of = findings.iter().filter(|finding| finding["code"] == code);
    of.map(|finding| finding["detail"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn factors_arrive_by_both_roads() {
    let mut rows = people(12);
    for row in &mut rows[..3] {
        // The import would strand these: the users API creates them, and has no place for recovery codes.
        set(row, "email_verified", "false");
    }
    let rows = with_factors(rows, 2);
    let world = World::of(Tenant::of(rows.clone())).start();
    let ran = cutover(&world).run().code(0);
    assert!(!ran.stderr.contains("mfa-not-read"), "{}", ran.stderr);
    world.assert_balanced();
    assert_factors(&world, &rows, 2);
    // One batch, and one more request for each whom the users API created.
    assert_eq!(imports(&world), 4);
    assert_eq!(world.report()["factors"]["totp"], 12);
    assert_eq!(world.report()["factors"]["recovery_codes"], 24);
    // Nothing is new: nothing is sent.
    let before = world.writes().len();
    cutover(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 12);
    assert_eq!(world.writes().len(), before);
    // Neither does a run without the file take them for removed.
    world.cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), 12);
}

#[test]
fn a_lost_answer_doubles_no_code() {
    let rows = with_factors(people(10), 2);
    for fault in [Fault::LoseAnswer, Fault::DropRequest, Fault::DoneAndTooMany(RetryAfter::Seconds(0))] {
        // The first loses the batch, the later ones what completes it.
        for when in [When::First(1), When::First(2)] {
            let world = World::of(Tenant::of(rows.clone())).faults([Rule::new(IMPORT, when, fault.clone())]).start();
            cutover(&world).run().code(0);
            world.assert_balanced();
            assert_eq!(world.balance("created"), 10);
            assert_factors(&world, &rows, 2);
        }
    }
}

#[test]
fn what_comes_after_the_creation_is_completed_once() {
    let mut rows = people(6);
    for row in &mut rows {
        set(row, "email_verified", "false");
    }
    let rows = with_factors(rows, 3);
    let world =
        World::of(Tenant::of(rows.clone())).faults([Rule::new(IMPORT, When::Every(2), Fault::LoseAnswer)]).start();
    cutover(&world).run().code(0);
    world.assert_balanced();
    assert_factors(&world, &rows, 3);
}

/// The batch is stored, the program dies before it hears of it, and the next one goes on.
#[test]
fn a_kill_doubles_no_code() {
    let rows = with_factors(people(10), 2);
    let world = World::of(Tenant::of(rows.clone())).start();
    world.zitadel.set_faults([Rule::new(IMPORT, When::Always, Fault::SlowAnswer(Duration::from_mins(1)))]);
    let running = cutover(&world).spawn();
    world.wait_until("what is stored", |world| world.store().len() == 10);
    running.kill();
    world.zitadel.set_faults([]);
    cutover(&world).run().code(0);
    world.assert_balanced();
    assert_factors(&world, &rows, 2);
}

/// ZITADEL stops in the middle of a batch: some users are there, whole, and the others are not.
#[test]
fn half_a_batch_is_completed_once() {
    let rows = with_factors(people(12), 2);
    let half = Rule::new(IMPORT, When::First(1), Fault::ImportTimeout);
    let world = World::of(Tenant::of(rows.clone())).faults([half]).start();
    cutover(&world).run().code(0);
    world.assert_balanced();
    assert_factors(&world, &rows, 2);
}

#[test]
fn a_newer_file_adds_what_is_new_and_takes_nothing_away() {
    let plain = people(6);
    let rows = with_factors(plain.clone(), 1);
    let mut world = World::of(Tenant::of(plain)).start();
    world.cutover().run().code(0);
    let (own, own_codes) = (rows[4].user_id.clone(), rows[5].user_id.clone());
    // Two enrolled in ZITADEL meanwhile.
    world.zitadel.tamper(&own, |user| user.totp = Some("OWN".into()));
    world.zitadel.tamper(&own_codes, |user| user.recovery_codes = vec!["own".into()]);
    world.becomes(Tenant::of(rows.clone()));
    cutover(&world).run().code(0);
    assert_eq!(world.balance("updated"), 6);
    assert_factors(&world, &rows[..4], 1);
    let store = world.store();
    assert_eq!(store[&own].totp.as_deref(), Some("OWN"));
    assert_eq!(store[&own].recovery_codes, codes(4, 1));
    assert_eq!(store[&own_codes].recovery_codes, ["own"]);
    assert_eq!(store[&own_codes].totp, Some(secret(5)));
    assert_eq!(finding(&world, &own, "factor-kept"), ["totp"]);
    assert_eq!(finding(&world, &own_codes, "factor-kept"), ["recovery-code"]);
    // A user who removed what we gave does not get it again.
    let removed = rows[0].user_id.clone();
    world.zitadel.tamper(&removed, |user| {
        user.totp = None;
        user.recovery_codes.clear();
    });
    cutover(&world).run();
    assert_eq!(world.store()[&removed].totp, None);
    assert_eq!(world.store()[&removed].recovery_codes, [""; 0]);
}

#[test]
fn who_existed_before_is_given_nothing() {
    let rows = with_factors(people(4), 2);
    let world = World::of(Tenant::of(rows.clone())).start();
    let id = rows[1].user_id.clone();
    let mut before = User::default();
    (before.id, before.user_name) = (id.clone(), "before".into());
    world.zitadel.add_user(before);
    cutover(&world).run().code(0);
    assert_eq!(world.balance("existed"), 1);
    let store = world.store();
    assert_eq!((store[&id].totp.as_deref(), store[&id].recovery_codes.len()), (None, 0));
    assert_factors(&world, &rows[..1], 2);
}

#[test]
fn what_zitadel_could_not_use_is_left_out_and_said() {
    let mut rows = with_factors(people(5), 1);
    rows[0].mfa = vec![line(&rows[0], "otp", "otp_secret", "NOT+BASE32!")];
    let two = line(&rows[1], "otp", "otp_secret", &secret(99));
    rows[1].mfa.push(two);
    let many: Vec<String> =
        codes(2, 12).iter().map(|code| line(&rows[2], "recovery-code", "recovery_code", code)).collect();
    rows[2].mfa = many;
    rows[3].mfa = vec![
        line(&rows[3], "recovery-code", "recovery_code", &code(3, 0).replace("$10$", "$04$")),
        line(&rows[3], "phone", "phone_number", "+41790000000"),
    ];
    let stranger = line(&Row { user_id: "auth0|stranger".into(), ..Row::default() }, "otp", "otp_secret", &secret(7));
    rows[4].mfa.push(stranger);
    let world = World::of(Tenant::of(rows.clone())).start();
    let ran = cutover(&world).run().code(0);
    let store = world.store();
    let of = |user: usize| &store[&rows[user].user_id];
    assert_eq!(of(0).totp, None);
    assert_eq!(finding(&world, &rows[0].user_id, "factor-unusable"), ["TOTP secret: not Base32"]);
    assert_eq!(of(1).totp, Some(secret(99)), "the one that stands last");
    assert_eq!(finding(&world, &rows[1].user_id, "several-totp"), ["2 of them"]);
    assert_eq!(of(2).recovery_codes, codes(2, 10));
    assert_eq!(finding(&world, &rows[2].user_id, "recovery-codes-dropped"), ["2 of 12"]);
    assert_eq!(of(3).recovery_codes, [""; 0]);
    assert_eq!(finding(&world, &rows[3].user_id, "factor-not-moved"), ["phone"]);
    assert_eq!(finding(&world, &rows[3].user_id, "factor-unusable").len(), 1);
    assert_eq!(of(4).totp, Some(secret(4)));
    assert_eq!(world.report()["factors"]["unused"], 1);
    assert!(!ran.stdout.contains("NOT+BASE32"));
    // Everybody who has to enrol again is in the list.
    let list = fs::read_to_string(world.state().join("factors.csv")).unwrap();
    let listed: Vec<&str> = list.lines().skip(1).map(|line| line.split('"').nth(1).unwrap()).collect();
    assert_eq!(listed, [rows[0].user_id.as_str(), rows[3].user_id.as_str()]);
}

#[test]
fn without_the_import_recovery_codes_stay_behind() {
    let rows = with_factors(people(4), 2);
    let world = World::of(Tenant::of(rows.clone())).start();
    let token = world.zitadel.add_token(&["ORG_OWNER"]);
    cutover(&world).env("ZITADEL_TOKEN", &token).run().code(0);
    for (user, row) in rows.iter().enumerate() {
        assert_eq!(world.store()[&row.user_id].totp, Some(secret(user)));
        assert_eq!(finding(&world, &row.user_id, "factor-not-moved"), ["recovery-code"]);
    }
    assert_eq!(imports(&world), 0);
}

#[test]
fn verify_finds_a_factor_that_was_removed() {
    let rows = with_factors(people(5), 1);
    let world = World::of(Tenant::of(rows.clone())).start();
    cutover(&world).run().code(0);
    world.a2z(["verify"]).run().code(0);
    world.zitadel.tamper(&rows[2].user_id, |user| user.totp = None);
    // A recovery code that was used is gone: no difference.
    world.zitadel.tamper(&rows[3].user_id, |user| user.recovery_codes.clear());
    let ran = world.a2z(["verify"]).run().code(3);
    assert!(ran.stdout.contains(&rows[2].user_id) && ran.stdout.contains("TOTP"), "{}", ran.stdout);
    assert!(!ran.stdout.contains(&rows[3].user_id), "{}", ran.stdout);
}

/// A method of the Management API.
pub(crate) fn method(kind: &str) -> Value {
    json!({"id": format!("{kind}|dev_1"), "type": kind, "confirmed": true, "created_at": "2024-01-01T00:00:00.000Z"})
}

fn surveyed() -> Vec<Row> {
    let mut rows = people(12);
    for row in &mut rows[..4] {
        row.authentication_methods = vec![method("totp"), method("password")];
    }
    rows[4].authentication_methods = vec![method("push"), method("phone"), method("recovery-code")];
    let mut begun = method("webauthn-roaming");
    begun["confirmed"] = json!(false);
    rows[5].authentication_methods = vec![begun, method("passkey")];
    // The first two have a row in the file.
    for (user, row) in rows.iter_mut().enumerate().take(2) {
        row.mfa = vec![line(row, "otp", "otp_secret", &secret(user))];
    }
    rows
}

pub(crate) fn asked(world: &World) -> usize {
    let requests = world.auth0().requests();
    requests.iter().filter(|seen| seen.path.contains("/authentication-methods")).count()
}

#[test]
fn a_survey_lists_who_has_to_enrol_again() {
    let rows = surveyed();
    let world = World::of(Tenant::of(rows.clone())).start();
    let plan = || world.a2z(["plan", "--passwords", "passwords.ndjson", "--mfa", "mfa.ndjson", "--mfa-survey"]);
    let ran = plan().run().code(0);
    assert!(ran.stdout.contains("12 users asked about at Auth0"), "{}", ran.stdout);
    assert!(ran.stdout.contains("2  lose totp"), "{}", ran.stdout);
    let path = world.state().join("factors.csv");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let list = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = list.lines().skip(1).map(str::to_owned).collect();
    let mut wanted: Vec<String> = [(2, "totp"), (3, "totp"), (4, "phone; push; recovery-code"), (5, "passkey")]
        .map(|(user, lost)| {
            let email = rows[user].email.clone().unwrap();
            format!("\"{}\",\"{email}\",\"{lost}\"", rows[user].user_id)
        })
        .to_vec();
    lines.sort();
    wanted.sort();
    assert_eq!(lines, wanted);
    assert_eq!(asked(&world), 12);
    // Everybody was asked about: the cutover does not ask again, and says the same.
    cutover(&world).args(["--mfa-survey"]).run().code(0);
    assert_eq!(asked(&world), 12);
    assert_eq!(finding(&world, &rows[4].user_id, "factor-not-moved"), ["phone, push, recovery-code"]);
    assert_eq!(finding(&world, &rows[0].user_id, "factor-not-moved"), [""; 0]);
    assert_eq!(world.report()["factors"]["surveyed"], 12);
    assert_eq!(world.report()["factors"]["lost"]["passkey"], 1);
}

#[test]
fn a_survey_goes_on_after_a_kill_and_waits_when_it_is_too_fast() {
    let methods = |when, what| Rule::new("/api/v2/users/*/authentication-methods", when, what);
    let faults = Faults::of([
        methods(When::Nth(3), Fault::TooMany(RetryAfter::Seconds(0))),
        methods(When::Nth(8), Fault::Delay(Duration::from_secs(20))),
    ]);
    let world = World::of(Tenant::of(surveyed())).auth0(|options| options.faults = faults.clone()).start();
    let survey = || cutover(&world).args(["--mfa-survey"]);
    let running = survey().spawn();
    // The worker that waits holds nobody up but itself.
    world.wait_until("the others", |world| asked(world) >= 12);
    running.kill();
    assert_eq!(world.store().len(), 0);
    faults.set([]);
    survey().run().code(0);
    assert_eq!(world.balance("created"), 12);
    assert_eq!(world.report()["factors"]["surveyed"], 12);
    assert_eq!(world.report()["factors"]["lost"]["totp"], 2);
    // Nobody twice, but those at the moment of the kill (whose calls may or may not be counted).
    assert!((12..=17).contains(&asked(&world)), "{}", asked(&world));
}

#[test]
fn a_survey_that_may_not_ask_is_said_and_stops_nothing() {
    let world = World::of(Tenant::of(surveyed()))
        .auth0(|options| options.scopes.retain(|scope| !scope.contains("authentication_methods")))
        .start();
    let ran = cutover(&world).args(["--mfa-survey"]).run().code(0);
    assert!(ran.stderr.contains("mfa-survey-refused"), "{}", ran.stderr);
    assert_eq!(world.balance("created"), 12);
}

/// What a rollback deleted is nothing that ZITADEL has.
#[test]
fn factors_come_again_after_a_rollback() {
    let rows = with_factors(people(2), 1);
    let world = World::of(Tenant::of(rows.clone())).start();
    cutover(&world).run().code(0);
    world.a2z(["rollback", "--yes"]).run().code(0);
    world.cutover().run().code(0);
    assert!(world.store().values().all(|user| user.totp.is_none()));
    cutover(&world).run().code(0);
    let store = world.store();
    for (user, row) in rows.iter().enumerate() {
        let found = &store[&row.user_id];
        assert_eq!((found.totp.clone(), found.recovery_codes.clone()), (Some(secret(user)), codes(user, 1)));
    }
}

/// Who may not call the import endpoint cannot give a TOTP secret to a user who exists: the books must not say so.
#[test]
fn a_factor_that_could_not_be_sent_comes_with_the_next_run_that_may() {
    let plain = people(2);
    let rows = with_factors(plain.clone(), 0);
    let mut world = World::of(Tenant::of(plain)).start();
    world.cutover().run().code(0);
    world.becomes(Tenant::of(rows.clone()));
    let token = world.zitadel.add_token(&["ORG_OWNER"]);
    cutover(&world).env("ZITADEL_TOKEN", &token).run().code(0);
    let id = &rows[0].user_id;
    assert_eq!(finding(&world, id, "factor-not-moved"), ["totp"]);
    assert_eq!(world.store()[id].totp, None);
    world.a2z(["verify", "--metadata", "all"]).run().code(0);
    cutover(&world).run().code(0);
    assert_factors(&world, &rows, 0);
    cutover(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 2);
}
