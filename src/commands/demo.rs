//! `a2z demo`: the whole job with made-up users, against both vendors in process.

use std::time::Duration;

use super::{
    Context,
    cutover::cutover,
    print,
    sandbox::{start, write_files},
};
use crate::{
    cli,
    config::{Auth0Credentials, Source, ZitadelCredentials},
    error::{Error, Kind, Result, count},
    sandbox::tenant::TenantOptions,
    state::make_private_dir,
};

/// Of each kind of oddity, so many users have it.
const ODDITY_RATE: f64 = 0.01;
/// The sandbox's projections are behind like real ones, so that the wait for them can be seen.
const LAG: Duration = Duration::from_secs(1);

/// Moves the users of a made-up tenant into a made-up instance, and leaves the reports in a folder.
///
/// # Errors
/// When the sandbox cannot be started, or anything goes wrong that must not in a demo.
pub async fn demo(context: &Context, args: &cli::Demo) -> Result<()> {
    let out = &args.out;
    if out.join("ledger.sqlite").exists() {
        return Err(Error::usage(format!("`{}` holds the demo of an earlier run", out.display()))
            .hint(format!("look at it, then `rm -r {}`; or give another folder with `--out DIR`", out.display())));
    }
    make_private_dir(out)?;
    let tenant = TenantOptions { users: u64::from(args.users), seed: args.seed, oddity_rate: ODDITY_RATE };
    let running = start(tenant, (0, 0), LAG).await?;
    let files = write_files(running.auth0.tenant(), &out.join("ticket"))?;
    print(&format!(
        "An Auth0 tenant with {} and a ZITADEL instance, both made up, are running in this process.\n\n",
        count(u64::from(args.users), "user")
    ))?;

    let mut context = context.clone();
    context.yes = true;
    let config = &mut context.work.config;
    let url = |text: &str| url::Url::parse(text).map_err(|error| Error::internal("a bad URL").caused_by(&error));
    config.state.clone_from(out);
    config.auth0.url = Some(url(&format!("{}/", running.auth0.url.trim_end_matches('/')))?);
    config.auth0.credentials = Some(Auth0Credentials::Client {
        client_id: running.auth0.client_id.clone(),
        client_secret: running.auth0.client_secret.clone().into(),
    });
    config.zitadel.url = Some(running.zitadel.url.clone());
    config.zitadel.credentials = Some(ZitadelCredentials::Token(running.zitadel.token.clone().into()));
    config.zitadel.organization_id = Some(running.zitadel.organization_id.clone());
    config.input.passwords = vec![Source::File(files.passwords)];
    config.input.mfa = vec![Source::File(files.mfa)];

    match Box::pin(cutover(&context)).await {
        Ok(()) => {}
        // A tenant with users of every kind has some that cannot move as they are.
        Err(error) if error.kind() == Kind::Incomplete => {
            print("\nOn a real tenant this would end with exit code 3: somebody has to look at the rejected users.\n")?;
        }
        Err(error) => return Err(error),
    }
    let mails = running.zitadel.mails().len();
    if mails > 0 {
        return Err(Error::internal(format!("the demo made ZITADEL send {}", count(mails as u64, "message"))));
    }
    print(&format!(
        "\nNo e-mail and no SMS was sent. The reports are in `{0}`: open `{0}/report.html`.\n",
        out.display()
    ))
}
