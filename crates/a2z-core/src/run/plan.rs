//! Pass 1 as a stage of a run: the export is planned, and held against the instance.

use std::time::Instant;

use super::{providers, shared::Run, structure};
use crate::{
    error::{Error, Result, count},
    ledger::runs::{self, Mark},
    plan,
    zitadel::client::Client as Zitadel,
};

impl Run<'_> {
    /// Makes the plan. `inputs` is the digest of what it depends on; without `zitadel` nobody is looked up.
    pub(super) async fn plan(&self, zitadel: Option<&Zitadel>, inputs: &str) -> Result<()> {
        let began = Instant::now();
        let (run, ledger, config) = (self.number, self.ledger(), &self.work.config);
        let counted = tokio::task::block_in_place(|| self.read_export())?;
        if let Some(memberships) = &self.preparer.memberships {
            memberships.check()?;
        }
        structure::place(self.work, ledger, run).await?;
        self.reconcile(counted.rows);
        if let Some(client) = zitadel {
            self.look_at_instance(client).await?;
        }
        let reach = providers::reach(&self.facts);
        ledger.write(move |t| plan::people::finish(t, run, &reach)).await?;
        if let Some(client) = zitadel {
            let look = plan::keeps::look(client, ledger, run, self.preparer.key, config.mapping.conflicts);
            self.work.unless_stopped(look).await?;
        }
        structure::settle(self.work, zitadel, &self.facts, ledger, run).await?;
        self.note_files(counted.digests).await?;
        self.time("plan_s", began.elapsed()).await?;
        let inputs = inputs.to_owned();
        ledger
            .write(move |t| {
                runs::set_inputs_digest(t, run, &inputs)?;
                runs::mark(t, run, Mark::Planned)
            })
            .await
    }

    /// Reads, joins and maps every row; then who keeps a name or a link is decided inside the export. Blocks.
    fn read_export(&self) -> Result<plan::Counted> {
        let (ledger, work) = (self.ledger(), self.work);
        let counted =
            plan::read_all(&self.files, self.reading(), &self.preparer, ledger, self.number, &work.events, &work.stop)?;
        let (collisions, carried) = (work.config.mapping.collisions, work.config.structure().carried());
        plan::settle_names(ledger, self.number, collisions, carried)?;
        Ok(counted)
    }

    /// Holds the number of rows against what Auth0 counts.
    fn reconcile(&self, rows: u64) {
        if let Some(users) = self.facts.auth0_users.filter(|users| *users > rows)
            && self.work.config.auth0.connections.len() <= 1
        {
            self.work.events.warn(
                "export-incomplete",
                format!("Auth0 counts {} and the export has {rows}: somebody signed up meanwhile, or the export is not whole; a second run catches up", count(users, "user")),
            );
        }
    }

    /// Looks the planned users up in ZITADEL.
    async fn look_at_instance(&self, client: &Zitadel) -> Result<()> {
        let organization = self.facts.organization.as_ref().map(|organization| organization.id.as_str());
        let patience = self.work.config.import.visible_deadline;
        let scope = (organization, self.facts.scoped_names);
        let look = plan::instance::settle(client, self.ledger(), self.number, scope, patience, &self.work.events);
        let instance = self.work.unless_stopped(look).await?;
        self.note("instance_users", instance.users.to_string()).await
    }

    /// Keeps what the files were: the digests of the export, and the audits of the ticket's files.
    async fn note_files(&self, digests: Vec<String>) -> Result<()> {
        let (run, ledger) = (self.number, self.ledger());
        let known = ledger.read(|c| runs::exports(c, run))?;
        for (mut file, digest) in known.into_iter().zip(digests) {
            file.digest = Some(digest);
            ledger.write(move |t| runs::put_export(t, run, &file)).await?;
        }
        let audit = serde_json::to_string(&self.preparer.hashes.audit())
            .map_err(|error| Error::internal("the hash audit cannot be written").caused_by(&error))?;
        self.note("hashes", audit).await?;
        if !self.preparer.mfa.is_empty() {
            let audit = serde_json::to_string(&self.preparer.mfa.audit())
                .map_err(|error| Error::internal("the audit of the MFA files cannot be written").caused_by(&error))?;
            self.note("mfa", audit).await?;
        }
        Ok(())
    }
}
