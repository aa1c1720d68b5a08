//! The hash index: 100,000 rows loaded, and found again.
#![expect(clippy::unwrap_used, reason = "a bench")]

use std::{fmt::Write as _, hint::black_box};

use a2z::{
    config::Source,
    event::Events,
    hashes::{HashIndex, LoadOptions},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const ROWS: u64 = 100_000;

fn join(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hashes.ndjson");
    let mut text = String::new();
    for n in 0..ROWS {
        let _ = writeln!(
            text,
            "{{\"_id\":{{\"$oid\":\"{n:024x}\"}},\"email_verified\":true,\"email\":\"user{n}@example.com\",\
             \"passwordHash\":\"$2b$10${n:.>53}\",\"password_set_date\":{{\"$date\":\"2019-12-06T18:36:12.412Z\"}},\
             \"tenant\":\"t\",\"connection\":\"Username-Password-Authentication\",\"_tmp_is_unique\":true}}"
        );
    }
    std::fs::write(&path, text).unwrap();
    let source = [Source::File(path)];
    let options = LoadOptions { max_line: 1 << 20, ..LoadOptions::default() };
    let load = || HashIndex::load(&source, &options, &Events::silent()).unwrap();

    let mut group = criterion.benchmark_group("join");
    group.throughput(Throughput::Elements(ROWS)).sample_size(10);
    group.bench_function("load", |bench| bench.iter_batched(|| (), |()| load(), BatchSize::PerIteration));
    let index = load();
    let ids: Vec<_> = (0..ROWS).map(|n| format!("{n:024x}")).collect();
    group.bench_function("find", |bench| {
        bench.iter(|| {
            for id in &ids {
                black_box(index.find(Some("Username-Password-Authentication"), id));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, join);
criterion_main!(benches);
