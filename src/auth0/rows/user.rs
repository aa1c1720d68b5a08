//! One row of an export as an [`ExportedUser`].

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Shape;
use crate::{
    auth0::user::{ExportedUser, Identity},
    input::{
        json_reason,
        scalar::{Fields, Place, Raw, date, flag, number, only_value, place, text},
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
    let fields = Fields::read(json, column, |_| ()).map_err(|error| json_reason(&error))?;
    let row = Columns(fields);
    let Some(user_id) = row.text("user_id")? else {
        return Err("the row has no `user_id`".to_owned());
    };
    let mut user = ExportedUser {
        line,
        user_id,
        email: row.text("email")?,
        email_verified: row.flag("email_verified")?,
        username: row.text("username")?,
        phone_number: row.text("phone_number")?,
        phone_verified: row.flag("phone_verified")?,
        name: row.text("name")?,
        given_name: row.text("given_name")?,
        family_name: row.text("family_name")?,
        nickname: row.text("nickname")?,
        // Nothing hangs on these: what cannot be read is as good as absent.
        picture: row.text("picture").unwrap_or_default(),
        locale: row.text("locale").unwrap_or_default(),
        created_at: row.date("created_at").unwrap_or_default(),
        updated_at: row.date("updated_at").unwrap_or_default(),
        last_login: row.date("last_login").unwrap_or_default(),
        logins_count: row.get("logins_count").and_then(|raw| number(raw).ok().flatten()),
        multifactor: row.list("multifactor"),
        // These decide about sign-in.
        last_password_reset: row.date("last_password_reset")?,
        blocked: row.flag("blocked")?.unwrap_or_default(),
        identities: None,
        user_metadata: row.metadata("user_metadata"),
        app_metadata: row.metadata("app_metadata"),
        beside: Vec::new(),
    };
    user.identities = match row.get("identities") {
        Some(raw) => identities(raw, &user)?,
        None => None,
    };
    if user.identities.is_none() {
        let connection = row.text("connection")?.or(row.text("identities[0].connection")?);
        user.identities = connection.map(|connection| vec![only_identity(&user, connection)]);
    }
    Ok(user)
}

impl<'a> Columns<'a> {
    fn get(&self, name: &str) -> Option<Raw<'a>> {
        self.0.get(NAMES.iter().position(|known| *known == name)?)
    }

    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        let text = text(raw).map_err(|()| format!("`{name}` is not a text"))?;
        Ok(text.map(Cow::into_owned))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        self.get(name).map_or(Ok(None), |raw| flag(raw).map_err(|()| format!("`{name}` is neither true nor false")))
    }

    fn date(&self, name: &str) -> Result<Option<jiff::Timestamp>, String> {
        self.get(name).map_or(Ok(None), |raw| date(raw).map_err(|()| format!("`{name}` is not a date")))
    }

    fn list(&self, name: &str) -> Vec<String> {
        let Some(raw) = self.get(name) else { return Vec::new() };
        serde_json::from_str(raw.get())
            .unwrap_or_else(|_| text(raw).ok().flatten().map(Cow::into_owned).into_iter().collect())
    }

    /// Byte-faithful; what says nothing (`null`, `""`, `{}`) is absent.
    fn metadata(&self, name: &str) -> Option<Box<RawValue>> {
        let raw = self.get(name)?;
        let inner = raw.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let empty = matches!(raw.get(), "null" | "\"\"") || inner.is_some_and(|inner| inner.trim().is_empty());
        (!empty).then(|| raw.to_owned())
    }
}

/// `null` and `""` are as good as absent.
fn identities(raw: Raw<'_>, user: &ExportedUser) -> Result<Option<Vec<Identity>>, String> {
    if !raw.get().starts_with('[') {
        return match text(raw) {
            Ok(None) => Ok(None),
            _ => Err("`identities` is not a list".to_owned()),
        };
    }
    let elements: Vec<Raw<'_>> =
        serde_json::from_str(raw.get()).map_err(|_| "`identities` is not a list".to_owned())?;
    let one = |(index, element)| identity(element, index, user);
    elements.into_iter().enumerate().map(one).collect::<Result<_, _>>().map(Some)
}

const IDENTITY: [&str; 5] = ["provider", "connection", "user_id", "isSocial", "profileData"];

fn identity(raw: Raw<'_>, index: usize, user: &ExportedUser) -> Result<Identity, String> {
    let wrong = |what: &str| format!("`identities[{index}]{what}` cannot be read");
    let fields: Fields<'_, 5> =
        Fields::read(raw.get().as_bytes(), |key| place(&IDENTITY, key), |_| ()).map_err(|_| wrong(""))?;
    let field = |place: usize, name: &str| {
        let value = fields.get(place).map(text).transpose().map_err(|()| wrong(name))?;
        Ok::<_, String>(value.flatten().map(Cow::into_owned))
    };
    let (provider, rest) = user.split_id();
    let primary = |whole: &str| if index == 0 { whole.to_owned() } else { String::new() };
    let profile = fields.get(4).filter(|profile| profile.get().starts_with('{'));
    let of_profile = |key: &'static [&'static str]| profile.and_then(|profile| only_value(profile, key));
    let words = |raw: Option<Raw<'_>>| raw.and_then(|raw| text(raw).ok().flatten()).map(Cow::into_owned);
    Ok(Identity {
        provider: field(0, ".provider")?.unwrap_or_else(|| primary(provider)),
        connection: field(1, ".connection")?,
        user_id: field(2, ".user_id")?.unwrap_or_else(|| primary(rest)),
        is_social: fields.get(3).and_then(|raw| flag(raw).ok().flatten()).unwrap_or_default(),
        email: words(of_profile(&["email"])),
        email_verified: of_profile(&["email_verified"]).and_then(|raw| flag(raw).ok().flatten()),
        name: words(of_profile(&["name"])),
    })
}

/// The identity of a row that names the connection only, as the dashboard's export does.
fn only_identity(user: &ExportedUser, connection: String) -> Identity {
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

/// Notes which of the fields in question this row has. `null` counts: the export carries the field.
pub(super) fn note_fields(json: &[u8], shape: &mut Shape) {
    let Ok(fields) = Fields::<24>::read(json, column, |_| ()) else { return };
    let row = Columns(fields);
    shape.has_identities |= row.get("identities").is_some_and(|raw| raw.get().starts_with('['));
    shape.has_connection |= shape.has_identities
        || ["connection", "identities[0].connection"]
            .iter()
            .any(|name| row.text(name).is_ok_and(|text| text.is_some()));
    shape.has_email_verified |= row.flag("email_verified").is_ok_and(|flag| flag.is_some());
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
