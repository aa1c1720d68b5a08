//! What every worker of an import shares: the way to ZITADEL, the ledger, and what is learned on the way.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    item::{self, Item},
    lag::Lag,
    settings::Import,
};
use crate::{
    error::Result,
    event::{Event, Events, ImportProgress},
    ledger::{
        Ledger, runs,
        states::Outcome,
        users::{Settled, settle},
    },
    mapping::{draft::Route, facts::Salt, settings::Conflicts},
    ownership::Us,
    stop::Stop,
    zitadel::{
        client::Client,
        deleted::Deletions,
        failure::Failure,
        search::{FoundUser, SearchAnswer},
    },
};

/// How many users may be left without an outcome before the run gives up as a whole.
const MOST_UNSETTLED: u32 = 20;

/// What every worker shares.
#[derive(Debug)]
pub struct Engine {
    pub(super) client: Client,
    pub(super) ledger: Ledger,
    pub(super) config: Import,
    pub(super) run: i64,
    pub(super) organization_id: String,
    pub(super) key: [u8; 16],
    pub(super) conflicts: Conflicts,
    pub(super) events: Events,
    pub(super) stop: Stop,
    pub(super) lag: Lag,
    pub(super) progress: Mutex<ImportProgress>,
    pub(super) in_flight: AtomicU32,
    /// Microseconds that a unit of work takes the import endpoint, learned.
    pub(super) unit_us: AtomicU64,
    pub(super) pressed_until: Mutex<Option<(Instant, Duration)>>,
    pub(super) password_mails: tokio::sync::Mutex<HashMap<String, bool>>,
    pub(super) deletions: tokio::sync::Mutex<Deletions>,
    pub(super) may_import: bool,
    pub(super) unsettled: AtomicU32,
    pub(super) started: Instant,
}

/// What an import needs.
#[derive(Debug)]
pub struct Parts {
    /// To ZITADEL.
    pub client: Client,
    /// The ledger.
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
pub(super) struct InFlight<'a>(&'a AtomicU32);

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
    pub(super) fn organization_of<'a>(&'a self, item: &'a Item) -> &'a str {
        item.todo.organization.as_deref().unwrap_or(&self.organization_id)
    }

    /// What makes the digests of this user's values.
    pub(super) fn salt<'a>(&'a self, user_id: &'a str) -> Salt<'a> {
        Salt { key: &self.key, user_id }
    }

    /// Searches by id, and learns the lag from the answer.
    pub(super) async fn search(&self, ids: &[String]) -> Result<SearchAnswer, Failure> {
        let answer = self.client.search_by_ids(ids).await?;
        self.lag.searched(answer.timestamp, answer.server_date);
        Ok(answer)
    }

    /// The user with this id, read strongly consistently.
    pub(super) async fn exists(&self, user_id: &str) -> Result<Option<FoundUser>> {
        self.client.user(user_id).await.map_err(|failure| failure.into_error("could not read a user from ZITADEL"))
    }

    /// Would ZITADEL write to a user whose password is changed? It does by default, where it can send mail.
    /// Each organization may have settings of its own.
    pub(super) async fn password_mails(&self, organization_id: &str) -> Result<bool> {
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
    pub(super) async fn settle(&self, settled: Vec<Settled>) -> Result<()> {
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

    pub(super) fn progress(&self) -> ImportProgress {
        self.progress_mut().clone()
    }

    pub(super) fn progress_mut(&self) -> MutexGuard<'_, ImportProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    /// An import of `items` took so long: what a unit of work costs is learned from it.
    pub(super) fn took(&self, items: &[Item], elapsed: Duration) {
        let work: f64 = items.iter().map(|item| item::work(&item.draft)).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds of one user")]
        let unit = (elapsed.as_secs_f64() * 1e6 / work.max(1.0)) as u64;
        let before = self.unit_us.load(Ordering::Relaxed);
        self.unit_us.store((before * 3 + unit) / 4, Ordering::Relaxed);
    }

    /// Less pressure may help: the dispatcher holds back for `pause`.
    pub(super) fn pressed(&self, pause: Duration) {
        *self.pressed_until.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), pause));
    }

    /// Says that a request which only we may make again waits for its turn.
    pub(super) fn throttled(&self, what: &str, wait: Duration) {
        self.events.emit(&Event::Retry {
            vendor: "ZITADEL",
            what: what.to_owned(),
            attempt: 1,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            reason: "HTTP 429".to_owned(),
        });
    }

    /// Waits, unless the run is stopped.
    pub(super) async fn pause(&self, pause: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stop.drain.cancelled() => Err(Stop::error()),
        }
    }

    pub(super) fn check_stopped(&self) -> Result<()> {
        if self.stop.drain.is_cancelled() { Err(Stop::error()) } else { Ok(()) }
    }

    pub(super) fn check_not_aborted(&self) -> Result<()> {
        if self.stop.abort.is_cancelled() { Err(Stop::error()) } else { Ok(()) }
    }

    /// These users' answers were lost again and again: they stay in doubt, and the others go on, unless it is many.
    pub(super) fn leave_unsettled(&self, users: usize) -> bool {
        let users = u32::try_from(users).unwrap_or(u32::MAX);
        self.unsettled.fetch_add(users, Ordering::Relaxed).saturating_add(users) <= MOST_UNSETTLED
    }

    /// What tells this ledger's work from that of others.
    pub(super) fn us(&self) -> Result<Us> {
        Us::of(&self.ledger)
    }

    /// Does the failure cost this user, and nobody else? A 500 after all attempts does, unless it is many.
    pub(super) fn is_this_users(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Refused { status: 400..=409, .. } => true,
            Failure::Refused { status: 500, .. } => self.leave_unsettled(1),
            _ => false,
        }
    }

    /// The road that a user takes.
    pub(super) fn route(&self, item: &Item) -> Route {
        if self.may_import { item.todo.route } else { Route::UsersApi }
    }
}
