use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{expression::FUNCTIONS, *};

#[expect(clippy::unnecessary_wraps, reason = "for fields that are optional")]
fn raw(json: &str) -> Option<Box<RawValue>> {
    Some(RawValue::from_string(json.to_owned()).unwrap())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-23T00:00:00Z")
}

fn ada() -> ExportedUser {
    ExportedUser {
        user_id: "auth0|1".into(),
        email: Some("ada@example.com".into()),
        email_verified: Some(true),
        given_name: Some("Ada".into()),
        last_login: Some(at("2026-11-01T10:00:00.123Z")),
        user_metadata: raw(
            r#"{"first_name":"Augusta","n":123456789012345678901234567890,"x":1.10,"deep":{"a":[{"b":"c"}]},
                "a b":"spaced","https://x/plan":"gold","none":null,"yes":true,"unix":"then","big":18446744073709551615}"#,
        ),
        app_metadata: raw(r#"{"test":true,"level":3}"#),
        identities: Some(vec![crate::auth0::user::Identity {
            provider: "auth0".into(),
            connection: Some("db".into()),
            user_id: "1".into(),
            ..Default::default()
        }]),
        ..ExportedUser::default()
    }
}

fn nobody() -> ExportedUser {
    ExportedUser { user_id: "auth0|2".into(), ..ExportedUser::default() }
}

fn compile(source: &str) -> Expression {
    Expression::compile(source).unwrap_or_else(|fault| panic!("{source}: {fault:?}"))
}

#[track_caller]
fn holds(source: &str, user: &ExportedUser) -> Result<bool, String> {
    compile(source).holds(&Row::new(user, now())).map_err(|failure| failure.0)
}

#[track_caller]
fn text(source: &str, user: &ExportedUser) -> Result<Option<String>, String> {
    compile(source).text(&Row::new(user, now())).map_err(|failure| failure.0)
}

#[test]
fn conditions_are_plain_cel() {
    for (source, of_ada, of_nobody) in [
        ("app_metadata.test == true", true, false),
        ("app_metadata.test != true", false, true),
        ("has(app_metadata.test)", true, false),
        ("!has(app_metadata.test)", false, true),
        ("has(user_metadata.deep.a)", true, false),
        ("has(user_metadata.none)", false, false),
        ("user_metadata.deep.a[0].b == 'c'", true, false),
        ("user_metadata.deep.missing.b == null", true, true),
        ("user_metadata['a b'] == 'spaced'", true, false),
        ("user_metadata.`a b` == 'spaced'", true, false),
        ("user_metadata['https://x/plan'] == 'gold'", true, false),
        ("logins_count == 0", true, true),
        ("app_metadata.level > 2 && app_metadata.level <= 3.0", true, false),
        ("email.endsWith('@example.com')", true, false),
        ("email.matches('^[a-z]+@example[.]com$')", true, false),
        ("last_login > now - duration('8760h')", true, false),
        ("last_login < now - duration('8760h')", false, false),
        ("timestamp(last_login) > timestamp('2026-01-01T00:00:00Z')", true, false),
        ("last_login == null || last_login < now", true, true),
        ("connection == 'db' || provider in ['sms', 'email']", true, false),
        ("identities.exists(i, i.provider == 'auth0' && i.email == null)", true, false),
        ("identities.all(i, i.provider != 'sms')", true, true),
        ("size(identities) == 1", true, false),
        ("email_verified", true, false),
        ("blocked", false, false),
        ("type(app_metadata.level) == int", true, false),
        ("user_id.split('|')[1] == '1'", true, false),
        ("user_metadata.big == 18446744073709551615u", true, false),
        ("user_metadata.none == null", true, true),
    ] {
        assert_eq!(holds(source, &ada()), Ok(of_ada), "{source}, of Ada");
        assert_eq!(holds(source, &nobody()), Ok(of_nobody), "{source}, of nobody");
    }
}

