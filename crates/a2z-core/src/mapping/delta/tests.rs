use std::collections::HashMap;

use super::*;
use crate::mapping::{
    draft::{Draft, Metadata, Phone},
    facts,
};

const KEY: [u8; 16] = [3; 16];

fn salt() -> Salt<'static> {
    Salt { key: &KEY, user_id: "auth0|1" }
}

fn draft() -> Draft {
    Draft { inactive: false, ..facts::tests::draft() }
}

/// The user as ZITADEL holds it once it was sent `draft`.
fn arrived(draft: &Draft) -> Held<'_> {
    let profile = &draft.profile;
    Held {
        user_name: &draft.user_name,
        first_name: &profile.first_name,
        last_name: &profile.last_name,
        display_name: profile.display_name.as_deref().unwrap_or("Ada Lovelace"),
        nick_name: profile.nick_name.as_deref().unwrap_or_default(),
        language: profile.preferred_language.as_deref().unwrap_or("und"),
        email: &draft.email.address,
        email_verified: draft.email.verified,
        phone: draft.phone.as_ref().map(|phone| phone.number.as_str()).unwrap_or_default(),
        phone_verified: draft.phone.as_ref().is_some_and(|phone| phone.verified),
        inactive: draft.inactive,
    }
}

fn sides<'a>(base: Option<&'a Facts>, ours: &'a Facts) -> Sides<'a> {
    let base_inactive = base.is_some_and(|base| base.has(Flag::Inactive));
    Sides { base, sent: None, base_inactive, ours, salt: salt(), conflicts: Conflicts::Keep }
}

type Change = fn(&mut Draft);

/// One change of every part, and another one of the same part.
const CHANGES: [(Part, Change, Change); 12] = [
    (Part::UserName, |d| d.user_name = "augusta".into(), |d| d.user_name = "byron".into()),
    (Part::FirstName, |d| d.profile.first_name = "Augusta".into(), |d| d.profile.first_name = "A.".into()),
    (Part::LastName, |d| d.profile.last_name = "King".into(), |d| d.profile.last_name = "Byron".into()),
    (Part::DisplayName, |d| d.profile.display_name = Some("AL".into()), |d| d.profile.display_name = Some("A".into())),
    (Part::NickName, |d| d.profile.nick_name = Some("al".into()), |d| d.profile.nick_name = Some("ad".into())),
    (
        Part::Language,
        |d| d.profile.preferred_language = Some("fr".into()),
        |d| d.profile.preferred_language = Some("de".into()),
    ),
    (Part::Email, |d| d.email.address = "new@example.com".into(), |d| d.email.address = "other@example.com".into()),
    (Part::Phone, |d| d.phone.as_mut().unwrap().number = "+41790000000".into(), |d| d.phone = None),
    (Part::Phone, |d| d.phone = None, |d| d.phone.as_mut().unwrap().number = "+41790000001".into()),
    (Part::State, |d| d.inactive = true, |d| d.inactive = true),
    (
        Part::Email,
        |d| (d.email.address, d.email.verified) = ("new@example.com".into(), false),
        |d| d.email.address = "other@example.com".into(),
    ),
    (
        Part::Phone,
        |d| d.phone = Some(Phone { number: "+41790000000".into(), verified: true }),
        |d| d.phone.as_mut().unwrap().number = "+41790000001".into(),
    ),
];

fn of(part: Part) -> Parts {
    let mut parts = Parts::default();
    parts.set(part, true);
    parts
}

/// The base, then the same with a change of ours or of theirs. A display name that is made of the names is given here, so
/// that a changed name is one change.
fn with(change: Change) -> Draft {
    let mut draft = draft();
    draft.profile.display_name = Some("Ada Lovelace".into());
    change(&mut draft);
    draft
}

#[test]
fn what_only_auth0_changed_is_written() {
    let before = with(|_| {});
    let base = Facts::of(&before, &KEY);
    for (part, change, _) in CHANGES {
        let ours = with(change);
        let facts = Facts::of(&ours, &KEY);
        let sides = sides(Some(&base), &facts);
        let delta = sides.delta(&arrived(&before));
        assert_eq!(delta, Delta { write: of(part), ..Delta::default() }, "{part:?}");
        // And once it is written, there is nothing more to do.
        let after = sides.settled(&delta);
        let again = Sides { base: Some(&after), base_inactive: after.has(Flag::Inactive), ..sides };
        assert_eq!(again.delta(&arrived(&ours)), Delta::default(), "{part:?}");
    }
}

