//! The configuration: fixtures named by their defect, the example file, the layers.

use std::{fs, path::PathBuf};

use a2z::{
    config::{Auth0Credentials, Environment, Loaded, Overrides, Source, ZitadelCredentials, keys, load},
    error::{Error, Kind},
};
use secrecy::ExposeSecret as _;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn fixture(path: &str) -> PathBuf {
    root().join("tests/fixtures/config").join(path)
}

fn no_environment() -> Environment {
    Environment::default()
}

fn read(path: PathBuf) -> Result<Loaded, Error> {
    load(&Overrides { config: Some(path), ..Overrides::default() }, &no_environment())
}

/// A folder with an `a2z.toml`; secrets beside it.
fn folder(toml: &str) -> (tempfile::TempDir, Overrides) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("a2z.toml");
    fs::write(&config, toml).unwrap();
    (folder, Overrides { config: Some(config), ..Overrides::default() })
}

/// The error without the path of this machine.
fn invalid(name: &str) -> String {
    let error = read(fixture(&format!("invalid/{name}.toml"))).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{name}");
    error.render().replace(fixture("invalid/").to_str().unwrap(), "")
}

#[test]
fn valid_fixtures_load() {
    for entry in fs::read_dir(fixture("valid")).unwrap() {
        let path = entry.unwrap().path();
        if let Err(error) = read(path.clone()) {
            panic!("{}: {error:?}", path.display());
        }
    }
    let config = read(fixture("valid/dotted-keys.toml")).unwrap().config;
    assert_eq!(config.auth0.url.unwrap().as_str(), "https://tenant.eu.auth0.com/");
    assert_eq!(config.zitadel.url.unwrap().as_str(), "https://z.example.com/");
    assert_eq!(config.import.batch_bytes, 1 << 20);
    assert_eq!(config.import.requests_per_second, Some(12.5));
}

#[test]
fn no_error_shows_a_secret() {
    let mut seen = 0;
    for entry in fs::read_dir(fixture("invalid")).unwrap() {
        let path = entry.unwrap().path();
        let error = read(path.clone()).expect_err(path.to_str().unwrap());
        assert_eq!(error.kind(), Kind::Usage, "{}", path.display());
        let text = error.render();
        // Two of them name files; a name without a secret's looks may be shown.
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if !["wrong-section", "two-credentials"].contains(&stem) {
            assert!(!text.contains("CANARY"), "{stem}: {text}");
        }
        assert!(!text.contains("hunter2"), "{stem}: {text}");
        seen += 1;
    }
    assert!(seen >= 20, "{seen} fixtures");
}

