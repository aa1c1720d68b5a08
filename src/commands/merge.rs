//! `a2z merge`: export file and hash file to import bodies, offline.

use std::path::Path;

use super::{Context, print};
use crate::{
    cli,
    config::Source,
    error::{Error, Kind, Result, count},
    merge::{MergeOptions, merge as run},
};

/// Where the hash file is if none is named, as with `zitadel-tools`.
const PASSWORDS: &str = "./passwords.json";

/// Merges, and prints the balance.
///
/// # Errors
/// When a file cannot be read or written; of kind `Incomplete` when some users cannot be moved on this road.
pub fn merge(context: &Context, args: &cli::Merge) -> Result<()> {
    if args.users == Source::from(cli::MERGE_USERS) && !Path::new(cli::MERGE_USERS).exists() {
        let error = Error::usage(format!("cannot read `{}`: there is no such file", cli::MERGE_USERS));
        return Err(error.hint("name the export with `--users FILE`"));
    }
    let config = &context.work.config;
    let mut mapping = config.mapping.clone();
    // The same in every pass over the export.
    mapping.rules.set_now(jiff::Timestamp::now());
    let options = MergeOptions {
        users: args.users.clone(),
        passwords: passwords(context, args),
        mfa: args.mfa.clone(),
        output: args.output.clone(),
        organization_id: args.org.clone(),
        timeout: args.timeout,
        multiline: args.multiline,
        email_verified: args.email_verified,
        split_users: args.split_users.and_then(|n| usize::try_from(n).ok()),
        leave_out_stranded: args.leave_out_stranded.clone(),
        join: config.join.clone(),
        mapping,
        max_line: config.input.max_line,
    };
    let summary = tokio::task::block_in_place(|| run(&options, &context.work.events))?;
    print(&format!("{summary}\n"))?;
    let (blocked, stranded) = (summary.blocked_count(), summary.stranded_count());
    if blocked + stranded == 0 {
        return Ok(());
    }
    let mut parts = Vec::new();
    if blocked > 0 {
        parts.push(format!("{} cannot be moved", count(blocked, "row")));
    }
    if stranded > 0 {
        let verb = match (args.leave_out_stranded.is_some(), stranded) {
            (false, _) => "would be stranded by the import endpoint",
            (true, 1) => "was left out",
            (true, _) => "were left out",
        };
        parts.push(format!("{} {verb}", count(stranded, "user")));
    }
    let error = Error::new(Kind::Incomplete, parts.join(", "));
    Err(error.hint("the listing named above says who and why; `a2z cutover` moves stranded users on another road"))
}

/// The hash files that are named, else the one of the guide, if it is there.
fn passwords(context: &Context, args: &cli::Merge) -> Vec<Source> {
    if !args.passwords.is_empty() {
        return args.passwords.clone();
    }
    if Path::new(PASSWORDS).exists() {
        return vec![Source::from(PASSWORDS)];
    }
    let text =
        format!("no hash file is named, and `{PASSWORDS}` is not there: nobody gets a password (`--passwords FILE`)");
    context.work.events.warn("no-hash-file", text);
    Vec::new()
}
