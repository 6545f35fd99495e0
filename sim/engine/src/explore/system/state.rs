//! The state of a system of machines.

use super::Faults;
use super::caller::{Caller, Explorable};
use crate::explore::Bag;
use squall_env::Address;
use squall_env::machine::alone::{Effect, Standing};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A state of machines, callers and network.
pub struct State<M: Explorable, C: Caller<M>> {
    pub(super) nodes: Vec<Arc<Node<M>>>,
    pub(super) callers: Vec<C>,
    pub(super) network: Bag<Flying>,
    pub(super) history: Vec<C::Event>,
    pub(super) spent: Faults,
    /// Why no machine does anything any more.
    pub(super) failed: Option<String>,
}

/// A message under way, as a frame.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Flying {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) frame: Arc<[u8]>,
}

/// A machine on its node.
pub(super) struct Node<M: Explorable> {
    pub(super) live: M,
    pub(super) standing: Standing<M::Timer>,
    /// The durable state as a snapshot; none as long as nothing was ever persisted.
    pub(super) durable: Option<Vec<u8>>,
    /// The records that are not durable.
    pub(super) pending: Vec<Vec<u8>>,
    /// What waits for which record.
    pub(super) held: Vec<(u64, Effect<M::Reply>)>,
}

impl<M: Explorable, C: Caller<M>> State<M, C> {
    /// The machines as they are, what is not durable included.
    pub fn machines(&self) -> impl Iterator<Item = &M> {
        self.nodes.iter().map(|node| &node.live)
    }

    /// What a machine's disk holds for sure, as a snapshot; `None` if it was never told to hold
    /// anything.
    pub fn durable(&self, machine: usize) -> Option<M::Snapshot> {
        let bytes = self.nodes.get(machine)?.durable.as_deref()?;
        postcard::from_bytes(bytes).ok()
    }

    /// How many messages are under way.
    pub fn under_way(&self) -> usize {
        self.network.len()
    }

    /// How often what may go wrong has done so.
    pub fn spent(&self) -> Faults {
        self.spent
    }

    /// The callers.
    pub fn callers(&self) -> &[C] {
        &self.callers
    }

    /// What the callers have recorded, in its order.
    pub fn history(&self) -> &[C::Event] {
        &self.history
    }
}

impl<M: Explorable, C: Caller<M>> Clone for State<M, C> {
    fn clone(&self) -> State<M, C> {
        State {
            nodes: self.nodes.clone(),
            callers: self.callers.clone(),
            network: self.network.clone(),
            history: self.history.clone(),
            spent: self.spent,
            failed: self.failed.clone(),
        }
    }

    fn clone_from(&mut self, from: &State<M, C>) {
        self.nodes.clone_from(&from.nodes);
        self.callers.clone_from(&from.callers);
        self.network.clone_from(&from.network);
        self.history.clone_from(&from.history);
        self.spent = from.spent;
        self.failed.clone_from(&from.failed);
    }
}

impl<M: Explorable, C: Caller<M>> Hash for State<M, C> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.nodes.hash(hasher);
        self.callers.hash(hasher);
        self.network.hash(hasher);
        self.history.hash(hasher);
        self.spent.hash(hasher);
        self.failed.hash(hasher);
    }
}

impl<M: Explorable> Clone for Node<M> {
    fn clone(&self) -> Node<M> {
        Node {
            live: self.live.clone(),
            standing: self.standing.clone(),
            durable: self.durable.clone(),
            pending: self.pending.clone(),
            held: self.held.clone(),
        }
    }
}

impl<M: Explorable> Hash for Node<M> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.live.hash(hasher);
        self.standing.hash(hasher);
        self.durable.hash(hasher);
        self.pending.hash(hasher);
        self.held.hash(hasher);
    }
}