#[test]
fn what_only_zitadel_changed_is_kept_and_stays_so() {
    let before = with(|_| {});
    let base = Facts::of(&before, &KEY);
    for (part, change, _) in CHANGES {
        let theirs = with(change);
        let sides = sides(Some(&base), &base);
        let delta = sides.delta(&arrived(&theirs));
        assert_eq!(delta, Delta { kept: of(part), ..Delta::default() }, "{part:?}");
        let after = sides.settled(&delta);
        assert!(after.kept().has(part), "{part:?}");
        let again = Sides { base: Some(&after), ..sides };
        assert_eq!(again.delta(&arrived(&theirs)), delta, "{part:?}");
        // Changed back in ZITADEL: nothing is kept any more.
        let back = again.delta(&arrived(&before));
        assert_eq!(back, Delta::default(), "{part:?}");
        assert!(again.settled(&back).kept().is_empty(), "{part:?}");
    }
}

#[test]
fn what_both_changed_is_a_conflict_and_stays_one() {
    let before = with(|_| {});
    let base = Facts::of(&before, &KEY);
    for (part, change, other) in CHANGES.into_iter().filter(|(part, ..)| *part != Part::State) {
        let (ours, theirs) = (with(change), with(other));
        let facts = Facts::of(&ours, &KEY);
        let sides = sides(Some(&base), &facts);
        let delta = sides.delta(&arrived(&theirs));
        assert_eq!(delta, Delta { conflicts: of(part), ..Delta::default() }, "{part:?}");
        let after = sides.settled(&delta);
        let again = Sides { base: Some(&after), ..sides };
        assert_eq!(again.delta(&arrived(&theirs)), delta, "{part:?}");
        let overwrite = Sides { conflicts: Conflicts::Overwrite, ..again };
        let delta = overwrite.delta(&arrived(&theirs));
        assert_eq!(delta, Delta { write: of(part), overwritten: of(part), ..Delta::default() }, "{part:?}");
        // The same change on both sides is none.
        assert_eq!(again.delta(&arrived(&ours)), Delta::default(), "{part:?}");
    }
}

#[test]
fn without_a_base_zitadels_value_is_kept() {
    let before = with(|_| {});
    let ours = Facts::of(&before, &KEY);
    for (part, change, _) in CHANGES.into_iter().filter(|(part, ..)| *part != Part::State) {
        let theirs = with(change);
        for conflicts in [Conflicts::Keep, Conflicts::Overwrite] {
            let sides = Sides { conflicts, ..sides(None, &ours) };
            let delta = sides.delta(&arrived(&theirs));
            assert_eq!(delta, Delta { kept: of(part), ..Delta::default() }, "{part:?}");
        }
        assert_eq!(sides(None, &ours).delta(&arrived(&before)), Delta::default(), "{part:?}");
    }
}

#[test]
fn what_a_lost_request_wrote_is_nobodys_change() {
    let (old, lost, new) = (with(|_| {}), with(CHANGES[1].1), with(CHANGES[1].2));
    let [base, sent, ours] = [&old, &lost, &new].map(|draft| Facts::of(draft, &KEY));
    for (held, what) in [(&old, "it did not arrive"), (&lost, "it arrived")] {
        for base in [Some(&base), None].into_iter().filter(|base| base.is_some() || what == "it arrived") {
            let sides = Sides { sent: Some(&sent), ..sides(base, &ours) };
            let delta = sides.delta(&arrived(held));
            assert_eq!(delta, Delta { write: of(Part::FirstName), ..Delta::default() }, "{what}");
        }
    }
    // Auth0 took the change back meanwhile: what arrived is undone.
    let sides = Sides { sent: Some(&sent), ..sides(Some(&base), &base) };
    assert_eq!(sides.delta(&arrived(&lost)), Delta { write: of(Part::FirstName), ..Delta::default() });
    assert_eq!(sides.delta(&arrived(&old)), Delta::default());
}

