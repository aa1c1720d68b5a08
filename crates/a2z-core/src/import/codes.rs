//! Gives users codes by SMS and e-mail as second factors, once they are there. ZITADEL sends nothing, and asks for a code at
//! the next sign-in.
//!
//! Nothing is given twice: it is marked in the ledger before the request leaves; after a lost answer the events tell whether
//! ZITADEL carried it out. What the user removes later is the user's decision, and is not given again.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    error::{Error, Result, count},
    event::{Events, Stage},
    ledger::{
        Ledger,
        codes::{self, CodeTodo, SettledCode},
        runs,
        states::CodeState,
    },
    mapping::{codes::Kind, finding::FindingCode},
    stop::Stop,
    zitadel::{
        client::Client,
        events::{Event, kind},
        failure::{Failure, Reason},
    },
};

/// Factors that are marked together before their requests leave.
const CHUNK: usize = 100;
/// Passes over what is left, where answers were lost.
const PASSES: u32 = 6;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(500);
/// ZITADEL's clock may be behind ours by so much.
const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// What the giving needs.
#[derive(Debug)]
pub struct Giver<'a> {
    /// To ZITADEL.
    pub client: &'a Client,
    /// The ledger.
    pub ledger: &'a Ledger,
    /// The run.
    pub run: i64,
    /// Who listens.
    pub events: &'a Events,
    /// How it is stopped.
    pub stop: &'a Stop,
}

/// One pass over what is left.
struct Pass<'a> {
    giver: &'a Giver<'a>,
    /// The accounts that wrote with this ledger.
    accounts: Vec<String>,
    /// What ZITADEL could not do by now costs the factor.
    last: bool,
    /// ZITADEL said that it was too much at a time.
    throttled: AtomicBool,
}

impl Giver<'_> {
    /// Gives what the plan says, until nothing is left. Returns how many there were to give.
    ///
    /// # Errors
    /// When ZITADEL gives up, the ledger fails, or the run is stopped.
    pub async fn give(&self) -> Result<u64> {
        let total = self.left()?;
        if total == 0 {
            return Ok(0);
        }
        let stage = self.events.start(Stage::Codes, Some(total));
        let accounts = self.ledger.read(runs::accounts)?;
        let mut pass = Pass { giver: self, accounts, last: false, throttled: AtomicBool::default() };
        let (mut passes, mut patience) = (1, None);
        loop {
            pass.last = passes >= PASSES;
            let mut after: Option<(String, Kind)> = None;
            loop {
                self.check_stopped()?;
                let place = after.as_ref().map(|(user_id, kind)| (user_id.as_str(), *kind));
                let chunk = self.ledger.read(|c| codes::todo(c, self.run, place, CHUNK))?;
                let Some(last) = chunk.last() else { break };
                after = Some((last.user_id.clone(), last.kind));
                pass.chunk(chunk).await?;
                stage.advanced(total.saturating_sub(self.left()?), Some(total));
            }
            let left = self.left()?;
            if left == 0 {
                stage.finish(total);
                return Ok(total);
            }
            if pass.throttled.swap(false, Ordering::Relaxed) {
                let patience = patience.get_or_insert_with(|| self.client.patience());
                let Some(wait) = patience.again(None) else {
                    return Err(Failure::Throttled.into_error("could not give second factors to users in ZITADEL"));
                };
                self.wait(wait).await?;
            } else if pass.last {
                return Err(Error::gave_up(format!(
                    "ZITADEL's answers for {} were lost again and again",
                    count(left, "second factor")
                ))
                .hint("they are marked as in doubt; run the same command again to settle them"));
            } else {
                passes += 1;
                self.wait(PAUSE).await?;
            }
        }
    }

    fn left(&self) -> Result<u64> {
        self.ledger.read(|c| codes::count_todo(c, self.run))
    }

    async fn wait(&self, pause: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stop.drain.cancelled() => Err(Stop::error()),
        }
    }

    fn check_stopped(&self) -> Result<()> {
        if self.stop.drain.is_cancelled() { Err(Stop::error()) } else { Ok(()) }
    }
}

