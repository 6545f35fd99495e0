//! A shrunk run as a test: `squall shrink --rust` writes it, and it fails until the bug is mended.

use crate::plan::Plan;
use crate::report;
use crate::repro::Repro;
use crate::run::{Watch, run_plan};
use crate::scenario::Scenario;
use crate::story::Sentence;

/// The text that comments are broken into lines of.
const COLUMNS: usize = 92;

/// Runs the scenario of this name, which is one of these, with a seed and a plan, and fails if the
/// run breaks anything. The plan is written as in repro files.
///
/// # Panics
/// If a property breaks, with the whole report; if no scenario has this name, or the plan is none
/// that it can run; or if a run is under way in this thread.
#[track_caller]
pub fn holds(scenarios: &[Scenario], name: &str, seed: u64, plan: &str) {
    let scenario = scenarios.iter().find(|scenario| scenario.name() == name);
    let Some(scenario) = scenario else { panic!("there is no scenario {name:?} in the list") };
    let plan: Plan = match serde_json::from_str(plan) {
        Ok(plan) => plan,
        Err(error) => panic!("the plan of {name} cannot be read: {error}"),
    };
    if let Err(error) = scenario.check_plan(&plan) {
        panic!("the plan of {name} cannot be run: {error}");
    }
    let outcome = run_plan(scenario, seed, &plan, Watch { record: true, ..Watch::default() });
    if let Some(failure) = &outcome.failure {
        let mut lines = report::lines((name, seed), failure, &plan, outcome.story());
        lines.extend(outcome.overrides.line());
        panic!("{}", lines.join("\n"));
    }
}

/// The source of a test that runs a repro file's plan. `list` is an expression of the scenarios.
pub(crate) fn as_rust(repro: &Repro, list: &str, story: &[Sentence]) -> Result<String, String> {
    let Repro { scenario, seed, plan, expected, .. } = repro;
    let plan = serde_json::to_string_pretty(plan).map_err(|error| error.to_string())?;
    let broken = expected.property.as_deref().unwrap_or("nothing");
    let mut lines = comment(&format!("With seed {seed} {scenario} breaks: {broken}."));
    lines.push("//!".to_owned());
    for (at, sentence) in story.iter().enumerate() {
        lines.extend(comment(&format!("{}. {}", at + 1, sentence.text)));
    }
    lines.push("//!".to_owned());
    lines.extend(comment("This fails until the bug is mended, and then keeps it away."));
    let fences = (1..).map(|many| "#".repeat(many));
    let fence = fences.into_iter().find(|fence| !plan.contains(&format!("\"{fence}")));
    let fence = fence.unwrap_or_default();
    lines.push(String::new());
    lines.push("/// Who is there, and what happens to whom; times are in nanoseconds.".to_owned());
    lines.push(format!("const PLAN: &str = r{fence}\"{plan}\"{fence};"));
    lines.push(String::new());
    lines.push("#[test]".to_owned());
    lines.push(format!("fn {}_seed_{seed}() {{", identifier(scenario)));
    lines.push(format!("    squall::regression::holds(&{list}, {scenario:?}, {seed}, PLAN);"));
    lines.push("}\n".to_owned());
    Ok(lines.join("\n"))
}

/// A name as the beginning of one that a function may have.
fn identifier(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let plain: String = name.chars().map(plain).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("run_{plain}") } else { plain }
}

/// A text as comments, in lines that are not too long.
fn comment(text: &str) -> Vec<String> {
    let mut lines = vec!["//!".to_owned()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].len() + 1 + word.len() > COLUMNS && lines[last].len() > 5 {
            lines.push(format!("//!    {word}"));
        } else {
            lines[last] = format!("{} {word}", lines[last]);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repro::Expected;

    fn scenarios() -> Vec<Scenario> {
        let fails = |env: squall_env::Env| async move {
            env.sleep(std::time::Duration::from_millis(5)).await;
            assert!(!env.mutant("test/bad"), "it is bad");
            Ok::<(), String>(())
        };
        let other = Scenario::new("test/other");
        vec![other, Scenario::new("test/bad").nodes("node", 1..=1, fails)]
    }

    fn plan(mutant: bool) -> String {
        let mut plan = scenarios()[1].plan(7);
        plan.mutant = mutant.then(|| "test/bad".to_owned());
        serde_json::to_string(&plan).unwrap()
    }

    #[test]
    fn what_is_mended_holds() {
        holds(&scenarios(), "test/bad", 7, &plan(false));
    }

    #[test]
    #[should_panic(expected = "test/bad breaks: no node panics")]
    fn what_is_not_mended_fails_with_its_report() {
        holds(&scenarios(), "test/bad", 7, &plan(true));
    }

    #[test]
    #[should_panic(expected = "there is no scenario \"test/gone\" in the list")]
    fn a_scenario_that_is_gone_is_no_success() {
        holds(&scenarios(), "test/gone", 7, &plan(false));
    }

    #[test]
    #[should_panic(expected = "its roles are [\"node\"], and the scenario has []")]
    fn a_plan_that_suits_no_more_is_no_success() {
        holds(&scenarios(), "test/other", 7, &plan(false));
    }

    #[test]
    fn the_source_tells_the_story_and_holds_the_plan() {
        let property = Some("it holds".to_owned());
        let expected = Expected { property, fingerprint: None, digest: None };
        let mut plan = scenarios()[1].plan(7);
        plan.mutant = Some("a \"#quoted\"## name".to_owned());
        let repro = Repro::new("2nd/Try-it", 7, &plan, expected);
        let text = "node-1 does `This` and gets `That` after 3 ms, ".repeat(3);
        let story = [Sentence { at_ns: 5, text }];
        let source = as_rust(&repro, "mine::scenarios()", &story).unwrap();
        assert!(source.starts_with("//! With seed 7 2nd/Try-it breaks: it holds.\n//!\n//! 1. no"));
        assert!(source.lines().take(6).all(|line| line.len() <= 96), "{source}");
        assert!(source.contains("#[test]\nfn run_2nd_try_it_seed_7() {\n"), "{source}");
        let call = "squall::regression::holds(&mine::scenarios(), \"2nd/Try-it\", 7, PLAN);";
        assert!(source.contains(call), "{source}");
        let (_, rest) = source.split_once("r###\"").unwrap();
        let (written, _) = rest.split_once("\"###;").unwrap();
        assert_eq!(serde_json::from_str::<Plan>(written).unwrap(), plan);
    }
}
