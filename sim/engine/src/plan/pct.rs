//! Priorities in place of chance: probabilistic concurrency testing (Burckhardt, Kothari,
//! Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs",
//! ASPLOS 2010).

use crate::choice::Stream;
use serde::{Deserialize, Serialize};

/// The most change points that are drawn, so that bugs of a depth of up to five are aimed at.
const CHANGES_MAX: u64 = 4;

/// The step before which the last change of priority is drawn at most.
const STEP_MAX: u64 = 20_000;

/// Every task and every link between two nodes has a priority of its own, drawn once. Of tasks that
/// are ready at one instant the one with the highest goes first; a link with a high priority is
/// always among the fastest of what the weather allows, one with a low priority among the slowest.
///
/// A bug of depth *d* needs *d* things to happen in one order, and is met if the priorities put
/// them so. Orders that no fixed priorities give need changes: at a change point whoever takes that
/// step falls behind everybody else from then on. Once the world has healed there are no priorities
/// any more, so nothing starves for ever.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pct {
    /// What the priorities are drawn from.
    pub salt: u64,
    /// The change points: at these steps whoever takes the step loses its priority. A step is a
    /// message between two nodes, or a task that is ready while others are; the first is 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub change_at: Vec<u64>,
}

impl Pct {
    /// The priorities of a seed.
    pub fn draw(seed: u64) -> Pct {
        let mut stream = Stream::new(seed, "pct");
        let salt = stream.bits();
        let changes = stream.between(0, CHANGES_MAX);
        // How long a run will be is not known before it is run, so every order of magnitude is as
        // likely.
        let mut change_at: Vec<u64> =
            (0..changes).map(|_| stream.log_uniform(1, STEP_MAX)).collect();
        change_at.sort_unstable();
        change_at.dedup();
        Pct { salt, change_at }
    }

    /// In words.
    pub(super) fn line(&self) -> String {
        if self.change_at.is_empty() {
            return "tasks and links have fixed priorities".to_owned();
        }
        let steps: Vec<String> = self.change_at.iter().map(u64::to_string).collect();
        format!("tasks and links have priorities, which change at step {}", steps.join(", "))
    }
}
