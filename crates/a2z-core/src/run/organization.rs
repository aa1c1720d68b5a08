//! The organization that receives the users: the one that the checks found, or one that the run creates.

use super::shared::Run;
use crate::{
    error::Result,
    ledger::runs,
    ownership::{Ownership, Us},
    zitadel::{client::Client as Zitadel, events::kind, instance::Organization},
};

/// Under this key the ledger keeps the organization that is about to be created, and since when.
const CREATING: &str = "creating_organization";

impl Run<'_> {
    /// The organization that receives the users, created if that is configured and it does not exist yet.
    pub(super) async fn organization(&mut self, client: &Zitadel) -> Result<String> {
        if let Some(Organization { id, name, .. }) = self.facts.organization.clone() {
            // Also one that was found by its name: the ledger is bound to it from here on.
            let ours = self.created_before(client, &id, &name).await?;
            self.keep_organization(&id, ours).await?;
            return Ok(id);
        }
        let name = self.work.config.zitadel.create_org.clone().unwrap_or_default();
        // The answer may be lost, and so may this process.
        let intent = serde_json::json!({ "name": name, "at": runs::now() }).to_string();
        self.ledger().write(move |t| runs::set_meta(t, CREATING, &intent)).await?;
        let created = client.create_organization(&name, None).await;
        let id =
            created.map_err(|failure| failure.into_error(&format!("could not create the organization `{name}`")))?;
        self.work.events.notice(format!("created the organization `{name}` ({id})"));
        self.facts.organization = Some(Organization {
            id: id.clone(),
            name,
            state: "ORGANIZATION_STATE_ACTIVE".into(),
            ..Organization::default()
        });
        self.keep_organization(&id, true).await?;
        Ok(id)
    }

    async fn keep_organization(&self, id: &str, ours: bool) -> Result<()> {
        let id = id.to_owned();
        let write = self.ledger().write(move |t| {
            runs::set_meta(t, "organization", &id)?;
            if ours { runs::set_meta(t, "created_organization", &id) } else { Ok(()) }
        });
        write.await
    }

    /// Was this organization created by an earlier attempt of which the ledger only knows the beginning? If that cannot be
    /// told, it counts as another's, and a rollback leaves it.
    async fn created_before(&self, client: &Zitadel, id: &str, name: &str) -> Result<bool> {
        let ledger = self.ledger();
        let (known, intent) = ledger.read(|c| Ok((runs::meta(c, "organization")?, runs::meta(c, CREATING)?)))?;
        let intent = intent.and_then(|json| serde_json::from_str::<serde_json::Value>(&json).ok());
        let Some(intent) = intent.filter(|intent| known.is_none() && intent["name"].as_str() == Some(name)) else {
            return Ok(false);
        };
        let Some(since) = intent["at"].as_str().and_then(|at| at.parse().ok()) else { return Ok(false) };
        let us = Us { first_import: Some(since), ..Us::of(ledger)? };
        let created = client.creation(kind::ORGANIZATION_ADDED, id).await;
        let created = created.map_err(|failure| failure.into_error("could not read ZITADEL's events"))?;
        let before = us.is_early(created.as_ref().and_then(|created| created.created));
        Ok(!before && us.owner_by(created.as_ref()) == Ownership::Ours)
    }
}
