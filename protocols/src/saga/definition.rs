//! What a saga does: its steps, which of them come before others, and how patient it is.

use petgraph::Direction::Incoming;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The most steps that a definition may have.
pub const STEPS_MAX: usize = 1_000;

/// A step of a definition: its place, from 0, in the order in which steps were added.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Step(pub u16);

/// What can be done about a step once it may have taken effect. The names are those that are
/// common since Garcia-Molina and Salem ("Sagas", SIGMOD 1987), who have the first and the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// It can be undone.
    Compensatable,
    /// It cannot be undone, and decides: before it the saga can turn back, after it never.
    Pivot,
    /// It comes behind the point of no return. It is asked for until it is done.
    Retriable,
}

/// How long a saga waits for its participants, and how often it asks them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// How long one call may take before its outcome counts as unknown.
    pub call_max: Duration,
    /// How often a step is asked for, at least once, before the saga turns back or gets stuck.
    pub attempts_max: u32,
    /// How often the undo of a step is asked for, at least once, before the saga gets stuck.
    pub undo_attempts_max: u32,
    /// How long it waits before it asks for the second time; each further time twice as long.
    pub pause: Duration,
    /// The longest that it waits.
    pub pause_max: Duration,
}

impl Default for Patience {
    /// Five seconds for a call, eight times for a step, twenty for an undo, with pauses from 0.1 s
    /// to 30 s.
    fn default() -> Patience {
        Patience {
            call_max: Duration::from_secs(5),
            attempts_max: 8,
            undo_attempts_max: 20,
            pause: Duration::from_millis(100),
            pause_max: Duration::from_secs(30),
        }
    }
}

impl Patience {
    /// How long to wait before the call of this number, from 1.
    pub fn pause_before(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(2).min(30);
        let pause = self.pause.saturating_mul(1 << doublings).min(self.pause_max);
        if attempt < 2 { Duration::ZERO } else { pause }
    }
}

/// Why steps make no definition.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DefinitionError {
    /// There is nothing to do.
    #[error("a saga needs at least one step")]
    NoSteps,
    /// There are more than [`STEPS_MAX`].
    #[error("a saga has at most {STEPS_MAX} steps")]
    TooManySteps,
    /// The definition or one of its steps has no name.
    #[error("a saga and each of its steps need a name")]
    Unnamed,
    /// Two steps have the same name.
    #[error("there are two steps {0:?}")]
    Twice(String),
    /// A step comes after one that there is not.
    #[error("step {step:?} comes after {after:?}, which there is not")]
    Unknown {
        /// The step.
        step: String,
        /// What it names.
        after: String,
    },
    /// A step comes after one of a later phase.
    #[error("step {step:?} comes after {after:?}, which is of a later phase")]
    LaterPhase {
        /// The step.
        step: String,
        /// What it names.
        after: String,
    },
    /// There are two steps that cannot be undone and decide.
    #[error("{0:?} and {1:?} are both pivots")]
    TwoPivots(String, String),
    /// Steps wait for each other.
    #[error("these steps wait for each other: {0:?}")]
    Cycle(Vec<String>),
}

/// A step as it was described.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Described {
    name: String,
    kind: Kind,
    after: Vec<String>,
}

/// Collects the steps of a [`Definition`].
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    version: u32,
    patience: Patience,
    steps: Vec<Described>,
    limits: BTreeMap<Step, Duration>,
}

impl Builder {
    fn step(mut self, name: &str, kind: Kind, after: &[&str]) -> Builder {
        let after = after.iter().map(|name| (*name).to_owned()).collect();
        self.steps.push(Described { name: name.to_owned(), kind, after });
        self
    }

    /// Adds a step that can be undone. It begins when the steps that are named here are done, all
    /// of which can be undone.
    #[must_use]
    pub fn compensatable(self, name: &str, after: &[&str]) -> Builder {
        self.step(name, Kind::Compensatable, after)
    }

    /// Adds the step that decides. It begins when all that can be undone are done.
    #[must_use]
    pub fn pivot(self, name: &str) -> Builder {
        self.step(name, Kind::Pivot, &[])
    }

    /// Adds a step behind the point of no return. It begins when the saga is there, and the steps
    /// that are named here are done.
    #[must_use]
    pub fn retriable(self, name: &str, after: &[&str]) -> Builder {
        self.step(name, Kind::Retriable, after)
    }

