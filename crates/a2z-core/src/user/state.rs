//! The life of a user.
//!
//! ```text
//! Planned ──send──> InFlight ──answer──> Ours(verdict) ──plan──> Planned …
//!    │                 └──lost──> InDoubt ──resolved──> Ours | Theirs | Planned | Out
//!    │                               └──plan that sends nothing──> SetAside ──resolved──> Ours | Out
//!    ├──> Theirs (existed)
//!    ├──> Unclear (nobody can tell whose) ──plan──> InDoubt
//!    └──> Out(why): blocked, skipped, refused, rolled back
//! ```
//!
//! [`State::after`] is the only place that decides what a user becomes. The ledger stores states; it does not decide. An
//! event that a state does not know is a fault of the program ([`Illegal`]), never a reason to guess.

/// What is to be done with a user in ZITADEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// To create the user: nobody has it, as far as the ledger knows.
    Create,
    /// To change a user that this ledger created.
    Update,
}

/// Why nothing is sent for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The row cannot be moved as it is; the finding's code says why.
    Blocked,
    /// The operator left the row out, or the account became part of another user.
    Skipped,
    /// ZITADEL refused the user.
    Refused,
    /// A rollback deleted the user.
    RolledBack,
}

/// What a run came to, for a user that ZITADEL has from this ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// This run created the user.
    Created,
    /// This run changed the user.
    Updated,
    /// There was nothing to write.
    Unchanged,
    /// Nothing more is sent: the latest row is blocked, skipped, or its change was refused. The user stays as it is.
    Left(Why),
    /// The latest look did not find the user in ZITADEL: somebody deleted it there.
    Gone,
}

/// What the ledger knows about a user, as one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The plan wants something of ZITADEL; nothing was sent for it yet.
    Planned(Task),
    /// A request is under way, or was when the process died.
    InFlight(Task),
    /// A request left and its answer was lost: it may have been carried out.
    InDoubt(Task),
    /// In doubt, while the latest plan sends nothing for the user. Only whether ZITADEL has the user is resolved.
    SetAside(Task, Why),
    /// ZITADEL has the user from this ledger.
    Ours(Verdict),
    /// ZITADEL has the user from somebody else: never touched.
    Theirs,
    /// ZITADEL has a user with this id, an answer was lost, and it cannot be told who created the user: never touched, and
    /// asked again by the next plan, for another account may be able to tell.
    Unclear,
    /// ZITADEL has nothing from this ledger, and nothing is to be sent.
    Out(Why),
}

/// What a row of the export asks for, once mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// The user, with what ZITADEL has from this ledger already.
    Same,
    /// The user, with something that ZITADEL does not have from this ledger.
    Differs,
    /// Nothing.
    Out(Why),
}

/// The answer to a request, or what a look before it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// A request of this ledger created the user.
    Created,
    /// The user was changed.
    Updated,
    /// There was nothing to change.
    Unchanged,
    /// Somebody else's user has this id.
    Existed,
    /// A user with this id is there, and it cannot be told who created it.
    Unclear,
    /// ZITADEL refused, and has nothing from this ledger, as far as the ledger knew before.
    Refused,
    /// ZITADEL refused to write a user that a request of this ledger created.
    RefusedOurs,
}

/// Who has a user in doubt, once that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Found {
    /// This ledger's request created the user.
    Ours,
    /// Somebody else did.
    Theirs,
    /// Nobody: the request was not carried out.
    Nobody,
}

/// What happens to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A plan pass read the user's row.
    Plan(Row),
    /// A later step of the plan changed what is wanted (a name, links): the same as ZITADEL has, or not.
    Adjust(Row),
    /// The plan found somebody else's user with this id in ZITADEL.
    PlanFoundTheirs,
    /// A look did not find the user, which this ledger created, in ZITADEL.
    Miss,
    /// The run was planned a second time: what it wrote before counts.
    Recall(Task),
    /// A request is about to leave.
    Send,
    /// The request was certainly not carried out.
    NotSent,
    /// The answer was lost.
    Lose,
    /// The answer was read, or a look made the request superfluous.
    Answer(Answer),
    /// A user in doubt, for whom this run sends nothing, was looked up.
    Resolve(Found),
    /// A recreation is about to delete the user.
    Delete,
    /// The deletion was refused: the user is still there.
    Keep,
    /// The deletion was carried out: the user is to be created.
    Deleted,
    /// A rollback deleted the user, or found that nobody has it any more.
    RollBack,
}

