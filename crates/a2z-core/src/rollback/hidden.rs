//! Grants that ZITADEL does not show, taken before it deletes their users.

use std::collections::BTreeSet;

use super::Rollback;
use crate::{
    error::Result,
    ledger::{grants, runs, users::Candidate},
    structure::{make::PROJECT, stored::stored},
    zitadel::{
        failure::{Failure, Reason},
        structure::GrantChange,
    },
};

impl Rollback {
    /// Takes the grants of these users that ZITADEL does not show: it forgets them when it deletes the user, and they would
    /// stay taken for ever. If the account may not read events, nobody knows their ids.
    pub(super) async fn take_hidden_grants(&self, doomed: &[Candidate]) -> Result<()> {
        let ids: Vec<String> = doomed.iter().map(|candidate| candidate.user_id.clone()).collect();
        let given = self.ledger.read(|c| grants::grants_of(c, &ids))?;
        let project = self.ledger.read(|c| runs::meta(c, PROJECT))?;
        let Some(project) = project.filter(|_| !given.is_empty()) else { return Ok(()) };
        let failed = |failure: Failure| failure.into_error("could not look up grants in ZITADEL");
        let shown = self.client.grants(&project, &ids).await.map_err(failed)?;
        let place = |organization: &str| {
            if organization.is_empty() { self.organization_id.clone() } else { organization.to_owned() }
        };
        let is_shown =
            |user: &str, place: &str| shown.iter().any(|one| one.user_id == user && one.organization_id == place);
        let hidden: BTreeSet<&str> = given
            .iter()
            .filter(|(user, organization, _)| !is_shown(user, &place(organization)))
            .map(|(user, ..)| user.as_str())
            .collect();
        if hidden.is_empty() {
            return Ok(());
        }
        for grant in stored(&self.client, &self.us, &hidden).await?.unwrap_or_default().into_values() {
            self.check_stopped()?;
            if !grant.is_there {
                continue;
            }
            match self.client.change_grant(&grant.id, GrantChange::Delete).await {
                Err(failure) if failure.reason() != Reason::GrantNotFound => {
                    return Err(failure.into_error("could not take a user's roles"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
