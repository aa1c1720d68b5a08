use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::value::RawValue;

use super::{
    draft::{Metadata, Profile},
    fingerprint::fingerprints,
    rules as own, *,
};
use crate::{
    auth0::user::Identity,
    config::{Mapping, MetadataStyle, StaleHash},
    mapping::joined::{Joined, JoinedHash},
};

mod identity;
mod rules;

const HASH: &str = "$2b$10$IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDhywTou";
const BOTH: Roads = Roads::Both { users_api_from_metadata_keys: 4 };

fn ada() -> ExportedUser {
    ExportedUser {
        user_id: "auth0|1".into(),
        email: Some("ada@example.com".into()),
        email_verified: Some(true),
        given_name: Some("Ada".into()),
        family_name: Some("Lovelace".into()),
        ..ExportedUser::default()
    }
}

fn hash(text: &str, set_at: Option<i64>) -> JoinedHash {
    let set_at = set_at.and_then(|second| jiff::Timestamp::from_second(second).ok());
    JoinedHash { hash: text.into(), set_at, bad_date: false, email_verified: None, primary: true, names: None }
}

fn config() -> Mapping {
    Mapping::default()
}

fn mapped(user: ExportedUser, hash: Option<JoinedHash>, config: &Mapping) -> Mapped {
    map(Joined { user, hash, links: links::Links::default(), findings: Vec::new() }, config, BOTH)
}

/// A user with a hash, mapped: the draft and the codes of the findings.
fn good(user: ExportedUser) -> (Draft, Vec<FindingCode>) {
    let mapped = mapped(user, Some(hash(HASH, None)), &config());
    (mapped.draft.unwrap(), mapped.findings.iter().map(|finding| finding.code).collect())
}

fn blocked(user: ExportedUser, config: &Mapping) -> BlockedCode {
    mapped(user, None, config).draft.unwrap_err().code
}

#[expect(clippy::unnecessary_wraps, reason = "for fields that are optional")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_plain_user_moves_without_a_word() {
    let (draft, findings) = good(ExportedUser {
        name: some("Ada L."),
        nickname: some("ada"),
        locale: some("en_GB"),
        phone_number: some("+41791234567"),
        phone_verified: Some(true),
        ..ada()
    });
    assert_eq!(findings, []);
    assert_eq!((draft.user_id.as_str(), draft.user_name.as_str()), ("auth0|1", "ada@example.com"));
    assert_eq!(
        draft.profile,
        Profile {
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            display_name: some("Ada L."),
            nick_name: some("ada"),
            preferred_language: some("en"),
        }
    );
    assert!(draft.email.verified && draft.phone.is_some_and(|phone| phone.verified));
    assert!(draft.password.is_some_and(|password| !password.change_required) && !draft.inactive);
}

#[test]
fn the_user_name_is_username_else_email_else_phone() {
    let name = |username: Option<&str>, email: Option<&str>, phone: Option<&str>| {
        let user = ExportedUser {
            username: username.map(str::to_owned),
            email: email.map(str::to_owned),
            phone_number: phone.map(str::to_owned),
            ..ada()
        };
        let config = Mapping { placeholder_email_domain: some("p.example"), ..config() };
        mapped(user, None, &config).draft.unwrap().user_name
    };
    assert_eq!(name(Some(" ada "), Some("a@b.c"), Some("+41791234567")), "ada");
    assert_eq!(name(Some("\0 "), Some(" A@b.c "), Some("+41791234567")), "A@b.c");
    assert_eq!(name(None, None, Some("+41791234567")), "+41791234567");
    assert_eq!(name(None, None, None), "auth0-1@p.example");
}

