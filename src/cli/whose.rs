//! Whose metadata `a2z verify` compares, as a flag. The library does not know clap.

use crate::config::VerifyMetadata;

/// Whose metadata is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Whose {
    /// Everybody's: one request per user
    All,
    /// Of 200 users, always the same, spread over the whole
    Sample,
    /// Nobody's
    None,
}

impl From<Whose> for VerifyMetadata {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::All => Self::All,
            Whose::Sample => Self::Sample,
            Whose::None => Self::None,
        }
    }
}
