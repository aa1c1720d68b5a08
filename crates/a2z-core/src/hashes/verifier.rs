//! The verifiers of password hashes that an instance of ZITADEL may have.

use std::fmt;

/// A kind of hash that ZITADEL checks where the operator of the instance listed it under
/// `SystemDefaults.PasswordHasher.Verifiers`. The names are ZITADEL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "ZITADEL's names, as they are")]
#[repr(u16)]
pub enum Verifier {
    Argon2 = 1,
    Bcrypt = 1 << 1,
    Md5 = 1 << 2,
    Md5Plain = 1 << 3,
    Md5Salted = 1 << 4,
    PhPass = 1 << 5,
    Sha2 = 1 << 6,
    Scrypt = 1 << 7,
    Pbkdf2 = 1 << 8,
    Drupal7 = 1 << 9,
}

impl Verifier {
    const ALL: [(&str, Self); 10] = [
        ("argon2", Self::Argon2),
        ("bcrypt", Self::Bcrypt),
        ("md5", Self::Md5),
        ("md5plain", Self::Md5Plain),
        ("md5salted", Self::Md5Salted),
        ("phpass", Self::PhPass),
        ("sha2", Self::Sha2),
        ("scrypt", Self::Scrypt),
        ("pbkdf2", Self::Pbkdf2),
        ("drupal7", Self::Drupal7),
    ];

    /// ZITADEL's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, verifier)| *verifier == self).map_or("", |(name, _)| name)
    }
}

/// The verifiers of an instance. Bcrypt is always there.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Verifiers(u16);

impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Verifier::ALL.iter().filter(|(_, one)| self.has(*one)).map(|(name, _)| name)).finish()
    }
}

impl Verifiers {
    /// Reads ZITADEL's names.
    ///
    /// # Errors
    /// Says which there are.
    pub fn parse(names: &[String]) -> Result<Self, String> {
        names.iter().try_fold(Self::default(), |so_far, name| {
            let known = Verifier::ALL.iter().find(|(known, _)| known == name);
            known.map(|(_, verifier)| Self(so_far.0 | *verifier as u16)).ok_or_else(|| {
                let names: Vec<&str> = Verifier::ALL.iter().map(|(name, _)| *name).collect();
                format!("`{name}` is no verifier of ZITADEL; there are {}", names.join(", "))
            })
        })
    }

    /// Is it among them?
    #[must_use]
    pub fn has(self, verifier: Verifier) -> bool {
        verifier == Verifier::Bcrypt || self.0 & verifier as u16 != 0
    }
}
