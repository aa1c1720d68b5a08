use super::*;

fn suspect(differences: &[(&str, bool)]) -> Suspect {
    Suspect {
        user_id: "auth0|1".into(),
        differences: differences.iter().map(|(what, skipped)| ((*what).to_owned(), *skipped)).collect(),
        begun: Vec::new(),
        in_export: true,
        is_new: true,
        organization: None,
        settled_at: None,
    }
}

fn rules(recreate: RecreateRule) -> Rules {
    Rules { recreate, states: false }
}

/// The parts, `recreate`, `ask`, or why not.
fn word(suspect: &Suspect, rules: Rules) -> String {
    match decide(suspect, rules) {
        Ok(Remedy::InPlace(parts)) => parts.iter().map(|part| part.word()).collect::<Vec<_>>().join(" "),
        Ok(Remedy::Recreate(Recreate { ask: false, .. })) => "recreate".into(),
        Ok(Remedy::Recreate(Recreate { ask: true, .. })) => "ask".into(),
        Err(why) => format!("{why:?}"),
    }
}

#[test]
fn what_can_be_written_again_is_repaired_in_place() {
    let this_run = rules(RecreateRule::ThisRun);
    for (differences, expected) in [
        (&[("metadata", true)][..], "metadata"),
        (&[("metadata", false)], "NoRemedy"),
        (&[("links", true), ("roles", true)], "links roles"),
        (&[("sms-codes", false), ("email-codes", false)], "sms-codes email-codes"),
        (&[("email-verified", false)], "email-verified"),
        (&[("user-name", false), ("phone", false), ("language", false)], "profile"),
        (&[("state", true)], "NoRemedy"),
        (&[("totp", true)], "NoRemedy"),
        (&[("password", false)], "NoRemedy"),
    ] {
        assert_eq!(word(&suspect(differences), this_run), expected, "{differences:?}");
        let elsewhere = Suspect { in_export: false, ..suspect(differences) };
        assert!(matches!(decide(&elsewhere, this_run), Err(Left::NoRemedy | Left::NotInExport)), "{differences:?}");
    }
    let states = Rules { states: true, ..this_run };
    assert_eq!(word(&suspect(&[("state", true)]), states), "state");
    let begun = Suspect { begun: vec!["links".into()], ..suspect(&[]) };
    assert_eq!(word(&begun, this_run), "links", "a repair that was begun is finished");
}

#[test]
fn only_a_user_that_cannot_sign_in_is_recreated_and_only_as_the_operator_allows() {
    use RecreateRule::{Ask, Never, ThisRun};
    let nameless = suspect(&[("login-name", true), ("roles", true)]);
    let missing = suspect(&[("missing", false)]);
    let totp = suspect(&[("totp", true), ("links", true)]);
    let earlier = Suspect { is_new: false, ..missing.clone() };
    let elsewhere = Suspect { in_export: false, ..missing.clone() };
    let stale = suspect(&[("organization", true)]);
    for (suspect, by_run, asking, never) in [
        (&stale, "recreate", "ask", "NotAllowed"),
        (&nameless, "recreate", "ask", "NotAllowed"),
        (&missing, "recreate", "ask", "NotAllowed"),
        (&earlier, "EarlierRun", "ask", "NotAllowed"),
        (&elsewhere, "NotInExport", "NotInExport", "NotAllowed"),
        // A TOTP secret cannot be given again in place; the user can sign in without it.
        (&totp, "links", "ask", "links"),
    ] {
        let words = [ThisRun, Ask, Never].map(|recreate| word(suspect, rules(recreate)));
        assert_eq!(words, [by_run, asking, never], "{suspect:?}");
    }
}

#[test]
fn a_plan_says_what_it_will_do_and_a_no_is_a_no() {
    let in_place = |parts: &[Part]| Remedy::InPlace(parts.iter().copied().collect());
    let recreate = |ask| Remedy::Recreate(Recreate { ask, grants: Vec::new() });
    let remedies = [
        ("a", in_place(&[Part::Metadata, Part::Links])),
        ("b", in_place(&[Part::Metadata])),
        ("c", recreate(false)),
        ("d", recreate(true)),
    ];
    let remedies = remedies.into_iter().map(|(id, remedy)| (id.to_owned(), remedy)).collect();
    let mut plan = RepairPlan { remedies, left: BTreeMap::from([(Left::Touched, 1)]) };
    assert_eq!(
        plan.words(),
        "metadata of 2 users; links of 1 user; delete and create again 2 users; leave 1 user (changed by somebody \
         else, or signed in)"
    );
    assert_eq!((plan.users(), plan.recreated(), plan.to_ask()), (4, 2, 1));
    plan.decline();
    assert_eq!((plan.users(), plan.recreated(), plan.to_ask()), (3, 1, 0));
    assert!(plan.words().ends_with("leave 1 user (not allowed to be recreated)"), "{}", plan.words());
}
