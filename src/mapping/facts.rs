//! What ZITADEL was told of a user, field by field, without saying it: salted digests, so that a later look at ZITADEL
//! needs neither the export nor the hash file, and the ledger holds nobody's data.
//!
//! A fact says what ZITADEL *should* have. What a2z leaves to others (a phone number that the user added, a password that
//! was changed there) is no fact, and is not compared.

use sha2::{Digest as _, Sha256};

use super::draft::Draft;

/// The first byte of the encoding.
const VERSION: u8 = 1;
/// Bytes of a digest: enough to notice a change, too few to be of use to anybody else.
const DIGEST: usize = 8;

/// Entries are `tag, length (2 bytes), bytes`; who does not know a tag skips it.
mod tag {
    pub(super) const FLAGS: u8 = 1;
    pub(super) const METADATA: u8 = 32;
    /// Grants will be 34.
    pub(super) const LINK: u8 = 33;
}

/// A text of the user that is kept as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The user name.
    UserName = 2,
    /// The given name.
    FirstName = 3,
    /// The family name.
    LastName = 4,
    /// The display name.
    DisplayName = 5,
    /// The nick name.
    NickName = 6,
    /// The preferred language.
    Language = 7,
    /// The address.
    Email = 8,
    /// The number.
    Phone = 9,
}

/// A plain yes or no. Bits of a number that the ledger keeps: never give one another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Flag {
    /// The e-mail is verified.
    EmailVerified = 1,
    /// The phone number is verified.
    PhoneVerified = 2,
    /// Deactivated.
    Inactive = 4,
    /// There is a password.
    Password = 8,
    /// There is a TOTP secret.
    Totp = 16,
    /// There is no phone number at all.
    NoPhone = 32,
    /// Somebody else decided on the state: it is not ours to compare.
    StateOfOthers = 64,
    /// The language has three letters, which ZITADEL may turn into two.
    LongLanguage = 128,
}

/// A digest of one value.
pub type Digest = [u8; DIGEST];

/// What ZITADEL should have of one user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    flags: u16,
    fields: Vec<(Field, Digest)>,
    metadata: Vec<(String, Digest)>,
    links: Vec<Digest>,
}

impl Facts {
    /// What ZITADEL has once it was sent `draft` for a user who did not exist. `key` is the ledger's own, random.
    #[must_use]
    pub fn of(draft: &Draft, key: &[u8; 16]) -> Self {
        let mut facts = Self::default();
        let salt = Salt { key, user_id: &draft.user_id };
        let names = &draft.profile;
        // ZITADEL makes one where it is given none.
        let made = format!("{} {}", names.first_name, names.last_name);
        let texts = [
            (Field::UserName, Some(draft.user_name.as_str())),
            (Field::FirstName, Some(&names.first_name)),
            (Field::LastName, Some(&names.last_name)),
            (Field::DisplayName, Some(names.display_name.as_ref().unwrap_or(&made))),
            (Field::NickName, names.nick_name.as_deref()),
            (Field::Language, names.preferred_language.as_deref()),
            (Field::Email, Some(&draft.email.address)),
            (Field::Phone, draft.phone.as_ref().map(|phone| phone.number.as_str())),
        ];
        for (field, text) in texts {
            facts.fields.extend(text.map(|text| (field, salt.field(field, text))));
        }
        facts.set(Flag::EmailVerified, draft.email.verified);
        facts.set(Flag::PhoneVerified, draft.phone.as_ref().is_some_and(|phone| phone.verified));
        facts.set(Flag::NoPhone, draft.phone.is_none());
        facts.set(Flag::Inactive, draft.inactive);
        facts.set(Flag::Password, draft.password.is_some());
        let language = names.preferred_language.as_ref();
        facts.set(Flag::LongLanguage, language.is_some_and(|language| language.len() > 2));
        facts.set(Flag::Totp, draft.totp_secret.is_some());
        facts.metadata = draft.metadata.iter().map(|e| (e.key.clone(), salt.metadata(&e.key, &e.value))).collect();
        facts.links = draft.links.iter().map(|link| salt.link(&link.idp_id, &link.external_user_id)).collect();
        facts
    }

