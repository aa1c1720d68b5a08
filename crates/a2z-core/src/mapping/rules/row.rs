//! A user as the operator's expressions see one: the fields of the export under their own names.

use std::{collections::HashMap, sync::OnceLock};

use cel::{
    Value,
    common::value::CowVal,
    context::VariableResolver,
    objects::{Key as MapKey, Map},
};
use chrono::DateTime;
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::{auth0::user::ExportedUser, json::lossy, mapping::paths::Members};

/// JSON that is nested deeper than this is as good as absent.
const MOST_DEPTH: usize = 64;

/// A path into a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) keys: Vec<Key>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Name(String),
    At(usize),
}

macro_rules! roots {
    ($($variant:ident = $name:literal,)*) => {
        /// What a path begins with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Root { $($variant,)* }
        impl Root {
            pub(super) fn names() -> impl Iterator<Item = &'static str> {
                [$($name),*].into_iter()
            }
            pub(super) fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

roots! {
    UserId = "user_id",
    Connection = "connection",
    Provider = "provider",
    Email = "email",
    EmailVerified = "email_verified",
    Username = "username",
    PhoneNumber = "phone_number",
    PhoneVerified = "phone_verified",
    Name = "name",
    GivenName = "given_name",
    FamilyName = "family_name",
    Nickname = "nickname",
    Picture = "picture",
    Locale = "locale",
    CreatedAt = "created_at",
    UpdatedAt = "updated_at",
    LastLogin = "last_login",
    LastPasswordReset = "last_password_reset",
    LoginsCount = "logins_count",
    Blocked = "blocked",
    UserMetadata = "user_metadata",
    AppMetadata = "app_metadata",
    Identities = "identities",
    Multifactor = "multifactor",
    Now = "now",
}

impl Root {
    pub(super) fn has_fields(self) -> bool {
        matches!(self, Self::UserMetadata | Self::AppMetadata | Self::Identities | Self::Multifactor)
    }
}

/// A user, at one moment.
pub(super) struct Row<'a> {
    user: &'a ExportedUser,
    now: Timestamp,
    /// Made where an expression asks for it.
    lists: OnceLock<[Option<Box<RawValue>>; 2]>,
}

/// What a root is.
enum Found<'a> {
    Text(Option<&'a str>),
    Flag(bool),
    Count(u64),
    Date(Option<Timestamp>),
    Json(Option<&'a RawValue>),
}

impl<'a> Row<'a> {
    pub(super) fn new(user: &'a ExportedUser, now: Timestamp) -> Self {
        Self { user, now, lists: OnceLock::new() }
    }

    /// The variables `$0`, `$1`, … of an expression.
    pub(super) fn with(&'a self, paths: &'a [Path]) -> Variables<'a> {
        Variables { row: self, paths }
    }

    fn root(&self, root: Root) -> Found<'_> {
        let user = self.user;
        let text = |text: &'a Option<String>| Found::Text(text.as_deref());
        match root {
            Root::UserId => Found::Text(Some(&user.user_id)),
            Root::Connection => Found::Text(user.connection()),
            Root::Provider => Found::Text(Some(user.split_id().0)),
            Root::Email => text(&user.email),
            Root::Username => text(&user.username),
            Root::PhoneNumber => text(&user.phone_number),
            Root::Name => text(&user.name),
            Root::GivenName => text(&user.given_name),
            Root::FamilyName => text(&user.family_name),
            Root::Nickname => text(&user.nickname),
            Root::Picture => text(&user.picture),
            Root::Locale => text(&user.locale),
            // Auth0 leaves out what is false or 0.
            Root::EmailVerified => Found::Flag(user.email_verified.unwrap_or_default()),
            Root::PhoneVerified => Found::Flag(user.phone_verified.unwrap_or_default()),
            Root::Blocked => Found::Flag(user.blocked),
            Root::LoginsCount => Found::Count(user.logins_count.unwrap_or_default()),
            Root::CreatedAt => Found::Date(user.created_at),
            Root::UpdatedAt => Found::Date(user.updated_at),
            Root::LastLogin => Found::Date(user.last_login),
            Root::LastPasswordReset => Found::Date(user.last_password_reset),
            Root::Now => Found::Date(Some(self.now)),
            Root::UserMetadata => Found::Json(user.user_metadata.as_deref()),
            Root::AppMetadata => Found::Json(user.app_metadata.as_deref()),
            Root::Identities => Found::Json(self.lists()[0].as_deref()),
            Root::Multifactor => Found::Json(self.lists()[1].as_deref()),
        }
    }

    fn lists(&self) -> &[Option<Box<RawValue>>; 2] {
        self.lists.get_or_init(|| {
            let identity = |identity: &crate::auth0::user::Identity| {
                serde_json::json!({
                    "provider": identity.provider,
                    "connection": identity.connection,
                    "user_id": identity.user_id,
                    "isSocial": identity.is_social,
                    "email": identity.email,
                    "email_verified": identity.email_verified,
                    "name": identity.name,
                })
            };
            let identities: Vec<_> = self.user.identities.iter().flatten().map(identity).collect();
            let raw = |text: Result<String, _>| text.ok().and_then(|text| RawValue::from_string(text).ok());
            [raw(serde_json::to_string(&identities)), raw(serde_json::to_string(&self.user.multifactor))]
        })
    }

    /// The text at `path`, exactly: a number in the digits of the row. In words what is there instead of a text.
    pub(super) fn text(&self, path: &Path) -> Result<Option<String>, &'static str> {
        let json = match self.root(path.root) {
            Found::Text(text) => return Ok(text.map(str::to_owned)),
            Found::Flag(_) => return Err("true or false"),
            Found::Count(count) => return Ok(Some(count.to_string())),
            Found::Date(date) => return Ok(date.map(|date| date.to_string())),
            Found::Json(json) => json.and_then(|json| at(json, &path.keys)),
        };
        let Some(json) = json else { return Ok(None) };
        match json.get().as_bytes().first() {
            Some(b'"') => Ok(Some(lossy(json.get()).into_owned())),
            Some(b't' | b'f') => Err("true or false"),
            Some(b'{') => Err("an object"),
            Some(b'[') => Err("a list"),
            Some(b'-' | b'0'..=b'9') => Ok(Some(json.get().to_owned())),
            _ => Ok(None),
        }
    }

    fn value(&self, path: &Path) -> Value {
        match self.root(path.root) {
            Found::Text(text) => text.map_or(Value::Null, Value::from),
            Found::Flag(flag) => Value::Bool(flag),
            Found::Count(count) => i64::try_from(count).map_or(Value::UInt(count), Value::Int),
            Found::Date(date) => date.map_or(Value::Null, moment),
            Found::Json(json) => json.and_then(|json| at(json, &path.keys)).map_or(Value::Null, |json| value(json, 0)),
        }
    }
}

