//! Waiting until ZITADEL's projections have caught up, and until a request that nobody hears of has ended.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{
    client::{Client, Rest, page},
    failure::{Failure, Reason},
};

/// Between two attempts at the barrier.
const BARRIER_PAUSE: Duration = Duration::from_secs(1);
/// No user has this id.
const NOBODY: &str = "a2z-barrier";
/// Between two looks at what a lost request may still be writing.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The most looks before what was found counts as all.
const MOST_LOOKS: u32 = 20;

/// Looks at what a request whose answer was lost may still be writing: it goes on for a moment. Each look is to wait for the
/// barrier first.
#[derive(Debug, Default)]
pub struct Looks<T> {
    before: Option<T>,
    count: u32,
}

impl<T: PartialEq> Looks<T> {
    /// Takes what was found now, and returns it if it is the last look: all of it is there, or two looks in a row were
    /// equal. Else waits a moment before the next look.
    pub async fn last(&mut self, found: T, is_whole: bool) -> Option<T> {
        self.count += 1;
        if is_whole || self.before.as_ref() == Some(&found) || self.count >= MOST_LOOKS {
            return Some(found);
        }
        self.before = Some(found);
        tokio::time::sleep(LOOK_AGAIN).await;
        None
    }
}

impl Client {
    /// Returns when the users projection has read every event that was there at the call: a read of an id that does
    /// not exist is answered only then.
    ///
    /// # Errors
    /// The last failure, when `timeout` has passed; at once where no repetition helps.
    pub async fn barrier(&self, timeout: Duration) -> Result<(), Failure> {
        self.patiently(timeout, |left| async move {
            self.read_user("wait for the projections", NOBODY, left).await.map(drop)
        })
        .await
    }

    /// The same for grants, which have a projection of their own.
    ///
    /// # Errors
    /// As [`Self::barrier`].
    pub async fn grants_barrier(&self, timeout: Duration) -> Result<(), Failure> {
        let path = format!("management/v1/users/{NOBODY}/grants/{NOBODY}");
        let path = path.as_str();
        self.patiently(timeout, |left| async move {
            match self.get("wait for the projections", path).timeout(left).send().await {
                Err(failure) if failure.reason() == Reason::GrantNotFound => Ok(()),
                answer => answer.map(drop),
            }
        })
        .await
    }

    /// The same for metadata.
    ///
    /// # Errors
    /// As [`Self::barrier`].
    pub async fn metadata_barrier(&self, timeout: Duration) -> Result<(), Failure> {
        self.patiently(timeout, |left| async move {
            let rest = Rest { method: Method::POST, path: "/metadata/search", procedure: "ListUserMetadata" };
            let request = self.of_user("wait for the projections", NOBODY, &rest, json!({ "pagination": page(0, 1) }));
            let request = request.idempotent();
            request.timeout(left).done().await
        })
        .await
    }

    /// Attempts until one succeeds or `timeout` has passed.
    async fn patiently<T: Future<Output = Result<(), Failure>>>(
        &self,
        timeout: Duration,
        attempt: impl Fn(Duration) -> T,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
            let Err(failure) = attempt(left).await else { return Ok(()) };
            let may_pass =
                failure.is_ambiguous() || matches!(failure, Failure::Throttled | Failure::Unreachable { .. });
            let over = Instant::now() + BARRIER_PAUSE >= deadline;
            if over || !may_pass || self.is_cancelled() || matches!(failure, Failure::Other(_)) {
                return Err(failure);
            }
            tokio::time::sleep(BARRIER_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_equal_looks_or_a_whole_one_are_enough() {
        async fn looks(found: &[i32], whole: i32) -> (Option<i32>, usize) {
            let mut looks = Looks::default();
            for (at, found) in found.iter().enumerate() {
                if let Some(last) = looks.last(*found, *found == whole).await {
                    return (Some(last), at + 1);
                }
            }
            (None, found.len())
        }
        assert_eq!(looks(&[1, 2, 2, 9], 5).await, (Some(2), 3));
        assert_eq!(looks(&[5], 5).await, (Some(5), 1));
        assert_eq!(looks(&[0, 0], 5).await, (Some(0), 2));
        assert_eq!(looks(&[1, 5], 5).await, (Some(5), 2));
        assert_eq!(looks(&[1, 2], 5).await, (None, 2));
        let ever_more: Vec<i32> = (0..50).collect();
        assert_eq!(looks(&ever_more, -1).await, (Some(19), 20));
    }
}