#[test]
fn names_are_never_blank() {
    type Case<'a> = ([Option<&'a str>; 4], [&'a str; 2], bool);
    let cases: [Case<'_>; 10] = [
        // given, family, name, nickname -> first, last, invented
        ([Some("Ada"), Some("Lovelace"), None, None], ["Ada", "Lovelace"], false),
        ([None, None, Some("Ada King Lovelace"), None], ["Ada", "King Lovelace"], false),
        ([Some("Augusta"), None, Some("Ada Lovelace"), None], ["Augusta", "Lovelace"], false),
        ([None, Some("King"), Some("Ada Lovelace"), None], ["Ada", "King"], false),
        ([None, None, Some("Ada"), Some("al")], ["Ada", "al"], true),
        ([None, None, Some("ADA@example.com"), Some("al")], ["al", "al"], true),
        ([None, None, Some("ada@example.com"), None], ["ada", "ada"], true),
        ([Some(" "), Some("\t"), None, Some("")], ["ada", "ada"], true),
        ([Some("\0"), None, Some(" \u{a0}"), None], ["ada", "ada"], true),
        ([Some("Ada"), None, None, None], ["Ada", "ada"], true),
    ];
    for ([given, family, name, nickname], [first, last], invented) in cases {
        let (draft, findings) = good(ExportedUser {
            given_name: given.map(str::to_owned),
            family_name: family.map(str::to_owned),
            name: name.map(str::to_owned),
            nickname: nickname.map(str::to_owned),
            ..ada()
        });
        let case = (given, family, name, nickname);
        assert_eq!([draft.profile.first_name.as_str(), draft.profile.last_name.as_str()], [first, last], "{case:?}");
        assert_eq!(findings.contains(&FindingCode::NameInvented), invented, "{case:?}");
    }
}

#[test]
fn long_names_are_cut_and_dirty_ones_cleaned() {
    let long = "ä".repeat(300);
    let (draft, findings) = good(ExportedUser { name: Some(long), nickname: some("a\0da\u{1b}"), ..ada() });
    assert_eq!(draft.profile.display_name.unwrap().chars().count(), 200);
    assert_eq!(draft.profile.nick_name.as_deref(), Some("ada"));
    assert_eq!(findings, [FindingCode::NameCleaned, FindingCode::NameCut]);
}

#[test]
fn the_email_decides_whether_a_user_moves() {
    let none = ExportedUser { email: None, email_verified: Some(true), ..ada() };
    assert_eq!(blocked(none.clone(), &config()), BlockedCode::NoEmail);
    assert_eq!(blocked(ExportedUser { email: some(" "), ..ada() }, &config()), BlockedCode::NoEmail);
    assert_eq!(blocked(ExportedUser { email: some("a..b@c.d"), ..ada() }, &config()), BlockedCode::BadEmail);
    let config = Mapping { placeholder_email_domain: some("p.example"), ..config() };
    let mapped = mapped(none, Some(hash(HASH, None)), &config);
    let email = mapped.draft.unwrap().email;
    assert_eq!((email.address.as_str(), email.verified), ("auth0-1@p.example", false));
    assert_eq!(mapped.findings, [Finding::new(FindingCode::PlaceholderEmail)]);
}

#[test]
fn the_road_decides_which_address_is_bad() {
    let idn = |verified| ExportedUser { email: some("ada@münchen.example"), email_verified: Some(verified), ..ada() };
    let draft = |user, hash: Option<JoinedHash>, roads| {
        map(Joined { user, hash, links: links::Links::default(), findings: Vec::new() }, &config(), roads)
            .draft
            .map_err(|blocked| blocked.code)
    };
    assert!(draft(idn(true), Some(hash(HASH, None)), BOTH).is_ok());
    assert_eq!(draft(idn(false), Some(hash(HASH, None)), BOTH).unwrap_err(), BlockedCode::BadEmail);
    assert_eq!(draft(idn(true), None, BOTH).unwrap_err(), BlockedCode::BadEmail);
    assert!(draft(idn(false), None, Roads::ImportOnly).is_ok());
    assert_eq!(draft(idn(true), Some(hash(HASH, None)), Roads::UsersApiOnly).unwrap_err(), BlockedCode::BadEmail);
}

