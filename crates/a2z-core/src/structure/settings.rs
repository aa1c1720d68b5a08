//! What becomes of Auth0's roles and organizations.

/// What becomes of Auth0's roles.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// Default: nothing.
    pub mode: RolesMode,
    /// The ZITADEL project that gets the roles.
    pub project_id: Option<String>,
    /// The name of a project to create for them, when no id is given. Default `Auth0 roles`.
    pub create_project: Option<String>,
}

impl Roles {
    /// The name of the project to create.
    #[must_use]
    pub fn project_name(&self) -> &str {
        self.create_project.as_deref().unwrap_or("Auth0 roles")
    }
}

/// What becomes of Auth0's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RolesMode {
    /// They stay behind. The default.
    #[default]
    Ignore,
    /// The names of a user's roles, as a metadata value.
    Metadata,
    /// Roles of a ZITADEL project, and grants (role assignments) to the users.
    Grants,
}

/// What becomes of Auth0's organizations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Organizations {
    /// Default: nothing.
    pub policy: OrganizationsPolicy,
}

/// What becomes of Auth0's organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrganizationsPolicy {
    /// They stay behind. The default.
    #[default]
    Ignore,
    /// A user's memberships, with the roles in them, as a metadata value.
    Metadata,
    /// Each becomes a ZITADEL organization; a user who is a member of exactly one belongs to it.
    Orgs,
}

/// What of an account goes to the user that it becomes part of, beside the links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// The roles, as grants.
    pub roles: bool,
    /// The memberships in organizations, as grants.
    pub memberships: bool,
}
