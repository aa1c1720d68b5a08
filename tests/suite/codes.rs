//! Codes by SMS and by e-mail as second factors: who gets them, who does not and why, and that nobody gets them twice.

use std::{fs, time::Duration};

use a2z::sandbox::{
    faults::{Fault, RetryAfter, Rule, When},
    tenant::{Row, Tenant},
    zitadel::{Projection, Provider},
};
use serde_json::{Value, json};

use crate::{
    harness::{Run, World},
    links::google,
    mfa::{finding, line, method, people, set},
};

const SMS: &str = "/v2/users/*/otp_sms";
const EMAIL: &str = "/v2/users/*/otp_email";

/// A phone that gets SMS, as Auth0 knows it. What Auth0 tells of the number is its end.
fn phone(number: &str) -> Value {
    let mut phone = method("phone");
    phone["phone_number"] = number.into();
    phone["preferred_authentication_method"] = "sms".into();
    phone
}

/// Gives the row a verified number of its own.
fn with_number(row: &mut Row, number: &str) {
    set(row, "phone_number", &json!(number).to_string());
    set(row, "phone_verified", "true");
}

fn number(user: usize) -> String {
    format!("+4179123{:04}", 4000 + user)
}

/// Every user has a verified number; the first has codes by SMS, the second by e-mail, the third both, the fourth none.
fn four() -> Vec<Row> {
    let mut rows = people(4);
    for (user, row) in rows.iter_mut().enumerate() {
        with_number(row, &number(user));
    }
    rows[0].authentication_methods = vec![phone(&number(0)), method("password")];
    rows[1].authentication_methods = vec![method("email"), method("email-verification")];
    rows[2].authentication_methods = vec![method("email"), phone(&number(2)), method("push")];
    rows
}

fn started(rows: &[Row]) -> World {
    let world = World::of(Tenant::of(rows.to_vec())).start();
    world.zitadel.set_providers(Provider::Active, Provider::Active);
    world
}

fn cutover(world: &World) -> Run {
    world.cutover().args(["--mfa-survey", "--mfa-codes"])
}

/// Who has codes by SMS and who by e-mail, in the order of the rows.
fn given(world: &World, rows: &[Row]) -> Vec<(bool, bool)> {
    let store = world.store();
    let of = |row: &Row| store.get(&row.user_id).map_or((false, false), |user| (user.otp_sms, user.otp_email));
    rows.iter().map(of).collect()
}

const FOUR: [(bool, bool); 4] = [(true, false), (false, true), (true, true), (false, false)];

/// Requests that would give a factor.
fn asked_to_give(world: &World) -> usize {
    let gives = |path: &str| path.ends_with("/otp_sms") || path.ends_with("/otp_email") || path.contains("AddOTP");
    world.zitadel.requests().iter().filter(|seen| seen.method == "POST" && gives(&seen.path)).count()
}

#[test]
fn codes_move_to_those_who_can_get_them() {
    let rows = four();
    let world = started(&rows);
    let plan = world.a2z(["plan", "--passwords", "passwords.ndjson", "--mfa-survey", "--mfa-codes"]).run().code(0);
    for words in ["2  keep codes by SMS", "2  keep codes by e-mail", "1  lose push"] {
        assert!(plan.stdout.contains(words), "{words}: {}", plan.stdout);
    }
    let ran = cutover(&world).run().code(0);
    assert!(!ran.stderr.contains("mfa-codes"), "{}", ran.stderr);
    world.assert_balanced();
    assert_eq!(given(&world, &rows), FOUR);
    assert_eq!(asked_to_give(&world), 4);
    assert_eq!(world.mails(), []);
    let report = world.report();
    assert_eq!((&report["factors"]["sms_codes"], &report["factors"]["email_codes"]), (&json!(2), &json!(2)));
    assert_eq!(report["factors"]["lost"], json!({"push": 1}));
    assert_eq!(finding(&world, &rows[0].user_id, "factor-not-moved"), [""; 0]);
    assert_eq!(finding(&world, &rows[2].user_id, "factor-not-moved"), ["push"]);
    let list = fs::read_to_string(world.state().join("factors.csv")).unwrap();
    assert!(list.contains(&rows[2].user_id) && !list.contains(&rows[0].user_id), "{list}");
    world.a2z(["verify"]).run().code(0);
    // Nothing is new: nothing is sent.
    let before = world.writes().len();
    cutover(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 4);
    assert_eq!(world.writes().len(), before);
    // Nor is anything taken away, or said to be lost, by a run that does not ask for it.
    world.cutover().run().code(0);
    assert_eq!(given(&world, &rows), FOUR);
    assert_eq!(finding(&world, &rows[0].user_id, "factor-not-moved"), [""; 0]);
}

