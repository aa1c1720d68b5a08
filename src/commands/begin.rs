//! Before a run: which one it is, what its ledger belongs to, and what its plan depends on.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Context, cutover::Until};
use crate::{
    auth0::rows,
    error::{Error, Result},
    hashes::{HashIndex, LoadOptions},
    join::Shape,
    ledger::{
        Ledger,
        runs::{self, Notes},
    },
    plan::{File, Reading},
    state::StateDir,
};

/// A plan that nobody confirmed is used by a later cutover only while it is this young.
const PLAN_IS_FRESH: Duration = Duration::from_hours(1);

/// The run to work on.
pub(super) struct Chosen {
    pub(super) run: i64,
    /// Its plan is complete and was made with the same inputs.
    pub(super) planned: bool,
    /// It was confirmed: there may be writes.
    pub(super) writing: bool,
}

/// A run that is not finished is continued; a finished one is followed by a new one (the delta).
pub(super) async fn choose(
    context: &Context,
    ledger: &Ledger,
    state: &StateDir,
    inputs: &str,
    until: Until,
) -> Result<Chosen> {
    let reader = ledger.reader()?;
    let failed = |error: rusqlite::Error| crate::ledger::failure(&state.ledger(), &error);
    let latest = runs::latest(&reader).map_err(failed)?;
    if let Some(run) = latest.filter(|run| run.finished_at.is_none()) {
        let writing = run.importing_at.is_some();
        let fresh = run.planned_at.as_deref().is_none_or(is_fresh);
        let by_hand = context.config.input.users.is_some() || context.config.auth0.job.is_some();
        // A plan to look at is always of now; a cutover takes up a fresh one, and always one whose writes have begun.
        let take_up = writing || (fresh && !by_hand && (until == Until::End || run.planned_at.is_none()));
        if take_up {
            let planned = run.planned_at.is_some() && run.inputs_digest.as_deref() == Some(inputs);
            context.events.notice(format!("continuing run {} of {}", run.run, run.started_at));
            return Ok(Chosen { run: run.run, planned, writing });
        }
    }
    drop(reader);
    Ok(Chosen { run: ledger.write(runs::begin).await?, planned: false, writing: false })
}

fn is_fresh(planned_at: &str) -> bool {
    planned_at.parse::<jiff::Timestamp>().is_ok_and(|at| {
        Duration::try_from(jiff::Timestamp::now().duration_since(at)).is_ok_and(|age| age < PLAN_IS_FRESH)
    })
}

/// A run whose writes have begun with hash files must not go on without any: the rest of its users would arrive without
/// their passwords.
pub(super) async fn same_hashes(ledger: &Ledger, state: &StateDir, chosen: &Chosen, hashes: &HashIndex) -> Result<()> {
    let (run, given) = (chosen.run, !hashes.is_empty());
    let reader = ledger.reader()?;
    let notes = runs::notes(&reader, run, Notes::Notes).map_err(|e| crate::ledger::failure(&state.ledger(), &e))?;
    drop(reader);
    let before = serde_json::from_str::<serde_json::Value>(&notes).is_ok_and(|notes| notes["with_hashes"] == true);
    if chosen.writing && before && !given {
        return Err(Error::usage(format!("run {run} began with hash files, and none is given now"))
            .because("the users that are left would arrive without their passwords")
            .hint("give the same files again with `--passwords`"));
    }
    ledger.write(move |t| runs::note(t, run, Notes::Notes, "with_hashes", if given { "true" } else { "false" })).await
}

/// A ledger belongs to one tenant, one instance and one organization: what it says of a user is true of no other.
pub(super) async fn bind(context: &Context, ledger: &Ledger, state: &StateDir) -> Result<()> {
    let config = &context.config;
    let bound = [
        ("tenant", config.auth0.url.as_ref().map(ToString::to_string), "Auth0 tenant"),
        ("instance", config.zitadel.url.as_ref().map(ToString::to_string), "ZITADEL instance"),
        ("organization", config.zitadel.organization_id.clone(), "ZITADEL organization"),
    ];
    for (key, value, what) in bound {
        let Some(value) = value else { continue };
        let reader = ledger.reader()?;
        let known = runs::meta(&reader, key).map_err(|error| crate::ledger::failure(&state.ledger(), &error))?;
        drop(reader);
        match known {
            Some(known) if known != value => {
                return Err(Error::usage(format!(
                    "the state folder `{}` belongs to another {what}: `{known}`, not `{value}`",
                    state.path().display()
                ))
                .hint("give each migration a state folder of its own with `--state DIR`"));
            }
            Some(_) => {}
            None => ledger.write(move |t| runs::set_meta(t, key, &value)).await?,
        }
    }
    Ok(())
}

pub(super) fn load_hashes(context: &Context) -> Result<HashIndex> {
    let config = &context.config;
    let options = LoadOptions {
        by_email: config.join.by_email,
        max_line: config.input.max_line,
        spool: Some(config.state.clone()),
    };
    if !config.input.mfa.is_empty() {
        context.events.warn("mfa-not-read", "MFA files are not read yet: second factors come with a later version");
    }
    if config.input.passwords.is_empty() {
        return Ok(HashIndex::empty());
    }
    tokio::task::block_in_place(|| HashIndex::load(&config.input.passwords, &options, &context.events))
}

/// What a plan depends on, beside the export: a change of it asks for a new plan.
pub(super) fn inputs_digest(context: &Context, hashes: &str) -> String {
    let config = &context.config;
    let mapping = format!("{:?} {:?} {}", config.mapping, config.join, config.import.users_api_from_metadata_keys);
    let digest = Sha256::new().chain_update(hashes).chain_update(b"\0").chain_update(mapping).finalize();
    crate::input::hex(&digest)
}

/// The ledger's own key for fingerprints, random, made once.
pub(super) async fn key(ledger: &Ledger, state: &StateDir) -> Result<[u8; 16]> {
    let reader = ledger.reader()?;
    let known = runs::meta(&reader, "key").map_err(|error| crate::ledger::failure(&state.ledger(), &error))?;
    drop(reader);
    let hex = match known {
        Some(hex) => hex,
        None => {
            ledger
                .write(|t| {
                    let hex: String = t.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
                    runs::set_meta(t, "key", &hex)?;
                    Ok(hex)
                })
                .await?
        }
    };
    let number = u128::from_str_radix(&hex, 16)
        .map_err(|error| Error::internal("the ledger's key is damaged").caused_by(&error))?;
    Ok(number.to_be_bytes())
}

/// What an export carries that was not made by our own job; ours carries all.
pub(super) fn shape(context: &Context, files: &[File]) -> Result<Shape> {
    let config = &context.config;
    if config.input.users.is_none() && config.auth0.job.is_none() {
        return Ok(Shape::default());
    }
    let options = Reading { max_line: config.input.max_line }.options();
    let (mut identities, mut verified) = (false, false);
    for file in files {
        let found = tokio::task::block_in_place(|| rows::survey(&file.source, &options))?;
        identities |= found.has_identities || found.has_connection;
        verified |= found.has_email_verified;
    }
    let how = "export it anew with the fields that a2z asks for: leave out `--users`, or see the README for the list";
    if !identities {
        context.events.warn(
            "export-without-identities",
            format!(
                "no row of the export has `identities`: hashes are joined by user id where that is unambiguous; {how}"
            ),
        );
    }
    if !verified {
        context.events.warn(
            "export-without-email-verified",
            format!("no row of the export has `email_verified`: it is taken from the hash row with the same e-mail, else as unverified; {how}"),
        );
    }
    Ok(Shape { email_verified: verified })
}
