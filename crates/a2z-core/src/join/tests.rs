use std::collections::HashMap;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::auth0::{accounts::is_database_user, user::Identity};

/// Hash rows by (connection, id); the hash says whose it is.
#[derive(Default)]
struct Rows(HashMap<(String, String), (Option<String>, Option<bool>)>);

impl Rows {
    fn with(mut self, connection: &str, id: &str, email: Option<&str>, verified: Option<bool>) -> Self {
        self.0.insert((connection.into(), id.into()), (email.map(str::to_owned), verified));
        self
    }

    fn lookup(&self, fits: impl Fn(&str, &str, Option<&str>) -> bool, email: Option<&str>) -> Lookup {
        let mut fitting: Vec<_> = self.0.iter().filter(|((c, id), (mail, _))| fits(c, id, mail.as_deref())).collect();
        fitting.sort();
        match fitting.as_slice() {
            [] => Lookup::None,
            [((connection, id), (mail, verified))] => Lookup::Found(HashRow {
                hash: format!("{connection}/{id}").into(),
                set_at: None,
                bad_date: false,
                email_verified: verified.filter(|_| mail.is_some() && mail.as_deref() == email),
            }),
            several => Lookup::Ambiguous(several.iter().map(|((connection, _), _)| connection.clone()).collect()),
        }
    }
}

impl Hashes for Rows {
    fn find_for(&self, connection: Option<&str>, id: &str, email: Option<&str>) -> Lookup {
        self.lookup(|c, row, _| row == id && connection.is_none_or(|connection| connection == c), email)
    }

    fn find_by_email(&self, connection: Option<&str>, email: &str) -> Lookup {
        self.lookup(
            |c, _, mail| mail == Some(email) && connection.is_none_or(|connection| connection == c),
            Some(email),
        )
    }
}

fn identity(provider: &str, connection: &str, id: &str) -> Identity {
    Identity {
        provider: provider.into(),
        connection: Some(connection.into()),
        user_id: id.into(),
        ..Identity::default()
    }
}

fn user(user_id: &str, identities: &[Identity]) -> ExportedUser {
    ExportedUser {
        user_id: user_id.into(),
        email: Some("Ada@Example.com".into()),
        email_verified: Some(true),
        identities: (!identities.is_empty()).then(|| identities.to_vec()),
        ..ExportedUser::default()
    }
}

fn run(user: ExportedUser, rows: &Rows, by_email: bool) -> (Option<String>, Vec<FindingCode>) {
    let joined = join(user, rows, &Join { by_email }, &Shape::default());
    let hash = joined.hash.map(|hash| hash.hash.expose_secret().to_owned());
    (hash, joined.findings.iter().map(|finding| finding.code).collect())
}

#[test]
fn by_connection_and_id() {
    let rows = Rows::default().with("A", "1", None, None).with("B", "1", None, None);
    assert_eq!(run(user("auth0|1", &[identity("auth0", "B", "1")]), &rows, false), (Some("B/1".into()), vec![]));
    assert_eq!(
        run(user("auth0|1", &[identity("auth0", "C", "1")]), &rows, false),
        (None, vec![FindingCode::NoHash]),
        "the same id in another connection is another account"
    );
}

#[test]
fn linked_database_identities_count() {
    let rows = Rows::default().with("DB", "7", None, None);
    let social =
        user("google-oauth2|9", &[identity("google-oauth2", "google-oauth2", "9"), identity("auth0", "DB", "7")]);
    let joined = join(social, &rows, &Join::default(), &Shape::default());
    let hash = joined.hash.unwrap();
    assert_eq!(hash.hash.expose_secret(), "DB/7");
    assert!(!hash.primary);
}

#[test]
fn the_primary_hash_wins_wherever_it_is_listed() {
    let rows = Rows::default().with("A", "1", None, None).with("B", "2", None, None);
    let both = user("auth0|2", &[identity("auth0", "A", "1"), identity("auth0", "B", "2")]);
    let joined = join(both, &rows, &Join::default(), &Shape::default());
    assert_eq!(joined.findings, [Finding::about(FindingCode::SeveralHashes, "A, B")]);
    let hash = joined.hash.unwrap();
    assert_eq!(hash.hash.expose_secret(), "B/2");
    assert!(hash.primary);
}

#[test]
fn without_identities_by_the_id_where_it_is_unambiguous() {
    let rows = Rows::default().with("A", "1", None, None).with("A", "2", None, None).with("B", "2", None, None);
    assert_eq!(run(user("auth0|1", &[]), &rows, false), (Some("A/1".into()), vec![]));
    assert_eq!(run(user("auth0|2", &[]), &rows, true), (None, vec![FindingCode::AmbiguousHash]));
    assert_eq!(run(user("google-oauth2|1", &[]), &rows, true), (None, vec![]));
}

#[test]
fn ids_are_split_at_the_first_pipe_only() {
    let rows = Rows::default().with("A", "auth0|1", None, None).with("A", "1", None, None);
    assert_eq!(run(user("auth0|auth0|1", &[]), &rows, false), (Some("A/auth0|1".into()), vec![]));
}

