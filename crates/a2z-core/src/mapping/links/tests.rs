use super::*;
use crate::mapping::providers::{Found, Target};

fn target(idp_id: &str, same_client: bool) -> Target {
    Target {
        idp_id: idp_id.into(),
        name: "P".into(),
        found: Found::ClientId,
        creation_allowed: true,
        linking_allowed: true,
        of_organization: false,
        same_client,
    }
}

fn providers(list: &[(&str, &str, Option<Target>)]) -> Providers {
    let one = |(name, strategy, target): &(&str, &str, Option<Target>)| {
        let found = Match {
            strategy: (*strategy).to_owned(),
            target: target.clone(),
            why_not: None,
            ambiguous: false,
            id_attribute: None,
            options_unknown: false,
        };
        ((*name).to_owned(), found)
    };
    Providers { matches: list.iter().map(one).collect(), block_unmatched: false }
}

fn user(identities: &[(&str, &str, &str)]) -> ExportedUser {
    let identity = |(provider, connection, id): &(&str, &str, &str)| Identity {
        provider: (*provider).to_owned(),
        connection: Some((*connection).to_owned()),
        user_id: (*id).to_owned(),
        ..Identity::default()
    };
    let (provider, _, id) = identities[0];
    ExportedUser {
        user_id: format!("{provider}|{id}"),
        email: Some("ada@example.com".into()),
        identities: Some(identities.iter().map(identity).collect()),
        ..ExportedUser::default()
    }
}

/// `idp:external id` of each link, and the findings.
fn linked(user: &ExportedUser, providers: &Providers) -> (Vec<String>, Vec<Finding>) {
    let mut findings = Vec::new();
    let links = links(user, providers, &mut findings).links;
    (links.into_iter().map(|l| format!("{}:{}", l.idp_id, l.external_user_id)).collect(), findings)
}

/// The id that is linked for an identity of one strategy, or `None`.
fn external(strategy: &str, id: &str, same_client: bool) -> Option<String> {
    let providers = providers(&[("conn", strategy, Some(target("7", same_client)))]);
    let (links, findings) = linked(&user(&[(strategy, "conn", id)]), &providers);
    assert_eq!(links.is_empty(), findings.iter().any(|f| f.code == FindingCode::ForeignIdDiffers), "{findings:?}");
    links.first().map(|link| link.trim_start_matches("7:").to_owned())
}

#[test]
fn the_id_is_the_one_that_zitadel_will_see() {
    let guid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let cases = [
        ("google-oauth2", "103547991597142817347", false, Some("103547991597142817347")),
        ("github", "583231", false, Some("583231")),
        ("windowslive", "48d31887fa3fae2a", false, Some("48d31887fa3fae2a")),
        ("apple", "000123.a1b2.0456", false, Some("000123.a1b2.0456")),
        ("google-apps", "ada@acme.example", true, None),
        ("google-apps", "103547991597142817347", false, Some("103547991597142817347")),
        ("waad", guid, false, Some(guid)),
        ("waad", "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", false, None),
        (
            "waad",
            "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
            true,
            Some("AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ"),
        ),
        ("waad", "ada@acme.example", true, None),
        ("oidc", "conn|https://id.example/users/1", false, Some("https://id.example/users/1")),
        ("okta", "conn|00u1", false, Some("00u1")),
        ("samlp", "conn|ada|acme.example", false, Some("ada|acme.example")),
        ("samlp", "ada@acme.example", false, Some("ada@acme.example")),
        ("samlp", "conn|conn|x", false, Some("conn|x")),
        ("oauth2", "conn|42", false, Some("42")),
        ("oidc", "conn|", false, None),
        ("oidc", "conn|a\u{0}b", false, None),
    ];
    for (strategy, id, same_client, expected) in cases {
        assert_eq!(external(strategy, id, same_client).as_deref(), expected, "{strategy} {id} {same_client}");
    }
    assert_eq!(external("oidc", &"x".repeat(201), false), None);
}

#[test]
fn saml_ids_from_an_attribute_are_no_name_ids() {
    let mut providers = providers(&[("acme", "samlp", Some(target("7", false)))]);
    let ada = user(&[("samlp", "acme", "acme|ada")]);
    let mut claim = |claim: &str| {
        if let Some(found) = providers.matches.get_mut("acme") {
            found.id_attribute = Some(claim.to_owned());
        }
        linked(&ada, &providers).0
    };
    assert_eq!(claim("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"), ["7:ada"]);
    assert!(claim("urn:oid:0.9.2342.19200300.100.1.1").is_empty());
}

#[test]
fn no_link_hangs_on_an_option_that_is_not_known() {
    let guid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    // Strategy, id, and the link or the code.
    let cases = [
        ("samlp", "conn|ada", Err(FindingCode::OptionUnknown)),
        ("pingfederate", "conn|ada", Err(FindingCode::OptionUnknown)),
        ("waad", "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", Err(FindingCode::OptionUnknown)),
        ("waad", "ada@acme.example", Err(FindingCode::ForeignIdDiffers)),
        ("waad", guid, Ok(guid)),
        ("google-apps", "ada@acme.example", Err(FindingCode::ForeignIdDiffers)),
        ("google-apps", "103547991597142817347", Ok("103547991597142817347")),
        ("google-oauth2", "103547991597142817347", Ok("103547991597142817347")),
        ("github", "583231", Ok("583231")),
        ("windowslive", "48d31887fa3fae2a", Ok("48d31887fa3fae2a")),
        ("apple", "000123.a1b2.0456", Ok("000123.a1b2.0456")),
        ("oidc", "conn|7", Ok("7")),
        ("okta", "conn|00u1", Ok("00u1")),
        ("oauth2", "conn|42", Ok("42")),
    ];
    for (strategy, id, expected) in cases {
        // A connection that was listed, and one that was not: then the identity tells the strategy.
        for listed in [strategy, ""] {
            let mut providers = providers(&[("conn", listed, Some(target("7", false)))]);
            providers.matches.values_mut().for_each(|found| found.options_unknown = true);
            let (links, findings) = linked(&user(&[(strategy, "conn", id)]), &providers);
            let codes: Vec<FindingCode> = findings.iter().map(|finding| finding.code).collect();
            match expected {
                Ok(id) => assert_eq!((links, codes), (vec![format!("7:{id}")], vec![]), "{strategy}"),
                Err(code) => assert_eq!((links, codes), (vec![], vec![code]), "{strategy} {id}"),
            }
        }
    }
}

