//! UNDO: deletes exactly the users that this ledger created.
//!
//! Nobody is deleted on the ledger's word alone: ZITADEL is asked who made the user and who changed it since. Every
//! deletion is committed to the ledger, and a deletion may be sent twice: stopped at any point, it goes on when run again.
//! This file has the only tasks of a rollback.

pub mod changes;
mod hidden;

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use tokio::task::JoinSet;

use self::changes::{Changes, Seen};
use crate::{
    error::{Error, Result},
    event::Running,
    ledger::{
        Ledger,
        users::{self, Candidate, Which},
    },
    ownership::{CLOCKS, Claim, Evidence, Ownership, Us},
    stop::Stop,
    zitadel::{barrier::Looks, client::Client, events::Change, failure::Failure, search::FoundUser},
};

/// Users that are looked up in one search.
const CHUNK: usize = 500;
/// Deletions under way at a time, unless `import.concurrency` says otherwise.
const CONCURRENCY: u32 = 8;
/// How many users may refuse to go before the whole is given up.
const MOST_FAILED: u64 = 20;
/// For the projections to catch up.
const PATIENCE: Duration = Duration::from_mins(10);

/// Why a user is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Changed by somebody else since.
    Changed(Change, String),
    /// Somebody else created a user with this id.
    CreatedByOthers,
    /// It cannot be told who created the user.
    OwnerUnknown,
    /// The user is in another organization now.
    AnotherOrganization(String),
    /// ZITADEL refused.
    Failed(String),
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Changed(kind, _) => kind.code(),
            Self::CreatedByOthers => "created-by-others",
            Self::OwnerUnknown => "owner-unknown",
            Self::AnotherOrganization(_) => "another-organization",
            Self::Failed(_) => "failed",
        }
    }

    /// What about it.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::CreatedByOthers | Self::OwnerUnknown => None,
            Self::Changed(_, detail) | Self::AnotherOrganization(detail) | Self::Failed(detail) => Some(detail),
        }
    }
}

/// A user who stays.
#[derive(Debug, Clone)]
pub struct Left {
    /// Whose.
    pub user_id: String,
    /// The connection in Auth0, where it is known.
    pub connection: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// What is done, or to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Deleted, or to be deleted.
    pub deleted: u64,
    /// Not in ZITADEL any more.
    pub gone: u64,
    /// Left alone.
    pub left: u64,
    /// ZITADEL refused.
    pub failed: u64,
    /// In doubt, and never created.
    pub never: u64,
}

/// What is to become of one user.
enum Verdict {
    Delete,
    Gone,
    Leave(Reason),
}

/// How one deletion ended.
enum Ended {
    Deleted,
    Gone,
    Failed(String),
}

/// A rollback.
#[derive(Debug)]
pub struct Rollback {
    /// To ZITADEL.
    pub client: Client,
    /// The ledger.
    pub ledger: Ledger,
    /// Where the users are.
    pub organization_id: String,
    /// What tells this ledger's work from that of others.
    pub us: Us,
    /// Deletes changed users, too.
    pub include_changed: bool,
    /// Deletions at a time.
    pub concurrency: Option<u32>,
    /// How it is stopped.
    pub stop: Stop,
}

impl Rollback {
    /// Goes over everybody without deleting: what a rollback would do now. `left` is called for everybody who stays.
    /// `changes`: none where events may not be read.
    ///
    /// # Errors
    /// When ZITADEL or the ledger cannot be read, or the run is stopped.
    pub async fn survey(
        &self,
        changes: Option<&mut Changes>,
        mut left: impl FnMut(Left) -> Result<()>,
    ) -> Result<Count> {
        self.catch_up().await?;
        let changes = match changes {
            Some(changes) => {
                self.read_events(changes).await?;
                Some(&*changes)
            }
            None => None,
        };
        let mut count = Count::default();
        let mut after = 0;
        while let Some(chunk) = self.chunk(Which::Created, &mut after)? {
            self.check_stopped()?;
            let found = self.look_up(&chunk).await?;
            for candidate in chunk {
                match self.judge(&candidate, found.get(&candidate.user_id), changes) {
                    Verdict::Leave(reason) => {
                        count.left += 1;
                        left(Left { user_id: candidate.user_id, connection: candidate.connection, reason })?;
                    }
                    Verdict::Delete if found.contains_key(&candidate.user_id) => count.deleted += 1,
                    Verdict::Delete | Verdict::Gone => count.gone += 1,
                }
            }
        }
        Ok(count)
    }

