//! ZITADEL's rules, written a second time from `facts/zitadel.md` sections 1 to 4, apart from the code that they check.

use std::net::IpAddr;

use secrecy::ExposeSecret as _;

use crate::mapping::draft::{Draft, Route};

/// What ZITADEL would say to this draft.
pub(super) fn check(draft: &Draft, route: Route) -> Result<(), String> {
    let profile = &draft.profile;
    runes("userId", &draft.user_id, 1, 200)?;
    not_blank("userName", &draft.user_name)?;
    not_blank("firstName", &profile.first_name)?;
    not_blank("lastName", &profile.last_name)?;
    runes("email", &draft.email.address, 1, 200)?;
    for (what, text) in [("displayName", &profile.display_name), ("nickName", &profile.nick_name)] {
        if let Some(text) = text {
            runes(what, text, 1, 200)?;
        }
    }
    if let Some(language) = &profile.preferred_language {
        runes("preferredLanguage", language, 2, 3)?;
    }
    no_controls(draft)?;
    address(&draft.email.address, route)?;
    if let Some(phone) = &draft.phone {
        let digits = phone.number.strip_prefix('+').ok_or("phone without +")?;
        let valid =
            (3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        ensure(valid, "phone")?;
    }
    if let Some(password) = &draft.password {
        bcrypt(password.hash.expose_secret())?;
    }
    for entry in &draft.metadata {
        runes("metadata key", &entry.key, 1, 200)?;
        ensure((1..=500_000).contains(&entry.value.len()), "metadata value")?;
    }
    let mut keys: Vec<_> = draft.metadata.iter().map(|entry| &entry.key).collect();
    keys.sort_unstable();
    keys.dedup();
    ensure(keys.len() == draft.metadata.len(), "metadata keys differ")
}

fn no_controls(draft: &Draft) -> Result<(), String> {
    let profile = &draft.profile;
    let required = [&draft.user_id, &draft.user_name, &profile.first_name, &profile.last_name, &draft.email.address];
    let optional = [&profile.display_name, &profile.nick_name, &profile.preferred_language];
    let keys = draft.metadata.iter().map(|entry| &entry.key);
    let mut all = required.into_iter().chain(optional.into_iter().flatten()).chain(keys);
    ensure(!all.any(|text| text.chars().any(char::is_control)), "control character")
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what} breaks the rule")) }
}

fn runes(what: &str, text: &str, least: usize, most: usize) -> Result<(), String> {
    ensure((least..=most).contains(&text.chars().count()), what)
}

fn not_blank(what: &str, text: &str) -> Result<(), String> {
    runes(what, text, 1, 200)?;
    ensure(text.trim() == text, what)
}

/// The plain form of an address, cut at the last `@`.
fn address(address: &str, route: Route) -> Result<(), String> {
    let (local, domain) = address.rsplit_once('@').ok_or("no @")?;
    let special = |c: char| "()<>[]:;@\\,\" \t".contains(c);
    let atoms = |text: &str| text.split('.').all(|atom| !atom.is_empty() && !atom.contains(special));
    let literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match literal {
        Some(literal) => ensure(literal.parse::<IpAddr>().is_ok(), "domain literal")?,
        None => ensure(atoms(domain), "domain")?,
    }
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    ensure(quoted || atoms(local), "local part")?;
    if route == Route::Import {
        return Ok(());
    }
    ensure(address.len() <= 256 && local.len() <= 66 && (quoted || local.len() <= 64), "length by PGV")?;
    for label in domain.split('.') {
        let ascii = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let hyphens = label.starts_with('-') || label.ends_with('-');
        ensure(ascii && !hyphens && (1..=63).contains(&label.len()), "host name by PGV")?;
    }
    Ok(())
}

fn bcrypt(hash: &str) -> Result<(), String> {
    let fields: Vec<_> = hash.split('$').collect();
    let [before, version, cost, digest] = fields[..] else { return Err("bcrypt fields".into()) };
    ensure(before.is_empty() && ["2a", "2b", "2y"].contains(&version), "bcrypt version")?;
    ensure(["10", "11", "12", "13", "14", "15", "16"].contains(&cost), "bcrypt cost")?;
    let alphabet = |b: u8| b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".contains(&b);
    ensure(hash.len() == 60 && digest.bytes().all(alphabet), "bcrypt digest")
}
