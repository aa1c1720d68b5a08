//! What the plan decides about roles and organizations: keys, names, who belongs where, and which grants there will be.

use std::collections::{HashMap, HashSet};

use super::{
    Wanted,
    names::{candidates, role_key, with_suffix},
};
use crate::{
    error::{Result, count, printable},
    event::Events,
    ledger::{
        Ledger, grants,
        organizations::{self},
        roles,
        states::Made,
        structure,
    },
    mapping::collision::name_key,
    structure::settings::Roles,
    zitadel::{client::Client, failure::Failure},
};

/// Organizations that are named together.
const CHUNK: u32 = 500;

/// Decides who belongs where. Comes before the plan is held against the instance, which asks where users are.
///
/// # Errors
/// When the ledger fails.
pub async fn place(ledger: &Ledger, run: i64, wanted: Wanted) -> Result<()> {
    let orgs = wanted.orgs();
    ledger.write(move |t| organizations::place_users(t, run, orgs)).await
}

/// Reads what the instance has: its organizations, into the ledger, and the role keys of the project, where it exists.
///
/// # Errors
/// When ZITADEL cannot be asked, or the ledger fails.
pub async fn look(
    client: &Client,
    ledger: &Ledger,
    wanted: Wanted,
    roles: &Roles,
    organization_id: Option<&str>,
) -> Result<Vec<String>> {
    if wanted.orgs() {
        ledger.write(organizations::begin_instance).await?;
        let all = client.organizations().await;
        let all = all.map_err(|failure| failure.into_error("could not list the organizations of the instance"))?;
        let all: Vec<_> = all.into_iter().map(|one| (one.id, name_key(&one.name))).collect();
        ledger.write(move |t| organizations::put_instance_organizations(t, &all)).await?;
    }
    if !wanted.grants() {
        return Ok(Vec::new());
    }
    let failed = |failure: Failure| failure.into_error("could not read the project");
    let project = match (super::make::known_project(ledger, roles)?, organization_id) {
        (Some(id), _) => Some(id),
        (None, Some(organization)) => {
            let found = client.project_by_name(organization, roles.project_name()).await.map_err(failed)?;
            found.map(|project| project.id)
        }
        (None, None) => None,
    };
    match project {
        Some(id) => client.project_roles(&id).await.map_err(failed),
        None => Ok(Vec::new()),
    }
}

/// Decides keys, names and grants. `existing` are the role keys that the project has, where it exists.
///
/// # Errors
/// When the ledger fails.
pub async fn settle(ledger: &Ledger, run: i64, wanted: Wanted, existing: &[String], events: &Events) -> Result<()> {
    if wanted.grants() {
        role_keys(ledger, run, existing, events).await?;
    }
    if wanted.orgs() {
        organization_names(ledger, run, events).await?;
    }
    let (grants, orgs) = (wanted.grants(), wanted.orgs());
    ledger.write(move |t| grants::plan_grants(t, run, grants, orgs)).await?;
    if orgs && !grants {
        let several = ledger.read(|c| structure::counts(c, run))?.members_of_several;
        if several > 0 {
            let who = count(several, "user");
            events.warn(
                "memberships-stay-behind",
                format!("{who} with several organizations will belong to the main one only: grants are off"),
            );
        }
    }
    Ok(())
}

/// Keys are unique in a project, whatever their case. A key that was planned once stays, so that nothing that compares it
/// breaks when the role is renamed; a role that the project has already keeps the project's spelling.
async fn role_keys(ledger: &Ledger, run: i64, existing: &[String], events: &Events) -> Result<()> {
    let roles = ledger.read(|c| roles::roles(c, run))?;
    let existing: HashMap<String, &String> = existing.iter().map(|key| (name_key(key), key)).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut keys = Vec::new();
    for role in roles {
        let settled = role.key.filter(|_| role.made != Made::No);
        let mut key = settled.clone().unwrap_or_else(|| role_key(&role.name, &role.id));
        if settled.is_none() && !taken.insert(name_key(&key)) {
            key = with_suffix(&key, &role.id);
            taken.insert(name_key(&key));
            events.warn(
                "role-key-changed",
                format!("two roles are called `{}`: one gets the key `{}`", printable(&role.name), printable(&key)),
            );
        }
        taken.insert(name_key(&key));
        if let Some(there) = existing.get(&name_key(&key)).filter(|_| settled.is_none()) {
            key.clone_from(there);
        }
        keys.push((role.id, key));
    }
    ledger.write(move |t| keys.iter().try_for_each(|(id, key)| roles::set_role_key(t, id, key))).await
}

