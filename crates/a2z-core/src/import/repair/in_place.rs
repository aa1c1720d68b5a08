//! Writes one part of a user again: takes it away, writes it, and looks whether ZITADEL shows it.

use std::time::{Duration, Instant};

use super::plan::Part;
use crate::{
    error::Result,
    import::{engine::Engine, events, item::Item, links},
    ledger::repairs,
    mapping::{
        delta,
        draft::{Draft, Link, Metadata},
        facts::Flag,
        links::fold,
        part::{Part as Field, Parts},
    },
    zitadel::{events::kind, failure::Failure, search::FoundUser, update::update_json},
};

/// Attempts at one part.
const ATTEMPTS: u32 = 2;
/// How long it may take until ZITADEL shows it. Measured on a real server: 0.06 to 0.6 s.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Texts are cut here before something is put behind them.
const ROOM: usize = 190;

/// What tells that a person changed the profile.
const PROFILE_CHANGED: [&str; 6] = [
    "user.username.changed",
    "user.human.profile.changed",
    "user.human.email.changed",
    "user.human.phone.changed",
    kind::PHONE_REMOVED,
    "user.domain.claimed",
];
/// What tells that somebody took metadata away.
const METADATA_REMOVED: [&str; 2] = ["user.metadata.removed", "user.metadata.removed.all"];
/// What tells that somebody changed the state.
const STATE_CHANGED: [&str; 4] = ["user.deactivated", "user.reactivated", "user.locked", "user.unlocked"];

/// How it is known that nobody but this ledger took the part away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// By the events; or this ledger took it away, in a repair that was begun.
    Known,
    /// The account may not read events: what ZITADEL refuses to take away, somebody removed before.
    ByRemoval,
}

