//! `a2z merge`: export file and hash file to import bodies, offline.

use super::{Context, print};
use crate::{
    cli,
    error::{Error, Kind, Result, count},
    merge::{MergeOptions, merge as run},
};

/// Merges, and prints the balance.
///
/// # Errors
/// When a file cannot be read or written; of kind `Incomplete` when some users cannot be moved on this road.
pub fn merge(context: &Context, args: &cli::Merge) -> Result<()> {
    let config = &context.config;
    let options = MergeOptions {
        users: args.users.clone(),
        passwords: args.passwords.clone(),
        output: args.output.clone(),
        organization_id: args.org.clone(),
        timeout: args.timeout,
        multiline: args.multiline,
        email_verified: args.email_verified,
        split_users: args.split_users.and_then(|n| usize::try_from(n).ok()),
        leave_out_stranded: args.leave_out_stranded.clone(),
        join: config.join.clone(),
        mapping: config.mapping.clone(),
        max_line: config.input.max_line,
    };
    let summary = tokio::task::block_in_place(|| run(&options, &context.events))?;
    print(&summary.to_string())?;
    let (blocked, stranded) = (summary.blocked_count(), summary.stranded_count());
    if blocked + stranded == 0 {
        return Ok(());
    }
    let mut parts = Vec::new();
    if blocked > 0 {
        parts.push(format!("{} cannot be moved", count(blocked, "row")));
    }
    if stranded > 0 {
        parts.push(format!("{} would be stranded by the import endpoint", count(stranded, "user")));
    }
    let error = Error::new(Kind::Incomplete, parts.join(", "));
    Err(error.hint("see the listing named above; `a2z cutover` moves stranded users on another road"))
}
