//! What the world costs, beside a plain event loop that does the same and nothing else.
//!
//! `cargo bench -p squall --bench world`. Figures are per message, timer or world; what counts is
//! the ratio of `squall` to `baseline` within one group, since absolute times do not transfer
//! between machines. Instructions are counted by the example `instructions`.

#[path = "world/baseline.rs"]
mod baseline;
#[path = "world/cases.rs"]
mod cases;
#[path = "world/loads.rs"]
mod loads;
#[path = "world/streams.rs"]
mod streams;

use criterion::{Criterion, Throughput};
use mimalloc::MiMalloc;
use std::hint::black_box;
use std::time::Duration;

/// As in the `squall` command.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How many seeds of the register one measurement runs: enough that their mean has settled.
const SEEDS: u64 = 200;

/// A load on both sides. Where chance decides how many operations a run has, each side is measured
/// by its own number.
fn compare(criterion: &mut Criterion, name: &str) {
    let case = cases::case(name).expect("every name has a case");
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(case.baseline(case.length)));
    group.bench_function("baseline", |b| b.iter(|| case.baseline(black_box(case.length))));
    group.throughput(Throughput::Elements(case.squall(case.length)));
    group.bench_function("squall", |b| b.iter(|| case.squall(black_box(case.length))));
    group.finish();
}

/// Seeds of the register: with the plans that a sweep draws for them, and with a few faults in
/// each. Both are checked as in a sweep, and the second is measured with every checker off as well:
/// no history is judged, no invariant or audit is checked; panics, deadlocks and goals that are
/// missed still fail a run.
fn register(criterion: &mut Criterion, name: &str) {
    let (weather, checks) = cases::register_case(name).expect("every name has a case");
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(SEEDS));
    group.bench_function("squall", |b| {
        b.iter(|| cases::register(weather, checks, 0..black_box(SEEDS)));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for name in cases::NAMES {
        compare(&mut criterion, name);
    }
    for name in cases::REGISTERS {
        register(&mut criterion, name);
    }
    criterion.final_summary();
}
