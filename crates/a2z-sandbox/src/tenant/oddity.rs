//! What can be odd about a user. Each oddity belongs to one axis; a user has at most one of each axis.

use super::random::Random;

macro_rules! oddities {
    ($($axis:ident { $($name:ident $label:literal $doc:literal),* $(,)? })*) => {
        /// What is odd about a row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Oddity { $($(#[doc = $doc] $name,)*)* }

        /// What an oddity is about. A user has at most one oddity of each axis.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Axis { $(#[doc = concat!("Oddities of the axis ", stringify!($axis), ".")] $axis,)* }

        impl Axis {
            /// Every axis, with its oddities.
            pub const ALL: &[(Self, &[Oddity])] = &[$((Self::$axis, &[$(Oddity::$name,)*]),)*];
        }

        impl Oddity {
            /// Every oddity, in the order of the axes.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// A name that stays the same: `stale-hash`.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $($(Self::$name => $label,)*)* }
            }

            /// What the oddity is about.
            #[must_use]
            pub const fn axis(self) -> Axis {
                match self { $($(Self::$name => Axis::$axis,)*)* }
            }
        }
    };
}

oddities! {
    // The whole row: with one of these, nothing else about the user matters.
    Line {
        CutLine "cut-line" "The JSON ends in the middle.",
        NotAnObject "not-an-object" "The line is a JSON value, but no object.",
        NoUserId "no-user-id" "An object without `user_id`.",
        DuplicateRow "duplicate-row" "The row before it once more, byte for byte.",
    }
    // Who the user is.
    Account {
        GoogleSocial "google-social" "`google-oauth2|…` with a 21-digit id.",
        NumericId "numeric-id" "`google-oauth2|…` whose `identities[0].user_id` is a JSON number of 21 digits.",
        GithubSocial "github-social" "`github|…`.",
        MicrosoftSocial "microsoft-social" "`windowslive|…`.",
        AppleSocial "apple-social" "`apple|…`, with dots in the id.",
        SamlEnterprise "saml-enterprise" "`samlp|connection|name|domain`: several pipes.",
        OidcEnterprise "oidc-enterprise" "`oidc|connection|…` with slashes in the id.",
        LinkedDatabasePrimary "linked-database-primary" "A database account with a Google account linked to it.",
        LinkedSocialPrimary "linked-social-primary" "A Google account with a database account (and its hash) linked to it.",
        DoublePrefix "double-prefix" "`auth0|auth0|…`: re-imported with its prefix.",
        UsernameConnection "username-connection" "A user of a connection that requires a username.",
        CustomDatabase "custom-database" "A user of a custom database without import: Auth0 never held a hash.",
        SmsUser "sms-user" "`sms|…`: a phone number and no e-mail.",
        PasswordlessEmail "passwordless-email" "`email|…`.",
        LongUserId "long-user-id" "A `user_id` of over 200 characters.",
        SharedEmail "shared-email" "The e-mail of the user before, in another database connection.",
        SharedEmailMixedCase "shared-email-mixed-case" "The e-mail of the user before in mixed case, from a custom database.",
        SameUserId "same-user-id" "The `user_id` of the user before, in another database connection, with another password.",
    }
    Verification { UnverifiedEmail "unverified-email" "`email_verified: false`." }
    State { Blocked "blocked" "`blocked: true`." }
    // Of database accounts only.
    Hash {
        NoHash "no-hash" "A database user who is not in the hash file.",
        StaleHash "stale-hash" "`last_password_reset` is later than `password_set_date`.",
        UnsupportedAlgorithm "unsupported-algorithm" "A hash that is not bcrypt.",
        BadCost "bad-cost" "bcrypt with a cost that ZITADEL refuses.",
        MalformedHash "malformed-hash" "bcrypt, but cut short.",
        BareDollarTwo "bare-dollar-two" "The hash `$2`.",
        RowWithoutHash "row-without-hash" "A hash row without `passwordHash`.",
        HashWithoutUser "hash-without-user" "Beside the user's own hash row, one of a user whom nobody exported.",
        HashStringId "hash-string-id" "The hash row's `_id` is a string, its date too, and `emailVerified` is camel case.",
        HashAltId "hash-alt-id" "The hash row's `alt_id` is the user's id.",
        HashIdentifiers "hash-identifiers" "The hash row has `identifiers` and no e-mail at its root.",
        HashPrefixedId "hash-prefixed-id" "The hash row's `$oid` carries `auth0|` already.",
    }
    Factor {
        Totp "totp" "A TOTP secret in the MFA file.",
        TotpAndRecovery "totp-and-recovery" "A TOTP secret and a recovery code.",
        FactorWithoutType "factor-without-type" "An MFA row without `type`.",
        LegacyMultifactor "legacy-multifactor" "`multifactor: [\"google-authenticator\"]` and nothing in the MFA file.",
    }
    Name {
        NameIsEmail "name-is-email" "As Auth0 fills it in: `name` is the e-mail; no given and no family name.",
        NameMissing "name-missing" "No name of any kind.",
        OneName "one-name" "`name` is a single word.",
        LongName "long-name" "Names of 300 characters.",
        WhitespaceName "whitespace-name" "Names of spaces and tabs only.",
        RightToLeftName "right-to-left-name" "Hebrew, with an override character.",
        TerminalEscape "terminal-escape" "A name that would clear the terminal.",
        NulName "nul-name" "A name with U+0000.",
        EmojiName "emoji-name" "Emoji joined by U+200D.",
    }
    // Not of users whose e-mail another oddity decides.
    Email {
        EmptyEmail "empty-email" "`email` is the empty string.",
        NoEmail "no-email" "No `email` key.",
        IdnEmail "idn-email" "A domain outside ASCII.",
        LocalhostEmail "localhost-email" "A domain without a dot.",
        QuotedEmail "quoted-email" "A quoted local part with a space.",
        TwoDotsEmail "two-dots-email" "Two dots in a row.",
        UpperCaseEmail "upper-case-email" "Upper case in a database user's hash row; Auth0 holds it in lower case.",
    }
    Phone {
        VerifiedPhone "verified-phone" "An E.164 number, verified.",
        UnverifiedPhone "unverified-phone" "An E.164 number, not verified.",
        BadPhone "bad-phone" "A number that is not E.164.",
    }
    Locale {
        LocaleUnderscore "locale-underscore" "`en_US`.",
        LocaleHyphen "locale-hyphen" "`pt-BR`.",
        LocalePlain "locale-plain" "`de`.",
        LocaleOdd "locale-odd" "No language at all.",
    }
    Metadata {
        BigInteger "big-integer" "An integer that a double cannot hold.",
        UnicodeMetadata "unicode-metadata" "Keys and values outside ASCII, escaped and not.",
        NestedMetadata "nested-metadata" "Objects in objects in arrays.",
        EmptyMetadata "empty-metadata" "`{}`.",
        SixKeys "six-keys" "Six keys.",
        HugeMetadata "huge-metadata" "Over 500,000 bytes. A hundredth as frequent as the others.",
    }
    Dates { DateObjects "date-objects" "Dates as `{\"$date\":…}`." }
}

