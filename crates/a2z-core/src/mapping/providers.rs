//! Where the users of Auth0's connections are linked to, as the plan matched them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a match was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// The operator said so.
    Configured,
    /// The same kind and the same client.
    ClientId,
    /// The only one of its kind on both sides.
    Kind,
    /// To be created from the connection's options.
    New,
    /// An earlier run found it, and this one cannot know the connection.
    Before,
}

impl Found {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::ClientId => "same client id",
            Self::Kind => "the only one of its kind",
            Self::New => "to be created",
            Self::Before => "as in the run before",
        }
    }
}

/// The provider that a connection's users are linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own in the vendor's model")]
pub struct Target {
    /// ZITADEL's id; `new:CONNECTION` until it is created.
    pub idp_id: String,
    /// Its name.
    pub name: String,
    /// How it was found.
    pub found: Found,
    /// The import endpoint takes links to it.
    pub creation_allowed: bool,
    /// Users may add links themselves.
    pub linking_allowed: bool,
    /// Of the main organization only: of no use to users of another.
    pub of_organization: bool,
    /// Auth0 and ZITADEL are the same client there: ids that differ from client to client are the same too.
    pub same_client: bool,
}

/// A connection behind which somebody else keeps the users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Auth0's strategy.
    pub strategy: String,
    /// Where its users are linked to.
    pub target: Option<Target>,
    /// Why there is none, and what to do.
    pub why_not: Option<String>,
    /// More than one could be meant: only the operator can tell.
    pub ambiguous: bool,
    /// The SAML attribute that Auth0 takes for the id, where it is not the `NameID`.
    pub id_attribute: Option<String>,
    /// Auth0 did not tell the connection's options: what hangs on one is not known.
    #[serde(default)]
    pub options_unknown: bool,
}

/// Every foreign connection, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Providers {
    /// By the connection's name.
    pub matches: BTreeMap<String, Match>,
    /// Users of a connection without a provider are not moved.
    pub block_unmatched: bool,
}

impl Providers {
    /// What of it decides what becomes of a user.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let decides = |found: &Match| {
            let target =
                found.target.as_ref().map(|t| (t.idp_id.clone(), t.creation_allowed, t.of_organization, t.same_client));
            let unknown = || found.options_unknown.then(|| "?".to_owned());
            (target, found.id_attribute.clone().or_else(unknown))
        };
        let all: BTreeMap<&String, _> = self.matches.iter().map(|(name, found)| (name, decides(found))).collect();
        format!("{all:?} {}", self.block_unmatched)
    }

    /// The providers of the main organization only.
    pub fn of_main_only(&self) -> impl Iterator<Item = &Target> {
        self.matches.values().filter_map(|found| found.target.as_ref()).filter(|target| target.of_organization)
    }

    /// Takes up what an earlier run found for connections of which this one knows too little. What is known now counts.
    pub fn recall(&mut self, before: BTreeMap<String, Match>) {
        for (connection, mut found) in before {
            let known = self.matches.get(&connection);
            let whole = |known: &Match| known.target.is_some() && !known.strategy.is_empty() && !known.options_unknown;
            if known.is_some_and(|known| whole(known) || found.options_unknown) {
                continue;
            }
            // Named under `[idps]`: the provider is of today, how its ids read is of then.
            if let Some(target) = known.and_then(|known| known.target.clone()) {
                let same_client = found.target.as_ref().is_some_and(|t| t.idp_id == target.idp_id && t.same_client);
                found.target = Some(Target { same_client, ..target });
            } else if let Some(target) = &mut found.target {
                target.found = Found::Before;
            } else if let Some(known) = known {
                found.why_not.clone_from(&known.why_not);
                found.ambiguous = known.ambiguous;
            }
            self.matches.insert(connection, found);
        }
    }

    /// The match of a connection, or of the only one with this strategy.
    #[must_use]
    pub fn of(&self, connection: Option<&str>, strategy: &str) -> Option<(&str, &Match)> {
        if let Some(name) = connection {
            return self.matches.get_key_value(name).map(|(name, found)| (name.as_str(), found));
        }
        let mut with = self.matches.iter().filter(|(_, found)| found.strategy == strategy);
        let (name, found) = with.next()?;
        with.next().is_none().then_some((name.as_str(), found))
    }
}