/// Writes a part of a user again. True if ZITADEL shows it afterwards; false if it is left as it is, for somebody else
/// changed it, nobody can tell, or it is written again in vain.
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub(super) async fn repair(engine: &Engine, item: &Item, part: Part) -> Result<bool> {
    let (id, word) = (item.id().to_owned(), part.word());
    let begun = engine.ledger.read(|c| repairs::is_begun(c, &id, word))?;
    let Some(proof) = proof(engine, item, part, begun).await? else { return Ok(false) };
    for _ in 0..ATTEMPTS {
        if is_shown(engine, item, part).await? {
            if begun {
                end(engine, &id, word).await?;
            }
            return Ok(true);
        }
        let user = id.clone();
        engine.ledger.write(move |t| repairs::begin(t, &user, word)).await?;
        let written = write(engine, item, part, proof).await;
        // What ZITADEL refused is over; what was lost is begun, and goes on in the next run.
        match written {
            Err(failure) if failure.is_ambiguous() => continue,
            Err(failure @ Failure::Refused { .. }) => {
                tracing::info!(part = word, ?failure, "ZITADEL refused a repair");
                end(engine, &id, word).await?;
                return Ok(false);
            }
            Err(failure) => return Err(failure.into_error("could not repair a user in ZITADEL")),
            Ok(written) => {
                end(engine, &id, word).await?;
                if !written {
                    return Ok(false);
                }
            }
        }
        if comes_to_be_shown(engine, item, part).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn end(engine: &Engine, user_id: &str, word: &'static str) -> Result<()> {
    let id = user_id.to_owned();
    engine.ledger.write(move |t| repairs::end(t, &id, word)).await
}

/// May the part be written again? `None` if somebody else changed it, or that cannot be told.
async fn proof(engine: &Engine, item: &Item, part: Part, begun: bool) -> Result<Option<Proof>> {
    let kinds: &[&str] = match part {
        Part::Metadata => &METADATA_REMOVED,
        Part::Links => &kind::LINK_REMOVED,
        Part::Codes(code) => code.removed(),
        Part::EmailVerified | Part::Profile => &PROFILE_CHANGED,
        Part::State => &STATE_CHANGED,
        Part::Roles => return Ok(None),
    };
    let by_removal = matches!(part, Part::Metadata | Part::Links | Part::Codes(_));
    Ok(match events::others(engine, item.id(), kinds).await? {
        Some(true) => None,
        Some(false) => Some(Proof::Known),
        None if begun => Some(Proof::Known),
        None => by_removal.then_some(Proof::ByRemoval),
    })
}

async fn comes_to_be_shown(engine: &Engine, item: &Item, part: Part) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    while !is_shown(engine, item, part).await? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(true)
}

/// Does ZITADEL show the part as this ledger wrote it?
async fn is_shown(engine: &Engine, item: &Item, part: Part) -> Result<bool> {
    let shown = async || {
        Ok(match part {
            Part::Metadata => lacking_metadata(engine, item).await?.is_empty(),
            Part::Links => lacking_links(engine, item).await?.is_empty(),
            Part::Codes(code) => {
                let methods = engine.client.authentication_methods(item.id()).await?;
                methods.iter().any(|method| method == code.method())
            }
            Part::EmailVerified => engine.client.user(item.id()).await?.is_some_and(|user| user.email_verified),
            Part::Profile => {
                let user = engine.client.user(item.id()).await?;
                user.is_some_and(|user| wrong_fields(engine, item, &user).is_empty())
            }
            Part::State => {
                engine.client.user(item.id()).await?.is_some_and(|user| user.is_inactive() == item.todo.have_inactive)
            }
            Part::Roles => true,
        })
    };
    shown().await.map_err(|failure: Failure| failure.into_error("could not read a user from ZITADEL"))
}

/// Takes the part away and writes it. False if somebody removed it before.
async fn write(engine: &Engine, item: &Item, part: Part, proof: Proof) -> Result<bool, Failure> {
    let (client, id) = (&engine.client, item.id());
    let may_write = |was_stored: bool| was_stored || proof == Proof::Known;
    match part {
        Part::Metadata => {
            for entry in lacking_metadata(engine, item).await? {
                if !may_write(client.take_metadata(id, &entry.key).await?) {
                    return Ok(false);
                }
                client.set_metadata(id, std::slice::from_ref(entry)).await?;
            }
        }
        Part::Links => {
            for link in lacking_links(engine, item).await? {
                let stored = client.take_link(id, &link.idp_id, &link.external_user_id).await?;
                if !may_write(stored) || !client.add_link(id, link).await? {
                    return Ok(false);
                }
            }
        }
        Part::Codes(code) => {
            if !may_write(client.take_code(id, code).await?) {
                return Ok(false);
            }
            client.add_code(id, code).await?;
        }
        Part::EmailVerified => client.verify_email(id).await?,
        Part::Profile => {
            let Some(user) = client.user(id).await? else { return Ok(false) };
            let fields = wrong_fields(engine, item, &user);
            for draft in [&other_than(&item.draft), &item.draft] {
                if let Some(patch) = update_json(draft, fields, false) {
                    client.update_user(id, patch).await?;
                }
            }
        }
        Part::State if item.todo.have_inactive => {
            client.reactivate(id).await?;
            client.deactivate(id).await?;
        }
        Part::State => {
            client.deactivate(id).await?;
            client.reactivate(id).await?;
        }
        Part::Roles => return Ok(false),
    }
    Ok(true)
}

/// The metadata that this ledger wrote, and that ZITADEL does not show.
async fn lacking_metadata<'a>(engine: &Engine, item: &'a Item) -> Result<Vec<&'a Metadata>, Failure> {
    let held = engine.client.user_metadata(item.id()).await?;
    let Some(facts) = &item.todo.facts else { return Ok(Vec::new()) };
    let salt = engine.salt(item.id());
    let wrote = |entry: &Metadata| {
        let digest = facts.metadata().iter().find(|(key, _)| *key == entry.key).map(|(_, digest)| *digest);
        digest.is_some_and(|digest| salt.is_metadata(&entry.key, &entry.value, digest))
    };
    let lacking = |entry: &&Metadata| {
        !held.contains_key(&entry.key) && !facts.kept_metadata().contains(&entry.key) && wrote(entry)
    };
    Ok(item.draft.metadata.iter().filter(lacking).collect())
}

