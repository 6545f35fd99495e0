//! A lease: a lock that its holder loses by itself when its time is over.
//!
//! The time is that of the server which grants leases. Every answer carries it, so the model needs
//! no clock: it demands that the server's time never goes back, that a lease is granted to another
//! only once the one before was released or its time was over, and that nobody is told to hold a
//! lease whose time is over.

use serde::{Deserialize, Serialize};

use super::{Data, Model};

/// The model of one lease, which nobody holds at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease<O> {
    /// How long a grant lasts, in nanoseconds of the server's clock.
    pub term_ns: u64,
    of: std::marker::PhantomData<fn() -> O>,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseCall<O> {
    /// Take the lease, or take it again, which starts its term anew.
    Acquire(O),
    /// Start the term anew, if the lease is still held.
    Renew(O),
    /// Give the lease back, if it is still held.
    Release(O),
}

/// What the server answers, with its time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseReturn {
    /// The term starts at this time, or the lease was given back at it.
    Done(u64),
    /// At this time somebody else held the lease, or the client did not.
    Refused(u64),
}

/// What the server remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseState<O> {
    /// The latest time that is known to have been shown.
    pub now_ns: u64,
    /// Who holds the lease or held it last, unless it was released.
    pub holder: Option<O>,
    /// When the term started at the earliest.
    pub since_ns: u64,
    /// When the term started at the latest; `u64::MAX` until an answer bounds it.
    pub until_ns: u64,
}

impl<O> Lease<O> {
    /// A lease with this term, in nanoseconds of the server's clock.
    pub fn new(term_ns: u64) -> Self {
        Self { term_ns, of: std::marker::PhantomData }
    }
}

impl<O: Data> Lease<O> {
    /// The state at a time that the server showed; `None` if it has shown a later one.
    fn at(&self, state: &LeaseState<O>, now_ns: u64) -> Option<LeaseState<O>> {
        let mut state = state.clone();
        state.until_ns = state.until_ns.min(now_ns);
        (now_ns >= state.now_ns).then(|| LeaseState { now_ns, ..state })
    }

    /// Whether the term may be over at the time of the state, and whether it may not be.
    fn over(&self, state: &LeaseState<O>) -> (bool, bool) {
        let may = state.now_ns >= state.since_ns.saturating_add(self.term_ns);
        let may_not = state.now_ns < state.until_ns.saturating_add(self.term_ns);
        (may, may_not)
    }

    fn granted(&self, owner: &O, now_ns: u64) -> LeaseState<O> {
        LeaseState { now_ns, holder: Some(owner.clone()), since_ns: now_ns, until_ns: now_ns }
    }
}

impl<O: Data> Model for Lease<O> {
    type State = LeaseState<O>;
    type Input = LeaseCall<O>;
    type Output = LeaseReturn;

    fn initial(&self) -> LeaseState<O> {
        LeaseState { now_ns: 0, holder: None, since_ns: 0, until_ns: 0 }
    }

    fn step(
        &self,
        state: &LeaseState<O>,
        input: &LeaseCall<O>,
        output: Option<&LeaseReturn>,
    ) -> Option<LeaseState<O>> {
        let (LeaseCall::Acquire(owner) | LeaseCall::Renew(owner) | LeaseCall::Release(owner)) =
            input;
        let is_holder = state.holder.as_ref() == Some(owner);
        match output {
            None => Some(self.unseen(state, input, is_holder)),
            Some(LeaseReturn::Done(now_ns)) => {
                let state = self.at(state, *now_ns)?;
                let (may_be_over, may_not_be_over) = self.over(&state);
                let is_free = state.holder.is_none() || may_be_over;
                match input {
                    LeaseCall::Acquire(_) if is_holder || is_free => {
                        Some(self.granted(owner, *now_ns))
                    }
                    LeaseCall::Renew(_) if is_holder && may_not_be_over => {
                        Some(self.granted(owner, *now_ns))
                    }
                    LeaseCall::Release(_) if is_holder && may_not_be_over => {
                        Some(LeaseState { holder: None, since_ns: 0, until_ns: 0, ..state })
                    }
                    _ => None,
                }
            }
            Some(LeaseReturn::Refused(now_ns)) => {
                let state = self.at(state, *now_ns)?;
                self.refused(state, input, is_holder)
            }
        }
    }

