//! Before a run: which one it is, what its ledger belongs to, and what its plan depends on.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Context, cutover::Until};
use crate::{
    auth0::rows,
    error::{Error, Result},
    hashes::{HashIndex, LoadOptions, mfa::MfaIndex},
    join::Shape,
    ledger::{
        Ledger,
        runs::{self, Notes},
    },
    mapping::{Roads, providers::Providers},
    plan::{File, Reading},
    state::StateDir,
};

/// A plan that nobody confirmed is used by a later cutover only while it is this young.
const PLAN_IS_FRESH: Duration = Duration::from_hours(1);
/// Auth0 deletes a job and its file after 24 hours.
const JOB_IS_KEPT: Duration = Duration::from_hours(24);
/// Under this key the ledger keeps where the users of its latest run come from.
const SELECTION: &str = "selection";

/// The run to work on.
pub(super) struct Chosen {
    pub(super) run: i64,
    /// The digest of what its plan was made with, where the plan is complete.
    pub(super) planned_with: Option<String>,
    /// It was confirmed: there may be writes.
    pub(super) writing: bool,
    /// When it was begun; `now` of the operator's rules, also after a crash.
    pub(super) started_at: jiff::Timestamp,
}

/// Where the users come from, as the operator said it: another selection is another run.
fn selection(context: &Context) -> String {
    let config = &context.config;
    let users: Vec<String> = config.input.users.iter().map(ToString::to_string).collect();
    // One file is written down as it was before there could be several.
    let users = match users.as_slice() {
        [] => serde_json::Value::Null,
        [one] => one.as_str().into(),
        several => several.into(),
    };
    serde_json::json!({ "users": users, "connections": config.auth0.connections, "job": config.auth0.job }).to_string()
}

/// A run that is not finished is continued; a finished one is followed by a new one (the delta).
pub(super) async fn choose(context: &Context, ledger: &Ledger, until: Until) -> Result<Chosen> {
    let latest = ledger.read(runs::latest)?;
    let selected = selection(context);
    if let Some(run) = latest.filter(|run| run.finished_at.is_none()) {
        let before = ledger.read(|c| runs::meta(c, SELECTION))?;
        let same = before.is_none_or(|before| before == selected);
        let writing = run.importing_at.is_some();
        if writing && !same {
            return Err(Error::usage(format!("run {} is not finished, and it was begun with other users", run.run))
                .because("`--users`, `--connection` or `--job` are not what they were")
                .hint("run the same command as before to finish it; for other users, give another `--state DIR`"));
        }
        // A plan to look at is always of now; a cutover takes up a fresh one, and always one whose writes have begun.
        let by_hand = !context.config.input.users.is_empty();
        let open = until == Until::End || run.planned_at.is_none();
        if writing || (same && !by_hand && open && is_fresh(&run)) {
            context.events.notice(format!("continuing run {} of {}", run.run, run.started_at));
            let planned_with = run.planned_at.and(run.inputs_digest);
            let started_at = run.started_at.parse().unwrap_or_else(|_| jiff::Timestamp::now());
            return Ok(Chosen { run: run.run, planned_with, writing, started_at });
        }
    }
    let run = ledger
        .write(move |t| {
            runs::set_meta(t, SELECTION, &selected)?;
            runs::begin(t)
        })
        .await?;
    let begun = ledger.read(runs::latest)?.and_then(|run| run.started_at.parse().ok());
    let started_at = begun.unwrap_or_else(jiff::Timestamp::now);
    Ok(Chosen { run, planned_with: None, writing: false, started_at })
}

/// A plan is of use for an hour; an export under way (or one that nobody planned yet) as long as Auth0 keeps its job.
fn is_fresh(run: &runs::Run) -> bool {
    let (since, limit) = match &run.planned_at {
        Some(planned_at) => (planned_at, PLAN_IS_FRESH),
        None => (&run.started_at, JOB_IS_KEPT),
    };
    since
        .parse::<jiff::Timestamp>()
        .is_ok_and(|at| Duration::try_from(jiff::Timestamp::now().duration_since(at)).is_ok_and(|age| age < limit))
}

