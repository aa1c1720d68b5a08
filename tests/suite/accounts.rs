//! Accounts, identities and roles that more than one user claims, from run to run: nothing that was given is taken away, and
//! nothing is left out without a word.

use std::time::Duration;

use a2z::sandbox::{
    faults::{Fault, Rule, When},
    tenant::{Organization, Role, Row, Tenant},
    zitadel::{User, UserState},
};
use serde_json::{Value, json};

use crate::{
    harness::{Run, World},
    links::{DATABASE, codes, google, links, moves, set, user},
};

const IMPORT: &str = "/admin/v1/import";

fn database(email: &str, id: &str) -> Row {
    user(email, true, &[("auth0", DATABASE, &format!("\"{id}\""))])
}

fn github(email: &str, id: &str) -> Row {
    user(email, true, &[("github", "github", &format!("\"{id}\""))])
}

fn detail(outcome: &Value, code: &str) -> Option<String> {
    let found = outcome["findings"].as_array()?.iter().find(|finding| finding["code"] == code)?;
    Some(found["detail"].as_str().unwrap_or_default().to_owned())
}

fn organization(id: &str, members: &[(&Row, &[&str])]) -> Organization {
    let roles = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect();
    Organization {
        id: id.into(),
        name: id.into(),
        display_name: String::new(),
        members: members.iter().map(|(row, of)| (row.user_id.clone(), roles(of))).collect(),
        branding: Value::Null,
        metadata: Value::Null,
    }
}

fn role(id: &str, users: &[&Row]) -> Role {
    let users = users.iter().map(|row| row.user_id.clone()).collect();
    Role { id: id.into(), name: id.into(), description: String::new(), users }
}

fn orgs(run: Run) -> Run {
    run.env("A2Z_ROLES_MODE", "grants").env("A2Z_ORGANIZATIONS_POLICY", "orgs")
}

/// The import would take the link of a provider of the main organization, and nobody could sign in by it.
#[test]
fn a_provider_of_the_main_organization_links_nobody_who_lives_in_another() {
    let rows = vec![google(1), google(2), database("d@example.com", "3")];
    let mut tenant = Tenant::of(rows.clone());
    tenant.organizations = vec![organization("org_acme", &[(&rows[0], &[]), (&rows[2], &[])])];
    let world = World::of(tenant.clone()).start();
    let idp = world.zitadel.add_idp_of_organization("google", "Google", "x");
    let shown = orgs(moves(&world)).run().code(0);
    assert!(shown.stdout.contains("provider-elsewhere"), "{}", shown.stdout);
    let (store, [there, here]) = (world.store(), [&rows[0].user_id, &rows[1].user_id]);
    assert_eq!((store[there].organization_id.as_str(), store[there].state), ("org_acme", UserState::Active));
    assert!(links(&store[there]).is_empty());
    assert_eq!(detail(&world.outcome(there), "provider-elsewhere"), Some(format!("provider {idp}")));
    assert!(!codes(&world.outcome(there)).contains(&"link-taken"));
    assert_eq!(links(&store[here]).len(), 1);
    assert!(world.mails().is_empty());
    world.assert_balanced();
    orgs(moves(&world)).run().code(0);
    assert_eq!(world.balance("unchanged"), 3);

    let world = World::of(tenant).start();
    world.zitadel.add_idp_of_organization("google", "Google", "x");
    orgs(moves(&world)).env("A2Z_IDPS_UNMATCHED", "block").run().code(3);
    assert_eq!(world.outcome(there)["code"], "no-identity-provider");
    assert_eq!(world.store().len(), 2);
}

#[test]
fn who_became_one_user_stays_one_whatever_the_policy_says_later() {
    let mut rows = vec![database("ada@example.com", "1"), google(7), github("ada@example.com", "1002")];
    set(&mut rows[1], "email", "\"ada@example.com\"");
    let mut world = World::of(Tenant::of(rows.clone())).start();
    world.zitadel.add_idp("google", "Google", "x", true);
    world.zitadel.add_idp("github", "GitHub", "x", true);
    moves(&world).env("A2Z_MAPPING_COLLISIONS", "link").run().code(0);
    let before = world.store();
    assert_eq!((before.len(), links(&before["auth0|1"]).len()), (1, 2));

    // Another policy, and an address that is not the same any more.
    set(&mut rows[2], "email", "\"else@example.com\"");
    world.becomes(Tenant::of(rows));
    for policy in ["block", "suffix", "link"] {
        moves(&world).env("A2Z_MAPPING_COLLISIONS", policy).run().code(0);
        let store = world.store();
        assert_eq!((world.balance("unchanged"), world.balance("skipped")), (1, 2), "{policy}");
        assert_eq!(links(&store["auth0|1"]), links(&before["auth0|1"]), "{policy}");
        assert_eq!(store["auth0|1"].metadata, before["auth0|1"].metadata, "{policy}");
        assert_eq!(store.len(), 1, "{policy}");
        assert_eq!(world.outcome("github|1002")["code"], "linked-into", "{policy}");
    }
    // Undone, everybody is who they were.
    world.a2z(["rollback", "--yes"]).run().code(0);
    moves(&world).env("A2Z_MAPPING_COLLISIONS", "suffix").run().code(0);
    assert_eq!(world.store().len(), 3);
}

