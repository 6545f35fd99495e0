//! A node's tasks, and how a node ends: the first of its reasons counts.

use crate::error::RunError;
use squall_env::platform::BoxFuture;
use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tracing::{Instrument, Span};

/// How a node ended, once it has.
#[derive(Default, Debug)]
pub(crate) struct Ending {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default, Debug)]
struct State {
    over: bool,
    outcome: Option<Result<(), RunError>>,
}

impl Ending {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the node, unless it has ended before.
    pub(crate) fn end(&self, outcome: Result<(), RunError>) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        *state = State { over: true, outcome: Some(outcome) };
        drop(state);
        self.ended.notify_one();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Waits for the end. One task does so.
    pub(crate) async fn wait(&self) {
        while !self.is_over() {
            self.ended.notified().await;
        }
    }

    /// How the node ended; what there is to say is said once.
    pub(crate) fn outcome(&self) -> Result<(), RunError> {
        self.lock().outcome.take().unwrap_or(Ok(()))
    }

    /// Runs `body`. If it panics, the node ends, and `None` comes back.
    pub(crate) fn guard<T>(&self, task: &'static str, body: impl FnOnce() -> T) -> Option<T> {
        // What the body leaves behind is not looked at any more: the node ends with it.
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(output) => Some(output),
            Err(payload) => {
                let message = said(&*payload);
                tracing::error!(task, message, "a task panicked; the node stops");
                self.end(Err(RunError::Panicked { task, message }));
                None
            }
        }
    }
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("something that is no text").to_owned()
}

/// Starts tasks on the node's runtime.
#[derive(Clone)]
pub(crate) struct Tasks {
    pub(crate) runtime: Handle,
    pub(crate) ending: Arc<Ending>,
    /// What the spans of all tasks are in.
    pub(crate) span: Span,
}

impl Tasks {
    /// Starts a task. One that panics ends the node.
    pub(crate) fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        if self.ending.is_over() {
            return;
        }
        let ending = Arc::clone(&self.ending);
        let span = tracing::debug_span!(parent: &self.span, "task", name);
        self.runtime.spawn(async move { guarded(&ending, name, task).await }.instrument(span));
    }

    /// Runs work on a thread for blocking work. If it panics, the node ends.
    pub(crate) fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        if self.ending.is_over() {
            return;
        }
        let ending = Arc::clone(&self.ending);
        self.runtime.spawn_blocking(move || ending.guard("blocking work", work));
    }
}

async fn guarded(ending: &Ending, name: &'static str, mut task: BoxFuture<'static, ()>) {
    poll_fn(|cx| match ending.guard(name, || task.as_mut().poll(cx)) {
        Some(poll) => poll,
        None => Poll::Ready(()),
    })
    .await;
    // What the task still holds is dropped under the same guard.
    ending.guard(name, || drop(task));
}
