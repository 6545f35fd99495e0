//! Systems of machines, with time left out: everything that may happen next may.
//!
//! A machine gets a message, whichever is under way; a timer runs out, whichever is armed; the disk
//! catches up, by as many records as one likes; a machine crashes and is back with its durable
//! records and any beginning of the others; a message is lost or comes twice; a caller begins
//! something. What a machine [draws](squall_env::Turn::choose) is everything that it may draw;
//! 64 bits [at random](squall_env::Turn::random) are two different numbers, and a place where
//! something rare may be done (`buggify!`) never does it.
//!
//! Faults are bounded ([`Faults`]), none by default. A message that nobody takes stays under way,
//! so the ways in which it is lost are gone through in any case; to ask for losses matters to what
//! must come about eventually. What may take effect without being durable, for instance what was
//! sent early, is seen to be lost in crashes.

mod caller;
mod desk;
mod history;
mod state;
mod steps;

pub use caller::{Caller, Explorable, Out};
pub use history::{Event, linearizable};
pub use state::State;
pub use steps::Action;

use super::{Bag, Model, Property};
use desk::{Desk, Shared};
use squall_env::machine::alone::Standing;
use squall_env::{Address, Env, NodeId, Port, Roster};
use state::Node;
use std::sync::Arc;

/// How often may go wrong what can.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Faults {
    /// So many crashes, of all machines together.
    pub crashes: u32,
    /// So many messages are lost.
    pub losses: u32,
    /// So many messages are delivered and stay under way.
    pub copies: u32,
    /// So many timers run out.
    pub timers: u32,
}

type Holds<M, C> = Arc<dyn Fn(&State<M, C>) -> Result<(), String>>;
type Is<M, C> = Arc<dyn Fn(&State<M, C>) -> bool>;

enum Wanted<M: Explorable, C: Caller<M>> {
    Always(String, Holds<M, C>),
    Sometimes(String, Is<M, C>),
    Eventually(String, Is<M, C>),
}

/// Machines of one kind and their callers: a [`Model`] of all that may happen to them.
pub struct System<M: Explorable, C: Caller<M>> {
    roster: Roster,
    port: Port,
    configs: Vec<M::Config>,
    callers: Vec<C>,
    faults: Faults,
    syncs_at_once: bool,
    mutant: Option<String>,
    wanted: Vec<Wanted<M, C>>,
    envs: Vec<Env>,
    turn: Shared,
}

/// The roles of a system, in this order.
const MACHINES: u16 = 0;
const CALLERS: u16 = 1;

impl<M: Explorable, C: Caller<M>> System<M, C> {
    /// A system of one machine for each of these configurations. The role is that of their nodes,
    /// and the name that of journal and port.
    ///
    /// # Panics
    /// If the role is that of the callers, `client`: the role is the author's own text.
    pub fn new(role: &str, name: &str, configs: Vec<M::Config>) -> System<M, C> {
        System {
            roster: Roster::new("exploration").with(role, configs.len() as u16).with("client", 0),
            port: Port::named(name),
            configs,
            callers: Vec::new(),
            faults: Faults::default(),
            syncs_at_once: false,
            mutant: None,
            wanted: Vec::new(),
            envs: Vec::new(),
            turn: Shared::default(),
        }
        .ready(role)
    }

    /// Adds callers, which are called `client-1` and so on.
    #[must_use]
    pub fn callers(mut self, callers: impl IntoIterator<Item = C>) -> Self {
        self.callers.extend(callers);
        let role = self.roster.roles().next().map_or(String::new(), |(role, _)| role.to_owned());
        self.ready(&role)
    }

    /// How often may go wrong what can.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Takes every record for durable at once. Without crashes that leaves nothing out that a
    /// message's delay does not bring, unless a machine sends early or acts on durability.
    #[must_use]
    pub fn syncs_at_once(mut self) -> Self {
        self.syncs_at_once = true;
        self
    }

