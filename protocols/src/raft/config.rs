//! What a member is started with.

use squall_env::NodeId;
use std::time::Duration;

/// What a member is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The voters of a new cluster, the same on each of them; nobody on a node that is to join a
    /// cluster, which will learn from a leader who its members are. A node remembers what it was
    /// told first, and then what the log says.
    pub voters: Vec<NodeId>,
    /// A follower that hears from no leader for this long, or up to twice as long, asks for votes;
    /// it waits twice as long after each election that came to nothing, up to sixteen times.
    pub election_timeout: Duration,
    /// How often a leader tells its followers that it is there: well below the election timeout.
    pub heartbeat: Duration,
    /// If set, a leader that a quorum has answered answers reads by itself as long as none of them
    /// elects another (section 6.4.1): somewhat less than the election timeout, which has to be the
    /// same everywhere. It is right only if no member's clock ever runs faster than another's by
    /// more than so many millionths, nor stands still while the machine is suspended.
    pub lease_drift_max_ppm: Option<u32>,
    /// Whether a member whose last records are torn takes into account that they may have been
    /// committed and damaged later. It then counts for nothing in elections until its log has been
    /// repaired, or all voters have said that they have nothing of it; so a torn tail and a member
    /// that is gone for good can together bring a cluster of three to a stand. Without it, a disk
    /// that damages the last batch of its own accord can lose what was committed.
    pub doubts_torn_tails: bool,
    /// The most entries in a message.
    pub entries_max: usize,
    /// The most bytes of entries, or of a snapshot, in a message, but for a single entry.
    pub bytes_max: usize,
    /// The most messages with entries that are under way to a follower.
    pub under_way_max: usize,
    /// The most bytes of a command, encoded; a larger one is refused. It has to fit into a message
    /// ([`DATAGRAM_MAX`](squall_env::platform::DATAGRAM_MAX)) with all that goes with it.
    pub command_max: usize,
    /// The most bytes of entries that may wait to be committed; beyond it proposals are refused.
    pub uncommitted_max: usize,
    /// A snapshot takes the place of so many entries at a time: the same on all members, so that
    /// they have the same snapshots and one may go on where another left off.
    pub snapshot_entries: u64,
    /// A snapshot takes the place of all entries that are applied once they have so many bytes:
    /// well below `log_max`.
    pub snapshot_bytes: usize,
    /// So many applied entries stay, for followers that are not far behind.
    pub tail_entries: u64,
    /// The most bytes of entries behind the snapshot; beyond it proposals are refused.
    pub log_max: usize,
}

impl Config {
    /// The thesis's times for a local network (section 9.3): 150 to 300 ms, a heartbeat every
    /// 50 ms; messages of at most 64 KiB, and 64 of them under way; commands of at most 512 KiB; a
    /// snapshot of every 8 192 entries or 16 MiB, and a log of at most 64 MiB behind it.
    pub fn of(voters: Vec<NodeId>) -> Config {
        Config {
            voters,
            election_timeout: Duration::from_millis(150),
            heartbeat: Duration::from_millis(50),
            lease_drift_max_ppm: None,
            doubts_torn_tails: false,
            entries_max: 1_024,
            bytes_max: 64 << 10,
            under_way_max: 64,
            command_max: 512 << 10,
            uncommitted_max: 16 << 20,
            snapshot_entries: 8_192,
            snapshot_bytes: 16 << 20,
            tail_entries: 4_096,
            log_max: 64 << 20,
        }
    }
}
