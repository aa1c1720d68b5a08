//! Which fields an export has.

/// Which fields an export has anywhere. An export with the guide's three fields has none of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// `identities`.
    pub has_identities: bool,
    /// `identities`, or the dashboard's `Connection`.
    pub has_connection: bool,
    /// `email_verified`.
    pub has_email_verified: bool,
    /// Rows that were read to know.
    pub rows: u64,
}
