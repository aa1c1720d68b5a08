//! Values of other types than Auth0 documents: each costs itself, is noted, and gives nobody more than they had.

use std::io::Cursor;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::*, user};
use crate::auth0::user::{MOST_ODD, Reading};

/// A row with these fields beside the id.
fn with(fields: &str) -> ExportedUser {
    user(&format!(r#"{{"user_id":"auth0|1",{fields}}}"#))
}

fn notes(user: &ExportedUser) -> Vec<(Reading, &str)> {
    user.odd.iter().map(|odd| (odd.reading, odd.field.as_ref())).collect()
}

#[test]
fn every_text_field_may_be_of_any_type() {
    type Field = fn(&ExportedUser) -> &Option<String>;
    let fields: [(&str, Field); 8] = [
        ("username", |user| &user.username),
        ("phone_number", |user| &user.phone_number),
        ("name", |user| &user.name),
        ("given_name", |user| &user.given_name),
        ("family_name", |user| &user.family_name),
        ("nickname", |user| &user.nickname),
        ("picture", |user| &user.picture),
        ("locale", |user| &user.locale),
    ];
    for (name, field) in fields {
        for (json, expected) in [
            (r#"["bo"]"#, Some("bo")),
            (r#"["bo","b"]"#, Some("bo")),
            (r#"[null,"bo"]"#, Some("bo")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("0.10", Some("0.10")),
            (r#""bo\ud83d""#, Some("bo\u{fffd}")),
            (r#""\udc00""#, Some("\u{fffd}")),
            (r#"{"first":"bo"}"#, None),
            ("{}", None),
            ("[]", None),
            ("true", None),
            (r#"[["bo"]]"#, None),
            (r#"[{"value":"bo"}]"#, None),
        ] {
            let user = with(&format!(r#""{name}":{json},"email":"a@b.co","email_verified":true"#));
            assert_eq!(field(&user).as_deref(), expected, "{name}: {json}");
            let reading = if expected.is_some() { Reading::Repaired } else { Reading::LeftOut };
            assert_eq!(notes(&user), [(reading, name)], "{name}: {json}");
            assert_eq!((user.email.as_deref(), user.email_verified), (Some("a@b.co"), Some(true)), "{name}: {json}");
        }
        for json in ["null", r#""""#, r#""bo""#, r#""\ud83d\ude00""#, r#""  ""#] {
            let user = with(&format!(r#""{name}":{json}"#));
            assert_eq!(notes(&user), [], "{name}: {json}");
        }
    }
}

#[test]
fn a_doubtful_address_is_unverified() {
    for (email, expected, verified) in [
        (r#""a@b.co""#, Some("a@b.co"), Some(true)),
        (r#"["a@b.co"]"#, Some("a@b.co"), Some(true)),
        (r#"["a@b.co","c@d.co"]"#, Some("a@b.co"), Some(false)),
        (r#"["a@b.co",null]"#, Some("a@b.co"), Some(false)),
        ("7", None, Some(true)),
        ("[7]", None, Some(true)),
        (r#"{"value":"a@b.co"}"#, None, Some(true)),
        ("true", None, Some(true)),
    ] {
        let user = with(&format!(r#""email":{email},"email_verified":true"#));
        assert_eq!((user.email.as_deref(), user.email_verified), (expected, verified), "{email}");
    }
    let several = with(r#""email":["a@b.co","c@d.co"],"email_verified":"yes""#);
    assert!(!several.email_verified_truthy, "no operator can say which of them is verified");
    let phone = with(r#""phone_number":["+41791234567","+41791234568"],"phone_verified":true"#);
    assert_eq!((phone.phone_number.as_deref(), phone.phone_verified), (Some("+41791234567"), Some(false)));
}

#[test]
fn only_what_says_true_verifies() {
    for (json, expected, truthy, noted) in [
        ("true", Some(true), false, false),
        ("1", Some(true), false, false),
        (r#""true""#, Some(true), false, false),
        (r#"" True ""#, Some(true), false, false),
        ("false", Some(false), false, false),
        ("0", Some(false), false, false),
        ("null", None, false, false),
        (r#""""#, None, false, false),
        (r#""  ""#, None, false, false),
        (r#""nina@globex.example""#, Some(false), true, true),
        (r#""1""#, Some(false), true, true),
        (r#""yes""#, Some(false), true, true),
        (r#""half\ud83d""#, Some(false), true, true),
        ("2", Some(false), true, true),
        ("[true]", Some(false), true, true),
        (r#"["true"]"#, Some(false), true, true),
        (r#""false""#, Some(false), false, true),
        (r#""0""#, Some(false), false, true),
        (r#"["false"]"#, Some(false), false, true),
        ("[true,false]", Some(false), false, true),
        ("[]", Some(false), false, true),
        ("{}", Some(false), false, true),
        (r#"{"verified":true}"#, Some(false), false, true),
    ] {
        let user = with(&format!(r#""email":"a@b.co","email_verified":{json}"#));
        assert_eq!((user.email_verified, user.email_verified_truthy), (expected, truthy), "{json}");
        assert_eq!(!user.odd.is_empty(), noted, "{json}");
        let user = with(&format!(r#""phone_number":"+41791234567","phone_verified":{json}"#));
        assert_eq!(user.phone_verified, expected, "{json}");
        assert_eq!(!user.odd.is_empty(), noted, "{json}");
        let row = format!(
            r#"{{"user_id":"sms|1","identities":[{{"provider":"sms","user_id":"1"}},{{"provider":"auth0","connection":"DB","user_id":"2","profileData":{{"email":"a@b.co","email_verified":{json}}}}}]}}"#
        );
        let user = super::user(&row);
        let linked = &user.identities.as_ref().unwrap()[1];
        assert_eq!((linked.email_verified, linked.email_verified_truthy), (expected, truthy), "{json}");
        assert_eq!(!user.odd.is_empty(), noted, "{json}");
    }
}

#[test]
fn whoever_may_be_blocked_is_blocked() {
    for json in ["true", "1", r#""true""#, r#""TRUE""#, r#""1""#] {
        let user = with(&format!(r#""blocked":{json}"#));
        assert!(user.blocked && user.odd.is_empty(), "{json}");
    }
    for json in ["false", "0", "null", r#""""#, r#"" ""#, r#""false""#, r#""0""#] {
        let user = with(&format!(r#""blocked":{json}"#));
        assert!(!user.blocked && user.odd.is_empty(), "{json}");
    }
    for json in [r#""yes""#, r#""no""#, r#""fraud\ud83d""#, "2", "[false]", "[]", "{}", r#"{"until":"2027"}"#] {
        let user = with(&format!(r#""blocked":{json}"#));
        assert!(user.blocked, "{json}");
        assert_eq!(notes(&user), [(Reading::Repaired, "blocked")], "{json}");
    }
}

#[test]
fn unreadable_dates_and_counts_cost_themselves() {
    for name in ["created_at", "updated_at", "last_login", "last_password_reset"] {
        for json in [r#""soon""#, "[]", "{\"$date\":[]}", "true", "1e400", r#""2026-13-45T00:00:00Z""#, r#""\ud83d""#] {
            let user = with(&format!(r#""{name}":{json},"name":"Bo""#));
            assert_eq!(notes(&user), [(Reading::LeftOut, name)], "{name}: {json}");
            assert_eq!(user.name.as_deref(), Some("Bo"));
            let dates = [user.created_at, user.updated_at, user.last_login, user.last_password_reset];
            assert_eq!(dates, [None; 4], "{name}: {json}");
        }
    }
    for json in [r#""NaN""#, "-1", "1.5", "1e3", "[]", "{}", "true", "99999999999999999999999"] {
        let user = with(&format!(r#""logins_count":{json}"#));
        assert_eq!((user.logins_count, notes(&user)), (None, vec![(Reading::LeftOut, "logins_count")]), "{json}");
    }
}

#[test]
fn an_odd_identity_is_none() {
    let sound = r#"{"provider":"google-oauth2","connection":"google-oauth2","user_id":"9","isSocial":true}"#;
    for odd in [
        "null",
        "7",
        "true",
        r#""google-oauth2|9""#,
        "[]",
        r#"[{"provider":"samlp","connection":"corp","user_id":"corp|1"}]"#,
        "{}",
        r#"{"connection":"corp"}"#,
        r#"{"provider":"samlp","connection":"corp"}"#,
        r#"{"connection":"corp","user_id":"corp|1"}"#,
        r#"{"provider":["samlp"],"connection":"corp","user_id":"corp|1"}"#,
        r#"{"provider":"samlp","connection":{"name":"corp"},"user_id":"corp|1"}"#,
        r#"{"provider":"samlp","connection":7,"user_id":"corp|1"}"#,
        r#"{"provider":"samlp","connection":"corp","user_id":["corp|1"]}"#,
        r#"{"provider":"samlp","connection":"corp","user_id":true}"#,
        r#"{"provider":"samlp","connection":"corp","user_id":"corp|\ud83d"}"#,
        r#"{"provider":"","connection":"corp","user_id":""}"#,
    ] {
        let linked = user(&format!(r#"{{"user_id":"google-oauth2|9","identities":[{sound},{odd}]}}"#));
        assert_eq!(linked.identities.as_ref().unwrap().len(), 1, "{odd}");
        assert_eq!(notes(&linked), [(Reading::Identity, "identities[1]")], "{odd}");
        assert_eq!(linked.connection(), Some("google-oauth2"));

        // In the place of the primary one: the linked one is not taken for it.
        let primary = user(&format!(r#"{{"user_id":"samlp|corp|7","identities":[{odd},{sound}]}}"#));
        assert_eq!((primary.identities.as_ref().unwrap().len(), primary.connection()), (1, None), "{odd}");
        assert!(primary.identities_damaged);

        // That there is a database account, `user_id` says itself.
        let database = user(&format!(r#"{{"user_id":"auth0|7","identities":[{odd}]}}"#));
        let identities = database.identities.unwrap();
        assert_eq!((identities[0].provider.as_str(), identities[0].user_id.as_str()), ("auth0", "7"), "{odd}");
        assert_eq!((identities.len(), identities[0].connection.as_deref()), (1, None), "{odd}");
    }
    for odd in [r#""google-oauth2|9""#, sound, "7", "true"] {
        let user = user(&format!(r#"{{"user_id":"google-oauth2|9","identities":{odd}}}"#));
        assert_eq!((user.identities.as_deref(), user.identities_damaged), (Some(&[][..]), true), "{odd}");
        assert_eq!(notes(&user), [(Reading::Identity, "identities")], "{odd}");
    }
}

#[test]
fn a_primary_database_account_is_completed_where_it_agrees_with_the_id() {
    for first in [r#"{"provider":"auth0","connection":"DB"}"#, r#"{"connection":"DB","user_id":"1"}"#] {
        let user = with(&format!(r#""identities":[{first}]"#));
        assert_eq!((user.connection(), user.odd.len()), (Some("DB"), 0), "{first}");
    }
}

#[test]
fn an_odd_profile_costs_itself_and_not_the_identity() {
    let row = |profile: &str| {
        with(&format!(
            r#""identities":[{{"provider":"auth0","connection":"DB","user_id":"1"}},{{"provider":"auth0","connection":"DB","user_id":"2","profileData":{profile}}}]"#
        ))
    };
    for odd in ["7", "[]", r#""x""#, "true"] {
        let user = row(odd);
        assert_eq!(user.identities.as_ref().unwrap()[1].user_id, "2", "{odd}");
        assert_eq!(notes(&user), [(Reading::LeftOut, "identities[1].profileData")], "{odd}");
    }
    let user = row(
        r#"{"email":["a@b.co","c@d.co"],"email_verified":true,"username":{"a":1},"name":["N"],"emailVerified":true}"#,
    );
    let linked = &user.identities.as_ref().unwrap()[1];
    assert_eq!((linked.email.as_deref(), linked.email_verified), (Some("a@b.co"), Some(false)));
    assert_eq!((linked.username.as_deref(), linked.name.as_deref()), (None, Some("N")));
    let alike = row(r#"{"email":"a@b.co","emailVerified":true}"#);
    assert_eq!(alike.identities.unwrap()[1].email_verified, None, "a provider's own name");
}

#[test]
fn the_id_is_read_exactly_or_not_at_all() {
    assert_eq!(user(r#"{"user_id":" \nauth0|1"}"#).user_id, "auth0|1");
    // A database script may have given an id that ends so.
    assert_eq!(user(r#"{"user_id":"auth0|1 "}"#).user_id, "auth0|1 ");
    let number = user(r#"{"user_id":12345678901234567890123}"#);
    assert_eq!(
        (number.user_id.as_str(), notes(&number)),
        ("12345678901234567890123", vec![(Reading::Repaired, "user_id")])
    );
    assert_eq!(
        user(r#"{"user_id":"auth0|a","user_id":"auth0|b"}"#).user_id,
        "auth0|b",
        "the last counts, as in JavaScript"
    );
}

#[test]
fn lists_of_factors_lose_what_is_no_text() {
    assert_eq!(with(r#""multifactor":["duo",null,7,{"a":1},"guardian"]"#).multifactor, ["duo", "7", "guardian"]);
    assert_eq!(with(r#""multifactor":"duo""#).multifactor, ["duo"]);
    assert!(with(r#""multifactor":{"duo":true}"#).multifactor.is_empty());
}

#[test]
fn metadata_stays_as_it_is_whatever_it_is() {
    for json in [
        r#"{"half\ud83d":"\ud83d", "n":1e400}"#,
        r#"{"a":1,"a":2}"#,
        "[[[]]]",
        "\"text\"",
        "7",
        "false",
        "{\"control\":\"\\u0000\\u001b\"}",
    ] {
        let user = with(&format!(r#""user_metadata":{json},"app_metadata":{json}"#));
        assert_eq!(user.user_metadata.unwrap().get(), json);
        assert_eq!(user.app_metadata.unwrap().get(), json);
        assert_eq!(user.odd, [], "{json}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(with(&format!(r#""user_metadata":{deep}"#)).user_metadata.unwrap().get(), deep);
}

#[test]
fn odd_keys_cost_nobody() {
    let user = with(r#""\ud83d":1,"half\udc00key":{"\ud83d":[]},"name":"Bo""#);
    assert_eq!((user.name.as_deref(), user.odd.len()), (Some("Bo"), 0));
}

#[test]
fn a_row_that_is_not_utf8_costs_its_characters() {
    let read = |row: &[u8]| {
        let options = Options::new(1 << 20, "--users");
        let records = Records::from_reader(Cursor::new(row.to_vec()), "x", &options).unwrap();
        Rows::over(records, &options).next().unwrap().unwrap().kind
    };
    let RowKind::User(user) = read(b"{\"user_id\":\"auth0|1\",\"name\":\"Zo\xeb\",\"email\":\"a@b.co\"}") else {
        panic!()
    };
    assert_eq!((user.name.as_deref(), user.email.as_deref()), (Some("Zo\u{fffd}"), Some("a@b.co")));
    assert_eq!(notes(&user), [(Reading::Repaired, "the row")]);
    let row = b"{\"user_id\":\"auth0|\xeb\"}";
    assert!(matches!(read(row), RowKind::Malformed { .. }), "two ids would become one");
}

#[test]
fn a_hostile_row_takes_no_memory_for_its_oddities() {
    let user = with(&format!(r#""identities":[{}null]"#, "null,".repeat(50_000)));
    assert_eq!(user.odd.len(), MOST_ODD);
    let long = with(&format!(r#""name":["{}"]"#, "x".repeat(100_000)));
    assert_eq!(long.name.unwrap().len(), 100_000);
}

/// Any JSON, as deep as profiles go.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof!["true", "False", "0", "1", "no", "a@b\\.co"].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,9}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// Whatever stands in the optional fields, the user is read, and nothing is verified or unblocked that does not say so.
    #[test]
    fn no_optional_field_costs_the_row(values in prop::collection::vec(value(), 23), identity in value()) {
        let fields = [
            "email", "email_verified", "username", "phone_number", "phone_verified", "name", "given_name", "family_name",
            "nickname", "picture", "locale", "identities", "created_at", "updated_at", "last_login", "last_password_reset",
            "logins_count", "blocked", "user_metadata", "app_metadata", "multifactor", "connection",
            "identities[0].connection",
        ];
        let mut row: serde_json::Map<String, Value> = fields.iter().map(|name| (*name).to_owned()).zip(values).collect();
        row.insert("user_id".into(), "auth0|1".into());
        for identities in [row["identities"].clone(), json!([identity])] {
            row.insert("identities".into(), identities);
            let user = user(&Value::Object(row.clone()).to_string());
            prop_assert_eq!(&user.user_id, "auth0|1");
            let says = |field: &str, yes: &[Value]| {
                yes.contains(&row[field]) || row[field].as_str().is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
            };
            for (field, flag) in [("email_verified", user.email_verified), ("phone_verified", user.phone_verified)] {
                prop_assert!(flag != Some(true) || says(field, &[true.into(), 1.into()]), "{field}: {}", row[field]);
            }
            let text = row["blocked"].as_str().map(str::trim);
            let free = matches!(row["blocked"], Value::Null | Value::Bool(false))
                || row["blocked"] == json!(0)
                || text.is_some_and(|text| text.is_empty() || text == "0" || text.eq_ignore_ascii_case("false"));
            prop_assert_eq!(user.blocked, !free, "{}", row["blocked"]);
            for identity in user.identities.iter().flatten() {
                prop_assert!(identity.email_verified != Some(true) || row["identities"].is_array());
            }
        }
    }
}
