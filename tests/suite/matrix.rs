//! Each fault at each stage: a small tenant of every kind is moved through it, with the real program and as many runs as it
//! takes. Then what the sandbox stored is compared with what was exported.
//!
//! `A2Z_TEST_BLESS=1 cargo test --test suite matrix::` writes the table of it into `docs/faults.md`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use a2z::sandbox::{
    Seen,
    faults::{Fault, Faults, RetryAfter, Rule, When},
    tenant::{Oddity, Row, Tenant, TenantOptions},
};

use crate::harness::{Run, World, setting};

/// How many runs at the most.
const MOST_RUNS: u32 = 4;
/// Cells under way at a time: a cell waits more than it works.
const THREADS: usize = 6;

/// Which server a stage talks to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Auth0,
    Download,
    Zitadel,
}

/// A stage, by the request that it stands for.
#[derive(Clone, Copy)]
struct Stage {
    name: &'static str,
    door: Door,
    method: &'static str,
    path: &'static str,
    exact: bool,
    /// In the second run, in which there are users to update.
    delta: bool,
}

const fn stage(name: &'static str, door: Door, method: &'static str, path: &'static str) -> Stage {
    Stage { name, door, method, path, exact: false, delta: false }
}

const STAGES: &[Stage] = &[
    stage("Auth0 token", Door::Auth0, "POST", "/oauth/token"),
    stage("Auth0 check", Door::Auth0, "GET", "/api/v2/connections"),
    stage("export job", Door::Auth0, "POST", "/api/v2/jobs/users-exports"),
    stage("poll", Door::Auth0, "GET", "/api/v2/jobs/job_"),
    stage("download", Door::Download, "GET", ""),
    stage("ZITADEL token", Door::Zitadel, "POST", "/oauth/v2/token"),
    stage("ZITADEL check", Door::Zitadel, "GET", "/auth/v1/users/me"),
    Stage { exact: true, ..stage("look up", Door::Zitadel, "POST", "/v2/users") },
    stage("import", Door::Zitadel, "POST", "/admin/v1/import"),
    Stage { exact: true, ..stage("users API", Door::Zitadel, "POST", "/v2/users/new") },
    stage("deactivate", Door::Zitadel, "POST", "/v2/users/*/deactivate"),
    stage("barrier", Door::Zitadel, "GET", "/v2/users/"),
    Stage { delta: true, ..stage("update", Door::Zitadel, "PATCH", "/v2/users/") },
    Stage { delta: true, ..stage("metadata", Door::Zitadel, "POST", "/v2/users/*/metadata") },
];

