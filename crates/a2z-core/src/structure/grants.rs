//! Gives users their roles, after they were created: a grant for the tenant's roles in the main organization, and one in
//! each organization that a user is a member of.
//!
//! A grant that was there before, or that somebody changed since, is left alone and reported. What is ours is known from the
//! ledger: it is looked up before the first request, and marked before the request leaves.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    error::{Error, Result, count},
    event::{Events, Stage},
    ledger::{
        Ledger,
        grants::{self, GrantTodo, SettledGrant},
    },
    mapping::finding::FindingCode,
    mapping::settings::Conflicts,
    ownership::{Ownership, Us},
    stop::Stop,
    zitadel::{
        client::Client,
        events::kind,
        failure::{Failure, Reason},
        structure::{Grant, GrantChange, Made, NewGrant},
    },
};

/// Grants that are looked up together; ZITADEL takes 1,000 ids, and gives as many grants a page.
const CHUNK: usize = 400;
/// Grants in one import request. A grant costs it some ten milliseconds.
const BATCH: usize = 100;
/// Passes over what is left, where answers were lost.
const PASSES: u32 = 6;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(500);

/// What the giving needs.
#[derive(Debug)]
pub struct Giver<'a> {
    /// To ZITADEL.
    pub client: &'a Client,
    /// The ledger.
    pub ledger: &'a Ledger,
    /// The run.
    pub run: i64,
    /// The project whose roles they are.
    pub project: String,
    /// The main organization.
    pub organization_id: String,
    /// The account may call the import endpoint.
    pub may_import: bool,
    /// ZITADEL's own limit for an import request.
    pub timeout: Duration,
    /// How long ZITADEL's projections may take.
    pub patience: Duration,
    /// What counts if a grant changed in Auth0 and in ZITADEL.
    pub conflicts: Conflicts,
    /// Who listens.
    pub events: &'a Events,
    /// How it is stopped.
    pub stop: &'a Stop,
    /// ZITADEL said in this pass that it was too much at a time.
    pub throttled: AtomicBool,
}

/// What is to be done with one grant.
enum Step {
    Settle(SettledGrant),
    Create(GrantTodo),
    Change(GrantTodo, String),
}

