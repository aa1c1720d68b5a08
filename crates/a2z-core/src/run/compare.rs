//! ZITADEL compared with the ledger, at any time after a cutover. It needs neither Auth0, nor the export, nor a hash file,
//! and it writes nothing to ZITADEL.

use std::path::Path;

use super::{folder::Folder, work::Work};
use crate::{
    error::{Error, Kind, Result, count},
    ledger::{
        Ledger,
        differences::Scope,
        runs::{self, Notes},
    },
    structure::check::{self, Looked},
    verify::{Verdict, Verifier, nobody},
    zitadel::{client::Client as Zitadel, failure::Failure},
};

/// Roles that see the users of the whole instance.
const INSTANCE_ROLES: [&str; 5] =
    ["IAM_OWNER", "IAM_OWNER_VIEWER", "IAM_USER_MANAGER", "IAM_ORG_MANAGER", "IAM_LOGIN_CLIENT"];
/// Of those, roles that see the organizations, too.
const SEE_ORGANIZATIONS: [&str; 3] = ["IAM_OWNER", "IAM_OWNER_VIEWER", "IAM_ORG_MANAGER"];
/// Roles that see the users of one organization.
const ORGANIZATION_ROLES: [&str; 4] =
    ["ORG_OWNER", "ORG_OWNER_VIEWER", "ORG_USER_MANAGER", "ORG_USER_PERMISSION_EDITOR"];

/// A ledger with users in ZITADEL, and an account that may read them.
#[derive(Debug)]
pub struct Readable<'a> {
    pub(super) work: &'a Work,
    pub(super) folder: &'a Folder,
    pub(super) client: Zitadel,
    pub(super) organization_id: String,
    run: i64,
    sees_organizations: bool,
}

impl<'a> Readable<'a> {
    /// Looks whether there is something to compare, and whether the account may.
    ///
    /// # Errors
    /// When the ledger has no users in ZITADEL, or is another migration's; when the account may not read users.
    pub async fn of(work: &'a Work, folder: &'a Folder) -> Result<Self> {
        let ledger = &folder.ledger;
        let found = ledger.read(|c| Ok((runs::meta(c, "organization")?, runs::latest(c)?)))?;
        let (Some(organization_id), Some(run)) = found else {
            let path = folder.path().display();
            return Err(Error::usage(format!("the ledger in `{path}` has no users in ZITADEL yet"))
                .hint("run `a2z cutover` first"));
        };
        folder.bind(&work.config).await?;
        let client = work.zitadel_to_read()?;
        let sees_organizations = work.unless_stopped(may_read(work, &organization_id)).await?;
        Ok(Self { work, folder, client, organization_id, run: run.run, sees_organizations })
    }

    /// The number of the latest run.
    #[must_use]
    pub fn run(&self) -> i64 {
        self.run
    }

    /// Compares everybody, and keeps what was found with the latest run.
    ///
    /// # Errors
    /// When ZITADEL cannot be asked, or the ledger fails.
    pub async fn compare(&self) -> Result<Verdict> {
        let ledger = &self.folder.ledger;
        let key = self.folder.key().await?;
        let verifier = verifier(self.work, ledger, &self.client, key, self.organization_id.clone());
        let verdict = self.work.unless_stopped(verifier.run(Scope::All)).await?;
        keep(ledger, self.run, &verdict).await?;
        Ok(verdict)
    }

    /// Compares the organizations that a2z made, if the account sees them.
    ///
    /// # Errors
    /// When ZITADEL cannot be asked, or the ledger fails.
    pub async fn organizations(&self) -> Result<Looked> {
        if !self.sees_organizations {
            return Ok(Looked::default());
        }
        let prefix = &self.work.config.mapping.metadata_prefix;
        self.work.unless_stopped(check::organizations(&self.client, &self.folder.ledger, prefix)).await
    }
}

/// The comparison of users in `organization_id`. `key` is the ledger's own.
pub(super) fn verifier(
    work: &Work,
    ledger: &Ledger,
    client: &Zitadel,
    key: [u8; 16],
    organization_id: String,
) -> Verifier {
    Verifier {
        client: client.clone(),
        ledger: ledger.clone(),
        key,
        organization_id,
        patience: work.config.import.visible_deadline,
        metadata: work.config.verify.metadata,
        events: work.events.clone(),
    }
}

