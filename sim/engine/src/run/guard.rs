//! User code that runs outside of tasks: a panic in it ends no more than it should.

use super::panics;
use crate::world::with;
use squall_env::platform::BoxFuture;
use squall_env::shown::Place;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs user code that is not a task. A panic in it fails the run.
pub(super) fn guarded(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        let panic = panics::take();
        with(|world| world.panicked(&panic));
    }
}

/// Drops a future whose node is down: a panic in one of its destructors has no effect any more.
pub(super) fn drop_quietly(future: BoxFuture<'static, ()>) {
    if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
        panics::take();
    }
}

pub(super) fn drop_places(places: Vec<Place>) {
    if catch_unwind(AssertUnwindSafe(|| drop(places))).is_err() {
        panics::take();
    }
}
