//! From a row to what would be sent: join, map, fingerprint. Both passes go through here, so they come to the same.

use crate::{
    auth0::user::ExportedUser,
    config,
    hashes::{HashIndex, mfa::MfaIndex},
    join::{self, Shape},
    ledger::{
        import_queries::Todo,
        plan_queries::{PlannedUser, Wanted},
    },
    mapping::{
        self, Roads,
        collision::{name_key, suffixed},
        draft::Draft,
        finding::{Blocked, Finding},
        fingerprint::{Fingerprints, fingerprints},
    },
};

/// Everything that decides what becomes of a row.
#[derive(Debug)]
pub struct Preparer {
    /// The hashes.
    pub hashes: HashIndex,
    /// The second factors.
    pub mfa: MfaIndex,
    /// How they are joined.
    pub join: config::Join,
    /// How users are mapped.
    pub mapping: config::Mapping,
    /// Which roads are open.
    pub roads: Roads,
    /// What the export carries.
    pub shape: Shape,
    /// The ledger's own key for fingerprints.
    pub key: [u8; 16],
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
    pub fn prepare(&self, user: ExportedUser) -> Prepared {
        let (user_id, line) = (user.user_id.clone(), user.line);
        let connection = user.connection().map(str::to_owned);
        let last_login = user.last_login.map(jiff::Timestamp::as_millisecond);
        let joined = join::join(user, &self.hashes, &self.join, &self.shape);
        let mut mapped = mapping::map(joined, &self.mapping, self.roads);
        if let (Some(factors), Ok(draft)) = (self.mfa.find(&user_id), &mut mapped.draft) {
            mapping::factors::give(draft, factors, self.roads != Roads::UsersApiOnly, &mut mapped.findings);
        }
        let draft = mapped.draft.map(|draft| {
            let prints = fingerprints(&draft, &self.key);
            (draft, prints)
        });
        Prepared { draft, user_id, connection, line, last_login, findings: mapped.findings }
    }

    /// The row as the ledger keeps it.
    #[must_use]
    pub fn plan(&self, prepared: Prepared, file: i64, row: u64) -> PlannedUser {
        let Prepared { draft, user_id, connection, line, last_login, findings } = prepared;
        let verified = draft.as_ref().is_ok_and(|(draft, _)| draft.email.verified);
        let plan = draft.map(|(draft, prints)| Wanted {
            name_key: name_key(&draft.user_name),
            route: self.roads.of(&draft),
            profile: prints.profile,
            password: prints.password,
            factors: prints.factors,
        });
        PlannedUser { user_id, connection, file, line, row, verified, last_login, plan, findings }
    }

    /// Gives the draft the name that the plan found for it.
    pub fn rename(&self, draft: &mut Draft, prints: &mut Fingerprints, todo: &Todo) {
        let Some(suffix) = &todo.name_suffix else { return };
        let (attempt, connection) = suffix.split_once(':').unwrap_or(("1", suffix));
        draft.user_name = suffixed(&draft.user_name, connection, attempt.parse().unwrap_or(1));
        prints.profile = renamed(&prints.profile, suffix);
    }
}

/// The fingerprint of a user whose name got `suffix`.
#[must_use]
pub fn renamed(profile: &[u8; 16], suffix: &str) -> [u8; 16] {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::new().chain_update(profile).chain_update(suffix).finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}