#[test]
fn errors_say_where_and_what_else() {
    insta::assert_snapshot!(invalid("unknown-key"), @"
    Error: `unknown-key.toml`, line 2, column 1: unknown key `import.batch_user`; did you mean `batch_users`?
    Hint: every key with its default is in config.example.toml
    ");
    insta::assert_snapshot!(invalid("unknown-section"), @"
    Error: `unknown-section.toml`, line 1, column 2: unknown key or section `imports`; did you mean `import`?
    Hint: every key with its default is in config.example.toml
    ");
    insta::assert_snapshot!(invalid("wrong-section"), @"
    Error: `wrong-section.toml`, line 2, column 1: unknown key `zitadel.domain`; it belongs to `[auth0]`
    Hint: every key with its default is in config.example.toml
    ");
    insta::assert_snapshot!(invalid("not-a-section"), @"
    Error: `not-a-section.toml`, line 1, column 1: `auth0` is a section: write `[auth0]`
    Hint: every key with its default is in config.example.toml
    ");
    insta::assert_snapshot!(invalid("out-of-range"), @"
    Error: `out-of-range.toml`, line 2, column 15: `import.batch_users`: expected a whole number from 1 to 500, got 501
    Hint: every key with its default is in config.example.toml
    ");
    insta::assert_snapshot!(invalid("two-errors"), @r#"
    Error: `two-errors.toml` has 2 errors
    Caused by:
      1: line 2, column 1: unknown key `auth0.domian`; did you mean `domain`?
      2: line 5, column 13: `import.max_lag`: expected a time such as "30s", "10m" or "2h"
    Hint: every key with its default is in config.example.toml
    "#);
    insta::assert_snapshot!(invalid("syntax-secret-unquoted"), @r#"
    Error: `syntax-secret-unquoted.toml`, line 2, column 17: this is not TOML: string values must be quoted, expected literal string
    Hint: every key with its default is in config.example.toml
    "#);
    insta::assert_snapshot!(invalid("secret-in-file"), @"
    Error: `secret-in-file.toml`, line 2, column 1: `zitadel.token` may not stand in the file: put the secret into a file of its own and name it as `zitadel.token_file`, or set `ZITADEL_TOKEN`
    Hint: every key with its default is in config.example.toml
    ");
    insta::assert_snapshot!(invalid("plain-http"), @r#"
    Error: `plain-http.toml`, line 2, column 7: `zitadel.url`: plain http would send tokens and hashes in the clear; use "https://z.example.com"
    Hint: every key with its default is in config.example.toml
    "#);
    insta::assert_snapshot!(invalid("stdin-twice"), @"
    Error: standard input (`-`) is named more than once
    Hint: only one of users, passwords and mfa can come from a pipe; put the others into files
    ");
    insta::assert_snapshot!(invalid("two-credentials"), @"
    Error: two ways into ZITADEL are given: `zitadel.token_file` in `two-credentials.toml`, and `zitadel.key_file` in `two-credentials.toml`
    Hint: keep one of them
    ");
    insta::assert_snapshot!(invalid("token-for-a-file-name"), @"
    Error: cannot use the file, named by `zitadel.token_file` in `token-for-a-file-name.toml`: there is no such file
    Hint: the value must be a file name, not the secret itself
    ");
}

#[test]
fn rules_are_checked_where_they_stand() {
    insta::assert_snapshot!(invalid("rule-unknown-field"), @r#"
    Error: `rule-unknown-field.toml`, line 3, column 21: `mapping.skip`: a user has no field `app_metdata`; did you mean `app_metadata`?
        blocked || app_metdata.test == true
                   ^
    Hint: every key with its default is in config.example.toml
    "#);
    insta::assert_snapshot!(invalid("rule-errors"), @r#"
    Error: `rule-errors.toml` has 8 errors
    Caused by:
      1: line 2, column 21: `mapping.metadata_rename`: `plan` is no path such as "user_metadata.plan" or "app_metadata.plan"
      2: line 2, column 78: `mapping.metadata_rename`: two values would get the key `k`
      3: line 5, column 57: `mapping.fields`: is no CEL expression: mismatched input '<EOF>'
        given_name &&
                     ^
      4: line 6, column 1: `mapping.fields`: unknown field `firstname`; did you mean `first_name`?
      5: line 7, column 9: `mapping.fields`: expected an expression in quotes, or a list of them, at most 100
      6: line 9, column 1: `mapping.only`: the rule has no `where`
      7: line 15, column 11: `mapping.skip`: no function `lower` is known
          && lower(email) == 'a'
                  ^
      8: line 17, column 1: `mapping.skip`: unknown key `when`; a rule has `where` and `reason`
    Hint: every key with its default is in config.example.toml
    "#);
}

#[test]
fn the_example_file_holds_every_key_and_loads() {
    let text = fs::read_to_string(root().join("config.example.toml")).unwrap();
    let loaded = read(root().join("config.example.toml")).unwrap();
    assert!(loaded.config.auth0.url.is_none(), "the example sets something");

    // Uncommented it must hold every key of the schema, and no other.
    let is_key = |line: &str| {
        line.starts_with('#')
            && line[1..].split(" = ").next().is_some_and(|name| {
                !name.is_empty()
                    && line.contains(" = ")
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            })
    };
    let uncommented: Vec<&str> = text.lines().map(|line| if is_key(line) { &line[1..] } else { line }).collect();
    let table: toml::Table = uncommented.join("\n").parse().unwrap();
    let mut written: Vec<String> = Vec::new();
    for (name, value) in &table {
        match value.as_table() {
            Some(section) => written.extend(section.keys().map(|key| format!("{name}.{key}"))),
            None => written.push(name.clone()),
        }
    }
    let mut expected: Vec<String> = keys().map(|(path, _)| path.to_owned()).collect();
    // Tables, shown with an example each below the keys.
    let tables = ["mapping.fields", "mapping.metadata_rename", "mapping.only", "mapping.skip"];
    assert!(tables.iter().all(|name| text.contains(&format!("# [{name}]")) || text.contains(&format!("# [[{name}]]"))));
    written.sort();
    expected.sort();
    assert_eq!(written, expected);
    for (path, env) in keys() {
        assert!(text.contains(env), "{path}: {env} is not in the example");
    }

    // All ways in at once are too many; with one each, all keys together load.
    let one_way: Vec<&str> = uncommented
        .into_iter()
        .filter(|line| {
            !["client_secret", "client_secret_file", "token_file", "key_file", "client_id"]
                .iter()
                .any(|key| line.starts_with(&format!("{key} =")))
        })
        .collect();
    let (_folder, overrides) = folder(&one_way.join("\n"));
    let config = load(&overrides, &no_environment()).unwrap().config;
    // Where it gives a default, it is the default.
    let default = a2z::config::Config::default();
    assert_eq!(config.import.batch_users, default.import.batch_users);
    assert_eq!(config.import.batch_bytes, default.import.batch_bytes);
    assert_eq!(config.import.timeout, default.import.timeout);
    assert_eq!(config.import.max_lag, default.import.max_lag);
    assert_eq!(config.import.visible_deadline, default.import.visible_deadline);
    assert_eq!(config.auth0.job_deadline, default.auth0.job_deadline);
    assert_eq!(config.input.max_line, default.input.max_line);
    assert_eq!(config.mapping.metadata_prefix, default.mapping.metadata_prefix);
    assert_eq!(config.mapping.stale_hash, default.mapping.stale_hash);
    assert_eq!(config.http.max_attempts, default.http.max_attempts);
    assert_eq!(config.http.max_elapsed, default.http.max_elapsed);
    assert_eq!(config.http.first_wait, default.http.first_wait);
    assert_eq!(config.http.max_wait, default.http.max_wait);
    assert_eq!(config.http.connect_timeout, default.http.connect_timeout);
    assert_eq!(config.http.request_timeout, default.http.request_timeout);
}

#[test]
fn later_layers_win() {
    let (folder, mut overrides) = folder(
        "state = 's'\n[auth0]\nconnections = ['file']\n[zitadel]\norg_id = '1'\n[import]\nconcurrency = 2\nbatch_users = 7\n\
         [input]\npasswords = ['a.json', '/abs.json']\n",
    );
    let from_file = load(&overrides, &no_environment()).unwrap().config;
    assert_eq!(from_file.import.concurrency, Some(2));
    assert_eq!(from_file.state, folder.path().join("s"), "relative to the file");
    assert_eq!(
        from_file.input.passwords,
        [Source::File(folder.path().join("a.json")), Source::File("/abs.json".into())]
    );

    let environment = Environment::from_iter([
        ("A2Z_IMPORT_CONCURRENCY", "3"),
        ("ZITADEL_ORG_ID", "2"),
        ("A2Z_AUTH0_CONNECTIONS", "one, two"),
        ("A2Z_IMPORT_BATCH_USERS", ""),
        ("A2Z_STATE", "here"),
    ]);
    let from_environment = load(&overrides, &environment).unwrap().config;
    assert_eq!(from_environment.import.concurrency, Some(3));
    assert_eq!(from_environment.zitadel.organization_id.as_deref(), Some("2"));
    assert_eq!(from_environment.auth0.connections, ["one", "two"]);
    assert_eq!(from_environment.import.batch_users, 7, "an empty variable is none");
    assert_eq!(from_environment.state, PathBuf::from("here"), "relative to the working directory");

    overrides.concurrency = Some(4);
    overrides.org = Some("3".into());
    overrides.connections = vec!["flag".into()];
    overrides.passwords = vec![Source::Stdin];
    overrides.state = Some("there".into());
    let from_flags = load(&overrides, &environment).unwrap().config;
    assert_eq!(from_flags.import.concurrency, Some(4));
    assert_eq!(from_flags.zitadel.organization_id.as_deref(), Some("3"));
    assert_eq!(from_flags.auth0.connections, ["flag"]);
    assert_eq!(from_flags.input.passwords, [Source::Stdin]);
    assert_eq!(from_flags.state, PathBuf::from("there"));

    overrides.concurrency = Some(65);
    assert!(load(&overrides, &environment).unwrap_err().message().contains("`--concurrency`"));
}

#[test]
fn a_named_file_must_exist() {
    let error = read("no/such/a2z.toml".into()).unwrap_err();
    assert!(error.message().contains("no/such/a2z.toml"));
    assert_eq!(error.kind(), Kind::Usage);
    let named = Environment::from_iter([("A2Z_CONFIG", "no/such/other.toml")]);
    assert!(load(&Overrides::default(), &named).unwrap_err().message().contains("other.toml"));
    // The tests run in the package's root, where there is no a2z.toml.
    assert_eq!(load(&Overrides::default(), &no_environment()).unwrap().file, None);
}

#[test]
fn the_more_specific_credential_counts() {
    let (folder, overrides) =
        folder("[auth0]\nclient_id = 'id'\nclient_secret_file = 'secret'\n[zitadel]\ntoken_file = 'pat'\n");
    fs::write(folder.path().join("secret"), "CANARY-1\n").unwrap();
    fs::write(folder.path().join("pat"), "CANARY-2\n").unwrap();
    let credentials = |environment: &[(&str, &str)]| {
        let config = load(&overrides, &environment.iter().copied().collect()).map(|loaded| loaded.config)?;
        Ok::<_, Error>((config.auth0.credentials.unwrap(), config.zitadel.credentials.unwrap()))
    };
    let (auth0, zitadel) = credentials(&[]).unwrap();
    let Auth0Credentials::Client { client_id, client_secret } = auth0 else { panic!("{auth0:?}") };
    assert_eq!((client_id.as_str(), client_secret.expose_secret()), ("id", "CANARY-1"));
    let ZitadelCredentials::Token(token) = zitadel else { panic!("{zitadel:?}") };
    assert_eq!(token.expose_secret(), "CANARY-2");

    let (auth0, zitadel) = credentials(&[
        ("AUTH0_CLIENT_SECRET", "CANARY-3"),
        ("ZITADEL_CLIENT_ID", "robot"),
        ("ZITADEL_CLIENT_SECRET", "CANARY-4"),
    ])
    .unwrap();
    let Auth0Credentials::Client { client_secret, .. } = auth0 else { panic!("{auth0:?}") };
    assert_eq!(client_secret.expose_secret(), "CANARY-3", "the id of the file goes with the environment's secret");
    assert!(matches!(zitadel, ZitadelCredentials::Client { .. }), "{zitadel:?}");

    let (auth0, _) = credentials(&[("AUTH0_TOKEN", "CANARY-5")]).unwrap();
    assert!(matches!(auth0, Auth0Credentials::Token(_)), "{auth0:?}");

    let error = credentials(&[("ZITADEL_TOKEN", "CANARY-6"), ("ZITADEL_KEY_FILE", "key.json")]).unwrap_err();
    let text = error.render();
    assert!(text.contains("`ZITADEL_TOKEN`") && text.contains("`ZITADEL_KEY_FILE`"), "{text}");
    assert!(!text.contains("CANARY"), "{text}");
}

#[test]
fn half_a_credential_is_said_and_none_is_asked_for() {
    let environment = Environment::from_iter([("AUTH0_DOMAIN", "t.eu.auth0.com"), ("AUTH0_CLIENT_ID", "id")]);
    let (_folder, overrides) = folder("");
    let loaded = load(&overrides, &environment).unwrap();
    assert_eq!(loaded.warnings[0].code, "credentials-incomplete");
    assert!(loaded.warnings[0].message.contains("`AUTH0_CLIENT_ID`"), "{:?}", loaded.warnings);
    let error = loaded.config.require_auth0().unwrap_err();
    assert!(error.render().contains("AUTH0_CLIENT_SECRET"), "{}", error.render());
    assert!(loaded.config.require_zitadel().unwrap_err().render().contains("ZITADEL_URL"));
}

#[test]
fn keys_of_service_accounts_only() {
    let (folder, overrides) = folder("[zitadel]\nkey_file = 'key.json'\n");
    let read = |json: &str| {
        fs::write(folder.path().join("key.json"), json).unwrap();
        load(&overrides, &no_environment())
    };
    let key =
        r#"{"type":"serviceaccount","keyId":"1","key":"CANARY","userId":"2","expirationDate":"2030-01-01T00:00:00Z"}"#;
    assert!(matches!(read(key).unwrap().config.zitadel.credentials, Some(ZitadelCredentials::KeyJson(_))));
    for wrong in [
        r#"{"type":"application","keyId":"1","key":"CANARY","appId":"2","clientId":"3"}"#,
        r#"{"type":"serviceaccount","keyId":"1","userId":"2"}"#,
        r#"{"type":"serviceaccount","keyId":1,"key":"CANARY"#,
        "-----BEGIN CANARY-----",
        "",
    ] {
        let text = read(wrong).unwrap_err().render();
        assert!(!text.contains("CANARY"), "{text}");
    }
}

#[test]
fn a_secret_of_two_lines_is_refused() {
    let (folder, overrides) = folder("[zitadel]\ntoken_file = 'pat'\n");
    fs::write(folder.path().join("pat"), "CANARY-1\nCANARY-2\n").unwrap();
    let text = load(&overrides, &no_environment()).unwrap_err().render();
    assert!(text.contains("more than one line") && !text.contains("CANARY"), "{text}");
}

#[cfg(unix)]
#[test]
fn secrets_that_others_can_read_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, overrides) = folder("[auth0]\nclient_id = 'id'\nclient_secret = 'CANARY'\n");
    let path = overrides.config.clone().unwrap();
    let warnings = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        load(&overrides, &no_environment()).unwrap().warnings
    };
    assert_eq!(warnings(0o600), []);
    let warned = warnings(0o644);
    assert_eq!(warned[0].code, "secret-file-readable");
    assert!(!warned[0].message.contains("CANARY"));
}

#[test]
fn misspelt_variables_are_named() {
    let environment =
        Environment::from_iter([("A2Z_IMPORT_CONCURENCY", "3"), ("A2Z_LIVE_ZITADEL_URL", "x"), ("PATH", "x")]);
    let (_folder, overrides) = folder("");
    let warnings = load(&overrides, &environment).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.contains("did you mean `A2Z_IMPORT_CONCURRENCY`?"), "{warnings:?}");
}

#[test]
fn nothing_prints_a_secret_by_debug() {
    let environment = Environment::from_iter([("AUTH0_TOKEN", "CANARY-1"), ("ZITADEL_TOKEN", "CANARY-2")]);
    let (_folder, overrides) = folder("");
    let loaded = load(&overrides, &environment).unwrap();
    assert!(loaded.config.auth0.credentials.is_some() && loaded.config.zitadel.credentials.is_some());
    assert!(!format!("{loaded:?} {environment:?}").contains("CANARY"));
}
