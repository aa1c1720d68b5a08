//! Auth0 as it is today: connections whose options take a scope of their own, thousands of connections, refusals that no
//! scope helps against, and a vendor that does not answer.

use a2z::sandbox::{
    auth0::{CONNECTION_OPTIONS, Limit},
    faults::{Fault, Rule, When},
    tenant::{Organization, Role, Row, Tenant},
};
use serde_json::{Value, json};

use crate::{
    harness::{Ran, Run, World},
    links::{DATABASE, codes, google, links, moves, user},
};

/// An Entra object id.
const OBJECT: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
/// An Entra `sub`.
const SUB: &str = "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ";

/// The tenant of `rows`, with an Entra connection, too.
fn tenant(rows: Vec<Row>) -> Tenant {
    let mut tenant = Tenant::of(rows);
    tenant.connections.push(json!({
        "id": "con_0000000000000Entra", "name": "acme-ad", "strategy": "waad",
        "options": {"client_id": "sandbox-acme-ad", "tenant_domain": "acme.example"},
    }));
    tenant
}

/// A world whose token lacks the scope of the options.
fn without_options(tenant: Tenant) -> World {
    World::of(tenant).auth0(|options| options.scopes.retain(|scope| scope != CONNECTION_OPTIONS)).start()
}

/// The lines of `a2z check` with this name, each with its status.
fn lines<'a>(ran: &'a Ran, name: &str) -> Vec<&'a str> {
    let named = |line: &&str| line.split_whitespace().nth(1) == Some(name);
    ran.stdout.lines().filter(named).collect()
}

/// The lines of `a2z check` that are failures.
fn failures(ran: &Ran) -> Vec<&str> {
    ran.stdout.lines().filter(|line| line.starts_with("FAILURE")).collect()
}

fn enterprise() -> Vec<Row> {
    vec![
        google(1),
        user("octo@example.com", true, &[("github", "github", "583231")]),
        user("object@acme.example", true, &[("waad", "acme-ad", &format!("\"{OBJECT}\""))]),
        user("sub@acme.example", true, &[("waad", "acme-ad", &format!("\"{SUB}\""))]),
        user("oidc@acme.example", true, &[("oidc", "acme-oidc", "\"acme-oidc|7\"")]),
        user("saml@acme.example", true, &[("samlp", "acme-saml", "\"acme-saml|ada\"")]),
        user("db@example.com", true, &[("auth0", DATABASE, "\"64cbbe17741f518beae16346\"")]),
    ]
}

/// The ids of the providers for [`enterprise`], by connection; each has the client of its connection.
fn providers(world: &World) -> Vec<(&'static str, String)> {
    [
        ("google-oauth2", "google"),
        ("github", "github"),
        ("acme-ad", "azure"),
        ("acme-oidc", "generic_oidc"),
        ("acme-saml", "saml"),
    ]
    .map(|(connection, kind)| {
        (connection, world.zitadel.add_idp(kind, connection, &format!("sandbox-{connection}"), true))
    })
    .to_vec()
}

fn configured(providers: &[(&str, String)]) -> String {
    providers.iter().map(|(connection, id)| format!("{connection}={id}")).collect::<Vec<_>>().join(",")
}

