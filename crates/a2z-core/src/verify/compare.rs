//! One user as ZITADEL has it, held against what it was told. Pure: no I/O.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{
    error::printable,
    ledger::differences::Difference,
    mapping::{
        draft::Link,
        facts::{Facts, Field, Flag, Salt},
        part::Part,
    },
    zitadel::search::{FoundUser, UserState},
};

/// The user is not there.
pub(super) const MISSING: &str = "missing";
/// Metadata keys that are named of one user.
const MOST_KEYS: usize = 5;

fn differs(what: &'static str, detail: impl Into<String>) -> Difference {
    Difference::new(what, Some(detail.into()))
}

/// How `found` differs; without facts (a user of an older a2z) only whether and where the user is.
pub(super) fn user(
    facts: Option<&Facts>,
    found: Option<&FoundUser>,
    salt: Salt<'_>,
    organization_id: &str,
) -> Vec<Difference> {
    let mut out = Vec::new();
    let Some(found) = found.filter(|user| user.state != UserState::Deleted) else {
        return vec![Difference::new(MISSING, None)];
    };
    if !found.is_human {
        return vec![differs(MISSING, "a service account has this id")];
    }
    if found.organization_id != organization_id {
        out.push(differs("organization", format!("is in organization {}", printable(&found.organization_id))));
    }
    if found.login_names.is_empty() {
        out.push(differs("login-name", "has none"));
    }
    let Some(facts) = facts else { return out };
    out.extend(state(facts, found));
    // No fact of a field, or a value that somebody changed and that stays: it is not ours to compare.
    let kept = |part: Part| facts.kept().has(part);
    let same =
        |part: Part, field: Field, is: &str| kept(part) || facts.field(field).is_none() || facts.holds(field, is, salt);
    if !same(Part::UserName, Field::UserName, &found.user_name) {
        out.push(differs("user-name", "has another one"));
    }
    if !same(Part::Email, Field::Email, &found.email) {
        out.push(differs("email", if found.email.is_empty() { "has none" } else { "has another one" }));
    }
    // Whoever proved the address in ZITADEL since did what one should.
    if facts.has(Flag::EmailVerified) && !found.email_verified && !kept(Part::Email) {
        out.push(differs("email-verified", "is not verified"));
    }
    if !kept(Part::Phone) {
        out.extend(phone(facts, found, salt));
    }
    if facts.has(Flag::Password) && found.password_changed.is_none() {
        out.push(differs("password", "has none"));
    }
    let names = [
        (Part::FirstName, Field::FirstName, &found.first_name, "first name"),
        (Part::LastName, Field::LastName, &found.last_name, "last name"),
        (Part::DisplayName, Field::DisplayName, &found.display_name, "display name"),
        (Part::NickName, Field::NickName, &found.nick_name, "nick name"),
    ];
    let other: Vec<&str> =
        names.into_iter().filter(|(part, field, is, _)| !same(*part, *field, is)).map(|(.., word)| word).collect();
    if !other.is_empty() {
        out.push(differs("name", other.join(", ")));
    }
    if !same(Part::Language, Field::Language, &found.preferred_language) {
        out.push(differs("language", "has another one"));
    }
    out
}

fn state(facts: &Facts, found: &FoundUser) -> Option<Difference> {
    let is = match found.state {
        UserState::Active => "is active",
        UserState::Inactive => "is inactive",
        UserState::Locked => "is locked",
        // Login V2 refuses such a user.
        UserState::Initial => "is not initialised, and cannot sign in",
        UserState::Deleted | UserState::Unknown => "is in a state that this a2z does not know",
    };
    let same = match found.state {
        UserState::Active => !facts.has(Flag::Inactive) || facts.has(Flag::StateOfOthers),
        UserState::Inactive => facts.has(Flag::Inactive) || facts.has(Flag::StateOfOthers),
        UserState::Locked => facts.has(Flag::StateOfOthers),
        UserState::Initial | UserState::Deleted | UserState::Unknown => false,
    };
    (!same).then(|| differs("state", is))
}

fn phone(facts: &Facts, found: &FoundUser, salt: Salt<'_>) -> Vec<Difference> {
    let number = found.phone.as_str();
    if facts.field(Field::Phone).is_none() {
        let added = facts.has(Flag::NoPhone) && !number.is_empty();
        return added.then(|| differs("phone", "has one that was not moved")).into_iter().collect();
    }
    if number.is_empty() {
        return vec![differs("phone", "has none")];
    }
    if !facts.holds(Field::Phone, number, salt) {
        return vec![differs("phone", "has another one")];
    }
    if facts.has(Flag::PhoneVerified) == found.phone_verified {
        return Vec::new();
    }
    vec![differs("phone-verified", if found.phone_verified { "is verified" } else { "is not verified" })]
}

