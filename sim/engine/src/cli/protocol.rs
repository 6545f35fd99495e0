//! What a sweep and its workers say to each other: a line of JSON for everything.

use super::export::Export;
use super::found::Found;
use crate::plan::{Matched, Plan};
use crate::search::{Reached, Strategy};
use crate::story::Sentence;
use crate::tally::Tally;
use crate::trace::Wanted;
use crate::world::{Recorded, Steps};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a worker is asked to do. It is told on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Batch(Batch),
    Single(Box<Single>),
    Seek(Seek),
}

/// Seeds of one scenario: from the first, up to and without the second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) scenario: String,
    pub(super) from: u64,
    pub(super) to: u64,
    /// Which seeds are run twice.
    pub(super) twice: Twice,
    /// Whether the digests of all seeds are wanted.
    pub(super) digests: bool,
    /// Ends the batch with the first seed that breaks this property.
    pub(super) stop_at: Option<String>,
    /// How plans are drawn; without it, as each seed has it.
    pub(super) strategy: Option<Strategy>,
}

/// Runs of one scenario by one strategy, up to the first that breaks a property.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seek {
    pub(super) scenario: String,
    pub(super) strategy: Strategy,
    /// The first seed.
    pub(super) from: u64,
    /// How many runs there are at most.
    pub(super) most: u64,
    pub(super) property: String,
}

/// Which seeds are run twice in one process, and compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Twice {
    None,
    /// The last of so many.
    OneIn(u64),
    All,
}

impl Twice {
    pub(super) fn has(self, seed: u64) -> bool {
        match self {
            Twice::None => false,
            Twice::OneIn(many) => seed % many == many - 1,
            Twice::All => true,
        }
    }
}

/// One seed of one scenario.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Single {
    pub(super) scenario: String,
    pub(super) seed: u64,
    /// The plan, if it is not the seed's.
    pub(super) plan: Option<Plan>,
    /// What to say of the run while it goes on.
    pub(super) trace: Option<Wanted>,
    pub(super) twice: bool,
    /// Where to write every entry of the run, a line each.
    pub(super) entries: Option<PathBuf>,
    /// Whether to write down what the run is made of.
    pub(super) record: bool,
    /// Whether to count the I/O steps of each node.
    pub(super) steps: bool,
    /// Whether to note what the run reaches.
    pub(super) reach: bool,
    /// What to write of its trace with causes.
    pub(super) export: Option<Export>,
}

/// What a worker says, on its standard output.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Say {
    /// It begins with a seed.
    Begin(u64),
    /// A line of a trace.
    Trace(String),
    /// It is done with what it was asked.
    Done(Box<Done>),
    /// It cannot do what it was asked.
    Unable(String),
}

/// What came of what a worker was asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) tally: Tally,
    pub(super) found: Vec<Found>,
    /// How many of the seeds were run twice.
    pub(super) twice: u64,
    /// By seed, if they were wanted; a seed that did not end has none.
    pub(super) digests: Vec<(u64, Option<String>)>,
    /// How long it took, in nanoseconds of real time.
    pub(super) busy_ns: u64,
    /// How the last run ended.
    pub(super) last: Option<Last>,
    /// What the run was made of, if that was wanted.
    pub(super) recorded: Option<Recorded>,
    /// The I/O steps of each node, if they were wanted.
    pub(super) steps: Vec<Steps>,
    /// What the run has reached, if that was wanted.
    pub(super) reached: Reached,
    /// When the episodes of the last run struck, by their ids, in nanoseconds.
    pub(super) struck: Vec<(u32, u64)>,
    /// What led to its failure, in sentences, if its trace was written.
    pub(super) chain: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Last {
    pub(super) digest: String,
    pub(super) end_ns: u64,
    pub(super) events: u64,
    pub(super) overrides: Matched,
    /// The places in the plan of those that matched nothing.
    pub(super) missed: Vec<usize>,
}

impl Done {
    /// What happened in the run, if it was written down.
    pub(super) fn story(&self) -> &[Sentence] {
        self.recorded.as_ref().map_or(&[], |recorded| &recorded.story)
    }

    /// Takes in what came of other seeds.
    pub(super) fn merge(&mut self, other: Done) {
        self.tally.merge(&other.tally);
        self.found.extend(other.found);
        self.twice += other.twice;
        self.digests.extend(other.digests);
        self.busy_ns += other.busy_ns;
        self.last = other.last.or(self.last.take());
        self.recorded = other.recorded.or(self.recorded.take());
        self.steps = other.steps;
        self.reached = other.reached;
        self.struck = other.struck;
        self.chain.extend(other.chain);
    }
}

/// What stands before every line of a worker, so that what user code prints is not taken for one.
pub(super) const MARK: &str = "\u{1}squall ";