/// Keeps what was found with the run, for the reports.
pub(super) async fn keep(ledger: &Ledger, run: i64, verdict: &Verdict) -> Result<()> {
    let json = serde_json::to_string(verdict)
        .map_err(|error| Error::internal("what was compared cannot be written").caused_by(&error))?;
    ledger.write(move |t| runs::note(t, run, Notes::Notes, "verify", &json)).await
}

/// Does ZITADEL take the credentials, and may the account see users? To an account that may not, a search finds nobody and
/// says nothing. True if it sees all organizations, too.
async fn may_read(work: &Work, organization: &str) -> Result<bool> {
    let client = work.first_contact().zitadel_to_read()?;
    let failed = |failure: Failure| failure.into_error("could not read the account's roles");
    let memberships = client.memberships().await.map_err(failed)?;
    let may = memberships.iter().any(|membership| {
        let here = membership.org_id.as_deref() == Some(organization);
        let holds = |known: &[&str]| membership.roles.iter().any(|role| known.contains(&role.as_str()));
        (membership.iam && holds(&INSTANCE_ROLES)) || (here && holds(&ORGANIZATION_ROLES))
    });
    if may {
        let sees_all = |role: &String| SEE_ORGANIZATIONS.contains(&role.as_str());
        return Ok(memberships.iter().any(|membership| membership.iam && membership.roles.iter().any(sees_all)));
    }
    Err(Error::new(Kind::Check, "the ZITADEL account may not read the users of this organization")
        .because("it has no role that sees users, in the instance or in the organization")
        .hint("IAM_OWNER_VIEWER or ORG_OWNER_VIEWER is enough for `a2z verify`"))
}

/// How the process ends after a comparison. `report` is the file that names who differs.
///
/// # Errors
/// Of kind `Incomplete` if a user or an organization is not as it was written.
pub fn end(verdict: &Verdict, organizations: &Looked, report: &Path) -> Result<()> {
    if let Some(error) = nobody(verdict) {
        return Err(error);
    }
    let (users, organizations) = (verdict.wrong(), organizations.different.len() as u64);
    let (what, compared) = match (users, organizations) {
        (0, 0) => return Ok(()),
        (0, _) => (count(organizations, "organization"), "made"),
        _ => (count(users, "user"), "written"),
    };
    let differ = if users == 1 || (users == 0 && organizations == 1) { "differs" } else { "differ" };
    let error = Error::new(Kind::Incomplete, format!("{what} {differ} in ZITADEL from what was {compared}"));
    Err(if users == 0 {
        error
            .because("somebody changed or deleted them since")
            .hint("they are named above; a2z leaves what others changed")
    } else {
        error
            .because(
                "somebody changed or deleted them since, or it is a fault: a2z compares with what ZITADEL confirmed",
            )
            .hint(format!("see `{}`; what users changed by themselves is theirs", report.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(different: u64, missing: u64, organizations: &[&str]) -> Result<()> {
        let verdict = Verdict { looked_at: 9, different, missing, ..Verdict::default() };
        let different = organizations.iter().map(|id| ((*id).to_owned(), "renamed".to_owned())).collect();
        end(&verdict, &Looked { organizations: 2, different }, Path::new("report.html"))
    }

    #[test]
    fn whoever_differs_makes_a_comparison_incomplete() {
        ended(0, 0, &[]).unwrap();
        for (users, organizations, message) in [
            (1, &[][..], "1 user differs in ZITADEL from what was written"),
            (2, &["o"][..], "2 users differ in ZITADEL from what was written"),
            (0, &["o"][..], "1 organization differs in ZITADEL from what was made"),
            (0, &["o", "p"][..], "2 organizations differ in ZITADEL from what was made"),
        ] {
            let error = ended(users, 0, organizations).unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::Incomplete, message));
        }
        let nobody = ended(0, 9, &["o"]).unwrap_err();
        assert_eq!(nobody.message(), "not one of the users was found in ZITADEL");
    }
}