impl Giver<'_> {
    /// Gives, changes and takes what the plan says, until nothing is left.
    ///
    /// # Errors
    /// When ZITADEL refuses or gives up, the ledger fails, or the run is stopped.
    pub async fn give(&self) -> Result<()> {
        let total = self.left()?;
        if total == 0 {
            return Ok(());
        }
        let stage = self.events.start(Stage::Grants, Some(total));
        self.catch_up().await?;
        let (mut passes, mut patience) = (0, None);
        while passes < PASSES {
            let mut after = (String::new(), String::new());
            loop {
                self.check_stopped()?;
                let chunk = self.ledger.read(|c| grants::grants_todo(c, self.run, (&after.0, &after.1), CHUNK))?;
                let Some(last) = chunk.last() else { break };
                after = (last.user_id.clone(), last.organization.clone());
                self.chunk(chunk).await?;
                stage.advanced(total.saturating_sub(self.left()?), Some(total));
            }
            if self.left()? == 0 {
                stage.finish(total);
                return Ok(());
            }
            if self.throttled.swap(false, Ordering::Relaxed) {
                let patience = patience.get_or_insert_with(|| self.client.patience());
                let Some(wait) = patience.again(None) else {
                    return Err(Failure::Throttled.into_error("could not give roles to users in ZITADEL"));
                };
                self.wait(wait).await?;
            } else {
                passes += 1;
                self.pause().await?;
            }
        }
        let left = self.left()?;
        Err(Error::gave_up(format!("ZITADEL's answers for {} were lost again and again", count(left, "grant")))
            .hint("they are marked as in doubt; run the same command again to settle them"))
    }

    async fn chunk(&self, todo: Vec<GrantTodo>) -> Result<()> {
        let mut ids: Vec<String> = todo.iter().map(|grant| grant.user_id.clone()).collect();
        ids.dedup();
        let found = self.client.grants(&self.project, &ids).await;
        let found = found.map_err(|failure| failure.into_error("could not look up grants in ZITADEL"))?;
        let found: HashMap<(&str, &str), &Grant> =
            found.iter().map(|grant| ((grant.user_id.as_str(), grant.organization_id.as_str()), grant)).collect();
        let (mut settled, mut create, mut change) = (Vec::new(), Vec::new(), Vec::new());
        for mut grant in todo {
            let there = found.get(&(grant.user_id.as_str(), self.organization_of(&grant))).copied();
            if let Some(there) = there.filter(|_| grant.in_doubt && !grant.ours) {
                // Somebody else may have been quicker than the request that was lost.
                grant.in_doubt = self.is_ours(&there.id).await?;
            }
            match step(grant, there, self.conflicts) {
                Step::Settle(one) => settled.push(one),
                Step::Create(grant) => create.push(grant),
                Step::Change(grant, id) => change.push((grant, id)),
            }
        }
        self.settle(settled).await?;
        self.changes(&change).await?;
        // Four at a time: more do not make the import endpoint faster.
        let size = if self.may_import { BATCH } else { create.len().div_ceil(4).max(1) };
        for four in create.chunks(size * 4) {
            self.check_stopped()?;
            self.begin(four).await?;
            let mut batches = four.chunks(size);
            let mut lane = || Box::pin(self.batch(batches.next().unwrap_or_default()));
            let (a, b, c, d) = tokio::join!(lane(), lane(), lane(), lane());
            a.and(b).and(c).and(d)?;
        }
        Ok(())
    }

    async fn batch(&self, grants: &[GrantTodo]) -> Result<()> {
        if grants.is_empty() {
            return Ok(());
        }
        if !self.may_import {
            for grant in grants {
                self.single(grant).await?;
            }
            return Ok(());
        }
        let new: Vec<NewGrant<'_>> = grants
            .iter()
            .map(|grant| NewGrant {
                user_id: &grant.user_id,
                organization_id: self.organization_of(grant),
                roles: grant.want.as_deref().unwrap_or_default(),
            })
            .collect();
        match self.client.import_grants(&self.project, &new, self.timeout).await {
            Ok(given) => {
                let settled = grants.iter().zip(given).filter_map(|(grant, how)| match how {
                    None => Some(given_to(grant)),
                    // It is not said: the next pass looks.
                    Some((None, _)) => None,
                    Some((Some(id), _)) if Reason::of(Some(&id)) == Reason::Taken => exists(grant),
                    Some((Some(id), key)) => Some(refused(grant, &format!("{id}: {key}"))),
                });
                self.settle(settled.collect()).await
            }
            Err(failure) if self.is_in_doubt(&failure) => Ok(()),
            Err(failure) => Err(failure.into_error("could not give roles to users in ZITADEL")),
        }
    }

    pub(super) async fn single(&self, grant: &GrantTodo) -> Result<()> {
        let roles = grant.want.as_deref().unwrap_or_default();
        let sent = self.client.create_grant(&self.project, self.organization_of(grant), &grant.user_id, roles).await;
        let settled = match sent {
            Ok(Made::New) => Some(given_to(grant)),
            // The http layer may have sent it twice; what was there before was looked up.
            Ok(Made::Exists | Made::NameTaken) => exists(grant).map(|_| given_to(grant)),
            Err(Failure::Refused { status: 400..=499, id, message, .. }) => {
                Some(refused(grant, &format!("{}: {message}", id.unwrap_or_default())))
            }
            Err(failure) if self.is_in_doubt(&failure) => None,
            Err(failure) => return Err(failure.into_error("could not give roles to a user in ZITADEL")),
        };
        self.settle(settled.into_iter().collect()).await
    }

    async fn changes(&self, changes: &[(GrantTodo, String)]) -> Result<()> {
        for (grant, id) in changes {
            self.check_stopped()?;
            self.begin(std::slice::from_ref(grant)).await?;
            let change = grant.want.as_ref().map_or(GrantChange::Delete, |roles| GrantChange::Roles(roles));
            let settled = match self.client.change_grant(id, change).await {
                Ok(()) => given_to(grant),
                Err(failure) if failure.reason() == Reason::GrantNotFound => gone(grant),
                Err(Failure::Refused { status: 400..=499, id, message, .. }) => {
                    refused(grant, &format!("{}: {message}", id.unwrap_or_default()))
                }
                Err(failure) if self.is_in_doubt(&failure) => continue,
                Err(failure) => return Err(failure.into_error("could not change a user's roles in ZITADEL")),
            };
            self.settle(vec![settled]).await?;
        }
        Ok(())
    }

    /// Did this ledger give the grant with this id? If that cannot be told, it counts as another's.
    async fn is_ours(&self, grant_id: &str) -> Result<bool> {
        let created = self.client.creation(kind::GRANT_ADDED, grant_id).await;
        let created = created.map_err(|failure| failure.into_error("could not read ZITADEL's events"))?;
        Ok(Us::of(self.ledger)?.owner_by(created.as_ref()) == Ownership::Ours)
    }

    pub(super) fn organization_of<'a>(&'a self, grant: &'a GrantTodo) -> &'a str {
        if grant.organization.is_empty() { &self.organization_id } else { &grant.organization }
    }

    pub(super) async fn begin(&self, grants: &[GrantTodo]) -> Result<()> {
        let grants = grants.to_vec();
        self.ledger.write(move |t| grants::begin_grants(t, &grants)).await
    }

    /// The user has the roles that the grant wants.
    pub(super) async fn given(&self, grant: &GrantTodo) -> Result<()> {
        self.settle(vec![given_to(grant)]).await
    }

    async fn settle(&self, settled: Vec<SettledGrant>) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        self.ledger.write(move |t| grants::settle_grants(t, &settled)).await
    }

    fn left(&self) -> Result<u64> {
        self.ledger.read(|c| grants::count_grants_todo(c, self.run))
    }

    /// A request without an answer goes on for a moment.
    async fn pause(&self) -> Result<()> {
        self.wait(PAUSE).await?;
        self.catch_up().await
    }

    /// The lookup reads a projection, which lags behind.
    pub(super) async fn catch_up(&self) -> Result<()> {
        let barrier = self.client.grants_barrier(self.patience);
        tokio::select! {
            result = barrier => result.map_err(|f| f.into_error("could not wait for ZITADEL's projections")),
            () = self.stop.drain.cancelled() => Err(Stop::error()),
        }
    }

    async fn wait(&self, pause: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stop.drain.cancelled() => Err(Stop::error()),
        }
    }

    /// The answer does not say what was done: the grants stay in doubt, as they are marked, and the next pass looks.
    fn is_in_doubt(&self, failure: &Failure) -> bool {
        // A proxy may say so after the work was done.
        let throttled = matches!(failure, Failure::Throttled);
        if throttled {
            self.throttled.store(true, Ordering::Relaxed);
        }
        throttled || (failure.is_ambiguous() && !matches!(failure, Failure::Cancelled))
    }

    pub(super) fn check_stopped(&self) -> Result<()> {
        if self.stop.drain.is_cancelled() { Err(Stop::error()) } else { Ok(()) }
    }
}

