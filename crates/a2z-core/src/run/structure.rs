//! Roles and organizations on the road of a cutover: read beside the export, planned with the users, made before them,
//! and given after them.

use std::sync::atomic::AtomicBool;

use super::{facts::Facts, work::Work};
use crate::{
    auth0::client::Client as Auth0,
    error::Result,
    ledger::{Ledger, grants, runs},
    structure::{
        fetch,
        grants::Giver,
        make::{self, Maker},
        plan,
    },
    zitadel::client::Client as Zitadel,
};

/// Reads them from Auth0, as far as this run has not.
pub(super) async fn read(work: &Work, client: &Auth0, ledger: &Ledger, run: i64) -> Result<()> {
    let wanted = work.config.structure();
    work.unless_stopped(fetch::fetch(client, ledger, run, wanted)).await
}

/// Decides who belongs where; before the plan is held against the instance.
pub(super) async fn place(work: &Work, ledger: &Ledger, run: i64) -> Result<()> {
    plan::place(ledger, run, work.config.structure()).await
}

/// Decides keys, names and grants.
pub(super) async fn settle(
    work: &Work,
    zitadel: Option<&Zitadel>,
    facts: &Facts,
    ledger: &Ledger,
    run: i64,
) -> Result<()> {
    let config = &work.config;
    let wanted = config.structure();
    if !wanted.anything() {
        return Ok(());
    }
    let main = facts.organization.as_ref().map(|organization| organization.id.as_str());
    let mut existing = Vec::new();
    if let Some(client) = zitadel {
        let look = plan::look(client, ledger, wanted, &config.roles, main);
        existing = work.unless_stopped(look).await?;
    }
    plan::settle(ledger, run, wanted, &existing, &work.events).await
}

/// Makes project, roles and organizations in ZITADEL, as far as they are not there.
pub(super) async fn make(
    work: &Work,
    client: &Zitadel,
    ledger: &Ledger,
    run: i64,
    organization_id: &str,
) -> Result<()> {
    let config = &work.config;
    let maker = Maker {
        client,
        ledger,
        run,
        wanted: config.structure(),
        roles: &config.roles,
        organization_id,
        prefix: &config.mapping.metadata_prefix,
        events: &work.events,
    };
    work.unless_stopped(maker.make()).await
}

/// Are there grants to give, change or take?
pub(super) fn grants_left(work: &Work, ledger: &Ledger, run: i64) -> Result<u64> {
    if !work.config.structure().grants() {
        return Ok(0);
    }
    ledger.read(|c| grants::count_grants_planned(c, run))
}

/// Gives the users their roles.
pub(super) async fn give(
    work: &Work,
    client: &Zitadel,
    facts: &Facts,
    ledger: &Ledger,
    run: i64,
    organization_id: String,
) -> Result<()> {
    let wanted = work.config.structure();
    if !wanted.grants() {
        return Ok(());
    }
    ledger.write(move |t| grants::leave_others(t, run, wanted.orgs())).await?;
    match giver(work, client, facts, ledger, run, organization_id)? {
        Some(giver) => giver.give().await,
        None => Ok(()),
    }
}

/// Who gives the roles; `None` if there is no project.
pub(super) fn giver<'a>(
    work: &'a Work,
    client: &'a Zitadel,
    facts: &Facts,
    ledger: &'a Ledger,
    run: i64,
    organization_id: String,
) -> Result<Option<Giver<'a>>> {
    let config = &work.config;
    let Some(project) = ledger.read(|c| runs::meta(c, make::PROJECT))? else { return Ok(None) };
    Ok(Some(Giver {
        client,
        ledger,
        run,
        project,
        organization_id,
        may_import: facts.may_import,
        timeout: config.import.timeout,
        patience: config.import.visible_deadline,
        conflicts: config.mapping.conflicts,
        events: &work.events,
        stop: &work.stop,
        throttled: AtomicBool::default(),
    }))
}