#[test]
fn a_comparison_with_nothing_does_not_hold() {
    for source in [
        "last_login > now",
        "app_metadata.level > 1",
        "email.startsWith('a')",
        "!app_metadata.test",
        "user_metadata.a + 'b' == 'b'",
        "user_metadata.list[3] == 1",
        "app_metadata.test",
        "'a' in user_metadata.groups",
        "size(user_metadata.a) > 1",
        "last_login - now > duration('1h')",
        "user_metadata.age - 1 > 3",
        "-user_metadata.age > 3",
        "timestamp(user_metadata.since) > now",
        "int(user_metadata.age) > 3",
        "user_metadata.groups.exists(g, g == 'a')",
        "app_metadata.test || app_metadata.other",
    ] {
        assert_eq!(holds(source, &nobody()), Ok(false), "{source}");
    }
}

#[test]
fn what_cannot_be_answered_is_no_answer() {
    for (source, why) in [
        ("app_metadata.level > 'a'", "`>` does not take (int, string)"),
        ("user_metadata.first_name", "it is a text, neither true nor false"),
        ("timestamp(user_metadata.unix) > now", "`timestamp` refuses the value"),
        ("app_metadata.level / 0 == 1", "division by zero"),
        ("user_metadata.n > 5", "`>` does not take (string, int)"),
    ] {
        assert_eq!(holds(source, &ada()), Err(why.to_owned()), "{source}");
    }
}

#[test]
fn texts_are_exact() {
    for (source, expected) in [
        ("user_metadata.first_name", Some("Augusta")),
        ("user_metadata.n", Some("123456789012345678901234567890")),
        ("user_metadata.x", Some("1.10")),
        ("user_metadata.big", Some("18446744073709551615")),
        ("'a constant'", Some("a constant")),
        ("user_metadata.none", None),
        ("user_metadata.nothing.at.all", None),
        ("user_metadata.first_name + ' ' + given_name", Some("Augusta Ada")),
        ("user_metadata.first_name + user_metadata.nothing", None),
        ("email.split('@')[0].upperAscii()", Some("ADA")),
        ("last_login", Some("2026-11-01T10:00:00.123Z")),
        ("logins_count", Some("0")),
        ("email_verified ? email : 'none@example.com'", Some("ada@example.com")),
        ("identities[0].connection", Some("db")),
        ("identities[7].connection", None),
    ] {
        assert_eq!(text(source, &ada()), Ok(expected.map(str::to_owned)), "{source}");
    }
    for (source, why) in [
        ("user_metadata.yes", "it is true or false, not a text"),
        ("user_metadata.deep", "it is an object, not a text"),
        ("identities", "it is a list, not a text"),
        ("blocked", "it is true or false, not a text"),
        ("[given_name]", "it is a list, not a text"),
        ("1.5 + 1.0", "it is a number, not a text"),
    ] {
        assert_eq!(text(source, &ada()), Err(why.to_owned()), "{source}");
    }
}

#[test]
fn mistakes_are_found_when_it_is_compiled() {
    for (source, at, message) in [
        ("app_metdata.test", 0, "a user has no field `app_metdata`; did you mean `app_metadata`?"),
        ("é == é || x > 1", 0, "is no CEL expression: token recognition error at: 'é'"),
        ("blocked || app_metdata.x == 1", 11, "a user has no field `app_metdata`; did you mean `app_metadata`?"),
        ("email.name == 'x'", 5, "`email` has no fields"),
        ("lowerAsci(email) == 'a'", 9, "no function `lowerAsci` is known; did you mean `lowerAscii`?"),
        ("app_metadata.test = true", 18, "is no CEL expression: token recognition error at: '= '"),
        ("blocked &&", 10, "is no CEL expression: mismatched input '<EOF>'"),
        ("", 0, "is empty"),
        ("1 > 'a'", 0, "`>` does not take (int, string)"),
        ("identities.exists(i, j.x == 1)", 21, "a user has no field `j`"),
        ("{'a': 1}.a == 1", 0, "objects cannot be made here"),
        ("email.?x", 5, "is no CEL expression: unsupported syntax '.?'"),
    ] {
        let fault = Expression::compile(source).expect_err(source);
        assert_eq!((fault.at, fault.message.as_str()), (at, message), "{source}");
    }
    let deep = |n| format!("{}1{} == 1", "(".repeat(n), ")".repeat(n));
    let long = |n| format!("{} == 1", vec!["1"; n].join(" + "));
    assert!(Expression::compile(&deep(10)).is_ok());
    assert!(Expression::compile(&deep(11)).is_err());
    assert_eq!(Expression::compile(&long(90)).unwrap_err().message, "is nested too deeply");
    assert!(Expression::compile(&long(900)).is_err());
    assert!(Expression::compile(&long(30)).is_ok());
    assert!(Expression::compile(&format!("{}true", "blocked || ".repeat(150))).is_ok());
}

