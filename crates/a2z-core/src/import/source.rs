//! Pass 2 over the export: what the plan left to do, read, joined and mapped again.
//!
//! Nothing but the plan's verdict is kept between the two passes, so memory stays flat and no hash ever rests on a disk.

use std::{collections::HashSet, sync::Arc, thread};

use tokio::sync::mpsc;

use super::item::Item;
use crate::{
    auth0::rows::{RowKind, Rows},
    error::{Error, Result},
    ledger::{
        Ledger, links,
        users::{Todo, settled_todo, todo},
    },
    mapping::facts::Facts,
    plan::{File, Reading, prepare::Preparer},
};

/// Items that may wait for the dispatcher.
const QUEUE: usize = 1_000;

/// Which users of the export are read.
#[derive(Debug, Clone)]
pub enum Which {
    /// Those that the run has something left to do with.
    Todo,
    /// These, with whom the run is done.
    Settled(HashSet<String>),
}

impl Which {
    fn todo(&self, ledger: &Ledger, run: i64, user_id: &str) -> Result<Option<Todo>> {
        match self {
            Self::Todo => ledger.read(|c| todo(c, run, user_id)),
            Self::Settled(users) if users.contains(user_id) => ledger.read(|c| settled_todo(c, run, user_id)),
            Self::Settled(_) => Ok(None),
        }
    }

    /// The row says something else than the plan did. Nobody may be sent so; a user with whom the run is done is left as it is.
    fn changed(&self, user_id: &str) -> Result<()> {
        match self {
            Self::Todo => Err(changed(user_id)),
            Self::Settled(_) => Ok(()),
        }
    }
}

/// Starts the reading thread; it ends when everything is read, or nobody listens any more.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    files: Vec<File>,
    reading: Reading,
    preparer: Arc<Preparer>,
    ledger: &Ledger,
    run: i64,
    which: Which,
) -> Result<mpsc::Receiver<Result<Item>>> {
    let ledger = ledger.clone();
    let (sender, items) = mpsc::channel(QUEUE);
    thread::Builder::new()
        .name("export".into())
        .spawn(move || {
            for file in &files {
                if let Err(error) = read(file, reading, &preparer, (&ledger, run, &which), &sender) {
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            }
        })
        .map_err(|error| Error::internal("cannot start the thread that reads the export").caused_by(&error))?;
    Ok(items)
}

fn read(
    File { file, source }: &File,
    reading: Reading,
    preparer: &Preparer,
    (ledger, run, which): (&Ledger, i64, &Which),
    sender: &mpsc::Sender<Result<Item>>,
) -> Result<()> {
    let mut rows = Rows::open(source, &reading.options())?;
    let mut number = 0;
    while let Some(row) = rows.next()? {
        number += 1;
        let RowKind::User(user) = row.kind else { continue };
        let todo = which.todo(ledger, run, &user.user_id)?;
        // The same id may stand in several rows: the one that the plan took counts.
        let Some(todo) = todo.filter(|todo| todo.place == (*file, number)) else { continue };
        let prepared = preparer.prepare(*user);
        let Ok((mut draft, mut prints)) = prepared.draft else {
            which.changed(&prepared.user_id)?;
            continue;
        };
        if todo.adjusted {
            let (links, joined) = ledger.read(|c| links::made_of(c, run, &prepared.user_id))?;
            preparer.adjust(&mut draft, &mut prints, links, &joined);
        }
        preparer.rename(&mut draft, &mut prints, &todo);
        if prints.profile != todo.profile {
            which.changed(&prepared.user_id)?;
            continue;
        }
        let facts = Facts::of(&draft, &preparer.key);
        let item = Item::new(draft, todo, prints, facts);
        if sender.blocking_send(Ok(item)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn changed(user_id: &str) -> Error {
    Error::usage(format!("the export changed since the plan was made: user `{user_id}` maps to something else"))
        .hint("run the same command again: it plans again; who was imported already stays as is")
}
