//! Users that ZITADEL deleted and still shows: its users projection passed over the deletion, for good. A search finds them,
//! and nobody can sign in as one of them. Seen on a real instance after some thousands of deletions at a time. Only the
//! events tell.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::{
    client::Client,
    events::{EventQuery, OVERLAP, kind},
    failure::Failure,
};

/// Up to so many users are asked for one by one.
const FEW: usize = 20;
/// And up to so many of whom it is known that they were deleted once.
const FEW_ONCE_DELETED: usize = 200;

/// Everybody who was ever deleted, as far as it was read, and when first.
#[derive(Debug, Clone, Default)]
pub struct Deletions {
    first: HashMap<String, Timestamp>,
    read_to: Option<Timestamp>,
}

impl Client {
    /// Which of these users, whom a search found, are deleted. None, where the account may not read events.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn deleted(&self, ids: &[String]) -> Result<HashSet<String>, Failure> {
        self.deleted_of(ids, &Mutex::default()).await
    }

    /// The same, for who asks again and again: what was read before is not read once more.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn deleted_of(&self, ids: &[String], known: &Mutex<Deletions>) -> Result<HashSet<String>, Failure> {
        let found = if ids.len() <= FEW { self.deleted_few(ids).await } else { self.deleted_many(ids, known).await };
        match found {
            Err(Failure::NoPermission(_)) => Ok(HashSet::new()),
            found => found,
        }
    }

    /// How many users an organization really has: without those who are deleted and still shown. Of more than twenty none
    /// is looked at.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn users_of(&self, organization_id: &str) -> Result<u64, Failure> {
        let (shown, total) = self.first_users_of(organization_id, FEW + 1).await?;
        if shown.len() > FEW {
            return Ok(total);
        }
        let deleted = self.deleted(&shown).await?;
        // Whom ZITADEL counts and does not show counts.
        Ok(total.saturating_sub(deleted.len() as u64))
    }

    async fn deleted_few(&self, ids: &[String]) -> Result<HashSet<String>, Failure> {
        let mut deleted = HashSet::new();
        for id in ids {
            let query =
                EventQuery { aggregate_id: Some(id.clone()), limit: 1, ..EventQuery::of_kinds(&kind::USER_LIFE) };
            if self.events(&query).await?.first().is_some_and(|newest| newest.kind == kind::USER_REMOVED) {
                deleted.insert(id.clone());
            }
        }
        Ok(deleted)
    }

    async fn deleted_many(&self, ids: &[String], known: &Mutex<Deletions>) -> Result<HashSet<String>, Failure> {
        let mut known = known.lock().await;
        let known = &mut *known;
        // Most instances have few deletions, and many creations.
        let since = known.read_to.unwrap_or(Timestamp::MIN);
        self.each_event(&[kind::USER_REMOVED], since, |event| {
            let Some(at) = event.created else { return };
            let back = at.checked_sub(OVERLAP).unwrap_or(at);
            known.read_to = Some(known.read_to.map_or(back, |before| before.max(back)));
            known.first.entry(event.aggregate_id).or_insert(at);
        })
        .await?;
        let once: Vec<String> = ids.iter().filter(|id| known.first.contains_key(*id)).cloned().collect();
        if once.len() <= FEW_ONCE_DELETED {
            return self.deleted_few(&once).await;
        }
        let ids: HashSet<&str> = once.iter().map(String::as_str).collect();
        let Some(first) = once.iter().filter_map(|id| known.first.get(id)).min().copied() else {
            return Ok(HashSet::new());
        };
        let mut newest = HashMap::new();
        let whole = self.each_event(&kind::USER_LIFE, first.checked_sub(OVERLAP).unwrap_or(first), |event| {
            if ids.contains(event.aggregate_id.as_str()) {
                let known = newest.entry(event.aggregate_id).or_insert((0, false));
                *known = (*known).max((event.sequence, event.kind == kind::USER_REMOVED));
            }
        });
        let whole = whole.await?;
        let gone = newest.into_iter().filter(|(_, (_, removed))| *removed).map(|(id, _)| id);
        if whole { Ok(gone.collect()) } else { self.deleted_few(&gone.collect::<Vec<_>>()).await }
    }
}