#[test]
fn an_address_or_number_that_its_user_verified_is_the_same() {
    let mut before = with(|_| {});
    before.email.verified = false;
    let base = Facts::of(&before, &KEY);
    let held = Held { email_verified: true, phone_verified: true, ..arrived(&before) };
    let sides = sides(Some(&base), &base);
    let delta = sides.delta(&held);
    assert!(delta.write.is_empty() && delta.kept.is_empty() && delta.conflicts.is_empty(), "{delta:?}");
    // `verify` is not to call it a difference.
    assert!(sides.settled(&delta).kept().has(Part::Phone));
    // Auth0 has another address: the one that the user verified in ZITADEL is theirs.
    let mut new = before.clone();
    new.email.address = "new@example.com".into();
    let ours = Facts::of(&new, &KEY);
    assert_eq!(Sides { ours: &ours, ..sides }.delta(&held).conflicts, of(Part::Email));
}

#[test]
fn what_zitadel_cannot_take_back_is_no_change() {
    let mut before = with(|_| {});
    before.profile.nick_name = Some("al".into());
    before.phone.as_mut().unwrap().verified = true;
    let mut after = before.clone();
    (after.profile.nick_name, after.profile.preferred_language) = (None, None);
    after.email.verified = false;
    after.phone.as_mut().unwrap().verified = false;
    let [base, ours] = [&before, &after].map(|draft| Facts::of(draft, &KEY));
    let sides = sides(Some(&base), &ours);
    let delta = sides.delta(&arrived(&before));
    assert!(delta.write.is_empty() && delta.conflicts.is_empty(), "{delta:?}");
    // What ZITADEL has is still a2z's: a later change of Auth0's is written.
    let settled = sides.settled(&delta);
    let mut later = before.clone();
    later.profile.nick_name = Some("new".into());
    let later = Facts::of(&later, &KEY);
    let delta = Sides { base: Some(&settled), ours: &later, ..sides }.delta(&arrived(&before));
    assert_eq!(delta.write, of(Part::NickName));
}

#[test]
fn a_language_that_zitadel_does_not_show_is_nobodys_change() {
    let language = |language: Option<&str>| {
        let mut draft = with(|_| {});
        draft.profile.preferred_language = language.map(str::to_owned);
        draft
    };
    let step = |base: Option<&str>, ours: Option<&str>, theirs: &'static str| {
        let [base, ours] = [base, ours].map(|of| Facts::of(&language(of), &KEY));
        let before = language(None);
        let delta = sides(Some(&base), &ours).delta(&Held { language: theirs, ..arrived(&before) });
        (delta.write.has(Part::Language), delta.kept.has(Part::Language), delta.conflicts.has(Part::Language))
    };
    // It shows none, for it does not know the language; or another name of it.
    assert_eq!(step(Some("xx"), Some("xx"), "und"), (false, false, false));
    assert_eq!(step(Some("deu"), Some("deu"), "de"), (false, false, false));
    assert_eq!(step(Some("iw"), Some("iw"), "he"), (false, false, false));
    // Auth0 has one now, or another.
    assert_eq!(step(None, Some("fr"), "und"), (true, false, false));
    assert_eq!(step(Some("xx"), Some("fr"), "und"), (true, false, false));
    assert_eq!(step(Some("en"), Some("deu"), "en"), (true, false, false));
    assert_eq!(step(None, None, "fr"), (false, true, false));
}

#[test]
fn a_state_that_somebody_else_decided_stays() {
    let (active, blocked) = (with(|_| {}), with(|d| d.inactive = true));
    let [open, shut] = [&active, &blocked].map(|draft| Facts::of(draft, &KEY));
    let state = |base_inactive, ours, theirs| {
        let delta = Sides { base_inactive, ..sides(Some(&open), ours) }.delta(&arrived(theirs));
        (delta.write.has(Part::State), delta.kept.has(Part::State), delta.conflicts.has(Part::State))
    };
    assert_eq!(state(false, &shut, &active), (true, false, false), "blocked in Auth0");
    assert_eq!(state(true, &open, &blocked), (true, false, false), "unblocked in Auth0");
    assert_eq!(state(false, &open, &blocked), (false, true, false), "deactivated in ZITADEL");
    assert_eq!(state(true, &shut, &active), (false, true, false), "activated in ZITADEL");
    assert_eq!(state(false, &shut, &blocked), (false, false, false), "both");
}

fn metadata<'a>(
    base: &'a Facts,
    ours: &'a Facts,
    held: &'a HashMap<String, Vec<u8>>,
    conflicts: Conflicts,
) -> MetadataSides<'a> {
    MetadataSides { base: Some(base), sent: None, ours, held, salt: salt(), conflicts }
}