impl Event {
    /// The word for it in the history of a user, if it is knowledge about ZITADEL: what a plan makes of a row, and that a
    /// request leaves, is not. It never changes once written.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Plan(_) | Self::Adjust(_) | Self::Recall(_) | Self::Send | Self::NotSent => None,
            Self::PlanFoundTheirs | Self::Answer(_) => Some("answered"),
            Self::Miss => Some("missed"),
            Self::Lose => Some("lost"),
            Self::Resolve(_) => Some("resolved"),
            Self::Delete => Some("deleting"),
            Self::Keep => Some("not-deleted"),
            Self::Deleted => Some("deleted"),
            Self::RollBack => Some("rolled-back"),
        }
    }
}

/// An event that a state does not know: a fault of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user who is {state:?} cannot take {event:?}")]
pub struct Illegal {
    /// The state before.
    pub state: State,
    /// What was to happen.
    pub event: Event,
}

impl State {
    /// The state of a user that the ledger does not know yet, and whose row asks for `row`.
    #[must_use]
    pub fn first(row: Row) -> Self {
        match row {
            Row::Same | Row::Differs => Self::Planned(Task::Create),
            Row::Out(why) => Self::Out(why),
        }
    }

    /// What the user becomes by `event`.
    ///
    /// # Errors
    /// [`Illegal`] if the state does not know the event.
    #[expect(clippy::match_same_arms, reason = "a table: a line per transition")]
    pub fn after(self, event: Event) -> Result<Self, Illegal> {
        use State::{InDoubt, InFlight, Ours, Out, Planned, SetAside, Theirs, Unclear};
        use Task::{Create, Update};
        let next = match (event, self) {
            // A user in doubt stays in doubt, whatever a new plan says.
            (Event::Plan(Row::Out(why)), InFlight(task) | InDoubt(task) | SetAside(task, _)) => SetAside(task, why),
            (Event::Plan(_), InFlight(task) | InDoubt(task) | SetAside(task, _)) => InDoubt(task),
            (Event::Plan(row), Planned(Update) | Ours(_)) => Self::ours_wanting(row),
            (Event::Plan(row), Planned(Create) | Theirs | Out(_)) => Self::first(row),
            (Event::Plan(Row::Out(why)), Unclear) => SetAside(Create, why),
            (Event::Plan(_), Unclear) => InDoubt(Create),

            (Event::Adjust(Row::Out(why)), InDoubt(task) | SetAside(task, _)) => SetAside(task, why),
            (Event::Adjust(_), InDoubt(task)) => InDoubt(task),
            (Event::Adjust(row), Planned(Update) | Ours(_)) => Self::ours_wanting(row),
            (Event::Adjust(row), Planned(Create)) => Self::first(row),
            (Event::Adjust(Row::Out(why)), Out(_)) => Out(why),

            (Event::PlanFoundTheirs, Planned(Create)) => Theirs,
            (
                Event::Miss,
                Planned(Update)
                | InFlight(Update)
                | InDoubt(Update)
                | Ours(Verdict::Created | Verdict::Updated | Verdict::Unchanged),
            ) => Ours(Verdict::Gone),
            (Event::Recall(Create), Ours(Verdict::Unchanged)) => Ours(Verdict::Created),
            (Event::Recall(Update), Ours(Verdict::Unchanged)) => Ours(Verdict::Updated),

            (Event::Send, Planned(task) | InFlight(task)) => InFlight(task),
            (Event::Send | Event::NotSent, InDoubt(task)) => InDoubt(task),
            (Event::NotSent, InFlight(task)) => Planned(task),
            (Event::Lose, Planned(task) | InFlight(task) | InDoubt(task)) => InDoubt(task),

            (Event::Answer(answer), Planned(task) | InFlight(task) | InDoubt(task)) => match (answer, task) {
                (Answer::Created, _) => Ours(Verdict::Created),
                (Answer::Updated, _) => Ours(Verdict::Updated),
                (Answer::Unchanged, Update) => Ours(Verdict::Unchanged),
                (Answer::Existed, _) => Theirs,
                (Answer::Unclear, Create) => Unclear,
                (Answer::Refused, Create) => Out(Why::Refused),
                (Answer::Refused, Update) | (Answer::RefusedOurs, _) => Ours(Verdict::Left(Why::Refused)),
                (Answer::Unchanged, Create) | (Answer::Unclear, Update) => return Err(Illegal { state: self, event }),
            },

            (Event::Resolve(Found::Ours), SetAside(_, why)) => Ours(Verdict::Left(why)),
            (Event::Resolve(Found::Nobody), SetAside(Update, why)) => Ours(Verdict::Left(why)),
            (Event::Resolve(Found::Nobody), SetAside(Create, why)) => Out(why),
            // Of an earlier run, whose export held the user; the latest one does not.
            (Event::Resolve(Found::Ours), InFlight(_) | InDoubt(_)) => Ours(Verdict::Created),
            (Event::Resolve(Found::Nobody), InFlight(task) | InDoubt(task)) => Planned(task),
            (Event::Resolve(Found::Theirs), SetAside(_, why)) => Out(why),
            (Event::Resolve(Found::Theirs), InFlight(_) | InDoubt(_)) => Theirs,

            (Event::Delete, Ours(Verdict::Created | Verdict::Updated | Verdict::Unchanged)) => InDoubt(Create),
            (Event::Keep, InDoubt(Create)) => Ours(Verdict::Created),
            (Event::Deleted, InDoubt(Create)) => Planned(Create),
            (Event::RollBack, Ours(_) | Planned(Update) | InFlight(_) | InDoubt(_) | SetAside(..)) => {
                Out(Why::RolledBack)
            }

            (event, state) => return Err(Illegal { state, event }),
        };
        Ok(next)
    }