#[test]
fn a_social_user_never_gets_a_database_hash() {
    let rows = Rows::default().with("DB", "9", Some("ada@example.com"), Some(true));
    let social = user("google-oauth2|9", &[identity("google-oauth2", "google-oauth2", "9")]);
    assert_eq!(run(social, &rows, true), (None, vec![]));
}

#[test]
fn by_email_only_when_asked_and_unambiguous() {
    let rows = Rows::default().with("DB", "old", Some("ada@example.com"), None);
    let ada = || user("auth0|new", &[identity("auth0", "DB", "new")]);
    assert_eq!(run(ada(), &rows, false), (None, vec![FindingCode::NoHash]));
    assert_eq!(run(ada(), &rows, true), (Some("DB/old".into()), vec![FindingCode::JoinedByEmail]));
    let elsewhere = user("auth0|new", &[identity("auth0", "Other", "new")]);
    assert_eq!(run(elsewhere, &rows, true), (None, vec![FindingCode::NoHash]), "the connection counts by e-mail too");
    let twice = rows.with("DB", "older", Some("ada@example.com"), None);
    assert_eq!(run(ada(), &twice, true), (None, vec![FindingCode::AmbiguousHash]));
}

#[test]
fn the_social_profile_s_email_does_not_find_a_linked_account() {
    let rows = Rows::default().with("DB", "x", Some("ada@example.com"), None);
    let linked = user("google-oauth2|9", &[identity("google-oauth2", "g", "9"), identity("auth0", "DB", "7")]);
    assert_eq!(run(linked, &rows, true), (None, vec![FindingCode::NoHash]));
}

#[test]
fn verified_comes_from_the_hash_row_only_where_the_export_is_silent() {
    let silent = Shape { email_verified: false };
    let unsaid = || ExportedUser { email_verified: None, ..user("auth0|1", &[]) };
    let verified = |user, rows: &Rows, shape: &Shape| {
        let joined = join(user, rows, &Join::default(), shape);
        (joined.user.email_verified, joined.findings.iter().map(|finding| finding.code).collect::<Vec<_>>())
    };
    let same = Rows::default().with("A", "1", Some("ada@example.com"), Some(true));
    let other = Rows::default().with("A", "1", Some("eve@example.com"), Some(true));
    assert_eq!(verified(unsaid(), &same, &silent), (Some(true), vec![FindingCode::VerifiedByHashRow]));
    assert_eq!(verified(unsaid(), &other, &silent), (None, vec![FindingCode::VerifiedUnknown]));
    assert_eq!(verified(unsaid(), &same, &Shape::default()), (None, vec![]));
    let said = ExportedUser { email_verified: Some(false), ..unsaid() };
    assert_eq!(verified(said, &same, &silent), (Some(false), vec![]));
}

fn small_id() -> impl Strategy<Value = String> {
    prop_oneof!["[0-3]", "auth0\\|[0-3]"]
}

fn any_identity() -> impl Strategy<Value = Identity> {
    (prop_oneof!["auth0", "google-oauth2"], proptest::option::of("[AB]"), small_id())
        .prop_map(|(provider, connection, user_id)| Identity { provider, connection, user_id, ..Identity::default() })
}

proptest! {
    /// A random small tenant, where ids, connections and e-mails meet all the time.
    #[test]
    fn no_hash_reaches_a_user_without_the_account(
        rows in proptest::collection::vec(("[AB]", small_id(), proptest::option::of("[xy]@e")), 0..8),
        provider in prop_oneof!["auth0", "google-oauth2"],
        id in small_id(),
        identities in proptest::option::of(proptest::collection::vec(any_identity(), 0..4)),
        by_email: bool,
    ) {
        let index = rows.iter().fold(Rows::default(), |index, (c, id, mail)| index.with(c, id, mail.as_deref(), None));
        let user = ExportedUser {
            user_id: format!("{provider}|{id}"), email: Some("X@e".into()), identities, ..ExportedUser::default()
        };
        let joined = join(user, &index, &Join { by_email }, &Shape::default());
        if let Some(hash) = &joined.hash {
            let owner = hash.hash.expose_secret();
            let listed = joined.user.identities.as_deref().unwrap_or_default();
            let by_id = listed.iter().any(|identity| {
                identity.provider == "auth0"
                    && owner.split_once('/').is_some_and(|(connection, row)| {
                        row == identity.user_id && identity.connection.as_deref().is_none_or(|own| own == connection)
                    })
            });
            let by_user_id = listed.is_empty() && joined.user.user_id == format!("auth0|{}", &owner[2..]);
            let by_mail = joined.findings.contains(&Finding::new(FindingCode::JoinedByEmail));
            prop_assert!(by_id || by_user_id || (by_email && by_mail), "{owner}");
            prop_assert!(is_database_user(&joined.user));
        }
    }
}
