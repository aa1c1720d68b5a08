//! The body of `PATCH /v2/users/{id}`: everything that a draft says of the user, so that it may be sent twice.

use bytes::Bytes;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use crate::mapping::{MAX_CHARS, draft::Draft};

/// A change of one user to what `draft` says; the hash only `with_password`, the address only `with_email`: the import
/// endpoint takes addresses that this one refuses, and one that is there already must not cost the change.
///
/// An address or number that is not verified travels with `returnCode`: a *changed* one with `isVerified: false` would
/// make ZITADEL send a code to the user (`changeUserEmail`, `changeUserPhone`).
#[must_use]
pub fn update_json(draft: &Draft, with_password: bool, with_email: bool) -> Bytes {
    let profile = &draft.profile;
    let mut names = Map::new();
    names.insert("givenName".into(), profile.first_name.as_str().into());
    names.insert("familyName".into(), profile.last_name.as_str().into());
    // ZITADEL made it from the names when the user was created, and does not make it again when they change.
    let made = format!("{} {}", profile.first_name, profile.last_name).chars().take(MAX_CHARS).collect();
    names.insert("displayName".into(), Value::String(profile.display_name.clone().unwrap_or(made)));
    let optional = [("nickName", &profile.nick_name), ("preferredLanguage", &profile.preferred_language)];
    for (name, value) in optional {
        if let Some(value) = value {
            names.insert(name.into(), value.as_str().into());
        }
    }
    let mut human = Map::new();
    human.insert("profile".into(), Value::Object(names));
    if with_email {
        human.insert("email".into(), verified_or_quiet("email", &draft.email.address, draft.email.verified));
    }
    if let Some(phone) = &draft.phone {
        human.insert("phone".into(), verified_or_quiet("phone", &phone.number, phone.verified));
    }
    if let Some(password) = draft.password.as_ref().filter(|_| with_password) {
        let mut hashed = json!({ "hash": password.hash.expose_secret() });
        if password.change_required {
            hashed["changeRequired"] = true.into();
        }
        human.insert("password".into(), json!({ "hashedPassword": hashed }));
    }
    Bytes::from(json!({ "username": draft.user_name, "human": human }).to_string())
}

fn verified_or_quiet(key: &str, value: &str, verified: bool) -> Value {
    if verified { json!({ key: value, "isVerified": true }) } else { json!({ key: value, "returnCode": {} }) }
}
