//! 3 JOIN: user + hash (+ second factors), by identity, never by e-mail unless the operator turns that on.

use secrecy::SecretString;

use crate::{auth0::user::ExportedUser, mapping::finding::Finding};

/// A user with what belongs to them.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The exported row.
    pub user: ExportedUser,
    /// The hash of the user's database identity (primary or linked), where there is one.
    pub hash: Option<JoinedHash>,
    /// What there is to say about the join.
    pub findings: Vec<Finding>,
}

/// A hash that was found for a user.
#[derive(Debug, Clone)]
pub struct JoinedHash {
    /// As it is written in the ticket file.
    pub hash: SecretString,
    /// `password_set_date`.
    pub set_at: Option<jiff::Timestamp>,
    /// The hash row's own `email_verified`, only where its e-mail is the user's.
    pub email_verified: Option<bool>,
}
