//! `user_metadata` and `app_metadata` as ZITADEL metadata. Values are bytes there, so JSON stays as it is, byte for byte.

use std::fmt;

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
};

/// ZITADEL's limit for one value, in bytes.
pub(super) const MAX_VALUE_BYTES: usize = 500_000;

pub(super) fn metadata(user: &ExportedUser, config: &config::Mapping, findings: &mut Vec<Finding>) -> Vec<Metadata> {
    let mut entries = Entries { kept: Vec::new(), findings };
    let roots = [("user_metadata", &user.user_metadata), ("app_metadata", &user.app_metadata)];
    for (name, value) in roots {
        let Some(value) = value else { continue };
        let root = format!("{}{name}", config.metadata_prefix);
        match config.metadata {
            MetadataStyle::None => {}
            MetadataStyle::Json => entries.push(root, value.get().as_bytes()),
            MetadataStyle::Spread => entries.spread(&root, value),
        }
    }
    for (name, value) in &user.beside {
        entries.push(format!("{}{name}", config.metadata_prefix), value.as_bytes());
    }
    entries.kept
}

struct Entries<'a> {
    kept: Vec<Metadata>,
    findings: &'a mut Vec<Finding>,
}

impl Entries<'_> {
    fn push(&mut self, key: String, value: &[u8]) {
        let key_fits = (1..=MAX_CHARS).contains(&key.chars().count()) && !key.chars().any(char::is_control);
        if key_fits && (1..=MAX_VALUE_BYTES).contains(&value.len()) {
            self.kept.push(Metadata { key, value: value.to_vec() });
        } else {
            let (shown, _) = super::text::cut(&key);
            self.findings.push(Finding::about(FindingCode::MetadataDropped, shown));
        }
    }

    /// Each top-level key a value: strings as their text, others as JSON. What is no object stays whole.
    fn spread(&mut self, root: &str, value: &RawValue) {
        let Ok(Members(members)) = serde_json::from_str::<Members<'_>>(value.get()) else {
            return self.push(root.to_owned(), value.get().as_bytes());
        };
        for (key, value) in members {
            let key = format!("{root}.{key}");
            match serde_json::from_str::<String>(value.get()) {
                Ok(text) => self.push(key, text.as_bytes()),
                Err(_) => self.push(key, value.get().as_bytes()),
            }
        }
    }
}

/// An object's members in their order; of a key that comes twice, the last one counts, as in JavaScript.
struct Members<'a>(Vec<(String, &'a RawValue)>);

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
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
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
