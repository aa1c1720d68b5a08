//! Second factors as a stage of a run: who loses which one, and which codes move.

use super::{factor_file::FactorFile, shared::Run};
use crate::{
    auth0::{
        client::Client as Auth0,
        rows::{RowKind, Rows},
    },
    error::{Result, count, thousands},
    import::codes::{self as import_codes, Giver},
    ledger::{codes, surveyed},
    plan::File,
    survey,
    zitadel::client::Client as Zitadel,
};

impl Run<'_> {
    /// Finds out who loses a second factor: asks Auth0 if that is wanted, and writes the list for a mailing.
    pub(super) async fn survey(&self, auth0: Option<&Auth0>, zitadel: Option<&Zitadel>) -> Result<()> {
        if let Some(client) = auth0 {
            self.ask_auth0(client).await?;
        }
        if self.work.config.input.mfa_codes {
            match zitadel {
                Some(client) => {
                    self.work.unless_stopped(import_codes::look_for_removed(client, self.ledger())).await?;
                }
                None => self.work.events.warn(
                    "mfa-codes",
                    "ZITADEL is not configured: whether codes by SMS and e-mail can move is not known, and they are shown as lost",
                ),
            }
        }
        self.settle_factors().await
    }

    async fn ask_auth0(&self, client: &Auth0) -> Result<()> {
        let to_ask = survey::to_ask(self.ledger(), self.number, self.facts.codes.is_some())?;
        let users = to_ask.users;
        if users == 0 {
            return Ok(());
        }
        let [slow, usual] = survey::CALLS_PER_SECOND;
        let minutes = |rate: u64| thousands(users.div_ceil(60 * rate));
        self.work.events.notice(format!(
            "asking Auth0 about the second factors of {}: about {} min at {usual} calls per second (Essentials, Professional), {} min at {slow} (Free); Auth0's own headers set the pace, and when it is stopped, it goes on there",
            count(users, "user"),
            minutes(usual),
            minutes(slow),
        ));
        survey::ask(client, self.ledger(), self.number, &to_ask, &self.preparer.key, &self.work.events).await
    }

    /// Reports who loses which factor, and plans the codes that move; after the plan, and again once they are given.
    pub(super) async fn settle_factors(&self) -> Result<()> {
        let (run, abilities) = (self.number, self.facts.codes);
        let (asked, lost) = self.ledger().write(move |t| surveyed::apply(t, run, abilities)).await?;
        if asked > 0 {
            let codes = self.ledger().read(|c| codes::count_moving(c, run))?;
            let note = serde_json::json!({ "asked": asked, "lost": lost, "codes": codes });
            self.note("mfa_survey", note.to_string()).await?;
        }
        if asked > 0 || !self.preparer.mfa.is_empty() {
            tokio::task::block_in_place(|| self.write_factors())?;
        }
        Ok(())
    }

    /// Gives users the codes by SMS and e-mail that the plan wants. The findings and `factors.csv` tell what came of it.
    pub(super) async fn give_codes(&self, client: &Zitadel) -> Result<()> {
        let Self { work, number, .. } = self;
        let giver = Giver { client, ledger: self.ledger(), run: *number, events: &work.events, stop: &work.stop };
        if giver.give().await? > 0 {
            self.settle_factors().await?;
        }
        Ok(())
    }

    /// Writes `factors.csv`. The ledger knows no addresses: they are read from the export once more.
    fn write_factors(&self) -> Result<()> {
        let path = self.folder.path().join("factors.csv");
        let mut list = FactorFile::create(&path)?;
        let options = self.reading().options();
        for File { file, source } in &self.files {
            let mut rows = Rows::open(source, &options)?;
            let mut number = 0;
            while let Some(row) = rows.next()? {
                number += 1;
                let RowKind::User(user) = row.kind else { continue };
                let lost = self.ledger().read(|c| surveyed::lost(c, self.number, (*file, number), &user.user_id))?;
                let Some(mut lost) = lost else { continue };
                for factor in self.preparer.mfa.find(&user.user_id).unwrap_or_default().unusable {
                    if !lost.iter().any(|kind| kind == factor.kind) {
                        lost.push(factor.kind.to_owned());
                    }
                }
                if !lost.is_empty() {
                    list.push(&user.user_id, user.email.as_deref().unwrap_or_default(), &lost)?;
                }
            }
        }
        list.finish()
    }
}
