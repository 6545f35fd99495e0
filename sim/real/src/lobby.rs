//! Connections that have not greeted yet: so many, and when another comes, the oldest goes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Where connections wait until they have greeted.
pub(crate) struct Lobby {
    state: Mutex<State>,
    most: usize,
}

#[derive(Default)]
struct State {
    last: u64,
    /// The oldest first.
    waiting: VecDeque<(u64, Arc<Notify>)>,
}

/// A seat in the lobby, which is given back when it is dropped.
pub(crate) struct Seat {
    lobby: Arc<Lobby>,
    number: u64,
    leave: Arc<Notify>,
}

impl Lobby {
    pub(crate) fn new(most: usize) -> Arc<Lobby> {
        Arc::new(Lobby { state: Mutex::default(), most })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a seat to a connection, for which the oldest may have to leave.
    pub(crate) fn enter(self: &Arc<Lobby>) -> Seat {
        let leave = Arc::new(Notify::new());
        let mut state = self.lock();
        let oldest =
            if state.waiting.len() >= self.most { state.waiting.pop_front() } else { None };
        state.last += 1;
        let number = state.last;
        state.waiting.push_back((number, Arc::clone(&leave)));
        drop(state);
        if let Some((_, oldest)) = oldest {
            oldest.notify_one();
        }
        Seat { lobby: Arc::clone(self), number, leave }
    }
}

impl Seat {
    /// Waits until this connection has to leave for a newer one.
    pub(crate) async fn taken_away(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.lobby.lock();
        if let Ok(at) = state.waiting.binary_search_by_key(&self.number, |(number, _)| *number) {
            state.waiting.remove(at);
        }
    }
}