/// A plan that was never carried out binds nobody.
#[test]
fn who_was_only_planned_as_one_user_is_not() {
    let rows = vec![database("ada@example.com", "1"), github("ada@example.com", "1002")];
    let world = World::of(Tenant::of(rows)).start();
    world.zitadel.add_idp("github", "GitHub", "x", true);
    let plan = world.a2z(["plan", "--passwords", "passwords.ndjson"]).env("A2Z_MAPPING_COLLISIONS", "link");
    assert!(plan.run().code(0).stdout.contains("linked-into"));
    moves(&world).env("A2Z_MAPPING_COLLISIONS", "suffix").run().code(0);
    assert_eq!(world.store().len(), 2);
}

/// A lost request created the user; before the next run the user added a link.
#[test]
fn a_link_that_the_user_added_stays_although_the_creation_was_not_heard_of() {
    let world = World::of(Tenant::of(vec![google(1)])).start();
    let google = world.zitadel.add_idp("google", "Google", "x", true);
    let github = world.zitadel.add_idp("github", "GitHub", "x", true);
    let id = "google-oauth2|103547991597142800001";
    world.zitadel.set_faults([Rule::new(IMPORT, When::Always, Fault::SlowAnswer(Duration::from_mins(1)))]);
    let running = moves(&world).spawn();
    world.wait_until("the user", |world| !world.store().is_empty());
    running.kill();
    world.zitadel.set_faults([]);
    let own = json!({ "userId": id, "idpLink": { "idpId": github, "userId": "own", "userName": "x" } });
    world.user_service("AddIDPLink", &own);
    // The mapping changed: the user is rewritten.
    moves(&world).env("A2Z_MAPPING_METADATA", "none").run().code(0);
    assert_eq!(world.balance("created"), 1);
    assert!(world.store()[id].metadata.is_empty(), "it was not rewritten");
    assert_eq!(links(&world.store()[id]), [(google.as_str(), "103547991597142800001"), (github.as_str(), "own")]);
}

#[test]
fn a_password_of_a_joined_account_that_does_not_move_is_said_as_it_is() {
    let mut world = World::of(Tenant::of(vec![github("ada@example.com", "1002")])).start();
    world.zitadel.add_idp("github", "GitHub", "x", true);
    moves(&world).run().code(0);
    world.becomes(Tenant::of(vec![github("ada@example.com", "1002"), database("ada@example.com", "1")]));
    moves(&world).env("A2Z_MAPPING_COLLISIONS", "link").run().code(0);
    let kept = world.outcome("github|1002");
    assert_eq!(detail(&kept, "password-left").as_deref(), Some("auth0|1"));
    assert!(!codes(&kept).contains(&"other-password-left"), "{kept}");
    assert_eq!(world.store()["github|1002"].hash, None);
}

#[test]
fn an_identity_that_moves_to_another_user_takes_one_run() {
    let with = |id: &str, identities: &[&str]| {
        let mut all = vec![("auth0", DATABASE, format!("\"{id}\""))];
        all.extend(identities.iter().map(|id| ("github", "github", format!("\"{id}\""))));
        let all: Vec<_> = all.iter().map(|(a, b, c)| (*a, *b, c.as_str())).collect();
        user(&format!("u{id}@example.com"), true, &all)
    };
    let mut world = World::of(Tenant::of(vec![with("1", &["x", "y"]), with("2", &["z"]), with("3", &[])])).start();
    let github = world.zitadel.add_idp("github", "GitHub", "x", true);
    moves(&world).run().code(0);
    // One to a user who is there, one to a user who is new, and one the other way round.
    world.becomes(Tenant::of(vec![with("1", &["z"]), with("2", &["X"]), with("3", &[]), with("4", &["y"])]));
    moves(&world).run().code(0);
    let store = world.store();
    for (id, external) in [("auth0|1", "z"), ("auth0|2", "X"), ("auth0|4", "y")] {
        assert_eq!(links(&store[id]), [(github.as_str(), external)], "{id}");
        assert!(codes(&world.outcome(id)).is_empty(), "{}", world.outcome(id));
    }
    assert_eq!((world.balance("updated"), world.balance("created"), world.balance("unchanged")), (2, 1, 1));
    moves(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 4);
}

