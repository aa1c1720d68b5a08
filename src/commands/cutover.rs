//! `a2z cutover` and `a2z plan`: one road, of which the plan walks the first half.
//!
//! ```text
//! state, ledger ─ preflight ─ bind ─ hash files ─ run: new or continued ─ export ─ plan ─ confirm ─ import ─ visible ─ verify ─ report
//! ```

mod write;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use super::{
    Context,
    begin::{bind, choose, inputs_digest, key, load_hashes, load_mfa, same_tickets, shape},
    export,
    preflight::{self, Facts},
    print, providers, report, structure,
};
use crate::{
    auth0::{
        client::Client as Auth0,
        rows::{RowKind, Rows},
    },
    error::{Error, Result, count},
    import,
    ledger::{
        Ledger, codes, links,
        runs::{self, ExportFile, Mark, Notes},
        surveyed, users,
    },
    mapping::{Roads, finding::FindingCode},
    plan::{self, File, Reading, prepare::Preparer},
    report::FactorFile,
    state::StateDir,
    structure::{Wanted, memberships::Memberships},
    survey,
    zitadel::client::Client as Zitadel,
};

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Everything but the writes.
    Plan,
    /// The whole job.
    End,
}

/// Everything that the stages of one run share.
struct Run<'a> {
    context: &'a Context,
    state: &'a StateDir,
    ledger: Ledger,
    /// Its number.
    number: i64,
    facts: Facts,
    zitadel: Option<Zitadel>,
    preparer: Arc<Preparer>,
    files: Vec<File>,
    began: Instant,
    spent: Mutex<BTreeMap<&'static str, Duration>>,
}

/// Does the job, as far as `until` says.
///
/// # Errors
/// The first thing that stops it. What was settled by then is in the ledger; running again goes on.
pub async fn cutover(context: &Context, until: Until) -> Result<()> {
    let began = Instant::now();
    let config = &context.config;
    // Roles and organizations are in no export.
    let with_auth0 = config.input.users.is_empty() || config.wants_structure();
    let with_zitadel = until == Until::End || config.zitadel.url.is_some();
    if config.input.mfa_survey {
        // Also where the export is a file: before anything else is done, not after.
        survey_client(context)?;
    }
    let state = StateDir::open(&config.state)?;
    let ledger = Ledger::open(&state.ledger())?;
    let stage = context.events.start(crate::event::Stage::Check, None);
    let mut facts = preflight::run(context, with_auth0, with_zitadel).await?.into_result(context)?;
    stage.finish(0);
    bind(context, &ledger, &state).await?;
    if with_zitadel {
        providers::remember(&mut facts, &ledger).await?;
    }
    let hashes = load_hashes(context)?;
    let mfa = load_mfa(context)?;
    hashes.require_usable()?;
    mfa.require_usable()?;

    let auth0 = with_auth0
        .then(|| Auth0::new(&config.auth0, &config.http, context.events.clone(), context.stop.drain.clone()))
        .transpose()?;
    let zitadel = with_zitadel
        .then(|| {
            let events = context.events.clone();
            // In-flight requests are settled after the first signal: only the second cuts them off.
            Zitadel::new(&config.zitadel, &config.http, &config.import, events, context.stop.abort.clone())
        })
        .transpose()?;

    tracing::info!(state = %state.path().display(), may_import = facts.may_import, "checked");
    let chosen = choose(context, &ledger, until).await?;
    same_tickets(&ledger, &chosen, &hashes, &mfa).await?;
    tracing::info!(run = chosen.run, planned = chosen.planned_with.is_some(), writing = chosen.writing, "run chosen");
    let exporting = Instant::now();
    // Before a file that is gone is fetched anew: the plan may be of another.
    let planned_from = ledger.read(|c| runs::exports(c, chosen.run))?;
    let files = export::files(context, auth0.as_ref(), &facts.connections, &ledger, &state, chosen.run).await?;
    structure::read(context, auth0.as_ref(), &ledger, chosen.run).await?;
    let shape = shape(context, &ledger, chosen.run, &files)?;
    let roads = if !with_zitadel || facts.may_import {
        Roads::Both { users_api_from_metadata_keys: config.import.users_api_from_metadata_keys }
    } else {
        Roads::UsersApiOnly
    };
    let tickets = format!("{}{}", hashes.digest(), mfa.digest());
    let inputs = inputs_digest(context, &tickets, roads, shape, &facts.idps.providers, with_zitadel);
    let mut mapping = config.mapping.clone();
    mapping.rules.set_now(chosen.started_at);
    let preparer = Preparer {
        hashes,
        mfa,
        join: config.join.clone(),
        mapping,
        providers: facts.idps.providers.clone(),
        roads,
        shape,
        key: key(&ledger).await?,
        memberships: Memberships::of(&ledger, chosen.run, Wanted::of(config)),
        with_facts: ledger.read(users::count_ours)? > 0,
    };
    let run = Run {
        context,
        state: &state,
        ledger,
        number: chosen.run,
        facts,
        zitadel,
        preparer: Arc::new(preparer),
        files,
        began,
        spent: Mutex::default(),
    };
    run.time("export_s", exporting.elapsed()).await?;
    if let Some(version) = &run.facts.version {
        run.note("zitadel_version", serde_json::Value::from(version.as_str()).to_string()).await?;
    }
    if chosen.planned_with.as_deref() == Some(&inputs) && run.same_files(&planned_from)? {
        context.events.notice("going on with the plan that is in the ledger");
    } else {
        run.plan(&inputs).await?;
    }
    run.survey(auth0).await?;
    run.show_plan()?;
    match until {
        Until::Plan => Ok(()),
        Until::End => run.import().await,
    }
}

