//! Social and enterprise identities, and accounts that are linked.

use std::time::Duration;

use a2z::sandbox::{
    faults::{Fault, Rule, When},
    tenant::{POOL, Row, Tenant},
    zitadel::{Link, User, UserState},
};
use serde_json::{Value, json};

use crate::harness::{Run, World};

const IMPORT: &str = "/admin/v1/import";
const CREATE: &str = "/v2/users/new";
pub(crate) const DATABASE: &str = "Username-Password-Authentication";

/// A user with these identities (provider, connection, id as raw JSON), the first of them the primary one.
pub(crate) fn user(email: &str, verified: bool, identities: &[(&str, &str, &str)]) -> Row {
    let (provider, _, id) = identities[0];
    let mut row = Row::from_user(&json!({
        "user_id": format!("{provider}|{}", id.trim_matches('"')),
        "email": email, "email_verified": verified, "given_name": "Ada", "family_name": "Lovelace",
        "user_metadata": { "plan": "free" },
        "identities": [{ "connection": identities[0].1 }],
    }));
    let raw = identities.iter().map(|(provider, connection, id)| {
        format!(r#"{{"provider":"{provider}","connection":"{connection}","user_id":{id},"isSocial":true}}"#)
    });
    set(&mut row, "identities", &format!("[{}]", raw.collect::<Vec<_>>().join(",")));
    if let Some((_, connection, id)) = identities.iter().find(|(provider, ..)| *provider == "auth0") {
        let hash = json!({
            "_id": { "$oid": id.trim_matches('"') }, "email": email, "email_verified": verified, "connection": connection,
            "passwordHash": POOL[0].1, "password_set_date": { "$date": "2020-01-01T00:00:00.000Z" },
        });
        row.hashes.push(hash.to_string());
        row.password = Some(POOL[0].0);
    }
    row
}

pub(crate) fn set(row: &mut Row, key: &'static str, raw: &str) {
    row.fields.retain(|(name, _)| name != key);
    row.fields.push((key.into(), raw.to_owned()));
}

/// `a2z cutover --yes`, with the hashes where there are any.
pub(crate) fn moves(world: &World) -> Run {
    let run = world.a2z(["cutover", "--yes"]);
    let any = world.tenant().rows().any(|row| !row.hashes.is_empty());
    if any { run.args(["--passwords", "passwords.ndjson"]) } else { run }
}

pub(crate) fn google(n: u32) -> Row {
    let id = format!("\"1035479915971428{n:05}\"");
    user(&format!("g{n}@example.com"), true, &[("google-oauth2", "google-oauth2", &id)])
}

pub(crate) fn links(user: &User) -> Vec<(&str, &str)> {
    user.links.iter().map(|link| (link.idp_id.as_str(), link.user_id.as_str())).collect()
}

pub(crate) fn codes(outcome: &Value) -> Vec<&str> {
    outcome["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["code"].as_str()).collect()
}

fn count(world: &World, path: &str) -> usize {
    world.zitadel.requests().iter().filter(|seen| seen.path == path).count()
}

/// A user who was there before, with a link.
fn somebody(world: &World, idp: &str, external_id: &str) {
    let mut user = User::default();
    user.id = "somebody".into();
    user.organization_id.clone_from(&world.zitadel.organization_id);
    user.user_name = "somebody@example.com".into();
    user.email = "somebody@example.com".into();
    user.links = vec![Link { idp_id: idp.into(), user_id: external_id.into(), user_name: "x".into() }];
    world.zitadel.add_user(user);
}

#[test]
fn every_kind_of_identity_arrives_as_the_provider_will_name_it() {
    let rows = vec![
        google(1),
        // A number of 21 digits is not a double.
        user("number@example.com", true, &[("google-oauth2", "google-oauth2", "103547991597142817347")]),
        user("unverified@example.com", false, &[("google-oauth2", "google-oauth2", "\"103547991597142817348\"")]),
        user("octo@example.com", true, &[("github", "github", "583231")]),
        user(
            "linked@example.com",
            true,
            &[
                ("auth0", DATABASE, "\"64cbbe17741f518beae16346\""),
                ("google-oauth2", "google-oauth2", "\"103547991597142817349\""),
                ("github", "github", "583232"),
            ],
        ),
        user("slash@example.com", true, &[("oidc", "acme-oidc", "\"acme-oidc|https://id.acme.example/users/7\"")]),
        user("saml@example.com", true, &[("samlp", "acme-saml", "\"acme-saml|ada|acme.example\"")]),
    ];
    let world = World::of(Tenant::of(rows)).start();
    let google = world.zitadel.add_idp("google", "Google", "sandbox-google-oauth2", true);
    let github = world.zitadel.add_idp("github", "GitHub", "another client", false);
    let oidc = world.zitadel.add_idp("generic_oidc", "Acme", "sandbox-acme-oidc", true);
    let ran = moves(&world).run().code(0);

    let store = world.store();
    let expect = |id: &str, wanted: &[(&str, &str)]| {
        let user = &store[id];
        assert_eq!(links(user), wanted, "{id}");
        assert_eq!(user.state, UserState::Active, "{id}");
        assert_eq!(user.metadata["auth0.user_metadata"], br#"{"plan":"free"}"#, "{id}");
    };
    expect("google-oauth2|103547991597142800001", &[(&google, "103547991597142800001")]);
    expect("google-oauth2|103547991597142817347", &[(&google, "103547991597142817347")]);
    expect("google-oauth2|103547991597142817348", &[(&google, "103547991597142817348")]);
    expect("github|583231", &[(&github, "583231")]);
    expect("auth0|64cbbe17741f518beae16346", &[(&google, "103547991597142817349"), (&github, "583232")]);
    expect("oidc|acme-oidc|https://id.acme.example/users/7", &[(&oidc, "https://id.acme.example/users/7")]);
    expect("samlp|acme-saml|ada|acme.example", &[]);
    assert_eq!(store["google-oauth2|103547991597142800001"].links[0].user_name, "g1@example.com");
    assert_eq!(store["auth0|64cbbe17741f518beae16346"].hash.as_deref(), Some(POOL[0].1));
    assert!(!store["google-oauth2|103547991597142817348"].email_verified);

    // Whom the import would refuse, or strand, goes by the other road.
    let route = |id: &str| world.outcome(id)["route"].as_str().unwrap().to_owned();
    assert_eq!(route("google-oauth2|103547991597142800001"), "import");
    assert_eq!(route("github|583231"), "users-api");
    assert_eq!(route("google-oauth2|103547991597142817348"), "users-api");
    assert!(codes(&world.outcome("samlp|acme-saml|ada|acme.example")).contains(&"link-not-moved"));
    assert!(!codes(&world.outcome("github|583231")).contains(&"no-password"));
    let plan = &ran.stdout;
    for line in [
        &format!("`google-oauth2` -> `Google` ({google}): same client id; 4 users"),
        &format!(
            "`github` -> `GitHub` ({github}): the only one of its kind; creation is not allowed there, so its users go one by one; 2 users"
        ),
        "`acme-saml` (samlp): no link; ZITADEL has no SAML provider",
    ] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }
    assert!(world.mails().is_empty());
    world.assert_balanced();

    moves(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 7);
}

#[test]
fn wrong_ids_are_refused_at_the_start_and_the_check_shows_the_match() {
    let world = World::of(Tenant::of(vec![google(1)])).start();
    let google = world.zitadel.add_idp("google", "Google", "sandbox-google-oauth2", true);
    let refused = moves(&world).env("A2Z_IDPS", "google-oauth2=1").run().code(2);
    assert!(refused.error().contains("the identity provider `1` does not exist"), "{}", refused.error());
    let refused = moves(&world).env("A2Z_IDPS", &format!("gogle={google}")).run().code(2);
    assert!(refused.error().contains("no such social or enterprise connection"), "{}", refused.error());
    assert!(world.store().is_empty());
    let other = world.zitadel.add_idp("google", "Other", "x", true);
    std::fs::write(world.path("a2z.toml"), format!("[idps]\n\"google-oauth2\" = \"{other}\"\n")).unwrap();
    let shown = world.a2z(["check"]).run();
    assert!(shown.stdout.contains(&format!("`google-oauth2` -> `Other` ({other}): configured")), "{}", shown.stdout);
    assert!(shown.stdout.contains("`apple` (apple): no link"), "{}", shown.stdout);
    moves(&world).run().code(0);
    assert_eq!(
        links(&world.store()["google-oauth2|103547991597142800001"]),
        [(other.as_str(), "103547991597142800001")]
    );
}

#[test]
fn users_of_a_connection_without_a_provider_are_blocked_where_that_is_wanted() {
    let world =
        World::of(Tenant::of(vec![google(1), user("db@example.com", true, &[("auth0", DATABASE, "\"1\"")])])).start();
    moves(&world).env("A2Z_IDPS_UNMATCHED", "block").run().code(3);
    assert_eq!(world.outcome("google-oauth2|103547991597142800001")["code"], "no-identity-provider");
    assert_eq!(world.store().len(), 1);
    // With a provider they move.
    world.zitadel.add_idp("google", "Google", "x", true);
    moves(&world).env("A2Z_IDPS_UNMATCHED", "block").run().code(0);
    assert_eq!(world.store().len(), 2);
}

#[test]
fn a_lost_answer_leaves_nobody_without_a_link() {
    let mut rows: Vec<Row> = (0..12).map(google).collect();
    rows.extend((0..3).map(|n| {
        let id = format!("\"2035479915971428{n:05}\"");
        user(&format!("u{n}@example.com"), false, &[("google-oauth2", "google-oauth2", &id)])
    }));
    let world = World::of(Tenant::of(rows)).start();
    let google = world.zitadel.add_idp("google", "Google", "x", true);
    world.zitadel.set_faults([
        Rule::new(IMPORT, When::First(2), Fault::LoseAnswer),
        Rule::new(CREATE, When::First(1), Fault::LoseAnswer),
    ]);
    moves(&world).run().code(0);
    let store = world.store();
    assert_eq!(store.len(), 15);
    for (id, user) in &store {
        assert_eq!(links(user), [(google.as_str(), id.trim_start_matches("google-oauth2|"))]);
        assert_eq!((user.created_count, user.metadata.len()), (1, 1), "{id}");
        assert_eq!(user.state, UserState::Active, "{id}");
    }
    assert_eq!(world.balance("created"), 15);
    assert!(world.mails().is_empty());
}

#[test]
fn a_killed_run_goes_on_with_its_links() {
    let world = World::of(Tenant::of((0..12).map(google).collect())).start();
    let google = world.zitadel.add_idp("google", "Google", "x", true);
    world.zitadel.set_faults([Rule::new(IMPORT, When::Always, Fault::SlowAnswer(Duration::from_mins(1)))]);
    let running = moves(&world).spawn();
    world.wait_until("what is stored", |world| world.store().len() == 12);
    running.kill();
    world.zitadel.set_faults([]);
    moves(&world).run().code(0);
    assert_eq!(world.balance("created"), 12);
    for (id, user) in &world.store() {
        assert_eq!(links(user), [(google.as_str(), id.trim_start_matches("google-oauth2|"))]);
    }
    moves(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 12);
}

#[test]
fn links_follow_auth0_and_those_of_others_stay() {
    let database = ("auth0", DATABASE, "\"64cbbe17741f518beae16346\"");
    let id = "auth0|64cbbe17741f518beae16346";
    let before = user("ada@example.com", true, &[database, ("google-oauth2", "google-oauth2", "\"1001\"")]);
    let mut world = World::of(Tenant::of(vec![before])).start();
    let google = world.zitadel.add_idp("google", "Google", "x", true);
    let github = world.zitadel.add_idp("github", "GitHub", "x", true);
    moves(&world).run().code(0);
    assert_eq!(links(&world.store()[id]), [(google.as_str(), "1001")]);
    // The user's own.
    let own = json!({ "userId": id, "idpLink": { "idpId": github, "userId": "own", "userName": "x" } });
    world.user_service("AddIDPLink", &own);

    let after = user("ada@example.com", true, &[database, ("github", "github", "\"a/b|c\"")]);
    world.becomes(Tenant::of(vec![after]));
    moves(&world).run().code(0);
    assert_eq!(world.balance("updated"), 1);
    assert_eq!(links(&world.store()[id]), [(github.as_str(), "own"), (github.as_str(), "a/b|c")]);
    moves(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 1);

    let without = user("ada@example.com", true, &[database]);
    world.becomes(Tenant::of(vec![without]));
    moves(&world).run().code(0);
    assert_eq!(links(&world.store()[id]), [(github.as_str(), "own")]);
}

/// "Taken" is said of names and of links, under one id.
/// Neither an export of one's own nor a token that may not read the connections says anything about them.
#[test]
fn a_run_that_does_not_know_the_connections_takes_no_link_away() {
    let rows = vec![
        google(1),
        user("m@example.com", true, &[("windowslive", "windowslive", "\"33c617428bbaa70b\"")]),
        user("s@example.com", true, &[("samlp", "acme-saml", "\"acme-saml|s|acme.example\"")]),
        user("o@example.com", true, &[("oidc", "acme-oidc", "\"acme-oidc|o\"")]),
    ];
    for how in ["a file", "no list", "no options"] {
        let mut changed = rows.clone();
        for row in &mut changed {
            set(row, "family_name", "\"Changed\"");
        }
        let mut world = World::of(Tenant::of(rows.clone())).start();
        moves(&world).env("A2Z_ZITADEL_CREATE_IDPS", "instance").run().code(0);
        let before = world.store();
        assert!(before.values().all(|user| user.links.len() == 1), "{before:?}");
        // Nothing changed, and then everybody's name.
        for tenant in [rows.clone(), changed] {
            if how == "no options" {
                world.auth0_options.scopes.retain(|scope| scope != "read:connections_options");
            }
            world.becomes(Tenant::of(tenant));
            let run = match how {
                "a file" => {
                    std::fs::write(world.path("users.ndjson"), world.export()).unwrap();
                    moves(&world).args(["--users", "users.ndjson"])
                }
                "no list" => {
                    let rule = Rule::new("/api/v2/connections", When::Always, Fault::Status(403));
                    world.auth0().set_faults([rule]);
                    moves(&world)
                }
                _ => moves(&world),
            };
            run.run().code(0);
            let after = world.store();
            for (id, user) in &before {
                assert_eq!(after[id].links, user.links, "`{id}`, by {how}");
            }
        }
        assert!(world.store().values().all(|user| user.last_name == "Changed"));
        assert_eq!(world.balance("updated"), 4);
        world.a2z(["verify"]).run().code(0);
    }
}

#[test]
fn a_link_that_somebody_else_holds_costs_the_link_and_not_the_user() {
    let rows = vec![
        google(1),
        google(2),
        user("u@example.com", false, &[("google-oauth2", "google-oauth2", "\"Taken-2\"")]),
        user("n@example.com", true, &[("google-oauth2", "google-oauth2", "\"77\"")]),
        // Here it is the name, and both.
        user("somebody@example.com", true, &[("google-oauth2", "google-oauth2", "\"78\"")]),
    ];
    let mut world = World::of(Tenant::of(rows.clone())).start();
    let google = world.zitadel.add_idp("google", "Google", "x", true);
    somebody(&world, &google, "103547991597142800001");
    let call = |idp: &str, id: &str| json!({ "userId": "somebody", "idpLink": { "idpId": idp, "userId": id, "userName": "x" } });
    world.user_service("AddIDPLink", &call(&google, "tAKEN-2"));
    moves(&world).run().code(3);
    let store = world.store();
    for (id, held) in [
        ("google-oauth2|103547991597142800001", true),
        ("google-oauth2|103547991597142800002", false),
        ("google-oauth2|Taken-2", true),
        ("google-oauth2|77", false),
    ] {
        assert_eq!(store[id].links.is_empty(), held, "{id}");
        assert_eq!(codes(&world.outcome(id)).contains(&"link-taken"), held, "{id}");
        assert_eq!(
            (world.outcome(id)["outcome"].as_str(), store[id].state),
            (Some("created"), UserState::Active),
            "{id}"
        );
        assert_eq!(store[id].metadata.len(), 1, "{id}");
    }
    assert_eq!(world.outcome("google-oauth2|78")["code"], "user-name-taken");
    world.assert_balanced();

    // Once it is free, the next run makes it.
    let free = json!({ "userId": "somebody", "idpId": google, "linkedUserId": "103547991597142800001" });
    world.user_service("RemoveIDPLink", &free);
    world.becomes(Tenant::of(rows));
    moves(&world).run().code(3);
    assert_eq!(
        links(&world.store()["google-oauth2|103547991597142800001"]),
        [(google.as_str(), "103547991597142800001")]
    );
    assert!(world.store()["google-oauth2|Taken-2"].links.is_empty());
    // Tried again, and refused again: nothing of that user was written.
    assert_eq!(world.outcome("google-oauth2|Taken-2")["outcome"], "unchanged");
    assert!(codes(&world.outcome("google-oauth2|Taken-2")).contains(&"link-taken"));
    assert_eq!(world.balance("updated"), 1);
    assert!(world.mails().is_empty());
}

#[test]
fn two_exported_users_with_one_identity_are_found_in_the_plan() {
    let with = |email: &str, id: &str, github: &str| {
        user(email, true, &[("auth0", DATABASE, id), ("github", "github", github)])
    };
    let world = World::of(Tenant::of(vec![
        with("b@example.com", "\"2\"", "\"AbC\""),
        with("a@example.com", "\"1\"", "\"aBc\""),
    ]))
    .start();
    let github = world.zitadel.add_idp("github", "GitHub", "x", true);
    moves(&world).run().code(0);
    assert_eq!(links(&world.store()["auth0|1"]), [(github.as_str(), "aBc")]);
    assert!(world.store()["auth0|2"].links.is_empty());
    assert!(codes(&world.outcome("auth0|2")).contains(&"link-kept-by-other"));
    assert_eq!(count(&world, CREATE), 0, "nobody was refused");
    moves(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 2);
}

#[test]
fn providers_are_created_once_and_go_with_a_rollback() {
    let rows = vec![
        google(1),
        user("octo@example.com", true, &[("github", "github", "583231")]),
        user("slash@example.com", true, &[("oidc", "acme-oidc", "\"acme-oidc|sub-1\"")]),
        user("saml@example.com", true, &[("samlp", "acme-saml", "\"acme-saml|ada|acme.example\"")]),
        user("apple@example.com", true, &[("apple", "apple", "\"000123.ab.0456\"")]),
    ];
    let world = World::of(Tenant::of(rows)).start();
    world.zitadel.set_faults([Rule::new("/admin/v1/idps/google", When::First(1), Fault::LoseAnswer)]);
    let cutover = || moves(&world).env("A2Z_ZITADEL_CREATE_IDPS", "true");
    let plan = world.a2z(["plan"]).env("A2Z_ZITADEL_CREATE_IDPS", "true").run();
    let plan = plan.code(0);
    assert!(plan.stdout.contains("`google-oauth2` -> `Google`: to be created; 1 user"), "{}", plan.stdout);
    assert!(plan.stdout.contains("idps/callback"), "{}", plan.stdout);
    assert!(plan.stdout.contains("`apple` (apple): no link; the private key cannot be read"), "{}", plan.stdout);
    assert!(world.zitadel.idps().is_empty(), "a plan writes nothing");

    let ran = cutover().run().code(0);
    assert!(ran.stderr.contains("set its redirect URI at the provider"), "{}", ran.stderr);
    let idps = world.zitadel.idps();
    let kinds: Vec<&str> = idps.iter().map(|[_, kind, ..]| kind.trim_start_matches("PROVIDER_TYPE_")).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "GOOGLE").count(), 1, "{idps:?}");
    for kind in ["GITHUB", "OIDC", "SAML", "AZURE_AD"] {
        assert!(kinds.contains(&kind), "{kind}: {idps:?}");
    }
    let store = world.store();
    let linked = |id: &str| store[id].links.iter().map(|link| link.user_id.clone()).collect::<Vec<_>>();
    assert_eq!(linked("google-oauth2|103547991597142800001"), ["103547991597142800001"]);
    assert_eq!(linked("oidc|acme-oidc|sub-1"), ["sub-1"]);
    assert_eq!(linked("samlp|acme-saml|ada|acme.example"), ["ada|acme.example"]);
    assert!(linked("apple|000123.ab.0456").is_empty());

    cutover().run().code(0);
    assert_eq!(world.balance("unchanged"), 5);
    assert_eq!(world.zitadel.idps().len(), idps.len(), "none is made twice");

    let before = world.zitadel.add_idp("gitlab", "GitLab", "x", true);
    world.a2z(["rollback", "--yes"]).run().code(0);
    assert!(world.store().is_empty());
    let left: Vec<String> = world.zitadel.idps().into_iter().map(|[id, ..]| id).collect();
    assert_eq!(left, [before], "only what the ledger created goes");
}

