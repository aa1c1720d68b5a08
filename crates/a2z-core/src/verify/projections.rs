//! What is read from projections of their own: metadata, links, grants, second factors.
//!
//! Each of them may lag behind the users, and each may have passed over what it never reads again: an event is placed by the
//! start of its transaction, and where requests run at a time, one that waited for its turn may come to lie behind what a
//! projection has read. On a real instance that hits about one write in some thousands. So nothing is taken for read because
//! something else is there.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{LOOK_AGAIN, LOOKS, Look, MOST_WAITS, Work, compare};
use crate::{
    error::Result,
    ledger::{differences::Difference, grants, runs},
    mapping::facts::{Facts, Flag},
    zitadel::{events::kind, failure::Failure},
};

/// How many keys of a page are looked for; more (metadata that is spread over many) are left to the sample.
const MOST_KEYS: usize = 16;
const TOTP: &str = "AUTHENTICATION_METHOD_TYPE_TOTP";
const RECOVERY_CODES: &str = "AUTHENTICATION_METHOD_TYPE_RECOVERY_CODE";

impl Work<'_> {
    /// Users of a page of whose metadata a key is not found: their metadata is to be read. A search tells it of 500 users.
    pub(super) async fn without_a_key(&self, page: &[Look]) -> Result<Vec<usize>, Failure> {
        let mut by_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, user) in page.iter().enumerate().filter(|(_, user)| !user.metadata) {
            for (key, _) in user.facts.iter().flat_map(Facts::metadata) {
                by_key.entry(key).or_default().push(at);
            }
        }
        let mut without = Vec::new();
        for (key, users) in by_key.into_iter().take(MOST_KEYS) {
            let ids: Vec<String> = users.iter().map(|at| page[*at].user_id.clone()).collect();
            let found = self.verifier.client.search_by_metadata_key(&ids, key).await?;
            without.extend(users.into_iter().filter(|at| !found.contains(&page[*at].user_id)));
        }
        without.sort_unstable();
        without.dedup();
        Ok(without)
    }

    /// How a user's links differ.
    pub(super) async fn links(&self, user: &Look, facts: &Facts) -> Result<Option<Difference>, Failure> {
        self.patiently(async || {
            let current = self.verifier.client.links(&user.user_id).await?;
            Ok(compare::links(facts, &current, self.salt(&user.user_id)))
        })
        .await
    }

    /// The second factors that should be there and are not. A recovery code works once: only whoever was never given any
    /// lacks them.
    pub(super) async fn factors(&self, user: &Look) -> Result<Vec<Difference>, Failure> {
        let client = &self.verifier.client;
        let mut out = self.codes(user).await?;
        let Some(facts) = &user.facts else { return Ok(out) };
        if facts.has(Flag::RecoveryCodes)
            && !client.authentication_methods(&user.user_id).await?.iter().any(|method| method == RECOVERY_CODES)
            && self.newest(user, &[kind::RECOVERY_CODES_ADDED]).await?.is_none()
        {
            out.push(Difference::new("recovery-codes", Some("has none".to_owned())));
        }
        if facts.has(Flag::Totp) {
            let difference = self.patiently(async || {
                let listed = client.authentication_methods(&user.user_id).await?.iter().any(|method| method == TOTP);
                Ok((!listed).then(|| Difference::new("totp", Some("has none".to_owned()))))
            });
            out.extend(difference.await?);
        }
        Ok(out)
    }

    /// The codes by SMS and e-mail that should be among the second factors and are not. What somebody took away in ZITADEL is
    /// no difference.
    async fn codes(&self, user: &Look) -> Result<Vec<Difference>, Failure> {
        let client = &self.verifier.client;
        let mut out = Vec::new();
        for kind in &user.codes {
            let difference = self.patiently(async || {
                let methods = client.authentication_methods(&user.user_id).await?;
                if methods.iter().any(|method| method == kind.method()) {
                    return Ok(None);
                }
                let types: Vec<&str> = std::iter::once(kind.added()).chain(kind.removed().iter().copied()).collect();
                let newest = self.newest(user, &types).await?;
                let taken_away = newest.is_some_and(|newest| newest != kind.added());
                let detail = Some("has none".to_owned());
                Ok((!taken_away).then(|| Difference::new(kind.difference(), detail)))
            });
            out.extend(difference.await?);
        }
        Ok(out)
    }

    /// The newest event of these kinds in the present life of a user; `None`, too, if the account may not read events.
    async fn newest(&self, user: &Look, kinds: &[&str]) -> Result<Option<String>, Failure> {
        match self.verifier.client.life(&user.user_id, kinds).await {
            Err(Failure::NoPermission(_)) => Ok(None),
            life => Ok(life?.newest().map(|event| event.kind.clone())),
        }
    }

    /// Looks until there is no difference: no barrier waits for these projections, and what is missing may only be late.
    async fn patiently(
        &self,
        look: impl AsyncFn() -> Result<Option<Difference>, Failure>,
    ) -> Result<Option<Difference>, Failure> {
        let patient = self.waited.load(Ordering::Relaxed) < MOST_WAITS;
        let mut difference = look().await?;
        for _ in 1..if patient { LOOKS } else { 1 } {
            if difference.is_none() {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            difference = look().await?;
        }
        if difference.is_some() {
            self.waited.fetch_add(1, Ordering::Relaxed);
        }
        Ok(difference)
    }

    /// Users whose grants are not what they have from us. The search reads a projection: where somebody differs,
    /// it is waited for and asked once more.
    pub(super) async fn roles(&self, ids: &[String]) -> Result<BTreeMap<String, Difference>> {
        let verifier = self.verifier;
        let wanted = verifier.ledger.read(|c| grants::grants_of(c, ids))?;
        let project = verifier.ledger.read(|c| runs::meta(c, crate::structure::make::PROJECT))?;
        let Some(project) = project.filter(|_| !wanted.is_empty()) else { return Ok(BTreeMap::new()) };
        let mut differing = BTreeMap::new();
        for caught_up in [false, true] {
            if caught_up {
                let waited = verifier.client.grants_barrier(verifier.patience).await;
                waited.map_err(|failure| failure.into_error("could not wait for ZITADEL's projections"))?;
            }
            let found = verifier.client.grants(&project, ids).await;
            let found = found.map_err(|failure| failure.into_error("could not read grants back from ZITADEL"))?;
            differing.clear();
            for (user, organization, roles) in &wanted {
                let place = if organization.is_empty() { &verifier.organization_id } else { organization };
                let there = found.iter().find(|g| g.user_id == *user && g.organization_id == *place);
                if there.is_none_or(|there| there.roles != *roles) {
                    let what = if there.is_some() { "other roles" } else { "no grant" };
                    let detail = Some(format!("{what} in organization {}", crate::error::printable(place)));
                    differing.entry(user.clone()).or_insert(Difference::new("roles", detail));
                }
            }
            if differing.is_empty() {
                break;
            }
        }
        Ok(differing)
    }
}