    /// How long a call of the step that was added last may take, or of its undo, instead of what
    /// the [patience](Builder::patience) says. It may change under the same version.
    #[must_use]
    pub fn within(mut self, call_max: Duration) -> Builder {
        if let Some(last) = self.steps.len().checked_sub(1) {
            self.limits.insert(Step(u16::try_from(last).unwrap_or(u16::MAX)), call_max);
        }
        self
    }

    /// How patient sagas of this definition are.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Builder {
        self.patience = patience;
        self
    }

    /// The definition.
    ///
    /// # Errors
    /// [`DefinitionError`] if the steps make none.
    pub fn build(self) -> Result<Definition, DefinitionError> {
        let Builder { name, version, patience, steps, limits } = self;
        if steps.is_empty() {
            return Err(DefinitionError::NoSteps);
        }
        if steps.len() > STEPS_MAX {
            return Err(DefinitionError::TooManySteps);
        }
        if name.is_empty() || steps.iter().any(|step| step.name.is_empty()) {
            return Err(DefinitionError::Unnamed);
        }
        let mut pivots = steps.iter().filter(|step| step.kind == Kind::Pivot);
        if let (Some(one), Some(other)) = (pivots.next(), pivots.next()) {
            return Err(DefinitionError::TwoPivots(one.name.clone(), other.name.clone()));
        }
        let graph = graph(&steps)?;
        let fingerprint = fingerprint(&name, version, &steps);
        let steps = steps.into_iter().map(|step| (step.name, step.kind)).collect();
        let inner = Inner { name, version, fingerprint, patience, steps, limits, graph };
        Ok(Definition(Arc::new(inner)))
    }
}

/// The steps with an edge from each to those that wait for it.
fn graph(steps: &[Described]) -> Result<DiGraph<(), (), u16>, DefinitionError> {
    let mut places = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        if places.insert(step.name.as_str(), at).is_some() {
            return Err(DefinitionError::Twice(step.name.clone()));
        }
    }
    let mut graph = DiGraph::default();
    let nodes: Vec<NodeIndex<u16>> = steps.iter().map(|_| graph.add_node(())).collect();
    for (at, step) in steps.iter().enumerate() {
        for after in &step.after {
            let names = || (step.name.clone(), after.clone());
            let Some(before) = places.get(after.as_str()) else {
                let (step, after) = names();
                return Err(DefinitionError::Unknown { step, after });
            };
            if steps[*before].kind > step.kind {
                let (step, after) = names();
                return Err(DefinitionError::LaterPhase { step, after });
            }
            graph.update_edge(nodes[*before], nodes[at], ());
        }
    }
    for component in tarjan_scc(&graph) {
        let waits_for_itself = graph.contains_edge(component[0], component[0]);
        if component.len() > 1 || waits_for_itself {
            let mut places: Vec<usize> = component.iter().map(|node| node.index()).collect();
            places.sort_unstable();
            let names = places.into_iter().map(|at| steps[at].name.clone());
            return Err(DefinitionError::Cycle(names.collect()));
        }
    }
    Ok(graph)
}

/// A number that another list of steps under the same name and version hardly has.
fn fingerprint(name: &str, version: u32, steps: &[Described]) -> u32 {
    let bytes = postcard::to_stdvec(&(name, version, steps)).unwrap_or_default();
    crc32c::crc32c(&bytes)
}

#[derive(Debug)]
struct Inner {
    name: String,
    version: u32,
    fingerprint: u32,
    patience: Patience,
    steps: Vec<(String, Kind)>,
    limits: BTreeMap<Step, Duration>,
    graph: DiGraph<(), (), u16>,
}

/// What sagas of one name and version do. Clones share it.
#[derive(Clone, Debug)]
pub struct Definition(Arc<Inner>);

