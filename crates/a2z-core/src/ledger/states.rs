//! What the ledger's columns mean.

use std::fmt;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::mapping::{codes::Kind, draft::Route};

/// Numbers that SQL compares with, by name: no statement holds a bare one.
macro_rules! numbers {
    ($($name:ident = $state:ident::$variant:ident;)*) => { $(pub(super) const $name: i64 = $state::$variant as i64;)* };
}

numbers! {
    TO_CREATE = Action::Create;
    TO_UPDATE = Action::Update;
    TO_KEEP = Action::Unchanged;
    BLOCKED = Action::Blocked;
    LEFT_OUT = Action::Skip;

    PENDING = Progress::Pending;
    IN_FLIGHT = Progress::InFlight;
    LOST = Progress::Unknown;
    DONE = Progress::Done;

    CREATED = Outcome::Created;
    UPDATED = Outcome::Updated;
    UNCHANGED = Outcome::Unchanged;
    UNKNOWN = Outcome::Unknown;

    NOBODY = Owner::None;
    OURS = Owner::Ours;
    OTHERS = Owner::Other;

    NOT_MADE = Made::No;
    MADE = Made::Ours;

    NOT_LOST = Lost::No;
    LOST_KEPT = Lost::Kept;

    CODE_PLANNED = CodeState::Planned;
    CODE_IN_DOUBT = CodeState::InDoubt;
    CODE_OURS = CodeState::Ours;
    CODE_REFUSED = CodeState::Refused;
}

/// Several numbers of one column, as SQL lists them: `(0, 1)`.
pub(super) struct OneOf(&'static [i64]);

impl fmt::Display for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "({})", numbers.join(", "))
    }
}

/// A piece of SQL that several statements share.
pub(super) struct Part(pub(super) fn(&mut fmt::Formatter<'_>) -> fmt::Result);

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// Actions that send something.
pub(super) const TO_SEND: OneOf = OneOf(&[TO_CREATE, TO_UPDATE]);
/// Actions of users who are, or are to be, in ZITADEL from us.
pub(super) const MOVING: OneOf = OneOf(&[TO_CREATE, TO_UPDATE, TO_KEEP]);
/// Actions of users who are not sent, whether ZITADEL has them or not.
pub(super) const OUT: OneOf = OneOf(&[BLOCKED, LEFT_OUT]);
/// Progress of users whose last request may have been carried out.
pub(super) const IN_DOUBT: OneOf = OneOf(&[IN_FLIGHT, LOST]);
/// Outcomes of users that a run wrote.
pub(super) const WRITTEN: OneOf = OneOf(&[CREATED, UPDATED]);
/// What ZITADEL has from us, or may have.
pub(super) const PERHAPS_MADE: OneOf = OneOf(&[Made::Doubt as i64, MADE]);

/// An enum that is stored as a number.
macro_rules! stored {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $n:literal, $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant = $n,)* }
        impl $name {
            /// The word for it in reports.
            #[must_use]
            pub fn word(self) -> &'static str { match self { $(Self::$variant => $word,)* } }
        }
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> { Ok(ToSqlOutput::from(*self as i64)) }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                match value.as_i64()? { $($n => Ok(Self::$variant),)* other => Err(FromSqlError::OutOfRange(other)) }
            }
        }
    };
}

stored! {
    /// What the plan says is to be done with a user.
    Action {
        /// Not in ZITADEL yet.
        Create = 0, "create";
        /// Created by this ledger, and changed since.
        Update = 1, "update";
        /// Created by this ledger, and the same.
        Unchanged = 2, "unchanged";
        /// In ZITADEL, not from this ledger: left alone.
        Existed = 3, "existed";
        /// Not to be sent; the code says why.
        Blocked = 4, "blocked";
        /// Left out on purpose.
        Skip = 5, "skip";
    }
}

