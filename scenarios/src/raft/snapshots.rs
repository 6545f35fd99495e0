//! Raft with snapshots of a few entries, sent in parts of a few bytes.

use super::{DURABLE, NEVER_BACK, QUORUMS, STATES, Value, cluster, members, mutant_of};
use squall::Scenario;
use squall::plan::Forecast;
use squall_env::Env;
use squall_protocols::raft::{Config, ServeError, serve};
use std::ops::RangeInclusive;

/// The cluster of `raft/register`, where every run compacts the log and many send a snapshot.
pub fn snapshots() -> Scenario {
    of(3..=5)
}

fn of(count: RangeInclusive<u16>) -> Scenario {
    cluster(Scenario::new("raft/snapshots").nodes("member", count, member))
        .sometimes("a follower was sent a snapshot")
        .sometimes("a transfer of a snapshot resumed")
        .sometimes("another leader went on with a snapshot")
        .sometimes("a restart recovered from a snapshot")
        .sometimes("a proposal was refused for want of room")
}

async fn member(env: Env) -> Result<(), ServeError> {
    let mut config = Config::of(members(&env));
    config.snapshot_entries = 4;
    config.tail_entries = 2;
    // Commands have some 40 bytes.
    config.snapshot_bytes = 60;
    config.log_max = 120;
    // A snapshot has some dozens of bytes: many parts, some, or one.
    config.bytes_max = [4, 16, 1_024][env.random_below(3) as usize];
    serve::<Value>(env, config).await
}

/// One line gone wrong, each in its own way.
pub(super) fn mutants() -> Vec<Scenario> {
    let mutant = |switch, breaks| mutant_of(snapshots(), switch, breaks);
    vec![
        mutant("raft/snapshots-without-sessions", STATES),
        mutant("raft/snapshot-index-off-by-one", STATES),
        mutant("raft/compacts-entries-that-are-not-applied", DURABLE),
        mutant("raft/installs-older-snapshots", NEVER_BACK),
        mutant("raft/restarts-with-an-empty-state", STATES),
        mutant("raft/restores-into-the-old-state", STATES),
        mutant("raft/applies-while-it-installs", NEVER_BACK),
        mutant_of(overtaken(), "raft/discards-entries-behind-a-snapshot", QUORUMS),
    ]
}

/// The same where messages overtake each other and come twice: then a snapshot comes to a log that
/// has what is behind it already.
fn overtaken() -> Scenario {
    of(3..=3).under(Forecast::read("reordering,duplication").expect("a faults of the table"))
}
