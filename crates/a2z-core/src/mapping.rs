//! 4 MAP: pure functions, no I/O. A [`joined::Joined`] becomes a [`draft::Draft`] that ZITADEL is sure to accept,
//! or a refusal with a reason, and findings.
//!
//! Every rule of ZITADEL that would refuse a user, a whole batch, or worse, is checked here, for the road that the user
//! takes: lengths in characters (bytes for metadata values), names that are not blank, an address that Go's `net/mail`
//! takes, a phone number that libphonenumber takes, a hash that passwap takes, and no NUL, which `PostgreSQL` refuses.

pub mod canonical;
pub mod codes;
pub mod collision;
pub mod delta;
pub mod draft;
pub mod email;
pub mod factors;
pub mod facts;
pub mod finding;
pub mod fingerprint;
pub mod joined;
mod language;
pub mod links;
pub mod metadata;
mod names;
mod odd;
pub mod part;
mod password;
pub mod paths;
mod phone;
pub mod providers;
pub mod rules;
pub mod settings;
pub mod sign_in;
pub mod text;

use self::text::MAX_CHARS;
use self::{joined::Joined, settings::Mapping};
use crate::auth0::user::ExportedUser;

use self::{
    draft::{Draft, Email, Route},
    finding::{Blocked, BlockedCode, Finding, FindingCode},
};

/// A mapped user.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// What may be sent, or why nothing may.
    pub draft: Result<Draft, Blocked>,
    /// What there is to say, the join's findings first. Also of blocked users.
    pub findings: Vec<Finding>,
}

/// The roads that are open; they differ in what they refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roads {
    /// Both, chosen by [`Draft::route`].
    Both {
        /// `import.users_api_from_metadata_keys`.
        users_api_from_metadata_keys: usize,
    },
    /// The import endpoint alone (`a2z merge`).
    ImportOnly,
    /// The users API alone (no `IAM_OWNER`).
    UsersApiOnly,
}

impl Roads {
    /// The road of this user.
    #[must_use]
    pub fn of(self, draft: &Draft) -> Route {
        match self {
            Self::Both { users_api_from_metadata_keys } => draft.route(users_api_from_metadata_keys),
            Self::ImportOnly => Route::Import,
            Self::UsersApiOnly => Route::UsersApi,
        }
    }
}

/// Puts a user into ZITADEL's terms.
#[must_use]
pub fn map(joined: Joined, config: &Mapping, roads: Roads) -> Mapped {
    let Joined { mut user, hash, links, mut findings } = joined;
    odd::settle(&mut user, config);
    if let Err(blocked) = config.rules.admit(&user) {
        // Nobody has anything to mend about a user who is left out.
        findings.clear();
        return Mapped { draft: Err(blocked), findings };
    }
    odd::report(&user, &mut findings);
    let names = hash.as_ref().and_then(|hash| hash.names_of(&user, config.rules.fields.is_empty()));
    let chosen = config.rules.choose(&mut user, &mut findings);
    sign_in::take_linked_email(&mut user, &mut findings);
    let draft = draft(&user, hash, links, config, roads, chosen, &mut findings);
    if user.blocked && draft.is_err() && !findings.iter().any(|finding| finding.code == FindingCode::Blocked) {
        // An earlier run may have created the user: the import deactivates whoever has this finding.
        findings.push(Finding::new(FindingCode::Blocked));
    }
    if let (Some(names), Ok(draft)) = (names, &draft)
        && draft.password.is_some()
    {
        sign_in::report_lost_names(&names, draft, &mut findings);
    }
    Mapped { draft, findings }
}

fn draft(
    user: &ExportedUser,
    hash: Option<joined::JoinedHash>,
    links: links::Links,
    config: &Mapping,
    roads: Roads,
    chosen: rules::Chosen,
    findings: &mut Vec<Finding>,
) -> Result<Draft, Blocked> {
    check_user_id(&user.user_id)?;
    if let Some(blocked) = links.blocked {
        return Err(blocked);
    }
    let email = email(user, config, findings)?;
    let user_name = user_name(user, &email, chosen, findings)?;
    let profile = names::profile(user, &user_name, chosen, findings);
    let phone = phone::phone(user, findings);
    let has_links = !links.links.is_empty();
    let password = password::password(user, hash, config.stale_hash, config.verifiers, has_links, findings);
    let metadata = metadata::metadata(user, config, findings);
    links::report(user, findings);
    if user.blocked {
        findings.push(Finding::new(FindingCode::Blocked));
    }
    let draft = Draft {
        user_id: user.user_id.clone(),
        user_name,
        profile,
        email,
        phone,
        password,
        inactive: user.blocked,
        links: links.links,
        totp_secret: None,
        recovery_codes: Vec::new(),
        metadata,
    };
    if roads.of(&draft) == Route::UsersApi && !email::users_api_takes(&draft.email.address) {
        return Err(Blocked::about(BlockedCode::BadEmail, "the users API takes ASCII host names only"));
    }
    Ok(draft)
}

/// The import endpoint takes any id, but metadata, the users API and every later call need 1 to 200 characters. The id
/// is kept exactly, or not at all.
fn check_user_id(user_id: &str) -> Result<(), Blocked> {
    let detail = match user_id.chars().count() {
        0 => "empty",
        n if n > MAX_CHARS => "longer than 200 characters",
        _ if user_id.chars().any(char::is_control) => "has a control character",
        _ => return Ok(()),
    };
    Err(Blocked::about(BlockedCode::BadUserId, detail))
}

fn email(user: &ExportedUser, config: &Mapping, findings: &mut Vec<Finding>) -> Result<Email, Blocked> {
    let address = user.email.as_deref().map(str::trim).filter(|address| !address.is_empty());
    let email = match (address, &config.placeholder_email_domain) {
        (Some(address), _) => Email { address: address.to_owned(), verified: user.email_verified.unwrap_or(false) },
        (None, Some(domain)) => {
            findings.push(Finding::new(FindingCode::PlaceholderEmail));
            Email { address: email::placeholder(&user.user_id, domain), verified: false }
        }
        (None, None) => return Err(Blocked::new(BlockedCode::NoEmail)),
    };
    if email::import_takes(&email.address) { Ok(email) } else { Err(Blocked::new(BlockedCode::BadEmail)) }
}

/// `username` if it is the user's own at Auth0 or a rule's choice, else the real e-mail, else the phone number, else the
/// placeholder address.
fn user_name(
    user: &ExportedUser,
    email: &Email,
    chosen: rules::Chosen,
    findings: &mut Vec<Finding>,
) -> Result<String, Blocked> {
    let own = user.username.as_deref().filter(|_| chosen.user_name || sign_in::has_own_user_name(user));
    let sources = [own, user.email.as_deref(), user.phone_number.as_deref()];
    let cleaned = sources.into_iter().flatten().map(text::clean).find(|name| !name.text.is_empty());
    let Some(name) = cleaned else {
        return Ok(email.address.clone());
    };
    if name.cleaned {
        findings.push(Finding::about(FindingCode::NameCleaned, "user name"));
    }
    if name.text.chars().count() > MAX_CHARS {
        return Err(Blocked::new(BlockedCode::BadUserName));
    }
    Ok(name.text.into_owned())
}

#[cfg(test)]
mod tests;
