//! 3 JOIN: user + hash (+ second factors), by identity, never by e-mail unless the operator turns that on.
//!
//! A hash belongs to an account of a database connection: (connection, id). A user has as many such accounts as they
//! have identities with the provider `auth0`, the primary one and linked ones. No other identity ever gets a hash.

use crate::{
    auth0::{accounts::accounts, user::ExportedUser},
    hashes::{HashIndex, HashRow, Lookup},
    mapping::{
        finding::{Finding, FindingCode},
        joined::{Joined, JoinedHash, SignInNames},
        links::Links,
    },
};

/// How hash rows find their users.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// Fall back to the e-mail where (connection, id) finds nothing and the e-mail is unambiguous. Default false.
    pub by_email: bool,
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

/// Puts the user and their hash together.
pub fn join(user: ExportedUser, hashes: &impl Hashes, options: &Join, shape: &Shape) -> Joined {
    let mut findings = Vec::new();
    let hash = find(&user, hashes, options, &mut findings);
    let mut joined = Joined { user, hash, links: Links::default(), findings };
    settle_verified(&mut joined, *shape);
    joined
}

fn find(user: &ExportedUser, hashes: &impl Hashes, options: &Join, findings: &mut Vec<Finding>) -> Option<JoinedHash> {
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
