//! A trace as a sequence diagram of Mermaid, which many pages draw when it is pasted into them.

use super::{Event, Trace};
use crate::words::{duration, seconds};
use std::io::{self, Write};

/// The most messages and notes of a diagram; longer ones are drawn badly or not at all.
pub const ARROWS: usize = 200;

/// What is noted beside the messages.
const NOTED: [&str; 16] = [
    "boot",
    "crash",
    "exit",
    "fault",
    "fault-ends",
    "heal",
    "call",
    "return",
    "panic",
    "property",
    "ready",
    "text",
    "asks",
    "told",
    "script-step",
    "damaged",
];

/// Where a message ends without arriving.
const LOST: [&str; 5] = ["lost", "cut", "no-socket", "overflow", "gone"];

/// One line of a diagram.
enum Mark<'a> {
    /// What was sent has arrived.
    Arrow(&'a Event, &'a Event),
    /// What was sent has not, for this reason.
    Lost(&'a Event, &'a Event),
    Note(&'a Event),
}

impl Trace {
    /// Writes the last messages and notes before the run's failure, or its end, as a sequence
    /// diagram: at most `most` of them, and how many are left out.
    ///
    /// An arrow stands where its message arrives, and says when it was sent and how long it took;
    /// one that ends in a cross stands where its message is lost.
    ///
    /// # Errors
    /// If `to` cannot be written.
    pub fn write_mermaid(&self, to: &mut dyn Write, most: usize) -> io::Result<()> {
        let until = self.focus().map_or(0, |event| event.id);
        let before = self.events.iter().take_while(|event| event.id <= until);
        let marks: Vec<Mark<'_>> = before.filter_map(|event| self.mark(event)).collect();
        let left_out = marks.len().saturating_sub(most);
        writeln!(to, "sequenceDiagram")?;
        for (at, name) in self.about.nodes.iter().enumerate() {
            writeln!(to, "  participant n{at} as {}", plain(name))?;
        }
        let last = self.about.nodes.len().saturating_sub(1);
        if left_out > 0 {
            let words = format!("{left_out} earlier messages and notes are left out");
            writeln!(to, "  Note over n0,n{last}: {words}")?;
        }
        for mark in &marks[left_out..] {
            writeln!(to, "  {}", self.drawn(mark))?;
        }
        let later = self.events.len() - self.events.partition_point(|event| event.id <= until);
        if later > 0 {
            writeln!(to, "  Note over n0,n{last}: {later} later events are left out")?;
        }
        Ok(())
    }

    fn mark<'a>(&'a self, event: &'a Event) -> Option<Mark<'a>> {
        let cause = event.cause.and_then(|cause| self.event(cause));
        match cause {
            Some(sent) if LOST.contains(&&*event.kind) => Some(Mark::Lost(sent, event)),
            Some(sent) if matches!(&*event.kind, "deliver" | "segment") => {
                Some(Mark::Arrow(sent, event))
            }
            _ if NOTED.contains(&&*event.kind) => Some(Mark::Note(event)),
            _ => None,
        }
    }

    fn drawn(&self, mark: &Mark<'_>) -> String {
        match mark {
            Mark::Arrow(sent, arrived) => {
                let took = duration(arrived.at_ns.saturating_sub(sent.at_ns));
                let (at, text) = (seconds(sent.at_ns), plain(&sent.text));
                format!("n{}->>n{}: {at} {text} (took {took})", sent.node, arrived.node)
            }
            Mark::Lost(sent, lost) => {
                let to = sent.peer.unwrap_or(lost.node);
                let (at, text) = (seconds(sent.at_ns), plain(&lost.text));
                format!("n{}-xn{to}: {at} {text}", sent.node)
            }
            Mark::Note(event) => {
                let (at, text) = (seconds(event.at_ns), plain(&event.text));
                format!("Note over n{}: {at} {text}", event.node)
            }
        }
    }
}

/// Words in which Mermaid finds nothing of its own: what has a meaning to it is written as an
/// entity, by its number.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '#' | ';' | '<' | '>' | '&' | '%' | '"' | '{' | '}' => {
                plain.push_str(&format!("#{};", character as u32));
            }
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}
