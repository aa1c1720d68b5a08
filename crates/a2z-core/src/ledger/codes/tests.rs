//! What becomes of a factor from run to run.

use super::*;
use crate::ledger::{Ledger, differences, users};

const ALL: Abilities = Abilities { sms_provider: true, mail_provider: true, permitted: true };

fn ledger(dir: &tempfile::TempDir) -> Ledger {
    let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
    ledger
        .write_blocking(|t| {
            t.execute("INSERT INTO runs (run, started_at) VALUES (1, '2026-11-23T10:00:00Z')", [])?;
            t.execute(
                "INSERT INTO users (user_id, run, file, line, row, action, owner, progress, outcome, settled_at)
                 VALUES ('a', 1, 0, 1, 1, 2, 1, 3, 2, '2026-01-01T00:00:00Z')",
                [],
            )
        })
        .unwrap();
    ledger
}

fn plan_one(t: &Transaction<'_>, run: i64, abilities: Option<Abilities>) -> Result<(Vec<Kind>, Vec<Finding>)> {
    let destinations = Destinations { email: true, ..Destinations::default() };
    let person = Person { email_verified: true, number: None, has_way_in: true };
    begin(t, run)?;
    plan(t, run, "a", (&destinations, person), abilities)
}

fn settled(state: CodeState, code: Option<FindingCode>) -> SettledCode {
    SettledCode { user_id: "a".into(), kind: Kind::Email, state, code, detail: code.map(|_| "COMMAND-x".into()) }
}

/// Each state, in the run that came to it and in the next one: is it planned, is it to be sent, what is said.
#[test]
fn what_became_of_it_decides_what_a_plan_makes_of_it() {
    use FindingCode::{FactorKept, FactorRefused, FactorTakenAway};
    type Case = (CodeState, bool, [u64; 2], [Option<FindingCode>; 2]);
    let cases: [Case; 6] = [
        (CodeState::Planned, true, [1, 1], [None, None]),
        (CodeState::InDoubt, true, [1, 1], [None, None]),
        (CodeState::Ours, true, [0, 0], [None, None]),
        (CodeState::Theirs, true, [0, 0], [Some(FactorKept), None]),
        (CodeState::TakenAway, true, [0, 0], [Some(FactorTakenAway), Some(FactorTakenAway)]),
        (CodeState::Refused, false, [0, 1], [Some(FactorRefused), None]),
    ];
    for (state, moves, left, said) in cases {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir);
        ledger
            .write_blocking(move |t| {
                plan_one(t, 1, Some(ALL))?;
                settle(t, 1, &settled(state, (state == CodeState::Refused).then_some(FactorRefused)))?;
                for (at, run) in [1, 2].into_iter().enumerate() {
                    t.execute("UPDATE users SET run = ?1", [run])?;
                    let (moving, findings) = plan_one(t, run, Some(ALL))?;
                    assert_eq!(moving == [Kind::Email], moves || run == 2, "{state:?} {run}");
                    assert_eq!(findings.first().map(|finding| finding.code), said[at], "{state:?} {run}");
                    assert_eq!(count_todo(t, run)?, left[at], "{state:?} {run}");
                    assert_eq!(todo(t, run, None, 10)?.len() as u64, left[at], "{state:?} {run}");
                }
                // Who does not ask for it any more gets nothing, and loses nothing.
                let (moving, _) = plan_one(t, 2, None)?;
                let has = matches!(state, CodeState::Ours | CodeState::Theirs | CodeState::TakenAway);
                assert_eq!((moving == [Kind::Email], count_todo(t, 2)?), (has, 0), "{state:?}");
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn giving_is_a_write_of_ours_and_goes_with_the_user() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(&dir);
    let before: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let at = |ledger: &Ledger| ledger.read(|c| users::settled_at(c, "a")).unwrap();
    assert_eq!(at(&ledger), Some(before));
    ledger
        .write_blocking(|t| {
            plan_one(t, 1, Some(ALL))?;
            settle(t, 1, &settled(CodeState::Ours, None))
        })
        .unwrap();
    // What our account did a moment ago is not another tool's work.
    assert!(at(&ledger).is_some_and(|at| at > before));
    let scope = differences::Scope::Run(1);
    let page = ledger.read(|c| differences::page(c, scope, 0, 10)).unwrap();
    assert_eq!(page.iter().map(|user| user.codes.clone()).collect::<Vec<_>>(), [vec![Kind::Email]]);
    assert_eq!(ledger.read(|c| differences::count_with_factors(c, scope)).unwrap(), 1);
    assert!(
        ledger.read(|c| is_given(c, "a", Kind::Email)).unwrap()
            && !ledger.read(|c| is_given(c, "a", Kind::Sms)).unwrap()
    );
    ledger.write_blocking(|t| users::removed(t, "a", true)).unwrap();
    assert!(!ledger.read(|c| is_given(c, "a", Kind::Email)).unwrap());
    assert_eq!(ledger.read(first_given).unwrap(), None);
}

#[test]
fn only_who_was_not_in_doubt_is_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(&dir);
    ledger
        .write_blocking(|t| {
            plan_one(t, 1, Some(ALL))?;
            let first = todo(t, 1, None, 10)?;
            begin_requests(t, &first)?;
            assert!(todo(t, 1, None, 10)?[0].in_doubt);
            not_sent(t, &first)?;
            assert!(!todo(t, 1, None, 10)?[0].in_doubt);
            begin_requests(t, &first)?;
            not_sent(t, &todo(t, 1, None, 10)?)?;
            assert!(todo(t, 1, None, 10)?[0].in_doubt);
            gone(t, &[("a".into(), Kind::Email, true)])?;
            assert!(todo(t, 1, None, 10)?[0].in_doubt, "only what is ours can be gone");
            settle(t, 1, &settled(CodeState::Ours, None))?;
            gone(t, &[("a".into(), Kind::Email, false)])?;
            assert_eq!(todo(t, 1, None, 10)?.len(), 1);
            Ok(())
        })
        .unwrap();
}
