//! One value, handed over once.

use super::{Gone, lock};
use crate::Env;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
    gone: bool,
}

type Shared<T> = Arc<Mutex<State<T>>>;

/// The side that gives the value. Dropping it tells the other side that none will come.
pub struct OneshotSender<T>(Shared<T>);

/// The side that waits for the value.
pub struct OneshotReceiver<T> {
    shared: Shared<T>,
    env: Env,
    name: &'static str,
}

/// A way for one value from one task to another.
pub fn oneshot<T>(env: &Env, name: &'static str) -> (OneshotSender<T>, OneshotReceiver<T>) {
    let shared = Arc::new(Mutex::new(State { value: None, waker: None, gone: false }));
    let receiver = OneshotReceiver { shared: Arc::clone(&shared), env: env.clone(), name };
    (OneshotSender(shared), receiver)
}

impl<T> OneshotSender<T> {
    /// Hands the value over.
    pub fn send(self, value: T) {
        lock(&self.0).value = Some(value);
    }
}

impl<T> Drop for OneshotSender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.0);
            state.gone = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Result<T, Gone>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.shared);
        if let Some(value) = state.value.take() {
            return Poll::Ready(Ok(value));
        }
        if state.gone {
            return Poll::Ready(Err(Gone));
        }
        let old = state.waker.replace(cx.waker().clone());
        drop(state);
        drop(old);
        self.env.platform().waits_for("result of", self.name);
        Poll::Pending
    }
}
