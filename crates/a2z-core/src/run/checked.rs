//! A run that was checked: it can work. From here it is chosen which run of the ledger that is, and its users are planned.

use std::{
    io::Read as _,
    sync::{Arc, Mutex},
    time::Instant,
};

use sha2::{Digest as _, Sha256};

use super::{
    check,
    choose::{Chosen, choose},
    export,
    facts::Facts,
    folder::Folder,
    goal::Goal,
    planned::Planned,
    remember::remember,
    shared::Run,
    structure,
    tenant::Tenant,
    tickets::{Tickets, inputs_digest},
    work::Work,
};
use crate::{
    config::Source,
    error::Result,
    event::Stage,
    ledger::{
        runs::{self, ExportFile},
        users,
    },
    mapping::Roads,
    plan::{File, prepare::Preparer},
    state::cannot,
    structure::memberships::Memberships,
    text::hex,
};

/// A run that can work: every check went well, the ledger belongs to both vendors, and the ticket's files are read.
#[derive(Debug)]
pub struct Checked<'a, G> {
    work: &'a Work,
    folder: &'a Folder,
    began: Instant,
    goal: G,
    facts: Facts,
    tenant: Tenant,
    tickets: Tickets,
}

impl<'a, G: Goal> Checked<'a, G> {
    /// Checks both vendors, as far as the goal needs them.
    ///
    /// # Errors
    /// The first check that failed, or the first of the ticket's files that cannot be used.
    pub async fn of(work: &'a Work, folder: &'a Folder) -> Result<Self> {
        let began = Instant::now();
        let config = &work.config;
        let asks_zitadel = G::asks_zitadel(work);
        let stage = work.events.start(Stage::Check, None);
        let facts = check::run(work, asks_zitadel).await?;
        let mut facts = facts.into_result(&work.events)?;
        stage.finish(0);
        folder.bind(config).await?;
        if asks_zitadel {
            remember(&mut facts, &folder.ledger).await?;
        }
        let tickets = Tickets::load(work)?;
        let (tenant, goal) = (Tenant::of(work)?, G::of(work)?);
        tracing::info!(state = %folder.path().display(), may_import = facts.may_import, "checked");
        Ok(Self { work, folder, began, goal, facts, tenant, tickets })
    }

    /// Chooses the run, gets its export, and plans its users; a plan that is still good is taken up.
    ///
    /// # Errors
    /// The first thing that stops it. What was done by then is in the ledger; running again goes on.
    pub async fn next(self) -> Result<Planned<'a, G>> {
        let Self { work, folder, began, goal, facts, tenant, tickets } = self;
        let ledger = &folder.ledger;
        let chosen = choose::<G>(work, ledger).await?;
        tickets.check_same(ledger, &chosen).await?;
        tracing::info!(
            run = chosen.run,
            planned = chosen.planned_with.is_some(),
            writing = chosen.writing,
            "run chosen"
        );
        let exporting = Instant::now();
        // Before a file that is gone is fetched again: the plan may be of another.
        let planned_from = ledger.read(|c| runs::exports(c, chosen.run))?;
        let files = export::files(work, folder, &tenant.export, &facts.connections, chosen.run).await?;
        if let Some(client) = &tenant.structure {
            structure::read(work, client, ledger, chosen.run).await?;
        }
        let preparer = preparer::<G>(work, folder, &facts, tickets, &chosen, &files).await?;
        let inputs = inputs_digest(work, &preparer, G::asks_zitadel(work));
        let (number, preparer, spent) = (chosen.run, Arc::new(preparer), Mutex::default());
        let run = Run { work, folder, number, facts, preparer, files, began, spent };
        run.time("export_s", exporting.elapsed()).await?;
        if let Some(version) = &run.facts.version {
            run.note("zitadel_version", serde_json::Value::from(version.as_str()).to_string()).await?;
        }
        if chosen.planned_with.as_deref() == Some(&inputs) && same_files(&run, &planned_from)? {
            work.events.notice("going on with the plan that is in the ledger");
        } else {
            run.plan(goal.zitadel(), &inputs).await?;
        }
        run.survey(tenant.survey.as_ref(), goal.zitadel()).await?;
        Ok(Planned { run, goal })
    }
}

/// What decides what becomes of a row.
async fn preparer<G: Goal>(
    work: &Work,
    folder: &Folder,
    facts: &Facts,
    Tickets { hashes, mfa }: Tickets,
    chosen: &Chosen,
    files: &[File],
) -> Result<Preparer> {
    let (config, ledger) = (&work.config, &folder.ledger);
    let shape = export::shape(work, ledger, chosen.run, files)?;
    let roads = if !G::asks_zitadel(work) || facts.may_import {
        Roads::Both { users_api_from_metadata_keys: config.import.users_api_from_metadata_keys }
    } else {
        Roads::UsersApiOnly
    };
    let mut mapping = config.mapping.clone();
    mapping.rules.set_now(chosen.started_at);
    Ok(Preparer {
        hashes,
        mfa,
        join: config.join.clone(),
        mapping,
        providers: facts.idps.providers.clone(),
        roads,
        shape,
        key: folder.key().await?,
        memberships: Memberships::of(ledger, chosen.run, config.structure()),
        with_facts: ledger.read(users::count_ours)? > 0,
    })
}

/// Are the files the ones that the plan was made from?
fn same_files(run: &Run<'_>, known: &[ExportFile]) -> Result<bool> {
    for (file, known) in run.files.iter().zip(known) {
        let digest = tokio::task::block_in_place(|| digest_of(&file.source))?;
        if known.digest.as_deref() != Some(&digest) {
            let text = format!("{} changed since the plan: planning again", file.source);
            run.work.events.warn("export-changed", text);
            return Ok(false);
        }
    }
    Ok(run.files.len() == known.len())
}

/// SHA-256 of a file's bytes, in hex. It is read again, for it may have changed.
fn digest_of(source: &Source) -> Result<String> {
    let Source::File(path) = source else { return Ok(String::new()) };
    let failed = |error: std::io::Error| cannot(path, "read", &error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            n => digest.update(&buffer[..n]),
        }
    }
    Ok(hex(&digest.finalize()))
}
