//! Every state of the same systems, visited by squall and by stateright, one thread each.
//!
//! ```text
//! cd tests/peers && cargo run --release -p explore
//! ```
//!
//! Each measurement is a process of its own, so that its peak of memory is its own; rounds are
//! interleaved and the median counts. The number of states must be the same, or nothing is said.

#[path = "../../../../scenarios/src/models/paxos.rs"]
mod paxos;
mod stateright_models;
#[path = "../../../../scenarios/src/models/two_phase.rs"]
mod two_phase;

use paxos::Paxos;
use squall::explore::{Ended, Explored, Limits, breadth_first, depth_first};
use stateright::{Checker, Model};
use stateright_models::{TwoPhase, Unchanged};
use std::fs;
use std::hash::Hash;
use std::process::{Command, ExitCode};
use std::time::Instant;
use two_phase::TwoPhaseCommit;

const ROUNDS: usize = 3;

/// The systems and sizes: resource managers, proposers.
const SYSTEMS: [(&str, usize); 6] =
    [("2pc", 5), ("2pc", 6), ("2pc", 7), ("2pc", 8), ("paxos", 2), ("paxos", 3)];

const WAYS: [&str; 5] = [
    "squall",
    "squall-depth-first",
    "squall-on-stateright-model",
    "stateright-bfs",
    "stateright-dfs",
];

/// The states and the steps between them.
type Counts = (u64, u64);

fn counts(explored: &Explored) -> Counts {
    assert_eq!(explored.ended, Ended::Complete);
    (explored.states, explored.transitions)
}

fn ours<M: squall::explore::Model>(depth: bool, model: &M) -> Counts {
    let limits = Limits::default();
    counts(&if depth { depth_first(model, &limits) } else { breadth_first(model, &limits) })
}

fn theirs<M>(depth: bool, model: M) -> Counts
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq + Send + Sync,
{
    fn joined<M: Model>(checker: impl Checker<M>) -> Counts
    where
        M::State: Clone + Hash + PartialEq,
        M::Action: Clone + PartialEq,
    {
        let initial = 1;
        (checker.unique_state_count() as u64, checker.state_count() as u64 - initial)
    }
    let checker = model.checker().threads(1);
    if depth { joined(checker.spawn_dfs().join()) } else { joined(checker.spawn_bfs().join()) }
}

fn two_phase(size: usize, depth: bool) -> Counts {
    match size {
        5 => ours(depth, &TwoPhaseCommit::<5>),
        6 => ours(depth, &TwoPhaseCommit::<6>),
        7 => ours(depth, &TwoPhaseCommit::<7>),
        _ => ours(depth, &TwoPhaseCommit::<8>),
    }
}

/// One measurement: prints states, transitions, seconds and the peak of memory in KiB.
fn measure(way: &str, system: &str, size: usize) {
    let depth = way.ends_with("first") || way.ends_with("dfs");
    let paxos = system == "paxos";
    let start = Instant::now();
    let (states, transitions) = match (way, paxos) {
        ("squall" | "squall-depth-first", false) => two_phase(size, depth),
        ("squall" | "squall-depth-first", true) if size == 2 => ours(depth, &Paxos::<2>),
        ("squall" | "squall-depth-first", true) => ours(depth, &Paxos::<3>),
        ("squall-on-stateright-model", false) => ours(depth, &Unchanged(TwoPhase(size))),
        ("squall-on-stateright-model", true) => {
            ours(depth, &Unchanged(stateright_models::paxos(size)))
        }
        (_, false) => theirs(depth, TwoPhase(size)),
        (_, true) => theirs(depth, stateright_models::paxos(size)),
    };
    let seconds = start.elapsed().as_secs_f64();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next()).unwrap_or("0");
    println!("{states} {transitions} {seconds} {kib}");
}

#[derive(Clone, Copy)]
struct Measured {
    counts: Counts,
    seconds: f64,
    mib: f64,
}

fn in_a_process(way: &str, system: &str, size: usize) -> Option<Measured> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new(program).args([way, system, &size.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace();
    let counts = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let seconds = numbers.next()?.parse().ok()?;
    let kib: f64 = numbers.next()?.parse().ok()?;
    Some(Measured { counts, seconds, mib: kib / 1024.0 })
}

fn median(measured: &mut [Measured]) -> Measured {
    measured.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    measured[measured.len() / 2]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [way, system, size] = &arguments[..] {
        let Ok(size) = size.parse() else { return ExitCode::from(2) };
        measure(way, system, size);
        return ExitCode::SUCCESS;
    }
    let wanted = |system: &str| arguments.is_empty() || arguments.iter().any(|one| one == system);
    for (system, size) in SYSTEMS.into_iter().filter(|(system, _)| wanted(system)) {
        let mut all: [Vec<Measured>; WAYS.len()] = Default::default();
        for _ in 0..ROUNDS {
            for (way, measured) in WAYS.iter().zip(&mut all) {
                let Some(one) = in_a_process(way, system, size) else {
                    eprintln!("{way} did not visit {system} {size}");
                    return ExitCode::FAILURE;
                };
                measured.push(one);
            }
        }
        let first = all[0][0].counts;
        if all.iter().flatten().any(|one| one.counts != first) {
            eprintln!("{system} {size}: not all visited the same states");
            return ExitCode::FAILURE;
        }
        println!("{system} {size}: {} states, {} transitions", first.0, first.1);
        for (way, measured) in WAYS.iter().zip(&mut all) {
            let Measured { seconds, mib, .. } = median(measured);
            let rate = first.0 as f64 / seconds;
            println!("  {way:<27} {rate:>11.0} states/s  {seconds:>8.3} s  {mib:>8.1} MiB");
        }
    }
    ExitCode::SUCCESS
}
