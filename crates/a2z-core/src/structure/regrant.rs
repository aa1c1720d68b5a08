//! Gives roles again that ZITADEL stores and does not show, or shows otherwise: the same roles once more write no event.
//! Only the events tell the id of a grant that is not shown, and whether somebody else took it away.

use std::collections::BTreeSet;

use super::{
    grants::Giver,
    stored::{Stored, stored},
};
use crate::{
    error::Result,
    ledger::grants::{self, GrantTodo},
    ownership::Us,
    zitadel::{
        failure::{Failure, Reason},
        structure::{Grant, GrantChange},
    },
};

impl Giver<'_> {
    /// Gives these users the roles again that the ledger says they have, one grant at a time. Returns how many grants were
    /// written.
    ///
    /// # Errors
    /// When ZITADEL refuses or gives up, the ledger fails, or the run is stopped.
    pub async fn give_again(&self, users: &[String]) -> Result<u64> {
        let wanted = self.ledger.read(|c| grants::grants_of(c, users))?;
        self.catch_up().await?;
        let failed = |failure: Failure| failure.into_error("could not repair a user's roles in ZITADEL");
        let shown = self.client.grants(&self.project, users).await.map_err(failed)?;
        let ids: BTreeSet<&str> = users.iter().map(String::as_str).collect();
        let Some(stored) = stored(self.client, &Us::of(self.ledger)?, &ids).await? else { return Ok(0) };
        let mut written = 0;
        for (user_id, organization, roles) in wanted {
            self.check_stopped()?;
            let grant = GrantTodo {
                user_id,
                organization,
                want: Some(roles.clone()),
                have: Some(roles),
                sent: None,
                ours: true,
                in_doubt: true,
            };
            let place = (grant.user_id.clone(), self.organization_of(&grant).to_owned());
            let there = shown.iter().find(|shown| shown.user_id == place.0 && shown.organization_id == place.1);
            let known = stored.get(&place);
            let is_whole = there.is_some_and(|there| Some(&there.roles) == grant.want.as_ref());
            if !is_whole && known.is_some_and(|known| !known.touched) {
                self.write_again(&grant, there, known).await.map_err(failed)?;
                written += 1;
            }
        }
        Ok(written)
    }

    async fn write_again(
        &self,
        grant: &GrantTodo,
        there: Option<&Grant>,
        known: Option<&Stored>,
    ) -> Result<(), Failure> {
        let roles = grant.want.as_deref().unwrap_or_default();
        self.begin(std::slice::from_ref(grant)).await.map_err(Failure::Other)?;
        if let Some(there) = there {
            // The same roles write no event: others go first.
            let others = if roles.is_empty() { there.roles.as_slice() } else { &[] };
            self.client.change_grant(&there.id, GrantChange::Roles(others)).await?;
            self.client.change_grant(&there.id, GrantChange::Roles(roles)).await?;
            return self.given(grant).await.map_err(Failure::Other);
        }
        if let Some(known) = known.filter(|known| known.is_there) {
            match self.client.change_grant(&known.id, GrantChange::Delete).await {
                Err(failure) if failure.reason() != Reason::GrantNotFound => return Err(failure),
                _ => {}
            }
        }
        self.single(grant).await.map_err(Failure::Other)
    }
}
