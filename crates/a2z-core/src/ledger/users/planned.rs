//! What a plan wants of one user.

use crate::mapping::{
    draft::{Link, Route},
    finding::{Blocked, Finding},
};

/// A 16-byte digest.
pub type Digest = [u8; 16];

/// One row of the export, planned.
#[derive(Debug, Clone)]
pub struct PlannedUser {
    /// Auth0's `user_id`.
    pub user_id: String,
    /// The connection of the primary identity, where it is known.
    pub connection: Option<String>,
    /// The export file, from 0.
    pub file: i64,
    /// The line in it, from 1.
    pub line: u64,
    /// The row in it, from 1: what tells two rows on one line apart.
    pub row: u64,
    /// E-mail verified (decides who keeps a user name).
    pub verified: bool,
    /// Last sign-in, ms since the epoch (decides who keeps a user name).
    pub last_login: Option<i64>,
    /// The verified e-mail, folded, where accounts with the same one are joined.
    pub email_key: Option<String>,
    /// [`crate::mapping::codes::number_key`] of the verified number, where there is one.
    pub number: Option<String>,
    /// The e-mail, folded as user names are, if it is not the user name, too.
    pub address_key: Option<String>,
    /// There is metadata, which would stay behind if the account were joined to another.
    pub has_metadata: bool,
    /// The links of its own.
    pub links: Vec<Link>,
    /// What is to be sent, or why nothing is.
    pub plan: Result<Wanted, Blocked>,
    /// What there is to say.
    pub findings: Vec<Finding>,
}

/// What is to be sent, as the ledger knows it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The user name, folded as ZITADEL's unique constraint folds it.
    pub name_key: String,
    /// The road.
    pub route: Route,
    /// Everything but the password.
    pub profile: Digest,
    /// The password.
    pub password: Option<Digest>,
    /// The second factors.
    pub factors: Option<Digest>,
    /// The same, field by field ([`crate::mapping::facts`], encoded), if the ledger has users to compare with.
    pub facts: Option<Vec<u8>>,
}
