//! Roles and organizations: read from Auth0 beside the export, planned with the users, made in ZITADEL before the users
//! (project, roles, organizations) and after them (grants).
//!
//! Everything is in the ledger before it is in ZITADEL, so each step goes on where a kill or a lost answer left it.

pub mod check;
pub mod fetch;
pub mod grants;
pub mod make;
pub mod memberships;
mod names;
pub mod plan;
mod regrant;
pub mod settings;
pub mod stored;
pub mod unmake;

use crate::{
    structure::settings::Carried,
    structure::settings::{OrganizationsPolicy, RolesMode},
};

/// What of it the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// What becomes of roles.
    pub roles: RolesMode,
    /// What becomes of organizations.
    pub organizations: OrganizationsPolicy,
}

impl Wanted {
    /// Is the list of roles, with who has them, to be read?
    #[must_use]
    pub fn reads_roles(self) -> bool {
        self.roles != RolesMode::Ignore
    }

    /// Is the list of organizations, with their members, to be read?
    #[must_use]
    pub fn reads_organizations(self) -> bool {
        self.organizations != OrganizationsPolicy::Ignore
    }

    /// Anything at all?
    #[must_use]
    pub fn anything(self) -> bool {
        self.reads_roles() || self.reads_organizations()
    }

    /// Do roles become grants?
    #[must_use]
    pub fn grants(self) -> bool {
        self.roles == RolesMode::Grants
    }

    /// Do organizations become ZITADEL's?
    #[must_use]
    pub fn orgs(self) -> bool {
        self.organizations == OrganizationsPolicy::Orgs
    }

    /// What of an account that becomes part of another user goes there.
    #[must_use]
    pub fn carried(self) -> Carried {
        Carried { roles: self.grants(), memberships: self.grants() && self.orgs() }
    }

    /// Does anything become metadata of the users?
    #[must_use]
    pub fn metadata(self) -> bool {
        self.roles == RolesMode::Metadata || self.organizations == OrganizationsPolicy::Metadata
    }
}
