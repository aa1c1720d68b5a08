//! Many users through many faults: `scripts/soak 200000`. Prints figures; not part of a plain run of the tests.

use std::time::{Duration, Instant};

use a2z::sandbox::{
    faults::{Fault, RetryAfter, Rule, When},
    tenant::{Tenant, TenantOptions},
};

use crate::harness::{World, setting};

/// Each of these hits so many of a thousand requests to ZITADEL: 5 % together.
const FAULTS: [(u32, Fault); 8] = [
    (8, Fault::LoseAnswer),
    (7, Fault::CutAnswer),
    (7, Fault::DropRequest),
    (7, Fault::TooMany(RetryAfter::Seconds(1))),
    (7, Fault::Unavailable(RetryAfter::No)),
    (5, Fault::BadGateway),
    (5, Fault::HtmlBody),
    (4, Fault::ImportTimeout),
];

#[test]
#[ignore = "takes long; see scripts/soak"]
fn many_users_and_one_fault_in_twenty() {
    let users: u64 = setting("A2Z_SOAK").map_or(200_000, |text| text.parse().unwrap());
    let world = World::of(Tenant::made_up(TenantOptions { users, seed: 4, oddity_rate: 0.01 }))
        .zitadel(|options| options.lag = Duration::from_millis(500))
        .faults(
            FAULTS
                .into_iter()
                .zip(1..)
                .map(|((hits, fault), seed)| Rule::new("", When::PerMille { hits, seed }, fault)),
        )
        .start();
    let (began, mut runs, mut peak) = (Instant::now(), 0, 0);
    loop {
        runs += 1;
        let mut running = world.cutover().spawn();
        let status = format!("/proc/{}/status", running.id());
        while !running.has_ended() {
            let kib = std::fs::read_to_string(&status).ok().and_then(|status| {
                let line = status.lines().find(|line| line.starts_with("VmHWM:"))?.to_owned();
                line.split_whitespace().nth(1)?.parse::<u64>().ok()
            });
            peak = peak.max(kib.unwrap_or_default());
            std::thread::sleep(Duration::from_millis(100));
        }
        let ran = running.wait();
        println!("run {runs}: exit {:?}", ran.exit());
        match ran.exit() {
            Some(3) => break,
            Some(5) if runs < 20 => println!("{}", ran.error()),
            other => panic!("{other:?}\n{}", ran.stderr),
        }
    }
    let took = began.elapsed();
    world.assert_balanced();
    let verdict = world.verdict();
    let (requests, report) = (world.zitadel.requests(), world.report());
    let hit = requests.iter().filter(|seen| seen.fault.is_some()).count();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = world.balance("created") as f64 / report["timing"]["import_s"].as_f64().unwrap();
    println!(
        "{users} users, {runs} runs, {took:.0?}; import of the last run: {rate:.0} users/s\n\
         requests {}, of which {hit} met a fault\npeak memory of a2z {} MiB\nbalance {}\ntiming {}\n\
         lost {}, doubled {}, incomplete {}, false outcomes {}, mails {}",
        requests.len(),
        peak / 1024,
        report["balance"],
        report["timing"],
        verdict.lost.len(),
        verdict.doubled.len(),
        verdict.incomplete.len(),
        verdict.false_outcomes.len(),
        verdict.mails,
    );
    assert!(verdict.is_clean(), "{verdict:?}");
}
