//! What comes next for a user, once an answer was read or lost.
//!
//! Pure: (what is known of the user, the answer or the failure, the attempt) -> what next. No I/O, no ledger, no clock; the
//! loop that carries it out is [`super::drive`].

use std::{collections::HashSet, time::Duration};

use crate::zitadel::{
    failure::{Failure, Reason},
    import::{EntityError, ImportAnswer},
};

/// How often an answer may be lost for the same users before the run gives up on them.
pub(super) const MAX_LOSSES: u32 = 6;
/// The pause before ZITADEL is asked once more whether a user name is taken.
pub(super) const NAMED_PAUSE: Duration = Duration::from_millis(250);
/// How often a refusal is doubted that may come from a database that gave no answer.
const DOUBTS: u32 = 2;
/// The reason for a user who is larger than the server's limit.
pub(super) const TOO_LARGE: &str = "larger than ZITADEL takes in one request (4 MiB)";

/// What is known of a user before a request is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// A request before this one may have created the user.
    pub(super) in_doubt: bool,
    /// The request has links to identity providers.
    pub(super) links: bool,
    /// There are recovery codes to give.
    pub(super) codes: bool,
}

/// How often the same was tried before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The answer was lost.
    pub(super) losses: u32,
    /// ZITADEL refused, and may not have meant it.
    pub(super) refusals: u32,
}

/// Why ZITADEL refused a user, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The user name is another user's.
    NameTaken,
    /// Anything else: ZITADEL's error id, and its message.
    Other {
        /// `COMMAND-…`.
        id: Option<String>,
        /// The server's words.
        message: String,
    },
}

impl Refusal {
    fn other(id: Option<&str>, message: &str) -> Self {
        Self::Other { id: id.map(str::to_owned), message: message.to_owned() }
    }
}

/// What comes next for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// The request created the user, with everything that was in it.
    Created,
    /// The request created the user, maybe without all of its data: that is written again.
    Complete,
    /// A user with this id is there, and a request of ours may have created it: whose it is must be resolved.
    WhoseUser,
    /// A user with this id is there that no request of ours created.
    Existed,
    /// A user name or a link is taken, maybe by the user's own earlier request.
    WhoseName,
    /// A link cannot be made: the user is created without links, and gets those that are free afterwards.
    WithoutLinks,
    /// The import endpoint does not take this user; the users API does.
    Alone,
    /// ZITADEL refused with an id that it also uses for trouble of its own: the same once more, after a pause.
    Again,
    /// It may have been carried out: a look decides, and whoever is not there is sent again.
    Lost,
    /// Too much at a time; a proxy may have said so after the work was done.
    Throttled,
    /// ZITADEL refused the user.
    Refused(Refusal),
    /// The organization is gone, which is not this user's fault.
    NoOrganization,
    /// The failure is of the run, not of this user; the request was not carried out.
    Stop,
}

/// Judges the request of the users API for one user; `failure` is `None` if ZITADEL created the user.
pub(super) fn single(asked: Asked, attempt: Attempt, failure: Option<&Failure>) -> Next {
    let Some(failure) = failure else { return Next::Created };
    let reason = failure.reason();
    match failure {
        _ if reason.is_undecided() && attempt.refusals < DOUBTS => Next::Again,
        Failure::Refused { status: 400..=409, id, message, .. } => match reason {
            Reason::UserExists if asked.in_doubt => Next::WhoseUser,
            Reason::UserExists => Next::Existed,
            Reason::OrganizationNotFound => Next::NoOrganization,
            Reason::ProviderNotFound if asked.links => Next::WithoutLinks,
            Reason::Taken if attempt.refusals == 0 => Next::Again,
            Reason::Taken => Next::WhoseName,
            _ => Next::Refused(Refusal::other(id.as_deref(), message)),
        },
        Failure::TooLarge => Next::Refused(Refusal::other(None, TOO_LARGE)),
        Failure::Throttled => Next::Throttled,
        failure if failure.is_ambiguous() => Next::Lost,
        _ => Next::Stop,
    }
}

