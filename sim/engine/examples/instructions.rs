//! Runs one load of the benchmarks for a length that is given, so that its instructions can be
//! counted. Counts do not flap as times do, and a gate can hold them to a percent.
//!
//! ```text
//! cargo build --release -p squall --example instructions
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!     target/release/examples/instructions ping-pong squall 100000
//! ```
//!
//! It prints how many operations (messages, timers, worlds, seeds, pieces of 64 KiB, connections)
//! the run did, and callgrind how many instructions it collected. Run it with two lengths:
//! instructions per operation are the difference of the instructions over the difference of the
//! operations, in which the start and end of the process, and what a world costs once, cancel out.
//!
//! | load | length | two good lengths |
//! |---|---|---|
//! | `ping-pong`, `ping-pong-timeout`, `spawn` | ms of simulated time | 100000 and 200000 |
//! | `all-to-all-5` | ms of simulated time | 5000 and 10000 |
//! | `all-to-all-50` | ms of simulated time | 100 and 200 |
//! | `timers` | ms of simulated time | 1000 and 2000 |
//! | `stream-ping-pong`, `connect` | ms of simulated time | 100000 and 200000 |
//! | `stream-bulk` | ms of simulated time | 2000 and 4000 |
//! | `create-drop` | worlds | 200 and 400 |
//! | `register`, `register-everyday` (no baseline) | seeds | 50 and 100 |
//! | `register-everyday-unchecked` (no baseline) | seeds | 50 and 100 |
//!
//! With a file for `--callgrind-out-file`, `callgrind_annotate` shows where they go.

#[path = "../benches/world/baseline.rs"]
mod baseline;
#[path = "../benches/world/cases.rs"]
mod cases;
#[path = "../benches/world/loads.rs"]
mod loads;
#[path = "../benches/world/streams.rs"]
mod streams;

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// As in the `squall` command.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs what the arguments say, and gives how many operations that were. Without a length it is
/// that of the benchmark.
fn measure(name: &str, side: &str, length: Option<&str>) -> Option<u64> {
    let length = match length {
        Some(text) => Some(text.parse().ok().filter(|length| *length > 0)?),
        None => None,
    };
    if let (Some((weather, checks)), "squall") = (cases::register_case(name), side) {
        let seeds = length.unwrap_or(200);
        let (operations, events) = cases::register(weather, checks, 0..seeds);
        println!("{operations} operations of clients, {events} events");
        return Some(seeds);
    }
    let case = cases::case(name)?;
    let length = length.unwrap_or(case.length);
    match side {
        "squall" => Some(case.squall(length)),
        "baseline" => Some(case.baseline(length)),
        _ => None,
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let measured = match arguments.as_slice() {
        [name, side] => measure(name, side, None),
        [name, side, length] => measure(name, side, Some(length)),
        _ => None,
    };
    let Some(operations) = measured else {
        eprintln!("usage: instructions LOAD squall|baseline [LENGTH]");
        eprintln!(
            "loads: {}; of squall only {}",
            cases::NAMES.join(", "),
            cases::REGISTERS.join(", ")
        );
        return ExitCode::from(2);
    };
    println!("{operations} operations");
    ExitCode::SUCCESS
}
