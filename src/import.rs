//! 7 IMPORT: pass 2. Takes what the plan says is to be done, sends it, and settles every user in the ledger.
//!
//! This file is the only one that spawns. The dispatcher gives jobs to workers, as many at a time as [`limit`] allows and
//! the lag of ZITADEL's projections permits; a worker's turn is in `worker.rs`.

pub mod codes;
mod doubt;
mod events;
mod factors;
pub mod item;
pub mod lag;
pub mod limit;
mod links;
mod metadata;
mod owner;
mod password;
pub mod repair;
pub mod settings;
mod settle;
pub mod source;
mod update;
pub mod visible;
mod worker;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};

use self::{
    item::{Builder, Item, Job},
    lag::Lag,
    limit::Limit,
};
use crate::{
    error::{Error, Result},
    event::{Event, Events, ImportProgress},
    import::settings::Import,
    ledger::{
        Ledger, runs,
        states::Outcome,
        users::{Settled, settle},
    },
    mapping::settings::Conflicts,
    mapping::{draft::Route, facts::Salt},
    ownership::Us,
    stop::Stop,
    zitadel::{
        client::Client,
        deleted::Deletions,
        failure::Failure,
        search::{FoundUser, SearchAnswer},
    },
};

/// Between two looks at the clock, and two progress events.
const TICK: Duration = Duration::from_millis(100);
/// Between two questions for the lag while nothing is sent.
const PROBE: Duration = Duration::from_secs(1);
/// For one try at the barrier while nothing is sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many users may be left without an outcome before the run gives up as a whole.
const MOST_UNSETTLED: u32 = 20;
/// Where adapting begins, and its bounds.
const ADAPTIVE: (u32, u32, u32) = (2, 4, 16);

/// What every worker shares.
#[derive(Debug)]
pub struct Engine {
    client: Client,
    ledger: Ledger,
    config: Import,
    run: i64,
    organization_id: String,
    key: [u8; 16],
    conflicts: Conflicts,
    events: Events,
    stop: Stop,
    lag: Lag,
    progress: Mutex<ImportProgress>,
    in_flight: AtomicU32,
    /// Microseconds that a unit of work takes the import endpoint, learned.
    unit_us: AtomicU64,
    pressed_until: Mutex<Option<(Instant, Duration)>>,
    password_mails: tokio::sync::Mutex<HashMap<String, bool>>,
    deletions: tokio::sync::Mutex<Deletions>,
    may_import: bool,
    unsettled: AtomicU32,
    started: Instant,
}

/// What an import needs.
#[derive(Debug)]
pub struct Parts {
    /// To ZITADEL.
    pub client: Client,
    /// The books.
    pub ledger: Ledger,
    /// How to behave.
    pub config: Import,
    /// The run in the ledger.
    pub run: i64,
    /// Where the users go.
    pub organization_id: String,
    /// The ledger's own key for digests.
    pub key: [u8; 16],
    /// What counts if a value changed on both sides.
    pub conflicts: Conflicts,
    /// Who listens.
    pub events: Events,
    /// How it is stopped.
    pub stop: Stop,
    /// The account may call the import endpoint (`IAM_OWNER`); everybody takes the users API otherwise.
    pub may_import: bool,
}