#[test]
fn ids_and_names_over_the_limit_are_refused() {
    let long = "ü".repeat(201);
    assert_eq!(blocked(ExportedUser { user_id: long.clone(), ..ada() }, &config()), BlockedCode::BadUserId);
    assert_eq!(blocked(ExportedUser { user_id: String::new(), ..ada() }, &config()), BlockedCode::BadUserId);
    assert_eq!(blocked(ExportedUser { user_id: "a\0".into(), ..ada() }, &config()), BlockedCode::BadUserId);
    assert_eq!(blocked(ExportedUser { username: Some(long), ..ada() }, &config()), BlockedCode::BadUserName);
    let user_id = format!("auth0|{}", "ü".repeat(194));
    let (draft, _) = good(ExportedUser { user_id, username: some(&"ü".repeat(200)), ..ada() });
    assert_eq!((draft.user_id.chars().count(), draft.user_name.chars().count()), (200, 200));
}

#[test]
fn phone_language_and_state() {
    let (draft, findings) =
        good(ExportedUser { phone_number: some("0791234567"), locale: some("klingonisch"), blocked: true, ..ada() });
    assert_eq!((draft.phone, draft.profile.preferred_language, draft.inactive), (None, None, true));
    assert_eq!(findings, [FindingCode::LanguageDropped, FindingCode::PhoneDropped, FindingCode::Blocked]);
    let (draft, _) = good(ExportedUser { phone_number: some("+41791234567"), ..ada() });
    assert_eq!(draft.phone.map(|phone| phone.verified), Some(false));
}

#[test]
fn a_stale_hash_follows_the_policy() {
    let at = |second| jiff::Timestamp::from_second(second).ok();
    let run = |reset: i64, policy, primary| {
        let config = Mapping { stale_hash: policy, ..config() };
        let user = ExportedUser { last_password_reset: at(reset), ..ada() };
        let mapped = mapped(user, Some(JoinedHash { primary, ..hash(HASH, Some(100)) }), &config);
        let stale = mapped.findings.contains(&Finding::new(FindingCode::StaleHash));
        (mapped.draft.unwrap().password.map(|password| password.change_required), stale)
    };
    assert_eq!(run(101, StaleHash::Drop, true), (Some(false), false), "one second is one change");
    assert_eq!(run(102, StaleHash::Drop, true), (None, true));
    assert_eq!(run(102, StaleHash::RequireChange, true), (Some(true), true));
    assert_eq!(run(102, StaleHash::Keep, true), (Some(false), true));
    assert_eq!(run(102, StaleHash::Drop, false), (Some(false), false), "the reset is of the primary identity");
}

#[test]
fn a_hash_whose_date_cannot_be_read_counts_as_stale_if_there_was_a_reset() {
    let run = |reset: Option<i64>, policy, primary| {
        let config = Mapping { stale_hash: policy, ..config() };
        let reset = reset.and_then(|second| jiff::Timestamp::from_second(second).ok());
        let user = ExportedUser { last_password_reset: reset, ..ada() };
        let mapped = mapped(user, Some(JoinedHash { primary, bad_date: true, ..hash(HASH, None) }), &config);
        let told = mapped.findings.contains(&Finding::new(FindingCode::HashOfUnknownAge));
        (mapped.draft.unwrap().password.map(|password| password.change_required), told)
    };
    assert_eq!(run(Some(100), StaleHash::Drop, true), (None, true));
    assert_eq!(run(Some(100), StaleHash::RequireChange, true), (Some(true), true));
    assert_eq!(run(Some(100), StaleHash::Keep, true), (Some(false), true));
    assert_eq!(run(None, StaleHash::Drop, true), (Some(false), false), "never changed");
    assert_eq!(run(Some(100), StaleHash::Drop, false), (Some(false), false), "the reset is of the primary identity");
}

