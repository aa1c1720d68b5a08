//! Undoes what [`super::make`] did, after the users are gone (their grants go with them): roles, the project, the
//! organizations. Only what this ledger made, and only where nobody else uses it.

use std::time::Duration;

use super::make::{CREATED_PROJECT, PENDING_PROJECT, PROJECT};
use crate::{
    error::{Error, Kind, Result, count, printable},
    ledger::{Ledger, organizations, roles, runs, states::Made, structure},
    zitadel::{client::Client, events::EventQuery, failure::Failure},
};

/// Of an organization or a project with more events than are read.
const TOO_MANY: &str = "it has more events than can be read";

/// Of an organization or a project whose events the account may not read.
const NOT_READABLE: &str = "whether somebody else worked in it cannot be told without the right to read events";

/// For the projections to catch up.
const PATIENCE: Duration = Duration::from_mins(10);

/// What the undoing needs.
#[derive(Debug)]
pub struct Unmaker<'a> {
    /// To ZITADEL.
    pub client: &'a Client,
    /// The ledger.
    pub ledger: &'a Ledger,
    /// The accounts that wrote with this ledger.
    pub accounts: &'a [String],
}

/// Did this ledger make anything of it?
///
/// # Errors
/// When the ledger fails.
pub fn anything(ledger: &Ledger) -> Result<bool> {
    ledger.read(structure::made_anything)
}

impl Unmaker<'_> {
    /// Deletes what may go; says of each kind what became of it. It may be stopped and done again.
    ///
    /// # Errors
    /// When ZITADEL refuses or gives up, or the ledger fails.
    pub async fn unmake(&self) -> Result<Vec<String>> {
        let mut said = Vec::new();
        self.project(&mut said).await?;
        self.organizations(&mut said).await?;
        Ok(said)
    }

    async fn project(&self, said: &mut Vec<String>) -> Result<()> {
        // The id of one that is pending is ours alone: what is there under it, although the answer was lost, we made.
        let pending = self.meta(PENDING_PROJECT)?;
        let created = self.meta(CREATED_PROJECT)?.or_else(|| pending.clone());
        let Some(project) = self.meta(PROJECT)?.or(pending) else { return Ok(()) };
        let roles = self.ledger.read(roles::roles_made)?;
        if self.client.project(&project).await.map_err(gave_up("could not look up the project"))?.is_none() {
            return self.ledger.write(roles::project_gone).await;
        }
        let whole = created.as_ref() == Some(&project);
        if whole && let Some(why) = self.project_in_use(&project).await? {
            said.push(format!("project       {project} stays: {why}"));
            return Ok(());
        }
        let there = self.client.project_roles(&project).await.map_err(gave_up("could not list the project's roles"))?;
        let (mut removed, mut kept) = (0, 0);
        for (id, key) in roles {
            // In doubt, and not made; or removed by somebody.
            if !there.contains(&key) {
                self.ledger.write(move |t| roles::set_role_made(t, &id, Made::No)).await?;
                continue;
            }
            if !whole && self.grants_of(&project, Some(&key)).await? > 0 {
                kept += 1;
                continue;
            }
            let done = self.client.remove_project_role(&project, &key).await;
            done.map_err(gave_up("could not remove a role from the project"))?;
            removed += 1;
            self.ledger.write(move |t| roles::set_role_made(t, &id, Made::No)).await?;
        }
        if whole {
            // Its roles first, those of others included: their keys would stay taken.
            for key in
                self.client.project_roles(&project).await.map_err(gave_up("could not list the project's roles"))?
            {
                let done = self.client.remove_project_role(&project, &key).await;
                done.map_err(gave_up("could not remove a role from the project"))?;
            }
            self.client.delete_project(&project).await.map_err(gave_up("could not delete the project"))?;
            self.ledger.write(roles::project_gone).await?;
            said.push(format!("project       {project} deleted, with {}", count(removed, "role")));
        } else if removed + kept > 0 {
            let stay = if kept > 0 { format!("; {} of use to others", count(kept, "role")) } else { String::new() };
            said.push(format!("roles         {removed} removed from the project {project}{stay}"));
        }
        Ok(())
    }

    /// Why a project of ours must stay.
    async fn project_in_use(&self, project: &str) -> Result<Option<String>> {
        let grants = self.grants_of(project, None).await?;
        if grants > 0 {
            return Ok(Some(format!("{} of others in it", count(grants, "role grant"))));
        }
        let query = EventQuery {
            aggregate_types: vec!["project".into()],
            aggregate_id: Some(project.to_owned()),
            ..EventQuery::default()
        };
        others(self.client, self.accounts, query).await
    }

    /// How many grants there are, once those of the deleted users are gone.
    async fn grants_of(&self, project: &str, key: Option<&str>) -> Result<u64> {
        let waited = self.client.grants_barrier(PATIENCE).await;
        waited.map_err(gave_up("could not wait for ZITADEL's projections"))?;
        self.client.count_grants(project, key).await.map_err(gave_up("could not count the grants"))
    }

    async fn organizations(&self, said: &mut Vec<String>) -> Result<()> {
        let made = self.ledger.read(organizations::organizations_made)?;
        if made.is_empty() {
            return Ok(());
        }
        self.client.barrier(PATIENCE).await.map_err(gave_up("could not wait for ZITADEL's projections"))?;
        let mut deleted = 0;
        for id in made {
            let found = self.client.organization(&id).await;
            if found.map_err(gave_up("could not look up an organization"))?.is_none() {
                self.ledger.write(move |t| organizations::organization_gone(t, &id)).await?;
                continue;
            }
            let users = self.client.users_of(&id).await;
            let users = users.map_err(gave_up("could not count an organization's users"))?;
            if users > 0 {
                said.push(format!("organization  {id} stays: {} of others in it", count(users, "account")));
                continue;
            }
            if let Some(why) = others_work(self.client, self.accounts, &id).await? {
                said.push(format!("organization  {id} stays: {why}"));
                continue;
            }
            self.client.delete_organization(&id).await.map_err(gave_up("could not delete an organization"))?;
            deleted += 1;
            self.ledger.write(move |t| organizations::organization_gone(t, &id)).await?;
        }
        if deleted > 0 {
            said.push(format!("{} that Auth0's became: deleted", count(deleted, "organization")));
        }
        Ok(())
    }

    fn meta(&self, key: &str) -> Result<Option<String>> {
        self.ledger.read(|c| runs::meta(c, key))
    }
}

