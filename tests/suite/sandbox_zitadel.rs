//! What the recordings cannot show of the sandbox's ZITADEL: lag, crashes, timeouts, faults, tokens.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use a2z::sandbox::faults::{Fault, RetryAfter, Rule, When};
use a2z::sandbox::zitadel::{MailKind, Options, Provider, UserState, Zitadel};
use reqwest::{Client, Response};
use serde_json::{Value, json};

fn client() -> Client {
    Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}

fn human(i: usize) -> Value {
    json!({"userId": format!("auth0|{i}"), "user": {
        "userName": format!("u{i}"),
        "profile": {"firstName": "Ada", "lastName": "Lovelace"},
        "email": {"email": format!("u{i}@example.com"), "isEmailVerified": true},
        "hashedPassword": {"value": "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDhywTou"},
    }})
}

fn import(zitadel: &Zitadel, users: &[Value], timeout: &str) -> Value {
    json!({"dataOrgs": {"orgs": [{"orgId": zitadel.organization_id, "humanUsers": users}]}, "timeout": timeout})
}

async fn post(zitadel: &Zitadel, token: &str, path: &str, body: &Value) -> reqwest::Result<Response> {
    client().post(zitadel.url.join(path).unwrap()).bearer_auth(token).json(body).send().await
}

async fn count(zitadel: &Zitadel) -> String {
    let body = json!({"queries": [{"userNameQuery": {"userName": "u", "method": "TEXT_QUERY_METHOD_STARTS_WITH"}}]});
    let found: Value = post(zitadel, &zitadel.token, "/v2/users", &body).await.unwrap().json().await.unwrap();
    found["details"]["totalResult"].as_str().unwrap_or("0").to_owned()
}

#[tokio::test]
async fn the_search_lags_until_the_barrier() {
    let zitadel = Zitadel::start(Options { lag: Duration::from_secs(2), ..Options::default() }).await.unwrap();
    let body = import(&zitadel, &[human(1), human(2)], "10s");
    post(&zitadel, &zitadel.token, "/admin/v1/import", &body).await.unwrap();
    assert_eq!(zitadel.store().len(), 2);
    assert_eq!(count(&zitadel).await, "0");
    let answer =
        client().get(zitadel.url.join("/v2/users/nobody").unwrap()).bearer_auth(&zitadel.token).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(count(&zitadel).await, "2");
}

