use serde_json::{Value as Json, json};

use super::*;
use crate::mapping::draft;

pub(in crate::zitadel) fn full() -> Draft {
    Draft {
        user_id: "auth0|1".into(),
        user_name: "ada".into(),
        profile: draft::Profile {
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            display_name: Some("Ada L".into()),
            nick_name: Some("a\"da".into()),
            preferred_language: Some("en".into()),
        },
        email: draft::Email { address: "ada@example.com".into(), verified: true },
        phone: Some(draft::Phone { number: "+41791234567".into(), verified: true }),
        password: Some(draft::Password { hash: "$2b$10$hash".into(), change_required: false }),
        inactive: true,
        links: vec![draft::Link {
            idp_id: "idp".into(),
            external_user_id: "123".into(),
            display_name: "Ada".into(),
            by_import: true,
        }],
        totp_secret: Some("JBSWY3DPEHPK3PXP".into()),
        recovery_codes: vec!["$2b$10$code".into()],
        metadata: vec![
            draft::Metadata { key: "auth0.app_metadata".into(), value: br#"{"a":1}"#.to_vec() },
            draft::Metadata { key: "k".into(), value: vec![0, 255] },
        ],
    }
}

fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/fixtures/contract/zitadel/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(path).unwrap();
    let exchange: Json = serde_json::from_slice(&text).unwrap();
    exchange["response"]["body"].to_string().into_bytes()
}

#[test]
fn a_whole_body() {
    let mut body = ImportBody::new("org");
    body.push(&full());
    assert_eq!((body.user_count(), body.is_empty()), (1, false));
    let body: Json = serde_json::from_slice(&body.finish(Duration::from_mins(1))).unwrap();
    assert_eq!(
        body,
        json!({
            "dataOrgs": { "orgs": [{
                "orgId": "org",
                "humanUsers": [{
                    "userId": "auth0|1",
                    "user": {
                        "userName": "ada",
                        "profile": {
                            "firstName": "Ada", "lastName": "Lovelace", "nickName": "a\"da", "displayName": "Ada L",
                            "preferredLanguage": "en"
                        },
                        "email": { "email": "ada@example.com", "isEmailVerified": true },
                        "phone": { "phone": "+41791234567", "isPhoneVerified": true },
                        "hashedPassword": { "value": "$2b$10$hash" },
                        "otpCode": "JBSWY3DPEHPK3PXP",
                        "idps": [{ "configId": "idp", "externalUserId": "123", "displayName": "Ada" }],
                        "recoveryCodes": [{ "hash": "$2b$10$code" }]
                    },
                    "state": "USER_STATE_INACTIVE"
                }],
                "userMetadata": [
                    { "id": "auth0|1", "key": "auth0.app_metadata", "value": "eyJhIjoxfQ==" },
                    { "id": "auth0|1", "key": "k", "value": "AP8=" }
                ]
            }] },
            "timeout": "60s"
        })
    );
}

#[test]
fn metadata_alone_and_many_users() {
    let mut body = ImportBody::new("org");
    assert!(body.is_empty());
    body.push_metadata_only(&full());
    body.push_metadata_only(&full());
    assert_eq!((body.user_count(), body.is_empty()), (0, false));
    let one: Json = serde_json::from_slice(&body.finish(Duration::from_millis(1500))).unwrap();
    let org = &one["dataOrgs"]["orgs"][0];
    assert!(org.get("humanUsers").is_none());
    assert_eq!((org["userMetadata"].as_array().map(Vec::len), &one["timeout"]), (Some(4), &json!("1500ms")));

    let mut body = ImportBody::new("org");
    body.push(&Draft { metadata: Vec::new(), ..full() });
    body.push(&full());
    let two: Json = serde_json::from_slice(&body.finish(Duration::from_mins(1))).unwrap();
    assert_eq!(two["dataOrgs"]["orgs"][0]["humanUsers"].as_array().map(Vec::len), Some(2));
}

#[test]
fn users_of_several_organizations_share_a_request() {
    let mut body = ImportBody::new("main");
    for organization in ["a", "b", "a"] {
        body.organization(organization);
        body.push(&full());
    }
    // The main one has nobody, and is left out.
    assert_eq!(body.places(), [vec![0, 2], vec![1]]);
    let sent: Json = serde_json::from_slice(&body.finish(Duration::from_mins(1))).unwrap();
    let orgs = sent["dataOrgs"]["orgs"].as_array().unwrap();
    let count = |at: usize, key: &str| orgs[at][key].as_array().map(Vec::len);
    assert_eq!((orgs.len(), &orgs[0]["orgId"], &orgs[1]["orgId"]), (2, &json!("a"), &json!("b")));
    assert_eq!((count(0, "humanUsers"), count(1, "humanUsers")), (Some(2), Some(1)));
    assert_eq!((count(0, "userMetadata"), count(1, "userMetadata")), (Some(4), Some(2)));
}

