//! Tests that need more than one crate.

mod config;
mod config_http; // The store over HTTP, byte by byte. // A versioned key-value store on Raft, and those who watch it.
mod golden; // One small run of the register in words, as it always was.
mod http; // A register over HTTP with hyper, in the world and on sockets.
mod kv; // A service of tokio, before and after it was moved onto `Env`.
mod parity; // The same checks against the simulated and the real world.
mod pins; // Short runs of the weather and of Raft in words.
mod proptest; // proptest draws plans, and shrinks them to the same bug.
mod raft;
mod raft_cases;
mod raft_journal; // A journal of the first format still opens.
mod raft_leases;
mod raft_story;
mod raft_tested; // Exact scenarios: known bugs of Raft, told step by step.
mod register; // The atomic register under every fault that it survives, and its mutants.
mod register_story; // Exact scenarios: known bugs of the register, told step by step.
mod stories; // What is said of runs, in the words of their protocols.