/// What goes wrong.
#[derive(Clone)]
enum Trouble {
    /// With the first calls of the stage.
    Fault(Fault),
    /// This signal, while a call of the stage waits to be carried out.
    Before(&'static str),
    /// This signal, when a call of the stage was carried out and its answer has not come.
    After(&'static str),
}

fn troubles() -> Vec<(&'static str, Trouble)> {
    let fault = |fault| Trouble::Fault(fault);
    vec![
        ("connection cut before the request", fault(Fault::DropRequest)),
        ("answer lost", fault(Fault::LoseAnswer)),
        ("answer cut in the middle", fault(Fault::CutAnswer)),
        ("429", fault(Fault::TooMany(RetryAfter::No))),
        ("429, `Retry-After` of a year", fault(Fault::TooMany(RetryAfter::Text("31536000")))),
        ("503, `Retry-After` as a date", fault(Fault::Unavailable(RetryAfter::Date(1)))),
        ("502 of a proxy", fault(Fault::BadGateway)),
        ("a proxy's page for the answer", fault(Fault::HtmlBody)),
        ("an empty answer", fault(Fault::EmptyBody)),
        ("an error under 200", fault(Fault::ErrorUnderOk)),
        ("the token expired", fault(Fault::TokenExpired)),
        ("the server stops", fault(Fault::Stop(Duration::from_millis(200)))),
        ("SIGKILL before it is carried out", Trouble::Before("KILL")),
        ("SIGKILL after it was carried out", Trouble::After("KILL")),
        ("SIGINT after it was carried out", Trouble::After("INT")),
    ]
}

/// A few users of every kind, but for the one whose half megabyte makes requests slow; and some who are blocked.
fn people() -> Vec<Row> {
    let tenant = Tenant::made_up(TenantOptions { users: 40, seed: 77, oddity_rate: 0.5 });
    let mut rows: Vec<Row> = tenant.without(&[Oddity::HugeMetadata]).rows().collect();
    for row in rows.iter_mut().filter(|row| row.damaged.is_none()).skip(4).step_by(9) {
        row.fields.retain(|(key, _)| key != "email_verified" && key != "blocked");
        row.fields.extend([("email_verified".into(), "false".to_owned()), ("blocked".into(), "true".to_owned())]);
    }
    rows
}

/// The same a day later: names and metadata of some have changed.
fn later() -> Tenant {
    let mut rows = people();
    for row in rows.iter_mut().filter(|row| row.damaged.is_none()).step_by(3) {
        row.fields.retain(|(key, _)| key != "given_name" && key != "user_metadata");
        row.fields.push(("given_name".into(), r#""Changed""#.to_owned()));
        row.fields.push(("user_metadata".into(), r#"{"changed":true}"#.to_owned()));
    }
    Tenant::of(rows)
}

/// What one cell came to: the runs that it took, or what is wrong.
fn cell(stage: Stage, trouble: &Trouble) -> Result<u32, String> {
    let (auth0, download) = (Faults::none(), Faults::none());
    let (at_auth0, at_download) = (auth0.clone(), download.clone());
    let world = World::of(Tenant::of(people()));
    let mut world = world.auth0(|options| (options.faults, options.download_faults) = (at_auth0, at_download)).start();
    fs::write(world.path("key.json"), &world.zitadel.key_json).unwrap();
    if stage.delta {
        drop(run(&world).run().code(3));
        world.becomes(later());
    }
    let what = match trouble {
        Trouble::Fault(fault) => fault.clone(),
        Trouble::Before(_) => Fault::Delay(Duration::from_millis(400)),
        Trouble::After(_) => Fault::SlowAnswer(Duration::from_millis(400)),
    };
    let when = if matches!(trouble, Trouble::Fault(_)) { When::First(2) } else { When::Nth(1) };
    let mut rule = Rule::new(stage.path, when, what).method(stage.method);
    rule.exact = stage.exact;
    match stage.door {
        Door::Auth0 => auth0.set([rule]),
        Door::Download => download.set([rule]),
        Door::Zitadel => world.zitadel.set_faults([rule]),
    }
    for runs in 1..=MOST_RUNS {
        let mut running = run(&world).spawn();
        if let (1, Trouble::Before(signal) | Trouble::After(signal)) = (runs, trouble) {
            let began = Instant::now();
            while !hit(&world, stage.door) && !running.has_ended() && began.elapsed() < Duration::from_mins(1) {
                std::thread::sleep(Duration::from_millis(5));
            }
            // It takes a moment from there to the end of the work.
            std::thread::sleep(Duration::from_millis(50));
            running.signal(signal);
        }
        let ran = running.wait();
        if ran.exit() == Some(3) {
            if !hit(&world, stage.door) {
                return Err("the fault was not met".into());
            }
            world.assert_balanced();
            let verdict = world.verdict();
            return if verdict.is_clean() { Ok(runs) } else { Err(format!("{verdict:?}\n{}", ran.stderr)) };
        }
        if !matches!(ran.exit(), Some(4 | 5 | 130) | None) || runs == MOST_RUNS {
            return Err(format!("run {runs} ended with {:?}:\n{}", ran.exit(), ran.stderr));
        }
        if let Trouble::Fault(Fault::Stop(time)) = trouble {
            // Nobody runs it again four times within the moment in which the server is away.
            std::thread::sleep(*time);
        }
    }
    unreachable!()
}

fn run(world: &World) -> Run {
    let run = world.cutover().without_env("ZITADEL_TOKEN").env("ZITADEL_KEY_FILE", "key.json");
    run.env("A2Z_IMPORT_BATCH_USERS", "8").env("A2Z_HTTP_REQUEST_TIMEOUT", "20s")
}

fn hit(world: &World, door: Door) -> bool {
    let any = |seen: Vec<Seen>| seen.iter().any(|seen| seen.fault.is_some());
    match door {
        Door::Auth0 => any(world.auth0().seen()),
        Door::Download => any(world.auth0().seen_downloads()),
        Door::Zitadel => any(world.zitadel.requests()),
    }
}

/// Where the trouble means nothing: the links of downloads carry no token that could expire, and what is told by a status
/// of success alone cannot be told from an answer.
fn makes_sense(stage: Stage, trouble: &Trouble) -> bool {
    let Trouble::Fault(fault) = trouble else { return true };
    match fault {
        Fault::TokenExpired => stage.door != Door::Download && !stage.path.starts_with("/oauth"),
        Fault::ErrorUnderOk => stage.door != Door::Download,
        _ => true,
    }
}

#[test]
fn every_fault_at_every_stage() {
    let troubles = troubles();
    let mut jobs: Vec<(usize, usize)> = (0..troubles.len())
        .flat_map(|row| (0..STAGES.len()).map(move |column| (row, column)))
        .filter(|(row, column)| makes_sense(STAGES[*column], &troubles[*row].1))
        .collect();
    if let Some(only) = setting("A2Z_MATRIX") {
        jobs.retain(|(row, column)| format!("{}: {}", STAGES[*column].name, troubles[*row].0).contains(&only));
    }
    let all = jobs.len();
    let (jobs, cells) = (Mutex::new(jobs), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some((row, column)) = jobs.lock().unwrap().pop() else { break };
                    let result = std::panic::catch_unwind(|| cell(STAGES[column], &troubles[row].1));
                    let result = result.unwrap_or_else(|_| Err("panicked, see above".into()));
                    cells.lock().unwrap().insert((row, column), result);
                }
            });
        }
    });
    let cells = cells.into_inner().unwrap();
    let wrong: Vec<String> = cells
        .iter()
        .filter_map(|((row, column), result)| {
            let failure = result.as_ref().err()?;
            Some(format!("== {}: {}\n{failure}", STAGES[*column].name, troubles[*row].0))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {all} cells:\n{}", wrong.len(), wrong.join("\n"));
    if setting("A2Z_MATRIX").is_none() {
        compare(&table(&troubles, &cells));
    }
}

fn table(troubles: &[(&str, Trouble)], cells: &BTreeMap<(usize, usize), Result<u32, String>>) -> String {
    let mut text = String::from("| fault |");
    for stage in STAGES {
        let _ = write!(text, " {} |", stage.name);
    }
    let _ = write!(text, "\n|---|{}", "---|".repeat(STAGES.len()));
    for (row, (name, _)) in troubles.iter().enumerate() {
        let _ = write!(text, "\n| {name} |");
        for column in 0..STAGES.len() {
            match cells.get(&(row, column)) {
                Some(Ok(runs)) => write!(text, " {runs} |"),
                _ => write!(text, " – |"),
            }
            .unwrap();
        }
    }
    text
}

/// The file must have these rows and columns; how many runs a cell takes may differ with the machine.
#[track_caller]
fn compare(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let (start, end) = ("<!-- matrix -->\n", "\n<!-- end of matrix -->");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(start).unwrap();
    let (found, after) = rest.split_once(end).unwrap();
    let shape = |table: &str| table.replace(|c: char| c.is_ascii_digit() && c < '5', "n");
    if std::env::var_os("A2Z_TEST_BLESS").is_some() {
        fs::write(&path, format!("{before}{start}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(shape(found), shape(table), "write it anew: A2Z_TEST_BLESS=1 cargo test --test suite matrix::");
    }
}