#[test]
fn without_being_asked_nothing_moves() {
    let rows = four();
    let world = started(&rows);
    world.cutover().args(["--mfa-survey"]).run().code(0);
    assert_eq!(given(&world, &rows), [(false, false); 4]);
    assert_eq!(asked_to_give(&world), 0);
    assert_eq!(finding(&world, &rows[2].user_id, "factor-not-moved"), ["email, phone, push"]);
    // Auth0 was asked already.
    let ran = world.cutover().args(["--mfa-codes"]).run().code(0);
    assert!(ran.stderr.contains("mfa-codes") && ran.stderr.contains("mfa.survey"), "{}", ran.stderr);
    assert_eq!(given(&world, &rows), FOUR);
    assert_eq!(world.balance("unchanged"), 4);
}

/// Every reason has a code of its own, and costs the factor only.
#[test]
fn who_could_not_get_a_code_keeps_none_and_is_told() {
    let mut rows = people(8);
    for (user, row) in rows.iter_mut().enumerate() {
        with_number(row, &number(user));
        row.authentication_methods = vec![phone(&number(user))];
    }
    set(&mut rows[0], "phone_verified", "false");
    rows[1].authentication_methods = vec![phone("+41791230001")];
    rows[2].authentication_methods[0]["preferred_authentication_method"] = "voice".into();
    // Neither a password nor a link.
    (rows[3].hashes, rows[3].password) = (Vec::new(), None);
    rows[4].authentication_methods = vec![method("email")];
    set(&mut rows[4], "email_verified", "false");
    rows[5].fields.retain(|(name, _)| !name.starts_with("phone"));
    // Auth0 tells nothing of the number; or tells it in a way that nobody knows.
    rows[6].authentication_methods = vec![method("phone")];
    rows[7].authentication_methods[0]["phone_number"] = json!(["+41791230001"]);
    // A link is enough.
    let mut linked = google(1);
    linked.authentication_methods = vec![method("email")];
    rows.push(linked);
    let world = started(&rows);
    world.zitadel.add_idp("google", "Google", "sandbox-google-oauth2", true);
    cutover(&world).run().code(0);
    world.assert_balanced();
    let expected =
        [(false, false); 6].into_iter().chain([(true, false), (true, false), (false, true)]).collect::<Vec<_>>();
    assert_eq!(given(&world, &rows), expected);
    assert_eq!(asked_to_give(&world), 3);
    let reasons = [
        ("factor-unverified", "SMS"),
        ("factor-other-number", "SMS"),
        ("factor-by-voice", "SMS"),
        ("factor-locks-out", "SMS"),
        ("factor-unverified", "e-mail"),
        ("factor-unverified", "SMS"),
    ];
    for (row, (code, kind)) in rows.iter().zip(reasons) {
        assert_eq!(finding(&world, &row.user_id, code), [kind], "{}", row.user_id);
        let lost = if kind == "SMS" { "phone" } else { "email" };
        assert_eq!(finding(&world, &row.user_id, "factor-not-moved"), [lost], "{}", row.user_id);
    }
}

/// A placeholder is nobody's mailbox.
#[test]
fn no_code_goes_to_a_placeholder() {
    let mut rows = people(1);
    rows[0].fields.retain(|(name, _)| !name.starts_with("email"));
    rows[0].authentication_methods = vec![method("email")];
    let world = started(&rows);
    cutover(&world).env("A2Z_MAPPING_PLACEHOLDER_EMAIL_DOMAIN", "no-mail.example.com").run().code(0);
    assert_eq!(given(&world, &rows), [(false, false)]);
    assert_eq!(finding(&world, &rows[0].user_id, "factor-unverified"), ["e-mail"]);
}

