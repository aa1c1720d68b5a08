//! What organizations and roles are called in ZITADEL.

use crate::{
    ledger::organizations::{self, PlannedOrganization},
    mapping::text::MAX_CHARS,
};

pub(super) fn clean(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.trim().chars().take(MAX_CHARS).collect::<String>().trim_end().to_owned()
}

pub(super) fn with_suffix(text: &str, suffix: &str) -> String {
    let room = MAX_CHARS.saturating_sub(suffix.chars().count() + 3);
    format!("{} ({suffix})", text.chars().take(room).collect::<String>())
}

/// What an organization may be called, the best first.
#[must_use]
pub(super) fn candidates(organization: &organizations::Organization) -> Vec<String> {
    let display = clean(organization.display_name.as_deref().unwrap_or_default());
    let name = clean(&organization.name);
    let first = if display.is_empty() { name.clone() } else { display };
    let mut all = Vec::new();
    if !first.is_empty() {
        if !name.is_empty() && name != first {
            all.push(with_suffix(&first, &name));
        }
        all.push(with_suffix(&first, &organization.id));
        all.insert(0, first);
    }
    all.push(organization.id.clone());
    all
}

/// How an organization that is to be made will look: for the plan, and for what makes it.
#[must_use]
pub(super) fn name_of(organization: &PlannedOrganization) -> &str {
    organization.zitadel_name.as_deref().unwrap_or(&organization.auth0.id)
}

/// Auth0's name as it is, for applications compare it: ZITADEL takes 1 to 200 characters, and all but NUL.
pub(super) fn role_key(name: &str, role_id: &str) -> String {
    let key = clean(name);
    if key.is_empty() { role_id.to_owned() } else { key }
}
