//! What is mapped: a user of the export with the hash that belongs to it.

use secrecy::SecretString;

use super::{finding::Finding, links::Links};
use crate::auth0::user::ExportedUser;

/// A user with what belongs to them.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The exported row. `email_verified` is settled: the join fills it in from the hash row where it may.
    pub user: ExportedUser,
    /// The hash of the user's database identity (primary or linked), where there is one.
    pub hash: Option<JoinedHash>,
    /// The links of the user's other identities; the join leaves them empty.
    pub links: Links,
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
    /// `password_set_date` says something that cannot be read as a date.
    pub bad_date: bool,
    /// The hash row's own `email_verified`, only where its e-mail is the user's.
    pub email_verified: Option<bool>,
    /// The hash is of the user's primary identity: only then `last_password_reset`, which is of the primary profile,
    /// says anything about it.
    pub primary: bool,
    /// The names of the linked account whose hash it is; the primary account's are the profile's.
    pub names: Option<Box<SignInNames>>,
}

/// The names with which somebody signed in to a database account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignInNames {
    /// The user name, if the account has one.
    pub user_name: Option<String>,
    /// The address.
    pub email: Option<String>,
}

impl JoinedHash {
    /// The names with which this password signed in; none if they are certain to go on working: the profile's own, where
    /// nothing else is put in their place (`unchanged`).
    pub(crate) fn names_of(&self, user: &ExportedUser, unchanged: bool) -> Option<SignInNames> {
        if !self.primary {
            return self.names.as_deref().cloned();
        }
        (!unchanged).then(|| SignInNames { user_name: user.username.clone(), email: user.email.clone() })
    }
}
