//! What goes wrong, and when: rules that both vendors' doors follow. Deterministic: the same rules and the same calls
//! give the same faults.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The rules, shared with the running sandbox: a clone is the same set.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<(Rule, u64)>>>,
}

/// One rule: which calls it counts, which of them it hits, and what happens to those.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The method to match, `None` for any.
    pub method: Option<&'static str>,
    /// What the path must begin with, as sent (escapes and all). Empty matches every path. With a `*` in it, what stands
    /// behind that must be its end.
    pub path: String,
    /// The path must be this very one, whatever the query.
    pub exact: bool,
    /// Which of the matching calls are hit.
    pub when: When,
    /// What happens.
    pub what: Fault,
}

/// Which of the calls that a rule matches are hit. Calls count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Every one.
    Always,
    /// This one only.
    Nth(u64),
    /// The first so many.
    First(u64),
    /// Every k-th.
    Every(u64),
    /// About so many of a thousand, chosen by the seed and the call's number.
    PerMille {
        /// How many of a thousand calls.
        hits: u32,
        /// Another seed, other calls.
        seed: u64,
    },
}

/// What goes wrong with one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection closes before the request is looked at.
    DropRequest,
    /// The request is carried out, and the connection closes without an answer.
    LoseAnswer,
    /// The request is carried out, and the connection closes in the middle of the answer's body.
    CutAnswer,
    /// The request is carried out, and the answer comes in small pieces, this long apart.
    SlowAnswer(Duration),
    /// The request waits this long before it is carried out.
    Delay(Duration),
    /// HTTP 429, not carried out.
    TooMany(RetryAfter),
    /// The request is carried out, and answered as if it had been too much: a proxy that counts on the way back.
    DoneAndTooMany(RetryAfter),
    /// HTTP 503, not carried out, with a proxy's plain text.
    Unavailable(RetryAfter),
    /// HTTP 502 with a proxy's HTML page, not carried out.
    BadGateway,
    /// The vendor's own HTTP 400 to a request that it does not like, not carried out. It does not say what is wrong.
    Refused,
    /// The vendor's own HTTP 403 under this error code (of Auth0: `operation_not_supported`, `insufficient_scope`, or none
    /// where it is empty; of ZITADEL: `AUTHZ-HKJD33`), not carried out.
    Forbidden(&'static str),
    /// Any status, not carried out, with an empty body.
    Status(u16),
    /// The vendor's own HTTP 500, not carried out.
    Broken,
    /// Carried out, and answered with its own status but a proxy's HTML page for a body.
    HtmlBody,
    /// Carried out, and answered with its own status but without a body.
    EmptyBody,
    /// Not carried out: HTTP 200 around the vendor's own error for an internal failure.
    ErrorUnderOk,
    /// Carried out, and the answer is a JSON string of so many bytes.
    HugeBody(usize),
    /// The vendor's own answer to a token that has expired. The token stays good for the next call.
    TokenExpired,
    /// ZITADEL's import stops when half of the users are stored, as at its `timeout`. Other calls ignore it.
    ImportTimeout,
    /// ZITADEL's database is slow: every second user of an import, the first one too, or the one of a creation, is not stored, and that is
    /// called an error of the user, under the id of a user name that is taken. Other calls ignore it.
    Stumble,
    /// The server is gone for so long: this connection and all others are reset, new ones too.
    Stop(Duration),
}

/// The `Retry-After` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// None.
    No,
    /// In seconds.
    Seconds(u64),
    /// As an HTTP date, so many seconds from now.
    Date(u64),
    /// Whatever a broken server may say.
    Text(&'static str),
}

impl Rule {
    /// A rule for every method on paths that begin with `path`.
    #[must_use]
    pub fn new(path: impl Into<String>, when: When, what: Fault) -> Self {
        Self { method: None, path: path.into(), exact: false, when, what }
    }

