//! What episodes do.

use crate::table::Fault;
use serde::{Deserialize, Serialize};

/// What an episode does to whom. Nodes go by their readable names, as in `replica-2`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// The node is down, and then starts anew from its disk. Without `power_loss` its operating
    /// system lives on, and so does what it had in its caches.
    Crash {
        /// Who.
        node: String,
        /// Whether what was not synced may be lost.
        power_loss: bool,
    },
    /// As a crash; struck while the node recovers from the one before.
    CrashInRecovery {
        /// Who.
        node: String,
        /// Whether what was not synced may be lost.
        power_loss: bool,
    },
    /// The node crashes so many times, and is up in between, in equal parts of the episode.
    CrashLoop {
        /// Who.
        node: String,
        /// Whether what was not synced may be lost.
        power_loss: bool,
        /// How many crashes there are.
        times: u32,
    },
    /// The node is asked to stop. Once it has, or its grace is over, it is down until the episode
    /// ends; its operating system lives on.
    GracefulStop {
        /// Who.
        node: String,
        /// How long it may take, in nanoseconds.
        grace_ns: u64,
    },
    /// The node stands still.
    Pause {
        /// Who.
        node: String,
    },
    /// The node stands still, and so does its monotonic clock.
    Suspend {
        /// Who.
        node: String,
    },
    /// Messages to the node, its timers and its disk take longer, each by up to so much.
    SlowNode {
        /// Who.
        node: String,
        /// The most, in nanoseconds.
        by_ns: u64,
    },
    /// The node is down, and its disk is empty when it starts anew.
    Wipe {
        /// Who.
        node: String,
    },
    /// Both nodes start anew, each with the disk of the other; at the end the disks are put right
    /// and both start anew again.
    SwappedDisks {
        /// The two.
        nodes: Vec<String>,
    },
    /// No disk operation of the node completes.
    Stall {
        /// Who.
        node: String,
    },
    /// The disk operations of the node take longer.
    SlowDisk {
        /// Who.
        node: String,
        /// How many times as long.
        factor: u32,
    },
    /// On the node's disk files cannot be made and cannot grow.
    DiskFull {
        /// Who.
        node: String,
    },
    /// Syncs of the node answer well and write nothing; at the end everything is written.
    LyingSync {
        /// Who.
        node: String,
    },
    /// Bits of a sector of the node's disk flip.
    BitRot {
        /// Who.
        node: String,
    },
    /// The node's next write goes to another place.
    MisdirectedWrite {
        /// Who.
        node: String,
    },
    /// The node's disk is copied when the episode begins. After a while the node goes down, and
    /// starts anew with that copy.
    OldDisk {
        /// Who.
        node: String,
        /// How old the copy is when it is put in place, in nanoseconds.
        age_ns: u64,
    },
    /// These nodes and all others do not reach each other.
    Partition {
        /// The one side.
        nodes: Vec<String>,
    },
    /// These nodes do not reach the others, but hear them.
    PartitionOneWay {
        /// Who is not heard.
        nodes: Vec<String>,
    },
    /// This node reaches nobody and nobody reaches it.
    IsolateOne {
        /// Who.
        node: String,
    },
    /// The node that leads when the episode begins reaches nobody and nobody reaches it.
    IsolateLeader {},
    /// Each of these nodes hears a majority of them, its neighbours on a ring in this order.
    MajoritiesRing {
        /// The ring.
        nodes: Vec<String>,
    },
    /// These nodes and the others reach each other only by way of the bridge, which reaches all.
    Bridge {
        /// The bridge, and behind it the one side.
        nodes: Vec<String>,
    },
    /// What the first node sends to the second arrives only when the clog is over.
    ClogLink {
        /// The sender and the receiver.
        nodes: Vec<String>,
    },
    /// What the node sends and what is sent to it arrives only when the clog is over.
    ClogNode {
        /// Who.
        node: String,
    },
    /// As [`Kind::ClogNode`], for several nodes. Each is clogged at a time in the first half of the
    /// episode and freed at one in the second.
    SwizzleClog {
        /// Who.
        nodes: Vec<String>,
    },
    /// The node's wall clock jumps.
    WallStep {
        /// Who.
        node: String,
        /// By how much, in nanoseconds; negative is back.
        by_ns: i64,
    },
    /// The node's wall clock jumps to and fro.
    WallStrobe {
        /// Who.
        node: String,
        /// By how much, in nanoseconds.
        by_ns: i64,
        /// How long it stays at each place, in nanoseconds.
        every_ns: u64,
    },
}

