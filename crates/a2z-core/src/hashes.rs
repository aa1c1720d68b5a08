//! 2 TICKET FILES: the password-hash and MFA files that Auth0's support sends, their index, and the audit.

pub mod algorithm;
pub mod audit;
mod custom;
mod index;
pub mod mfa;
mod passwap;
mod row;
mod store;
pub mod verifier;

use jiff::Timestamp;
use secrecy::SecretString;

pub use index::{HashIndex, LoadOptions};

/// The hash of one database account, as the ticket file gives it. Debug shows no hash.
#[derive(Debug, Clone)]
pub struct HashRow {
    /// The hash as it is written in the file (`$2b$10$…`), of whatever algorithm.
    pub hash: SecretString,
    /// `password_set_date`.
    pub set_at: Option<Timestamp>,
    /// `password_set_date` says something that cannot be read as a date.
    pub bad_date: bool,
    /// The row's e-mail is the same as the one asked about (in lower case), and the row calls it verified.
    pub email_verified: Option<bool>,
}

/// What the index knows of one account.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// No row.
    None,
    /// Exactly one account fits.
    Found(HashRow),
    /// Rows of several connections fit and nothing tells them apart. The names, sorted; never a hash.
    Ambiguous(Vec<String>),
}

#[cfg(test)]
mod tests;
