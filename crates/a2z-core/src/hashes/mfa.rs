//! The MFA file of the support ticket: NDJSON, one line a factor, `type` at times left out.
//!
//! Joined by the whole `user_id`, and to nothing else: the second factors of a linked account are the primary user's, and
//! a file that names a secondary one is of the time before the link.
//!
//! Kept compactly, about 150 bytes a user with two factors, in chunks that never move, and wiped at the end.

mod store;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::store::{Kind, Store};
use super::{
    LoadOptions, algorithm,
    audit::{FileAudit, MalformedRow, list, refuse_useless, tally},
    row::trimmed,
};
use crate::{
    error::{Result, count, thousands},
    event::{Events, Running, Stage},
    input::settings::Source,
    input::{
        self, Options, RecordKind, Records, json_reason,
        scalar::{Fields, Raw, place, salvage, text},
    },
};

/// The second factors of one user, each list in the order of the files. Debug shows no secret.
#[derive(Debug, Clone, Default)]
pub struct Factors {
    /// TOTP secrets: Base32, upper case, unpadded.
    pub totp: Vec<SecretString>,
    /// Hashes of recovery codes: bcrypt, of a cost that ZITADEL takes.
    pub recovery_codes: Vec<SecretString>,
    /// The types of factors that cannot be moved.
    pub others: Vec<String>,
    /// Factors that could have been moved, and are damaged.
    pub unusable: Vec<Unusable>,
}

/// A factor that ZITADEL could not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Its kind: `totp`, `recovery-code`, or `unknown` if the row does not tell.
    pub kind: &'static str,
    /// What is wrong with it; nothing of it.
    pub why: String,
}

/// All second factors of the ticket files, by whole `user_id`.
#[derive(Default)]
pub struct MfaIndex {
    store: Store,
    audit: MfaAudit,
}

/// The audit of the MFA files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MfaAudit {
    /// The files, in the order in which they were named.
    pub files: Vec<FileAudit>,
    /// All rows, malformed ones included.
    pub rows: u64,
    /// Users with a factor.
    pub users: u64,
    /// TOTP secrets.
    pub totp: u64,
    /// Hashes of recovery codes.
    pub recovery_codes: u64,
    /// Factors that cannot be moved, by type.
    pub others: BTreeMap<String, u64>,
    /// Rows for a factor that was there already, and those beyond a hundred factors of one user.
    pub duplicates: u64,
    /// Rows that could not be read, or whose factor ZITADEL could not use.
    pub malformed_rows: u64,
    /// The first of them.
    pub malformed: Vec<MalformedRow>,
    /// Users with a factor whom nobody asked for; known after the plan.
    pub unused: u64,
}

impl MfaAudit {
    /// In a sentence, how many rows bring nobody a factor; none if all do.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.malformed_rows > 0).then(|| {
            format!(
                "{} of {} in the MFA files cannot be read or are of no use to ZITADEL",
                thousands(self.malformed_rows),
                count(self.rows, "row")
            )
        })
    }
}

impl MfaAudit {
    /// The first rows that bring nothing, with what is wrong with them.
    #[must_use]
    pub fn listed(&self) -> Vec<String> {
        self.malformed.iter().take(5).map(|row| format!("{}:{}: {}", row.file, row.line, row.reason)).collect()
    }
}

impl fmt::Debug for MfaIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MfaIndex").field("users", &self.store.users()).finish_non_exhaustive()
    }
}

impl fmt::Display for MfaAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} of {}", count(self.rows, "factor"), count(self.users, "user"));
        let known = [(self.totp, "TOTP"), (self.recovery_codes, "recovery code")];
        let rest = [
            (self.duplicates, "duplicate"),
            (self.malformed_rows, "malformed"),
            (self.unused, "of users who are not in the export"),
        ];
        let others = self.others.iter().map(|(kind, n)| (*n, kind.as_str()));
        for (n, what) in known.into_iter().chain(others).chain(rest) {
            if n > 0 {
                let _ = write!(text, ", {} {what}", thousands(n));
            }
        }
        writeln!(f, "{text}")
    }
}

/// ZITADEL takes texts up to here.
const LONGEST_SECRET: usize = 200;
/// Auth0's ids are far shorter, and ZITADEL takes 200 characters.
const LONGEST_ID: usize = 800;

enum Factor {
    Totp(SecretString),
    RecoveryCode(SecretString),
    Other(String),
    /// Of which kind, what is wrong with it, and the reason in full for the audit.
    Unusable(Kind, String, String),
}

