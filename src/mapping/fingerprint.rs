//! A digest of everything that is sent for a user, so that a later run sees what changed without keeping it.

use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};

use super::draft::Draft;

/// Raise it when the encoding changes: every user then counts as changed once.
const VERSION: u8 = 1;

/// What was, or would be, sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprints {
    /// All but the password.
    pub profile: [u8; 16],
    /// The password, where there is one.
    pub password: Option<[u8; 16]>,
}

/// The fingerprints of `draft`. `key` is the ledger's own, random: without it nothing can be guessed from them.
#[must_use]
pub fn fingerprints(draft: &Draft, key: &[u8; 16]) -> Fingerprints {
    fingerprints_but(draft, key, &[])
}

/// The same, where the values under the metadata keys `history` do not count, only that they are there: a sign-in at
/// Auth0 is no change of the user.
#[must_use]
pub fn fingerprints_but(draft: &Draft, key: &[u8; 16], history: &[String]) -> Fingerprints {
    let mut profile = Encoder::new(key, b'P');
    profile.text(&draft.user_id).text(&draft.user_name);
    let names = &draft.profile;
    profile.text(&names.first_name).text(&names.last_name);
    for optional in [&names.display_name, &names.nick_name, &names.preferred_language] {
        profile.optional(optional.as_deref());
    }
    profile.text(&draft.email.address).flag(draft.email.verified);
    profile.optional(draft.phone.as_ref().map(|phone| phone.number.as_str()));
    profile.flag(draft.phone.as_ref().is_some_and(|phone| phone.verified));
    profile.flag(draft.inactive);
    profile.count(draft.links.len());
    for link in &draft.links {
        profile.text(&link.idp_id).text(&link.external_user_id).text(&link.display_name);
    }
    profile.optional(draft.totp_secret.as_ref().map(ExposeSecret::expose_secret));
    profile.count(draft.recovery_codes.len());
    for code in &draft.recovery_codes {
        profile.text(code.expose_secret());
    }
    profile.count(draft.metadata.len());
    for entry in &draft.metadata {
        let counts = !history.contains(&entry.key);
        profile.text(&entry.key).bytes(if counts { &entry.value } else { &[] });
    }
    let password = draft.password.as_ref().map(|password| {
        let mut encoder = Encoder::new(key, b'W');
        encoder.text(&draft.user_id).text(password.hash.expose_secret()).flag(password.change_required);
        encoder.finish()
    });
    Fingerprints { profile: profile.finish(), password }
}

/// Every value with its length before it, so that no two drafts give the same bytes.
struct Encoder(Sha256);

impl Encoder {
    fn new(key: &[u8; 16], domain: u8) -> Self {
        Self(Sha256::new_with_prefix(key).chain_update([VERSION, domain]))
    }

    fn count(&mut self, n: usize) -> &mut Self {
        self.0.update((n as u64).to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len());
        self.0.update(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn flag(&mut self, flag: bool) -> &mut Self {
        self.0.update([u8::from(flag)]);
        self
    }

    fn optional(&mut self, text: Option<&str>) -> &mut Self {
        self.flag(text.is_some());
        if let Some(text) = text {
            self.text(text);
        }
        self
    }

    fn finish(self) -> [u8; 16] {
        let digest: [u8; 32] = self.0.finalize().into();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        short
    }
}
