//! A trace as ShiViz reads it (Beschastnikh and others, 2016): events with vector clocks.

use super::{Event, Trace};
use std::io::{self, Write};

/// What tells host, clock and event of a log apart. A log begins with it.
pub(crate) const REGEX: &str = r"(?<host>\S+) (?<clock>\{.*\})\n(?<event>.*)";

/// The most events that are written; more would not be drawn.
pub(crate) const EVENTS: usize = 10_000;

/// Kinds that say little to a reader: how tasks and timers go, and what was asked of clocks.
pub(crate) const SMALL: [&str; 14] = [
    "poll",
    "spawn",
    "task-end",
    "sleep",
    "timer",
    "timer-dropped",
    "clock",
    "wall-clock",
    "random",
    "bind",
    "unbind",
    "show",
    "knob",
    "stream-read",
];

/// A vector clock: how many events of each node came before, in the order of the roster.
type Clock = Vec<u64>;

impl Trace {
    /// Writes the last 10 000 events as a log for ShiViz, without those that tell how tasks and
    /// timers went. The first line is the regular expression that ShiViz needs to read it, the
    /// second one, which is empty, what would part several runs.
    ///
    /// A clock counts the events of its node that are written, from 1, and has for every other node
    /// how many of its events could have influenced this one.
    ///
    /// # Errors
    /// If `to` cannot be written.
    pub fn write_shiviz(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{REGEX}\n")?;
        for (event, clock) in self.with_clocks(EVENTS) {
            let named = clock.iter().enumerate().filter(|(_, count)| **count > 0);
            let counts: Vec<String> =
                named.map(|(node, count)| format!("\"{}\":{count}", self.host(node))).collect();
            let text = event.text.replace(['\n', '\r'], " ");
            let (host, at) =
                (self.host(usize::from(event.node)), crate::words::seconds(event.at_ns));
            writeln!(to, "{host} {{{}}}\n{at} {text}", counts.join(","))?;
        }
        Ok(())
    }

    /// The last events that are not small, each with its clock.
    fn with_clocks(&self, most: usize) -> Vec<(&Event, Clock)> {
        let wanted = |event: &Event| !SMALL.contains(&&*event.kind);
        // What comes before the first event that is written is in no clock.
        let mut places = self.events.iter().enumerate().rev().filter(|(_, event)| wanted(event));
        let start = places.by_ref().take(most).last().map_or(0, |(at, _)| at);
        // What an event that is not written knew goes on through it.
        let mut clocks: Vec<Clock> = Vec::with_capacity(self.events.len() - start);
        let mut known = vec![vec![0; self.about.nodes.len()]; self.about.nodes.len()];
        let mut written = Vec::new();
        for event in &self.events[start..] {
            let own = usize::from(event.node);
            let first = self.about.left_out + start as u64;
            let cause = event.cause.and_then(|cause| cause.checked_sub(first));
            if let Some(before) = cause.and_then(|cause| clocks.get(cause as usize)) {
                for (mine, theirs) in known[own].iter_mut().zip(before) {
                    *mine = (*mine).max(*theirs);
                }
            }
            if wanted(event) {
                known[own][own] += 1;
                written.push((event, known[own].clone()));
            }
            clocks.push(known[own].clone());
        }
        written
    }

    /// A node as a host, which is one word.
    fn host(&self, node: usize) -> String {
        let name = self.about.name(node as u16);
        let word = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        name.chars().map(word).collect()
    }
}
