//! Auth0's `custom_password_hash`, as its bulk import documents it: the shape in which hashes of other algorithms came to
//! Auth0. How the ticket file spells them is not documented; where this very shape stands in a row it is understood, and
//! what can be said exactly in passwap's encoding becomes that. Nothing is guessed.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;

use super::passwap;

#[derive(Deserialize)]
struct Custom {
    algorithm: String,
    hash: Part,
    salt: Option<Part>,
    password: Option<Password>,
    keylen: Option<u64>,
    cost: Option<u64>,
    #[serde(rename = "blockSize")]
    block_size: Option<u32>,
    parallelization: Option<u32>,
}

#[derive(Deserialize)]
struct Part {
    value: String,
    encoding: Option<String>,
    position: Option<String>,
}

#[derive(Deserialize)]
struct Password {
    encoding: Option<String>,
}

/// With or without padding; Auth0 takes the alphabet for URLs, too.
fn base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim().replace('-', "+").replace('_', "/");
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(text).ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.trim().chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

impl Part {
    fn bytes(&self, default: &str) -> Result<Vec<u8>, &'static str> {
        let bytes = match self.encoding.as_deref().unwrap_or(default) {
            "base64" => base64(&self.value),
            "hex" => hex(&self.value),
            "utf8" => Some(self.value.as_bytes().to_vec()),
            _ => None,
        };
        bytes.ok_or("a value is not in the encoding that it names")
    }
}

/// The hash in the encoding of passwap, or (with the algorithm, never with a value) why there is none.
pub(super) fn read(json: &str) -> Result<String, String> {
    let custom: Custom = serde_json::from_str(json).map_err(|_| "not of the documented shape".to_owned())?;
    let known = ["argon2", "bcrypt", "hmac", "ldap", "md4", "md5", "sha1", "sha256", "sha512", "pbkdf2", "scrypt"];
    let Some(algorithm) = known.into_iter().find(|known| *known == custom.algorithm) else {
        return Err("an algorithm that is not documented".to_owned());
    };
    custom.encode(algorithm).map_err(|what| format!("{algorithm}: {what}"))
}

impl Custom {
    fn encode(&self, algorithm: &str) -> Result<String, &'static str> {
        // The same bytes for every password that Auth0 takes.
        let password = self.password.as_ref().and_then(|password| password.encoding.as_deref());
        if !matches!(password, None | Some("utf8" | "ascii")) {
            return Err("ZITADEL takes passwords as UTF-8 only");
        }
        match algorithm {
            "argon2" => self.as_text("$argon2"),
            "bcrypt" => self.as_text("$2"),
            "pbkdf2" => self.as_text("$pbkdf2"),
            "md5" => self.md5(),
            "scrypt" => self.scrypt(),
            _ => Err("ZITADEL has no verifier for it"),
        }
    }

    fn as_text(&self, prefix: &str) -> Result<String, &'static str> {
        let text = matches!(self.hash.encoding.as_deref(), None | Some("utf8")) && self.salt.is_none();
        let hash = self.hash.value.trim();
        if text && hash.starts_with(prefix) {
            Ok(hash.to_owned())
        } else {
            Err("not written as its documentation says")
        }
    }

    fn md5(&self) -> Result<String, &'static str> {
        let result = self.hash.bytes("")?;
        let Some(salt) = &self.salt else { return passwap::md5_of(&result, None) };
        let suffix = match salt.position.as_deref() {
            None | Some("prefix") => false,
            Some("suffix") => true,
            Some(_) => return Err("not written as its documentation says"),
        };
        let salt = String::from_utf8(salt.bytes("utf8")?).map_err(|_| "ZITADEL's encoding cannot carry this salt")?;
        passwap::md5_of(&result, Some((&salt, suffix)))
    }

    fn scrypt(&self) -> Result<String, &'static str> {
        let result = self.hash.bytes("")?;
        let salt = self.salt.as_ref().ok_or("without a salt")?.bytes("utf8")?;
        if self.keylen.is_some_and(|length| length != result.len() as u64) {
            return Err("the length is not the one that it names");
        }
        let cost = self.cost.unwrap_or(16_384);
        if !cost.is_power_of_two() {
            return Err("the cost is no power of two");
        }
        let (r, p) = (self.block_size.unwrap_or(8), self.parallelization.unwrap_or(1));
        passwap::scrypt_of(cost.trailing_zeros(), r, p, &salt, &result)
    }
}