#[test]
fn without_a_provider_that_is_known_to_send_nothing_moves() {
    let rows = four();
    let cases = [
        (Provider::None, Provider::Active, [(false, false), (false, true), (false, true), (false, false)]),
        (Provider::Active, Provider::Inactive, [(true, false), (false, false), (true, false), (false, false)]),
    ];
    for (sms, mail, expected) in cases {
        let world = started(&rows);
        world.zitadel.set_providers(sms, mail);
        let ran = cutover(&world).run().code(0);
        assert!(ran.stderr.contains("mfa-codes"), "{}", ran.stderr);
        assert_eq!(given(&world, &rows), expected);
        let (user, kind) = if sms == Provider::Active { (1, "e-mail") } else { (0, "SMS") };
        assert_eq!(finding(&world, &rows[user].user_id, "factor-no-provider"), [kind]);
        // It is set up: the next run gives what is left.
        world.zitadel.set_providers(Provider::Active, Provider::Active);
        cutover(&world).run().code(0);
        assert_eq!(given(&world, &rows), FOUR);
    }
    // Who may give factors and not see the providers: unreadable counts as absent.
    let world = started(&rows);
    let token = world.zitadel.add_token(&["ORG_OWNER"]);
    cutover(&world).env("ZITADEL_TOKEN", &token).run().code(0);
    assert_eq!(given(&world, &rows), [(false, false); 4]);
    assert_eq!(finding(&world, &rows[2].user_id, "factor-no-provider"), ["SMS, e-mail"]);
}

#[test]
fn an_account_that_may_not_is_told_before() {
    let rows = four();
    let world = started(&rows);
    let token = world.zitadel.add_token(&["ORG_USER_MANAGER", "IAM_OWNER_VIEWER"]);
    let check = world.a2z(["check", "--mfa-survey", "--mfa-codes"]).env("ZITADEL_TOKEN", &token).run().code(0);
    assert!(check.stdout.contains("second factor"), "{}", check.stdout);
    cutover(&world).env("ZITADEL_TOKEN", &token).run().code(0);
    assert_eq!(world.balance("created"), 4);
    assert_eq!(asked_to_give(&world), 0);
    assert_eq!(finding(&world, &rows[2].user_id, "factor-not-permitted"), ["SMS, e-mail"]);
    // An account that may both see and give needs no more.
    let token = world.zitadel.add_token(&["ORG_OWNER", "IAM_OWNER_VIEWER"]);
    cutover(&world).env("ZITADEL_TOKEN", &token).run().code(0);
    assert_eq!(given(&world, &rows), FOUR);
}

#[test]
fn a_refusal_costs_the_factor_and_the_next_run_tries_again() {
    let rows = four();
    for status in [Fault::Refused, Fault::Status(403)] {
        let world = started(&rows);
        world.zitadel.set_faults([Rule::new(SMS, When::Always, status.clone())]);
        let ran = cutover(&world).env("A2Z_HTTP_MAX_ATTEMPTS", "2").run().code(0);
        assert_eq!(world.balance("created"), 4, "{}", ran.stderr);
        assert_eq!(given(&world, &rows), [(false, false), (false, true), (false, true), (false, false)], "{status:?}");
        let codes: Vec<Value> = world.outcome(&rows[0].user_id)["findings"].as_array().unwrap().clone();
        let about = |code: &str| codes.iter().any(|finding| finding["code"] == code);
        assert!(about("factor-refused") || about("factor-not-permitted"), "{status:?}: {codes:?}");
        assert!(about("factor-not-moved"), "{codes:?}");
        let list = fs::read_to_string(world.state().join("factors.csv")).unwrap();
        assert!(list.contains(&rows[0].user_id), "{list}");
        world.zitadel.set_faults([]);
        cutover(&world).run().code(0);
        assert_eq!(given(&world, &rows), FOUR, "{status:?}");
        assert_eq!(finding(&world, &rows[0].user_id, "factor-not-moved"), [""; 0]);
    }
}

