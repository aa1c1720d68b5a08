//! Users whom ZITADEL stored and does not show as they are. Here, and nowhere else, a run repairs them.

use super::imported::Imported;
use crate::{
    error::{Result, count},
    import::{anew, visible::Counted},
    ledger::users,
    verify::{Verdict, Verifier},
};

/// Rounds of repair: what is written once more may be passed over once more.
const MOST_ROUNDS: u32 = 3;

impl Imported<'_> {
    /// Recreates users whom no search finds although the projections have caught up.
    pub(super) async fn repair_unseen(&mut self) -> Result<()> {
        if !self.counted.passed_over {
            return Ok(());
        }
        let again = self.run.work.unless_stopped(anew::unseen(&self.engine)).await?;
        if again > 0 {
            self.report_recreated(again, "whom nobody can find");
            return self.send(again).await;
        }
        // Somebody may have been found after all, or be gone.
        let (written, seen) = self.run.ledger().read(|c| users::count_seen(c, self.run.number))?;
        self.counted = Counted { written, seen, ..self.counted };
        Ok(())
    }

    /// Repairs users whom the comparison found to lack something that was stored, and compares them again.
    pub(super) async fn repair_lacking(&mut self, verifier: &Verifier, mut verdict: Verdict) -> Result<Verdict> {
        for _ in 0..MOST_ROUNDS {
            let Some(pause) = anew::pause(&self.engine)? else { break };
            let pause = async {
                tokio::time::sleep(pause).await;
                Ok(())
            };
            self.run.work.unless_stopped(pause).await?;
            verdict = self.compared(verifier.again(verdict)).await?;
            let again = self.run.work.unless_stopped(anew::lacking(&self.engine)).await?;
            if again == 0 {
                break;
            }
            self.report_recreated(again, "and shows them without a login name, metadata, links or roles");
            self.send(again).await?;
            self.give().await?;
            verdict = self.compared(verifier.again(verdict)).await?;
        }
        Ok(verdict)
    }

    fn report_recreated(&self, users: u64, why: &str) {
        let text = format!("ZITADEL stored {} {why}: deleted, and created again", count(users, "user"));
        self.run.work.events.warn("made-anew", text);
    }
}
