//! A server's quota for one kind of call, as its answers tell it: `x-ratelimit-remaining` and `x-ratelimit-reset`. Calls wait
//! before they are refused, for a refusal counts, too. Whatever the server does not tell is found out by one call at a time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::header::HeaderMap;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The shortest pause once a quota is used up: the server tells the end of its window in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest: clocks differ.
const LONGEST: Duration = Duration::from_mins(1);

/// What is known of the quota. Shared by everybody who makes such calls.
#[derive(Debug, Default)]
pub struct Quota {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    room: Room,
    /// Calls that have begun so far.
    begun: u64,
    /// Those of them that have ended.
    ended: u64,
    /// Rises whenever the quota is used up: what an answer of an earlier round tells is out of date.
    round: u64,
}

#[derive(Debug, Default, Clone, Copy)]
enum Room {
    /// No answer has told anything yet.
    #[default]
    Unknown,
    /// The server has no quota, or keeps it to itself.
    NoLimit,
    /// How many calls may begin; with none, the answers of those in flight are waited for.
    Left(u64),
    /// Used up until then.
    UsedUp(Instant),
}

/// The right to make one call. Dropping it gives the place back.
#[derive(Debug)]
#[must_use]
pub struct Turn<'a> {
    quota: &'a Quota,
    /// Calls that had ended when this one began: the server has looked at them before.
    ended: u64,
    round: u64,
}

impl Quota {
    /// Returns when the next call may begin. Safe to drop while waiting.
    pub async fn turn(&self) -> Turn<'_> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let until = {
                let mut state = self.lock();
                let alone = state.begun == state.ended;
                let (may, until) = match state.room {
                    Room::NoLimit => (true, None),
                    Room::Left(left) if left > 0 => (true, None),
                    Room::UsedUp(until) if until > Instant::now() => (false, Some(until)),
                    // One call finds out how much there is now.
                    Room::Unknown | Room::Left(_) | Room::UsedUp(_) => (alone, None),
                };
                if may {
                    return self.begin(&mut state);
                }
                until
            };
            match until {
                Some(until) => sleep_until(until).await,
                None => changed.await,
            }
        }
    }

    fn begin(&self, state: &mut State) -> Turn<'_> {
        match state.room {
            Room::Left(left) => state.room = Room::Left(left.saturating_sub(1)),
            Room::UsedUp(_) => state.room = Room::Left(0),
            Room::Unknown | Room::NoLimit => {}
        }
        state.begun += 1;
        Turn { quota: self, ended: state.ended, round: state.round }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Takes note of what the headers of the call's answer tell.
    pub fn answered(self, headers: &HeaderMap) {
        let mut state = self.quota.lock();
        let Some((remaining, reset)) = told(headers) else {
            if matches!(state.room, Room::Unknown) {
                state.room = Room::NoLimit;
            }
            return;
        };
        if self.round < state.round {
            return;
        }
        if remaining == 0 {
            state.room = Room::UsedUp(Instant::now() + reset);
            state.round += 1;
            return;
        }
        // The server may have looked at all others that were under way at the same time after this one.
        let others = state.begun.saturating_sub(self.ended + 1);
        state.room = Room::Left(remaining.saturating_sub(others));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.quota.lock().ended += 1;
        self.quota.changed.notify_waiters();
    }
}

