//! The end of a rollback: what became of everybody, and how the process ends.

use serde_json::json;

use super::{known::Known, listing::Listed, organization::Organization};
use crate::{
    error::{Error, Kind, Result, count},
    ledger::{Ledger, runs},
    rollback::Count,
};

/// A rollback that is over.
#[derive(Debug, Clone)]
pub struct Undone {
    /// What the ledger said before.
    pub known: Known,
    /// What became of the users.
    pub done: Count,
    /// What became of the organization that received the users.
    pub organization: Organization,
    /// What became of roles, the project and the other organizations, a line each.
    pub structure: Vec<String>,
    /// Who is left alone.
    pub left: Listed,
}

impl Undone {
    /// Users that this ledger created, as is known now.
    #[must_use]
    pub fn created(&self) -> u64 {
        let Known { created, in_doubt, .. } = self.known;
        created + in_doubt - self.done.never.min(in_doubt)
    }

    /// Users of whom it is known what became of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.done.deleted + self.done.gone + self.stays()
    }

    /// Users who stay in ZITADEL.
    #[must_use]
    pub fn stays(&self) -> u64 {
        self.done.left + self.done.failed
    }

    /// Keeps the counts with the latest run.
    pub(super) async fn keep(&self, ledger: &Ledger) -> Result<()> {
        let Some(run) = self.known.run else { return Ok(()) };
        let note = json!({
            "at": runs::now(),
            "deleted": self.done.deleted + self.known.removed,
            "gone": self.done.gone,
            "left_alone": self.done.left,
            "failed": self.done.failed,
            "organization_deleted": self.organization == Organization::Deleted,
        });
        ledger.write(move |t| runs::note_rollback(t, run, &note.to_string())).await
    }

    /// How the process ends.
    ///
    /// # Errors
    /// Of kind `Internal` if the counts do not balance; `Incomplete` if somebody, or the organization, stays.
    pub fn end(&self) -> Result<()> {
        let (created, stays) = (self.created(), self.stays());
        if self.sum() != created {
            let done = self.done;
            return Err(Error::internal(format!("the rollback does not balance: {created} created, {done:?}")));
        }
        match &self.organization {
            _ if stays > 0 => {
                let verb = if stays == 1 { "was" } else { "were" };
                let text = format!("rolled back; {} {verb} left in ZITADEL", count(stays, "user"));
                Err(Error::new(Kind::Incomplete, text).hint(format!("`{}` says who and why", self.left.path.display())))
            }
            Organization::Stays(why) => {
                Err(Error::new(Kind::Incomplete, "rolled back; the organization was left in ZITADEL")
                    .because(why.clone())
                    .hint(
                        "take out what is not this ledger's and run `a2z rollback` again, or delete it in the console",
                    ))
            }
            Organization::NotOurs | Organization::Deleted => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(done: Count, organization: Organization) -> Undone {
        let known = Known {
            created: 3,
            in_doubt: 2,
            existed: 1,
            removed: 0,
            accounts: vec!["me".into()],
            organization: Some("o".into()),
            created_organization: None,
            run: Some(1),
            elsewhere: false,
            structure: false,
        };
        let left = Listed { path: "rollback.ndjson".into(), ..Listed::default() };
        Undone { known, done, organization, structure: Vec::new(), left }
    }

    fn exit_code(done: Count, organization: Organization) -> u8 {
        undone(done, organization).end().map_or_else(|error| error.kind().exit_code(), |()| 0)
    }

    #[test]
    fn the_counts_decide_the_exit_code() {
        let whole = Count { deleted: 4, gone: 1, ..Count::default() };
        assert_eq!(exit_code(whole, Organization::NotOurs), 0);
        assert_eq!(exit_code(whole, Organization::Deleted), 0);
        assert_eq!(exit_code(whole, Organization::Stays("an account is in it".into())), 3);
        assert_eq!(exit_code(Count { gone: 0, left: 1, ..whole }, Organization::NotOurs), 3);
        assert_eq!(exit_code(Count { gone: 0, failed: 1, ..whole }, Organization::NotOurs), 3);
        assert_eq!(exit_code(Count { gone: 0, ..whole }, Organization::NotOurs), 1, "somebody is not accounted for");
    }

    #[test]
    fn a_user_in_doubt_who_was_never_created_counts_as_nobody() {
        let done = Count { deleted: 3, never: 2, ..Count::default() };
        assert_eq!(undone(done, Organization::NotOurs).created(), 3);
        assert_eq!(exit_code(done, Organization::NotOurs), 0);
    }
}
