//! The ledger against [`State`]: random lives, each step taken in both, and compared after it.

use proptest::prelude::*;

use super::{COLUMNS, Columns, Outcome, Owner};
use crate::{
    ledger::{
        Ledger, Result as LedgerResult, Transaction, instance,
        states::Progress,
        testing,
        users::{self as plan, self as import, removed},
    },
    mapping::finding::{Blocked, BlockedCode, Finding, FindingCode},
    user::state::{Answer, Event, Found, Row, State, Task, Verdict, Why},
};

/// The user whose life it is; the neighbour shares every write, and must not be touched by it.
const USER: &str = "auth0|one";
const NEIGHBOUR: &str = "auth0|two";

/// A step of a life. What it means depends on the state; a step that the state does not know is left out.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A new run plans: the row asks for this profile, or for nothing.
    Plan {
        profile: u8,
        why: Option<Why>,
    },
    /// The same run plans a second time, with the row as it is.
    PlanAgain,
    /// A later step of the plan blocks the row.
    Block,
    /// The plan compares with the instance, which holds the user, or does not.
    Compare {
        there: bool,
    },
    Send,
    NotSent,
    Lose,
    Answer(Answer),
    /// The import does not find the user.
    Miss,
    Resolve(Found),
    Delete,
    Keep,
    Deleted,
    RollBack,
    /// The process dies: what is not on the disk is gone.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let why = prop_oneof![4 => Just(None), 1 => Just(Some(Why::Blocked)), 1 => Just(Some(Why::Skipped))];
    let answer = prop_oneof![
        4 => Just(Answer::Created),
        2 => Just(Answer::Updated),
        1 => Just(Answer::Unchanged),
        1 => Just(Answer::Existed),
        1 => Just(Answer::Unclear),
        1 => Just(Answer::Refused),
        1 => Just(Answer::RefusedOurs),
    ];
    let found = prop_oneof![Just(Found::Ours), Just(Found::Theirs), Just(Found::Nobody)];
    prop_oneof![
        4 => (1..3u8, why).prop_map(|(profile, why)| Step::Plan { profile, why }),
        1 => Just(Step::PlanAgain),
        1 => Just(Step::Block),
        1 => any::<bool>().prop_map(|there| Step::Compare { there }),
        4 => Just(Step::Send),
        1 => Just(Step::NotSent),
        3 => Just(Step::Lose),
        6 => answer.prop_map(Step::Answer),
        1 => Just(Step::Miss),
        3 => found.prop_map(Step::Resolve),
        1 => Just(Step::Delete),
        1 => Just(Step::Keep),
        1 => Just(Step::Deleted),
        1 => Just(Step::RollBack),
        1 => Just(Step::Kill),
    ]
}

/// What the ledger should hold, kept beside it.
struct Model {
    run: i64,
    state: Option<State>,
    /// What the row of the latest plan asks for.
    profile: u8,
    why: Option<Why>,
    /// What ZITADEL has from us.
    have: Option<u8>,
    /// What the latest run wrote, and which run that was.
    wrote: Option<(i64, Task)>,
    /// The plan is being made: nothing is sent yet.
    planning: bool,
}

impl Model {
    fn row(&self) -> Row {
        match self.why {
            Some(why) => Row::Out(why),
            None if self.have == Some(self.profile) => Row::Same,
            None => Row::Differs,
        }
    }

    /// Takes `event`; `None` if the state does not know it.
    fn take(&mut self, event: Event) -> Option<State> {
        let before = self.state?;
        let mut next = before.after(event).ok()?;
        match event {
            Event::Answer(Answer::Created) => self.wrote(Task::Create),
            // Who was created in this run and then changed counts as created.
            Event::Answer(Answer::Updated) if self.wrote == Some((self.run, Task::Create)) => {
                next = State::Ours(Verdict::Created);
                self.have = Some(self.profile);
            }
            Event::Answer(Answer::Updated) => self.wrote(Task::Update),
            Event::Answer(Answer::Unchanged) => self.have = Some(self.profile),
            Event::Deleted | Event::RollBack => (self.have, self.wrote) = (None, None),
            _ => {}
        }
        self.state = Some(next);
        self.state
    }

