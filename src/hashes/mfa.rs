//! The MFA file of the support ticket: NDJSON, one line a factor, `type` at times left out. Read and audited now; a
//! later issue moves what can be moved.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::{self, Write as _},
};

use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::Serialize;

use super::{
    LoadOptions, algorithm,
    audit::{FileAudit, MalformedRow, list, tally},
};
use crate::{
    config::Source,
    error::{Result, count, thousands},
    event::{Events, Stage},
    input::{
        self, Options, RecordKind, Records, json_reason,
        scalar::{Fields, place, text},
    },
};

/// The second factors of one user. Debug shows no secret.
#[derive(Debug, Clone, Default)]
pub struct Factors {
    /// TOTP secrets: Base32, upper case, unpadded. The first of the file is the first here.
    pub totp: Vec<SecretString>,
    /// Hashes of recovery codes (bcrypt).
    pub recovery_codes: Vec<SecretString>,
    /// The types of factors that cannot be moved.
    pub others: Vec<String>,
}

/// All second factors of the ticket files, by whole `user_id`.
#[derive(Default)]
pub struct MfaIndex {
    users: HashMap<Box<str>, Factors>,
    audit: MfaAudit,
}

/// The audit of the MFA files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
    /// Rows that could not be read.
    pub malformed_rows: u64,
    /// The first of them.
    pub malformed: Vec<MalformedRow>,
}

impl fmt::Debug for MfaIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MfaIndex").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for MfaAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} of {}", count(self.rows, "factor"), count(self.users, "user"));
        let known = [(self.totp, "TOTP"), (self.recovery_codes, "recovery code")];
        let rest = [(self.duplicates, "duplicate"), (self.malformed_rows, "malformed")];
        let others = self.others.iter().map(|(kind, n)| (*n, kind.as_str()));
        for (n, what) in known.into_iter().chain(others).chain(rest) {
            if n > 0 {
                let _ = write!(text, ", {} {what}", thousands(n));
            }
        }
        writeln!(f, "{text}")
    }
}

/// The most factors that are kept of one user: nobody has as many, and a file of one user's only must not fill the memory.
const MOST: usize = 100;

enum Factor {
    Totp(SecretString),
    RecoveryCode(SecretString),
    Other(String),
}

impl MfaIndex {
    /// Reads all files. Malformed rows are counted in the audit and do not end it.
    ///
    /// # Errors
    /// A file cannot be read, see [`Records::open`].
    pub fn load(sources: &[Source], options: &LoadOptions, events: &Events) -> Result<Self> {
        let running = events.start(Stage::Hashes, None);
        let mut index = Self::default();
        for source in sources {
            let mut reading = Options::new(options.max_line, "--mfa").with_digest();
            reading.spool.clone_from(&options.spool);
            index.read(Records::open(source, &reading)?, options.max_line)?;
            running.advanced(index.audit.rows, None);
        }
        index.audit.users = index.users.len() as u64;
        running.finish(index.audit.rows);
        Ok(index)
    }

    /// Reads one file that is open.
    #[cfg(feature = "sandbox")]
    pub(crate) fn of(records: Records, max_line: usize) -> Result<Self> {
        let mut index = Self::default();
        index.read(records, max_line)?;
        index.audit.users = index.users.len() as u64;
        Ok(index)
    }

    fn read(&mut self, mut records: Records, max_line: usize) -> Result<()> {
        let (mut buf, mut rows) = (Zeroizing::new(Vec::new()), 0);
        while let Some(record) = records.next(&mut buf)? {
            rows += 1;
            let row = match record.kind {
                RecordKind::Whole => factor(&buf),
                RecordKind::TooLong { bytes } => Err(input::too_long(bytes, max_line)),
            };
            match row {
                Ok((user_id, factor)) => self.add(user_id, factor),
                Err(reason) => {
                    self.audit.malformed_rows += 1;
                    list(&mut self.audit.malformed, records.label(), record.line, reason);
                }
            }
        }
        self.audit.rows += rows;
        let sha256 = records.digest().unwrap_or_default();
        self.audit.files.push(FileAudit { file: records.label().to_owned(), rows, sha256 });
        Ok(())
    }

