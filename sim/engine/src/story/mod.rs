//! A run in sentences: what was done, what struck, and what clients saw, in the order of time.
//!
//! A failure that has been shrunk has few of them. They speak in the protocol's own words: messages
//! go by the names of their types and variants, operations by what is printed of them.

mod drawn;
mod notes;
mod tell;

use crate::failure::Failure;
use crate::plan::Plan;
use crate::run::Outcome;
use crate::scenario::Scenario;
use crate::words::Words;
use crate::world::Line;
pub(crate) use notes::{Notes, Unsynced};
use serde::{Deserialize, Serialize};
pub(crate) use tell::tell;

/// So many sentences of a story are printed, the last ones.
const PRINTED: usize = 60;

/// One thing that happened in a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sentence {
    /// When, in nanoseconds from the start of the run.
    pub at_ns: u64,
    /// What.
    pub text: String,
}

impl Outcome {
    /// What happened, in sentences, if it was written down
    /// ([`Watch::record`](crate::Watch::record)).
    pub fn story(&self) -> &[Sentence] {
        self.recorded.as_ref().map_or(&[], |recorded| &recorded.story)
    }

    /// What the code under test said in a run that was watched with
    /// [`Watch::log`](crate::Watch::log), a line each: the texts of
    /// [`Env::trace`](squall_env::Env::trace) and the events of `tracing`, with time and node. The
    /// scenario and the plan are those of the run.
    ///
    /// These are words of the code's own, and no numbers of the simulator: they can be compared
    /// with a text that was kept.
    pub fn said(&self, scenario: &Scenario, plan: &Plan) -> Vec<String> {
        let words = Words::of(scenario, plan);
        let said = self.log.iter().filter(|line| !matches!(line, Line::Entry(_)));
        said.map(|line| words.line(line)).collect()
    }
}

/// The story of a run that fails, as lines with numbers and times; the failure comes last. Nothing
/// if there is no story.
pub(crate) fn lines(story: &[Sentence], failure: &Failure) -> Vec<String> {
    if story.is_empty() {
        return Vec::new();
    }
    let first = story.len().saturating_sub(PRINTED);
    let mut lines = vec!["  what happened:".to_owned()];
    if first > 0 {
        lines.push(format!("    {first} sentences are left out here"));
    }
    let digits = (story.len() + 1).to_string().len();
    let line = |number: usize, at_ns: u64, text: &str| {
        let (s, us) = (at_ns / 1_000_000_000, at_ns / 1_000 % 1_000_000);
        format!("    {number:digits$}. {s:3}.{us:06} s  {text}")
    };
    let numbered = story.iter().enumerate().skip(first);
    lines.extend(numbered.map(|(at, one)| line(at + 1, one.at_ns, &one.text)));
    let why = match &failure.story[..] {
        [why] if !why.contains('\n') => format!(": {why}"),
        _ => String::new(),
    };
    let broken = format!("this breaks: {}{why}", failure.property);
    lines.push(line(story.len() + 1, failure.at_ns, &broken));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Class;

    #[test]
    fn a_long_story_is_numbered_to_its_end_and_its_beginning_is_left_out() {
        let story: Vec<Sentence> =
            (0..70).map(|n| Sentence { at_ns: n * 1_000_500, text: format!("word {n}") }).collect();
        let failure = Failure {
            class: Class::Property,
            property: "it holds".to_owned(),
            place: String::new(),
            story: vec!["it does not".to_owned()],
            at_ns: 1_002_003_004,
        };
        let told = lines(&story, &failure);
        assert_eq!(told.len(), 3 + PRINTED);
        assert_eq!(told[1], "    10 sentences are left out here");
        assert_eq!(told[2], "    11.   0.010005 s  word 10");
        assert_eq!(
            told.last().unwrap(),
            "    71.   1.002003 s  this breaks: it holds: it does not"
        );
        assert!(lines(&[], &failure).is_empty());
    }
}