#[test]
fn accounts_with_one_verified_address_become_one_user() {
    let mut second = user("ada@example.com", true, &[("auth0", "customers-legacy", "\"2\"")]);
    set(&mut second, "last_login", "\"2026-01-01T00:00:00.000Z\"");
    let mut rows = vec![
        user("Ada@example.com", true, &[("google-oauth2", "google-oauth2", "\"1001\"")]),
        second,
        user("ada@example.com", true, &[("github", "github", "\"1002\"")]),
        user("eve@example.com", true, &[("auth0", DATABASE, "\"3\"")]),
        // Unverified: anybody could have entered it.
        user("eve@example.com", false, &[("github", "github", "\"1003\"")]),
    ];
    let mut world = World::of(Tenant::of(rows.clone())).start();
    let google = world.zitadel.add_idp("google", "Google", "x", true);
    let github = world.zitadel.add_idp("github", "GitHub", "x", true);
    let cutover = |world: &World| moves(world).env("A2Z_MAPPING_COLLISIONS", "link");
    cutover(&world).run().code(3);
    let store = world.store();
    assert_eq!(store.len(), 2, "{:?}", store.keys());
    let ada = &store["auth0|2"];
    assert_eq!(links(ada), [(google.as_str(), "1001"), (github.as_str(), "1002")]);
    assert_eq!(ada.hash.as_deref(), Some(POOL[0].1));
    let ids: Value = serde_json::from_slice(&ada.metadata["auth0.linked_user_ids"]).unwrap();
    assert_eq!(ids, json!(["auth0|2", "github|1002", "google-oauth2|1001"]));
    let joined = world.outcome("google-oauth2|1001");
    assert_eq!((&joined["outcome"], &joined["code"]), (&json!("skipped"), &json!("linked-into")));
    assert!(joined["message"].to_string().contains("became part of another user"), "{joined}");
    assert!(codes(&joined).contains(&"metadata-left"));
    assert!(codes(&world.outcome("auth0|2")).contains(&"accounts-joined"));
    // Who could not be joined is blocked, as without the policy.
    assert_eq!(world.outcome("github|1003")["code"], "duplicate-user-name");
    assert!(links(&store["auth0|3"]).is_empty());
    world.assert_balanced();

    cutover(&world).run().code(3);
    assert_eq!((world.balance("unchanged"), world.balance("skipped")), (2, 2));

    // One more account, and one less.
    rows.remove(0);
    rows.push(user("ada@example.com", true, &[("github", "github", "\"1009\"")]));
    world.becomes(Tenant::of(rows));
    cutover(&world).run().code(3);
    assert_eq!(links(&world.store()["auth0|2"]), [(github.as_str(), "1002"), (github.as_str(), "1009")]);
    assert_eq!(world.store().len(), 2);
}

