//! Second factors of users who exist already and are ours: only the import endpoint takes them, and it forgives less than
//! the rest. It adds a TOTP secret to whoever has none, and it appends recovery codes each time it is told to, the same
//! ones again and without a word. So nothing is sent twice here:
//!
//! - What a user was given is read from the events, which are strongly consistent; the list of a user's authentication
//!   methods lags behind.
//! - A request whose answer was lost may still be running. ZITADEL ends it at the `timeout` in its body: until then nobody
//!   who was in it is given recovery codes.
//! - A request with users in doubt carries no recovery codes at all; they come afterwards, through here.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{engine::Engine, item::Item};
use crate::{
    error::{Error, Result},
    ledger::users::Digest,
    mapping::finding::{Finding, FindingCode},
    zitadel::{
        events::kind,
        failure::{Failure, Reason},
        import::ImportBody,
    },
};

/// How often an answer may be lost for the same users.
const MAX_LOSSES: u32 = 4;
/// After its time limit a request of ZITADEL's may still commit the one transaction that it was at.
const GRACE: Duration = Duration::from_secs(1);

/// What is to be sent for a user.
struct Missing<'a> {
    item: &'a Item,
    totp: bool,
    codes: bool,
}

/// How an attempt to add new factors to a user of an earlier run ended.
#[derive(Debug, Default)]
pub(super) struct Renewed {
    /// What the user has already, not from us.
    pub(super) kept: Vec<&'static str>,
    /// What cannot be sent without the import endpoint.
    pub(super) unable: Vec<&'static str>,
    /// ZITADEL refused.
    pub(super) failed: bool,
    /// Something was written.
    pub(super) wrote: bool,
    /// What the ledger says afterwards: what could not be sent is not in it, so that a later run tries again.
    pub(super) booked: Option<Digest>,
}

impl Renewed {
    /// What there is to say about it.
    pub(super) fn finding(&self) -> Option<Finding> {
        let (code, what) = match (self.unable.as_slice(), self.kept.as_slice()) {
            ([], []) => return None,
            ([], kept) => (FindingCode::FactorKept, kept),
            (unable, _) => (FindingCode::FactorNotMoved, unable),
        };
        Some(Finding::about(code, what.join(", ")))
    }
}

/// The moment from which on a request that began at `sent` can no longer write.
pub(super) fn quiet_after(engine: &Engine, sent: Instant) -> Instant {
    sent + engine.config.timeout + GRACE
}

/// Gives recovery codes to users that the users API created a moment ago, by a request that was answered: they have none.
/// Returns the ids of those that ZITADEL refused.
pub(super) async fn add_codes(engine: &Engine, items: &[Item]) -> Result<HashSet<String>> {
    let missing = items.iter().filter(|item| !item.draft.recovery_codes.is_empty());
    send(engine, missing.map(|item| Missing { item, totp: false, codes: true }).collect()).await
}

/// Makes sure that users of ours, to whom a lost request may have given factors, have them. Returns the ids of those that
/// ZITADEL refused.
pub(super) async fn complete(engine: &Engine, items: &[Item]) -> Result<HashSet<String>> {
    if !engine.may_import {
        // Then the users API created them, TOTP secret included, in one transaction.
        return Ok(HashSet::new());
    }
    let mut missing = Vec::new();
    for item in items {
        let wanted =
            Missing { item, totp: item.draft.totp_secret.is_some(), codes: !item.draft.recovery_codes.is_empty() };
        missing.extend(still(engine, wanted).await?);
    }
    send(engine, missing).await
}

