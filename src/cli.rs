//! The surface: clap types only. [`Cli::overrides`] hands the flags to [`crate::config`]; nothing else reads them.
//!
//! No flag takes a secret: a command line is seen by every process of the machine and kept in the shell's history.

mod whose;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, builder::styling};

use self::whose::Whose;
use crate::{
    config::{Overrides, Source, values},
    log::LogFormat,
    progress::ProgressKind,
};

/// Where the export is if none is named, as with `zitadel-tools migrate auth0`.
pub const MERGE_USERS: &str = "./users.json";

const EXIT_CODES: &str = "\
Exit codes:
    0  all done, nobody rejected
    1  internal error
    2  usage or configuration
    3  finished, but some users were rejected or need the operator
    4  the check refused to start
    5  gave up on a vendor; run again to go on
  130  interrupted; run again to go on

Secrets come from the environment or from files, never from flags; see config.example.toml.";

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// Move a tenant's users from Auth0 to ZITADEL, online, in one command
#[derive(Debug, Parser)]
#[command(name = "a2z", version, propagate_version = true, styles = STYLES, after_help = EXIT_CODES)]
#[command(arg_required_else_help = true, subcommand_required = true, max_term_width = 110)]
pub struct Cli {
    /// Flags that every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file [default: a2z.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State folder: ledger, export file, reports [default: .a2z]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Do not ask before the first write or deletion (needed without a terminal)
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// How to show progress, on standard error
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value_t)]
    pub progress: ProgressKind,
    /// How to write the log, on standard error
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Log more: -v what a2z does, -vv each request, -vvv everything
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Log and show nothing but errors; results still go to standard output
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The whole job: check, export, plan, import, verify, report; run it again to resume or to catch up
    Cutover(Cutover),
    /// Can it work? Credentials, scopes, roles, connections, organization, policies, hash files
    Check(Inputs),
    /// Everything but the writes: what a cutover would do, and why
    Plan(Inputs),
    /// Where the latest run stands; also while it is under way
    Status,
    /// Compare ZITADEL with the ledger, user by user; needs no Auth0 and no hash file
    Verify(Verify),
    /// Write the reports again from the ledger
    Report,
    /// Delete exactly the users that this ledger created, after asking; those who changed since are left alone
    Rollback(Rollback),
    /// Remove what a2z left in the state folder: export files, reports, ledger; after asking
    Purge(Purge),
    /// Offline: export file + hash file -> import bodies for ZITADEL, without any network
    Merge(Merge),
    /// The whole job with made-up users, against both vendors in process
    #[cfg(feature = "sandbox")]
    Demo(Demo),
    /// Serve an Auth0 tenant and a ZITADEL instance on this machine, to try things on
    #[cfg(feature = "sandbox")]
    Sandbox(Sandbox),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where the users come from and go to.
#[derive(Debug, Clone, Default, Args)]
pub struct Inputs {
    /// Export only this Auth0 connection (repeatable) [default: the whole tenant]
    #[arg(long = "connection", value_name = "NAME")]
    pub connections: Vec<String>,
    /// Password-hash file from the support ticket; `-` reads standard input (repeatable)
    #[arg(long, value_name = "FILE", value_parser = source)]
    pub passwords: Vec<Source>,
    /// MFA file from the support ticket: TOTP secrets and recovery codes; `-` reads standard input (repeatable)
    #[arg(long, value_name = "FILE", value_parser = source)]
    pub mfa: Vec<Source>,
    /// Ask Auth0 about every user, who loses a second factor that cannot move (one call per user: slow)
    #[arg(long)]
    pub mfa_survey: bool,
    /// Move codes by SMS and e-mail as second factors, where the survey (--mfa-survey) shows them and ZITADEL can send them
    #[arg(long)]
    pub mfa_codes: bool,
    /// Use this export file instead of starting an export job; `-` reads standard input (repeatable)
    #[arg(long, value_name = "FILE", value_parser = source, conflicts_with = "job")]
    pub users: Vec<Source>,
    /// Take up an export job that runs or ran (`job_…`)
    #[arg(long, value_name = "ID")]
    pub job: Option<String>,
    /// The ZITADEL organization that receives the users
    #[arg(long, value_name = "ID")]
    pub org: Option<String>,
}

