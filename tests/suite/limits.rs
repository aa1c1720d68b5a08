//! ZITADEL of today: lists give so many entries and no more, and it says which version it is. Whatever the bound is, the
//! same becomes of everybody.

use std::collections::BTreeMap;

use a2z::sandbox::{
    tenant::{Organization, Role, Row, Tenant, TenantOptions},
    zitadel::{Structure, User},
};
use serde_json::Value;

use crate::harness::{Run, World};

/// A bound on lists: the largest page, and how many an answer has without a word.
const BOUNDS: [(usize, Option<usize>); 5] = [(1000, None), (0, None), (3, None), (1, None), (1000, Some(2))];

/// Users with links and much metadata, roles and organizations: more of each than a page holds.
fn tenant() -> Tenant {
    let rows: Vec<Row> = Tenant::made_up(TenantOptions { users: 24, seed: 31, oddity_rate: 0.0 }).rows().collect();
    let ids: Vec<String> = rows.iter().map(|row| row.user_id.clone()).collect();
    let roles = (0..5).map(|i| Role {
        id: format!("rol_{i}"),
        name: format!("role {i}"),
        description: String::new(),
        users: ids.iter().skip(i).cloned().collect(),
    });
    let organizations = (0..5).map(|i| Organization {
        id: format!("org_{i}"),
        name: format!("acme-{i}"),
        display_name: format!("Acme {i}"),
        members: ids.iter().skip(i * 2).take(2).map(|id| (id.clone(), vec!["role 0".to_owned()])).collect(),
        branding: Value::Null,
        metadata: Value::Null,
    });
    let (roles, organizations) = (roles.collect(), organizations.collect());
    let mut tenant = Tenant::of(rows);
    (tenant.roles, tenant.organizations) = (roles, organizations);
    tenant
}

fn all(run: Run) -> Run {
    run.env("A2Z_ROLES_MODE", "grants").env("A2Z_ORGANIZATIONS_POLICY", "orgs").env("A2Z_MAPPING_METADATA", "spread")
}

#[track_caller]
fn world((largest_page, quiet_cap): (usize, Option<usize>)) -> World {
    let world = World::of(tenant())
        .zitadel(|options| (options.largest_page, options.quiet_cap) = (largest_page, quiet_cap))
        .start();
    for i in 0..4 {
        world.zitadel.add_idp("generic_oidc", &format!("Other {i}"), &format!("other-{i}"), true);
    }
    // The last page has the provider that counts.
    world.zitadel.add_idp("google", "Google", "sandbox-google-oauth2", true);
    world
}

/// What arrived, without times and ids that differ from run to run.
fn arrived(world: &World) -> (BTreeMap<String, Value>, Vec<usize>) {
    let user = |user: User| {
        serde_json::json!([
            user.user_name,
            user.email,
            user.organization_id.starts_with("org_"),
            user.links.len(),
            user.metadata.keys().collect::<Vec<_>>(),
            user.hash.is_some(),
            user.totp.is_some(),
            user.created_count,
        ])
    };
    let Structure { organizations, projects, grants } = world.zitadel.structure();
    let roles = projects.values().map(|project| project.roles.len()).sum();
    let sizes = vec![organizations.len(), projects.len(), grants.len(), roles];
    (world.store().into_iter().map(|(id, found)| (id, user(found))).collect(), sizes)
}

#[test]
fn the_same_becomes_of_everybody_whatever_the_largest_page_is() {
    let mut first = None;
    for bound in BOUNDS {
        let world = world(bound);
        all(world.cutover()).run().code(0);
        world.assert_balanced();
        assert_eq!((world.balance("created"), world.mails()), (24, Vec::new()), "{bound:?}");
        assert_eq!(*first.get_or_insert_with(|| arrived(&world)), arrived(&world), "{bound:?}");

        // Again: nobody is gone, nobody is somebody else's, and nothing is written.
        let writes = world.writes().len();
        all(world.cutover()).run().code(0);
        assert_eq!(world.balance("unchanged"), 24, "{bound:?}");
        assert_eq!(world.writes()[writes..], [] as [String; 0], "{bound:?}");

        let ran = all(world.a2z(["verify", "--metadata", "all"])).run().code(0);
        let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            said.contains("the same 24 different 0 missing 0 5 organizations that a2z made, 0 different"),
            "{said}"
        );

        all(world.a2z(["rollback", "--yes"])).run().code(0);
        let (users, sizes) = arrived(&world);
        assert_eq!((users, sizes), (BTreeMap::new(), vec![1, 0, 0, 0]), "{bound:?}");
    }
}

