//! Users that ZITADEL stored and does not show as they are. Here, and nowhere else, a run repairs them.

use std::sync::Arc;

use super::{imported::Imported, structure};
use crate::{
    error::{Result, count},
    event::Stage,
    import::{
        repair::{self, RepairPlan, Repaired},
        source::{self, Which},
        visible,
    },
    verify::{Verdict, Verifier},
};

/// Rounds of repair: what is written again may be skipped again.
const MOST_ROUNDS: u32 = 3;

impl Imported<'_> {
    /// Repairs users of whom the comparison found that ZITADEL does not show what it stored, and compares them again. The
    /// plan goes out as a notice before it is carried out; `agree` is asked about the number of users that only the operator
    /// may have recreated.
    pub(super) async fn repair(
        &mut self,
        verifier: &Verifier,
        mut verdict: Verdict,
        agree: impl AsyncFn(u64) -> Result<bool>,
    ) -> Result<Verdict> {
        for _ in 0..MOST_ROUNDS {
            let Some(pause) = repair::pause(&self.engine)? else { break };
            let pause = async {
                tokio::time::sleep(pause).await;
                Ok(())
            };
            self.run.work.unless_stopped(pause).await?;
            verdict = self.compared(verifier.again(verdict)).await?;
            let mut plan = self.run.work.unless_stopped(repair::plan(&self.engine)).await?;
            let words = plan.words();
            if !words.is_empty() {
                self.run.work.events.notice(format!("ZITADEL stores more than it shows: {words}"));
            }
            if plan.to_ask() > 0 && !agree(plan.to_ask()).await? {
                plan.decline();
            }
            if plan.is_empty() {
                break;
            }
            let repaired = self.carry_out(&plan).await?;
            verdict = self.compared(verifier.again(verdict)).await?;
            if !repaired.is_any() {
                break;
            }
        }
        Ok(verdict)
    }

    /// Carries out a plan of repair, and gives the roles and codes that recreated users lost.
    async fn carry_out(&mut self, plan: &RepairPlan) -> Result<Repaired> {
        let run = &self.run;
        let (work, ledger, number) = (run.work, run.ledger(), run.number);
        let stage = work.events.start(Stage::Repair, Some(plan.users()));
        let (preparer, which) = (Arc::clone(&run.preparer), Which::Settled(repair::rows_of(plan)));
        let items = source::start(run.files.clone(), run.reading(), preparer, ledger, number, which)?;
        let mut repaired = repair::carry_out(&self.engine, plan, items, &stage).await?;
        let giver = structure::giver(work, &self.client, &run.facts, ledger, number, self.organization_id.clone())?;
        let users = plan.without_roles();
        if let Some(giver) = giver.filter(|_| !users.is_empty()) {
            repaired.grants = giver.give_again(&users).await?;
        }
        stage.finish(plan.users());
        if repaired.recreated > 0 {
            let users = count(repaired.recreated, "user");
            let text = format!("ZITADEL stored {users} that could not sign in: deleted, and created again");
            work.events.warn("made-anew", text);
            self.give().await?;
            self.counted = work.unless_stopped(visible::wait(&self.engine)).await?;
        }
        Ok(repaired)
    }
}
