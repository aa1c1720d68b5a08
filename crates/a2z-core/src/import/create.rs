//! The two requests that create users.

use std::time::Instant;

use super::{engine::Engine, factors, item::Item};
use crate::{
    mapping::draft::Draft,
    zitadel::{
        create::new_user_json,
        failure::Failure,
        import::{ImportAnswer, ImportBody},
    },
};

/// An import request that was sent.
pub(super) struct Sent {
    /// What came of it.
    pub(super) answer: Result<ImportAnswer, Failure>,
    /// Which of the items stands where in the body: by organization, then by user.
    pub(super) places: Vec<Vec<usize>>,
}

/// Sends one import request with `items`, and writes down from when on it can write no more.
pub(super) async fn batch(engine: &Engine, items: &mut [Item]) -> Sent {
    let mut body = ImportBody::new(&engine.organization_id);
    for item in items.iter() {
        body.organization(engine.organization_of(item));
        // Recovery codes are appended each time they are sent.
        if item.in_doubt { body.push_without_codes(&item.draft) } else { body.push(&item.draft) }
    }
    let places = body.places();
    let timeout = engine.config.timeout;
    let started = Instant::now();
    let answer = {
        let _in_flight = engine.in_flight();
        engine.client.import(body.finish(timeout), timeout).await
    };
    if answer.is_ok() {
        engine.took(items, started.elapsed());
        for item in items.iter_mut().filter(|item| !item.in_doubt) {
            // It is over, and there was none before it.
            item.quiet_at = Some(Instant::now());
        }
    } else {
        for item in items {
            item.quiet_at = Some(factors::quiet_after(engine, started));
        }
    }
    Sent { answer, places }
}

/// Creates one user by the users API, everything in one transaction; `bare`: without the links.
///
/// # Errors
/// As the client.
pub(super) async fn single(engine: &Engine, item: &Item, bare: bool) -> Result<(), Failure> {
    let organization = engine.organization_of(item);
    let body = if bare && !item.draft.links.is_empty() {
        new_user_json(&Draft { links: Vec::new(), ..item.draft.clone() }, organization)
    } else {
        new_user_json(&item.draft, organization)
    };
    let _in_flight = engine.in_flight();
    engine.client.create_user(body).await.map(drop)
}
