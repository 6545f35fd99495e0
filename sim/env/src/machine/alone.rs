//! Turns of a machine without a driver, one at a time: for whoever goes through all of them.

use super::turn::{Held, Turn};
use super::{Machine, RequestId};
use crate::Env;
use crate::address::{Address, Port};
use crate::journal::{Journal, Position};

/// What a machine may be given.
pub enum Input<M: Machine> {
    /// The first turn after `restore` and `apply`.
    Start,
    /// A message from somebody.
    Message(Address, M::Message),
    /// A request of the own node.
    Request(RequestId, M::Request),
    /// A timer, which is armed no more.
    Timer(M::Timer),
    /// Everything up to this position is durable.
    Durable(Position),
}

/// Where a machine stands between two turns, beside its own state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Standing<T> {
    /// The position of the last record that it persisted.
    pub last: Position,
    /// Everything up to this position is durable.
    pub durable: Position,
    /// The timers that are armed, in the order in which they were.
    pub timers: Vec<T>,
}

impl<T> Default for Standing<T> {
    fn default() -> Standing<T> {
        Standing { last: Position(0), durable: Position(0), timers: Vec::new() }
    }
}

/// What leaves the node once everything that was persisted before it is durable.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Effect<R> {
    /// A message, as a frame of [`codec`](crate::codec).
    Send {
        /// To whom.
        to: Address,
        /// The frame.
        frame: Vec<u8>,
    },
    /// The answer to a request.
    Reply {
        /// Which request.
        id: RequestId,
        /// The answer.
        reply: R,
    },
}

/// What a turn did, beside what it did to the machine.
pub struct Taken<M: Machine> {
    /// Its records, encoded as they would be on disk. They are applied already.
    pub records: Vec<Vec<u8>>,
    /// Its effects, in order. They wait for all these records, and for all earlier ones.
    pub effects: Vec<Effect<M::Reply>>,
    /// Whether it wants a snapshot to replace its records.
    pub compacts: bool,
}

/// Takes one turn. What the turn asks of clocks and of chance, and what it sends early, goes to the
/// platform of `env`; nothing goes to its disk.
pub fn turn<M: Machine>(
    env: &Env,
    port: Port,
    machine: &mut M,
    standing: &mut Standing<M::Timer>,
    input: Input<M>,
) -> Taken<M> {
    turns(env, port, machine, standing, [input])
}

/// Takes a turn for each input, as [`turn`] does, and only then has the machine settle: so a driver
/// takes inputs that wait together.
pub fn turns<M: Machine>(
    env: &Env,
    port: Port,
    machine: &mut M,
    standing: &mut Standing<M::Timer>,
    inputs: impl IntoIterator<Item = Input<M>>,
) -> Taken<M> {
    let (last, durable) = (standing.last.0, standing.durable.0);
    let journal = Journal::without_disk(env, last, durable);
    let mut turn = Turn::new(env, port, journal);
    let now = turn.now();
    turn.timers = standing.timers.drain(..).map(|timer| (now, timer)).collect();
    for input in inputs {
        match input {
            Input::Start => machine.on_start(&mut turn),
            Input::Message(from, message) => machine.on_message(from, message, &mut turn),
            Input::Request(id, request) => machine.on_request(id, request, &mut turn),
            Input::Timer(timer) => {
                turn.disarm(&timer);
                machine.on_timer(timer, &mut turn);
            }
            Input::Durable(upto) => machine.on_durable(upto, &mut turn),
        }
    }
    // No other input waits.
    if std::mem::take(&mut turn.settle) {
        machine.on_settled(&mut turn);
    }
    standing.last = turn.last();
    standing.timers = turn.timers.drain(..).map(|(_, timer)| timer).collect();
    let effects = turn.take_held().into_iter().map(|held| match held {
        Held::Send { to, frame } => Effect::Send { to, frame },
        Held::Reply { id, reply } => Effect::Reply { id, reply },
    });
    let effects = effects.collect();
    Taken { records: turn.take_records(), effects, compacts: turn.compact }
}

/// The machine that a snapshot and the records behind it give, encoded as they would be on disk.
///
/// # Errors
/// If they are none of this machine's.
pub fn recover<'a, M: Machine>(
    config: &M::Config,
    snapshot: Option<&[u8]>,
    records: impl Iterator<Item = &'a [u8]>,
) -> Result<M, super::OpenError> {
    super::driver::rebuild(config, snapshot, records)
}

/// The machine's durable state, encoded as it would be on disk.
pub fn snapshot<M: Machine>(machine: &M) -> Vec<u8> {
    super::driver::encode(machine)
}
