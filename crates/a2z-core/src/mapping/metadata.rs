//! `user_metadata` and `app_metadata` as ZITADEL metadata. Values are bytes there, so JSON stays as it is, byte for byte.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::{
    draft::Metadata,
    finding::{Finding, FindingCode},
    paths::{Members, Rename, Root, is_key},
};
use crate::{
    auth0::user::ExportedUser,
    mapping::settings::{Mapping, MetadataStyle},
};

/// ZITADEL's limit for one value, in bytes.
pub(super) const MAX_VALUE_BYTES: usize = 500_000;

/// How many keys are compared one by one; hostile metadata may spread into any number.
const FEW: usize = 32;

pub(super) fn metadata(user: &ExportedUser, config: &Mapping, findings: &mut Vec<Finding>) -> Vec<Metadata> {
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

fn is_skipped(config: &Mapping, root: Root, key: Option<&str>) -> bool {
    config.metadata_skip.iter().any(|skip| skip.root == root && skip.key.as_deref() == key)
}

/// The object without the keys that are left out; what stays is as it was, byte for byte, in its order. None: it has none
/// of them.
fn without(config: &Mapping, root: Root, value: &RawValue) -> Option<String> {
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
    fn spread(&mut self, config: &Mapping, root: Root, name: &str, value: &RawValue) {
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
