//! A run whose users are planned: it can be shown, and, if it was planned for a cutover, carried out.

use std::sync::Arc;

use super::{
    facts::Status,
    goal::{Cutover, Goal},
    imported::Imported,
    providers,
    shared::Run,
    structure,
    tickets::inputs_digest,
    work::Stopped,
};
use crate::{
    error::{Error, Result},
    ledger::{
        codes, links,
        runs::{self, Mark},
        users,
    },
    mapping::finding::FindingCode,
    zitadel::client::Client as Zitadel,
};

/// A run whose plan is in the ledger.
#[derive(Debug)]
pub struct Planned<'a, G> {
    pub(super) run: Run<'a>,
    pub(super) goal: G,
}

/// What a plan writes to ZITADEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToWrite {
    /// Users.
    pub users: u64,
    /// Role grants.
    pub grants: u64,
    /// Codes by SMS and e-mail as second factors.
    pub codes: u64,
}

impl ToWrite {
    /// Is there nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users + self.grants + self.codes == 0
    }
}

impl<G: Goal> Planned<'_, G> {
    /// The number of the run in the ledger.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.run.number
    }

    /// What the checks warn of.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.run.facts.lines.iter().filter(|line| line.status == Status::Warning);
        warnings.map(|line| line.text.clone()).collect()
    }

    /// A line for every connection whose users are there, or whose provider is to be created.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn providers(&self) -> Result<Vec<String>> {
        let Some(base) = self.goal.zitadel().map(Zitadel::base) else { return Ok(Vec::new()) };
        let (users, without) = self.run.ledger().read(|c| {
            let without = users::count_findings(c, self.run.number, FindingCode::LinkNotMoved.code())?;
            Ok((links::count_by_provider(c, self.run.number)?, without))
        })?;
        Ok(self.run.facts.idps.plan_lines(base, &users, without))
    }
}

impl<'a> Planned<'a, Cutover> {
    /// Carries the plan out, once `confirm` agrees to what is written. It is not asked if nothing is.
    ///
    /// # Errors
    /// What `confirm` says, or the first thing that stops the run; running again goes on.
    pub async fn next(mut self, confirm: impl AsyncFnOnce(ToWrite) -> Result<()>) -> Result<Imported<'a>, Stopped> {
        let to_write = self.to_write()?;
        if !to_write.is_empty() {
            confirm(to_write).await?;
        }
        self.mark_importing().await?;
        let mut left = to_write.users;
        if left > 0 && self.create_providers().await? {
            left = self.run.ledger().read(|c| users::count_todo(c, self.run.number))?;
        }
        let Self { run, goal: Cutover(client) } = self;
        Imported::of(run, client, left).await
    }

    /// What is left to be written.
    fn to_write(&self) -> Result<ToWrite> {
        let run = self.run.number;
        let grants = structure::grants_left(self.run.work, self.run.ledger(), run)?;
        self.run
            .ledger()
            .read(|c| Ok(ToWrite { users: users::count_todo(c, run)?, grants, codes: codes::count_planned(c, run)? }))
    }

    async fn mark_importing(&self) -> Result<()> {
        let (run, account) = (self.run.number, self.run.facts.account.clone());
        let write = self.run.ledger().write(move |t| {
            // A user that a rollback finds to be another's was written by none of these accounts.
            account.map_or(Ok(()), |account| runs::add_account(t, &account))?;
            users::forget_removed(t)?;
            runs::mark(t, run, Mark::Importing)
        });
        write.await
    }

    /// Creates the identity providers that the plan showed; then the plan is made once more with their ids. True if there
    /// were any.
    async fn create_providers(&mut self) -> Result<bool> {
        let Self { run, goal: Cutover(client) } = self;
        if run.facts.idps.new.is_empty() {
            return Ok(false);
        }
        let organization = run.organization(client).await?;
        if !providers::create_all(run.work, &run.folder.ledger, client, &mut run.facts, &organization).await? {
            return Ok(false);
        }
        let preparer =
            Arc::get_mut(&mut run.preparer).ok_or_else(|| Error::internal("the plan is still being made"))?;
        preparer.providers = run.facts.idps.providers.clone();
        let inputs = inputs_digest(run.work, &run.preparer, true);
        run.plan(Some(client), &inputs).await?;
        // The plan is new, and holds nothing of what the survey found.
        run.settle_factors().await?;
        Ok(true)
    }
}
