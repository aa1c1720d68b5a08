//! Roles and organizations: what the tenant has arrives, once, and follows the tenant; what others did stays.

use std::collections::BTreeMap;

use a2z::sandbox::{
    faults::{Fault, RetryAfter, Rule, When},
    tenant::{Organization, Role, Row, Tenant, TenantOptions},
    zitadel::{SeenProject, User, UserState},
};
use serde_json::{Value, json};

use crate::harness::{Expected, Run, World};

const IMPORT: &str = "/admin/v1/import";
const GRANT: &str = "/zitadel.authorization.v2.AuthorizationService/CreateAuthorization";
const ADD_ROLE: &str = "/zitadel.project.v2.ProjectService/AddProjectRole";
const CREATE_PROJECT: &str = "/zitadel.project.v2.ProjectService/CreateProject";

/// Plain users.
fn rows(users: u64) -> Vec<Row> {
    Tenant::made_up(TenantOptions { users, seed: 31, oddity_rate: 0.0 }).rows().collect()
}

fn role(id: &str, name: &str, users: &[&Row]) -> Role {
    Role {
        id: id.into(),
        name: name.into(),
        description: String::new(),
        users: users.iter().map(|row| row.user_id.clone()).collect(),
    }
}

fn organization(id: &str, name: &str, display: &str, members: &[(&Row, &[&str])]) -> Organization {
    Organization {
        id: id.into(),
        name: name.into(),
        display_name: display.into(),
        members: members
            .iter()
            .map(|(row, roles)| (row.user_id.clone(), roles.iter().map(|role| (*role).to_owned()).collect()))
            .collect(),
        branding: Value::Null,
        metadata: Value::Null,
    }
}

fn tenant(rows: &[Row], roles: Vec<Role>, organizations: Vec<Organization>) -> Tenant {
    let mut tenant = Tenant::of(rows.to_vec());
    (tenant.roles, tenant.organizations) = (roles, organizations);
    tenant
}

fn grants(world: &World) -> Run {
    world.cutover().env("A2Z_ROLES_MODE", "grants")
}

/// The one project that is there.
#[track_caller]
fn project(world: &World) -> (String, SeenProject) {
    let mut projects: Vec<_> = world.zitadel.structure().projects.into_iter().collect();
    assert_eq!(projects.len(), 1, "{projects:?}");
    projects.remove(0)
}

/// Role keys by user, of the main organization.
fn given(world: &World) -> BTreeMap<String, Vec<String>> {
    let main = &world.zitadel.organization_id;
    let grants = world.zitadel.structure().grants.into_iter();
    grants.filter(|((_, _, organization), _)| organization == main).map(|((user, ..), roles)| (user, roles)).collect()
}

