//! The encodings of passwap, the library with which ZITADEL checks hashes, and the ways into them.
//!
//! passwap reads with `Sscanf`, and at the import it looks at the beginning and the cost only. So everything is read
//! strictly here and, where it was written in another way (PHC strings of pbkdf2, Django's), written again. A conversion
//! never changes what is computed: the same function, salt, cost and result. The bounds are those of ZITADEL's
//! `SystemDefaults.PasswordHasher.Limits`.

use std::{borrow::Cow, ops::RangeInclusive};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use super::verifier::Verifier;

/// A hash of a kind that passwap has a verifier for.
pub(super) struct Found<'a> {
    pub(super) verifier: Verifier,
    /// What to send, or what is wrong with it.
    pub(super) encoded: Result<Cow<'a, str>, &'static str>,
}

/// A result that is shorter proves too little.
const RESULT_BYTES: RangeInclusive<usize> = 16..=512;
const SALT_BYTES: RangeInclusive<usize> = 1..=512;

const FORM: &str = "the form is not as it must be";
const COST: &str = "the cost is out of ZITADEL's bounds";

/// The alphabet of `crypt(3)`.
fn is_crypt(text: &str, length: RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'))
}

/// What the hash is, by its form; none: of no kind that passwap knows.
pub(super) fn read(hash: &str) -> Option<Found<'_>> {
    let found = |verifier, encoded| Some(Found { verifier, encoded });
    if hash.starts_with("$argon2") {
        found(Verifier::Argon2, argon2(hash))
    } else if hash.starts_with("$scrypt$") {
        found(Verifier::Scrypt, scrypt(hash))
    } else if hash.starts_with("$pbkdf2") || hash.starts_with("pbkdf2_") {
        found(Verifier::Pbkdf2, pbkdf2(hash).map(Cow::Owned))
    } else if hash.starts_with("$1$") {
        found(Verifier::Md5, as_it_is(hash, md5_crypt(hash)))
    } else if hash.starts_with("$5$") || hash.starts_with("$6$") {
        found(Verifier::Sha2, sha2(hash))
    } else if hash.starts_with("$P$") || hash.starts_with("$H$") {
        found(Verifier::PhPass, phpass(hash))
    } else if hash.starts_with("$S$") {
        found(Verifier::Drupal7, drupal7(hash))
    } else if hash.starts_with("$md5salted-") {
        found(Verifier::Md5Salted, as_it_is(hash, md5_salted(hash)))
    } else if hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        // MD4 looks the same. Who lists this verifier says that they are MD5.
        found(Verifier::Md5Plain, Ok(Cow::Borrowed(hash)))
    } else {
        None
    }
}

fn as_it_is(hash: &str, sound: bool) -> Result<Cow<'_, str>, &'static str> {
    if sound { Ok(Cow::Borrowed(hash)) } else { Err(FORM) }
}

/// Decodes base64 without padding, strictly; padding, where it is whole, is taken off.
fn decode(text: &str, length: RangeInclusive<usize>) -> Result<Vec<u8>, &'static str> {
    let bytes = if text.ends_with('=') { STANDARD.decode(text) } else { STANDARD_NO_PAD.decode(text) };
    bytes.ok().filter(|bytes| length.contains(&bytes.len())).ok_or(FORM)
}

/// A number in decimal, as it is written by machines: no sign, no leading zero.
fn number(text: &str) -> Result<u32, &'static str> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(FORM)
}

/// `m=65536,t=3,p=4`, in any order, each exactly once.
fn parameters<const N: usize>(text: &str, names: [&str; N]) -> Result<[u32; N], &'static str> {
    let mut values = [None; N];
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or(FORM)?;
        let place = names.iter().position(|known| *known == name).ok_or(FORM)?;
        if values[place].replace(number(value)?).is_some() {
            return Err(FORM);
        }
    }
    let mut all = [0; N];
    for (all, value) in all.iter_mut().zip(values) {
        *all = value.ok_or(FORM)?;
    }
    Ok(all)
}