#[tokio::test]
async fn a_missing_user_object_kills_the_server() {
    let zitadel = Zitadel::start(Options::default()).await.unwrap();
    let body = import(&zitadel, &[json!({"userId": "x"})], "10s");
    assert!(post(&zitadel, &zitadel.token, "/admin/v1/import", &body).await.is_err());
    assert!(zitadel.crashed());
    assert!(client().get(zitadel.url.join("/debug/healthz").unwrap()).send().await.is_err());
    zitadel.restart();
    assert_eq!(client().get(zitadel.url.join("/debug/healthz").unwrap()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_timeout_and_a_client_that_leaves_keep_what_is_stored() {
    let zitadel = Zitadel::start(Options { import_users_per_second: Some(100.0), ..Options::default() }).await.unwrap();
    let users: Vec<_> = (0..100).map(human).collect();
    let answer = post(&zitadel, &zitadel.token, "/admin/v1/import", &import(&zitadel, &users, "200ms")).await.unwrap();
    assert_eq!(answer.status(), 500);
    let stored = zitadel.store().len();
    assert!(stored > 0 && stored < 100, "{stored}");

    let users: Vec<_> = (1000..1500).map(human).collect();
    let body = import(&zitadel, &users, "60s");
    let call = post(&zitadel, &zitadel.token, "/admin/v1/import", &body);
    assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stored = zitadel.store().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(zitadel.store().len(), stored, "the import goes on without its client");
    assert!(stored < 600);
}

#[tokio::test]
async fn faults_hit_when_they_should() {
    let zitadel = Zitadel::start(Options::default()).await.unwrap();
    let path = "/admin/v1/import";
    let one = |fault| [Rule::new(path, When::Nth(1), fault)];
    let send = async |i: usize| post(&zitadel, &zitadel.token, path, &import(&zitadel, &[human(i)], "10s")).await;

    zitadel.set_faults(one(Fault::LoseAnswer));
    assert!(send(1).await.is_err());
    zitadel.set_faults(one(Fault::DropRequest));
    assert!(send(2).await.is_err());
    zitadel.set_faults(one(Fault::CutAnswer));
    let answer = send(3).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err());
    assert_eq!(zitadel.store().keys().collect::<Vec<_>>(), ["auth0|1", "auth0|3"]);

    zitadel.set_faults(one(Fault::TooMany(RetryAfter::Seconds(7))));
    let answer = send(4).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    zitadel.set_faults(one(Fault::TokenExpired));
    assert_eq!(send(4).await.unwrap().status(), 401);
    zitadel.set_faults(one(Fault::SlowAnswer(Duration::from_millis(1))));
    assert!(send(4).await.unwrap().json::<Value>().await.is_ok());
    zitadel.set_faults(one(Fault::HugeBody(100_000)));
    assert_eq!(send(5).await.unwrap().bytes().await.unwrap().len(), 100_000);
    zitadel.set_faults(one(Fault::Stop(Duration::from_millis(200))));
    assert!(send(6).await.is_err());
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(send(6).await.unwrap().status(), 200);

    zitadel.set_faults(one(Fault::ImportTimeout));
    let users: Vec<_> = (100..110).map(human).collect();
    let answer = post(&zitadel, &zitadel.token, path, &import(&zitadel, &users, "10s")).await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(zitadel.store().keys().filter(|id| id.starts_with("auth0|10")).count(), 5);
    assert!(zitadel.requests().iter().any(|seen| seen.fault == Some(Fault::LoseAnswer) && seen.status.is_none()));
}

#[tokio::test]
async fn roles_decide_and_tokens_expire() {
    let zitadel = Zitadel::start(Options::default()).await.unwrap();
    let body = import(&zitadel, &[human(1)], "10s");
    for (roles, status, id) in
        [(&[][..], 404, "AUTHZ-cdgFk"), (&["ORG_OWNER"], 403, "AUTH-5mWD2"), (&["IAM_OWNER_VIEWER"], 403, "AUTH-5mWD2")]
    {
        let token = zitadel.add_token(roles);
        let answer = post(&zitadel, &token, "/admin/v1/import", &body).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.json::<Value>().await.unwrap()["details"][0]["id"], id);
    }
    let claims = |audience: &str| {
        let key: Value = serde_json::from_str(&zitadel.key_json).unwrap();
        let now = jiff::Timestamp::now().as_second();
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        header.kid = key["keyId"].as_str().map(str::to_owned);
        let claims = json!({"iss": key["userId"], "sub": key["userId"], "aud": audience, "iat": now, "exp": now + 600});
        let pem = jsonwebtoken::EncodingKey::from_rsa_pem(key["key"].as_str().unwrap().as_bytes()).unwrap();
        jsonwebtoken::encode(&header, &claims, &pem).unwrap()
    };
    let scope = "openid urn:zitadel:iam:org:project:id:zitadel:aud";
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let ask = async |assertion: String, scope: &str| {
        let form = [("grant_type", grant), ("assertion", &assertion), ("scope", scope)];
        client().post(zitadel.url.join("/oauth/v2/token").unwrap()).form(&form).send().await.unwrap()
    };
    let issuer = zitadel.url.as_str().trim_end_matches('/');
    assert_eq!(ask(claims("https://elsewhere.example"), scope).await.status(), 400);
    let useless: Value = ask(claims(issuer), "openid").await.json().await.unwrap();
    assert_eq!(
        post(&zitadel, useless["access_token"].as_str().unwrap(), "/v2/users", &json!({})).await.unwrap().status(),
        401
    );
    let good: Value = ask(claims(issuer), scope).await.json().await.unwrap();
    let token = good["access_token"].as_str().unwrap();
    assert_eq!(post(&zitadel, token, "/admin/v1/import", &body).await.unwrap().status(), 200);
    zitadel.expire_tokens();
    assert_eq!(post(&zitadel, token, "/admin/v1/import", &body).await.unwrap().status(), 401);

    let basic = client().post(zitadel.url.join("/oauth/v2/token").unwrap());
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    let answer = basic.basic_auth(&zitadel.client_id, Some(&zitadel.client_secret)).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn the_initial_rule_and_the_mails() {
    let zitadel = Zitadel::start(Options::default()).await.unwrap();
    let mut users: Vec<_> = (0..3).map(human).collect();
    users[1]["user"]["hashedPassword"].take();
    users[2]["user"]["hashedPassword"].take();
    users[2]["user"]["requestPasswordlessRegistration"] = true.into();
    let answer = post(&zitadel, &zitadel.token, "/admin/v1/import", &import(&zitadel, &users, "10s")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let store = zitadel.store();
    let states: Vec<_> = store.values().map(|user| (user.state, user.email_verified)).collect();
    assert_eq!(states, [(UserState::Active, true), (UserState::Initial, false), (UserState::Active, true)]);
    let mails = zitadel.mails();
    assert_eq!((mails.len(), mails[0].user_id.as_str(), mails[0].kind), (1, "auth0|1", MailKind::Init));
}

/// As seen with the real one on 2026-11-23.
#[tokio::test]
async fn projects_roles_and_grants() {
    let zitadel = Zitadel::start(Options::default()).await.unwrap();
    let call = async |path: &str, body: Value| {
        let answer = post(&zitadel, &zitadel.token, path, &body).await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        let detail = &body["details"][0];
        let id = detail["id"].as_str().or(detail["debug"]["id"].as_str()).unwrap_or_default().to_owned();
        (status, id)
    };
    let project = |method: &str| format!("/zitadel.project.v2.ProjectService/{method}");
    let grant = |method: &str| format!("/zitadel.authorization.v2.AuthorizationService/{method}");
    let (main, ok) = (zitadel.organization_id.as_str(), (200, String::new()));
    let refused = |status: u16, id: &str| (status, id.to_owned());

    let org = |id: &str, name: &str| json!({"organizationId": id, "name": name});
    assert_eq!(call("/v2/organizations", org("org_a", "Acme Ltd")).await.0, 201);
    assert_eq!(call("/v2/organizations", org("org_a", "Other")).await, refused(409, "ORG-laho2n"));
    for taken in ["acme ltd", "Acme-Ltd", " Acme Ltd "] {
        assert_eq!(call("/v2/organizations", org("org_b", taken)).await, refused(409, "V3-DKcYh"), "{taken}");
    }
    assert_eq!(call("/v2/organizations", org("org_b", "  ")).await, refused(400, "ORG-mruNY"));

    let named = |id: &str, name: &str| json!({"organizationId": main, "projectId": id, "name": name});
    assert_eq!(call(&project("CreateProject"), named("p", "P")).await, ok);
    assert_eq!(call(&project("CreateProject"), named("p", "Q")).await, refused(409, "COMMAND-opamwu"));
    assert_eq!(call(&project("CreateProject"), named("q", "P")).await, refused(409, "V3-DKcYh"));
    assert_eq!(call(&project("GetProject"), json!({"projectId": "q"})).await, refused(404, "QUERY-fk2fs"));
    let role = |key: &str| json!({"projectId": "p", "roleKey": key, "displayName": "x"});
    assert_eq!(call(&project("AddProjectRole"), role("admin")).await, ok);
    assert_eq!(call(&project("AddProjectRole"), role("Admin")).await, refused(409, "V3-DKcYh"));
    assert_eq!(call(&project("AddProjectRole"), role("a b:c/ü")).await, ok);

    let body = import(&zitadel, &[human(1)], "10s");
    assert_eq!(call("/admin/v1/import", body).await.0, 200);
    let give = |user: &str, org: &str, roles: &[&str]| json!({"userId": user, "projectId": "p", "organizationId": org, "roleKeys": roles});
    let create = grant("CreateAuthorization");
    assert_eq!(call(&create, give("auth0|1", main, &["admin"])).await, ok);
    assert_eq!(call(&create, give("auth0|1", main, &["a b:c/ü"])).await, refused(409, "V3-DKcYh"));
    assert_eq!(call(&create, give("nobody", main, &[])).await, refused(400, "COMMAND-4f8sg"));
    assert_eq!(call(&create, give("auth0|1", "org_a", &[])).await, refused(400, "COMMAND-4m9ff"));
    let granted = |org: &str| json!({"projectId": "p", "grantedOrganizationId": org, "roleKeys": ["admin"]});
    assert_eq!(call(&project("CreateProjectGrant"), granted("nowhere")).await, refused(400, "COMMAND-3m9gg"));
    assert_eq!(call(&project("CreateProjectGrant"), granted(main)).await, refused(400, "PROJECT-ckUpbvboAH"));
    assert_eq!(call(&project("UpdateProjectGrant"), granted("org_a")).await, refused(404, "PROJECT-D8JxR"));
    assert_eq!(call(&project("CreateProjectGrant"), granted("org_a")).await, ok);
    assert_eq!(call(&project("CreateProjectGrant"), granted("org_a")).await, refused(409, "V3-DKcYh"));
    assert_eq!(call(&create, give("auth0|1", "org_a", &["a b:c/ü"])).await, refused(400, "COMMAND-mm9F4"));
    assert_eq!(call(&create, give("auth0|1", "org_a", &[])).await, ok);
    assert_eq!(
        call(&grant("ListAuthorizations"), json!({"pagination": {"limit": 1001}})).await,
        refused(400, "QUERY-4M0fs")
    );
    assert_eq!(call(&grant("UpdateAuthorization"), json!({"id": "1"})).await, refused(404, "COMMAND-3M9sd"));
    assert_eq!(call(&grant("DeleteAuthorization"), json!({"id": "1"})).await, ok);

    // A deleted project leaves the keys of its roles taken; a role that was removed before it does not.
    assert_eq!(call(&project("RemoveProjectRole"), role("admin")).await, ok);
    assert_eq!(call(&project("DeleteProject"), json!({"projectId": "p"})).await, ok);
    assert_eq!(zitadel.structure().grants.len(), 0);
    assert_eq!(call(&project("CreateProject"), named("p", "P")).await, ok);
    assert_eq!(call(&project("AddProjectRole"), role("admin")).await, ok);
    assert_eq!(call(&project("AddProjectRole"), role("a b:c/ü")).await, refused(409, "V3-DKcYh"));
}

/// As a real instance answered (a97999e5c): the type of the user is taken from `human`, even if it says nothing.
#[tokio::test]
async fn an_update_names_the_type_of_the_user() {
    let zitadel = Zitadel::start(Options::default()).await.unwrap();
    post(&zitadel, &zitadel.token, "/admin/v1/import", &import(&zitadel, &[human(1)], "10s")).await.unwrap();
    let connect = "/zitadel.user.v2.UserService/UpdateUser";
    for (body, status) in [
        (json!({"userId": "auth0|1", "username": "new"}), 501),
        (json!({"userId": "auth0|1"}), 501),
        (json!({"userId": "auth0|1", "username": "new", "human": {}}), 200),
        (json!({"userId": "auth0|1", "human": {"profile": {"nickName": ""}}}), 400),
    ] {
        let answer = post(&zitadel, &zitadel.token, connect, &body).await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
        let answer: Value = answer.json().await.unwrap();
        if status == 501 {
            assert_eq!(answer["code"], "unimplemented");
            assert_eq!(answer["message"], "user type is not implemented ()");
        }
    }
    assert_eq!(zitadel.store()["auth0|1"].user_name, "new");
}

/// Codes by SMS and e-mail as second factors, as a real instance answered (a97999e5c).
#[tokio::test]
async fn codes_as_second_factors() {
    let zitadel = Zitadel::start(Options::default()).await.unwrap();
    let mut whole = human(1);
    whole["user"]["phone"] = json!({"phone": "+41791234567", "isPhoneVerified": true});
    post(&zitadel, &zitadel.token, "/admin/v1/import", &import(&zitadel, &[whole, human(2)], "10s")).await.unwrap();
    zitadel.tamper("auth0|2", |user| user.email_verified = false);
    let manager = zitadel.add_token(&["ORG_USER_MANAGER", "IAM_USER_MANAGER", "IAM_OWNER_VIEWER"]);
    let owner = zitadel.add_token(&["ORG_OWNER"]);
    let cases = [
        (&owner, "auth0%7C1", "otp_sms", 200, ""),
        (&owner, "auth0%7C1", "otp_sms", 409, "COMMAND-Ad3g2"),
        (&owner, "auth0%7C1", "otp_email", 200, ""),
        (&owner, "auth0%7C1", "otp_email", 409, "COMMAND-MKL2s"),
        (&owner, "auth0%7C2", "otp_sms", 400, "COMMAND-Q54j2"),
        (&owner, "auth0%7C2", "otp_email", 400, "COMMAND-KLJ2d"),
        (&owner, "nobody", "otp_sms", 404, "COMMAND-4g3xq"),
        (&owner, "nobody", "otp_email", 404, "COMMAND-4g3xq"),
        (&manager, "auth0%7C1", "otp_sms", 403, "AUTH-AWfge"),
        (&manager, "auth0%7C2", "otp_email", 403, "AUTH-AWfge"),
        (&manager, "nobody", "otp_email", 404, "COMMAND-4g3xq"),
    ];
    for (token, user, kind, status, id) in cases {
        let answer = post(&zitadel, token, &format!("/v2/users/{user}/{kind}"), &json!({})).await.unwrap();
        assert_eq!(answer.status(), status, "{user} {kind}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["details"][0]["id"].as_str().unwrap_or_default(), id, "{user} {kind}");
    }
    let methods = async || -> Value {
        let url = zitadel.url.join("/v2/users/auth0%7C1/authentication_methods").unwrap();
        client().get(url).bearer_auth(&zitadel.token).send().await.unwrap().json().await.unwrap()
    };
    let has = |methods: &Value, kind: &str| methods["authMethodTypes"].as_array().unwrap().iter().any(|m| m == kind);
    let both = methods().await;
    assert!(has(&both, "AUTHENTICATION_METHOD_TYPE_OTP_SMS") && has(&both, "AUTHENTICATION_METHOD_TYPE_OTP_EMAIL"));
    // Codes by SMS go with the number.
    let url = zitadel.url.join("/v2/users/auth0%7C1/phone").unwrap();
    client().delete(url).bearer_auth(&zitadel.token).send().await.unwrap();
    assert!(!has(&methods().await, "AUTHENTICATION_METHOD_TYPE_OTP_SMS"));
    assert_eq!(zitadel.mails(), []);
}

#[tokio::test]
async fn who_sends_codes_is_for_administrators_to_see() {
    let zitadel = Zitadel::start(Options::default()).await.unwrap();
    let owner = zitadel.add_token(&["ORG_OWNER", "IAM_ORG_MANAGER"]);
    let words = [(Provider::None, None), (Provider::Inactive, Some("INACTIVE")), (Provider::Active, Some("ACTIVE"))];
    for (kind, prefix) in [("sms", "SMS_PROVIDER_CONFIG"), ("email", "EMAIL_PROVIDER")] {
        let path = format!("/admin/v1/{kind}/_search");
        assert_eq!(post(&zitadel, &owner, &path, &json!({})).await.unwrap().status(), 403);
        for (provider, word) in words {
            zitadel.set_providers(provider, provider);
            let body: Value = post(&zitadel, &zitadel.token, &path, &json!({})).await.unwrap().json().await.unwrap();
            let state = word.map(|word| format!("{prefix}_{word}"));
            assert_eq!(body["result"][0]["state"].as_str(), state.as_deref(), "{kind}");
        }
    }
}
