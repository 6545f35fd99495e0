//! Where two traces part.

use super::{Event, Trace};

/// The first event in which two runs differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parting {
    /// The place of the first event that differs, in both traces.
    pub at: usize,
}

/// So many events are shown before the runs part, and of each after that.
const AROUND: usize = 8;

fn alike(one: &Event, other: &Event, (a, b): (&Trace, &Trace)) -> bool {
    one.at_ns == other.at_ns
        && one.kind == other.kind
        && one.text == other.text
        && a.about.name(one.node) == b.about.name(other.node)
}

impl Trace {
    /// Where this trace and another one part: at the first event that differs in time, node, kind
    /// or words, or that only one of them has. `None` if they are the same.
    ///
    /// Of traces that do not begin at the start of their runs, what is left out is not compared.
    pub fn parts_from(&self, other: &Trace) -> Option<Parting> {
        let pairs = self.events.iter().zip(&other.events);
        let same = pairs.take_while(|(one, two)| alike(one, two, (self, other))).count();
        let over = same == self.events.len() && same == other.events.len();
        (!over).then_some(Parting { at: same })
    }

    /// How this trace and another one differ, in words, `names` being theirs: the last events in
    /// which they agree, and the first of each after that, with what caused the first.
    pub fn difference(&self, other: &Trace, names: [&str; 2]) -> Vec<String> {
        let Some(Parting { at }) = self.parts_from(other) else {
            let (many, digest) = (self.events.len(), &self.about.digest);
            let mut lines = vec![format!("the runs are the same: {many} events")];
            if *digest == other.about.digest {
                lines.push(format!("  digest {digest}"));
            } else {
                lines.push(format!("  but their digests are {digest} and {}", other.about.digest));
            }
            return lines;
        };
        let mut lines = match at {
            0 => vec!["the runs differ from their first event on".to_owned()],
            _ => vec![format!("the runs agree for {at} events, up to:")],
        };
        let agreed = &self.events[at.saturating_sub(AROUND)..at];
        lines.extend(agreed.iter().map(|event| format!("    {}", self.sentence(event))));
        for (trace, name) in [(self, names[0]), (other, names[1])] {
            lines.push(format!("  then {name}:"));
            let rest = &trace.events[at..trace.events.len().min(at + AROUND)];
            let Some(first) = rest.first() else {
                let end = crate::words::seconds(trace.about.end_ns);
                lines.push(format!("    nothing more: the run is over at {end}"));
                continue;
            };
            for event in rest {
                let mark = if event.id == first.id { '>' } else { ' ' };
                lines.push(format!("  {mark} {}", trace.sentence(event)));
            }
            let cause = first.cause.and_then(|cause| trace.event(cause));
            let cause = cause.map(|cause| trace.sentence(cause));
            lines.extend(cause.map(|cause| format!("    the first because: {cause}")));
        }
        lines
    }
}
