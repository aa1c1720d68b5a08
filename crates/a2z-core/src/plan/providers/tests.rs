use serde_json::{Value, json};

use super::{create::from_connection, *};

fn connection(name: &str, strategy: &str, options: impl Into<Value>) -> Connection {
    let options = options.into();
    serde_json::from_value(json!({ "id": "con_1", "name": name, "strategy": strategy, "options": options })).unwrap()
}

fn provider(id: &str, kind: &str, client_id: &str) -> Provider {
    Provider {
        id: id.into(),
        name: format!("P{id}"),
        kind: format!("PROVIDER_TYPE_{kind}"),
        active: true,
        linking_allowed: true,
        creation_allowed: true,
        client_id: Some(client_id.into()),
        ..Provider::default()
    }
}

fn configured(pairs: &[(&str, &str)]) -> Idps {
    let by_connection = pairs.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect();
    Idps { by_connection, ..Idps::default() }
}

/// `id:how`, or `-`.
fn matched(connections: &[Connection], providers: &[Provider], config: &Idps) -> Vec<String> {
    let found = match_all(connections, providers, config).unwrap();
    let show = |found: &Match| {
        if let Some(target) = &found.target {
            return format!("{}:{}", target.idp_id, target.found.word());
        }
        assert!(found.why_not.as_deref().is_some_and(|why| !why.is_empty()));
        "-".into()
    };
    found.matches.values().map(show).collect()
}

#[test]
fn config_goes_before_the_client_and_the_client_before_the_kind() {
    let google = || connection("google-oauth2", "google-oauth2", json!({ "client_id": "c1" }));
    let none = configured(&[]);
    let (a, b) = (provider("1", "GOOGLE", "c1"), provider("2", "GOOGLE", "c2"));
    let both = [a.clone(), b.clone()];
    assert_eq!(matched(&[google()], &both, &configured(&[("google-oauth2", "2")])), ["2:configured"]);
    assert_eq!(matched(&[google()], &both, &none), ["1:same client id"]);
    assert_eq!(matched(&[google()], std::slice::from_ref(&b), &none), ["2:the only one of its kind"]);
    let twice = [a.clone(), Provider { id: "3".into(), ..a.clone() }];
    assert_eq!(matched(&[google()], &twice, &none), ["-"]);
    assert!(match_all(&[google()], &twice, &none).unwrap().matches["google-oauth2"].ambiguous);
    // Two connections of a kind, and one provider: whose is it?
    let workspace = connection("workspace", "google-apps", json!({ "client_id": "c9" }));
    assert_eq!(matched(&[google(), workspace], std::slice::from_ref(&b), &none), ["-", "-"]);
    let inactive = Provider { active: false, ..a };
    assert_eq!(matched(&[google()], &[inactive], &none), ["-"]);
}

#[test]
fn the_only_one_of_a_kind_must_be_the_same_one() {
    let none = configured(&[]);
    let oidc = |issuer: &str| connection("corp", "oidc", json!({ "client_id": "a", "issuer": issuer }));
    let theirs = Provider { issuer: Some("https://id.corp.example/".into()), ..provider("1", "OIDC", "b") };
    assert_eq!(
        matched(&[oidc("https://id.corp.example")], std::slice::from_ref(&theirs), &none),
        ["1:the only one of its kind"]
    );
    assert_eq!(matched(&[oidc("https://evil.example")], std::slice::from_ref(&theirs), &none), ["-"]);
    // Even the same client id proves nothing at another issuer.
    let same_client = Provider { client_id: Some("a".into()), ..theirs };
    assert_eq!(matched(&[oidc("https://evil.example")], &[same_client], &none), ["-"]);

    let apple = connection("apple", "apple", json!({ "client_id": "a", "team_id": "TEAM000001" }));
    let team = |team: &str| Provider { team_id: Some(team.into()), ..provider("1", "APPLE", "b") };
    assert_eq!(matched(std::slice::from_ref(&apple), &[team("TEAM000001")], &none), ["1:the only one of its kind"]);
    assert_eq!(matched(&[apple], &[team("TEAM000002")], &none), ["-"]);

    let saml = connection("acme", "samlp", json!({ "signInEndpoint": "https://acme.example/sso?a=1&b=2" }));
    let metadata = |location: &str| Provider {
        metadata_xml: Some(format!("<x Location=\"{location}\"/>").into_bytes()),
        client_id: None,
        ..provider("1", "SAML", "")
    };
    let same = metadata("https://acme.example/sso?a=1&amp;b=2");
    assert_eq!(matched(std::slice::from_ref(&saml), &[same], &none), ["1:the only one of its kind"]);
    assert_eq!(matched(&[saml], &[metadata("https://other.example/sso")], &none), ["-"]);

    let entra = connection("acme-ad", "waad", json!({ "client_id": "a", "tenant_domain": "acme.example" }));
    let tenant =
        |tenant: Option<&str>| Provider { tenant: tenant.map(str::to_owned), ..provider("1", "AZURE_AD", "b") };
    assert_eq!(
        matched(std::slice::from_ref(&entra), &[tenant(Some("ACME.example"))], &none),
        ["1:the only one of its kind"]
    );
    assert_eq!(matched(std::slice::from_ref(&entra), &[tenant(Some("other.example"))], &none), ["-"]);
    assert_eq!(matched(&[entra], &[tenant(None)], &none), ["-"]);
}