/// Counts a request in flight while it lives.
struct InFlight<'a>(&'a AtomicU32);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// An engine, ready to run.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { client, ledger, config, run, organization_id, key, conflicts, events, stop, may_import } = parts;
        Self {
            client,
            ledger,
            config,
            run,
            organization_id,
            key,
            conflicts,
            events,
            stop,
            lag: Lag::default(),
            progress: Mutex::default(),
            in_flight: AtomicU32::new(0),
            unit_us: AtomicU64::new(10_000),
            pressed_until: Mutex::default(),
            password_mails: tokio::sync::Mutex::default(),
            deletions: tokio::sync::Mutex::default(),
            may_import,
            unsettled: AtomicU32::new(0),
            started: Instant::now(),
        }
    }

    /// Where this user is, or is to be created.
    fn organization_of<'a>(&'a self, item: &'a Item) -> &'a str {
        item.todo.organization.as_deref().unwrap_or(&self.organization_id)
    }

    /// What makes the digests of this user's values.
    fn salt<'a>(&'a self, user_id: &'a str) -> Salt<'a> {
        Salt { key: &self.key, user_id }
    }

    /// Searches by id, and learns the lag from the answer.
    async fn search(&self, ids: &[String]) -> Result<SearchAnswer, Failure> {
        let answer = self.client.search_by_ids(ids).await?;
        self.lag.searched(answer.timestamp, answer.server_date);
        Ok(answer)
    }

    /// The user with this id, read strongly consistently.
    async fn exists(&self, user_id: &str) -> Result<Option<FoundUser>> {
        self.client.user(user_id).await.map_err(|failure| failure.into_error("could not read a user from ZITADEL"))
    }

    /// Would ZITADEL write to a user whose password is changed? It does by default, where it can send mail.
    /// Each organization may have settings of its own.
    async fn password_mails(&self, organization_id: &str) -> Result<bool> {
        let ask = async || {
            // Who may not ask must expect that a mail would be sent.
            let expect = |answer: Result<bool, Failure>| match answer {
                Err(Failure::NoPermission(_)) => Ok(true),
                answer => answer.map_err(|f| f.into_error("could not read ZITADEL's notification settings")),
            };
            Ok(expect(self.client.mail_provider_configured().await)?
                && expect(self.client.notifies_on_password_change(organization_id).await)?)
        };
        let mut known = self.password_mails.lock().await;
        if let Some(mails) = known.get(organization_id) {
            return Ok(*mails);
        }
        let mails = ask().await?;
        known.insert(organization_id.to_owned(), mails);
        Ok(mails)
    }

    /// Commits outcomes, and then counts them.
    async fn settle(&self, settled: Vec<Settled>) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        let outcomes: Vec<Outcome> = settled.iter().map(|user| user.outcome).collect();
        let (run, clock) = (self.run, self.lag.new_clock());
        self.ledger
            .write(move |t| {
                settle(t, &settled)?;
                clock.map_or(Ok(()), |clock| runs::note_clock(t, run, clock))
            })
            .await?;
        let mut progress = self.progress_mut();
        for outcome in outcomes {
            progress.done += 1;
            match outcome {
                Outcome::Created => progress.created += 1,
                Outcome::Updated => progress.updated += 1,
                Outcome::Existed => progress.existed += 1,
                Outcome::Rejected => progress.rejected += 1,
                Outcome::Unchanged | Outcome::Skipped | Outcome::Unknown => {}
            }
            // An update may change nothing that the users projection reads, which would then seem to stand still.
            if outcome == Outcome::Created {
                self.lag.wrote();
            }
        }
        Ok(())
    }

    fn progress(&self) -> ImportProgress {
        self.progress_mut().clone()
    }

    fn progress_mut(&self) -> MutexGuard<'_, ImportProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    /// An import of `items` took so long: what a unit of work costs is learned from it.
    fn took(&self, items: &[Item], elapsed: Duration) {
        let work: f64 = items.iter().map(|item| item::work(&item.draft)).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds of one user")]
        let unit = (elapsed.as_secs_f64() * 1e6 / work.max(1.0)) as u64;
        let before = self.unit_us.load(Ordering::Relaxed);
        self.unit_us.store((before * 3 + unit) / 4, Ordering::Relaxed);
    }

    /// Less pressure may help: the dispatcher holds back for `pause`.
    fn pressed(&self, pause: Duration) {
        *self.pressed_until.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), pause));
    }

    /// Says that a request which only we may make again waits for its turn.
    fn throttled(&self, what: &str, wait: Duration) {
        self.events.emit(&Event::Retry {
            vendor: "ZITADEL",
            what: what.to_owned(),
            attempt: 1,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            reason: "HTTP 429".to_owned(),
        });
    }

    /// Waits, unless the run is stopped.
    async fn pause(&self, pause: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stop.drain.cancelled() => Err(Stop::error()),
        }
    }

    fn check_stopped(&self) -> Result<()> {
        if self.stop.drain.is_cancelled() { Err(Stop::error()) } else { Ok(()) }
    }

    fn check_not_aborted(&self) -> Result<()> {
        if self.stop.abort.is_cancelled() { Err(Stop::error()) } else { Ok(()) }
    }

    /// These users' answers were lost again and again: they stay in doubt, and the others go on, unless it is many.
    fn leave_unsettled(&self, users: usize) -> bool {
        let users = u32::try_from(users).unwrap_or(u32::MAX);
        self.unsettled.fetch_add(users, Ordering::Relaxed).saturating_add(users) <= MOST_UNSETTLED
    }

    /// What tells this ledger's work from that of others.
    fn us(&self) -> Result<Us> {
        Us::of(&self.ledger)
    }

    fn route(&self, item: &Item) -> Route {
        if self.may_import { item.todo.route } else { Route::UsersApi }
    }
}

pub use doubt::settle_aside;

/// Runs the import: everything that comes out of `items`, until it is settled.
///
/// # Errors
/// The first thing that ends the run; what was in flight then is settled first, where that is still possible.
pub async fn run(engine: &Arc<Engine>, items: mpsc::Receiver<Result<Item>>, total: u64) -> Result<ImportProgress> {
    *engine.progress_mut() = ImportProgress { total, ..ImportProgress::default() };
    links::free(engine).await?;
    let now = Instant::now();
    let limit = match engine.config.concurrency {
        Some(n) => Limit::fixed(n, now),
        None => Limit::between(ADAPTIVE.0, ADAPTIVE.1, ADAPTIVE.2, now),
    };
    let builder = Builder::new(&engine.config);
    let dispatcher = Dispatcher {
        engine,
        limit,
        builder,
        items: Some(items),
        ready: VecDeque::new(),
        workers: JoinSet::new(),
        failed: None,
        counted: 0,
        last_probe: now,
    };
    let result = dispatcher.run().await;
    engine.events.emit(&Event::Import(engine.progress()));
    result.map(|()| engine.progress())
}

