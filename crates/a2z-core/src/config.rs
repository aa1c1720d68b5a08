//! One validated [`Config`]: defaults < file < environment < flags. Nothing below this module sees clap, TOML or the
//! environment. Secrets are wrapped at this door. The settings themselves live with what they configure; here they are
//! composed.

mod address;
mod check;
mod credentials;
mod file;
mod level;
mod load;
mod rules;
mod schema;
pub mod values;

use std::path::PathBuf;

use crate::structure::Wanted;

pub use crate::{
    auth0::settings::{Auth0, Auth0Credentials},
    environment::Environment,
    http::settings::Http,
    import::settings::{Import, Recreate},
    input::settings::{Input, Source},
    join::Join,
    mapping::settings::{Collisions, Conflicts, Idps, Mapping, MetadataStyle, StaleHash, UnmatchedIdps},
    structure::settings::{Organizations, OrganizationsPolicy, Roles, RolesMode},
    verify::settings::{Verify, VerifyMetadata},
    zitadel::settings::{CreateIdps, Zitadel, ZitadelCredentials},
};

pub use self::{
    load::{Loaded, Overrides, Warning, load},
    schema::keys,
};

/// Everything that a run needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state folder: ledger, export file, reports. Default `.a2z`.
    pub state: PathBuf,
    /// Where the users come from.
    pub auth0: Auth0,
    /// Where they go.
    pub zitadel: Zitadel,
    /// Files given by hand.
    pub input: Input,
    /// How hash rows find their users.
    pub join: Join,
    /// How a user is put into ZITADEL's terms.
    pub mapping: Mapping,
    /// Which identity provider stands for which connection.
    pub idps: Idps,
    /// What becomes of Auth0's roles.
    pub roles: Roles,
    /// What becomes of Auth0's organizations.
    pub organizations: Organizations,
    /// How the import behaves.
    pub import: Import,
    /// How ZITADEL is compared with the ledger.
    pub verify: Verify,
    /// How both vendors are talked to.
    pub http: Http,
}

impl Config {
    /// What of Auth0's roles and organizations is asked for.
    #[must_use]
    pub fn structure(&self) -> Wanted {
        Wanted { roles: self.roles.mode, organizations: self.organizations.policy }
    }

    /// Are Auth0's roles or organizations to be read?
    #[must_use]
    pub fn wants_structure(&self) -> bool {
        self.roles.mode != RolesMode::Ignore || self.organizations.policy != OrganizationsPolicy::Ignore
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state: PathBuf::from(".a2z"),
            auth0: Auth0::default(),
            zitadel: Zitadel::default(),
            input: Input::default(),
            join: Join::default(),
            mapping: Mapping::default(),
            idps: Idps::default(),
            roles: Roles::default(),
            organizations: Organizations::default(),
            verify: Verify::default(),
            import: Import::default(),
            http: Http::default(),
        }
    }
}
