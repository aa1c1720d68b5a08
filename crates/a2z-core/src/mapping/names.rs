//! First and last name, which ZITADEL requires and Auth0 often lacks; display and nick name.

use std::borrow::Cow;

use super::{
    draft::Profile,
    finding::{Finding, FindingCode},
    language,
    rules::Chosen,
    text,
};
use crate::auth0::user::ExportedUser;

/// The profile. `user_name` is the last resort for the names; it is not blank.
pub(super) fn profile(user: &ExportedUser, user_name: &str, chosen: Chosen, findings: &mut Vec<Finding>) -> Profile {
    let mut names = Names { findings };
    let given = names.take("first name", user.given_name.as_deref());
    let family = names.take("last name", user.family_name.as_deref());
    let nick_name = names.take("nick name", user.nickname.as_deref());
    let display_name =
        names.take("display name", if chosen.display_name { user.name.as_deref() } else { own_name(user) });

    let (first_name, last_name) = match (given, family) {
        (Some(given), Some(family)) => (given, family),
        (given, family) => {
            names.complete(user, user_name, given, family, display_name.as_deref(), nick_name.as_deref())
        }
    };
    Profile {
        first_name,
        last_name,
        display_name,
        nick_name,
        preferred_language: language::preferred(user.locale.as_deref(), findings),
    }
}

/// `name`, unless it only repeats the e-mail (database users) or the phone number (`sms` users).
fn own_name(user: &ExportedUser) -> Option<&str> {
    let name = user.name.as_deref()?;
    let repeats = |other: &Option<String>| {
        other.as_deref().is_some_and(|other| name.trim().to_lowercase() == other.trim().to_lowercase())
    };
    (!repeats(&user.email) && !repeats(&user.phone_number)).then_some(name)
}

struct Names<'a> {
    findings: &'a mut Vec<Finding>,
}

impl Names<'_> {
    /// The value, cleaned and cut; none where nothing is left.
    fn take(&mut self, what: &str, value: Option<&str>) -> Option<String> {
        let cleaned = text::clean(value?);
        if cleaned.cleaned {
            self.findings.push(Finding::about(FindingCode::NameCleaned, what));
        }
        let (kept, was_cut) = text::cut(&cleaned.text);
        if was_cut {
            self.findings.push(Finding::about(FindingCode::NameCut, what));
        }
        match (kept.is_empty(), was_cut, cleaned.text) {
            (true, ..) => None,
            (false, false, Cow::Owned(whole)) => Some(whole),
            (false, false, Cow::Borrowed(whole)) => Some(whole.to_owned()),
            (false, true, text) => Some(text::cut(&text).0.to_owned()),
        }
    }

    /// Fills what is missing: from `name`, else the nick name, else the local part of the e-mail, else the user name.
    fn complete(
        &mut self,
        user: &ExportedUser,
        user_name: &str,
        given: Option<String>,
        family: Option<String>,
        name: Option<&str>,
        nick_name: Option<&str>,
    ) -> (String, String) {
        let (first, rest) = name.map_or((None, None), split_name);
        let needs = (given.is_none() && first.is_none()) || (family.is_none() && rest.is_none());
        if needs {
            self.findings.push(Finding::new(FindingCode::NameInvented));
        }
        let other = || {
            let local = user.email.as_deref().map(|email| email.rsplit_once('@').map_or(email, |(local, _)| local));
            let local = local.map(text::clean).filter(|local| !local.text.is_empty());
            match (nick_name, local) {
                (Some(nick_name), _) => nick_name.to_owned(),
                (None, Some(local)) => text::cut(&local.text).0.to_owned(),
                (None, None) => user_name.to_owned(),
            }
        };
        let first_name = given.or_else(|| first.map(str::to_owned)).unwrap_or_else(other);
        let last_name = family.or_else(|| rest.map(str::to_owned)).unwrap_or_else(other);
        (first_name, last_name)
    }
}

/// The first word and the rest; `name` is trimmed and not empty.
fn split_name(name: &str) -> (Option<&str>, Option<&str>) {
    match name.split_once(char::is_whitespace) {
        Some((first, rest)) => (Some(first), Some(rest.trim_start())),
        None => (Some(name), None),
    }
}
