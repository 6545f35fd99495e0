//! How much is allocated does not grow with the length of a run. One test, since the counting
//! allocator is the whole process's.

#[path = "../benches/world/baseline.rs"]
#[allow(dead_code, reason = "the floor itself is not measured here")]
mod baseline;
#[path = "../benches/world/loads.rs"]
#[allow(dead_code, reason = "not every load is measured here")]
mod loads;

use squall::Scenario;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// How many blocks a run of so many simulated milliseconds allocates.
fn blocks(scenario: &Scenario, nodes: u16, ms: u64) -> u64 {
    let plan = loads::calm(nodes);
    let before = dhat::HeapStats::get().total_blocks;
    loads::run(scenario, 1, &plan, ms * baseline::MS);
    dhat::HeapStats::get().total_blocks - before
}

#[test]
fn a_longer_run_allocates_no_more() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let loads: [(&str, Scenario, u16, u64); 4] = [
        ("ping-pong", loads::ping_pong(), 2, 2_000),
        ("ping-pong-timeout", loads::ping_pong_timeout(), 2, 2_000),
        ("all-to-all", loads::all_to_all(5), 5, 2_000),
        ("timers", loads::timers(), 1_000, 1_000),
    ];
    for (name, scenario, nodes, ms) in loads {
        // The first run of a process sets up what all share.
        blocks(&scenario, nodes, ms);
        let (short, long) = (blocks(&scenario, nodes, ms), blocks(&scenario, nodes, 10 * ms));
        // A queue may meet its greatest length later, which is one doubling of one buffer.
        assert!(long <= short + 4, "{name}: {short} blocks, and {long} in ten times the time");
    }
}
