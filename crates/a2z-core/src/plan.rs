//! 5 PLAN: pass 1. Reads, joins, maps and checks every user, and writes one row a user to the ledger. Only then are name
//! collisions, the coverage by hashes, and what changed since the last run known.

pub mod addresses;
pub mod instance;
pub mod keeps;
pub mod names;
pub mod people;
pub mod prepare;
pub mod providers;

use std::{sync::mpsc, thread};

use self::prepare::Preparer;
use crate::{
    auth0::rows::{Row, RowKind, Rows},
    error::{Error, Result},
    event::{Events, Stage},
    input,
    input::settings::Source,
    ledger::{
        Ledger, Written,
        lines::{self, PlannedLine},
        runs::{self, Notes},
        states::Outcome,
        users::{self, PlannedUser},
    },
    mapping::finding::BlockedCode,
    mapping::settings::Collisions,
    stop::Stop,
    structure::settings::Carried,
};

/// Rows that travel together from thread to thread.
const CHUNK: usize = 512;
/// And so many bytes: rows with much metadata must not fill the memory.
const CHUNK_BYTES: usize = 2 << 20;
/// Chunks that may wait between two threads.
const QUEUE: usize = 8;
/// Rows that are handed to the ledger together.
const WRITE: usize = 2_000;

/// One file of the export.
#[derive(Debug, Clone)]
pub struct File {
    /// Its number in the run, from 0.
    pub file: i64,
    /// Where it is.
    pub source: Source,
}

/// How an export is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The longest line, in bytes.
    pub max_line: usize,
}

impl Reading {
    /// The options for the reader.
    #[must_use]
    pub fn options(self) -> input::Options {
        input::Options::new(self.max_line, "--users")
    }
}

/// What the pass found, before collisions and the instance were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Rows, malformed ones included.
    pub rows: u64,
    /// SHA-256 of each file, in order.
    pub digests: Vec<String>,
}

/// Reads every file and writes the plan of `run`. Blocks; three threads share the work: this one maps, one reads, and the
/// ledger's own writes.
///
/// # Errors
/// When a file cannot be read to its end, the ledger cannot be written, or the run is stopped.
pub fn read_all(
    files: &[File],
    reading: Reading,
    preparer: &Preparer,
    ledger: &Ledger,
    run: i64,
    events: &Events,
    stop: &Stop,
) -> Result<Counted> {
    ledger.write_blocking(move |t| users::begin_plan(t, run))?;
    let stage = events.start(Stage::Plan, None);
    let mut writer = Writer::new(ledger, run, preparer);
    let mut counted = Counted::default();
    for File { file, source } in files {
        let (sender, chunks) = mpsc::sync_channel::<Vec<Row>>(QUEUE);
        let digest = thread::scope(|scope| {
            let reader = scope.spawn(move || read(source, reading, &sender));
            let mut number = 0;
            for chunk in chunks {
                counted.rows += chunk.len() as u64;
                for row in chunk {
                    number += 1;
                    writer.row(row, (*file, number), preparer);
                }
                stage.advanced(counted.rows, None);
                if stop.drain.is_cancelled() {
                    return Err(Stop::error());
                }
            }
            reader.join().map_err(|_| Error::internal("the thread that reads the export stopped unexpectedly"))?
        })?;
        counted.digests.push(digest);
    }
    writer.finish()?;
    ledger.write_blocking(users::index_names)?;
    let (rows, json) = (counted.rows, counted.rows.to_string());
    ledger.write_blocking(move |t| runs::note(t, run, Notes::Notes, "exported", &json))?;
    stage.finish(rows);
    Ok(counted)
}

/// Settles, inside the export, who is one person, who keeps a link, and who keeps a user name.
///
/// # Errors
/// When the ledger fails.
pub fn settle_names(ledger: &Ledger, run: i64, policy: Collisions, carried: Carried) -> Result<()> {
    ledger.write_blocking(move |t| {
        people::settle(t, run, policy, carried)?;
        names::settle(t, run, policy)?;
        people::release(t, run)?;
        addresses::report(t, run)
    })
}

/// Reads one file to its end, and gives its digest.
fn read(source: &Source, reading: Reading, sender: &mpsc::SyncSender<Vec<Row>>) -> Result<String> {
    let mut rows = Rows::open(source, &reading.options().with_digest())?;
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        bytes += row.bytes;
        chunk.push(row);
        let full = chunk.len() == CHUNK || bytes >= CHUNK_BYTES;
        if full {
            bytes = 0;
        }
        if full && sender.send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))).is_err() {
            // The other side has failed, and says so.
            return Ok(String::new());
        }
    }
    let _ = sender.send(chunk);
    Ok(rows.records().digest().unwrap_or_default())
}

/// Hands planned rows to the ledger while the next are being mapped. The whole pass is one transaction: the index by
/// `user_id` is touched at random, and every commit would write most of it again.
struct Writer {
    users: Vec<PlannedUser>,
    lines: Vec<PlannedLine>,
    chunks: mpsc::SyncSender<(Vec<PlannedUser>, Vec<PlannedLine>)>,
    written: Written<()>,
}

impl Writer {
    fn new(ledger: &Ledger, run: i64, preparer: &Preparer) -> Self {
        let history = preparer.with_facts.then(|| preparer.mapping.history_keys());
        let (chunks, received) = mpsc::sync_channel::<(Vec<PlannedUser>, Vec<PlannedLine>)>(QUEUE);
        let written = ledger.write_later(move |t| {
            for (users, lines) in received {
                if let Some(history) = &history {
                    users::adopt_fingerprints(t, &users, history)?;
                }
                users::put_users(t, run, &users)?;
                lines::put_lines(t, run, &lines)?;
            }
            Ok(())
        });
        Self { users: Vec::new(), lines: Vec::new(), chunks, written }
    }

    fn row(&mut self, row: Row, (file, number): (i64, u64), preparer: &Preparer) {
        match row.kind {
            RowKind::User(user) => {
                let prepared = preparer.prepare(*user);
                self.users.push(preparer.plan(prepared, file, number));
            }
            RowKind::Malformed { reason, user_id } => self.lines.push(PlannedLine {
                file,
                line: row.line,
                row: number,
                user_id,
                connection: None,
                outcome: Outcome::Rejected,
                code: BlockedCode::MalformedRow,
                detail: Some(format!("line {}: {reason}", row.line)),
            }),
        }
        if self.users.len() + self.lines.len() >= WRITE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // Where nobody takes it, the write has failed; `finish` says why.
        let _ = self.chunks.send((std::mem::take(&mut self.users), std::mem::take(&mut self.lines)));
    }

    fn finish(mut self) -> Result<()> {
        self.flush();
        drop(self.chunks);
        self.written.wait()
    }
}