/// `a2z cutover`.
#[derive(Debug, Clone, Args)]
pub struct Cutover {
    /// Where the users come from and go to.
    #[command(flatten)]
    pub inputs: Inputs,
    /// Requests to ZITADEL in flight, 1 to 64 [default: found by adapting between 2 and 16]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
}

/// `a2z rollback`.
#[derive(Debug, Clone, Default, Args)]
pub struct Rollback {
    /// Also delete users who signed in, or were changed by others, since they were created
    #[arg(long)]
    pub include_changed: bool,
}

/// `a2z purge`.
#[derive(Debug, Clone, Default, Args)]
pub struct Purge {
    /// Remove the export files only: ledger and reports stay
    #[arg(long)]
    pub exports_only: bool,
}

/// `a2z verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Whose metadata to compare, one request per user [default: sample]
    #[arg(long, value_name = "WHOSE", value_enum, hide_default_value = true)]
    pub metadata: Option<Whose>,
    /// Try a password instead: ask for it (or read one line of standard input), check it against the hash, sign in at
    /// ZITADEL and out again. By user id, user name or e-mail
    #[arg(long, value_name = "USER", conflicts_with = "metadata")]
    pub login: Option<String>,
    /// Password-hash file to check the password against; without it ZITADEL alone is asked (repeatable)
    #[arg(long, value_name = "FILE", value_parser = source, requires = "login")]
    pub passwords: Vec<Source>,
    /// The ZITADEL organization that received the users
    #[arg(long, value_name = "ID")]
    pub org: Option<String>,
}

/// `a2z merge`: the flags of `zitadel-tools migrate auth0`, and more. What stands behind that command in ZITADEL's guide
/// and in the tool's README is taken as it is: the last of two flags counts, and yes and no may stand behind `=`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct Merge {
    /// The ZITADEL organization that receives the users
    #[arg(long, value_name = "ID")]
    pub org: String,
    /// Export file from Auth0 (plain or gzip); `-` reads standard input
    #[arg(long, value_name = "FILE", value_parser = source, default_value = MERGE_USERS)]
    pub users: Source,
    /// Password-hash file from the support ticket; `-` reads standard input (repeatable) [default: ./passwords.json, if
    /// it is there]
    #[arg(long, value_name = "FILE", value_parser = source)]
    pub passwords: Vec<Source>,
    /// MFA file from the support ticket: TOTP secrets and recovery codes; `-` reads standard input (repeatable)
    #[arg(long, value_name = "FILE", value_parser = source)]
    pub mfa: Vec<Source>,
    /// Where to write the import body
    #[arg(long, value_name = "FILE", default_value = "importBody.json")]
    pub output: PathBuf,
    /// `timeout` of the import request (`30m`, `1h`)
    #[arg(long, value_name = "TIME", value_parser = values::go_duration, default_value = "30m")]
    pub timeout: Duration,
    /// Write the body over several lines
    #[arg(long, value_name = "YES", value_parser = values::go_bool, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub multiline: bool,
    /// Whatever Auth0 says, take every e-mail as verified, or (`=false`) none [default: as Auth0 says]
    #[arg(long, value_name = "YES", value_parser = values::go_bool, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    pub email_verified: Option<bool>,
    /// Write several bodies of at most N users, each under the server's size limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub split_users: Option<u32>,
    /// Leave out users that the import endpoint would strand, and list them with the reason in this file
    #[arg(long, value_name = "FILE")]
    pub leave_out_stranded: Option<PathBuf>,
}

