//! Joined accounts, an identity that moves, and a provider that is of no use to users of another organization, in a real
//! ZITADEL.

use super::{
    links::{DATABASE, person},
    *,
};

/// The tenant changes; the address stays.
async fn becomes(auth0: Auth0, tenant: Tenant) -> Auth0 {
    let port = auth0.url.rsplit(':').next().unwrap().parse().unwrap();
    drop(auth0);
    for _ in 0..200 {
        if let Ok(auth0) = Auth0::start(Options { tenant: tenant.clone(), port, ..Options::default() }).await {
            return auth0;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the port stays taken");
}

/// A Google provider of this organization alone.
async fn google_of(live: &Live, organization_id: &str) -> String {
    let body = json!({ "name": "Google", "clientId": "a2z-live", "clientSecret": "x",
        "providerOptions": { "isLinkingAllowed": true, "isCreationAllowed": true } });
    let request = live.http.post(format!("{}/management/v1/idps/google", live.url)).bearer_auth(&live.token);
    let request = request.header("content-type", "application/json").header("x-zitadel-orgid", organization_id);
    let answer = request.body(body.to_string()).send().await.unwrap().bytes().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_stay_joined_and_identities_move_in_a_real_zitadel() {
    let Some(live) = Live::of_environment() else {
        eprintln!("skipped: A2Z_LIVE_ZITADEL_URL, A2Z_LIVE_ZITADEL_TOKEN and A2Z_LIVE_ZITADEL_ORG_ID are not set");
        return;
    };
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 5;
    let mail = |name: &str| format!("{name}-{seed}@example.com");
    let id = |n: u32| format!("{seed}{n:011}");
    let (ada, bob) = (format!("{seed:x}0005"), format!("{seed:x}0006"));
    let (moves, joined, there) = (id(1), id(2), id(3));
    let of = |name: &str, database: &str, google: &[&str]| {
        let own = [("auth0", DATABASE, database)].into_iter();
        let all: Vec<_> = own.chain(google.iter().map(|id| ("google-oauth2", "google-oauth2", *id))).collect();
        person(&mail(name), true, &all)
    };
    let google = |name: &str, id: &str| person(&mail(name), true, &[("google-oauth2", "google-oauth2", id)]);
    let acme = format!("org_five{seed}");
    let tenant = |ada_has: &[&str], bob_has: &[&str]| {
        let rows =
            vec![of("ada", &ada, ada_has), of("bob", &bob, bob_has), google("ada", &joined), google("there", &there)];
        let member = (rows[3].user_id.clone(), Vec::new());
        let mut tenant = Tenant::of(rows);
        tenant.organizations = vec![Organization {
            id: acme.clone(),
            name: format!("five-{seed}"),
            display_name: format!("Five {seed}"),
            members: vec![member],
            branding: Value::Null,
            metadata: json!({"plan": "gold"}),
        }];
        tenant
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let organization = format!("a2z live accounts {seed}");
    let (_, made) = live.post("/v2/organizations", json!({ "name": organization })).await;
    let main = made["organizationId"].as_str().unwrap().to_owned();
    let idp = google_of(&live, &main).await;
    let config = |collisions: &str| {
        let text = format!(
            "[idps]\n\"google-oauth2\" = \"{idp}\"\n[mapping]\ncollisions = \"{collisions}\"\n\
             [roles]\nmode = \"grants\"\ncreate_project = \"Five {seed}\"\n[organizations]\npolicy = \"orgs\"\n"
        );
        std::fs::write(folder.join("a2z.toml"), text).unwrap();
    };
    config("link");
    let before = tenant(&[&moves], &[]);
    before.write_hashes(&mut std::fs::File::create(folder.join("passwords.ndjson")).unwrap()).unwrap();
    let ids: Vec<String> = before.rows().map(|row| row.user_id.clone()).collect();
    let auth0 = Auth0::start(Options { tenant: before, ..Options::default() }).await.unwrap();
    let work = async {
        let cutover = ["cutover", "--yes", "--passwords", "passwords.ndjson"];
        let (code, text) = in_new_organization(&live, &auth0, folder, &organization, &cutover).await;
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("provider-elsewhere"), "{text}");
        let users = live.users(&ids).await;
        assert_eq!(users.len(), 3, "{text}");
        let external = async |at: usize, count: usize| -> Vec<String> {
            live.links(&ids[at], count).await.into_iter().map(|(_, external, _)| external).collect()
        };
        assert_eq!(external(0, 2).await, [moves.clone(), joined.clone()]);
        assert_eq!(users[&ids[3]]["details"]["resourceOwner"], acme.as_str());
        assert_eq!(users[&ids[3]]["state"], "USER_STATE_ACTIVE");
        assert!(external(3, 0).await.is_empty());
        assert_eq!(live.messages(&ids[3]).await, 0);

        // Another policy, and an identity that is another user's now.
        config("block");
        let auth0 = becomes(auth0, tenant(&[], &[&moves])).await;
        let run = async |args: &[&str]| in_new_organization(&live, &auth0, folder, &organization, args).await;
        let (code, text) = run(&cutover).await;
        assert_eq!((code, text.contains("~ 2 to update")), (0, true), "{text}");
        assert_eq!(external(0, 1).await, std::slice::from_ref(&joined));
        assert_eq!(external(1, 1).await, std::slice::from_ref(&moves));
        let (code, text) = run(&cutover).await;
        assert_eq!((code, text.contains("= 3 unchanged")), (0, true), "{text}");
        let (code, text) = run(&["verify"]).await;
        assert_eq!((code, text.contains("1 organization that a2z made, 0 different")), (0, true), "{text}");

        let (code, text) = run(&["rollback", "--yes", "--include-changed"]).await;
        assert_eq!(code, 0, "{text}");
        assert!(live.users(&ids).await.is_empty());
    };
    let result = futures_catch(std::panic::AssertUnwindSafe(work)).await;
    for id in &ids {
        live.delete(id).await;
    }
    for id in [&acme, &main] {
        live.post("/zitadel.org.v2.OrganizationService/DeleteOrganization", json!({ "organizationId": id })).await;
    }
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}
