//! Exhaustive exploration: every state that a small system can reach, with time left out.
//!
//! A sweep draws some of the ways in which things may go; this goes all of them. That works for
//! systems that are small, or are made so: two clients, three replicas, one crash. What comes out
//! is a proof for that size, not for another.
//!
//! A [`Model`] says where a system starts, what may happen in a state and what comes of it.
//! [`breadth_first`] goes through its states level by level, so that the counterexample it finds
//! is one of the shortest there are:
//!
//! ```
//! use squall::explore::{Ended, Limits, Model, Property, breadth_first};
//!
//! /// Two jugs and a tap: what can be measured?
//! struct Jugs {
//!     sizes: [u8; 2],
//!     wanted: u8,
//! }
//!
//! #[derive(Debug)]
//! enum Act {
//!     Fill(usize),
//!     Empty(usize),
//!     PourFrom(usize),
//! }
//!
//! impl Model for Jugs {
//!     type State = [u8; 2];
//!     type Action = Act;
//!
//!     fn initial(&self) -> Vec<[u8; 2]> {
//!         vec![[0, 0]]
//!     }
//!
//!     fn actions(&self, _: &[u8; 2], actions: &mut Vec<Act>) {
//!         for jug in 0..2 {
//!             actions.extend([Act::Fill(jug), Act::Empty(jug), Act::PourFrom(jug)]);
//!         }
//!     }
//!
//!     fn step(&self, jugs: &mut [u8; 2], act: &Act) -> bool {
//!         match *act {
//!             Act::Fill(jug) => jugs[jug] = self.sizes[jug],
//!             Act::Empty(jug) => jugs[jug] = 0,
//!             Act::PourFrom(jug) => {
//!                 let poured = jugs[jug].min(self.sizes[1 - jug] - jugs[1 - jug]);
//!                 jugs[jug] -= poured;
//!                 jugs[1 - jug] += poured;
//!             }
//!         }
//!         true
//!     }
//!
//!     fn properties(&self) -> Vec<Property<Jugs>> {
//!         let wanted = self.wanted;
//!         vec![Property::always("never measured", move |_, jugs: &[u8; 2]| {
//!             if jugs.contains(&wanted) { Err(format!("{jugs:?}")) } else { Ok(()) }
//!         })]
//!     }
//! }
//!
//! let measured = breadth_first(&Jugs { sizes: [3, 5], wanted: 4 }, &Limits::default());
//! assert_eq!(measured.broken.unwrap().steps.len(), 6);
//! let never = breadth_first(&Jugs { sizes: [2, 4], wanted: 3 }, &Limits::default());
//! assert_eq!((never.ended, never.states), (Ended::Complete, 6));
//! ```
//!
//! States are told apart by fingerprints of 64 bits: see [`Explored::collision`].

mod bag;
mod depth_first;
mod explored;
mod fingerprint;
mod lasso;
mod limits;
mod properties;
mod search;
mod subject;
pub mod system;
mod table;

pub use bag::Bag;
pub use depth_first::depth_first;
pub use explored::{Broken, Ended, Explored};
pub use fingerprint::{Fingerprinter, fingerprint};
pub use limits::Limits;
pub use properties::Property;
pub use search::breadth_first;
pub use subject::Subject;

use std::fmt::Debug;
use std::hash::Hash;

/// A system whose states can be counted.
///
/// All methods must give the same for the same arguments: a path is kept as numbers of actions,
/// and walked again when it is shown.
pub trait Model {
    /// A state. Two states are the same if they hash to the same, so everything that matters must
    /// be hashed, in an order that does not depend on history: ordered sets and maps, sorted lists.
    ///
    /// The explorer overwrites one state by another with `clone_from` for every step it takes; a
    /// state that is `Copy`, or whose `clone_from` keeps its buffers, makes that cheap.
    type State: Clone + Hash;
    /// Something that may happen.
    type Action: Debug;

    /// Where it starts.
    fn initial(&self) -> Vec<Self::State>;

    /// Adds what may happen in a state to a list, which may hold something already.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// Lets it happen. `false` if it cannot after all; what is left of `state` then counts for
    /// nothing.
    fn step(&self, state: &mut Self::State, action: &Self::Action) -> bool;

    /// What must hold.
    fn properties(&self) -> Vec<Property<Self>>;

    /// Whether a state is to be looked at. States that are not are never entered, and how often
    /// that was so is counted ([`Explored::outside`]).
    fn within(&self, state: &Self::State) -> bool {
        let _ = state;
        true
    }

    /// The state that stands for all that differ from this one only in which of several equals
    /// has which name, for instance the one with its replicas sorted. What must hold, and what may
    /// happen, has to be the same for all of them. `None` if every state stands for itself.
    fn representative(&self, state: &Self::State) -> Option<Self::State> {
        let _ = state;
        None
    }

    /// What happens, as a sentence for whoever reads a counterexample.
    fn say(&self, before: &Self::State, action: &Self::Action) -> String {
        let _ = before;
        format!("{action:?}")
    }
}

/// The fingerprint of a state, or of the one that stands for it.
fn print_of<M: Model + ?Sized>(model: &M, state: &M::State) -> u64 {
    match model.representative(state) {
        Some(other) => fingerprint(&other),
        None => fingerprint(state),
    }
}

/// The sentences of a path, and the state at its end. A path is the number of an initial state
/// and then the number of an action after the other. `None` if there is no such path.
pub fn walk<M: Model + ?Sized>(model: &M, path: &[u32]) -> Option<(Vec<String>, M::State)> {
    let (first, rest) = path.split_first()?;
    let mut state = model.initial().into_iter().nth(*first as usize)?;
    let (mut sentences, mut actions) = (Vec::new(), Vec::new());
    for choice in rest {
        actions.clear();
        model.actions(&state, &mut actions);
        let action = actions.get(*choice as usize)?;
        sentences.push(model.say(&state, action));
        if !model.step(&mut state, action) {
            return None;
        }
    }
    Some((sentences, state))
}
