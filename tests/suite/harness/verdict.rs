//! What became of everybody, in figures, where a table is wanted and not the first difference.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde_json::Value;

use super::{Expected, Fate, World};

/// Figures that must all be 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Were to be moved and are not in the store.
    pub(crate) lost: Vec<String>,
    /// In the store more than once, or nobody moved them.
    pub(crate) doubled: Vec<String>,
    /// In the store with something missing or different.
    pub(crate) incomplete: Vec<String>,
    /// Moved, and said to be rejected, skipped, unknown, or somebody else's.
    pub(crate) false_outcomes: Vec<String>,
    /// Messages that users would have got.
    pub(crate) mails: usize,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl World {
    /// Compares the store and the outcomes with what was exported. `assert_balanced` is not part of it.
    pub(crate) fn verdict(&self) -> Verdict {
        let fates = Expected::of(self.tenant());
        let (store, users) = (self.store(), fates.users());
        let mut verdict = Verdict { mails: self.mails().len(), ..Verdict::default() };
        for (id, person) in &users {
            let Some(found) = store.get(*id) else {
                verdict.lost.push((*id).to_owned());
                continue;
            };
            if found.created_count != 1 {
                verdict.doubled.push((*id).to_owned());
            }
            if catch_unwind(AssertUnwindSafe(|| person.assert_is(found, &self.zitadel.organization_id))).is_err() {
                verdict.incomplete.push((*id).to_owned());
            }
        }
        verdict.doubled.extend(store.keys().filter(|id| !users.contains_key(id.as_str())).cloned());
        let lines: HashMap<u64, Value> =
            self.outcomes().into_iter().map(|line| (line["line"].as_u64().unwrap(), line)).collect();
        for (index, fate) in fates.fates.iter().enumerate() {
            let line = lines.get(&(index as u64 + 1)).unwrap_or(&Value::Null);
            let right = match fate {
                Fate::Moved(_) => {
                    matches!(line["outcome"].as_str(), Some("created" | "updated" | "unchanged"))
                        && line["code"].is_null()
                }
                Fate::Rejected(code) => {
                    (line["outcome"].as_str(), line["code"].as_str()) == (Some("rejected"), Some(code))
                }
                Fate::Skipped(code) => {
                    (line["outcome"].as_str(), line["code"].as_str()) == (Some("skipped"), Some(code))
                }
            };
            if !right {
                verdict.false_outcomes.push(line.to_string());
            }
        }
        verdict
    }
}