fn argon2(hash: &str) -> Result<Cow<'_, str>, &'static str> {
    let mut parts = hash.split('$').skip(1);
    let mut part = || parts.next().ok_or(FORM);
    let (kind, version, costs, salt, result) = (part()?, part()?, part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(FORM);
    }
    match kind {
        "argon2i" | "argon2id" => {}
        "argon2d" => return Err("ZITADEL has no verifier for this variant"),
        _ => return Err(FORM),
    }
    if version != "v=19" {
        return Err("ZITADEL takes version 19 (1.3) only");
    }
    let [m, t, p] = parameters(costs, ["m", "t", "p"])?;
    if !(8_192..=524_288).contains(&m) || !(1..=10).contains(&t) || !(1..=16).contains(&p) {
        return Err(COST);
    }
    let (salt, result) = (decode(salt, SALT_BYTES)?, decode(result, RESULT_BYTES)?);
    let (salt, result) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(result));
    Ok(Cow::Owned(format!("${kind}$v=19$m={m},t={t},p={p}${salt}${result}")))
}

fn scrypt(hash: &str) -> Result<Cow<'_, str>, &'static str> {
    let mut parts = hash.split('$').skip(2);
    let mut part = || parts.next().ok_or(FORM);
    let (costs, salt, result) = (part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(FORM);
    }
    let [ln, r, p] = parameters(costs, ["ln", "r", "p"])?;
    scrypt_of(ln, r, p, &decode(salt, SALT_BYTES)?, &decode(result, RESULT_BYTES)?).map(Cow::Owned)
}

pub(super) fn scrypt_of(ln: u32, r: u32, p: u32, salt: &[u8], result: &[u8]) -> Result<String, &'static str> {
    if !(14..=20).contains(&ln) || !(8..=32).contains(&r) || !(1..=16).contains(&p) {
        return Err(COST);
    }
    if !SALT_BYTES.contains(&salt.len()) || !RESULT_BYTES.contains(&result.len()) {
        return Err(FORM);
    }
    let (salt, result) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(result));
    Ok(format!("$scrypt$ln={ln},r={r},p={p}${salt}${result}"))
}

/// Three ways of writing the same: passlib's `$pbkdf2-sha256$ROUNDS$SALT$RESULT`, PHC's `$pbkdf2-sha256$i=ROUNDS,l=32$…`,
/// and Django's `pbkdf2_sha256$ROUNDS$SALT$RESULT`, whose salt is the text itself.
fn pbkdf2(hash: &str) -> Result<String, &'static str> {
    let (django, rest) = match hash.strip_prefix('$') {
        Some(rest) => (false, rest),
        None => (true, hash),
    };
    let mut parts = rest.split('$');
    let mut part = || parts.next().ok_or(FORM);
    let (kind, costs, salt, result) = (part()?, part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(FORM);
    }
    let kind = match kind {
        "pbkdf2" | "pbkdf2-sha1" | "pbkdf2_sha1" => "pbkdf2",
        "pbkdf2-sha224" => "pbkdf2-sha224",
        "pbkdf2-sha256" | "pbkdf2_sha256" => "pbkdf2-sha256",
        "pbkdf2-sha384" => "pbkdf2-sha384",
        "pbkdf2-sha512" | "pbkdf2_sha512" => "pbkdf2-sha512",
        _ => return Err("ZITADEL has no verifier for this variant"),
    };
    // passlib writes `.` for `+`.
    let bytes = |text: &str, length| decode(&text.replace('.', "+"), length);
    let result = bytes(result, RESULT_BYTES)?;
    let salt = if django {
        if !SALT_BYTES.contains(&salt.len()) {
            return Err(FORM);
        }
        salt.as_bytes().to_vec()
    } else {
        bytes(salt, SALT_BYTES)?
    };
    let rounds = match costs.strip_prefix("i=") {
        Some(rest) if !django => match rest.split_once(",l=") {
            Some((rounds, length)) if number(length)? as usize == result.len() => number(rounds)?,
            Some(_) => return Err(FORM),
            None => number(rest)?,
        },
        _ => number(costs)?,
    };
    if !(1_000..=10_000_000).contains(&rounds) {
        return Err(COST);
    }
    let ab64 = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes).replace('+', ".");
    Ok(format!("${kind}${rounds}${}${}", ab64(&salt), ab64(&result)))
}

