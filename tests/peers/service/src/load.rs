//! Clients in a closed loop: each puts a key, waits for the answer, and puts the next.

use crate::clients::{Client, Failed};
use std::time::{Duration, Instant};

/// How many different keys there are, of eight bytes each.
const KEYS: u64 = 10_000;

/// The bytes of a value.
const VALUE_BYTES: usize = 256;

/// When a run begins, and what of it counts.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Window {
    pub(crate) fn after(warm_up: Duration, length: Duration) -> Window {
        let from = Instant::now() + warm_up;
        Window { from, until: from + length }
    }

    pub(crate) fn length(&self) -> Duration {
        self.until - self.from
    }
}

/// What one client saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// How long each put took that was answered within the window, in nanoseconds.
    pub(crate) latencies: Vec<u64>,
    /// How many puts were answered, those before the window included.
    pub(crate) puts: u64,
    /// The highest revision that an answer bore.
    pub(crate) revision: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Seen) {
        self.latencies.extend(other.latencies);
        self.puts += other.puts;
        self.revision = self.revision.max(other.revision);
    }
}

/// The numbers of SplitMix64 (Steele, Lea and Flood, 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Puts keys until the window is over.
pub(crate) async fn run<C: Client>(
    mut client: C,
    nth: u64,
    window: Window,
) -> Result<Seen, Failed> {
    let mut state = nth;
    let (mut seen, mut value) = (Seen::default(), [0; VALUE_BYTES]);
    loop {
        let key = format!("k{:07}", next(&mut state) % KEYS);
        for bytes in value.chunks_exact_mut(8) {
            bytes.copy_from_slice(&next(&mut state).to_le_bytes());
        }
        let start = Instant::now();
        let revision = client.put(&key, &value).await?;
        let end = Instant::now();
        seen.puts += 1;
        seen.revision = seen.revision.max(revision);
        if end >= window.until {
            return Ok(seen);
        }
        if end >= window.from {
            seen.latencies.push((end - start).as_nanos() as u64);
        }
    }
}