#[test]
fn no_link_is_made_whose_id_hangs_on_an_option_that_auth0_does_not_tell() {
    let mut world = without_options(tenant(enterprise()));
    let providers = providers(&world);
    let ran = moves(&world).env("A2Z_IDPS", &configured(&providers)).run().code(0);
    let linked = |world: &World, id: &str| -> Vec<String> {
        links(&world.store()[id]).into_iter().map(|(_, external)| external.to_owned()).collect()
    };
    assert_eq!(linked(&world, "google-oauth2|103547991597142800001"), ["103547991597142800001"]);
    assert_eq!(linked(&world, "github|583231"), ["583231"]);
    assert_eq!(linked(&world, &format!("waad|{OBJECT}")), [OBJECT]);
    assert_eq!(linked(&world, "oidc|acme-oidc|7"), ["7"]);
    for id in [format!("waad|{SUB}"), "samlp|acme-saml|ada".to_owned()] {
        assert_eq!(linked(&world, &id), [""; 0], "{id}");
        assert!(codes(&world.outcome(&id)).contains(&"option-unknown"), "{:?}", world.outcome(&id));
    }
    assert!(ran.stderr.contains("auth0-connection-options"), "{}", ran.stderr);

    // With the scope they get what was missing, and nobody loses anything.
    world.auth0_options.scopes.push(CONNECTION_OPTIONS.into());
    world.becomes(tenant(enterprise()));
    let ran = moves(&world).env("A2Z_IDPS", &configured(&providers)).run().code(0);
    assert!(!ran.stderr.contains("auth0-connection-options"), "{}", ran.stderr);
    assert_eq!(linked(&world, "samlp|acme-saml|ada"), ["ada"]);
    assert_eq!(linked(&world, &format!("waad|{SUB}")), [SUB]);
    assert_eq!(linked(&world, &format!("waad|{OBJECT}")), [OBJECT]);
    assert!(codes(&world.outcome("samlp|acme-saml|ada")).is_empty(), "{:?}", world.outcome("samlp|acme-saml|ada"));
}

#[test]
fn without_options_no_provider_is_found_by_its_client_nor_created() {
    let world = without_options(tenant(enterprise()));
    // Two of a kind: only the client tells which.
    world.zitadel.add_idp("google", "Ours", "sandbox-google-oauth2", true);
    world.zitadel.add_idp("google", "Another", "x", true);
    world.zitadel.add_idp("generic_oidc", "Acme", "sandbox-acme-oidc", true);
    let ran = moves(&world).env("A2Z_ZITADEL_CREATE_IDPS", "instance").run().code(0);
    assert!(world.store().values().all(|user| user.links.is_empty()));
    assert!(!world.writes().iter().any(|call| call.contains("/idps/")), "{:?}", world.writes());
    for id in ["oidc|acme-oidc|7", "google-oauth2|103547991597142800001", "github|583231"] {
        assert!(codes(&world.outcome(id)).contains(&"link-not-moved"), "{id}");
    }
    assert!(ran.stdout.contains("read:connections_options"), "{}", ran.stdout);
}

#[test]
fn the_check_names_the_scope_and_what_hangs_on_it() {
    let world = without_options(tenant(enterprise()));
    let ran = world.a2z(["check"]).args(["--passwords", "passwords.ndjson"]).run().code(0);
    let found = lines(&ran, "auth0-connection-options");
    let [line] = found.as_slice() else { panic!("{}", ran.stdout) };
    assert!(line.starts_with("warning"), "{line}");
    for word in [
        "the token lacks the scope `read:connections_options`",
        "no provider is found by the client id or created for `google-oauth2`, `github`",
        "users of `acme-saml`, `acme-ad` get no link where the id hangs on an option (`option-unknown`)",
        "`custom-lazy` may be a custom database",
    ] {
        assert!(line.contains(word), "{word}\n{line}");
    }
    // What is not known is not said to be so.
    assert!(lines(&ran, "auth0-custom-database").is_empty(), "{}", ran.stdout);

    let world = World::of(tenant(enterprise())).start();
    let ran = world.a2z(["check"]).args(["--passwords", "passwords.ndjson"]).run().code(0);
    assert!(lines(&ran, "auth0-connection-options").is_empty(), "{}", ran.stdout);
    assert_eq!(lines(&ran, "auth0-custom-database").len(), 1, "{}", ran.stdout);
}

/// Without Auth0 nobody tells the options, and the identity tells the strategy.
#[test]
fn an_export_of_ones_own_makes_no_link_that_hangs_on_an_option() {
    let world = World::of(tenant(enterprise())).start();
    let providers = providers(&world);
    std::fs::write(world.path("users.ndjson"), world.export()).unwrap();
    let run = |world: &World| moves(world).args(["--users", "users.ndjson"]).env("A2Z_IDPS", &configured(&providers));
    run(&world).run().code(0);
    for id in [format!("waad|{SUB}"), "samlp|acme-saml|ada".to_owned()] {
        assert!(world.store()[&id].links.is_empty(), "{id}");
        assert!(codes(&world.outcome(&id)).contains(&"option-unknown"), "{id}");
    }
    assert_eq!(world.store()[&format!("waad|{OBJECT}")].links.len(), 1);
    // A plan that may ask Auth0 finds out, and the next run with the file knows it.
    world.a2z(["plan"]).env("A2Z_IDPS", &configured(&providers)).run().code(0);
    run(&world).run().code(0);
    for id in [format!("waad|{SUB}"), "samlp|acme-saml|ada".to_owned()] {
        assert_eq!(world.store()[&id].links.len(), 1, "{id}");
    }
}

