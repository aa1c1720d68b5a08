//! Chaos with a seed: faults on every door, kills, interruptions, stops of the server, lag, and resumes, over a tenant of
//! hundreds or thousands, until it ends. Then what is stored is compared with what was exported.
//!
//! `A2Z_CHAOS_SEED=17 cargo test --test suite chaos::` replays one seed, `A2Z_CHAOS_SEEDS=100` runs so many from the first
//! on (with `A2Z_CHAOS_FIRST=500`, from there). The order of requests is the machine's: a seed gives the same faults, kills
//! and waits, and nearly the same run.

use std::time::{Duration, Instant};

use a2z::sandbox::{
    faults::{Fault, Faults, RetryAfter, Rule, When},
    tenant::{Oddity, Tenant, TenantOptions},
};

use crate::harness::{World, setting};

/// A plain run of the tests begins no seed after so long.
const BOUND: Duration = Duration::from_secs(45);
/// Seeds of a plain run, at the most and at the least.
const SEEDS: std::ops::RangeInclusive<u64> = 2..=8;
/// Runs with trouble; those after them are left in peace.
const TROUBLED: u32 = 8;
const PEACEFUL: u32 = 3;

/// `SplitMix64`: enough for dice.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `sides - 1`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    fn retry_after(&mut self) -> RetryAfter {
        match self.roll(5) {
            0 => RetryAfter::No,
            1 => RetryAfter::Seconds(1),
            2 => RetryAfter::Date(2),
            3 => RetryAfter::Text("31536000"),
            _ => RetryAfter::Text("-1"),
        }
    }

    fn fault(&mut self) -> Fault {
        match self.roll(14) {
            0 => Fault::DropRequest,
            1 | 2 => Fault::LoseAnswer,
            3 => Fault::CutAnswer,
            4 => Fault::Delay(Duration::from_millis(self.roll(120))),
            5 => Fault::TooMany(self.retry_after()),
            6 => Fault::Unavailable(self.retry_after()),
            7 => Fault::BadGateway,
            8 => Fault::HtmlBody,
            9 => Fault::EmptyBody,
            10 => Fault::ErrorUnderOk,
            11 => Fault::TokenExpired,
            12 => Fault::ImportTimeout,
            _ => Fault::Stop(Duration::from_millis(20 + self.roll(150))),
        }
    }

    fn rules(&mut self, paths: &[&str]) -> Vec<Rule> {
        (0..=self.roll(4))
            .map(|_| {
                let path = paths[usize::try_from(self.roll(paths.len() as u64)).unwrap()];
                let hits = u32::try_from(20 + self.roll(180)).unwrap();
                Rule::new(path, When::PerMille { hits, seed: self.next() }, self.fault())
            })
            .collect()
    }
}

const AUTH0: &[&str] = &["", "/oauth/token", "/api/v2/jobs/", "/api/v2/jobs/users-exports", "/api/v2/connections"];
const ZITADEL: &[&str] = &[
    "",
    "/admin/v1/import",
    "/admin/v1/import",
    "/v2/users/new",
    "/v2/users/new",
    "/v2/users",
    "/v2/users/",
    "/v2/users/*/metadata",
    "/v2/users/*/deactivate",
    "/oauth/v2/token",
];