    /// Deletes.
    ///
    /// # Errors
    /// The first thing that ends it; what was in flight is settled first. Run again to go on.
    pub async fn delete(
        &self,
        mut changes: Option<&mut Changes>,
        progress: &Running,
        mut left: impl FnMut(Left) -> Result<()>,
    ) -> Result<Count> {
        let mut count = Count::default();
        for which in [Which::Created, Which::InDoubt] {
            let mut after = 0;
            while let Some(chunk) = self.chunk(which, &mut after)? {
                self.check_stopped()?;
                let found = match which {
                    Which::Created => self.look_up(&chunk).await?,
                    Which::InDoubt => self.look_until_still(&chunk).await?,
                };
                // Whoever signed in since the plan was shown is left alone, too.
                if let Some(changes) = changes.as_deref_mut() {
                    self.read_events(changes).await?;
                }
                let changes = changes.as_deref();
                let mut doomed = Vec::new();
                for candidate in chunk {
                    match self.judge(&candidate, found.get(&candidate.user_id), changes) {
                        Verdict::Delete => doomed.push(candidate),
                        Verdict::Gone => {
                            self.settle_gone(&candidate, which, &mut count).await?;
                        }
                        Verdict::Leave(reason) => {
                            count.left += 1;
                            left(Left { user_id: candidate.user_id, connection: candidate.connection, reason })?;
                        }
                    }
                }
                self.take_hidden_grants(&doomed).await?;
                self.delete_all(doomed, which, &mut count, progress, &mut left).await?;
            }
        }
        Ok(count)
    }

    /// Deletes these, several at a time. What was begun is waited for, whatever happens.
    async fn delete_all(
        &self,
        doomed: Vec<Candidate>,
        which: Which,
        count: &mut Count,
        progress: &Running,
        left: &mut impl FnMut(Left) -> Result<()>,
    ) -> Result<()> {
        let most = self.concurrency.unwrap_or(CONCURRENCY).max(1) as usize;
        let (mut doomed, mut tasks) = (doomed.into_iter(), JoinSet::new());
        let mut stopped = None;
        loop {
            while stopped.is_none() && tasks.len() < most {
                if self.stop.drain.is_cancelled() {
                    stopped = Some(Stop::error());
                } else if let Some(candidate) = doomed.next() {
                    let (client, ledger) = (self.client.clone(), self.ledger.clone());
                    tasks.spawn(async move {
                        let ended = delete_one(&client, &ledger, &candidate.user_id, which).await;
                        (candidate, ended)
                    });
                } else {
                    break;
                }
            }
            let Some(joined) = tasks.join_next().await else { break };
            progress.advanced(count.deleted + count.gone + count.left + count.failed, None);
            let ended = joined
                .map_err(|error| Error::internal("a deletion stopped unexpectedly").caused_by(&error))
                .and_then(|(candidate, ended)| Ok((candidate, ended?)));
            match ended {
                Ok((_, Ended::Deleted)) => count.deleted += 1,
                Ok((_, Ended::Gone)) if which == Which::InDoubt => count.never += 1,
                Ok((_, Ended::Gone)) => count.gone += 1,
                Ok((candidate, Ended::Failed(detail))) => {
                    count.failed += 1;
                    if count.failed > MOST_FAILED {
                        let error = Error::gave_up("ZITADEL refuses to delete user after user").because(detail.clone());
                        stopped.get_or_insert(error.hint("run `a2z rollback` again to go on"));
                    }
                    let reason = Reason::Failed(detail);
                    left(Left { user_id: candidate.user_id, connection: candidate.connection, reason })?;
                }
                Err(error) => {
                    stopped.get_or_insert(error);
                }
            }
        }
        stopped.map_or(Ok(()), Err)
    }

