//! What ZITADEL was told of a user, field by field, without saying it: salted digests, so that a later look at ZITADEL
//! needs neither the export nor the hash file, and the ledger holds nobody's data.
//!
//! A fact says what ZITADEL *should* have. What a2z leaves to others (a phone number that the user added, a password that
//! was changed there) is no fact, and is not compared.

use sha2::{Digest as _, Sha256};

use super::{
    canonical::canonical,
    draft::Draft,
    part::{Part, Parts},
};

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
    pub(super) const KEPT: u8 = 35;
    pub(super) const KEPT_METADATA: u8 = 36;
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
    /// There were recovery codes of ours.
    RecoveryCodes = 256,
    /// The language has three letters, which ZITADEL may turn into two.
    LongLanguage = 128,
}

/// What ZITADEL shows as the language of a user who has none.
const UNDEFINED: &str = "und";

/// Is `is` the number? ZITADEL leaves out a national prefix: +490151… becomes +49151….
fn is_phone(is: &str, salt: Salt<'_>, digest: Digest) -> bool {
    let with_prefix = (2..=4).filter(|at| *at <= is.len() && is.is_char_boundary(*at)).map(|at| {
        let (code, rest) = is.split_at(at);
        format!("{code}0{rest}")
    });
    std::iter::once(is.to_owned()).chain(with_prefix).any(|number| salt.field(Field::Phone, &number) == digest)
}

/// Is `is` the language, in whatever way it is written?
fn names_language(is: &str, salt: Salt<'_>, digest: Digest) -> bool {
    const RENAMED: [(&str, &str); 7] =
        [("he", "iw"), ("id", "in"), ("yi", "ji"), ("jv", "jw"), ("ro", "mo"), ("fil", "tl"), ("sr-Latn", "sh")];
    let fits = |name: &str| salt.field(Field::Language, name) == digest;
    fits(is) || RENAMED.iter().any(|(new, old)| *new == is && fits(old))
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
    kept: Parts,
    kept_metadata: Vec<String>,
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
        facts.set(Flag::RecoveryCodes, !draft.recovery_codes.is_empty());
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

    /// Puts the digest of a field, or takes it away.
    pub fn put(&mut self, field: Field, digest: Option<Digest>) {
        self.fields.retain(|(known, _)| *known != field);
        self.fields.extend(digest.map(|digest| (field, digest)));
    }

    /// The parts whose value in ZITADEL is somebody else's and stays: they are not compared.
    #[must_use]
    pub fn kept(&self) -> Parts {
        self.kept
    }

    /// Marks a part as kept, or takes the mark away.
    pub fn keep(&mut self, part: Part, keep: bool) {
        self.kept.set(part, keep);
    }

    /// The keys of metadata whose value in ZITADEL is somebody else's and stays.
    #[must_use]
    pub fn kept_metadata(&self) -> &[String] {
        &self.kept_metadata
    }

    /// Is anything of the user in ZITADEL somebody else's, and stays?
    #[must_use]
    pub fn keeps_any(&self) -> bool {
        !self.kept.is_empty() || !self.kept_metadata.is_empty()
    }

    /// Sets the metadata: keys and digests, and the keys that are kept.
    pub fn put_metadata(&mut self, metadata: Vec<(String, Digest)>, kept: Vec<String>) {
        (self.metadata, self.kept_metadata) = (metadata, kept);
    }

    /// Sets the digests of the links.
    pub fn put_links(&mut self, links: Vec<Digest>) {
        self.links = links;
    }

    /// Says everything that a profile consists of the same as `other`? Values under the metadata keys `history` do not
    /// count. What is kept in ZITADEL does not count either: this compares what a2z wrote with what it would write.
    #[must_use]
    pub fn is_same_profile(&self, other: &Self, history: &[String]) -> bool {
        const FLAGS: u16 =
            Flag::EmailVerified as u16 | Flag::PhoneVerified as u16 | Flag::Inactive as u16 | Flag::NoPhone as u16;
        let sorted = |facts: &Self| {
            let value = |(key, digest): &(String, Digest)| {
                (key.clone(), if history.contains(key) { Digest::default() } else { *digest })
            };
            let mut fields = facts.fields.clone();
            fields.sort_unstable();
            let mut metadata: Vec<_> = facts.metadata.iter().map(value).collect();
            metadata.sort_unstable();
            let mut links = facts.links.clone();
            links.sort_unstable();
            (facts.flags & FLAGS, fields, metadata, links)
        };
        sorted(self) == sorted(other)
    }

    /// The digest of a field, where there is one to compare with.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<Digest> {
        self.fields.iter().find(|(known, _)| *known == field).map(|(_, digest)| *digest)
    }

    /// Does ZITADEL hold what these facts say of a field, if `is` is what it shows? Without a digest it holds nothing.
    #[must_use]
    pub fn holds(&self, field: Field, is: &str, salt: Salt<'_>) -> bool {
        let Some(digest) = self.field(field) else {
            return is.is_empty() || (field == Field::Language && is == UNDEFINED);
        };
        match field {
            Field::Phone => is_phone(is, salt, digest),
            Field::Language => self.is_language(is, salt, digest),
            _ => salt.field(field, is) == digest,
        }
    }

    /// ZITADEL writes a language in the newest way (`iw` comes back as `he`), and has `und` for one that it does not know.
    fn is_language(&self, is: &str, salt: Salt<'_>, digest: Digest) -> bool {
        is.is_empty()
            || is == UNDEFINED
            || names_language(is, salt, digest)
            // Of three letters where there are two: too many to list, and nobody's loss.
            || self.has(Flag::LongLanguage)
    }

    /// Does ZITADEL show the very language of these facts? [`Self::holds`] forgives more: ZITADEL may not know it.
    #[must_use]
    pub fn names_language(&self, is: &str, salt: Salt<'_>) -> bool {
        match self.field(Field::Language) {
            Some(digest) => names_language(is, salt, digest),
            None => is.is_empty() || is == UNDEFINED,
        }
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
        if self.kept != Parts::default() {
            put(tag::KEPT, [&self.kept.bits().to_le_bytes(), &[]]);
        }
        for key in &self.kept_metadata {
            put(tag::KEPT_METADATA, [key.as_bytes(), &[]]);
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
                tag::KEPT => facts.kept = Parts::of_bits(u16::from_le_bytes(entry.try_into().ok()?)),
                tag::KEPT_METADATA => facts.kept_metadata.push(String::from_utf8(entry.to_vec()).ok()?),
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

    /// The digest of a metadata value, in its canonical form.
    #[must_use]
    pub fn metadata(self, key: &str, value: &[u8]) -> Digest {
        self.digest(tag::METADATA, key, &canonical(value))
    }

    /// Is `digest` that of this metadata value? Ledgers of before November 2026 have digests of the bytes as they were.
    #[must_use]
    pub fn is_metadata(self, key: &str, value: &[u8], digest: Digest) -> bool {
        self.metadata(key, value) == digest || self.digest(tag::METADATA, key, value) == digest
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
