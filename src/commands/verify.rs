//! `a2z verify`: compares ZITADEL with the ledger, at any time after a cutover. It needs neither Auth0, nor the export, nor a
//! hash file, and it writes nothing to ZITADEL. `--login USER` proves one password instead: `login.rs`.

use std::fmt::Write as _;

use super::{Context, begin, login, preflight::first_contact, print, report};
use crate::{
    cli,
    error::{Error, Kind, Result, count, printable, thousands},
    ledger::{
        Ledger,
        differences::Scope,
        runs::{self, Notes},
    },
    report::words_of_difference,
    state::StateDir,
    structure::check::{self, Looked},
    verify::{Verdict, Verifier},
    zitadel::client::Client as Zitadel,
};

/// Roles that see the users of the whole instance, and of one organization.
const INSTANCE_ROLES: [&str; 5] =
    ["IAM_OWNER", "IAM_OWNER_VIEWER", "IAM_USER_MANAGER", "IAM_ORG_MANAGER", "IAM_LOGIN_CLIENT"];
const ORGANIZATION_ROLES: [&str; 4] =
    ["ORG_OWNER", "ORG_OWNER_VIEWER", "ORG_USER_MANAGER", "ORG_USER_PERMISSION_EDITOR"];

/// Organizations that are named.
const EXAMPLES: usize = 20;

/// Compares, prints what differs, and writes the reports again.
///
/// # Errors
/// When there is nothing to compare, ZITADEL cannot be asked, or (of kind `Incomplete`) somebody differs.
pub async fn verify(context: &Context, args: &cli::Verify) -> Result<()> {
    let config = &context.config;
    // Before the folder is made: without a ledger there is nothing to look at.
    StateDir::look(&config.state)?;
    let state = StateDir::open(&config.state)?;
    let ledger = Ledger::open(&state.ledger())?;
    let found = ledger.read(|c| Ok((runs::meta(c, "organization")?, runs::latest(c)?)))?;
    let (Some(organization), Some(run)) = found else {
        return Err(Error::usage(format!("the ledger in `{}` has no users in ZITADEL yet", state.path().display()))
            .hint("run `a2z cutover` first"));
    };
    begin::bind(context, &ledger, &state).await?;
    let client = Zitadel::new(
        &config.zitadel,
        &config.http,
        &config.import,
        context.events.clone(),
        context.stop.drain.clone(),
    )?;
    let everywhere = context.unless_stopped(may_read(context, &organization)).await?;
    let key = begin::key(&ledger).await?;
    if let Some(user) = &args.login {
        return login::login(context, user, &ledger, &client, &organization).await;
    }
    let verifier = Verifier {
        client: client.clone(),
        ledger: ledger.clone(),
        key,
        organization_id: organization,
        patience: config.import.visible_deadline,
        metadata: config.verify.metadata,
        events: context.events.clone(),
    };
    let verdict = context.unless_stopped(verifier.run(Scope::All)).await?;
    keep(&ledger, run.run, &verdict).await?;
    report::write(context, &state, &ledger, run.run)?;
    print(&text(&verdict))?;
    let organizations = if everywhere {
        let prefix = &config.mapping.metadata_prefix;
        context.unless_stopped(check::organizations(&client, &ledger, prefix)).await?
    } else {
        Looked::default()
    };
    print(&organizations_text(&organizations))?;
    conclude(&verdict, &organizations, &state)
}

/// Keeps what was found with the run, for the reports.
pub(super) async fn keep(ledger: &Ledger, run: i64, verdict: &Verdict) -> Result<()> {
    let json = serde_json::to_string(verdict)
        .map_err(|error| Error::internal("what was compared cannot be written").caused_by(&error))?;
    ledger.write(move |t| runs::note(t, run, Notes::Notes, "verify", &json)).await
}