impl Oddity {
    /// Needs the row before it.
    #[must_use]
    pub const fn is_pair(self) -> bool {
        matches!(self, Self::DuplicateRow | Self::SharedEmail | Self::SharedEmailMixedCase | Self::SameUserId)
    }

    /// How often it comes, as a share of `rate`.
    const fn weight(self) -> f64 {
        match self {
            Self::HugeMetadata => 0.01,
            // Pairs sit on every second row only.
            _ if self.is_pair() => 2.0,
            _ => 1.0,
        }
    }
}

/// Most of an axis that may be odd, so that plain users remain.
const MOST: f64 = 0.9;

/// The oddities of one row by chance, each with the share `rate`, scaled down where an axis has too many.
pub(super) fn draw(random: &mut Random, rate: f64, pairs: bool) -> Vec<Oddity> {
    let mut drawn = Vec::new();
    for (axis, members) in Axis::ALL {
        let weight = |oddity: Oddity| if oddity.is_pair() && !pairs { 0.0 } else { oddity.weight() };
        let total: f64 = members.iter().map(|oddity| weight(*oddity)).sum::<f64>() * rate;
        let scale = if total > MOST { MOST / total } else { 1.0 };
        let mut left = random.share();
        for oddity in *members {
            let share = weight(*oddity) * rate * scale;
            if left < share {
                drawn.push(*oddity);
                break;
            }
            left -= share;
        }
        // A damaged row has no user whose other oddities could be seen.
        if *axis == Axis::Line && !drawn.is_empty() {
            break;
        }
    }
    drawn
}
