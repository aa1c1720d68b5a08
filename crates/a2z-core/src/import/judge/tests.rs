//! What comes next, from recorded exchanges: no server, no ledger.

use serde_json::Value;

use super::*;
use crate::http::Answer;

fn exchange(name: &str) -> Value {
    let path = format!("{}/../../tests/fixtures/contract/zitadel/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The failure behind a recorded answer.
fn recorded(name: &str) -> Failure {
    let exchange = exchange(name);
    let status = u16::try_from(exchange["response"]["status"].as_u64().unwrap()).unwrap();
    let body = exchange["response"]["body"].to_string();
    Failure::from_answer(&Answer {
        status,
        headers: reqwest::header::HeaderMap::new(),
        body: body.into_bytes().into(),
        attempts: 1,
    })
}

/// What comes next for every user of a recorded import, in the order of the request.
fn import(name: &str, asked: Asked, losses: u32) -> Vec<Next> {
    let exchange = exchange(name);
    let answer = ImportAnswer::parse(exchange["response"]["body"].to_string().as_bytes()).unwrap();
    let organizations = exchange["request"]["body"]["dataOrgs"]["orgs"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut next = Vec::new();
    for organization in organizations {
        let metadata = organization["userMetadata"].as_array().cloned().unwrap_or_default();
        for user in organization["humanUsers"].as_array().unwrap() {
            let id = text(&user["userId"]);
            let keys: Vec<String> = metadata.iter().filter(|m| m["id"] == *id).map(|m| text(&m["key"])).collect();
            let keys = keys.iter().map(String::as_str).collect();
            let about = (id.as_str(), organization["orgId"].as_str().unwrap_or_default(), &keys);
            next.push(in_batch(asked, Attempt { losses, refusals: 0 }, about, &answer));
        }
    }
    next
}

const FRESH: Asked = Asked { in_doubt: false, links: false, codes: false };
const DOUBTFUL: Asked = Asked { in_doubt: true, ..FRESH };
const LINKED: Asked = Asked { links: true, ..FRESH };

/// The id of a refusal.
fn refused(next: &Next) -> Option<&str> {
    match next {
        Next::Refused(Refusal::Other { id, .. }) => id.as_deref(),
        _ => None,
    }
}

#[test]
fn one_bad_user_costs_one_user() {
    let next = import("017-import-mixed", FRESH, 0);
    assert_eq!(next[0], Next::Created);
    for bad in &next[1..] {
        assert!(refused(bad).is_some(), "{bad:?}");
    }
}

#[test]
fn a_user_that_exists_may_be_ours_only_after_a_request_of_ours() {
    assert_eq!(import("014-import-again", FRESH, 0), [Next::Existed]);
    assert_eq!(import("014-import-again", DOUBTFUL, 0), [Next::WhoseUser]);
    assert_eq!(import("014-import-again", FRESH, 1), [Next::WhoseUser]);
    let again = recorded("058-v2-create-again");
    assert_eq!(single(FRESH, Attempt::default(), Some(&again)), Next::Existed);
    assert_eq!(single(DOUBTFUL, Attempt::default(), Some(&again)), Next::WhoseUser);
}

#[test]
fn a_taken_name_is_the_names_fault_only_if_nothing_else_can_be() {
    let taken = "015-import-username-taken";
    let last = |asked, losses| import(taken, asked, losses).pop().unwrap();
    assert_eq!(last(FRESH, 0), Next::Refused(Refusal::NameTaken));
    for (asked, losses) in [(DOUBTFUL, 0), (LINKED, 0), (FRESH, 1)] {
        assert_eq!(last(asked, losses), Next::WhoseName, "{asked:?} {losses}");
    }
    let taken = recorded("059-v2-create-username-taken");
    let once = Attempt { refusals: 1, ..Attempt::default() };
    assert_eq!(single(FRESH, Attempt::default(), Some(&taken)), Next::Again, "the database may have been slow");
    assert_eq!(single(FRESH, once, Some(&taken)), Next::WhoseName);
}

#[test]
fn a_provider_that_forbids_creation_costs_the_road_not_the_user() {
    assert_eq!(import("042-import-idps-no-creation", LINKED, 0), [Next::Alone]);
}

#[test]
fn a_provider_that_is_gone_costs_the_link_not_the_user() {
    let gone = Failure::Refused {
        status: 400,
        code: Some(9),
        id: Some(Reason::ProviderNotFound.id().to_owned()),
        index: None,
        message: String::new(),
    };
    let refusals = |refusals| Attempt { refusals, ..Attempt::default() };
    assert_eq!(single(LINKED, refusals(0), Some(&gone)), Next::Again, "it may be that it could not be read");
    assert_eq!(single(LINKED, refusals(DOUBTS), Some(&gone)), Next::WithoutLinks);
    assert!(refused(&single(FRESH, refusals(DOUBTS), Some(&gone))).is_some());
}

#[test]
fn recovery_codes_come_after_a_request_in_doubt() {
    let codes = Asked { codes: true, ..FRESH };
    assert_eq!(import("013-import-one", codes, 0), [Next::Created]);
    assert_eq!(import("013-import-one", Asked { in_doubt: true, ..codes }, 0), [Next::Complete]);
}

#[test]
fn metadata_that_was_not_written_is_written_again() {
    let name = "036-import-metadata";
    assert!(import(name, FRESH, 0).iter().all(|next| *next == Next::Created));
    let mut answer = ImportAnswer::parse(exchange(name)["response"]["body"].to_string().as_bytes()).unwrap();
    let (id, key) = answer.metadata.iter().next().cloned().unwrap();
    answer.metadata.clear();
    let keys = [key.as_str()].into();
    assert_eq!(in_batch(FRESH, Attempt::default(), (&id, "", &keys), &answer), Next::Complete);
}

#[test]
fn who_is_not_in_the_answer_is_looked_up() {
    let answer = ImportAnswer::parse(exchange("013-import-one")["response"]["body"].to_string().as_bytes()).unwrap();
    let about = ("auth0|nobody", "", &HashSet::new());
    assert_eq!(in_batch(FRESH, Attempt::default(), about, &answer), Next::Lost);
}

#[test]
fn an_organization_that_is_gone_is_nobodys_fault() {
    let missing = recorded("063-v2-create-org-missing");
    assert_eq!(single(FRESH, Attempt::default(), Some(&missing)), Next::NoOrganization);
}

#[test]
fn a_refused_user_is_refused_with_zitadels_id() {
    for name in ["060-v2-create-bad-email", "061-v2-create-bad-hash", "062-v2-create-blank-name"] {
        let next = single(FRESH, Attempt::default(), Some(&recorded(name)));
        assert!(matches!(next, Next::Refused(Refusal::Other { .. })), "{name}: {next:?}");
    }
}

fn lost() -> Failure {
    Failure::Lost { reason: "the connection was closed".into() }
}

#[test]
fn a_lost_answer_is_looked_up_and_one_that_was_not_sent_is_not() {
    let next = |failure: Failure| single(FRESH, Attempt::default(), Some(&failure));
    assert_eq!(next(lost()), Next::Lost);
    assert_eq!(next(Failure::Gibberish { what: "HTML".into() }), Next::Lost);
    assert_eq!(next(Failure::Throttled), Next::Throttled);
    assert_eq!(next(Failure::Unreachable { reason: "refused".into() }), Next::Stop);
    assert_eq!(next(recorded("117-v2-create-no-permission")), Next::Stop);
    assert_eq!(single(FRESH, Attempt::default(), None), Next::Created);
}

#[test]
fn a_request_that_fails_as_a_whole_is_made_smaller_before_anybody_is_refused() {
    let nowhere = |_| None;
    let large = recorded("027-import-too-large");
    assert_eq!(batch(2, &large, nowhere), NextBatch::Halve);
    assert!(matches!(batch(1, &large, nowhere), NextBatch::RefuseOne(0, _)));
    let named = recorded("018-import-reject-first-name");
    let Failure::Refused { index, .. } = &named else { panic!("{named:?}") };
    assert!(index.is_some());
    assert!(matches!(batch(3, &named, |(_, user)| Some(user)), NextBatch::RefuseOne(..)));
    assert_eq!(batch(3, &named, nowhere), NextBatch::Halve);
    assert_eq!(batch(3, &lost(), nowhere), NextBatch::Lost { halve: false });
    assert_eq!(batch(3, &Failure::Timeout500, nowhere), NextBatch::Lost { halve: true });
    assert_eq!(batch(3, &Failure::Throttled, nowhere), NextBatch::Throttled);
    assert_eq!(batch(3, &recorded("007-bad-token"), nowhere), NextBatch::Stop);
}

#[test]
fn an_update_is_refused_for_this_user_or_fails_for_all() {
    assert_eq!(update(&recorded("059-v2-create-username-taken")), Some(Refusal::NameTaken));
    assert!(matches!(update(&recorded("060-v2-create-bad-email")), Some(Refusal::Other { .. })));
    assert_eq!(update(&lost()), None);
    assert_eq!(update(&recorded("007-bad-token")), None);
    assert!(is_doubtful(&recorded("059-v2-create-username-taken")));
    assert!(!is_doubtful(&recorded("060-v2-create-bad-email")));
}