impl Pass<'_> {
    /// Marks these, and sends a request for each, four at a time.
    async fn chunk(&self, todo: Vec<CodeTodo>) -> Result<()> {
        let marked = todo.clone();
        self.giver.ledger.write(move |t| codes::begin_requests(t, &marked)).await?;
        let size = todo.len().div_ceil(4).max(1);
        let mut parts = todo.chunks(size);
        let mut lane = || Box::pin(self.lane(parts.next().unwrap_or_default()));
        // All of them come to their end: what was sent is settled.
        let (a, b, c, d) = tokio::join!(lane(), lane(), lane(), lane());
        a.and(b).and(c).and(d)
    }

    async fn lane(&self, todo: &[CodeTodo]) -> Result<()> {
        let (ledger, run) = (self.giver.ledger, self.giver.run);
        for (at, code) in todo.iter().enumerate() {
            let stopped = self.giver.check_stopped();
            // Of one whose request failed it is not certain.
            let sent = at + usize::from(stopped.is_ok());
            let settled = match stopped {
                Ok(()) => self.one(code).await,
                Err(stopped) => Err(stopped),
            };
            match settled {
                Ok(Some(settled)) => ledger.write(move |t| codes::settle(t, run, &settled)).await?,
                Ok(None) => {}
                Err(error) => {
                    let left = todo[sent..].to_vec();
                    let _ = ledger.write(move |t| codes::not_sent(t, &left)).await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Gives one. None: its answer was lost, and a later pass settles it.
    async fn one(&self, code: &CodeTodo) -> Result<Option<SettledCode>> {
        let settled = |state, why: Option<FindingCode>, detail: Option<String>| {
            Ok(Some(SettledCode { user_id: code.user_id.clone(), kind: code.kind, state, code: why, detail }))
        };
        if code.in_doubt
            && let Some(state) = self.given_before(code).await?
        {
            return settled(state, None, None);
        }
        if !(code.is_new && code.has_way_in)
            && let Some((why, detail)) = self.why_not(code).await?
        {
            return settled(CodeState::Refused, Some(why), detail);
        }
        match self.giver.client.add_code(&code.user_id, code.kind).await {
            Ok(()) => settled(CodeState::Ours, None, None),
            Err(failure) if failure.reason() == Reason::CodeExists => {
                settled(if code.in_doubt { CodeState::Ours } else { CodeState::Theirs }, None, None)
            }
            Err(failure) if failure.reason() == Reason::ContactUnverified => {
                settled(CodeState::Refused, Some(FindingCode::FactorUnverified), None)
            }
            Err(Failure::NoPermission(_)) => settled(CodeState::Refused, Some(FindingCode::FactorNotPermitted), None),
            Err(Failure::Refused { status, id, message, .. }) if status < 500 || self.last => {
                let detail = id.map_or_else(|| format!("HTTP {status}"), |id| format!("{id}: {message}"));
                settled(CodeState::Refused, Some(FindingCode::FactorRefused), Some(detail))
            }
            Err(Failure::Gibberish { what }) if self.last => {
                settled(CodeState::Refused, Some(FindingCode::FactorRefused), Some(what))
            }
            Err(Failure::Throttled) => {
                self.throttled.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(failure) if failure.is_ambiguous() && !matches!(failure, Failure::Cancelled) => Ok(None),
            Err(failure) => Err(failure.into_error("could not give a user a second factor in ZITADEL")),
        }
    }

    /// A user of an earlier run may have changed in ZITADEL since; and who has neither a password nor a link from us may
    /// have one all the same.
    async fn why_not(&self, code: &CodeTodo) -> Result<Option<(FindingCode, Option<String>)>> {
        let failed = |failure: Failure| failure.into_error("could not read a user from ZITADEL");
        let Some(user) = self.giver.client.user(&code.user_id).await.map_err(failed)? else {
            return Ok(Some((FindingCode::FactorRefused, Some("the user is not in ZITADEL".to_owned()))));
        };
        let verified = match code.kind {
            Kind::Sms => user.phone_verified && !user.phone.is_empty(),
            Kind::Email => user.email_verified,
        };
        if !verified {
            return Ok(Some((FindingCode::FactorUnverified, None)));
        }
        if code.has_way_in || user.password_changed.is_some() {
            return Ok(None);
        }
        let links = self.giver.client.links(&code.user_id).await.map_err(failed)?;
        Ok(links.is_empty().then_some((FindingCode::FactorLocksOut, None)))
    }

    /// A request of which the answer was lost: did ZITADEL carry it out? Only events tell; none, if they say that it did
    /// not, or may not be read.
    async fn given_before(&self, code: &CodeTodo) -> Result<Option<CodeState>> {
        let events = match newest_first(self.giver.client, &code.user_id, code.kind).await {
            Err(Failure::NoPermission(_)) => return Ok(None),
            events => events.map_err(|f| f.into_error("could not read a user's events from ZITADEL"))?,
        };
        let added = |event: &&Event| event.kind == code.kind.added();
        if events.iter().filter(added).any(|event| self.accounts.contains(&event.editor_user_id)) {
            return Ok(Some(CodeState::Ours));
        }
        // The user was quicker.
        Ok(events.first().filter(added).map(|_| CodeState::Theirs))
    }
}

/// What became of such codes in the user's present life.
async fn newest_first(client: &Client, user_id: &str, code: Kind) -> std::result::Result<Vec<Event>, Failure> {
    let kinds: Vec<&str> = std::iter::once(code.added()).chain(code.removed().iter().copied()).collect();
    client.life(user_id, &kinds).await.map(|life| life.events)
}

/// Writes down which of the factors that ZITADEL has from us were removed there since; those that others removed are not
/// given again. Nothing happens if the account may not read events.
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub async fn look_for_removed(client: &Client, ledger: &Ledger) -> Result<()> {
    let Some(since) = ledger.read(codes::first_given)? else { return Ok(()) };
    let accounts = ledger.read(runs::accounts)?;
    let types: Vec<&str> = Kind::ALL.iter().flat_map(|kind| kind.removed().iter().copied()).collect();
    let mut touched = BTreeSet::new();
    let since = since.checked_sub(SKEW).unwrap_or(Timestamp::MIN);
    let read = client.each_event(&types, since, |event| {
        let of = |kind: &&Kind| kind.removed().contains(&event.kind.as_str());
        if let Some(kind) = Kind::ALL.iter().find(of) {
            touched.insert((event.aggregate_id, *kind));
        }
    });
    let unreadable = |failure: Failure| failure.into_error("could not read ZITADEL's events");
    match read.await {
        Err(Failure::NoPermission(_)) => return Ok(()),
        read => read.map_err(unreadable)?,
    };
    let mut gone = Vec::new();
    for (user_id, kind) in touched {
        if !ledger.read(|c| codes::is_given(c, &user_id, kind))? {
            continue;
        }
        let events = newest_first(client, &user_id, kind).await.map_err(unreadable)?;
        if let Some(newest) = events.first().filter(|newest| newest.kind != kind.added()) {
            // We take a number that left Auth0, and never a factor.
            let by_us = newest.kind == kind::PHONE_REMOVED && accounts.contains(&newest.editor_user_id);
            let by_others = !by_us;
            gone.push((user_id, kind, by_others));
        }
    }
    ledger.write(move |t| codes::gone(t, &gone)).await
}