    /// Switches a deliberate bug on; see [`mutant!`](squall_env::mutant).
    #[must_use]
    pub fn mutant(mut self, name: &str) -> Self {
        self.mutant = Some(name.to_owned());
        let role = self.roster.roles().next().map_or(String::new(), |(role, _)| role.to_owned());
        self.ready(&role)
    }

    /// Must hold in every state.
    #[must_use]
    pub fn always(
        mut self,
        name: &str,
        holds: impl Fn(&State<M, C>) -> Result<(), String> + 'static,
    ) -> Self {
        self.wanted.push(Wanted::Always(name.to_owned(), Arc::new(holds)));
        self
    }

    /// Must be so in some state.
    #[must_use]
    pub fn sometimes(mut self, name: &str, is_so: impl Fn(&State<M, C>) -> bool + 'static) -> Self {
        self.wanted.push(Wanted::Sometimes(name.to_owned(), Arc::new(is_so)));
        self
    }

    /// Must come to be so on every way; see [`Property::eventually`].
    #[must_use]
    pub fn eventually(
        mut self,
        name: &str,
        is_so: impl Fn(&State<M, C>) -> bool + 'static,
    ) -> Self {
        self.wanted.push(Wanted::Eventually(name.to_owned(), Arc::new(is_so)));
        self
    }

    /// The addresses of the machines, in order.
    pub fn addresses(&self) -> Vec<Address> {
        self.nodes(MACHINES, self.configs.len())
    }

    fn nodes(&self, role: u16, count: usize) -> Vec<Address> {
        let node = |at| Address::new(NodeId::new(role, at), self.port);
        (1..=count as u16).map(node).collect()
    }

    fn ready(mut self, role: &str) -> Self {
        let (machines, callers) = (self.configs.len() as u16, self.callers.len() as u16);
        self.roster = Roster::new("exploration").with(role, machines).with("client", callers);
        let desk = |address: Address| {
            let mutant = self.mutant.as_deref();
            Env::new(Arc::new(Desk::new(address.node, &self.roster, mutant, &self.turn)))
        };
        self.envs = self.addresses().into_iter().map(desk).collect();
        self
    }
}

impl<M: Explorable, C: Caller<M>> Model for System<M, C>
where
    M: 'static,
    C: 'static,
{
    type State = State<M, C>;
    type Action = Action<M, C>;

    fn initial(&self) -> Vec<State<M, C>> {
        let node = |config| Node {
            live: M::restore(config, None),
            standing: Standing::default(),
            durable: None,
            pending: Vec::new(),
            held: Vec::new(),
        };
        let start = State {
            nodes: self.configs.iter().map(|config| Arc::new(node(config))).collect(),
            callers: self.callers.clone(),
            network: Bag::default(),
            history: Vec::new(),
            spent: Faults::default(),
            failed: None,
        };
        self.started(start)
    }

    fn actions(&self, state: &State<M, C>, actions: &mut Vec<Action<M, C>>) {
        self.all_steps(state, actions);
    }

    fn step(&self, state: &mut State<M, C>, action: &Action<M, C>) -> bool {
        state.clone_from(&action.next);
        true
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let property = |wanted: &Wanted<M, C>| match wanted {
            Wanted::Always(name, holds) => {
                let holds = Arc::clone(holds);
                Property::always(name.clone(), move |_, state| holds(state))
            }
            Wanted::Sometimes(name, is_so) => {
                let is_so = Arc::clone(is_so);
                Property::sometimes(name.clone(), move |_, state| is_so(state))
            }
            Wanted::Eventually(name, is_so) => {
                let is_so = Arc::clone(is_so);
                Property::eventually(name.clone(), move |_, state| is_so(state))
            }
        };
        let no_machine_fails =
            Property::always("no machine panics or fails to recover", |_, state: &State<M, C>| {
                state.failed.clone().map_or(Ok(()), Err)
            });
        std::iter::once(no_machine_fails).chain(self.wanted.iter().map(property)).collect()
    }

    fn say(&self, before: &State<M, C>, action: &Action<M, C>) -> String {
        self.sentence(before, action)
    }
}
