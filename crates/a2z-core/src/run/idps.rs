//! Which identity provider stands for which connection, and how that is shown.

use std::collections::BTreeSet;

use crate::{
    error::{count, printable},
    mapping::providers::{Found, Match, Providers},
    zitadel::idps::NewProvider,
};

/// What the check found out about identity providers.
#[derive(Debug, Default)]
pub struct Idps {
    /// ZITADEL said which there are.
    pub(super) known: bool,
    /// Their ids.
    pub(super) there: BTreeSet<String>,
    /// Which provider stands for which connection.
    pub(super) providers: Providers,
    /// To be created, by connection.
    pub(super) new: Vec<(String, NewProvider)>,
    /// Matched providers that the login page does not offer.
    pub(super) not_offered: Vec<String>,
}

impl Idps {
    /// A line for every connection: its provider, how that was found, and what to think about. True if it has a provider.
    #[must_use]
    pub fn lines(&self) -> Vec<(bool, String)> {
        let matches = self.providers.matches.iter();
        matches.map(|(name, matched)| (matched.target.is_some(), line(name, matched, self))).collect()
    }

    /// The lines of the plan: connections whose users are there, and providers that are to be created. `users` are counted by
    /// provider, `without` by connection.
    pub(super) fn plan_lines(
        &self,
        base: &url::Url,
        users: &[(String, u64)],
        mut without: Vec<(String, u64)>,
    ) -> Vec<String> {
        let mut all = Vec::new();
        for (name, matched) in &self.providers.matches {
            let id = matched.target.as_ref().map(|target| target.idp_id.as_str());
            let n = match id {
                Some(id) => users.iter().find(|(idp, _)| idp == id).map_or(0, |(_, n)| *n),
                None => without.iter().position(|(c, _)| c == name).map_or(0, |at| without.remove(at).1),
            };
            let new = self.new.iter().find(|(connection, _)| connection == name);
            if n > 0 || new.is_some() {
                all.push(format!("{}; {}", line(name, matched, self), count(n, "user")));
            }
            if let Some((_, provider)) = new {
                all.push(format!("    set at the provider: {}", redirect_uris(base, provider, None)));
            }
        }
        // Connections that Auth0 does not list (any more), or could not be asked for.
        for (name, n) in without {
            all.push(format!("`{}`: no link; name a provider under `[idps]`; {}", printable(&name), count(n, "user")));
        }
        all
    }
}

fn line(name: &str, matched: &Match, found: &Idps) -> String {
    let name = printable(name);
    let Some(target) = &matched.target else {
        return format!("`{name}` ({}): no link; {}", matched.strategy, matched.why_not.as_deref().unwrap_or_default());
    };
    let mut notes = vec![target.found.word().to_owned()];
    if !target.creation_allowed {
        notes.push("creation is not allowed there, so its users go one by one".into());
    }
    if !target.linking_allowed {
        notes.push("linking is not allowed there: users cannot add it themselves".into());
    }
    if found.not_offered.contains(&target.idp_id) {
        notes.push("the login page does not offer it: switch it on under the login settings".into());
    }
    let id = if target.found == Found::New { String::new() } else { format!(" ({})", target.idp_id) };
    format!("`{name}` -> `{}`{id}: {}", printable(&target.name), notes.join("; "))
}

/// The addresses that must be set at a provider: for Login V2, and for the login of version 1.
pub(super) fn redirect_uris(base: &url::Url, provider: &NewProvider, idp_id: Option<&str>) -> String {
    if provider.path == "saml" {
        let id = idp_id.unwrap_or("ID");
        return format!("{base}idps/{id}/saml/acs (its metadata: {base}idps/{id}/saml/metadata)");
    }
    format!("{base}idps/callback (for the old login also {base}ui/login/login/externalidp/callback)")
}
