//! Looks at what ZITADEL holds of the users to update, so that the plan tells who keeps a value that was changed there. The
//! import decides again by what it finds then.

use std::collections::HashMap;

use crate::{
    error::{Error, Result},
    ledger::{
        Ledger,
        users::{ToUpdate, put_merged, to_update},
    },
    mapping::settings::Conflicts,
    mapping::{
        delta::{Delta, Gone, MetadataDelta, MetadataSides, Sides, findings},
        facts::Salt,
        finding::Finding,
        part::Part,
    },
    zitadel::{client::Client, failure::Failure, search::FoundUser},
};

/// Ids in one search.
const CHUNK: usize = 500;

/// The most users whose metadata is read, one request per user: beyond that, metadata is looked at when it is written.
const MOST_METADATA: usize = 1_000;

/// Looks at the users that `run` would update, and puts what they keep into their findings.
///
/// # Errors
/// When ZITADEL cannot be asked, or the ledger fails.
pub async fn look(client: &Client, ledger: &Ledger, run: i64, key: [u8; 16], conflicts: Conflicts) -> Result<()> {
    let (mut after, mut budget) = (0, MOST_METADATA);
    loop {
        let users = ledger.read(|c| to_update(c, run, after, CHUNK))?;
        let Some(last) = users.last() else { return Ok(()) };
        after = last.id;
        let ids: Vec<String> = users.iter().map(|user| user.user_id.clone()).collect();
        let found = client.search_by_ids(&ids).await.map_err(failed)?;
        let found: HashMap<&str, &FoundUser> = found.users.iter().map(|user| (user.user_id.as_str(), user)).collect();
        let mut merged: Vec<(String, Vec<Finding>)> = Vec::new();
        for user in &users {
            let Some(held) = found.get(user.user_id.as_str()) else { continue };
            let delta = delta(user, held, &key, conflicts);
            let mut metadata = MetadataDelta::default();
            if budget > 0 && user.has_metadata() {
                budget -= 1;
                let held = client.user_metadata(&user.user_id).await.map_err(failed)?;
                metadata = user.sides(&key, conflicts, &held).delta(Gone::Removed);
            }
            let findings = findings(&delta, &metadata, &[]);
            if !findings.is_empty() {
                merged.push((user.user_id.clone(), findings));
            }
        }
        if !merged.is_empty() {
            ledger.write(move |t| merged.iter().try_for_each(|(id, found)| put_merged(t, id, found))).await?;
        }
    }
}

fn failed(failure: Failure) -> Error {
    failure.into_error("could not look at the users to update in ZITADEL")
}

impl ToUpdate {
    fn has_metadata(&self) -> bool {
        [Some(&self.want), self.facts.as_ref()].into_iter().flatten().any(|facts| !facts.metadata().is_empty())
    }

    fn sides<'a>(
        &'a self,
        key: &'a [u8; 16],
        conflicts: Conflicts,
        held: &'a HashMap<String, Vec<u8>>,
    ) -> MetadataSides<'a> {
        let salt = Salt { key, user_id: &self.user_id };
        MetadataSides { base: self.facts.as_ref(), sent: self.sent.as_ref(), ours: &self.want, held, salt, conflicts }
    }
}

fn delta(user: &ToUpdate, found: &FoundUser, key: &[u8; 16], conflicts: Conflicts) -> Delta {
    let sides = Sides {
        base: user.facts.as_ref(),
        sent: user.sent.as_ref(),
        base_inactive: user.have_inactive,
        ours: &user.want,
        salt: Salt { key, user_id: &user.user_id },
        conflicts,
    };
    let mut delta = sides.delta(&found.held());
    if user.has_suffix && delta.conflicts.has(Part::UserName) {
        // The row alone does not say the name with its suffix, which did not change.
        delta.conflicts.set(Part::UserName, false);
        delta.kept.set(Part::UserName, true);
    }
    delta
}
