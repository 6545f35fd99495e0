//! What is kept of a run.

/// How a run is watched. None of it changes what happens.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Whether to keep everything that happens, for a trace or a comparison.
    pub log: bool,
    /// Whether to write down what became of each message, and to tell the story of the run, as
    /// [`Outcome::recorded`](super::Outcome::recorded).
    pub record: bool,
    /// Whether to count the I/O steps of each node, as [`Outcome::steps`](super::Outcome::steps).
    pub steps: bool,
    /// Whether to note what the run reaches, for a search that goes by what is new.
    pub reach: bool,
    /// Whether to keep what happens with its causes, as [`Outcome::trace`](super::Outcome::trace),
    /// in the place of a log.
    pub causes: bool,
    /// Whether histories are judged.
    pub judge: bool,
    /// Whether invariants and audits are checked, those of the scenario and the engine's own. Goals
    /// always are: a run ends when they are reached.
    pub properties: bool,
    /// Stops the run at this time, in nanoseconds, whatever its state.
    pub until_ns: u64,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            log: false,
            record: false,
            steps: false,
            reach: false,
            causes: false,
            judge: true,
            properties: true,
            until_ns: u64::MAX,
        }
    }
}

impl Watch {
    /// With every checker off: histories are recorded and not judged, invariants and audits are
    /// not checked. What is left are the failures of the run itself, as panics of nodes and goals
    /// that are not reached. For measuring what the run costs.
    #[must_use]
    pub fn unchecked() -> Watch {
        Watch { judge: false, properties: false, ..Watch::default() }
    }
}
