//! A bounded queue from many senders to one receiver.

use super::{Gone, Waiters, lock};
use crate::Env;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

struct State<T> {
    queue: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receiver: bool,
    receiving: Option<Waker>,
    sending: Waiters,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    env: Env,
    name: &'static str,
}

/// Puts values into the queue; clones send into the same one.
pub struct Sender<T>(Arc<Shared<T>>);

/// Takes values out in the order in which they came.
pub struct Receiver<T>(Arc<Shared<T>>);

/// Why a value could not be queued at once; it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrySendError<T> {
    /// The queue is full.
    #[error("the channel is full")]
    Full(T),
    /// The receiver has gone.
    #[error("the receiver has gone")]
    Gone(T),
}

/// A queue that holds up to `capacity` values.
///
/// # Panics
/// If the capacity is zero: such a queue could pass nothing on.
pub fn channel<T>(env: &Env, name: &'static str, capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "channel {name:?} has no room");
    let state = State {
        queue: VecDeque::new(),
        capacity,
        senders: 1,
        receiver: true,
        receiving: None,
        sending: Waiters::default(),
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), env: env.clone(), name });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Waits for room and queues the value.
    ///
    /// # Errors
    /// [`Gone`] if the receiver has gone; the value is dropped.
    pub async fn send(&self, value: T) -> Result<(), Gone> {
        let mut waiting = Waiting { shared: &self.0, place: 0 };
        let mut value = Some(value);
        poll_fn(|cx| waiting.poll(&mut value, cx)).await
    }

    /// Queues the value if there is room.
    ///
    /// # Errors
    /// With the value, if there is no room or no receiver.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let waker = {
            let mut state = lock(&self.0.state);
            if !state.receiver {
                return Err(TrySendError::Gone(value));
            }
            if state.queue.len() >= state.capacity {
                return Err(TrySendError::Full(value));
            }
            state.queue.push_back(value);
            state.receiving.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

/// A sender in the queue for room. Dropped after it was woken, it wakes the next one instead.
struct Waiting<'a, T> {
    shared: &'a Shared<T>,
    place: u64,
}

impl<T> Waiting<'_, T> {
    fn poll(&mut self, value: &mut Option<T>, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut state = lock(&self.shared.state);
        if !state.receiver {
            return Poll::Ready(Err(Gone));
        }
        if state.queue.len() < state.capacity {
            let value = value.take().expect("a send is not polled after it was done");
            state.queue.push_back(value);
            state.sending.leave(self.place);
            self.place = 0;
            let waker = state.receiving.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
            return Poll::Ready(Ok(()));
        }
        state.sending.enter(&mut self.place, cx.waker());
        drop(state);
        self.shared.env.platform().waits_for("room in channel", self.shared.name);
        Poll::Pending
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if self.place == 0 {
            return;
        }
        let mut state = lock(&self.shared.state);
        let woken = !state.sending.leave(self.place);
        let next = if woken { state.sending.first() } else { None };
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        lock(&self.0.state).senders += 1;
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.0.state);
            state.senders -= 1;
            if state.senders == 0 { state.receiving.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The next value, or `None` once all senders have gone and the queue is empty.
    pub async fn receive(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// The next value, as [`Receiver::receive`] gives it.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = lock(&self.0.state);
        if let Some(value) = state.queue.pop_front() {
            let waker = state.sending.first();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
            return Poll::Ready(Some(value));
        }
        if state.senders == 0 {
            return Poll::Ready(None);
        }
        let old = state.receiving.replace(cx.waker().clone());
        drop(state);
        drop(old);
        self.0.env.platform().waits_for("channel", self.0.name);
        Poll::Pending
    }

    /// The next value, if there is one now.
    pub fn try_receive(&mut self) -> Option<T> {
        let (value, waker) = {
            let mut state = lock(&self.0.state);
            let value = state.queue.pop_front()?;
            (value, state.sending.first())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(value)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let (left, wakers) = {
            let mut state = lock(&self.0.state);
            state.receiver = false;
            (std::mem::take(&mut state.queue), state.sending.all())
        };
        drop(left);
        for waker in wakers {
            waker.wake();
        }
    }
}
