//! Links of users who exist and are ours, and of those whom ZITADEL refused because somebody else holds a link.
//!
//! At the creation links come with the user, in one transaction. Everything here may be done twice.

use std::time::Duration;

use super::{Engine, item::Item, settle, worker::mark};
use crate::{
    error::Result,
    ledger::{import_queries::Settled, model::Progress},
    mapping::{
        draft::{Draft, Link},
        facts::Facts,
        finding::{Finding, FindingCode},
        links::fold,
    },
    zitadel::{create::new_user_json, failure::Failure},
};

/// The links of a user are read from a projection that lags: so often it is asked whether a link is the user's own.
const LOOKS: u32 = 6;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Attempts at a user whose answer is lost again and again, before the run goes on without.
const ATTEMPTS: u32 = 4;

/// Provider and external id.
pub(super) type Identity = (String, String);

/// What became of a user's links.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// ZITADEL has them from us.
    have: Vec<Identity>,
    /// It refused them, for another user holds them or the provider is gone.
    refused: Vec<String>,
}

impl Linked {
    /// Puts it into the books.
    pub(super) fn note(self, settled: &mut Settled) {
        settled.links = Some(self.have);
        if self.refused.is_empty() {
            return;
        }
        settled.link_finding = Some(Finding::about(FindingCode::LinkTaken, self.refused.join(", ")));
        // So that the next run finds a difference and tries again.
        settled.have = settled.have.map(|(_, password)| ([0; 16], password));
        if let Some(mut facts) = settled.facts.as_deref().and_then(Facts::decode) {
            facts.forget_links();
            settled.facts = Some(facts.encode());
        }
    }
}

/// The identities of a draft.
pub(super) fn wanted(draft: &Draft) -> Vec<Identity> {
    draft.links.iter().map(identity).collect()
}

fn identity(link: &Link) -> Identity {
    (link.idp_id.clone(), link.external_user_id.clone())
}

/// Makes the links of a user of ours what the draft says. `known` are those that ZITADEL has from us; others, which the
/// user added there, stay.
pub(super) async fn sync(engine: &Engine, item: &Item, known: &[Identity]) -> Result<Linked> {
    let failed = |failure: Failure| failure.into_error("could not change a user's links in ZITADEL");
    let wanted = wanted(&item.draft);
    for (idp_id, external_id) in known.iter().filter(|known| !wanted.contains(known)) {
        engine.client.remove_link(item.id(), idp_id, external_id).await.map_err(failed)?;
    }
    let mut linked = Linked::default();
    for link in &item.draft.links {
        let identity = identity(link);
        let there = known.contains(&identity)
            || match engine.client.add_link(item.id(), link).await {
                Ok(added) => added || is_own(engine, item, link).await?,
                Err(Failure::Refused { status: 400..=409, .. }) => false,
                Err(failure) => return Err(failed(failure)),
            };
        if there {
            linked.have.push(identity);
        } else {
            linked.refused.push(format!("provider {}", link.idp_id));
        }
    }
    Ok(linked)
}

/// "Taken" is what ZITADEL says of a link that another user holds, and of one that the user has already.
async fn is_own(engine: &Engine, item: &Item, link: &Link) -> Result<bool> {
    for look in 0..LOOKS {
        if look > 0 {
            engine.pause(LOOK_AGAIN).await?;
        }
        let links = engine.client.links(item.id()).await;
        let links = links.map_err(|failure| failure.into_error("could not read a user's links from ZITADEL"))?;
        let same =
            |found: &Link| found.idp_id == link.idp_id && fold(&found.external_user_id) == fold(&link.external_user_id);
        if links.iter().any(same) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The links that ZITADEL shows of a user whom a lost request created.
pub(super) async fn shown(engine: &Engine, item: &Item) -> Result<Vec<Identity>> {
    let links = engine.client.links(item.id()).await;
    let links = links.map_err(|failure| failure.into_error("could not read a user's links from ZITADEL"))?;
    Ok(links.iter().map(identity).collect())
}

/// ZITADEL refused the user because a user name or a link is taken, and it does not say which. Without links it can only be
/// the name; and where it is not, the user is there, and gets the links that are free.
pub(super) async fn create_without(engine: &Engine, item: &Item) -> Result<()> {
    let bare = Draft { links: Vec::new(), ..item.draft.clone() };
    let body = new_user_json(&bare, engine.organization_of(item));
    let mut lost = item.in_doubt;
    for _ in 0..ATTEMPTS {
        engine.check_not_aborted()?;
        let Err(failure) = engine.client.create_user(body.clone()).await else {
            return super::update::finish_ours(engine, item).await;
        };
        match failure {
            Failure::Refused { status: 400..=409, id, message, .. } => match id.as_deref() {
                Some("COMMAND-7yiox1isql") if lost => return super::update::finish_ours(engine, item).await,
                Some("COMMAND-7yiox1isql") => return settle::existed_unseen(engine, item).await,
                Some("V3-DKcYh") => return engine.settle(vec![settle::taken(item)]).await,
                id => return engine.settle(vec![settle::rejected(item, id, &message)]).await,
            },
            failure if failure.is_ambiguous() || matches!(failure, Failure::Throttled) => {
                lost = true;
                mark(engine, std::slice::from_ref(item), Progress::Unknown).await?;
                if engine.exists(item.id()).await?.is_some() {
                    return super::update::finish_ours(engine, item).await;
                }
                engine.pause(LOOK_AGAIN).await?;
            }
            failure => return Err(failure.into_error("could not create a user in ZITADEL")),
        }
    }
    // In doubt: the next run settles it.
    engine.leave_unsettled(1);
    Ok(())
}
