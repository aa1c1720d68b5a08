//! Codes by SMS and by e-mail as second factors. ZITADEL takes them without a code from the user, and its login page asks
//! for one at the next sign-in, whatever its login policy lists. So nobody gets one whom ZITADEL could not send a code, or
//! who has nothing else to sign in with: that user would be locked out.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    draft::Draft,
    finding::{Finding, FindingCode},
};

/// Auth0 masks all digits of a number but the last four.
const TOLD_DIGITS: usize = 4;

/// A kind of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// By SMS.
    Sms,
    /// By e-mail.
    Email,
}

/// Where Auth0 sends a user's codes, as the survey found it. The ledger keeps it as JSON, without a number or an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Destinations {
    /// By e-mail.
    pub email: bool,
    /// By a call.
    pub voice: bool,
    /// By SMS: [`number_key`] of each number, none if nothing is told of it.
    pub numbers: Vec<Option<String>>,
}

/// What the instance and the account can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Abilities {
    /// There is an active SMS provider.
    pub sms_provider: bool,
    /// There is an active e-mail provider.
    pub mail_provider: bool,
    /// The account has `user.credential.write`.
    pub permitted: bool,
}

/// What decides for one user, as the plan knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Person<'a> {
    /// There is a verified address, and it is no placeholder.
    pub email_verified: bool,
    /// [`number_key`] of the verified number, where there is one.
    pub number: Option<&'a str>,
    /// A password or a link to an identity provider.
    pub has_way_in: bool,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sms, Self::Email];

    /// The word for it in findings and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sms => "SMS",
            Self::Email => "e-mail",
        }
    }

    /// The type of Auth0's authentication method.
    #[must_use]
    pub fn of_auth0(self) -> &'static str {
        match self {
            Self::Sms => "phone",
            Self::Email => "email",
        }
    }

    /// The name in the list of a user's authentication methods.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Sms => "AUTHENTICATION_METHOD_TYPE_OTP_SMS",
            Self::Email => "AUTHENTICATION_METHOD_TYPE_OTP_EMAIL",
        }
    }

    /// The type of the event that adds it.
    #[must_use]
    pub fn added(self) -> &'static str {
        match self {
            Self::Sms => "user.human.mfa.otp.sms.added",
            Self::Email => "user.human.mfa.otp.email.added",
        }
    }

    /// The types of the events that take it away; codes by SMS go with the number.
    #[must_use]
    pub fn removed(self) -> &'static [&'static str] {
        match self {
            Self::Sms => &["user.human.mfa.otp.sms.removed", "user.human.phone.removed"],
            Self::Email => &["user.human.mfa.otp.email.removed"],
        }
    }

    /// The code of a difference that `verify` finds.
    #[must_use]
    pub fn difference(self) -> &'static str {
        match self {
            Self::Sms => "sms-codes",
            Self::Email => "email-codes",
        }
    }
}

impl Destinations {
    /// Does Auth0 send such codes to this user, in whatever way?
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Sms => self.voice || !self.numbers.is_empty(),
            Kind::Email => self.email,
        }
    }

    /// Takes in a phone that gets codes; `number` is what is told of it. The ledger's `key` salts what is kept.
    pub fn add_phone(&mut self, by_voice: bool, number: Option<&str>, key: &[u8; 16], user_id: &str) {
        if by_voice {
            self.voice = true;
        } else {
            self.numbers.push(number.and_then(told_digits).map(|digits| number_key(digits, key, user_id)));
        }
    }
}

