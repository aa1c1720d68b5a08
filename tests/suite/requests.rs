//! Every request that a2z sends to Auth0 is one of its published description.

use a2z::sandbox::tenant::Tenant;

use crate::{harness::World, openapi::OpenApi};

#[test]
fn every_request_to_auth0_is_valid() {
    let Some(description) = OpenApi::auth0() else { return };
    let world = World::of(Tenant::one_of_each()).start();
    world.a2z(["check"]).run().code(0);
    world.cutover().run().code(3);
    let other = world.path("other");
    let run = world.cutover().without_arg("--state").args(["--state", other.to_str().unwrap()]);
    run.args(["--connection", "usernames", "--connection", "github"]).run().code(0);

    let requests = world.auth0().requests();
    let mut checked = std::collections::BTreeSet::new();
    for request in requests.iter().filter(|request| !request.download) {
        let Some(path) = request.path.strip_prefix("/api/v2") else {
            assert_eq!(request.path, "/oauth/token");
            continue;
        };
        let wrong = description.check(&request.method, path, request.content_type.as_deref(), request.body.as_ref());
        assert!(wrong.is_empty(), "{} {path}: {wrong:?}", request.method);
        checked.insert(format!("{} {}", request.method, path.split(['?', '_']).next().unwrap()));
    }
    for expected in ["GET /connections", "GET /jobs/job", "GET /users", "POST /jobs/users-exports"] {
        assert!(checked.contains(expected), "{expected} was not sent: {checked:?}");
    }
    // At most 30 fields, always as JSON.
    for request in requests.iter().filter(|request| request.path.ends_with("/users-exports")) {
        let body = request.body.as_ref().unwrap();
        assert_eq!(body["format"], "json");
        assert!((1..=30).contains(&body["fields"].as_array().unwrap().len()));
    }
    // To the download's host goes no token.
    let downloads: Vec<_> = requests.iter().filter(|request| request.download).collect();
    assert_eq!(downloads.len(), 3);
    assert!(downloads.iter().all(|request| !request.headers.iter().any(|name| name == "authorization")));
}