#[test]
fn every_function_in_the_list_exists() {
    for name in FUNCTIONS {
        let known = [format!("{name}('a', 1) == 1"), format!("'a'.{name}('b') == 1"), format!("{name}(true) == true")];
        let unknown =
            |source: &String| Expression::compile(source).is_err_and(|fault| fault.message.ends_with("is not known"));
        assert!(!known.iter().all(unknown), "{name}");
    }
}

fn rules(fields: &[(Target, &[&str])], skip: &[&str], only: &[&str]) -> Rules {
    let filter = |source: &&str| Filter { condition: compile(source), reason: None };
    Rules {
        fields: fields
            .iter()
            .map(|(target, sources)| Field {
                target: *target,
                sources: sources.iter().map(|source| compile(source)).collect(),
            })
            .collect(),
        skip: skip.iter().map(filter).collect(),
        only: only.iter().map(filter).collect(),
        now: Some(now()),
    }
}

#[test]
fn filters_say_which_rule_it_was() {
    let test = rules(&[], &["app_metadata.test == true"], &[]);
    let blocked = test.admit(&ada()).unwrap_err();
    assert_eq!((blocked.code, blocked.detail.as_deref()), (BlockedCode::Filtered, Some("app_metadata.test == true")));
    assert_eq!(test.admit(&nobody()), Ok(()));

    let recent = rules(&[], &[], &["last_login > now - duration('8760h')", "email_verified"]);
    assert_eq!(recent.admit(&ada()), Ok(()));
    assert_eq!(recent.admit(&nobody()).unwrap_err().code, BlockedCode::Filtered);

    for failing in [rules(&[], &["user_metadata.n > 1"], &[]), rules(&[], &[], &["user_metadata.n > 1"])] {
        let blocked = failing.admit(&ada()).unwrap_err();
        assert_eq!(blocked.code, BlockedCode::FilterFailed);
        assert!(!blocked.detail.unwrap().contains("1234567890"), "a value is shown");
    }
}

#[test]
fn the_first_source_that_has_something_counts() {
    let rules = rules(
        &[
            (Target::FirstName, &["user_metadata.nothing", "user_metadata.deep", "user_metadata.first_name"]),
            (Target::LastName, &["given_name", "'Unknown'"]),
            (Target::NickName, &["user_metadata.nothing"]),
        ],
        &[],
        &[],
    );
    let (mut user, mut findings) = (ada(), Vec::new());
    user.nickname = Some("ace".into());
    rules.choose(&mut user, &mut findings);
    assert_eq!(user.given_name.as_deref(), Some("Augusta"));
    assert_eq!(user.family_name.as_deref(), Some("Ada"), "a rule saw what another chose");
    assert_eq!(user.nickname.as_deref(), Some("ace"));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, FindingCode::SourceFailed);
}

