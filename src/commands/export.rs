//! Gets the export: from a file given by hand, or from Auth0's job, taken up again where it was left.

use std::fs::OpenOptions;

use super::Context;
use crate::{
    auth0::{client::Client, connections::Connection, download, export},
    config::Source,
    error::{Error, Result},
    event::Stage,
    ledger::{
        Ledger,
        runs::{self, ExportFile},
    },
    plan::File,
    state::{StateDir, cannot, private_file},
};

/// The files of a run, made or fetched where they are not here yet.
///
/// # Errors
/// When Auth0 refuses or gives up, or the disk does.
pub(super) async fn files(
    context: &Context,
    auth0: Option<&Client>,
    connections: &[Connection],
    ledger: &Ledger,
    state: &StateDir,
    run: i64,
) -> Result<Vec<File>> {
    if let Some(source) = &context.config.input.users {
        return by_hand(source, ledger, state, run).await;
    }
    let client = auth0.ok_or_else(|| Error::internal("an export without a client"))?;
    let known = runs::exports(&ledger.reader()?, run).map_err(|e| crate::ledger::failure(&state.ledger(), &e))?;
    let mut files = Vec::new();
    // One job after another: nothing is known about how many Auth0 runs at once.
    for mut export in wanted(context, connections, known)? {
        if export.path.is_none() {
            context.unless_stopped(job(context, client, ledger, state, run, &mut export)).await?;
        }
        let path = export.path.clone().unwrap_or_default();
        files.push(File { file: export.file, source: Source::File(path.into()) });
    }
    Ok(files)
}

/// What is to be exported: what the run knows already, else what the configuration names.
fn wanted(context: &Context, connections: &[Connection], known: Vec<ExportFile>) -> Result<Vec<ExportFile>> {
    if !known.is_empty() {
        return Ok(known);
    }
    let names = &context.config.auth0.connections;
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
    if let Some(job) = &context.config.auth0.job {
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
    context: &Context,
    client: &Client,
    ledger: &Ledger,
    state: &StateDir,
    run: i64,
    file: &mut ExportFile,
) -> Result<()> {
    let stage = context.events.start(Stage::Export, None);
    let job_id = if let Some(id) = &file.job_id {
        context.events.notice(format!("taking up the export job `{id}`"));
        id.clone()
    } else {
        let job = export::start(client, file.connection_id.as_deref()).await?;
        file.job_id = Some(job.id.clone());
        file.started_at = Some(runs::now());
        // Before the first poll: a run that dies takes the job up again.
        put(ledger, run, file).await?;
        job.id
    };
    let deadline = context.config.auth0.job_deadline;
    export::wait(client, &job_id, deadline).await?;
    stage.finish(0);
    let to = state.export(run, usize::try_from(file.file).unwrap_or_default());
    let downloaded = download::fetch(client, &context.config.http, &job_id, &to, deadline).await?;
    file.path = Some(to.display().to_string());
    file.digest = Some(downloaded.sha256);
    put(ledger, run, file).await
}

async fn put(ledger: &Ledger, run: i64, file: &ExportFile) -> Result<()> {
    let file = file.clone();
    ledger.write(move |t| runs::put_export(t, run, &file)).await
}

/// An export given by hand; standard input is kept in the state folder, for there are two passes.
async fn by_hand(source: &Source, ledger: &Ledger, state: &StateDir, run: i64) -> Result<Vec<File>> {
    let source = match source {
        Source::File(path) => Source::File(path.clone()),
        Source::Stdin => {
            let path = state.path().join(format!("export-{run}-stdin"));
            let mut file = private_file(OpenOptions::new().create(true).write(true).truncate(true), &path)
                .map_err(|error| cannot(&path, "write", &error))?;
            tokio::task::block_in_place(|| std::io::copy(&mut std::io::stdin().lock(), &mut file))
                .map_err(|error| cannot(&path, "write", &error))?;
            Source::File(path)
        }
    };
    let path = source.to_string();
    put(ledger, run, &ExportFile { path: Some(path), ..ExportFile::default() }).await?;
    Ok(vec![File { file: 0, source }])
}
