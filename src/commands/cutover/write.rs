//! The second half of the road: everything that writes to ZITADEL, and the proof of it.

use std::{sync::Arc, time::Instant};

use super::{
    super::{begin::inputs_digest, confirm::confirm, print, providers, report, structure},
    Run,
};
use crate::{
    error::{Error, Kind, Result, count},
    import::{self, Engine, Parts, anew, codes::Giver, visible::Counted},
    ledger::{
        codes,
        differences::Scope,
        runs::{self, Mark},
        users,
    },
    ownership::{Ownership, Us},
    plan,
    verify::{Verdict, Verifier},
    zitadel::{client::Client as Zitadel, events::kind, instance::Organization},
};

/// In the ledger: the organization that is about to be created, and since when.
const CREATING: &str = "creating_organization";

/// Rounds of making users anew: what is written once more may be passed over once more.
const MOST_ANEW: u32 = 3;

impl Run<'_> {
    /// Pass 2, and what comes after it.
    pub(super) async fn import(mut self) -> Result<()> {
        let client = self.zitadel.clone().ok_or_else(|| Error::internal("an import without a client"))?;
        let mut left = self.ledger.read(|c| users::count_todo(c, self.number))?;
        let run = self.number;
        let grants = structure::grants_left(self.context, &self.ledger, run)?;
        let codes = self.ledger.read(|c| codes::count_planned(c, run))?;
        if left + grants + codes > 0 {
            let grants = if grants > 0 { format!(" and {}", count(grants, "role grant")) } else { String::new() };
            let codes = if codes > 0 { format!(" and {}", count(codes, "second factor")) } else { String::new() };
            confirm(self.context, &format!("Write {}{grants}{codes} to ZITADEL?", count(left, "user"))).await?;
        }
        let account = self.facts.account.clone();
        self.ledger
            .write(move |t| {
                // Whom a rollback finds to be another's was written by none of these.
                account.map_or(Ok(()), |account| runs::add_account(t, &account))?;
                users::forget_removed(t)?;
                runs::mark(t, run, Mark::Importing)
            })
            .await?;
        if left > 0 && self.create_providers(&client).await? {
            left = self.ledger.read(|c| users::count_todo(c, run))?;
        }
        let (written, seen) = self.ledger.read(|c| users::count_seen(c, run))?;
        let mut counted = Counted { written, seen, passed_over: false };
        let structure = self.context.config.wants_structure();
        if let Some(ceiling) = client.ceiling() {
            self.context.events.notice(format!("at most {ceiling} requests a second to ZITADEL"));
        }
        let aside = self.ledger.read(|c| users::in_doubt_aside(c, run, 0, 1))?;
        let engine_needed = left > 0 || seen < written || !aside.is_empty();
        let organization_id = if engine_needed || structure {
            self.organization(&client).await?
        } else {
            self.ledger.read(|c| runs::meta(c, "organization"))?.unwrap_or_default()
        };
        if structure {
            structure::make(self.context, &client, &self.ledger, run, &organization_id).await?;
        }
        let engine = Arc::new(self.engine(client.clone(), organization_id.clone()));
        // Also where only the counting back was left.
        if engine_needed {
            self.context.unless_stopped(import::settle_aside(&engine)).await?;
            let result = self.send(&engine, left).await;
            if result.is_err() {
                // A report of an unfinished run is of use too; the error that stopped it is what counts.
                let _ = report::write(self.context, self.state, &self.ledger, run);
            }
            counted = result?;
            if counted.passed_over {
                let again = self.context.unless_stopped(anew::unseen(&engine)).await?;
                if again > 0 {
                    self.say_made_anew(again, "whom nobody can find");
                    counted = self.send(&engine, again).await?;
                } else {
                    // Somebody may have been found after all, or be gone.
                    let (written, seen) = self.ledger.read(|c| users::count_seen(c, run))?;
                    counted = Counted { written, seen, ..counted };
                }
            }
        }
        structure::give(self.context, &client, &self.facts, &self.ledger, run, organization_id.clone()).await?;
        self.give_codes(&client).await?;
        if counted.seen == counted.written {
            let proved = self.prove(&client, &engine, counted).await;
            if proved.is_err() {
                // The users are moved all the same: their reports must not wait for the comparison.
                let _ = report::write(self.context, self.state, &self.ledger, run);
            }
            counted = proved?;
        }
        self.finish(counted).await
    }

    fn say_made_anew(&self, users: u64, why: &str) {
        let text = format!("ZITADEL stored {} {why}: deleted, and created again", count(users, "user"));
        self.context.events.warn("made-anew", text);
    }

    /// Compares whom this run wrote, and whoever differed before, with ZITADEL. Who lacks what ZITADEL stored is made anew,
    /// and compared again.
    async fn prove(&self, client: &Zitadel, engine: &Arc<Engine>, mut counted: Counted) -> Result<Counted> {
        // Nobody was ever written where there is none.
        let Some(organization_id) = self.ledger.read(|c| runs::meta(c, "organization"))? else {
            return Ok(counted);
        };
        let verifier = self.verifier(client, organization_id.clone());
        let mut verdict = self.compared(verifier.run(Scope::Run(self.number))).await?;
        for _ in 0..MOST_ANEW {
            let Some(pause) = anew::pause(engine)? else { break };
            let again = self.context.unless_stopped(async {
                tokio::time::sleep(pause).await;
                Ok(())
            });
            again.await?;
            verdict = self.compared(verifier.again(verdict)).await?;
            let again = self.context.unless_stopped(anew::lacking(engine)).await?;
            if again == 0 {
                break;
            }
            self.say_made_anew(again, "and shows them without a login name, metadata, links or roles");
            counted = self.send(engine, again).await?;
            structure::give(self.context, client, &self.facts, &self.ledger, self.number, organization_id.clone())
                .await?;
            self.give_codes(client).await?;
            verdict = self.compared(verifier.again(verdict)).await?;
        }
        super::super::verify::keep(&self.ledger, self.number, &verdict).await?;
        Ok(counted)
    }

    /// Gives users the codes by SMS and e-mail that the plan wants. What came of it is in the findings and in
    /// `factors.csv` afterwards.
    async fn give_codes(&self, client: &Zitadel) -> Result<()> {
        let (ledger, context) = (&self.ledger, self.context);
        let giver = Giver { client, ledger, run: self.number, events: &context.events, stop: &context.stop };
        if giver.give().await? > 0 {
            self.settle_factors().await?;
        }
        Ok(())
    }

    fn verifier(&self, client: &Zitadel, organization_id: String) -> Verifier {
        let config = &self.context.config;
        Verifier {
            client: client.clone(),
            ledger: self.ledger.clone(),
            key: self.preparer.key,
            organization_id,
            patience: config.import.visible_deadline,
            metadata: config.verify.metadata,
            events: self.context.events.clone(),
        }
    }

    async fn compared(&self, verdict: impl Future<Output = Result<Verdict>>) -> Result<Verdict> {
        let began = Instant::now();
        let verdict = self.context.unless_stopped(verdict).await;
        self.time("verify_s", began.elapsed()).await?;
        verdict.map_err(|error| match error.kind() {
            Kind::Check => error.with_kind(Kind::GaveUp).hint("run the same command again: it only compares"),
            _ => error,
        })
    }

    /// Creates the identity providers that the plan showed; the plan is made once more with their ids. True where there
    /// were any.
    async fn create_providers(&mut self, client: &Zitadel) -> Result<bool> {
        if self.facts.idps.new.is_empty() {
            return Ok(false);
        }
        let organization = self.organization(client).await?;
        if !providers::create_all(self.context, &self.ledger, client, &mut self.facts, &organization).await? {
            return Ok(false);
        }
        let preparer =
            Arc::get_mut(&mut self.preparer).ok_or_else(|| Error::internal("the plan is still being made"))?;
        preparer.providers = self.facts.idps.providers.clone();
        let tickets = format!("{}{}", preparer.hashes.digest(), preparer.mfa.digest());
        let inputs = inputs_digest(self.context, &tickets, preparer.roads, preparer.shape, &preparer.providers, true);
        self.plan(&inputs).await?;
        // The plan is new, and says nothing of what the survey found.
        self.settle_factors().await?;
        Ok(true)
    }

    async fn send(&self, engine: &Arc<Engine>, left: u64) -> Result<Counted> {
        let began = Instant::now();
        // For `a2z status`: the pace of this process.
        self.note("sending", format!(r#"{{"at":"{}","left":{left}}}"#, runs::now())).await?;
        let stage = self.context.events.start(crate::event::Stage::Import, Some(left));
        let files = self.files.clone();
        let preparer = Arc::clone(&self.preparer);
        let items = import::source::start(files, self.reading(), preparer, &self.ledger, self.number)?;
        let done = import::run(engine, items, left).await;
        self.time("import_s", began.elapsed()).await?;
        // What refuses in the middle (a token that was taken away) may be cured, and the run gone on with.
        let progress = done.map_err(|error| match error.kind() {
            Kind::Check => error.with_kind(Kind::GaveUp).hint("run the same command again to go on"),
            _ => error,
        })?;
        stage.finish(progress.done);
        let began = Instant::now();
        let counted = self.context.unless_stopped(import::visible::wait(engine)).await;
        self.time("visible_s", began.elapsed()).await?;
        counted
    }

    fn engine(&self, client: Zitadel, organization_id: String) -> Engine {
        let config = &self.context.config;
        Engine::new(Parts {
            client,
            ledger: self.ledger.clone(),
            config: config.import.clone(),
            run: self.number,
            organization_id,
            key: self.preparer.key,
            conflicts: config.mapping.conflicts,
            events: self.context.events.clone(),
            stop: self.context.stop.clone(),
            may_import: self.facts.may_import,
        })
    }

    /// The organization that receives the users, created where that is configured and it does not exist yet.
    async fn organization(&mut self, client: &Zitadel) -> Result<String> {
        if let Some(organization) = &self.facts.organization {
            let id = organization.id.clone();
            // Also one that was found by its name: the ledger is bound to it from here on.
            let name = organization.name.clone();
            let ours = self.created_before(client, &id, &name).await?;
            let stored = id.clone();
            self.ledger
                .write(move |t| {
                    runs::set_meta(t, "organization", &stored)?;
                    if ours { runs::set_meta(t, "created_organization", &stored) } else { Ok(()) }
                })
                .await?;
            return Ok(id);
        }
        let name = self.context.config.zitadel.create_org.clone().unwrap_or_default();
        // The answer may be lost, and so may this process.
        let intent = serde_json::json!({ "name": name, "at": runs::now() }).to_string();
        self.ledger.write(move |t| runs::set_meta(t, CREATING, &intent)).await?;
        let created = client.create_organization(&name, None).await;
        let id =
            created.map_err(|failure| failure.into_error(&format!("could not create the organization `{name}`")))?;
        self.facts.organization = Some(Organization {
            id: id.clone(),
            name: name.clone(),
            state: "ORGANIZATION_STATE_ACTIVE".into(),
            ..Organization::default()
        });
        self.context.events.notice(format!("created the organization `{name}` ({id})"));
        let stored = id.clone();
        self.ledger
            .write(move |t| {
                runs::set_meta(t, "organization", &stored)?;
                runs::set_meta(t, "created_organization", &stored)
            })
            .await?;
        Ok(id)
    }

    /// Was this organization created by an earlier attempt of which the ledger only knows the beginning? If that cannot be
    /// told, it counts as another's, and a rollback leaves it.
    async fn created_before(&self, client: &Zitadel, id: &str, name: &str) -> Result<bool> {
        let (known, intent) = self.ledger.read(|c| Ok((runs::meta(c, "organization")?, runs::meta(c, CREATING)?)))?;
        let intent = intent.and_then(|json| serde_json::from_str::<serde_json::Value>(&json).ok());
        let Some(intent) = intent.filter(|intent| known.is_none() && intent["name"].as_str() == Some(name)) else {
            return Ok(false);
        };
        let Some(since) = intent["at"].as_str().and_then(|at| at.parse().ok()) else { return Ok(false) };
        let us = Us { first_import: Some(since), ..Us::of(&self.ledger)? };
        let created = client.creation(kind::ORGANIZATION_ADDED, id).await;
        let created = created.map_err(|failure| failure.into_error("could not read ZITADEL's events"))?;
        let before = us.is_early(created.as_ref().and_then(|created| created.created));
        Ok(!before && us.owner_by(created.as_ref()) == Ownership::Ours)
    }

    async fn finish(self, counted: Counted) -> Result<()> {
        self.time("total_s", self.began.elapsed()).await?;
        if counted.written > 0 {
            let json = format!(r#"{{"written":{},"visible":{}}}"#, counted.written, counted.seen);
            self.note("verified", json).await?;
        }
        let run = self.number;
        // Somebody whom accounts became part of may have been refused, or found to be another's, at the import only.
        self.ledger.write(move |t| plan::people::conclude(t, run)).await?;
        let balance = self.ledger.read(|c| users::balance(c, run))?;
        if balance.balances() && balance.unknown == 0 && counted.seen == counted.written {
            self.ledger.write(move |t| runs::mark(t, run, Mark::Finished)).await?;
        }
        let summary = report::write(self.context, self.state, &self.ledger, run)?;
        print(&summary.text)?;
        if !balance.balances() {
            return Err(Error::internal(format!("the books do not balance: {balance:?}")));
        }
        if balance.unknown > 0 {
            return Err(Error::gave_up(format!("{} without an outcome", count(balance.unknown, "user")))
                .hint("run the same command again: it goes on with these"));
        }
        if counted.seen < counted.written {
            let missing = count(counted.written - counted.seen, "user");
            return Err(Error::gave_up(format!("{missing} cannot be found in ZITADEL yet"))
                .because("they are written; ZITADEL's projections have not caught up within `import.visible_deadline`")
                .hint("run the same command again to count them back"));
        }
        if summary.needs_operator > 0 {
            return Err(Error::new(
                Kind::Incomplete,
                format!("finished; {} the operator", needs(summary.needs_operator)),
            )
            .hint(format!(
                "see `{}`: it says who, why, and what to do",
                self.state.path().join("report.html").display()
            )));
        }
        Ok(())
    }
}

fn needs(n: u64) -> String {
    format!("{} {}", count(n, "user"), if n == 1 { "needs" } else { "need" })
}
