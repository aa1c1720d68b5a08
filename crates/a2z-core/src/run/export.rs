//! Gets the export: from files that the operator names, or from Auth0's job, taken up again where it was left.

use std::path::Path;

use super::{folder::Folder, tenant::Origin, work::Work};
use crate::{
    auth0::{client::Client, connections::Connection, download, export, rows},
    config::Source,
    error::{Error, Result},
    event::Stage,
    join::Shape,
    ledger::{
        Ledger,
        runs::{self, ExportFile},
    },
    plan::{File, Reading},
    state::{StateDir, cannot},
};

/// The files of a run, made or fetched if they are not here yet.
///
/// # Errors
/// When Auth0 refuses or gives up, or the disk does.
pub(super) async fn files(
    work: &Work,
    folder: &Folder,
    origin: &Origin,
    connections: &[Connection],
    run: i64,
) -> Result<Vec<File>> {
    let Folder { state, ledger } = folder;
    let known = ledger.read(|c| runs::exports(c, run))?;
    let client = match origin {
        Origin::Files => return by_hand(&work.config.input.users, folder, run, &known).await,
        Origin::Job(client) => client,
    };
    let mut files = Vec::new();
    // One job after another: nothing is known about how many Auth0 runs at once.
    for mut export in wanted(work, connections, known)? {
        export.path = export.path.take().and_then(|path| still_here(&path, state, run, export.file));
        if export.path.is_none() {
            work.unless_stopped(job(work, client, folder, run, &mut export)).await?;
        }
        let path = export.path.clone().unwrap_or_default();
        files.push(File { file: export.file, source: Source::File(path.into()) });
    }
    forget_older(state, run);
    Ok(files)
}

/// Where a file that was downloaded is now: it may have been removed (`a2z purge --exports-only`), or the state folder moved.
fn still_here(path: &str, state: &StateDir, run: i64, file: i64) -> Option<String> {
    if Path::new(path).is_file() {
        return Some(path.to_owned());
    }
    let moved = state.export(run, usize::try_from(file).unwrap_or_default());
    moved.is_file().then(|| moved.display().to_string())
}