/// By offset Auth0 gives the first 1,000 and then an error.
#[test]
fn thousands_of_connections_are_listed() {
    let mut tenant = tenant(enterprise());
    for n in tenant.connections.len()..5000 {
        tenant.connections.push(json!({
            "id": format!("con_{n:016}"), "name": format!("customer-{n}"), "strategy": "samlp",
            "options": {"signInEndpoint": format!("https://{n}.example/sso")},
        }));
    }
    tenant.connections.reverse();
    let world = World::of(tenant).start();
    world.zitadel.add_idp("google", "Google", "sandbox-google-oauth2", true);
    let ran = world.a2z(["check"]).args(["--passwords", "passwords.ndjson"]).run().code(0);
    assert!(lines(&ran, "auth0-connections")[0].contains("5,000 connections to export"), "{}", ran.stdout);
    // The last one of the list is known.
    let ran = world.a2z(["check", "--connection", DATABASE]).args(["--passwords", "passwords.ndjson"]).run().code(0);
    assert!(lines(&ran, "auth0-connections")[0].contains("1 connection to export, 1 of them"), "{}", ran.stdout);
    let ran = world.a2z(["check", "--connection", "nobody"]).run().code(4);
    assert!(ran.stdout.contains(" and 4,980 more"), "{}", ran.stdout);
    let requests = world.auth0().requests();
    let lists: Vec<_> = requests.iter().filter(|seen| seen.path.starts_with("/api/v2/connections?")).collect();
    assert!(lists.len() >= 150 && lists.iter().all(|seen| seen.status == 200), "{}", lists.len());
}

/// The vendor may give less on a page than it is asked for.
#[test]
fn lists_are_read_to_their_end_whatever_a_page_holds() {
    let people: Vec<Row> = (0..23)
        .map(|n| {
            user(
                &format!("u{n}@example.com"),
                true,
                &[("auth0", DATABASE, &format!("\"64cbbe17741f518beae163{n:02}\""))],
            )
        })
        .collect();
    let ids = || people.iter().map(|row| row.user_id.clone());
    let mut tenant = Tenant::of(people.clone());
    let role = |n: u32| Role {
        id: format!("rol_{n}"),
        name: format!("role {n}"),
        description: String::new(),
        users: ids().collect(),
    };
    tenant.roles = (0..17).map(role).collect();
    let organization = |n: u32| Organization {
        id: format!("org_{n}"),
        name: format!("org-{n}"),
        display_name: format!("Org {n}"),
        members: ids().map(|id| (id, Vec::new())).collect(),
        branding: Value::Null,
        metadata: Value::Null,
    };
    tenant.organizations = (0..9).map(organization).collect();
    let world = World::of(tenant).auth0(|options| options.largest_page = 5).start();
    let run = world.cutover().env("A2Z_ROLES_MODE", "metadata").env("A2Z_ORGANIZATIONS_POLICY", "metadata");
    run.run().code(0);
    for (id, user) in world.store() {
        for (key, length) in [("auth0.roles", 17), ("auth0.organizations", 9)] {
            let list: Vec<Value> = serde_json::from_slice(&user.metadata[key]).unwrap();
            assert_eq!(list.len(), length, "`{id}`: {key}");
        }
    }
    assert_eq!(world.store().len(), 23);
}

/// Gives up soon.
fn hasty(run: Run) -> Run {
    run.env("A2Z_HTTP_MAX_ATTEMPTS", "2").env("A2Z_HTTP_CONNECT_TIMEOUT", "1s").env("A2Z_HTTP_REQUEST_TIMEOUT", "1s")
}

