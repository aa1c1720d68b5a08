//! Holds the plan against the ZITADEL instance: who is there already, and whose name is taken. User names are unique in
//! the whole instance.

use crate::{
    error::{Result, count},
    event::Events,
    ledger::{
        Ledger,
        instance::{self, InstanceUser},
        states::Action,
        users,
    },
    mapping::collision::name_key,
    zitadel::{client::Client, failure::Failure, search::FoundUser},
};

/// Users in one page.
const PAGE: u64 = 1_000;
/// Ids in one search.
const CHUNK: usize = 500;
/// Beyond so many users, paging through the instance takes longer than it is worth (0.9 s a page and growing): a taken
/// name then shows when the user is created.
const MOST: u64 = 300_000;

/// What is known of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// Its users.
    pub users: u64,
    /// All of them were read.
    pub complete: bool,
}

/// Reads the instance's users and settles the plan against them. User names are `scoped` where login names carry the
/// organization's domain.
///
/// # Errors
/// When ZITADEL cannot be asked, or the ledger fails.
pub async fn settle(
    client: &Client,
    ledger: &Ledger,
    run: i64,
    (organization_id, scoped): (Option<&str>, bool),
    patience: std::time::Duration,
    events: &Events,
) -> Result<Instance> {
    let failed = |failure: Failure| failure.into_error("could not read the users of the instance");
    // Without it, a search misses whom ZITADEL created a moment ago.
    client.barrier(patience).await.map_err(failed)?;
    let users = client.count_users().await.map_err(failed)?;
    let to_create = ledger.read(|c| users::count_action(c, run, Action::Create))?;
    let complete = users <= MOST;
    if to_create > 0 && complete {
        let mut next = Some(0);
        // One that gives the same page for ever is left, too: some more users than there were may have come meanwhile.
        while let Some(offset) = next.filter(|offset| *offset <= MOST * 2) {
            let (page, after) = client.page_users(offset, PAGE).await.map_err(failed)?;
            let page: Vec<InstanceUser> = page.into_iter().map(instance_user).collect();
            ledger.write(move |t| instance::put_instance_users(t, &page)).await?;
            next = after;
        }
        look_again(client, ledger, run).await?;
        leave_out_deleted(client, ledger, run, events).await?;
    } else if !complete {
        events.warn(
            "instance-too-large",
            format!("the instance holds {}: taken user names show at the import only", count(users, "user")),
        );
    }
    let complete = complete && to_create > 0;
    let organization_id = organization_id.map(str::to_owned);
    ledger
        .write(move |t| {
            instance::hold_against_instance(t, run, organization_id.as_deref(), complete, scoped)?;
            super::people::release(t, run)
        })
        .await?;
    Ok(Instance { users, complete })
}

/// Looks up by id whom of ours no page held, before they are called gone: a user who is deleted meanwhile moves the others
/// to the page that was read already, and the order of users who were created in the same instant may change.
async fn look_again(client: &Client, ledger: &Ledger, run: i64) -> Result<()> {
    let mut after = 0;
    loop {
        let unlisted = ledger.read(|c| instance::ours_unlisted(c, run, after, CHUNK))?;
        let Some((last, _)) = unlisted.last() else { return Ok(()) };
        after = *last;
        let ids: Vec<String> = unlisted.into_iter().map(|(_, id)| id).collect();
        let found = client.search_by_ids(&ids).await;
        let found = found.map_err(|failure| failure.into_error("could not look users up in ZITADEL"))?;
        let found: Vec<InstanceUser> = found.users.into_iter().map(instance_user).collect();
        ledger.write(move |t| instance::put_instance_users(t, &found)).await?;
    }
}