/// The last four digits of a number that may be masked (`XXXXXXXXXXX5044`); none where fewer are told.
#[must_use]
pub fn told_digits(number: &str) -> Option<&str> {
    let end = number.len().checked_sub(TOLD_DIGITS)?;
    number.get(end..).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// A salted digest of the last digits of a user's number, in hex.
#[must_use]
pub fn number_key(digits: &str, key: &[u8; 16], user_id: &str) -> String {
    let digest = Sha256::new_with_prefix(key).chain_update(b"N").chain_update(user_id).chain_update([0]);
    let digest: [u8; 32] = digest.chain_update(digits).finalize().into();
    format!("{:016x}", digest.iter().take(8).fold(0_u64, |short, byte| (short << 8) | u64::from(*byte)))
}

/// [`number_key`] of the draft's verified number.
#[must_use]
pub fn verified_number(draft: &Draft, key: &[u8; 16]) -> Option<String> {
    let phone = draft.phone.as_ref().filter(|phone| phone.verified)?;
    told_digits(&phone.number).map(|digits| number_key(digits, key, &draft.user_id))
}

/// May codes of this kind move? If not, the code of the finding that says why.
///
/// # Errors
/// The code of the finding.
pub fn decide(
    kind: Kind,
    destinations: &Destinations,
    person: Person<'_>,
    abilities: Abilities,
) -> Result<(), FindingCode> {
    let provider = match kind {
        Kind::Sms => {
            if destinations.numbers.is_empty() {
                return Err(FindingCode::FactorByVoice);
            }
            let number = person.number.ok_or(FindingCode::FactorUnverified)?;
            if !destinations.numbers.iter().any(|told| told.as_ref().is_none_or(|told| told == number)) {
                return Err(FindingCode::FactorOtherNumber);
            }
            abilities.sms_provider
        }
        Kind::Email if !person.email_verified => return Err(FindingCode::FactorUnverified),
        Kind::Email => abilities.mail_provider,
    };
    if !provider {
        Err(FindingCode::FactorNoProvider)
    } else if !abilities.permitted {
        Err(FindingCode::FactorNotPermitted)
    } else if !person.has_way_in {
        Err(FindingCode::FactorLocksOut)
    } else {
        Ok(())
    }
}

/// Is it a finding that [`decide`], or the attempt after it, came to?
#[must_use]
pub fn is_ours(finding: &Finding) -> bool {
    matches!(
        finding.code,
        FindingCode::FactorByVoice
            | FindingCode::FactorUnverified
            | FindingCode::FactorOtherNumber
            | FindingCode::FactorNoProvider
            | FindingCode::FactorNotPermitted
            | FindingCode::FactorLocksOut
            | FindingCode::FactorRefused
            | FindingCode::FactorTakenAway
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [5; 16];

    #[test]
    fn only_the_end_of_a_number_is_told() {
        assert_eq!(told_digits("XXXXXXXXXXX5044"), Some("5044"));
        assert_eq!(told_digits("+41791235044"), Some("5044"));
        for untold in ["", "044", "XXXXXXXXXXXX044", "XXXX", "+4179123504X", "12é4", "ééé"] {
            assert_eq!(told_digits(untold), None, "{untold}");
        }
        // Neither another user nor another ledger has the same digest.
        let digest = number_key("5044", &KEY, "auth0|1");
        assert!(!digest.contains("5044"));
        assert_ne!(digest, number_key("5044", &KEY, "auth0|2"));
        assert_ne!(digest, number_key("5044", &[6; 16], "auth0|1"));
    }

    #[test]
    fn the_first_reason_counts() {
        use FindingCode::{
            FactorByVoice, FactorLocksOut, FactorNoProvider, FactorNotPermitted, FactorOtherNumber, FactorUnverified,
        };
        let number = number_key("5044", &KEY, "auth0|1");
        let all = Abilities { sms_provider: true, mail_provider: true, permitted: true };
        let whole = Person { email_verified: true, number: Some(&number), has_way_in: true };
        let mut told = Destinations { email: true, ..Destinations::default() };
        told.add_phone(false, Some("XXXXXXX5044"), &KEY, "auth0|1");
        let mut other = Destinations::default();
        other.add_phone(false, Some("XXXXXXX5045"), &KEY, "auth0|1");
        let mut untold = other.clone();
        untold.add_phone(false, None, &KEY, "auth0|1");
        let mut voice = Destinations::default();
        voice.add_phone(true, Some("XXXXXXX5044"), &KEY, "auth0|1");
        let mut both = voice.clone();
        both.add_phone(false, Some("+41791235044"), &KEY, "auth0|1");
        let (sms, email) = (Kind::Sms, Kind::Email);
        let cases = [
            (sms, &told, whole, all, Ok(())),
            (email, &told, whole, all, Ok(())),
            (sms, &untold, whole, all, Ok(())),
            (sms, &both, whole, all, Ok(())),
            (sms, &other, whole, all, Err(FactorOtherNumber)),
            (sms, &voice, whole, all, Err(FactorByVoice)),
            (sms, &told, Person { number: None, ..whole }, all, Err(FactorUnverified)),
            (email, &told, Person { number: None, ..whole }, all, Ok(())),
            (email, &told, Person { email_verified: false, ..whole }, all, Err(FactorUnverified)),
            (sms, &told, Person { email_verified: false, ..whole }, all, Ok(())),
            (sms, &told, whole, Abilities { sms_provider: false, ..all }, Err(FactorNoProvider)),
            (email, &told, whole, Abilities { sms_provider: false, ..all }, Ok(())),
            (email, &told, whole, Abilities { mail_provider: false, ..all }, Err(FactorNoProvider)),
            (sms, &told, whole, Abilities { permitted: false, ..all }, Err(FactorNotPermitted)),
            (sms, &told, Person { has_way_in: false, ..whole }, all, Err(FactorLocksOut)),
            (email, &told, Person { has_way_in: false, ..whole }, all, Err(FactorLocksOut)),
            (sms, &voice, Person::default(), Abilities::default(), Err(FactorByVoice)),
        ];
        for (at, (kind, destinations, person, abilities, expected)) in cases.into_iter().enumerate() {
            assert_eq!(decide(kind, destinations, person, abilities), expected, "case {at}");
        }
    }
}