/// A user who is there before, and stands on the last page.
#[test]
fn a_taken_name_is_found_on_every_page() {
    for bound in BOUNDS {
        let world = world(bound);
        let rows: Vec<Row> = world.tenant().rows().collect();
        let taken = rows.iter().find_map(|row| row.password.as_ref().and(Some(row.clone()))).unwrap();
        let name = world.tenant().user(&taken.user_id).unwrap();
        let email = name.fields.iter().find(|(key, _)| key == "email").unwrap().1.trim_matches('"').to_owned();
        for i in 0..7 {
            let name = if i == 6 { email.clone() } else { format!("stranger-{i}") };
            let mut stranger = User::default();
            (stranger.id, stranger.user_name) = (format!("stranger-{i}"), name);
            world.zitadel.add_user(stranger);
        }
        let ran = world.cutover().run().code(3);
        let outcome = world.outcome(&taken.user_id);
        assert_eq!(outcome["outcome"], "rejected", "{bound:?}: {}", ran.stdout);
        // Known before the first write: nothing was tried for this user.
        assert!(ran.stdout.contains("23 to create"), "{bound:?}: {}", ran.stdout);
    }
}

#[test]
fn the_version_is_said_and_whether_it_skips_events() {
    let cases = [
        (Some("v4.13.1"), "`v4.13.1`: its projections may skip events", Value::from("v4.13.1"), "affected"),
        (Some("v4.19.5"), "`v4.19.5`: it is not known whether", Value::from("v4.19.5"), "unknown"),
        // A build without a version says when it was started.
        (
            Some("2026-12-01T03:01:27Z"),
            "`2026-12-01T03:01:27Z`: it is not known whether",
            "2026-12-01T03:01:27Z".into(),
            "unknown",
        ),
        (None, "not known: it is not known whether", Value::Null, "unknown"),
    ];
    for (version, check, said, skips) in cases {
        let tenant = Tenant::made_up(TenantOptions { users: 3, seed: 5, oddity_rate: 0.0 });
        let world = World::of(tenant).zitadel(|options| options.version = version.map(str::to_owned)).start();
        let ran = world.a2z(["check"]).args(["--passwords", "passwords.ndjson"]).run().code(0);
        let line = ran.stdout.lines().find(|line| line.contains("zitadel-version")).unwrap();
        assert!(line.starts_with("ok ") && line.contains(check), "{line}");

        let ran = world.cutover().run().code(0);
        assert!(!ran.stderr.contains("zitadel-version"), "no alarm: {}", ran.stderr);
        let target = &world.report()["target"];
        assert_eq!((&target["version"], &target["skips_events"]), (&said, &skips.into()));
        let line = ran.stdout.lines().find(|line| line.starts_with("server "));
        assert_eq!(line.is_some(), version.is_some(), "{}", ran.stdout);
        assert!(line.is_none_or(|line| line.ends_with(skips)), "{line:?}");
        let html = std::fs::read_to_string(world.state().join("report.html")).unwrap();
        assert_eq!(html.contains("projections that skip events"), version.is_some());
        // From the ledger alone.
        std::fs::remove_file(world.state().join("report.json")).unwrap();
        world.a2z(["report"]).run().code(0);
        assert_eq!(world.report()["target"]["version"], said);
    }
}

/// An account of one organization may not ask for the version.
#[test]
fn who_may_not_ask_for_the_version_goes_on_without() {
    let tenant = Tenant::made_up(TenantOptions { users: 3, seed: 5, oddity_rate: 0.0 });
    let world = World::of(tenant).start();
    let token = world.zitadel.add_token(&["ORG_OWNER"]);
    let ran = world.a2z(["check"]).env("ZITADEL_TOKEN", &token).run().code(0);
    assert!(ran.stdout.contains("not known: it is not known whether"), "{}", ran.stdout);
}
