//! The register's replicas with all that may happen to them, and clients as small as they can be.

use super::LINEARIZABLE;
use squall::explore::system::{Caller, Event, Faults, Out, System, linearizable};
use squall::explore::{Subject, breadth_first};
use squall_check::{Register, RegisterCall, RegisterReturn};
use squall_env::{Address, NodeId, Port};
use squall_protocols::register::{Message, NAME, Replica, Tag};

const REPLICAS: u16 = 3;

type Answer = Event<RegisterCall<Option<u64>>, RegisterReturn<Option<u64>>>;

/// The phases of the register's client, without retries and deadlines.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Client {
    number: u16,
    /// What it is still to do, the last first; a write has its value.
    left: Vec<Option<u8>>,
    round: u32,
    phase: Phase,
    /// How many replicas it hears.
    quorum: u32,
    /// Whether it stores what it is going to return, if not all have it.
    writes_back: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Idle,
    /// It asks for the newest tag, to read or to write this.
    Query {
        write: Option<u8>,
        heard: u8,
        newest: (Tag, Vec<u8>),
        least: Tag,
    },
    /// It stores what it writes, or what a read is going to return.
    Store {
        read: Option<Vec<u8>>,
        heard: u8,
    },
}

impl Client {
    /// A client with what it does, in order: it writes a value or reads.
    pub fn new(number: u16, does: &[Option<u8>]) -> Client {
        let left = does.iter().rev().copied().collect();
        let quorum = u32::from(REPLICAS) / 2 + 1;
        Client { number, left, round: 0, phase: Phase::Idle, quorum, writes_back: true }
    }

    /// With one of the mutants of the register's own client.
    fn mutant(mut self, switch: Option<&str>) -> Client {
        match switch {
            Some("register/quorum-off-by-one") => self.quorum -= 1,
            Some("register/reads-without-write-back") => self.writes_back = false,
            _ => {}
        }
        self
    }

    fn ask(&mut self, out: &mut Out<Replica, Answer>, message: impl Fn(u32) -> Message) {
        self.round += 1;
        for ordinal in 1..=REPLICAS {
            let to = Address::new(NodeId::new(0, ordinal), Port::named(NAME));
            out.send(to, message(self.round));
        }
    }

    fn store(&mut self, tag: Tag, value: &[u8], out: &mut Out<Replica, Answer>) {
        self.ask(out, |round| Message::Store { round, tag, value: value.into() });
    }

    fn finish(&mut self, read: Option<Vec<u8>>, out: &mut Out<Replica, Answer>) {
        self.phase = Phase::Idle;
        let process = u64::from(self.number);
        out.record(Event::Returned(
            process,
            match read {
                None => RegisterReturn::Written,
                Some(value) => RegisterReturn::Value(value.first().map(|byte| u64::from(*byte))),
            },
        ));
    }

    /// A majority has said what its newest tags are.
    fn queried(&mut self, out: &mut Out<Replica, Answer>) {
        let Phase::Query { write, newest, least, .. } =
            std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return;
        };
        let (tag, value) = newest;
        match write {
            Some(byte) => {
                let tag = Tag { sequence: tag.sequence + 1, writer: u64::from(self.number) };
                self.phase = Phase::Store { read: None, heard: 0 };
                self.store(tag, &[byte], out);
            }
            None if least != tag && self.writes_back => {
                self.phase = Phase::Store { read: Some(value.clone()), heard: 0 };
                self.store(tag, &value, out);
            }
            None => self.finish(Some(value), out),
        }
    }
}

impl Caller<Replica> for Client {
    type Event = Answer;

    fn moves(&self) -> u32 {
        u32::from(self.phase == Phase::Idle && !self.left.is_empty())
    }

    fn say(&self, _: u32) -> String {
        match self.left.last() {
            Some(Some(value)) => format!("begins to write {value}"),
            _ => "begins to read".to_owned(),
        }
    }

    fn act(&mut self, _: u32, out: &mut Out<Replica, Answer>) {
        let Some(write) = self.left.pop() else { return };
        out.record(Event::Invoked(
            u64::from(self.number),
            match write {
                Some(value) => RegisterCall::Write(Some(u64::from(value))),
                None => RegisterCall::Read,
            },
        ));
        let (newest, most) = ((Tag::default(), Vec::new()), u64::MAX);
        let least = Tag { sequence: most, writer: most };
        self.phase = Phase::Query { write, heard: 0, newest, least };
        self.ask(out, |round| Message::Query { round });
    }

