//! What a node counts: frames, drops by reason, connections, and how long the disk takes.
//!
//! With the feature `metrics`, which is on by default, all of it also goes to the recorder that the
//! program has installed when the node starts: counters as `squall_NAME_total`, and the time that
//! syncs take as the histogram `squall_disk_sync_seconds`, each with the node's name as the label
//! `node`.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many of the classes of latencies there are: the last is for all from 34 s up.
pub const LATENCIES: usize = 26;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one node, which go on counting while they are read.
        #[derive(Default, Debug)]
        pub struct Counters {
            $(pub(crate) $name: Count,)+
            syncs: Latencies,
        }

        /// What the counters of a node stood at. Each counts from the start of the node.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// The counters of a node with this name, which whoever records metrics is told of.
            #[cfg(feature = "metrics")]
            pub(crate) fn of(node: &str) -> Counters {
                let node = || node.to_owned();
                $(
                    let about = concat!($($doc),+).trim();
                    metrics::describe_counter!(
                        concat!("squall_", stringify!($name), "_total"), about
                    );
                    let $name = metrics::counter!(
                        concat!("squall_", stringify!($name), "_total"), "node" => node()
                    );
                    let $name = Count { own: AtomicU64::new(0), outside: $name };
                )+
                metrics::describe_histogram!(
                    SYNC_SECONDS, metrics::Unit::Seconds, "How long syncs of the disk take."
                );
                let outside = metrics::histogram!(SYNC_SECONDS, "node" => node());
                Counters { $($name,)+ syncs: Latencies { outside, ..Latencies::default() } }
            }

            /// The counters of a node.
            #[cfg(not(feature = "metrics"))]
            pub(crate) fn of(_node: &str) -> Counters {
                Counters::default()
            }

            /// What the counters stand at, each by itself: no two are read at the same moment.
            pub fn metrics(&self) -> Metrics {
                Metrics { $($name: self.$name.get(),)+ }
            }
        }
    };
}

#[cfg(feature = "metrics")]
const SYNC_SECONDS: &str = "squall_disk_sync_seconds";

impl Counters {
    /// How many syncs took how long: the `n`th number counts those of less than `2^n` microseconds
    /// that took no less than half of that, and the last one all that took longer.
    pub fn sync_latencies(&self) -> [u64; LATENCIES] {
        std::array::from_fn(|class| self.syncs.own[class].load(Ordering::Relaxed))
    }

    /// A sync took so long.
    pub(crate) fn synced(&self, took: Duration) {
        let class = (u128::BITS - took.as_micros().leading_zeros()) as usize;
        self.syncs.own[class.min(LATENCIES - 1)].fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.syncs.outside.record(took.as_secs_f64());
    }
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
    /// Connections that were closed because their peer opened another.
    replaced,
    /// How often somebody had to wait for room in the queue of the disk.
    disk_waits,
    /// Messages that came in and that no correct peer sends, as protocols report them.
    rejected,
}

/// One counter.
#[derive(Debug)]
pub(crate) struct Count {
    own: AtomicU64,
    #[cfg(feature = "metrics")]
    outside: metrics::Counter,
}

impl Default for Count {
    fn default() -> Count {
        Count {
            own: AtomicU64::new(0),
            #[cfg(feature = "metrics")]
            outside: metrics::Counter::noop(),
        }
    }
}

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: usize) {
        self.own.fetch_add(more as u64, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.outside.increment(more as u64);
    }

    fn get(&self) -> u64 {
        self.own.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Debug)]
struct Latencies {
    own: [AtomicU64; LATENCIES],
    #[cfg(feature = "metrics")]
    outside: metrics::Histogram,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies {
            own: std::array::from_fn(|_| AtomicU64::new(0)),
            #[cfg(feature = "metrics")]
            outside: metrics::Histogram::noop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_classed_by_powers_of_two() {
        let counters = Counters::default();
        let expected = [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1_000, 10), (u64::MAX, 25)];
        for (micros, class) in expected {
            let before = counters.sync_latencies()[class];
            counters.synced(Duration::from_micros(micros));
            assert_eq!(counters.sync_latencies()[class], before + 1, "{micros} us");
        }
        assert_eq!(counters.sync_latencies().iter().sum::<u64>(), expected.len() as u64);
    }
}
