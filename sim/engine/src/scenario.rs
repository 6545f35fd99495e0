//! A scenario: a system, its load, the faults that it survives, and what must hold.

use crate::check::Judge;
use crate::client::Client;
use crate::plan::{self, Forecast, Invalid, Plan};
use crate::script::{self, Script};
use crate::table::FaultSet;
use crate::tolerance::Tolerance;
use crate::world::{Allowance, Bounds, Budget, with};
use squall_env::platform::BoxFuture;
use squall_env::shown::AuditView;
use squall_env::{Combination, Env, NodeId, View};
use std::fmt::Display;
use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub(crate) type CheckFn = Box<dyn FnMut(&View<'_>) -> Result<(), String>>;
pub(crate) type AuditFn = Box<dyn FnMut(&AuditView<'_>) -> Result<(), String>>;
pub(crate) type GoalFn = Box<dyn FnMut(&View<'_>) -> bool>;
pub(crate) type AbstractionFn = dyn Fn(&View<'_>) -> u64 + Send + Sync;
pub(crate) type LeaderFn = Box<dyn FnMut(&View<'_>) -> Option<NodeId>>;
pub(crate) type InspectFn = Arc<dyn Fn(&View<'_>) -> Vec<(NodeId, String)> + Send + Sync>;
type Maker<T> = Box<dyn Fn() -> T + Send + Sync>;

/// How a role becomes the main task of a boot, which ends by leaving through the exit.
pub(crate) enum Start {
    Node(Box<dyn Fn(Env, Exit) -> BoxFuture<'static, ()> + Send + Sync>),
    Client(Box<dyn Fn(Client, Exit) -> BoxFuture<'static, ()> + Send + Sync>),
}

/// The end of a boot whose role has returned.
pub(crate) struct Exit {
    pub(crate) node: u32,
    pub(crate) token: u64,
}

impl Exit {
    fn leave<E: Display>(self, ended: Result<(), E>) {
        // What the error says is user code, so it is asked before the world is entered.
        let error = ended.err().map(|error| error.to_string());
        with(|world| world.exited(self.node, self.token, error.as_deref()));
    }
}

pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) low: u16,
    high: u16,
    pub(crate) start: Start,
}

/// A situation of which every combination is wanted.
pub(crate) struct Each {
    pub(crate) name: &'static str,
    pub(crate) facets: Vec<&'static str>,
    pub(crate) values: Vec<&'static [&'static str]>,
}

impl Each {
    /// Every combination of its values, the last facet changing first.
    pub(crate) fn combinations(&self) -> Vec<Vec<&'static str>> {
        self.values.iter().fold(vec![Vec::new()], |all, values| {
            let with = |before: &Vec<&'static str>| {
                let before = before.clone();
                values.iter().map(move |value| [before.as_slice(), &[*value]].concat())
            };
            all.iter().flat_map(with).collect()
        })
    }
}

/// A system under test. Built by chained calls, it is run by [`Scenario::seeds`] or the command
/// line.
pub struct Scenario {
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) tolerance: Tolerance,
    pub(crate) heal_after: Duration,
    pub(crate) finish_within: Duration,
    pub(crate) bounds: Bounds,
    pub(crate) always: Vec<(&'static str, Maker<CheckFn>)>,
    pub(crate) audits: Vec<(&'static str, Maker<AuditFn>)>,
    pub(crate) abstractions: Vec<(&'static str, Arc<AbstractionFn>)>,
    pub(crate) goals: Vec<(&'static str, Duration, Maker<GoalFn>)>,
    pub(crate) leader: Option<Maker<LeaderFn>>,
    pub(crate) inspects: Vec<(&'static str, InspectFn)>,
    pub(crate) forecast: Forecast,
    pub(crate) script: Option<Script>,
    pub(crate) sometimes: Vec<&'static str>,
    pub(crate) each: Vec<Each>,
    pub(crate) judges: Vec<Box<dyn Judge>>,
    pub(crate) mutant: Option<&'static str>,
    pub(crate) breaks: Option<&'static str>,
}

/// The property that every run has: whoever is to finish does so in time.
pub const FINISHES: &str = "every client finishes";

/// The property that every machine with a journal has: what it would recover now is what it is.
pub const RECOVERY: &str = "recovery equals the live state";

/// How many events a run may have, unless its scenario says otherwise.
pub const EVENTS_MAX: u64 = 10_000_000;

/// How many events may wait at once, unless the scenario says otherwise.
pub const PENDING_MAX: usize = 250_000;

impl Scenario {
    /// A scenario with this name, best `folder/name`.
    ///
    /// A run of it ends when all its clients have, or, if it has none, when the faults are over;
    /// and no earlier than what is to come about [`eventually`](Scenario::eventually) has.
    pub fn new(name: &str) -> Scenario {
        Scenario {
            name: name.to_owned(),
            roles: Vec::new(),
            tolerance: Tolerance::nothing(),
            heal_after: Duration::from_secs(3),
            finish_within: Duration::from_secs(30),
            bounds: Bounds { events: EVENTS_MAX, pending: PENDING_MAX },
            always: Vec::new(),
            audits: Vec::new(),
            abstractions: Vec::new(),
            goals: Vec::new(),
            leader: None,
            inspects: Vec::new(),
            forecast: Forecast::default(),
            script: None,
            sometimes: Vec::new(),
            each: Vec::new(),
            judges: Vec::new(),
            mutant: None,
            breaks: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a role: how many nodes it has, and what each runs at every boot. It is a function or a
    /// closure that captures nothing of the heap, so that nothing survives a crash but the disk.
    ///
    /// # Panics
    /// If the role exists already, or may have no nodes.
    #[must_use]
    pub fn nodes<F, Fut, E>(mut self, role: &str, nodes: RangeInclusive<u16>, serve: F) -> Scenario
    where
        F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let start = move |env: Env, exit: Exit| -> BoxFuture<'static, ()> {
            let served = serve(env);
            Box::pin(async move { exit.leave(served.await) })
        };
        self.add(role, nodes, Start::Node(Box::new(start)));
        self
    }

    /// Adds a role of clients: nodes with a workload. The run is over when all have finished.
    ///
    /// # Panics
    /// As [`Scenario::nodes`].
    #[must_use]
    pub fn clients<F, Fut, E>(mut self, role: &str, nodes: RangeInclusive<u16>, load: F) -> Scenario
    where
        F: Fn(Client) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let start = move |client: Client, exit: Exit| -> BoxFuture<'static, ()> {
            let loading = load(client);
            Box::pin(async move { exit.leave(loading.await) })
        };
        self.add(role, nodes, Start::Client(Box::new(start)));
        self
    }

    fn add(&mut self, role: &str, nodes: RangeInclusive<u16>, start: Start) {
        let (low, high) = nodes.into_inner();
        assert!(self.roles.iter().all(|r| r.name != role), "role {role:?} is added twice");
        assert!(1 <= low && low <= high, "role {role:?} needs at least one node");
        self.roles.push(Role { name: role.to_owned(), low, high, start });
    }

    /// What the system promises to survive.
    #[must_use]
    pub fn tolerates(mut self, tolerance: Tolerance) -> Scenario {
        self.tolerance = tolerance;
        self
    }

    /// How long faults go on before the world heals. The default is 3 s.
    #[must_use]
    pub fn heals_after(mut self, time: Duration) -> Scenario {
        self.heal_after = time;
        self
    }

    /// How long after the world has healed the clients may take to finish. The default is 30 s.
    #[must_use]
    pub fn finishes_within(mut self, time: Duration) -> Scenario {
        self.finish_within = time;
        self
    }

    /// How many events (messages that arrive, timers that run out, disk operations that end) a run
    /// may have. One that has more fails with the class
    /// [`Runaway`](crate::Class::Runaway), and says of what there was so much. The default is
    /// [`EVENTS_MAX`].
    #[must_use]
    pub fn events_max(mut self, events: u64) -> Scenario {
        self.bounds.events = events;
        self
    }

    /// How many events may wait at once: messages on their way, timers, disk operations. A run in
    /// which more do fails as with [`Scenario::events_max`]. The default is [`PENDING_MAX`].
    #[must_use]
    pub fn pending_max(mut self, events: usize) -> Scenario {
        self.bounds.pending = events;
        self
    }

    /// Something that must hold after every event. `make` gives the check of one run, which may
    /// remember what it saw; it runs only after something that it looked at has changed.
    #[must_use]
    pub fn always<C>(
        mut self,
        name: &'static str,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Scenario
    where
        C: FnMut(&View<'_>) -> Result<(), String> + 'static,
    {
        self.always.push((name, Box::new(move || Box::new(make()))));
        self
    }

    /// Something expensive that must hold: checked when a node has crashed, when one has
    /// recovered, when the world heals, and at the end. It sees every node's disk as the worst
    /// crash at that moment could leave it, and can [recover](AuditView::recover) machines from
    /// it.
    #[must_use]
    pub fn audit<C>(
        mut self,
        name: &'static str,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Scenario
    where
        C: FnMut(&AuditView<'_>) -> Result<(), String> + 'static,
    {
        self.audits.push((name, Box::new(move || Box::new(make()))));
        self
    }

    /// A situation that a good test reaches now and then; the code announces it with
    /// [`Env::sometimes`]. A sweep of 200 seeds or more that never sees it fails.
    #[must_use]
    pub fn sometimes(mut self, name: &'static str) -> Scenario {
        self.sometimes.push(name);
        self
    }

    /// What of the state makes one situation another, as a number: a search that goes by what is
    /// new (`--strategy coverage`) keeps plans that give a number which no other gave. The fewer
    /// numbers there are the better it can tell progress from noise: phases, who leads, how many
    /// agree. It runs after changes of what it looked at, and only in such a search.
    ///
    /// ```
    /// use squall::{Scenario, env::View};
    ///
    /// struct Phase(u64);
    /// let furthest =
    ///     |view: &View<'_>| view.up::<Phase>().map(|phase| phase.0).max().unwrap_or_default();
    /// let scenario = Scenario::new("example/phases").abstraction("the furthest phase", furthest);
    /// # drop(scenario);
    /// ```
    #[must_use]
    pub fn abstraction(
        mut self,
        name: &'static str,
        look: impl Fn(&View<'_>) -> u64 + Send + Sync + 'static,
    ) -> Scenario {
        self.abstractions.push((name, Arc::new(look)));
        self
    }

    /// A situation with several sides, of which a good test reaches every combination: a tuple of
    /// two to four flags or enums ([`Facet`](squall_env::Facet)), each with a name. The code
    /// announces it with [`Env::sometimes_each`]. A sweep of 200 seeds or more fails and says so if
    /// it never sees one of the combinations.
    ///
    /// ```
    /// use squall::Scenario;
    ///
    /// let scenario = Scenario::new("example/reads")
    ///     .sometimes_each::<(bool, bool)>("how a read ends", ["asked again", "wrote back"]);
    /// # drop(scenario);
    /// ```
    #[must_use]
    pub fn sometimes_each<C: Combination>(
        mut self,
        name: &'static str,
        facets: C::Names,
    ) -> Scenario {
        self.each.push(Each { name, facets: facets.as_ref().to_vec(), values: C::all() });
        self
    }

    /// Something that must come to hold within a time after the world has healed.
    #[must_use]
    pub fn eventually<C>(
        mut self,
        name: &'static str,
        within: Duration,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Scenario
    where
        C: FnMut(&View<'_>) -> bool + 'static,
    {
        self.goals.push((name, within, Box::new(move || Box::new(make()))));
        self
    }

    /// Says who leads, if anybody does, so that faults can strike the leader.
    #[must_use]
    pub fn leader<L>(mut self, make: impl Fn() -> L + Send + Sync + 'static) -> Scenario
    where
        L: FnMut(&View<'_>) -> Option<NodeId> + 'static,
    {
        self.leader = Some(Box::new(move || Box::new(make())));
        self
    }

    /// Says in words what is on show, for whoever reads a trace with causes or a report: of each
    /// node that shows it, under this name. It is asked in no other run, after every event that
    /// changed something, and what it says has no effect.
    ///
    /// ```
    /// use squall::Scenario;
    ///
    /// let scenario = Scenario::new("example/terms").inspect("term", |view| {
    ///     view.up::<u64>().map(|term| (term.node, term.to_string())).collect()
    /// });
    /// # drop(scenario);
    /// ```
    #[must_use]
    pub fn inspect(
        mut self,
        name: &'static str,
        tell: impl Fn(&View<'_>) -> Vec<(NodeId, String)> + Send + Sync + 'static,
    ) -> Scenario {
        self.inspects.push((name, Arc::new(tell)));
        self
    }

    /// Judges what the clients record.
    #[must_use]
    pub fn check(mut self, judge: impl Judge + 'static) -> Scenario {
        self.judges.push(Box::new(judge));
        self
    }

    /// The same scenario under another name, with a deliberate bug switched on: one that must
    /// break this property.
    #[must_use]
    pub fn mutant(mut self, name: &str, mutant: &'static str, breaks: &'static str) -> Scenario {
        self.name = name.to_owned();
        self.mutant = Some(mutant);
        self.breaks = Some(breaks);
        self
    }

    /// Marks the scenario as a specimen: code that is wrong on purpose and must break this
    /// property.
    #[must_use]
    pub fn breaks(mut self, property: &'static str) -> Scenario {
        self.breaks = Some(property);
        self
    }

    /// The property that a specimen or mutant must break.
    pub fn broken_property(&self) -> Option<&'static str> {
        self.breaks
    }

    /// Asks for another weather than any that is tolerated.
    #[must_use]
    pub fn under(mut self, forecast: Forecast) -> Scenario {
        self.forecast = forecast;
        self
    }

    /// Tells what happens in every run, step by step. There is no other weather then but latency,
    /// unless it is asked for ([`Scenario::under`]) afterwards; roles have the sizes that the
    /// script says, and else the least.
    ///
    /// Whatever the script is checked against comes before it: roles, tolerance, and the time at
    /// which the world heals.
    ///
    /// # Errors
    /// [`Invalid::Step`] and its like, if a step cannot be played: it names a node or a link that
    /// does not exist, comes after the world has healed, or has a fault that is not tolerated.
    pub fn script(mut self, script: Script) -> Result<Scenario, Invalid> {
        for size in &script.sizes {
            let Some(role) = self.roles.iter().find(|role| role.name == size.role) else {
                let wanted = self.role_names().into_iter().map(str::to_owned).collect();
                return Err(Invalid::Roles { found: vec![size.role.clone()], wanted });
            };
            if !(role.low..=role.high).contains(&size.nodes) {
                let (role, low, high) = (role.name.clone(), role.low, role.high);
                return Err(Invalid::Size { role, found: size.nodes, low, high });
            }
        }
        self.forecast = Forecast::surely(FaultSet::default());
        self.script = Some(script);
        self.check_plan(&self.plan(0))?;
        Ok(self)
    }

    /// Checks that the scenario can run a plan.
    pub(crate) fn check_plan(&self, plan: &Plan) -> Result<(), Invalid> {
        plan.check(&self.role_names())?;
        let clients = self.client_roles();
        script::suits(&plan.script, self.tolerance.faults(), |node| {
            node.rsplit_once('-').is_some_and(|(role, _)| clients.contains(&role))
        })
    }

    /// How many nodes a role may have.
    pub(crate) fn size(&self, role: &Role) -> (u16, u16) {
        let Some(script) = &self.script else { return (role.low, role.high) };
        let told = script.sizes.iter().rfind(|size| size.role == role.name);
        told.map_or((role.low, role.low), |size| (size.nodes, size.nodes))
    }

    /// How many nodes of each role it may have, as in `3..=5 replica, 2 client`.
    pub fn sizes(&self) -> String {
        let size = |role: &Role| match (role.low, role.high) {
            (low, high) if low == high => format!("{low} {}", role.name),
            (low, high) => format!("{low}..={high} {}", role.name),
        };
        self.roles.iter().map(size).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn role_names(&self) -> Vec<&str> {
        self.roles.iter().map(|role| role.name.as_str()).collect()
    }

    pub(crate) fn client_roles(&self) -> Vec<&str> {
        let clients = self.roles.iter().filter(|role| matches!(role.start, Start::Client(_)));
        clients.map(|role| role.name.as_str()).collect()
    }

    pub(crate) fn budget(&self, plan: &Plan) -> Budget {
        let of = |role: &plan::RoleNodes| Allowance {
            most: self.tolerance.budget(&role.role, role.nodes),
            repairs: self.tolerance.repairs(&role.role),
        };
        Budget(plan.nodes.iter().map(of).collect())
    }
}
