//! Histories of callers, and whether they are linearizable.

use super::{Caller, Explorable, State};
use crate::explore::fingerprint;
use squall_check::history::{History, Recorder};
use squall_check::linearizable::{Limits, is_linearizable};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

/// An event of a history that a model of squall-check can judge.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event<I, O> {
    /// A process, which has no operation open, asks.
    Invoked(u64, I),
    /// It is answered.
    Returned(u64, O),
}

fn history<I: Clone, O: Clone>(events: &[Event<I, O>]) -> History<I, O> {
    let (recorder, mut open) = (Recorder::new(), BTreeMap::new());
    for event in events {
        match event {
            Event::Invoked(process, input) => {
                open.insert(process, recorder.invoke(*process, input.clone(), 0));
            }
            Event::Returned(process, output) => {
                if let Some(operation) = open.remove(process) {
                    recorder.ok(operation, output.clone(), 0);
                }
            }
        }
    }
    recorder.finish()
}

/// Holds of a state whose history is linearizable, operations that are open included. Each history
/// is judged once, however many states have it.
///
/// # Panics
/// If a process asks while an operation of its own is open.
pub fn linearizable<M, C, O>(model: O) -> impl Fn(&State<M, C>) -> Result<(), String>
where
    M: Explorable,
    O: squall_check::Model<Input: Clone + Hash + Debug, Output: Clone + Hash + Debug>,
    C: Caller<M, Event = Event<O::Input, O::Output>>,
{
    let judged: RefCell<BTreeMap<u64, Option<bool>>> = RefCell::default();
    move |state| {
        let events = state.history();
        // Who asks breaks nothing.
        let Some(Event::Returned(..)) = events.last() else { return Ok(()) };
        let decide = || is_linearizable(&model, &history(events), &Limits::default());
        match *judged.borrow_mut().entry(fingerprint(events)).or_insert_with(decide) {
            Some(true) => Ok(()),
            Some(false) => Err(format!("{events:?}")),
            None => Err(format!("the checker gave up on {events:?}")),
        }
    }
}
