//! The organizations, after the users: those that Auth0's became, and the one that received the users.

use super::known::Known;
use crate::{
    error::{Kind, Result, count},
    ledger::{Ledger, runs},
    rollback::Count,
    run::work::Work,
    structure::unmake::{Unmaker, others_work},
    zitadel::{client::Client, failure::Failure},
};

/// What became of the organization that received the users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Organization {
    /// It was there before, so nothing.
    NotOurs,
    /// This ledger created it, and it stays, for this reason.
    Stays(String),
    /// This ledger created it, and it is deleted.
    Deleted,
}

/// Takes roles, the project and the organizations that Auth0's became out of ZITADEL; says what stays.
pub(super) async fn structure(
    work: &Work,
    client: &Client,
    ledger: &Ledger,
    known: &Known,
    done: Count,
) -> Result<Vec<String>> {
    if !known.structure {
        return Ok(Vec::new());
    }
    if done.left + done.failed > 0 {
        return Ok(vec!["roles and organizations that were made stay: somebody is left".into()]);
    }
    let unmaker = Unmaker { client, ledger, accounts: &known.accounts };
    work.unless_stopped(unmaker.unmake()).await
}

/// Deletes the organization `id` that this ledger created, if nobody and nothing of anybody else is in it.
pub(super) async fn delete_organization(
    work: &Work,
    client: &Client,
    ledger: &Ledger,
    id: &str,
    done: Count,
    known: &Known,
    include_changed: bool,
) -> Result<Organization> {
    if done.left + done.failed > 0 {
        return Ok(Organization::Stays("somebody is left in it".into()));
    }
    let gave_up = |failure: Failure| failure.into_error("could not look up the organization").with_kind(Kind::GaveUp);
    if client.organization(id).await.map_err(gave_up)?.is_none() {
        ledger.write(runs::organization_removed).await?;
        return Ok(Organization::Deleted);
    }
    let failed = |what: &'static str| move |failure: Failure| failure.into_error(what).with_kind(Kind::GaveUp);
    client
        .barrier(work.config.import.visible_deadline)
        .await
        .map_err(failed("could not wait for ZITADEL's projections"))?;
    let users = client.users_of(id).await.map_err(failed("could not count the organization's users"))?;
    if users > 0 {
        return Ok(Organization::Stays(format!("{} of others in it", count(users, "account"))));
    }
    if !include_changed && let Some(why) = others_work(client, &known.accounts, id).await? {
        return Ok(Organization::Stays(why));
    }
    client.delete_organization(id).await.map_err(failed("could not delete the organization"))?;
    ledger.write(runs::organization_removed).await?;
    Ok(Organization::Deleted)
}
