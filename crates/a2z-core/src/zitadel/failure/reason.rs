//! What ZITADEL means by an error id: the one place of this program that knows any.
//!
//! An id is the only stable part of an error: texts are translated, statuses are shared, and the same id may come with
//! several texts. The table lists the ids that a decision depends on; every other id is [`Reason::Other`].

/// Why ZITADEL refused, as far as a decision depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A user with this id exists somewhere in the instance; or did, in an organization that was deleted (a ghost).
    UserExists,
    /// A unique value is taken: a user name, a link, a grant, a role, or the name of an organization or a project. The id
    /// does not say which; and with the message `Errors.Internal` it only says that the database was slow.
    Taken,
    /// There is no user with this id.
    UserNotFound,
    /// The identity provider does not allow the creation of users. Only the import endpoint asks.
    CreationForbidden,
    /// The identity provider of a link is gone, belongs to another organization, or could not be read.
    ProviderNotFound,
    /// The user, the organization or the domain policy is gone, or could not be read: ZITADEL has one id for both.
    NotFoundOrUnread,
    /// The domain policy or the password policy could not be read: every organization has them.
    PolicyUnread,
    /// The organization of a new user does not exist.
    OrganizationNotFound,
    /// An organization with this id exists. The import endpoint says so each time that it imports into one.
    OrganizationExists,
    /// There is no project with this id.
    ProjectNotFound,
    /// The organization has a project with this id.
    ProjectExists,
    /// There is no grant with this id.
    GrantNotFound,
    /// The user has no such link.
    LinkNotFound,
    /// The user has no metadata with this key.
    MetadataNotFound,
    /// The user has no phone number.
    PhoneNotFound,
    /// The user is inactive already.
    AlreadyInactive,
    /// The user is active already.
    AlreadyActive,
    /// The user has a TOTP secret already.
    TotpExists,
    /// The user has codes by SMS, or by e-mail, as a second factor already.
    CodeExists,
    /// The user has no codes by SMS, or by e-mail, as a second factor.
    CodeNotFound,
    /// Codes cannot be a second factor: the number, or the address, was never verified.
    ContactUnverified,
    /// The password is wrong.
    PasswordWrong,
    /// The user has no password.
    PasswordMissing,
    /// The user may not sign in: inactive or locked.
    NotActive,
    /// The password fits, and ZITADEL cannot hash it with its own cost: it has more than 72 bytes.
    RehashFailed,
    /// A page of a list is larger than the instance allows.
    LimitExceeded,
    /// The organization has a branding of its own already.
    BrandingExists,
    /// The branding is what it is to be already.
    BrandingUnchanged,
    /// The account may not. ZITADEL also hides behind this, as a 404, what the account may not see.
    NotPermitted,
    /// No instance answers under this host name.
    InstanceNotFound,
    /// No id, or one that no decision depends on.
    Other,
}

/// Ids and what they mean. The first id of a reason is the one that reports name.
const TABLE: &[(&str, Reason)] = &[
    // The import endpoint, and the users API.
    ("COMMAND-ziuna", Reason::UserExists),
    ("COMMAND-7yiox1isql", Reason::UserExists),
    ("V3-DKcYh", Reason::Taken),
    ("QUERY-Dfbg2", Reason::UserNotFound),
    ("COMMAND-SJI3g", Reason::CreationForbidden),
    ("COMMAND-39nf2", Reason::ProviderNotFound),
    // The user, the organization and the domain policy of a TOTP secret; the domain policy of a new user name.
    ("COMMAND-SqyJz", Reason::NotFoundOrUnread),
    ("COMMAND-55M9f", Reason::NotFoundOrUnread),
    ("COMMAND-8ugTs", Reason::NotFoundOrUnread),
    ("COMMAND-79pv6e1q62", Reason::NotFoundOrUnread),
    ("COMMAND-2N9fs", Reason::PolicyUnread),
    ("COMMAND-4N8gs", Reason::PolicyUnread),
    ("COMMAND-QXPGs", Reason::OrganizationNotFound),
    // The import endpoint, and the organization service.
    ("ORG-lapo2n", Reason::OrganizationExists),
    ("ORG-laho2n", Reason::OrganizationExists),
    ("QUERY-fk2fs", Reason::ProjectNotFound),
    ("COMMAND-opamwu", Reason::ProjectExists),
    // The change of a grant, and the read of one.
    ("COMMAND-3M9sd", Reason::GrantNotFound),
    ("QUERY-wIPkA", Reason::GrantNotFound),
    ("COMMAND-1M9xR", Reason::LinkNotFound),
    ("META-2nnds", Reason::MetadataNotFound),
    ("COMMAND-ieJ2e", Reason::PhoneNotFound),
    ("COMMAND-5gunjw0cd7", Reason::AlreadyInactive),
    ("COMMAND-s5qqcz97hf", Reason::AlreadyActive),
    ("COMMAND-do9se", Reason::TotpExists),
    // By SMS, and by e-mail.
    ("COMMAND-Ad3g2", Reason::CodeExists),
    ("COMMAND-MKL2s", Reason::CodeExists),
    ("COMMAND-Sr3h3", Reason::CodeNotFound),
    ("COMMAND-b312D", Reason::CodeNotFound),
    ("COMMAND-Q54j2", Reason::ContactUnverified),
    ("COMMAND-KLJ2d", Reason::ContactUnverified),
    ("COMMAND-3M0fs", Reason::PasswordWrong),
    ("COMMAND-3nJ4t", Reason::PasswordMissing),
    ("SESSION-Gj4ko", Reason::NotActive),
    ("COMMAND-CahN2", Reason::RehashFailed),
    ("QUERY-4M0fs", Reason::LimitExceeded),
    ("Org-2B0ps", Reason::BrandingExists),
    ("Org-8nfSr", Reason::BrandingUnchanged),
    ("AUTHZ-cdgFk", Reason::NotPermitted),
    ("QUERY-1kIjX", Reason::InstanceNotFound),
];

