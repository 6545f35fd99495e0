//! The newest value of something, for any number of observers.

use super::{Gone, Waiters, lock};
use crate::Env;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

struct State<T> {
    value: T,
    version: u64,
    gone: bool,
    waiters: Waiters,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    env: Env,
    name: &'static str,
}

/// Sets the value.
pub struct WatchSender<T>(Arc<Shared<T>>);

/// Sees the newest value; it may miss those in between.
pub struct WatchReceiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
    place: u64,
}

/// A value that one side sets and others watch.
pub fn watch<T>(env: &Env, name: &'static str, value: T) -> (WatchSender<T>, WatchReceiver<T>) {
    let state = State { value, version: 1, gone: false, waiters: Waiters::default() };
    let shared = Arc::new(Shared { state: Mutex::new(state), env: env.clone(), name });
    (WatchSender(Arc::clone(&shared)), WatchReceiver { shared, seen: 1, place: 0 })
}

impl<T> WatchSender<T> {
    /// Sets the value and wakes everybody who waits for a change.
    pub fn set(&self, value: T) {
        self.settle(|state| {
            state.version += 1;
            std::mem::replace(&mut state.value, value)
        });
    }

    fn settle<R>(&self, change: impl FnOnce(&mut State<T>) -> R) {
        let mut state = lock(&self.0.state);
        let old = change(&mut state);
        let wakers = state.waiters.all();
        drop(state);
        drop(old);
        for waker in wakers {
            waker.wake();
        }
    }
}

impl<T> Drop for WatchSender<T> {
    fn drop(&mut self) {
        self.settle(|state| state.gone = true);
    }
}

impl<T> WatchReceiver<T> {
    /// Looks at the newest value.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&lock(&self.shared.state).value)
    }

    /// Waits for a value that this receiver has not waited for yet.
    ///
    /// # Errors
    /// [`Gone`] if the sender has gone and everything was seen.
    pub async fn changed(&mut self) -> Result<(), Gone> {
        poll_fn(|cx| {
            let mut state = lock(&self.shared.state);
            if state.version != self.seen {
                self.seen = state.version;
                return Poll::Ready(Ok(()));
            }
            if state.gone {
                return Poll::Ready(Err(Gone));
            }
            state.waiters.enter(&mut self.place, cx.waker());
            drop(state);
            self.shared.env.platform().waits_for("watch", self.shared.name);
            Poll::Pending
        })
        .await
    }
}

impl<T> Clone for WatchReceiver<T> {
    fn clone(&self) -> WatchReceiver<T> {
        WatchReceiver { shared: Arc::clone(&self.shared), seen: self.seen, place: 0 }
    }
}

impl<T> Drop for WatchReceiver<T> {
    fn drop(&mut self) {
        lock(&self.shared.state).waiters.leave(self.place);
    }
}
