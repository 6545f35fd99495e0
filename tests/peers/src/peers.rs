//! The same loads of streams in squall and in two other simulators, one thread each.
//!
//! ```text
//! cd tests/peers && cargo run --release
//! ```
//!
//! | load | what is counted |
//! |---|---|
//! | `ping-pong` | messages of 64 bytes that bounce between two nodes on one connection |
//! | `bulk` | MiB that one node writes in pieces of 64 KiB and the other reads |
//! | `connect` | connections: opened, 64 bytes there and back, closed |
//!
//! Every load ends after so many operations, so all do the same work. Latency is 1 to 10 ms and
//! nothing goes wrong; squall runs with its digest on, as it always does. Rounds are interleaved
//! and the median counts. Absolute rates do not transfer between machines; ratios mostly do.

mod moonpool;
mod ours;
mod turmoil_tcp;

use std::process::ExitCode;
use std::time::Instant;

const ROUNDS: usize = 5;

/// The bytes of a message.
const MESSAGE: usize = 64;
/// The bytes of a piece of the bulk.
const PIECE: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Load {
    PingPong,
    Bulk,
    Connect,
}

impl Load {
    const ALL: [Load; 3] = [Load::PingPong, Load::Bulk, Load::Connect];

    fn name(self) -> &'static str {
        match self {
            Load::PingPong => "ping-pong",
            Load::Bulk => "bulk",
            Load::Connect => "connect",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Load::PingPong => "messages",
            Load::Bulk => "MiB",
            Load::Connect => "connections",
        }
    }
}

/// Does so many operations of a load.
type Run = fn(Load, u64);

/// Each simulator, and how many operations of each load take it some tenths of a second.
const PEERS: [(&str, Run, [u64; 3]); 3] = [
    ("squall", ours::run, [200_000, 500, 50_000]),
    ("moonpool-sim", moonpool::run, [100_000, 200, 20_000]),
    ("turmoil", turmoil_tcp::run, [10_000, 100, 2_000]),
];

/// Operations per second.
fn measure(run: Run, load: Load, operations: u64) -> f64 {
    let start = Instant::now();
    run(load, operations);
    operations as f64 / start.elapsed().as_secs_f64()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| Load::ALL.iter().any(|load| load.name() == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        eprintln!("there is no load {unknown:?}; the loads are ping-pong, bulk and connect");
        return ExitCode::from(2);
    }
    for (place, load) in Load::ALL.into_iter().enumerate() {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == load.name()) {
            continue;
        }
        let mut rates = [const { Vec::new() }; PEERS.len()];
        for _ in 0..ROUNDS {
            for ((_, run, operations), rates) in PEERS.iter().zip(&mut rates) {
                rates.push(measure(*run, load, operations[place]));
            }
        }
        let rates = rates.map(median);
        for ((name, _, _), rate) in PEERS.iter().zip(rates) {
            let (load, unit, times) = (load.name(), load.unit(), rates[0] / rate);
            println!("{load:<10} {name:<13} {rate:>12.0} {unit}/s; squall does {times:.1} times");
        }
    }
    ExitCode::SUCCESS
}
