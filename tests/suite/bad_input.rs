//! Bad input of every kind: one clear error with a hint, and the right exit code. Nothing is written to ZITADEL.

use std::fs;

use a2z::sandbox::tenant::{Tenant, TenantOptions};

use crate::harness::{Ran, Run, World};

fn small() -> World {
    World::of(Tenant::made_up(TenantOptions { users: 5, seed: 1, oddity_rate: 0.0 })).start()
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Quick to give up.
fn hasty(run: Run) -> Run {
    run.env("A2Z_HTTP_MAX_ATTEMPTS", "2").env("A2Z_HTTP_CONNECT_TIMEOUT", "2s")
}

/// Nothing arrived, and there is one error with a hint.
#[track_caller]
fn one_error(world: &World, ran: &Ran) {
    assert_eq!(ran.stderr.matches("Error: ").count(), 1, "{}", ran.stderr);
    // What to do stands in a hint, or in the message itself.
    assert!(ran.error().contains("\nHint: ") || ran.error().contains("; use \"https://"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(world.store().is_empty());
    assert_eq!(world.writes(), [] as [String; 0]);
}

/// The error as it is the same on every machine.
macro_rules! snapshot {
    ($ran:expr, @$expected:literal) => {
        insta::with_settings!({filters => vec![
            (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            (r"/[^` ]*/\.tmp[A-Za-z0-9]+/", "TMP/"),
            (r"\d{18}", "ORG"),
            (r"\(os error \d+\)", "(os error)"),
        ]}, { insta::assert_snapshot!($ran.error(), @$expected); });
    };
}

#[test]
fn a_host_that_does_not_exist() {
    let world = small();
    let ran = hasty(world.cutover()).env("AUTH0_DOMAIN", "no-such-tenant.invalid").run().code(4);
    one_error(&world, &ran);
    // What the resolver says differs between systems.
    let error = ran.error();
    assert!(error.contains("no-such-tenant.invalid"), "{error}");

    let ran = hasty(world.cutover()).env("ZITADEL_URL", "https://no-such-instance.invalid").run().code(4);
    one_error(&world, &ran);
    assert!(ran.error().contains("no-such-instance.invalid"), "{}", ran.error());
}

#[test]
fn a_port_that_nobody_listens_on() {
    let world = small();
    let nowhere = format!("http://127.0.0.1:{}", closed_port());
    let ran = hasty(world.cutover()).env("AUTH0_DOMAIN", &nowhere).run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: could not get a token from Auth0 at `http://127.0.0.1:PORT/`
Caused by: could not reach `127.0.0.1:PORT`: Connection refused (os error)
Hint: check `AUTH0_DOMAIN` (it is the tenant's domain, like `tenant.eu.auth0.com`) and the network
"#);
    let ran = hasty(world.cutover()).env("ZITADEL_URL", &nowhere).run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: ZITADEL does not answer at `http://127.0.0.1:PORT/`
Caused by: could not reach 127.0.0.1:PORT: Connection refused (os error)
Hint: check `ZITADEL_URL`, the network and the proxy, and run again to go on
"#);
}

#[test]
fn a_wrong_client_secret() {
    let world = small();
    let ran = world.cutover().env("AUTH0_CLIENT_SECRET", "wrong").run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: could not get a token from Auth0 at `http://127.0.0.1:PORT/`
Caused by: Auth0 refused (HTTP 401, access_denied): Unauthorized
Hint: check `AUTH0_CLIENT_ID` and `AUTH0_CLIENT_SECRET`: the secret does not belong to this application
"#);
}

#[test]
fn a_client_without_a_grant() {
    let world = World::of(Tenant::one_of_each()).auth0(|options| options.granted = false).start();
    let ran = world.cutover().run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: could not get a token from Auth0 at `http://127.0.0.1:PORT/`
Caused by: Auth0 refused (HTTP 403, access_denied): Client is not authorized to access "http://127.0.0.1:PORT/api/v2/". You need to create a "client-grant" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants
Hint: authorize the application for the API `http://127.0.0.1:PORT/api/v2/` in the dashboard (Applications > APIs > Auth0 Management API > Machine to Machine); with a custom domain, set `auth0.audience` to the tenant's own `https://TENANT.REGION.auth0.com/api/v2/`
"#);
}

#[test]
fn a_missing_scope() {
    let world =
        World::of(Tenant::one_of_each()).auth0(|options| options.scopes = vec!["read:connections".into()]).start();
    let ran = world.cutover().run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: the Auth0 token lacks the scope `read:users`
Caused by: it has: read:connections
Hint: in the dashboard: Applications > APIs > Auth0 Management API > Machine to Machine > the application > tick `read:users`, `read:connections` and `read:connections_options`
"#);
}

#[test]
fn a_connection_that_does_not_exist() {
    let world = small();
    let ran = world.cutover().args(["--connection", "Custmers"]).run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: the Auth0 tenant has no connection `Custmers`
Caused by: it has: `Username-Password-Authentication` (auth0), `acme-oidc` (oidc), `acme-saml` (samlp), `apple` (apple), `custom-lazy` (auth0), `customers-legacy` (auth0), `email` (email), `github` (github), `google-oauth2` (google-oauth2), `sms` (sms), `usernames` (auth0), `windowslive` (windowslive)
Hint: correct `--connection`; without any, the whole tenant is exported
"#);
}

#[test]
fn a_wrong_zitadel_token() {
    let world = small();
    let ran = world.cutover().env("ZITADEL_TOKEN", "wrong").run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: ZITADEL does not take the credentials
Caused by: ZITADEL does not accept the token (HTTP 401, AUTH-7fs1e: Errors.Token.Invalid (AUTH-7fs1e))
Hint: make a new personal access token or key of the service account; it must belong to this instance
"#);
}

#[test]
fn a_token_without_any_role() {
    let world = small();
    let token = world.zitadel.add_token(&[]);
    let ran = world.cutover().env("ZITADEL_TOKEN", &token).run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: the ZITADEL account may not create users in this organization
Caused by: it is neither IAM_OWNER (instance) nor ORG_OWNER or ORG_USER_MANAGER (organization)
Hint: give the service account the role IAM_OWNER for the migration (console: instance > managers), and take it away afterwards
"#);
}

#[test]
fn an_organization_that_does_not_exist() {
    let world = small();
    let ran = world.cutover().env("ZITADEL_ORG_ID", "123").run().code(4);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: ZITADEL has no organization with the id `123`
Caused by: or this account may not see it
Hint: the id is in the console under the organization's name; `zitadel.create_org` creates one
"#);
}

#[test]
fn no_organization_at_all() {
    let world = small();
    let ran = world.cutover().without_env("ZITADEL_ORG_ID").run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: the ZITADEL organization that receives the users is not named
Hint: set `--org`, `ZITADEL_ORG_ID` or `zitadel.org_id`; or `zitadel.create_org` to have one created; the instance's default is `ORG` (ZITADEL)
"#);
}

#[test]
fn plain_http_beyond_this_machine() {
    let world = small();
    let ran = world.cutover().env("ZITADEL_URL", "http://zitadel.example.com").run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: `ZITADEL_URL` in the environment: plain http would send tokens and hashes in the clear; use "https://zitadel.example.com"
"#);
    let ran = world.cutover().env("AUTH0_DOMAIN", "http://tenant.eu.auth0.com").run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: `AUTH0_DOMAIN` in the environment: plain http would send tokens and hashes in the clear; use "https://tenant.eu.auth0.com"
"#);
}

#[test]
fn a_hash_file_that_is_not_there() {
    let world = small();
    let ran = world.cutover().args(["--passwords", "hashes.json"]).run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: cannot read `hashes.json`: there is no such file
Hint: give the file's path; a relative one starts at the working directory, in a configuration file at its folder
"#);
}

#[test]
fn a_hash_file_that_is_encrypted() {
    let world = small();
    // A public-key encrypted session key packet, old and new format, and ASCII armour.
    let files: [&[u8]; 3] = [
        b"\x85\x01\x0c\x03\x11\x22\x33\x44\x55\x66\x77\x88\x01\x07\xff\x93",
        b"\xc1\xc0\x4c\x03\x11\x22\x33\x44\x55\x66\x77\x88\x12\x04\x01\x99",
        b"-----BEGIN PGP MESSAGE-----\n\nhQEMAxEiM0RVZneIAQf/\n=abcd\n-----END PGP MESSAGE-----\n",
    ];
    for (number, bytes) in files.iter().enumerate() {
        fs::write(world.path("hashes.json.pgp"), bytes).unwrap();
        let run = world.cutover().without_arg("--passwords").args(["--passwords", "hashes.json.pgp"]);
        let ran = run.run().code(2);
        one_error(&world, &ran);
        if number == 0 {
            snapshot!(ran, @r#"
Error: cannot read `hashes.json.pgp`: it is encrypted with OpenPGP
Hint: gpg --decrypt hashes.json.pgp | a2z cutover --passwords -
"#);
        }
        assert!(ran.error().contains("gpg --decrypt hashes.json.pgp | a2z cutover --passwords -"), "{}", ran.error());
        assert!(world.auth0().requests().iter().all(|request| !request.path.contains("users-exports")));
    }
}

#[test]
fn a_hash_file_that_is_something_else() {
    let world = small();
    fs::write(world.path("hashes.json"), "email;hash\nada@example.com;$2b$10$abc\n").unwrap();
    let run = world.cutover().without_arg("--passwords").args(["--passwords", "hashes.json"]);
    let ran = run.run().code(2);
    one_error(&world, &ran);
    assert!(!ran.stderr.contains("$2b$10$abc"), "{}", ran.stderr);
    snapshot!(ran, @r#"
Error: cannot read `hashes.json`: it is CSV; JSON is needed, an object a line
Hint: give the file as Auth0's support sends it, decrypted and not converted: each line is an object with `_id` and `passwordHash`
"#);
}

#[test]
fn a_configuration_file_that_is_not_there() {
    let world = small();
    let ran = world.cutover().args(["--config", "elsewhere.toml"]).run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: cannot read `elsewhere.toml`
Caused by: No such file or directory (os error)
Hint: config.example.toml is a file to start from
"#);
}

#[test]
fn a_configuration_file_with_an_unknown_key() {
    let world = small();
    fs::write(world.path("a2z.toml"), "[import]\nbatch_user = 5\n").unwrap();
    let ran = world.cutover().run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: `a2z.toml`, line 2, column 1: unknown key `import.batch_user`; did you mean `batch_users`?
Hint: every key with its default is in config.example.toml
"#);
}

#[test]
fn nobody_to_ask() {
    let world = small();
    let ran = world.a2z(["cutover"]).args(["--passwords", "passwords.ndjson"]).run().code(2);
    one_error(&world, &ran);
    assert!(ran.stdout.contains("+ 5 to create"), "{}", ran.stdout);
    snapshot!(ran, @r#"
Error: there is no terminal to ask for a confirmation
Hint: read the plan above, and run the same command again with `--yes`
"#);
    // The plan is there: with `--yes` it goes on.
    world.cutover().run().code(0);
    world.assert_moved("created");
}

#[test]
fn no_credentials() {
    let world = small();
    let run = world.cutover().without_env("AUTH0_CLIENT_ID").without_env("AUTH0_CLIENT_SECRET");
    let ran = run.run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: there are no credentials for Auth0
Hint: set `AUTH0_CLIENT_ID` and `AUTH0_CLIENT_SECRET` of a machine-to-machine application, or `AUTH0_TOKEN`
"#);
    let ran = world.cutover().without_env("ZITADEL_TOKEN").run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: there are no credentials for ZITADEL
Hint: set `ZITADEL_TOKEN`, or `ZITADEL_KEY_FILE`, or `ZITADEL_CLIENT_ID` and `ZITADEL_CLIENT_SECRET`
"#);
}

#[test]
fn a_state_folder_of_another_tenant() {
    let world = small();
    world.cutover().run().code(0);
    let other = small();
    let run = other.cutover().without_arg("--state").args(["--state", world.state().to_str().unwrap()]);
    let ran = run.run().code(2);
    one_error(&other, &ran);
    snapshot!(ran, @r#"
Error: the state folder `TMP/state` belongs to another Auth0 tenant: `http://127.0.0.1:PORT/`, not `http://127.0.0.1:PORT/`
Hint: give each migration a state folder of its own with `--state DIR`
"#);
}

#[test]
fn an_export_that_is_cut() {
    let world = small();
    let whole = gzip(&world.export());
    fs::write(world.path("export.gz"), &whole[..whole.len() / 2]).unwrap();
    let ran = world.cutover().args(["--users", "export.gz"]).run().code(2);
    one_error(&world, &ran);
    snapshot!(ran, @r#"
Error: cannot read `TMP/export.gz`: it is cut off: its compressed data end early
Hint: fetch the file again: it was not copied or downloaded whole
"#);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}
