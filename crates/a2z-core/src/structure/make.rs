//! Makes the project, its roles, and the organizations in ZITADEL, before the users come.
//!
//! Each is looked up before it is made, and marked in the ledger before the request leaves: what is there afterwards,
//! although the answer was lost, is ours, and what was there before is not.

use sha2::{Digest as _, Sha256};

use super::{
    Wanted,
    names::{candidates, name_of},
};
use crate::{
    error::{Error, Kind, Result, count, printable},
    event::Events,
    ledger::{
        Ledger, joined,
        organizations::{self, PlannedOrganization},
        roles, runs,
        states::Made,
    },
    mapping::finding::BlockedCode,
    ownership::{Ownership, Us},
    structure::settings::Roles,
    zitadel::{client::Client, events::kind, failure::Failure, structure::Made as Sent},
};

/// Organizations that are taken from the ledger together.
const CHUNK: u32 = 200;
/// Under these keys the ledger keeps its project: the one in use, the one that it created, and the id of one that it is
/// about to create.
pub const PROJECT: &str = "project";
/// See [`PROJECT`].
pub const CREATED_PROJECT: &str = "created_project";
/// See [`PROJECT`].
pub const PENDING_PROJECT: &str = "pending_project";

/// What the making needs.
#[derive(Debug)]
pub struct Maker<'a> {
    /// To ZITADEL.
    pub client: &'a Client,
    /// The ledger.
    pub ledger: &'a Ledger,
    /// The run.
    pub run: i64,
    /// What of it is wanted.
    pub wanted: Wanted,
    /// Which project.
    pub roles: &'a Roles,
    /// The main organization.
    pub organization_id: &'a str,
    /// What metadata keys begin with.
    pub prefix: &'a str,
    /// Who listens.
    pub events: &'a Events,
}

/// The project that the ledger uses, or the configuration names, where it is known.
///
/// # Errors
/// When the ledger fails.
pub fn known_project(ledger: &Ledger, roles: &Roles) -> Result<Option<String>> {
    let known = ledger.read(|c| runs::meta(c, PROJECT))?;
    Ok(known.or_else(|| roles.project_id.clone()))
}