/// An independent count: the message encoded by hand.
#[test]
fn the_size_is_that_of_the_encoded_message() {
    fn bytes(tag: u32, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |mut value: usize| {
            while value >= 0x80 {
                out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
                value >>= 7;
            }
            out.push(u8::try_from(value).unwrap());
        };
        put((tag as usize) << 3 | 2);
        put(content.len());
        out.extend_from_slice(content);
        out
    }
    let mut draft = full();
    draft.metadata[0].value = vec![7; 20_000];
    let text = |tag, text: &str| bytes(tag, text.as_bytes());
    let on = |tag: u8| vec![tag << 3, 1];
    let profile = [text(1, "Ada"), text(2, "Lovelace"), text(3, "a\"da"), text(4, "Ada L"), text(5, "en")].concat();
    let user = [
        text(1, "ada"),
        bytes(2, &profile),
        bytes(3, &[text(1, "ada@example.com"), on(2)].concat()),
        bytes(4, &[text(1, "+41791234567"), on(2)].concat()),
        bytes(6, &text(1, "$2b$10$hash")),
        text(9, "JBSWY3DPEHPK3PXP"),
        bytes(10, &[text(1, "idp"), text(2, "123"), text(3, "Ada")].concat()),
        bytes(11, &text(2, "$2b$10$code")),
    ]
    .concat();
    let whole = bytes(14, &[text(1, "auth0|1"), bytes(2, &user), on(3)].concat());
    let metadata = |key: &str, value: &[u8]| bytes(23, &[text(1, "auth0|1"), text(2, key), bytes(3, value)].concat());
    let metadata = [metadata("auth0.app_metadata", &vec![7; 20_000]), metadata("k", &[0, 255])].concat();
    assert_eq!(metadata_size(&draft), metadata.len());
    assert_eq!(protobuf_size(&draft), whole.len() + metadata.len());
}

#[test]
fn reads_recorded_answers() {
    let mixed = ImportAnswer::parse(&recorded("017-import-mixed")).unwrap();
    assert!(mixed.created.contains("auth0|c0000000000000000000010"));
    let bad = mixed.errors.iter().find(|error| error.is_about("auth0|c0000000000000000000013")).unwrap();
    assert_eq!(
        (bad.kind.as_str(), bad.error_id.as_deref(), bad.message_key.as_str()),
        ("human_user", Some("CRYPT-r8Qm2"), "Errors.User.Password.Invalid")
    );
    assert!(mixed.errors.iter().all(|error| error.kind != "org"));

    let metadata = ImportAnswer::parse(&recorded("036-import-metadata")).unwrap();
    let key = ("auth0|c0000000000000000000035".to_owned(), "auth0.app_metadata".to_owned());
    assert_eq!(metadata.metadata, HashSet::from([key]));
    let [error] = metadata.errors.as_slice() else { panic!("{metadata:?}") };
    assert!(error.is_about_metadata("auth0|nobody", "k") && !error.is_about("auth0|nobody_k"));
}

#[test]
fn a_missing_organization_is_a_failure() {
    let failure = ImportAnswer::parse(&recorded("029-import-org-missing")).unwrap_err();
    assert_eq!(failure.id(), Some("COMM-deLSk"));
    assert!(!failure.is_ambiguous());
}

#[test]
fn what_is_no_answer() {
    for body in ["", "{}", "<html>", "[]", r#"{"code":2,"message":"x"}"#, r#"{"success":{"orgs":[{"huma"#] {
        let failure = ImportAnswer::parse(body.as_bytes()).unwrap_err();
        assert!(matches!(failure, Failure::Gibberish { .. }) && failure.is_ambiguous(), "{body}");
    }
}

#[test]
fn strange_errors_are_kept() {
    let body = json!({
        "errors": [{ "type": "human_user", "id": "a", "message": "unknown database error: \u{1b}[31m" }],
        "success": { "orgs": null }
    });
    let answer = ImportAnswer::parse(body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.errors[0].error_id, None);
    assert_eq!(answer.errors[0].message_key, "unknown database error: \\u{1b}[31m");
}

#[test]
fn trouble_of_the_server_is_told_from_a_decision() {
    let decided = |message: &str| {
        let body = json!({
            "errors": [{ "type": "human_user", "id": "a", "message": message }],
            "success": {}
        });
        ImportAnswer::parse(body.to_string().as_bytes()).unwrap().errors[0].is_decided()
    };
    assert!(decided("ID=V3-DKcYh Message=Errors.User.AlreadyExists"));
    assert!(decided("ID=PHONE-so0wa Message=Errors.User.Phone.Invalid"));
    for message in [
        // As a real one wrote it, when a write took longer than 15 s.
        "ID=V3-DKcYh Message=Errors.Internal\nunknown database error: failed to deallocate cached statement(s): conn closed",
        "ID=V3-5jU5z Message=Errors.Internal",
        "ID=SQL-KyeAx Message=unable to filter events",
        "ID=COMMAND-2N9fs Message=Errors.Org.DomainPolicy.NotFound",
        "unknown database error: failed to connect",
        "context deadline exceeded",
    ] {
        assert!(!decided(message), "{message}");
    }
}
