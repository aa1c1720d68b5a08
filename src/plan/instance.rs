//! Holds the plan against the ZITADEL instance: who is there already, and whose name is taken. User names are unique in
//! the whole instance.

use super::plan_queries::{self, InstanceUser};
use crate::{
    error::{Result, count},
    event::Events,
    ledger::{Ledger, model::Action},
    mapping::collision::name_key,
    zitadel::{client::Client, failure::Failure},
};

/// Users in one page.
const PAGE: u64 = 1_000;
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
    let users = client.count_users(None).await.map_err(failed)?;
    let reader = ledger.reader()?;
    let to_create = plan_queries::count_action(&reader, run, Action::Create)
        .map_err(|error| crate::ledger::failure(ledger.path(), &error))?;
    drop(reader);
    let complete = users <= MOST;
    if to_create > 0 && complete {
        let mut offset = 0;
        loop {
            let page = client.page_users(offset, PAGE).await.map_err(failed)?;
            // One that gives the same page for ever is left, too: some more users than there were may have come meanwhile.
            if page.is_empty() || offset > MOST * 2 {
                break;
            }
            offset += page.len() as u64;
            let page: Vec<InstanceUser> = page
                .into_iter()
                .map(|user| InstanceUser {
                    name_key: name_key(&user.user_name),
                    user_id: user.user_id,
                    organization_id: user.organization_id,
                })
                .collect();
            ledger.write(move |t| plan_queries::put_instance_users(t, &page)).await?;
        }
    } else if !complete {
        events.warn(
            "instance-too-large",
            format!("the instance holds {}: taken user names show at the import only", count(users, "user")),
        );
    }
    let complete = complete && to_create > 0;
    let organization_id = organization_id.map(str::to_owned);
    ledger
        .write(move |t| plan_queries::hold_against_instance(t, run, organization_id.as_deref(), complete, scoped))
        .await?;
    Ok(Instance { users, complete })
}
