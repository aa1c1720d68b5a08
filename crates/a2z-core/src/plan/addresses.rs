//! Who can be meant by an address at the sign-in. ZITADEL looks for a user name first; only if nobody has it, for an
//! e-mail, and two users with one e-mail are an error. This comes when it is settled who has which name.

use crate::{
    ledger::{Result, Transaction, users},
    mapping::finding::{Finding, FindingCode},
};

/// Tells the users whose address finds another one, or more than one.
///
/// # Errors
/// If SQLite fails.
pub fn report(transaction: &Transaction<'_>, run: i64) -> Result<()> {
    let say = |user_id: &str, detail: String| {
        users::add_finding(transaction, user_id, &Finding::about(FindingCode::NameIsAddress, detail))
    };
    let pairs = users::names_of_others(transaction, run)?;
    for group in pairs.chunk_by(|(a, _), (b, _)| a == b) {
        for (named, addressed) in group {
            say(addressed, format!("the e-mail is the user name of {named}"))?;
        }
        match group {
            [(named, addressed)] => say(named, format!("the user name is the e-mail of {addressed}"))?,
            // Many may share a mailbox: they are counted, not listed.
            [(named, _), ..] => say(named, format!("the user name is the e-mail of {} users", group.len()))?,
            [] => {}
        }
    }
    let shared = users::shared(transaction, run)?;
    for group in shared.chunk_by(|(a, _), (b, _)| a == b).filter(|group| group.len() > 1) {
        let finding = Finding::about(FindingCode::AddressShared, format!("{} users", group.len()));
        for (_, user_id) in group {
            users::add_finding(transaction, user_id, &finding)?;
        }
    }
    Ok(())
}
