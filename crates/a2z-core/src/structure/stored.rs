//! The grants that this ledger gave, as ZITADEL's events tell them. No search shows a grant that a projection skipped, nor
//! any grant of a user without a login name; a deletion of the user forgets such a grant, and it stays taken for ever.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::{
    error::Result,
    ownership::Us,
    zitadel::{client::Client, events::kind, failure::Failure},
};

/// ZITADEL's clock may be behind ours by this much.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// A grant that this ledger gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// ZITADEL's id of the grant.
    pub id: String,
    /// It was not removed since.
    pub is_there: bool,
    /// Somebody else changed or removed it.
    pub touched: bool,
}

/// By user and organization, the newest grant that this ledger gave.
pub type Grants = HashMap<(String, String), Stored>;

/// The grants of these users, from the ledger's first import on. `None` if the account may not read events, or there are
/// too many to look through.
///
/// # Errors
/// When ZITADEL fails.
pub async fn stored(client: &Client, us: &Us, users: &BTreeSet<&str>) -> Result<Option<Grants>> {
    let since = us.first_import.and_then(|first| first.checked_sub(SKEW).ok()).unwrap_or(Timestamp::MIN);
    let mut by_id: HashMap<String, (String, String)> = HashMap::new();
    let mut grants = Grants::new();
    let whole = client.each_event(&kind::GRANT, since, |event| {
        let ours = us.made(&event);
        if event.kind == kind::GRANT_ADDED {
            let Some(user) = event.about.filter(|user| ours && users.contains(user.as_str())) else { return };
            let place = (user, event.organization_id);
            // Some events come twice.
            if by_id.insert(event.aggregate_id.clone(), place.clone()).is_none() {
                grants.insert(place, Stored { id: event.aggregate_id, is_there: true, touched: false });
            }
            return;
        }
        let grant = by_id.get(&event.aggregate_id).and_then(|place| grants.get_mut(place));
        if let Some(grant) = grant.filter(|grant| grant.id == event.aggregate_id) {
            grant.touched |= !ours;
            grant.is_there &= !kind::GRANT_REMOVED.contains(&event.kind.as_str());
        }
    });
    match whole.await {
        Err(Failure::NoPermission(_)) => Ok(None),
        whole => {
            let whole = whole.map_err(|failure| failure.into_error("could not read ZITADEL's events"))?;
            Ok(whole.then_some(grants))
        }
    }
}
