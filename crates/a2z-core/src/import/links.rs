//! Links of users that exist and are ours.
//!
//! At the creation links come with the user, in one transaction. Everything here may be done twice.

use std::time::Duration;

use super::{engine::Engine, events, item::Item};
use crate::{
    error::Result,
    ledger::{links, users::Settled},
    mapping::{
        draft::{Draft, Link},
        facts::Facts,
        finding::{Finding, FindingCode},
        links::fold,
    },
    zitadel::{
        events::{Event, kind},
        failure::Failure,
    },
};

/// The links of a user are read from a projection that lags: how often it is asked whether a link is the user's own.
const LOOKS: u32 = 6;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Provider and external id.
pub(super) type Identity = (String, String);

/// What became of a user's links.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// ZITADEL has them from us.
    have: Vec<Identity>,
    /// It refused them, for another user holds them or the provider is gone.
    refused: Vec<String>,
    /// Somebody took them away in ZITADEL: they stay away.
    taken_away: Vec<Identity>,
    /// Something was written.
    pub(super) wrote: bool,
}

impl Linked {
    /// The links that stay away, as reports name them.
    pub(super) fn kept(&self) -> impl Iterator<Item = String> {
        self.taken_away.iter().map(|(idp_id, _)| format!("link {idp_id}"))
    }

    /// The links that ZITADEL should show.
    pub(super) fn there(&self) -> impl Iterator<Item = &Identity> {
        self.have.iter().filter(|link| !self.taken_away.contains(link))
    }

    /// Puts it into the ledger.
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

/// What tells a link from others.
pub(super) fn identity(link: &Link) -> Identity {
    (link.idp_id.clone(), link.external_user_id.clone())
}

/// Makes the links of a user of ours what the draft says. `known` are those that ZITADEL has from us; others, which the
/// user added there, stay.
pub(super) async fn sync(engine: &Engine, item: &Item, known: &[Identity]) -> Result<Linked> {
    let failed = |failure: Failure| failure.into_error("could not change a user's links in ZITADEL");
    let wanted = wanted(&item.draft);
    let mut linked = Linked { taken_away: taken_away(engine, item, known).await?, ..Linked::default() };
    for (idp_id, external_id) in known.iter().filter(|known| !wanted.contains(known)) {
        engine.client.remove_link(item.id(), idp_id, external_id).await.map_err(failed)?;
        linked.wrote = true;
    }
    for link in &item.draft.links {
        let identity = identity(link);
        let there = known.contains(&identity)
            || match engine.client.add_link(item.id(), link).await {
                Ok(added) => {
                    linked.wrote |= added;
                    added || is_own(engine, item, link).await?
                }
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

/// Links that a2z made, that Auth0 still has, and that somebody took away in ZITADEL. One that ZITADEL does not show and that
/// nobody took away was skipped by a projection.
async fn taken_away(engine: &Engine, item: &Item, known: &[Identity]) -> Result<Vec<Identity>> {
    let wanted = wanted(&item.draft);
    let expected: Vec<&Identity> = known.iter().filter(|known| wanted.contains(known)).collect();
    if expected.is_empty() {
        return Ok(Vec::new());
    }
    let shown = shown(engine, item).await?;
    let gone: Vec<Identity> = expected.into_iter().filter(|link| !shown.contains(link)).cloned().collect();
    if gone.is_empty() || events::nobody_else_did(engine, item.id(), &kind::LINK_REMOVED).await? {
        return Ok(Vec::new());
    }
    Ok(gone)
}

/// "Taken" is what ZITADEL says of a link that another user holds, and of one that the user has already.
async fn is_own(engine: &Engine, item: &Item, link: &Link) -> Result<bool> {
    let same_as =
        |idp_id: &str, external_id: &str| idp_id == link.idp_id && fold(external_id) == fold(&link.external_user_id);
    // The events are strongly consistent, but not everybody may read them.
    let kinds = [&[kind::LINK_ADDED], kind::LINK_REMOVED.as_slice()].concat();
    match engine.client.life(item.id(), &kinds).await {
        Ok(life) => {
            let about = |event: &&Event| event.link.as_ref().is_some_and(|(idp_id, id)| same_as(idp_id, id));
            return Ok(life.events.iter().find(about).is_some_and(|last| last.kind == kind::LINK_ADDED));
        }
        Err(Failure::NoPermission(_)) => {}
        Err(failure) => return Err(failure.into_error("could not read a user's events from ZITADEL")),
    }
    for look in 0..LOOKS {
        if look > 0 {
            engine.pause(LOOK_AGAIN).await?;
        }
        let links = engine.client.links(item.id()).await;
        let links = links.map_err(|failure| failure.into_error("could not read a user's links from ZITADEL"))?;
        if links.iter().any(|found| same_as(&found.idp_id, &found.external_user_id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Identities that are another user's in Auth0 now are taken away from whoever had them before anybody is given one: else
/// they would be refused as taken.
pub(super) async fn free(engine: &Engine) -> Result<()> {
    let moved = engine.ledger.read(|c| links::moved(c, engine.run))?;
    for link in moved {
        engine.check_stopped()?;
        let (user_id, idp_id, external_id) = &link;
        match engine.client.remove_link(user_id, idp_id, external_id).await {
            Ok(()) => engine.ledger.write(move |t| links::taken_away(t, &link)).await?,
            // The user is gone, or it is this user's trouble: the update says so.
            Err(Failure::Refused { status: 400..=409, .. }) => {}
            Err(failure) => return Err(failure.into_error("could not change a user's links in ZITADEL")),
        }
    }
    Ok(())
}

/// The links that ZITADEL has from us, also of a user in doubt: what a lost request brought is in no ledger. A link that no
/// run ever wanted is the user's own.
pub(super) async fn known(engine: &Engine, item: &Item) -> Result<Vec<Identity>> {
    let mut known = item.todo.have_links.clone();
    if !item.in_doubt {
        return Ok(known);
    }
    let same = |a: &Identity, b: &Identity| a.0 == b.0 && fold(&a.1) == fold(&b.1);
    for link in shown(engine, item).await? {
        let ours = item.todo.sent_links.iter().any(|sent| same(sent, &link));
        if ours && !known.contains(&link) {
            known.push(link);
        }
    }
    Ok(known)
}

/// The links that ZITADEL shows of a user that a lost request created.
pub(super) async fn shown(engine: &Engine, item: &Item) -> Result<Vec<Identity>> {
    let links = engine.client.links(item.id()).await;
    let links = links.map_err(|failure| failure.into_error("could not read a user's links from ZITADEL"))?;
    Ok(links.iter().map(identity).collect())
}
