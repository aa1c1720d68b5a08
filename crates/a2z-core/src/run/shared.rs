//! What the stages of one run share, and the notes that each leaves in the ledger.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{facts::Facts, folder::Folder, work::Work};
use crate::{
    error::Result,
    ledger::{
        Ledger,
        runs::{self, Notes},
    },
    plan::{File, Reading, prepare::Preparer},
};

/// What the stages of one run share.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) work: &'a Work,
    pub(super) folder: &'a Folder,
    /// Its number in the ledger.
    pub(super) number: i64,
    pub(super) facts: Facts,
    pub(super) preparer: Arc<Preparer>,
    /// The export.
    pub(super) files: Vec<File>,
    /// When this process began.
    pub(super) began: Instant,
    /// What this process has spent on each thing.
    pub(super) spent: Mutex<BTreeMap<&'static str, Duration>>,
}

impl Run<'_> {
    pub(super) fn ledger(&self) -> &Ledger {
        &self.folder.ledger
    }

    pub(super) fn reading(&self) -> Reading {
        Reading { max_line: self.work.config.input.max_line }
    }

    /// Adds to what this process has spent on something.
    pub(super) async fn time(&self, key: &'static str, elapsed: Duration) -> Result<()> {
        let all = {
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            let all = spent.entry(key).or_default();
            *all += elapsed;
            *all
        };
        let (run, seconds) = (self.number, format!("{:.3}", all.as_secs_f64()));
        self.ledger().write(move |t| runs::note(t, run, Notes::Timing, key, &seconds)).await
    }

    /// Keeps a note with the run, as JSON.
    pub(super) async fn note(&self, key: &'static str, json: String) -> Result<()> {
        let run = self.number;
        self.ledger().write(move |t| runs::note(t, run, Notes::Notes, key, &json)).await
    }
}