/// The value below `json` at `keys`.
fn at<'a>(json: &'a RawValue, keys: &[Key]) -> Option<&'a RawValue> {
    keys.iter().try_fold(json, |json, key| match key {
        Key::Name(name) => {
            let Members(members) = serde_json::from_str(json.get()).ok()?;
            members.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
        }
        Key::At(place) => serde_json::from_str::<Vec<&RawValue>>(json.get()).ok()?.get(*place).copied(),
    })
}

/// JSON in CEL's terms. A whole number that 64 bits do not hold stays exact, as a text.
fn value(json: &RawValue, depth: usize) -> Value {
    let text = json.get();
    if depth > MOST_DEPTH {
        return Value::Null;
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let Ok(Members(members)) = serde_json::from_str(text) else { return Value::Null };
            let map: HashMap<MapKey, Value> =
                members.into_iter().map(|(key, json)| (MapKey::from(key), value(json, depth + 1))).collect();
            Value::Map(Map::from(map))
        }
        Some(b'[') => {
            let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else { return Value::Null };
            Value::List(items.into_iter().map(|json| value(json, depth + 1)).collect::<Vec<_>>().into())
        }
        Some(b'"') => Value::from(lossy(text).as_ref()),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => Value::Null,
    }
}

fn number(text: &str) -> Value {
    if text.contains(['.', 'e', 'E']) {
        return text.parse().map_or(Value::Null, Value::Float);
    }
    text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::UInt)).unwrap_or_else(|_| Value::from(text))
}

fn moment(at: Timestamp) -> Value {
    DateTime::from_timestamp_millis(at.as_millisecond()).map_or(Value::Null, |at| Value::Timestamp(at.fixed_offset()))
}

/// The variables of one expression for one user.
pub(super) struct Variables<'a> {
    row: &'a Row<'a>,
    paths: &'a [Path],
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let place: usize = name.strip_prefix('$')?.parse().ok()?;
        self.row.value(self.paths.get(place)?).try_into().ok().map(CowVal::Owned)
    }
}