    /// The same for one method only.
    #[must_use]
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// The same for this very path only.
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Does the rule count this call?
    #[must_use]
    pub fn matches(&self, method: &str, path: &str) -> bool {
        let bare = path.split('?').next().unwrap_or_default();
        let fits = match self.path.split_once('*') {
            _ if self.exact => bare == self.path,
            Some((start, end)) => bare.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
            None => path.starts_with(&self.path),
        };
        fits && self.method.is_none_or(|wanted| wanted == method)
    }
}

impl When {
    fn hits(self, call: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Nth(n) => call == n,
            Self::First(n) => call <= n,
            Self::Every(k) => k > 0 && call.is_multiple_of(k),
            Self::PerMille { hits, seed } => {
                mix(seed ^ call.wrapping_mul(0x9E37_79B9_7F4A_7C15)) % 1000 < u64::from(hits)
            }
        }
    }
}

/// The finalizer of `SplitMix64`: spreads a counter evenly, which is all that a fault needs.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Faults {
    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These rules. Of several that hit the same call the first one counts.
    #[must_use]
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        let faults = Self::default();
        faults.set(rules);
        faults
    }

    /// Replaces all rules; the counts begin again.
    pub fn set(&self, rules: impl IntoIterator<Item = Rule>) {
        *self.lock() = rules.into_iter().map(|rule| (rule, 0)).collect();
    }

    /// Adds a rule, whose count begins now.
    pub fn add(&self, rule: Rule) {
        self.lock().push((rule, 0));
    }

    /// Counts this call with every rule that matches it, and says what happens to it.
    pub(crate) fn next(&self, method: &str, path: &str) -> Option<Fault> {
        let mut hit = None;
        for (rule, calls) in self.lock().iter_mut().filter(|(rule, _)| rule.matches(method, path)) {
            *calls += 1;
            if hit.is_none() && rule.when.hits(*calls) {
                hit = Some(rule.what.clone());
            }
        }
        hit
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Rule, u64)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_only_the_calls_that_they_match() {
        let faults = Faults::of([Rule::new("/a", When::Nth(2), Fault::LoseAnswer).method("POST")]);
        assert_eq!(faults.next("POST", "/a"), None);
        assert_eq!(faults.next("GET", "/a"), None);
        assert_eq!(faults.next("POST", "/b"), None);
        assert_eq!(faults.next("POST", "/a/x"), Some(Fault::LoseAnswer));
        assert_eq!(faults.next("POST", "/a"), None);
    }

    #[test]
    fn paths_may_be_exact_or_have_a_gap() {
        let rule = |path: &str| Rule::new(path, When::Always, Fault::EmptyBody);
        assert!(rule("/v2/users").matches("POST", "/v2/users/new"));
        assert!(!rule("/v2/users").exact().matches("POST", "/v2/users/new"));
        assert!(rule("/v2/users").exact().matches("POST", "/v2/users?x=1"));
        assert!(rule("/v2/users/*/deactivate").matches("POST", "/v2/users/auth0%7C1/deactivate"));
        assert!(!rule("/v2/users/*/deactivate").matches("POST", "/v2/users/auth0%7C1/reactivate"));
    }

    #[test]
    fn the_first_rule_that_hits_wins_and_all_count() {
        let faults = Faults::of([
            Rule::new("", When::First(1), Fault::DropRequest),
            Rule::new("", When::Every(2), Fault::EmptyBody),
        ]);
        let seen: Vec<_> = (0..4).map(|_| faults.next("GET", "/")).collect();
        assert_eq!(seen, [Some(Fault::DropRequest), Some(Fault::EmptyBody), None, Some(Fault::EmptyBody)]);
    }

    #[test]
    fn a_chance_is_near_its_rate_and_always_the_same() {
        let hits = |seed| (1..=10_000).filter(|&n| When::PerMille { hits: 100, seed }.hits(n)).collect::<Vec<_>>();
        assert!((900..1100).contains(&hits(7).len()));
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
    }
}
