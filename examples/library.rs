//! a2z as a library: reads an export, joins it with the hashes, maps every user, and prints what would be sent, without
//! secrets and without any network.
//!
//! ```text
//! cargo run --example library
//! cargo run --example library -- EXPORT HASHES
//! ```

#![expect(clippy::print_stdout, reason = "an example shows its results")]

use a2z::{
    auth0::rows::{RowKind, Rows, survey},
    config::{Config, Source},
    error::Result,
    event::Events,
    hashes::{HashIndex, LoadOptions},
    input::Options,
    join::{Shape, join},
    mapping::{Roads, draft::Draft, map},
};

const TENANT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/small-tenant");

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut file = |name: &str| Source::from(arguments.next().unwrap_or_else(|| format!("{TENANT}/{name}")).as_str());
    let (users, passwords) = (file("users.ndjson"), file("passwords.ndjson"));

    // The defaults, as `a2z` has them without a configuration file.
    let config = Config::default();
    let reading = Options::new(config.input.max_line, "--users");
    let loading = LoadOptions { max_line: config.input.max_line, ..LoadOptions::default() };
    let hashes = HashIndex::load(&[passwords], &loading, &Events::silent())?;
    // What the export carries decides what an absent value means.
    let shape = Shape { email_verified: survey(&users, &reading)?.has_email_verified };
    let from_metadata_keys = config.import.users_api_from_metadata_keys;
    let roads = Roads::Both { users_api_from_metadata_keys: from_metadata_keys };

    let mut rows = Rows::open(&users, &reading)?;
    while let Some(row) = rows.next()? {
        let user = match row.kind {
            RowKind::User(user) => *user,
            // A row that cannot be read is counted, too: nobody is dropped in silence.
            RowKind::Malformed { reason, .. } => {
                println!("line {}: malformed-row: {reason}", row.line);
                continue;
            }
        };
        let user_id = user.user_id.clone();
        let mapped = map(join(user, &hashes, &config.join, &shape), &config.mapping, roads);
        match &mapped.draft {
            Ok(draft) => println!("{user_id}: {}", describe(draft, roads)),
            Err(blocked) => println!("{user_id}: {}: {}", blocked.code.code(), blocked.code.message()),
        }
        for finding in &mapped.findings {
            println!("    {}: {}", finding.code.code(), finding.code.message());
        }
    }
    Ok(())
}

/// What would be sent; of the password only that there is one.
fn describe(draft: &Draft, roads: Roads) -> String {
    let verified = if draft.email.verified { "verified" } else { "not verified" };
    let password = if draft.password.is_some() { "with a password" } else { "without a password" };
    let state = if draft.inactive { ", inactive" } else { "" };
    format!("{:?} as {}, e-mail {verified}, {password}{state}", roads.of(draft), draft.user_name)
}