impl Maker<'_> {
    /// Makes everything that is wanted and not there.
    ///
    /// # Errors
    /// When ZITADEL refuses or gives up, or the ledger fails.
    pub async fn make(&self) -> Result<()> {
        let mut keys = Vec::new();
        let mut project = None;
        if self.wanted.grants() {
            let id = self.project().await?;
            keys = self.roles(&id).await?;
            project = Some(id);
        }
        if self.wanted.orgs() {
            self.organizations(project.as_deref(), &keys).await?;
        }
        Ok(())
    }

    async fn project(&self) -> Result<String> {
        if let Some(id) = known_project(self.ledger, self.roles)? {
            let found = self.client.project(&id).await.map_err(|f| f.into_error("could not look up the project"))?;
            if found.is_none() {
                return Err(Error::new(Kind::Check, format!("ZITADEL has no project with the id `{id}`"))
                    .hint("it was deleted, or is another instance's: set `roles.project_id`, or start with an empty state folder"));
            }
            self.keep(&[(PROJECT, &id)]).await?;
            return Ok(id);
        }
        let name = self.roles.project_name();
        let looked_up = async || {
            let found = self.client.project_by_name(self.organization_id, name).await;
            found.map_err(|failure| failure.into_error("could not look up the project"))
        };
        let pending = self.meta(PENDING_PROJECT)?;
        let id = if let Some(id) = pending {
            id
        } else {
            if let Some(project) = looked_up().await? {
                self.events.notice(format!(
                    "roles go into the project `{}` ({}), which exists",
                    printable(name),
                    project.id
                ));
                self.keep(&[(PROJECT, &project.id)]).await?;
                return Ok(project.id);
            }
            let id = self.new_id()?;
            self.keep(&[(PENDING_PROJECT, &id)]).await?;
            id
        };
        let sent = self.client.create_project(self.organization_id, &id, name).await;
        match sent.map_err(|failure| failure.into_error(&format!("could not create the project `{name}`")))? {
            Sent::New | Sent::Exists => {
                self.events.notice(format!("created the project `{}` ({id})", printable(name)));
                self.keep(&[(PROJECT, &id), (CREATED_PROJECT, &id)]).await?;
                Ok(id)
            }
            // Somebody else made one of this name a moment ago.
            Sent::NameTaken => match looked_up().await? {
                Some(project) => {
                    self.keep(&[(PROJECT, &project.id)]).await?;
                    Ok(project.id)
                }
                None => Err(Error::gave_up(format!(
                    "the project name `{name}` is taken, and its project is not visible yet"
                ))
                .hint("run the same command again to go on, or name the project with `roles.project_id`")),
            },
        }
    }

    /// Digits, like ZITADEL's own, and never used before.
    fn new_id(&self) -> Result<String> {
        self.ledger.read(roles::new_id)
    }

    /// Makes the roles that the project lacks; the keys of all, sorted.
    async fn roles(&self, project: &str) -> Result<Vec<String>> {
        let there = self.client.project_roles(project).await;
        let there = there.map_err(|failure| failure.into_error("could not list the roles of the project"))?;
        let roles = self.ledger.read(|c| roles::roles(c, self.run))?;
        let mut keys = Vec::new();
        let mut created = 0;
        for role in roles {
            let Some(key) = role.key else { continue };
            let mut made = role.made;
            if there.contains(&key) {
                // A request whose answer was lost made it, or somebody else did, before.
                made = match made {
                    Made::Doubt => Made::Ours,
                    Made::No => Made::Other,
                    settled => settled,
                };
                self.set_role(&role.id, made).await?;
                keys.push(key);
                continue;
            }
            if made == Made::No {
                self.set_role(&role.id, Made::Doubt).await?;
            }
            let shown = super::names::role_key(&role.name, &role.id);
            match self.client.add_project_role(project, &key, &shown).await {
                Ok(_) => {
                    created += 1;
                    let made = if made == Made::Other { made } else { Made::Ours };
                    self.set_role(&role.id, made).await?;
                    keys.push(key);
                }
                Err(Failure::Refused { status: 400..=499, id, message, .. }) => {
                    self.set_role(&role.id, made).await?;
                    let id = id.unwrap_or_default();
                    let message = format!("ZITADEL refused the role `{}`: {id} {message}", printable(&key));
                    self.events.warn("role-refused", message);
                }
                Err(failure) => return Err(failure.into_error("could not add a role to the project")),
            }
        }
        if created > 0 {
            self.events.notice(format!("created {} in the project", count(created, "role")));
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    async fn organizations(&self, project: Option<&str>, keys: &[String]) -> Result<()> {
        let mut after = String::new();
        let mut created = 0;
        loop {
            let chunk = self.ledger.read(|c| organizations::organizations(c, self.run, &after, CHUNK))?;
            let Some(last) = chunk.last() else { break };
            after.clone_from(&last.auth0.id);
            // A few at a time; each is several requests, one after another.
            let quarter = chunk.len().div_ceil(4);
            let mut lanes = chunk.chunks(quarter);
            let mut lane = || Box::pin(self.lane(lanes.next().unwrap_or_default(), project, keys));
            let (a, b, c, d) = tokio::join!(lane(), lane(), lane(), lane());
            created += a? + b? + c? + d?;
        }
        if created > 0 {
            self.events.notice(format!("created {}", count(created, "organization")));
        }
        Ok(())
    }

    async fn lane(&self, organizations: &[PlannedOrganization], project: Option<&str>, keys: &[String]) -> Result<u64> {
        let mut created = 0;
        for organization in organizations {
            created += u64::from(self.organization(organization, project, keys).await?);
        }
        Ok(created)
    }

    /// Makes one organization what it is to be; true where it was created now.
    async fn organization(
        &self,
        organization: &PlannedOrganization,
        project: Option<&str>,
        keys: &[String],
    ) -> Result<bool> {
        let id = &organization.auth0.id;
        let mut made = organization.made;
        let mut created = false;
        let mut anew = None;
        // One that the plan did not see may have been deleted since an earlier run.
        let known = || self.ledger.read(|c| organizations::in_instance(c, id, ""));
        if made == Made::No || (matches!(made, Made::Ours | Made::Other) && !known()?.0) {
            let found = self.client.organization(id).await;
            if found.map_err(|failure| failure.into_error("could not look up an organization"))?.is_some() {
                if made == Made::No {
                    made = Made::Other;
                    self.set_organization(id, made).await?;
                }
            } else if made != Made::No {
                made = Made::No;
                anew = Some(PlannedOrganization { made, dressed: None, granted: None, ..organization.clone() });
            }
        }
        let organization = anew.as_ref().unwrap_or(organization);
        if matches!(made, Made::No | Made::Doubt) {
            let before = made;
            self.set_organization(id, Made::Doubt).await?;
            let sent = self.create(organization).await?;
            if let Err(why) = sent {
                let message = format!("ZITADEL refused the organization `{id}`, its users are not moved: {why}");
                self.events.warn("organization-refused", message);
                let (id, run) = (id.clone(), self.run);
                self.ledger
                    .write(move |t| {
                        organizations::set_organization_made(t, &id, before)?;
                        organizations::block_organization(t, &id, &why)?;
                        // Nobody becomes part of a user who is not moved.
                        joined::release(t, run, BlockedCode::LinkedInto.code())
                    })
                    .await?;
                return Ok(false);
            }
            // One that is there, although a look did not find it: of a request that was lost, or somebody was quicker.
            created = sent == Ok(Sent::New) || self.is_ours(id).await?;
            made = if created { Made::Ours } else { Made::Other };
            self.set_organization(id, made).await?;
        }
        // Another's organization keeps its look.
        if made == Made::Ours {
            self.dress(organization).await?;
        }
        if let Some(project) = project {
            let wanted = serde_json::json!([project, keys]).to_string();
            if organization.granted.as_ref() != Some(&wanted) && id != self.organization_id {
                let sent = self.client.grant_project(project, id, keys).await;
                sent.map_err(|failure| {
                    failure.into_error(&format!("could not grant the project to the organization `{id}`"))
                })?;
                let id = id.clone();
                self.ledger.write(move |t| organizations::set_organization_has(t, &id, None, Some(&wanted))).await?;
            }
        }
        Ok(created)
    }

    /// Did this ledger create the organization, which is there? If that cannot be told, it counts as another's.
    async fn is_ours(&self, id: &str) -> Result<bool> {
        let created = self.client.creation(kind::ORGANIZATION_ADDED, id).await;
        let created = created.map_err(|failure| failure.into_error("could not read ZITADEL's events"))?;
        let owner = Us::of(self.ledger)?.owner_by(created.as_ref());
        if owner == Ownership::CannotTell {
            let message = format!(
                "the organization `{}` is there, and without the right to read events nobody can tell who created it: it counts as another's",
                printable(id)
            );
            self.events.warn(BlockedCode::OwnerUnknown.code(), message);
        }
        Ok(owner == Ownership::Ours)
    }

    /// Creates an organization under the first name that is free, unless it is there; an inner error says why ZITADEL wants
    /// none.
    async fn create(&self, organization: &PlannedOrganization) -> Result<Result<Sent, String>> {
        let id = &organization.auth0.id;
        let mut names = vec![name_of(organization).to_owned()];
        names.extend(candidates(&organization.auth0).into_iter().filter(|name| name != name_of(organization)));
        for name in names {
            match self.client.create_organization_with_id(id, &name).await {
                Ok(sent @ (Sent::New | Sent::Exists)) => {
                    if name != name_of(organization) {
                        let message =
                            format!("the organization `{id}` is called `{}`: its own name is taken", printable(&name));
                        self.events.warn("organization-name-changed", message);
                        let id = id.clone();
                        self.ledger.write(move |t| organizations::set_organization_name(t, &id, &name)).await?;
                    }
                    return Ok(Ok(sent));
                }
                Ok(Sent::NameTaken) => {}
                Err(Failure::Refused { status: 400..=499, id, message, .. }) => {
                    return Ok(Err(format!("{} {message}", id.unwrap_or_default())));
                }
                Err(failure) => return Err(failure.into_error("could not create an organization")),
            }
        }
        Ok(Err("all its names are taken".to_owned()))
    }

    /// Metadata and colours, where they are not there yet.
    async fn dress(&self, organization: &PlannedOrganization) -> Result<()> {
        let auth0 = &organization.auth0;
        let entries = entries(auth0, self.prefix);
        if is_dressed_in(organization, &entries) {
            return Ok(());
        }
        let digest = digest_of(&entries);
        let failed = |failure: Failure| failure.into_error(&format!("could not write the organization `{}`", auth0.id));
        if !entries.is_empty() {
            self.client.set_organization_metadata(&auth0.id, &entries).await.map_err(failed)?;
        }
        let (primary, background) = colors(auth0.branding.as_deref());
        if primary.is_some() || background.is_some() {
            match self.client.set_colors(&auth0.id, primary.as_deref(), background.as_deref()).await {
                Ok(()) => {}
                // A look is not worth the run.
                Err(Failure::Refused { status: 400..=499, id, message, .. }) => {
                    let message = format!(
                        "the colours of the organization `{}` do not move: {} {message}",
                        auth0.id,
                        id.unwrap_or_default()
                    );
                    self.events.warn("branding-refused", message);
                }
                Err(failure) => return Err(failed(failure)),
            }
        }
        let id = auth0.id.clone();
        self.ledger.write(move |t| organizations::set_organization_has(t, &id, Some(&digest), None)).await
    }

    fn meta(&self, key: &str) -> Result<Option<String>> {
        self.ledger.read(|c| runs::meta(c, key))
    }

    async fn keep(&self, values: &[(&'static str, &str)]) -> Result<()> {
        let values: Vec<(&'static str, String)> =
            values.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        self.ledger.write(move |t| values.iter().try_for_each(|(key, value)| runs::set_meta(t, key, value))).await
    }

    async fn set_role(&self, id: &str, made: Made) -> Result<()> {
        let id = id.to_owned();
        self.ledger.write(move |t| roles::set_role_made(t, &id, made)).await
    }

    async fn set_organization(&self, id: &str, made: Made) -> Result<()> {
        let id = id.to_owned();
        self.ledger.write(move |t| organizations::set_organization_made(t, &id, made)).await
    }
}

/// The metadata of an organization of ours.
pub(super) fn entries(auth0: &organizations::Organization, prefix: &str) -> Vec<(String, String)> {
    let mut entries = vec![(format!("{prefix}name"), auth0.name.clone())];
    entries.retain(|(_, value)| !value.is_empty());
    for (name, json) in [("metadata", &auth0.metadata), ("branding", &auth0.branding)] {
        entries.extend(json.iter().map(|json| (format!("{prefix}{name}"), json.clone())));
    }
    entries
}

/// Has ZITADEL just this from us?
pub(super) fn is_dressed_in(organization: &PlannedOrganization, entries: &[(String, String)]) -> bool {
    organization.dressed.as_ref() == Some(&digest_of(entries))
}

fn digest_of(entries: &[(String, String)]) -> String {
    crate::text::hex(&Sha256::digest(format!("{entries:?}").as_bytes()))
}

/// The primary colour and the background of a page, as ZITADEL takes them: `#rrggbb` or `#rgb`. Auth0's background may be
/// a gradient, which ZITADEL does not know.
fn colors(branding: Option<&str>) -> (Option<String>, Option<String>) {
    let branding: serde_json::Value = branding.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let hex = |key: &str| {
        let text = branding["colors"][key].as_str()?.trim();
        let digits = text.strip_prefix('#')?;
        let sound = matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        sound.then(|| text.to_owned())
    };
    (hex("primary"), hex("page_background"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_as_far_as_both_know_them() {
        let of = |json: &str| colors(Some(json));
        assert_eq!(
            of(r##"{"colors":{"primary":"#FF0000","page_background":"#fff"}}"##),
            (Some("#FF0000".into()), Some("#fff".into()))
        );
        assert_eq!(of(r#"{"colors":{"primary":"red","page_background":{"type":"linear-gradient"}}}"#), (None, None));
        assert_eq!(of(r##"{"colors":{"primary":"#ff0000aa"}}"##), (None, None));
        assert_eq!(of("{}"), (None, None));
        assert_eq!(colors(None), (None, None));
    }
}
