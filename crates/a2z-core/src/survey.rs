//! Who loses a second factor that cannot move? Auth0 is asked about every user who is to be moved, one call per user, at the
//! pace that its own headers allow. Each answer is in the ledger before the next user's turn: a survey that was stopped goes
//! on where it was.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    auth0::{
        client::Client,
        methods::{self, Methods},
    },
    error::{Result, count},
    event::{Events, Stage},
    http::quota::Quota,
    ledger::{Ledger, surveyed},
    mapping::codes::Destinations,
};

/// Users read from the ledger together.
const CHUNK: i64 = 200;
/// An answer is good for so long; people enrol and leave.
const GOOD_FOR: Duration = Duration::from_hours(7 * 24);
/// Calls per second that Auth0 allows: on its free plan, and on Essentials and Professional (its rate limit configurations, as of
/// November 2026). Only for an estimate: the headers of the answers set the pace.
pub const CALLS_PER_SECOND: [u64; 2] = [2, 5];

/// Who is to be asked about.
#[derive(Debug, Clone)]
pub struct ToAsk {
    /// How many users.
    pub users: u64,
    /// From when on an answer counts.
    since: String,
    /// Those that an earlier run moved are asked about, too.
    moved: bool,
}

/// Who is to be asked about; `moved`: also users that an earlier run moved, since something may be added for them.
///
/// # Errors
/// When the ledger fails.
pub fn to_ask(ledger: &Ledger, run: i64, moved: bool) -> Result<ToAsk> {
    let since = (jiff::Timestamp::now() - GOOD_FOR).to_string();
    let users = ledger.read(|c| surveyed::count_to_ask(c, run, &since, moved))?;
    Ok(ToAsk { users, since, moved })
}

/// Asks about everybody of `to_ask`. `key` is the ledger's own. A refusal of the whole (no scope) is warned of and ends it.
///
/// # Errors
/// When Auth0 gives no answer, the run is stopped, or the ledger fails.
pub async fn ask(
    client: &Client,
    ledger: &Ledger,
    run: i64,
    to_ask: &ToAsk,
    key: &[u8; 16],
    events: &Events,
) -> Result<()> {
    let users = to_ask.users;
    let stage = events.start(Stage::Survey, Some(users));
    let quota = Quota::default();
    let (mut after, mut done, mut gone) = (0, 0, 0);
    loop {
        let page = ledger.read(|c| surveyed::to_ask(c, run, (&to_ask.since, to_ask.moved), after, CHUNK))?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        let length = page.len() as u64;
        let queue = Mutex::new(page.into_iter());
        // Four at a time: an answer takes Auth0 some 100 ms, and its headers bound the rest.
        let worker = || one_by_one(client, &quota, ledger, key, &queue);
        let answers = tokio::try_join!(worker(), worker(), worker(), worker())?;
        for answers in <[Answers; 4]>::from(answers) {
            gone += answers.gone;
            if let Some(reason) = answers.refused {
                events.warn("mfa-survey-refused", format!("Auth0 does not tell who has which second factor: {reason}"));
                return Ok(());
            }
        }
        done += length;
        stage.advanced(done, Some(users));
    }
    if gone > 0 {
        events.warn(
            "mfa-survey-gone",
            format!("Auth0 knows nothing of {} of the export (any more)", count(gone, "user")),
        );
    }
    stage.finish(done);
    Ok(())
}

/// What one worker found out.
#[derive(Default)]
struct Answers {
    gone: u64,
    refused: Option<String>,
}

async fn one_by_one(
    client: &Client,
    quota: &Quota,
    ledger: &Ledger,
    key: &[u8; 16],
    queue: &Mutex<std::vec::IntoIter<(i64, String)>>,
) -> Result<Answers> {
    let mut answers = Answers::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some((_, user_id)) = next else { return Ok(answers) };
        let methods = match methods::of(client, quota, &user_id).await {
            Ok(Some(methods)) => methods,
            Ok(None) => {
                answers.gone += 1;
                Methods::default()
            }
            Err(failure) if failure.forbidden().is_some() => {
                let error = failure.into_error("could not ask Auth0 for a user's authentication methods");
                answers.refused = Some(error.reason());
                return Ok(answers);
            }
            Err(failure) => return Err(failure.into_error("could not ask Auth0 for a user's authentication methods")),
        };
        let mut destinations = Destinations { email: methods.email, ..Destinations::default() };
        for phone in &methods.phones {
            destinations.add_phone(phone.by_voice, phone.number.as_deref(), key, &user_id);
        }
        ledger.write(move |t| surveyed::answered(t, &user_id, &methods.kinds, &destinations)).await?;
    }
}
