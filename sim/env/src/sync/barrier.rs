//! A place where tasks wait until enough of them have come.

use super::{Waiters, lock};
use crate::Env;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

struct State {
    arrived: usize,
    round: u64,
    waiters: Waiters,
}

struct Shared {
    state: Mutex<State>,
    size: usize,
    env: Env,
    name: &'static str,
}

/// Lets tasks go on in groups; clones are the same place.
#[derive(Clone)]
pub struct Barrier(Arc<Shared>);

/// A barrier that opens whenever `size` tasks wait.
///
/// # Panics
/// If the size is zero.
pub fn barrier(env: &Env, name: &'static str, size: usize) -> Barrier {
    assert!(size > 0, "barrier {name:?} is for nobody");
    let state = State { arrived: 0, round: 0, waiters: Waiters::default() };
    Barrier(Arc::new(Shared { state: Mutex::new(state), size, env: env.clone(), name }))
}

impl Barrier {
    /// Waits until the group is complete. The last one to come is told so by `true`.
    pub async fn wait(&self) -> bool {
        let mut arrival = Arrival { shared: &self.0, round: None, place: 0 };
        poll_fn(|cx| {
            let mut state = lock(&self.0.state);
            match arrival.round {
                Some(round) if round != state.round => {
                    arrival.round = None;
                    return Poll::Ready(false);
                }
                Some(_) => {}
                None => {
                    state.arrived += 1;
                    if state.arrived == self.0.size {
                        state.arrived = 0;
                        state.round += 1;
                        let wakers = state.waiters.all();
                        drop(state);
                        for waker in wakers {
                            waker.wake();
                        }
                        return Poll::Ready(true);
                    }
                    arrival.round = Some(state.round);
                }
            }
            state.waiters.enter(&mut arrival.place, cx.waker());
            drop(state);
            self.0.env.platform().waits_for("barrier", self.0.name);
            Poll::Pending
        })
        .await
    }
}

/// One who came and waits. Dropped before the group is complete, it no longer counts.
struct Arrival<'a> {
    shared: &'a Shared,
    round: Option<u64>,
    place: u64,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        if self.round == Some(state.round) {
            state.arrived -= 1;
            state.waiters.leave(self.place);
        }
    }
}
