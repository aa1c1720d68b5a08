//! `a2z sandbox`: both vendors on this machine, to try things on. `a2z demo` starts the same.

use std::fmt::Write as _;

use std::{
    fs::OpenOptions,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{Context, print};
use crate::{
    cli,
    error::{Error, Result},
    sandbox::{
        auth0::{self, Auth0},
        tenant::{Tenant, TenantOptions},
        zitadel::{self, Zitadel},
    },
    state::{cannot, make_private_dir, private_file},
};

/// Both vendors, running.
pub(super) struct Running {
    pub(super) auth0: Auth0,
    pub(super) zitadel: Zitadel,
}

/// Serves both vendors until the operator stops it.
///
/// # Errors
/// When a port is taken or a file cannot be written.
pub async fn sandbox(context: &Context, args: &cli::Sandbox) -> Result<()> {
    let tenant =
        TenantOptions { users: u64::from(args.users), seed: args.seed, oddity_rate: f64::from(args.oddities) / 100.0 };
    if let (Some(folder), true) = (&args.write_files, args.files_only) {
        write_files(&Tenant::made_up(tenant), folder)?;
        return print(&format!("wrote users.ndjson, passwords.ndjson and mfa.ndjson into `{}`\n", folder.display()));
    }
    let ports = (args.auth0_port, args.zitadel_port);
    let running = start(tenant, ports, args.lag).await?;
    let Running { auth0, zitadel } = &running;
    let mut text = format!(
        "# Auth0 tenant with {} at {}, ZITADEL at {}; Ctrl-C ends it.\n",
        crate::error::count(u64::from(args.users), "user"),
        auth0.url,
        zitadel.url
    );
    for (name, value) in environment(&running) {
        let _ = writeln!(text, "export {name}='{value}'");
    }
    if let Some(folder) = &args.write_files {
        let files = write_files(auth0.tenant(), folder)?;
        let _ = writeln!(
            text,
            "# Then: a2z cutover --yes --passwords {} --mfa {}",
            files.passwords.display(),
            files.mfa.display()
        );
    }
    print(&text)?;
    context.work.stop.drain.cancelled().await;
    Ok(())
}

/// Starts both vendors.
pub(super) async fn start(
    tenant: TenantOptions,
    (auth0_port, zitadel_port): (u16, u16),
    lag: std::time::Duration,
) -> Result<Running> {
    let failed = |what: &str, error: &std::io::Error| {
        Error::usage(format!("could not start the sandbox's {what}")).caused_by(error).hint("is the port taken?")
    };
    let options = auth0::Options { port: auth0_port, tenant: Tenant::made_up(tenant), ..auth0::Options::default() };
    let auth0 = Auth0::start(options).await.map_err(|error| failed("Auth0", &error))?;
    let options = zitadel::Options { port: zitadel_port, lag, ..zitadel::Options::default() };
    let zitadel = Zitadel::start(options).await.map_err(|error| failed("ZITADEL", &error))?;
    // Three of the tenant's connections have a provider there, and one of these forbids creation; the others have none.
    for (kind, name, client, creation) in [
        ("google", "Google", "sandbox-google-oauth2", true),
        ("github", "GitHub", "sandbox-github", false),
        ("generic_oidc", "Acme", "sandbox-acme-oidc", true),
    ] {
        zitadel.add_idp(kind, name, client, creation);
    }
    Ok(Running { auth0, zitadel })
}

/// What a2z needs to know of the sandbox, as environment variables.
fn environment(running: &Running) -> Vec<(&'static str, String)> {
    let Running { auth0, zitadel } = running;
    vec![
        ("AUTH0_DOMAIN", auth0.url.clone()),
        ("AUTH0_CLIENT_ID", auth0.client_id.clone()),
        ("AUTH0_CLIENT_SECRET", auth0.client_secret.clone()),
        ("ZITADEL_URL", zitadel.url.to_string()),
        ("ZITADEL_TOKEN", zitadel.token.clone()),
        ("ZITADEL_ORG_ID", zitadel.organization_id.clone()),
    ]
}

/// The files that a support ticket brings, and an export.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) passwords: PathBuf,
    pub(super) mfa: PathBuf,
}

/// Writes the tenant's files into `folder`, 0600.
pub(super) fn write_files(tenant: &Tenant, folder: &Path) -> Result<Files> {
    make_private_dir(folder)?;
    let write = |name: &str, content: &dyn Fn(&mut dyn Write) -> std::io::Result<()>| {
        let path = folder.join(name);
        let file = private_file(OpenOptions::new().create(true).write(true).truncate(true), &path);
        let mut out = BufWriter::new(file.map_err(|error| cannot(&path, "write", &error))?);
        content(&mut out).and_then(|()| out.flush()).map_err(|error| cannot(&path, "write", &error))?;
        Ok::<_, Error>(path)
    };
    write("users.ndjson", &|mut out| tenant.write_export(&mut out))?;
    Ok(Files {
        passwords: write("passwords.ndjson", &|mut out| tenant.write_hashes(&mut out))?,
        mfa: write("mfa.ndjson", &|mut out| tenant.write_mfa(&mut out))?,
    })
}