struct Dispatcher<'a> {
    engine: &'a Arc<Engine>,
    limit: Limit,
    builder: Builder,
    /// None once the source is dry, or nothing more is wanted.
    items: Option<mpsc::Receiver<Result<Item>>>,
    ready: VecDeque<Job>,
    workers: JoinSet<Result<()>>,
    failed: Option<Error>,
    counted: u64,
    last_probe: Instant,
}

impl Dispatcher<'_> {
    async fn run(mut self) -> Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.engine.stop.clone();
        let mut stopping = false;
        loop {
            self.give_out();
            if self.workers.is_empty() && self.items.is_none() && self.ready.is_empty() {
                break;
            }
            tokio::select! {
                () = stop.abort.cancelled() => {
                    self.workers.abort_all();
                    return Err(Stop::error());
                }
                () = stop.drain.cancelled(), if !stopping => {
                    stopping = true;
                    self.end(Stop::error());
                }
                Some(done) = self.workers.join_next(), if !self.workers.is_empty() => self.finished(done),
                item = next(&mut self.items), if self.wants_more() => self.take(item),
                _ = tick.tick() => self.look_around().await,
            }
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn wants_more(&self) -> bool {
        self.items.is_some() && self.ready.len() <= self.limit.current() as usize
    }

    fn take(&mut self, item: Option<Result<Item>>) {
        match item {
            Some(Ok(item)) => {
                #[expect(clippy::cast_precision_loss, reason = "microseconds")]
                let unit = self.engine.unit_us.load(Ordering::Relaxed) as f64 / 1e6;
                let route = self.engine.route(&item);
                self.ready.extend(self.builder.push(item, route, unit));
            }
            Some(Err(error)) => self.end(error),
            None => {
                self.items = None;
                self.ready.extend(self.builder.finish());
            }
        }
    }

    /// Nothing new is begun; what runs is waited for.
    fn end(&mut self, error: Error) {
        self.items = None;
        self.ready.clear();
        self.failed.get_or_insert(error);
    }

    fn give_out(&mut self) {
        while self.workers.len() < self.limit.current() as usize && self.held().is_none() {
            let Some(job) = self.ready.pop_front() else { break };
            let engine = Arc::clone(self.engine);
            self.workers.spawn(async move {
                match job {
                    Job::Batch(items) => worker::batch(&engine, items).await,
                    Job::Singles(items) => worker::singles(&engine, items).await,
                    Job::Updates(items) => update::updates(&engine, items).await,
                }
            });
        }
    }

    /// Why nothing may be sent now, if so.
    fn held(&self) -> Option<&'static str> {
        if self.limit.held_until(Instant::now()).is_some() {
            Some("errors")
        } else if self.engine.lag.current() >= self.engine.config.max_lag {
            Some("lag")
        } else {
            None
        }
    }

    fn finished(&mut self, done: Result<Result<()>, tokio::task::JoinError>) {
        match done {
            Ok(Ok(())) => {
                let done = self.engine.progress().done;
                let lag = self.engine.lag.current().as_secs_f64() / self.engine.config.max_lag.as_secs_f64().max(0.001);
                self.limit.succeeded(done - self.counted, lag, Instant::now());
                self.counted = done;
            }
            Ok(Err(error)) => self.end(error),
            Err(join) => self.end(Error::internal("a worker of the import stopped unexpectedly").caused_by(&join)),
        }
    }

    /// Once a tick: pressure, lag, progress.
    async fn look_around(&mut self) {
        let now = Instant::now();
        let pressed = self.engine.pressed_until.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((at, pause)) = pressed {
            self.limit.failed(pause.saturating_sub(now.saturating_duration_since(at)), now);
        }
        let held = self.held();
        if held == Some("lag") && now.saturating_duration_since(self.last_probe) >= PROBE {
            // Nothing is sent, so nothing is learned: ask. A failure shows at the next real request.
            self.last_probe = now;
            if self.workers.is_empty() {
                // Nothing is on its way any more: once the barrier lets us through, everything is projected.
                if self.engine.client.barrier(PATIENCE).await.is_ok() {
                    self.engine.lag.caught_up();
                }
            } else {
                let _ = self.engine.search(&["a2z-probe".to_owned()]).await;
            }
        }
        let mut progress = self.engine.progress_mut();
        progress.in_flight = self.engine.in_flight.load(Ordering::Relaxed);
        progress.concurrency = self.limit.current();
        progress.lag_ms = u64::try_from(self.engine.lag.current().as_millis()).unwrap_or(u64::MAX);
        progress.throttled = held;
        let event = Event::Import(progress.clone());
        drop(progress);
        self.engine.events.emit(&event);
    }
}

async fn next(items: &mut Option<mpsc::Receiver<Result<Item>>>) -> Option<Result<Item>> {
    match items {
        Some(items) => items.recv().await,
        None => None,
    }
}