    fn ours_wanting(row: Row) -> Self {
        match row {
            Row::Same => Self::Ours(Verdict::Unchanged),
            Row::Differs => Self::Planned(Task::Update),
            Row::Out(why) => Self::Ours(Verdict::Left(why)),
        }
    }

    /// Does ZITADEL have the user from this ledger, as far as the ledger knows?
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Ours(_)
                | Self::Planned(Task::Update)
                | Self::InFlight(Task::Update)
                | Self::InDoubt(Task::Update)
                | Self::SetAside(Task::Update, _)
        )
    }

    /// The word for it in the history of a user; it never changes once written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned(Task::Create) => "planned-create",
            Self::Planned(Task::Update) => "planned-update",
            Self::InFlight(Task::Create) => "in-flight-create",
            Self::InFlight(Task::Update) => "in-flight-update",
            Self::InDoubt(Task::Create) => "in-doubt-create",
            Self::InDoubt(Task::Update) => "in-doubt-update",
            Self::SetAside(Task::Create, _) => "set-aside-create",
            Self::SetAside(Task::Update, _) => "set-aside-update",
            Self::Ours(Verdict::Created) => "ours-created",
            Self::Ours(Verdict::Updated) => "ours-updated",
            Self::Ours(Verdict::Unchanged) => "ours-unchanged",
            Self::Ours(Verdict::Gone) => "ours-gone",
            Self::Ours(Verdict::Left(Why::Blocked)) => "ours-blocked",
            Self::Ours(Verdict::Left(Why::Refused)) => "ours-refused",
            Self::Ours(Verdict::Left(Why::Skipped | Why::RolledBack)) => "ours-skipped",
            Self::Theirs => "theirs",
            Self::Unclear => "unclear",
            Self::Out(Why::Blocked) => "out-blocked",
            Self::Out(Why::Skipped) => "out-skipped",
            Self::Out(Why::Refused) => "out-refused",
            Self::Out(Why::RolledBack) => "out-rolled-back",
        }
    }

    /// May a request of this ledger have been carried out without its answer being read?
    #[must_use]
    pub fn is_in_doubt(self) -> bool {
        matches!(self, Self::InFlight(_) | Self::InDoubt(_) | Self::SetAside(..))
    }
}

#[cfg(test)]
mod tests;
