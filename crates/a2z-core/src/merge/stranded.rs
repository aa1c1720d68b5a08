//! Users that the import endpoint takes, and who cannot sign in afterwards, or get a message.

use crate::mapping::draft::Draft;

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranded {
    /// The e-mail is not verified: ZITADEL makes the user INITIAL, whom Login V2 refuses, and sends an e-mail.
    EmailNotVerified,
    /// No hash that ZITADEL takes and no link: INITIAL too, and the verified flag of the e-mail is lost.
    NoPassword,
    /// The phone number is not verified: ZITADEL sends an SMS.
    PhoneNotVerified,
    /// A change of the password is asked for, which the import endpoint ignores.
    ChangeIgnored,
}

impl Stranded {
    /// The stable code, kebab-case.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::EmailNotVerified => "email-not-verified",
            Self::NoPassword => "no-usable-password",
            Self::PhoneNotVerified => "phone-not-verified",
            Self::ChangeIgnored => "password-change-ignored",
        }
    }

    /// What it means for the user.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::EmailNotVerified => {
                "the e-mail is not verified: the user cannot sign in, and ZITADEL sends an e-mail"
            }
            Self::NoPassword => {
                "there is no usable password hash: the user cannot sign in, and ZITADEL sends an e-mail"
            }
            Self::PhoneNotVerified => "the phone number is not verified: ZITADEL sends an SMS",
            Self::ChangeIgnored => "the import endpoint does not make the user change the stale password",
        }
    }

    /// All reasons of this user, the weightiest first.
    #[must_use]
    pub fn reasons(draft: &Draft) -> Vec<Self> {
        let mut reasons = Vec::new();
        if !draft.email.verified {
            reasons.push(Self::EmailNotVerified);
        }
        if draft.password.is_none() && draft.links.is_empty() {
            reasons.push(Self::NoPassword);
        }
        if draft.phone.as_ref().is_some_and(|phone| !phone.verified) {
            reasons.push(Self::PhoneNotVerified);
        }
        if draft.password.as_ref().is_some_and(|password| password.change_required) {
            reasons.push(Self::ChangeIgnored);
        }
        reasons
    }
}
