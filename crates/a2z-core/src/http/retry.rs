//! When a request is sent again, and after how long. The only user of `backoff`, and only of its delays: its own loop
//! knows no limit of attempts, and follows a server that always sends Retry-After for ever.
//!
//! | what happened | sent again |
//! |---|---|
//! | the request did not leave (name, connection) | always |
//! | the answer was lost (time, reset, cut) | only when idempotent |
//! | 429, 500, 502, 503, 504, 520 to 524 | only when idempotent; else the answer is handed up |
//! | 200 or 201 without a body, 200, 201 or 404 with a web page: not the vendor's answer | the same, a few times |
//!
//! A 429 may come from a proxy after the work was done, so it is no exception: only the caller of a request that must not
//! be made twice can find out. [`Patience`] lends it the same bounds.
//!
//! Two bounds, attempts and time, both on tokio's clock. A server's own hint (`Retry-After`, `x-ratelimit-reset`)
//! replaces the delay, and is capped like it. A hint also holds back every other request to that vendor, whoever retries.

use std::time::Duration;

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder, backoff::Backoff as _};
use jiff::{Timestamp, fmt::rfc2822};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Answer, Fault, pace::Pace};
use crate::{
    event::{Event, Events},
    http::settings::Http,
};

/// Even a server that says "at once" is given a moment.
const SHORTEST_HINTED_WAIT: Duration = Duration::from_millis(50);

/// A wrong address answers so for ever, and is not worth a minute.
const ANOTHERS: u32 = 4;

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Attempts, the first included.
    pub max_attempts: u32,
    /// From the start of the first attempt to the start of the last.
    pub max_elapsed: Duration,
    /// The first delay.
    pub first_wait: Duration,
    /// The longest delay, a server's hint included.
    pub max_wait: Duration,
}

impl From<&Http> for Policy {
    fn from(http: &Http) -> Self {
        Self {
            max_attempts: http.max_attempts.max(1),
            max_elapsed: http.max_elapsed,
            first_wait: http.first_wait,
            max_wait: http.max_wait,
        }
    }
}

impl Policy {
    fn delays(&self) -> ExponentialBackoff {
        ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first_wait)
            .with_multiplier(2.0)
            .with_max_interval(self.max_wait)
            .with_max_elapsed_time(None) // the loop keeps the time, on tokio's clock
            .build()
    }
}

/// The bounds of [`Policy`] for one piece of work: how often and how long it is tried again.
#[derive(Debug)]
pub struct Patience {
    policy: Policy,
    deadline: Instant,
    delays: ExponentialBackoff,
    made: u32,
}

impl Patience {
    /// Begins with the first attempt.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, deadline: Instant::now() + policy.max_elapsed, delays: policy.delays(), made: 0 }
    }

    /// After an attempt that failed: how long to wait before the next one, or none where a bound is reached. `hint` is
    /// the server's wish.
    pub fn again(&mut self, hint: Option<Duration>) -> Option<Duration> {
        self.made += 1;
        let longest = self.policy.max_wait;
        let wait = hint.map_or_else(|| self.delays.next_backoff().unwrap_or(longest), at_least_a_moment).min(longest);
        (self.made < self.policy.max_attempts && Instant::now() + wait <= self.deadline).then_some(wait)
    }
}

/// Why one attempt gave no answer.
#[derive(Debug)]
pub(super) enum Missed {
    /// It did not leave; `forever` where another attempt would fare no better (a certificate that is not trusted).
    NotSent { fault: Fault, forever: bool },
    /// It left, and the answer was lost.
    Lost(Fault),
    /// Any other fault, which is final.
    Final(Fault),
}

/// What the loop needs to know about a request.
pub(super) struct Context<'a> {
    pub(super) policy: &'a Policy,
    pub(super) pace: &'a Pace,
    pub(super) vendor: &'static str,
    pub(super) what: &'a str,
    pub(super) idempotent: bool,
    /// Is this answer final although its status says "again"?
    pub(super) is_final: &'a (dyn Fn(&Answer) -> bool + Send + Sync),
    pub(super) events: &'a Events,
    pub(super) cancel: &'a CancellationToken,
}

