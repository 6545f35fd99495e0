//! Tests that need more than one crate.

mod breaker;
mod breaker_tutorials; // The figures that tutorials on breakers have.
mod bulkhead; // Places for the calls of each service, one of which is slow.
mod bus; // Posts on a bus, and those who subscribe to them.
mod bus_contract; // What every backend of a bus keeps, on real files too.
mod config; // A versioned key-value store on Raft, and those who watch it.
mod config_http; // The store over HTTP, byte by byte.
mod cqrs; // Commands, views and rebuilds: in both worlds, on SQLite and under crashes.
mod event_store; // What happened, kept for ever; and those who decide on it.
mod first_formats; // What queues and buses of earlier versions wrote still opens.
mod golden; // One small run of the register in words, as it always was.
mod http; // A register over HTTP with hyper, in the world and on sockets.
mod killed; // Processes that are killed while they write to SQLite, and what is left.
mod kv; // A service of tokio, before and after it was moved onto `Env`.
mod limiter; // A limiter for each key, whatever clocks do.
mod lock;
mod lock_story; // Exact scenarios: what goes wrong with locks, told step by step.
mod outbox; // Orders that are saved and published as one, and booked once.
mod outbox_contract; // What every outbox does for relays.
mod outbox_sqlite; // An outbox in a file, beside the tables that its letters tell of.
mod parity; // The same checks against the simulated and the real world.
mod pins; // Short runs of the weather and of Raft in words.
mod proptest; // proptest draws plans, and shrinks them to the same bug.
mod queue; // Work on a reliable queue: done once, or kept with the reason why not.
mod queue_contract; // What every backend of a queue keeps, on real files too.
mod queue_flaws; // And who does not is found out.
mod raft;
mod raft_cases; // Quorums and configurations as another Raft has them.
mod raft_journal; // Journals of earlier versions still open.
mod raft_lab; // The limits that labs of Raft have: messages, time and bytes.
mod raft_story; // Exact scenarios: known bugs of Raft, told step by step.
mod raft_tested; // The table of what is tested is true.
mod redis_model; // A model of a server beside the real one.
mod register; // The atomic register under every fault that it survives, and its mutants.
mod register_story; // Exact scenarios: known bugs of the register, told step by step.
mod resilience; // Breakers, limiters, bulkheads and retries, by hand.
mod retry; // Retries before a service that has too much to do.
mod saga; // Orders as sagas, the figures of the demo, and the mutants.
mod services_demo; // Services over a bus, with the figures that tutorials have.
mod shop; // All patterns together.
mod specimens;
mod stories; // What is said of runs, in the words of their protocols.
mod tower; // The same as layers of tower.
mod tower_deadlines; // Deadlines that requests carry through them.
mod unit_of_work; // Tables on a journal and on SQLite, and transfers under crashes.

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
