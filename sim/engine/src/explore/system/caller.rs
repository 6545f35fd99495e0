//! Who uses the machines: callers, as small as they can be.

use squall_env::machine::Machine;
use squall_env::{Address, NodeId};
use std::fmt::Debug;
use std::hash::Hash;

/// A machine of which all that it may do can be gone through. Every such machine is one.
pub trait Explorable:
    Machine<Timer: Hash + Debug, Message: Debug, Reply: Clone + Hash + Debug> + Clone + Hash
{
}

impl<M> Explorable for M where
    M: Machine<Timer: Hash + Debug, Message: Debug, Reply: Clone + Hash + Debug> + Clone + Hash
{
}

/// Somebody outside the machines, who asks them and hears their answers: a client without clocks,
/// retries and deadlines. A message that is never delivered stands for a lost one, and an operation
/// that is never finished for one that was given up.
pub trait Caller<M: Machine>: Clone + Hash {
    /// What the history is made of.
    type Event: Clone + Hash + Debug;

    /// How many different things it may begin now.
    fn moves(&self) -> u32;

    /// What it begins, as the end of a sentence that begins with its name.
    fn say(&self, which: u32) -> String;

    /// It begins one of them, counted from 0.
    fn act(&mut self, which: u32, out: &mut Out<M, Self::Event>);

    /// A message comes.
    fn on_message(&mut self, from: Address, message: M::Message, out: &mut Out<M, Self::Event>);

    /// The machine that was asked answers the request of this number.
    fn on_reply(&mut self, number: u32, reply: M::Reply, out: &mut Out<M, Self::Event>) {
        let _ = (number, reply, out);
    }

    /// A machine crashes: what it was asked and has not answered it will never answer.
    fn on_crash(&mut self, machine: NodeId, out: &mut Out<M, Self::Event>) {
        let _ = (machine, out);
    }

    /// Whether a message that it sent, or that was sent to it, makes no difference any more: it is
    /// then lost, which keeps the number of states low. A message that still changes a machine's
    /// state makes one.
    fn is_stale(&self, message: &M::Message) -> bool {
        let _ = message;
        false
    }
}

/// What a caller does.
pub struct Out<M: Machine, E> {
    pub(super) sends: Vec<(Address, M::Message)>,
    pub(super) requests: Vec<(NodeId, u32, M::Request)>,
    pub(super) events: Vec<E>,
}

impl<M: Machine, E> Out<M, E> {
    pub(super) fn new() -> Out<M, E> {
        Out { sends: Vec::new(), requests: Vec::new(), events: Vec::new() }
    }

    /// Sends a message.
    pub fn send(&mut self, to: Address, message: M::Message) {
        self.sends.push((to, message));
    }

    /// Asks the machine of a node something, as who runs on that node does; the number comes back
    /// with the reply.
    pub fn ask(&mut self, machine: NodeId, number: u32, request: M::Request) {
        self.requests.push((machine, number, request));
    }

    /// Adds to the history.
    pub fn record(&mut self, event: E) {
        self.events.push(event);
    }
}
