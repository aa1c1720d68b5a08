//! Are the organizations that this ledger made in ZITADEL as they were made? For `a2z verify`.

use std::{collections::BTreeMap, time::Duration};

use super::make::{entries, is_dressed_in};
use crate::{
    error::{Error, Result},
    ledger::{
        Ledger,
        organizations::{self, PlannedOrganization},
    },
    zitadel::{client::Client, failure::Failure, instance::Organization},
};

/// Organizations that are taken from the ledger together.
const CHUNK: u32 = 500;
/// Organizations whose metadata is read, a request each.
const SAMPLE: usize = 200;
/// How often it is looked before somebody is said to have changed something: the list is read from a projection.
const LOOKS: u32 = 3;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How many organizations were looked at, and what differs: id and words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// Organizations that ZITADEL has from us.
    pub organizations: u64,
    /// Those that are not as they were made.
    pub different: Vec<(String, String)>,
}

/// Compares existence, name and state of each, and the metadata of some. `prefix` is what metadata keys begin with. Colours
/// are not compared.
///
/// # Errors
/// When ZITADEL or the ledger fails.
pub async fn organizations(client: &Client, ledger: &Ledger, prefix: &str) -> Result<Looked> {
    let ours = ours(ledger)?;
    let mut looked = Looked { organizations: ours.len() as u64, different: Vec::new() };
    if ours.is_empty() {
        return Ok(looked);
    }
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        looked.different = compare(client, &ours, prefix).await.map_err(failed)?;
        if looked.different.is_empty() {
            break;
        }
    }
    Ok(looked)
}

fn ours(ledger: &Ledger) -> Result<BTreeMap<String, PlannedOrganization>> {
    let (mut ours, mut after) = (BTreeMap::new(), String::new());
    loop {
        let chunk = ledger.read(|c| organizations::organizations_ours(c, &after, CHUNK))?;
        let Some(last) = chunk.last() else { return Ok(ours) };
        after.clone_from(&last.auth0.id);
        ours.extend(chunk.into_iter().map(|one| (one.auth0.id.clone(), one)));
    }
}

async fn compare(
    client: &Client,
    ours: &BTreeMap<String, PlannedOrganization>,
    prefix: &str,
) -> Result<Vec<(String, String)>, Failure> {
    let mut found: BTreeMap<String, Organization> =
        client.organizations().await?.into_iter().map(|found| (found.id.clone(), found)).collect();
    let (mut different, mut sampled) = (Vec::new(), 0);
    for (id, made) in ours {
        // Which a list does not show is asked for by its id before it is called gone.
        let found = match found.remove(id) {
            Some(found) => Some(found),
            None => client.organization(id).await?,
        };
        let Some(found) = found else {
            different.push((id.clone(), "it is not there".to_owned()));
            continue;
        };
        let mut what = Vec::new();
        if !found.is_active() {
            what.push("it is not active".to_owned());
        }
        if made.zitadel_name.as_deref().is_some_and(|name| name != found.name) {
            what.push(format!("it is called `{}`", found.name));
        }
        let entries = entries(&made.auth0, prefix);
        // Where the tenant changed since, only the next cutover writes it.
        if sampled < SAMPLE && is_dressed_in(made, &entries) {
            sampled += 1;
            let there = client.organization_metadata(id).await?;
            let gone = entries.iter().filter(|(key, value)| there.get(key) != Some(value));
            let gone: Vec<String> = gone.map(|(key, _)| format!("`{key}`")).collect();
            if !gone.is_empty() {
                what.push(format!("its metadata differs: {}", gone.join(", ")));
            }
        }
        if !what.is_empty() {
            different.push((id.clone(), what.join("; ")));
        }
    }
    different.sort();
    Ok(different)
}

fn failed(failure: Failure) -> Error {
    failure.into_error("could not read the organizations of the instance")
}
