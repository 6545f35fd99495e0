//! The bounded queue of datagrams that wait on one port.

use crate::config::Limits;
use squall_env::Address;
use squall_env::platform::Closed;
use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Datagrams that wait on one port.
pub(crate) struct Inbox {
    state: Mutex<State>,
    bytes_max: usize,
    frames_max: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Address, Vec<u8>)>,
    bytes: usize,
    receiver: Option<Waker>,
    closed: bool,
}

impl Inbox {
    pub(crate) fn new(limits: &Limits) -> Inbox {
        Inbox {
            state: Mutex::default(),
            bytes_max: limits.inbox_bytes_max,
            frames_max: limits.inbox_frames_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a datagram, unless the queue is full. Says whether it did.
    #[must_use]
    pub(crate) fn push(&self, from: Address, payload: &[u8]) -> bool {
        let mut state = self.lock();
        let bytes = state.bytes + payload.len();
        if state.closed || state.waiting.len() >= self.frames_max || bytes > self.bytes_max {
            return false;
        }
        state.bytes = bytes;
        state.waiting.push_back((from, payload.to_vec()));
        let receiver = state.receiver.take();
        drop(state);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
        true
    }

    pub(crate) fn poll(
        &self,
        into: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Address, Closed>> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(Err(Closed));
        }
        if let Some((from, payload)) = state.waiting.pop_front() {
            state.bytes -= payload.len();
            *into = payload;
            return Poll::Ready(Ok(from));
        }
        let known = state.receiver.as_ref().is_some_and(|old| old.will_wake(cx.waker()));
        let old = if known { None } else { state.receiver.replace(cx.waker().clone()) };
        // Wakers are the task's own code: they run and are dropped outside of the lock.
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Throws away what waits, and answers every receive with [`Closed`] from now on.
    pub(crate) fn close(&self) {
        let before = mem::replace(&mut *self.lock(), State { closed: true, ..State::default() });
        if let Some(receiver) = before.receiver {
            receiver.wake();
        }
    }
}
