//! A run whose users are in ZITADEL, with their grants and codes. What is left is the proof.

use std::{sync::Arc, time::Instant};

use super::{
    compare::{keep, verifier},
    shared::Run,
    structure,
    verified::Verified,
    work::Stopped,
};
use crate::{
    error::{Error, Kind, Result},
    event::Stage,
    import::{self, Engine, Parts, source::Which, visible::Counted},
    ledger::{differences::Scope, runs, users},
    verify::Verdict,
    zitadel::client::Client as Zitadel,
};

/// A run whose users are written and counted back.
#[derive(Debug)]
pub struct Imported<'a> {
    pub(super) run: Run<'a>,
    pub(super) client: Zitadel,
    pub(super) engine: Arc<Engine>,
    pub(super) organization_id: String,
    pub(super) counted: Counted,
}

impl<'a> Imported<'a> {
    /// Pass 2: sends the users who are `left`, counts all of the run back, and gives grants and codes.
    pub(super) async fn of(mut run: Run<'a>, client: Zitadel, left: u64) -> Result<Self, Stopped> {
        let number = run.number;
        let ledger = run.ledger().clone();
        let (written, seen) = ledger.read(|c| users::count_seen(c, number))?;
        if let Some(ceiling) = client.ceiling() {
            run.work.events.notice(format!("at most {ceiling} requests a second to ZITADEL"));
        }
        let aside = ledger.read(|c| users::in_doubt_aside(c, number, 0, 1))?;
        let engine_needed = left > 0 || seen < written || !aside.is_empty();
        let with_structure = run.work.config.wants_structure();
        let organization_id = if engine_needed || with_structure {
            run.organization(&client).await?
        } else {
            ledger.read(|c| runs::meta(c, "organization"))?.unwrap_or_default()
        };
        if with_structure {
            structure::make(run.work, &client, &ledger, number, &organization_id).await?;
        }
        let engine = Arc::new(engine(&run, client.clone(), organization_id.clone()));
        let counted = Counted { written, seen, passed_over: false };
        let mut imported = Self { run, client, engine, organization_id, counted };
        // Also if only the counting back was left.
        if engine_needed {
            imported.run.work.unless_stopped(import::settle_aside(&imported.engine)).await?;
            // A report of an unfinished run is of use, too.
            imported.send(left).await.map_err(Stopped::after_writes)?;
        }
        imported.give().await?;
        Ok(imported)
    }

    /// Compares the users with ZITADEL, unless some of them cannot be found yet, repairs what ZITADEL stores and does not
    /// show, and closes the ledger of the run. `agree` is asked before users are deleted and created again that only the
    /// operator may have recreated, with their number.
    ///
    /// # Errors
    /// The first thing that stops the run; running again goes on.
    pub async fn next(mut self, agree: impl AsyncFn(u64) -> Result<bool>) -> Result<Verified, Stopped> {
        // Users that no search finds although the projections have caught up are missing for the comparison, too.
        if self.counted.seen == self.counted.written || self.counted.passed_over {
            // The users are moved all the same: their reports must not wait for the comparison.
            Box::pin(self.prove(agree)).await.map_err(Stopped::after_writes)?;
        }
        Ok(Verified::of(self.run, self.counted).await?)
    }

    /// Compares whoever this run wrote, and whoever differed before, with ZITADEL. Users who lack what ZITADEL stored are
    /// repaired, and compared again.
    async fn prove(&mut self, agree: impl AsyncFn(u64) -> Result<bool>) -> Result<()> {
        // Nobody was ever written if there is none.
        let organization = self.run.ledger().read(|c| runs::meta(c, "organization"))?;
        let Some(organization_id) = organization else { return Ok(()) };
        self.organization_id.clone_from(&organization_id);
        let run = &self.run;
        let verifier = verifier(run.work, run.ledger(), &self.client, run.preparer.key, organization_id);
        let verdict = self.compared(verifier.run(Scope::Run(run.number))).await?;
        let verdict = self.repair(&verifier, verdict, agree).await?;
        // Somebody may have been found after all, or be gone.
        let (written, seen) = self.run.ledger().read(|c| users::count_seen(c, self.run.number))?;
        self.counted = Counted { written, seen, ..self.counted };
        keep(self.run.ledger(), self.run.number, &verdict).await
    }

    /// Waits for a comparison, and keeps the time that it took.
    pub(super) async fn compared(&self, verdict: impl Future<Output = Result<Verdict>>) -> Result<Verdict> {
        let began = Instant::now();
        let verdict = self.run.work.unless_stopped(verdict).await;
        self.run.time("verify_s", began.elapsed()).await?;
        verdict.map_err(|error| curable(error, "run the same command again: it only compares"))
    }

    /// Sends the users who are `left`, and counts everybody back.
    pub(super) async fn send(&mut self, left: u64) -> Result<()> {
        let Self { run, engine, .. } = self;
        let began = Instant::now();
        // For `a2z status`: the pace of this process.
        run.note("sending", format!(r#"{{"at":"{}","left":{left}}}"#, runs::now())).await?;
        let stage = run.work.events.start(Stage::Import, Some(left));
        let preparer = Arc::clone(&run.preparer);
        let items =
            import::source::start(run.files.clone(), run.reading(), preparer, run.ledger(), run.number, Which::Todo)?;
        let done = import::run(engine, items, left).await;
        run.time("import_s", began.elapsed()).await?;
        // What refuses in the middle (a token that was taken away) may be cured, and the run gone on with.
        let progress = done.map_err(|error| curable(error, "run the same command again to go on"))?;
        stage.finish(progress.done);
        let began = Instant::now();
        let counted = run.work.unless_stopped(import::visible::wait(engine)).await;
        run.time("visible_s", began.elapsed()).await?;
        self.counted = counted?;
        Ok(())
    }

    /// Gives the users their roles, and the codes by SMS and e-mail that are second factors.
    pub(super) async fn give(&self) -> Result<()> {
        let Self { run, client, organization_id, .. } = self;
        structure::give(run.work, client, &run.facts, run.ledger(), run.number, organization_id.clone()).await?;
        run.give_codes(client).await
    }
}

fn engine(run: &Run<'_>, client: Zitadel, organization_id: String) -> Engine {
    let config = &run.work.config;
    Engine::new(Parts {
        client,
        ledger: run.ledger().clone(),
        config: config.import.clone(),
        run: run.number,
        organization_id,
        key: run.preparer.key,
        conflicts: config.mapping.conflicts,
        events: run.work.events.clone(),
        stop: run.work.stop.clone(),
        may_import: run.facts.may_import,
    })
}

/// An error of a run that has begun: a refusal is not one to start.
fn curable(error: Error, hint: &str) -> Error {
    match error.kind() {
        Kind::Check => error.with_kind(Kind::GaveUp).hint(hint),
        _ => error,
    }
}