    /// Sets or takes back a flag.
    pub fn set(&mut self, flag: Flag, on: bool) {
        if on {
            self.flags |= flag as u16;
        } else {
            self.flags &= !(flag as u16);
        }
    }

    /// Is it so?
    #[must_use]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags & flag as u16 != 0
    }

    /// Which links there are is not ours to compare: one of them is another user's.
    pub fn forget_links(&mut self) {
        self.links.clear();
    }

    /// What ZITADEL has in this field is not certain: it is not compared.
    pub fn forget(&mut self, field: Field) {
        self.fields.retain(|(known, _)| *known != field);
    }

    /// The digest of a field, where there is one to compare with.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<Digest> {
        self.fields.iter().find(|(known, _)| *known == field).map(|(_, digest)| *digest)
    }

    /// Digests of the links.
    #[must_use]
    pub fn links(&self) -> &[Digest] {
        &self.links
    }

    /// Keys and digests of the metadata.
    #[must_use]
    pub fn metadata(&self) -> &[(String, Digest)] {
        &self.metadata
    }

    /// As the ledger keeps it. The second byte says whether there is metadata, for whoever looks for such users.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(!self.metadata.is_empty())];
        let mut put = |tag: u8, parts: [&[u8]; 2]| {
            // A key has at most 200 characters; nothing else comes near.
            let length = u16::try_from(parts[0].len() + parts[1].len()).unwrap_or(0);
            if length > 0 {
                out.push(tag);
                out.extend(length.to_le_bytes());
                out.extend(parts.concat());
            }
        };
        put(tag::FLAGS, [&self.flags.to_le_bytes(), &[]]);
        for (field, digest) in &self.fields {
            put(*field as u8, [digest, &[]]);
        }
        for (key, digest) in &self.metadata {
            put(tag::METADATA, [digest, key.as_bytes()]);
        }
        for link in &self.links {
            put(tag::LINK, [link, &[]]);
        }
        out
    }

    /// What [`Self::encode`] wrote; none where it is of another version or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION, _], mut rest) = bytes.split_first_chunk::<2>()? else { return None };
        let mut facts = Self::default();
        while let Some((&[tag, low, high], after)) = rest.split_first_chunk::<3>() {
            let (entry, after) = after.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
            rest = after;
            match tag {
                tag::FLAGS => facts.flags = u16::from_le_bytes(entry.try_into().ok()?),
                tag::METADATA => {
                    let (digest, key) = entry.split_first_chunk::<DIGEST>()?;
                    facts.metadata.push((String::from_utf8(key.to_vec()).ok()?, *digest));
                }
                tag::LINK => facts.links.push(entry.try_into().ok()?),
                tag => {
                    let Some(field) = Field::ALL.into_iter().find(|field| *field as u8 == tag) else { continue };
                    facts.fields.push((field, entry.try_into().ok()?));
                }
            }
        }
        rest.is_empty().then_some(facts)
    }
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::UserName,
        Self::FirstName,
        Self::LastName,
        Self::DisplayName,
        Self::NickName,
        Self::Language,
        Self::Email,
        Self::Phone,
    ];
}

/// What makes a digest one user's own: the same name at two users gives two digests.
#[derive(Debug, Clone, Copy)]
pub struct Salt<'a> {
    /// The ledger's own key.
    pub key: &'a [u8; 16],
    /// Whose.
    pub user_id: &'a str,
}

