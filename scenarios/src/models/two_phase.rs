//! Two-phase commit, as in Gray and Lamport, "Consensus on Transaction Commit" (TODS 2006),
//! section 3: resource managers that prepare or abort by themselves, and a transaction manager that
//! commits once all have prepared.

use squall::explore::{Model, Property};
use std::fmt;

/// So many resource managers and a transaction manager.
#[derive(Clone, Copy, Debug)]
pub struct TwoPhaseCommit<const N: usize>;

/// What a resource manager has come to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Resource {
    /// It works, and may still do either.
    Working,
    /// It will do as it is told.
    Prepared,
    /// It has committed.
    Committed,
    /// It has aborted.
    Aborted,
}

/// What the transaction manager has decided.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Nothing.
    None,
    /// To commit.
    Commit,
    /// To abort.
    Abort,
}

/// A state. Messages are never taken from the network, so those that were sent are a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State<const N: usize> {
    /// The resource managers.
    pub resources: [Resource; N],
    /// The transaction manager.
    pub decision: Decision,
    /// Of which resource managers it knows that they are prepared.
    pub known: [bool; N],
    /// Which of them have said so.
    pub said: [bool; N],
    /// Whether they were told to commit.
    pub told_to_commit: bool,
    /// Whether they were told to abort.
    pub told_to_abort: bool,
}

/// What may happen, to which resource manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The transaction manager commits.
    Commit,
    /// The transaction manager aborts.
    Abort,
    /// The transaction manager hears that one is prepared.
    Hear(usize),
    /// One prepares.
    Prepare(usize),
    /// One aborts by itself.
    GiveUp(usize),
    /// One is told to commit.
    CommitAsTold(usize),
    /// One is told to abort.
    AbortAsTold(usize),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Commit => write!(f, "the transaction manager decides to commit"),
            Action::Abort => write!(f, "the transaction manager decides to abort"),
            Action::Hear(one) => {
                write!(f, "the transaction manager hears that resource-{} is prepared", one + 1)
            }
            Action::Prepare(one) => write!(f, "resource-{} prepares", one + 1),
            Action::GiveUp(one) => write!(f, "resource-{} aborts by itself", one + 1),
            Action::CommitAsTold(one) => write!(f, "resource-{} commits as told", one + 1),
            Action::AbortAsTold(one) => write!(f, "resource-{} aborts as told", one + 1),
        }
    }
}

impl<const N: usize> Model for TwoPhaseCommit<N> {
    type State = State<N>;
    type Action = Action;

    fn initial(&self) -> Vec<State<N>> {
        vec![State {
            resources: [Resource::Working; N],
            decision: Decision::None,
            known: [false; N],
            said: [false; N],
            told_to_commit: false,
            told_to_abort: false,
        }]
    }

    fn actions(&self, state: &State<N>, actions: &mut Vec<Action>) {
        let undecided = state.decision == Decision::None;
        if undecided {
            if state.known == [true; N] {
                actions.push(Action::Commit);
            }
            actions.push(Action::Abort);
        }
        for one in 0..N {
            if undecided && state.said[one] {
                actions.push(Action::Hear(one));
            }
            if state.resources[one] == Resource::Working {
                actions.extend([Action::Prepare(one), Action::GiveUp(one)]);
            }
            if state.told_to_commit {
                actions.push(Action::CommitAsTold(one));
            }
            if state.told_to_abort {
                actions.push(Action::AbortAsTold(one));
            }
        }
    }

    fn step(&self, state: &mut State<N>, action: &Action) -> bool {
        match *action {
            Action::Commit => {
                state.decision = Decision::Commit;
                state.told_to_commit = true;
            }
            Action::Abort => {
                state.decision = Decision::Abort;
                state.told_to_abort = true;
            }
            Action::Hear(one) => state.known[one] = true,
            Action::Prepare(one) => {
                state.resources[one] = Resource::Prepared;
                state.said[one] = true;
            }
            Action::CommitAsTold(one) => state.resources[one] = Resource::Committed,
            Action::GiveUp(one) | Action::AbortAsTold(one) => {
                state.resources[one] = Resource::Aborted;
            }
        }
        true
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let has = |state: &State<N>, what| state.resources.contains(&what);
        vec![
            Property::always("all come to the same", move |_, state: &State<N>| {
                match has(state, Resource::Committed) && has(state, Resource::Aborted) {
                    true => Err("one has committed and another aborted".to_owned()),
                    false => Ok(()),
                }
            }),
            Property::sometimes("all commit", |_, state: &State<N>| {
                state.resources == [Resource::Committed; N]
            }),
            Property::sometimes("all abort", |_, state: &State<N>| {
                state.resources == [Resource::Aborted; N]
            }),
        ]
    }

    fn say(&self, _: &State<N>, action: &Action) -> String {
        action.to_string()
    }
}