#[test]
fn a_vendor_that_does_not_answer_is_a_failure_of_the_check() {
    let world = World::of(tenant(enterprise())).start();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let check = |domain: &str| {
        // A ready token: nobody is asked for one.
        let run = world.a2z(["check"]).without_env("AUTH0_CLIENT_ID").without_env("AUTH0_CLIENT_SECRET");
        hasty(run.env("AUTH0_TOKEN", &world.auth0().token()).env("AUTH0_DOMAIN", domain)).run().code(4)
    };
    let answers_no_tls = world.auth0().url.replace("http:", "https:");
    for (domain, reason) in [
        (format!("http://{nowhere}"), "Connection refused"),
        (answers_no_tls, "could not reach"),
        ("http://nobody.invalid.localhost:1".to_owned(), "could not reach"),
    ] {
        let ran = check(&domain);
        let found = failures(&ran);
        assert!(found.len() == 1 && found[0].contains("Auth0 does not answer at"), "{}", ran.stdout);
        assert!(ran.stdout.contains(reason) && !ran.stdout.contains("no access"), "{}", ran.stdout);
        assert!(lines(&ran, "auth0-connections").is_empty(), "{}", ran.stdout);
    }
    // It takes the connection and says nothing, or something that is not its own.
    for fault in [Fault::Delay(std::time::Duration::from_secs(30)), Fault::DropRequest, Fault::HtmlBody] {
        for path in ["/api/v2/connections", "/api/v2/users"] {
            world.auth0().set_faults([Rule::new(path, When::Always, fault.clone())]);
            let ran = check(&world.auth0().url);
            let found = failures(&ran);
            assert!(found.len() == 1 && found[0].contains("Auth0 does not answer at"), "{path}\n{}", ran.stdout);
            assert!(!ran.stdout.contains("no access"), "{}", ran.stdout);
        }
    }
}

#[test]
fn a_single_read_that_zitadel_does_not_answer_is_a_failure_with_its_reason() {
    let world = World::of(tenant(enterprise())).start();
    let check = || hasty(world.a2z(["check"]).args(["--passwords", "passwords.ndjson"])).run();
    let optional = [
        ("/admin/v1/idps/templates/_search", "zitadel-idps"),
        ("/management/v1/idps/templates/_search", "zitadel-idps"),
        ("/v2/settings/login/idps", "zitadel-idps"),
        ("/v2/settings/domain", "zitadel-domain-policy"),
        ("/admin/v1/email/_search", "zitadel-mail"),
    ];
    let mut met = 0;
    for (path, name) in optional {
        world.zitadel.set_faults([Rule::new(path, When::Always, Fault::DropRequest)]);
        let before = world.zitadel.requests().len();
        let ran = check();
        if !world.zitadel.requests()[before..].iter().any(|seen| seen.fault.is_some()) {
            // Another of the two addresses is asked.
            continue;
        }
        met += 1;
        let ran = ran.code(4);
        let found = failures(&ran);
        assert!(found.len() == 1 && found[0].split_whitespace().nth(1) == Some(name), "{path}\n{}", ran.stdout);
        assert!(ran.stdout.contains("the answer was lost"), "{path}\n{}", ran.stdout);
        assert!(!ran.stdout.contains("no access"), "{}", ran.stdout);

        // Whom ZITADEL refuses it is no failure; the reason is ZITADEL's own.
        world.zitadel.set_faults([Rule::new(path, When::Always, Fault::Forbidden("AUTHZ-HKJD33"))]);
        let ran = check().code(0);
        if name != "zitadel-mail" && !path.contains("login") {
            let line = lines(&ran, name)[0];
            assert!(line.starts_with("warning") && line.contains("HTTP 403, AUTHZ-HKJD33"), "{path}\n{}", ran.stdout);
        }
        assert_eq!(ran.stdout.contains("no access"), path.contains("templates"), "{path}\n{}", ran.stdout);
    }
    assert!(met >= 4, "{met}");
}

