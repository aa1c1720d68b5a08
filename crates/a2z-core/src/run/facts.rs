//! What the checks found out.

use super::idps::Idps;
use crate::{
    auth0::connections::Connection,
    config::{Config, CreateIdps},
    error::{Error, Kind, Result},
    event::Events,
    mapping::codes::Abilities,
    zitadel::{failure::Failure, instance::Organization},
};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is as it should be.
    Ok,
    /// The run goes on, and the operator should know.
    Warning,
    /// The run cannot start.
    Failure,
}

/// One check.
#[derive(Debug)]
pub struct Line {
    /// How it went.
    pub status: Status,
    /// What was looked at: a stable code, kebab-case.
    pub name: &'static str,
    /// How it stands.
    pub text: String,
    /// The error of a failure, with what to do.
    pub error: Option<Error>,
}

/// What the checks found out: a line per check, and what the stages after them need to know.
#[derive(Debug, Default)]
pub struct Facts {
    /// The checks, in the order in which they were made.
    pub lines: Vec<Line>,
    /// The account may call the import endpoint.
    pub(super) may_import: bool,
    /// Where the users go; none: to be created.
    pub(super) organization: Option<Organization>,
    /// The tenant's connections, if they could be read.
    pub(super) connections: Vec<Connection>,
    /// How many users Auth0 counts.
    pub auth0_users: Option<u64>,
    /// User names are unique in the organization only.
    pub(super) scoped_names: bool,
    /// Which identity provider stands for which connection.
    pub idps: Idps,
    /// Whether codes by SMS and e-mail can be second factors; none: the operator does not ask for it, or ZITADEL was not
    /// asked.
    pub(super) codes: Option<Abilities>,
    /// The account may give users second factors.
    pub(super) may_give_factors: bool,
    /// The version of ZITADEL, if it says one.
    pub(super) version: Option<String>,
    /// The id of our own service account.
    pub(super) account: Option<String>,
}

impl Facts {
    /// Are new identity providers created in the instance, and not in the organization?
    pub(super) fn creates_idps_in_instance(&self, config: &Config) -> bool {
        match config.zitadel.create_idps {
            CreateIdps::Instance => true,
            CreateIdps::Organization => false,
            CreateIdps::Yes | CreateIdps::No => self.may_import,
        }
    }

    pub(super) fn ok(&mut self, name: &'static str, text: impl Into<String>) {
        self.lines.push(Line { status: Status::Ok, name, text: text.into(), error: None });
    }

    pub(super) fn warn(&mut self, name: &'static str, text: impl Into<String>) {
        self.lines.push(Line { status: Status::Warning, name, text: text.into(), error: None });
    }

    pub(super) fn fail(&mut self, name: &'static str, error: Error) {
        self.lines.push(Line { status: Status::Failure, name, text: error.message().to_owned(), error: Some(error) });
    }

    /// Something that the work can do without could not be read: a warning with the reason. But if ZITADEL does not answer,
    /// nothing can be done: a failure.
    pub(super) fn unread(&mut self, name: &'static str, failure: Failure, what: &str) {
        let lost = failure.is_unreachable();
        let error = failure.into_error(what);
        if lost {
            self.fail(name, error);
        } else {
            self.warn(name, format!("{}: {}", error.message(), error.reason()));
        }
    }

    /// The error of a start that was refused: the first failure's own, with the others in a line each.
    pub(super) fn into_result(mut self, events: &Events) -> Result<Self> {
        let failures: Vec<usize> = (0..self.lines.len()).filter(|&i| self.lines[i].status == Status::Failure).collect();
        let Some(first) = failures.first() else {
            for line in self.lines.iter().filter(|line| line.status == Status::Warning) {
                events.warn(line.name, line.text.clone());
            }
            return Ok(self);
        };
        for line in failures.iter().skip(1).map(|&i| &self.lines[i]) {
            events.warn(line.name, line.text.clone());
        }
        let error = self.lines[*first].error.take().unwrap_or_else(|| Error::internal("a check failed without a word"));
        let kind = if matches!(error.kind(), Kind::Usage | Kind::Interrupted) { error.kind() } else { Kind::Check };
        Err(error.with_kind(kind))
    }
}