/// Whoever would keep the identity turns out to be somebody else's: the next one gets it.
#[test]
fn an_identity_whose_keeper_is_not_moved_goes_to_the_next() {
    let with = |email: &str, id: &str, github: &str| {
        user(email, true, &[("auth0", DATABASE, &format!("\"{id}\"")), ("github", "github", github)])
    };
    let world =
        World::of(Tenant::of(vec![with("a@example.com", "1", "\"aBc\""), with("b@example.com", "2", "\"AbC\"")]))
            .start();
    let github = world.zitadel.add_idp("github", "GitHub", "x", true);
    let mut before = User::default();
    before.id = "auth0|1".into();
    before.organization_id.clone_from(&world.zitadel.organization_id);
    before.user_name = "before@example.com".into();
    world.zitadel.add_user(before);
    moves(&world).run().code(0);
    assert_eq!(world.balance("existed"), 1);
    assert_eq!(links(&world.store()["auth0|2"]), [(github.as_str(), "AbC")]);
    assert!(!codes(&world.outcome("auth0|2")).contains(&"link-kept-by-other"));
    moves(&world).run().code(0);
    assert_eq!(world.balance("unchanged"), 1);
}

/// The same, and it shows at the import only: it is said, and the next run gives the link.
#[test]
fn an_identity_whose_keeper_exists_at_the_import_only_is_given_by_the_next_run() {
    let with = |email: &str, id: &str, github: &str| {
        user(email, true, &[("auth0", DATABASE, &format!("\"{id}\"")), ("github", "github", github)])
    };
    let world =
        World::of(Tenant::of(vec![with("a@example.com", "1", "\"aBc\""), with("b@example.com", "2", "\"AbC\"")]))
            .start();
    let github = world.zitadel.add_idp("github", "GitHub", "x", true);
    let plan = world.a2z(["plan", "--passwords", "passwords.ndjson"]).run().code(0);
    assert!(plan.stdout.contains("link-kept-by-other"), "{}", plan.stdout);
    let mut before = User::default();
    before.id = "auth0|1".into();
    before.organization_id.clone_from(&world.zitadel.organization_id);
    before.user_name = "before@example.com".into();
    world.zitadel.add_user(before);
    moves(&world).run().code(0);
    assert_eq!(world.balance("existed"), 1);
    let said = detail(&world.outcome("auth0|2"), "link-kept-by-other");
    assert_eq!(said.as_deref(), Some("was to be auth0|1's, who was not moved: run again"));
    moves(&world).run().code(0);
    assert_eq!(links(&world.store()["auth0|2"]), [(github.as_str(), "AbC")]);
    assert!(!codes(&world.outcome("auth0|2")).contains(&"link-kept-by-other"));
}

/// Neither password nor link: the import would strand the user, and write an e-mail.
#[test]
fn who_loses_the_only_link_is_not_stranded() {
    let world = World::of(Tenant::of(vec![github("a@example.com", "AbC"), github("b@example.com", "aBc")])).start();
    world.zitadel.add_idp("github", "GitHub", "x", true);
    moves(&world).run().code(0);
    let store = world.store();
    let linked: Vec<usize> = store.values().map(|user| user.links.len()).collect();
    assert_eq!(linked.iter().sum::<usize>(), 1);
    assert!(store.values().all(|user| user.state == UserState::Active), "{store:?}");
    assert!(world.mails().is_empty());
}

#[test]
fn roles_of_a_joined_account_go_to_the_user_whom_it_became_part_of() {
    let mut rows = vec![database("ada@example.com", "1"), google(7), database("eve@example.com", "3")];
    set(&mut rows[1], "email", "\"ada@example.com\"");
    let mut tenant = Tenant::of(rows.clone());
    tenant.roles = vec![role("rol_a", &[&rows[0], &rows[2]]), role("rol_b", &[&rows[1]]), role("rol_c", &[])];
    tenant.organizations = vec![
        organization("org_x", &[(&rows[0], &["rol_a"]), (&rows[1], &["rol_c"])]),
        organization("org_y", &[(&rows[1], &[])]),
    ];
    let world = World::of(tenant).start();
    world.zitadel.add_idp("google", "Google", "x", true);
    let cutover = || orgs(moves(&world)).env("A2Z_MAPPING_COLLISIONS", "link");
    let shown = cutover().run().code(0);
    assert!(shown.stdout.contains("roles-joined"), "{}", shown.stdout);
    let main = world.zitadel.organization_id.as_str();
    let given: Vec<(String, String, String)> = world
        .zitadel
        .structure()
        .grants
        .into_iter()
        .map(|((user, _, organization), roles)| (user, organization.replace(main, "main"), roles.join(" ")))
        .collect();
    let mut wanted = [
        ("auth0|1", "main", "rol_a rol_b"),
        // The user lives there.
        ("auth0|1", "org_x", "rol_a rol_c"),
        ("auth0|1", "org_y", ""),
        ("auth0|3", "main", "rol_a"),
    ]
    .map(|(user, organization, roles)| (user.to_owned(), organization.to_owned(), roles.to_owned()));
    wanted.sort();
    let mut given = given;
    given.sort();
    assert_eq!(given, wanted);
    let kept = world.outcome("auth0|1");
    assert_eq!(detail(&kept, "roles-joined"), Some(rows[1].user_id.clone()));
    assert!(!codes(&world.outcome(&rows[1].user_id)).contains(&"roles-left"));
    world.a2z(["verify"]).run().code(0);
    let writes = world.writes().len();
    cutover().run().code(0);
    assert_eq!(world.writes().len(), writes);
}