    fn on_message(&mut self, from: Address, message: Message, out: &mut Out<Replica, Answer>) {
        let bit = 1u8 << from.node.ordinal();
        let (round, quorum) = (self.round, self.quorum);
        match (&mut self.phase, message) {
            (
                Phase::Query { heard, newest, least, .. },
                Message::Newest { round: of, tag, value },
            ) if of == round && *heard & bit == 0 => {
                *heard |= bit;
                *least = tag.min(*least);
                if tag > newest.0 {
                    *newest = (tag, value.to_vec());
                }
                if heard.count_ones() >= quorum {
                    self.queried(out);
                }
            }
            (Phase::Store { heard, read }, Message::Stored { round: of }) if of == round => {
                *heard |= bit;
                if heard.count_ones() >= quorum {
                    let read = read.take();
                    self.finish(read, out);
                }
            }
            _ => {}
        }
    }

    fn is_stale(&self, message: &Message) -> bool {
        match (message, &self.phase) {
            // It is stored whenever it comes.
            (Message::Store { .. }, _) => false,
            (Message::Query { round } | Message::Newest { round, .. }, Phase::Query { .. })
            | (Message::Stored { round }, Phase::Store { .. }) => *round != self.round,
            _ => true,
        }
    }
}

/// Three replicas, one client that writes and one that reads so many times.
pub fn replicas(faults: &Faults, mutant: Option<&str>, reads: usize) -> System<Replica, Client> {
    let writer = Client::new(1, &[Some(1)]).mutant(mutant);
    let reader = Client::new(2, &vec![None; reads]).mutant(mutant);
    let configs = (0..REPLICAS).map(|_| ()).collect();
    let mut system = System::new("replica", NAME, configs)
        .callers([writer, reader])
        .faults(*faults)
        .always(LINEARIZABLE, linearizable(Register::<Option<u64>>::new(None)))
        .sometimes("a read returns what is being written", |state| {
            matches!(
                state.history(),
                [
                    ..,
                    Event::Invoked(1, _),
                    Event::Invoked(2, _),
                    Event::Returned(2, RegisterReturn::Value(Some(1)))
                ]
            )
        })
        .sometimes("everything is done", move |state| state.history().len() == 2 + 2 * reads);
    if let Some(mutant) = mutant {
        system = system.mutant(mutant);
    } else if faults.crashes == 0 {
        // A replica says nothing early, so its disk is no more than a delay of its answers.
        system = system.syncs_at_once();
    }
    system
}

/// The replicas, and each mutant of the register that breaks what clients see of them.
pub fn subjects() -> Vec<Subject> {
    let about = "three replicas of the register, a write and two reads";
    let good = Subject::new("register/replicas", about, |faults, limits| {
        breadth_first(&replicas(faults, None, 2), limits)
    });
    let mutant = |switch: &'static str, crashes| {
        let name = format!("mutant/{}", switch.replace('/', "-"));
        let about = format!("the same with the deliberate bug {switch}");
        let faults = Faults { crashes, ..Faults::default() };
        Subject::new(&name, &about, move |faults, limits| {
            breadth_first(&replicas(faults, Some(switch), 2), limits)
        })
        .faults(faults)
    };
    vec![
        good,
        mutant("register/quorum-off-by-one", 0),
        mutant("register/reads-without-write-back", 0),
        mutant("register/acknowledges-before-durable", 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall::explore::{Explored, Limits};

    const CRASH: Faults = Faults { crashes: 1, losses: 0, copies: 0, timers: 0 };

    fn explored(faults: &Faults, mutant: Option<&str>, reads: usize) -> Explored {
        breadth_first(&replicas(faults, mutant, reads), &Limits::default())
    }

    #[test]
    fn the_replicas_are_correct_as_far_as_they_are_gone_through() {
        let calm = explored(&Faults::default(), None, 2);
        assert!(calm.is_clean(), "{:?}", calm.lines());
        assert_eq!((calm.states, calm.transitions), (31_735, 125_040));
        let crash = explored(&CRASH, None, 1);
        assert!(crash.is_clean(), "{:?}", crash.lines());
        let copies = explored(&Faults { copies: 1, losses: 1, ..Faults::default() }, None, 1);
        assert!(copies.is_clean(), "{:?}", copies.lines());
    }

    #[test]
    fn each_mutant_is_found_in_as_few_steps_as_can_be() {
        for (mutant, crashes, steps) in [
            ("register/quorum-off-by-one", 0, 9),
            ("register/reads-without-write-back", 0, 17),
            ("register/acknowledges-before-durable", 1, 15),
        ] {
            let faults = Faults { crashes, ..Faults::default() };
            let broken = explored(&faults, Some(mutant), 2).broken.expect(mutant);
            assert_eq!((broken.property.as_str(), broken.steps.len()), (LINEARIZABLE, steps));
        }
    }

    #[test]
    fn what_is_not_durable_matters_in_crashes_alone() {
        let mutant = "register/acknowledges-before-durable";
        assert!(explored(&Faults::default(), Some(mutant), 1).is_clean());
        assert!(explored(&CRASH, Some(mutant), 1).is_broken());
    }
}
