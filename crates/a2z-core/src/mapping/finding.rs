//! What there is to say about a user: one stable code each, with a message and a hint. The texts live in one table, so
//! that plan, report and handbook agree.

use serde::{Deserialize, Serialize};

/// Something that the operator may want to know about one user. The user is still moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub code: FindingCode,
    /// What about it, where the code alone does not say: a name, a number. Never a secret or a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why a user is not moved at all (a row that is no user included).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Which.
    pub code: BlockedCode,
    /// What about it, where the code alone does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $message:literal, $hint:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $code)] $variant,)*
        }
        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The stable code, kebab-case.
            #[must_use]
            pub fn code(self) -> &'static str { match self { $(Self::$variant => $code,)* } }
            /// What it means for the user.
            #[must_use]
            pub fn message(self) -> &'static str { match self { $(Self::$variant => $message,)* } }
            /// What to do.
            #[must_use]
            pub fn hint(self) -> &'static str { match self { $(Self::$variant => $hint,)* } }
            /// The code with this name.
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> { Self::ALL.iter().copied().find(|c| c.code() == code) }
        }
    };
}

codes! {
    /// Codes of [`Finding`]s: the user is moved, and something about them deserves a word.
    FindingCode {
        /// No hash row.
        NoHash = "no-hash", "no password hash was found for this database user", "the user sets a new password at the first sign-in; ask Auth0 support for hashes of this connection";
        /// The hash is older than the last reset.
        StaleHash = "stale-hash", "the password was changed after the hash file was made", "ask for a fresh hash file, or let the user reset; see `mapping.stale_hash`";
        /// `password_set_date` says something that is no date, and there was a reset.
        HashOfUnknownAge = "hash-of-unknown-age", "`password_set_date` of the hash cannot be read and the password was changed once: the hash may be the old one, and counts as stale", "correct the dates in the hash file and run again; or see `mapping.stale_hash`";
        /// ZITADEL has no verifier, or the hash is malformed.
        UnusableHash = "unusable-hash", "ZITADEL would refuse this password hash", "the user sets a new password at the first sign-in; where the instance has a verifier for it, list that in `zitadel.verifiers`";
        /// Several rows fit.
        AmbiguousHash = "ambiguous-hash", "several hash rows fit this user and nothing tells them apart", "export with `identities`, or use a hash file with `connection`";
        /// Two database identities with hashes.
        SeveralHashes = "several-hashes", "several database identities of this user have a password; the primary one's moves", "tell the user which password counts";
        /// Joined by e-mail.
        JoinedByEmail = "joined-by-email", "the hash was found by e-mail only", "check that the account is the same person's; `join.by_email` is on";
        /// From the hash row.
        VerifiedByHashRow = "verified-by-hash-row", "`email_verified` was taken from the hash row", "export with `email_verified` to be certain";
        /// The export does not say.
        VerifiedUnknown = "email-verified-unknown", "the export does not say whether the e-mail is verified; taken as unverified", "export with `email_verified`";
        /// `email_verified` is no flag.
        VerifiedOdd = "email-verified-odd", "`email_verified` (or `phone_verified`) is a text or another value instead of true or false; taken as unverified", "Auth0 takes every text for verified: if the texts of this connection may be trusted, name it in `mapping.verified_texts` and run again";
        /// An odd element of `identities`.
        IdentityLeftOut = "identity-left-out", "an identity of this user cannot be read: no link and no password came of it", "correct the row, or link the account in ZITADEL by hand";
        /// A field of an unexpected type.
        FieldLeftOut = "field-left-out", "a field of the row cannot be read and was left out", "see the message; correct it in Auth0 and run again if it matters";
        /// The same, with a meaning.
        FieldRepaired = "field-repaired", "a field of the row is not of the type that Auth0 documents and was read as well as possible", "see the message; correct it in Auth0 and run again if it is not what was meant";
        /// The root has none.
        EmailOfLinked = "email-of-linked-identity", "the profile has no e-mail; the verified one of a linked identity was taken", "nothing";
        /// Of the database account whose password moves.
        SignInNamesLost = "sign-in-names-lost", "the password moves, but a name with which it signed in at Auth0 does not find the user in ZITADEL", "tell the user to sign in with the user name or the e-mail that ZITADEL has";
        /// One user's user name, another's address.
        NameIsAddress = "name-is-anothers-address", "a user name is another user's e-mail: at the sign-in it finds the user with that name, never the one with that e-mail", "rename one of them in Auth0 and run again, or tell the one with the e-mail to sign in with the user name";
        /// Two users, one address, and neither has it as user name.
        AddressShared = "email-shared", "several users have this e-mail and none has it as user name: ZITADEL's sign-in refuses it, for it finds more than one", "merge the accounts in Auth0, or tell the users to sign in with their user names";
        /// No e-mail, placeholder.
        PlaceholderEmail = "placeholder-email", "the user has no e-mail and got a placeholder", "the user adds a real one after signing in";
        /// No country, or refused.
        PhoneDropped = "phone-dropped", "the phone number does not begin with its country's code, or ZITADEL would refuse it; it was left out", "correct it in Auth0 and run again";
        /// Cut at 200.
        NameCut = "name-cut", "a name is longer than 200 characters and was cut", "nothing; the whole name stays in Auth0";
        /// Invented.
        NameInvented = "name-invented", "no first or last name was found; they were derived from other fields", "nothing; the user can change it";
        /// Characters removed.
        NameCleaned = "name-cleaned", "control characters were removed from a name", "nothing";
        /// No language.
        LanguageDropped = "language-dropped", "`locale` is no language tag and was left out", "nothing";
        /// Identities without a link.
        LinkNotMoved = "link-not-moved", "a social or enterprise identity of this user does not move: no identity provider of ZITADEL is known for the connection", "name one under `[idps]`, or set `zitadel.create_idps`, and run again: the link is added";
        /// ZITADEL will see another id.
        ForeignIdDiffers = "foreign-id-differs", "ZITADEL will see this user under another id at the identity provider than Auth0 kept: no link was made", "the user links the account after signing in another way, or an administrator adds the link";
        /// Auth0 does not tell the option that says which id it kept.
        OptionUnknown = "option-unknown", "whether Auth0 kept the id that ZITADEL will see hangs on an option of the connection, and Auth0 did not tell the options: no link was made", "grant the scope `read:connections_options` (beside `read:connections`) and run again without `--users`: the link is added";
        /// Two exported users with one identity.
        LinkKeptByOther = "link-kept-by-other", "another exported user has the same identity at the provider and keeps the link", "merge the accounts in Auth0";
        /// Accounts that became one user.
        AccountsJoined = "accounts-joined", "other accounts of this person (the same verified e-mail) became part of this user", "nothing; their ids are in the metadata `linked_user_ids`";
        /// Two passwords, one user.
        OtherPasswordLeft = "other-password-left", "an account that became part of this user has a password, too, which does not move", "tell the user which password counts: this account's";
        /// A password whose account became part of a user without one.
        PasswordLeft = "password-left", "an account that became part of this user has a password, and this user has none: it does not move", "the user goes on without a password, or sets one: \"forgot password\"";
        /// Metadata of a joined account.
        MetadataLeft = "metadata-left", "the metadata of this account stays at Auth0: the account became part of another user", "merge the metadata by hand where it matters";
        /// Roles of a joined account.
        RolesLeft = "roles-left", "the roles and memberships of this account stay at Auth0: the account became part of another user", "give them to the other user where they are meant for both";
        /// Roles of a joined account, which moved.
        RolesJoined = "roles-joined", "the roles of accounts that became part of this user are this user's from now on", "look whether they are meant for the person, whatever the account";
        /// A provider that is of no use there.
        ProviderElsewhere = "provider-elsewhere", "the identity provider is of the main organization only, and this user lives in another one: no link was made", "use a provider of the instance (`zitadel.create_idps = \"instance\"`, or `[idps]`) and run again: the link is added";
        /// Somebody in ZITADEL has it.
        LinkTaken = "link-taken", "another user of the ZITADEL instance has this identity at the provider, or the provider is not one of the user's organization: no link was made", "remove the link from the other user, or use a provider of the instance, and run again";
        /// A factor that stays behind.
        FactorNotMoved = "factor-not-moved", "a second factor of this user does not move", "the user enrols again in ZITADEL; `factors.csv` lists them for a mailing";
        /// A factor that ZITADEL could not use.
        FactorUnusable = "factor-unusable", "the MFA file holds a factor of this user that ZITADEL could not use; it is left out", "the user enrols again in ZITADEL; tell Auth0 support that the row is damaged";
        /// ZITADEL has room for one.
        SeveralTotp = "several-totp", "the MFA files hold several TOTP secrets of this user; the last one moves", "codes of the user's other authenticator apps will be refused; tell the user";
        /// ZITADEL takes ten.
        RecoveryCodesDropped = "recovery-codes-dropped", "the user has more than 10 recovery codes; the first 10 move", "tell the user to make new ones";
        /// The user has one of ZITADEL's own.
        FactorKept = "factor-kept", "the user has such a factor in ZITADEL already; the one of Auth0 was not written", "nothing, if the user enrolled in ZITADEL; else remove the factor there and let the user enrol again";
        /// By a call.
        FactorByVoice = "factor-by-voice", "Auth0 calls this user's number and reads the code out; ZITADEL sends codes as SMS only: the factor does not move", "the user enrols again in ZITADEL with a number that takes SMS";
        /// Nothing that ZITADEL would send a code to.
        FactorUnverified = "factor-unverified", "codes by SMS or e-mail do not move: the user has no verified number or address for them", "verify it in Auth0 and run again, or the user verifies it in ZITADEL and enrols there";
        /// The code would go to another phone.
        FactorOtherNumber = "factor-other-number", "Auth0 sends this user's SMS codes to another number than the one of the profile: the factor does not move", "correct the number in Auth0 and run again, or the user enrols again in ZITADEL";
        /// Nobody would send the code.
        FactorNoProvider = "factor-no-provider", "codes by SMS or e-mail do not move: ZITADEL has no active provider that could send them, or this account may not see it, and the user would be locked out", "set up and activate the provider in ZITADEL (the account needs IAM_OWNER or IAM_OWNER_VIEWER to see it) and run again: the factor is added";
        /// No `user.credential.write`.
        FactorNotPermitted = "factor-not-permitted", "codes by SMS or e-mail do not move: the ZITADEL account may not give users a second factor", "give it IAM_OWNER and run again: the factor is added";
        /// A second factor without a first.
        FactorLocksOut = "factor-locks-out", "codes by SMS or e-mail do not move: the user has neither a password nor a link to an identity provider, and could not sign in with a second factor alone", "the user enrols in ZITADEL after the first sign-in; or run again once the user has a password or a link";
        /// ZITADEL said no.
        FactorRefused = "factor-refused", "ZITADEL refused a second factor of this user", "see the server's id in the message, and run again";
        /// Ours once, removed in ZITADEL since.
        FactorTakenAway = "factor-taken-away", "a second factor that a2z gave was removed in ZITADEL since: it was not given again", "nothing, if the user removed it; else the user enrols again in ZITADEL";
        /// Inactive.
        Blocked = "blocked-user", "the user is blocked in Auth0 and becomes inactive", "nothing";
        /// Metadata too large.
        MetadataDropped = "metadata-dropped", "a metadata value breaks ZITADEL's limits (500,000 bytes a value, 200 characters a key) and was left out", "shorten it in Auth0 and run again";
        /// Suffix.
        UserNameSuffixed = "user-name-suffixed", "the user name was taken by another exported user and got a suffix", "tell the user the new name; see `mapping.collisions`";
        /// A source of `mapping.fields` failed.
        SourceFailed = "source-failed", "a source in `mapping.fields` failed for this user and was passed over", "see the message; guard the expression, or correct the value in Auth0";
        /// Chosen by a rule.
        ChosenUnverified = "chosen-unverified", "the address or number was chosen by `mapping.fields` and is not the one that Auth0 verified; it is unverified", "nothing; the user verifies it";
        /// Two metadata entries of one key.
        MetadataCollision = "metadata-collision", "two metadata values would get one key; one of them was left out", "change `mapping.metadata_prefix` or `mapping.metadata_rename`";
        /// No password at all by design.
        NoPassword = "no-password", "the user signs in without a password at Auth0 and gets none here", "see \"How they sign in from now on\" at the end of the report";
        /// A new hash that would make ZITADEL write to the user.
        PasswordHeld = "password-held", "the password changed in Auth0 since the import; it was not written because ZITADEL would send the user an e-mail about it", "switch off \"password change\" under the organization's notification settings (or the mail provider) and run again";
        /// Changed in ZITADEL only.
        FieldKept = "field-kept", "a value was changed in ZITADEL since a2z wrote it, and stays", "nothing; the message names the field";
        /// Changed on both sides.
        FieldConflict = "field-conflict", "a value was changed in Auth0 and in ZITADEL since a2z wrote it; ZITADEL's stays", "compare the two; to write Auth0's, run again with `mapping.conflicts = \"overwrite\"`";
        /// Changed on both sides, and written.
        FieldOverwritten = "field-overwritten", "a value was changed in Auth0 and in ZITADEL since a2z wrote it; Auth0's was written, by `mapping.conflicts`", "nothing; the message names the field";
        /// A grant of somebody else's.
        GrantExisted = "grant-existed", "the user has a role assignment in the project already that lacks some of the roles; it was left alone", "add the roles in ZITADEL, or delete the assignment and run again";
        /// A grant of ours that somebody changed.
        GrantKept = "grant-kept", "the user's role assignment was changed in ZITADEL since and was left alone", "compare the roles; what is right is yours to say";
        /// A grant of ours that somebody took away.
        GrantTakenAway = "grant-taken-away", "the user's role assignment was taken away in ZITADEL: it was not given again", "give it again in ZITADEL where the user is to have it";
        /// Roles of somebody who was there before.
        GrantNotGiven = "grant-not-given", "the user was in ZITADEL before a2z: the roles and memberships that Auth0 has were not given", "give them in ZITADEL where they are meant for this user";
        /// A grant that ZITADEL refused.
        GrantRefused = "grant-refused", "ZITADEL refused the user's role assignment", "see the server's id in the message, and run again";
        /// Blocked now, and created by a request of an earlier run whose answer was lost.
        InZitadelAlready = "in-zitadel-already", "this user is in ZITADEL: an earlier run created it, and its answer was lost", "mend what blocks the row and run again, or remove the user with `a2z rollback`";
        /// Found there, password changed since.
        PasswordKept = "password-kept", "the password was changed in ZITADEL since the import and was left alone", "nothing";
        /// `verify` did not find the user.
        MissingInZitadel = "missing-in-zitadel", "ZITADEL took this user, and `verify` does not find the user there", "somebody deleted the user, or it is a fault: look for the id in ZITADEL's events before creating the user again";
        /// `verify` found another value.
        DiffersInZitadel = "differs-in-zitadel", "`verify` found something else in ZITADEL than was written", "somebody changed it since, or it is a fault; what users change by themselves is theirs";
    }
}