/// The links that ZITADEL has from this ledger, and that it does not show.
async fn lacking_links<'a>(engine: &Engine, item: &'a Item) -> Result<Vec<&'a Link>, Failure> {
    let shown = engine.client.links(item.id()).await?;
    let same = |a: &Link, b: &Link| a.idp_id == b.idp_id && fold(&a.external_user_id) == fold(&b.external_user_id);
    let lacking = |link: &&Link| {
        item.todo.have_links.contains(&links::identity(link)) && !shown.iter().any(|found| same(found, link))
    };
    Ok(item.draft.links.iter().filter(lacking).collect())
}

/// The fields of the profile that ZITADEL shows otherwise than this ledger wrote them. An address or a number that is not
/// verified is not among them: to write it again would send a code.
fn wrong_fields(engine: &Engine, item: &Item, user: &FoundUser) -> Parts {
    let Some(facts) = &item.todo.facts else { return Parts::default() };
    let mut wrong = delta::not_held(facts, &item.facts, &user.held(), engine.salt(item.id()));
    wrong.set(Field::Email, wrong.has(Field::Email) && facts.has(Flag::EmailVerified));
    wrong.set(Field::Phone, wrong.has(Field::Phone) && facts.has(Flag::PhoneVerified));
    wrong
}

/// The draft with other values: ZITADEL writes no event for a value that it stores already.
fn other_than(draft: &Draft) -> Draft {
    let other = |text: &str| format!("{} (a2z)", text.chars().take(ROOM).collect::<String>());
    let mut draft = draft.clone();
    draft.user_name = format!("{}-a2z", draft.user_name.chars().take(ROOM).collect::<String>());
    let profile = &mut draft.profile;
    profile.display_name = Some(other(&profile.display_name_of_update()));
    profile.first_name = other(&profile.first_name);
    profile.last_name = other(&profile.last_name);
    profile.nick_name = profile.nick_name.as_deref().map(other);
    let language = |language: &str| if language == "en" { "de" } else { "en" };
    profile.preferred_language = profile.preferred_language.as_deref().map(|is| language(is).to_owned());
    draft.email.address = format!("a2z.{}", draft.email.address);
    if let Some(phone) = &mut draft.phone {
        let last = phone.number.pop().and_then(|digit| digit.to_digit(10)).unwrap_or(0);
        phone.number.push_str(&((last + 1) % 10).to_string());
    }
    draft
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::facts::{self, Facts};

    #[test]
    fn every_field_gets_another_value_that_zitadel_takes() {
        let mut draft = facts::tests::draft();
        draft.user_name = "u".repeat(200);
        draft.profile.display_name = Some("d".repeat(200));
        draft.profile.nick_name = Some("n".repeat(200));
        draft.profile.preferred_language = Some("en".into());
        draft.phone = Some(crate::mapping::draft::Phone { number: "+41790000009".into(), verified: true });
        let other = other_than(&draft);
        let (is, was) = (Facts::of(&other, &[0; 16]), Facts::of(&draft, &[0; 16]));
        for part in Field::ALL.iter().filter(|part| **part != Field::State) {
            let mut one = Parts::default();
            one.set(*part, true);
            assert_ne!(update_json(&other, one, false), update_json(&draft, one, false), "{part:?}");
        }
        assert_ne!(is, was);
        assert!(other.user_name.chars().count() <= 200 && other.profile.first_name.chars().count() <= 200);
        assert_eq!(other.phone.unwrap().number, "+41790000000");
    }
}
