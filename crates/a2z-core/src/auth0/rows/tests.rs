use std::io::Cursor;

use proptest::prelude::*;

use super::*;

mod odd;

fn rows(text: &str) -> Vec<Row> {
    let options = Options::new(1 << 20, "--users");
    let mut rows = Rows::over(Records::from_reader(Cursor::new(text.to_owned()), "x", &options).unwrap(), &options);
    std::iter::from_fn(|| rows.next().unwrap()).collect()
}

fn user(text: &str) -> ExportedUser {
    match rows(text).pop().unwrap().kind {
        RowKind::User(user) => *user,
        RowKind::Malformed { reason, .. } => panic!("{reason}"),
    }
}

fn malformed(text: &str) -> (String, Option<String>) {
    match rows(text).pop().unwrap().kind {
        RowKind::User(user) => panic!("{user:?}"),
        RowKind::Malformed { reason, user_id } => (reason, user_id),
    }
}

#[test]
fn a_row_as_the_job_writes_it() {
    let user = user(concat!(
        r#"{"created_at":"2023-08-03T14:47:51.713Z","email":"a@b.co","email_verified":false,"#,
        r#""identities":[{"connection":"DB","user_id":"64cb","provider":"auth0","isSocial":false},"#,
        r#"{"connection":"g","user_id":112233445566778899001,"provider":"google-oauth2","isSocial":true,"#,
        r#""access_token":"canary","profileData":{"email":"c@d.co","email_verified":true,"name":"C"}}],"#,
        r#""name":"Zo\u00eb","blocked":true,"logins_count":7,"user_id":"auth0|64cb","#,
        r#""user_metadata":{"n": 123456789012345678901234567890, "x" : 1.0},"app_metadata":{},"unknown":{"a":[[]]},"#,
        r#""last_password_reset":{"$date":"2019-12-06T18:36:12.412Z"},"multifactor":["google-authenticator"]}"#,
    ));
    assert_eq!((user.line, user.user_id.as_str()), (1, "auth0|64cb"));
    assert_eq!(user.email.as_deref(), Some("a@b.co"));
    assert_eq!(user.email_verified, Some(false));
    assert_eq!(user.name.as_deref(), Some("Zoë"));
    assert!(user.blocked);
    assert_eq!(user.logins_count, Some(7));
    assert_eq!(user.multifactor, ["google-authenticator"]);
    assert_eq!(user.last_password_reset, Some("2019-12-06T18:36:12.412Z".parse().unwrap()));
    assert_eq!(user.user_metadata.unwrap().get(), r#"{"n": 123456789012345678901234567890, "x" : 1.0}"#);
    assert!(user.app_metadata.is_none());
    let identities = user.identities.unwrap();
    assert_eq!(identities[1].user_id, "112233445566778899001");
    assert_eq!(identities[1].email.as_deref(), Some("c@d.co"));
    assert_eq!((identities[1].email_verified, identities[1].is_social), (Some(true), true));
    assert!(!format!("{identities:?}").contains("canary"));
}

#[test]
fn absent_null_and_empty_are_the_same() {
    for row in [
        r#"{"user_id":"a|1"}"#,
        r#"{"user_id":"a|1","email":null,"email_verified":null,"blocked":null,"identities":null,"created_at":null,"user_metadata":null,"app_metadata":null}"#,
        r#"{"user_id":"a|1","email":"","email_verified":"","blocked":"","identities":"","created_at":"","user_metadata":"","app_metadata":{ }}"#,
    ] {
        let user = user(row);
        assert_eq!((user.email, user.email_verified, user.blocked, user.created_at), (None, None, false, None));
        assert!(user.identities.is_none() && user.user_metadata.is_none() && user.app_metadata.is_none());
    }
    assert_eq!(user(r#"{"user_id":"a|1","identities":[]}"#).identities, Some(vec![]));
    assert_eq!(user(r#"{"user_id":"a|1","app_metadata":[1]}"#).app_metadata.unwrap().get(), "[1]");
}

#[test]
fn dates_and_flags_in_every_form() {
    let expected = Some("2019-12-06T18:36:12.412Z".parse().unwrap());
    for date in [
        r#""2019-12-06T18:36:12.412Z""#,
        r#""2019-12-06T18:36:12.412""#,
        r#""2019-12-06T19:36:12.412+01:00""#,
        "1575657372412",
        r#""1575657372412""#,
        r#"{"$date":"2019-12-06T18:36:12.412Z"}"#,
        r#"{"$date":1575657372412}"#,
        r#"{"$date":{"$numberLong":"1575657372412"}}"#,
    ] {
        let row =
            format!(r#"{{"user_id":"a|1","last_password_reset":{date},"blocked":"True","email_verified":"false"}}"#);
        let user = user(&row);
        assert_eq!(user.last_password_reset, expected, "{date}");
        assert!(user.blocked);
        assert_eq!(user.email_verified, Some(false));
    }
}

#[test]
fn the_dashboards_titles() {
    let user = user(
        r#"{"Id":"google-oauth2|1","Given Name":"A","Family Name":"B","Email Verified":true,"Email":"a@b.co","Connection":"g","Created At":"2019-12-06T18:36:12.412Z","Nickname":"n","Name":"A B","Picture":"p"}"#,
    );
    assert_eq!(user.user_id, "google-oauth2|1");
    assert_eq!((user.given_name.as_deref(), user.family_name.as_deref()), (Some("A"), Some("B")));
    assert_eq!(user.email_verified, Some(true));
    assert!(user.created_at.is_some());
    let identity = &user.identities.unwrap()[0];
    assert_eq!((identity.provider.as_str(), identity.user_id.as_str()), ("google-oauth2", "1"));
    assert_eq!((identity.connection.as_deref(), identity.is_social), (Some("g"), true));
}

#[test]
fn the_own_name_counts_before_an_alias_and_the_last_of_two() {
    let both = user(r#"{"user_id":"auth0|1","id":"999","emailVerified":false,"email_verified":true}"#);
    assert_eq!((both.user_id.as_str(), both.email_verified), ("auth0|1", Some(true)));
    assert_eq!(user(r#"{"user_id":"auth0|1","email":"a@b.co","email":"c@d.co"}"#).email.as_deref(), Some("c@d.co"));
}

#[test]
fn malformed_rows_say_why_and_quote_nothing() {
    for (row, reason, id) in [
        (r#"{"user_id":"auth0|1","email":"canary"#, "middle", Some("auth0|1")),
        (r#"{"user_id":"auth0|1",canary}"#, "column", Some("auth0|1")),
        (r#"["canary"]"#, "object", None),
        (r#"{"email":"canary"}"#, "no `user_id`", None),
        (r#"{"user_id":["auth0|canary"]}"#, "`user_id`", None),
        (r#"{"user_id":{"canary":1}}"#, "`user_id`", None),
        (r#"{"user_id":true,"email":"canary"}"#, "`user_id`", None),
        (r#"{"user_id":1.5e3,"email":"canary"}"#, "`user_id`", None),
        (r#"{"user_id":"auth0|canary\ud83d"}"#, "`user_id`", None),
        (r#"{"user_id":" \t","email":"canary"}"#, "no `user_id`", None),
        (r#"{"identities":[{"user_id":"1"}],"user_id":"auth0|1"} canary"#, "column", Some("auth0|1")),
    ] {
        // Lines: an array at the top would be divided.
        let (why, user_id) = malformed(&format!("{{\"user_id\":\"x|0\"}}\n{row}"));
        assert!(why.contains(reason), "{row}: {why}");
        assert!(!why.contains("canary"), "{why}");
        assert_eq!(user_id.as_deref(), id, "{row}");
    }
}

#[test]
fn one_bad_row_costs_one_row() {
    let deep = "[".repeat(100_000);
    let text =
        format!("{{\"user_id\":\"a|1\"}}\n{{\"user_id\":\"a|2\",\"x\":{deep}}}\nnull\n{{\"user_id\":\"a|3\"}}\n");
    let kinds: Vec<_> = rows(&text).into_iter().map(|row| (row.line, matches!(row.kind, RowKind::User(_)))).collect();
    assert_eq!(kinds, [(1, true), (2, false), (3, false), (4, true)]);
    let deep = format!("{{\"user_id\":\"a|1\",\"user_metadata\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let _ = rows(&deep);
}

#[test]
fn the_survey_sees_what_there_is() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let source = Source::File(file.path().to_owned());
    let options = Options::new(1 << 20, "--users");
    std::fs::write(
        file.path(),
        "{\"user_id\":\"a|1\",\"email\":\"a@b.co\"}\n{\"user_id\":\"a|2\",\"Connection\":\"c\"}",
    )
    .unwrap();
    let shape = survey(&source, &options).unwrap();
    assert_eq!(shape, Shape { has_identities: false, has_connection: true, has_email_verified: false, rows: 2 });
    std::fs::write(file.path(), "{\"identities\":[],\"email_verified\":false}\n{}\n").unwrap();
    let shape = survey(&source, &options).unwrap();
    assert_eq!(shape, Shape { has_identities: true, has_connection: true, has_email_verified: true, rows: 1 });
}

proptest! {
    #[test]
    fn arbitrary_rows_never_panic(text: String, json in "[\\[\\]{}\",:\\\\a-z0-9 ]{0,60}") {
        let _ = user::read(text.as_bytes(), 1);
        let _ = user::salvage_id(text.as_bytes());
        let _ = user::read(format!("{{\"user_id\":\"a|1\",\"identities\":{json}}}").as_bytes(), 1);
    }

    #[test]
    fn texts_come_through_whole(name: String, id in "[a-z0-9|]{1,40}") {
        let user = user(&serde_json::json!({ "user_id": id, "name": name, "user_metadata": { "n": name } }).to_string());
        prop_assert_eq!(user.user_id, id);
        prop_assert_eq!(user.name.unwrap_or_default(), name.clone());
        let metadata: serde_json::Value = serde_json::from_str(user.user_metadata.unwrap().get()).unwrap();
        prop_assert_eq!(metadata, serde_json::json!({ "n": name }));
    }
}