#[test]
fn what_a_rule_chooses_is_verified_only_where_auth0_says_so() {
    let chosen = |source: &str, user: ExportedUser| {
        let (mut user, mut findings) = (user, Vec::new());
        rules(&[(Target::Email, &[source])], &[], &[]).choose(&mut user, &mut findings);
        (user.email.unwrap(), user.email_verified, findings.len())
    };
    assert_eq!(chosen("'Ada@Example.com'", ada()), ("Ada@Example.com".into(), Some(true), 0));
    assert_eq!(chosen("'eve@example.com'", ada()), ("eve@example.com".into(), Some(false), 1));
    assert_eq!(chosen("user_metadata.mail", ada()), ("ada@example.com".into(), Some(true), 0));
    assert_eq!(chosen("'eve@example.com'", nobody()), ("eve@example.com".into(), Some(false), 1));

    let (mut user, mut findings) = (ada(), Vec::new());
    (user.phone_number, user.phone_verified) = (Some("+41791234567".into()), Some(true));
    rules(&[(Target::Phone, &["'+41797654321'"])], &[], &[]).choose(&mut user, &mut findings);
    assert_eq!((user.phone_number.as_deref(), user.phone_verified), (Some("+41797654321"), Some(false)));
}

#[test]
fn rules_look_the_same_at_another_time() {
    let mut other = rules(&[], &["blocked"], &[]);
    let before = format!("{other:?}");
    other.set_now(at("2030-01-01T00:00:00Z"));
    assert_eq!(format!("{other:?}"), before);
    assert!(before.contains("blocked"), "{before}");
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map("[abc]", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever stands in a row, every expression comes to an end without a panic.
    #[test]
    fn no_row_breaks_an_expression(json in json(), login in any::<i64>()) {
        let user = ExportedUser {
            user_metadata: raw(&json.to_string()),
            last_login: Timestamp::from_millisecond(login).ok(),
            ..ada()
        };
        let row = Row::new(&user, now());
        for source in [
            "user_metadata.a", "user_metadata.a.b > 1", "user_metadata.a + user_metadata.b == 'x'",
            "user_metadata.a * 3 - 2 / 7 > 1", "user_metadata.a % 0 == 1", "-user_metadata.a == 0",
            "timestamp(user_metadata.a) > now", "duration(user_metadata.a) > duration('1h')",
            "int(user_metadata.a) > 1", "double(user_metadata.a) > 1.0", "string(user_metadata.a) == ''",
            "user_metadata.a.matches(user_metadata.b)", "user_metadata.a.split(user_metadata.b).size() > 1",
            "user_metadata.a.substring(user_metadata.b) == ''", "user_metadata.a.replace('', 'x') == ''",
            "user_metadata.a.charAt(user_metadata.b) == ''", "user_metadata.a.indexOf('a', user_metadata.b) == 0",
            "user_metadata.a.exists(x, x == 1 || x.b > 2)", "user_metadata.a[user_metadata.b] == 1",
            "user_metadata.b in user_metadata.a", "last_login - duration('9000000h') < now",
            "last_login.getFullYear() > 1", "user_metadata == app_metadata", "size(user_metadata.a) > 1",
            "user_metadata.a.lowerAscii().trim() == user_metadata.a.upperAscii()", "user_metadata.a < user_metadata.b",
            "bytes(user_metadata.a) == b'a'", "bool(user_metadata.a)", "uint(user_metadata.a) == 1u",
        ] {
            let expression = compile(source);
            let _ = expression.holds(&row);
            let _ = expression.text(&row);
        }
    }

    /// Whatever is written as an expression compiles or is refused.
    #[test]
    fn no_text_breaks_the_compiler(source in "[a-z_.'\\[\\]() <>=!&|?:,0-9é`\"\\\\+*/%{}-]{0,60}") {
        if let Ok(expression) = Expression::compile(&source) {
            let _ = expression.holds(&Row::new(&ada(), now()));
        } else if let Err(fault) = Expression::compile(&source) {
            prop_assert!(fault.at <= source.chars().count());
        }
    }
}