/// Why an organization that this ledger created must stay: what somebody else did in its settings, projects or members.
///
/// # Errors
/// When ZITADEL gives up.
pub async fn others_work(client: &Client, accounts: &[String], organization: &str) -> Result<Option<String>> {
    let query = EventQuery {
        aggregate_types: vec!["org".into(), "project".into()],
        organization_id: Some(organization.to_owned()),
        ..EventQuery::default()
    };
    others(client, accounts, query).await
}

/// Why something that these events are about must stay: one of them is not of our accounts, or that cannot be told.
async fn others(client: &Client, accounts: &[String], query: EventQuery) -> Result<Option<String>> {
    let mut other = None;
    let read = client.each_event_of(query, jiff::Timestamp::MIN, |event| {
        if other.is_none() && !accounts.contains(&event.editor_user_id) {
            other = Some(event.kind);
        }
    });
    let whole = match read.await {
        Err(Failure::NoPermission(_)) => return Ok(Some(NOT_READABLE.to_owned())),
        read => read.map_err(gave_up("could not read ZITADEL's events"))?,
    };
    Ok(match other {
        Some(kind) => Some(format!("somebody else worked in it ({})", printable(&kind))),
        None => (!whole).then(|| TOO_MANY.to_owned()),
    })
}

fn gave_up(what: &'static str) -> impl Fn(Failure) -> Error {
    move |failure| failure.into_error(what).with_kind(Kind::GaveUp)
}
