//! Looks at what ZITADEL holds of the users to update, so that the plan tells who keeps a value that was changed there. The
//! import decides again by what it finds then.

use std::collections::HashMap;

use crate::{
    config::Conflicts,
    error::Result,
    ledger::{
        Ledger,
        import_queries::put_merged,
        keep_queries::{ToUpdate, to_update},
    },
    mapping::{
        delta::{Delta, Part, Parts, Sides},
        facts::Salt,
        finding::{Finding, FindingCode},
    },
    zitadel::{client::Client, search::FoundUser},
};

/// Ids in one search.
const CHUNK: usize = 500;

/// Looks at the users whom `run` would update, and puts what they keep into their findings.
///
/// # Errors
/// When ZITADEL cannot be asked, or the ledger fails.
pub async fn look(client: &Client, ledger: &Ledger, run: i64, key: [u8; 16], conflicts: Conflicts) -> Result<()> {
    let mut after = 0;
    loop {
        let users = to_update(&ledger.reader()?, run, after, CHUNK)
            .map_err(|error| crate::ledger::failure(ledger.path(), &error))?;
        let Some(last) = users.last() else { return Ok(()) };
        after = last.id;
        let ids: Vec<String> = users.iter().map(|user| user.user_id.clone()).collect();
        let found = client.search_by_ids(&ids).await;
        let found = found.map_err(|failure| failure.into_error("could not look users up in ZITADEL"))?;
        let found: HashMap<&str, &FoundUser> = found.users.iter().map(|user| (user.user_id.as_str(), user)).collect();
        let merged: Vec<(String, Vec<Finding>)> = users
            .iter()
            .filter_map(|user| {
                let held = found.get(user.user_id.as_str())?;
                let findings = findings(&delta(user, held, &key, conflicts), &[], &[], &[]);
                (!findings.is_empty()).then(|| (user.user_id.clone(), findings))
            })
            .collect();
        if !merged.is_empty() {
            ledger.write(move |t| merged.iter().try_for_each(|(id, found)| put_merged(t, id, found))).await?;
        }
    }
}

fn delta(user: &ToUpdate, found: &FoundUser, key: &[u8; 16], conflicts: Conflicts) -> Delta {
    let sides = Sides {
        base: user.facts.as_ref(),
        sent: None,
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

/// What a merge came to, for the reports: names of fields and of metadata keys, never a value.
#[must_use]
pub fn findings(delta: &Delta, kept: &[String], conflicts: &[String], overwritten: &[String]) -> Vec<Finding> {
    let about = |code: FindingCode, parts: Parts, more: &[String]| {
        let words: Vec<String> = parts.words().map(str::to_owned).chain(more.iter().cloned()).collect();
        (!words.is_empty()).then(|| Finding::about(code, words.join(", ")))
    };
    [
        about(FindingCode::FieldKept, delta.kept, kept),
        about(FindingCode::FieldConflict, delta.conflicts, conflicts),
        about(FindingCode::FieldOverwritten, delta.overwritten, overwritten),
    ]
    .into_iter()
    .flatten()
    .collect()
}
