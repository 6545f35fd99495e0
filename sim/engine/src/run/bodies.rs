//! The futures of tasks. They stay out of the world, which is not borrowed while one is polled, so
//! that nothing has to move for a poll.

use super::guard::{drop_quietly, guarded};
use super::panics;
use super::watchdog::Watch;
use crate::world::{Body, TaskId, with};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

/// The futures of the tasks that were polled, by the slots of those.
#[derive(Default)]
pub(super) struct Bodies(Vec<Option<Body>>);

impl Bodies {
    /// Polls a task; `true` if it is over.
    #[inline]
    pub(super) fn poll(&mut self, id: TaskId, watchdog: &Watch) -> bool {
        let Some(body) = self.of(id) else { return false };
        watchdog.enter();
        let mut cx = Context::from_waker(&body.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| body.future.as_mut().poll(&mut cx)));
        watchdog.leave();
        match polled {
            Ok(Poll::Pending) => false,
            Ok(Poll::Ready(())) => true,
            Err(_) => {
                let panic = panics::take();
                with(|world| world.panicked(&panic));
                true
            }
        }
    }

    #[inline]
    fn of(&mut self, id: TaskId) -> Option<&mut Body> {
        let slot = id.slot as usize;
        if self.0.get(slot).is_none_or(Option::is_none) {
            self.begin(id);
        }
        self.0[slot].as_mut()
    }

    /// A task is polled for the first time.
    #[cold]
    fn begin(&mut self, id: TaskId) {
        let slot = id.slot as usize;
        if self.0.len() <= slot {
            self.0.resize_with(slot + 1, || None);
        }
        self.0[slot] = with(|world| world.begin_task(id)).flatten();
    }

    /// Drops the future of the task that has or had this slot: of one that has finished, or of one
    /// whose node is down.
    pub(super) fn drop_of(&mut self, slot: u32, finished: bool) {
        let Some(body) = self.0.get_mut(slot as usize).and_then(Option::take) else { return };
        match finished {
            true => guarded(|| drop(body)),
            false => drop_quietly(body.future),
        }
    }
}