impl Run<'_> {
    fn reading(&self) -> Reading {
        Reading { max_line: self.context.config.input.max_line }
    }

    /// Adds to what this process has spent on something.
    async fn time(&self, key: &'static str, elapsed: Duration) -> Result<()> {
        let all = {
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            let all = spent.entry(key).or_default();
            *all += elapsed;
            *all
        };
        let (run, seconds) = (self.number, format!("{:.3}", all.as_secs_f64()));
        self.ledger.write(move |t| runs::note(t, run, Notes::Timing, key, &seconds)).await
    }

    async fn note(&self, key: &'static str, json: String) -> Result<()> {
        let run = self.number;
        self.ledger.write(move |t| runs::note(t, run, Notes::Notes, key, &json)).await
    }

    /// Are the files the ones that the plan was made from?
    fn same_files(&self, known: &[ExportFile]) -> Result<bool> {
        for (file, known) in self.files.iter().zip(known) {
            let digest = tokio::task::block_in_place(|| digest_of(&file.source))?;
            if known.digest.as_deref() != Some(&digest) {
                self.context
                    .events
                    .warn("export-changed", format!("{} changed since the plan: planning anew", file.source));
                return Ok(false);
            }
        }
        Ok(self.files.len() == known.len())
    }

    /// Pass 1.
    async fn plan(&self, inputs: &str) -> Result<()> {
        let began = Instant::now();
        let Self { context, ledger, number, .. } = self;
        let (run, config) = (*number, &context.config);
        let counted = tokio::task::block_in_place(|| {
            let counted = plan::read_all(
                &self.files,
                self.reading(),
                &self.preparer,
                ledger,
                run,
                &context.events,
                &context.stop,
            )?;
            plan::settle_names(ledger, run, config.mapping.collisions, Wanted::of(config).carried())?;
            Ok::<_, Error>(counted)
        })?;
        if let Some(memberships) = &self.preparer.memberships {
            memberships.check()?;
        }
        structure::place(context, ledger, run).await?;
        self.reconcile(counted.rows);
        if let Some(client) = &self.zitadel {
            let organization = self.facts.organization.as_ref().map(|organization| organization.id.as_str());
            let patience = config.import.visible_deadline;
            let scope = (organization, self.facts.scoped_names);
            let work = plan::instance::settle(client, ledger, run, scope, patience, &context.events);
            let instance = context.unless_stopped(work).await?;
            self.note("instance_users", instance.users.to_string()).await?;
        }
        let reach = providers::reach(&self.facts, &self.preparer.providers);
        ledger.write(move |t| plan::people::finish(t, run, &reach)).await?;
        if let Some(client) = &self.zitadel {
            let look = plan::keeps::look(client, ledger, run, self.preparer.key, config.mapping.conflicts);
            context.unless_stopped(look).await?;
        }
        structure::settle(context, self.zitadel.as_ref(), &self.facts, ledger, run).await?;
        let known = self.ledger.read(|c| runs::exports(c, run))?;
        for (mut file, digest) in known.into_iter().zip(counted.digests) {
            file.digest = Some(digest);
            ledger.write(move |t| runs::put_export(t, run, &file)).await?;
        }
        let audit = serde_json::to_string(&self.preparer.hashes.audit())
            .map_err(|error| Error::internal("the hash audit cannot be written").caused_by(&error))?;
        self.note("hashes", audit).await?;
        if !self.preparer.mfa.is_empty() {
            let audit = serde_json::to_string(&self.preparer.mfa.audit())
                .map_err(|error| Error::internal("the audit of the MFA files cannot be written").caused_by(&error))?;
            self.note("mfa", audit).await?;
        }
        self.time("plan_s", began.elapsed()).await?;
        let inputs = inputs.to_owned();
        ledger
            .write(move |t| {
                runs::set_inputs_digest(t, run, &inputs)?;
                runs::mark(t, run, Mark::Planned)
            })
            .await
    }

    /// Holds the number of rows against what Auth0 counts.
    fn reconcile(&self, rows: u64) {
        if let Some(users) = self.facts.auth0_users.filter(|users| *users > rows)
            && self.context.config.auth0.connections.len() <= 1
        {
            self.context.events.warn(
                "export-incomplete",
                format!("Auth0 counts {} and the export has {rows}: somebody signed up meanwhile, or the export is not whole; a second run catches up", count(users, "user")),
            );
        }
    }

    /// Who loses a second factor: asks Auth0 where that is wanted, and writes the list for a mailing.
    async fn survey(&self, auth0: Option<Auth0>) -> Result<()> {
        let config = &self.context.config;
        if config.input.mfa_survey {
            let client = auth0.map_or_else(|| survey_client(self.context), Ok)?;
            let to_ask = survey::to_ask(&self.ledger, self.number, self.facts.codes.is_some())?;
            let users = to_ask.users;
            if users > 0 {
                let [slow, usual] = survey::CALLS_PER_SECOND;
                let minutes = |rate: u64| crate::error::thousands(users.div_ceil(60 * rate));
                self.context.events.notice(format!(
                    "asking Auth0 about the second factors of {}: about {} min at {usual} calls per second (Essentials, Professional), {} min at {slow} (Free); Auth0's own headers set the pace, and when it is stopped, it goes on there",
                    count(users, "user"),
                    minutes(usual),
                    minutes(slow),
                ));
                survey::ask(&client, &self.ledger, self.number, &to_ask, &self.preparer.key, &self.context.events)
                    .await?;
            }
        }
        if config.input.mfa_codes && self.zitadel.is_none() {
            self.context.events.warn(
                "mfa-codes",
                "ZITADEL is not configured: whether codes by SMS and e-mail can move is not known, and they are shown as lost",
            );
        }
        if let Some(client) = self.zitadel.as_ref().filter(|_| config.input.mfa_codes) {
            self.context.unless_stopped(import::codes::look_for_removed(client, &self.ledger)).await?;
        }
        self.settle_factors().await
    }

    /// Says who loses which factor, and plans the codes that move; after the plan, and again once they are given.
    async fn settle_factors(&self) -> Result<()> {
        let (run, abilities) = (self.number, self.facts.codes);
        let (asked, lost) = self.ledger.write(move |t| surveyed::apply(t, run, abilities)).await?;
        if asked > 0 {
            let codes = self.ledger.read(|c| codes::count_moving(c, run))?;
            let note = serde_json::json!({ "asked": asked, "lost": lost, "codes": codes });
            self.note("mfa_survey", note.to_string()).await?;
        }
        if asked > 0 || !self.preparer.mfa.is_empty() {
            tokio::task::block_in_place(|| self.write_factors())?;
        }
        Ok(())
    }

    /// `factors.csv`. The ledger knows no addresses: they are read from the export once more.
    fn write_factors(&self) -> Result<()> {
        let path = self.state.path().join("factors.csv");
        let mut list = FactorFile::create(&path)?;
        let options = self.reading().options();
        for File { file, source } in &self.files {
            let mut rows = Rows::open(source, &options)?;
            let mut number = 0;
            while let Some(row) = rows.next()? {
                number += 1;
                let RowKind::User(user) = row.kind else { continue };
                let lost = self.ledger.read(|c| surveyed::lost(c, self.number, (*file, number), &user.user_id))?;
                let Some(mut lost) = lost else { continue };
                for factor in self.preparer.mfa.find(&user.user_id).unwrap_or_default().unusable {
                    if !lost.iter().any(|kind| kind == factor.kind) {
                        lost.push(factor.kind.to_owned());
                    }
                }
                if !lost.is_empty() {
                    list.push(&user.user_id, user.email.as_deref().unwrap_or_default(), &lost)?;
                }
            }
        }
        list.finish()
    }

    fn show_plan(&self) -> Result<()> {
        let warnings = self.facts.lines.iter().filter(|line| line.status == preflight::Status::Warning);
        let warnings = warnings.map(|line| line.text.clone()).collect();
        let idps = self.providers_text()?;
        print(&self.ledger.read(|c| report::plan_text(c, self.number, idps, warnings, self.context.color))?)
    }

    /// A line for every connection whose users are there, or whose provider is to be created.
    fn providers_text(&self) -> Result<Vec<String>> {
        let users = self.ledger.read(|c| links::count_by_provider(c, self.number))?;
        let mut without =
            self.ledger.read(|c| users::count_findings(c, self.number, FindingCode::LinkNotMoved.code()))?;
        let Some(base) = self.zitadel.as_ref().map(Zitadel::base) else { return Ok(Vec::new()) };
        Ok(providers::plan_lines(&self.facts.idps, base, &users, &mut without))
    }
}

/// Auth0, for the survey.
fn survey_client(context: &Context) -> Result<Auth0> {
    let config = &context.config;
    Auth0::new(&config.auth0, &config.http, context.events.clone(), context.stop.drain.clone())
}

/// SHA-256 of a file's bytes, hex; a file is read anew, for it may have changed.
fn digest_of(source: &crate::config::Source) -> Result<String> {
    let crate::config::Source::File(path) = source else { return Ok(String::new()) };
    let failed = |error: std::io::Error| crate::state::cannot(path, "read", &error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(failed)? {
            0 => break,
            n => digest.update(&buffer[..n]),
        }
    }
    Ok(crate::input::hex(&digest.finalize()))
}
