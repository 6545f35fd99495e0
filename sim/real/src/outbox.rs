//! The bounded queue of frames that wait for one peer.

use crate::config::Limits;
use crate::frame::{self, HEADER_BYTES};
use squall_env::Port;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The capacity that an emptied buffer keeps, in bytes.
const RETAINED_BYTES: usize = 256 << 10;

/// Frames that wait for one peer, encoded one behind the other. One task takes them out.
pub(crate) struct Outbox {
    queue: Mutex<Batch>,
    filled: Notify,
    bytes_max: usize,
    frames_max: usize,
}

/// Whole frames, one behind the other.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: usize,
}

impl Batch {
    /// Empties the batch and keeps its memory, unless that is much.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(RETAINED_BYTES);
        self.frames = 0;
    }
}

impl Outbox {
    pub(crate) fn new(limits: &Limits) -> Outbox {
        Outbox {
            queue: Mutex::default(),
            filled: Notify::new(),
            bytes_max: limits.outgoing_bytes_max,
            frames_max: limits.outgoing_frames_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame, unless the queue is full. Says whether it did.
    #[must_use]
    pub(crate) fn push(&self, from: Port, to: Port, payload: &[u8]) -> bool {
        let mut queue = self.lock();
        let bytes = queue.bytes.len() + HEADER_BYTES + payload.len();
        if queue.frames >= self.frames_max || bytes > self.bytes_max {
            return false;
        }
        frame::encode(from, to, payload, &mut queue.bytes);
        queue.frames += 1;
        let first = queue.frames == 1;
        drop(queue);
        if first {
            self.filled.notify_one();
        }
        true
    }

    /// Throws away what waits, and says how many frames that were.
    pub(crate) fn discard(&self) -> usize {
        mem::take(&mut *self.lock()).frames
    }

    /// Waits until there is something to take.
    pub(crate) async fn filled(&self) {
        while self.lock().frames == 0 {
            self.filled.notified().await;
        }
    }

    /// Waits until there is something, and takes all of it into `batch`, which is empty.
    pub(crate) async fn take(&self, batch: &mut Batch) {
        self.filled().await;
        assert!(batch.frames == 0 && batch.bytes.is_empty(), "a batch was not written");
        mem::swap(&mut *self.lock(), batch);
    }
}