/// How many calls are left, and how long until there are more: the reset is in epoch seconds, and is held against the
/// answer's own date.
fn told(headers: &HeaderMap) -> Option<(u64, Duration)> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let remaining = header("x-ratelimit-remaining")?.parse::<i64>().ok()?;
    let date = header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let now = date.map_or_else(jiff::Timestamp::now, |date| date.timestamp()).as_second();
    let reset = header("x-ratelimit-reset").and_then(|reset| reset.parse::<i64>().ok());
    let wait = reset.map_or(0, |reset| reset.saturating_sub(now));
    let wait = Duration::from_secs(u64::try_from(wait).unwrap_or(0)).clamp(SHORTEST, LONGEST);
    Some((u64::try_from(remaining).unwrap_or(0), wait))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn headers(all: &[(&'static str, String)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// A server with a token bucket; whole seconds, as Auth0 tells them.
    struct Bucket {
        burst: f64,
        rate: f64,
        tokens: f64,
        at: Instant,
        start: Instant,
        refused: u32,
    }

    impl Bucket {
        fn take(&mut self) -> HeaderMap {
            let now = Instant::now();
            self.tokens = (self.tokens + (now - self.at).as_secs_f64() * self.rate).min(self.burst);
            self.at = now;
            if self.tokens >= 1.0 {
                self.tokens -= 1.0;
            } else {
                self.refused += 1;
            }
            let wait = if self.tokens >= 1.0 { 1.0 } else { ((1.0 - self.tokens) / self.rate).ceil() };
            let second = |at: Instant| 1_700_000_000 + i64::try_from((at - self.start).as_secs()).unwrap();
            let reset = second(now + Duration::from_secs_f64(wait));
            let date = jiff::Timestamp::from_second(second(now)).unwrap();
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
            headers(&[
                ("x-ratelimit-limit", self.burst.to_string()),
                ("x-ratelimit-remaining", self.tokens.floor().to_string()),
                ("x-ratelimit-reset", reset.to_string()),
                ("date", date),
            ])
        }
    }

    /// How many calls were refused, and how long all of them took.
    async fn survey(calls: u32, burst: f64, rate: f64) -> (u32, Duration) {
        let start = Instant::now();
        let bucket = Bucket { burst, rate, tokens: burst, at: start, start, refused: 0 };
        let shared = Arc::new((Quota::default(), Mutex::new(bucket), Mutex::new(0)));
        let mut workers = tokio::task::JoinSet::new();
        for worker in 0..4 {
            let shared = Arc::clone(&shared);
            workers.spawn(async move {
                let (quota, bucket, made) = &*shared;
                loop {
                    let call = {
                        let mut made = made.lock().unwrap();
                        *made += 1;
                        *made
                    };
                    if call > calls {
                        break;
                    }
                    let turn = quota.turn().await;
                    // There and back take different times, so that answers overtake one another.
                    tokio::time::sleep(Duration::from_millis(u64::from(call * 37 % 90) + worker)).await;
                    let answer = bucket.lock().unwrap().take();
                    tokio::time::sleep(Duration::from_millis(u64::from(call * 53 % 110))).await;
                    turn.answered(&answer);
                }
            });
        }
        workers.join_all().await;
        (shared.1.lock().unwrap().refused, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_refused_whatever_the_limit() {
        // Free, Essentials and Professional, "all other endpoints", Enterprise; and one that refills slowly.
        for (burst, rate) in [(2.0, 2.0), (5.0, 5.0), (10.0, 2.5), (50.0, 16.0), (5.0, 0.8), (1.0, 1.0)] {
            let calls = 200;
            let (refused, took) = survey(calls, burst, rate).await;
            assert_eq!(refused, 0, "{burst} {rate}");
            let ideal = (f64::from(calls) - burst) / rate;
            // Four at a time, about 100 ms each, make at most some 40 a second.
            let least = (f64::from(calls) / 40.0).max(ideal);
            assert!(took.as_secs_f64() < 2.5 * least + 2.0, "{burst} {rate}: {took:?} against {least}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_headers_there_is_no_limit() {
        let quota = Quota::default();
        quota.turn().await.answered(&HeaderMap::new());
        let all = [quota.turn().await, quota.turn().await, quota.turn().await];
        drop(all);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_leaves_room_for_the_next() {
        let quota = Quota::default();
        drop(quota.turn().await);
        quota.turn().await.answered(&headers(&[("x-ratelimit-remaining", "1".into())]));
        drop(quota.turn().await);
        drop(quota.turn().await);
    }

    #[test]
    fn what_headers_tell() {
        const DATE: &str = "Wed, 25 Jan 2023 17:48:15 GMT";
        let of = |remaining: &str, reset: &str| {
            told(&headers(&[
                ("x-ratelimit-remaining", remaining.into()),
                ("x-ratelimit-reset", reset.into()),
                ("date", DATE.into()),
            ]))
        };
        assert_eq!(of("1", "1674668897"), Some((1, Duration::from_secs(2))));
        assert_eq!(of("0", "1674668895"), Some((0, SHORTEST)));
        assert_eq!(of("0", "9223372036854775807"), Some((0, LONGEST)));
        assert_eq!(of("-3", "soon"), Some((0, SHORTEST)));
        assert_eq!(of("many", "1674668897"), None);
    }
}
