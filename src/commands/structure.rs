//! Roles and organizations on the road of a cutover: read beside the export, planned with the users, made before them,
//! and given after them.

use std::sync::atomic::AtomicBool;

use super::{Context, preflight::Facts};
use crate::{
    auth0::client::Client as Auth0,
    error::{Error, Result},
    ledger::{Ledger, grants, runs},
    structure::{
        Wanted, fetch,
        grants::Giver,
        make::{self, Maker},
        plan,
    },
    zitadel::client::Client as Zitadel,
};

/// Reads them from Auth0, as far as this run has not.
pub(super) async fn read(context: &Context, auth0: Option<&Auth0>, ledger: &Ledger, run: i64) -> Result<()> {
    let wanted = Wanted::of(&context.config);
    if !wanted.anything() {
        return Ok(());
    }
    let client = auth0.ok_or_else(|| Error::internal("roles without a client"))?;
    context.unless_stopped(fetch::fetch(client, ledger, run, wanted)).await
}

/// Decides who belongs where; before the plan is held against the instance.
pub(super) async fn place(context: &Context, ledger: &Ledger, run: i64) -> Result<()> {
    plan::place(ledger, run, Wanted::of(&context.config)).await
}

/// Decides keys, names and grants.
pub(super) async fn settle(
    context: &Context,
    zitadel: Option<&Zitadel>,
    facts: &Facts,
    ledger: &Ledger,
    run: i64,
) -> Result<()> {
    let config = &context.config;
    let wanted = Wanted::of(config);
    if !wanted.anything() {
        return Ok(());
    }
    let main = facts.organization.as_ref().map(|organization| organization.id.as_str());
    let mut existing = Vec::new();
    if let Some(client) = zitadel {
        let work = plan::look(client, ledger, wanted, &config.roles, main);
        existing = context.unless_stopped(work).await?;
    }
    plan::settle(ledger, run, wanted, &existing, &context.events).await
}

/// Makes project, roles and organizations in ZITADEL, as far as they are not there.
pub(super) async fn make(
    context: &Context,
    client: &Zitadel,
    ledger: &Ledger,
    run: i64,
    organization_id: &str,
) -> Result<()> {
    let config = &context.config;
    let maker = Maker {
        client,
        ledger,
        run,
        wanted: Wanted::of(config),
        roles: &config.roles,
        organization_id,
        prefix: &config.mapping.metadata_prefix,
        events: &context.events,
    };
    context.unless_stopped(maker.make()).await
}

/// Are there grants to give, change or take?
pub(super) fn grants_left(context: &Context, ledger: &Ledger, run: i64) -> Result<u64> {
    if !Wanted::of(&context.config).grants() {
        return Ok(0);
    }
    ledger.read(|c| grants::count_grants_planned(c, run))
}

/// Gives the users their roles.
pub(super) async fn give(
    context: &Context,
    client: &Zitadel,
    facts: &Facts,
    ledger: &Ledger,
    run: i64,
    organization_id: String,
) -> Result<()> {
    let config = &context.config;
    let wanted = Wanted::of(config);
    if !wanted.grants() {
        return Ok(());
    }
    ledger.write(move |t| grants::leave_others(t, run, wanted.orgs())).await?;
    let Some(project) = ledger.read(|c| runs::meta(c, make::PROJECT))? else { return Ok(()) };
    let giver = Giver {
        client,
        ledger,
        run,
        project,
        organization_id,
        may_import: facts.may_import,
        timeout: config.import.timeout,
        patience: config.import.visible_deadline,
        conflicts: config.mapping.conflicts,
        events: &context.events,
        stop: &context.stop,
        throttled: AtomicBool::default(),
    };
    giver.give().await
}