/// Who would stay is somebody else's already: nobody becomes part of a user that a2z does not move.
#[test]
fn nobody_becomes_part_of_a_user_who_is_not_moved() {
    let rows = vec![
        user("ada@example.com", true, &[("auth0", DATABASE, "\"1\"")]),
        user("ada@example.com", true, &[("google-oauth2", "google-oauth2", "\"1001\"")]),
    ];
    let world = World::of(Tenant::of(rows)).start();
    let mut before = User::default();
    before.id = "auth0|1".into();
    before.organization_id.clone_from(&world.zitadel.organization_id);
    before.user_name = "ada@example.com".into();
    world.zitadel.add_user(before);
    world.zitadel.add_idp("google", "Google", "x", true);
    moves(&world).env("A2Z_MAPPING_COLLISIONS", "link").run().code(3);
    let other = world.outcome("google-oauth2|1001");
    assert_eq!((&other["outcome"], &other["code"]), (&json!("rejected"), &json!("linked-into")), "{other}");
    assert_eq!(world.balance("existed"), 1);
    assert_eq!(world.store().len(), 1);
    world.assert_balanced();
}

#[test]
fn of_two_passwords_the_plan_says_which_counts() {
    let mut later = user("ada@example.com", true, &[("auth0", "customers-legacy", "\"2\"")]);
    set(&mut later, "last_login", "\"2026-01-01T00:00:00.000Z\"");
    let world =
        World::of(Tenant::of(vec![user("ada@example.com", true, &[("auth0", DATABASE, "\"1\"")]), later])).start();
    moves(&world).env("A2Z_MAPPING_COLLISIONS", "link").run().code(0);
    assert_eq!(world.store().len(), 1);
    let kept = world.outcome("auth0|2");
    let finding = kept["findings"].as_array().unwrap().iter().find(|f| f["code"] == "other-password-left").unwrap();
    assert_eq!(finding["detail"], "the password of auth0|2 counts, not that of auth0|1");
}

