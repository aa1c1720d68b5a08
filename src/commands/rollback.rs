//! `a2z rollback`: undoes what this ledger did. It needs neither Auth0 nor any file but the ledger.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{Context, confirm::confirm_deletion, print, report};
use crate::{
    cli,
    error::{Error, Kind, Result, count, printable, thousands},
    event::Stage,
    ledger::{
        Ledger, organizations, runs, structure,
        users::{self, Which},
    },
    ownership::Us,
    rollback::{Count, Left, Rollback, changes::Changes},
    state::StateDir,
    structure::unmake::{Unmaker, others_work},
    zitadel::{client::Client, failure::Failure},
};

/// So many of those who are left alone are named on the screen.
const SHOWN: usize = 10;

/// What the ledger says before anything is asked.
struct Known {
    created: u64,
    in_doubt: u64,
    existed: u64,
    /// Deleted by an earlier attempt.
    removed: u64,
    accounts: Vec<String>,
    organization: Option<String>,
    created_organization: Option<String>,
    run: Option<i64>,
    /// Users are in other organizations, too.
    elsewhere: bool,
    /// Roles, a project or organizations were made.
    structure: bool,
}

/// What becomes of the organization.
enum Organization {
    /// Not ours: nothing.
    NotOurs,
    /// Ours, and it stays, because.
    Stays(String),
    Deleted,
}

/// Deletes exactly the users that this ledger created, and the organization, where this ledger created that.
///
/// # Errors
/// `Incomplete` when somebody was left alone or could not be deleted; the first thing that stops it otherwise. What was
/// deleted by then is in the ledger; running again goes on.
pub async fn rollback(context: &Context, args: &cli::Rollback) -> Result<()> {
    let config = &context.config;
    StateDir::look(&config.state)?;
    let state = StateDir::open(&config.state)?;
    let ledger = Ledger::open(&state.ledger())?;
    let mut known = known(&ledger)?;
    belongs(context, &ledger, &state)?;
    if known.created + known.in_doubt == 0 && known.created_organization.is_none() && !known.structure {
        return print("Nothing to do: this ledger has no user in ZITADEL.\n");
    }
    let events = context.events.clone();
    let client = Client::new(&config.zitadel, &config.http, &config.import, events, context.stop.abort.clone())?;
    let me = context
        .unless_stopped(async { client.me().await.map_err(|f| f.into_error("ZITADEL does not take the credentials")) })
        .await?;
    if known.accounts.is_empty() {
        known.accounts.push(me.user_id.clone());
    } else if !known.accounts.contains(&me.user_id) {
        // Not added to them: whom it created, or created anew, was not created by this ledger.
        context.events.notice(format!(
            "this is another service account (`{}`) than the one that created the users: what it did counts as done by others",
            me.user_name
        ));
    }
    let organization_id = organization_id(context, &client, &known).await?;
    let rollback = Rollback {
        client: client.clone(),
        ledger: ledger.clone(),
        organization_id: organization_id.clone(),
        us: Us { accounts: known.accounts.clone(), ..Us::of(&ledger)? },
        include_changed: args.include_changed,
        concurrency: config.import.concurrency,
        stop: context.stop.clone(),
    };
    let mut changes = changes(context, &client, &ledger, &known, &organization_id).await?;
    let mut listing = Listing::create(state.path())?;
    let planned = rollback.survey(changes.as_mut(), |left| listing.push(&left)).await?;
    let listing = listing.finish()?;
    let mut text = plan_text(&known, planned, &organization_id, args.include_changed);
    listing.describe(&mut text);
    print(&text)?;
    let doomed = planned.deleted + planned.gone + known.in_doubt + u64::from(known.structure);
    if doomed > 0 || (known.created_organization.is_some() && planned.left == 0) {
        confirm_deletion(context, &question(planned.deleted, known.in_doubt, &known)).await?;
    }

    let run = known.run;
    ledger
        .write(move |t| {
            runs::close_runs(t)?;
            let begun = json!({ "at": runs::now(), "unfinished": true });
            run.map_or(Ok(()), |run| runs::note_rollback(t, run, &begun.to_string()))
        })
        .await?;
    let stage = context.events.start(Stage::Rollback, Some(known.created + known.in_doubt));
    let mut listing = Listing::create(state.path())?;
    let done = rollback.delete(changes.as_mut(), &stage, |left| listing.push(&left)).await;
    let listing = listing.finish()?;
    if let (Err(_), Some(run)) = (&done, known.run) {
        let _ = report::write(context, &state, &ledger, run);
    }
    let done = done.map_err(|error| match error.kind() {
        Kind::Check => error.with_kind(Kind::GaveUp).hint("run `a2z rollback` again to go on"),
        _ => error,
    })?;
    stage.finish(done.deleted);
    let left = done.left + done.failed;
    super::providers::delete_created(context, &ledger, &client, left).await?;
    let structure = structure(context, &client, &ledger, &known, done).await?;
    let organization = match &known.created_organization {
        None => Organization::NotOurs,
        Some(id) => delete_organization(context, &client, &ledger, id, done, &known, args.include_changed).await?,
    };
    finish(context, &state, &ledger, &known, done, (&organization, &structure), &listing).await
}

