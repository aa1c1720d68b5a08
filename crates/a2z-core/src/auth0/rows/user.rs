//! One row of an export as an [`ExportedUser`]. Only the `user_id` must be readable: any other value that is not as it
//! should be costs itself, is noted, and never gives the user more than Auth0 did.

mod identities;
mod words;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::words::{verified, words};
use super::shape::Shape;
use crate::{
    auth0::user::{ExportedUser, Reading},
    input::{
        json_reason,
        scalar::{Fields, Place, Raw, date, flag, number, place, text},
    },
};

const NAMES: [&str; 24] = [
    "user_id",
    "email",
    "email_verified",
    "username",
    "phone_number",
    "phone_verified",
    "name",
    "given_name",
    "family_name",
    "nickname",
    "picture",
    "locale",
    "identities",
    "created_at",
    "updated_at",
    "last_login",
    "last_password_reset",
    "logins_count",
    "blocked",
    "user_metadata",
    "app_metadata",
    "multifactor",
    "connection",
    "identities[0].connection",
];

/// The fields of one row.
struct Columns<'a>(Fields<'a, 24>);

/// Where a column belongs; the dashboard calls `user_id` `Id`.
fn column(key: &str) -> Option<Place> {
    place(&NAMES, key).or_else(|| key.eq_ignore_ascii_case("id").then_some(Place { index: 0, exact: false }))
}

/// The user in a row, or why there is none.
pub(super) fn read(json: &[u8], line: u64) -> Result<ExportedUser, String> {
    match Fields::read(json, column, |_| ()) {
        Ok(fields) => user(&Columns(fields), line),
        // What is not UTF-8 costs the characters, not the row.
        Err(_) if std::str::from_utf8(json).is_err() => read_lossy(&String::from_utf8_lossy(json), line),
        Err(error) => Err(json_reason(&error)),
    }
}

#[cold]
fn read_lossy(json: &str, line: u64) -> Result<ExportedUser, String> {
    let fields = Fields::read(json.as_bytes(), column, |_| ()).map_err(|error| json_reason(&error))?;
    let mut user = user(&Columns(fields), line)?;
    if user.user_id.contains(char::REPLACEMENT_CHARACTER) {
        return Err("`user_id` is not valid UTF-8".to_owned());
    }
    user.note(Reading::Repaired, "the row", "bytes that are not UTF-8 became U+FFFD");
    Ok(user)
}

fn user(row: &Columns<'_>, line: u64) -> Result<ExportedUser, String> {
    let mut user = ExportedUser { line, ..ExportedUser::default() };
    user.user_id = row.user_id(&mut user)?;
    let to = &mut user;
    (to.email, to.email_verified, to.email_verified_truthy) = row.email(to);
    (to.phone_number, to.phone_verified) = row.phone(to);
    to.username = row.text("username", to);
    to.name = row.text("name", to);
    to.given_name = row.text("given_name", to);
    to.family_name = row.text("family_name", to);
    to.nickname = row.text("nickname", to);
    to.picture = row.text("picture", to);
    to.locale = row.text("locale", to);
    to.created_at = row.date("created_at", to);
    to.updated_at = row.date("updated_at", to);
    to.last_login = row.date("last_login", to);
    to.last_password_reset = row.date("last_password_reset", to);
    to.logins_count = row.count("logins_count", to);
    to.multifactor = row.list("multifactor", to);
    to.blocked = row.blocked(to);
    to.user_metadata = row.metadata("user_metadata");
    to.app_metadata = row.metadata("app_metadata");
    match row.get("identities") {
        Some(raw) => to.identities = identities::read(raw, to),
        None => to.identities = None,
    }
    if to.identities.is_none() {
        let connection = row.text("connection", to).or_else(|| row.text("identities[0].connection", to));
        to.identities = connection.map(|connection| vec![identities::only(to, connection)]);
    }
    Ok(user)
}

