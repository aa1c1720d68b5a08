//! How ZITADEL is compared with the ledger.

/// How ZITADEL is compared with the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verify {
    /// Whose metadata is read: one request per user.
    pub metadata: VerifyMetadata,
}

/// Whose metadata is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyMetadata {
    /// Everybody's: one request per user.
    All,
    /// That of 200 users, always the same ones, spread over all.
    #[default]
    Sample,
    /// Nobody's.
    None,
}
