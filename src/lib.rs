//! a2z moves a tenant's users from Auth0 to ZITADEL, online, in one command.
//!
//! This is the program: the command line, the questions, the progress and the reports. What it does is in [`a2z_core`], whose
//! documentation has the layout; both vendors in process, for tests and for `a2z demo`, are in `a2z_sandbox`.

pub mod cli;
pub mod commands;
pub mod log;
pub mod progress;
pub mod report;
pub mod summary;

#[cfg(feature = "sandbox")]
pub use a2z_core::fuzzing;
pub use a2z_core::{
    auth0, config, environment, error, event, hashes, http, import, input, join, ledger, mapping, merge, ownership,
    plan, rollback, run, state, stop, structure, survey, user, verify, zitadel,
};
#[cfg(feature = "sandbox")]
pub use a2z_sandbox as sandbox;

pub(crate) use a2z_core::text;

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