#[test]
fn an_unusable_hash_is_left_out_and_not_shown() {
    let mapped = mapped(ada(), Some(hash("$2b$04$SECRETSECRET", None)), &config());
    assert!(mapped.draft.unwrap().password.is_none());
    assert_eq!(mapped.findings, [Finding::about(FindingCode::UnusableHash, "malformed bcrypt")]);
}

#[test]
fn what_stays_behind_is_said() {
    let identity = |provider: &str, connection: &str| Identity {
        provider: provider.into(),
        connection: Some(connection.into()),
        user_id: "1".into(),
        ..Identity::default()
    };
    let social = ExportedUser {
        user_id: "google-oauth2|1".into(),
        identities: Some(vec![
            identity("google-oauth2", "google-oauth2"),
            identity("samlp", "Acme"),
            identity("sms", "sms"),
        ]),
        multifactor: vec!["duo".into()],
        ..ada()
    };
    assert_eq!(
        mapped(social, None, &config()).findings,
        [Finding::new(FindingCode::NoPassword), Finding::about(FindingCode::FactorNotMoved, "duo")]
    );
}

#[expect(clippy::unnecessary_wraps, reason = "for fields that are optional")]
fn raw(json: &str) -> Option<Box<RawValue>> {
    Some(RawValue::from_string(json.to_owned()).unwrap())
}

fn entry(key: &str, value: &str) -> Metadata {
    Metadata { key: key.into(), value: value.as_bytes().to_vec() }
}

