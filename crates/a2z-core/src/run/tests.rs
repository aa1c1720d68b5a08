//! A run walks through its stages, against both vendors in process.

use std::sync::{Arc, Mutex};

use a2z_sandbox::{
    auth0::{self, Auth0},
    faults::{Fault, Rule, When},
    tenant::{Tenant, TenantOptions},
    zitadel::{self, Zitadel},
};

use crate::{
    config::{Auth0Credentials, Config, RolesMode, Source, ZitadelCredentials},
    error::{Error, Kind, Result},
    event::{Event, Events, Listen, Stage},
    ledger::runs,
    run::{Checked, Cutover, Folder, PlanOnly, ToWrite, Work},
    stop::Stop,
};

/// Users of the tenant.
const USERS: u64 = 3;

/// The stages that began, in order.
#[derive(Clone, Default)]
struct Began(Arc<Mutex<Vec<Stage>>>);

impl Listen for Began {
    fn on(&self, event: &Event) {
        if let Event::StageStarted { stage, .. } = event {
            self.0.lock().unwrap().push(*stage);
        }
    }
}

impl Began {
    /// The stages since the last call.
    fn take(&self) -> Vec<Stage> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Both vendors, and a state folder.
struct World {
    _auth0: Auth0,
    zitadel: Zitadel,
    folder: tempfile::TempDir,
    began: Began,
    work: Work,
}

impl World {
    async fn start() -> Self {
        let tenant = Tenant::made_up(TenantOptions { users: USERS, seed: 7, oddity_rate: 0.0 });
        let auth0 = Auth0::start(auth0::Options { tenant, ..auth0::Options::default() }).await.unwrap();
        let zitadel = Zitadel::start(zitadel::Options::default()).await.unwrap();
        let (folder, began) = (tempfile::tempdir().unwrap(), Began::default());
        let mut config = Config { state: folder.path().join("state"), ..Config::default() };
        config.auth0.url = Some(auth0.url.parse().unwrap());
        config.auth0.credentials = Some(Auth0Credentials::Client {
            client_id: auth0.client_id.clone(),
            client_secret: auth0.client_secret.clone().into(),
        });
        config.zitadel.url = Some(zitadel.url.clone());
        config.zitadel.credentials = Some(ZitadelCredentials::Token(zitadel.token.clone().into()));
        config.zitadel.organization_id = Some(zitadel.organization_id.clone());
        let work = Work { config, events: Events::new(began.clone()), stop: Stop::default() };
        Self { _auth0: auth0, zitadel, folder, began, work }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stage_hands_over_to_the_next() {
    let world = World::start().await;
    let folder = Folder::open(&world.work).unwrap();
    let checked = Checked::<Cutover>::of(&world.work, &folder).await.unwrap();
    assert_eq!(world.began.take(), [Stage::Check]);
    let planned = checked.next().await.unwrap();
    assert_eq!(world.began.take(), [Stage::Export, Stage::Download, Stage::Plan]);
    assert_eq!(world.zitadel.store().len(), 0, "a plan writes nothing");
    let imported = planned
        .next(async |what| {
            assert_eq!(what, ToWrite { users: USERS, grants: 0, codes: 0 });
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(world.began.take(), [Stage::Import, Stage::Visible]);
    let verified = imported.next(async |_| Ok(false)).await.unwrap();
    assert_eq!(world.began.take(), [Stage::Verify]);
    assert_eq!((verified.balance.created, verified.written, verified.found), (USERS, USERS, USERS));
    assert!(folder.ledger().read(runs::latest).unwrap().is_some_and(|run| run.finished_at.is_some()));
    verified.end(0, &folder.path().join("report.html")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_without_an_agreement() {
    let world = World::start().await;
    let folder = Folder::open(&world.work).unwrap();
    let planned = Checked::<Cutover>::of(&world.work, &folder).await.unwrap().next().await.unwrap();
    let refused: Result<()> = Err(Error::usage("no"));
    let stopped = planned.next(async |_| refused).await.unwrap_err();
    assert_eq!((stopped.error.message(), stopped.wrote), ("no", false));
    assert_eq!(world.zitadel.store().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_only_shown_needs_no_zitadel() {
    let mut world = World::start().await;
    world.work.config.zitadel = crate::config::Zitadel::default();
    let folder = Folder::open(&world.work).unwrap();
    let planned = Checked::<PlanOnly>::of(&world.work, &folder).await.unwrap().next().await.unwrap();
    assert_eq!(world.began.take(), [Stage::Check, Stage::Export, Stage::Download, Stage::Plan]);
    assert_eq!(planned.providers().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_used_by_one_run_at_a_time_and_looked_at_only_with_a_ledger() {
    let mut world = World::start().await;
    assert!(Folder::existing(&world.work).unwrap_err().message().starts_with("there is no ledger"));
    let first = Folder::open(&world.work).unwrap();
    assert!(Folder::existing(&world.work).unwrap_err().message().contains("another run"));
    drop(first);
    Folder::existing(&world.work).unwrap();
    world.work.config.input.users = vec![Source::File(world.folder.path().join("users.ndjson"))];
    world.work.config.input.mfa_survey = true;
    world.work.config.auth0.url = None;
    world.work.config.state = world.folder.path().join("other");
    let refused = Folder::open(&world.work).unwrap_err();
    assert_eq!(refused.message(), "the Auth0 tenant is not named");
    assert!(!world.work.config.state.exists(), "a survey that cannot be made is refused before anything is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_breaks_off_is_taken_up_where_it_was() {
    let world = World::start().await;
    {
        let folder = Folder::open(&world.work).unwrap();
        let planned = Checked::<Cutover>::of(&world.work, &folder).await.unwrap().next().await.unwrap();
        let refuse = async |_| {
            world.zitadel.set_faults([Rule::new("", When::Always, Fault::Forbidden("AUTHZ-HKJD33"))]);
            Ok(())
        };
        let stopped = planned.next(refuse).await.unwrap_err();
        assert_eq!((stopped.error.kind(), stopped.wrote), (Kind::GaveUp, true));
    }
    world.zitadel.set_faults([]);
    world.began.take();
    let folder = Folder::open(&world.work).unwrap();
    let planned = Checked::<Cutover>::of(&world.work, &folder).await.unwrap().next().await.unwrap();
    assert_eq!(planned.number(), 1);
    assert_eq!(world.began.take(), [Stage::Check], "neither export nor plan is made again");
    let verified = planned.next(async |_| Ok(())).await.unwrap().next(async |_| Ok(false)).await.unwrap();
    assert_eq!((verified.run, verified.balance.created), (1, USERS));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_read_before_the_plan_and_given_after_the_users() {
    let mut world = World::start().await;
    world.work.config.roles.mode = RolesMode::Grants;
    let folder = Folder::open(&world.work).unwrap();
    let planned = Checked::<Cutover>::of(&world.work, &folder).await.unwrap().next().await.unwrap();
    assert_eq!(world.began.take(), [Stage::Check, Stage::Export, Stage::Download, Stage::Structure, Stage::Plan]);
    let imported = planned.next(async |_| Ok(())).await.unwrap();
    assert_eq!(world.began.take(), [Stage::Import, Stage::Visible, Stage::Grants]);
    imported.next(async |_| Ok(false)).await.unwrap();
    assert_eq!(world.began.take(), [Stage::Verify]);
}