stored! {
    /// How far the action is.
    Progress {
        /// Not begun.
        Pending = 0, "pending";
        /// A request with this user is (or was, if the process died) under way. The user did not exist before it.
        InFlight = 1, "in-flight";
        /// The answer was lost. The user did not exist before the request.
        Unknown = 2, "unknown";
        /// Settled: the outcome is certain.
        Done = 3, "done";
    }
}

stored! {
    /// How it ended. Every exported user has exactly one at the end of a run.
    Outcome {
        /// Created in ZITADEL.
        Created = 0, "created";
        /// Updated in ZITADEL.
        Updated = 1, "updated";
        /// Was from this ledger already, and the same.
        Unchanged = 2, "unchanged";
        /// Was in ZITADEL already, not from this ledger.
        Existed = 3, "existed";
        /// Left out on purpose, or a repetition.
        Skipped = 4, "skipped";
        /// Cannot be moved as it is: the code says why.
        Rejected = 5, "rejected";
        /// Not known yet.
        Unknown = 6, "unknown";
    }
}

stored! {
    /// Who made the ZITADEL user.
    Owner {
        /// Nobody yet.
        None = 0, "none";
        /// This ledger.
        Ours = 1, "ours";
        /// Somebody else, before.
        Other = 2, "other";
    }
}

stored! {
    /// Whether ZITADEL has something from us.
    Made {
        /// No.
        No = 0, "no";
        /// A request of ours may have made it.
        Doubt = 1, "doubt";
        /// We made it.
        Ours = 2, "ours";
        /// It was there before.
        Other = 3, "other";
    }
}

stored! {
    /// Why nobody gets a link.
    Lost {
        /// Somebody gets it.
        No = 0, "no";
        /// Another user keeps the identity.
        Kept = 1, "kept";
        /// The provider is of another organization than the user.
        Elsewhere = 2, "elsewhere";
    }
}

stored! {
    /// Where a factor by code stands.
    CodeState {
        /// Nothing was sent.
        Planned = 0, "planned";
        /// A request may have been carried out.
        InDoubt = 1, "in-doubt";
        /// ZITADEL has it from us, or had.
        Ours = 2, "ours";
        /// The user had one already, not from us.
        Theirs = 3, "theirs";
        /// It was ours, and somebody removed it in ZITADEL.
        TakenAway = 4, "taken-away";
        /// Not given, for a cause of the user's.
        Refused = 5, "refused";
    }
}

/// Takes the import endpoint.
pub(super) const BY_IMPORT: i64 = 0;
/// Takes the users API.
const BY_USERS_API: i64 = 1;

/// A route as it is stored.
#[must_use]
pub fn route_number(route: Route) -> i64 {
    match route {
        Route::Import => BY_IMPORT,
        Route::UsersApi => BY_USERS_API,
    }
}

/// The route with this number.
#[must_use]
pub fn route_of(number: i64) -> Route {
    if number == BY_IMPORT { Route::Import } else { Route::UsersApi }
}

/// A factor by SMS.
pub(super) const SMS: i64 = 0;
/// A factor by e-mail.
pub(super) const EMAIL: i64 = 1;

impl FromSql for Kind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            SMS => Ok(Self::Sms),
            EMAIL => Ok(Self::Email),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

impl ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Sms => SMS,
            Self::Email => EMAIL,
        }))
    }
}

/// How the users of a run ended; see [`Balance::balances`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Balance {
    /// Rows of the export, blank lines aside.
    pub exported: u64,
    /// Created in ZITADEL.
    pub created: u64,
    /// Updated in ZITADEL.
    pub updated: u64,
    /// The same as before.
    pub unchanged: u64,
    /// There already, not from this ledger.
    pub existed: u64,
    /// Left out on purpose.
    pub skipped: u64,
    /// Cannot be moved as they are.
    pub rejected: u64,
    /// Not known (yet).
    pub unknown: u64,
}

impl Balance {
    /// Does everybody have exactly one outcome?
    #[must_use]
    pub fn balances(&self) -> bool {
        self.exported
            == self.created + self.updated + self.unchanged + self.existed + self.skipped + self.rejected + self.unknown
    }
}