impl MfaIndex {
    /// Reads all files. Malformed rows are counted in the audit and do not end it.
    ///
    /// # Errors
    /// A file cannot be read, see [`Records::open`].
    pub fn load(sources: &[Source], options: &LoadOptions, events: &Events) -> Result<Self> {
        let mut index = Self::default();
        if sources.is_empty() {
            return Ok(index);
        }
        let running = events.start(Stage::Factors, None);
        for source in sources {
            let mut reading = Options::new(options.max_line, "--mfa").with_digest();
            reading.spool.clone_from(&options.spool);
            index.read(Records::open(source, &reading)?, options.max_line, &running)?;
        }
        running.finish(index.audit.rows);
        Ok(index)
    }

    /// Reads one file that is open.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of(records: Records, max_line: usize) -> Result<Self> {
        let mut index = Self::default();
        index.read(records, max_line, &Events::silent().start(Stage::Factors, None))?;
        Ok(index)
    }

    fn read(&mut self, mut records: Records, max_line: usize, running: &Running) -> Result<()> {
        let (mut buf, mut rows, mut usable) = (Zeroizing::new(Vec::new()), 0, 0);
        while let Some(record) = records.next(&mut buf)? {
            let row = match record.kind {
                RecordKind::Whole => factor(&buf),
                RecordKind::TooLong { bytes } => Err(input::too_long(bytes, max_line)),
            };
            if row.is_err() && records.divide(&buf) {
                continue;
            }
            rows += 1;
            self.audit.rows += 1;
            let row = row.or_else(|reason| of_damaged_row(&buf, reason));
            match row.and_then(|(user_id, factor)| self.add(&user_id, factor)) {
                Ok(()) => usable += 1,
                Err(reason) => {
                    self.audit.malformed_rows += 1;
                    list(&mut self.audit.malformed, records.label(), record.line, reason);
                }
            }
            if self.audit.rows.is_multiple_of(4096) {
                running.advanced(self.audit.rows, None);
            }
        }
        let sha256 = records.digest().unwrap_or_default();
        self.audit.files.push(FileAudit { file: records.label().to_owned(), rows, usable, sha256 });
        self.audit.users = self.store.users();
        Ok(())
    }

    fn add(&mut self, user_id: &str, factor: Factor) -> Result<(), String> {
        let (kind, secret, counter) = match factor {
            Factor::Totp(secret) => (Kind::Totp, secret, &mut self.audit.totp),
            Factor::RecoveryCode(hash) => (Kind::RecoveryCode, hash, &mut self.audit.recovery_codes),
            Factor::Other(name) => {
                tally(&mut self.audit.others, &name);
                self.store.put(user_id, Kind::Other, name.as_bytes())?;
                return Ok(());
            }
            Factor::Unusable(kind, what, reason) => {
                self.store.put(user_id, kind, what.as_bytes())?;
                return Err(reason);
            }
        };
        let new = self.store.put(user_id, kind, secret.expose_secret().as_bytes())?;
        *if new { counter } else { &mut self.audit.duplicates } += 1;
        Ok(())
    }

    /// The factors of a user, by the whole `user_id`.
    #[must_use]
    pub fn find(&self, user_id: &str) -> Option<Factors> {
        let mut factors = Factors::default();
        for (kind, bytes) in self.store.find(user_id)? {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            let unusable = |kind| Unusable { kind, why: text.to_owned() };
            match kind {
                Kind::Totp => factors.totp.push(text.into()),
                Kind::RecoveryCode => factors.recovery_codes.push(text.into()),
                Kind::Other => factors.others.push(text.to_owned()),
                Kind::UnusableTotp => factors.unusable.push(unusable("totp")),
                Kind::UnusableRecoveryCode => factors.unusable.push(unusable("recovery-code")),
                Kind::Unusable => factors.unusable.push(unusable("unknown")),
            }
        }
        Some(factors)
    }

    /// A file without one usable row would move everybody without a second factor.
    ///
    /// # Errors
    /// Of kind `Check`, with the file's name, what is wrong with its rows, and what to do.
    pub fn require_usable(&self) -> Result<()> {
        refuse_useless(&self.audit.files, &self.audit.malformed, ("factor", "second factors", "--mfa"), &[])
    }

    /// Whether no file was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.audit.files.is_empty()
    }

    /// SHA-256 over all files in the order in which they were named, for of several TOTP secrets the last one counts;
    /// empty where there is none.
    #[must_use]
    pub fn digest(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let digests: Vec<_> = self.audit.files.iter().map(|file| file.sha256.as_str()).collect();
        crate::text::hex(&Sha256::digest(digests.concat()))
    }

    /// The audit. Its `unused` counts the users that nobody asked for until now.
    #[must_use]
    pub fn audit(&self) -> MfaAudit {
        MfaAudit { unused: self.store.unused(), ..self.audit.clone() }
    }
}

