//! Nodes on sockets, files and the system's clock: several in one process, on ports that are free.

mod clock; // Timers, cancelled sleeps, and the two clocks.
mod config; // Configurations from files, and what is refused.
mod disk; // Files, and who may have a directory.
#[cfg(all(feature = "faults", unix))]
mod faults; // Losses of power, and syncs that are left out.
mod hostile; // Peers that flood, stall, drip, and come again and again.
mod journal; // What was committed is there again, or its damage is noticed.
mod machine; // A state machine that outlives its node.
#[cfg(feature = "metrics")]
mod metrics; // What a recorder is told.
mod network; // Datagrams between nodes, guests and strangers.
mod node; // How nodes end, and how their tasks do.
mod streams; // Streams between nodes, guests and strangers.
mod support;
#[cfg(feature = "tls")]
mod tls; // Connections with certificates: who is taken, and who is not.