    fn add(&mut self, user_id: String, factor: Factor) {
        let factors = self.users.entry(user_id.into_boxed_str()).or_default();
        let held = factors.totp.len() + factors.recovery_codes.len() + factors.others.len();
        let (kept, secret, counter) = match factor {
            Factor::Totp(secret) => (&mut factors.totp, secret, &mut self.audit.totp),
            Factor::RecoveryCode(hash) => (&mut factors.recovery_codes, hash, &mut self.audit.recovery_codes),
            Factor::Other(kind) => {
                tally(&mut self.audit.others, &kind);
                if held < MOST {
                    factors.others.push(kind);
                }
                return;
            }
        };
        if held >= MOST || kept.iter().any(|known| known.expose_secret() == secret.expose_secret()) {
            self.audit.duplicates += 1;
        } else {
            *counter += 1;
            kept.push(secret);
        }
    }

    /// The factors of a user, by the whole `user_id`.
    #[must_use]
    pub fn find(&self, user_id: &str) -> Option<&Factors> {
        self.users.get(user_id)
    }

    /// The audit.
    #[must_use]
    pub fn audit(&self) -> &MfaAudit {
        &self.audit
    }
}

const NAMES: [&str; 4] = ["user_id", "type", "otp_secret", "recovery_code"];

fn factor(json: &[u8]) -> Result<(String, Factor), String> {
    let fields: Fields<'_, 4> =
        Fields::read(json, |key| place(&NAMES, key), |_| ()).map_err(|error| json_reason(&error))?;
    let field = |column: usize| {
        let value = fields.get(column).map(text).transpose();
        value.map(Option::flatten).map_err(|()| format!("`{}` is not a text", NAMES[column]))
    };
    let user_id = field(0)?.ok_or("the row has no `user_id`")?.into_owned();
    let factor = match (field(1)?, field(2)?, field(3)?) {
        (_, Some(secret), _) => Factor::Totp(base32(&secret)?),
        (_, None, Some(hash)) if algorithm::bcrypt(&hash).is_some() => {
            Factor::RecoveryCode(SecretString::from(hash.into_owned()))
        }
        (_, None, Some(_)) => return Err("`recovery_code` is not a bcrypt hash".to_owned()),
        (Some(kind), None, None) if matches!(&*kind, "otp" | "totp") => {
            return Err("the row has no `otp_secret`".to_owned());
        }
        (Some(kind), None, None) if kind == "recovery-code" => {
            return Err("the row has no `recovery_code`".to_owned());
        }
        (Some(kind), None, None) => Factor::Other(kind.chars().take(40).collect()),
        (None, None, None) => return Err("the row has neither `type` nor a factor".to_owned()),
    };
    Ok((user_id, factor))
}

/// A TOTP secret in the one form that authenticator apps agree on.
fn base32(secret: &str) -> Result<SecretString, String> {
    let clean: String = secret
        .trim_end_matches('=')
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let clean = Zeroizing::new(clean);
    let alphabet = clean.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
    // Whole bytes only: 2, 4, 5 or 7 characters remain after groups of eight.
    if clean.is_empty() || !alphabet || matches!(clean.len() % 8, 1 | 3 | 6) {
        return Err("`otp_secret` is not Base32".to_owned());
    }
    Ok(SecretString::from(clean.as_str()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn load(name: &str) -> MfaIndex {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mfa").join(name);
        let options = LoadOptions { max_line: 1 << 20, ..LoadOptions::default() };
        MfaIndex::load(&[Source::File(file)], &options, &Events::silent()).unwrap()
    }

    #[test]
    fn factors_are_read_with_and_without_type() {
        let index = load("every-form.ndjson");
        let first = index.find("auth0|64db9dba7f18450dc2502340").unwrap();
        assert_eq!(first.totp[0].expose_secret(), "PA6FWZ3EGU2DMZCSKU2DOQCNNY2X26L2");
        assert_eq!(first.recovery_codes.len(), 1);
        let second = index.find("auth0|64db9dba7f18450dc2502341").unwrap();
        assert_eq!(second.totp[0].expose_secret(), "JBSWY3DPEHPK3PXP");
        assert_eq!(second.recovery_codes.len(), 1);
        assert_eq!(second.others, ["phone"]);
        assert!(index.find("64db9dba7f18450dc2502341").is_none());
        let audit = index.audit();
        assert_eq!((audit.rows, audit.users, audit.totp, audit.recovery_codes), (9, 2, 2, 2));
        assert_eq!((audit.duplicates, audit.malformed_rows), (1, 3));
        assert_eq!(audit.malformed.iter().map(|row| row.line).collect::<Vec<_>>(), [7, 8, 9]);
        assert!(!format!("{index:?}{first:?}{audit:?}{audit}").contains("PA6FWZ3E"));
    }
}
