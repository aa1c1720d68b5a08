//! Identities that are not of a database, and second factors. A later issue moves them; until then they are reported.

use super::finding::{Finding, FindingCode};
use crate::auth0::user::{ExportedUser, Identity};

/// Database accounts move as users; passwordless ones have no identity provider behind them.
const WITHOUT_PROVIDER: [&str; 4] = ["auth0", "sms", "email", ""];

/// Says which identities and factors stay behind.
pub(super) fn report(user: &ExportedUser, findings: &mut Vec<Finding>) {
    let mut names: Vec<&str> = match user.identities.as_deref() {
        Some(identities) if !identities.is_empty() => identities.iter().filter_map(name).collect(),
        _ => Some(user.split_id().0).filter(|provider| has_provider(provider)).into_iter().collect(),
    };
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        findings.push(Finding::about(FindingCode::LinkNotMoved, names.join(", ")));
    }
    if !user.multifactor.is_empty() {
        findings.push(Finding::about(FindingCode::FactorNotMoved, user.multifactor.join(", ")));
    }
}

fn name(identity: &Identity) -> Option<&str> {
    has_provider(&identity.provider).then(|| identity.connection.as_deref().unwrap_or(&identity.provider))
}

fn has_provider(provider: &str) -> bool {
    !WITHOUT_PROVIDER.contains(&provider)
}
