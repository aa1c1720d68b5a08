//! The body of `PATCH /v2/users/{id}`: the parts of a draft that are to be written, so that it may be sent twice.

use bytes::Bytes;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use crate::mapping::{
    draft::Draft,
    part::{Part, Parts},
};

/// A change of these `parts` of a user to what `draft` says, and of the hash if `with_password`; `None` if that is nothing.
/// The state and the absence of a phone number are no part of it: they have requests of their own.
///
/// An address or number that is not verified travels with `returnCode`: a *changed* one with `isVerified: false` would
/// make ZITADEL send a code to the user (`changeUserEmail`, `changeUserPhone`).
#[must_use]
pub fn update_json(draft: &Draft, parts: Parts, with_password: bool) -> Option<Bytes> {
    let profile = &draft.profile;
    let display_name = profile.display_name_of_update();
    let texts = [
        (Part::FirstName, "givenName", Some(profile.first_name.as_str())),
        (Part::LastName, "familyName", Some(profile.last_name.as_str())),
        (Part::DisplayName, "displayName", Some(display_name.as_str())),
        (Part::NickName, "nickName", profile.nick_name.as_deref()),
        (Part::Language, "preferredLanguage", profile.preferred_language.as_deref()),
    ];
    let mut names = Map::new();
    for (_, name, text) in texts.into_iter().filter(|(part, ..)| parts.has(*part)) {
        names.extend(text.map(|text| (name.to_owned(), Value::from(text))));
    }
    let mut human = Map::new();
    if !names.is_empty() {
        human.insert("profile".into(), Value::Object(names));
    }
    if parts.has(Part::Email) {
        human.insert("email".into(), verified_or_quiet("email", &draft.email.address, draft.email.verified));
    }
    if let Some(phone) = draft.phone.as_ref().filter(|_| parts.has(Part::Phone)) {
        human.insert("phone".into(), verified_or_quiet("phone", &phone.number, phone.verified));
    }
    if let Some(password) = draft.password.as_ref().filter(|_| with_password) {
        let mut hashed = json!({ "hash": password.hash.expose_secret() });
        if password.change_required {
            hashed["changeRequired"] = true.into();
        }
        human.insert("password".into(), json!({ "hashedPassword": hashed }));
    }
    let user_name = parts.has(Part::UserName).then_some(draft.user_name.as_str());
    if human.is_empty() && user_name.is_none() {
        return None;
    }
    // `human` also if it says nothing: ZITADEL takes the type of the user from it ("user type is not implemented").
    let mut patch = json!({ "human": human });
    if let Some(user_name) = user_name {
        patch["username"] = user_name.into();
    }
    Some(Bytes::from(patch.to_string()))
}

fn verified_or_quiet(key: &str, value: &str, verified: bool) -> Value {
    if verified { json!({ key: value, "isVerified": true }) } else { json!({ key: value, "returnCode": {} }) }
}
