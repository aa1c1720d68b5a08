//! The ticket's files, and what a plan depends on beside the export.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{choose::Chosen, work::Work};
use crate::{
    error::{Error, Result},
    hashes::{HashIndex, LoadOptions, mfa::MfaIndex},
    ledger::{
        Ledger,
        runs::{self, Notes},
    },
    plan::prepare::Preparer,
    text::hex,
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
        let spool = || Some(work.config.state.clone());
        let (hashes, mfa) = (load_hashes(work, spool())?, load_mfa(work, spool())?);
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

/// The hash files, as an index; what does not fit into memory goes into files in `spool`.
///
/// # Errors
/// When one of them cannot be read.
pub fn load_hashes(work: &Work, spool: Option<PathBuf>) -> Result<HashIndex> {
    let config = &work.config;
    if config.input.passwords.is_empty() {
        return Ok(HashIndex::empty());
    }
    let options = LoadOptions {
        by_email: config.join.by_email,
        max_line: config.input.max_line,
        spool,
        verifiers: config.mapping.verifiers,
    };
    tokio::task::block_in_place(|| HashIndex::load(&config.input.passwords, &options, &work.events))
}

/// The MFA files, whole in memory.
///
/// # Errors
/// When one of them cannot be read.
pub fn load_mfa(work: &Work, spool: Option<PathBuf>) -> Result<MfaIndex> {
    let config = &work.config;
    let options = LoadOptions { max_line: config.input.max_line, spool, ..LoadOptions::default() };
    tokio::task::block_in_place(|| MfaIndex::load(&config.input.mfa, &options, &work.events))
}

/// What a plan depends on, beside the export: a change of it asks for a new plan.
pub(super) fn inputs_digest(work: &Work, preparer: &Preparer, asks_zitadel: bool) -> String {
    let config = &work.config;
    let Preparer { hashes, mfa, roads, shape, providers, .. } = preparer;
    let more = config.structure();
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