/// As Auth0 lists it for a token without `read:connections_options`.
fn bare(name: &str, strategy: &str) -> Connection {
    serde_json::from_value(json!({ "id": "con_1", "name": name, "strategy": strategy })).unwrap()
}

#[test]
fn without_options_only_what_is_the_same_everywhere_is_matched() {
    let none = configured(&[]);
    let google = provider("1", "GOOGLE", "c1");
    assert_eq!(
        matched(&[bare("google-oauth2", "google-oauth2")], std::slice::from_ref(&google), &none),
        ["1:the only one of its kind"]
    );
    // Which of two has its client is not known.
    let both = [google, provider("2", "GOOGLE", "c2")];
    assert_eq!(matched(&[bare("google-oauth2", "google-oauth2")], &both, &none), ["-"]);
    // A provider without a client has not the same as a connection without one.
    let clientless = Provider { client_id: None, ..provider("3", "OIDC", "") };
    let found = match_all(&[bare("corp", "oidc")], &[clientless], &configured(&[("corp", "3")])).unwrap();
    let target = found.matches["corp"].target.as_ref().unwrap();
    assert!(!target.same_client && found.matches["corp"].options_unknown);

    for (strategy, kind) in [("oidc", "OIDC"), ("samlp", "SAML"), ("waad", "AZURE_AD"), ("apple", "APPLE")] {
        let found = match_all(&[bare("c", strategy)], &[provider("1", kind, "x")], &none).unwrap();
        let why = found.matches["c"].why_not.as_deref().unwrap();
        assert!(why.contains("read:connections_options"), "{strategy}: {why}");
        let configured = match_all(&[bare("c", strategy)], &[provider("1", kind, "x")], &configured(&[("c", "1")]));
        assert!(configured.unwrap().matches["c"].target.is_some(), "{strategy}");
    }
    // It may be GitLab, and it may be anything.
    let gitlab = provider("1", "GITLAB", "x");
    assert_eq!(matched(&[bare("git", "oauth2")], std::slice::from_ref(&gitlab), &none), ["-"]);
    let told = connection("gitlab", "oauth2", json!({ "authorizationURL": "https://gitlab.com/oauth/authorize" }));
    assert_eq!(
        matched(std::slice::from_ref(&told), std::slice::from_ref(&gitlab), &none),
        ["1:the only one of its kind"]
    );
    assert_eq!(matched(&[bare("git", "oauth2"), told], &[gitlab], &none), ["-", "-"]);
}

#[test]
fn without_options_no_provider_is_made_up() {
    for strategy in ["google-oauth2", "github", "samlp", "oidc", "waad", "apple", "oauth2"] {
        let why = from_connection(&bare("c", strategy)).unwrap_err();
        assert!(why.contains("read:connections_options"), "{strategy}: {why}");
    }
}

#[test]
fn a_saml_connection_without_a_single_option_was_not_told() {
    let saml = |options: Value| {
        let found = match_all(&[connection("acme", "samlp", options)], &[], &configured(&[])).unwrap();
        found.matches["acme"].options_unknown
    };
    assert!(saml(json!({})) && saml(Value::Null));
    assert!(!saml(json!({ "signInEndpoint": "https://acme.example/sso" })));
}

