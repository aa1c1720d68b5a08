//! Whose user name counts, which address a user has, which names find nobody any more, and what is odd.

use super::*;
use crate::mapping::joined::SignInNames;

fn identity(provider: &str, connection: &str, id: &str) -> Identity {
    Identity { provider: provider.into(), connection: some(connection), user_id: id.into(), ..Identity::default() }
}

/// A linked database account with these names.
fn database(email: Option<&str>, verified: Option<bool>) -> Identity {
    Identity { email: email.map(str::to_owned), email_verified: verified, ..identity("auth0", "DB", "2") }
}

fn codes(mapped: &Mapped) -> Vec<FindingCode> {
    mapped.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn only_a_database_or_ldap_account_has_a_user_name() {
    let name = |user_id: &str, identities: Option<Vec<Identity>>| {
        let user = ExportedUser { user_id: user_id.into(), username: some("jsmith"), identities, ..ada() };
        mapped(user, None, &config()).draft.unwrap().user_name
    };
    for (user_id, own) in [
        ("auth0|1", true),
        ("ad|corp|1", true),
        ("samlp|acme|u1", false),
        ("oidc|acme|u1", false),
        ("google-oauth2|1", false),
        ("waad|1", false),
        ("email|1", false),
        ("sms|1", false),
        ("auth0-like|1", false),
        ("1", false),
    ] {
        let expected = if own { "jsmith" } else { "ada@example.com" };
        assert_eq!(name(user_id, None), expected, "{user_id}");
        // A linked database account has names of its own.
        let linked = vec![identity("x", "X", "9"), identity("auth0", "DB", "2")];
        assert_eq!(name(user_id, Some(linked)), expected, "{user_id}");
    }
    assert_eq!(name("1", Some(vec![identity("auth0", "DB", "1")])), "jsmith", "the identity says it");
    assert_eq!(name("1", Some(vec![identity("samlp", "acme", "1")])), "ada@example.com");
}

#[test]
fn a_rule_may_take_the_user_name_of_any_identity() {
    let mut config = config();
    config.rules.fields = vec![own::Field {
        target: own::Target::UserName,
        sources: vec![own::Expression::compile("username").unwrap()],
    }];
    let user = ExportedUser { user_id: "samlp|acme|u1".into(), username: some("jsmith"), ..ada() };
    assert_eq!(mapped(user, None, &config).draft.unwrap().user_name, "jsmith");
}

#[test]
fn the_verified_address_of_a_linked_identity_stands_in() {
    let run = |email: Option<&str>, identities: Vec<Identity>| {
        let user = ExportedUser {
            user_id: "sms|1".into(),
            email: email.map(str::to_owned),
            email_verified: Some(false),
            phone_number: some("+41791234567"),
            identities: Some(identities),
            ..ada()
        };
        let mapped = mapped(user, None, &config());
        let said = codes(&mapped).contains(&FindingCode::EmailOfLinked);
        mapped.draft.map(|draft| (draft.email.address, draft.email.verified, draft.user_name, said)).map_err(|b| b.code)
    };
    let sms = || identity("sms", "sms", "1");
    let google = |email: &str, verified| Identity {
        email: some(email),
        email_verified: verified,
        ..identity("google-oauth2", "google-oauth2", "7")
    };
    let taken = |address: &str| Ok((address.to_owned(), true, address.to_owned(), true));
    assert_eq!(run(None, vec![sms(), database(Some("d@d.co"), Some(true))]), taken("d@d.co"));
    assert_eq!(run(Some("  "), vec![sms(), database(Some(" d@d.co "), Some(true))]), taken("d@d.co"));
    // The one that its owner types, wherever it is listed.
    let both = vec![sms(), google("g@g.co", Some(true)), database(Some("d@d.co"), Some(true))];
    assert_eq!(run(None, both), taken("d@d.co"));
    assert_eq!(run(None, vec![sms(), google("g@g.co", Some(true)), database(None, None)]), taken("g@g.co"));
    // Not what ZITADEL would refuse, if there is another.
    let refused = vec![sms(), database(Some("d..d@d.co"), Some(true)), google("g@g.co", Some(true))];
    assert_eq!(run(None, refused), taken("g@g.co"));
    for unverified in [Some(false), None] {
        assert_eq!(run(None, vec![sms(), database(Some("d@d.co"), unverified)]), Err(BlockedCode::NoEmail));
    }
    // An address of its own stays, verified or not.
    let (address, verified, ..) = run(Some("own@o.co"), vec![sms(), database(Some("d@d.co"), Some(true))]).unwrap();
    assert_eq!((address.as_str(), verified), ("own@o.co", false));
    // Before a placeholder.
    let config = Mapping { placeholder_email_domain: some("p.example"), ..config() };
    let identities = Some(vec![sms(), database(Some("d@d.co"), Some(true))]);
    let user = ExportedUser { user_id: "sms|1".into(), email: None, identities, ..ada() };
    assert_eq!(mapped(user, None, &config).draft.unwrap().email.address, "d@d.co");
}

#[test]
fn names_that_find_nobody_any_more_are_told_by_their_kinds() {
    let lost = |user_name: Option<&str>, email: Option<&str>, user: ExportedUser, config: &Mapping| {
        let names = SignInNames { user_name: user_name.map(str::to_owned), email: email.map(str::to_owned) };
        let hash = JoinedHash { primary: false, names: Some(Box::new(names)), ..hash(HASH, None) };
        let mapped = mapped(user, Some(hash), config);
        let found = mapped.findings.into_iter().find(|finding| finding.code == FindingCode::SignInNamesLost);
        found.map(|finding| finding.detail.unwrap_or_default())
    };
    let social = || ExportedUser { user_id: "google-oauth2|1".into(), ..ada() };
    let plain = config();
    assert_eq!(lost(Some("ada"), Some("old@example.com"), social(), &plain).as_deref(), Some("user name, e-mail"));
    assert_eq!(lost(Some("ada"), Some("ADA@Example.com"), social(), &plain).as_deref(), Some("user name"));
    assert_eq!(lost(None, Some("old@example.com"), social(), &plain).as_deref(), Some("e-mail"));
    assert_eq!(lost(None, Some("ada@example.com"), social(), &plain), None);
    assert_eq!(lost(Some(" "), None, social(), &plain), None);
    let by_phone = ExportedUser { phone_number: some("+41 79 123 45 67"), ..social() };
    assert_eq!(lost(Some("+41791234567"), None, by_phone, &plain), None, "ZITADEL finds users by their number, too");

    // The primary account's own names, where a rule puts others in their place.
    let mut chosen = config();
    chosen.rules.fields = vec![own::Field {
        target: own::Target::UserName,
        sources: vec![own::Expression::compile("'someone'").unwrap()],
    }];
    let own_names = |config: &Mapping| {
        let user = ExportedUser { username: some("ada"), ..ada() };
        codes(&mapped(user, Some(hash(HASH, None)), config)).contains(&FindingCode::SignInNamesLost)
    };
    assert!(own_names(&chosen) && !own_names(&plain));

    // Where no password moves, nobody signed in with these names.
    let stale = ExportedUser { user_id: "google-oauth2|1".into(), ..ada() };
    let unusable = JoinedHash {
        primary: false,
        names: Some(Box::new(SignInNames { user_name: some("ada"), email: None })),
        ..hash("$2b$04$x", None)
    };
    assert!(!codes(&mapped(stale, Some(unusable), &plain)).contains(&FindingCode::SignInNamesLost));
}

#[test]
fn texts_verify_for_named_connections_only() {
    let run = |connection: &str, truthy: bool| {
        let mut user = ExportedUser {
            user_id: "samlp|globex|1".into(),
            email_verified: Some(false),
            email_verified_truthy: truthy,
            identities: Some(vec![identity("samlp", connection, "globex|1")]),
            ..ada()
        };
        user.note(crate::auth0::user::Reading::Unverified, "email_verified", "a text");
        let config = Mapping { verified_texts: vec!["globex".into()], ..config() };
        let mapped = mapped(user, None, &config);
        let said = codes(&mapped).contains(&FindingCode::VerifiedOdd);
        (mapped.draft.unwrap().email.verified, said)
    };
    assert_eq!(run("globex", true), (true, false));
    assert_eq!(run("globex", false), (false, true), "a text that says no");
    assert_eq!(run("acme", true), (false, true));
}

#[test]
fn what_was_odd_is_said_once_for_each_kind() {
    use crate::auth0::user::Reading;
    let mut user = ada();
    for (reading, field, what) in [
        (Reading::Repaired, "nickname", "a list of one"),
        (Reading::LeftOut, "picture", "an object"),
        (Reading::Repaired, "given_name", "a number"),
        (Reading::Identity, "identities[1]", "not an object"),
    ] {
        user.note(reading, field, what);
    }
    let (_, findings) = {
        let mapped = mapped(user, Some(hash(HASH, None)), &config());
        (mapped.draft.unwrap(), mapped.findings)
    };
    assert_eq!(
        findings,
        [
            Finding::about(FindingCode::IdentityLeftOut, "identities[1]: not an object"),
            Finding::about(FindingCode::FieldLeftOut, "picture: an object"),
            Finding::about(FindingCode::FieldRepaired, "nickname: a list of one, given_name: a number"),
        ]
    );
}

#[test]
fn an_address_is_a_key_only_where_it_is_not_the_name() {
    let key = |username: Option<&str>, email: &str| {
        let user = ExportedUser { username: username.map(str::to_owned), email: some(email), ..ada() };
        let mapped = mapped(user, None, &config());
        sign_in::address_key(&mapped.draft.unwrap(), &mapped.findings)
    };
    assert_eq!(key(Some("ada"), "Ada@Example.com").as_deref(), Some("ada@example.com"));
    assert_eq!(key(Some("ADA@example.com"), "ada@Example.com"), None);
    assert_eq!(key(None, "ada@example.com"), None);
    let config = Mapping { placeholder_email_domain: some("p.example"), ..config() };
    let mapped = mapped(ExportedUser { username: some("ada"), email: None, ..ada() }, None, &config);
    assert_eq!(sign_in::address_key(&mapped.draft.unwrap(), &mapped.findings), None, "a placeholder is nobody's");
}

#[test]
fn half_a_character_in_metadata_hides_nothing_from_rules() {
    let json = r#"{"test":true,"half\ud83d":"\ud83d","name":"Lena \ud83d"}"#;
    let user = || ExportedUser { app_metadata: raw(json), ..ada() };
    let mut filtered = config();
    filtered.rules.skip =
        vec![own::Filter { condition: own::Expression::compile("app_metadata.test == true").unwrap(), reason: None }];
    assert_eq!(blocked(user(), &filtered), BlockedCode::Filtered);
    let mut named = config();
    named.rules.fields = vec![own::Field {
        target: own::Target::FirstName,
        sources: vec![own::Expression::compile("app_metadata.name").unwrap()],
    }];
    assert_eq!(mapped(user(), None, &named).draft.unwrap().profile.first_name, "Lena \u{fffd}");
    let sent = |metadata| mapped(user(), None, &Mapping { metadata, ..config() }).draft.unwrap().metadata;
    assert_eq!(sent(MetadataStyle::Json), [entry("auth0.app_metadata", json)]);
    assert_eq!(
        sent(MetadataStyle::Spread),
        [
            entry("auth0.app_metadata.test", "true"),
            entry("auth0.app_metadata.half\u{fffd}", r#""\ud83d""#),
            entry("auth0.app_metadata.name", r#""Lena \ud83d""#),
        ]
    );
}
