//! What the ledger writes down about a user, for each way in which a request can end. Pure.

use super::{item::Item, judge::Refusal, links};
use crate::{
    error::printable,
    ledger::{states::Outcome, users::Settled},
    mapping::{draft::Route, finding::BlockedCode},
};

/// A user that a request created, with everything that was in it.
pub(super) fn created(item: &Item, route: Route) -> Settled {
    written_by(item, Outcome::Created, route)
}

/// A user that was written by this road.
pub(super) fn written_by(item: &Item, outcome: Outcome, route: Route) -> Settled {
    Settled {
        have: Some(item.have()),
        facts: Some(item.facts.encode()),
        inactive: item.draft.inactive,
        factors: item.factors,
        route: Some(route),
        links: (!item.draft.links.is_empty()).then(|| links::wanted(&item.draft)),
        ..Settled::new(item.id(), outcome)
    }
}

/// A user that was written; `whole`: all of it.
pub(super) fn written(item: &Item, outcome: Outcome, whole: bool) -> Settled {
    let mut settled = written_by(item, outcome, Route::UsersApi);
    if !whole {
        settled.code = Some(BlockedCode::Incomplete.code());
        // So that the next run finds a difference and writes the rest.
        settled.have = Some(([0; 16], item.password));
        settled.factors = None;
    }
    settled
}

/// A user that was there before, and was found.
pub(super) fn existed(item: &Item, organization: &str, ours: &str) -> Settled {
    let elsewhere = organization != ours;
    Settled {
        code: if elsewhere { Some(BlockedCode::ExistedElsewhere.code()) } else { None },
        detail: elsewhere.then(|| format!("organization {organization}")),
        ..Settled::new(item.id(), Outcome::Existed)
    }
}

/// A user that ZITADEL says exists, and that nobody finds.
pub(super) fn ghost(item: &Item) -> Settled {
    Settled { code: Some(BlockedCode::GhostUser.code()), ..Settled::new(item.id(), Outcome::Rejected) }
}

/// A user of ours that somebody deleted in ZITADEL.
pub(super) fn gone(item: &Item) -> Settled {
    Settled { code: Some(BlockedCode::GoneFromZitadel.code()), ..Settled::new(item.id(), Outcome::Rejected) }
}

/// A user that ZITADEL has, if it cannot be told whether a lost request created it.
pub(super) fn owner_unknown(item: &Item) -> Settled {
    Settled { code: Some(BlockedCode::OwnerUnknown.code()), ..Settled::new(item.id(), Outcome::Existed) }
}

/// ZITADEL refused the user.
pub(super) fn refused(item: &Item, refusal: &Refusal) -> Settled {
    let (code, detail) = match refusal {
        Refusal::NameTaken => (BlockedCode::UserNameTaken, format!("`{}`", printable(&item.draft.user_name))),
        Refusal::Other { id: Some(id), message } => (BlockedCode::RefusedByZitadel, format!("{id}: {message}")),
        Refusal::Other { id: None, message } => (BlockedCode::RefusedByZitadel, message.clone()),
    };
    Settled { code: Some(code.code()), detail: Some(detail), ..Settled::new(item.id(), Outcome::Rejected) }
}
