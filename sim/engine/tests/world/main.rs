//! Tests of the simulated world: what each fault does, and that a run is a function of its seed.

mod conditions; // What a property may ask of the weather, and faults that meet.
mod crash; // A crash is a crash: nothing of the old boot has any effect.
mod determinism; // Which choices move with which, and that runs repeat.
mod disk; // What a power loss keeps.
mod faults; // Every fault: its effect, and its absence when off.
mod futures; // Other futures of one past, and priorities in place of chance.
mod histories; // What is recorded of operations, and in which order.
mod hostile; // Repro files that nobody wrote are refused, or run to an end.
mod kinds; // Each kind of property: shown state, audits, watermarks, combinations.
mod ledger; // Never more impaired nodes than the scenario tolerates.
mod ledger_pressure; // The same, when everything strikes at once.
mod ledger_weather; // The same under weather that is drawn, and what each fault takes.
mod messages; // What arrives of typed messages.
mod overrides; // A message is found by its hash, else its count, else its time.
mod probe; // A small system that uses everything a node has.
mod reports; // Each kind of failure is reported as what it is.
mod script; // What each verb of a script does, and that nothing happens without it.
mod slots; // Which answers a slot for disk operations hands out.
mod steps; // How the I/O steps of a node are counted.
mod stream_faults; // What each fault of streams does to connections.
mod streams; // What a stream promises.
mod sync; // Channels, semaphores and the like, under cancellation.
mod unchecked; // What runs with every checker off still find.
mod weather; // What each fault of nodes, disks and links does.
