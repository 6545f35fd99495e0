//! What an exploration came to.

/// Why it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// There is no state that was not visited.
    Complete,
    /// A property is broken.
    Broken,
    /// As many states were visited as may be.
    States,
    /// There are states deeper than may be visited.
    Depth,
    /// More memory would be needed than may be used.
    Memory,
}

/// A property that does not hold, and the way there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The property's name.
    pub property: String,
    /// Why it does not hold.
    pub why: String,
    /// What happens, a sentence for each step.
    pub steps: Vec<String>,
    /// The same for [`walk`](super::walk).
    pub path: Vec<u32>,
}

/// What an exploration came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explored {
    /// How many different states were visited.
    pub states: u64,
    /// How many steps were taken, to states that were known already too.
    pub transitions: u64,
    /// How many steps it takes at most to get to a state that was visited; depth first, how many
    /// were taken at most.
    pub depth: u64,
    /// How many steps led out of what the model wants looked at.
    pub outside: u64,
    /// How many bytes were used at most, as [`Limits::bytes`](super::Limits) counts them.
    pub bytes: u64,
    /// Why it ended.
    pub ended: Ended,
    /// What is broken.
    pub broken: Option<Broken>,
    /// What should be reached now and then and was not. It fails a complete exploration alone.
    pub unreached: Vec<String>,
}

impl Explored {
    /// Whether everything was visited and everything holds.
    pub fn is_clean(&self) -> bool {
        self.ended == Ended::Complete && self.broken.is_none() && self.unreached.is_empty()
    }

    /// Whether something does not hold, whatever was not visited.
    pub fn is_broken(&self) -> bool {
        let unreachable = self.ended == Ended::Complete && !self.unreached.is_empty();
        self.broken.is_some() || unreachable
    }

    /// How likely it is at most that two of the states visited have the same fingerprint, so that
    /// one of them was taken for the other and what comes after it was perhaps not visited: the
    /// number of pairs over 2^64. A counterexample is one in any case.
    pub fn collision(&self) -> f64 {
        let states = self.states as f64;
        states * (states - 1.0) / 2.0 / 2f64.powi(64)
    }

    /// The result in lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(broken) = &self.broken {
            lines.push(format!("broken: {}: {}", broken.property, broken.why));
            let numbered = broken.steps.iter().enumerate();
            lines.extend(numbered.map(|(at, step)| format!("  {:>2}. {step}", at + 1)));
        }
        // Where something is broken, little was visited.
        let unreached = self.unreached.iter().filter(|_| self.broken.is_none());
        lines.extend(unreached.map(|name| match self.ended {
            Ended::Complete => format!("broken: {name:?} is never reached"),
            _ => format!("undecided: {name:?} was not reached"),
        }));
        let counted = format!(
            "{} states, {} transitions, depth {}",
            self.states, self.transitions, self.depth
        );
        lines.push(match self.ended {
            Ended::Complete if self.outside > 0 => {
                format!("complete within its bounds ({} steps left them): {counted}", self.outside)
            }
            Ended::Complete => format!("complete: {counted}"),
            Ended::Broken => format!("ended at what is broken: {counted}"),
            Ended::States => format!("not complete, the limit of states was reached: {counted}"),
            Ended::Depth => format!("not complete, the limit of depth was reached: {counted}"),
            Ended::Memory => format!("not complete, the limit of memory was reached: {counted}"),
        });
        if self.ended == Ended::Complete {
            lines.push(format!(
                "two states had the same fingerprint with a probability of at most {:.1e}",
                self.collision()
            ));
        }
        lines
    }
}
