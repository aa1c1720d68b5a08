//! What the ledger's columns mean.

use crate::mapping::draft::Route;

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
        impl rusqlite::types::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> { Ok(rusqlite::types::ToSqlOutput::from(*self as i64)) }
        }
        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                match value.as_i64()? { $($n => Ok(Self::$variant),)* other => Err(rusqlite::types::FromSqlError::OutOfRange(other)) }
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

/// A route as it is stored.
#[must_use]
pub fn route_number(route: Route) -> i64 {
    match route {
        Route::Import => 0,
        Route::UsersApi => 1,
    }
}

/// The route with this number.
#[must_use]
pub fn route_of(number: i64) -> Route {
    if number == 0 { Route::Import } else { Route::UsersApi }
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
