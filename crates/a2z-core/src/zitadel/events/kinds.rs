//! Kinds of events: their names, and what they say about a user.

/// The names of the events that a decision depends on.
pub mod kind {
    /// A user was deleted: what follows under the same id is another life.
    pub const USER_REMOVED: &str = "user.removed";
    /// A person was created by an account.
    pub const HUMAN_ADDED: &str = "user.human.added";
    /// What creates a user: by an account, by the person, as a service account; and the same in the first version.
    pub const USER_CREATED: [&str; 5] =
        [HUMAN_ADDED, "user.human.selfregistered", "user.machine.added", "user.added", "user.selfregistered"];
    /// What begins or ends the life of a user.
    pub const USER_LIFE: [&str; 6] = [
        USER_REMOVED,
        HUMAN_ADDED,
        "user.human.selfregistered",
        "user.machine.added",
        "user.added",
        "user.selfregistered",
    ];
    /// A link to an identity provider was added.
    pub const LINK_ADDED: &str = "user.human.externalidp.added";
    /// A link was removed: by itself, or with its provider.
    pub const LINK_REMOVED: [&str; 2] = ["user.human.externalidp.removed", "user.human.externalidp.cascade.removed"];
    /// A user got recovery codes.
    pub const RECOVERY_CODES_ADDED: &str = "user.human.mfa.recoverycode.added";
    /// A TOTP secret is in use.
    pub const TOTP_READY: &str = "user.human.mfa.otp.verified";
    /// A TOTP secret was removed.
    pub const TOTP_REMOVED: &str = "user.human.mfa.otp.removed";
    /// A phone number was removed. Codes by SMS go with it, without an event of their own.
    pub const PHONE_REMOVED: &str = "user.human.phone.removed";
    /// A session names its user, and proves the person by a provider: such a sign-in writes no event of the user's own.
    pub const SESSION_SIGN_IN: [&str; 2] = ["session.user.checked", SESSION_INTENT_CHECKED];
    /// The second of them.
    pub const SESSION_INTENT_CHECKED: &str = "session.intent.checked";
    /// A user got roles.
    pub const GRANT_ADDED: &str = "user.grant.added";
    /// Roles were taken away: by themselves, or with the user or the project.
    pub const GRANT_REMOVED: [&str; 2] = ["user.grant.removed", "user.grant.cascade.removed"];
    /// What happens to roles.
    pub const GRANT: [&str; 7] = [
        GRANT_ADDED,
        GRANT_REMOVED[0],
        GRANT_REMOVED[1],
        "user.grant.changed",
        "user.grant.cascade.changed",
        "user.grant.deactivated",
        "user.grant.reactivated",
    ];
    /// What others do for a user without an event of the user's own: a sign-in through an identity provider, a grant, a
    /// membership. They would all be lost with the user.
    pub const ELSEWHERE: [&str; 12] = [
        "session.user.checked",
        GRANT_ADDED,
        "user.grant.changed",
        "user.grant.removed",
        "user.grant.deactivated",
        "user.grant.reactivated",
        "user.grant.cascade.changed",
        "user.grant.cascade.removed",
        "instance.member.added",
        "org.member.added",
        "project.member.added",
        "project.grant.member.added",
    ];
    /// An organization was created.
    pub const ORGANIZATION_ADDED: &str = "org.added";
}

/// The type of the aggregate that an event of this kind belongs to.
pub(super) fn aggregate_of(kind: &str) -> &str {
    match kind.split_once('.') {
        Some(("user", rest)) if rest.starts_with("grant.") => "usergrant",
        Some((aggregate, _)) => aggregate,
        None => kind,
    }
}

/// What somebody else did to a user; the later variant says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Profile, e-mail, phone, state, metadata, …
    Changed,
    /// A second factor, a passkey, or a link to an identity provider.
    Factor,
    /// A new password.
    Password,
    /// A sign-in, or a token.
    SignedIn,
}

impl Change {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Factor => "new-factor",
            Self::Password => "new-password",
            Self::SignedIn => "signed-in",
        }
    }

    /// Whether, and how, an event of this type changes a user.
    #[must_use]
    pub fn of(event: &str) -> Option<Self> {
        const NOTHING: [&str; 8] = [
            ".failed",
            ".sent",
            "code.added",
            "code.requested",
            "signed.out",
            "begin.login",
            "user.token.removed",
            "refresh.token.removed",
        ];
        const SIGN_IN: [&str; 4] = ["check.succeeded", "token.added", "token.renewed", "impersonated"];
        const FACTOR: [&str; 3] = [".mfa.", ".passwordless.", ".externalidp."];
        if event.ends_with("init.skipped") || event == "user.human.password.hash.updated" {
            // Both come with a sign-in only.
            Some(Self::SignedIn)
        } else if event.ends_with("token.added") && FACTOR.iter().any(|part| event.contains(part)) {
            Some(Self::Factor)
        } else if event.ends_with("signcount.changed") || SIGN_IN.iter().any(|end| event.ends_with(end)) {
            Some(Self::SignedIn)
        } else if NOTHING.iter().any(|end| event.ends_with(end)) {
            None
        } else if event.ends_with("password.changed") {
            Some(Self::Password)
        } else if FACTOR.iter().any(|part| event.contains(part)) {
            Some(Self::Factor)
        } else {
            Some(Self::Changed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_events() {
        for (event, kind) in [
            ("user.human.passwordless.token.added", Some(Change::Factor)),
            ("user.human.mfa.u2f.token.verified", Some(Change::Factor)),
            ("user.human.mfa.u2f.token.signcount.changed", Some(Change::SignedIn)),
            ("user.human.externalidp.added", Some(Change::Factor)),
            ("user.human.externallogin.check.succeeded", Some(Change::SignedIn)),
            ("user.token.added", Some(Change::SignedIn)),
            ("user.human.refresh.token.renewed", Some(Change::SignedIn)),
            ("user.human.mfa.otp.check.failed", None),
            ("user.human.passwordless.initialization.code.added", None),
            ("user.human.password.code.added", None),
            ("user.metadata.set", Some(Change::Changed)),
            ("user.locked", Some(Change::Changed)),
            ("user.something.that.is.new", Some(Change::Changed)),
        ] {
            assert_eq!(Change::of(event), kind, "{event}");
        }
    }
}
