//! Aggregates: what may be done is decided on what has happened, and what happens is recorded.
//!
//! *Promises* that a decision is recorded only if nothing else has happened to its aggregates since
//! the state that it was made on; that a decision over several aggregates is recorded as a whole;
//! and that a snapshot is only a short cut: it gives the state that all events give. *Needs* an
//! [`EventStore`](crate::event_store::EventStore), and an `evolve` that is a pure function: the
//! same events must give the same state for ever. *Breaks* if `evolve` changes its mind about old
//! events while old snapshots are still used: [`Aggregate::SNAPSHOT`] names what they hold. The
//! scenario `aggregate/bank` shows it.
//!
//! An aggregate is a value, and is tested without a store:
//!
//! ```
//! use squall_protocols::aggregate::Given;
//! use squall_protocols::aggregate::bank::{Account, BankError, Command, Event};
//!
//! let open = |cents| Command::Open { customer_id: "ada".into(), initial_deposit: cents };
//! Given::<Account>::nothing().when(&open(99_99)).fails(&BankError::InitialDeposit);
//! Given::<Account>::nothing()
//!     .when(&open(10_000))
//!     .then(&[Event::AccountOpened { customer_id: "ada".into(), initial_deposit: 10_000 }])
//!     .when(&Command::Withdraw { cents: 30_00 })
//!     .then(&[Event::Withdrawn { cents: 30_00 }])
//!     .state(|account| assert_eq!(account.balance(), 70_00));
//! ```

pub mod bank;
pub mod cart;
pub mod game;
mod given;
mod repository;
mod snapshots;

pub use given::{Given, Outcome};
pub use repository::{Attempt, Handled, Loaded, Repository, RepositoryError, Settings};
pub use snapshots::{FileSnapshots, Snapshot, Snapshots};

use crate::event_store::Event;
use std::fmt::Debug;

/// A state that decides on commands, and changes by events alone. Both are pure.
pub trait Aggregate: Clone + Default + Send + Sync + 'static {
    /// What it can be asked to do.
    type Command: Send + Sync;
    /// What can have happened to it.
    type Event: Event + Clone + PartialEq + Debug;
    /// Why it refuses to do it.
    type Error: std::error::Error + Clone + PartialEq + Send + Sync + 'static;

    /// Names what a snapshot holds, as in `"account 2: status, balance"`. Whoever changes that, or
    /// what `evolve` makes of old events, gives it another name; snapshots of other names are not
    /// used. Without a name there are no snapshots.
    const SNAPSHOT: Option<&'static str> = None;

    /// What happens if it is asked to do this: perhaps nothing.
    ///
    /// # Errors
    /// Why it is not done.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// It has happened. An event that makes no sense in this state changes nothing: what is
    /// recorded cannot be refused any more.
    fn evolve(&mut self, event: &Self::Event);

    /// The state for a snapshot.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The state that a snapshot holds; `None` if it is none.
    fn restore(snapshot: &[u8]) -> Option<Self> {
        let _ = snapshot;
        None
    }
}

/// The state after these events.
pub fn replay<'a, A: Aggregate>(events: impl IntoIterator<Item = &'a A::Event>) -> A
where
    A::Event: 'a,
{
    let mut state = A::default();
    events.into_iter().for_each(|event| state.evolve(event));
    state
}

#[cfg(test)]
mod tests;