/// Adds what is new since ZITADEL was given the factors of this user. What was given once is never given again: the user
/// may have removed it.
pub(super) async fn renew(engine: &Engine, item: &Item) -> Result<Renewed> {
    let mut renewed = Renewed { booked: item.factors, ..Renewed::default() };
    let (totp, codes) = new_halves(item.factors, item.todo.have_factors);
    if !totp && !codes {
        return Ok(renewed);
    }
    if !engine.may_import {
        renewed.unable.extend(totp.then_some("totp").into_iter().chain(codes.then_some("recovery-code")));
        renewed.booked = without(item.factors, item.todo.have_factors, (totp, codes));
        return Ok(renewed);
    }
    let given = given(engine, item.id()).await?;
    let has_codes = given.codes;
    // What a2z gave and the user removed stays away, whatever the file holds now.
    let taken_away = given.totp_removed && item.todo.have_factors.unwrap_or_default()[..8] != [0; 8];
    // Of a user in doubt it was we who gave it.
    if !item.in_doubt {
        renewed.kept.extend((codes && has_codes).then_some("recovery-code"));
        renewed.kept.extend((totp && taken_away).then_some("totp"));
    }
    let missing = Missing {
        item,
        // ZITADEL refuses a second secret.
        totp: totp && !taken_away && !(item.in_doubt && given.totp),
        codes: codes && !has_codes,
    };
    if missing.totp || missing.codes {
        let codes = missing.codes;
        let sent = attempt(engine, &[missing]).await?;
        renewed.wrote = codes || !sent.had_totp;
        renewed.failed = !sent.refused.is_empty();
        if sent.had_totp && !item.in_doubt {
            renewed.kept.push("totp");
        }
    }
    Ok(renewed)
}

/// Which halves of `want`, the TOTP secret and the recovery codes, are there and not those of `have`.
fn new_halves(want: Option<Digest>, have: Option<Digest>) -> (bool, bool) {
    let (want, have) = (want.unwrap_or_default(), have.unwrap_or_default());
    let is_new = |half: std::ops::Range<usize>| want[half.clone()] != [0; 8] && want[half.clone()] != have[half];
    (is_new(0..8), is_new(8..16))
}

/// `want`, with those halves of `have` that were not sent.
fn without(want: Option<Digest>, have: Option<Digest>, (totp, codes): (bool, bool)) -> Option<Digest> {
    let (mut booked, have) = (want?, have.unwrap_or_default());
    for (half, left) in [(0..8, totp), (8..16, codes)] {
        if left {
            booked[half.clone()].copy_from_slice(&have[half]);
        }
    }
    Some(booked)
}

/// Which factors the ledger says that ZITADEL has from us once `want` was written.
pub(super) fn has(want: Option<Digest>, have: Option<Digest>) -> (bool, bool) {
    let any =
        |half: std::ops::Range<usize>| [want, have].into_iter().flatten().any(|digest| digest[half.clone()] != [0; 8]);
    (any(0..8), any(8..16))
}

/// Was the user ever given a TOTP secret, and recovery codes?
async fn given(engine: &Engine, user_id: &str) -> Result<Given> {
    let kinds = [kind::RECOVERY_CODES_ADDED, kind::TOTP_READY, kind::TOTP_REMOVED];
    let life = engine.client.life(user_id, &kinds).await;
    let life = life.map_err(|failure| failure.into_error("could not read a user's events from ZITADEL"))?;
    let totp = life.events.iter().find(|event| event.kind != kind::RECOVERY_CODES_ADDED);
    Ok(Given {
        totp: life.has(kind::TOTP_READY),
        codes: life.has(kind::RECOVERY_CODES_ADDED),
        totp_removed: totp.is_some_and(|newest| newest.kind == kind::TOTP_REMOVED),
    })
}

/// What the events tell of a user's second factors.
struct Given {
    /// There was a TOTP secret.
    totp: bool,
    /// There were recovery codes.
    codes: bool,
    /// The TOTP secret was removed since.
    totp_removed: bool,
}

/// What of it is missing, once no earlier request can give it any more; none where nothing is.
async fn still<'a>(engine: &Engine, mut missing: Missing<'a>) -> Result<Option<Missing<'a>>> {
    while missing.totp || missing.codes {
        let looked = Instant::now();
        let Given { totp: has_totp, codes: has_codes, .. } = given(engine, missing.item.id()).await?;
        missing.totp &= !has_totp;
        missing.codes &= !has_codes;
        let quiet = missing.item.quiet_at.unwrap_or_else(|| quiet_after(engine, engine.started));
        if !missing.codes || looked >= quiet {
            break;
        }
        engine.pause(quiet.saturating_duration_since(Instant::now())).await?;
    }
    Ok((missing.totp || missing.codes).then_some(missing))
}

