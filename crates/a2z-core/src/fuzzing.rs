//! What the fuzz targets in `fuzz/` call, and the tests over their corpus: bytes in, and promises that hold for any bytes.
//! Not part of the library's interface.

use std::io::{self, Read};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    auth0,
    auth0::rows::{Row, RowKind, Rows},
    config::{self, Environment, MetadataStyle, Overrides},
    error::{Error, is_deceptive},
    hashes::{HashIndex, LoadOptions, Lookup, mfa::MfaIndex},
    http::{Answer, retry},
    input::{Options, Records},
    join::{self, Shape},
    mapping::{self, Roads, draft::Draft, fingerprint::fingerprints},
    zitadel,
    zitadel::import::ImportBody,
};

/// Short, so that rows over the limit are met often.
const MAX_LINE: usize = 4 << 10;

/// Takes any bytes, and panics where a promise is broken.
pub type Target = fn(&[u8]);

/// The targets, by name: each has a folder in `fuzz/corpus` and a file in `fuzz/fuzz_targets`.
pub const TARGETS: &[(&str, Target)] = &[
    ("export_rows", export_rows),
    ("hash_file", hash_file),
    ("mfa_file", mfa_file),
    ("zitadel_answer", zitadel_answer),
    ("auth0_answer", auth0_answer),
    ("config_file", config_file),
];

/// Gives its bytes a few at a time.
struct Trickle {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let size = self.step.min(rest.len()).min(buf.len());
        buf[..size].copy_from_slice(&rest[..size]);
        self.at += size;
        // Other steps each time, from 1.
        self.step = self.step % 61 + 1;
        Ok(size)
    }
}

fn records(bytes: &[u8], step: usize) -> Result<Records, Error> {
    let options = Options::new(MAX_LINE, "--users").with_digest();
    Records::from_reader(Trickle { bytes: bytes.to_vec(), at: 0, step }, "input", &options)
}

/// A text that a stranger may have a hand in.
fn assert_shown(text: &str) {
    let raw = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_deceptive(c);
    assert!(!text.contains(raw), "printed raw: {text:?}");
    assert!(text.len() < 64 << 10, "{} bytes are shown", text.len());
}

fn rows(bytes: &[u8], step: usize) -> (Vec<Row>, Option<String>) {
    let options = Options::new(MAX_LINE, "--users").with_digest();
    let mut found = Vec::new();
    let mut rows = match records(bytes, step) {
        Ok(records) => Rows::over(records, &options),
        Err(error) => return (found, Some(error.render())),
    };
    loop {
        match rows.next() {
            Ok(Some(row)) => found.push(row),
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error.render())),
        }
    }
}

/// An export: it is read the same however it arrives, every row is a user or has a reason, and what the mapping lets
/// through ZITADEL takes.
///
/// # Panics
/// Where a promise is broken.
pub fn export_rows(bytes: &[u8]) {
    let (whole, error) = rows(bytes, usize::MAX);
    let (pieces, error_of_pieces) = rows(bytes, 1);
    assert_eq!(error, error_of_pieces, "the pieces in which a file comes change its error");
    // Of a damaged file more or fewer rows come before its error, which ends the run in any case.
    assert!(
        error.is_some() || whole.len() == pieces.len(),
        "the pieces in which a file comes change how many rows it has"
    );
    for (one, other) in whole.iter().zip(&pieces) {
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "the pieces in which a file comes change its rows");
    }
    if let Some(error) = &error {
        assert_shown(error);
    }
    assert!(whole.is_sorted_by(|a, b| a.line <= b.line), "lines go backwards");
    let index = HashIndex::empty();
    for row in whole {
        match row.kind {
            RowKind::Malformed { reason, user_id } => {
                assert!(!reason.is_empty() && user_id.is_none_or(|id| id.chars().count() <= 200));
                assert_shown(&reason);
            }
            RowKind::User(user) => {
                for style in [MetadataStyle::Json, MetadataStyle::Spread] {
                    let config = config::Mapping { metadata: style, ..config::Config::default().mapping };
                    let joined =
                        join::join((*user).clone(), &index, &config::Config::default().join, &Shape::default());
                    if let Ok(draft) = mapping::map(joined, &config, Roads::ImportOnly).draft {
                        assert_taken(&draft);
                    }
                }
            }
        }
    }
}

