//! Users who exist and are ours: brought to what the draft says. Everything here may be done twice.

use bytes::Bytes;

use super::{
    engine::Engine,
    item::Item,
    judge, links, metadata, outcome,
    password::{self, Password},
    resolve,
};
use crate::{
    error::Result,
    ledger::{
        states::Outcome,
        users::{Digest, Settled, begin_request},
    },
    mapping::{
        delta::{Delta, MetadataDelta, Sides, findings},
        facts::{Facts, Field, Flag},
        finding::{Finding, FindingCode},
        part::Part,
    },
    zitadel::{
        failure::Failure,
        search::{FoundUser, UserState},
        update::update_json,
    },
};

/// Updates one user, whom an earlier run created.
pub(super) async fn one(engine: &Engine, item: &Item) -> Result<()> {
    let Some(user) = engine.exists(item.id()).await? else {
        return engine.settle(vec![outcome::gone(item)]).await;
    };
    if resolve::is_still_ours(engine, item, &user).await? {
        rewrite(engine, item, &user, Outcome::Updated).await?;
    }
    Ok(())
}

/// A user that a request of an earlier run created without our hearing of it, maybe from an older export.
pub(super) async fn finish_earlier(engine: &Engine, item: &Item) -> Result<()> {
    match engine.exists(item.id()).await? {
        Some(user) => rewrite(engine, item, &user, Outcome::Created).await,
        // Deleted between the search and this read; the next run sees a user who is not there.
        None => resolve::existed_unseen(engine, item).await,
    }
}

/// A user that a request of this run created from this very draft, without our hearing of it: what comes after the
/// creation is done again.
pub(super) async fn finish_ours(engine: &Engine, item: &Item) -> Result<()> {
    let Some(user) = engine.exists(item.id()).await? else {
        return resolve::existed_unseen(engine, item).await;
    };
    // First of all: whoever was blocked must not sign in for longer than it takes to get here.
    let in_state = set_state(engine, item, user.is_inactive()).await?;
    let delta = metadata::complete(engine, item).await?;
    let whole = metadata::write(engine, item, &delta).await? && in_state;
    let refused = super::factors::complete(engine, std::slice::from_ref(item)).await?;
    let whole = whole && refused.is_empty();
    let mut settled = outcome::written(item, Outcome::Created, whole);
    settled.inactive &= in_state;
    if !delta.kept.is_empty() {
        settled.merged = Some(findings(&Delta::default(), &delta, &[]));
        let mut facts = item.facts.clone();
        facts.put_metadata(delta.base, delta.kept);
        settled.facts = Some(facts.encode());
    }
    if !item.draft.links.is_empty() {
        // They came with the user; unless the lost request was one without, because a link was taken.
        let mut known = links::shown(engine, item).await?;
        known.retain(|link| links::wanted(&item.draft).contains(link));
        links::sync(engine, item, &known).await?.note(&mut settled);
    }
    engine.settle(vec![settled]).await
}

/// Merges what Auth0 says with what ZITADEL holds of `user`, and writes what only Auth0 changed.
async fn rewrite(engine: &Engine, item: &Item, user: &FoundUser, outcome: Outcome) -> Result<()> {
    let password = password::decide(engine, item, user).await?;
    let merge = Merge::of(engine, item, user).await?;
    if merge.writes(item) || password == Password::Send {
        begin(engine, item, &merge.facts).await?;
    }
    let with_password = password == Password::Send;
    let patch = update_json(&item.draft, merge.profile.write, with_password);
    let mut wrote = patch.is_some();
    if let Some(patch) = patch
        && let Err(failure) = send(engine, item, patch).await
    {
        return settle_refusal(engine, item, failure).await;
    }
    if merge.profile.write.has(Part::Phone) && item.draft.phone.is_none() {
        let removed = engine.client.remove_phone(item.id()).await;
        removed.map_err(|failure| failure.into_error("could not remove a user's phone in ZITADEL"))?;
        wrote = true;
    }
    wrote |= !merge.metadata.set.is_empty() || !merge.metadata.remove.is_empty();
    let mut whole = metadata::write(engine, item, &merge.metadata).await?;
    let mut deactivated = item.todo.have_inactive;
    if merge.profile.write.has(Part::State) {
        let in_state = set_state(engine, item, user.is_inactive()).await?;
        deactivated |= in_state;
        whole &= in_state;
        wrote = true;
    }
    let factors = super::factors::renew(engine, item).await?;
    whole &= !factors.failed;
    wrote |= factors.wrote;
    let known = links::known(engine, item).await?;
    let linked = links::sync(engine, item, &known).await?;
    wrote |= linked.wrote;
    // Only what is written is marked in flight: if there is nothing left to write, the lost request wrote it.
    wrote |= item.in_doubt;
    let outcome = if wrote || outcome == Outcome::Created { outcome } else { Outcome::Unchanged };
    let mut settled = outcome::written(item, outcome, whole);
    // Who was deactivated by somebody else is not ours to activate again.
    settled.inactive = item.draft.inactive && deactivated;
    merge.note(&linked, &mut settled);
    note_password(engine, item, user, password, &mut settled).await?;
    settled.factor_finding = factors.finding();
    if whole {
        settled.factors = factors.booked;
    }
    let facts = merge.after(engine, item, user, password, factors.booked, &linked);
    settled.facts = Some(facts.encode());
    linked.note(&mut settled);
    engine.settle(vec![settled]).await
}

/// Writes down that an update is about to leave, and what ZITADEL holds after it.
async fn begin(engine: &Engine, item: &Item, facts: &Facts) -> Result<()> {
    let sent = vec![item.sent(facts)];
    engine.ledger.write(move |t| begin_request(t, &sent)).await
}

