//! Panics in nodes: caught, kept quiet, and remembered with their place.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

/// What a panic said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panic {
    pub(crate) message: String,
    /// File and line.
    pub(crate) place: String,
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Panic> = RefCell::default();
}

/// From here on panics of this thread are a run's.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn new() -> Inside {
        INSIDE.set(true);
        Inside(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// Puts a hook before the one that is there, once: it takes the panics of runs and leaves all
/// others to the old one.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !INSIDE.try_with(Cell::get).unwrap_or(false) {
                before(info);
                return;
            }
            let message = info.payload_as_str().unwrap_or("a panic without a text").to_owned();
            let place = info.location().map_or_else(String::new, ToString::to_string);
            let _ = LAST.try_with(|last| *last.borrow_mut() = Panic { message, place });
        }));
    });
}

/// The last panic of a run in this thread.
pub(crate) fn take() -> Panic {
    LAST.with(|last| std::mem::take(&mut *last.borrow_mut()))
}