    /// What is to become of this user?
    fn judge(&self, candidate: &Candidate, found: Option<&FoundUser>, changes: Option<&Changes>) -> Verdict {
        let created = found.and_then(|found| time(found.created.as_ref()));
        if candidate.settled_at.is_none() && self.us.is_early(created) {
            return Verdict::Leave(Reason::CreatedByOthers);
        }
        let changed = match changes.map(|changes| changes.of(&candidate.user_id)) {
            Some(Some(Seen::Theirs)) => return Verdict::Leave(Reason::CreatedByOthers),
            Some(Some(Seen::Gone)) => return Verdict::Gone,
            Some(Some(Seen::Changed { kind, event, at })) => {
                let at = at.map_or_else(String::new, |at| format!(" at {at:.0}"));
                Some((*kind, format!("{event}{at}")))
            }
            Some(None) => None,
            None => {
                let organization = candidate.organization.as_ref().unwrap_or(&self.organization_id);
                match judge_by_times(candidate, organization, found, &self.us) {
                    Some(Reason::Changed(kind, detail)) => Some((kind, detail)),
                    Some(reason) => return Verdict::Leave(reason),
                    // A deletion by id may hit somebody that no search shows yet.
                    None if found.is_none() && candidate.settled_at.is_none() => return Verdict::Gone,
                    None => None,
                }
            }
        };
        // Nobody to be found: gone, or a ghost that no search shows. A deletion by id finds out.
        if let Some(found) = found {
            if found.organization_id != *candidate.organization.as_ref().unwrap_or(&self.organization_id) {
                return Verdict::Leave(Reason::AnotherOrganization(found.organization_id.clone()));
            }
            if !found.is_human {
                return Verdict::Leave(Reason::CreatedByOthers);
            }
        }
        match changed {
            Some((kind, detail)) if !self.include_changed => Verdict::Leave(Reason::Changed(kind, detail)),
            _ => Verdict::Delete,
        }
    }

    fn chunk(&self, which: Which, after: &mut i64) -> Result<Option<Vec<Candidate>>> {
        let chunk = self.ledger.read(|c| users::candidates(c, which, *after, CHUNK))?;
        Ok(chunk.last().map(|last| last.row).map(|row| {
            *after = row;
            chunk
        }))
    }

    async fn look_up(&self, chunk: &[Candidate]) -> Result<HashMap<String, FoundUser>> {
        let ids: Vec<String> = chunk.iter().map(|candidate| candidate.user_id.clone()).collect();
        let answer = self.client.search_by_ids(&ids).await;
        let users = answer.map_err(|failure| failure.into_error("could not look users up in ZITADEL"))?.users;
        Ok(users.into_iter().map(|user| (user.user_id.clone(), user)).collect())
    }

    /// Users in doubt: a request without an answer goes on for a moment.
    async fn look_until_still(&self, chunk: &[Candidate]) -> Result<HashMap<String, FoundUser>> {
        let mut looks = Looks::default();
        loop {
            self.catch_up().await?;
            let found = self.look_up(chunk).await?;
            let is_whole = found.len() == chunk.len();
            if let Some(found) = looks.last(found, is_whole).await {
                return Ok(found);
            }
        }
    }

    /// Waits until searches show everything that was written.
    async fn catch_up(&self) -> Result<()> {
        self.check_stopped()?;
        let barrier = self.client.barrier(PATIENCE);
        tokio::select! {
            result = barrier => result.map_err(|f| f.into_error("could not wait for ZITADEL's projections")),
            () = self.stop.drain.cancelled() => Err(Stop::error()),
        }
    }

    async fn read_events(&self, changes: &mut Changes) -> Result<()> {
        changes.catch_up(&self.client).await.map_err(|failure| failure.into_error("could not read ZITADEL's events"))
    }

    async fn settle_gone(&self, candidate: &Candidate, which: Which, count: &mut Count) -> Result<()> {
        let user_id = candidate.user_id.clone();
        match which {
            Which::Created => count.gone += 1,
            Which::InDoubt => count.never += 1,
        }
        self.ledger.write(move |t| users::removed(t, &user_id, false)).await
    }

    fn check_stopped(&self) -> Result<()> {
        if self.stop.drain.is_cancelled() { Err(Stop::error()) } else { Ok(()) }
    }
}

