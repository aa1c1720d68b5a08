//! What there is to undo, as the ledger has it.

use crate::{
    error::{Error, Result},
    ledger::{
        Ledger, organizations, runs, structure,
        users::{self, Which},
    },
    run::{folder::Folder, work::Work},
    zitadel::client::Client,
};

/// What the ledger says before anything is asked.
#[derive(Debug, Clone)]
pub struct Known {
    /// Users that this ledger created.
    pub created: u64,
    /// Users that a request may have created whose answer was lost.
    pub in_doubt: u64,
    /// Users who were there before.
    pub existed: u64,
    /// Users that an earlier attempt deleted.
    pub removed: u64,
    /// The service accounts of this ledger's runs.
    pub(super) accounts: Vec<String>,
    /// The organization that received the users.
    pub(super) organization: Option<String>,
    /// The same, if this ledger created it.
    pub created_organization: Option<String>,
    /// The latest run.
    pub run: Option<i64>,
    /// Users are in other organizations, too.
    pub(super) elsewhere: bool,
    /// Roles, a project or organizations were made.
    pub structure: bool,
}

impl Known {
    /// Is there nothing to undo?
    pub(super) fn is_nothing(&self) -> bool {
        self.created + self.in_doubt == 0 && self.created_organization.is_none() && !self.structure
    }
}

/// Reads it.
pub(super) fn known(ledger: &Ledger) -> Result<Known> {
    ledger.read(|c| {
        Ok(Known {
            created: users::count_candidates(c, Which::Created)?,
            in_doubt: users::count_candidates(c, Which::InDoubt)?,
            existed: users::count_existed(c)?,
            removed: users::count_removed(c)?,
            accounts: runs::accounts(c)?,
            organization: runs::meta(c, "organization")?,
            created_organization: runs::meta(c, "created_organization")?,
            run: runs::latest(c)?.map(|run| run.run),
            elsewhere: organizations::users_elsewhere(c)?,
            structure: structure::made_anything(c)?,
        })
    })
}

/// The ledger must be of this instance and this organization: another one may hold users with the same ids.
pub(super) fn belongs(work: &Work, folder: &Folder) -> Result<()> {
    let config = &work.config.zitadel;
    for (key, value, what) in [
        ("instance", config.url.as_ref().map(ToString::to_string), "ZITADEL instance"),
        ("organization", config.organization_id.clone(), "ZITADEL organization"),
    ] {
        let known = folder.ledger.read(|c| runs::meta(c, key))?;
        if let (Some(known), Some(value)) = (known, value)
            && known != value
        {
            return Err(folder.is_of_another(what, &known, &value).hint(
                "nothing was deleted; give the state folder of the cutover that is to be undone with `--state DIR`",
            ));
        }
    }
    Ok(())
}

/// Where the users are.
pub(super) async fn organization_id(work: &Work, client: &Client, known: &Known) -> Result<String> {
    let config = &work.config.zitadel;
    if let Some(id) = known.organization.as_ref().or(config.organization_id.as_ref()) {
        return Ok(id.clone());
    }
    let named = || Error::usage("the ledger does not say which organization its users are in");
    let name = config.create_org.clone().ok_or_else(|| named().hint("give its id with `ZITADEL_ORG_ID`"))?;
    let found = work
        .unless_stopped(async {
            let found = client.organization_by_name(&name).await;
            found.map_err(|failure| failure.into_error("could not look up the organization"))
        })
        .await?;
    let missing =
        || named().because(format!("there is no organization `{name}`")).hint("give its id with `ZITADEL_ORG_ID`");
    found.map(|organization| organization.id).ok_or_else(missing)
}
