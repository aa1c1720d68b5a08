//! The names with which people sign in: whose user name counts, which address a user has, and which names of a password
//! that moves find nobody any more.

use super::{
    collision::name_key,
    draft::Draft,
    email,
    finding::{Finding, FindingCode},
    joined::SignInNames,
};
use crate::auth0::user::{ExportedUser, Identity};

/// Whether `username` is a name with which the user signed in at Auth0: that of a database or an LDAP account. Whatever
/// another identity provider writes there is its own business, and two customers may both have a `jsmith`.
pub(super) fn has_own_user_name(user: &ExportedUser) -> bool {
    matches!(user.provider(), "auth0" | "ad")
}

/// Gives a user without an address the verified one of a linked identity: a database account's first, for it is the one
/// that its owner types.
pub(super) fn take_linked_email(user: &mut ExportedUser, findings: &mut Vec<Finding>) {
    if user.email.as_deref().is_some_and(|address| !address.trim().is_empty()) {
        return;
    }
    let Some(address) = linked_email(user) else { return };
    findings.push(Finding::new(FindingCode::EmailOfLinked));
    user.email = Some(address);
    user.email_verified = Some(true);
}

fn linked_email(user: &ExportedUser) -> Option<String> {
    let address = |identity: &Identity| {
        let address = identity.email.as_deref().map(str::trim)?;
        (identity.email_verified == Some(true) && email::import_takes(address)).then(|| address.to_owned())
    };
    let identities = user.identities.as_deref()?;
    let databases = identities.iter().filter(|identity| identity.provider == "auth0");
    databases.chain(identities).find_map(address)
}

/// Says which names with which the moved password signed in do not find the user in ZITADEL. It finds users by user name,
/// e-mail and phone number, whatever their case.
pub(super) fn report_lost_names(names: &SignInNames, draft: &Draft, findings: &mut Vec<Finding>) {
    let phone = draft.phone.as_ref().map(|phone| phone.number.as_str());
    let found_by: Vec<String> = [Some(draft.user_name.as_str()), Some(&draft.email.address), phone]
        .into_iter()
        .flatten()
        .map(name_key)
        .collect();
    let is_lost = |name: &Option<String>| {
        let name = name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        name.is_some_and(|name| !found_by.contains(&name_key(name)))
    };
    let kinds = [("user name", is_lost(&names.user_name)), ("e-mail", is_lost(&names.email))];
    let lost: Vec<&str> = kinds.into_iter().filter(|(_, lost)| *lost).map(|(kind, _)| kind).collect();
    if !lost.is_empty() {
        findings.push(Finding::about(FindingCode::SignInNamesLost, lost.join(", ")));
    }
}

/// The folded e-mail of a user who has another user name; a placeholder is nobody's address.
#[must_use]
pub fn address_key(draft: &Draft, findings: &[Finding]) -> Option<String> {
    if draft.user_name == draft.email.address || findings.iter().any(|f| f.code == FindingCode::PlaceholderEmail) {
        return None;
    }
    let key = name_key(&draft.email.address);
    (key != name_key(&draft.user_name)).then_some(key)
}