/// What is to be done, given what is `there`. Only grants come here that Auth0 changed, or that are in doubt: if ZITADEL has
/// other roles than a2z gave, both sides changed.
fn step(grant: GrantTodo, there: Option<&Grant>, conflicts: Conflicts) -> Step {
    let may_be_ours = grant.ours || grant.in_doubt;
    match there {
        None if grant.want.is_none() => Step::Settle(given_to(&grant)),
        // Ours once: somebody took it away.
        None if grant.ours && !grant.in_doubt && conflicts == Conflicts::Keep => Step::Settle(gone(&grant)),
        None => Step::Create(grant),
        Some(there) if !may_be_ours => {
            let enough = grant.want.iter().flatten().all(|role| there.roles.contains(role));
            Step::Settle(if enough { not_ours(&grant) } else { existed(&grant) })
        }
        Some(there) if grant.want.as_ref() == Some(&there.roles) => Step::Settle(given_to(&grant)),
        Some(there) if [&grant.have, &grant.sent].iter().any(|roles| roles.as_ref() == Some(&there.roles)) => {
            Step::Change(grant, there.id.clone())
        }
        Some(there) if conflicts == Conflicts::Overwrite => Step::Change(grant, there.id.clone()),
        Some(_) => Step::Settle(kept(&grant, "its roles were changed in ZITADEL")),
    }
}

/// ZITADEL says that there is one, and the lookup before did not find it: ours where a request with just these roles was
/// lost before. Else somebody was quicker, or ZITADEL does not show it: the user may not have the roles. One of ours with
/// other roles is found by the next pass.
fn exists(grant: &GrantTodo) -> Option<SettledGrant> {
    match (grant.in_doubt, grant.sent == grant.want) {
        (true, true) => Some(given_to(grant)),
        (true, false) => None,
        (false, _) => {
            Some(refused(grant, &format!("{}: there is one, and ZITADEL did not show it", Reason::Taken.id())))
        }
    }
}