/// Judges one user of an import request that was answered. `keys` are the metadata keys that were in it, `organization` is
/// where the user was to be created.
pub(super) fn in_batch(
    asked: Asked,
    attempt: Attempt,
    (user_id, organization, keys): (&str, &str, &HashSet<&str>),
    answer: &ImportAnswer,
) -> Next {
    let refusal = answer.errors.iter().find(|error| error.kind == "human_user" && error.id == user_id);
    if let Some(error) = refusal {
        return refused_in_batch(asked, attempt, error);
    }
    if answer.created.contains(user_id) {
        let without_codes = asked.in_doubt && asked.codes;
        let whole = is_complete(user_id, keys, answer) && !without_codes;
        return if whole { Next::Created } else { Next::Complete };
    }
    let of_organization = |error: &&EntityError| error.kind == "org" && error.is_decided() && error.id == organization;
    match answer.errors.iter().find(of_organization) {
        Some(error) => Next::Refused(Refusal::other(error.error_id.as_deref(), &error.message_key)),
        // The answer says nothing about the user.
        None => Next::Lost,
    }
}

fn refused_in_batch(asked: Asked, attempt: Attempt, error: &EntityError) -> Next {
    let maybe_ours = asked.in_doubt || attempt.losses > 0;
    match error.reason() {
        Reason::UserExists if maybe_ours => Next::WhoseUser,
        Reason::UserExists => Next::Existed,
        // ZITADEL had trouble of its own.
        _ if !error.is_decided() && attempt.losses < MAX_LOSSES => Next::Again,
        Reason::Taken if error.is_decided() && (maybe_ours || asked.links) => Next::WhoseName,
        Reason::Taken if error.is_decided() => Next::Refused(Refusal::NameTaken),
        // The provider forbids creation since the plan was made; the users API does not ask.
        Reason::CreationForbidden => Next::Alone,
        _ => Next::Refused(Refusal::other(error.error_id.as_deref(), &error.message_key)),
    }
}

/// Was every metadata key of the user written, and every second factor that was in the request?
pub(super) fn is_complete(user_id: &str, keys: &HashSet<&str>, answer: &ImportAnswer) -> bool {
    !answer.errors.iter().any(|error| error.is_about(user_id))
        && keys.iter().all(|key| answer.metadata.contains(&(user_id.to_owned(), (*key).to_owned())))
}

/// What comes next for an import request that failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextBatch {
    /// In two requests.
    Halve,
    /// Without the user at this place, whom ZITADEL refuses; the others as before.
    RefuseOne(usize, Refusal),
    /// Too much at a time.
    Throttled,
    /// A part may have been carried out; `halve`: what is left goes in two requests.
    Lost {
        /// ZITADEL ran out of time: less at once is what helps.
        halve: bool,
    },
    /// The failure is of the run; the request was not carried out.
    Stop,
}

/// Judges an import request of `users` users that failed as a whole. `place` tells which of them ZITADEL named.
pub(super) fn batch(users: usize, failure: &Failure, place: impl Fn((usize, usize)) -> Option<usize>) -> NextBatch {
    match failure {
        Failure::TooLarge if users > 1 => NextBatch::Halve,
        Failure::TooLarge => NextBatch::RefuseOne(0, Refusal::other(None, TOO_LARGE)),
        Failure::Refused { status: 400, index, id, message, .. } => {
            let refusal = Refusal::other(id.as_deref(), message);
            match index.and_then(place).filter(|index| *index < users) {
                Some(index) => NextBatch::RefuseOne(index, refusal),
                None if users > 1 => NextBatch::Halve,
                None => NextBatch::RefuseOne(0, refusal),
            }
        }
        Failure::Throttled => NextBatch::Throttled,
        failure if failure.is_ambiguous() => NextBatch::Lost { halve: matches!(failure, Failure::Timeout500) },
        _ => NextBatch::Stop,
    }
}

/// Judges the update of a user of ours; `None` if the failure is not this user's alone. A 500 after all attempts is this
/// user's, unless it is many: who counts them decides.
pub(super) fn update(failure: &Failure) -> Option<Refusal> {
    match failure {
        Failure::Refused { status: 400..=409, .. } if failure.reason() == Reason::Taken => Some(Refusal::NameTaken),
        Failure::Refused { status: 400..=409 | 500, id, message, .. } => Some(Refusal::other(id.as_deref(), message)),
        _ => None,
    }
}

/// Is a refused update worth a second attempt? The name is taken, or the database was slow: ZITADEL has one id for both.
pub(super) fn is_doubtful(failure: &Failure) -> bool {
    failure.reason() == Reason::Taken || failure.is_undecided()
}

#[cfg(test)]
mod tests;