async fn send(engine: &Engine, item: &Item, patch: Bytes) -> Result<(), Failure> {
    let sent = engine.client.update_user(item.id(), patch.clone()).await;
    if !sent.as_ref().is_err_and(judge::is_doubtful) {
        return sent;
    }
    // The name is taken, or the database was slow: ZITADEL has one id for both.
    if engine.pause(judge::NAMED_PAUSE).await.is_err() {
        return sent;
    }
    engine.client.update_user(item.id(), patch).await
}

/// ZITADEL refused an update.
async fn settle_refusal(engine: &Engine, item: &Item, failure: Failure) -> Result<()> {
    let refusal = match judge::update(&failure) {
        Some(refusal) if engine.is_this_users(&failure) => refusal,
        _ => return Err(failure.into_error("could not update a user in ZITADEL")),
    };
    let mut settled = outcome::refused(item, &refusal);
    // Also one whom a lost request created, and whom the ledger does not know yet.
    settled.ours = true;
    engine.settle(vec![settled]).await
}

async fn note_password(
    engine: &Engine,
    item: &Item,
    user: &FoundUser,
    password: Password,
    settled: &mut Settled,
) -> Result<()> {
    match password {
        Password::Send => settled.password_at = engine.exists(item.id()).await?.and_then(|user| user.password_changed),
        Password::Landed => settled.password_at.clone_from(&user.password_changed),
        Password::Nothing => {}
        Password::Kept => settled.finding = Some(Finding::new(FindingCode::PasswordKept)),
        Password::Held => {
            // Not written: the next run tries again.
            settled.have = settled.have.map(|(profile, _)| (profile, item.todo.have_password));
            settled.finding = Some(Finding::new(FindingCode::PasswordHeld));
        }
    }
    Ok(())
}

/// What a user comes to, by what Auth0 says and ZITADEL holds.
struct Merge {
    profile: Delta,
    metadata: MetadataDelta,
    /// What ZITADEL has from us afterwards.
    facts: Facts,
}

impl Merge {
    async fn of(engine: &Engine, item: &Item, user: &FoundUser) -> Result<Self> {
        let mut ours = item.facts.clone();
        let salt = engine.salt(item.id());
        let display_name = item.draft.profile.display_name_of_update();
        ours.put(Field::DisplayName, Some(salt.field(Field::DisplayName, &display_name)));
        let sides = Sides {
            base: item.todo.facts.as_ref(),
            sent: item.todo.sent_facts.as_ref(),
            base_inactive: item.todo.have_inactive,
            ours: &ours,
            salt,
            conflicts: engine.conflicts,
        };
        let profile = sides.delta(&user.held());
        let metadata = metadata::merge(engine, item).await?;
        let mut facts = sides.settled(&profile);
        let kept = metadata.kept.iter().chain(&metadata.conflicts).cloned().collect();
        facts.put_metadata(metadata.base.clone(), kept);
        Ok(Self { profile, metadata, facts })
    }

    /// Is there anything to write, links and second factors among it?
    fn writes(&self, item: &Item) -> bool {
        let links = links::wanted(&item.draft) != item.todo.have_links;
        let factors = item.factors.is_some() && item.factors != item.todo.have_factors;
        let metadata = !self.metadata.set.is_empty() || !self.metadata.remove.is_empty();
        !self.profile.write.is_empty() || metadata || links || factors
    }

    /// Puts what was kept into the ledger.
    fn note(&self, linked: &links::Linked, settled: &mut Settled) {
        let links: Vec<String> = linked.kept().collect();
        settled.merged = Some(findings(&self.profile, &self.metadata, &links));
        if !self.profile.conflicts.is_empty() || !self.metadata.conflicts.is_empty() {
            // A conflict stays one until somebody decides: the next run finds a difference.
            settled.have = settled.have.map(|(_, password)| ([0; 16], password));
        }
    }

    /// What ZITADEL should have of a user who was `user` before: not all of the draft, for some of it is another's to decide.
    fn after(
        &self,
        engine: &Engine,
        item: &Item,
        user: &FoundUser,
        password: Password,
        factors: Option<Digest>,
        linked: &links::Linked,
    ) -> Facts {
        let mut facts = self.facts.clone();
        let has_password = match password {
            Password::Send | Password::Landed | Password::Kept => true,
            Password::Nothing => item.todo.have_password.is_some() || user.password_changed.is_some(),
            Password::Held => user.password_changed.is_some(),
        };
        facts.set(Flag::Password, has_password);
        let (totp, codes) = super::factors::has(factors, item.todo.have_factors);
        facts.set(Flag::Totp, totp);
        facts.set(Flag::RecoveryCodes, codes);
        let was_out = matches!(user.state, UserState::Inactive | UserState::Locked);
        let others = facts.has(Flag::StateOfOthers) || (!item.draft.inactive && !item.todo.have_inactive && was_out);
        facts.set(Flag::StateOfOthers, others);
        let salt = engine.salt(item.id());
        facts.put_links(linked.there().map(|(idp_id, external_id)| salt.link(idp_id, external_id)).collect());
        facts
    }
}

/// Makes the state what the draft says. False where ZITADEL refuses, which costs this user and nobody else.
pub(super) async fn set_state(engine: &Engine, item: &Item, inactive: bool) -> Result<bool> {
    let result = match (item.draft.inactive, inactive) {
        (true, false) => engine.client.deactivate(item.id()).await,
        // Only where we deactivated: another's decision stays.
        (false, true) if item.todo.have_inactive => engine.client.reactivate(item.id()).await,
        _ => return Ok(true),
    };
    match result {
        Ok(()) => Ok(true),
        Err(failure) if engine.is_this_users(&failure) => Ok(false),
        Err(failure) => Err(failure.into_error("could not change a user's state in ZITADEL")),
    }
}