fn settled(grant: &GrantTodo, have: Option<&Vec<String>>, code: Option<FindingCode>, detail: &str) -> SettledGrant {
    SettledGrant {
        user_id: grant.user_id.clone(),
        organization: grant.organization.clone(),
        have: have.cloned(),
        code: code.map(FindingCode::code),
        detail: (!detail.is_empty()).then(|| detail.to_owned()),
    }
}

fn given_to(grant: &GrantTodo) -> SettledGrant {
    settled(grant, grant.want.as_ref(), None, "")
}

/// Somebody else's, and as good.
fn not_ours(grant: &GrantTodo) -> SettledGrant {
    settled(grant, None, None, "")
}

fn existed(grant: &GrantTodo) -> SettledGrant {
    settled(grant, None, Some(FindingCode::GrantExisted), "")
}

fn kept(grant: &GrantTodo, why: &str) -> SettledGrant {
    settled(grant, grant.have.as_ref(), Some(FindingCode::GrantKept), why)
}

/// Somebody took it away. It stays in the ledger as given, so that no later run gives it again.
fn gone(grant: &GrantTodo) -> SettledGrant {
    match &grant.want {
        None => given_to(grant),
        Some(_) => settled(grant, grant.have.as_ref(), Some(FindingCode::GrantTakenAway), ""),
    }
}

fn refused(grant: &GrantTodo, why: &str) -> SettledGrant {
    settled(grant, grant.have.as_ref(), Some(FindingCode::GrantRefused), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn todo(want: Option<&[&str]>, have: Option<&[&str]>, sent: Option<&[&str]>, doubt: bool) -> GrantTodo {
        let keys = |keys: Option<&[&str]>| keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
        GrantTodo {
            user_id: "u".into(),
            organization: String::new(),
            want: keys(want),
            have: keys(have),
            sent: keys(sent),
            ours: have.is_some(),
            in_doubt: doubt,
        }
    }

    /// `create`, `change`, or the code that it is settled with.
    fn word(grant: GrantTodo, there: Option<&[&str]>) -> String {
        let there = there.map(|roles| Grant {
            id: "1".into(),
            user_id: "u".into(),
            organization_id: "o".into(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        });
        match step(grant, there.as_ref(), Conflicts::Keep) {
            Step::Create(_) => "create".into(),
            Step::Change(..) => "change".into(),
            Step::Settle(settled) => match settled.code {
                Some(code) => code.into(),
                None if settled.have.is_some() => "ours".into(),
                None => "nothing".into(),
            },
        }
    }

    #[test]
    fn what_is_done_hangs_on_what_is_there_and_whose_it_is() {
        type Keys = Option<&'static [&'static str]>;
        let (a, b, ab): (Keys, Keys, Keys) = (Some(&["a"]), Some(&["b"]), Some(&["a", "b"]));
        let cases: &[(Keys, Keys, Keys, bool, Keys, &str)] = &[
            // want, have, sent, in doubt, there
            (a, None, None, false, None, "create"),
            (a, None, None, false, a, "nothing"),
            (a, None, None, false, ab, "nothing"),
            (a, None, None, false, b, "grant-existed"),
            (a, None, a, true, a, "ours"),
            (a, None, b, true, b, "change"),
            (a, None, a, true, None, "create"),
            (a, None, b, true, ab, "grant-kept"),
            (ab, a, None, false, a, "change"),
            (ab, a, ab, true, ab, "ours"),
            (ab, a, None, false, b, "grant-kept"),
            (ab, a, None, false, None, "grant-taken-away"),
            (None, a, None, false, a, "change"),
            (None, a, None, false, None, "nothing"),
            (None, a, None, false, b, "grant-kept"),
            (Some(&[]), None, None, false, None, "create"),
            (Some(&[]), None, None, false, a, "nothing"),
        ];
        for (want, have, sent, doubt, there, expected) in cases {
            assert_eq!(
                word(todo(*want, *have, *sent, *doubt), *there),
                *expected,
                "{want:?} {have:?} {sent:?} {doubt} {there:?}"
            );
        }
    }
}