fn chaos(seed: u64) {
    let mut dice = Dice(seed);
    let users = 300 + dice.roll(1700);
    let tenant = Tenant::made_up(TenantOptions { users, seed, oddity_rate: 0.05 }).without(&[Oddity::HugeMetadata]);
    let (auth0, download) = (Faults::none(), Faults::none());
    let (at_auth0, at_download) = (auth0.clone(), download.clone());
    let world = World::of(tenant)
        .auth0(|options| (options.faults, options.download_faults) = (at_auth0, at_download))
        .zitadel(|options| options.import_users_per_second = Some(1_500.0))
        .start();
    std::fs::write(world.path("key.json"), &world.zitadel.key_json).unwrap();
    let with_key = dice.roll(2) == 0;
    let mut story = Vec::new();
    for number in 1..=TROUBLED + PEACEFUL {
        let peaceful = number > TROUBLED;
        auth0.set(if peaceful { Vec::new() } else { dice.rules(AUTH0) });
        download.set(if peaceful || dice.roll(2) == 0 { Vec::new() } else { dice.rules(&[""]) });
        world.zitadel.set_faults(if peaceful { Vec::new() } else { dice.rules(ZITADEL) });
        world.zitadel.set_lag(Duration::from_millis(if dice.roll(3) == 0 { dice.roll(800) } else { 0 }));
        let mut run = world.cutover().env("A2Z_IMPORT_BATCH_USERS", &(5 + dice.roll(100)).to_string());
        run = run.env("A2Z_HTTP_MAX_ATTEMPTS", &(2 + dice.roll(6)).to_string()).env("A2Z_IMPORT_MAX_LAG", "400ms");
        if with_key {
            run = run.without_env("ZITADEL_TOKEN").env("ZITADEL_KEY_FILE", "key.json");
        }
        let mut running = run.spawn();
        // Nine of ten runs are disturbed in time; the rest ends as it ends.
        let disturbance = if peaceful { 9 } else { dice.roll(10) };
        let after = Duration::from_millis(100 + dice.roll(2_500));
        let began = Instant::now();
        while disturbance < 9 && began.elapsed() < after && !running.has_ended() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let done = match disturbance {
            0..=3 => ("killed", running.signal("KILL")),
            4 => ("interrupted", running.signal("INT")),
            5 => ("terminated", running.signal("TERM")),
            6 => {
                let first = running.signal("INT");
                std::thread::sleep(Duration::from_millis(dice.roll(50)));
                ("interrupted twice", first && running.signal("INT"))
            }
            7 => {
                world.zitadel.stop();
                std::thread::sleep(Duration::from_millis(dice.roll(300)));
                world.zitadel.restart();
                ("the server was restarted", true)
            }
            8 => {
                world.zitadel.expire_tokens();
                world.auth0().expire_tokens();
                ("the tokens expired", true)
            }
            _ => ("left alone", true),
        };
        let ran = running.wait();
        story.push(format!("run {number}: {} after {after:?} ({}): {:?}", done.0, done.1, ran.exit()));
        match ran.exit() {
            Some(0 | 3) => {
                world.assert_balanced();
                let verdict = world.verdict();
                assert!(verdict.is_clean(), "{verdict:?}\n{}\n{}", story.join("\n"), ran.stderr);
                return;
            }
            Some(4 | 5 | 130) | None if !peaceful => {}
            // A run that was killed in the middle may leave the next one something to give up on.
            Some(5) if number < TROUBLED + PEACEFUL => {}
            other => panic!("run {number} ended with {other:?}\n{}\n{}", story.join("\n"), ran.stderr),
        }
    }
    panic!("it does not end:\n{}", story.join("\n"));
}

/// Says how to do it again where it fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("chaos: seed {0} failed; replay: A2Z_CHAOS_SEED={0} cargo test --test suite chaos::", self.0);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    setting(name).map(|text| text.parse().unwrap_or_else(|_| panic!("`{name}` is no number: `{text}`")))
}

#[test]
fn whatever_happens_nobody_is_lost_or_doubled() {
    if let Some(seed) = number("A2Z_CHAOS_SEED") {
        let _seed = Seed(seed);
        chaos(seed);
        return;
    }
    let began = Instant::now();
    let first = number("A2Z_CHAOS_FIRST").unwrap_or(1);
    let wanted = number("A2Z_CHAOS_SEEDS");
    let mut done = 0;
    while done < wanted.unwrap_or(*SEEDS.end())
        && (wanted.is_some() || done < *SEEDS.start() || began.elapsed() < BOUND)
    {
        let seed = Seed(first + done);
        chaos(seed.0);
        println!("seed {} is done after {:?}", seed.0, began.elapsed());
        done += 1;
    }
    println!("{done} seeds in {:?}", began.elapsed());
}
