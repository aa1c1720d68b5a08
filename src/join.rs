//! 3 JOIN: user + hash (+ second factors), by identity, never by e-mail unless the operator turns that on.
//!
//! A hash belongs to an account of a database connection: (connection, id). A user has as many such accounts as they
//! have identities with the provider `auth0`, the primary one and linked ones. No other identity ever gets a hash.

use secrecy::SecretString;

use crate::{
    auth0::user::{ExportedUser, Identity},
    config,
    hashes::{HashIndex, HashRow, Lookup},
    mapping::{
        finding::{Finding, FindingCode},
        links::Links,
    },
};

/// The provider of every database connection, also of those with custom scripts.
const DATABASE: &str = "auth0";

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

/// What the export as a whole carries; it decides what an absent value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// At least one row has `email_verified`. Where one has it, a row without it is of an account that Auth0 never
    /// called verified; where none has it, the field was not exported.
    pub email_verified: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { email_verified: true }
    }
}

/// Where hashes are looked up.
pub trait Hashes {
    /// The account `id` (without the provider's prefix) of `connection`; where the connection is not known, the only
    /// account with this id. `email` is the user's, in lower case: the answer says whether the row calls it verified.
    fn find_for(&self, connection: Option<&str>, id: &str, email: Option<&str>) -> Lookup;

    /// The only account of `connection` (where known) with this e-mail, in lower case.
    fn find_by_email(&self, connection: Option<&str>, email: &str) -> Lookup;
}

/// No hash files were given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unhashed;

impl Hashes for Unhashed {
    fn find_for(&self, _: Option<&str>, _: &str, _: Option<&str>) -> Lookup {
        Lookup::None
    }

    fn find_by_email(&self, _: Option<&str>, _: &str) -> Lookup {
        Lookup::None
    }
}

impl Hashes for HashIndex {
    fn find_for(&self, connection: Option<&str>, id: &str, email: Option<&str>) -> Lookup {
        Self::find_for(self, connection, id, email)
    }

    fn find_by_email(&self, connection: Option<&str>, email: &str) -> Lookup {
        Self::find_by_email(self, connection, email)
    }
}

/// One database account of a user.
struct Account<'a> {
    connection: Option<&'a str>,
    id: &'a str,
    /// The e-mail that this very account has, where the export says so.
    email: Option<&'a str>,
    /// The user name of a linked account, where the export says so.
    user_name: Option<&'a str>,
    primary: bool,
}

/// Puts the user and their hash together.
pub fn join(user: ExportedUser, hashes: &impl Hashes, options: &config::Join, shape: &Shape) -> Joined {
    let mut findings = Vec::new();
    let hash = find(&user, hashes, options, &mut findings);
    let mut joined = Joined { user, hash, links: Links::default(), findings };
    settle_verified(&mut joined, *shape);
    joined
}

/// Whether the user has an account of a database connection, as far as the export tells.
#[must_use]
pub fn is_database_user(user: &ExportedUser) -> bool {
    !accounts(user).is_empty()
}

fn find(
    user: &ExportedUser,
    hashes: &impl Hashes,
    options: &config::Join,
    findings: &mut Vec<Finding>,
) -> Option<JoinedHash> {
    let accounts = accounts(user);
    if accounts.is_empty() {
        return None;
    }
    let email = user.email.as_deref().map(str::to_lowercase);

    let mut found = Vec::new();
    let mut ambiguous = Vec::new();
    for account in &accounts {
        match hashes.find_for(account.connection, account.id, email.as_deref()) {
            Lookup::Found(row) => found.push((account, row)),
            Lookup::Ambiguous(connections) => ambiguous.extend(connections),
            Lookup::None => {}
        }
    }
    // An id that fits several accounts is known to the file: an e-mail must not decide what the id could not.
    if found.is_empty() && ambiguous.is_empty() && options.by_email {
        for account in &accounts {
            let Some(email) = account.email.map(str::to_lowercase) else { continue };
            match hashes.find_by_email(account.connection, &email) {
                Lookup::Found(row) => found.push((account, row)),
                Lookup::Ambiguous(connections) => ambiguous.extend(connections),
                Lookup::None => {}
            }
        }
        if !found.is_empty() {
            findings.push(Finding::new(FindingCode::JoinedByEmail));
        }
    }

    if !ambiguous.is_empty() {
        findings.push(Finding::about(FindingCode::AmbiguousHash, listed(ambiguous)));
    } else if found.is_empty() {
        findings.push(Finding::new(FindingCode::NoHash));
    }
    if found.len() > 1 {
        let names = found.iter().filter_map(|(account, _)| account.connection.map(str::to_owned)).collect();
        findings.push(Finding::about(FindingCode::SeveralHashes, listed(names)));
    }
    // The primary account comes first, and it is the one whose password the user types.
    let (account, row) = found.into_iter().next()?;
    let HashRow { hash, set_at, bad_date, email_verified } = row;
    let names = (!account.primary).then(|| {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        Box::new(SignInNames { user_name: owned(account.user_name), email: owned(account.email) })
    });
    Some(JoinedHash { hash, set_at, bad_date, email_verified, primary: account.primary, names })
}

/// The user's database accounts, the primary one first.
fn accounts(user: &ExportedUser) -> Vec<Account<'_>> {
    let (provider, id) = user.split_id();
    let Some(identities) = user.identities.as_deref().filter(|identities| !identities.is_empty()) else {
        if provider != DATABASE || id.is_empty() {
            return Vec::new();
        }
        return vec![Account { connection: None, id, email: user.email.as_deref(), user_name: None, primary: true }];
    };
    let is_primary = |identity: &Identity| identity.provider == provider && identity.user_id == id;
    let mut accounts: Vec<_> = identities
        .iter()
        .filter(|identity| identity.provider == DATABASE && !identity.user_id.is_empty())
        .map(|identity| {
            let primary = is_primary(identity);
            // The root e-mail is the primary profile's; a linked account has its own, or none that we know.
            let email = if primary { user.email.as_deref() } else { identity.email.as_deref() };
            let user_name = if primary { None } else { identity.username.as_deref() };
            Account { connection: identity.connection.as_deref(), id: &identity.user_id, email, user_name, primary }
        })
        .collect();
    accounts.sort_by_key(|account| !account.primary);
    accounts
}

/// Where the export has no `email_verified` at all, the hash row's flag counts, if its e-mail is the user's. Where the
/// export has it and this row lacks it, the e-mail is unverified, and there is nothing to add.
fn settle_verified(joined: &mut Joined, shape: Shape) {
    if shape.email_verified || joined.user.email_verified.is_some() || joined.user.email.is_none() {
        return;
    }
    match joined.hash.as_ref().and_then(|hash| hash.email_verified) {
        Some(verified) => {
            joined.user.email_verified = Some(verified);
            joined.findings.push(Finding::new(FindingCode::VerifiedByHashRow));
        }
        None => joined.findings.push(Finding::new(FindingCode::VerifiedUnknown)),
    }
}

fn listed(mut names: Vec<String>) -> String {
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests;
