//! Passwords that are known, and their hashes.
//!
//! Hashing takes 50 ms a password: a tenant of 20,000 users shares this pool instead.

/// A password and its bcrypt hash at cost 10, as Auth0 stores one.
pub const POOL: &[(&str, &str)] = &[
    ("correct horse 1", "$2b$10$aoEWgC0qSmSq0CgWEoaYOOBIxy3V4nU6Ae2H2Y7Y/iugNGFC/Px4W"),
    ("Sommer-2024!", "$2b$10$hvL3nJ7xZtZx7Jn3Lvh5VePVxd2yMgMqdabYtDHDFIobk/T/2Hw.u"),
    ("p4ssw0rd", "$2b$10$oCSauQeE6A6EeQuaSCoc2uNL/ZP5tQU2VJgfQh2JmrQlmF6Ei7BKO"),
    ("hunter2hunter2", "$2b$10$vJZhBXlLdHdLlXBhZJvj9.hDNhMMzQfmdpBtL.DCJb1J4qDiQ7Wdq"),
    ("Zuerich#88", "$2b$10$CQ6oI4sSkOkSs4Io6QCqgOqUFqeVqIijxJLZuwkjTUPgDSpgfYnLe"),
    ("qwertz12345", "$2b$10$JXdvPbzZrVrZzbPvdXJxneJ5tBoiUckSAlMvG2Bqvo.a4JG0bKiK6"),
    ("Tr0ub4dor&3", "$2b$10$Q4kCWiG6y2y6GiWCk4QEuucZpJE/h7vETl.gKxbGGj0E2aQ6hW2ja"),
    ("letmein-please", "$2b$10$XbrJ3pNdF9FdNp3JrbXLB.4PWdPG80At58PGMg2GkwIsBmDr25DrK"),
    ("Blue.Whale.7", "$2b$10$4iyQawUkMgMkUwaQyi4SIOcyh8urhQ5ubUbJ6rqJ9.Qn1t8FMJac."),
    ("night_train_9", "$2b$10$bpFXhD1rTnTr1DhXFpbZPe6Xq3kDdROdCaQDFj9LUs3sCcBM86pZe"),
    ("Monday?Monday!", "$2b$10$iwM4oK8y0u0y8Ko4Mwi6Wuql812U/f5.TTVjkvX0bJt3WVbCmcYua"),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "$2b$10$pDTbvRfF7B7FfRvbTDpd3.Txe3tsrSzg3.0NKMvZCDwqtQUnsEZ1O",
    ),
    ("a", "$2b$10$wK0iCYmMeIeMmYCi0KwkaOtediUcNT0gj.r/pRmlWswa7cI6IyVTG"),
    ("Piazza(Navona)", "$2b$10$DR7pJ5tTlPlTt5Jp7RDrhe5BURzc7mp5MHolVJejAtvtzivIa5uLm"),
    ("0000000000", "$2b$10$KYewQcA0sWs0AcQweYKyouirqHZbs8PmLJB6RP2Y8y.BTeFhDz6ai"),
    ("It's-only-7%", "$2b$10$R5lDXjH7z3z7HjXDl5RFv.kBvEJXkr1qKRhFgjsCfLvp.0KicA6FG"),
];

/// The client secret of every social and enterprise connection.
pub const IDP_SECRET: &str = "canary-idp-client-secret-9d2f61";

/// Not bcrypt: left from a bulk import, of a user who never signed in.
pub(super) const UNSUPPORTED: &[&str] = &[
    "$argon2id$v=19$m=4096,t=3,p=1$c2FsdHNhbHRzYWx0$2p0mTSuGS3XLqCOxP8A0iB0nVZgXcVE3dQO2vIQxW0Y",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "{SSHA}dG9vIG9sZCB0byBtb3ZlIHRvIGFueXdoZXJl",
];

/// A cost below and one above what ZITADEL takes.
pub(super) const BAD_COST: &[&str] = &[
    "$2b$04$aoEWgC0qSmSq0CgWEoaYOOBIxy3V4nU6Ae2H2Y7Y/iugNGFC/Px4W",
    "$2b$31$aoEWgC0qSmSq0CgWEoaYOOBIxy3V4nU6Ae2H2Y7Y/iugNGFC/Px4W",
];

/// Cut short by two characters.
pub(super) const MALFORMED: &str = "$2b$10$aoEWgC0qSmSq0CgWEoaYOOBIxy3V4nU6Ae2H2Y7Y/iugNGFC/Px";
