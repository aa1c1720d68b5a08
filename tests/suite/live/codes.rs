//! Codes by SMS and by e-mail as second factors, in a real ZITADEL. Nobody is sent anything: nobody signs in, and the SMS
//! provider that the test makes leads to an address that is set aside for documentation (RFC 5737).

use super::*;
use crate::mfa::{method, people, set};

/// A provider of the test's own, switched on; none if the instance has one already, or does not take this one.
async fn sms_provider(live: &Live) -> Option<String> {
    let (status, answer) = live.post("/admin/v1/sms/_search", json!({})).await;
    assert_eq!(status, 200, "{answer}");
    if answer["result"].as_array().is_some_and(|providers| !providers.is_empty()) {
        return None;
    }
    let provider = json!({"endpoint": "http://192.0.2.1/", "description": "a2z's live suite"});
    let (_, made) = live.post("/admin/v1/sms/http", provider).await;
    let id = made["id"].as_str()?.to_owned();
    let (status, answer) = live.post(&format!("/admin/v1/sms/{id}/_activate"), json!({})).await;
    assert_eq!(status, 200, "{answer}");
    Some(id)
}

async fn methods(live: &Live, row: &Row) -> BTreeSet<String> {
    let path = "/zitadel.user.v2.UserService/ListAuthenticationMethodTypes";
    let (_, answer) = live.post(path, json!({ "userId": row.user_id })).await;
    let all = answer["authMethodTypes"].as_array().cloned().unwrap_or_default();
    all.iter()
        .filter_map(|kind| kind.as_str()?.strip_prefix("AUTHENTICATION_METHOD_TYPE_").map(str::to_owned))
        .collect()
}

fn rows() -> Vec<Row> {
    let mut rows = people(3);
    for (user, row) in rows.iter_mut().enumerate() {
        let number = format!("+4179123{:04}", 4000 + user);
        // Earlier runs may have left users behind.
        row.user_id = format!("auth0|{:x}{user}", seed());
        set(row, "user_id", &json!(row.user_id).to_string());
        set(row, "phone_number", &json!(number).to_string());
        set(row, "phone_verified", "true");
        let own = row.user_id.trim_start_matches("auth0|");
        let identity = json!([{"provider": "auth0", "connection": "Username-Password-Authentication", "user_id": own}]);
        set(row, "identities", &identity.to_string());
        let mut phone = method("phone");
        phone["phone_number"] = number.into();
        row.authentication_methods = vec![phone, method("email")];
        (row.hashes, row.password) = (Vec::new(), None);
    }
    // The last one has nothing to sign in with.
    for row in &mut rows[..2] {
        let id = row.user_id.trim_start_matches("auth0|").to_owned();
        let hash = json!({"_id": {"$oid": id}, "email": row.email, "email_verified": true,
            "connection": "Username-Password-Authentication", "passwordHash": a2z::sandbox::tenant::POOL[0].1});
        row.hashes = vec![hash.to_string()];
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_given_once_and_only_if_they_can_be_sent() {
    let rows = rows();
    let ids = rows.iter().map(|row| row.user_id.clone()).collect();
    in_own_organization(&format!("a2z codes {}", seed()), ids, async |live| {
        let folder = tempfile::tempdir().unwrap();
        let tenant = Tenant::of(rows.clone());
        tenant.write_hashes(&mut std::fs::File::create(folder.path().join("passwords.ndjson")).unwrap()).unwrap();
        let auth0 = at_auth0(tenant).await;
        let (_, mail) = live.post("/admin/v1/email/_search", json!({})).await;
        let sends_mail =
            mail["result"].as_array().is_some_and(|all| all.iter().any(|p| p["state"] == "EMAIL_PROVIDER_ACTIVE"));
        let provider = sms_provider(&live).await;
        let flags = ["--mfa-survey", "--mfa-codes"];
        let work = std::panic::AssertUnwindSafe(async {
            let first = a2z(&live, &auth0, folder.path(), &flags).await;
            assert_eq!((first.code, &first.balance["created"]), (0, &json!(3)), "{}", first.stderr);
            let wanted: BTreeSet<String> =
                [(provider.is_some(), "OTP_SMS"), (sends_mail, "OTP_EMAIL"), (true, "PASSWORD")]
                    .into_iter()
                    .filter(|(there, _)| *there)
                    .map(|(_, kind)| kind.to_owned())
                    .collect();
            if provider.is_some() {
                assert_eq!(methods(&live, &rows[0]).await, wanted);
                assert_eq!(methods(&live, &rows[1]).await, wanted);
            }
            assert_eq!(methods(&live, &rows[2]).await, BTreeSet::new());
            for row in &rows {
                assert_eq!(live.messages(&row.user_id).await, 0, "`{}`", row.user_id);
            }
            // The user takes it away.
            live.post("/zitadel.user.v2.UserService/RemoveOTPSMS", json!({ "userId": rows[0].user_id })).await;
            let second = a2z(&live, &auth0, folder.path(), &flags).await;
            assert_eq!((second.code, &second.balance["unchanged"]), (0, &json!(3)), "{}", second.stderr);
            assert!(!methods(&live, &rows[0]).await.contains("OTP_SMS"));
            let verified = run(&live, &auth0, folder.path(), &["verify", "--metadata", "all"]).await;
            assert_eq!(verified.code, 0, "{}", verified.stderr);
            let back = run(&live, &auth0, folder.path(), &["rollback", "--yes"]).await;
            assert_eq!(back.code, 0, "{}", back.stderr);
        });
        let result = futures_catch(work).await;
        if let Some(id) = provider {
            live.call(reqwest::Method::DELETE, &format!("/admin/v1/sms/{id}"), None).await;
        }
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    })
    .await;
}