#[test]
fn metadata_is_byte_faithful() {
    let json = r#"{"n":123456789012345678901234567890.10, "b":"\u0000é"}"#;
    let user = || ExportedUser { user_metadata: raw(json), app_metadata: raw(r#"{"plan" : "pro"}"#), ..ada() };
    let with = |metadata| mapped(user(), None, &Mapping { metadata, ..config() }).draft.unwrap().metadata;
    assert_eq!(
        with(MetadataStyle::Json),
        [entry("auth0.user_metadata", json), entry("auth0.app_metadata", r#"{"plan" : "pro"}"#)]
    );
    assert_eq!(
        with(MetadataStyle::Spread),
        [
            entry("auth0.user_metadata.n", "123456789012345678901234567890.10"),
            entry("auth0.user_metadata.b", "\0é"),
            entry("auth0.app_metadata.plan", "pro"),
        ]
    );
    assert_eq!(with(MetadataStyle::None), []);
}

#[test]
fn spread_metadata_keeps_to_the_limits() {
    let key = "k".repeat(200 - "auth0.user_metadata.".len());
    let json = format!(
        r#"{{"a":1,"empty":"","{key}":[1, 2],"{key}k":1,"a":null,"c\u0000":1,"big":"{}"}}"#,
        "x".repeat(500_001)
    );
    let user = ExportedUser { user_metadata: raw(&json), app_metadata: raw("[1]"), ..ada() };
    let config = Mapping { metadata: MetadataStyle::Spread, ..config() };
    let mapped = mapped(user, None, &config);
    assert_eq!(
        mapped.draft.unwrap().metadata,
        [
            entry("auth0.user_metadata.a", "null"),
            entry(&format!("auth0.user_metadata.{key}"), "[1, 2]"),
            entry("auth0.app_metadata", "[1]"),
        ]
    );
    let dropped = mapped.findings.iter().filter(|finding| finding.code == FindingCode::MetadataDropped).count();
    assert_eq!(dropped, 4);
}

#[test]
fn a_value_of_half_a_million_bytes_is_the_last_that_moves() {
    let value = |bytes: usize| raw(&format!("\"{}\"", "x".repeat(bytes - 2)));
    let kept = |bytes| {
        let user = ExportedUser { user_metadata: value(bytes), ..ada() };
        mapped(user, None, &config()).draft.unwrap().metadata.len()
    };
    assert_eq!((kept(500_000), kept(500_001)), (1, 0));
}

#[test]
fn fingerprints_see_every_change() {
    let key = [7; 16];
    let base = good(ExportedUser { phone_number: some("+41791234567"), user_metadata: raw("{\"a\":1}"), ..ada() }).0;
    let first = fingerprints(&base, &key);
    let mut seen = vec![first.profile];
    let changes: [fn(&mut Draft); 14] = [
        |d| d.user_id.push('x'),
        |d| d.user_name.push('x'),
        |d| d.profile.first_name.push('x'),
        |d| d.profile.last_name.push('x'),
        |d| d.profile.display_name = some("x"),
        |d| d.profile.nick_name = some("x"),
        |d| d.profile.preferred_language = some("x"),
        |d| d.email.address.push('x'),
        |d| d.email.verified = false,
        |d| d.phone = None,
        |d| d.phone.as_mut().unwrap().verified = true,
        |d| d.inactive = true,
        |d| d.metadata[0].value = b"{\"a\":2}".to_vec(),
        |d| {
            d.links.push(draft::Link {
                idp_id: "i".into(),
                external_user_id: "e".into(),
                display_name: "n".into(),
                by_import: true,
            });
        },
    ];
    for change in changes {
        let mut draft = base.clone();
        change(&mut draft);
        seen.push(fingerprints(&draft, &key).profile);
    }
    let mut distinct = seen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len());
    let mut spaced = base.clone();
    spaced.metadata[0].value = b"{ \"a\" : 1 }".to_vec();
    assert_eq!(fingerprints(&spaced, &key).profile, seen[0]);

    // Second factors have a digest of their own: a run without their file must not take them for removed.
    assert_eq!(fingerprints(&base, &key).factors, None);
    let mut factors = base.clone();
    factors.totp_secret = Some(SecretString::from("x"));
    let totp = fingerprints(&factors, &key);
    assert_eq!(totp.profile, seen[0]);
    factors.recovery_codes.push(SecretString::from("x"));
    let both = fingerprints(&factors, &key).factors.unwrap();
    assert_eq!(totp.factors.unwrap()[..8], both[..8]);
    assert_eq!(totp.factors.unwrap()[8..], [0; 8]);
    assert_ne!(both[8..], [0; 8]);
    assert_ne!(both[..8], both[8..]);

    let mut other = base.clone();
    other.password.as_mut().unwrap().change_required = true;
    let second = fingerprints(&other, &key);
    assert_eq!(second.profile, first.profile, "the password has its own");
    assert_ne!(second.password, first.password);
    assert_ne!(fingerprints(&base, &[8; 16]).profile, first.profile, "the key counts");
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(prop_oneof![
        3 => any::<String>(),
        1 => "[ \\t\\x00-\\x1f\u{85}\u{a0}]{0,4}",
        1 => Just("ü".repeat(250)),
        2 => "[a-zA-Z.]{1,8}",
    ])
}

fn address() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(prop_oneof![
        any::<String>(),
        "[a-zü.\"@ ]{0,6}@[a-zü.\\-_\\[\\]]{0,6}",
        "[a-z]{1,70}@[a-z]{1,70}\\.[a-z]{2}",
    ])
}

fn json() -> impl Strategy<Value = Option<Box<RawValue>>> {
    let members = proptest::collection::vec((any::<String>(), any::<String>()), 0..4);
    proptest::option::of(members.prop_map(|members| {
        let members: serde_json::Map<_, _> = members.into_iter().map(|(key, value)| (key, value.into())).collect();
        serde_json::value::to_raw_value(&members).unwrap()
    }))
}

fn any_hash() -> impl Strategy<Value = Option<JoinedHash>> {
    let hash = prop_oneof![
        any::<String>(),
        Just(HASH.to_owned()),
        "\\$2[abxy]\\$[01][0-9]\\$[./A-Za-z0-9é]{52,54}",
        Just("$2".into())
    ];
    proptest::option::of((hash, any::<bool>()).prop_map(|(hash, primary)| JoinedHash {
        hash: hash.into(),
        bad_date: false,
        set_at: jiff::Timestamp::from_second(100).ok(),
        email_verified: None,
        primary,
        names: None,
    }))
}

prop_compose! {
    fn any_user()(
        user_id in prop_oneof![any::<String>(), "auth0\\|[a-f0-9]{24}", Just("ü".repeat(201))],
        (email, email_verified, username) in (address(), any::<Option<bool>>(), text()),
        (phone_number, phone_verified) in (prop_oneof![text(), "\\+[0-9]{0,17}".prop_map(Some)], any::<Option<bool>>()),
        (name, given_name, family_name, nickname, locale) in (text(), text(), text(), text(), text()),
        (user_metadata, app_metadata) in (json(), json()),
        (blocked, reset) in (any::<bool>(), proptest::option::of(0_i64..200)),
    ) -> ExportedUser {
        ExportedUser {
            user_id, email, email_verified, username, phone_number, phone_verified, name, given_name, family_name,
            nickname, locale, user_metadata, app_metadata, blocked,
            last_password_reset: reset.and_then(|second| jiff::Timestamp::from_second(second).ok()),
            ..ExportedUser::default()
        }
    }
}

fn any_config() -> impl Strategy<Value = Mapping> {
    (
        proptest::option::of(prop_oneof![Just("p.example".to_owned()), any::<String>()]),
        prop_oneof![Just(StaleHash::Drop), Just(StaleHash::RequireChange), Just(StaleHash::Keep)],
        prop_oneof![Just(MetadataStyle::Json), Just(MetadataStyle::Spread), Just(MetadataStyle::None)],
    )
        .prop_map(|(placeholder_email_domain, stale_hash, metadata)| Mapping {
            placeholder_email_domain,
            stale_hash,
            metadata,
            ..config()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_draft_is_one_that_zitadel_takes(
        user in any_user(),
        hash in any_hash(),
        config in any_config(),
        roads in prop_oneof![Just(BOTH), Just(Roads::ImportOnly), Just(Roads::UsersApiOnly)],
    ) {
        let joined = Joined { user: user.clone(), hash, links: links::Links::default(), findings: Vec::new() };
        let again = map(joined.clone(), &config, roads);
        let mapped = map(joined, &config, roads);
        prop_assert_eq!(&mapped.findings, &again.findings);
        if let Ok(draft) = &mapped.draft {
            rules::check(draft, roads.of(draft)).map_err(TestCaseError::fail)?;
            prop_assert_eq!(fingerprints(draft, &[1; 16]), fingerprints(&again.draft.unwrap(), &[1; 16]));
            prop_assert_eq!(&draft.user_id, &user.user_id);
            prop_assert_eq!(draft.inactive, user.blocked);
            prop_assert!(!draft.email.verified || user.email_verified == Some(true));
            prop_assert!(draft.phone.as_ref().is_none_or(|phone| !phone.verified || user.phone_verified == Some(true)));
        }
    }
}

fn metadata_of(user: ExportedUser, config: &Mapping) -> (Vec<(String, String)>, Vec<FindingCode>) {
    let mapped = mapped(user, Some(hash(HASH, None)), config);
    let metadata = mapped.draft.unwrap().metadata.into_iter();
    let pairs = metadata.map(|entry| (entry.key, String::from_utf8(entry.value).unwrap())).collect();
    (pairs, mapped.findings.iter().map(|finding| finding.code).collect())
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn rename(from: &str, to: &str) -> paths::Rename {
    paths::Rename { from: paths::Source::parse(from).unwrap(), to: to.to_owned() }
}

fn skips(paths: &[&str]) -> Vec<paths::Skip> {
    paths.iter().map(|path| paths::Skip::parse(path).unwrap()).collect()
}

fn with_metadata() -> ExportedUser {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).ok();
    ExportedUser {
        user_metadata: raw(r#"{ "z": 123456789012345678901234567890, "é" : [ 1 , 2.50 ],"a":"x" }"#),
        app_metadata: raw(r#"{"plan":"gold","a.b":{"c":true},"billing":{"id":7},"none":null,"secret":"s"}"#),
        ..ada()
    }
}

#[test]
fn chosen_metadata_gets_keys_of_its_own() {
    let metadata_rename = vec![
        rename("app_metadata.plan", "plan"),
        rename("app_metadata.billing.id", "billing"),
        rename("app_metadata.a.b", "ab"),
        rename("app_metadata.none", "none"),
        rename("user_metadata.nothing", "nothing"),
    ];
    let renamed = [("plan", "gold"), ("billing", "7"), ("ab", r#"{"c":true}"#)];
    let config = |metadata| Mapping { metadata, metadata_rename: metadata_rename.clone(), ..config() };
    let (found, findings) = metadata_of(with_metadata(), &config(MetadataStyle::None));
    assert_eq!((found, findings), (pairs(&renamed), vec![]));

    let (found, _) = metadata_of(with_metadata(), &config(MetadataStyle::Json));
    assert_eq!(found[..3], pairs(&renamed));
    assert_eq!(found[3].1, with_metadata().user_metadata.unwrap().get(), "not byte for byte");
    assert_eq!(found[4].1, with_metadata().app_metadata.unwrap().get(), "not byte for byte");

    let (found, _) = metadata_of(with_metadata(), &config(MetadataStyle::Spread));
    let keys: Vec<_> = found.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys[3..6], ["auth0.user_metadata.z", "auth0.user_metadata.é", "auth0.user_metadata.a"]);
    assert_eq!(keys[6..], ["auth0.app_metadata.billing", "auth0.app_metadata.secret"]);
}

#[test]
fn what_is_left_out_leaves_the_rest_as_it_was() {
    let config = |paths: &[&str], metadata| Mapping { metadata_skip: skips(paths), metadata, ..config() };
    let (found, _) = metadata_of(with_metadata(), &config(&["user_metadata.a", "app_metadata"], MetadataStyle::Json));
    assert_eq!(found, pairs(&[("auth0.user_metadata", r#"{"z":123456789012345678901234567890,"é":[ 1 , 2.50 ]}"#)]));
    let all = ["user_metadata.z", "user_metadata.é", "user_metadata.a", "app_metadata.nothing"];
    let (found, _) = metadata_of(with_metadata(), &config(&all, MetadataStyle::Json));
    assert_eq!(found, pairs(&[("auth0.app_metadata", with_metadata().app_metadata.unwrap().get())]));
    let (found, _) = metadata_of(with_metadata(), &config(&["app_metadata", "user_metadata.z"], MetadataStyle::Spread));
    assert_eq!(found.len(), 2);
    for bad in ["metadata", "user_metadatax", "", "app_metadata_x.y"] {
        assert!(paths::Skip::parse(bad).is_err(), "{bad}");
        assert!(paths::Source::parse(bad).is_err(), "{bad}");
    }
    assert!(paths::Source::parse("app_metadata").is_err());
}

#[test]
fn two_values_of_one_key_are_told() {
    let config = Mapping {
        metadata: MetadataStyle::Spread,
        metadata_rename: vec![rename("user_metadata.z", "auth0.app_metadata.plan")],
        ..config()
    };
    let (found, findings) = metadata_of(with_metadata(), &config);
    assert_eq!(found[0].0, "auth0.app_metadata.plan");
    assert_eq!(found.iter().filter(|(key, _)| key == "auth0.app_metadata.plan").count(), 1);
    assert_eq!(findings, [FindingCode::MetadataCollision]);

    let many: serde_json::Map<_, _> = (0..100).map(|n| (format!("k{n}"), n.into())).collect();
    let many = RawValue::from_string(serde_json::Value::Object(many).to_string()).ok();
    let user = ExportedUser { user_metadata: many.clone(), app_metadata: many, ..ada() };
    let rename: Vec<_> =
        (0..100).map(|n| rename(&format!("user_metadata.k{n}"), &format!("auth0.app_metadata.k{n}"))).collect();
    let (found, findings) =
        metadata_of(user, &Mapping { metadata: MetadataStyle::Spread, metadata_rename: rename, ..config });
    assert_eq!((found.len(), findings.len()), (100, 100));
}

#[test]
fn history_is_metadata_and_no_change() {
    let history = ["created_at", "last_login", "logins_count", "picture"].map(|n| paths::History::parse(n).unwrap());
    let config = Mapping { history: history.to_vec(), ..config() };
    let user = |login: i64, count| ExportedUser {
        created_at: jiff::Timestamp::from_millisecond(1_691_070_471_713).ok(),
        last_login: jiff::Timestamp::from_second(login).ok(),
        logins_count: count,
        ..ada()
    };
    let (found, _) = metadata_of(user(1_700_000_000, Some(3)), &config);
    assert_eq!(
        found,
        pairs(&[
            ("auth0.created_at", "2023-08-03T13:47:51.713Z"),
            ("auth0.last_login", "2023-11-14T22:13:20Z"),
            ("auth0.logins_count", "3"),
        ])
    );
    let keys: Vec<String> = history.iter().map(|history| history.key("auth0.")).collect();
    let print = |user| {
        let draft = mapped(user, None, &config).draft.unwrap();
        fingerprint::fingerprints_but(&draft, &[7; 16], &keys)
    };
    let before = print(user(1_700_000_000, Some(3)));
    assert_eq!(print(user(1_800_000_000, Some(4))), before, "a sign-in counts as a change");
    assert_ne!(print(user(1_700_000_000, None)), before, "what is there counts");
    assert!(paths::History::parse("last_ip").is_err());
}

#[test]
fn rules_go_through_the_same_cleaning() {
    let source = |text: &str| own::Expression::compile(text).unwrap();
    let field = |target, text: &str| own::Field { target, sources: vec![source(text)] };
    let raw = |json: &str| RawValue::from_string(json.to_owned()).ok();
    let user = ExportedUser {
        user_metadata: raw(&format!(
            r#"{{"first":" A\u0000ugusta ","long":"{}","phone":"0791234567"}}"#,
            "é".repeat(300)
        )),
        ..ada()
    };
    let mut config = config();
    config.rules.fields = vec![
        field(own::Target::FirstName, "user_metadata.first"),
        field(own::Target::LastName, "user_metadata.long"),
        field(own::Target::DisplayName, "email"),
        field(own::Target::Phone, "user_metadata.phone"),
        field(own::Target::PreferredLanguage, "'de-CH'"),
        field(own::Target::UserName, "'ada'"),
    ];
    let mapped = mapped(user, None, &config);
    let draft = mapped.draft.unwrap();
    assert_eq!((draft.user_name.as_str(), draft.profile.first_name.as_str()), ("ada", "Augusta"));
    assert_eq!(draft.profile.last_name.chars().count(), 200);
    assert_eq!(draft.profile.display_name.as_deref(), Some("ada@example.com"));
    assert_eq!(draft.profile.preferred_language.as_deref(), Some("de"));
    assert_eq!(draft.phone, None);
    let codes: Vec<_> = mapped.findings.iter().map(|finding| finding.code).collect();
    for code in [FindingCode::NameCleaned, FindingCode::NameCut, FindingCode::PhoneDropped] {
        assert!(codes.contains(&code), "{codes:?}");
    }
}

#[test]
fn whom_a_rule_leaves_out_has_no_remarks() {
    let mut config = config();
    config.rules.skip = vec![own::Filter {
        condition: own::Expression::compile("email_verified").unwrap(),
        reason: some("verified ones"),
    }];
    let left_out = mapped(ada(), None, &config);
    assert_eq!(left_out.draft.unwrap_err(), Blocked::about(BlockedCode::Filtered, "verified ones"));
    assert!(left_out.findings.is_empty());
    assert!(mapped(ExportedUser { email_verified: None, ..ada() }, None, &config).draft.is_ok());
}