#[test]
fn an_option_that_is_not_known_blocks_where_a_missing_provider_does() {
    let mut providers = providers(&[("acme", "samlp", Some(target("7", false)))]);
    providers.matches.values_mut().for_each(|found| found.options_unknown = true);
    providers.block_unmatched = true;
    let found = links(&user(&[("samlp", "acme", "acme|ada")]), &providers, &mut Vec::new());
    assert_eq!(found.blocked.map(|blocked| blocked.code), Some(BlockedCode::NoIdentityProvider));
}

#[test]
fn what_an_earlier_run_knew_is_recalled_where_this_one_knows_less() {
    let known = |attribute: Option<&str>| {
        let mut before = providers(&[("acme", "samlp", Some(target("7", false)))]);
        before.matches.values_mut().for_each(|found| found.id_attribute = attribute.map(str::to_owned));
        before.matches
    };
    let unknown = |target| {
        let mut now = providers(&[("acme", "samlp", target)]);
        now.matches.values_mut().for_each(|found| found.options_unknown = true);
        now
    };
    let ada = user(&[("samlp", "acme", "acme|ada")]);
    for now in [None, Some(target("7", false)), Some(target("8", false))] {
        let mut providers = unknown(now.clone());
        providers.recall(known(None));
        let wanted = now.map_or("7", |target| if target.idp_id == "8" { "8" } else { "7" });
        assert_eq!(linked(&ada, &providers).0, [format!("{wanted}:ada")]);
        let mut providers = unknown(Some(target("7", false)));
        providers.recall(known(Some("urn:oid:1")));
        assert_eq!(linked(&ada, &providers).1[0].code, FindingCode::ForeignIdDiffers);
    }
    // What was not known then helps nobody now, and what is known now counts.
    let mut providers = unknown(None);
    providers.recall(unknown(Some(target("7", false))).matches);
    assert_eq!(linked(&ada, &providers).1[0].code, FindingCode::LinkNotMoved);
    let mut now = self::providers(&[("acme", "samlp", Some(target("9", false)))]);
    now.recall(known(None));
    assert_eq!(linked(&ada, &now).0, ["9:ada"]);
}

#[test]
fn every_identity_of_a_linked_account_has_its_link_once() {
    let providers = providers(&[
        ("google-oauth2", "google-oauth2", Some(target("1", false))),
        ("github", "github", Some(target("2", false))),
        ("twitter", "twitter", None),
    ]);
    let ada = user(&[
        ("auth0", "db", "1"),
        ("google-oauth2", "google-oauth2", "10"),
        ("github", "github", "AbC"),
        ("github", "github", "aBc"),
        ("twitter", "twitter", "5"),
        ("sms", "sms", "6"),
    ]);
    let (links, findings) = linked(&ada, &providers);
    assert_eq!(links, ["1:10", "2:AbC"]);
    assert_eq!(findings, [Finding::about(FindingCode::LinkNotMoved, "twitter")]);
}

#[test]
fn without_identities_the_user_id_tells() {
    let providers = providers(&[
        ("acme", "samlp", Some(target("7", false))),
        ("google-oauth2", "google-oauth2", Some(target("1", false))),
    ]);
    let of = |id: &str| linked(&ExportedUser { user_id: id.into(), ..ExportedUser::default() }, &providers).0;
    assert_eq!(of("google-oauth2|10"), ["1:10"]);
    assert_eq!(of("samlp|acme|ada|acme.example"), ["7:ada|acme.example"]);
    assert!(of("auth0|1").is_empty() && of("sms|1").is_empty());
}

#[test]
fn a_link_shows_a_name_that_zitadel_takes() {
    let providers = providers(&[("github", "github", Some(target("2", false)))]);
    let name = |email: Option<&str>, name: Option<&str>| {
        let mut ada = user(&[("github", "github", "583231")]);
        (ada.email, ada.name) = (email.map(str::to_owned), name.map(str::to_owned));
        links(&ada, &providers, &mut Vec::new()).links[0].display_name.clone()
    };
    assert_eq!(name(Some("ada@example.com"), None), "ada@example.com");
    assert_eq!(name(None, Some("Ada\u{0} L")), "Ada L");
    assert_eq!(name(None, Some("\u{0}")), "583231");
    assert_eq!(name(None, Some(&"é".repeat(300))).chars().count(), 200);
}

#[test]
fn unmatched_identities_block_where_the_operator_wants_it() {
    let mut providers = providers(&[("twitter", "twitter", None)]);
    providers.block_unmatched = true;
    let found = links(&user(&[("twitter", "twitter", "5")]), &providers, &mut Vec::new());
    assert_eq!(found.blocked, Some(Blocked::about(BlockedCode::NoIdentityProvider, "twitter")));
    assert!(links(&user(&[("auth0", "db", "5")]), &providers, &mut Vec::new()).blocked.is_none());
}
