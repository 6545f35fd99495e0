//! A fixed number of permits, given in the order in which they are asked for.

use super::{Waiters, lock};
use crate::Env;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

struct State {
    /// A permit that is given back while somebody waits is not free: it is that waiter's.
    free: usize,
    waiters: Waiters,
}

struct Shared {
    state: Mutex<State>,
    env: Env,
    name: &'static str,
}

/// Bounds how many tasks do something at once; clones share the permits.
#[derive(Clone)]
pub struct Semaphore(Arc<Shared>);

/// The right to go on; dropping it gives it to whoever waits longest.
pub struct Permit(Arc<Shared>);

/// A semaphore with this many permits.
pub fn semaphore(env: &Env, name: &'static str, permits: usize) -> Semaphore {
    let state = State { free: permits, waiters: Waiters::default() };
    Semaphore(Arc::new(Shared { state: Mutex::new(state), env: env.clone(), name }))
}

impl Semaphore {
    /// Waits for a permit, behind everybody who waits already.
    pub async fn acquire(&self) -> Permit {
        let mut waiting = Waiting { shared: &self.0, place: 0 };
        poll_fn(|cx| waiting.poll(cx)).await;
        Permit(Arc::clone(&self.0))
    }

    /// A permit, if one is free and nobody waits.
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut state = lock(&self.0.state);
        if state.free == 0 {
            return None;
        }
        state.free -= 1;
        Some(Permit(Arc::clone(&self.0)))
    }

    /// How many permits are free.
    pub fn free(&self) -> usize {
        lock(&self.0.state).free
    }
}

impl Shared {
    fn give_back(&self) {
        let waker = {
            let mut state = lock(&self.state);
            let waker = state.waiters.first();
            if waker.is_none() {
                state.free += 1;
            }
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Waiting<'a> {
    shared: &'a Shared,
    place: u64,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.shared.state);
        let here = state.waiters.queue.iter().any(|(place, _)| *place == self.place);
        if self.place != 0 && !here {
            // The permit that woke this waiter is its own.
            self.place = 0;
            return Poll::Ready(());
        }
        if self.place == 0 && state.free > 0 {
            state.free -= 1;
            return Poll::Ready(());
        }
        state.waiters.enter(&mut self.place, cx.waker());
        drop(state);
        self.shared.env.platform().waits_for("permit of", self.shared.name);
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.place == 0 {
            return;
        }
        let mut state = lock(&self.shared.state);
        if !state.waiters.leave(self.place) {
            // It was woken with a permit that it will not use.
            drop(state);
            self.shared.give_back();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}