#[test]
fn a_lost_answer_is_settled_and_is_nobody_elses_doing() {
    let rows = four();
    for fault in [Fault::LoseAnswer, Fault::DropRequest, Fault::DoneAndTooMany(RetryAfter::Seconds(0)), Fault::Broken] {
        let rules = [SMS, EMAIL].map(|path| Rule::new(path, When::First(1), fault.clone()));
        let world = started(&rows);
        world.zitadel.set_faults(rules);
        cutover(&world).run().code(0);
        assert_eq!(given(&world, &rows), FOUR, "{fault:?}");
        for row in &rows {
            assert_eq!(finding(&world, &row.user_id, "factor-kept"), [""; 0], "{fault:?}");
        }
        assert_eq!(world.report()["factors"]["sms_codes"], 2, "{fault:?}");
    }
}

/// Stored, and the program dies before it hears of it; the user removes it before the next run begins.
#[test]
fn a_kill_gives_nothing_twice() {
    let rows = four();
    let world = started(&rows);
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    world.zitadel.set_faults([Rule::new(SMS, When::Always, Fault::SlowAnswer(Duration::from_mins(1)))]);
    let running = cutover(&world).spawn();
    world.wait_until("what is stored", |world| given(world, &rows)[0].0 && given(world, &rows)[2].0);
    running.kill();
    world.user_service_as(&other, "RemoveOTPSMS", &json!({"userId": rows[0].user_id}));
    world.zitadel.set_faults([]);
    cutover(&world).run().code(0);
    world.assert_balanced();
    assert_eq!(given(&world, &rows), [(false, false), (false, true), (true, true), (false, false)]);
}

#[test]
fn what_is_there_already_is_the_users_and_what_is_gone_too() {
    let rows = four();
    let world = started(&rows);
    world.cutover().run().code(0);
    // Somebody enrolled in ZITADEL meanwhile.
    let other = world.zitadel.add_token(&["IAM_OWNER"]);
    let body = |user: usize| json!({"userId": rows[user].user_id});
    world.user_service_as(&other, "AddOTPSMS", &body(0));
    cutover(&world).run().code(0);
    assert_eq!(given(&world, &rows), FOUR);
    assert_eq!(finding(&world, &rows[0].user_id, "factor-kept"), ["SMS"]);
    assert_eq!(world.balance("unchanged"), 4);
    // Whoever removes what we gave does not get it again, nor does whoever removes what was never ours.
    world.user_service_as(&other, "RemoveOTPSMS", &body(0));
    world.user_service_as(&other, "RemoveOTPSMS", &body(2));
    world.user_service_as(&other, "RemoveOTPEmail", &body(1));
    let verified = world.a2z(["verify"]).run().code(0);
    assert!(!verified.stdout.contains("codes by"), "{}", verified.stdout);
    let before = asked_to_give(&world);
    cutover(&world).run().code(0);
    assert_eq!(asked_to_give(&world), before);
    assert_eq!(given(&world, &rows), [(false, false), (false, false), (false, true), (false, false)]);
    assert_eq!(finding(&world, &rows[1].user_id, "factor-taken-away"), ["e-mail"]);
    assert_eq!(finding(&world, &rows[2].user_id, "factor-taken-away"), ["SMS"]);
    assert_eq!(finding(&world, &rows[2].user_id, "factor-not-moved"), ["push"]);
}

/// The plan is of Auth0's data; a user of an earlier run may have changed in ZITADEL since.
#[test]
fn what_the_user_has_in_zitadel_now_decides() {
    let rows = four();
    let world = started(&rows);
    world.cutover().run().code(0);
    world.zitadel.tamper(&rows[1].user_id, |user| user.email_verified = false);
    world.zitadel.tamper(&rows[0].user_id, |user| user.phone = None);
    cutover(&world).run().code(0);
    let (first, second) = (&rows[0].user_id, &rows[1].user_id);
    assert_eq!(given(&world, &rows), [(false, false), (false, false), (true, true), (false, false)]);
    assert_eq!(finding(&world, first, "factor-unverified"), ["SMS"]);
    assert_eq!(finding(&world, second, "factor-unverified"), ["e-mail"]);
    assert_eq!(asked_to_give(&world), 2);
}

#[test]
fn verify_finds_one_that_is_gone_if_nobody_is_known_to_have_removed_it() {
    let rows = four();
    let world = started(&rows);
    cutover(&world).run().code(0);
    world.user_service("RemoveOTPSMS", &json!({"userId": rows[0].user_id}));
    // Who may not read events cannot tell.
    let token = world.zitadel.add_token(&["ORG_OWNER"]);
    let ran = world.a2z(["verify"]).env("ZITADEL_TOKEN", &token).run().code(3);
    assert!(ran.stdout.contains(&rows[0].user_id) && ran.stdout.contains("codes by SMS"), "{}", ran.stdout);
    assert!(!ran.stdout.contains(&rows[2].user_id), "{}", ran.stdout);
    world.a2z(["verify"]).run().code(0);
}

