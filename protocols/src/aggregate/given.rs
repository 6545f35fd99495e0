//! Tests of aggregates in three steps: what has happened, what is asked, what happens then.

use super::{Aggregate, replay};
use std::fmt::Debug;

/// An aggregate to which something has happened.
pub struct Given<A: Aggregate> {
    state: A,
}

/// What became of a command.
pub struct Outcome<A: Aggregate> {
    state: A,
    result: Result<Vec<A::Event>, A::Error>,
}

impl<A: Aggregate> Given<A> {
    /// Nothing has happened yet.
    pub fn nothing() -> Given<A> {
        Given { state: A::default() }
    }

    /// These events have happened.
    pub fn events(events: &[A::Event]) -> Given<A> {
        Given { state: replay(events) }
    }

    /// Asks it to do this.
    pub fn when(self, command: &A::Command) -> Outcome<A> {
        let result = self.state.decide(command);
        Outcome { state: self.state, result }
    }

    /// Looks at the state.
    pub fn state(self, look: impl FnOnce(&A)) -> Given<A> {
        look(&self.state);
        self
    }
}

impl<A: Aggregate> Outcome<A>
where
    A::Error: Debug,
{
    /// Exactly these events happen. The test goes on behind them.
    ///
    /// # Panics
    /// If others do, or the command is refused.
    #[track_caller]
    pub fn then(self, events: &[A::Event]) -> Given<A> {
        let mut state = self.state;
        match self.result {
            Ok(happened) => assert!(
                happened == events,
                "what happens is not what was expected\n  expected: {events:?}\n   happens: \
                 {happened:?}"
            ),
            Err(error) => panic!("it is refused: {error}\n  expected: {events:?}"),
        }
        events.iter().for_each(|event| state.evolve(event));
        Given { state }
    }

    /// The command is refused for this reason.
    ///
    /// # Panics
    /// If it is done, or refused for another one.
    #[track_caller]
    pub fn fails(self, error: &A::Error) -> Given<A> {
        match self.result {
            Err(found) => assert!(found == *error, "it is refused: {found}, and not: {error}"),
            Ok(happened) => panic!("it is done: {happened:?}\n  expected: {error}"),
        }
        Given { state: self.state }
    }
}
