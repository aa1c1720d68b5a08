//! How many requests are under way: gives jobs to workers as the limit and the lag of ZITADEL's projections permit. It knows
//! nothing of what a job does.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    drive,
    engine::Engine,
    item::{Builder, Item, Job},
    limit::Limit,
    links,
};
use crate::{
    error::{Error, Result},
    event::{Event, ImportProgress},
    stop::Stop,
};

/// Between two looks at the clock, and two progress events.
const TICK: Duration = Duration::from_millis(100);
/// Between two questions for the lag while nothing is sent.
const PROBE: Duration = Duration::from_secs(1);
/// For one try at the barrier while nothing is sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where adapting begins, and its bounds.
const ADAPTIVE: (u32, u32, u32) = (2, 4, 16);

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
                    Job::Batch(items) => drive::batch(&engine, items).await,
                    Job::Singles(items) => drive::singles(&engine, items).await,
                    Job::Updates(items) => drive::updates(&engine, items).await,
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