/// Why a user is left alone by what the search shows, if events may not be read: it knows no sign-ins.
fn judge_by_times(candidate: &Candidate, organization: &str, found: Option<&FoundUser>, us: &Us) -> Option<Reason> {
    let found = found?;
    let claim = Claim { organization, settled_at: candidate.settled_at };
    match us.owner_of_user(claim, Evidence::Shown(Some(found))) {
        Ownership::Theirs if found.organization_id != organization => {
            return Some(Reason::AnotherOrganization(found.organization_id.clone()));
        }
        Ownership::Theirs | Ownership::Absent => return Some(Reason::CreatedByOthers),
        Ownership::CannotTell => return Some(Reason::OwnerUnknown),
        Ownership::Ours => {}
    }
    let ours = candidate.settled_at?.checked_add(us.clock + CLOCKS).ok()?;
    if let Some(at) = time(found.password_changed.as_ref()).filter(|at| *at > ours) {
        return Some(Reason::Changed(Change::Password, format!("password changed at {at:.0}")));
    }
    if candidate.keeps {
        return Some(Reason::Changed(Change::Changed, "a value was changed in ZITADEL, and a run kept it".to_owned()));
    }
    let at = time(found.changed.as_ref()).filter(|at| *at > ours)?;
    Some(Reason::Changed(Change::Changed, format!("changed at {at:.0}")))
}

fn time(text: Option<&String>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}

/// Deletes one user and commits it.
async fn delete_one(client: &Client, ledger: &Ledger, user_id: &str, which: Which) -> Result<Ended> {
    let deleted = match client.delete_user(user_id).await {
        Ok(deleted) => deleted,
        // One user's own trouble, after all attempts, costs one user.
        Err(Failure::Refused { status, id, message, .. }) => {
            let id = id.map_or_else(String::new, |id| format!(", {id}"));
            return Ok(Ended::Failed(format!("HTTP {status}{id}: {message}")));
        }
        // Of another organization by now, perhaps: where it is everybody, it is given up soon.
        Err(Failure::NoPermission(_)) => {
            return Ok(Ended::Failed("the service account may not delete the user".into()));
        }
        Err(failure) => {
            return Err(failure.into_error("could not delete a user").hint("run `a2z rollback` again to go on"));
        }
    };
    let user_id = user_id.to_owned();
    ledger
        .write(move |t| match (deleted, which) {
            (false, Which::InDoubt) => users::never_created(t, &user_id),
            (deleted, _) => users::removed(t, &user_id, deleted),
        })
        .await?;
    Ok(if deleted { Ended::Deleted } else { Ended::Gone })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn times_tell_where_events_cannot_be_read() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let candidate = Candidate {
            row: 1,
            user_id: "a".into(),
            connection: None,
            settled_at: Some(at(0)),
            organization: None,
            keeps: false,
        };
        let in_doubt = Candidate { settled_at: None, ..candidate.clone() };
        let of = |candidate: &Candidate, clock: i64, created: i64, changed: i64, password: Option<i64>| {
            let found = FoundUser {
                created: Some(at(created).to_string()),
                changed: Some(at(changed).to_string()),
                password_changed: password.map(|second| at(second).to_string()),
                organization_id: "org".into(),
                is_human: true,
                ..FoundUser::default()
            };
            let us = Us { clock: SignedDuration::from_secs(clock), ..Us::default() };
            judge_by_times(candidate, "org", Some(&found), &us).map(|reason| reason.code())
        };
        let judge = |created, changed, password| of(&candidate, 0, created, changed, password);
        assert_eq!(judge(-1, -1, Some(-1)), None);
        assert_eq!(judge(-1, 4, None), None, "clocks differ");
        assert_eq!(judge(-1, 6, None), Some("changed"));
        assert_eq!(judge(-1, -1, Some(60)), Some("new-password"));
        assert_eq!(judge(60, 60, Some(60)), Some("created-by-others"));
        // ZITADEL's clock is ten minutes behind, or ahead.
        assert_eq!(of(&candidate, -600, -601, -601, None), None);
        assert_eq!(of(&candidate, -600, -601, -500, None), Some("changed"));
        assert_eq!(of(&candidate, 600, 599, 599, Some(599)), None);
        assert_eq!(of(&in_doubt, 0, 60, 100, None), Some("owner-unknown"), "somebody else may have been quicker");
        assert_eq!(judge_by_times(&candidate, "org", None, &Us::default()), None);
        let elsewhere = judge_by_times(&candidate, "org", Some(&FoundUser::default()), &Us::default());
        assert_eq!(elsewhere.map(|reason| reason.code()), Some("another-organization"));
    }
}
