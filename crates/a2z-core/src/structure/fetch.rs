//! Reads roles and organizations from Auth0 into the ledger, page by page: memory stays flat, and a run that was killed
//! goes on with the page it was at. Each run reads them again, so that what was taken away since is seen.

use super::Wanted;
use crate::{
    auth0::{
        client::{Client, Failure},
        structure::{self, Page},
    },
    error::Result,
    event::{Running, Stage},
    ledger::{
        Ledger,
        lists::{self, List, Which},
        organizations::{self, Organization},
        roles,
    },
};

/// Roles or organizations whose lists are begun together.
const CHUNK: u32 = 500;
/// The ledger's names of the two lists that the others hang on.
const ROLES: &str = "roles";
const ORGANIZATIONS: &str = "organizations";

/// Reads what is wanted and was not read by this run yet.
///
/// # Errors
/// When Auth0 refuses or gives up, or the ledger fails.
pub async fn fetch(client: &Client, ledger: &Ledger, run: i64, wanted: Wanted) -> Result<()> {
    let stage = client.events().start(Stage::Structure, None);
    let mut fetch = Fetch { client, ledger, run, stage: &stage, read: 0 };
    if wanted.reads_roles() {
        fetch.roles().await?;
    }
    if wanted.reads_organizations() {
        fetch.organizations().await?;
    }
    let read = fetch.read;
    let (roles, organizations) = (wanted.reads_roles(), wanted.reads_organizations());
    ledger.write(move |t| lists::forget_older(t, run, roles, organizations)).await?;
    stage.finish(read);
    Ok(())
}

struct Fetch<'a> {
    client: &'a Client,
    ledger: &'a Ledger,
    run: i64,
    stage: &'a Running,
    read: u64,
}

