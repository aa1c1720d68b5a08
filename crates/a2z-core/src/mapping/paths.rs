//! Where the values of a user's metadata and history stand in the row, as the configuration names them.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::text::MAX_CHARS;
use crate::{auth0::user::ExportedUser, json::Key};

/// Where a value of the metadata stands: `app_metadata.plan`, `user_metadata.address.city`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub(super) root: Root,
    pub(super) path: String,
}

/// A value that gets a key of its own, without the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// Where it stands.
    pub from: Source,
    /// 1 to 200 characters.
    pub to: String,
}

/// What is left out: `app_metadata.internal` (a top-level key), or `app_metadata` as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    pub(super) root: Root,
    /// None: all of it.
    pub(super) key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    User,
    App,
}

impl Root {
    pub(super) const ALL: [Self; 2] = [Self::User, Self::App];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "user_metadata",
            Self::App => "app_metadata",
        }
    }

    pub(super) fn of(self, user: &ExportedUser) -> Option<&RawValue> {
        match self {
            Self::User => user.user_metadata.as_deref(),
            Self::App => user.app_metadata.as_deref(),
        }
    }

    /// The root that a path begins with, and the rest of the path.
    fn split(path: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|root| {
            let rest = path.trim().strip_prefix(root.name())?;
            if rest.is_empty() { Some((root, rest)) } else { Some((root, rest.strip_prefix('.')?)) }
        })
    }
}

impl Source {
    /// Reads `app_metadata.plan`.
    ///
    /// # Errors
    /// Says in words what is expected.
    pub fn parse(path: &str) -> Result<Self, String> {
        match Root::split(path) {
            Some((root, rest)) if !rest.is_empty() => Ok(Self { root, path: rest.to_owned() }),
            _ => Err(format!("`{path}` is no path such as \"user_metadata.plan\" or \"app_metadata.plan\"")),
        }
    }

    /// A key with dots in its name goes before a path of several keys.
    pub(super) fn find<'a>(&self, user: &'a ExportedUser) -> Option<&'a RawValue> {
        fn member<'a>(json: &'a RawValue, name: &str) -> Option<&'a RawValue> {
            let Members(members) = serde_json::from_str(json.get()).ok()?;
            members.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
        }
        let root = self.root.of(user)?;
        member(root, &self.path)
            .or_else(|| self.path.split('.').try_fold(root, member))
            .filter(|value| value.get() != "null")
    }
}

impl Skip {
    /// Reads `app_metadata.internal` or `app_metadata`.
    ///
    /// # Errors
    /// Says in words what is expected.
    pub fn parse(path: &str) -> Result<Self, String> {
        let (root, rest) = Root::split(path)
            .ok_or_else(|| format!("`{path}` is neither \"user_metadata\", \"app_metadata\" nor a key of them"))?;
        Ok(Self { root, key: (!rest.is_empty()).then(|| rest.to_owned()) })
    }
}

/// A part of the profile's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// When the account was made.
    CreatedAt,
    /// The last sign-in at Auth0.
    LastLogin,
    /// How often the user signed in at Auth0.
    LoginsCount,
    /// The address of the picture.
    Picture,
}

impl History {
    const ALL: [Self; 4] = [Self::CreatedAt, Self::LastLogin, Self::LoginsCount, Self::Picture];

    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::LastLogin => "last_login",
            Self::LoginsCount => "logins_count",
            Self::Picture => "picture",
        }
    }

    /// Reads `created_at`.
    ///
    /// # Errors
    /// Says which there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.iter().map(|history| history.name());
        Self::ALL
            .into_iter()
            .find(|history| history.name() == name)
            .ok_or_else(|| format!("`{name}` is not kept; there are {}", known().collect::<Vec<_>>().join(", ")))
    }

    /// The metadata key.
    #[must_use]
    pub fn key(self, prefix: &str) -> String {
        format!("{prefix}{}", self.name())
    }

    pub(super) fn of(self, user: &ExportedUser) -> Option<String> {
        match self {
            Self::CreatedAt => user.created_at.map(|at| at.to_string()),
            Self::LastLogin => user.last_login.map(|at| at.to_string()),
            Self::LoginsCount => user.logins_count.map(|count| count.to_string()),
            Self::Picture => user.picture.clone(),
        }
    }
}

/// Whether ZITADEL takes this key.
pub(crate) fn is_key(key: &str) -> bool {
    (1..=MAX_CHARS).contains(&key.chars().count()) && !key.chars().any(char::is_control)
}

/// An object's members in their order; of a key that comes twice, the last one counts, as in JavaScript.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                let mut places = std::collections::HashMap::new();
                // One odd key must not hide the others from rules.
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    let key = key.into_owned();
                    if let Some(&place) = places.get(&key) {
                        let (_, slot): &mut (String, &'de RawValue) = &mut members[place];
                        *slot = value;
                    } else {
                        places.insert(key.clone(), members.len());
                        members.push((key, value));
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Visit).map(Members)
    }
}
