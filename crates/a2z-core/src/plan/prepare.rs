//! From a row to what would be sent: join, map, fingerprint. Both passes go through here, so they come to the same.

use sha2::{Digest as _, Sha256};

use crate::{
    auth0::user::ExportedUser,
    hashes::{HashIndex, mfa::MfaIndex},
    join::Join,
    join::{self, Shape},
    ledger::users::{PlannedUser, Todo, Wanted},
    mapping::settings::{Collisions, Mapping},
    mapping::{
        self, Roads,
        collision::{name_key, suffixed},
        draft::{Draft, Link, Metadata},
        facts::Facts,
        finding::{Blocked, Finding},
        fingerprint::{Fingerprints, fingerprints_but},
        links,
        providers::Providers,
        sign_in,
    },
    structure::memberships::Memberships,
};

/// Everything that decides what becomes of a row.
#[derive(Debug)]
pub struct Preparer {
    /// The hashes.
    pub hashes: HashIndex,
    /// The second factors.
    pub mfa: MfaIndex,
    /// How they are joined.
    pub join: Join,
    /// How users are mapped.
    pub mapping: Mapping,
    /// Where users of other identity providers are linked to.
    pub providers: Providers,
    /// Which roads are open.
    pub roads: Roads,
    /// What the export carries.
    pub shape: Shape,
    /// The ledger's own key for fingerprints.
    pub key: [u8; 16],
    /// Roles and memberships that become metadata.
    pub memberships: Option<Memberships>,
    /// The ledger has users of an earlier run: what would be sent is kept field by field, to compare with.
    pub with_facts: bool,
}

/// A row with what would be sent for it.
#[derive(Debug)]
pub struct Prepared {
    /// What may be sent, or why nothing may.
    pub draft: Result<(Draft, Fingerprints), Blocked>,
    /// Auth0's `user_id`.
    pub user_id: String,
    /// The connection of the primary identity.
    pub connection: Option<String>,
    /// The line in the file.
    pub line: u64,
    /// Last sign-in, ms since the epoch.
    pub last_login: Option<i64>,
    /// What there is to say.
    pub findings: Vec<Finding>,
}

impl Preparer {
    /// What would be sent for this user.
    #[must_use]
    pub fn prepare(&self, mut user: ExportedUser) -> Prepared {
        if let Some(memberships) = &self.memberships {
            memberships.put(&mut user);
        }
        let (user_id, line) = (user.user_id.clone(), user.line);
        let connection = user.connection().map(str::to_owned);
        let last_login = user.last_login.map(jiff::Timestamp::as_millisecond);
        let mut joined = join::join(user, &self.hashes, &self.join, &self.shape);
        joined.links = links::links(&joined.user, &self.providers, &mut joined.findings);
        let mut mapped = mapping::map(joined, &self.mapping, self.roads);
        if let (Some(factors), Ok(draft)) = (self.mfa.find(&user_id), &mut mapped.draft) {
            mapping::factors::give(draft, factors, self.roads != Roads::UsersApiOnly, &mut mapped.findings);
        }
        let draft = mapped.draft.map(|draft| {
            let prints = fingerprints_but(&draft, &self.key, &self.mapping.history_keys());
            (draft, prints)
        });
        Prepared { draft, user_id, connection, line, last_login, findings: mapped.findings }
    }

    /// The row as the ledger keeps it.
    #[must_use]
    pub fn plan(&self, prepared: Prepared, file: i64, row: u64) -> PlannedUser {
        let Prepared { draft, user_id, connection, line, last_login, findings } = prepared;
        let known = draft.as_ref().ok().map(|(draft, _)| draft);
        let verified = known.is_some_and(|draft| draft.email.verified);
        let joins = self.mapping.collisions == Collisions::Link;
        // Not with one that is blocked: its identities would open the other account, or the other's would open none.
        let email_key = known.filter(|draft| joins && draft.email.verified && !draft.inactive).map(|draft| {
            let digest = Sha256::new_with_prefix(self.key).chain_update(name_key(&draft.email.address)).finalize();
            crate::text::hex(&digest[..16])
        });
        let number = known.and_then(|draft| mapping::codes::verified_number(draft, &self.key));
        let address_key = known.and_then(|draft| sign_in::address_key(draft, &findings));
        let has_metadata = known.is_some_and(|draft| !draft.metadata.is_empty());
        let links = known.map(|draft| draft.links.clone()).unwrap_or_default();
        let plan = draft.map(|(draft, prints)| Wanted {
            name_key: name_key(&draft.user_name),
            route: self.roads.of(&draft),
            profile: prints.profile,
            password: prints.password,
            factors: prints.factors,
            facts: self.with_facts.then(|| Facts::of(&draft, &self.key).encode()),
        });
        PlannedUser {
            user_id,
            connection,
            file,
            line,
            row,
            verified,
            last_login,
            email_key,
            number,
            address_key,
            has_metadata,
            links,
            plan,
            findings,
        }
    }

    /// Makes of the draft what the plan made of it beyond the row itself: other links, and the accounts that became
    /// part of the user. `links` are those that the user gets after all.
    pub fn adjust(&self, draft: &mut Draft, prints: &mut Fingerprints, links: Vec<Link>, joined: &[String]) {
        let named = |mut link: Link| {
            let own = draft
                .links
                .iter()
                .find(|own| (&own.idp_id, &own.external_user_id) == (&link.idp_id, &link.external_user_id));
            // Joined accounts have the same e-mail.
            link.display_name = own.map_or_else(|| draft.email.address.clone(), |own| own.display_name.clone());
            link
        };
        draft.links = links.into_iter().map(named).collect();
        if !joined.is_empty() {
            let ids: Vec<&str> =
                std::iter::once(draft.user_id.as_str()).chain(joined.iter().map(String::as_str)).collect();
            let value = serde_json::to_vec(&ids).unwrap_or_default();
            draft.metadata.push(Metadata { key: format!("{}linked_user_ids", self.mapping.metadata_prefix), value });
        }
        prints.profile = adjusted(&prints.profile, &draft.links, joined);
    }

    /// Gives the draft the name that the plan found for it.
    pub fn rename(&self, draft: &mut Draft, prints: &mut Fingerprints, todo: &Todo) {
        let Some(suffix) = &todo.name_suffix else { return };
        let (attempt, connection) = suffix.split_once(':').unwrap_or(("1", suffix));
        draft.user_name = suffixed(&draft.user_name, connection, attempt.parse().unwrap_or(1));
        prints.profile = renamed(&prints.profile, suffix);
    }
}

/// The fingerprint of a user who gets these links, in this order, and whom these accounts became part of.
#[must_use]
pub fn adjusted(profile: &[u8; 16], links: &[Link], joined: &[String]) -> [u8; 16] {
    let mut digest = Sha256::new_with_prefix(profile);
    let texts = links.iter().flat_map(|link| [&link.idp_id, &link.external_user_id]).chain(joined);
    for text in texts {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    }
    digest.update((joined.len() as u64).to_le_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&digest.finalize()[..16]);
    short
}

/// The fingerprint of a user whose name got `suffix`.
#[must_use]
pub fn renamed(profile: &[u8; 16], suffix: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(profile).chain_update(suffix).finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}
