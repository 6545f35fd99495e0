//! What the world tells about its own weather, and what it is told by the code under test.

use super::{LineId, World};
use crate::conditions::{Conditions, NodeConditions, Struck};
use crate::digest::{Code, Entry};
use crate::plan::Weather;
use crate::trace::Log;
use std::sync::Arc;

/// A situation with several sides that was reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Combined {
    /// The situation.
    pub name: &'static str,
    /// The value of each side.
    pub values: Vec<&'static str>,
    /// How often it was.
    pub times: u64,
}

/// What a reader of a trace sees.
pub(crate) enum Line {
    Entry(Entry),
    Text {
        time: u64,
        node: u16,
        text: String,
    },
    /// An event of `tracing`.
    Event {
        time: u64,
        node: u16,
        boot: u64,
        text: String,
    },
    /// What only a trace with causes has, since it is in no digest.
    Remark {
        time: u64,
        node: u16,
        kind: &'static str,
        cause: Option<LineId>,
        text: String,
    },
}

/// What is kept for those who ask.
pub(crate) struct Observed {
    /// The weather as it was drawn.
    drawn: Weather,
    /// Whether anybody has asked.
    asked: bool,
    /// What was told last, if it is still so.
    struck: Option<Arc<[Struck]>>,
    /// The situations that were reached, with how often.
    pub(crate) sometimes: Vec<(&'static str, u64)>,
    /// The combinations in which situations were reached.
    pub(crate) combined: Vec<Combined>,
    /// How high things came.
    pub(crate) watermarks: Vec<(&'static str, u64)>,
}

impl Observed {
    pub(super) fn new(drawn: &Weather) -> Observed {
        Observed {
            drawn: drawn.clone(),
            asked: false,
            struck: None,
            sometimes: Vec::new(),
            combined: Vec::new(),
            watermarks: Vec::new(),
        }
    }

    /// Says how often it was reached with this time.
    pub(super) fn sometimes(&mut self, name: &'static str) -> u64 {
        match self.sometimes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.sometimes.push((name, 1));
                1
            }
        }
    }

    pub(super) fn combined(&mut self, name: &'static str, values: &[&'static str]) {
        let same = |known: &&mut Combined| known.name == name && known.values == values;
        match self.combined.iter_mut().find(same) {
            Some(known) => known.times += 1,
            None => self.combined.push(Combined { name, values: values.to_vec(), times: 1 }),
        }
    }

    pub(super) fn watermark(&mut self, name: &'static str, height: u64) {
        match self.watermarks.iter_mut().find(|(known, _)| *known == name) {
            Some((_, most)) => *most = height.max(*most),
            None => self.watermarks.push((name, height)),
        }
    }
}

impl World {
    /// Keeps what happened for a reader, and tells the script. Out of the way, because mostly
    /// there is none.
    #[cold]
    pub(super) fn keep(&mut self, node: u32, code: Code, details: [u64; 2]) {
        if let Some(log) = &mut self.log {
            let entry = Entry { time: self.now, node: node as u16, code, details };
            let cause = self.queue.causes.as_mut().and_then(|causes| causes.entry(&entry));
            log.push(Line::Entry(entry), cause);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.notes.entry(self.now, node, code, details);
        }
        self.heed(node, code, details[0]);
    }

    /// From here on everything goes into this log.
    pub(crate) fn set_log(&mut self, log: Option<Log>) {
        self.heeded |= log.is_some();
        let caused = log.as_ref().is_some_and(Log::wants_causes);
        self.queue.causes = caused.then(Box::default);
        self.log = log;
    }

    /// Adds a line that is no entry.
    pub(super) fn add_line(&mut self, line: Line) {
        let Some(log) = &mut self.log else { return };
        let context = self.queue.causes.as_mut().and_then(|causes| causes.line());
        let cause = match &line {
            Line::Remark { cause: Some(cause), .. } => Some(*cause),
            _ => context,
        };
        log.push(line, cause);
    }

    /// Adds to a trace with causes what no digest has; without a cause of its own, it is caused by
    /// what goes on.
    pub(crate) fn remark(
        &mut self,
        node: u32,
        kind: &'static str,
        cause: Option<LineId>,
        text: impl FnOnce() -> String,
    ) {
        if self.has_causes() {
            let (time, node, text) = (self.now, node as u16, text());
            self.add_line(Line::Remark { time, node, kind, cause, text });
        }
    }

    /// Whether a trace with causes is kept.
    pub(crate) fn has_causes(&self) -> bool {
        self.queue.causes.is_some()
    }

    /// The weather and what of it has struck so far.
    pub(crate) fn conditions(&mut self) -> Conditions {
        self.observed.asked = true;
        let told = self.observed.struck.take();
        let struck = told.unwrap_or_else(|| {
            let struck = self.episodes.iter().filter_map(|state| {
                let since_ns = state.since?;
                let (episode, until_ns) = (state.episode.clone(), state.ended);
                Some(Struck { episode, since_ns, until_ns })
            });
            struck.collect()
        });
        self.observed.struck = Some(Arc::clone(&struck));
        let nodes = self.nodes.iter().map(|node| NodeConditions {
            node: node.id,
            up: node.is_up(),
            ready: node.ready,
            impaired: node.impaired,
            boots: node.boots,
            power_losses: node.power_losses,
            budget: match self.budget.0.get(usize::from(node.id.role())) {
                Some(allowance) => allowance.most,
                None => Some(0),
            },
        });
        Conditions {
            now_ns: self.now,
            heal_at_ns: self.heal_at,
            healed: self.healed,
            weather: self.observed.drawn.clone(),
            struck,
            nodes: nodes.collect(),
        }
    }

    /// Lets the properties look again, if one of them has asked for the conditions.
    pub(super) fn conditions_changed(&mut self) {
        if self.observed.asked {
            self.observed.struck = None;
            self.dirty = u64::MAX;
        }
    }

    /// A message will never be received, and no digest says so.
    pub(super) fn gone(&mut self, slot: u32, why: &str) {
        if self.has_causes() {
            let (to, hash) = self.messages[slot].receiver();
            let cause = self.queue.causes.as_ref().and_then(|causes| causes.sender_of(slot));
            self.remark(to, "gone", cause, || format!("has {hash:016x} gone: {why}"));
        }
    }
}