impl Definition {
    /// Begins the definition of the sagas of this name. Whoever changes the steps gives it another
    /// version, and keeps the one before for as long as there are sagas that began with it.
    pub fn of(name: &str, version: u32) -> Builder {
        let (name, patience) = (name.to_owned(), Patience::default());
        Builder { name, version, patience, steps: Vec::new(), limits: BTreeMap::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its version.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// What tells it from another list of steps that has its name and version by mistake. How
    /// patient it is does not count: that may change under the same version.
    pub fn fingerprint(&self) -> u32 {
        self.0.fingerprint
    }

    /// How patient its sagas are.
    pub fn patience(&self) -> &Patience {
        &self.0.patience
    }

    /// How long one call for a step may take before its outcome counts as unknown.
    pub fn call_max(&self, step: Step) -> Duration {
        self.0.limits.get(&step).copied().unwrap_or(self.0.patience.call_max)
    }

    /// Its steps in order.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = Step> + use<> {
        (0..self.0.steps.len() as u16).map(Step)
    }

    /// Whether it has this step.
    pub fn has(&self, step: Step) -> bool {
        usize::from(step.0) < self.0.steps.len()
    }

    /// What a step is called; nothing if there is no such step.
    pub fn name_of(&self, step: Step) -> &str {
        self.0.steps.get(usize::from(step.0)).map_or("", |(name, _)| name)
    }

    /// Of which kind a step is; retriable if there is no such step.
    pub fn kind_of(&self, step: Step) -> Kind {
        self.0.steps.get(usize::from(step.0)).map_or(Kind::Retriable, |(_, kind)| *kind)
    }

    /// The step of this name.
    pub fn step(&self, name: &str) -> Option<Step> {
        self.steps().find(|step| self.name_of(*step) == name)
    }

    /// The steps that a step names as coming before it.
    pub fn before(&self, step: Step) -> impl Iterator<Item = Step> {
        let node = NodeIndex::new(usize::from(step.0));
        self.0.graph.neighbors_directed(node, Incoming).map(|node| Step(node.index() as u16))
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Definition) -> bool {
        (self.name(), self.version()) == (other.name(), other.version())
            && self.fingerprint() == other.fingerprint()
    }
}

/// Every version of every definition that a node can run.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    all: BTreeMap<(String, u32), Definition>,
    /// The versions that sagas begin with where it is not the newest.
    current: BTreeMap<String, u32>,
}

/// Why a saga's definition is not there.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotDefined {
    /// None has this name.
    #[error("no saga is called {0:?} here")]
    Name(String),
    /// The name is known, and this version of it is not.
    #[error("version {version} of saga {name:?} is not known here")]
    Version {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
    /// Its steps have changed under the same version.
    #[error("version {version} of saga {name:?} had other steps when this saga began")]
    Changed {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
}

impl Definitions {
    /// These definitions. Of two with the same name and version the last one stays.
    pub fn new(all: impl IntoIterator<Item = Definition>) -> Definitions {
        let keyed = all.into_iter().map(|one| ((one.name().to_owned(), one.version()), one));
        Definitions { all: keyed.collect(), current: BTreeMap::new() }
    }

    /// Has sagas of this name begin with this version instead of the newest. Every node that may
    /// come to own a saga has to know its version, so a new one is brought to all of them before
    /// the first saga begins with it.
    ///
    /// # Errors
    /// If the version is not there.
    pub fn beginning_with(mut self, name: &str, version: u32) -> Result<Definitions, NotDefined> {
        self.version(name, version)?;
        self.current.insert(name.to_owned(), version);
        Ok(self)
    }

    /// The version of a definition that sagas begin with: the newest, unless it was said which.
    ///
    /// # Errors
    /// [`NotDefined::Name`].
    pub fn current(&self, name: &str) -> Result<&Definition, NotDefined> {
        if let Some(version) = self.current.get(name) {
            return self.version(name, *version);
        }
        let range = (name.to_owned(), 0)..=(name.to_owned(), u32::MAX);
        let last = self.all.range(range).next_back().map(|(_, definition)| definition);
        last.ok_or_else(|| NotDefined::Name(name.to_owned()))
    }

    fn version(&self, name: &str, version: u32) -> Result<&Definition, NotDefined> {
        let found = self.all.get(&(name.to_owned(), version));
        found.ok_or_else(|| NotDefined::Version { name: name.to_owned(), version })
    }

    /// The definition that a saga began with.
    ///
    /// # Errors
    /// If it is not there, or not as it was.
    pub fn pinned(
        &self,
        name: &str,
        version: u32,
        fingerprint: u32,
    ) -> Result<&Definition, NotDefined> {
        self.current(name)?;
        let found = self.version(name, version)?;
        if found.fingerprint() != fingerprint {
            return Err(NotDefined::Changed { name: name.to_owned(), version });
        }
        Ok(found)
    }
}
