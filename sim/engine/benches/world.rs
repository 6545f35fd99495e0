//! What the world costs, beside a plain event loop that does the same and nothing else.
//!
//! `cargo bench -p squall --bench world`. Figures are per message, timer or world; what counts is
//! the ratio of `squall` to `baseline` within one group.

#![allow(missing_docs, reason = "criterion's macros make public items")]

#[path = "world/baseline.rs"]
mod baseline;
#[path = "world/loads.rs"]
mod loads;

use baseline::{Floor, Load, MS};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use squall::Scenario;
use std::hint::black_box;
use std::time::Duration;

/// One group: a scenario and the floor that does the same, for so long a time.
fn compare(c: &mut Criterion, name: &str, scenario: &Scenario, nodes: u16, load: Load, ms: u64) {
    let plan = loads::calm(nodes);
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    let floor = || Floor::new(1, u32::from(nodes), load).run(ms * MS);
    group.throughput(Throughput::Elements(floor()));
    group.bench_function("baseline", |b| b.iter(|| black_box(floor())));
    let world = loads::run(scenario, 1, &plan, ms * MS);
    let done = if load == Load::Timers { world.events } else { world.messages };
    group.throughput(Throughput::Elements(done));
    let run = || loads::run(scenario, 1, &plan, ms * MS).events;
    group.bench_function("squall", |b| b.iter(|| black_box(run())));
    group.finish();
}

fn messages(c: &mut Criterion) {
    let simple = Load::PingPong;
    compare(c, "ping-pong", &loads::ping_pong(), 2, simple, 500_000);
    compare(c, "ping-pong-timeout", &loads::ping_pong_timeout(), 2, simple, 500_000);
    compare(c, "spawn", &loads::spawning(), 2, simple, 200_000);
    compare(c, "all-to-all-5", &loads::all_to_all(5), 5, Load::AllToAll, 20_000);
    compare(c, "all-to-all-50", &loads::all_to_all(50), 50, Load::AllToAll, 400);
    compare(c, "all-to-all-500", &loads::all_to_all(500), 500, Load::AllToAll, 30);
    compare(c, "timers", &loads::timers(), 1_000, Load::Timers, 5_000);
}

fn worlds(c: &mut Criterion) {
    let (scenario, plan) = (loads::ring(), loads::calm(5));
    let mut group = c.benchmark_group("create-drop");
    group.throughput(Throughput::Elements(1));
    let mut seed = 0;
    group.bench_function("baseline", |b| {
        b.iter(|| {
            seed += 1;
            black_box(Floor::new(seed, 5, Load::Ring).run(u64::MAX))
        });
    });
    group.bench_function("squall", |b| {
        b.iter(|| {
            seed += 1;
            black_box(loads::run(&scenario, seed, &plan, 1_000 * MS).events)
        });
    });
    group.finish();
}

/// Seeds of the register, with the plans that are drawn for them and the checker off.
fn register(c: &mut Criterion) {
    let scenario = squall_scenarios::register::atomic();
    let mut group = c.benchmark_group("register");
    group.throughput(Throughput::Elements(1));
    group.measurement_time(Duration::from_secs(5));
    let mut seed = 0;
    group.bench_function("squall", |b| {
        b.iter(|| {
            seed += 1;
            let plan = scenario.plan(seed % 2_000);
            black_box(loads::run(&scenario, seed % 2_000, &plan, u64::MAX).events)
        });
    });
    group.finish();
}

criterion_group!(benches, messages, worlds, register);
criterion_main!(benches);