/// Makes attempts until there is an answer to hand up or a bound is reached; then the last outcome is the outcome.
pub(super) async fn run<F, T>(context: &Context<'_>, mut attempt: F) -> Result<Answer, Fault>
where
    F: FnMut() -> T,
    T: Future<Output = Result<Answer, Missed>>,
{
    let mut patience = Patience::new(*context.policy);
    let mut made = 0;
    loop {
        let outcome = context
            .cancel
            .run_until_cancelled(async {
                context.pace.wait().await;
                attempt().await
            })
            .await
            .ok_or(Fault::Cancelled)?;
        made += 1;
        let (outcome, again, hint) = judge(context, outcome, made);
        if let Some(hint) = hint {
            context.pace.slow_down(at_least_a_moment(hint).min(context.policy.max_wait));
        }
        let Some((reason, wait)) = again.and_then(|reason| Some((reason, patience.again(hint)?))) else {
            return outcome;
        };
        context.events.emit(&Event::Retry {
            vendor: context.vendor,
            what: context.what.to_owned(),
            attempt: made,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            reason,
        });
        context.cancel.run_until_cancelled(sleep(wait)).await.ok_or(Fault::Cancelled)?;
    }
}

/// The outcome, why it may be tried again (if it may), and the server's hint.
fn judge(
    context: &Context<'_>,
    outcome: Result<Answer, Missed>,
    made: u32,
) -> (Result<Answer, Fault>, Option<String>, Option<Duration>) {
    match outcome {
        Ok(mut answer) => {
            answer.attempts = made;
            let busy = matches!(answer.status, 429 | 500 | 502..=504 | 520..=524) && !(context.is_final)(&answer);
            let hint = if busy { server_hint(&answer) } else { None };
            let reason = if busy {
                Some(format!("HTTP {}", answer.status))
            } else {
                (made < ANOTHERS && is_anothers(&answer))
                    .then(|| format!("HTTP {} with an answer of somebody else's", answer.status))
            };
            let reason = reason.filter(|_| context.idempotent);
            (Ok(answer), reason, hint)
        }
        Err(Missed::NotSent { fault, forever }) => {
            let reason = (!forever).then(|| fault.to_string());
            (Err(fault), reason, None)
        }
        Err(Missed::Lost(fault)) => {
            let reason = context.idempotent.then(|| fault.to_string());
            (Err(fault), reason, None)
        }
        Err(Missed::Final(fault)) => (Err(fault), None, None),
    }
}

/// Something between us and the vendor answered: both vendors say every success, and that there is nothing, in JSON.
fn is_anothers(answer: &Answer) -> bool {
    matches!((answer.status, answer.body.trim_ascii_start().first()), (200 | 201, None) | (200 | 201 | 404, Some(b'<')))
}

fn at_least_a_moment(hint: Duration) -> Duration {
    hint.max(SHORTEST_HINTED_WAIT)
}

/// How long the server asks to wait: `Retry-After` (seconds or a date), else `x-ratelimit-reset` of a 429 (the epoch
/// second in which the window ends). Dates are compared with the server's own clock, where it tells it.
#[must_use]
pub fn server_hint(answer: &Answer) -> Option<Duration> {
    let header = |name: &str| answer.headers.get(name)?.to_str().ok().map(str::trim);
    let now = answer.date().unwrap_or_else(Timestamp::now);
    let until = |then: Timestamp| Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    if let Some(value) = header("retry-after") {
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        if let Ok(date) = rfc2822::parse(value) {
            return Some(until(date.timestamp()));
        }
    }
    if answer.status != 429 {
        return None;
    }
    let reset: i64 = header("x-ratelimit-reset")?.parse().ok()?;
    // The window ends within that second.
    Timestamp::from_second(reset.checked_add(1)?).ok().map(until)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        Answer { status, headers, body: bytes::Bytes::new(), attempts: 1 }
    }

    #[test]
    fn reads_the_servers_hints() {
        let date = ("date", "Wed, 25 Jan 2023 17:48:15 GMT");
        let hint = |status, headers: &[_]| server_hint(&answer(status, headers));
        assert_eq!(hint(503, &[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(hint(503, &[date, ("retry-after", "Wed, 25 Jan 2023 17:48:45 GMT")]), Some(Duration::from_secs(30)));
        assert_eq!(hint(503, &[date, ("retry-after", "Wed, 25 Jan 2023 17:40:00 GMT")]), Some(Duration::ZERO));
        assert_eq!(hint(429, &[date, ("x-ratelimit-reset", "1674668897")]), Some(Duration::from_secs(3)));
        assert_eq!(hint(503, &[date, ("x-ratelimit-reset", "1674668897")]), None);
        assert_eq!(hint(429, &[("retry-after", "soon")]), None);
        assert_eq!(hint(429, &[("x-ratelimit-reset", "9223372036854775807")]), None);
        assert_eq!(hint(429, &[]), None);
    }

    struct Stage {
        policy: Policy,
        pace: Pace,
        events: Events,
        cancel: CancellationToken,
    }

    impl Stage {
        fn new() -> Self {
            let policy = Policy {
                max_attempts: 4,
                max_elapsed: Duration::from_mins(5),
                first_wait: Duration::from_millis(500),
                max_wait: Duration::from_mins(1),
            };
            Self { policy, pace: Pace::new(None), events: Events::silent(), cancel: CancellationToken::new() }
        }

        async fn run(&self, idempotent: bool, outcome: impl Fn() -> Result<Answer, Missed>) -> (u32, String) {
            let context = Context {
                policy: &self.policy,
                pace: &self.pace,
                vendor: "ZITADEL",
                what: "test",
                idempotent,
                is_final: &|answer| answer.headers.contains_key("x-final"),
                events: &self.events,
                cancel: &self.cancel,
            };
            let mut made = 0;
            let result = run(&context, || {
                made += 1;
                std::future::ready(outcome())
            })
            .await;
            (made, result.map_or_else(|fault| fault.to_string(), |answer| answer.status.to_string()))
        }
    }

    fn lost() -> Result<Answer, Missed> {
        Err(Missed::Lost(Fault::Lost { reason: "reset".into() }))
    }

    fn not_sent(forever: bool) -> Result<Answer, Missed> {
        Err(Missed::NotSent { fault: Fault::NotSent { host: "h".into(), reason: "refused".into() }, forever })
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_again() {
        let stage = Stage::new();
        for (idempotent, attempts) in [(true, 4), (false, 1)] {
            assert_eq!(stage.run(idempotent, lost).await, (attempts, "the answer was lost: reset".into()));
            assert_eq!(stage.run(idempotent, || Ok(answer(503, &[]))).await, (attempts, "503".into()));
            assert_eq!(stage.run(idempotent, || Ok(answer(500, &[]))).await, (attempts, "500".into()));
            assert_eq!(stage.run(idempotent, || Ok(answer(429, &[]))).await, (attempts, "429".into()));
            assert_eq!(stage.run(idempotent, || Ok(answer(429, &[("x-final", "1")]))).await, (1, "429".into()));
            assert_eq!(stage.run(idempotent, || Ok(answer(400, &[]))).await, (1, "400".into()));
            assert_eq!(stage.run(idempotent, || Ok(answer(200, &[]))).await, (attempts, "200".into()));
            let said = |body: &'static str| Ok(Answer { body: body.into(), ..answer(200, &[]) });
            assert_eq!(stage.run(idempotent, || said("<html>")).await, (attempts, "200".into()));
            assert_eq!(stage.run(idempotent, || said("{}")).await, (1, "200".into()));
            assert_eq!(stage.run(idempotent, || not_sent(false)).await, (4, "could not reach h: refused".into()));
            assert_eq!(stage.run(idempotent, || not_sent(true)).await.0, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_always_hints_does_not_hold_us_for_ever() {
        let mut stage = Stage::new();
        stage.policy.max_attempts = u32::MAX;
        let start = Instant::now();
        let (made, status) = stage.run(true, || Ok(answer(429, &[("retry-after", "3600")]))).await;
        // Capped at a minute, for five minutes.
        assert_eq!((made, status.as_str()), (6, "429"));
        assert_eq!(start.elapsed().as_secs(), 300);
        let (made, _) = stage.run(true, || Ok(answer(429, &[("retry-after", "0")]))).await;
        assert!(made <= 6002, "{made}");
    }

    /// A year, a date in another century, less than nothing, nonsense: no wait is longer than the bound, and none is missing.
    #[tokio::test(start_paused = true)]
    async fn absurd_hints_are_bounded() {
        for hint in [
            "31536000",
            "18446744073709551615",
            "99999999999999999999999",
            "Fri, 31 Dec 2999 23:59:59 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "-5",
            "1.5",
            "soon",
            "",
        ] {
            for header in ["retry-after", "x-ratelimit-reset"] {
                let stage = Stage::new();
                let start = Instant::now();
                let (made, status) = stage.run(true, || Ok(answer(429, &[(header, hint)]))).await;
                assert_eq!((made, status.as_str()), (4, "429"), "{header}: {hint}");
                assert!(start.elapsed() >= 3 * SHORTEST_HINTED_WAIT, "{header}: {hint}");
                assert!(start.elapsed() <= 3 * stage.policy.max_wait + Duration::from_secs(1), "{header}: {hint}");
            }
        }
    }

    /// What must not be made twice is handed up at once; the wish of the server holds for the next request all the same.
    #[tokio::test(start_paused = true)]
    async fn a_hint_holds_back_the_next_request_of_anybody() {
        let stage = Stage::new();
        assert_eq!(stage.run(false, || Ok(answer(429, &[("retry-after", "7")]))).await, (1, "429".into()));
        let start = Instant::now();
        stage.pace.wait().await;
        assert!(start.elapsed() >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_by_count_and_by_time() {
        let policy = Stage::new().policy;
        let mut patience = Patience::new(policy);
        assert_eq!((0..9).filter_map(|_| patience.again(None)).count(), 3);
        let mut patience = Patience::new(Policy { max_attempts: u32::MAX, ..policy });
        let start = Instant::now();
        while let Some(wait) = patience.again(Some(Duration::MAX)) {
            assert_eq!(wait, policy.max_wait);
            sleep(wait).await;
        }
        assert_eq!(start.elapsed(), policy.max_elapsed);
    }

    #[tokio::test(start_paused = true)]
    async fn stops_at_once_when_cancelled() {
        let stage = Stage::new();
        stage.cancel.cancel();
        assert_eq!(stage.run(true, lost).await, (0, "stopped".into()));
    }
}