codes! {
    /// Codes of users (or rows) that are not moved.
    BlockedCode {
        /// Not JSON, not an object, no user id, too long.
        MalformedRow = "malformed-row", "the row cannot be read as a user", "see the line in the export file; export again, or create the user by hand";
        /// Twice in one export.
        DuplicateUserId = "duplicate-user-id", "another row of the export has the same `user_id`", "the first row counts; compare the two lines";
        /// No e-mail.
        NoEmail = "no-email", "ZITADEL needs an e-mail and the user has none", "set `mapping.placeholder_email_domain`, or add an e-mail in Auth0";
        /// Refused address.
        BadEmail = "bad-email", "ZITADEL would refuse the e-mail address", "correct it in Auth0 and run again";
        /// Part of another user.
        LinkedInto = "linked-into", "the account became part of another user, with its links", "nothing; see `mapping.collisions`";
        /// By a rule; skipped, not rejected.
        Filtered = "filtered", "left out by a rule of `mapping.skip` or `mapping.only`", "nothing; change the rule and run again to move the user";
        /// A rule without an answer.
        FilterFailed = "filter-failed", "a rule of `mapping.skip` or `mapping.only` cannot be answered for this user, who is neither moved nor left out by it", "guard the rule (`has(...)`, `type(...) == ...`), or correct the value in Auth0, and run again";
        /// Collision inside the export.
        DuplicateUserName = "duplicate-user-name", "another exported user would get the same user name", "merge the accounts in Auth0, or set `mapping.collisions`";
        /// Collision with the instance.
        UserNameTaken = "user-name-taken", "another user of the ZITADEL instance has this user name", "rename one of them and run again";
        /// Over 200 characters.
        BadUserId = "bad-user-id", "the `user_id` is empty or longer than 200 characters", "such a user cannot keep the id; create the user by hand";
        /// Over 200 characters.
        BadUserName = "bad-user-name", "the user name is longer than 200 characters", "shorten it in Auth0 and run again";
        /// An identity without a provider.
        NoIdentityProvider = "no-identity-provider", "an identity of this user has no identity provider in ZITADEL, and `idps.unmatched` is `block`", "name a provider under `[idps]`, or set `zitadel.create_idps`, and run again";
        /// Ours once, deleted in ZITADEL since.
        GoneFromZitadel = "gone-from-zitadel", "a2z created this user and somebody deleted it in ZITADEL since", "left alone; to create it again, start with an empty state folder";
        /// There already, in another organization.
        ExistedElsewhere = "existed-elsewhere", "the user exists in another organization of the instance and was left alone", "delete it there (not the organization first) and run again";
        /// An answer was lost, and the events may not be read.
        OwnerUnknown = "owner-unknown", "the user is in ZITADEL, an answer was lost, and this account may not read the events that tell who created the user: left alone", "look at the user in ZITADEL: if nobody uses it, delete it there and run again; with IAM_OWNER_VIEWER beside its role the account can tell";
        /// The id of a user whose organization was deleted.
        GhostUser = "ghost-user", "the `user_id` belongs to a user whose organization was deleted in ZITADEL; such ids stay taken", "free it with `DELETE /v2/users/{user_id}` and run again";
        /// Created, but not whole.
        Incomplete = "incomplete", "the user was created, but a part of the data could not be written", "run again: it is completed";
        /// The user's organization could not be made.
        OrganizationRefused = "organization-refused", "ZITADEL refused the organization that the user belongs to", "see the server's id in the message; rename the organization in Auth0 and run again";
        /// Undone.
        RolledBack = "rolled-back", "a2z had created the user, and `a2z rollback` deleted it", "nothing; `a2z cutover` moves the user again";
        /// Refused by the server for a cause that was not foreseen.
        RefusedByZitadel = "refused-by-zitadel", "ZITADEL refused the user", "see the server's id in the message";
    }
}

