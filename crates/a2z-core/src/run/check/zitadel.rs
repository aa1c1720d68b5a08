//! Can ZITADEL be written to: address, token, roles, organization, project?

use super::{codes, idps};
use crate::{
    config::Config,
    error::{Error, Kind, Result},
    run::facts::Facts,
    zitadel::{client::Client as Zitadel, version::Skips},
};

/// Every check of the instance, a line each.
///
/// # Errors
/// None: what fails is in the lines.
pub(super) async fn check(facts: &mut Facts, client: &Zitadel, config: &Config) -> Result<()> {
    if let Err(failure) = client.ready().await {
        facts.fail("zitadel", failure.into_error(&format!("ZITADEL does not answer at `{}`", client.base())));
        return Ok(());
    }
    let me = match client.me().await {
        Ok(me) => me,
        Err(failure) => {
            facts.fail("zitadel-token", failure.into_error("ZITADEL does not take the credentials"));
            return Ok(());
        }
    };
    facts.ok("zitadel-token", format!("`{}` takes the credentials of `{}`", client.base(), me.user_name));
    facts.account = Some(me.user_id);
    check_version(facts, client).await;
    // Roles first: without any, the organization cannot be seen either.
    check_roles(facts, client, config).await;
    check_organization(facts, client, config).await;
    idps::check(facts, client, config).await;
    check_project(facts, client, config).await;
    if let Some(organization) = &facts.organization {
        match client.domain_settings(&organization.id.clone()).await {
            Ok(true) => {
                facts.scoped_names = true;
                facts.warn(
                    "zitadel-domain-policy",
                    "login names carry the organization's domain: users sign in as `name@domain`, not by their e-mail",
                );
            }
            Ok(false) => facts.ok("zitadel-domain-policy", "user names are login names as they are"),
            Err(failure) => facts.unread("zitadel-domain-policy", failure, "could not read the domain policy"),
        }
    }
    let mail = client.mail_provider_configured().await;
    if config.input.mfa_codes {
        let mail = mail.as_ref().is_ok_and(|configured| *configured);
        codes::check(facts, client, mail, config.input.mfa_survey).await;
    }
    match mail {
        Ok(configured) => {
            let word = if configured { "configured; a2z takes only roads that send nothing" } else { "not configured" };
            facts.ok("zitadel-mail", format!("a mail provider is {word}"));
        }
        // Only an instance's administrator may ask.
        Err(failure) if failure.is_refusal() => {
            facts.ok("zitadel-mail", "not known; a2z takes only roads that send nothing");
        }
        Err(failure) => facts.unread("zitadel-mail", failure, "could not ask for the mail provider"),
    }
    Ok(())
}

/// No version makes a difference to what is done: one that is not known counts as one whose projections skip events.
async fn check_version(facts: &mut Facts, client: &Zitadel) {
    match client.version().await {
        Ok(version) => {
            facts.ok("zitadel-version", format!("`{version}`: {}", Skips::of(&version).words()));
            facts.version = Some(version);
        }
        // Only a role in the instance may ask.
        Err(_) => facts.ok("zitadel-version", format!("not known: {}", Skips::Unknown.words())),
    }
}

async fn check_organization(facts: &mut Facts, client: &Zitadel, config: &Config) {
    let (id, create) = (&config.zitadel.organization_id, &config.zitadel.create_org);
    let found = match (id, create) {
        (Some(id), _) => client.organization(id).await,
        (None, Some(name)) => client.organization_by_name(name).await,
        (None, None) => {
            let default = client.default_organization().await.ok();
            let example =
                default.map_or_else(String::new, |o| format!("; the instance's default is `{}` ({})", o.id, o.name));
            return facts.fail(
                "zitadel-organization",
                Error::usage("the ZITADEL organization that receives the users is not named").hint(format!(
                    "set `--org`, `ZITADEL_ORG_ID` or `zitadel.org_id`; or `zitadel.create_org` to have one created{example}"
                )),
            );
        }
    };
    match (found, id, create) {
        (Err(failure), ..) => {
            facts.fail("zitadel-organization", failure.into_error("could not look up the organization"));
        }
        (Ok(Some(organization)), ..) => {
            if organization.is_active() {
                facts.ok("zitadel-organization", format!("`{}` ({}) is active", organization.name, organization.id));
            } else {
                facts.warn(
                    "zitadel-organization",
                    format!("`{}` is not active: its users cannot sign in until it is reactivated", organization.name),
                );
            }
            facts.organization = Some(organization);
        }
        (Ok(None), Some(id), _) => facts.fail(
            "zitadel-organization",
            Error::new(Kind::Check, format!("ZITADEL has no organization with the id `{id}`"))
                .because("or this account may not see it")
                .hint("the id is in the console under the organization's name; `zitadel.create_org` creates one"),
        ),
        (Ok(None), None, name) => {
            facts.ok("zitadel-organization", format!("`{}` is to be created", name.as_deref().unwrap_or_default()));
        }
    }
}

