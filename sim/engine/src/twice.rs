//! A seed run twice: the same digests, or the first event in which the two runs differ.

use crate::plan::Plan;
use crate::run::{Outcome, Watch, run_plan};
use crate::scenario::Scenario;
use crate::words::Words;
use crate::world::Line;

/// Two runs of one seed and plan that should have been the same and were not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What differs, in sentences: the first event that does, from both runs.
    pub story: Vec<String>,
}

/// Runs a seed twice in this process and compares.
///
/// # Errors
/// The first event in which the two runs differ.
///
/// # Panics
/// If a run is under way in this thread.
pub fn twice(scenario: &Scenario, seed: u64, plan: &Plan) -> Result<Outcome, Difference> {
    let first = run_plan(scenario, seed, plan, Watch::default());
    let second = run_plan(scenario, seed, plan, Watch::default());
    if first.digest == second.digest {
        return Ok(first);
    }
    let watch = Watch { log: true, ..Watch::default() };
    let words = Words::of(scenario, plan);
    let one = entries(&words, &run_plan(scenario, seed, plan, watch));
    let other = entries(&words, &run_plan(scenario, seed, plan, watch));
    let digests = format!("the digests differ: {} and {}", first.digest, second.digest);
    let story = std::iter::once(digests).chain(compare(&one, &other)).collect();
    Err(Difference { story })
}

/// The entries of a logged run, a line each: the numbers, a tab, and the words.
pub(crate) fn entries(words: &Words, outcome: &Outcome) -> Vec<String> {
    let entry = |line: &Line| match line {
        Line::Entry(entry) => {
            let [a, b] = entry.details;
            let (time, node, code) = (entry.time, entry.node, entry.code as u8);
            Some(format!("{time} {node} {code} {a:x} {b:x}\t{}", words.entry(entry)))
        }
        // What the code says for a reader is not part of what happened.
        Line::Text { .. } | Line::Event { .. } | Line::Remark { .. } => None,
    };
    outcome.log.iter().filter_map(entry).collect()
}

/// The first entry in which two logged runs differ, in words.
pub(crate) fn compare(one: &[String], other: &[String]) -> Vec<String> {
    let words = |line: Option<&String>| match line {
        Some(line) => line.split_once('\t').map_or(line.as_str(), |(_, words)| words).to_owned(),
        None => "nothing more: the run is over".to_owned(),
    };
    let longest = one.len().max(other.len());
    match (0..longest).find(|at| one.get(*at) != other.get(*at)) {
        Some(at) => {
            let before = at.checked_sub(1).map(|at| words(one.get(at)));
            let before = before.unwrap_or_else(|| "the start".to_owned());
            vec![
                format!("the runs agree for {at} events, up to: {before}"),
                format!("  then the one:  {}", words(one.get(at))),
                format!("  and the other: {}", words(other.get(at))),
            ]
        }
        None => vec![
            "two more runs, with everything written down, agree in every event".to_owned(),
            "so what differs comes and goes: state that is left from earlier runs, or memory \
             addresses, the system's clock or its randomness"
                .to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_env::Env;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[test]
    fn a_run_that_is_a_function_of_its_seed_is_alike() {
        let scenario = Scenario::new("test/alike").nodes("node", 2..=2, |env: Env| async move {
            for _ in 0..5 {
                env.sleep(Duration::from_millis(env.random_below(10))).await;
            }
            Ok::<(), String>(())
        });
        assert!(twice(&scenario, 1, &scenario.plan(1)).is_ok());
    }

    #[test]
    fn the_first_event_that_differs_is_named() {
        static BOOTS: AtomicU64 = AtomicU64::new(0);
        let scenario = Scenario::new("test/leaks").nodes("node", 1..=1, |env: Env| async move {
            env.sleep(Duration::from_millis(7)).await;
            // State that outlives the run: the very thing that is to be found.
            let boots = BOOTS.fetch_add(1, Ordering::Relaxed);
            env.sleep(Duration::from_millis(boots + 1)).await;
            Ok::<(), String>(())
        });
        let Err(difference) = twice(&scenario, 1, &scenario.plan(1)) else {
            panic!("the difference was missed")
        };
        let story = difference.story.join("\n");
        assert!(story.contains("digests differ"), "{story}");
        assert!(story.contains("then the one:") && story.contains("node-1"), "{story}");
        assert!(story.contains("sets a timer"), "{story}");
    }

    #[test]
    fn a_run_that_ends_early_differs_at_its_end() {
        let long = ["1\tone".to_owned(), "2\ttwo".to_owned()];
        let story = compare(&long, &long[..1]).join("\n");
        assert!(story.contains("1 events, up to: one"), "{story}");
        assert!(story.contains("then the one:  two"), "{story}");
        assert!(story.contains("nothing more"), "{story}");
        assert!(compare(&long, &long)[0].contains("agree in every event"));
    }
}
