//! How far ZITADEL's projections are behind its events.
//!
//! Every search answer says how far the users projection has come (`details.timestamp`); we know when our last write was
//! settled. Until the one has passed the other, users that were created are not found and cannot sign in.

use std::{sync::Mutex, time::Duration};

use jiff::{SignedDuration, Timestamp};

/// Watches the lag. All times are the server's.
#[derive(Debug, Default)]
pub struct Lag(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Server's clock minus ours.
    offset: SignedDuration,
    /// The largest of them: the one of the quickest answer.
    truest: Option<SignedDuration>,
    /// It was told.
    told: bool,
    last_write: Option<Timestamp>,
    projected: Option<Timestamp>,
}

impl Lag {
    /// A search was answered: its `details.timestamp`, and the server's clock (the `Date` header), where they were there.
    pub fn searched(&self, projected: Option<Timestamp>, server_now: Option<Timestamp>) {
        let mut state = self.state();
        if let Some(server_now) = server_now {
            let offset = server_now.duration_since(Timestamp::now());
            state.offset = offset;
            if state.truest.is_none_or(|before| before < offset) {
                (state.truest, state.told) = (Some(offset), false);
            }
        }
        // The newest counts: answers overtake one another.
        state.projected = state.projected.max(projected);
    }

    /// How far the server's clock is ahead of ours, in milliseconds, where that is known better than at the last call.
    pub fn new_clock(&self) -> Option<i64> {
        let mut state = self.state();
        let clock = state.truest.filter(|_| !state.told)?;
        state.told = true;
        i64::try_from(clock.as_millis()).ok()
    }

    /// A write was settled just now.
    pub fn wrote(&self) {
        let mut state = self.state();
        let now = Timestamp::now().saturating_add(state.offset).unwrap_or(Timestamp::MAX);
        state.last_write = state.last_write.max(Some(now));
    }

    /// The projections have read everything that was written: the barrier said so.
    pub fn caught_up(&self) {
        let mut state = self.state();
        state.projected = state.projected.max(state.last_write);
    }

    /// How far behind the projections are, as far as is known.
    #[must_use]
    pub fn current(&self) -> Duration {
        let state = self.state();
        match (state.last_write, state.projected) {
            (Some(written), Some(projected)) => {
                Duration::try_from(written.duration_since(projected)).unwrap_or(Duration::ZERO)
            }
            _ => Duration::ZERO,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_what_was_written_and_not_yet_projected() {
        let lag = Lag::default();
        assert_eq!(lag.current(), Duration::ZERO);
        let long_ago = Timestamp::now() - SignedDuration::from_secs(100);
        lag.searched(Some(long_ago), Some(Timestamp::now()));
        assert_eq!(lag.current(), Duration::ZERO, "nothing was written yet");
        lag.wrote();
        assert!((99..=102).contains(&lag.current().as_secs()), "{:?}", lag.current());
        lag.searched(Some(Timestamp::now() + SignedDuration::from_secs(1)), None);
        assert_eq!(lag.current(), Duration::ZERO);
    }

    #[test]
    fn a_server_with_another_clock_does_not_fool_it() {
        let lag = Lag::default();
        let server = Timestamp::now() + SignedDuration::from_hours(1);
        lag.searched(Some(server - SignedDuration::from_secs(10)), Some(server));
        let hour = SignedDuration::from_hours(1).as_millis();
        assert!(lag.new_clock().is_some_and(|clock| (hour - 2000..=hour).contains(&clock.into())));
        lag.searched(None, Some(Timestamp::now()));
        assert_eq!(lag.new_clock(), None, "a slow answer says less");
        lag.searched(None, Some(server));
        lag.wrote();
        assert!((9..=12).contains(&lag.current().as_secs()), "{:?}", lag.current());
    }
}