    fn describe(&self, input: &LeaseCall<O>, output: Option<&LeaseReturn>) -> String {
        let asked = match input {
            LeaseCall::Acquire(owner) => format!("acquires the lease for {owner:?}"),
            LeaseCall::Renew(owner) => format!("renews the lease of {owner:?}"),
            LeaseCall::Release(owner) => format!("releases the lease of {owner:?}"),
        };
        match output {
            None => format!("{asked}, outcome unknown"),
            Some(LeaseReturn::Done(now_ns)) => format!("{asked} at server time {now_ns} ns"),
            Some(LeaseReturn::Refused(now_ns)) => {
                format!("{asked} and is refused at server time {now_ns} ns")
            }
        }
    }

    fn describe_state(&self, state: &LeaseState<O>) -> String {
        let LeaseState { now_ns, holder, since_ns, .. } = state;
        match holder {
            None => format!("is free, at server time {now_ns} ns"),
            Some(owner) => {
                let end_ns = since_ns.saturating_add(self.term_ns);
                format!("is {owner:?}'s until {end_ns} ns, at server time {now_ns} ns")
            }
        }
    }
}

impl<O: Data> Lease<O> {
    /// What is known after an operation whose answer nobody saw.
    ///
    /// It took place at some time from the latest known one on, which the next answer bounds.
    fn unseen(
        &self,
        state: &LeaseState<O>,
        input: &LeaseCall<O>,
        is_holder: bool,
    ) -> LeaseState<O> {
        let now_ns = state.now_ns;
        let start = |since_ns, owner: &O| LeaseState {
            now_ns,
            holder: Some(owner.clone()),
            since_ns,
            until_ns: u64::MAX,
        };
        match input {
            // Without an end of the term before, the earliest start is the latest known time.
            LeaseCall::Acquire(owner) if is_holder || state.holder.is_none() => {
                start(now_ns, owner)
            }
            LeaseCall::Acquire(owner) => {
                start(now_ns.max(state.since_ns.saturating_add(self.term_ns)), owner)
            }
            LeaseCall::Renew(owner) if is_holder => start(now_ns, owner),
            LeaseCall::Release(_) if is_holder => {
                LeaseState { now_ns, holder: None, since_ns: 0, until_ns: 0 }
            }
            LeaseCall::Renew(_) | LeaseCall::Release(_) => state.clone(),
        }
    }

    /// What is known after a refusal at the time of the state.
    fn refused(
        &self,
        mut state: LeaseState<O>,
        input: &LeaseCall<O>,
        is_holder: bool,
    ) -> Option<LeaseState<O>> {
        let (may_be_over, may_not_be_over) = self.over(&state);
        let is_held = state.holder.is_some() && may_not_be_over;
        match input {
            LeaseCall::Acquire(_) if !is_holder && is_held => {
                // The term was not over, so it started later than a whole term ago.
                let earliest = (state.now_ns + 1).saturating_sub(self.term_ns);
                state.since_ns = state.since_ns.max(earliest);
                Some(state)
            }
            LeaseCall::Acquire(_) => None,
            LeaseCall::Renew(_) | LeaseCall::Release(_) if !is_holder => Some(state),
            LeaseCall::Renew(_) | LeaseCall::Release(_) if may_be_over => {
                state.until_ns = state.until_ns.min(state.now_ns.saturating_sub(self.term_ns));
                Some(state)
            }
            LeaseCall::Renew(_) | LeaseCall::Release(_) => None,
        }
    }
}