/// A blocked account must not open another one, nor close it.
#[test]
fn a_blocked_account_is_joined_to_nobody() {
    let mut blocked = user("ada@example.com", true, &[("google-oauth2", "google-oauth2", "\"1001\"")]);
    set(&mut blocked, "blocked", "true");
    let world =
        World::of(Tenant::of(vec![user("ada@example.com", true, &[("auth0", DATABASE, "\"1\"")]), blocked])).start();
    world.zitadel.add_idp("google", "Google", "x", true);
    moves(&world).env("A2Z_MAPPING_COLLISIONS", "link").run().code(3);
    let store = world.store();
    assert_eq!(store.len(), 1);
    assert!(links(&store["auth0|1"]).is_empty());
    assert_eq!(world.outcome("google-oauth2|1001")["code"], "duplicate-user-name");
    world.assert_balanced();
}

/// Second factors are given to whoever has the id, and the plan says what a joined account loses.
#[test]
fn a_newer_file_of_factors_reaches_a_joined_user_and_a_taken_link_costs_no_recovery_code() {
    let mut rows = vec![
        user("ada@example.com", true, &[("auth0", DATABASE, "\"1\"")]),
        user("ada@example.com", true, &[("google-oauth2", "google-oauth2", "\"1001\"")]),
        user("n@example.com", true, &[("google-oauth2", "google-oauth2", "\"77\"")]),
    ];
    let line = |id: &str, kind: &str, key: &str, value: &str| {
        json!({"user_id": id, "tenant": "t", "type": kind, key: value}).to_string()
    };
    rows[1].mfa = vec![line("google-oauth2|1001", "otp", "otp_secret", "JBSWY3DPEHPK3PXP")];
    rows[2].mfa = vec![line(
        "google-oauth2|77",
        "recovery-code",
        "recovery_code",
        &format!("{}00001", "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDh"),
    )];
    let mut world = World::of(Tenant::of(rows.clone())).start();
    let google = world.zitadel.add_idp("google", "Google", "x", true);
    somebody(&world, &google, "77");
    let cutover = |world: &World| {
        moves(world).args(["--mfa", "mfa.ndjson"]).env("A2Z_MAPPING_COLLISIONS", "link").env("A2Z_IMPORT_TIMEOUT", "2s")
    };
    cutover(&world).run().code(0);
    let store = world.store();
    assert_eq!((store["google-oauth2|77"].recovery_codes.len(), links(&store["google-oauth2|77"]).len()), (1, 0));
    let ada = world.outcome("auth0|1");
    let lost = ada["findings"].as_array().unwrap().iter().find(|f| f["code"] == "factor-not-moved").unwrap();
    assert_eq!(lost["detail"], "totp");

    rows[0].mfa = vec![line("auth0|1", "otp", "otp_secret", "JBSWY3DPEHPK3PXQ")];
    world.becomes(Tenant::of(rows));
    cutover(&world).run().code(0);
    assert_eq!(world.store()["auth0|1"].totp.as_deref(), Some("JBSWY3DPEHPK3PXQ"));
}
