//! How the rest of a node talks to a machine.

use super::{Machine, RequestId};
use crate::Env;
use crate::outcome::Outcome;
use crate::shown::Shown;
use crate::sync::{OneshotSender, oneshot};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The most requests that wait for a machine; more are refused before anything happens.
pub(super) const REQUESTS_MAX: usize = 1024;

/// Why a request got no reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// Too many requests wait already.
    #[error("the machine has too many requests")]
    Busy,
    /// The machine had stopped before the request reached it.
    #[error("the machine has stopped")]
    Stopped,
    /// The machine stopped with the request in its hands.
    #[error("the machine stopped before it replied")]
    Indeterminate,
}

impl RequestError {
    /// What is known of the request's effect.
    pub fn outcome(self) -> Outcome {
        match self {
            RequestError::Busy | RequestError::Stopped => Outcome::NotDone,
            RequestError::Indeterminate => Outcome::Indeterminate,
        }
    }
}

pub(super) struct Asked<M: Machine> {
    pub(super) id: RequestId,
    pub(super) request: M::Request,
    pub(super) reply: OneshotSender<M::Reply>,
}

pub(super) struct Queue<M: Machine> {
    pub(super) waiting: VecDeque<Asked<M>>,
    pub(super) driver: Option<Waker>,
    pub(super) open: bool,
    last: u64,
}

/// The requests of a machine on their way to it.
pub(super) struct Requests<M: Machine> {
    queue: Mutex<Queue<M>>,
    /// Goes up with every request. The driver takes far more messages than requests on most nodes,
    /// and looks into the queue only if this has changed.
    made: AtomicU64,
}

impl<M: Machine> Requests<M> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there were up to now.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Acquire)
    }
}

/// A machine on this node: to make requests, and to look at its live state.
pub struct Handle<M: Machine> {
    env: Env,
    name: &'static str,
    pub(super) requests: Arc<Requests<M>>,
    live: Shown<M>,
}

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Handle<M> {
        Handle {
            env: self.env.clone(),
            name: self.name,
            requests: Arc::clone(&self.requests),
            live: self.live.clone(),
        }
    }
}

impl<M: Machine> Handle<M> {
    pub(super) fn new(env: &Env, name: &'static str, live: Shown<M>) -> Handle<M> {
        let queue = Queue { waiting: VecDeque::new(), driver: None, open: true, last: 0 };
        let requests = Requests { queue: Mutex::new(queue), made: AtomicU64::new(0) };
        Handle { env: env.clone(), name, requests: Arc::new(requests), live }
    }

    /// Asks the machine and waits for its reply, which leaves only when everything that it rests
    /// on is durable.
    ///
    /// # Errors
    /// [`RequestError`], which knows the outcome.
    pub async fn request(&self, request: M::Request) -> Result<M::Reply, RequestError> {
        let (reply, answer) = oneshot(&self.env, self.name);
        let driver = {
            let mut queue = self.requests.lock();
            if !queue.open {
                return Err(RequestError::Stopped);
            }
            if queue.waiting.len() >= REQUESTS_MAX {
                return Err(RequestError::Busy);
            }
            queue.last += 1;
            let id = RequestId(queue.last);
            queue.waiting.push_back(Asked { id, request, reply });
            self.requests.made.store(queue.last, Ordering::Release);
            queue.driver.take()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        answer.await.map_err(|_| RequestError::Indeterminate)
    }

    /// The live state, perhaps not durable yet: for properties and metrics alone. What leaves the
    /// node goes through a request.
    pub fn live(&self) -> &Shown<M> {
        &self.live
    }
}