#[test]
fn a_refusal_that_no_scope_helps_against_does_not_ask_for_one() {
    let world = World::of(tenant(enterprise())).start();
    let check = |path: &str, code: &'static str| {
        world.auth0().set_faults([Rule::new(path, When::Always, Fault::Forbidden(code))]);
        world.a2z(["check"]).args(["--passwords", "passwords.ndjson"]).run()
    };
    for code in ["operation_not_supported", "feature_not_enabled", "insufficient_entitlement", ""] {
        let ran = check("/api/v2/users", code).code(4);
        assert!(
            ran.stdout.contains(&format!("HTTP 403{}{code}", if code.is_empty() { "" } else { ", " })),
            "{}",
            ran.stdout
        );
        assert!(!ran.stdout.contains("missing scope"), "{}", ran.stdout);
        // The connections can be done without.
        let ran = check("/api/v2/connections", code).code(0);
        let line = lines(&ran, "auth0-connections")[0];
        assert!(line.contains("no access") && !line.contains("missing scope"), "{line}");
        assert_eq!(line.contains("no scope changes this"), !code.is_empty(), "{line}");
    }
    let ran = check("/api/v2/connections", "operation_not_supported").code(0);
    assert!(ran.stdout.contains("There must be a verified credit card on file"), "{}", ran.stdout);
    let ran = check("/api/v2/users", "insufficient_scope").code(4);
    assert!(ran.stdout.contains("the missing scope"), "{}", ran.stdout);
}

#[test]
fn a_missing_scope_of_the_connections_is_named_in_auth0s_own_words() {
    let world = World::of(tenant(enterprise()))
        .auth0(|options| options.scopes.retain(|scope| !scope.starts_with("read:connections")))
        .start();
    let ran = world.a2z(["check"]).args(["--passwords", "passwords.ndjson"]).run().code(0);
    let line = lines(&ran, "auth0-connections")[0];
    for word in ["no access", "Insufficient scope, expected any of: read:connections", "give the application"] {
        assert!(line.contains(word), "{word}\n{line}");
    }
}

fn surveyed(n: u32) -> Tenant {
    let person = |n: u32| {
        user(&format!("u{n}@example.com"), true, &[("auth0", DATABASE, &format!("\"64cbbe17741f518beae1{n:04}\""))])
    };
    Tenant::of((0..n).map(person).collect())
}

/// A refusal counts, too; so nobody runs into one.
#[test]
fn a_survey_keeps_to_the_limit_that_the_headers_tell() {
    for (burst, per_second) in [(2, 2.0), (5, 5.0)] {
        let world = World::of(surveyed(14)).start();
        world.a2z(["plan", "--passwords", "passwords.ndjson"]).run().code(0);
        let mut world = world;
        world.auth0_options.limit = Limit { burst, per_second };
        world.becomes(surveyed(14));
        let plan = world.a2z(["plan", "--passwords", "passwords.ndjson", "--mfa-survey"]);
        let ran = plan.env("A2Z_HTTP_MAX_WAIT", "5s").run().code(0);
        assert!(ran.stdout.contains("14 users asked about at Auth0"), "{}", ran.stdout);
        let requests = world.auth0().requests();
        let asked = requests.iter().filter(|seen| seen.path.contains("/authentication-methods"));
        // The first may come while the export has used up the quota: it is shared in the sandbox.
        let refused = asked.clone().filter(|seen| seen.status == 429).count();
        assert!(refused <= 1, "{refused} refused at {per_second} per second");
        assert_eq!(asked.filter(|seen| seen.status == 200).count(), 14);
    }
}

#[test]
fn a_survey_that_the_plan_of_the_tenant_does_not_allow_asks_for_no_scope() {
    let world = World::of(surveyed(5)).start();
    let survey = |code| {
        let rule = Rule::new("/api/v2/users/*/authentication-methods", When::Always, Fault::Forbidden(code));
        world.auth0().set_faults([rule]);
        world.a2z(["plan", "--passwords", "passwords.ndjson", "--mfa-survey"]).run().code(0)
    };
    let ran = survey("operation_not_supported");
    assert!(ran.stderr.contains("There must be a verified credit card on file"), "{}", ran.stderr);
    assert!(ran.stderr.contains("mfa-survey-refused") && !ran.stderr.contains("missing scope"), "{}", ran.stderr);
    assert!(survey("insufficient_scope").stderr.contains("missing scope"));
}
