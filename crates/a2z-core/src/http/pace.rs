//! A ceiling on requests per second, and the pause that a server asks for.

use std::{
    sync::{Mutex as StdMutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// A clock must be able to reach the next request, whatever rate was asked for.
const SLOWEST: Duration = Duration::from_hours(1);

/// Spaces requests so that no window of one second ever holds more than the ceiling, bursts included.
#[derive(Debug)]
pub struct Pace {
    /// Rounded up: 45 times 22,222,222 ns would be less than a second.
    interval: Option<Duration>,
    /// The earliest start of the next request. Counted from when the last one was really let through, not from its
    /// slot: a late wake-up must not push two requests together. Held while waiting, so waiters go in turn.
    next: Mutex<Option<Instant>>,
    paused_until: StdMutex<Option<Instant>>,
}

impl Pace {
    /// With this many requests per second at most; `None` is no ceiling.
    #[must_use]
    pub fn new(requests_per_second: Option<f64>) -> Self {
        let interval = requests_per_second
            .filter(|rate| rate.is_finite() && *rate > 0.0)
            .and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok())
            .map(|interval| interval.min(SLOWEST) + Duration::from_nanos(1));
        Self { interval, next: Mutex::new(None), paused_until: StdMutex::new(None) }
    }

    /// Returns when the next request may go. Safe to drop while waiting.
    pub async fn wait(&self) {
        let Some(interval) = self.interval else {
            self.wait_for_pause().await;
            return;
        };
        let mut next = self.next.lock().await;
        if let Some(at) = *next {
            sleep_until(at).await;
        }
        self.wait_for_pause().await;
        *next = Some(Instant::now() + interval);
    }

    /// Lets nothing through for this long: the server asked for it. A shorter pause never ends a longer one.
    pub fn slow_down(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = Some(paused.map_or(until, |before| before.max(until)));
    }

    async fn wait_for_pause(&self) {
        // Again after each sleep: the pause may have been prolonged meanwhile.
        while let Some(until) = self.pause_ahead() {
            sleep_until(until).await;
        }
    }

    fn pause_ahead(&self) -> Option<Instant> {
        let paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        paused.filter(|until| *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_ceiling() {
        let pace = Arc::new(Pace::new(Some(45.0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let pace = Arc::clone(&pace);
            tasks.spawn(async move {
                pace.wait().await;
                Instant::now()
            });
        }
        let mut times = tasks.join_all().await;
        times.sort();
        for window in times.windows(46) {
            assert!(window[45] - window[0] >= Duration::from_secs(1));
        }
        // And it is not much slower than it may be (tokio's clock ticks in milliseconds).
        assert!(times[199] - times[0] < Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_for_everybody_and_keeps_the_longer_pause() {
        for rate in [None, Some(1000.0)] {
            let pace = Pace::new(rate);
            let start = Instant::now();
            pace.wait().await;
            assert_eq!(start.elapsed(), Duration::ZERO);
            pace.slow_down(Duration::from_secs(7));
            pace.slow_down(Duration::from_secs(2));
            pace.wait().await;
            assert!(start.elapsed() >= Duration::from_secs(7), "{rate:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nonsense_is_no_ceiling() {
        for rate in [Some(0.0), Some(-1.0), Some(f64::NAN), Some(f64::INFINITY), None] {
            let pace = Pace::new(rate);
            let start = Instant::now();
            for _ in 0..10 {
                pace.wait().await;
            }
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }
}
