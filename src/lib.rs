//! a2z moves a tenant's users from Auth0 to ZITADEL, online, in one command.
//!
//! # Layout
//!
//! The order of the modules is the order in which data flows; each hands a plain owned type to the next:
//! `ExportedUser -> Joined -> Draft (+ findings) -> Outcome`.
//!
//! ```text
//!             ticket files (hashes, MFA)                       ledger (SQLite, 0600)
//!                        │                                      ▲        │
//! Auth0 ── export ──> export.ndjson.gz ── read ── join ── map ──┤ plan   │ what is left?
//!   job, poll, link      (0600, kept)     row   +hash   Draft   │        ▼
//!                                                               └── import ──> ZITADEL ──> verify ──> report
//! ```
//!
//! # Layers
//!
//! A module knows modules of its own layer and of the layers below, and no two files know one another in a circle; a test
//! reads this picture and holds it against the code.
//!
//! ```text
//! program    cli commands log progress report summary              parses, confirms, prints
//! run        run config fuzzing                                    one run, stage after stage
//! work       plan import structure verify rollback survey merge    what each stage does
//! knowledge  ledger ownership zitadel join                         what is known, and the way to ZITADEL
//! user       mapping user                                          pure: what a user is to us
//! sources    auth0 hashes http input                               what is read, and how
//! base       environment error event json state stop text sandbox  what everybody may use
//! ```
//!
//! - [`http`] knows no vendor; [`auth0`] and [`zitadel`] never import one another.
//! - [`mapping`], [`join`] and [`user`] do no I/O. [`user::state`] decides what a user becomes; the ledger stores it.
//! - [`ownership`] is the one answer to whose something in ZITADEL is.
//! - [`rollback`] goes the other way: it deletes what the ledger says that we created, and ZITADEL says is still as it was.
//! - [`run`](mod@run) leads through the stages of one run, each a type; [`commands`] parse, confirm and print.
//! - `progress` reads [`event`]s, `report` and [`summary`] read the ledger; the engine itself never prints.

pub mod auth0;
pub mod cli;
pub mod commands;
pub mod config;
pub mod environment;
pub mod error;
pub mod event;
#[cfg(feature = "sandbox")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hashes;
pub mod http;
pub mod import;
pub mod input;
pub mod join;
mod json;
pub mod ledger;
pub mod log;
pub mod mapping;
pub mod merge;
pub mod ownership;
pub mod plan;
pub mod progress;
pub mod report;
pub mod rollback;
pub mod run;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod state;
pub mod stop;
pub mod structure;
pub mod summary;
pub mod survey;
mod text;
pub mod user;
pub mod verify;
pub mod zitadel;

use std::process::ExitCode;

use cli::{Cli, Verb};
use commands::Context;
use error::{Error, Result};
use progress::{Screen, Terminal};

/// Runs the program and prints its error, once, on standard error.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the one place where an error is printed")]
            {
                eprintln!("{}", error.render());
            }
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn execute(cli: &Cli) -> Result<()> {
    let environment = environment::Environment::of_process();
    let (screen, terminal) = (Screen::default(), Terminal::of_stderr(&environment));
    log::init(cli.global.log_format, cli.global.verbose, cli.global.quiet, terminal.color, &screen);
    if let Verb::Completions { shell } = cli.verb {
        let mut command = <Cli as clap::CommandFactory>::command();
        clap_complete::generate(shell, &mut command, "a2z", &mut std::io::stdout());
        return Ok(());
    }
    let progress = if cli.global.quiet { progress::ProgressKind::None } else { cli.global.progress };
    let events = progress::listener(progress, terminal, &screen);
    let loaded = config::load(&cli.overrides(), &environment)?;
    for warning in loaded.warnings {
        events.warn(warning.code, warning.message);
    }
    let context = Context {
        work: run::Work { config: loaded.config, events, stop: stop::Stop::default() },
        yes: cli.global.yes,
        color: Terminal::of_stdout(&environment).color,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal("cannot start the runtime").caused_by(&error))?;
    #[cfg(unix)]
    let _too_large = {
        let _inside = runtime.enter();
        commands::catch_file_size()
    };
    runtime.spawn(commands::watch_signals(context.work.stop.clone(), context.work.events.clone()));
    let result = runtime.block_on(verb(&context, &cli.verb));
    // A download that was cut off must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

async fn verb(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Cutover(_) => Box::pin(commands::cutover::cutover(context)).await,
        Verb::Check(_) => commands::check::check(context).await,
        Verb::Plan(_) => Box::pin(commands::cutover::plan(context)).await,
        Verb::Status => commands::status::status(context),
        Verb::Verify(args) => commands::verify::verify(context, args).await,
        Verb::Report => commands::report::report(context),
        Verb::Rollback(args) => commands::rollback::rollback(context, args).await,
        Verb::Purge(args) => commands::purge::purge(context, args).await,
        Verb::Merge(args) => commands::merge::merge(context, args),
        #[cfg(feature = "sandbox")]
        Verb::Demo(args) => commands::demo::demo(context, args).await,
        #[cfg(feature = "sandbox")]
        Verb::Sandbox(args) => commands::sandbox::sandbox(context, args).await,
        Verb::Completions { .. } => Ok(()),
    }
}
