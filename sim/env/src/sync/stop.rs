//! Cancellation: one side says stop, the other sees it wherever it waits.

use super::{Waiters, lock};
use crate::Env;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

#[derive(Default)]
struct State {
    stopped: bool,
    waiters: Waiters,
}

struct Shared {
    state: Mutex<State>,
    env: Env,
    name: &'static str,
}

/// Says stop. Dropping it says nothing.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

/// Sees the stop; clones see the same one.
pub struct Stop {
    shared: Arc<Shared>,
    place: u64,
}

/// A signal that can be given once and stays given.
pub fn stop(env: &Env, name: &'static str) -> (Stopper, Stop) {
    let shared = Shared { state: Mutex::default(), env: env.clone(), name };
    let shared = Arc::new(shared);
    (Stopper(Arc::clone(&shared)), Stop { shared, place: 0 })
}

/// A signal that is given when the node is [asked to stop](Env::stopping).
pub fn stop_with_node(env: &Env) -> Stop {
    let (stopper, stopped) = stop(env, "stopping");
    let asked = env.clone();
    env.spawn("stopping", async move {
        asked.stopping().await;
        stopper.stop();
    });
    stopped
}

impl Stopper {
    /// Gives the signal.
    pub fn stop(&self) {
        let wakers = {
            let mut state = lock(&self.0.state);
            state.stopped = true;
            state.waiters.all()
        };
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Stop {
    /// Whether the signal was given.
    pub fn stopped(&self) -> bool {
        lock(&self.shared.state).stopped
    }

    /// Waits for the signal. To give up work at once, race it: `race(stop.wait(), work)`.
    pub async fn wait(&mut self) {
        poll_fn(|cx| {
            let mut state = lock(&self.shared.state);
            if state.stopped {
                return Poll::Ready(());
            }
            state.waiters.enter(&mut self.place, cx.waker());
            drop(state);
            self.shared.env.platform().waits_for("stop of", self.shared.name);
            Poll::Pending
        })
        .await;
    }
}

impl Clone for Stop {
    fn clone(&self) -> Stop {
        Stop { shared: Arc::clone(&self.shared), place: 0 }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        lock(&self.shared.state).waiters.leave(self.place);
    }
}
