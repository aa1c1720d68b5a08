use std::collections::HashSet;

use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::{
    http::testing::{self, Request as Seen, Server},
    zitadel::{client::tests::client, events::EventQuery},
};

/// An instance with so many of everything.
#[derive(Clone, Copy)]
struct Instance {
    entries: usize,
    /// Who asks for more is refused.
    most: usize,
    /// No answer has more, and none says so.
    cap: usize,
    /// Every so-manyth entry is counted and not shown; 0 for none.
    hidden: usize,
}

const ORDINARY: Instance = Instance { entries: 25, most: 1000, cap: 1000, hidden: 0 };

fn number(value: &Value) -> Option<usize> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())?.try_into().ok()
}

impl Instance {
    fn ids(self) -> Vec<String> {
        (0..self.entries).map(|i| format!("u{i}")).collect()
    }

    /// One answer for every kind of list.
    fn answer(self, request: &Seen) -> Vec<u8> {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        if request.method == "GET" {
            let id = request.path.rsplit('/').next().unwrap_or_default();
            return testing::json(200, &json!({ "user": { "userId": id } }));
        }
        let page = if body["query"].is_object() { &body["query"] } else { &body["pagination"] };
        let page = if request.path.ends_with("events/_search") { &body } else { page };
        let limit = number(&page["limit"]).expect("a request without a limit");
        if limit > self.most {
            let detail = json!({ "id": "QUERY-4M0fs", "message": "Limit exceeded" });
            return testing::json(400, &json!({ "code": 3, "message": "x (QUERY-4M0fs)", "details": [detail] }));
        }
        let asked = body["queries"][0]["inUserIdsQuery"]["userIds"].as_array();
        let found: Vec<usize> = (0..self.entries)
            .filter(|i| asked.is_none_or(|ids| ids.iter().any(|id| *id == format!("u{i}").as_str())))
            .collect();
        let shown = found.iter().skip(number(&page["offset"]).unwrap_or(0)).take(limit.min(self.cap));
        let shown: Vec<Value> =
            shown.filter(|i| self.hidden == 0 || **i % self.hidden != 0).map(|i| entry(*i)).collect();
        let total = if shown.is_empty() && self.hidden == 0 { Value::Null } else { found.len().to_string().into() };
        let counted = json!({ "totalResult": total });
        testing::json(
            200,
            &json!({
                "details": counted, "pagination": counted, "result": shown, "projects": shown, "projectRoles": shown,
                "projectGrants": shown, "authorizations": shown, "metadata": shown,
                "events": shown.iter().map(event).collect::<Vec<_>>(),
            }),
        )
    }

    async fn start(self) -> (Server, Client) {
        let server = Server::start(move |request, _| self.answer(request)).await;
        let client = client(&server);
        (server, client)
    }
}

/// Something that passes for an entry of every list.
fn entry(i: usize) -> Value {
    json!({
        "id": format!("u{i}"), "userId": format!("u{i}"), "idpId": "idp", "key": format!("u{i}"), "value": "eA==",
        "name": if i == 24 { "wanted" } else { "x" }, "projectId": "p", "organizationId": format!("o{i}"),
        "grantedOrganizationId": format!("g{i}"), "grantedRoleKeys": [], "roles": [], "orgId": format!("o{i}"),
        "user": { "id": format!("u{i}") }, "organization": { "id": "o" },
        "state": if i == 24 { "EMAIL_PROVIDER_ACTIVE" } else { "x" },
    })
}

fn event(entry: &Value) -> Value {
    json!({ "aggregate": { "id": entry["id"] }, "type": { "type": "user.removed" } })
}

fn limits(server: &Server) -> Vec<usize> {
    let bodies = server.seen().into_iter().filter_map(|request| serde_json::from_str::<Value>(&request.body).ok());
    bodies
        .filter_map(|body| {
            number(&body["query"]["limit"]).or(number(&body["pagination"]["limit"])).or(number(&body["limit"]))
        })
        .collect()
}

/// How many each list of the client has.
async fn every_list(client: &Client, ids: &[String]) -> Vec<(&'static str, usize)> {
    use crate::zitadel::idps::Scope;
    vec![
        ("search_by_ids", client.search_by_ids(ids).await.unwrap().users.len()),
        ("search_by_metadata_key", client.search_by_metadata_key(ids, "k").await.unwrap().len()),
        ("memberships", client.memberships().await.unwrap().len()),
        ("providers", client.providers(Scope::Instance).await.unwrap().len()),
        ("links", client.links("u").await.unwrap().len()),
        ("user_metadata", client.user_metadata("u").await.unwrap().len()),
        ("project_roles", client.project_roles("p").await.unwrap().len()),
        ("grants", client.grants("p", ids).await.unwrap().len()),
        ("organizations", client.organizations().await.unwrap().len()),
        ("organization_metadata", client.organization_metadata("o").await.unwrap().len()),
    ]
}

