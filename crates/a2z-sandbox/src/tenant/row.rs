//! One line of an export and what belongs to it.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use serde_json::value::RawValue;

use super::oddity::Oddity;

/// One line of an export, with the ticket-file rows that belong to it. Values are raw JSON: their bytes are kept.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Where it stands in the tenant, from 0.
    pub index: u64,
    /// Whole, as Auth0 gives it; empty for a damaged line.
    pub user_id: String,
    /// The connection of the primary identity; empty for a damaged line.
    pub connection: String,
    /// As it is in the row; `None` where there is none.
    pub email: Option<String>,
    /// What is odd about it; empty for a plain user.
    pub labels: Vec<Oddity>,
    /// The password that signs this user in, where a hash is in the hash file: the old one where the hash is stale.
    pub password: Option<&'static str>,
    /// The user object: key and raw JSON, in Auth0's order; no key without a value.
    pub fields: Vec<(Cow<'static, str>, String)>,
    /// The line as it is where it is no user object (malformed).
    pub damaged: Option<String>,
    /// Lines of the hash file.
    pub hashes: Vec<String>,
    /// Lines of the MFA file.
    pub mfa: Vec<String>,
    /// What `/users/{id}/authentication-methods` knows, unmasked.
    pub authentication_methods: Vec<serde_json::Value>,
}

impl Row {
    /// A row of a user object as the Management API gives one.
    #[must_use]
    pub fn from_user(user: &serde_json::Value) -> Self {
        let text = |key: &str| user.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
        Self {
            user_id: text("user_id").unwrap_or_default(),
            connection: user["identities"][0]["connection"].as_str().unwrap_or_default().to_owned(),
            email: text("email"),
            fields: user
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| (Cow::Owned(key.clone()), value.to_string()))
                .collect(),
            ..Self::default()
        }
    }

    /// Has this oddity.
    #[must_use]
    pub fn is(&self, oddity: Oddity) -> bool {
        self.labels.contains(&oddity)
    }

    /// A user object that stands here for the first time: not damaged, and not a duplicate row.
    #[must_use]
    pub fn is_user(&self) -> bool {
        self.damaged.is_none() && !self.is(Oddity::DuplicateRow)
    }

    /// The raw JSON at a path as an export takes one: `email`, `app_metadata.region`, `identities[0].connection`.
    #[must_use]
    pub fn value_at(&self, path: &str) -> Option<Cow<'_, str>> {
        // A key with a dot in its name goes first: a connection may have given the user one.
        if let Some((_, raw)) = self.fields.iter().find(|(key, _)| key == path) {
            return Some(Cow::Borrowed(raw));
        }
        let mut steps = path.split(['.', '[']);
        let first = steps.next()?;
        let mut raw = self.fields.iter().find(|(key, _)| key == first)?.1.clone();
        for step in steps {
            raw = if let Some(at) = step.strip_suffix(']') {
                let list: Vec<Box<RawValue>> = serde_json::from_str(&raw).ok()?;
                list.get(at.parse::<usize>().ok()?)?.get().to_owned()
            } else {
                let object: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&raw).ok()?;
                object.get(step)?.get().to_owned()
            };
        }
        Some(Cow::Owned(raw))
    }

    /// The whole line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        if let Some(damaged) = &self.damaged {
            return damaged.clone();
        }
        object(self.fields.iter().map(|(key, raw)| (key.as_ref(), raw.as_str())))
    }

    /// The line with the fields that an export asked for (`name`, `export_as`), in that order; what is missing is
    /// left out.
    #[must_use]
    pub fn line_of<'a>(&self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        if let Some(damaged) = &self.damaged {
            return damaged.clone();
        }
        let found: Vec<_> =
            fields.into_iter().filter_map(|(name, title)| Some((title, self.value_at(name)?))).collect();
        object(found.iter().map(|(title, raw)| (*title, raw.as_ref())))
    }
}

/// An object of raw values.
pub(crate) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("{");
    for (key, raw) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&json(key));
        text.push(':');
        text.push_str(raw);
    }
    text.push('}');
    text
}

/// A value as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    // Strings, numbers and lists of them always serialise.
    serde_json::to_string(value).unwrap_or_default()
}
