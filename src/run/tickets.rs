//! The ticket's files, and everything else that a plan depends on.

use sha2::{Digest as _, Sha256};

use super::{choose::Chosen, work::Work};
use crate::{
    auth0::rows,
    error::{Error, Result},
    hashes::{HashIndex, LoadOptions, mfa::MfaIndex},
    input::hex,
    join::Shape,
    ledger::{
        Ledger,
        runs::{self, Notes},
    },
    plan::{File, Reading, prepare::Preparer},
    structure::Wanted,
};

/// What the ticket's files hold.
#[derive(Debug)]
pub(super) struct Tickets {
    pub(super) hashes: HashIndex,
    pub(super) mfa: MfaIndex,
}

impl Tickets {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// When one of them cannot be read, or holds nothing of use.
    pub(super) fn load(work: &Work) -> Result<Self> {
        let (hashes, mfa) = (load_hashes(work)?, load_mfa(work)?);
        hashes.require_usable()?;
        mfa.require_usable()?;
        Ok(Self { hashes, mfa })
    }

    /// A run whose writes have begun with ticket files must not go on without them: the rest of its users would arrive without
    /// their passwords or second factors.
    pub(super) async fn check_same(&self, ledger: &Ledger, chosen: &Chosen) -> Result<()> {
        let run = chosen.run;
        let notes = ledger.read(|c| runs::notes(c, run, Notes::Notes))?;
        let notes: serde_json::Value = serde_json::from_str(&notes).unwrap_or_default();
        let tickets = [
            ("with_hashes", !self.hashes.is_empty(), "hash files", "passwords", "--passwords"),
            ("with_mfa", !self.mfa.is_empty(), "MFA files", "second factors", "--mfa"),
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
}

/// The hash files, as an index.
pub(super) fn load_hashes(work: &Work) -> Result<HashIndex> {
    let config = &work.config;
    let options = LoadOptions {
        by_email: config.join.by_email,
        max_line: config.input.max_line,
        spool: Some(config.state.clone()),
        verifiers: config.mapping.verifiers,
    };
    if config.input.passwords.is_empty() {
        return Ok(HashIndex::empty());
    }
    tokio::task::block_in_place(|| HashIndex::load(&config.input.passwords, &options, &work.events))
}

/// The MFA files, whole in memory.
fn load_mfa(work: &Work) -> Result<MfaIndex> {
    let config = &work.config;
    let options =
        LoadOptions { max_line: config.input.max_line, spool: Some(config.state.clone()), ..LoadOptions::default() };
    tokio::task::block_in_place(|| MfaIndex::load(&config.input.mfa, &options, &work.events))
}

/// What a plan depends on, beside the export: a change of it asks for a new plan.
pub(super) fn inputs_digest(work: &Work, preparer: &Preparer, asks_zitadel: bool) -> String {
    let config = &work.config;
    let Preparer { hashes, mfa, roads, shape, providers, .. } = preparer;
    let more = Wanted::of(config);
    let more = if more.anything() { format!("{more:?}") } else { String::new() };
    let rules = format!(
        "{more}{:?} {:?} {roads:?} {shape:?} {} {asks_zitadel}",
        config.mapping,
        config.join,
        providers.fingerprint()
    );
    let tickets = format!("{}{}", hashes.digest(), mfa.digest());
    hex(&Sha256::new().chain_update(tickets).chain_update(b"\0").chain_update(rules).finalize())
}

/// The ledger's own key for fingerprints, random, made once.
pub(super) async fn key(ledger: &Ledger) -> Result<[u8; 16]> {
    let hex = ledger.write(runs::key).await?;
    let number = u128::from_str_radix(&hex, 16)
        .map_err(|error| Error::internal("the ledger's key is damaged").caused_by(&error))?;
    Ok(number.to_be_bytes())
}

/// What an export carries that was not made by our own job; ours carries all.
pub(super) fn shape(work: &Work, ledger: &Ledger, run: i64, files: &[File]) -> Result<Shape> {
    let config = &work.config;
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
        work.events.warn(
            "export-without-identities",
            format!(
                "no row of the export has `identities`: hashes are joined by user id where that is unambiguous; {how}"
            ),
        );
    }
    if !verified {
        work.events.warn(
            "export-without-email-verified",
            format!("no row of the export has `email_verified`: it is taken from the hash row with the same e-mail, else as unverified; {how}"),
        );
    }
    Ok(Shape { email_verified: verified })
}
