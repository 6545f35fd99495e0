//! Where the lines of a run's trace go, and a trace with causes: what each event of a run made
//! happen. None of this changes what happens.
//!
//! [`Watch::causes`](crate::Watch) asks for a [`Trace`], which is kept whole up to [`KEPT`] lines;
//! of a longer run its end is.

mod causal;
mod diff;
mod event;
mod jsonl;
mod lanes;
mod mermaid;
mod shiviz;

pub use causal::Graph;
pub use diff::Parting;
pub use event::{About, Event, Trace};
pub use jsonl::{FORMAT, TraceError};
pub use mermaid::ARROWS;

use crate::events;
use crate::names::Names;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::words::Words;
use crate::world::{Census, Line, LineId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tracing_subscriber::filter::Targets;

/// Which lines are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Whether the world's own are.
    pub(crate) world: bool,
    /// Whether only the turns that nodes take are, with a column for each node.
    pub(crate) lanes: bool,
    /// Which events of `tracing` are.
    pub(crate) filter: String,
}

impl Wanted {
    /// What is asked for by a flag and by the environment; `None` if nothing is.
    pub(crate) fn read(
        world: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Wanted>, String> {
        let filter = events::filter(variable, world)?;
        Ok(filter.map(|filter| Wanted { world, lanes: false, filter }))
    }
}

/// Takes in every line as it comes.
#[derive(Default)]
pub(crate) struct Log {
    sink: Sink,
    /// Which events of `tracing` are taken in.
    filter: Option<Targets>,
    census: Option<Census>,
    names: Names,
}

#[derive(Default)]
enum Sink {
    #[default]
    Nowhere,
    /// Keeps all of them until the run is over.
    Kept(Vec<Line>),
    /// Keeps the last of them, each with what caused it.
    Caused(Caused),
    /// Says each at once, so that it is known even if the run does not end. What is called here is
    /// the engine's own code: the world is borrowed meanwhile.
    Told(Box<dyn FnMut(&Line)>),
}

/// So many lines of a trace with causes are kept.
pub const KEPT: usize = 1 << 20;

/// Lines with what caused each.
#[derive(Default)]
pub(crate) struct Caused {
    /// The number of the first that is kept.
    pub(crate) first: LineId,
    pub(crate) lines: VecDeque<(Line, Option<LineId>)>,
    /// What they call messages and operations.
    pub(crate) names: Names,
}

impl Caused {
    fn push(&mut self, line: Line, cause: Option<LineId>, most: usize) {
        if self.lines.len() == most {
            self.lines.pop_front();
            self.first += 1;
        }
        self.lines.push_back((line, cause));
    }
}

impl Log {
    /// A log that keeps what caused each line, too.
    pub(crate) fn caused() -> Log {
        Log { sink: Sink::Caused(Caused::default()), ..Log::kept() }
    }

    /// Whether what caused a line is wanted.
    pub(crate) fn wants_causes(&self) -> bool {
        matches!(self.sink, Sink::Caused(_))
    }

    /// A log that keeps everything.
    pub(crate) fn kept() -> Log {
        let filter = Targets::new().with_default(tracing::Level::TRACE);
        Log { sink: Sink::Kept(Vec::new()), filter: Some(filter), ..Log::default() }
    }

    /// A log that gives each line that is wanted in words to `say`. The error is what is wrong with
    /// the filter.
    pub(crate) fn told(
        scenario: &Scenario,
        plan: &Plan,
        wanted: &Wanted,
        mut say: impl FnMut(String) + 'static,
    ) -> Result<Log, String> {
        let names = Names::default();
        let words = Words::of(scenario, plan).with(&names);
        let (world, filter) = (wanted.world, events::parse(&wanted.filter)?);
        let mut lanes = wanted.lanes.then(|| lanes::Lanes::new(plan));
        let tell = move |line: &Line| {
            if let Some(lanes) = &mut lanes {
                return lanes.lines(line, &words).into_iter().for_each(&mut say);
            }
            if world || matches!(line, Line::Event { .. }) {
                say(words.line(line));
            }
        };
        Ok(Log { sink: Sink::Told(Box::new(tell)), filter: Some(filter), names, census: None })
    }