impl FindingCode {
    /// Found by `verify`: for the operator to look at.
    #[must_use]
    pub fn is_of_verify(self) -> bool {
        matches!(self, Self::MissingInZitadel | Self::DiffersInZitadel)
    }

    /// Does somebody have to decide something about the user, although the user is moved?
    #[must_use]
    pub fn needs_operator(self) -> bool {
        self.is_of_verify() || matches!(self, Self::FieldConflict | Self::GrantKept | Self::GrantTakenAway)
    }

    /// Is it about what a merge with ZITADEL's values came to? Each merge replaces what an earlier one found.
    #[must_use]
    pub fn is_of_merge(self) -> bool {
        matches!(self, Self::FieldKept | Self::FieldConflict | Self::FieldOverwritten)
    }
}

impl Finding {
    /// A finding that its code explains.
    #[must_use]
    pub fn new(code: FindingCode) -> Self {
        Self { code, detail: None }
    }

    /// A finding about something.
    pub fn about(code: FindingCode, detail: impl Into<String>) -> Self {
        Self { code, detail: Some(detail.into()) }
    }
}

impl Blocked {
    /// A refusal that its code explains.
    #[must_use]
    pub fn new(code: BlockedCode) -> Self {
        Self { code, detail: None }
    }

    /// A refusal about something.
    pub fn about(code: BlockedCode, detail: impl Into<String>) -> Self {
        Self { code, detail: Some(detail.into()) }
    }
}