/// `a2z demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// How many users to make up
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub users: u32,
    /// Where to leave the ledger and the reports
    #[arg(long, value_name = "DIR", default_value = "a2z-demo")]
    pub out: PathBuf,
    /// Which users to make up: the same number, the same users
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// `a2z sandbox`.
#[derive(Debug, Clone, Args)]
pub struct Sandbox {
    /// How many users the tenant has
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(0..=5_000_000))]
    pub users: u32,
    /// Port of the Auth0 tenant on 127.0.0.1 [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub auth0_port: u16,
    /// Port of the ZITADEL instance on 127.0.0.1 [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub zitadel_port: u16,
    /// How far ZITADEL's searches are behind its writes (`2s`)
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "0s")]
    pub lag: Duration,
    /// Per cent of users with each oddity, 0 to 20
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=20))]
    pub oddities: u8,
    /// Which users to make up: the same number, the same users
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Write the export and the ticket files into this folder
    #[arg(long, value_name = "DIR")]
    pub write_files: Option<PathBuf>,
    /// Write the files and end, without serving anything
    #[arg(long, requires = "write_files")]
    pub files_only: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "clap wants a Result")]
fn source(text: &str) -> Result<Source, std::convert::Infallible> {
    Ok(Source::from(text))
}

impl Cli {
    /// What the flags say about the configuration.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        let mut overrides =
            Overrides { config: self.global.config.clone(), state: self.global.state.clone(), ..Overrides::default() };
        let (inputs, concurrency) = match &self.verb {
            Verb::Cutover(cutover) => (&cutover.inputs, cutover.concurrency),
            Verb::Check(inputs) | Verb::Plan(inputs) => (inputs, None),
            Verb::Verify(verify) => {
                overrides.passwords.clone_from(&verify.passwords);
                overrides.org.clone_from(&verify.org);
                overrides.metadata = verify.metadata.map(Into::into);
                return overrides;
            }
            _ => return overrides,
        };
        let inputs = inputs.clone();
        overrides.connections = inputs.connections;
        overrides.passwords = inputs.passwords;
        overrides.mfa = inputs.mfa;
        overrides.mfa_survey = inputs.mfa_survey;
        overrides.mfa_codes = inputs.mfa_codes;
        overrides.users = inputs.users;
        overrides.job = inputs.job;
        overrides.org = inputs.org;
        overrides.concurrency = concurrency;
        overrides
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_overrides() {
        let cli = Cli::try_parse_from([
            "a2z",
            "cutover",
            "--connection",
            "a",
            "--connection",
            "b",
            "--passwords",
            "-",
            "--job",
            "job_1",
            "--concurrency",
            "4",
            "--state",
            "s",
        ])
        .unwrap();
        let overrides = cli.overrides();
        assert_eq!(overrides.connections, ["a", "b"]);
        assert_eq!(overrides.passwords, [Source::Stdin]);
        assert_eq!(overrides.job.as_deref(), Some("job_1"));
        assert_eq!(overrides.concurrency, Some(4));
        assert_eq!(overrides.state, Some(PathBuf::from("s")));
    }

    #[test]
    fn a_job_and_a_file_contradict_one_another() {
        assert!(Cli::try_parse_from(["a2z", "plan", "--users", "u.json", "--job", "job_1"]).is_err());
    }

    #[test]
    fn no_flag_takes_a_secret() {
        let mut command = Cli::command();
        command.build();
        for verb in std::iter::once(&command).chain(command.get_subcommands()) {
            for flag in verb.get_arguments().filter_map(|arg| arg.get_long()) {
                assert!(!flag.contains("secret") && !flag.contains("token"), "--{flag}");
            }
        }
    }

    #[test]
    fn merge_takes_the_guides_flags() {
        let cli = Cli::try_parse_from([
            "a2z",
            "merge",
            "--org",
            "1",
            "--users",
            "u.json",
            "--passwords",
            "p.json",
            "--output",
            "o.json",
            "--timeout",
            "5m",
            "--multiline",
            "--email-verified",
        ])
        .unwrap();
        let Verb::Merge(merge) = cli.verb else { panic!("not merge") };
        assert_eq!(merge.timeout, Duration::from_mins(5));
        assert!(merge.multiline && merge.email_verified == Some(true));
    }
}
