//! The two systems as stateright's users write them, and stateright's models in squall's explorer.

use squall::explore as ours;
use stateright::actor::{Actor, ActorModel, Id, Network, Out};
use stateright::{Expectation, Model, Property};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash;

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Resource {
    Working,
    Prepared,
    Committed,
    Aborted,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Decision {
    None,
    Commit,
    Abort,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Prepared(usize),
    Commit,
    Abort,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(crate) struct State {
    resources: Vec<Resource>,
    decision: Decision,
    known: Vec<bool>,
    said: BTreeSet<Said>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Commit,
    Abort,
    Hear(usize),
    Prepare(usize),
    GiveUp(usize),
    CommitAsTold(usize),
    AbortAsTold(usize),
}

/// Two-phase commit with so many resource managers.
pub(crate) struct TwoPhase(pub(crate) usize);

impl Model for TwoPhase {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let resources = vec![Resource::Working; self.0];
        let known = vec![false; self.0];
        vec![State { resources, decision: Decision::None, known, said: BTreeSet::new() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        let undecided = state.decision == Decision::None;
        if undecided {
            if state.known.iter().all(|known| *known) {
                actions.push(Act::Commit);
            }
            actions.push(Act::Abort);
        }
        for one in 0..self.0 {
            if undecided && state.said.contains(&Said::Prepared(one)) {
                actions.push(Act::Hear(one));
            }
            if state.resources[one] == Resource::Working {
                actions.extend([Act::Prepare(one), Act::GiveUp(one)]);
            }
            if state.said.contains(&Said::Commit) {
                actions.push(Act::CommitAsTold(one));
            }
            if state.said.contains(&Said::Abort) {
                actions.push(Act::AbortAsTold(one));
            }
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut state = state.clone();
        match act {
            Act::Commit => {
                state.decision = Decision::Commit;
                state.said.insert(Said::Commit);
            }
            Act::Abort => {
                state.decision = Decision::Abort;
                state.said.insert(Said::Abort);
            }
            Act::Hear(one) => state.known[one] = true,
            Act::Prepare(one) => {
                state.resources[one] = Resource::Prepared;
                state.said.insert(Said::Prepared(one));
            }
            Act::CommitAsTold(one) => state.resources[one] = Resource::Committed,
            Act::GiveUp(one) | Act::AbortAsTold(one) => state.resources[one] = Resource::Aborted,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<TwoPhase>> {
        vec![Property::always("all come to the same", |_, state: &State| {
            let has = |what| state.resources.contains(&what);
            !(has(Resource::Committed) && has(Resource::Aborted))
        })]
    }
}

const ACCEPTORS: usize = 3;
type Vote = (u64, u64);

#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Message {
    Prepare(u64),
    Promise(u64, Option<Vote>),
    Accept(u64, u64),
    Accepted(u64, u64),
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Role {
    Acceptor {
        promised: u64,
        accepted: Option<Vote>,
    },
    Proposer {
        ballot: u64,
        promises: BTreeMap<Id, Option<Vote>>,
        value: u64,
        accepted: Vec<Id>,
        chosen: Option<u64>,
    },
}

#[derive(Clone)]
pub(crate) struct Peer {
    proposes: bool,
}

impl Actor for Peer {
    type Msg = Message;
    type State = Role;
    type Timer = ();
    type Random = ();
    type Storage = ();

    fn on_start(&self, id: Id, _: &Option<()>, out: &mut Out<Peer>) -> Role {
        if !self.proposes {
            return Role::Acceptor { promised: 0, accepted: None };
        }
        let ballot = usize::from(id) as u64;
        (0..ACCEPTORS).for_each(|acceptor| out.send(acceptor.into(), Message::Prepare(ballot)));
        let promises = BTreeMap::new();
        Role::Proposer { ballot, promises, value: ballot, accepted: Vec::new(), chosen: None }
    }

    fn on_msg(&self, _: Id, role: &mut Cow<Role>, from: Id, message: Message, out: &mut Out<Peer>) {
        match (role.as_ref(), message) {
            (Role::Acceptor { promised, .. }, Message::Prepare(ballot)) if ballot > *promised => {
                if let Role::Acceptor { promised, accepted } = role.to_mut() {
                    *promised = ballot;
                    out.send(from, Message::Promise(ballot, *accepted));
                }
            }
            (Role::Acceptor { promised, .. }, Message::Accept(ballot, value))
                if ballot >= *promised =>
            {
                *role.to_mut() =
                    Role::Acceptor { promised: ballot, accepted: Some((ballot, value)) };
                out.send(from, Message::Accepted(ballot, value));
            }
            (Role::Proposer { ballot, promises, .. }, Message::Promise(of, vote))
                if of == *ballot && promises.len() < 2 =>
            {
                if let Role::Proposer { promises, value, .. } = role.to_mut() {
                    promises.insert(from, vote);
                    if promises.len() == 2 {
                        if let Some((_, newest)) = promises.values().flatten().max() {
                            *value = *newest;
                        }
                        let accept = Message::Accept(of, *value);
                        (0..ACCEPTORS).for_each(|to| out.send(to.into(), accept.clone()));
                    }
                }
            }
            (Role::Proposer { ballot, chosen: None, .. }, Message::Accepted(of, voted))
                if of == *ballot =>
            {
                if let Role::Proposer { accepted, chosen, .. } = role.to_mut() {
                    accepted.push(from);
                    accepted.sort();
                    if accepted.len() == 2 {
                        *chosen = Some(voted);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Single-decree Paxos with three acceptors and so many proposers.
pub(crate) fn paxos(proposers: usize) -> ActorModel<Peer, (), ()> {
    ActorModel::new((), ())
        .actors((0..ACCEPTORS).map(|_| Peer { proposes: false }))
        .actors((0..proposers).map(|_| Peer { proposes: true }))
        .init_network(Network::new_unordered_nonduplicating([]))
        .property(Expectation::Always, "at most one value is chosen", |_, state| {
            let chosen = state.actor_states.iter().filter_map(|role| match &**role {
                Role::Proposer { chosen, .. } => *chosen,
                Role::Acceptor { .. } => None,
            });
            let chosen: BTreeSet<u64> = chosen.collect();
            chosen.len() < 2
        })
}

/// A model of stateright's, unchanged, for squall's explorer.
pub(crate) struct Unchanged<M>(pub(crate) M);

impl<M: Model> ours::Model for Unchanged<M>
where
    M: 'static,
    M::State: Clone + Hash,
    M::Action: Clone + Debug,
{
    type State = M::State;
    type Action = M::Action;

    fn initial(&self) -> Vec<M::State> {
        self.0.init_states()
    }

    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        // Actor models empty the list that they are given.
        let mut own = Vec::new();
        self.0.actions(state, &mut own);
        actions.append(&mut own);
    }

    fn step(&self, state: &mut M::State, action: &M::Action) -> bool {
        let next = self.0.next_state(state, action.clone());
        next.map(|next| *state = next).is_some()
    }

    fn properties(&self) -> Vec<ours::Property<Self>> {
        let always = |property: Property<M>| {
            ours::Property::always(property.name, move |model: &Self, state: &M::State| {
                match (property.condition)(&model.0, state) {
                    true => Ok(()),
                    false => Err(property.name.to_owned()),
                }
            })
        };
        self.0.properties().into_iter().map(always).collect()
    }
}