    fn wrote(&mut self, task: Task) {
        self.wrote = Some((self.run, task));
        self.have = Some(self.profile);
    }
}

fn planned(user_id: &str, profile: u8, why: Option<Why>) -> plan::PlannedUser {
    let blocked = |code| Blocked { code, detail: None };
    let plan = match why {
        None => Ok(testing::wanted(user_id, profile)),
        Some(Why::Skipped) => Err(blocked(BlockedCode::Filtered)),
        Some(_) => Err(blocked(BlockedCode::NoEmail)),
    };
    testing::planned_user(user_id, if user_id == USER { 1 } else { 2 }, plan)
}

fn read(ledger: &Ledger, user_id: &str) -> Columns {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE user_id = ?1");
    ledger.read(|c| c.one(&sql, [user_id], Columns::read)).unwrap()
}

fn write(ledger: &Ledger, work: impl FnOnce(&Transaction<'_>) -> LedgerResult<()> + Send + 'static) {
    ledger.write_blocking(work).unwrap();
}

fn settled(model: &Model, answer: Answer) -> import::Settled {
    let have = Some(([model.profile; 16], None));
    let with = |outcome| import::Settled { have, ..import::Settled::new(USER, outcome) };
    let refused = import::Settled::new(USER, Outcome::Rejected);
    match answer {
        Answer::Created => with(Outcome::Created),
        Answer::Updated => with(Outcome::Updated),
        Answer::Unchanged => with(Outcome::Unchanged),
        Answer::Existed => import::Settled::new(USER, Outcome::Existed),
        Answer::Unclear => import::Settled {
            code: Some(BlockedCode::OwnerUnknown.code()),
            ..import::Settled::new(USER, Outcome::Existed)
        },
        Answer::Refused => refused,
        Answer::RefusedOurs => import::Settled { ours: true, ..refused },
    }
}

/// Takes the step in the ledger and in the model.
fn take(ledger: &mut Ledger, path: &std::path::Path, model: &mut Model, step: Step) {
    let ids = || vec![USER.to_owned()];
    let plans = matches!(step, Step::Plan { .. } | Step::PlanAgain | Step::Block | Step::Compare { .. });
    if model.planning && !plans {
        finish_plan(ledger, model);
    }
    match step {
        Step::Plan { profile, why } => {
            (model.run, model.profile, model.why) = (model.run + 1, profile, why);
            plan_pass(ledger, model);
        }
        Step::PlanAgain if model.run > 0 => plan_pass(ledger, model),
        Step::Block if model.planning && model.take(Event::Adjust(Row::Out(Why::Blocked))).is_some() => {
            let blocked = Blocked { code: BlockedCode::UserNameTaken, detail: None };
            write(ledger, move |t| plan::block(t, USER, &blocked));
        }
        Step::Compare { there } if model.planning => {
            let run = model.run;
            let ours = matches!(model.state, Some(State::Planned(Task::Update) | State::Ours(Verdict::Unchanged)));
            if there {
                model.take(Event::PlanFoundTheirs);
            } else if ours {
                model.take(Event::Miss);
            }
            let listed = |id: &str| instance::InstanceUser {
                user_id: id.into(),
                name_key: id.into(),
                organization_id: "main".into(),
            };
            let users: Vec<_> = there.then(|| listed(USER)).into_iter().collect();
            write(ledger, move |t| {
                t.execute("DELETE FROM instance_users", [])?;
                instance::put_instance_users(t, &users)?;
                instance::hold_against_instance(t, run, Some("main"), true, false)
            });
        }
        Step::Send if model.take(Event::Send).is_some() => {
            let sent =
                import::Sent { user_id: USER.into(), profile: [model.profile; 16], password: None, facts: Vec::new() };
            write(ledger, move |t| import::begin_request(t, &[sent]));
        }
        Step::NotSent if model.take(Event::NotSent).is_some() => write(ledger, move |t| import::not_sent(t, &ids())),
        Step::Lose if model.take(Event::Lose).is_some() => {
            write(ledger, move |t| import::lost(t, &ids()));
        }
        Step::Answer(answer) => {
            let settled = settled(model, answer);
            if model.take(Event::Answer(answer)).is_some() {
                write(ledger, move |t| import::settle(t, &[settled]));
            }
        }
        Step::Miss if model.take(Event::Miss).is_some() => {
            let gone = import::Settled {
                code: Some(BlockedCode::GoneFromZitadel.code()),
                ..import::Settled::new(USER, Outcome::Rejected)
            };
            write(ledger, move |t| import::settle(t, &[gone]));
        }
        Step::Resolve(found) if model.take(Event::Resolve(found)).is_some() => {
            let finding = Finding::new(FindingCode::InZitadelAlready);
            write(ledger, move |t| import::settled_aside(t, &[(USER.into(), found)], &finding));
        }
        Step::Delete if model.take(Event::Delete).is_some() => write(ledger, |t| import::doubt(t, USER, false)),
        Step::Keep if model.take(Event::Keep).is_some() => write(ledger, |t| import::doubt(t, USER, true)),
        Step::Deleted if model.take(Event::Deleted).is_some() => write(ledger, |t| import::start_again(t, USER)),
        Step::RollBack if model.take(Event::RollBack).is_some() => {
            write(ledger, |t| removed(t, USER, true));
        }
        Step::Kill => *ledger = Ledger::open(path).unwrap(),
        _ => {}
    }
}

fn plan_pass(ledger: &Ledger, model: &mut Model) {
    let (run, profile, why) = (model.run, model.profile, model.why);
    let users = vec![planned(USER, profile, why), planned(NEIGHBOUR, 1, None)];
    write(ledger, move |t| {
        plan::begin_plan(t, run)?;
        plan::put_users(t, run, &users)
    });
    let row = model.row();
    model.state = Some(model.state.map_or_else(|| State::first(row), |state| state.after(Event::Plan(row)).unwrap()));
    model.planning = true;
}

/// What the run wrote before it was planned a second time counts.
fn finish_plan(ledger: &Ledger, model: &mut Model) {
    model.planning = false;
    let run = model.run;
    if let Some((_, task)) = model.wrote.filter(|(wrote, _)| *wrote == run) {
        model.take(Event::Recall(task));
    }
    write(ledger, move |t| plan::count_as_written(t, run));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_life_in_the_ledger_is_one_of_the_table(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let mut ledger = Ledger::open(&path).unwrap();
        let mut model = Model { run: 0, state: None, profile: 1, why: None, have: None, wrote: None, planning: false };
        let mut taken = Vec::new();
        for step in steps {
            if model.state.is_none() && !matches!(step, Step::Plan { .. }) {
                continue;
            }
            take(&mut ledger, &path, &mut model, step);
            taken.push((step, model.state.unwrap()));
            let columns = read(&ledger, USER);
            prop_assert_eq!(columns.state(), model.state, "{:?} after {:#?}", columns, taken);
            prop_assert_eq!(read(&ledger, NEIGHBOUR).state(), Some(State::Planned(Task::Create)));
        }
    }
}

#[test]
fn a_row_that_is_no_state_is_never_committed() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
    let users = vec![planned(USER, 1, None)];
    write(&ledger, move |t| plan::put_users(t, 1, &users));
    let error = ledger
        .write_blocking(|t| {
            t.execute("UPDATE users SET owner = ?1, progress = ?2", rusqlite::params![Owner::Other, Progress::InFlight])
        })
        .unwrap_err();
    assert!(error.render().contains("`auth0|one` has no legal state"), "{}", error.render());
    assert_eq!(read(&ledger, USER).state(), Some(State::Planned(Task::Create)));
}

#[test]
fn the_history_of_a_user_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
    let users = vec![planned(USER, 1, None), planned(NEIGHBOUR, 1, None)];
    write(&ledger, move |t| {
        plan::put_users(t, 1, &users)?;
        import::lost(t, &[USER.to_owned()])?;
        import::settle(t, &[import::Settled::new(USER, Outcome::Created)])?;
        removed(t, USER, true)
    });
    let sql = "SELECT user_id, event, state FROM history JOIN users ON users.id = user";
    let history: Vec<(String, String, String)> =
        ledger.read(|c| c.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))).unwrap();
    let expected = [("lost", "in-doubt-create"), ("answered", "ours-created"), ("rolled-back", "out-rolled-back")];
    assert_eq!(history, expected.map(|(event, state)| (USER.to_owned(), event.to_owned(), state.to_owned())));
}
