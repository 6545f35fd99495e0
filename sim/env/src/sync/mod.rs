//! Channels, permits and signals between the tasks of one node: named, fair and deterministic.
//!
//! Who waits longest is served first, nothing is drawn, and a task that waits says for what, so
//! that a stuck run can name who waits for whom.

mod barrier;
mod channel;
mod oneshot;
mod semaphore;
mod stop;
mod watch;

pub use barrier::{Barrier, barrier};
pub use channel::{Receiver, Sender, TrySendError, channel};
pub use oneshot::{OneshotReceiver, OneshotSender, oneshot};
pub use semaphore::{Permit, Semaphore, semaphore};
pub use stop::{Stop, Stopper, stop, stop_with_node};
pub use watch::{WatchReceiver, WatchSender, watch};

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The other side has gone and what was waited for will never come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the other side has gone")]
pub struct Gone;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who waits, in the order of arrival. A waiter keeps its place when it is polled again.
#[derive(Default)]
struct Waiters {
    last: u64,
    queue: VecDeque<(u64, Waker)>,
}

impl Waiters {
    /// Adds the waiter, or renews its waker. `place` is zero for one that does not wait yet.
    fn enter(&mut self, place: &mut u64, waker: &Waker) {
        if let Some((_, old)) = self.queue.iter_mut().find(|(p, _)| p == place) {
            old.clone_from(waker);
            return;
        }
        self.last += 1;
        *place = self.last;
        self.queue.push_back((self.last, waker.clone()));
    }

    /// Takes a waiter off. Says whether it was still there: one that is not has been woken.
    fn leave(&mut self, place: u64) -> bool {
        let before = self.queue.len();
        self.queue.retain(|(p, _)| *p != place);
        self.queue.len() < before
    }

    fn first(&mut self) -> Option<Waker> {
        self.queue.pop_front().map(|(_, waker)| waker)
    }

    fn all(&mut self) -> Vec<Waker> {
        self.queue.drain(..).map(|(_, waker)| waker).collect()
    }
}