fn wanted(list: &[(&Row, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    list.iter().map(|(row, roles)| (row.user_id.clone(), keys(roles))).collect()
}

#[test]
fn by_default_roles_and_organizations_stay_behind() {
    let users = rows(4);
    let roles = vec![role("rol_a", "admin", &[&users[0]])];
    let world =
        World::of(tenant(&users, roles, vec![organization("org_a", "acme", "Acme", &[(&users[1], &[])])])).start();
    let ran = world.cutover().run().code(0);
    assert!(!ran.stdout.contains("Roles and organizations"), "{}", ran.stdout);
    assert!(world.report()["structure"].is_null());
    let structure = world.zitadel.structure();
    assert_eq!((structure.projects.len(), structure.grants.len(), structure.organizations.len()), (0, 0, 1));
    assert!(!world.auth0().requests().iter().any(|seen| seen.path.contains("/roles") || seen.path.contains("/organi")));
}

#[test]
fn roles_become_roles_of_a_project_and_grants_of_their_users() {
    let users = rows(260);
    // More than two pages of users.
    let everybody = role("rol_b", "Billing Manager", &users.iter().take(250).collect::<Vec<_>>());
    let roles = vec![
        role("rol_a", "admin", &[&users[0], &users[1]]),
        everybody,
        role("rol_c", "nobody", &[]),
        // The same key for ZITADEL.
        role("rol_d", "ADMIN", &[&users[1]]),
    ];
    let world = World::of(tenant(&users, roles, Vec::new())).start();

    let ran =
        world.a2z(["plan"]).args(["--passwords", "passwords.ndjson"]).env("A2Z_ROLES_MODE", "grants").run().code(0);
    for line in ["4 roles, 4 to create in ZITADEL", "role grants: 250 to give"] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    assert!(ran.stderr.contains("role-key-changed") || ran.stderr.contains("`ADMIN (rol_d)`"), "{}", ran.stderr);
    assert!(world.zitadel.structure().projects.is_empty(), "a plan writes nothing");

    grants(&world).run().code(0);
    world.assert_balanced();
    world.assert_store(&Expected::of(world.tenant()));
    let (_, project) = project(&world);
    assert_eq!((project.name.as_str(), &project.organization_id), ("Auth0 roles", &world.zitadel.organization_id));
    let keys: Vec<_> = project.roles.iter().map(|(key, name)| (key.as_str(), name.as_str())).collect();
    assert_eq!(
        keys,
        [("ADMIN (rol_d)", "ADMIN"), ("Billing Manager", "Billing Manager"), ("admin", "admin"), ("nobody", "nobody")]
    );
    let given = given(&world);
    assert_eq!(given.len(), 250);
    assert_eq!(given[&users[0].user_id], ["Billing Manager", "admin"]);
    assert_eq!(given[&users[1].user_id], ["ADMIN (rol_d)", "Billing Manager", "admin"]);
    assert_eq!(given[&users[249].user_id], ["Billing Manager"]);
    assert_eq!(world.report()["structure"]["grants_ours"], 250);

    // Again: nothing is written.
    let writes = world.writes();
    let ran = grants(&world).run().code(0);
    assert_eq!(world.writes()[writes.len()..], [] as [String; 0]);
    assert!(ran.stdout.contains("role grants: 250 unchanged"), "{}", ran.stdout);
}

#[test]
fn grants_follow_the_tenant_and_leave_alone_what_others_did() {
    let users = rows(8);
    let roles = |a: &[&Row], b: &[&Row]| vec![role("rol_a", "a", a), role("rol_b", "b", b)];
    let of = |roles| tenant(&users, roles, Vec::new());
    let all: Vec<&Row> = users.iter().take(6).collect();
    let mut world = World::of(of(roles(&all, &[&users[5]]))).start();
    grants(&world).run().code(0);
    assert_eq!(given(&world).len(), 6);
    let (id, _) = project(&world);

    // Somebody else changes one grant, takes one away, and gives one.
    let service = |method: &str| format!("/zitadel.authorization.v2.AuthorizationService/{method}");
    let list = world.call(&service("ListAuthorizations"), &json!({}));
    let of_user = |row: &Row| {
        let all = list["authorizations"].as_array().unwrap();
        all.iter().find(|grant| grant["user"]["id"] == row.user_id.as_str()).unwrap()["id"].clone()
    };
    world.call(&service("UpdateAuthorization"), &json!({"id": of_user(&users[3]), "roleKeys": ["b"]}));
    world.call(&service("DeleteAuthorization"), &json!({"id": of_user(&users[4])}));
    let organization = world.zitadel.organization_id.clone();
    let grant = json!({"userId": users[7].user_id, "projectId": id, "organizationId": organization, "roleKeys": ["a"]});
    world.call(&service("CreateAuthorization"), &grant);

    // 0 keeps it, 1 loses it, 2 and 3 and 4 get another one beside, 5 loses one of two, 6 is new, 7 gets one.
    world.becomes(of(roles(
        &[&users[0], &users[2], &users[3], &users[4], &users[5]],
        &[&users[2], &users[3], &users[4], &users[6], &users[7]],
    )));
    // What both sides changed needs the operator.
    let ran = grants(&world).run().code(3);
    assert!(ran.stdout.contains("role grants: 2 to give, 4 to change, 1 to take away, 1 unchanged"), "{}", ran.stdout);
    assert_eq!(
        given(&world),
        wanted(&[
            (&users[0], &["a"]),
            (&users[2], &["a", "b"]),
            (&users[3], &["b"]),
            (&users[5], &["a"]),
            (&users[6], &["b"]),
            (&users[7], &["a"]),
        ])
    );
    let finding = |row: &Row| world.outcome(&row.user_id)["findings"][0]["code"].clone();
    assert_eq!(
        [finding(&users[3]), finding(&users[4]), finding(&users[7])],
        ["grant-kept", "grant-taken-away", "grant-existed"]
    );
    assert_eq!(world.report()["structure"]["grants_left"], 3);

    grants(&world).env("A2Z_MAPPING_CONFLICTS", "overwrite").run().code(0);
    let roles = given(&world);
    let of = |row: &Row| wanted(&[(row, &["a", "b"])]).into_iter().all(|(id, keys)| roles.get(&id) == Some(&keys));
    assert!(of(&users[3]) && of(&users[4]), "{roles:?}");
}

#[test]
fn a_user_who_was_there_before_gets_no_grant() {
    let users = rows(3);
    let world = World::of(tenant(&users, vec![role("rol_a", "a", &[&users[0], &users[1]])], Vec::new())).start();
    let mut there = User::default();
    there.id.clone_from(&users[0].user_id);
    there.user_name = "there@example.com".into();
    there.email = "there@example.com".into();
    world.zitadel.add_user(there);
    grants(&world).run().code(0);
    let existed = world.outcome(&users[0].user_id);
    assert_eq!((&existed["outcome"], &existed["findings"][0]["code"]), (&json!("existed"), &json!("grant-not-given")));
    assert_eq!(given(&world), wanted(&[(&users[1], &["a"])]));
}

#[test]
fn a_project_that_exists_gets_the_roles_and_keeps_its_own() {
    let users = rows(3);
    let roles = vec![role("rol_a", "admin", &[&users[0]]), role("rol_b", "b", &[&users[1]])];
    let world = World::of(tenant(&users, roles, Vec::new())).start();
    let organization = &world.zitadel.organization_id;
    let made = world.call(CREATE_PROJECT, &json!({"organizationId": organization, "name": "Portal"}));
    let id = made["projectId"].as_str().unwrap();
    // Another spelling: keys are unique whatever their case.
    world.call(ADD_ROLE, &json!({"projectId": id, "roleKey": "Admin", "displayName": "The admins"}));

    let ran = grants(&world).env("A2Z_ROLES_PROJECT_ID", "nowhere").run().code(4);
    assert!(ran.error().contains("no project with the id `nowhere`"), "{}", ran.error());
    grants(&world).env("A2Z_ROLES_PROJECT_ID", id).run().code(0);
    let (_, project) = project(&world);
    assert_eq!(project.roles["Admin"], "The admins");
    assert_eq!(project.roles.len(), 2);
    assert_eq!(given(&world), wanted(&[(&users[0], &["Admin"]), (&users[1], &["b"])]));
}

/// The import endpoint gives grants in batches; whoever may not call it gives them one by one.
#[test]
fn without_iam_owner_grants_go_one_by_one() {
    let users = rows(9);
    let world =
        World::of(tenant(&users, vec![role("rol_a", "a", &users.iter().collect::<Vec<_>>())], Vec::new())).start();
    let token = world.zitadel.add_token(&["ORG_OWNER"]);
    grants(&world).env("ZITADEL_TOKEN", &token).run().code(0);
    assert_eq!(given(&world).len(), 9);
    assert_eq!(world.writes().iter().filter(|write| write.ends_with(GRANT)).count(), 9);

    let manager = world.zitadel.add_token(&["ORG_USER_MANAGER"]);
    let ran = grants(&world).env("ZITADEL_TOKEN", &manager).run().code(4);
    assert!(ran.error().contains("may not create projects and role grants"), "{}", ran.error());
}

#[test]
fn answers_that_are_lost_make_nothing_twice() {
    let users = rows(30);
    let everybody: Vec<&Row> = users.iter().collect();
    let roles = vec![role("rol_a", "a", &everybody), role("rol_b", "b", &everybody[..10])];
    for (name, rules) in [
        ("project", vec![Rule::new(CREATE_PROJECT, When::First(1), Fault::LoseAnswer)]),
        ("role", vec![Rule::new(ADD_ROLE, When::Every(2), Fault::LoseAnswer)]),
        ("users and grants", vec![Rule::new(IMPORT, When::Every(2), Fault::LoseAnswer)]),
        ("users and grants, the first", vec![Rule::new(IMPORT, When::First(3), Fault::CutAnswer)]),
        ("too much", vec![Rule::new(IMPORT, When::Every(2), Fault::TooMany(RetryAfter::No))]),
        ("half of them", vec![Rule::new(IMPORT, When::Nth(2), Fault::ImportTimeout)]),
    ] {
        let world = World::of(tenant(&users, roles.clone(), Vec::new())).faults(rules).start();
        grants(&world).args(["--concurrency", "1"]).run().code(0);
        world.assert_balanced();
        world.assert_store(&Expected::of(world.tenant()));
        let (_, project) = project(&world);
        assert_eq!(project.roles.len(), 2, "{name}");
        let given = given(&world);
        assert_eq!(given.len(), 30, "{name}");
        assert_eq!(given.values().filter(|roles| roles.len() == 2).count(), 10, "{name}");
        assert_eq!(world.report()["structure"]["grants_ours"], 30, "{name}");
        assert_eq!(world.report()["structure"]["grants_left"], 0, "{name}");
    }
}

/// A kill at any moment: the next run goes on, and there is one of everything.
#[test]
fn a_kill_in_the_middle_of_the_lists_or_of_the_grants() {
    let users = rows(120);
    let everybody: Vec<&Row> = users.iter().collect();
    let roles = vec![role("rol_a", "a", &everybody), role("rol_b", "b", &everybody[..60])];
    let world = World::of(tenant(&users, roles, Vec::new())).start();
    let slow = |path: &str| Rule::new(path, When::Always, Fault::Delay(std::time::Duration::from_millis(400)));

    world.auth0().set_faults([slow("/api/v2/roles")]);
    let running = grants(&world).spawn();
    world.wait_until("the second page of a role", |world| {
        world.auth0().requests().iter().any(|seen| seen.path.contains("/users?") && seen.path.contains("from="))
    });
    running.kill();
    let before = world.auth0().requests().len();
    world.auth0().set_faults([]);

    world.zitadel.set_faults([slow(ADD_ROLE), slow(IMPORT)]);
    let running = grants(&world).spawn();
    world.wait_until("the first grants", |world| !world.zitadel.structure().grants.is_empty());
    running.kill();
    let lists: Vec<_> = world.auth0().requests()[before..].iter().map(|seen| seen.path.clone()).collect();
    assert!(!lists.iter().any(|path| path.contains("/api/v2/roles?page=0")), "the list was read before: {lists:?}");

    world.zitadel.set_faults([]);
    grants(&world).run().code(0);
    world.assert_balanced();
    world.assert_store(&Expected::of(world.tenant()));
    assert_eq!(project(&world).1.roles.len(), 2);
    assert_eq!(given(&world).len(), 120);
    assert_eq!(world.report()["structure"]["grants_left"], 0);
}

/// A tenant's plan without the feature answers 403: nothing is moved then, and what was moved before is not taken away.
#[test]
fn what_auth0_does_not_give_is_said() {
    let users = rows(3);
    let of = |users: &[&Row]| vec![role("rol_a", "a", users)];
    let none = |path: &str| Rule::new(path, When::Always, Fault::Status(403));
    let world = World::of(tenant(&users, of(&[&users[0]]), Vec::new())).start();
    world.auth0().set_faults([none("/api/v2/roles"), none("/api/v2/organizations")]);
    let ran = grants(&world).env("A2Z_ORGANIZATIONS_POLICY", "orgs").run().code(0);
    for code in ["roles-not-available", "organizations-not-available"] {
        assert!(ran.stderr.contains(code), "{code}\n{}", ran.stderr);
    }
    assert!(given(&world).is_empty());

    world.auth0().set_faults([]);
    grants(&world).run().code(0);
    assert_eq!(given(&world).len(), 1);
    world.auth0().set_faults([none("/api/v2/roles")]);
    let ran = grants(&world).run().code(4);
    assert!(ran.error().contains("an earlier run did read roles"), "{}", ran.error());
    assert_eq!(given(&world).len(), 1);
}

/// As a tenant of the Free plan: a few requests, then 429 with the moment at which to come back.
#[test]
fn the_lists_keep_to_auth0s_limits() {
    let users = rows(4);
    let roles: Vec<_> = (0..6).map(|n| role(&format!("rol_{n}"), &format!("r{n}"), &[&users[0]])).collect();
    let world = World::of(tenant(&users, roles, Vec::new()))
        .auth0(|options| options.limit = a2z::sandbox::auth0::Limit { burst: 3, per_second: 20.0 })
        .start();
    grants(&world).env("A2Z_HTTP_MAX_WAIT", "2s").run().code(0);
    assert!(world.auth0().requests().iter().any(|seen| seen.status == 429), "the limit was never met");
    assert_eq!(given(&world)[&users[0].user_id].len(), 6);
}

#[test]
fn memberships_and_roles_as_metadata() {
    let users = rows(4);
    let roles = vec![role("rol_a", "admin", &[&users[0], &users[1]]), role("rol_b", "Büro", &[&users[0]])];
    let organizations = |of: &[(&Row, &[&str])]| {
        vec![
            organization("org_b", "beta", "", of),
            organization("org_a", "acme", "Acme \"Ltd\"", &[(&users[0], &["rol_b", "rol_a"])]),
        ]
    };
    let of = |members: &[(&Row, &[&str])]| tenant(&users, roles.clone(), organizations(members));
    let mut world = World::of(of(&[(&users[0], &[])])).start();
    let cutover =
        |world: &World| world.cutover().env("A2Z_ROLES_MODE", "metadata").env("A2Z_ORGANIZATIONS_POLICY", "metadata");
    cutover(&world).run().code(0);
    let value = |world: &World, row: &Row, key: &str| -> Option<Value> {
        world.store()[&row.user_id].metadata.get(key).map(|value| serde_json::from_slice(value).unwrap())
    };
    assert_eq!(value(&world, &users[0], "auth0.roles"), Some(json!(["Büro", "admin"])));
    assert_eq!(value(&world, &users[1], "auth0.roles"), Some(json!(["admin"])));
    assert_eq!(
        value(&world, &users[0], "auth0.organizations"),
        Some(json!([
            {"id": "org_a", "name": "acme", "display_name": "Acme \"Ltd\"", "roles": ["Büro", "admin"]},
            {"id": "org_b", "name": "beta", "display_name": null, "roles": []},
        ]))
    );
    assert_eq!(value(&world, &users[2], "auth0.roles"), None);
    assert!(world.zitadel.structure().projects.is_empty());

    // Somebody joins: only that user is updated.
    world.becomes(of(&[(&users[0], &[]), (&users[3], &["rol_a"])]));
    cutover(&world).run().code(0);
    assert_eq!((world.balance("updated"), world.balance("unchanged")), (1, 3));
    assert_eq!(value(&world, &users[3], "auth0.organizations").unwrap()[0]["roles"], json!(["admin"]));
}

#[test]
fn scopes_are_checked_only_where_they_are_needed() {
    let few = ["read:users", "read:connections"].map(str::to_owned).to_vec();
    let world = World::of(tenant(&rows(2), Vec::new(), Vec::new())).auth0(|options| options.scopes = few).start();
    world.cutover().run().code(0);
    let ran = grants(&world).run().code(4);
    assert!(ran.error().contains("lacks `read:roles`"), "{}", ran.error());
    let ran = world.cutover().env("A2Z_ORGANIZATIONS_POLICY", "metadata").run().code(4);
    assert!(ran.error().contains("`read:organization_members`"), "{}", ran.error());
}

/// Users and their organizations: nobody, one, several; with roles and without; by both roads.
fn organized() -> (Vec<Row>, Tenant) {
    let mut users = rows(8);
    // By the users API, and inactive.
    for (at, key, value) in [(4, "email_verified", "false"), (5, "blocked", "true")] {
        users[at].fields.retain(|(name, _)| name != key);
        users[at].fields.push((key.into(), value.into()));
    }
    let roles = vec![role("rol_a", "admin", &[&users[0], &users[2]]), role("rol_v", "viewer", &[])];
    let mut acme = organization(
        "org_acme",
        "acme",
        "Acme Ltd",
        &[(&users[0], &["rol_v"]), (&users[1], &["rol_a", "rol_v"]), (&users[4], &[]), (&users[5], &["rol_v"])],
    );
    acme.branding =
        json!({"logo_url": "https://example.com/a.png", "colors": {"primary": "#112233", "page_background": "#fff"}});
    acme.metadata = json!({"plan": "gold"});
    let beta = organization("org_beta", "beta", "", &[(&users[1], &[]), (&users[3], &[])]);
    let tenant = tenant(&users, roles, vec![acme, beta, organization("org_empty", "empty", "Acme-Ltd", &[])]);
    (users, tenant)
}

fn orgs(world: &World) -> Run {
    grants(world).env("A2Z_ORGANIZATIONS_POLICY", "orgs")
}

/// Everything of [`organized`] is there, once.
#[track_caller]
fn assert_organized(world: &World, users: &[Row]) {
    let main = world.zitadel.organization_id.as_str();
    let store = world.store();
    assert_eq!(store.len(), users.len());
    for (at, organization) in
        [(0, "org_acme"), (1, main), (2, main), (3, "org_beta"), (4, "org_acme"), (5, "org_acme"), (6, main)]
    {
        let user = &store[&users[at].user_id];
        assert_eq!((at, user.organization_id.as_str(), user.created_count), (at, organization, 1));
        assert_eq!(user.email_verified, at != 4);
        assert_eq!(user.state == UserState::Inactive, at == 5);
    }
    assert_eq!(world.mails(), []);
    let structure = world.zitadel.structure();
    let names: Vec<_> = structure.organizations.iter().map(|(id, one)| (id.as_str(), one.name.as_str())).collect();
    assert_eq!(&names[1..], [("org_acme", "Acme Ltd"), ("org_beta", "beta"), ("org_empty", "Acme-Ltd (empty)")]);
    let acme = &structure.organizations["org_acme"];
    let metadata: Vec<_> =
        acme.metadata.iter().map(|(key, value)| (key.as_str(), String::from_utf8(value.clone()).unwrap())).collect();
    assert_eq!(metadata[1..], [("auth0.metadata", r#"{"plan":"gold"}"#.to_owned()), ("auth0.name", "acme".to_owned())]);
    let branding = acme.branding.as_ref().unwrap();
    assert_eq!((&branding["primaryColor"], &branding["backgroundColor"]), (&json!("#112233"), &json!("#fff")));
    assert_eq!(branding["fontColor"], "#000000", "the rest of the looks is the instance's");
    assert_eq!(structure.organizations["org_beta"].branding, None);
    let (id, project) = project(world);
    let keys = vec!["admin".to_owned(), "viewer".to_owned()];
    assert_eq!(project.granted.len(), 3);
    assert!(project.granted.values().all(|granted| *granted == keys));
    let of = |at: usize, organization: &str| (users[at].user_id.clone(), id.clone(), organization.to_owned());
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let expected: BTreeMap<_, _> = [
        (of(0, main), keys(&["admin"])),
        (of(2, main), keys(&["admin"])),
        (of(0, "org_acme"), keys(&["viewer"])),
        (of(1, "org_acme"), keys(&["admin", "viewer"])),
        // A membership of somebody who lives elsewhere, without roles.
        (of(1, "org_beta"), keys(&[])),
        (of(5, "org_acme"), keys(&["viewer"])),
    ]
    .into();
    assert_eq!(structure.grants, expected);
}

#[test]
fn organizations_become_organizations_and_their_members_live_in_them() {
    let (users, tenant) = organized();
    let world = World::of(tenant).start();
    let ran = world
        .a2z(["plan"])
        .args(["--passwords", "passwords.ndjson"])
        .env("A2Z_ROLES_MODE", "grants")
        .env("A2Z_ORGANIZATIONS_POLICY", "orgs")
        .run()
        .code(0);
    for line in [
        "2 roles, 2 to create",
        "role grants: 6 to give",
        "3 organizations, 3 to create",
        "users by membership: 4 of one organization, 1 of several, 3 of none",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    assert_eq!(world.zitadel.structure().organizations.len(), 1);
    orgs(&world).run().code(0);
    world.assert_balanced();
    assert_organized(&world, &users);

    let writes = world.writes();
    orgs(&world).run().code(0);
    assert_eq!(world.writes()[writes.len()..], [] as [String; 0]);
    assert_eq!(world.balance("unchanged"), 8);
    world.a2z(["verify"]).run().code(0);
}

#[test]
fn whoever_moves_house_in_auth0_stays_in_zitadel_and_gets_a_grant() {
    let (mut users, tenant) = organized();
    let organizations = tenant.organizations.clone();
    let roles = tenant.roles.clone();
    let mut world = World::of(tenant).start();
    orgs(&world).run().code(0);

    let mut moved = organizations;
    moved[0].members.retain(|(user, _)| *user != users[0].user_id);
    moved[1].members.push((users[0].user_id.clone(), vec!["rol_a".into()]));
    let new = rows(9).remove(8);
    moved[1].members.push((new.user_id.clone(), Vec::new()));
    users.push(new);
    let mut next = Tenant::of(users.clone());
    (next.roles, next.organizations) = (roles, moved);
    world.becomes(next);
    orgs(&world).run().code(0);
    world.assert_balanced();
    let (store, structure) = (world.store(), world.zitadel.structure());
    assert_eq!(store[&users[0].user_id].organization_id, "org_acme");
    assert_eq!(store[&users[8].user_id].organization_id, "org_beta");
    let (id, _) = project(&world);
    let of =
        |organization: &str| structure.grants.get(&(users[0].user_id.clone(), id.clone(), organization.to_owned()));
    assert_eq!((of("org_acme"), of("org_beta")), (None, Some(&vec!["admin".to_owned()])));
    world.a2z(["verify"]).run().code(0);
}

#[test]
fn lost_answers_and_kills_among_organizations() {
    let (users, tenant) = organized();
    for rules in [
        vec![Rule::new("/v2/organizations", When::Every(3), Fault::LoseAnswer)],
        vec![Rule::new("/zitadel.project.v2", When::Every(2), Fault::LoseAnswer)],
        vec![
            Rule::new(IMPORT, When::Every(2), Fault::LoseAnswer),
            Rule::new("/v2/users/new", When::First(1), Fault::LoseAnswer),
        ],
        vec![Rule::new(IMPORT, When::First(2), Fault::ImportTimeout)],
    ] {
        let world = World::of(tenant.clone()).faults(rules).start();
        orgs(&world).args(["--concurrency", "1"]).run().code(0);
        world.assert_balanced();
        assert_organized(&world, &users);
    }

    let world = World::of(tenant).start();
    let slow = std::time::Duration::from_millis(300);
    for (path, what) in [("/v2/organizations", "organizations"), (IMPORT, "users"), (IMPORT, "grants")] {
        world.zitadel.set_faults([Rule::new(path, When::Always, Fault::Delay(slow))]);
        let running = orgs(&world).spawn();
        world.wait_until(what, |world| match what {
            "organizations" => world.zitadel.structure().organizations.len() > 1,
            "users" => !world.store().is_empty(),
            _ => !world.zitadel.structure().grants.is_empty(),
        });
        running.kill();
    }
    world.zitadel.set_faults([]);
    orgs(&world).run().code(0);
    world.assert_balanced();
    assert_organized(&world, &users);
}

#[test]
fn an_organization_that_was_there_keeps_its_looks_and_names_are_made_room_for() {
    let (users, tenant) = organized();
    let world = World::of(tenant).start();
    world.call("/v2/organizations", &json!({"name": "Beta & Co", "organizationId": "org_beta"}));
    // The name of one that is to be made.
    world.call("/v2/organizations", &json!({"name": "acme ltd"}));
    let ran = orgs(&world).run().code(0);
    assert!(
        ran.stderr.contains("organization-name-changed") || ran.stderr.contains("Acme Ltd (acme)"),
        "{}",
        ran.stderr
    );
    let structure = world.zitadel.structure();
    assert_eq!(structure.organizations["org_acme"].name, "Acme Ltd (acme)");
    assert_eq!(structure.organizations["org_beta"].name, "Beta & Co");
    assert!(structure.organizations["org_beta"].metadata.is_empty());
    assert_eq!(world.store()[&users[3].user_id].organization_id, "org_beta");
    assert_eq!(world.report()["structure"]["organizations_ours"], 2);

    // Undone: what was there stays.
    world.a2z(["rollback", "--yes"]).run().code(0);
    let structure = world.zitadel.structure();
    assert_eq!(structure.organizations.len(), 3);
    assert!(structure.organizations.contains_key("org_beta") && structure.projects.is_empty());
}

#[test]
fn a_rollback_leaves_nothing_and_a_new_start_makes_everything_again() {
    let (users, tenant) = organized();
    let world = World::of(tenant).start();
    orgs(&world).run().code(0);
    let (first, _) = project(&world);
    let ran = world.a2z(["rollback", "--yes"]).run().code(0);
    assert!(ran.stdout.contains("3 organizations that Auth0's became: deleted"), "{}", ran.stdout);
    let structure = world.zitadel.structure();
    assert!(world.store().is_empty() && structure.projects.is_empty() && structure.grants.is_empty());
    assert_eq!(structure.organizations.len(), 1);

    orgs(&world).run().code(0);
    let store = world.store();
    assert_eq!(store.len(), users.len());
    let (second, _) = project(&world);
    assert_ne!(first, second, "keys of the old one may be taken for good");
    assert_eq!(world.zitadel.structure().grants.len(), 6);
}

#[test]
fn a_rollback_leaves_alone_what_others_use() {
    let users = rows(3);
    let world = World::of(tenant(&users, vec![role("rol_a", "a", &[&users[0]])], Vec::new())).start();
    grants(&world).run().code(0);
    let (id, _) = project(&world);
    let mut other = User::default();
    other.id = "other".into();
    other.user_name = "other@example.com".into();
    other.email = "other@example.com".into();
    world.zitadel.add_user(other);
    let organization = world.zitadel.organization_id.clone();
    let grant = json!({"userId": "other", "projectId": id, "organizationId": organization, "roleKeys": ["a"]});
    world.call(GRANT, &grant);
    let ran = world.a2z(["rollback", "--yes"]).run().code(0);
    assert!(ran.stdout.contains("stays: 1 role grant of others in it"), "{}", ran.stdout);
    assert_eq!(project(&world).1.roles.len(), 1);
    assert_eq!(world.store().len(), 1);
}

#[test]
fn projections_that_lag_neither_double_a_grant_nor_make_one_differ() {
    let (users, tenant) = organized();
    let world = World::of(tenant)
        .zitadel(|options| options.lag = std::time::Duration::from_secs(3))
        .faults([Rule::new(IMPORT, When::Every(2), Fault::LoseAnswer)])
        .start();
    orgs(&world).args(["--concurrency", "1"]).run().code(0);
    assert_organized(&world, &users);
    world.a2z(["verify"]).run().code(0);
    world.a2z(["rollback", "--yes"]).run().code(0);
    assert!(world.store().is_empty() && world.zitadel.structure().projects.is_empty());
}

#[test]
fn verify_sees_a_grant_that_was_changed() {
    let users = rows(3);
    let world = World::of(tenant(&users, vec![role("rol_a", "a", &[&users[0], &users[1]])], Vec::new())).start();
    grants(&world).run().code(0);
    world.a2z(["verify"]).run().code(0);
    let list = world.call("/zitadel.authorization.v2.AuthorizationService/ListAuthorizations", &json!({}));
    let id = &list["authorizations"][0]["id"];
    world.call("/zitadel.authorization.v2.AuthorizationService/DeleteAuthorization", &json!({"id": id}));
    let ran = world.a2z(["verify"]).run().code(3);
    assert!(ran.stdout.contains("no grant in organization"), "{}", ran.stdout);
}

#[test]
fn verify_sees_an_organization_that_was_changed() {
    let (_, tenant) = organized();
    let world = World::of(tenant).start();
    orgs(&world).run().code(0);
    let ran = world.a2z(["verify"]).run().code(0);
    assert!(ran.stdout.contains("3 organizations that a2z made, 0 different"), "{}", ran.stdout);
    let service = |method: &str| format!("/zitadel.org.v2.OrganizationService/{method}");
    world.call(&service("DeleteOrganization"), &json!({"organizationId": "org_empty"}));
    world.call(&service("UpdateOrganization"), &json!({"organizationId": "org_beta", "name": "Gamma"}));
    world.call(&service("DeactivateOrganization"), &json!({"organizationId": "org_beta"}));
    let other = json!([{"key": "auth0.name", "value": "b3RoZXI="}]);
    world.call(&service("SetOrganizationMetadata"), &json!({"organizationId": "org_acme", "metadata": other}));
    let ran = world.a2z(["verify"]).run().code(3);
    for line in [
        "3 organizations that a2z made, 3 different",
        "its metadata differs: `auth0.name`",
        "it is not active; it is called `Gamma`",
        "it is not there",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    assert!(ran.error().contains("3 organizations differ"), "{}", ran.error());
    // Who sees one organization only compares its users.
    let token = world.zitadel.add_token(&["ORG_OWNER_VIEWER"]);
    let ran = world.a2z(["verify"]).env("ZITADEL_TOKEN", &token).run();
    assert!(!ran.stdout.contains("organizations that a2z made"), "{}", ran.stdout);
}

/// Organizations that ZITADEL wants none of cost their members, and the grants in them; not the run.
#[test]
fn organizations_that_are_refused_cost_their_members_and_nobody_else() {
    let (users, tenant) = organized();
    let refused = Rule { exact: true, ..Rule::new("/v2/organizations", When::Always, Fault::Refused) };
    let world = World::of(tenant).faults([refused]).start();
    orgs(&world).run().code(3);
    world.assert_balanced();
    let store = world.store();
    let codes = |at: usize| world.outcome(&users[at].user_id)["code"].clone();
    assert_eq!(codes(0), "organization-refused");
    assert!(!store.contains_key(&users[0].user_id));
    // A member of two lives in the main one, and gets no grant in either.
    assert_eq!(codes(1), "grant-refused");
    assert!(store.contains_key(&users[1].user_id) && store.contains_key(&users[2].user_id));
    assert_eq!(world.zitadel.structure().grants.len(), 1);
}

#[test]
fn an_organization_that_somebody_deleted_is_made_again_for_whoever_is_new() {
    let mut users = rows(5);
    let beta = |members: &[&Row]| {
        let members: Vec<(&Row, &[&str])> = members.iter().map(|row| (*row, &[][..])).collect();
        vec![organization("org_beta", "beta", "", &members)]
    };
    let new = users.pop().unwrap();
    let mut world = World::of(tenant(&users, Vec::new(), beta(&[]))).start();
    orgs(&world).run().code(0);
    world.call("/zitadel.org.v2.OrganizationService/DeleteOrganization", &json!({"organizationId": "org_beta"}));
    users.push(new.clone());
    world.becomes(tenant(&users, Vec::new(), beta(&[&new])));
    orgs(&world).run().code(0);
    assert_eq!(world.store()[&new.user_id].organization_id, "org_beta");
    let structure = world.zitadel.structure();
    assert!(structure.organizations["org_beta"].metadata.contains_key("auth0.name"));
    assert!(project(&world).1.granted.contains_key("org_beta"));
}

/// ZITADEL takes a role that a project grant lacks from every user who has it.
#[test]
fn a_project_grant_keeps_the_roles_that_others_put_into_it() {
    let (users, tenant) = organized();
    let mut world = World::of(tenant).start();
    orgs(&world).run().code(0);
    let (id, _) = project(&world);
    let service = |method: &str| format!("/zitadel.project.v2.ProjectService/{method}");
    world.call(&service("AddProjectRole"), &json!({"projectId": id, "roleKey": "own", "displayName": "own"}));
    let wider = json!({"projectId": id, "grantedOrganizationId": "org_acme", "roleKeys": ["admin", "own", "viewer"]});
    world.call(&service("UpdateProjectGrant"), &wider);
    let (_, mut tenant) = organized();
    tenant.roles.push(role("rol_n", "new", &[&users[2]]));
    world.becomes(tenant);
    orgs(&world).run().code(0);
    assert_eq!(project(&world).1.granted["org_acme"], ["admin", "new", "own", "viewer"]);
}