const NAMES: [&str; 4] = ["user_id", "type", "otp_secret", "recovery_code"];

fn factor(json: &[u8]) -> Result<(String, Factor), String> {
    let fields: Fields<'_, 4> =
        Fields::read(json, |key| place(&NAMES, key), |_| ()).map_err(|error| json_reason(&error))?;
    let user_id = fields.get(0).map(text).transpose().map_err(|()| "`user_id` is not a text".to_owned())?;
    let user_id = user_id.flatten().and_then(trimmed).ok_or("the row has no `user_id`")?.into_owned();
    if user_id.len() > LONGEST_ID {
        return Err("`user_id` is too long".to_owned());
    }
    // From here on it is known whose row it is: that user hears of it.
    let factor = match (read(&fields, 1), read(&fields, 2), read(&fields, 3)) {
        (_, Ok(Some(secret)), _) => match base32(&secret) {
            Ok(secret) => Factor::Totp(secret),
            Err(what) => {
                Factor::Unusable(Kind::UnusableTotp, format!("TOTP secret: {what}"), format!("`otp_secret` is {what}"))
            }
        },
        (_, Err(()), _) => {
            Factor::Unusable(Kind::UnusableTotp, "TOTP secret: not a text".into(), "`otp_secret` is not a text".into())
        }
        (_, _, Ok(Some(hash))) => recovery_code(hash.into_owned().into()),
        (_, _, Err(())) => Factor::Unusable(
            Kind::UnusableRecoveryCode,
            "recovery code: not a text".into(),
            "`recovery_code` is not a text".into(),
        ),
        (Ok(Some(kind)), ..) if matches!(&*kind, "otp" | "totp") => Factor::Unusable(
            Kind::UnusableTotp,
            "TOTP secret: none in the row".into(),
            "the row has no `otp_secret`".into(),
        ),
        (Ok(Some(kind)), ..) if kind == "recovery-code" => Factor::Unusable(
            Kind::UnusableRecoveryCode,
            "recovery code: none in the row".into(),
            "the row has no `recovery_code`".into(),
        ),
        (Ok(Some(kind)), ..) => Factor::Other(kind.chars().take(40).collect()),
        _ => Factor::Unusable(
            Kind::Unusable,
            "a row without a factor".into(),
            "the row has neither a `type` that is a text nor a factor".into(),
        ),
    };
    Ok((user_id, factor))
}

/// A text of a row, without white space around it.
fn read<'a>(fields: &Fields<'a, 4>, column: usize) -> Result<Option<std::borrow::Cow<'a, str>>, ()> {
    let value: Option<Raw<'a>> = fields.get(column);
    Ok(value.map(text).transpose()?.flatten().and_then(trimmed))
}

/// A row that cannot be read as JSON, or is too long, may still say whose it is.
fn of_damaged_row(row: &[u8], reason: String) -> Result<(String, Factor), String> {
    match salvage(row, NAMES[0]).filter(|user_id| user_id.len() <= LONGEST_ID) {
        Some(user_id) => Ok((user_id, Factor::Unusable(Kind::Unusable, "a row that is damaged".into(), reason))),
        None => Err(reason),
    }
}

/// ZITADEL looks at the beginning of a hash only; one that it cannot match would be a code that never works.
fn recovery_code(hash: SecretString) -> Factor {
    match algorithm::check(hash.expose_secret()) {
        _ if algorithm::bcrypt(hash.expose_secret()).is_none() => {
            let what = "not a bcrypt hash";
            Factor::Unusable(
                Kind::UnusableRecoveryCode,
                format!("recovery code: {what}"),
                format!("`recovery_code` is {what}"),
            )
        }
        Ok(()) => Factor::RecoveryCode(hash),
        Err(unusable) => Factor::Unusable(
            Kind::UnusableRecoveryCode,
            format!("recovery code: {unusable}"),
            format!("`recovery_code` is {unusable}"),
        ),
    }
}

/// A TOTP secret in the one form that authenticator apps agree on. ZITADEL takes any text for one, and then no code of the
/// user's app would ever be right.
fn base32(secret: &str) -> Result<SecretString, &'static str> {
    let clean: String = secret
        .trim_end_matches('=')
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let clean = Zeroizing::new(clean);
    let alphabet = clean.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
    // Whole bytes only: 2, 4, 5 or 7 characters remain after groups of eight.
    if clean.is_empty() || !alphabet || matches!(clean.len() % 8, 1 | 3 | 6) {
        return Err("not Base32");
    }
    if clean.len() > LONGEST_SECRET {
        return Err("longer than 200 characters");
    }
    Ok(SecretString::from(clean.as_str()))
}

#[cfg(test)]
mod tests;