/// Somebody creates the user between the plan and the import.
#[test]
fn who_exists_at_the_import_only_gets_no_grant_and_that_is_said() {
    let rows = vec![database("a@example.com", "1"), database("b@example.com", "2")];
    let mut tenant = Tenant::of(rows.clone());
    tenant.roles = vec![role("rol_a", &[&rows[0], &rows[1]])];
    let world = World::of(tenant).start();
    let with = |run: Run| run.args(["--passwords", "passwords.ndjson"]).env("A2Z_ROLES_MODE", "grants");
    let plan = with(world.a2z(["plan"])).run().code(0);
    assert!(plan.stdout.contains("role grants: 2 to give"), "{}", plan.stdout);
    let mut there = User::default();
    there.id.clone_from(&rows[0].user_id);
    there.organization_id.clone_from(&world.zitadel.organization_id);
    there.user_name = "there@example.com".into();
    world.zitadel.add_user(there);
    let ran = with(world.a2z(["cutover", "--yes"])).run().code(0);
    assert!(ran.stderr.contains("going on with the plan"), "{}", ran.stderr);
    let existed = world.outcome(&rows[0].user_id);
    assert_eq!((&existed["outcome"], codes(&existed)), (&json!("existed"), vec!["grant-not-given"]));
    let given: Vec<_> = world.zitadel.structure().grants.into_keys().map(|(user, ..)| user).collect();
    assert_eq!(given, [rows[1].user_id.clone()]);
    assert_eq!(world.report()["structure"]["grants_to_give"], 0);
}

/// The mapping changes in the middle of a run: whom the run created before it created.
#[test]
fn who_was_created_before_the_plan_was_made_anew_counts_as_created() {
    let rows: Vec<Row> = (0..12).map(|n| database(&format!("u{n}@example.com"), &n.to_string())).collect();
    let world = World::of(Tenant::of(rows)).start();
    let cutover = || moves(&world).args(["--concurrency", "1"]).env("A2Z_IMPORT_BATCH_USERS", "4");
    world.zitadel.set_faults([Rule::new(IMPORT, When::Nth(3), Fault::SlowAnswer(Duration::from_mins(1)))]);
    let running = cutover().spawn();
    world.wait_until("all of them", |world| world.store().len() == 12);
    running.kill();
    world.zitadel.set_faults([]);
    // The same users, and another plan.
    cutover().env("A2Z_MAPPING_COLLISIONS", "suffix").run().code(0);
    assert_eq!((world.balance("created"), world.balance("unchanged")), (12, 0));
    assert_eq!(world.outcome("auth0|0")["route"], "import");
    world.assert_balanced();
    cutover().run().code(0);
    assert_eq!((world.balance("created"), world.balance("unchanged")), (0, 12));
}

#[test]
fn whom_a_run_created_and_updates_after_a_new_plan_it_created() {
    let rows: Vec<Row> = (0..8).map(|n| database(&format!("u{n}@example.com"), &n.to_string())).collect();
    let world = World::of(Tenant::of(rows)).start();
    let cutover = || moves(&world).args(["--concurrency", "1"]).env("A2Z_IMPORT_BATCH_USERS", "4");
    world.zitadel.set_faults([Rule::new(IMPORT, When::Nth(2), Fault::SlowAnswer(Duration::from_mins(1)))]);
    let running = cutover().spawn();
    world.wait_until("all of them", |world| world.store().len() == 8);
    running.kill();
    world.zitadel.set_faults([]);
    cutover().env("A2Z_MAPPING_METADATA", "none").run().code(0);
    assert_eq!((world.balance("created"), world.balance("updated")), (8, 0));
    assert!(world.store().values().all(|user| user.metadata.is_empty()));
    cutover().run().code(0);
    assert_eq!(world.balance("updated"), 8);
}