#[tokio::test]
async fn every_list_is_whole_whatever_the_largest_page_is() {
    for (most, cap) in [(1000, 1000), (24, 1000), (10, 1000), (1, 1000), (1000, 7), (1000, 1), (6, 4)] {
        let instance = Instance { most, cap, ..ORDINARY };
        let (server, client) = instance.start().await;
        for (list, found) in every_list(&client, &instance.ids()).await {
            assert_eq!(found, 25, "{list}, {most} and {cap}");
        }
        // What stands on the last page.
        assert!(client.mail_provider_configured().await.unwrap());
        let asked = limits(&server);
        assert!(asked.iter().rev().take(20).all(|limit| *limit <= most), "{asked:?}");
    }
}

#[tokio::test]
async fn nobody_is_said_to_be_gone_by_a_short_answer() {
    for instance in [
        Instance { cap: 3, ..ORDINARY },
        // Counted and not shown: each is read by id.
        Instance { hidden: 4, ..ORDINARY },
        Instance { most: 5, hidden: 2, ..ORDINARY },
    ] {
        let (_server, client) = instance.start().await;
        let mut ids = instance.ids();
        ids.extend(["nobody".to_owned(), "no one".to_owned()]);
        let found = client.search_by_ids(&ids).await.unwrap();
        let found: HashSet<_> = found.users.into_iter().map(|user| user.user_id).collect();
        assert_eq!(found, instance.ids().into_iter().collect());
        assert_eq!(client.users_of("o").await.unwrap(), 25);
    }
    let (_server, client) = Instance { entries: 3, cap: 1, ..ORDINARY }.start().await;
    assert_eq!(client.users_by_typed_name("a@example.com", Some("o")).await.unwrap().0.len(), 3);
}

#[tokio::test]
async fn the_smaller_page_is_remembered() {
    let instance = Instance { most: 60, entries: 100, ..ORDINARY };
    let (server, client) = instance.start().await;
    assert_eq!(client.organizations().await.unwrap().len(), 100);
    assert_eq!(limits(&server), [1000, 500, 250, 125, 62, 31, 31, 31, 31]);
    client.project_roles("p").await.unwrap();
    client.search_by_ids(&instance.ids()).await.unwrap();
    client.page_users(0, 1000).await.unwrap();
    assert!(limits(&server)[9..].iter().all(|limit| *limit <= 31));
    // One request for what fits into a page.
    let before = server.seen().len();
    client.search_by_ids(&instance.ids()[..31]).await.unwrap();
    assert_eq!(server.seen().len(), before + 1);
}

#[tokio::test]
async fn pages_of_users_lead_to_the_last_one() {
    for (most, cap, hidden) in [(1000, 1000, 0), (4, 1000, 0), (1000, 3, 0), (2, 1000, 5), (1000, 1000, 1)] {
        let (_server, client) = Instance { most, cap, hidden, ..ORDINARY }.start().await;
        let (mut next, mut seen) = (Some(0), HashSet::new());
        while let Some(offset) = next {
            let (users, after) = client.page_users(offset, 1000).await.unwrap();
            seen.extend(users.into_iter().map(|user| user.user_id));
            next = after;
        }
        let visible = (0..25).filter(|i| hidden == 0 || i % hidden != 0).count();
        assert_eq!(seen.len(), visible, "{most}, {cap}, {hidden}");
    }
}

/// The bound of the events is their own, and silent; were one set, the reading would go on all the same.
#[tokio::test]
async fn events_say_whether_there_may_be_more() {
    let (_server, client) = ORDINARY.start().await;
    let page = async |limit| client.page_events(&EventQuery { limit, ..EventQuery::default() }).await.unwrap();
    let (events, more) = page(10).await;
    assert_eq!((events.len(), more), (10, true));
    let (events, more) = page(0).await;
    assert_eq!((events.len(), more), (25, false));
    let (_server, client) = Instance { most: 20, ..ORDINARY }.start().await;
    let (events, more) = client.page_events(&EventQuery { limit: 1000, ..EventQuery::default() }).await.unwrap();
    assert_eq!((events.len(), more), (15, true));
}

/// No order is fixed: on the second page stands again what stood on the first, and the last entry is on none of them.
#[tokio::test]
async fn a_list_that_moves_is_read_once_more() {
    let asked = Mutex::new(0);
    let server = Server::start(move |_, _| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let shown = match *asked {
            1 | 3 => ["a", "b"],
            2 => ["b", "a"],
            _ => ["c", "b"],
        };
        let shown: Vec<Value> = shown.iter().map(|key| json!({ "key": key })).collect();
        testing::json(200, &json!({ "pagination": { "totalResult": "3" }, "projectRoles": shown }))
    })
    .await;
    let client = client(&server);
    assert_eq!(client.project_roles("p").await.unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_list_without_end_is_an_error() {
    let server = Server::start(|_, _| {
        let counted = json!({ "totalResult": "99999999999" });
        testing::json(200, &json!({ "pagination": counted, "projectRoles": [{ "key": "a" }] }))
    })
    .await;
    let failure = client(&server).project_roles("p").await.unwrap_err();
    assert!(failure.into_error("x").render().contains("does not end"));
    assert!(server.seen().len() < 1000);
}
