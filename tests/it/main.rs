//! Tests that need more than one crate.

mod breaker;
mod config; // A versioned key-value store on Raft, and those who watch it.
mod config_http; // The store over HTTP, byte by byte.
mod golden; // One small run of the register in words, as it always was.
mod http; // A register over HTTP with hyper, in the world and on sockets.
mod kv; // A service of tokio, before and after it was moved onto `Env`.
mod lock;
mod parity; // The same checks against the simulated and the real world.
mod pins; // Short runs of the weather and of Raft in words.
mod proptest; // proptest draws plans, and shrinks them to the same bug.
mod raft;
mod raft_cases; // Quorums and configurations as another Raft has them.
mod raft_journal;
mod raft_lab; // Journals of earlier versions still open.
mod raft_story; // Exact scenarios: known bugs of Raft, told step by step.
mod raft_tested; // The table of what is tested is true.
mod register; // The atomic register under every fault that it survives, and its mutants.
mod register_story; // Exact scenarios: known bugs of the register, told step by step.
mod saga; // Orders as sagas, the figures of the demo, and the mutants.
mod specimens;
mod stories; // What is said of runs, in the words of their protocols.

/// Each of them breaks the property that it names, in one of so many runs at least.
fn assert_found(broken: Vec<squall::Scenario>, seeds: u64) {
    for scenario in broken {
        let property = scenario.broken_property().expect("it names what it breaks");
        let breaks = |seed| {
            squall::run(&scenario, seed).failure.is_some_and(|failure| failure.property == property)
        };
        assert!((0..seeds).any(breaks), "{} was not found", scenario.name());
    }
}