/// What one request came to.
#[derive(Default)]
struct Sent {
    refused: HashSet<String>,
    /// ZITADEL said of somebody that there is a TOTP secret already.
    had_totp: bool,
}

async fn send(engine: &Engine, missing: Vec<Missing<'_>>) -> Result<HashSet<String>> {
    attempt(engine, &missing).await.map(|sent| sent.refused)
}

/// Sends it until it is answered.
async fn attempt(engine: &Engine, missing: &[Missing<'_>]) -> Result<Sent> {
    let mut open: Vec<Missing<'_>> = missing.iter().map(Missing::again).collect();
    let mut patience = engine.client.patience();
    for _ in 0..=MAX_LOSSES {
        if open.is_empty() {
            return Ok(Sent::default());
        }
        let mut body = ImportBody::new(&engine.organization_id);
        for missing in &open {
            body.organization(engine.organization_of(missing.item));
            body.push_factors(&missing.item.draft, missing.totp, missing.codes);
        }
        let (timeout, began) = (engine.config.timeout, Instant::now());
        let answer = {
            let _in_flight = engine.in_flight();
            engine.client.import(body.finish(timeout), timeout).await
        };
        let failure = match answer {
            Ok(answer) => {
                let about = |kind: &str| kind == "human_user_otp" || kind == "human_user_recovery_codes";
                let errors = answer.errors.iter().filter(|error| about(&error.kind));
                let (had, refused): (Vec<_>, Vec<_>) = errors.partition(|e| e.reason() == Reason::TotpExists);
                for error in &refused {
                    tracing::info!(kind = error.kind, id = error.error_id, "ZITADEL refused a second factor");
                }
                let refused = refused.into_iter().map(|error| error.id.clone()).collect();
                return Ok(Sent { refused, had_totp: !had.is_empty() });
            }
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Throttled) {
            let Some(wait) = patience.again(None) else {
                return Err(failure.into_error("could not write second factors to ZITADEL"));
            };
            engine.throttled("write second factors", wait);
            engine.pause(wait).await?;
        } else if !failure.is_ambiguous() || matches!(failure, Failure::Cancelled) {
            return Err(failure.into_error("could not write second factors to ZITADEL"));
        }
        engine.pressed(Duration::from_secs(1));
        // It may have been carried out, or be under way.
        let quiet = quiet_after(engine, began);
        let mut left = Vec::new();
        for missing in open {
            if missing.codes {
                engine.pause(quiet.saturating_duration_since(Instant::now())).await?;
            }
            let Given { totp: has_totp, codes: has_codes, .. } = given(engine, missing.item.id()).await?;
            let missing = Missing { totp: missing.totp && !has_totp, codes: missing.codes && !has_codes, ..missing };
            left.extend((missing.totp || missing.codes).then_some(missing));
        }
        open = left;
    }
    Err(Error::gave_up("ZITADEL's answers were lost again and again while second factors were written")
        .hint("run the same command again: it goes on with these users"))
}

impl<'a> Missing<'a> {
    fn again(&self) -> Missing<'a> {
        Missing { ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_new() {
        let digest = |totp: u8, codes: u8| {
            let mut both = [0; 16];
            both[..8].fill(totp);
            both[8..].fill(codes);
            Some(both)
        };
        let cases = [
            (None, None, (false, false)),
            (None, digest(1, 1), (false, false)),
            (digest(1, 0), None, (true, false)),
            (digest(1, 2), None, (true, true)),
            (digest(1, 2), digest(1, 0), (false, true)),
            (digest(1, 0), digest(1, 2), (false, false)),
            (digest(3, 2), digest(1, 2), (true, false)),
        ];
        for (want, have, new) in cases {
            assert_eq!(new_halves(want, have), new, "{want:?} {have:?}");
        }
        assert_eq!(without(digest(3, 2), digest(1, 2), (true, false)), digest(1, 2));
        assert_eq!(without(digest(3, 2), None, (true, false)), digest(0, 2));
        assert_eq!(without(None, digest(1, 1), (true, true)), None);
        assert_eq!(has(digest(0, 1), digest(1, 0)), (true, true));
        assert_eq!(has(None, digest(1, 0)), (true, false));
    }
}
