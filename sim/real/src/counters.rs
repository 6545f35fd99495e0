//! What a node counts: frames, drops by reason, connections.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one node, which go on counting while they are read.
        #[derive(Default, Debug)]
        pub struct Counters {
            $(pub(crate) $name: Count,)+
        }

        /// What the counters of a node stood at. Each counts from the start of the node.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// What the counters stand at, each by itself: no two are read at the same moment.
            pub fn metrics(&self) -> Metrics {
                Metrics { $($name: self.$name.get(),)+ }
            }
        }
    };
}

counters! {
    /// Frames that the operating system has taken. They may still be lost.
    frames_sent,
    /// Frames that arrived whole.
    frames_received,
    /// Datagrams that were larger than a datagram may be.
    dropped_too_large,
    /// Datagrams that found the queue of their peer full.
    dropped_queue_full,
    /// Datagrams for a node that has no address and no connection.
    dropped_no_route,
    /// Frames whose connection broke while they were written or waited in its queue. Those that
    /// were being written may have arrived.
    dropped_broken,
    /// Frames that were thrown away because their peer cannot be reached.
    dropped_unreachable,
    /// Datagrams that found the queue of their port full.
    dropped_inbox_full,
    /// Datagrams for a port that nobody has bound.
    dropped_unbound,
    /// Connections to peers that were opened and greeted.
    connects,
    /// Those among `connects` that replaced one that had broken.
    reconnects,
    /// Attempts to connect to a peer that failed.
    connects_failed,
    /// Connections from peers that were greeted and taken.
    accepts,
    /// Streams to peers that came to stand.
    stream_connects,
    /// Attempts to open a stream to a peer that failed.
    stream_connects_failed,
    /// Streams from peers that were greeted and put before a listener.
    stream_accepts,
    /// Connections from peers that were not taken: for what they said, because they said nothing,
    /// or because there are too many.
    refused,
    /// Connections that were closed because of a frame that is damaged or too large.
    malformed,
    /// How often somebody had to wait for room in the queue of the disk.
    disk_waits,
    /// Messages that came in and that no correct peer sends, as protocols report them.
    rejected,
}

/// One counter.
#[derive(Default, Debug)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
