//! Single-decree Paxos (Lamport, "Paxos Made Simple", 2001): three acceptors, and proposers that
//! each propose one value once. A message is delivered once or never; one that would change
//! nothing stays where it is, which stands for its loss.

use squall::explore::{Bag, Model, Property};

/// So many proposers. Each has one ballot, and proposes that number.
#[derive(Clone, Copy, Debug)]
pub struct Paxos<const P: usize>;

const ACCEPTORS: usize = 3;
const MAJORITY: usize = 2;

/// A ballot and the value that was accepted in it.
type Vote = (u8, u8);

/// What an acceptor remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Acceptor {
    promised: u8,
    accepted: Option<Vote>,
}

/// What a proposer remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Proposer {
    promises: [Option<Option<Vote>>; ACCEPTORS],
    value: u8,
    accepted: [bool; ACCEPTORS],
    chosen: Option<u8>,
}

/// A message between a proposer and an acceptor, which are told apart by its kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Envelope {
    proposer: u8,
    acceptor: u8,
    message: Message,
}

/// The messages of the two phases, with ballots and values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Message {
    /// Phase 1a.
    Prepare(u8),
    /// Phase 1b.
    Promise(u8, Option<Vote>),
    /// Phase 2a.
    Accept(u8, u8),
    /// Phase 2b.
    Accepted(u8, u8),
}

/// A state.
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct State<const P: usize> {
    acceptors: [Acceptor; ACCEPTORS],
    proposers: [Proposer; P],
    network: Bag<Envelope>,
}

impl<const P: usize> Clone for State<P> {
    fn clone(&self) -> State<P> {
        State { network: self.network.clone(), ..*self }
    }

    fn clone_from(&mut self, from: &State<P>) {
        self.acceptors = from.acceptors;
        self.proposers = from.proposers;
        self.network.clone_from(&from.network);
    }
}

impl<const P: usize> State<P> {
    fn send(&mut self, proposer: u8, acceptor: u8, message: Message) {
        self.network.insert(Envelope { proposer, acceptor, message });
    }

    fn send_all(&mut self, proposer: u8, message: Message) {
        (0..ACCEPTORS as u8).for_each(|acceptor| self.send(proposer, acceptor, message));
    }

    /// Says whether anything comes of a message.
    fn deliver(&mut self, envelope: Envelope) -> bool {
        let Envelope { proposer, acceptor, message } = envelope;
        let at = &mut self.acceptors[usize::from(acceptor)];
        let by = &mut self.proposers[usize::from(proposer)];
        let own_ballot = ballot(proposer);
        match message {
            Message::Prepare(ballot) if ballot > at.promised => {
                at.promised = ballot;
                let promise = Message::Promise(ballot, at.accepted);
                self.send(proposer, acceptor, promise);
            }
            Message::Accept(ballot, value) if ballot >= at.promised => {
                *at = Acceptor { promised: ballot, accepted: Some((ballot, value)) };
                self.send(proposer, acceptor, Message::Accepted(ballot, value));
            }
            Message::Promise(ballot, vote) if ballot == own_ballot => {
                if by.promises.iter().flatten().count() >= MAJORITY {
                    return false;
                }
                by.promises[usize::from(acceptor)] = Some(vote);
                if by.promises.iter().flatten().count() == MAJORITY {
                    if let Some((_, value)) = by.promises.iter().flatten().flatten().max() {
                        by.value = *value;
                    }
                    let accept = Message::Accept(ballot, by.value);
                    self.send_all(proposer, accept);
                }
            }
            Message::Accepted(ballot, value) if ballot == own_ballot && by.chosen.is_none() => {
                by.accepted[usize::from(acceptor)] = true;
                if by.accepted.iter().filter(|accepted| **accepted).count() == MAJORITY {
                    by.chosen = Some(value);
                }
            }
            _ => return false,
        }
        true
    }
}

/// The ballot of a proposer, and the value that it proposes.
fn ballot(proposer: u8) -> u8 {
    proposer + ACCEPTORS as u8
}

impl<const P: usize> Model for Paxos<P> {
    type State = State<P>;
    type Action = Envelope;

    fn initial(&self) -> Vec<State<P>> {
        let proposer = |number: usize| Proposer {
            promises: [None; ACCEPTORS],
            value: ballot(number as u8),
            accepted: [false; ACCEPTORS],
            chosen: None,
        };
        let mut state = State {
            acceptors: [Acceptor::default(); ACCEPTORS],
            proposers: std::array::from_fn(proposer),
            network: Bag::default(),
        };
        (0..P as u8).for_each(|number| state.send_all(number, Message::Prepare(ballot(number))));
        vec![state]
    }

    fn actions(&self, state: &State<P>, actions: &mut Vec<Envelope>) {
        actions.extend(state.network.distinct());
    }

    fn step(&self, state: &mut State<P>, envelope: &Envelope) -> bool {
        state.deliver(*envelope) && state.network.remove(envelope)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let chosen = |state: &State<P>| state.proposers.map(|proposer| proposer.chosen);
        vec![
            Property::always("at most one value is chosen", move |_, state: &State<P>| {
                let chosen = chosen(state);
                let mut values = chosen.iter().flatten();
                match values.next() {
                    Some(first) if values.any(|value| value != first) => {
                        Err(format!("the proposers know of {chosen:?}"))
                    }
                    _ => Ok(()),
                }
            }),
            Property::sometimes("a value is chosen", move |_, state: &State<P>| {
                chosen(state).iter().any(Option::is_some)
            }),
        ]
    }

    fn say(&self, _: &State<P>, Envelope { proposer, acceptor, message }: &Envelope) -> String {
        let (proposer, acceptor) = (proposer + 1, acceptor + 1);
        match message {
            Message::Prepare(_) | Message::Accept(..) => {
                format!("acceptor-{acceptor} gets {message:?} from proposer-{proposer}")
            }
            Message::Promise(..) | Message::Accepted(..) => {
                format!("proposer-{proposer} gets {message:?} from acceptor-{acceptor}")
            }
        }
    }
}