/// A user keeps to ZITADEL's limits, and the request with the user says the same as the draft.
///
/// # Panics
/// Where it is not so.
pub fn assert_taken(draft: &Draft) {
    let within = |what: &str, text: &str| {
        let length = text.chars().count();
        assert!((1..=200).contains(&length), "{what} has {length} characters");
    };
    let profile = &draft.profile;
    within("the id", &draft.user_id);
    for (what, text) in [
        ("the user name", draft.user_name.as_str()),
        ("the first name", &profile.first_name),
        ("the last name", &profile.last_name),
        ("the address", &draft.email.address),
    ] {
        within(what, text);
        assert_eq!(text.trim(), text, "{what} is not trimmed");
    }
    for text in [&profile.display_name, &profile.nick_name, &profile.preferred_language].into_iter().flatten() {
        within("a name", text);
    }
    if let Some(phone) = &draft.phone {
        let digits = phone.number.strip_prefix('+').unwrap_or_default();
        assert!((2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()), "{}", phone.number);
    }
    for entry in &draft.metadata {
        within("a metadata key", &entry.key);
        assert!((1..=500_000).contains(&entry.value.len()));
    }
    let prints = fingerprints(draft, &[7; 16]);
    assert_eq!(prints, fingerprints(&draft.clone(), &[7; 16]));
    let mut body = ImportBody::new("1");
    body.push(draft);
    let bytes = body.finish(std::time::Duration::from_mins(1));
    let Ok(json) = serde_json::from_slice::<Value>(&bytes) else { panic!("the import body is no JSON") };
    let org = &json["dataOrgs"]["orgs"][0];
    let user = &org["humanUsers"][0];
    assert_eq!(user["userId"], draft.user_id);
    assert_eq!(user["user"]["userName"], draft.user_name);
    assert_eq!(user["user"]["profile"]["firstName"], profile.first_name);
    assert_eq!(user["user"]["email"]["email"], draft.email.address);
    assert_eq!(user["user"]["email"]["isEmailVerified"], draft.email.verified);
    for (index, entry) in draft.metadata.iter().enumerate() {
        let value = org["userMetadata"][index]["value"].as_str().and_then(|text| STANDARD.decode(text).ok());
        assert!(value.as_ref() == Some(&entry.value), "metadata is not what it was");
    }
}

/// A hash file: every row is in the audit exactly once, in whatever pieces it arrives.
///
/// # Panics
/// Where a promise is broken.
pub fn hash_file(bytes: &[u8]) {
    let options = LoadOptions { by_email: true, max_line: MAX_LINE, ..LoadOptions::default() };
    let load = |step| records(bytes, step).and_then(|records| HashIndex::of(records, &options));
    let (index, pieces) = (load(usize::MAX), load(1));
    assert_eq!(index.as_ref().err().map(Error::render), pieces.as_ref().err().map(Error::render));
    let (Ok(index), Ok(pieces)) = (index, pieces) else { return };
    let audit = index.audit();
    assert_eq!(audit, pieces.audit());
    assert_eq!(index.digest(), pieces.digest());
    let sum = index.len() as u64 + audit.duplicates + audit.superseded + audit.without_hash + audit.malformed_rows;
    assert_eq!(audit.rows, sum, "a row is not in the audit, or twice: {audit:?}");
    for row in &audit.malformed {
        assert_shown(&row.reason);
    }
    for id in ["", "1", "auth0|1", "64db9dba7f18450dc2502340"] {
        if let Lookup::Found(row) = index.find(Some("db"), id) {
            assert!(!format!("{row:?}").contains("$2b$"));
        }
    }
}