/// A run whose writes have begun with ticket files must not go on without them: the rest of its users would arrive without
/// their passwords or second factors.
pub(super) async fn same_tickets(ledger: &Ledger, chosen: &Chosen, hashes: &HashIndex, mfa: &MfaIndex) -> Result<()> {
    let run = chosen.run;
    let notes = ledger.read(|c| runs::notes(c, run, Notes::Notes))?;
    let notes: serde_json::Value = serde_json::from_str(&notes).unwrap_or_default();
    let tickets = [
        ("with_hashes", !hashes.is_empty(), "hash files", "passwords", "--passwords"),
        ("with_mfa", !mfa.is_empty(), "MFA files", "second factors", "--mfa"),
    ];
    for (key, given, files, what, flag) in tickets {
        if chosen.writing && notes[key] == true && !given {
            return Err(Error::usage(format!("run {run} began with {files}, and none is given now"))
                .because(format!("the users that are left would arrive without their {what}"))
                .hint(format!("give the same files again with `{flag}`")));
        }
        let given = if given { "true" } else { "false" };
        ledger.write(move |t| runs::note(t, run, Notes::Notes, key, given)).await?;
    }
    Ok(())
}

/// A ledger belongs to one tenant, one instance and one organization: what it says of a user is true of no other.
pub(super) async fn bind(context: &Context, ledger: &Ledger, state: &StateDir) -> Result<()> {
    let config = &context.config;
    let bound = [
        ("tenant", config.auth0.url.as_ref().map(ToString::to_string), "Auth0 tenant"),
        ("instance", config.zitadel.url.as_ref().map(ToString::to_string), "ZITADEL instance"),
        ("organization", config.zitadel.organization_id.clone(), "ZITADEL organization"),
        ("project", config.roles.project_id.clone(), "ZITADEL project"),
    ];
    for (key, value, what) in bound {
        let Some(value) = value else { continue };
        let known = ledger.read(|c| runs::meta(c, key))?;
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
        verifiers: config.mapping.verifiers,
    };
    if config.input.passwords.is_empty() {
        return Ok(HashIndex::empty());
    }
    tokio::task::block_in_place(|| HashIndex::load(&config.input.passwords, &options, &context.events))
}

/// The MFA files, whole in memory.
pub(super) fn load_mfa(context: &Context) -> Result<MfaIndex> {
    let config = &context.config;
    let options =
        LoadOptions { max_line: config.input.max_line, spool: Some(config.state.clone()), ..LoadOptions::default() };
    tokio::task::block_in_place(|| MfaIndex::load(&config.input.mfa, &options, &context.events))
}

/// What a plan depends on, beside the export: a change of it asks for a new plan.
pub(super) fn inputs_digest(
    context: &Context,
    hashes: &str,
    roads: Roads,
    shape: Shape,
    providers: &Providers,
    with_zitadel: bool,
) -> String {
    let config = &context.config;
    let more = crate::structure::Wanted::of(config);
    let more = if more.anything() { format!("{more:?}") } else { String::new() };
    let rules = format!(
        "{more}{:?} {:?} {roads:?} {shape:?} {} {with_zitadel}",
        config.mapping,
        config.join,
        providers.fingerprint()
    );
    crate::input::hex(&Sha256::new().chain_update(hashes).chain_update(b"\0").chain_update(rules).finalize())
}

/// The ledger's own key for fingerprints, random, made once.
pub(super) async fn key(ledger: &Ledger) -> Result<[u8; 16]> {
    let hex = ledger.write(runs::key).await?;
    let number = u128::from_str_radix(&hex, 16)
        .map_err(|error| Error::internal("the ledger's key is damaged").caused_by(&error))?;
    Ok(number.to_be_bytes())
}

/// What an export carries that was not made by our own job; ours carries all.
pub(super) fn shape(context: &Context, ledger: &Ledger, run: i64, files: &[File]) -> Result<Shape> {
    let config = &context.config;
    let exports = ledger.read(|c| runs::exports(c, run))?;
    // A job that we started asked for every field; one that was taken up by hand, or a file, may not have.
    if exports.iter().all(|export| export.job_id.is_some() && export.started_at.is_some()) {
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
