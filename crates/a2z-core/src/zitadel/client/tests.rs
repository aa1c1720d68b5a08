use secrecy::SecretString;

use super::*;
use crate::{
    http::testing::{self, Request as Seen, Server, quick, reply},
    mapping::draft::Metadata,
    zitadel::{events::EventQuery, search::UserState, settings::ZitadelCredentials, users::SessionUser},
};

pub(in crate::zitadel) fn client(server: &Server) -> Client {
    let zitadel = Zitadel {
        url: Some(server.url.join("ui/console?x=1").unwrap()),
        credentials: Some(ZitadelCredentials::Token("canary".into())),
        ..Zitadel::default()
    };
    Client::new(&zitadel, &quick(), None, Events::silent(), CancellationToken::new()).unwrap()
}

fn refusal(status: u16, code: i64, id: &str) -> Vec<u8> {
    let detail = json!({ "@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "id": id, "message": "x" });
    testing::json(status, &json!({ "code": code, "message": format!("x ({id})"), "details": [detail] }))
}

async fn server(answer: impl Fn(&Seen, usize) -> Vec<u8> + Send + Sync + 'static) -> (Server, Client) {
    let server = Server::start(answer).await;
    let client = client(&server);
    (server, client)
}

#[test]
fn ids_that_may_stand_in_a_path() {
    assert_eq!(path_segment("auth0|5f.a-b_c@d").as_deref(), Some("auth0%7C5f.a-b_c@d"));
    for id in ["", ".", "..", ".a", "a/b", "a%2Fb", "a?b", "a#b", "a:b", "a b", "a+b", "é", "a\\b", "a;b", "a\nb"] {
        assert_eq!(path_segment(id), None, "{id}");
    }
}

#[tokio::test]
async fn odd_ids_travel_in_the_body() {
    let (server, client) = server(|_, _| testing::json(200, &json!({ "details": {} }))).await;
    for id in ["auth0|1", "oidc|c/d"] {
        assert!(client.delete_user(id).await.unwrap());
        client.deactivate(id).await.unwrap();
        client.update_user(id, Bytes::from_static(br#"{"username":"x"}"#)).await.unwrap();
        client.set_metadata(id, &[Metadata { key: "k".into(), value: vec![0, 255] }]).await.unwrap();
        client.set_metadata(id, &[Metadata { key: "k".into(), value: Vec::new() }]).await.unwrap();
        assert!(client.user_metadata(id).await.unwrap().is_empty());
    }
    let seen: Vec<String> = server.seen().iter().map(|r| format!("{} {} {}", r.method, r.path, r.body)).collect();
    let service = "/zitadel.user.v2.UserService";
    assert_eq!(
        seen,
        [
            "DELETE /v2/users/auth0%7C1 ".to_owned(),
            "POST /v2/users/auth0%7C1/deactivate {}".into(),
            r#"PATCH /v2/users/auth0%7C1 {"username":"x"}"#.into(),
            r#"POST /v2/users/auth0%7C1/metadata {"metadata":[{"key":"k","value":"AP8="}]}"#.into(),
            r#"POST /v2/users/auth0%7C1/metadata {"metadata":[{"key":"k","value":""}]}"#.into(),
            r#"POST /v2/users/auth0%7C1/metadata/search {"pagination":{"limit":1000}}"#.into(),
            format!(r#"POST {service}/DeleteUser {{"userId":"oidc|c/d"}}"#),
            format!(r#"POST {service}/DeactivateUser {{"userId":"oidc|c/d"}}"#),
            format!(r#"POST {service}/UpdateUser {{"userId":"oidc|c/d","username":"x"}}"#),
            format!(
                r#"POST {service}/SetUserMetadata {{"metadata":[{{"key":"k","value":"AP8="}}],"userId":"oidc|c/d"}}"#
            ),
            format!(r#"POST {service}/SetUserMetadata {{"metadata":[{{"key":"k","value":""}}],"userId":"oidc|c/d"}}"#),
            format!(r#"POST {service}/ListUserMetadata {{"pagination":{{"limit":1000}},"userId":"oidc|c/d"}}"#),
        ]
    );
    assert!(server.seen().iter().all(|request| request.header("authorization") == Some("Bearer canary")));
}

#[tokio::test]
async fn imports_and_creations_are_never_sent_twice() {
    let (server, client) = server(|_, _| Vec::new()).await;
    let body = Bytes::from_static(b"{}");
    let failure = client.import(body.clone(), Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(failure, Failure::Lost { .. }) && failure.is_ambiguous());
    assert!(client.create_user(body).await.unwrap_err().is_ambiguous());
    assert!(client.create_organization("x", None).await.unwrap_err().is_ambiguous());
    assert_eq!(server.seen().len(), 3);
    // A search is.
    assert!(client.search_by_ids(&["a".into()]).await.is_err());
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_not_a_rate_limit() {
    let message = "grpc: received message larger than max (4695815 vs. 4194304)";
    let (server, client) = server(move |_, n| match n {
        0 => testing::json(429, &json!({ "code": 8, "message": message })),
        _ => testing::json(429, &json!({ "code": 8, "message": "quota" })),
    })
    .await;
    let body = Bytes::from_static(b"{}");
    assert!(matches!(client.import(body.clone(), Duration::from_secs(1)).await, Err(Failure::TooLarge)));
    assert_eq!(server.seen().len(), 1);
    assert!(matches!(client.import(body, Duration::from_secs(1)).await, Err(Failure::Throttled)));
    // Never sent twice by itself: a proxy may have said it after the work was done.
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_503_may_hide_an_import_that_was_done() {
    let (server, client) = server(|_, _| reply(503, "", "<html>")).await;
    let failure = client.import(Bytes::from_static(b"{}"), Duration::from_secs(1)).await.unwrap_err();
    assert!(failure.is_ambiguous(), "{failure:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_200_that_is_not_from_zitadel() {
    for body in ["", "<html>welcome</html>", r#"{"code":2,"message":"x"}"#, r#"{"success":{"orgs"#, "[]"] {
        let (_server, client) = server(move |_, _| reply(200, "", body)).await;
        let failures = [
            client.import(Bytes::from_static(b"{}"), Duration::from_secs(1)).await.unwrap_err(),
            client.search_by_ids(&["a".into()]).await.unwrap_err(),
            client.deactivate("a").await.unwrap_err(),
            client.user("a").await.unwrap_err(),
        ];
        for failure in failures {
            assert!(matches!(failure, Failure::Gibberish { .. }), "{body}: {failure:?}");
        }
    }
}

#[tokio::test]
async fn reads_users() {
    let body = json!({
        "details": { "totalResult": "9", "timestamp": "2026-11-23T18:40:46.014252Z" },
        "result": [
            {
                "userId": "auth0|1",
                "details": { "resourceOwner": "org", "creationDate": "2026-01-01T00:00:00Z", "changeDate": "c" },
                "state": "USER_STATE_INITIAL",
                "username": "ada",
                "loginNames": ["ada@acme.example"],
                "human": {
                    "profile": { "givenName": "Ada", "familyName": "L", "nickName": "", "preferredLanguage": "und" },
                    "email": { "email": "ada@example.com", "isVerified": true },
                    "phone": {},
                    "passwordChanged": "2026-01-01T00:00:00Z"
                }
            },
            { "userId": "m", "state": "USER_STATE_NEW_ONE", "machine": { "name": "x" } }
        ]
    });
    let (server, client) =
        server(move |_, _| reply(200, "date: Mon, 23 Nov 2026 18:40:50 GMT\r\n", body.to_string())).await;
    let answer = client.search_by_ids(&["auth0|1".into(), "m".into()]).await.unwrap();
    assert_eq!((answer.total, answer.users.len()), (2, 2));
    assert_eq!(answer.timestamp, Some("2026-11-23T18:40:46.014252Z".parse().unwrap()));
    assert_eq!(answer.server_date, Some("2026-11-23T18:40:50Z".parse().unwrap()));
    let ada = &answer.users[0];
    assert_eq!((ada.state, ada.organization_id.as_str(), ada.is_human), (UserState::Initial, "org", true));
    assert_eq!((ada.email.as_str(), ada.email_verified, ada.phone.as_str()), ("ada@example.com", true, ""));
    assert_eq!((ada.password_changed.as_ref(), ada.nick_name.as_str()), (ada.created.as_ref(), ""));
    assert_eq!((answer.users[1].state, answer.users[1].is_human), (UserState::Unknown, false));
    assert_eq!(
        serde_json::from_str::<Value>(&server.seen()[0].body).unwrap(),
        json!({ "query": { "limit": 2 }, "queries": [{ "inUserIdsQuery": { "userIds": ["auth0|1", "m"] } }] })
    );
}

#[tokio::test]
async fn metadata_over_several_pages() {
    let (server, client) = server(|_, n| {
        let keys = if n == 0 { 0..1000 } else { 1000..1003 };
        let entries: Vec<Value> = keys.map(|k| json!({ "key": format!("k{k}"), "value": "AP8=" })).collect();
        testing::json(200, &json!({ "metadata": entries }))
    })
    .await;
    let metadata = client.user_metadata("auth0|1").await.unwrap();
    assert_eq!((metadata.len(), metadata["k1002"].as_slice()), (1003, &[0, 255][..]));
    assert!(server.seen()[1].body.contains(r#""offset":"1000""#));
}

#[tokio::test]
async fn the_barrier_repeats_until_nobody_is_found() {
    let (barrier, client) = server(|_, n| match n {
        0..=2 => reply(503, "", ""),
        _ => refusal(404, 5, "QUERY-Dfbg2"),
    })
    .await;
    client.barrier(Duration::from_secs(30)).await.unwrap();
    assert_eq!(barrier.seen().len(), 4);
    assert_eq!(barrier.seen()[0].path, "/v2/users/a2z-barrier");

    // What no repetition helps is said at once.
    let (refused, client) = server(|_, _| testing::json(401, &json!({ "code": 16, "message": "x" }))).await;
    assert!(matches!(client.barrier(Duration::from_secs(30)).await, Err(Failure::Unauthenticated(_))));
    assert_eq!(refused.seen().len(), 1);
}

#[tokio::test]
async fn the_wanted_state_and_a_user_who_is_gone() {
    let (_server, client) = server(|request, _| match request.path.as_str() {
        "/v2/users/a/deactivate" => refusal(400, 9, "COMMAND-5gunjw0cd7"),
        "/v2/users/a/reactivate" => refusal(400, 9, "COMMAND-s5qqcz97hf"),
        "/v2/users/b/deactivate" => refusal(400, 9, "COMMAND-other"),
        "/v2/users/b" => refusal(404, 5, "QUERY-Dfbg2"),
        "/v2/users/a" => refusal(404, 5, "COMMAND-bd4ir1mblj"),
        _ => testing::json(404, &json!({ "code": 5, "message": "Not Found" })),
    })
    .await;
    client.deactivate("a").await.unwrap();
    client.reactivate("a").await.unwrap();
    assert_eq!(client.deactivate("b").await.unwrap_err().id(), Some("COMMAND-other"));
    assert!(!client.delete_user("a").await.unwrap());
    assert!(client.user("b").await.unwrap().is_none());
    // The gateway's own 404 says nothing about a user.
    assert!(client.delete_user("c").await.is_err());
    assert!(client.user("c").await.is_err());
}

#[tokio::test]
async fn asks_about_the_instance() {
    let (server, client) = server(|request, _| {
        let body = match request.path.as_str() {
            "/debug/ready" => json!("ok"),
            "/auth/v1/users/me" => {
                json!({ "user": { "id": "1", "userName": "svc", "details": { "resourceOwner": "o" } } })
            }
            "/auth/v1/memberships/me/_search" => json!({ "result": [
                { "roles": ["ORG_OWNER"], "orgId": "o" }, { "roles": ["IAM_OWNER"], "iam": true }
            ] }),
            "/v2/organizations/_search" if request.body.contains("\"o\"") => {
                json!({ "result": [{ "id": "o", "name": "Acme", "state": "ORGANIZATION_STATE_ACTIVE" }] })
            }
            "/v2/organizations/_search" => json!({ "details": {} }),
            "/v2/organizations" => return testing::json(201, &json!({ "organizationId": "new" })),
            "/admin/v1/orgs/default" => json!({ "org": { "id": "d", "state": "ORG_STATE_INACTIVE" } }),
            "/v2/settings/domain?ctx.orgId=a%26b" => json!({ "settings": { "loginNameIncludesDomain": true } }),
            "/v2/settings/domain?ctx.orgId=o" => json!({ "settings": {} }),
            "/admin/v1/email/_search" => json!({ "result": [{ "state": "EMAIL_PROVIDER_ACTIVE" }] }),
            "/management/v1/policies/notification" => json!({ "policy": { "passwordChange": true } }),
            _ => return reply(404, "", ""),
        };
        testing::json(200, &body)
    })
    .await;
    client.ready().await.unwrap();
    let me = client.me().await.unwrap();
    assert_eq!((me.user_id.as_str(), me.user_name.as_str(), me.organization_id.as_str()), ("1", "svc", "o"));
    let memberships = client.memberships().await.unwrap();
    assert_eq!((memberships[0].org_id.as_deref(), memberships[0].iam), (Some("o"), false));
    assert_eq!((memberships[1].roles[0].as_str(), memberships[1].iam), ("IAM_OWNER", true));
    assert!(client.organization("o").await.unwrap().is_some_and(|org| org.is_active() && org.name == "Acme"));
    assert!(client.organization_by_name("Nobody").await.unwrap().is_none());
    assert!(!client.default_organization().await.unwrap().is_active());
    assert_eq!(client.create_organization("N", Some("new")).await.unwrap(), "new");
    assert!(client.domain_settings("a&b").await.unwrap() && !client.domain_settings("o").await.unwrap());
    assert!(client.mail_provider_configured().await.unwrap());
    assert!(client.notifies_on_password_change("o").await.unwrap());
    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[seen.len() - 1].header("x-zitadel-orgid"), Some("o"));
}

#[tokio::test]
async fn a_session_and_nothing_secret_in_sight() {
    let (server, client) = server(|request, _| match request.method.as_str() {
        "POST" => testing::json(201, &json!({ "sessionId": "7", "sessionToken": "canary" })),
        _ => testing::json(200, &json!({ "details": {} })),
    })
    .await;
    let session = client.create_session(SessionUser::LoginName("ada"), &SecretString::from("canary")).await.unwrap();
    assert!(!format!("{session:?} {client:?}").contains("canary"));
    client.delete_session(&session).await.unwrap();
    assert_eq!(server.seen()[1].path, "/v2/sessions/7");
}

#[test]
fn the_ceiling_is_for_the_cloud() {
    let cloud = |url: &str| is_cloud(&url.parse().unwrap());
    assert!(cloud("https://acme-1.us1.zitadel.cloud") && cloud("https://acme.zitadel.app"));
    assert!(!cloud("https://zitadel.cloud.example") && !cloud("http://localhost:8080"));
}

#[test]
fn what_is_missing_is_said() {
    let new = |zitadel: Zitadel| {
        Client::new(&zitadel, &quick(), None, Events::silent(), CancellationToken::new()).unwrap_err().render()
    };
    assert!(new(Zitadel::default()).contains("ZITADEL_URL"));
    let url = Some("https://a.example".parse().unwrap());
    assert!(new(Zitadel { url, ..Zitadel::default() }).contains("ZITADEL_TOKEN"));
    let url = Some("http://a.example".parse().unwrap());
    let credentials = Some(ZitadelCredentials::Token("t".into()));
    assert!(new(Zitadel { url, credentials, ..Zitadel::default() }).contains("not https"));
}

/// Every call that there is, with one answer to all; the errors by name.
async fn every_call(client: &Client) -> Vec<(&'static str, Option<Failure>)> {
    let (id, body) = ("auth0|1", Bytes::from_static(b"{}"));
    let entry = [Metadata { key: "k".into(), value: vec![1] }];
    let none = Duration::ZERO;
    vec![
        ("me", client.me().await.err()),
        ("memberships", client.memberships().await.err()),
        ("organization", client.organization("1").await.err()),
        ("organization_by_name", client.organization_by_name("x").await.err()),
        ("default_organization", client.default_organization().await.err()),
        ("create_organization", client.create_organization("x", None).await.err()),
        ("domain_settings", client.domain_settings("1").await.err()),
        ("mail_provider_configured", client.mail_provider_configured().await.err()),
        ("notifies_on_password_change", client.notifies_on_password_change("1").await.err()),
        ("search_by_ids", client.search_by_ids(&[id.to_owned()]).await.err()),
        ("count_users", client.count_users().await.err()),
        ("page_users", client.page_users(0, 10).await.err()),
        ("user", client.user(id).await.err()),
        ("barrier", client.barrier(none).await.err()),
        ("user_metadata", client.user_metadata(id).await.err()),
        ("events", client.events(&EventQuery::default()).await.err()),
        ("import", client.import(body.clone(), Duration::from_secs(1)).await.err()),
        ("create_user", client.create_user(body.clone()).await.err()),
        ("update_user", client.update_user(id, body).await.err()),
        ("remove_metadata", client.remove_metadata(id, &["k".to_owned()]).await.err()),
        ("set_metadata", client.set_metadata(id, &entry).await.err()),
        ("remove_phone", client.remove_phone(id).await.err()),
        ("deactivate", client.deactivate(id).await.err()),
        ("reactivate", client.reactivate(id).await.err()),
        ("delete_user", client.delete_user(id).await.err()),
    ]
}

#[tokio::test]
async fn every_call_survives_every_odd_answer() {
    let ok = |body: &str| reply(200, "content-type: application/json\r\n", body);
    let escapes = r#"{"code":3,"message":"\u001b]0;x\u0007\u202e\nHint: curl evil","details":[{"id":"\u001b[2J\n"}]}"#;
    let answers: Vec<(&str, Vec<u8>)> = vec![
        ("HTML", ok("<html><script>alert(1)</script>")),
        ("nothing", ok("")),
        ("an array", ok("[1,2]")),
        ("a text", ok("\"\\ud800\"")),
        ("deep", ok(&"[".repeat(100_000))),
        ("deep in an object", ok(&format!(r#"{{"details":{}"#, "{\"a\":".repeat(100_000)))),
        ("an error under 200", ok(r#"{"code":5,"message":"no","details":[]}"#)),
        ("an error with escapes", reply(400, "", escapes)),
        (
            "a huge error",
            reply(400, "", format!(r#"{{"code":3,"message":"{0}","details":[{{"id":"{0}"}}]}}"#, "x".repeat(1 << 20))),
        ),
        ("a code out of range", reply(400, "", r#"{"code":1e400,"message":"HumanUsers[99999999999999999999999]"}"#)),
        ("headers without end", reply(200, &"x-a: b\r\n".repeat(20_000), "{}")),
        ("a long header", reply(200, &format!("x-a: {}\r\n", "b".repeat(4 << 20)), "{}")),
        ("no HTTP", b"SSH-2.0-OpenSSH\r\n".to_vec()),
        ("a redirect", reply(307, "location: http://127.0.0.1:1/?token=canary\r\n", "")),
    ];
    for (name, bytes) in answers {
        let (_server, client) = server(move |_, _| bytes.clone()).await;
        let all = every_call(&client).await;
        for (call, failure) in all {
            let may_be_yes =
                ["domain_settings", "mail_provider_configured", "notifies_on_password_change"].contains(&call);
            assert!(failure.is_some() || may_be_yes, "`{call}` takes {name} for an answer");
            let Some(failure) = failure else { continue };
            let text = failure.into_error("could not").render();
            assert!(text.len() < 4_000, "{call}, {name}: {} bytes", text.len());
            assert!(
                !text.contains(|c: char| (c.is_control() && c != '\n') || crate::error::is_deceptive(c)),
                "{call}, {name}: {text}"
            );
            assert!(!text.contains("canary") && !text.contains("\nHint: curl"), "{call}, {name}: {text}");
        }
    }
}