/// An MFA file: every row is in the audit exactly once, in whatever pieces it arrives.
///
/// # Panics
/// Where a promise is broken.
pub fn mfa_file(bytes: &[u8]) {
    let load = |step| records(bytes, step).and_then(|records| MfaIndex::of(records, MAX_LINE));
    let (index, pieces) = (load(usize::MAX), load(1));
    assert_eq!(index.as_ref().err().map(Error::render), pieces.as_ref().err().map(Error::render));
    let (Ok(index), Ok(pieces)) = (index, pieces) else { return };
    let audit = index.audit();
    assert_eq!(audit, pieces.audit());
    let others: u64 = audit.others.values().sum();
    let sum = audit.totp + audit.recovery_codes + others + audit.duplicates + audit.malformed_rows;
    assert_eq!(audit.rows, sum, "a row is not in the audit, or twice: {audit:?}");
    for row in &audit.malformed {
        assert_shown(&row.reason);
    }
}

/// The first byte chooses a status, the line after it is the value of headers, the rest is the body.
fn answer(bytes: &[u8]) -> Answer {
    const STATUS: [u16; 12] = [200, 201, 204, 302, 400, 401, 403, 404, 413, 429, 500, 503];
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let headers = ["retry-after", "date", "x-ratelimit-reset"].map(|name| (name, &rest[..end]));
    Answer::of(STATUS[usize::from(*first) % STATUS.len()], &headers, rest.get(end..).unwrap_or_default())
}

/// An answer of ZITADEL, to whatever was asked.
///
/// # Panics
/// Where a promise is broken.
pub fn zitadel_answer(bytes: &[u8]) {
    let answer = answer(bytes);
    let _ = (retry::server_hint(&answer), answer.date());
    let failure = zitadel::failure::Failure::from_answer(&answer);
    failure.id().into_iter().for_each(assert_shown);
    assert_shown(&failure.into_error("could not ask").render());
    match zitadel::import::ImportAnswer::parse(&answer.body) {
        Ok(read) => read.errors.iter().for_each(|error| assert_shown(&error.message_key)),
        Err(failure) => assert_shown(&failure.into_error("could not import").render()),
    }
    if let Err(failure) = zitadel::search::read_search(&answer) {
        assert_shown(&failure.into_error("could not search").render());
    }
}

/// An answer of Auth0, to whatever was asked.
///
/// # Panics
/// Where a promise is broken.
pub fn auth0_answer(bytes: &[u8]) {
    let answer = answer(bytes);
    let _ = retry::server_hint(&answer);
    let failure = auth0::client::Failure::from_answer(&answer);
    assert_shown(&failure.into_error("could not ask").render());
    if let Ok(job) = serde_json::from_slice::<auth0::export::Job>(&answer.body) {
        assert!(job.location().is_none() || format!("{job:?}").contains("REDACTED"), "a signed link is shown");
    }
    let _ = serde_json::from_slice::<Vec<auth0::connections::Connection>>(&answer.body);
}

/// A configuration file.
///
/// # Panics
/// Where a promise is broken, or no file can be written.
pub fn config_file(bytes: &[u8]) {
    let Ok(mut file) = tempfile::NamedTempFile::new() else { panic!("no temporary file") };
    assert!(io::Write::write_all(&mut file, bytes).is_ok());
    let overrides = Overrides { config: Some(file.path().to_owned()), ..Overrides::default() };
    match config::load(&overrides, &Environment::default()) {
        Ok(loaded) => {
            let http = &loaded.config.http;
            // Clocks must be able to reach every deadline.
            let now = tokio::time::Instant::now();
            assert!(
                [http.max_elapsed, http.max_wait, http.request_timeout]
                    .iter()
                    .all(|time| now.checked_add(*time).is_some())
            );
        }
        Err(error) => assert_shown(&error.render()),
    }
}

#[cfg(test)]
mod tests;