#[test]
fn wrong_configuration_is_refused_with_what_there_is() {
    let connections = [connection("google-oauth2", "google-oauth2", json!({}))];
    let providers = [provider("1", "GOOGLE", "c"), Provider { active: false, ..provider("2", "GOOGLE", "d") }];
    let refused = |pairs| match_all(&connections, &providers, &configured(pairs)).unwrap_err();
    let error = refused(&[("google-oauth2", "9")]);
    assert!(error.render().contains("`9` does not exist") && error.render().contains("`1` (P1)"), "{error:?}");
    assert_eq!(error.kind().exit_code(), 2);
    assert!(refused(&[("google-oauth2", "2")]).render().contains("is not active"));
    assert!(refused(&[("gogle", "1")]).render().contains("`google-oauth2`"));
}

#[test]
fn without_a_list_of_connections_only_what_is_the_same_everywhere_is_matched() {
    let providers = [provider("1", "GOOGLE", "c"), provider("2", "APPLE", "c")];
    assert_eq!(matched(&[], &providers, &configured(&[])), ["-", "1:the only one of its kind"]);
    assert_eq!(
        matched(&[], &providers, &configured(&[("acme-saml", "2")])),
        ["2:configured", "-", "1:the only one of its kind"]
    );
}

#[test]
fn providers_are_made_from_what_auth0_tells() {
    let secret = |name: &str, strategy: &str, mut options: Value| {
        options["client_id"] = "the-client".into();
        options["client_secret"] = "canary-secret".into();
        from_connection(&connection(name, strategy, options)).unwrap()
    };
    let google = secret("google-oauth2", "google-oauth2", json!({}));
    assert_eq!((google.path, google.name(), google.client_id()), ("google", "Google", Some("the-client")));
    let options = &google.body.0["providerOptions"];
    assert_eq!(
        *options,
        json!({ "isLinkingAllowed": true, "isCreationAllowed": true, "isAutoCreation": false, "isAutoUpdate": false })
    );
    let entra = secret("acme-ad", "waad", json!({ "tenant_domain": "acme.example", "tenantId": "1-2" }));
    assert_eq!((entra.path, entra.name()), ("azure", "acme-ad"));
    assert_eq!(entra.body.0["tenant"], json!({ "tenantId": "1-2" }));
    let common = secret("acme-ad", "waad", json!({ "tenant_domain": "acme.example", "useCommonEndpoint": true }));
    assert_eq!(common.body.0["tenant"], json!({ "tenantType": "AZURE_AD_TENANT_TYPE_COMMON" }));
    let oidc = secret(
        "corp",
        "oidc",
        json!({ "discovery_url": "https://id.example/.well-known/openid-configuration", "scope": "openid groups" }),
    );
    assert_eq!((oidc.path, &oidc.body.0["issuer"]), ("generic_oidc", &json!("https://id.example")));
    assert_eq!(oidc.body.0["scopes"], json!(["openid", "groups"]));
    let gitlab = secret("gitlab", "oauth2", json!({ "authorizationURL": "https://gitlab.com/oauth/authorize" }));
    assert_eq!(gitlab.path, "gitlab");
    let saml = from_connection(&connection("acme", "samlp", json!({ "metadataXml": "<x/>" }))).unwrap();
    assert_eq!((saml.path, &saml.body.0["metadataXml"]), ("saml", &json!("PHgvPg==")));
    let key = "-----BEGIN PRIVATE KEY-----\nx";
    let apple = json!({ "client_id": "a", "app_secret": key, "team_id": "TEAM000001", "kid": "KEY0000001" });
    assert_eq!(from_connection(&connection("apple", "apple", apple)).unwrap().body.0["keyId"], json!("KEY0000001"));
}

#[test]
fn what_is_missing_is_said() {
    let missing = |strategy: &str, options: Value| from_connection(&connection("c", strategy, options)).unwrap_err();
    assert!(missing("google-oauth2", json!({})).contains("developer keys"));
    assert!(missing("github", json!({ "client_id": "a" })).contains("client secret"));
    assert!(
        missing("apple", json!({ "client_id": "a", "team_id": "TEAM000001", "kid": "KEY0000001" }))
            .contains("private key")
    );
    assert!(missing("samlp", json!({ "signInEndpoint": "https://a" })).contains("metadata"));
    let oauth =
        json!({ "client_id": "a", "client_secret": "b", "authorizationURL": "https://a", "tokenURL": "https://t" });
    assert!(missing("oauth2", oauth).contains("script"));
    assert!(missing("facebook", json!({ "client_id": "a" })).contains("`facebook`"));
    assert!(missing("ad", json!({})).contains("directory"));
}
