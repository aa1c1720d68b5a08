//! Which provider stood for which connection: kept for runs to which Auth0 tells less.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::{
    error::{Error, Result},
    ledger::{Ledger, runs},
    mapping::providers::{Found, Match},
};

/// What the last run that could read the connections found for each, in the ledger.
const BEFORE: &str = "providers";

/// Writes down which provider stands for which connection; or, where this run cannot know (an export of the operator's own,
/// a token that may read neither connections nor providers), goes by what was written down: what Auth0 did not say is no reason
/// to take a link away.
///
/// # Errors
/// When the ledger fails.
pub(super) async fn remember(facts: &mut Facts, ledger: &Ledger) -> Result<()> {
    let providers = &mut facts.idps.providers;
    if facts.connections.is_empty() || !facts.idps.known {
        providers.recall(before(ledger)?);
        return Ok(());
    }
    if providers.matches.values().any(|found| found.options_unknown) {
        // Connections that are listed without their options: what an earlier run knew of them is still so.
        let mut before = before(ledger)?;
        before.retain(|connection, _| providers.matches.contains_key(connection));
        for found in before.values_mut() {
            found.target = found.target.take().filter(|target| facts.idps.there.contains(&target.idp_id));
        }
        providers.recall(before);
    }
    let is_there = |found: &Match| found.target.as_ref().is_none_or(|target| target.found != Found::New);
    let matches: BTreeMap<&String, &Match> = providers.matches.iter().filter(|(_, found)| is_there(found)).collect();
    let text = serde_json::to_string(&matches).map_err(|error| Error::internal("matches").caused_by(&error))?;
    ledger.write(move |transaction| runs::set_meta(transaction, BEFORE, &text)).await
}

/// What was written down; of another version: nothing.
fn before(ledger: &Ledger) -> Result<BTreeMap<String, Match>> {
    let before = ledger.read(|c| runs::meta(c, BEFORE))?;
    Ok(before.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}
