//! How each kind of user signs in from now on, and what that takes in ZITADEL.

use std::fmt::Write as _;

use super::{Paint, Summary};
use crate::error::thousands;

/// A way to sign in: its name in `report.json`, who, what happens, what to do in ZITADEL.
pub(super) const WAYS: [(&str, &str, &str, &str); 5] = [
    ("password", "with a password", "with the user name and the password that they had", "nothing"),
    (
        "provider",
        "social and enterprise",
        "with the same provider, where the user has a link to it in ZITADEL; without one, with a password that they set \
         by a code to their e-mail address",
        "set up the identity provider",
    ),
    (
        "email",
        "e-mail codes",
        "ZITADEL sends a code to the address at the first sign-in; then they choose a password or a passkey",
        "set up a mail provider; allow passwords or passkeys in the login policy",
    ),
    (
        "sms",
        "SMS codes",
        "not by SMS alone: in ZITADEL's login a code by SMS is a second factor only",
        "give each a passkey link (`POST /v2/users/{id}/passkeys/registration_link`) or a real e-mail address, or check \
         codes in a login of your own (`/v2/users/{id}/otp_sms`, `/v2/sessions`)",
    ),
    (
        "none",
        "database, without a hash",
        "ZITADEL sends a code to the address at the first sign-in; then they set a password. Passkeys do not move: those \
         who had only one register it again",
        "set up a mail provider",
    ),
];

impl Summary {
    /// Only where somebody signs in otherwise than with a password.
    pub(super) fn ways(&self) -> impl Iterator<Item = (u64, &'static str, &'static str, &'static str)> {
        let users = |name: &str| self.sign_in.get(name).copied().unwrap_or(0);
        let others = self.sign_in.keys().any(|name| name != "password");
        WAYS.into_iter()
            .map(move |(name, who, how, what)| (users(name), who, how, what))
            .filter(move |(users, ..)| others && *users > 0)
    }

    pub(super) fn sign_in_lines(&self, out: &mut String, paint: Paint) {
        let mut ways = self.ways().peekable();
        if ways.peek().is_none() {
            return;
        }
        let _ = writeln!(out, "\n{}", paint.bold("How they sign in from now on"));
        for (users, who, how, what) in ways {
            let _ = writeln!(out, "  {:>12}  {}  {how}", thousands(users), paint.bold(&format!("{who:<24}")));
            if what != "nothing" {
                let _ = writeln!(out, "{}", paint.dim(&format!("  {:>12}  {:<24}  -> {what}", "", "")));
            }
        }
    }
}