impl<'a> Columns<'a> {
    fn get(&self, name: &str) -> Option<Raw<'a>> {
        self.0.get(NAMES.iter().position(|known| *known == name)?)
    }

    /// The id, exactly: nothing in it may be guessed.
    fn user_id(&self, user: &mut ExportedUser) -> Result<String, String> {
        let raw = self.get("user_id").ok_or("the row has no `user_id`")?;
        let id = match raw.get().as_bytes().first() {
            Some(b'"') => text(raw).map_err(|()| "`user_id` holds half a character")?.unwrap_or_default(),
            Some(b'0'..=b'9') if raw.get().bytes().all(|b| b.is_ascii_digit()) => {
                user.note(Reading::Repaired, "user_id", "a number");
                Cow::Borrowed(raw.get())
            }
            Some(b'n') => Cow::Borrowed(""),
            _ => return Err("`user_id` is not a text".to_owned()),
        };
        // An id begins with the provider's name. What it ends with may be a database script's, blanks included.
        let whole = id.trim_start();
        if whole.is_empty() {
            return Err("the row has no `user_id`".to_owned());
        }
        if whole.len() < id.len() {
            user.note(Reading::Repaired, "user_id", "white space before it was left out");
        }
        Ok(whole.to_owned())
    }

    fn text(&self, name: &'static str, user: &mut ExportedUser) -> Option<String> {
        self.get(name).and_then(|raw| words(raw, name, true, user)).map(|(text, _)| text)
    }

    /// The address, and whether it is verified: never if it is doubtful which address was meant.
    fn email(&self, user: &mut ExportedUser) -> (Option<String>, Option<bool>, bool) {
        let email = self.get("email").and_then(|raw| words(raw, "email", false, user));
        let flag = self.get("email_verified").map(|raw| verified(raw, "email_verified", user));
        let (verified, truthy) = flag.unwrap_or_default();
        match email {
            Some((email, true)) => (Some(email), Some(false), false),
            email => (email.map(|(email, _)| email), verified, truthy),
        }
    }

    fn phone(&self, user: &mut ExportedUser) -> (Option<String>, Option<bool>) {
        let number = self.get("phone_number").and_then(|raw| words(raw, "phone_number", true, user));
        let flag = self.get("phone_verified").and_then(|raw| verified(raw, "phone_verified", user).0);
        match number {
            Some((number, true)) => (Some(number), Some(false)),
            number => (number.map(|(number, _)| number), flag),
        }
    }

    /// Whoever may be blocked is blocked.
    fn blocked(&self, user: &mut ExportedUser) -> bool {
        match self.get("blocked").map(flag) {
            None => false,
            Some(Ok(flag)) => flag.unwrap_or_default(),
            Some(Err(())) => {
                user.note(Reading::Repaired, "blocked", "neither true nor false, which counts as blocked");
                true
            }
        }
    }

    fn date(&self, name: &'static str, user: &mut ExportedUser) -> Option<jiff::Timestamp> {
        let date = date(self.get(name)?);
        date.unwrap_or_else(|()| {
            user.note(Reading::LeftOut, name, "not a date");
            None
        })
    }

    fn count(&self, name: &'static str, user: &mut ExportedUser) -> Option<u64> {
        let count = number(self.get(name)?);
        count.unwrap_or_else(|()| {
            user.note(Reading::LeftOut, name, "not a count");
            None
        })
    }

    /// A list of texts. What is no text in it costs itself alone.
    fn list(&self, name: &'static str, user: &mut ExportedUser) -> Vec<String> {
        let Some(raw) = self.get(name) else { return Vec::new() };
        let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            return words(raw, name, true, user).map(|(text, _)| text).into_iter().collect();
        };
        elements.into_iter().filter_map(|element| words(element, name, true, user)).map(|(text, _)| text).collect()
    }

    /// Byte-faithful; what says nothing (`null`, `""`, `{}`) is absent.
    fn metadata(&self, name: &str) -> Option<Box<RawValue>> {
        let raw = self.get(name)?;
        let inner = raw.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let empty = matches!(raw.get(), "null" | "\"\"") || inner.is_some_and(|inner| inner.trim().is_empty());
        (!empty).then(|| raw.to_owned())
    }
}

/// Notes which of the fields in question this row has. `null` counts: the export carries the field.
pub(super) fn note_fields(json: &[u8], shape: &mut Shape) {
    let Ok(fields) = Fields::<24>::read(json, column, |_| ()) else { return };
    let row = Columns(fields);
    shape.has_identities |= row.get("identities").is_some_and(|raw| raw.get().starts_with('['));
    let says = |name: &str| row.get(name).is_some_and(|raw| !matches!(raw.get(), "null" | "\"\""));
    shape.has_connection |= shape.has_identities || ["connection", "identities[0].connection"].into_iter().any(says);
    shape.has_email_verified |= says("email_verified");
}

/// The whole `user_id` (`provider|id`) of a row that cannot be read, where it can be made out.
pub(super) fn salvage_id(json: &[u8]) -> Option<String> {
    let json = String::from_utf8_lossy(json);
    json.match_indices("user_id\"").find_map(|(at, key)| {
        let rest = json.get(at + key.len()..)?.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        let id = rest.split('"').next().filter(|id| id.len() < rest.len())?;
        let sound =
            id.contains('|') && id.chars().count() <= 200 && !id.contains('\\') && !id.contains(char::is_control);
        sound.then(|| id.to_owned())
    })
}