/// Names of organizations are unique in the instance, whatever their case, and so are the domains that ZITADEL makes of
/// them.
async fn organization_names(ledger: &Ledger, run: i64, events: &Events) -> Result<()> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut after = String::new();
    loop {
        let chunk = ledger.read(|c| organizations::organizations(c, run, &after, CHUNK))?;
        let Some(last) = chunk.last() else { return Ok(()) };
        after.clone_from(&last.auth0.id);
        let mut names = Vec::new();
        for one in chunk {
            let id = one.auth0.id.clone();
            if let Some(name) = one.zitadel_name.filter(|_| one.made != Made::No) {
                taken.extend([name_key(&name), domain(&name)]);
                continue;
            }
            let mut chosen = None;
            for name in candidates(&one.auth0) {
                let (_, others) = ledger.read(|c| organizations::in_instance(c, &id, &name_key(&name)))?;
                if !others && !taken.contains(&name_key(&name)) && !taken.contains(&domain(&name)) {
                    chosen = Some(name);
                    break;
                }
            }
            let name = chosen.unwrap_or_else(|| id.clone());
            if Some(&name) != candidates(&one.auth0).first() {
                let message =
                    format!("the organization `{id}` is called `{}`: its own name is taken", printable(&name));
                events.warn("organization-name-changed", message);
            }
            taken.extend([name_key(&name), domain(&name)]);
            names.push((id, name));
        }
        ledger
            .write(move |t| names.iter().try_for_each(|(id, name)| organizations::set_organization_name(t, id, name)))
            .await?;
    }
}

/// As ZITADEL makes a domain of a name, near enough to see a collision coming.
fn domain(name: &str) -> String {
    let kept = name.to_lowercase().replace(' ', "-");
    format!("domain {}", kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_names_as_far_as_zitadel_takes_them() {
        let long = "x".repeat(250);
        for (name, key) in [
            ("admin", "admin"),
            ("Billing Manager", "Billing Manager"),
            (" a\u{0}b\n ", "ab"),
            ("日本:/😀", "日本:/😀"),
            ("", "rol_1"),
            ("\u{7f}", "rol_1"),
            (&long, &long[..200]),
        ] {
            assert_eq!(role_key(name, "rol_1"), key, "{name:?}");
        }
    }

    #[test]
    fn a_suffix_fits_into_200_characters() {
        let suffixed = with_suffix(&"é".repeat(200), "org_1");
        assert_eq!(suffixed.chars().count(), 200);
        assert!(suffixed.ends_with(" (org_1)"));
    }

    #[test]
    fn an_organization_has_other_names_where_its_own_is_taken() {
        let organization = |name: &str, display: Option<&str>| organizations::Organization {
            id: "org_1".into(),
            name: name.into(),
            display_name: display.map(str::to_owned),
            ..organizations::Organization::default()
        };
        let names = |name, display| candidates(&organization(name, display));
        assert_eq!(names("acme", Some("Acme Ltd")), ["Acme Ltd", "Acme Ltd (acme)", "Acme Ltd (org_1)", "org_1"]);
        assert_eq!(names("acme", None), ["acme", "acme (org_1)", "org_1"]);
        assert_eq!(names("", Some("\u{1}")), ["org_1"]);
        assert_eq!(domain("Acme Ltd"), domain("acme-ltd"));
    }
}
