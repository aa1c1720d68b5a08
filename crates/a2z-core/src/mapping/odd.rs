//! What was odd in a row of the export, as findings: each kind once, with the names of the fields and never their values.

use super::finding::{Finding, FindingCode};
use crate::{
    auth0::user::{ExportedUser, MOST_ODD, Odd, Reading},
    mapping::settings::Mapping,
};

/// The kinds, in the order of the findings.
const KINDS: [(Reading, FindingCode); 4] = [
    (Reading::Unverified, FindingCode::VerifiedOdd),
    (Reading::Identity, FindingCode::IdentityLeftOut),
    (Reading::LeftOut, FindingCode::FieldLeftOut),
    (Reading::Repaired, FindingCode::FieldRepaired),
];

/// Settles which texts verify an address: those of connections that the operator named.
pub(super) fn settle(user: &mut ExportedUser, config: &Mapping) {
    if user.odd.is_empty() || config.verified_texts.is_empty() {
        return;
    }
    let named = |connection: Option<&str>| {
        connection.is_some_and(|connection| config.verified_texts.iter().any(|name| name == connection))
    };
    if user.email_verified_truthy && named(user.connection()) {
        user.email_verified = Some(true);
        user.odd.retain(|odd| odd.reading != Reading::Unverified || odd.field != "email_verified");
    }
    let mut settled = 0;
    for identity in user.identities.iter_mut().flatten() {
        if identity.email_verified_truthy && named(identity.connection.as_deref()) {
            identity.email_verified = Some(true);
            settled += 1;
        }
    }
    let linked = |odd: &Odd| odd.reading == Reading::Unverified && odd.field.ends_with(".profileData.email_verified");
    if settled == user.odd.iter().filter(|odd| linked(odd)).count() {
        user.odd.retain(|odd| !linked(odd));
    }
}

/// Says what was odd.
pub(super) fn report(user: &ExportedUser, findings: &mut Vec<Finding>) {
    if user.odd.is_empty() {
        return;
    }
    for (reading, code) in KINDS {
        let of_kind: Vec<String> = user.odd.iter().filter(|odd| odd.reading == reading).map(shown).collect();
        if of_kind.is_empty() {
            continue;
        }
        let more = if user.odd.len() < MOST_ODD { "" } else { ", and perhaps more" };
        findings.push(Finding::about(code, format!("{}{more}", of_kind.join(", "))));
    }
}

fn shown(Odd { field, what, .. }: &Odd) -> String {
    format!("{field}: {what}")
}
