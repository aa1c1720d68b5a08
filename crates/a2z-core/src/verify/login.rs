//! One password, held against a hash on this machine, and what ZITADEL says to it.

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    error::{Error, Kind},
    zitadel::failure::{Failure, Reason},
};

/// What the hash says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// It is the password's; the kind of the hash (`bcrypt 10`).
    Matches(String),
    /// It is not.
    Wrong(String),
    /// It was not asked, and why.
    LeftOut(String),
}

/// Is `password` the one that `hash` was made of? bcrypt reads 72 bytes of a password, here as everywhere.
#[must_use]
pub fn check(hash: &SecretString, password: &SecretString) -> Local {
    let hash = hash.expose_secret();
    let mut parts = hash.split('$').skip(1);
    let (Some("2a" | "2b" | "2y"), Some(cost)) = (parts.next(), parts.next()) else {
        return Local::LeftOut("it is not bcrypt: only ZITADEL can tell".into());
    };
    let kind = format!("bcrypt {}", crate::error::printable(cost));
    match bcrypt::verify(password.expose_secret(), hash) {
        Ok(true) => Local::Matches(kind),
        Ok(false) => Local::Wrong(kind),
        Err(_) => Local::LeftOut("it cannot be read as bcrypt".into()),
    }
}

/// The operator's error for a sign-in that ZITADEL refused, told by the error's id.
#[must_use]
pub fn failed(failure: Failure, local: &Local) -> Error {
    let fits = matches!(local, Local::Matches(_));
    let error = |message: String| Error::new(Kind::Incomplete, message);
    let id = failure.reason().id();
    match failure.reason() {
        Reason::PasswordWrong if fits => {
            error(format!("the password fits the hash from Auth0, and ZITADEL calls it wrong ({id})"))
                .because("the password was changed in ZITADEL since, or the hash did not arrive as it was")
                .hint("run `a2z verify`; the attempt counts as a failed one of the user's")
        }
        Reason::PasswordWrong => error(format!("ZITADEL calls the password wrong ({id})"))
            .hint("type it again; with `--passwords FILE` a2z can tell whether it was the right one at Auth0"),
        Reason::PasswordMissing => {
            error(format!("the user has no password in ZITADEL ({id})")).hint("see the user's findings in `outcomes.ndjson`: `no-hash`, `stale-hash`, `no-password`")
        }
        Reason::NotActive => error(format!("the user may not sign in: inactive or locked in ZITADEL ({id})"))
            .hint("users who are blocked in Auth0 become inactive; the console can unlock or reactivate a user"),
        Reason::RehashFailed => error(format!("ZITADEL cannot hash this password again ({id})"))
            .because("it has more than 72 bytes, and ZITADEL renews every hash whose cost is not its own")
            .hint("such users need a shorter password, or set `SystemDefaults.PasswordHasher.Hasher.Cost` of a self-hosted ZITADEL to the hashes' own cost"),
        _ => match failure {
            Failure::NoPermission(_) => Error::new(Kind::Check, "the account may not try a sign-in")
                .because("`POST /v2/sessions` asks for `session.write`")
                .hint("IAM_OWNER and IAM_LOGIN_CLIENT have it"),
            failure => failure.into_error("the sign-in at ZITADEL did not come to an answer"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password() {
        let hash: SecretString = bcrypt::hash("correct horse", 4).unwrap().into();
        assert_eq!(check(&hash, &"correct horse".into()), Local::Matches("bcrypt 04".into()));
        assert_eq!(check(&hash, &"wrong horse".into()), Local::Wrong("bcrypt 04".into()));
        let argon: SecretString = "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".into();
        assert!(matches!(check(&argon, &"x".into()), Local::LeftOut(_)));
        for broken in ["$2b$10$short", "$2", "", "$2b$", "plain"] {
            assert!(matches!(check(&broken.into(), &"x".into()), Local::LeftOut(_)), "{broken}");
        }
    }

    #[test]
    fn long_passwords_are_cut_as_everywhere() {
        let long = "x".repeat(80);
        let hash: SecretString = bcrypt::hash("x".repeat(72), 4).unwrap().into();
        assert_eq!(check(&hash, &long.into()), Local::Matches("bcrypt 04".into()));
    }
}