/// Takes those off the list who were deleted and are shown all the same: they are not there, and their names are free.
async fn leave_out_deleted(client: &Client, ledger: &Ledger, run: i64, events: &Events) -> Result<()> {
    let in_the_way = ledger.read(|c| instance::in_the_way(c, run))?;
    let deleted = client.deleted(&in_the_way).await;
    let deleted: Vec<String> =
        deleted.map_err(|failure| failure.into_error("could not read ZITADEL's events"))?.into_iter().collect();
    if deleted.is_empty() {
        return Ok(());
    }
    events.warn(
        "deleted-and-shown",
        format!("ZITADEL still shows {} who are deleted: they count as not there", count(deleted.len() as u64, "user")),
    );
    ledger.write(move |t| instance::unlist(t, &deleted)).await
}

fn instance_user(user: FoundUser) -> InstanceUser {
    InstanceUser { name_key: name_key(&user.user_name), user_id: user.user_id, organization_id: user.organization_id }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        http::testing::{self, Server, quick},
        ledger::{
            states::Outcome,
            testing::{planned, planned_user, wanted},
            users::{PlannedUser, Settled, put_users, settle as settle_users},
        },
        zitadel::settings::{Zitadel, ZitadelCredentials},
    };

    fn user(user_id: &str, line: u64) -> PlannedUser {
        planned_user(user_id, line, Ok(wanted(user_id, 1)))
    }

    /// Somebody else deleted a user while the pages were read: the one behind moved to a page that was read already.
    #[tokio::test(flavor = "multi_thread")]
    async fn who_is_on_no_page_is_not_gone_yet() {
        let server = Server::start(|request, _| {
            let user = |id: &str| json!({ "userId": id, "username": id, "details": { "resourceOwner": "org" } });
            let query: Value = serde_json::from_str(&request.body).unwrap_or_default();
            if request.method == "GET" {
                let detail = json!({ "id": "QUERY-Dfbg2", "message": "x" });
                return testing::json(404, &json!({ "code": 5, "message": "x", "details": [detail] }));
            }
            let mut total = "2";
            let users = if let Some(ids) = query["queries"][0]["inUserIdsQuery"]["userIds"].as_array() {
                assert_eq!(ids, &[json!("moved"), json!("gone")]);
                total = "1";
                json!([user("moved")])
            } else if query["query"]["offset"].is_null() {
                json!([user("listed")])
            } else {
                json!([])
            };
            testing::json(200, &json!({ "details": { "totalResult": total }, "result": users }))
        })
        .await;
        let zitadel = Zitadel {
            url: Some(server.url.clone()),
            credentials: Some(ZitadelCredentials::Token("canary".into())),
            ..Zitadel::default()
        };
        let cancel = tokio_util::sync::CancellationToken::new();
        let client = Client::new(&zitadel, &quick(), None, Events::silent(), cancel).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        ledger
            .write(|t| {
                let ours: Vec<_> =
                    ["listed", "moved", "gone"].into_iter().zip(1..).map(|(id, at)| user(id, at)).collect();
                put_users(t, 1, &ours)?;
                let have = |user: &PlannedUser| Settled {
                    have: Some(([1; 16], None)),
                    ..Settled::new(&user.user_id, Outcome::Created)
                };
                settle_users(t, &ours.iter().map(have).collect::<Vec<_>>())?;
                let again: Vec<_> = ours.iter().map(|ours| user(&ours.user_id, ours.line)).collect();
                put_users(t, 2, &again)?;
                put_users(t, 2, &[user("new", 4)])
            })
            .await
            .unwrap();
        let patience = std::time::Duration::from_secs(5);
        settle(&client, &ledger, 2, (Some("org"), false), patience, &Events::silent()).await.unwrap();
        let outcome = |id: &str| ledger.read(|c| planned(c, id)).unwrap();
        assert_eq!(outcome("listed"), (Action::Unchanged, None));
        assert_eq!(outcome("moved"), (Action::Unchanged, None));
        assert_eq!(outcome("gone"), (Action::Blocked, Some("gone-from-zitadel".into())));
        assert_eq!(outcome("new"), (Action::Create, None));
    }
}
