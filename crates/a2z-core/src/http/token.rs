//! Bearer tokens: fetched once however many ask, renewed before they expire, and once more after a 401.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Mutex, time::Instant};

use crate::error::Result;

/// No token is kept for longer, whatever its issuer says (a number of seconds that no clock can reach, too).
const LONGEST: Duration = Duration::from_hours(24);

/// A token as it was issued.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token.
    pub secret: SecretString,
    /// How long it is valid from now; `None` is not known.
    pub expires_in: Option<Duration>,
    /// The scopes that were granted, where the issuer says so.
    pub scope: Option<String>,
}

/// The work of getting a token.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Token>> + Send>>;

/// Gets tokens and keeps the newest. Cheap to clone.
#[derive(Clone)]
pub struct TokenCache(Arc<Inner>);

struct Inner {
    fetch: Option<Box<dyn Fn() -> Fetching + Send + Sync>>,
    /// Held while fetching: the others wait for the one that fetches.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    token: Token,
    renew_at: Option<Instant>,
}

impl TokenCache {
    /// A token that cannot be renewed.
    #[must_use]
    pub fn fixed(secret: SecretString) -> Self {
        let token = Token { secret, expires_in: None, scope: None };
        Self(Arc::new(Inner { fetch: None, kept: Mutex::new(Some(Kept { token, renew_at: None })) }))
    }

    /// Tokens that `fetch` gets.
    pub fn new(fetch: impl Fn() -> Fetching + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { fetch: Some(Box::new(fetch)), kept: Mutex::new(None) }))
    }

    /// A token that is valid for a while yet.
    ///
    /// # Errors
    /// What the fetching ran into.
    pub async fn get(&self) -> Result<Token> {
        let mut kept = self.0.kept.lock().await;
        if let Some(kept) = &*kept
            && kept.renew_at.is_none_or(|at| Instant::now() < at)
        {
            return Ok(kept.token.clone());
        }
        let Some(fetch) = &self.0.fetch else {
            return Err(crate::error::Error::internal("a fixed token was dropped"));
        };
        let asked = Instant::now();
        let token = fetch().await?;
        let renew_at = token.expires_in.map(|valid| asked + valid.min(LONGEST).saturating_sub(margin(valid)));
        *kept = Some(Kept { token: token.clone(), renew_at });
        Ok(token)
    }

    /// Drops the token that a server refused, unless another one has taken its place. False where there is no way to
    /// get a new one.
    pub async fn refused(&self, secret: &SecretString) -> bool {
        if self.0.fetch.is_none() {
            return false;
        }
        let mut kept = self.0.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.token.secret.expose_secret() == secret.expose_secret()) {
            *kept = None;
        }
        true
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.fetch.is_some() { "TokenCache(renewable)" } else { "TokenCache(fixed)" })
    }
}

/// How long before its end a token is renewed: a request with its retries should fit in. At most half its life.
fn margin(valid: Duration) -> Duration {
    (valid / 10).clamp(Duration::from_mins(1), Duration::from_mins(5)).min(valid / 2)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counting(valid: u64) -> (TokenCache, Arc<AtomicU32>) {
        let fetched = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&fetched);
        let cache = TokenCache::new(move || {
            let counter = Arc::clone(&counter);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let n = counter.fetch_add(1, Ordering::SeqCst);
                Ok(Token {
                    secret: format!("canary{n}").into(),
                    expires_in: Some(Duration::from_secs(valid)),
                    scope: None,
                })
            })
        });
        (cache, fetched)
    }

    #[tokio::test(start_paused = true)]
    async fn many_ask_and_one_fetches() {
        let (cache, fetched) = counting(3600);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let cache = cache.clone();
            tasks.spawn(async move { cache.get().await.unwrap().secret.expose_secret().to_owned() });
        }
        assert!(tasks.join_all().await.iter().all(|secret| secret == "canary0"));
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn renewed_before_the_end() {
        let (cache, fetched) = counting(3600);
        cache.get().await.unwrap();
        tokio::time::advance(Duration::from_secs(3600 - 310)).await;
        cache.get().await.unwrap();
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(20)).await;
        cache.get().await.unwrap();
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
        assert_eq!(margin(Duration::from_secs(20)), Duration::from_secs(10));
        assert_eq!(margin(Duration::from_mins(5)), Duration::from_mins(1));
    }

    #[tokio::test(start_paused = true)]
    async fn absurd_lifetimes() {
        for valid in [0, 1, u64::MAX] {
            let (cache, _) = counting(valid);
            cache.get().await.unwrap();
            cache.get().await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_dropped_once() {
        let (cache, fetched) = counting(3600);
        let first = cache.get().await.unwrap();
        assert!(cache.refused(&first.secret).await);
        let second = cache.get().await.unwrap();
        // Another task that was refused with the first one must not drop the second.
        assert!(cache.refused(&first.secret).await);
        assert_eq!(cache.get().await.unwrap().secret.expose_secret(), second.secret.expose_secret());
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_fixed_token_stays_and_is_never_shown() {
        let cache = TokenCache::fixed("canary".into());
        let token = cache.get().await.unwrap();
        assert!(!cache.refused(&token.secret).await);
        assert_eq!(cache.get().await.unwrap().secret.expose_secret(), "canary");
        assert!(!format!("{cache:?} {token:?}").contains("canary"));
    }
}
