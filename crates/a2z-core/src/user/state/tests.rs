//! The table of transitions: whole, and what must hold of all of it.

use std::fmt::Write as _;

use super::*;

const TASKS: [Task; 2] = [Task::Create, Task::Update];
const SENT_FOR_NOTHING: [Why; 2] = [Why::Blocked, Why::Skipped];

pub(crate) fn states() -> Vec<State> {
    let mut states = vec![State::Theirs, State::Unclear];
    for task in TASKS {
        states.extend([State::Planned(task), State::InFlight(task), State::InDoubt(task)]);
        states.extend(SENT_FOR_NOTHING.map(|why| State::SetAside(task, why)));
    }
    let verdicts = [Verdict::Created, Verdict::Updated, Verdict::Unchanged, Verdict::Gone];
    states.extend(verdicts.map(State::Ours));
    states.extend([Why::Blocked, Why::Skipped, Why::Refused].map(|why| State::Ours(Verdict::Left(why))));
    states.extend([Why::Blocked, Why::Skipped, Why::Refused, Why::RolledBack].map(State::Out));
    states
}

fn rows() -> Vec<Row> {
    let mut rows = vec![Row::Same, Row::Differs];
    rows.extend(SENT_FOR_NOTHING.map(Row::Out));
    rows
}

pub(crate) fn events() -> Vec<Event> {
    let mut events: Vec<Event> = rows().into_iter().map(Event::Plan).collect();
    events.extend(rows().into_iter().map(Event::Adjust));
    events.extend([Event::PlanFoundTheirs, Event::Miss]);
    events.extend(TASKS.map(Event::Recall));
    events.extend([Event::Send, Event::NotSent, Event::Lose]);
    let answers = [
        Answer::Created,
        Answer::Updated,
        Answer::Unchanged,
        Answer::Existed,
        Answer::Unclear,
        Answer::Refused,
        Answer::RefusedOurs,
    ];
    events.extend(answers.map(Event::Answer));
    events.extend([Found::Ours, Found::Theirs, Found::Nobody].map(Event::Resolve));
    events.extend([Event::Delete, Event::Keep, Event::Deleted, Event::RollBack]);
    events
}

/// Every transition that the table knows.
fn transitions() -> impl Iterator<Item = (State, Event, State)> {
    states().into_iter().flat_map(|state| {
        events().into_iter().filter_map(move |event| state.after(event).ok().map(|next| (state, event, next)))
    })
}

#[test]
fn the_whole_table() {
    let mut table = String::new();
    for event in events() {
        writeln!(table, "{event:?}").unwrap();
        for state in states() {
            if let Ok(next) = state.after(event) {
                writeln!(table, "    {state:?} -> {next:?}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn doubt_ends_by_knowledge_only() {
    for (state, event, next) in transitions().filter(|(state, _, _)| state.is_in_doubt()) {
        let knows = matches!(
            event,
            Event::NotSent
                | Event::Answer(_)
                | Event::Miss
                | Event::Resolve(_)
                | Event::Keep
                | Event::Deleted
                | Event::RollBack
        );
        assert!(knows || next.is_in_doubt(), "{state:?} -- {event:?} --> {next:?}");
    }
}

#[test]
fn a_lost_answer_leaves_doubt_whatever_was_sent_before() {
    for (state, _, next) in transitions().filter(|(_, event, _)| *event == Event::Lose) {
        assert!(next.is_in_doubt(), "{state:?}");
    }
    let doubtful = State::InDoubt(Task::Create);
    assert_eq!(doubtful.after(Event::NotSent), Ok(doubtful), "the request before this one may have been carried out");
}

#[test]
fn what_is_unclear_is_asked_again_by_the_next_plan_and_sent_nothing_until_then() {
    for event in events() {
        match (State::Unclear.after(event), event) {
            (Ok(next), Event::Plan(_)) => assert!(next.is_in_doubt() && !next.is_ours(), "{next:?}"),
            (Ok(next), event) => panic!("{event:?} makes it {next:?}"),
            (Err(illegal), _) => assert_eq!(illegal, Illegal { state: State::Unclear, event }),
        }
    }
}

#[test]
fn what_is_another_accounts_is_never_sent_anything() {
    for event in events() {
        match (State::Theirs.after(event), event) {
            // A new plan asks ZITADEL again, before anything is sent.
            (Ok(next), Event::Plan(_)) => assert!(!next.is_ours() && !next.is_in_doubt()),
            (Ok(next), event) => panic!("{event:?} makes it {next:?}"),
            (Err(illegal), _) => assert_eq!(illegal, Illegal { state: State::Theirs, event }),
        }
    }
}

#[test]
fn what_is_ours_stays_ours_until_somebody_deletes_it() {
    for (state, event, next) in transitions().filter(|(state, _, _)| state.is_ours()) {
        let theirs = matches!(event, Event::Answer(Answer::Existed) | Event::Resolve(Found::Theirs));
        let deleted = matches!(event, Event::Delete | Event::RollBack);
        assert!(next.is_ours() || theirs || deleted, "{state:?} -- {event:?} --> {next:?}");
    }
}

#[test]
fn nobody_becomes_ours_without_an_answer_of_zitadel() {
    for (state, event, next) in transitions().filter(|(state, _, next)| !state.is_ours() && next.is_ours()) {
        assert!(
            matches!(event, Event::Answer(_) | Event::Resolve(Found::Ours) | Event::Keep),
            "{state:?} -- {event:?} --> {next:?}"
        );
    }
}

#[test]
fn every_state_can_be_planned() {
    for state in states() {
        for row in rows() {
            assert!(state.after(Event::Plan(row)).is_ok(), "{state:?}");
        }
    }
}

#[test]
fn only_what_may_be_ours_is_rolled_back() {
    for state in states() {
        let may_be = state.is_ours() || state.is_in_doubt();
        assert_eq!(state.after(Event::RollBack).ok(), may_be.then_some(State::Out(Why::RolledBack)), "{state:?}");
    }
}

#[test]
fn an_event_out_of_order_is_an_error_that_names_both() {
    let illegal = State::Theirs.after(Event::Send).unwrap_err();
    assert_eq!(illegal.to_string(), "a user who is Theirs cannot take Send");
}
