//! `user_metadata` and `app_metadata` as ZITADEL metadata. Values are bytes there, so JSON stays as it is, byte for byte.

use std::{collections::HashSet, fmt};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    MAX_CHARS,
    draft::Metadata,
    finding::{Finding, FindingCode},
};
use crate::{
    auth0::user::ExportedUser,
    config::{self, MetadataStyle},
    json::Key,
};

/// ZITADEL's limit for one value, in bytes.
pub(super) const MAX_VALUE_BYTES: usize = 500_000;

/// How many keys are compared one by one; hostile metadata may spread into any number.
const FEW: usize = 32;

/// Where a value of the metadata stands: `app_metadata.plan`, `user_metadata.address.city`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    root: Root,
    path: String,
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
    root: Root,
    /// None: all of it.
    key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    User,
    App,
}

impl Root {
    const ALL: [Self; 2] = [Self::User, Self::App];

    fn name(self) -> &'static str {
        match self {
            Self::User => "user_metadata",
            Self::App => "app_metadata",
        }
    }

    fn of(self, user: &ExportedUser) -> Option<&RawValue> {
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
    fn find<'a>(&self, user: &'a ExportedUser) -> Option<&'a RawValue> {
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

    fn of(self, user: &ExportedUser) -> Option<String> {
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

pub(super) fn metadata(user: &ExportedUser, config: &config::Mapping, findings: &mut Vec<Finding>) -> Vec<Metadata> {
    let mut entries = Entries { kept: Vec::new(), seen: HashSet::new(), findings };
    // The operator's own keys first: where two values would get one key, the first stays.
    for Rename { from, to } in &config.metadata_rename {
        if let Some(value) = from.find(user) {
            entries.push_text(to.clone(), value);
        }
    }
    for root in Root::ALL {
        let Some(value) = root.of(user) else { continue };
        if config.metadata == MetadataStyle::None || is_skipped(config, root, None) {
            continue;
        }
        let key = format!("{}{}", config.metadata_prefix, root.name());
        let skips = config.metadata_skip.iter().any(|skip| skip.root == root);
        match config.metadata {
            MetadataStyle::None => {}
            MetadataStyle::Json if skips => {
                let kept = without(config, root, value);
                if kept.as_deref() != Some("{}") {
                    entries.push(key, kept.as_deref().unwrap_or(value.get()).as_bytes());
                }
            }
            MetadataStyle::Json => entries.push(key, value.get().as_bytes()),
            MetadataStyle::Spread => entries.spread(config, root, &key, value),
        }
    }
    for history in &config.history {
        if let Some(value) = history.of(user) {
            entries.push(history.key(&config.metadata_prefix), value.as_bytes());
        }
    }
    for (name, value) in &user.beside {
        entries.push(format!("{}{name}", config.metadata_prefix), value.as_bytes());
    }
    entries.kept
}

fn is_skipped(config: &config::Mapping, root: Root, key: Option<&str>) -> bool {
    config.metadata_skip.iter().any(|skip| skip.root == root && skip.key.as_deref() == key)
}

/// The object without the keys that are left out; what stays is as it was, byte for byte, in its order. None: it has none
/// of them.
fn without(config: &config::Mapping, root: Root, value: &RawValue) -> Option<String> {
    let Members(members) = serde_json::from_str(value.get()).ok()?;
    if !members.iter().any(|(key, _)| is_skipped(config, root, Some(key))) {
        return None;
    }
    let mut out = String::from("{");
    for (key, value) in members.iter().filter(|(key, _)| !is_skipped(config, root, Some(key))) {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(key).unwrap_or_default());
        out.push(':');
        out.push_str(value.get());
    }
    out.push('}');
    Some(out)
}

struct Entries<'a> {
    kept: Vec<Metadata>,
    /// The keys, where there are more than a few.
    seen: HashSet<String>,
    findings: &'a mut Vec<Finding>,
}

impl Entries<'_> {
    fn push(&mut self, key: String, value: &[u8]) {
        let code = if !is_key(&key) || !(1..=MAX_VALUE_BYTES).contains(&value.len()) {
            FindingCode::MetadataDropped
        } else if self.is_taken(&key) {
            FindingCode::MetadataCollision
        } else {
            self.kept.push(Metadata { key, value: value.to_vec() });
            return;
        };
        let (shown, _) = super::text::cut(&key);
        self.findings.push(Finding::about(code, shown));
    }

    fn is_taken(&mut self, key: &str) -> bool {
        if self.kept.len() < FEW {
            return self.kept.iter().any(|entry| entry.key == key);
        }
        if self.seen.is_empty() {
            self.seen.extend(self.kept.iter().map(|entry| entry.key.clone()));
        }
        !self.seen.insert(key.to_owned())
    }

    /// A string as its text, anything else as JSON.
    fn push_text(&mut self, key: String, value: &RawValue) {
        match serde_json::from_str::<String>(value.get()) {
            Ok(text) => self.push(key, text.as_bytes()),
            Err(_) => self.push(key, value.get().as_bytes()),
        }
    }

    /// Each top-level key a value. What is no object stays whole.
    fn spread(&mut self, config: &config::Mapping, root: Root, name: &str, value: &RawValue) {
        let Ok(Members(members)) = serde_json::from_str::<Members<'_>>(value.get()) else {
            return self.push(name.to_owned(), value.get().as_bytes());
        };
        for (key, value) in members {
            let renamed =
                config.metadata_rename.iter().any(|Rename { from, .. }| from.root == root && from.path == key);
            if !renamed && !is_skipped(config, root, Some(&key)) {
                self.push_text(format!("{name}.{key}"), value);
            }
        }
    }
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
