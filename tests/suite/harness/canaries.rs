//! What no run may print, and no file that it leaves may hold: looked for after every run of every test.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path, sync::OnceLock};

use a2z::sandbox::{
    auth0::Auth0,
    tenant::{IDP_SECRET, POOL},
    zitadel::Zitadel,
};
use aho_corasick::AhoCorasick;

/// Secrets with the name that is shown instead.
#[derive(Default)]
pub(crate) struct Canaries {
    secrets: BTreeMap<Vec<u8>, String>,
    finder: OnceLock<AhoCorasick>,
}

impl Canaries {
    /// All of both vendors.
    pub(crate) fn of(auth0: &Auth0, zitadel: &Zitadel) -> Self {
        let mut canaries = Self::default();
        canaries.add("the client secret of Auth0", &auth0.client_secret);
        canaries.add("a connection's client secret", IDP_SECRET);
        canaries.add("ZITADEL's token", &zitadel.token);
        canaries.add("ZITADEL's client secret", &zitadel.client_secret);
        for (name, text) in [
            // `{"alg":` and `{"typ":`: a JWT's head begins so; signed links end so.
            ("a JWT", "eyJhbGci"),
            ("a JWT with its type first", "eyJ0eXAi"),
            ("a signed link", "Signature="),
            ("a link's signature", "~-__"),
            ("a private key", "PRIVATE KEY"),
        ] {
            canaries.add(name, text);
        }
        // The key file, line by line, as an error might quote it.
        let key: serde_json::Value = serde_json::from_str(&zitadel.key_json).unwrap();
        key["key"].as_str().unwrap_or_default().lines().for_each(|line| canaries.add("a line of ZITADEL's key", line));
        for row in auth0.tenant().rows() {
            for line in row.hashes.iter().chain(&row.mfa) {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                for key in ["passwordHash", "otp_secret", "recovery_code"] {
                    let Some(secret) = line[key].as_str().filter(|secret| secret.len() >= 16) else { continue };
                    canaries.add(&format!("{key} of row {}", row.index), secret);
                    // A hash without its salt, too.
                    let end = secret.len().saturating_sub(20);
                    canaries
                        .add(&format!("the end of {key} of row {}", row.index), secret.get(end..).unwrap_or(secret));
                }
            }
        }
        // `0000000000` stands in many a file.
        let telling = |password: &str| password.chars().any(|c| !password.starts_with(c));
        for (number, (password, _)) in POOL.iter().enumerate().filter(|(_, (password, _))| telling(password)) {
            // Passwords are in no input; that nobody prints those that are asked for is sure, and cheap to see.
            canaries.add(&format!("password {number}"), password);
        }
        canaries
    }

    /// Short texts are in many a place.
    pub(crate) fn add(&mut self, name: &str, secret: &str) {
        if secret.len() >= 4 && (secret.len() > 8 || name.contains("a link's") || name == "a JWT") {
            self.secrets.entry(secret.as_bytes().to_vec()).or_insert_with(|| name.to_owned());
        } else if name.starts_with("a JWT") {
            self.secrets.insert(secret.as_bytes().to_vec(), name.to_owned());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.secrets.len()
    }

    /// The name of a secret that stands in `text`.
    pub(crate) fn find(&self, text: &[u8]) -> Option<&str> {
        if self.secrets.is_empty() {
            return None;
        }
        let finder = self.finder.get_or_init(|| AhoCorasick::new(self.secrets.keys()).unwrap());
        let found = finder.find(text)?;
        self.secrets.values().nth(found.pattern().as_usize()).map(String::as_str)
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self, place: &str, text: &[u8]) {
        if let Some(name) = self.find(text) {
            panic!("{name} is in {place}");
        }
    }

    /// The folder and the files are for their owner, and nothing of ours in them holds a secret or a character that
    /// drives a terminal. The export is Auth0's own, and excepted from the search.
    #[track_caller]
    pub(crate) fn assert_clean_folder(&self, state: &Path) {
        let Ok(entries) = fs::read_dir(state) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // A run that goes on beside may just have put it elsewhere.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let mode = metadata.permissions().mode();
            assert_eq!(mode & 0o077, 0, "others may read `{name}`: {:o}", mode & 0o777);
            if !metadata.is_file() || name.starts_with("export-") {
                continue;
            }
            let Ok(bytes) = fs::read(&path) else { continue };
            self.assert_clean(&name, &bytes);
            if name.ends_with("json") || name.ends_with("html") {
                assert_quiet(&name, &String::from_utf8(bytes).unwrap());
            }
        }
        let mode = fs::metadata(state).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "others may look into the state folder: {:o}", mode & 0o777);
    }
}

/// Nothing in it drives a terminal, hides, or turns the direction of writing.
#[track_caller]
pub(crate) fn assert_quiet(place: &str, text: &str) {
    let raw = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || a2z::error::is_deceptive(c);
    if let Some(at) = text.find(raw) {
        let around: String = text[at..].chars().take(40).collect();
        panic!("a character that is printed raw in {place}: {around:?}");
    }
}