fn of_metadata(metadata: &[Metadata]) -> Facts {
    Facts::of(&Draft { metadata: metadata.to_vec(), ..draft() }, &KEY)
}

fn entry(key: &str, value: &str) -> Metadata {
    Metadata { key: key.into(), value: value.as_bytes().to_vec() }
}

#[test]
fn metadata_is_merged_key_by_key() {
    let written = ["same", "ours", "theirs", "both", "alike", "gone-ours", "gone-theirs", "gone-both", "gone-changed"];
    let base = of_metadata(&written.map(|key| entry(key, r#"{"v":1}"#)));
    let ours = of_metadata(&[
        entry("same", "{ \"v\" : 1 }"),
        entry("ours", r#"{"v":2}"#),
        entry("theirs", r#"{"v":1}"#),
        entry("both", r#"{"v":2}"#),
        entry("alike", r#"{"v":2}"#),
        entry("gone-theirs", r#"{"v":1}"#),
        entry("new", r#"{"v":1}"#),
        entry("new-both", r#"{"v":1}"#),
    ]);
    let held: HashMap<String, Vec<u8>> = [
        ("same", r#"{"v":1}"#),
        ("ours", r#"{"v":1}"#),
        ("theirs", r#"{"v":3}"#),
        ("both", r#"{"v":3}"#),
        ("alike", r#"{"v": 2}"#),
        ("gone-ours", r#"{"v":1}"#),
        ("gone-changed", r#"{"v":3}"#),
        ("new-both", r#"{"v":3}"#),
        ("other", "x"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
    .collect();
    let sides = metadata(&base, &ours, &held, Conflicts::Keep);
    let delta = sides.delta(Gone::Removed);
    assert_eq!(delta.set, ["new", "ours"]);
    assert_eq!(delta.remove, ["gone-ours"]);
    assert_eq!(delta.kept, ["gone-theirs", "theirs"]);
    assert_eq!(delta.conflicts, ["both", "gone-changed", "new-both"]);
    assert_eq!(delta.missing, ["gone-theirs"]);
    let keys: Vec<&str> = delta.base.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["alike", "both", "gone-changed", "gone-theirs", "new", "ours", "same", "theirs"]);

    // A key that a projection skipped is not kept, and a new value of it is written.
    assert_eq!(sides.delta(Gone::Skipped).kept, ["theirs"]);
    let changed = of_metadata(&[entry("gone-theirs", r#"{"v":2}"#)]);
    let sides = metadata(&base, &changed, &held, Conflicts::Keep);
    assert!(sides.delta(Gone::Removed).conflicts.contains(&"gone-theirs".to_owned()));
    assert_eq!(sides.delta(Gone::Skipped).set, ["gone-theirs"]);

    let overwrite = metadata(&base, &ours, &held, Conflicts::Overwrite).delta(Gone::Removed);
    assert_eq!(overwrite.overwritten, ["both", "gone-changed", "new-both"]);
    assert_eq!(overwrite.remove, ["gone-changed", "gone-ours"]);
    assert_eq!(overwrite.kept, ["gone-theirs", "theirs"]);
}

#[test]
fn metadata_without_a_base_is_kept() {
    let ours = of_metadata(&[entry("same", "1"), entry("other", "1"), entry("missing", "1")]);
    let held = HashMap::from([("same".to_owned(), b"1".to_vec()), ("other".to_owned(), b"2".to_vec())]);
    let nothing = Facts::default();
    let sides = MetadataSides { base: None, ..metadata(&nothing, &ours, &held, Conflicts::Overwrite) };
    let delta = sides.delta(Gone::Removed);
    assert_eq!(delta.kept, ["missing", "other"]);
    assert!(delta.set.is_empty() && delta.remove.is_empty());
}

#[test]
fn what_a_creation_left_out_is_written_and_what_changed_since_is_kept() {
    let ours = of_metadata(&[entry("there", "1"), entry("changed", "1"), entry("left-out", "1")]);
    let held = HashMap::from([("there".to_owned(), b"1".to_vec()), ("changed".to_owned(), b"2".to_vec())]);
    let delta = metadata(&ours, &ours, &held, Conflicts::Keep).delta(Gone::NeverWritten);
    assert_eq!(delta.set, ["left-out"]);
    assert_eq!(delta.kept, ["changed"]);
}