/// Does ZITADEL take the credentials, and may the account see users? A search of one who may not finds nobody, without a
/// word.
///
/// True where it sees all organizations, too.
async fn may_read(context: &Context, organization: &str) -> Result<bool> {
    let config = first_contact(&context.config);
    let cancel = context.stop.drain.clone();
    let client = Zitadel::new(&config.zitadel, &config.http, &config.import, context.events.clone(), cancel)?;
    let failed = |failure: crate::zitadel::failure::Failure| failure.into_error("could not read the account's roles");
    let memberships = client.memberships().await.map_err(failed)?;
    let may = memberships.iter().any(|membership| {
        let here = membership.org_id.as_deref() == Some(organization);
        let holds = |known: &[&str]| membership.roles.iter().any(|role| known.contains(&role.as_str()));
        (membership.iam && holds(&INSTANCE_ROLES)) || (here && holds(&ORGANIZATION_ROLES))
    });
    let sees_all = |role: &String| ["IAM_OWNER", "IAM_OWNER_VIEWER", "IAM_ORG_MANAGER"].contains(&role.as_str());
    if may {
        return Ok(memberships.iter().any(|membership| membership.iam && membership.roles.iter().any(sees_all)));
    }
    Err(Error::new(Kind::Check, "the ZITADEL account may not read the users of this organization")
        .because("it has no role that sees users, in the instance or in the organization")
        .hint("IAM_OWNER_VIEWER or ORG_OWNER_VIEWER is enough for `a2z verify`"))
}

/// What was found, for standard output.
fn text(verdict: &Verdict) -> String {
    let mut out = String::new();
    let remark = match verdict.metadata_checked {
        0 => String::new(),
        n => format!("  with the metadata of {}", thousands(n)),
    };
    let _ = writeln!(out, "{:<12}{:>12}{remark}\n", "looked at", thousands(verdict.looked_at));
    for (what, users) in [("the same", verdict.same), ("different", verdict.different), ("missing", verdict.missing)] {
        let _ = writeln!(out, "{what:<12}{:>12}", thousands(users));
    }
    if verdict.wrong() > 0 {
        let _ = writeln!(out, "\nWhat differs");
        for (what, users) in &verdict.by_kind {
            let _ = writeln!(out, "  {:>10}  {what:<16}{}", thousands(*users), words_of_difference(what));
        }
        let _ = writeln!(out, "\nWho differs");
        for example in &verdict.examples {
            let differences: Vec<String> = example
                .differences
                .iter()
                .map(|difference| match &difference.detail {
                    Some(detail) => format!("{}: {detail}", difference.what),
                    None => difference.what.to_owned(),
                })
                .collect();
            let _ = writeln!(out, "  {:<40}  {}", printable(&example.user_id), differences.join("; "));
        }
        let more = verdict.wrong() - verdict.examples.len() as u64;
        if more > 0 {
            let _ = writeln!(out, "  and {} more: see `outcomes.ndjson`", thousands(more));
        }
    }
    out
}

/// The organizations that a2z made, where there are any.
fn organizations_text(looked: &Looked) -> String {
    if looked.organizations == 0 {
        return String::new();
    }
    let mut out = format!(
        "\n{} that a2z made, {} different\n",
        count(looked.organizations, "organization"),
        looked.different.len()
    );
    for (id, what) in looked.different.iter().take(EXAMPLES) {
        let _ = writeln!(out, "  {:<40}  {}", printable(id), printable(what));
    }
    let more = looked.different.len().saturating_sub(EXAMPLES);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more");
    }
    out
}

fn conclude(verdict: &Verdict, organizations: &Looked, state: &StateDir) -> Result<()> {
    if let Some(error) = crate::verify::nobody(verdict) {
        return Err(error);
    }
    if verdict.wrong() == 0 && !organizations.different.is_empty() {
        let n = organizations.different.len() as u64;
        let differ = if n == 1 { "differs" } else { "differ" };
        return Err(Error::new(
            Kind::Incomplete,
            format!("{} {differ} in ZITADEL from what was made", count(n, "organization")),
        )
        .because("somebody changed or deleted them since")
        .hint("they are named above; a2z leaves what others changed"));
    }
    if verdict.wrong() == 0 {
        return Ok(());
    }
    let differ = if verdict.wrong() == 1 { "differs" } else { "differ" };
    Err(Error::new(
        Kind::Incomplete,
        format!("{} {differ} in ZITADEL from what was written", count(verdict.wrong(), "user")),
    )
    .because("somebody changed or deleted them since, or it is a fault: a2z compares with what ZITADEL confirmed")
    .hint(format!("see `{}`; what users changed by themselves is theirs", state.path().join("report.html").display())))
}
