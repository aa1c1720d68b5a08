//! The identities of a row. A doubtful identity is none: a link or a password goes by (connection, id) alone, so that both
//! must be certain.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::words::{verified, words};
use crate::{
    auth0::user::{ExportedUser, Identity, Reading},
    input::scalar::{Fields, Place, Raw, flag, place, text},
};

/// The provider of every database connection.
const DATABASE: &str = "auth0";

/// The identities; `null` and `""` are as good as absent.
pub(super) fn read(raw: Raw<'_>, user: &mut ExportedUser) -> Option<Vec<Identity>> {
    let elements: Vec<&RawValue> = if raw.get().starts_with('[') {
        serde_json::from_str(raw.get()).unwrap_or_default()
    } else if text(raw) == Ok(None) {
        return None;
    } else {
        damaged(user, "identities", "not a list");
        Vec::new()
    };
    let mut identities = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        match identity(element, index, user) {
            Ok(identity) => identities.push(identity),
            Err(what) => damaged(user, format!("identities[{index}]"), what),
        }
    }
    if user.identities_damaged {
        restore(user, &mut identities);
    }
    Some(identities)
}

fn damaged(user: &mut ExportedUser, field: impl Into<Cow<'static, str>>, what: &'static str) {
    user.identities_damaged = true;
    user.note(Reading::Identity, field, what);
}

/// That a user has a database account says `user_id` itself; of which connection, it does not.
fn restore(user: &ExportedUser, identities: &mut Vec<Identity>) {
    let (provider, id) = user.split_id();
    let known = |identity: &Identity| identity.provider == provider && identity.user_id == id;
    if provider == DATABASE && !id.is_empty() && !identities.iter().any(known) {
        let own = Identity { provider: provider.to_owned(), user_id: id.to_owned(), ..Identity::default() };
        identities.insert(0, own);
    }
}

const IDENTITY: [&str; 5] = ["provider", "connection", "user_id", "isSocial", "profileData"];

/// One identity, or what is wrong with it.
fn identity(raw: Raw<'_>, index: usize, user: &mut ExportedUser) -> Result<Identity, &'static str> {
    if !raw.get().starts_with('{') {
        return Err("not an object");
    }
    let fields: Fields<'_, 5> =
        Fields::read(raw.get().as_bytes(), |key| place(&IDENTITY, key), |_| ()).map_err(|_| "not an object")?;
    let is = |raw: &Raw<'_>, starts: &[char]| raw.get().starts_with(starts);
    let name = |at: usize, wrong: &'static str| match fields.get(at) {
        Some(raw) if is(&raw, &['"', 'n']) => text(raw).map_err(|()| wrong),
        Some(_) => Err(wrong),
        None => Ok(None),
    };
    let provider = name(0, "`provider` is not a text")?;
    let connection = name(1, "`connection` is not a text")?;
    let id = match fields.get(2) {
        Some(raw) if !is(&raw, &['t', 'f']) => text(raw).map_err(|()| "`user_id` is not a text")?,
        Some(_) => return Err("`user_id` is not a text"),
        None => None,
    };
    let (provider, id) = whole(user, index, provider, id)?;
    let mut identity = Identity {
        provider,
        connection: connection.map(Cow::into_owned),
        user_id: id,
        is_social: fields.get(3).and_then(|raw| flag(raw).ok().flatten()).unwrap_or_default(),
        ..Identity::default()
    };
    match fields.get(4) {
        Some(raw) if is(&raw, &['{']) => profile(raw, index, &mut identity, user),
        Some(raw) if text(raw) != Ok(None) => {
            user.note(Reading::LeftOut, format!("identities[{index}].profileData"), "not an object");
        }
        _ => {}
    }
    Ok(identity)
}

/// Both halves of the id. Of a primary database account, which comes first, a missing half stands in `user_id`, if the
/// other agrees with it; a link is not made of a guess.
fn whole(
    user: &ExportedUser,
    index: usize,
    provider: Option<Cow<'_, str>>,
    id: Option<Cow<'_, str>>,
) -> Result<(String, String), &'static str> {
    let own = user.split_id();
    let primary = index == 0 && own.0 == DATABASE && !own.1.is_empty();
    match (provider, id) {
        (Some(provider), Some(id)) => Ok((provider.into_owned(), id.into_owned())),
        (Some(provider), None) if primary && provider == own.0 => Ok((own.0.to_owned(), own.1.to_owned())),
        (None, Some(id)) if primary && id == own.1 => Ok((own.0.to_owned(), own.1.to_owned())),
        (_, None) => Err("without `user_id`"),
        (None, _) => Err("without `provider`"),
    }
}

const PROFILE: [&str; 4] = ["email", "email_verified", "username", "name"];

/// A field of an identity's profile; its name is made if somebody asks for it.
#[derive(Clone, Copy)]
struct Of(usize, &'static str);

impl From<Of> for Cow<'static, str> {
    fn from(Of(index, key): Of) -> Self {
        format!("identities[{index}].profileData.{key}").into()
    }
}

/// What the profile of a linked identity says of its names.
fn profile(profile: Raw<'_>, index: usize, identity: &mut Identity, user: &mut ExportedUser) {
    // Names that only look like these are a provider's own.
    let exact = |key: &str| PROFILE.iter().position(|name| *name == key).map(|index| Place { index, exact: true });
    let Ok(fields) = Fields::<4>::read(profile.get().as_bytes(), exact, |_| ()) else { return };
    let at = |place: usize| Of(index, PROFILE[place]);
    let email = fields.get(0).and_then(|raw| words(raw, at(0), false, user));
    identity.username = fields.get(2).and_then(|raw| words(raw, at(2), true, user)).map(|(text, _)| text);
    identity.name = fields.get(3).and_then(|raw| words(raw, at(3), true, user)).map(|(text, _)| text);
    if let Some(raw) = fields.get(1) {
        (identity.email_verified, identity.email_verified_truthy) = verified(raw, at(1), user);
    }
    if matches!(email, Some((_, true))) {
        (identity.email_verified, identity.email_verified_truthy) = (Some(false), false);
    }
    identity.email = email.map(|(email, _)| email);
}

/// The identity of a row that names the connection only, as the dashboard's export does.
pub(super) fn only(user: &ExportedUser, connection: String) -> Identity {
    let (provider, rest) = user.split_id();
    let not_social =
        ["", "auth0", "sms", "email", "ad", "adfs", "waad", "samlp", "oidc", "okta", "google-apps", "pingfederate"];
    Identity {
        provider: provider.to_owned(),
        connection: Some(connection),
        user_id: rest.to_owned(),
        is_social: !not_social.contains(&provider),
        ..Identity::default()
    }
}