impl Fetch<'_> {
    async fn roles(&mut self) -> Result<()> {
        let run = self.run;
        let mut list = self.known(ROLES)?;
        while !list.done {
            let page = structure::roles(self.client, list.cursor.as_deref()).await;
            let Some(page) = self.available(page, Which::Roles)? else {
                return self.close(ROLES).await;
            };
            let roles: Vec<(String, String)> = page.items.into_iter().map(|role| (role.id, role.name)).collect();
            self.read += roles.len() as u64;
            list = next(page.next);
            let state = list.clone();
            self.ledger
                .write(move |t| {
                    roles::put_roles(t, run, &roles)?;
                    lists::set_list(t, run, ROLES, &state)
                })
                .await?;
            self.stage.advanced(self.read, None);
        }
        self.each(Which::Roles).await
    }

    async fn organizations(&mut self) -> Result<()> {
        let run = self.run;
        let mut list = self.known(ORGANIZATIONS)?;
        let mut resumed = list.cursor.is_some();
        while !list.done {
            let page = structure::organizations(self.client, list.cursor.as_deref()).await;
            if resumed && is_stale(&page) {
                (list, resumed) = (List::default(), false);
                continue;
            }
            let Some(page) = self.available(page, Which::Organizations)? else {
                return self.close(ORGANIZATIONS).await;
            };
            let organizations: Vec<Organization> = page.items.into_iter().map(owned).collect();
            self.read += organizations.len() as u64;
            list = next(page.next);
            let state = list.clone();
            self.ledger
                .write(move |t| {
                    organizations::put_organizations(t, run, &organizations)?;
                    lists::set_list(t, run, ORGANIZATIONS, &state)
                })
                .await?;
            self.stage.advanced(self.read, None);
        }
        self.each(Which::Organizations).await
    }

    /// Who has each role, or is a member of each organization.
    async fn each(&mut self, which: Which) -> Result<()> {
        let mut after = String::new();
        loop {
            let ids = self.ledger.read(|c| lists::ids(c, self.run, which, &after, CHUNK))?;
            let Some(last) = ids.last() else { return Ok(()) };
            after.clone_from(last);
            for id in ids {
                match which {
                    Which::Roles => self.users_of(&id).await?,
                    Which::Organizations => self.members_of(&id).await?,
                }
            }
        }
    }

    async fn users_of(&mut self, role_id: &str) -> Result<()> {
        let (run, name) = (self.run, format!("role {role_id}"));
        let mut list = self.known(&name)?;
        let mut resumed = list.cursor.is_some();
        while !list.done {
            let page = structure::role_users(self.client, role_id, list.cursor.as_deref()).await;
            if resumed && is_stale(&page) {
                (list, resumed) = (List::default(), false);
                continue;
            }
            let Some(page) = present(page, "could not list the users of a role")? else {
                return self.close(&name).await;
            };
            self.read += page.items.len() as u64;
            list = next(page.next);
            let (state, list_name, role) = (list.clone(), name.clone(), role_id.to_owned());
            self.ledger
                .write(move |t| {
                    roles::put_role_users(t, run, &role, &page.items)?;
                    lists::set_list(t, run, &list_name, &state)
                })
                .await?;
            self.stage.advanced(self.read, None);
        }
        Ok(())
    }

    async fn members_of(&mut self, organization_id: &str) -> Result<()> {
        let (run, name) = (self.run, format!("organization {organization_id}"));
        let mut list = self.known(&name)?;
        let mut resumed = list.cursor.is_some();
        while !list.done {
            let page = structure::members(self.client, organization_id, list.cursor.as_deref()).await;
            if resumed && is_stale(&page) {
                (list, resumed) = (List::default(), false);
                continue;
            }
            let Some(page) = present(page, "could not list the members of an organization")? else {
                return self.close(&name).await;
            };
            let role = |role: structure::Role| (role.id, role.name);
            let members: Vec<_> =
                page.items.into_iter().map(|m| (m.user_id, m.roles.into_iter().map(role).collect())).collect();
            self.read += members.len() as u64;
            list = next(page.next);
            let (state, list_name, organization) = (list.clone(), name.clone(), organization_id.to_owned());
            self.ledger
                .write(move |t| {
                    organizations::put_members(t, run, &organization, &members)?;
                    lists::set_list(t, run, &list_name, &state)
                })
                .await?;
            self.stage.advanced(self.read, None);
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Result<List> {
        self.ledger.read(|c| lists::list(c, self.run, name))
    }

    async fn close(&self, name: &str) -> Result<()> {
        let (run, name) = (self.run, name.to_owned());
        self.ledger.write(move |t| lists::set_list(t, run, &name, &List { cursor: None, done: true })).await
    }

    /// A plan of Auth0's without the feature answers 403: there is nothing to move then. Where an earlier run read
    /// something, it must not be taken for gone.
    fn available<T>(&self, page: Result<Page<T>, Failure>, which: Which) -> Result<Option<Page<T>>> {
        let what = match which {
            Which::Roles => "roles",
            Which::Organizations => "organizations",
        };
        let failure = match page {
            Ok(page) => return Ok(Some(page)),
            Err(failure) => failure,
        };
        let no_scope = matches!(&failure, Failure::Refused { code: Some(code), .. } if code == "insufficient_scope");
        let error = |failure: Failure| failure.into_error(&format!("could not list the {what} of the tenant"));
        if failure.status() != Some(403) || no_scope {
            return Err(error(failure));
        }
        if self.ledger.read(|c| lists::known_before(c, self.run, which))? {
            return Err(error(failure).because(format!("an earlier run did read {what}")));
        }
        let Failure::Refused { message, .. } = failure else { return Ok(None) };
        let message = format!("Auth0 does not give the {what}, so none are moved: {message}");
        match which {
            Which::Roles => self.client.events().warn("roles-not-available", message),
            Which::Organizations => self.client.events().warn("organizations-not-available", message),
        }
        Ok(None)
    }
}

/// A checkpoint that the ledger kept from an earlier day may be too old: Auth0 answers 400, and the list is begun again.
fn is_stale<T>(page: &Result<Page<T>, Failure>) -> bool {
    page.as_ref().is_err_and(|failure| failure.status() == Some(400))
}

/// What the list belongs to may have been deleted since it was seen.
fn present<T>(page: Result<Page<T>, Failure>, what: &str) -> Result<Option<Page<T>>> {
    match page {
        Ok(page) => Ok(Some(page)),
        Err(failure) if failure.status() == Some(404) => Ok(None),
        Err(failure) => Err(failure.into_error(what)),
    }
}

/// Where the list stands after a page.
fn next(next: Option<String>) -> List {
    List { done: next.is_none(), cursor: next }
}

fn owned(organization: structure::Organization) -> Organization {
    let json = |raw: Option<Box<serde_json::value::RawValue>>| {
        raw.map(|raw| raw.get().to_owned()).filter(|json| !matches!(json.as_str(), "null" | "{}"))
    };
    Organization {
        id: organization.id,
        name: organization.name,
        display_name: organization.display_name.filter(|name| !name.trim().is_empty()),
        branding: json(organization.branding),
        metadata: json(organization.metadata),
    }
}