/// 128 bits in 22 characters: the last one has two.
fn is_md5_result(text: &str) -> bool {
    is_crypt(text, 22..=22) && text.ends_with(['.', '/', '0', '1'])
}

fn md5_crypt(hash: &str) -> bool {
    let parts = hash.strip_prefix("$1$").and_then(|rest| rest.split_once('$'));
    parts.is_some_and(|(salt, result)| is_crypt(salt, 1..=8) && is_md5_result(result))
}

/// Rounds, salt and result of SHA-crypt; passwap compares the whole text, so nothing of it may be written differently.
fn sha2(hash: &str) -> Result<Cow<'_, str>, &'static str> {
    let (length, rest) = match hash.strip_prefix("$5$") {
        Some(rest) => (43, rest),
        None => (86, hash.strip_prefix("$6$").ok_or(FORM)?),
    };
    let rest = match rest.strip_prefix("rounds=").and_then(|rest| rest.split_once('$')) {
        Some((rounds, rest)) => {
            if !(1_000..=999_999_999).contains(&number(rounds)?) {
                return Err(COST);
            }
            rest
        }
        None => rest,
    };
    let (salt, result) = rest.split_once('$').ok_or(FORM)?;
    as_it_is(hash, is_crypt(salt, 1..=16) && is_crypt(result, length..=length))
}

/// The place of a character in the alphabet of `crypt(3)`.
fn log2(character: u8) -> Option<u32> {
    let place = match character {
        b'.' | b'/' => character - b'.',
        b'0'..=b'9' => character - b'0' + 2,
        b'A'..=b'Z' => character - b'A' + 12,
        b'a'..=b'z' => character - b'a' + 38,
        _ => return None,
    };
    Some(place.into())
}

fn phpass(hash: &str) -> Result<Cow<'_, str>, &'static str> {
    let Some((b"$P$" | b"$H$", [rounds, ..])) = hash.as_bytes().split_at_checked(3) else { return Err(FORM) };
    let sound = hash.get(4..12).is_some_and(|salt| is_crypt(salt, 8..=8)) && hash.get(12..).is_some_and(is_md5_result);
    match log2(*rounds) {
        Some(7..=31) => as_it_is(hash, sound),
        Some(_) if sound => Err(COST),
        _ => Err(FORM),
    }
}

fn drupal7(hash: &str) -> Result<Cow<'_, str>, &'static str> {
    let Some((b"$S$", [rounds, ..])) = hash.as_bytes().split_at_checked(3) else { return Err(FORM) };
    let sound = hash.get(4..).is_some_and(|rest| is_crypt(rest, 51..=51));
    match log2(*rounds) {
        // 1,024 to 262,144 of ZITADEL's 1,000 to 500,000.
        Some(10..=18) => as_it_is(hash, sound),
        Some(_) if sound => Err(COST),
        _ => Err(FORM),
    }
}

fn md5_salted(hash: &str) -> bool {
    let rest = hash.strip_prefix("$md5salted-prefix$").or_else(|| hash.strip_prefix("$md5salted-suffix$"));
    rest.and_then(|rest| rest.split_once('$')).is_some_and(|(salt, result)| {
        is_plain_salt(salt) && STANDARD.decode(result).is_ok_and(|bytes| bytes.len() == 16)
    })
}

/// passwap's `Sscanf` ends a word at white space, and the salt at a `$`.
fn is_plain_salt(salt: &str) -> bool {
    SALT_BYTES.contains(&salt.len()) && !salt.contains(|c: char| c == '$' || c.is_whitespace() || c.is_control())
}

/// MD5 of a password, with salt before or behind it where there is one.
pub(super) fn md5_of(result: &[u8], salt: Option<(&str, bool)>) -> Result<String, &'static str> {
    if result.len() != 16 {
        return Err(FORM);
    }
    match salt {
        None => Ok(crate::text::hex(result)),
        Some((salt, _)) if !is_plain_salt(salt) => Err("ZITADEL's encoding cannot carry this salt"),
        Some((salt, suffix)) => {
            let place = if suffix { "suffix" } else { "prefix" };
            Ok(format!("$md5salted-{place}${salt}${}", STANDARD.encode(result)))
        }
    }
}

#[cfg(test)]
mod tests;
