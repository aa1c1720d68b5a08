//! Can it work? Every check is a line: what was looked at, how it stands, what to do. `a2z check` shows all of them; the
//! other commands go on if none failed.

mod auth0;
mod codes;
mod idps;
mod zitadel;

use super::{facts::Facts, tenant::Tenant, work::Work};
use crate::{config::Config, error::Result};

/// Disk space for a user, in bytes: export, ledger, reports.
const BYTES_PER_USER: u64 = 4 << 10;
/// The least that must be free, in bytes.
const LEAST_FREE: u64 = 200 << 20;

/// Runs the checks of Auth0, if the settings need it, of ZITADEL, if it is asked, and of this machine.
///
/// # Errors
/// Only when the run is stopped: what fails is in the lines.
pub async fn run(work: &Work, zitadel: bool) -> Result<Facts> {
    let contact = work.first_contact();
    let mut facts = Facts::default();
    if Tenant::is_needed(&work.config) {
        match contact.auth0() {
            Ok(client) => work.unless_stopped(auth0::check(&mut facts, &client, &contact.config)).await?,
            Err(error) => facts.fail("auth0", error),
        }
    }
    if zitadel {
        match contact.zitadel_to_read() {
            Ok(client) => work.unless_stopped(zitadel::check(&mut facts, &client, &contact.config)).await?,
            Err(error) => facts.fail("zitadel", error),
        }
    }
    check_disk(&mut facts, &contact.config);
    Ok(facts)
}

fn check_disk(facts: &mut Facts, config: &Config) {
    let mut folder = std::path::absolute(&config.state).unwrap_or_else(|_| config.state.clone());
    while !folder.exists() && folder.pop() {}
    let Ok(free) = fs4::available_space(&folder) else { return };
    let needed = facts.auth0_users.unwrap_or(0).saturating_mul(BYTES_PER_USER).max(LEAST_FREE);
    let megabytes = |bytes: u64| bytes >> 20;
    let text = format!("{} MiB free at `{}`, about {} needed", megabytes(free), folder.display(), megabytes(needed));
    if free < needed { facts.warn("disk", text) } else { facts.ok("disk", text) }
}
