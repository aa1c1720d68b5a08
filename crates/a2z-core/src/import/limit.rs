//! How many requests may be in flight: found by trying. Up while the throughput grows, down on errors and on lag.
//!
//! Pure: it is told what happened and when, and is asked how many.

use std::time::{Duration, Instant};

/// Throughput is measured over windows of this length; shorter ones are noise.
const WINDOW: Duration = Duration::from_secs(2);
/// A step up was worth it when the throughput grew by this factor.
const WORTH: f64 = 1.05;
/// After a step that was not worth it, so many windows pass before the next try.
const PATIENCE: u32 = 5;

/// The adaptive limit.
#[derive(Debug)]
pub struct Limit {
    current: u32,
    min: u32,
    max: u32,
    window_began: Instant,
    window_users: u64,
    best: f64,
    /// The limit before the last step up, while that is on trial.
    on_trial: Option<u32>,
    patience: u32,
    held_until: Option<Instant>,
}

impl Limit {
    /// A limit that never moves.
    #[must_use]
    pub fn fixed(n: u32, now: Instant) -> Self {
        Self::between(n, n, n, now)
    }

    /// A limit that finds its place between `min` and `max`, starting at `start`.
    #[must_use]
    pub fn between(min: u32, start: u32, max: u32, now: Instant) -> Self {
        Self {
            current: start.clamp(min, max),
            min,
            max,
            window_began: now,
            window_users: 0,
            best: 0.0,
            on_trial: None,
            patience: 0,
            held_until: None,
        }
    }

    /// How many may be in flight now.
    #[must_use]
    pub fn current(&self) -> u32 {
        self.current
    }

    /// Nothing new is to be sent before this moment.
    #[must_use]
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| *until > now)
    }

    /// A request with `users` users was answered well. `lag` is how far the projections are behind, as a part of what is
    /// allowed: at 1.0 the bound is reached.
    pub fn succeeded(&mut self, users: u64, lag: f64, now: Instant) {
        self.window_users += users;
        let elapsed = now.saturating_duration_since(self.window_began);
        if elapsed < WINDOW {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
        let rate = self.window_users as f64 / elapsed.as_secs_f64();
        self.window_began = now;
        self.window_users = 0;
        self.judge(rate, lag);
    }

    fn judge(&mut self, rate: f64, lag: f64) {
        if lag >= 1.0 {
            // The projections are the limit on the whole: more pressure only makes them later.
            self.current = (self.current * 3 / 4).max(self.min);
            self.on_trial = None;
            self.patience = PATIENCE;
        } else if let Some(before) = self.on_trial.take()
            && rate < self.best * WORTH
        {
            self.current = before;
            self.patience = PATIENCE;
        } else if self.patience > 0 {
            self.patience -= 1;
        } else if lag < 0.5 && self.current < self.max {
            self.on_trial = Some(self.current);
            self.current += (self.current / 4).max(1).min(self.max - self.current);
        }
        // A server that has become slower for good must not keep us from trying again.
        self.best = if rate > self.best { rate } else { self.best.mul_add(0.9, rate * 0.1) };
    }

    /// A request failed for a cause that less pressure may cure; nothing new is sent for `pause`.
    pub fn failed(&mut self, pause: Duration, now: Instant) {
        // One bad moment fails everything in flight: it counts once.
        if self.held_until(now).is_none() {
            self.current = (self.current / 2).max(self.min);
        }
        let until = now + pause;
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
        self.on_trial = None;
        self.patience = PATIENCE;
        self.window_began = now;
        self.window_users = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a server of `rate(concurrency)` users/s work for `windows` windows.
    fn run(limit: &mut Limit, windows: u32, mut now: Instant, rate: impl Fn(u32) -> u64, lag: f64) -> Instant {
        for _ in 0..windows {
            now += WINDOW;
            limit.succeeded(rate(limit.current()) * 2, lag, now);
        }
        now
    }

    #[test]
    fn climbs_while_it_pays_and_stays_there() {
        let start = Instant::now();
        let mut limit = Limit::between(2, 4, 16, start);
        run(&mut limit, 60, start, |n| 50 * u64::from(n.min(8)), 0.0);
        assert!((7..=10).contains(&limit.current()), "{}", limit.current());
        let mut limit = Limit::between(2, 4, 16, start);
        run(&mut limit, 60, start, |n| 50 * u64::from(n), 0.0);
        assert_eq!(limit.current(), 16);
    }

    #[test]
    fn errors_halve_it_once_a_moment() {
        let start = Instant::now();
        let mut limit = Limit::between(2, 16, 16, start);
        for _ in 0..5 {
            limit.failed(Duration::from_secs(1), start);
        }
        assert_eq!(limit.current(), 8);
        assert_eq!(limit.held_until(start), Some(start + Duration::from_secs(1)));
        assert_eq!(limit.held_until(start + Duration::from_secs(1)), None);
    }

    #[test]
    fn lag_brings_it_down_to_the_floor_and_no_further() {
        let start = Instant::now();
        let mut limit = Limit::between(2, 16, 16, start);
        run(&mut limit, 20, start, |n| 100 * u64::from(n), 1.2);
        assert_eq!(limit.current(), 2);
    }

    #[test]
    fn a_fixed_limit_stays() {
        let start = Instant::now();
        let mut limit = Limit::fixed(5, start);
        limit.failed(Duration::from_secs(1), start);
        run(&mut limit, 10, start, u64::from, 2.0);
        assert_eq!(limit.current(), 5);
    }
}
