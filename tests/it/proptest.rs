//! proptest finds a bug of the register, and shrinks the plan to what it needs.

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRng, TestRunner};
use squall::proptest::{Case, plans, run_plan_case};
use squall::{Fault, Most, Plan, Scenario, Tolerance};
use squall_env::View;
use squall_scenarios::register;

fn runner(cases: u32, source: &str) -> TestRunner {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..ProptestConfig::default()
    };
    let seed: Vec<u8> = source.bytes().chain([0; 32]).take(32).collect();
    let algorithm = config.rng_algorithm;
    TestRunner::new_with_rng(config, TestRng::from_seed(algorithm, &seed))
}

fn mutant(name: &str) -> Scenario {
    let found = register::mutants().into_iter().find(|mutant| mutant.name() == name);
    found.expect("there is such a mutant")
}

/// The case that is left, and how many had run before it was the first to fail.
fn found(scenario: &dyn Fn() -> Scenario, source: &str) -> (Case, String) {
    let (tested, strategy) = (scenario(), plans(scenario()));
    match runner(200, source).run(&strategy, |case| run_plan_case(&tested, &case)) {
        Err(TestError::Fail(report, case)) => (case, report.message().to_owned()),
        other => panic!("nothing was found: {other:?}"),
    }
}

fn operations(plan: &Plan) -> usize {
    let kept = plan.overrides.iter().map(|wish| match wish {
        squall::plan::Override::OnlyOperations { numbers, .. } => numbers.len(),
        _ => 0,
    });
    kept.sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_register_survives_any_plan(case in plans(register::atomic())) {
        run_plan_case(&register::atomic(), &case)?;
    }
}

#[test]
fn a_bug_is_found_shrunk_and_stays_the_same_bug() {
    let name = "mutant/register-quorum-off-by-one";
    let (case, report) = found(&|| mutant(name), "a first source");
    let drawn = mutant(name).plan(case.seed);
    assert!(case.plan.episodes.len() <= 4, "{case:?}");
    assert!(case.plan.episodes.len() <= drawn.episodes.len() / 2, "{case:?}");
    assert!(operations(&case.plan) <= 20, "{case:?}");
    // What is left is what was found.
    let outcome = squall::run_plan(&mutant(name), case.seed, &case.plan, squall::Watch::default());
    let failure = outcome.failure.expect("it fails still");
    assert_eq!(Some(failure.fingerprint().as_str()), case.fingerprint());
    let first = squall::run(&mutant(name), case.seed).failure.expect("so it was found");
    assert_eq!(first.fingerprint(), failure.fingerprint());
    assert!(report.contains("what happened:") && report.contains("`Store`"), "{report}");
    assert!(format!("{case:?}").starts_with(&format!("seed {}\n", case.seed)));
    // The same source gives the same case, as the files of proptest have it.
    assert_eq!(found(&|| mutant(name), "a first source").0.plan, case.plan);
}

/// Two bugs: one shows if much strikes, the other at the end if little did.
fn two_bugs() -> Scenario {
    let struck = || squall::conditions().map_or((0, false), |now| (now.struck.len(), now.healed));
    let serve = |env: squall_env::Env| async move {
        env.ready();
        std::future::pending::<Result<(), String>>().await
    };
    let tolerance = Tolerance::nothing().impaired("node", Most::Any);
    Scenario::new("test/two-bugs")
        .nodes("node", 2..=4, serve)
        .tolerates(tolerance.fault(Fault::Pause).fault(Fault::IsolateOne).fault(Fault::Stall))
        .always("little strikes", move || {
            move |_: &View<'_>| match struck() {
                (3.., _) => Err("much does".to_owned()),
                _ => Ok(()),
            }
        })
        .always("something strikes", move || {
            move |_: &View<'_>| match struck() {
                (0..3, true) => Err("too little does".to_owned()),
                _ => Ok(()),
            }
        })
}

#[test]
fn shrinking_does_not_slide_from_one_bug_to_another() {
    let first = |source: &str| found(&two_bugs, source).0;
    let cases: Vec<Case> = ["one", "two", "three", "four", "five"].into_iter().map(first).collect();
    let with = |property: &str| {
        let fingerprint = format!("property/{property}/");
        let of = cases.iter().filter(move |case| case.fingerprint() == Some(&fingerprint));
        of.map(|case| case.plan.episodes.len()).collect::<Vec<usize>>()
    };
    let (much, little) = (with("little strikes"), with("something strikes"));
    // Everything that is left out would show the other bug.
    assert!(!much.is_empty() && much.iter().all(|episodes| *episodes == 3), "{cases:?}");
    assert!(little.iter().all(|episodes| *episodes == 0), "{cases:?}");
    assert_eq!(much.len() + little.len(), 5, "{cases:?}");
}