impl Reason {
    /// What this error id means.
    #[must_use]
    pub fn of(id: Option<&str>) -> Self {
        let row = id.and_then(|id| TABLE.iter().find(|(known, _)| *known == id));
        row.map_or(Self::Other, |(_, reason)| *reason)
    }

    /// The id by which reports name it; empty for [`Self::Other`].
    #[must_use]
    pub fn id(self) -> &'static str {
        TABLE.iter().find(|(_, reason)| *reason == self).map_or("", |(id, _)| id)
    }

    /// Is the id one that ZITADEL also uses if its database gave no answer? Another attempt may go well.
    #[must_use]
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::ProviderNotFound | Self::NotFoundOrUnread)
    }
}

/// Does a message name the id of a missing instance? The host check runs before the error details are made, so the id
/// stands in the message alone.
pub(super) fn names_no_instance(message: &str) -> bool {
    message.contains(Reason::InstanceNotFound.id()) || message.contains("unable to get instance")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::zitadel::{
        failure::{Failure, tests::recorded},
        import::ImportAnswer,
    };

    #[test]
    fn recorded_refusals_have_reasons() {
        for (exchange, reason) in [
            ("048-user-get-missing", Reason::UserNotFound),
            ("132-barrier", Reason::UserNotFound),
            ("054-session-wrong", Reason::PasswordWrong),
            ("058-v2-create-again", Reason::UserExists),
            ("059-v2-create-username-taken", Reason::Taken),
            ("061-v2-create-bad-hash", Reason::Other),
            ("063-v2-create-org-missing", Reason::OrganizationNotFound),
            ("075-org-create-again", Reason::Taken),
            ("093-v2-add-link-again", Reason::Taken),
            ("094-v2-add-link-taken", Reason::Taken),
            ("097-project-role-add-again", Reason::Taken),
            ("101-authorization-create-again", Reason::Taken),
            ("102-authorization-unknown-role", Reason::Other),
            ("125-sessions-inactive", Reason::NotActive),
        ] {
            assert_eq!(recorded(exchange).reason(), reason, "{exchange}");
        }
        assert!(matches!(recorded("117-v2-create-no-permission"), Failure::NoPermission(_)));
        assert!(matches!(recorded("123-wrong-host"), Failure::InstanceNotFound));
    }

    #[test]
    fn recorded_errors_of_an_import_have_reasons() {
        for (exchange, reason) in [
            ("014-import-again", Reason::UserExists),
            ("112-import-ghost", Reason::UserExists),
            ("015-import-username-taken", Reason::Taken),
            ("044-import-idps-taken", Reason::Taken),
            ("042-import-idps-no-creation", Reason::CreationForbidden),
            ("041-import-idps-unknown", Reason::Other),
        ] {
            let path = format!("{}/../../tests/fixtures/contract/zitadel/{exchange}.json", env!("CARGO_MANIFEST_DIR"));
            let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let answer = ImportAnswer::parse(recorded["response"]["body"].to_string().as_bytes()).unwrap();
            let error = answer.errors.iter().find(|error| error.kind == "human_user").unwrap();
            assert_eq!(error.reason(), reason, "{exchange}");
        }
    }

    #[test]
    fn every_id_stands_in_the_table_once() {
        let mut ids: Vec<&str> = TABLE.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), TABLE.len());
        assert!(TABLE.iter().all(|(id, reason)| Reason::of(Some(id)) == *reason));
        assert_eq!((Reason::of(None), Reason::Other.id()), (Reason::Other, ""));
    }
}
