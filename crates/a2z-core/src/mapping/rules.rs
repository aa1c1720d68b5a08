//! The operator's own rules: where a field comes from, and who is left out. Written in CEL, compiled when the
//! configuration is read; a rule that fails for one user costs that user, never the run.
//!
//! No rule can make an address or a number verified: what a user may write (`user_metadata`) proves nothing.

mod expression;
mod row;

use jiff::Timestamp;

pub use self::expression::{Expression, Fault};
use self::row::Row;
use super::{
    finding::{Blocked, BlockedCode, Finding, FindingCode},
    text,
};
use crate::auth0::user::ExportedUser;

/// What a rule's expression or reason may take in a message, in characters.
const SHOWN: usize = 100;

/// All rules of a configuration; none by default.
#[derive(Clone, Default)]
pub struct Rules {
    /// Where fields come from.
    pub fields: Vec<Field>,
    /// Who is left out.
    pub skip: Vec<Filter>,
    /// Who alone is moved: every one of these must hold.
    pub only: Vec<Filter>,
    /// What `now` is: the start of the run, the same in both passes and after a crash.
    now: Option<Timestamp>,
}

/// Without the time: a plan is as good an hour later.
impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules")
            .field("fields", &self.fields)
            .field("skip", &self.skip)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

/// The sources of one field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Which.
    pub target: Target,
    /// The first that comes to something counts.
    pub sources: Vec<Expression>,
}

/// A condition.
#[derive(Debug, Clone)]
pub struct Filter {
    /// What is asked.
    pub condition: Expression,
    /// The operator's words for it.
    pub reason: Option<String>,
}

impl Filter {
    /// The operator's words, else the condition itself.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_else(|| self.condition.source())
    }
}

macro_rules! targets {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $field:ident;)*) => {
        /// A field of a ZITADEL user that a rule may fill.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Target { $($(#[$doc])* $variant,)* }
        impl Target {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// Its name in the configuration.
            #[must_use]
            pub fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
            fn slot(self, user: &mut ExportedUser) -> &mut Option<String> {
                match self { $(Self::$variant => &mut user.$field,)* }
            }
        }
    };
}

targets! {
    /// The user name.
    UserName = "user_name", username;
    /// The first name.
    FirstName = "first_name", given_name;
    /// The last name.
    LastName = "last_name", family_name;
    /// The display name.
    DisplayName = "display_name", name;
    /// The nick name.
    NickName = "nick_name", nickname;
    /// The language.
    PreferredLanguage = "preferred_language", locale;
    /// The e-mail; unverified, unless it is the one that Auth0 calls verified.
    Email = "email", email;
    /// The phone number; unverified, unless it is the one that Auth0 calls verified.
    Phone = "phone", phone_number;
}

/// What the rules chose, where the rest of the mapping has to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The display name is a rule's, also where it repeats the e-mail.
    pub(super) display_name: bool,
    /// The user name is a rule's, whosoever `username` is.
    pub(super) user_name: bool,
}

impl Rules {
    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.skip.is_empty() && self.only.is_empty()
    }

    /// Sets what `now` is.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = Some(now);
    }

    /// Whether the user is moved at all.
    ///
    /// A condition that cannot be answered (`timestamp('yesterday')`) neither skips nor lets through: such a user is
    /// rejected, which is reported and mended by running again.
    pub(super) fn admit(&self, user: &ExportedUser) -> Result<(), Blocked> {
        if self.skip.is_empty() && self.only.is_empty() {
            return Ok(());
        }
        let row = self.row(user);
        let rules = self.skip.iter().map(|rule| (rule, true)).chain(self.only.iter().map(|rule| (rule, false)));
        for (rule, skips) in rules {
            match rule.condition.holds(&row) {
                Ok(holds) if holds == skips => return Err(Blocked::about(BlockedCode::Filtered, shown(rule.reason()))),
                Ok(_) => {}
                Err(failure) => {
                    let detail = format!("`{}`: {}", shown(rule.condition.source()), failure.0);
                    return Err(Blocked::about(BlockedCode::FilterFailed, detail));
                }
            }
        }
        Ok(())
    }

    /// Puts the chosen values where the rest of the mapping looks for them, so that they are cleaned, cut and checked
    /// like Auth0's own. Where no source has anything, Auth0's own value stays.
    pub(super) fn choose(&self, user: &mut ExportedUser, findings: &mut Vec<Finding>) -> Chosen {
        let mut chosen = Chosen::default();
        if self.fields.is_empty() {
            return chosen;
        }
        // All of the user as it was: one rule does not see what another chose.
        let row = self.row(user);
        let values: Vec<_> =
            self.fields.iter().filter_map(|field| Some((field.target, field.first(&row, findings)?))).collect();
        for (target, value) in values {
            chosen.display_name |= target == Target::DisplayName;
            chosen.user_name |= target == Target::UserName;
            if matches!(target, Target::Email | Target::Phone) && !same(target.slot(user).as_deref(), &value) {
                let verified =
                    if target == Target::Email { &mut user.email_verified } else { &mut user.phone_verified };
                if verified.replace(false) != Some(false) {
                    findings.push(Finding::about(FindingCode::ChosenUnverified, target.name()));
                }
            }
            *target.slot(user) = Some(value);
        }
        chosen
    }

    fn row<'a>(&self, user: &'a ExportedUser) -> Row<'a> {
        Row::new(user, self.now.unwrap_or_else(Timestamp::now))
    }
}

impl Field {
    fn first(&self, row: &Row<'_>, findings: &mut Vec<Finding>) -> Option<String> {
        for source in &self.sources {
            match source.text(row) {
                Ok(Some(value)) if !text::clean(&value).text.is_empty() => return Some(value),
                Ok(_) => {}
                Err(failure) => {
                    let detail = format!("{}: `{}`: {}", self.target.name(), shown(source.source()), failure.0);
                    findings.push(Finding::about(FindingCode::SourceFailed, detail));
                }
            }
        }
        None
    }
}

fn same(had: Option<&str>, value: &str) -> bool {
    had.is_some_and(|had| had.trim().to_lowercase() == value.trim().to_lowercase())
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