    /// Which events of `tracing` are taken in.
    pub(crate) fn filter(&self) -> Option<&Targets> {
        self.filter.as_ref()
    }

    /// Whether it has no name yet for what has this hash.
    pub(crate) fn wants_name(&self, node: u32, hash: u64) -> bool {
        matches!(self.sink, Sink::Caused(_) | Sink::Told(_)) && !self.names.knows(node, hash)
    }

    pub(crate) fn name(&self, node: u32, hash: u64, name: &str) {
        self.names.give(node, hash, name.to_owned());
    }

    /// Whether anybody reads it.
    pub(crate) fn is_read(&self) -> bool {
        !matches!(self.sink, Sink::Nowhere)
    }

    #[inline]
    pub(crate) fn push(&mut self, line: Line, cause: Option<LineId>) {
        if let (Some(census), Line::Entry(entry)) = (&mut self.census, &line) {
            census.take(entry);
        }
        match &mut self.sink {
            Sink::Nowhere => {}
            Sink::Kept(lines) => lines.push(line),
            Sink::Caused(caused) => caused.push(line, cause, KEPT),
            Sink::Told(tell) => tell(&line),
        }
    }

    /// A node sends a message of this kind to this port.
    #[inline]
    pub(crate) fn sent(&mut self, node: u32, port: u32, kind: u8) {
        if let Some(census) = &mut self.census {
            census.sent(node, port, kind);
        }
    }

    /// From here on it is counted who does what, unless it is already.
    pub(crate) fn begin_census(&mut self, event: u64) {
        self.census.get_or_insert_with(|| Census::since(event));
    }

    pub(crate) fn end_census(&mut self) -> Option<Census> {
        self.census.take()
    }

    /// The lines that were kept, without or with their causes.
    pub(crate) fn into_lines(self) -> (Vec<Line>, Option<Caused>) {
        match self.sink {
            Sink::Kept(lines) => (lines, None),
            Sink::Caused(caused) => (Vec::new(), Some(Caused { names: self.names, ..caused })),
            Sink::Nowhere | Sink::Told(_) => (Vec::new(), None),
        }
    }
}

/// So many lines of a trace are printed as they come.
const FIRST: u64 = 100_000;

/// So many of those after them are kept, and printed at the end.
const LAST: usize = 10_000;

/// Bounds a trace: its beginning comes through at once, and of the rest only the end, when it is
/// over.
pub(crate) struct Ends {
    first: u64,
    most: usize,
    left_out: u64,
    last: VecDeque<String>,
}

impl Ends {
    pub(crate) fn new() -> Ends {
        Ends::of(FIRST, LAST)
    }

    fn of(first: u64, most: usize) -> Ends {
        Ends { first, most, left_out: 0, last: VecDeque::new() }
    }

    /// The line, if it is to be printed now.
    pub(crate) fn take(&mut self, line: String) -> Option<String> {
        if self.first > 0 {
            self.first -= 1;
            return Some(line);
        }
        if self.last.len() == self.most {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(line);
        None
    }

    /// What is to be printed at the end.
    pub(crate) fn rest(self) -> impl Iterator<Item = String> {
        let left_out = self.left_out;
        let gap = (left_out > 0).then(|| format!("... {left_out} lines are left out here ..."));
        gap.into_iter().chain(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(lines: u64) -> Vec<String> {
        let mut ends = Ends::of(3, 2);
        let mut printed: Vec<String> =
            (0..lines).filter_map(|line| ends.take(line.to_string())).collect();
        assert!(printed.len() <= 3, "too much is printed at once");
        printed.extend(ends.rest());
        printed
    }

    #[test]
    fn a_short_trace_is_whole_and_a_long_one_has_both_ends() {
        for lines in 0..=5 {
            let whole: Vec<String> = (0..lines).map(|line| line.to_string()).collect();
            assert_eq!(printed(lines), whole);
        }
        assert_eq!(printed(9), ["0", "1", "2", "... 4 lines are left out here ...", "7", "8"]);
    }
}
