//! A digest of everything that is sent for a user, so that a later run sees what changed without keeping it.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use super::{canonical::canonical, draft::Draft};

/// Raise it when the encoding changes. The next plan compares users with another fingerprint by [`super::facts`], so nobody
/// is written for it.
const VERSION: u8 = 2;

/// What was, or would be, sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprints {
    /// All but the password and the second factors.
    pub profile: [u8; 16],
    /// The password, where there is one.
    pub password: Option<[u8; 16]>,
    /// The second factors, where there are any: one half the TOTP secret, the other half the recovery codes. A half
    /// without a factor is zero.
    pub factors: Option<[u8; 16]>,
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
    // Where second factors once stood; they have a digest of their own.
    profile.flag(false).count(0);
    profile.count(draft.metadata.len());
    for entry in &draft.metadata {
        let counts = !history.contains(&entry.key);
        profile.text(&entry.key).bytes(&if counts { canonical(&entry.value) } else { Vec::new() });
    }
    let password = draft.password.as_ref().map(|password| {
        let mut encoder = Encoder::new(key, b'W');
        encoder.text(&draft.user_id).text(password.hash.expose_secret()).flag(password.change_required);
        encoder.finish()
    });
    Fingerprints { profile: profile.finish(), password, factors: factors(draft, key) }
}

/// Apart from the rest: a run without the MFA file must not take the factors for removed.
fn factors(draft: &Draft, key: &[u8; 16]) -> Option<[u8; 16]> {
    if draft.totp_secret.is_none() && draft.recovery_codes.is_empty() {
        return None;
    }
    let half = |domain: u8, secrets: &mut dyn Iterator<Item = &SecretString>| {
        let mut encoder = Encoder::new(key, domain);
        encoder.text(&draft.user_id);
        let mut any = false;
        for secret in secrets {
            encoder.text(secret.expose_secret());
            any = true;
        }
        let digest = encoder.finish();
        if any { digest[..8].try_into().unwrap_or([0; 8]) } else { [0; 8] }
    };
    let totp: [u8; 8] = half(b'T', &mut draft.totp_secret.iter());
    let codes: [u8; 8] = half(b'C', &mut draft.recovery_codes.iter());
    let mut both = [0; 16];
    both[..8].copy_from_slice(&totp);
    both[8..].copy_from_slice(&codes);
    Some(both)
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
