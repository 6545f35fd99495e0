//! The newest value of something, whose waiters are woken in the order in which they came.

use openraft_rt::Watch;
use openraft_rt::watch::{RecvError, SendError, WatchReceiver, WatchSender};
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Poll, Waker};

/// openraft's watch.
pub struct Latest;

struct Shared<T> {
    value: RwLock<T>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    version: u64,
    senders: usize,
    receivers: usize,
    places: u64,
    waiting: Vec<(u64, Waker)>,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Look<'_, T> {
        Look(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wakes everybody, after something that they wait for has been noted.
    fn wake(&self, note: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = self.state();
            note(&mut state);
            std::mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            waker.wake();
        }
    }
}

/// A look at the newest value, which cannot change meanwhile.
pub struct Look<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Look<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

pub struct Setting<T>(Arc<Shared<T>>);

pub struct Seeing<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

impl Watch for Latest {
    type Sender<T: Send + Sync> = Setting<T>;
    type Receiver<T: Send + Sync> = Seeing<T>;
    type Ref<'a, T: Send + 'a> = Look<'a, T>;

    fn channel<T: Send + Sync>(value: T) -> (Setting<T>, Seeing<T>) {
        let state = State { senders: 1, receivers: 1, ..State::default() };
        let shared = Shared { value: RwLock::new(value), state: Mutex::new(state) };
        let shared = Arc::new(shared);
        (Setting(Arc::clone(&shared)), Seeing { shared, seen: 0 })
    }
}

impl<T: Send + Sync> WatchSender<Latest, T> for Setting<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.state().receivers == 0 {
            return Err(SendError(value));
        }
        self.send_if_modified(|old| {
            *old = value;
            true
        });
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        let modified = modify(&mut self.0.value.write().unwrap_or_else(PoisonError::into_inner));
        if modified {
            self.0.wake(|state| state.version += 1);
        }
        modified
    }

    fn borrow_watched(&self) -> Look<'_, T> {
        self.0.look()
    }

    fn subscribe(&self) -> Seeing<T> {
        let seen = {
            let mut state = self.0.state();
            state.receivers += 1;
            state.version
        };
        Seeing { shared: Arc::clone(&self.0), seen }
    }
}

impl<T> Clone for Setting<T> {
    fn clone(&self) -> Setting<T> {
        self.0.state().senders += 1;
        Setting(Arc::clone(&self.0))
    }
}

impl<T> Drop for Setting<T> {
    fn drop(&mut self) {
        self.0.wake(|state| state.senders -= 1);
    }
}

/// A place among those who wait, left when nobody waits there any more.
struct Waiting<'a, T> {
    shared: &'a Shared<T>,
    place: u64,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.shared.state().waiting.retain(|(place, _)| *place != self.place);
    }
}

impl<T: Send + Sync> WatchReceiver<Latest, T> for Seeing<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        let place = {
            let mut state = self.shared.state();
            state.places += 1;
            state.places
        };
        let waiting = Waiting { shared: &self.shared, place };
        let seen = &mut self.seen;
        poll_fn(|cx| {
            let mut state = waiting.shared.state();
            if state.version != *seen {
                *seen = state.version;
                return Poll::Ready(Ok(()));
            }
            if state.senders == 0 {
                return Poll::Ready(Err(RecvError(())));
            }
            match state.waiting.iter_mut().find(|(place, _)| *place == waiting.place) {
                Some((_, waker)) => waker.clone_from(cx.waker()),
                None => state.waiting.push((waiting.place, cx.waker().clone())),
            }
            Poll::Pending
        })
        .await
    }

    fn borrow_watched(&self) -> Look<'_, T> {
        self.shared.look()
    }

    fn borrow_and_update(&mut self) -> Look<'_, T> {
        let look = self.shared.look();
        self.seen = self.shared.state().version;
        look
    }
}

impl<T> Clone for Seeing<T> {
    fn clone(&self) -> Seeing<T> {
        self.shared.state().receivers += 1;
        Seeing { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for Seeing<T> {
    fn drop(&mut self) {
        self.shared.state().receivers -= 1;
    }
}
