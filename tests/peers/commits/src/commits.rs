//! Committed entries per second of Raft in memory: three members, 64 bytes each.
//!
//! ```text
//! cd tests/peers && cargo run --release -p commits
//! ```
//!
//! `solo` has one proposal under way at a time, `pipelined` 64 that are made at once. Messages are
//! queued and delivered in turn, all that wait for a member at a time, and there is no time. What
//! is written is durable at once, but in the simulator, which has disks, links and its digest.
//! Rounds are interleaved and the median counts. Absolute rates do not transfer between machines;
//! ratios mostly do.

mod open_raft;
mod ours;
mod simulated;
mod state;
mod tikv;

use std::process::ExitCode;
use std::time::Instant;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;

/// The bytes of a proposal.
const BYTES: usize = 64;
/// The log is compacted after so many entries.
const COMPACTED: u64 = 8_192;
/// So many entries are kept behind a compaction.
const KEPT: u64 = 64;

/// How many proposals are under way.
const LOADS: [(&str, u64); 2] = [("solo", 1), ("pipelined", 64)];

/// Commits so many entries, with so many under way.
type Run = fn(entries: u64, under_way: u64);

/// Each Raft, and how many entries take it some tenths of a second.
const PEERS: [(&str, Run, u64); 5] = [
    ("tikv raft", tikv::run, 131_072),
    ("tikv raft, skip_bcast_commit", tikv::run_quietly, 131_072),
    ("openraft", open_raft::run, 16_384),
    ("squall's", ours::run, 131_072),
    ("squall's, simulated", simulated::run, 65_536),
];

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// `commits LOAD PEER ENTRIES` runs one of them alone, for a profiler.
fn single(arguments: &[String]) -> Option<()> {
    let [load, peer, entries] = arguments else { return None };
    let (_, under_way) = LOADS.iter().find(|(name, _)| name == load)?;
    let (_, run, _) = PEERS.iter().find(|(name, _, _)| name == peer)?;
    run(entries.parse().ok()?, *under_way);
    Some(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        return match single(&arguments) {
            Some(()) => ExitCode::SUCCESS,
            None => {
                eprintln!("right is nothing, or a load, a name and a number of entries");
                ExitCode::from(2)
            }
        };
    }
    for (load, under_way) in LOADS {
        let mut rates = [const { Vec::new() }; PEERS.len()];
        for _ in 0..ROUNDS {
            for ((_, run, entries), rates) in PEERS.iter().zip(&mut rates) {
                let start = Instant::now();
                run(*entries, under_way);
                rates.push(*entries as f64 / start.elapsed().as_secs_f64());
            }
        }
        let rates = rates.map(median);
        for ((name, _, _), rate) in PEERS.iter().zip(rates) {
            let times = rate / rates[0];
            println!("{load:<10} {name:<29} {rate:>10.0} entries/s, {times:.2} of tikv's");
        }
    }
    ExitCode::SUCCESS
}
