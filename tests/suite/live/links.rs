//! Social and enterprise identities of every kind, into a real ZITADEL: providers that a2z creates, links compared field by
//! field, a delta, and all of it taken back.

use std::collections::BTreeSet;

use a2z::sandbox::tenant::POOL;

use super::*;

impl Live {
    /// Provider, external id and name of each link; waits for the projection, which is its own.
    pub(super) async fn links(&self, user_id: &str, expected: usize) -> BTreeSet<(String, String, String)> {
        let mut links = BTreeSet::new();
        for _ in 0..20 {
            let (status, answer) =
                self.post("/zitadel.user.v2.UserService/ListIDPLinks", json!({ "userId": user_id })).await;
            assert_eq!(status, 200, "{answer}");
            let text = |link: &Value, key: &str| link[key].as_str().unwrap_or_default().to_owned();
            links = answer["result"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|link| (text(link, "idpId"), text(link, "userId"), text(link, "userName")))
                .collect();
            if links.len() == expected {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        links
    }
}

pub(super) fn person(email: &str, verified: bool, identities: &[(&str, &str, &str)]) -> Row {
    let list: Vec<Value> = identities
        .iter()
        .map(|(provider, connection, id)| json!({ "provider": provider, "connection": connection, "user_id": id }))
        .collect();
    let mut row = Row::from_user(&json!({
        "user_id": format!("{}|{}", identities[0].0, identities[0].2),
        "email": email, "email_verified": verified, "given_name": "Ada", "family_name": "Lovelace",
        "user_metadata": { "plan": "free" }, "identities": list,
    }));
    if let Some((_, connection, id)) = identities.iter().find(|(provider, ..)| *provider == "auth0") {
        let hash = json!({
            "_id": { "$oid": id }, "email": email, "email_verified": verified, "connection": connection,
            "passwordHash": POOL[0].1,
        });
        row.hashes.push(hash.to_string());
        row.password = Some(POOL[0].0);
    }
    row
}

pub(super) const DATABASE: &str = "Username-Password-Authentication";

#[tokio::test(flavor = "multi_thread")]
async fn links_arrive_in_a_real_zitadel() {
    let Some(live) = Live::of_environment() else {
        eprintln!("skipped: A2Z_LIVE_ZITADEL_URL, A2Z_LIVE_ZITADEL_TOKEN and A2Z_LIVE_ZITADEL_ORG_ID are not set");
        return;
    };
    if live.has_providers().await {
        eprintln!("skipped: the instance has providers of its own, and nothing is created beside them");
        return;
    }
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let id = |n: u32| format!("{seed}{n:011}");
    let mail = |name: &str| format!("{name}-{seed}@example.com");
    let (google, database, slash) = (id(1), format!("{seed:x}0001"), format!("acme-oidc|https://id.example/{seed}"));
    let saml = format!("acme-saml|ada{seed}|acme.example");
    let (linked, unverified, joined, github) = (id(2), id(3), id(4), format!("{seed}7"));
    let rows = vec![
        person(&mail("google"), true, &[("google-oauth2", "google-oauth2", &google)]),
        person(
            &mail("linked"),
            true,
            &[
                ("auth0", DATABASE, &database),
                ("google-oauth2", "google-oauth2", &linked),
                ("github", "github", &github),
            ],
        ),
        person(&mail("unverified"), false, &[("google-oauth2", "google-oauth2", &unverified)]),
        person(&mail("oidc"), true, &[("oidc", "acme-oidc", &slash)]),
        person(&mail("saml"), true, &[("samlp", "acme-saml", &saml)]),
        // The same person as `linked`.
        person(&mail("linked"), true, &[("google-oauth2", "google-oauth2", &joined)]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = "[zitadel]\ncreate_idps = \"organization\"\n[mapping]\ncollisions = \"link\"\n";
    std::fs::write(folder.join("a2z.toml"), config).unwrap();
    let tenant = Tenant::of(rows.clone());
    tenant.write_hashes(&mut std::fs::File::create(folder.join("passwords.ndjson")).unwrap()).unwrap();
    let auth0 = at_auth0(tenant).await;
    let organization = format!("a2z live links {seed}");
    let work = async {
        let run = async |args: &[&str]| in_new_organization(&live, &auth0, folder, &organization, args).await;
        let cutover = ["cutover", "--yes", "--passwords", "passwords.ndjson"];
        let (code, text) = run(&cutover).await;
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("idps/callback"), "{text}");

        let ids: Vec<String> = rows[..5].iter().map(|row| row.user_id.clone()).collect();
        let users = live.users(&ids).await;
        assert_eq!(users.len(), 5, "{text}");
        let org = users[&ids[0]]["details"]["resourceOwner"].as_str().unwrap().to_owned();
        let (_, answer) =
            live.post("/v2/organizations/_search", json!({ "queries": [{ "idQuery": { "id": org } }] })).await;
        assert_eq!(answer["result"][0]["name"], organization.as_str());
        let idps = providers(&live, &org).await;
        let kinds: Vec<&str> = idps.values().map(String::as_str).collect();
        assert_eq!(kinds.len(), 5, "{idps:?}");
        let idp =
            |kind: &str| idps.iter().find(|(_, k)| *k == kind).unwrap_or_else(|| panic!("{kind}: {idps:?}")).0.clone();
        let (to_google, to_github) = (idp("PROVIDER_TYPE_GOOGLE"), idp("PROVIDER_TYPE_GITHUB"));
        let link = |idp: &str, id: &str, name: &str| (idp.to_owned(), id.to_owned(), mail(name));
        // Of a linked account without a profile nothing but the id is known.
        let bare = |idp: &str, id: &str| (idp.to_owned(), id.to_owned(), id.to_owned());
        let expected = [
            vec![link(&to_google, &google, "google")],
            vec![bare(&to_google, &linked), link(&to_google, &joined, "linked"), bare(&to_github, &github)],
            vec![link(&to_google, &unverified, "unverified")],
            vec![link(&idp("PROVIDER_TYPE_OIDC"), &slash["acme-oidc|".len()..], "oidc")],
            vec![link(&idp("PROVIDER_TYPE_SAML"), &saml["acme-saml|".len()..], "saml")],
        ];
        for (id, links) in ids.iter().zip(expected) {
            assert_eq!(live.links(id, links.len()).await, links.into_iter().collect(), "{id}");
            assert_eq!(users[id]["state"], "USER_STATE_ACTIVE", "{id}");
            assert_eq!(live.messages(id).await, 0, "{id}");
            assert_eq!(live.metadata(id).await["auth0.user_metadata"], r#"{"plan":"free"}"#, "{id}");
        }
        assert!(live.signs_in(&ids[1], POOL[0].0).await);
        let joined_id = format!("google-oauth2|{joined}");
        let both = serde_json::to_string(&[ids[1].as_str(), joined_id.as_str()]).unwrap();
        assert_eq!(live.metadata(&ids[1]).await["auth0.linked_user_ids"], both);

        // Nothing changed: nobody is touched, and no provider is made twice.
        let (code, text) = run(&cutover).await;
        assert_eq!((code, text.contains("= 5 unchanged")), (0, true), "{text}");
        assert_eq!(providers(&live, &org).await.len(), 5);

        let (code, text) = run(&["verify"]).await;
        assert_eq!(code, 0, "{text}");
        let gone = json!({ "userId": ids[0], "idpId": to_google, "linkedUserId": google });
        assert_eq!(live.post("/zitadel.user.v2.UserService/RemoveIDPLink", gone).await.0, 200);
        assert!(live.links(&ids[0], 0).await.is_empty());
        let (code, text) = run(&["verify"]).await;
        assert_eq!((code, text.contains("1 link missing") || text.contains("links")), (3, true), "{text}");

        let (code, text) = run(&["rollback", "--yes", "--include-changed"]).await;
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("organization  deleted"), "{text}");
        assert!(live.users(&ids).await.is_empty());
    };
    let result = futures_catch(std::panic::AssertUnwindSafe(work)).await;
    for row in &rows {
        live.delete(&row.user_id).await;
    }
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Id and kind of the organization's own providers.
async fn providers(live: &Live, organization_id: &str) -> BTreeMap<String, String> {
    let request = live.http.post(format!("{}/management/v1/idps/templates/_search", live.url)).bearer_auth(&live.token);
    let request = request.header("content-type", "application/json").header("x-zitadel-orgid", organization_id);
    let answer = request.body("{}").send().await.unwrap().bytes().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let own = |idp: &&Value| idp["owner"] == "IDP_OWNER_TYPE_ORG";
    let text = |idp: &Value, key: &str| idp[key].as_str().unwrap().to_owned();
    answer["result"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(own)
        .map(|idp| (text(idp, "id"), text(idp, "type")))
        .collect()
}