#[test]
fn codes_come_again_after_a_rollback_and_do_not_stand_in_its_way() {
    let rows = four();
    let world = started(&rows);
    world.cutover().run().code(0);
    // In a run of their own: nobody else changed the users.
    cutover(&world).run().code(0);
    world.a2z(["rollback", "--yes"]).run().code(0);
    assert_eq!(world.store().len(), 0);
    cutover(&world).run().code(0);
    assert_eq!(given(&world, &rows), FOUR);
    assert_eq!(world.report()["factors"]["sms_codes"], 2);
}

/// Who is made again has nothing of what the first life was given.
#[test]
fn whoever_is_made_anew_gets_them_once_more() {
    let rows = four();
    let world = started(&rows);
    world.zitadel.skip(Projection::LoginNames, [rows[0].user_id.clone(), rows[2].user_id.clone()]);
    cutover(&world).env("A2Z_IMPORT_PASSED_OVER_AFTER", "300ms").run().code(0);
    assert_eq!(world.store()[&rows[0].user_id].created_count, 2);
    assert_eq!(given(&world, &rows), FOUR);
}

/// A skipped event hides them, and they are taken away and given again.
#[test]
fn codes_that_zitadel_does_not_show_are_given_again_in_place() {
    let rows = four();
    let world = started(&rows);
    world.zitadel.skip_event(Projection::Factors, "user.human.mfa.otp.sms.added", [rows[0].user_id.clone()]);
    let ran = cutover(&world).env("A2Z_IMPORT_PASSED_OVER_AFTER", "300ms").run().code(0);
    assert!(ran.stderr.contains("sms-codes of 1 user"), "{}", ran.stderr);
    assert_eq!(world.store()[&rows[0].user_id].created_count, 1);
    assert_eq!(given(&world, &rows), FOUR);
    world.a2z(["verify", "--metadata", "all"]).run().code(0);
}

/// The MFA file knows the number; the survey says that it moves.
#[test]
fn the_mfa_file_says_nothing_against_it() {
    let mut rows = four();
    rows[0].mfa = vec![line(&rows[0], "phone", "phone_number", &number(0))];
    let world = started(&rows);
    cutover(&world).args(["--mfa", "mfa.ndjson"]).run().code(0);
    assert_eq!(given(&world, &rows), FOUR);
    assert_eq!(finding(&world, &rows[0].user_id, "factor-not-moved"), [""; 0]);
}

/// Without ZITADEL nobody knows, and the plan says so.
#[test]
fn a_plan_without_zitadel_promises_nothing() {
    let rows = four();
    let world = started(&rows);
    let plan = world.a2z(["plan", "--passwords", "passwords.ndjson", "--mfa-survey", "--mfa-codes"]);
    let ran = plan.without_env("ZITADEL_URL").without_env("ZITADEL_TOKEN").without_env("ZITADEL_ORG_ID").run().code(0);
    assert!(ran.stderr.contains("mfa-codes"), "{}", ran.stderr);
    assert!(ran.stdout.contains("2  lose phone") && !ran.stdout.contains("keep codes"), "{}", ran.stdout);
}

/// The first signal lets what was sent be settled; the rest is not in doubt, and comes with the next run.
#[test]
fn an_interrupt_leaves_nothing_in_doubt() {
    let rows = four();
    let world = started(&rows);
    world.zitadel.set_faults([Rule::new(SMS, When::Always, Fault::Delay(Duration::from_secs(2)))]);
    let running = cutover(&world).spawn();
    world.wait_until("a request", |world| asked_to_give(world) > 0);
    running.interrupt();
    running.wait().code(130);
    world.zitadel.set_faults([]);
    cutover(&world).run().code(0);
    world.assert_balanced();
    assert_eq!(given(&world, &rows), FOUR);
    for row in &rows {
        assert_eq!(finding(&world, &row.user_id, "factor-kept"), [""; 0]);
    }
}