impl Salt<'_> {
    /// The digest of a field.
    #[must_use]
    pub fn field(self, field: Field, value: &str) -> Digest {
        self.digest(field as u8, "", value.as_bytes())
    }

    /// The digest of a metadata value.
    #[must_use]
    pub fn metadata(self, key: &str, value: &[u8]) -> Digest {
        self.digest(tag::METADATA, key, value)
    }

    /// The digest of a link.
    #[must_use]
    pub fn link(self, idp_id: &str, external_user_id: &str) -> Digest {
        self.digest(tag::LINK, idp_id, external_user_id.as_bytes())
    }

    fn digest(self, tag: u8, name: &str, value: &[u8]) -> Digest {
        let mut digest = Sha256::new_with_prefix(self.key).chain_update([VERSION, b'F', tag]);
        // Every part with its length before it, so that no two ways of cutting give the same bytes.
        for part in [self.user_id.as_bytes(), name.as_bytes(), value] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let mut short = [0; DIGEST];
        short.copy_from_slice(&digest[..DIGEST]);
        short
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::mapping::draft::{Email, Link, Metadata, Phone, Profile};

    pub(crate) fn draft() -> Draft {
        Draft {
            user_id: "auth0|1".into(),
            user_name: "ada".into(),
            profile: Profile {
                first_name: "Ada".into(),
                last_name: "Lovelace".into(),
                display_name: None,
                nick_name: None,
                preferred_language: Some("en".into()),
            },
            email: Email { address: "ada@example.com".into(), verified: true },
            phone: Some(Phone { number: "+41791234567".into(), verified: false }),
            password: None,
            inactive: true,
            links: vec![Link {
                idp_id: "1".into(),
                external_user_id: "g".into(),
                display_name: "Ada".into(),
                by_import: true,
            }],
            totp_secret: None,
            recovery_codes: Vec::new(),
            metadata: vec![Metadata { key: "k".into(), value: vec![0, 255] }],
        }
    }

    #[test]
    fn come_back_as_they_were_and_tell_nothing() {
        let facts = Facts::of(&draft(), &[7; 16]);
        let encoded = facts.encode();
        assert_eq!(Facts::decode(&encoded), Some(facts.clone()));
        for clear in ["ada", "Ada", "Lovelace", "example.com", "791234567", "en"] {
            assert!(!encoded.windows(clear.len()).any(|bytes| bytes == clear.as_bytes()), "{clear}");
        }
        assert!(facts.has(Flag::EmailVerified) && facts.has(Flag::Inactive) && !facts.has(Flag::NoPhone));
        assert!(!facts.has(Flag::Password) && !facts.has(Flag::PhoneVerified));
        let salt = Salt { key: &[7; 16], user_id: "auth0|1" };
        assert_eq!(facts.field(Field::DisplayName), Some(salt.field(Field::DisplayName, "Ada Lovelace")));
        assert_eq!(facts.field(Field::NickName), None);
        assert_eq!(facts.metadata(), [("k".to_owned(), salt.metadata("k", &[0, 255]))]);
        // Neither another user nor another ledger has the same digest.
        assert_ne!(salt.field(Field::Email, "x"), Salt { user_id: "auth0|2", ..salt }.field(Field::Email, "x"));
        assert_ne!(salt.field(Field::Email, "x"), Salt { key: &[8; 16], ..salt }.field(Field::Email, "x"));
        assert_ne!(salt.field(Field::Email, "x"), salt.field(Field::UserName, "x"));
        assert_ne!(salt.metadata("ab", b"c"), salt.metadata("a", b"bc"));
    }

    #[test]
    fn unknown_entries_are_skipped_and_damage_is_noticed() {
        let facts = Facts::of(&draft(), &[7; 16]);
        let mut encoded = facts.encode();
        encoded.extend([200, 2, 0, 1, 2]);
        assert_eq!(Facts::decode(&encoded), Some(facts));
        for end in [0, 1, 3, 6, 20, encoded.len() - 1] {
            assert_eq!(Facts::decode(&encoded[..end]), None, "{end}");
        }
        encoded[0] = 9;
        assert_eq!(Facts::decode(&encoded), None);
    }
}