/// Roles, the project and the organizations that Auth0's became; after the users.
async fn structure(
    context: &Context,
    client: &Client,
    ledger: &Ledger,
    known: &Known,
    done: Count,
) -> Result<Vec<String>> {
    if !known.structure {
        return Ok(Vec::new());
    }
    if done.left + done.failed > 0 {
        return Ok(vec!["roles and organizations that were made stay: somebody is left".into()]);
    }
    let unmaker = Unmaker { client, ledger, accounts: &known.accounts };
    context.unless_stopped(unmaker.unmake()).await
}

fn question(users: u64, in_doubt: u64, known: &Known) -> String {
    let doubt = if in_doubt > 0 { format!(" and {} in doubt", thousands(in_doubt)) } else { String::new() };
    let organization = known.created_organization.as_ref().map_or("", |_| ", then the organization,");
    format!("Delete {}{doubt}{organization} from ZITADEL for good?", count(users, "user"))
}

fn known(ledger: &Ledger) -> Result<Known> {
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
fn belongs(context: &Context, ledger: &Ledger, state: &StateDir) -> Result<()> {
    let config = &context.config.zitadel;
    for (key, value, what) in [
        ("instance", config.url.as_ref().map(ToString::to_string), "ZITADEL instance"),
        ("organization", config.organization_id.clone(), "ZITADEL organization"),
    ] {
        let known = ledger.read(|c| runs::meta(c, key))?;
        if let (Some(known), Some(value)) = (known, value)
            && known != value
        {
            return Err(Error::usage(format!(
                "the state folder `{}` belongs to another {what}: `{known}`, not `{value}`",
                state.path().display()
            ))
            .hint(
                "nothing was deleted; give the state folder of the cutover that is to be undone with `--state DIR`",
            ));
        }
    }
    Ok(())
}

/// Where the users are.
async fn organization_id(context: &Context, client: &Client, known: &Known) -> Result<String> {
    let config = &context.config.zitadel;
    if let Some(id) = known.organization.as_ref().or(config.organization_id.as_ref()) {
        return Ok(id.clone());
    }
    let named = || Error::usage("the ledger does not say which organization its users are in");
    let name = config.create_org.clone().ok_or_else(|| named().hint("give its id with `ZITADEL_ORG_ID`"))?;
    let found = context
        .unless_stopped(async {
            let found = client.organization_by_name(&name).await;
            found.map_err(|failure| failure.into_error("could not look up the organization"))
        })
        .await?;
    let missing =
        || named().because(format!("there is no organization `{name}`")).hint("give its id with `ZITADEL_ORG_ID`");
    found.map(|organization| organization.id).ok_or_else(missing)
}

/// The events, where this account may read them.
async fn changes(
    context: &Context,
    client: &Client,
    ledger: &Ledger,
    known: &Known,
    organization_id: &str,
) -> Result<Option<Changes>> {
    let us = Us { accounts: known.accounts.clone(), ..Us::of(ledger)? };
    let within = (!known.elsewhere).then_some(organization_id);
    let mut changes = Changes::new(us, within).with_ledger(ledger);
    let read = context.unless_stopped(async { Ok(changes.catch_up(client).await) }).await?;
    match read {
        Ok(()) => Ok(Some(changes)),
        Err(Failure::NoPermission(_)) => {
            context.events.warn(
                "events-not-readable",
                "this account may not read ZITADEL's events (IAM_OWNER may): who signed in since cannot be seen, only who was changed",
            );
            Ok(None)
        }
        Err(failure) => Err(failure.into_error("could not read ZITADEL's events")),
    }
}

fn plan_text(known: &Known, planned: Count, organization_id: &str, include_changed: bool) -> String {
    let mut text = String::new();
    let mut line = |what: &str, n: u64, remark: &str| {
        let _ = writeln!(text, "{what:<14}{:>12}  {remark}", thousands(n));
    };
    line("created", known.created, "by this ledger");
    line("to delete", planned.deleted, if include_changed { "changed ones too (`--include-changed`)" } else { "" });
    if planned.gone > 0 {
        line("not found", planned.gone, "gone already, or invisible: deleted by id to be certain");
    }
    line("to leave", planned.left, if planned.left > 0 { "changed by others since, or not ours any more" } else { "" });
    if known.in_doubt > 0 {
        line("in doubt", known.in_doubt, "an answer was lost: deleted where they are there");
    }
    if known.existed > 0 {
        line("existed", known.existed, "were there before this ledger: never touched");
    }
    if known.removed > 0 {
        line("done before", known.removed, "deleted by an earlier `a2z rollback`");
    }
    let fate = match &known.created_organization {
        Some(_) if planned.left > 0 => "created by this ledger; stays, for somebody stays in it",
        Some(_) => "created by this ledger: deleted once nobody is left in it",
        None => "was there before this ledger: stays",
    };
    let _ = writeln!(text, "organization  {}  {fate}", printable(organization_id));
    if known.structure {
        let what = "roles, the project and organizations that this ledger made go where nobody else uses them";
        let _ = writeln!(text, "beside        {what}");
    }
    text
}

/// Deletes the organization that this ledger created, where nobody and nothing of anybody else is in it.
async fn delete_organization(
    context: &Context,
    client: &Client,
    ledger: &Ledger,
    id: &str,
    done: Count,
    known: &Known,
    include_changed: bool,
) -> Result<Organization> {
    if done.left + done.failed > 0 {
        return Ok(Organization::Stays("somebody is left in it".into()));
    }
    let gave_up = |failure: Failure| failure.into_error("could not look up the organization").with_kind(Kind::GaveUp);
    if client.organization(id).await.map_err(gave_up)?.is_none() {
        ledger.write(runs::organization_removed).await?;
        return Ok(Organization::Deleted);
    }
    let failed = |what: &'static str| move |failure: Failure| failure.into_error(what).with_kind(Kind::GaveUp);
    client
        .barrier(context.config.import.visible_deadline)
        .await
        .map_err(failed("could not wait for ZITADEL's projections"))?;
    let users = client.users_of(id).await.map_err(failed("could not count the organization's users"))?;
    if users > 0 {
        return Ok(Organization::Stays(format!("{} of others in it", count(users, "account"))));
    }
    if !include_changed && let Some(why) = others_work(client, &known.accounts, id).await? {
        return Ok(Organization::Stays(why));
    }
    client.delete_organization(id).await.map_err(failed("could not delete the organization"))?;
    ledger.write(runs::organization_removed).await?;
    Ok(Organization::Deleted)
}

async fn finish(
    context: &Context,
    state: &StateDir,
    ledger: &Ledger,
    known: &Known,
    done: Count,
    (organization, structure): (&Organization, &[String]),
    listing: &Listed,
) -> Result<()> {
    let created = known.created + known.in_doubt - done.never.min(known.in_doubt);
    let sum = done.deleted + done.gone + done.left + done.failed;
    if let Some(run) = known.run {
        let note = json!({
            "at": runs::now(),
            "deleted": done.deleted + known.removed,
            "gone": done.gone,
            "left_alone": done.left,
            "failed": done.failed,
            "organization_deleted": matches!(organization, Organization::Deleted),
        });
        ledger.write(move |t| runs::note_rollback(t, run, &note.to_string())).await?;
        report::write(context, state, ledger, run)?;
    }
    let mut text = String::new();
    let _ = writeln!(text, "\n{:<14}{:>12}  by this ledger", "created", thousands(created));
    for (what, n) in
        [("deleted", done.deleted), ("gone already", done.gone), ("left alone", done.left), ("failed", done.failed)]
    {
        let _ = writeln!(text, "{what:<14}{:>12}", thousands(n));
    }
    let verdict = if sum == created { "balanced" } else { "DOES NOT BALANCE" };
    let _ = writeln!(text, "{:>26}\n{:>26}  {verdict}", "------------", thousands(sum));
    for line in structure {
        let _ = writeln!(text, "{}", printable(line));
    }
    match organization {
        Organization::NotOurs => {}
        Organization::Deleted => text.push_str("organization  deleted\n"),
        Organization::Stays(why) => {
            let _ = writeln!(text, "organization  stays: {}", printable(why));
        }
    }
    listing.describe(&mut text);
    let stays = done.left + done.failed;
    let next = if stays > 0 {
        "look at those who stay; `a2z rollback --include-changed` deletes the changed ones, too"
    } else {
        "`a2z cutover` starts from the beginning; `a2z purge` removes what is left on this machine"
    };
    let _ = writeln!(text, "next          {next}");
    print(&text)?;
    if sum != created {
        return Err(Error::internal(format!("the rollback does not balance: {created} created, {done:?}")));
    }
    match organization {
        _ if stays > 0 => {
            let verb = if stays == 1 { "was" } else { "were" };
            Err(Error::new(Kind::Incomplete, format!("rolled back; {} {verb} left in ZITADEL", count(stays, "user")))
                .hint(format!("`{}` says who and why", listing.path.display())))
        }
        Organization::Stays(why) => {
            Err(Error::new(Kind::Incomplete, "rolled back; the organization was left in ZITADEL")
                .because(why.clone())
                .hint("take out what is not this ledger's and run `a2z rollback` again, or delete it in the console"))
        }
        _ => Ok(()),
    }
}

/// `rollback.ndjson`: who stays, and why.
struct Listing {
    path: PathBuf,
    out: BufWriter<tempfile::NamedTempFile>,
    by_code: BTreeMap<&'static str, u64>,
    first: Vec<String>,
}

/// The same, written.
struct Listed {
    path: PathBuf,
    by_code: BTreeMap<&'static str, u64>,
    first: Vec<String>,
}

impl Listing {
    fn create(folder: &Path) -> Result<Self> {
        let path = folder.join("rollback.ndjson");
        // tempfile makes files 0600.
        let file = tempfile::Builder::new().prefix(".report-").tempfile_in(folder);
        let file = file.map_err(|error| crate::state::cannot(&path, "write", &error))?;
        Ok(Self { path, out: BufWriter::new(file), by_code: BTreeMap::new(), first: Vec::new() })
    }

    fn push(&mut self, left: &Left) -> Result<()> {
        let code = left.reason.code();
        let line = json!({
            "user_id": left.user_id,
            "connection": left.connection,
            "code": code,
            "detail": left.reason.detail(),
        });
        writeln!(self.out, "{line}").map_err(|error| crate::state::cannot(&self.path, "write", &error))?;
        *self.by_code.entry(code).or_default() += 1;
        if self.first.len() < SHOWN {
            let detail = left.reason.detail().map_or_else(String::new, |detail| format!("  {detail}"));
            self.first.push(printable(&format!("{code:<22}{}{detail}", left.user_id)));
        }
        Ok(())
    }

    fn finish(self) -> Result<Listed> {
        let cannot = |error: &std::io::Error| crate::state::cannot(&self.path, "write", error);
        let file = self.out.into_inner().map_err(|error| cannot(error.error()))?;
        file.persist(&self.path).map_err(|error| cannot(&error.error))?;
        Ok(Listed { path: self.path, by_code: self.by_code, first: self.first })
    }
}

impl Listed {
    fn describe(&self, text: &mut String) {
        if self.by_code.is_empty() {
            return;
        }
        text.push_str("\nLeft alone\n");
        for (code, users) in &self.by_code {
            let _ = writeln!(text, "{:>12}  {code}", thousands(*users));
        }
        for line in &self.first {
            let _ = writeln!(text, "  {line}");
        }
        let more = self.by_code.values().sum::<u64>() - self.first.len() as u64;
        if more > 0 {
            let _ = writeln!(text, "  … and {} more", thousands(more));
        }
        let _ = writeln!(text, "all of them   {}", self.path.display());
    }
}
