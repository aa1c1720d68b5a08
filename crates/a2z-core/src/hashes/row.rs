//! One row of a hash file, in every form that support sends.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::input::{
    json_reason,
    scalar::{Fields, Raw, date, flag, only_value, place, text},
};

const NAMES: [&str; 12] = [
    "_id",
    "alt_id",
    "email",
    "email_verified",
    "passwordHash",
    "password_set_date",
    "connection",
    "identifiers",
    "user_id",
    // Names that Auth0's own import gives to hashes; the ticket file's for them are not documented.
    "custom_password_hash",
    "customPasswordHash",
    "password_hash",
];

/// The row; borrowed from its JSON where it can be. No `Debug`: it holds the hash.
pub(super) struct Row<'a> {
    /// `alt_id`, else `_id`, as it is written: perhaps with `auth0|`.
    pub(super) id: Cow<'a, str>,
    /// There was white space around the id.
    pub(super) padded: bool,
    pub(super) connection: Option<Cow<'a, str>>,
    pub(super) email: Option<Cow<'a, str>>,
    pub(super) email_verified: Option<bool>,
    pub(super) set_at: Option<Timestamp>,
    /// `password_set_date` says something that is no date.
    pub(super) bad_date: bool,
    /// The hash, without white space around it, or the names of the keys that are none of ours.
    pub(super) hash: Result<Cow<'a, str>, Vec<String>>,
}

/// Reads a row, or says why it cannot.
pub(super) fn read(json: &[u8]) -> Result<Row<'_>, String> {
    let mut others = Vec::new();
    let fields: Fields<'_, 12> = Fields::read(json, |key| place(&NAMES, key), |key| others.push(key.to_owned()))
        .map_err(|error| json_reason(&error))?;
    let (id, padded) =
        [1, 0, 8].into_iter().find_map(|column| id(fields.get(column)?)).ok_or("the row has no `_id`")?;
    let optional = |column: usize| {
        let value = fields.get(column).map(text).transpose();
        let value = value.map(Option::flatten).map_err(|()| format!("`{}` is not a text", NAMES[column]))?;
        Ok::<_, String>(value.and_then(trimmed))
    };
    let (mut email, connection) = (optional(2)?, optional(6)?);
    let mut email_verified = fields.get(3).and_then(|raw| flag(raw).ok().flatten());
    if (email.is_none() || email_verified.is_none())
        && let Some((value, verified)) = fields.get(7).and_then(email_identifier)
    {
        // "May not be present in the export, but should be consistently available within the identifiers array".
        if email.as_deref().is_none_or(|email| same_email(email, &value)) {
            email_verified = email_verified.or(verified);
            email = email.or(Some(value));
        }
    }
    let of_hash = |raw| (raw, text(raw).map(|text| text.and_then(trimmed)));
    let hash = match fields.get(4).or_else(|| fields.get(11)).map(of_hash) {
        Some((_, Ok(Some(hash)))) => Ok(hash),
        Some((raw, Err(()))) if raw.get().starts_with('{') => custom(raw),
        Some((_, Err(()))) => Err(vec!["passwordHash, which is not a text".to_owned()]),
        Some((_, Ok(None))) | None => match fields.get(9).or_else(|| fields.get(10)) {
            Some(raw) if raw.get().starts_with('{') => custom(raw),
            _ => Err(others),
        },
    };
    let set_at = fields.get(5).map_or(Ok(None), date);
    let bad_date = set_at.is_err();
    Ok(Row { id, padded, connection, email, email_verified, set_at: set_at.unwrap_or_default(), bad_date, hash })
}

/// Without white space around it: people edit these files. Nothing is as good as absent.
pub(super) fn trimmed(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() < text.len() => Cow::Owned(text.trim().to_owned()),
        owned @ Cow::Owned(_) => owned,
    };
    (!text.is_empty()).then_some(text)
}

fn custom(raw: Raw<'_>) -> Result<Cow<'static, str>, Vec<String>> {
    super::custom::read(raw.get()).map(Cow::Owned).map_err(|what| vec![format!("custom_password_hash, {what}")])
}

/// `{"$oid": "…"}`, a string, or a number; without white space around it, and whether there was any.
fn id(raw: Raw<'_>) -> Option<(Cow<'_, str>, bool)> {
    let raw = if raw.get().starts_with('{') { only_value(raw, &["$oid", "oid"])? } else { raw };
    let whole = text(raw).ok().flatten()?;
    let length = whole.len();
    trimmed(whole).map(|id| {
        let padded = id.len() < length;
        (id, padded)
    })
}

/// The first `{"type":"email","value":…,"verified":…}` of `identifiers`.
fn email_identifier(raw: Raw<'_>) -> Option<(Cow<'_, str>, Option<bool>)> {
    let identifiers: Vec<Raw<'_>> = serde_json::from_str(raw.get()).ok()?;
    identifiers.into_iter().find_map(|raw| {
        let kind = text(only_value(raw, &["type"])?).ok().flatten()?;
        let value = text(only_value(raw, &["value"])?).ok().flatten()?;
        let verified = only_value(raw, &["verified"]).and_then(|raw| flag(raw).ok().flatten());
        (kind == "email").then_some((value, verified))
    })
}

/// Auth0 stores some addresses in lower case and some as they were given.
pub(super) fn same_email(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}