async fn check_roles(facts: &mut Facts, client: &Zitadel, config: &Config) {
    let memberships = match client.memberships().await {
        Ok(memberships) => memberships,
        Err(failure) => return facts.fail("zitadel-roles", failure.into_error("could not read the account's roles")),
    };
    let target = &config.zitadel.organization_id;
    let holds = |iam: bool, role: &str| {
        memberships
            .iter()
            .any(|m| m.iam == iam && (iam || m.org_id == *target) && m.roles.iter().any(|held| held == role))
    };
    // Who has `user.credential.write`.
    facts.may_give_factors =
        holds(true, "IAM_OWNER") || holds(true, "IAM_ORG_MANAGER") || (target.is_some() && holds(false, "ORG_OWNER"));
    if holds(true, "IAM_OWNER") {
        facts.may_import = true;
        facts.ok("zitadel-roles", "IAM_OWNER: both roads are open");
    } else if holds(true, "IAM_USER_MANAGER")
        || (target.is_some() && (holds(false, "ORG_OWNER") || holds(false, "ORG_USER_MANAGER")))
    {
        facts.warn(
            "zitadel-roles",
            "the account is not IAM_OWNER, whom alone the import endpoint takes: every user takes the slower users API",
        );
    } else {
        facts.fail(
            "zitadel-roles",
            Error::new(Kind::Check, "the ZITADEL account may not create users in this organization")
                .because("it is neither IAM_OWNER (instance) nor ORG_OWNER or ORG_USER_MANAGER (organization)")
                .hint("give the service account the role IAM_OWNER for the migration (console: instance > managers), and take it away afterwards"),
        );
        return;
    }
    let wanted = config.structure();
    let everywhere = holds(true, "IAM_OWNER") || holds(true, "IAM_ORG_MANAGER");
    let refuse = |what: &str, needs: &str| {
        Error::new(Kind::Check, format!("the ZITADEL account may not create {what}"))
            .because(format!("it is not {needs}"))
            .hint("give the service account the role IAM_OWNER for the migration, and take it away afterwards")
    };
    if wanted.orgs() && !everywhere {
        facts.fail("zitadel-roles", refuse("organizations", "IAM_OWNER"));
    }
    if wanted.grants() && !everywhere && !(target.is_some() && holds(false, "ORG_OWNER")) {
        facts.fail("zitadel-roles", refuse("projects and role grants", "IAM_OWNER, nor ORG_OWNER of the organization"));
    }
}

/// The project that gets the roles, where one is named.
async fn check_project(facts: &mut Facts, client: &Zitadel, config: &Config) {
    let Some(id) = config.roles.project_id.as_ref().filter(|_| config.structure().grants()) else { return };
    match client.project(id).await {
        Ok(Some(project)) => {
            let here = facts.organization.as_ref().is_none_or(|main| main.id == project.organization_id);
            if here {
                facts.ok("zitadel-project", format!("roles go into the project `{}` ({id})", project.name));
            } else {
                facts.fail(
                    "zitadel-project",
                    Error::new(Kind::Check, format!("the project `{id}` belongs to another organization"))
                        .because(format!("its organization is `{}`", project.organization_id))
                        .hint("name a project of the organization that receives the users"),
                );
            }
        }
        Ok(None) => facts.fail(
            "zitadel-project",
            Error::new(Kind::Check, format!("ZITADEL has no project with the id `{id}`"))
                .because("or this account may not see it")
                .hint("`roles.create_project` creates one"),
        ),
        Err(failure) => facts.fail("zitadel-project", failure.into_error("could not look up the project")),
    }
}