/// Was the user changed in ZITADEL after `settled` (by ZITADEL's clock), and when?
pub(super) fn changed_since(found: &FoundUser, settled: Timestamp) -> Option<Timestamp> {
    let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    time(&found.changed).max(time(&found.password_changed)).filter(|at| *at > settled)
}

/// How the links differ; what the user added is the user's.
pub(super) fn links(facts: &Facts, current: &[Link], salt: Salt<'_>) -> Option<Difference> {
    let there: Vec<_> = current.iter().map(|link| salt.link(&link.idp_id, &link.external_user_id)).collect();
    let missing = facts.links().iter().filter(|link| !there.contains(link)).count();
    (missing > 0).then(|| differs("links", format!("{} missing", crate::error::count(missing as u64, "link"))))
}

/// How the metadata differs; what others added is theirs.
pub(super) fn metadata(facts: &Facts, current: &HashMap<String, Vec<u8>>, salt: Salt<'_>) -> Option<Difference> {
    let (mut wrong, mut passed_over) = (Vec::new(), false);
    for (key, digest) in facts.metadata().iter().filter(|(key, _)| !facts.kept_metadata().contains(key)) {
        match current.get(key) {
            // Whatever is written first can only be missing: another value was made by somebody (an action of ZITADEL's),
            // who would make it again.
            None => {
                passed_over = true;
                wrong.push(format!("`{}` is missing", printable(key)));
            }
            Some(value) if !salt.is_metadata(key, value, *digest) => {
                wrong.push(format!("`{}` has another value", printable(key)));
            }
            Some(_) => {}
        }
    }
    if wrong.is_empty() {
        return None;
    }
    if wrong.len() > MOST_KEYS {
        let more = wrong.len() - MOST_KEYS;
        wrong.truncate(MOST_KEYS);
        wrong.push(format!("{more} more"));
    }
    Some(Difference { passed_over, ..differs("metadata", wrong.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{
        draft::{Draft, Metadata, Password},
        facts,
    };

    type Change = fn(&mut FoundUser);

    const KEY: [u8; 16] = [3; 16];

    fn salt() -> Salt<'static> {
        Salt { key: &KEY, user_id: "auth0|1" }
    }

    fn draft() -> Draft {
        let mut draft = facts::tests::draft();
        draft.inactive = false;
        draft.profile.display_name = Some("Ada L".into());
        draft.password = Some(Password { hash: "$2b$10$hash".into(), change_required: false });
        draft.metadata.push(Metadata { key: "more".into(), value: b"1".to_vec() });
        draft
    }

    /// The user as ZITADEL has it when all went well.
    fn arrived(draft: &Draft) -> FoundUser {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        FoundUser {
            user_id: draft.user_id.clone(),
            organization_id: "org".into(),
            state: if draft.inactive { UserState::Inactive } else { UserState::Active },
            user_name: draft.user_name.clone(),
            login_names: vec![draft.user_name.clone()],
            is_human: true,
            first_name: draft.profile.first_name.clone(),
            last_name: draft.profile.last_name.clone(),
            nick_name: text(&draft.profile.nick_name),
            display_name: text(&draft.profile.display_name),
            preferred_language: text(&draft.profile.preferred_language),
            email: draft.email.address.clone(),
            email_verified: draft.email.verified,
            phone: draft.phone.as_ref().map(|phone| phone.number.clone()).unwrap_or_default(),
            phone_verified: draft.phone.as_ref().is_some_and(|phone| phone.verified),
            password_changed: draft.password.as_ref().map(|_| "2026-11-23T20:00:00Z".to_owned()),
            ..FoundUser::default()
        }
    }

    fn kinds(facts: &Facts, found: &FoundUser) -> Vec<&'static str> {
        user(Some(facts), Some(found), salt(), "org").into_iter().map(|difference| difference.what).collect()
    }

    #[test]
    fn every_change_is_seen_and_nothing_else() {
        let draft = draft();
        let facts = Facts::of(&draft, &KEY);
        assert_eq!(kinds(&facts, &arrived(&draft)), [""; 0]);
        let changes: [(Change, &[&str]); 16] = [
            (|user| user.login_names.clear(), &["login-name"]),
            (|user| user.organization_id = "other".into(), &["organization"]),
            (|user| user.state = UserState::Initial, &["state"]),
            (|user| user.state = UserState::Locked, &["state"]),
            (|user| user.state = UserState::Inactive, &["state"]),
            (|user| user.state = UserState::Deleted, &["missing"]),
            (|user| user.user_name.push('x'), &["user-name"]),
            (|user| user.email = user.email.to_uppercase(), &["email"]),
            (|user| user.email_verified = !user.email_verified, &["email-verified"]),
            (|user| user.phone.push('1'), &["phone"]),
            (|user| user.phone.clear(), &["phone"]),
            (|user| user.phone_verified = !user.phone_verified, &["phone-verified"]),
            (|user| user.password_changed = None, &["password"]),
            (|user| user.last_name.clear(), &["name"]),
            (|user| user.preferred_language = "fr".into(), &["language"]),
            (|user| user.is_human = false, &["missing"]),
        ];
        for (at, (change, expected)) in changes.into_iter().enumerate() {
            let mut found = arrived(&draft);
            change(&mut found);
            assert_eq!(kinds(&facts, &found), expected, "change {at}");
        }
        let mut unverified = draft.clone();
        unverified.email.verified = false;
        assert_eq!(kinds(&Facts::of(&unverified, &KEY), &arrived(&draft)), [""; 0], "verified by the user since");
        let mut later = arrived(&draft);
        later.changed = Some("2026-11-23T21:00:00Z".into());
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(changed_since(&later, at("2026-11-23T20:59:59Z")), Some(at("2026-11-23T21:00:00Z")));
        assert_eq!(changed_since(&later, at("2026-11-23T21:00:00Z")), None);
        assert_eq!(changed_since(&arrived(&draft), at("2026-11-23T19:00:00Z")), Some(at("2026-11-23T20:00:00Z")));
        assert_eq!(user(Some(&facts), None, salt(), "org")[0].what, MISSING);
        assert_eq!(user(None, Some(&arrived(&draft)), salt(), "org"), []);
    }

    #[test]
    fn what_is_not_ours_is_not_compared() {
        let mut draft = draft();
        (draft.phone, draft.password) = (None, None);
        (draft.profile.nick_name, draft.profile.preferred_language) = (None, None);
        let mut facts = Facts::of(&draft, &KEY);
        let mut found = arrived(&draft);
        found.nick_name = "own".into();
        found.preferred_language = "fr".into();
        found.password_changed = Some("2026-11-23T20:00:00Z".into());
        found.display_name = draft.profile.display_name.clone().unwrap_or_default();
        assert_eq!(kinds(&facts, &found), [""; 0]);
        found.phone = "+41790000000".into();
        assert_eq!(kinds(&facts, &found), ["phone"]);
        facts.set(Flag::NoPhone, false);
        assert_eq!(kinds(&facts, &found), [""; 0]);
        found.state = UserState::Locked;
        assert_eq!(kinds(&facts, &found), ["state"]);
        facts.set(Flag::StateOfOthers, true);
        assert_eq!(kinds(&facts, &found), [""; 0]);
    }

    #[test]
    fn what_zitadel_writes_in_its_own_way_is_the_same() {
        let mut draft = draft();
        draft.profile.preferred_language = Some("iw".into());
        draft.profile.display_name = None;
        draft.phone = Some(crate::mapping::draft::Phone { number: "+4901511234567".into(), verified: true });
        let facts = Facts::of(&draft, &KEY);
        let mut found = arrived(&draft);
        found.display_name = format!("{} {}", draft.profile.first_name, draft.profile.last_name);
        found.phone = "+491511234567".into();
        for language in ["he", "und", "iw"] {
            found.preferred_language = language.into();
            assert_eq!(kinds(&facts, &found), [""; 0], "{language}");
        }
        found.phone = "+49151123456".into();
        assert_eq!(kinds(&facts, &found), ["phone"]);
    }

    #[test]
    fn metadata_is_compared_by_key() {
        let draft = draft();
        let facts = Facts::of(&draft, &KEY);
        let mut current: HashMap<String, Vec<u8>> =
            draft.metadata.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
        current.insert("another's".into(), vec![1]);
        assert_eq!(metadata(&facts, &current, salt()), None);
        let keys: Vec<String> = draft.metadata.iter().map(|entry| entry.key.clone()).collect();
        current.insert(keys[0].clone(), b"other".to_vec());
        current.remove(&keys[1]);
        let detail = metadata(&facts, &current, salt()).and_then(|difference| difference.detail).unwrap();
        assert!(detail.contains(&format!("`{}` has another value", keys[0])), "{detail}");
        assert!(detail.contains(&format!("`{}` is missing", keys[1])), "{detail}");
    }

    #[test]
    fn a_missing_key_counts_as_passed_over_although_it_is_not_named() {
        let mut draft = draft();
        let value = |n: usize| Metadata { key: format!("z{n}"), value: b"1".to_vec() };
        draft.metadata.extend((0..=MOST_KEYS).map(value));
        let facts = Facts::of(&draft, &KEY);
        let mut current: HashMap<String, Vec<u8>> =
            draft.metadata.iter().map(|entry| (entry.key.clone(), b"other".to_vec())).collect();
        let another = metadata(&facts, &current, salt()).unwrap();
        assert!(!another.passed_over, "{another:?}");
        current.remove(&format!("z{MOST_KEYS}"));
        let missing = metadata(&facts, &current, salt()).unwrap();
        assert!(missing.passed_over && !missing.detail.as_ref().unwrap().contains("is missing"), "{missing:?}");
    }
}