/// Removes the downloads of earlier runs: a newer one is here, and they are full of personal data. One that cannot be
/// removed is removed by the next run.
fn forget_older(state: &StateDir, run: i64) {
    for entry in std::fs::read_dir(state.path()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix("export-")?.split('-').next()?.parse::<i64>().ok());
        if number.is_some_and(|number| number < run) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// What is to be exported: what the run knows already, else what the configuration names.
fn wanted(work: &Work, connections: &[Connection], known: Vec<ExportFile>) -> Result<Vec<ExportFile>> {
    if !known.is_empty() {
        return Ok(known);
    }
    let names = &work.config.auth0.connections;
    let mut wanted: Vec<ExportFile> = if names.is_empty() {
        vec![ExportFile::default()]
    } else {
        let chosen = crate::auth0::connections::by_name(connections, names)?;
        let file = |(file, connection): (usize, &&Connection)| ExportFile {
            file: i64::try_from(file).unwrap_or_default(),
            connection_id: Some(connection.id.clone()),
            connection: Some(connection.name.clone()),
            ..ExportFile::default()
        };
        chosen.iter().enumerate().map(file).collect()
    };
    if let Some(job) = &work.config.auth0.job {
        if wanted.len() > 1 {
            return Err(Error::usage("`--job` takes up one job, and several connections are named")
                .hint("name the one connection that the job exports, or none"));
        }
        wanted[0].job_id = Some(job.clone());
    }
    Ok(wanted)
}

/// Starts or takes up the job of one file, and downloads it.
async fn job(
    work: &Work,
    client: &Client,
    Folder { state, ledger }: &Folder,
    run: i64,
    file: &mut ExportFile,
) -> Result<()> {
    let stage = work.events.start(Stage::Export, None);
    let by_hand = work.config.auth0.job.is_some();
    if let Some(id) = file.job_id.clone().filter(|_| !by_hand)
        && !export::is_of_use(client, &id).await?
    {
        work.events.notice(format!("the export job `{id}` of the earlier run is gone: starting a new one"));
        file.job_id = None;
    }
    let job_id = if let Some(id) = &file.job_id {
        work.events.notice(format!("taking up the export job `{id}`"));
        id.clone()
    } else {
        let job = export::start(client, file.connection_id.as_deref()).await?;
        file.job_id = Some(job.id.clone());
        file.started_at = Some(runs::now());
        // Before the first poll: a run that dies takes the job up again.
        put(ledger, run, file).await?;
        job.id
    };
    let deadline = work.config.auth0.job_deadline;
    export::wait(client, &job_id, deadline).await?;
    stage.finish(0);
    let to = state.export(run, usize::try_from(file.file).unwrap_or_default());
    let downloaded = download::fetch(client, &work.config.http, &job_id, &to, deadline).await?;
    file.path = Some(to.display().to_string());
    file.digest = Some(downloaded.sha256);
    put(ledger, run, file).await
}

async fn put(ledger: &Ledger, run: i64, file: &ExportFile) -> Result<()> {
    let file = file.clone();
    ledger.write(move |t| runs::put_export(t, run, &file)).await
}

/// Exports given by hand; standard input is kept in the state folder, for there are two passes.
async fn by_hand(
    sources: &[Source],
    Folder { state, ledger }: &Folder,
    run: i64,
    known: &[ExportFile],
) -> Result<Vec<File>> {
    let mut files: Vec<File> = Vec::new();
    for (source, file) in sources.iter().zip(0..) {
        let source = match source {
            Source::File(path) => {
                Source::File(std::path::absolute(path).map_err(|error| cannot(path, "find", &error))?)
            }
            Source::Stdin => {
                let path = state.path().join(format!("export-{run}-stdin"));
                tokio::task::block_in_place(|| crate::input::keep(source, &path))?;
                Source::File(path)
            }
        };
        if files.iter().any(|before| before.source == source) {
            return Err(Error::usage(format!("the export `{source}` is named twice"))
                .hint("name each file once with `--users`"));
        }
        let path = source.to_string();
        // What is known of the very file stays: its digest tells whether it changed since the plan.
        let before = known.iter().find(|known| known.file == file);
        if before.and_then(|known| known.path.as_deref()) != Some(&path) {
            put(ledger, run, &ExportFile { file, path: Some(path), ..ExportFile::default() }).await?;
        }
        files.push(File { file, source });
    }
    Ok(files)
}

/// What an export carries that was not made by our own job; ours carries all.
pub(super) fn shape(work: &Work, ledger: &Ledger, run: i64, files: &[File]) -> Result<Shape> {
    let config = &work.config;
    let exports = ledger.read(|c| runs::exports(c, run))?;
    // A job that we started asked for every field; one that was taken up by hand, or a file, may not have.
    if exports.iter().all(|export| export.job_id.is_some() && export.started_at.is_some()) {
        return Ok(Shape::default());
    }
    let options = Reading { max_line: config.input.max_line }.options();
    let (mut identities, mut verified) = (false, false);
    for file in files {
        let found = tokio::task::block_in_place(|| rows::survey(&file.source, &options))?;
        identities |= found.has_identities || found.has_connection;
        verified |= found.has_email_verified;
    }
    let how =
        "export it again with the fields that a2z asks for: leave out `--users`, or see `docs/src/how.md` for the list";
    if !identities {
        work.events.warn(
            "export-without-identities",
            format!(
                "no row of the export has `identities`: hashes are joined by user id where that is unambiguous; {how}"
            ),
        );
    }
    if !verified {
        work.events.warn(
            "export-without-email-verified",
            format!("no row of the export has `email_verified`: it is taken from the hash row with the same e-mail, else as unverified; {how}"),
        );
    }
    Ok(Shape { email_verified: verified })
}
