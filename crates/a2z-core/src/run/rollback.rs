//! A rollback: what this ledger did is undone. It needs neither Auth0 nor any file but the ledger.

mod known;
mod listing;
mod organization;
mod undone;

use serde_json::json;

use self::{
    known::{belongs, known, organization_id},
    listing::Listing,
    organization::{delete_organization, structure},
};
use super::{
    folder::Folder,
    providers::delete_created,
    work::{Stopped, Work},
};
use crate::{
    error::{Kind, Result},
    event::Stage,
    ledger::{Ledger, runs},
    ownership::Us,
    rollback::{Count, Rollback, changes::Changes},
    zitadel::{client::Client, failure::Failure},
};

pub use self::{known::Known, listing::Listed, organization::Organization, undone::Undone};

/// A rollback that knows whom it deletes and whom it leaves. Nothing is deleted yet.
#[derive(Debug)]
pub struct Surveyed<'a> {
    work: &'a Work,
    folder: &'a Folder,
    client: Client,
    rollback: Rollback,
    changes: Option<Changes>,
    /// What the ledger says.
    pub known: Known,
    /// What is to become of the users.
    pub planned: Count,
    /// Who is left alone.
    pub left: Listed,
    /// Changed users are deleted, too.
    pub include_changed: bool,
}

impl<'a> Surveyed<'a> {
    /// Looks at everybody that this ledger created; `None` if there is nothing to undo.
    ///
    /// # Errors
    /// When the ledger is another migration's, or ZITADEL cannot be asked.
    pub async fn of(work: &'a Work, folder: &'a Folder, include_changed: bool) -> Result<Option<Self>> {
        let ledger = &folder.ledger;
        let mut known = known(ledger)?;
        belongs(work, folder)?;
        if known.is_nothing() {
            return Ok(None);
        }
        let client = work.zitadel()?;
        accounts(work, &client, &mut known).await?;
        let organization_id = organization_id(work, &client, &known).await?;
        let rollback = Rollback {
            client: client.clone(),
            ledger: ledger.clone(),
            organization_id: organization_id.clone(),
            us: Us { accounts: known.accounts.clone(), ..Us::of(ledger)? },
            include_changed,
            concurrency: work.config.import.concurrency,
            stop: work.stop.clone(),
        };
        let mut changes = changes(work, &client, ledger, &known, &organization_id).await?;
        let mut listing = Listing::create(folder.path())?;
        let planned = rollback.survey(changes.as_mut(), |left| listing.push(&left)).await?;
        let left = listing.finish()?;
        Ok(Some(Self { work, folder, client, rollback, changes, known, planned, left, include_changed }))
    }

    /// The organization that received the users.
    #[must_use]
    pub fn organization_id(&self) -> &str {
        &self.rollback.organization_id
    }

    /// Is anything deleted, that somebody should agree to?
    fn deletes(&self) -> bool {
        let Self { known, planned, .. } = self;
        planned.deleted + planned.gone + known.in_doubt > 0
            || known.structure
            || (known.created_organization.is_some() && planned.left == 0)
    }

    /// Deletes, once `confirm` agrees. It is not asked if nothing is deleted.
    ///
    /// # Errors
    /// What `confirm` says, or the first thing that stops it. What was deleted by then is in the ledger; running again goes on.
    pub async fn next(mut self, confirm: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<Undone, Stopped> {
        if self.deletes() {
            confirm(&self).await?;
        }
        self.close_runs().await?;
        let (done, left) = self.delete_users().await?;
        let Self { work, folder, client, known, .. } = self;
        let ledger = &folder.ledger;
        delete_created(work, ledger, &client, done.left + done.failed).await?;
        let structure = structure(work, &client, ledger, &known, done).await?;
        let organization = match &known.created_organization {
            None => Organization::NotOurs,
            Some(id) => delete_organization(work, &client, ledger, id, done, &known, self.include_changed).await?,
        };
        let undone = Undone { known, done, organization, structure, left };
        undone.keep(ledger).await?;
        Ok(undone)
    }

    /// No run goes on after a rollback.
    async fn close_runs(&self) -> Result<()> {
        let run = self.known.run;
        let write = self.folder.ledger.write(move |t| {
            runs::close_runs(t)?;
            let begun = json!({ "at": runs::now(), "unfinished": true });
            run.map_or(Ok(()), |run| runs::note_rollback(t, run, &begun.to_string()))
        });
        write.await
    }

    async fn delete_users(&mut self) -> Result<(Count, Listed), Stopped> {
        let users = self.known.created + self.known.in_doubt;
        let stage = self.work.events.start(Stage::Rollback, Some(users));
        let mut listing = Listing::create(self.folder.path())?;
        let done = self.rollback.delete(self.changes.as_mut(), &stage, |left| listing.push(&left)).await;
        let left = listing.finish()?;
        let done = done.map_err(|error| match error.kind() {
            Kind::Check => error.with_kind(Kind::GaveUp).hint("run `a2z rollback` again to go on"),
            _ => error,
        });
        let done = done.map_err(Stopped::after_writes)?;
        stage.finish(done.deleted);
        Ok((done, left))
    }
}

/// The accounts whose work is undone: those of the ledger, or, if it has none, our own.
async fn accounts(work: &Work, client: &Client, known: &mut Known) -> Result<()> {
    let me = async { client.me().await.map_err(|f| f.into_error("ZITADEL does not take the credentials")) };
    let me = work.unless_stopped(me).await?;
    if known.accounts.is_empty() {
        known.accounts.push(me.user_id);
    } else if !known.accounts.contains(&me.user_id) {
        // Not added to them: a user that it created, or created again, was not created by this ledger.
        work.events.notice(format!(
            "this is another service account (`{}`) than the one that created the users: what it did counts as done by others",
            me.user_name
        ));
    }
    Ok(())
}

/// What the events tell, if this account may read them.
async fn changes(
    work: &Work,
    client: &Client,
    ledger: &Ledger,
    known: &Known,
    organization_id: &str,
) -> Result<Option<Changes>> {
    let us = Us { accounts: known.accounts.clone(), ..Us::of(ledger)? };
    let within = (!known.elsewhere).then_some(organization_id);
    let mut changes = Changes::new(us, within).with_ledger(ledger);
    let read = work.unless_stopped(async { Ok(changes.catch_up(client).await) }).await?;
    match read {
        Ok(()) => Ok(Some(changes)),
        Err(Failure::NoPermission(_)) => {
            work.events.warn(
                "events-not-readable",
                "this account may not read ZITADEL's events (IAM_OWNER may): who signed in since cannot be seen, only who was changed",
            );
            Ok(None)
        }
        Err(failure) => Err(failure.into_error("could not read ZITADEL's events")),
    }
}