impl Kind {
    /// The kind of fault.
    pub fn fault(&self) -> Fault {
        match self {
            Kind::Crash { .. } => Fault::Crash,
            Kind::CrashInRecovery { .. } => Fault::CrashInRecovery,
            Kind::CrashLoop { .. } => Fault::CrashLoop,
            Kind::GracefulStop { .. } => Fault::GracefulStop,
            Kind::Pause { .. } => Fault::Pause,
            Kind::Suspend { .. } => Fault::Suspend,
            Kind::SlowNode { .. } => Fault::SlowNode,
            Kind::Wipe { .. } => Fault::Wipe,
            Kind::SwappedDisks { .. } => Fault::SwappedDisks,
            Kind::Stall { .. } => Fault::Stall,
            Kind::SlowDisk { .. } => Fault::SlowDisk,
            Kind::DiskFull { .. } => Fault::DiskFull,
            Kind::LyingSync { .. } => Fault::LyingSync,
            Kind::BitRot { .. } => Fault::BitRot,
            Kind::MisdirectedWrite { .. } => Fault::MisdirectedWrite,
            Kind::OldDisk { .. } => Fault::OldDisk,
            Kind::Partition { .. } => Fault::Partition,
            Kind::PartitionOneWay { .. } => Fault::OneWay,
            Kind::IsolateOne { .. } => Fault::IsolateOne,
            Kind::IsolateLeader { .. } => Fault::IsolateLeader,
            Kind::MajoritiesRing { .. } => Fault::MajoritiesRing,
            Kind::Bridge { .. } => Fault::Bridge,
            Kind::ClogLink { .. } => Fault::ClogLink,
            Kind::ClogNode { .. } => Fault::ClogNode,
            Kind::SwizzleClog { .. } => Fault::SwizzleClog,
            Kind::WallStep { by_ns, .. } if *by_ns < 0 => Fault::WallBack,
            Kind::WallStep { .. } => Fault::WallForward,
            Kind::WallStrobe { .. } => Fault::WallStrobe,
        }
    }

    /// The nodes that are named.
    pub fn nodes(&self) -> &[String] {
        match self {
            Kind::Crash { node, .. }
            | Kind::CrashInRecovery { node, .. }
            | Kind::CrashLoop { node, .. }
            | Kind::GracefulStop { node, .. }
            | Kind::Pause { node }
            | Kind::Suspend { node }
            | Kind::SlowNode { node, .. }
            | Kind::Wipe { node }
            | Kind::Stall { node }
            | Kind::SlowDisk { node, .. }
            | Kind::DiskFull { node }
            | Kind::LyingSync { node }
            | Kind::BitRot { node }
            | Kind::MisdirectedWrite { node }
            | Kind::OldDisk { node, .. }
            | Kind::IsolateOne { node }
            | Kind::ClogNode { node }
            | Kind::WallStep { node, .. }
            | Kind::WallStrobe { node, .. } => std::slice::from_ref(node),
            Kind::Partition { nodes }
            | Kind::PartitionOneWay { nodes }
            | Kind::SwappedDisks { nodes }
            | Kind::MajoritiesRing { nodes }
            | Kind::Bridge { nodes }
            | Kind::ClogLink { nodes }
            | Kind::SwizzleClog { nodes } => nodes,
            Kind::IsolateLeader {} => &[],
        }
    }

    /// Whether the node goes down in the course of it.
    pub(crate) fn is_crash(&self) -> bool {
        matches!(
            self,
            Kind::Crash { .. }
                | Kind::CrashInRecovery { .. }
                | Kind::CrashLoop { .. }
                | Kind::GracefulStop { .. }
                | Kind::Wipe { .. }
                | Kind::OldDisk { .. }
        )
    }

    /// Whether it happens at once, so that there is nothing to end.
    pub(crate) fn is_instant(&self) -> bool {
        matches!(self, Kind::WallStep { .. } | Kind::BitRot { .. } | Kind::MisdirectedWrite { .. })
    }

    /// Whether it is for links alone, so that no node is impaired by it.
    pub(crate) fn is_network(&self) -> bool {
        self.fault().row().group == crate::table::Group::Network
    }
}
