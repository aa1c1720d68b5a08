//! The operator's own rules in a whole cutover, and users who sign in without a password.

use std::fs;

use a2z::sandbox::{
    tenant::{Row, Tenant},
    zitadel::UserState,
};
use serde_json::{Value, json};

use crate::harness::{Run, World};

fn user(id: &str, more: &Value) -> Row {
    let (provider, rest) = id.split_once('|').unwrap();
    let mut user = json!({
        "user_id": id,
        "identities": [{ "connection": "DB", "user_id": rest, "provider": provider, "isSocial": false }],
    });
    user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Row::from_user(&user)
}

fn mail(name: &str) -> Value {
    json!({ "email": format!("{name}@example.com"), "email_verified": true, "given_name": name, "family_name": "X" })
}

fn with(mut base: Value, more: &Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

const RULES: &str = r#"
[mapping]
placeholder_email_domain = "no-mail.example.com"
history = ["last_login", "logins_count"]
metadata_rename = { "app_metadata.plan" = "plan" }

[mapping.fields]
first_name = ["user_metadata.first_name", "given_name"]

[[mapping.skip]]
where = "app_metadata.test == true"
reason = "test accounts"

[[mapping.only]]
where = "last_login > now - duration('8760h') || provider != 'auth0'"
reason = "not seen for a year"
"#;

fn rows(now: jiff::Timestamp) -> Vec<Row> {
    let recently = json!({ "last_login": now.to_string(), "logins_count": 3 });
    vec![
        user(
            "auth0|seen",
            &with(
                with(mail("seen"), &recently),
                &json!({
                    "user_metadata": { "first_name": "Augusta" }, "app_metadata": { "plan": "gold" },
                }),
            ),
        ),
        user("auth0|test", &with(with(mail("test"), &recently), &json!({ "app_metadata": { "test": true } }))),
        user("auth0|never", &mail("never")),
        user("auth0|old", &with(mail("old"), &json!({ "last_login": "2001-01-01T00:00:00.000Z" }))),
        user("sms|phone", &json!({ "phone_number": "+41791234567", "phone_verified": true, "name": "+41791234567" })),
        user("email|code", &mail("code")),
    ]
}

fn cutover(world: &World) -> Run {
    fs::write(world.path("rules.toml"), RULES).unwrap();
    world.cutover().without_arg("--passwords").args(["--config", "rules.toml"])
}

#[test]
fn rules_shape_a_cutover_and_the_delta_after_it() {
    let now = jiff::Timestamp::now();
    let mut world = World::of(Tenant::of(rows(now))).start();
    let ran = cutover(&world).run().code(0);
    world.assert_balanced();
    assert_eq!((world.balance("created"), world.balance("skipped"), world.balance("rejected")), (3, 3, 0));
    let report = world.report();
    assert_eq!(
        report["filtered"],
        json!([{ "rule": "not seen for a year", "users": 2 }, { "rule": "test accounts", "users": 1 }])
    );
    assert!(ran.stdout.contains("2: not seen for a year"), "{}", ran.stdout);
    assert_eq!(world.outcome("auth0|test")["code"], "filtered");

    let store = world.store();
    assert_eq!(store.len(), 3);
    let seen = &store["auth0|seen"];
    assert_eq!(seen.first_name, "Augusta");
    assert_eq!(seen.metadata["plan"], b"gold");
    assert_eq!(seen.metadata["auth0.logins_count"], b"3");
    assert_eq!(seen.metadata["auth0.app_metadata"], br#"{"plan":"gold"}"#);

    // A sign-in at Auth0 is no change; another plan is, and then the history is written with it.
    let mut later = rows(now);
    later[0] = user(
        "auth0|seen",
        &with(
            mail("seen"),
            &json!({
                "last_login": now.to_string(), "logins_count": 4,
                "user_metadata": { "first_name": "Augusta" }, "app_metadata": { "plan": "gold" },
            }),
        ),
    );
    world.becomes(Tenant::of(later));
    cutover(&world).run().code(0);
    world.assert_balanced();
    assert_eq!((world.balance("unchanged"), world.balance("updated")), (3, 0));

    let mut later = rows(now);
    later[0] = user(
        "auth0|seen",
        &with(
            mail("seen"),
            &json!({
                "last_login": now.to_string(), "logins_count": 5,
                "user_metadata": { "first_name": "Augusta" }, "app_metadata": { "plan": "silver" },
            }),
        ),
    );
    // And one of ours whom a rule leaves out now: never deleted.
    later[5] = user("email|code", &with(mail("code"), &json!({ "app_metadata": { "test": true } })));
    world.becomes(Tenant::of(later));
    cutover(&world).run().code(0);
    world.assert_balanced();
    assert_eq!((world.balance("unchanged"), world.balance("updated"), world.balance("skipped")), (1, 1, 4));
    let store = world.store();
    assert_eq!(store["auth0|seen"].metadata["auth0.logins_count"], b"5");
    assert_eq!(store["auth0|seen"].metadata["plan"], b"silver");
    assert_eq!(store["email|code"].state, UserState::Active);
}

#[test]
fn users_without_a_password_are_active_and_the_report_says_how_they_get_in() {
    let world = World::of(Tenant::of(rows(jiff::Timestamp::now()))).start();
    let ran = cutover(&world).run().code(0);
    let store = world.store();
    for id in ["sms|phone", "email|code", "auth0|seen"] {
        assert_eq!(store[id].state, UserState::Active, "{id}");
    }
    let phone = &store["sms|phone"];
    assert_eq!((phone.email.as_str(), phone.email_verified), ("sms-phone@no-mail.example.com", false));
    assert_eq!((phone.phone.as_deref(), phone.phone_verified), (Some("+41791234567"), true));
    assert!(store["email|code"].email_verified);
    assert!(world.mails().is_empty(), "{:?}", world.mails());
    assert_eq!(world.report()["sign_in"], json!({ "email": 1, "none": 1, "sms": 1 }));
    let page = fs::read_to_string(world.state().join("report.html")).unwrap();
    for text in [ran.stdout.as_str(), page.as_str()] {
        assert!(text.contains("How they sign in from now on") && text.contains("registration_link"), "{text}");
    }
}

#[test]
fn a_changed_rule_makes_a_new_plan_and_the_same_rule_does_not() {
    let world = World::of(Tenant::of(rows(jiff::Timestamp::now()))).start();
    let plan = |rules: &str| {
        fs::write(world.path("rules.toml"), rules).unwrap();
        world.a2z(["plan", "--config", "rules.toml"])
    };
    let first = plan(RULES).run().code(0);
    assert!(first.stdout.contains("+ 3 to create") && first.stdout.contains("- 3 skipped"), "{}", first.stdout);
    let same = cutover(&world).run();
    assert!(same.stderr.contains("going on with the plan"), "{}", same.stderr);
    let wider = plan("[[mapping.skip]]\nwhere = \"provider == 'auth0'\"\n").run();
    assert!(wider.stdout.contains("provider == 'auth0'"), "{}", wider.stdout);
}

/// A renamed value that disappears at Auth0 disappears in ZITADEL, and a key of somebody else stays.
#[test]
fn a_renamed_value_that_disappears_is_removed() {
    let person = |metadata: Value| vec![user("auth0|seen", &with(mail("seen"), &json!({ "app_metadata": metadata })))];
    let mut world = World::of(Tenant::of(person(json!({ "plan": "gold", "other": 1 })))).start();
    let run = |world: &World| {
        fs::write(world.path("rules.toml"), "[mapping]\nmetadata_rename = { \"app_metadata.plan\" = \"plan\" }\n")
            .unwrap();
        world.cutover().without_arg("--passwords").args(["--config", "rules.toml"]).run().code(0)
    };
    run(&world);
    assert_eq!(world.store()["auth0|seen"].metadata["plan"], b"gold");
    world.set_metadata("auth0|seen", "theirs", "eA==");
    world.becomes(Tenant::of(person(json!({ "other": 1 }))));
    run(&world);
    let store = world.store();
    let keys: Vec<&str> = store["auth0|seen"].metadata.keys().map(String::as_str).collect();
    assert_eq!(keys, ["auth0.app_metadata", "theirs"]);
}
