//! The runner of `cargo test`: what it reports, what it writes, and what a fresh process says.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests of the tester read files and keep state on purpose"
)]

use squall::{Client, Expected, Fault, Repro, Scenario, Tolerance};
use squall_env::View;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

struct Number(u64);

/// One client draws numbers; a property must not see this one.
fn drawing(name: &str, wrong: u64) -> Scenario {
    Scenario::new(name)
        .clients("client", 1..=1, |client: Client| async move {
            let env = client.env();
            let shown = env.show("number", Number(env.random_below(8)));
            env.sleep(Duration::from_millis(1)).await;
            shown.update(env, |number| number.0 += 8);
            Ok::<(), String>(())
        })
        .always("no wrong number is drawn", move || {
            move |view: &View<'_>| match view.up::<Number>().find(|number| number.0 == wrong) {
                Some(_) => Err(format!("{wrong} was drawn")),
                None => Ok(()),
            }
        })
}

#[test]
fn seeds_that_hold_pass() {
    drawing("test/holds", 99).seeds(0..100).run();
}

#[test]
fn a_failing_seed_is_reported_with_its_plan_and_the_commands_that_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = drawing("test/fails", 3).seeds(0..100).failures_in(folder.path());
    let report = seeds.outcome().expect_err("one of the seeds draws it");
    let written: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(written.len(), 2, "as it was found, and shrunk");
    let files = written.iter().map(|entry| entry.as_ref().unwrap().path());
    let file = files.into_iter().find(|file| file.display().to_string().contains("shrunk"));
    let file = file.unwrap();
    let repro = Repro::read(&file).unwrap();
    assert_eq!(repro.expected.property.as_deref(), Some("no wrong number is drawn"));
    let name = "a_failing_seed_is_reported_with_its_plan_and_the_commands_that_show_it";
    for wanted in [
        "test/fails breaks: no wrong number is drawn".to_owned(),
        format!("seed {}, at 0.000000 s of the run, class property", repro.seed),
        "3 was drawn".to_owned(),
        "nodes: 1 client; the world heals at 0.000000 s".to_owned(),
        "nothing more can be left out for itself".to_owned(),
        format!("SQUALL_SEED={} cargo test {name}", repro.seed),
        format!("SQUALL_REPLAY={} cargo test {name} -- --nocapture", file.display()),
    ] {
        assert!(report.contains(&wanted), "{wanted:?} is not in:\n{report}");
    }
    assert!(!report.contains("not reproducible"), "{report}");
    let outcome = squall::run_plan(
        &drawing("test/fails", 3),
        repro.seed,
        &repro.plan,
        squall::Watch::default(),
    );
    let seen = Expected::of(&outcome);
    let verdict = repro.verdict(&seen, &outcome.overrides, &outcome.missed).join("\n");
    assert!(verdict.contains("the same as when"), "{verdict}");
    assert!(verdict.contains("the same property breaks"), "{verdict}");
}

#[test]
#[ignore = "it fails on purpose; the test below starts it"]
fn fails_unshrunk() {
    let folder = tempfile::tempdir().unwrap();
    drawing("test/unshrunk", 3).seeds(0..100).failures_in(folder.path()).run();
}

#[test]
fn a_failure_is_shrunk_for_as_long_as_is_wanted() {
    for (time, wanted, is_small) in [
        ("0", "to run this seed alone", false),
        ("30s", "to replay exactly this shrunk run", true),
        ("soon", "SQUALL_SHRINK is \"soon\"; right are seconds", false),
    ] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "fails_unshrunk"])
            .env("SQUALL_SHRINK", time)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && printed.contains(wanted), "{printed}");
        assert_eq!(printed.contains("  shrunk: 0 faults"), is_small, "{printed}");
    }
}

/// One client waits, draws a number, and shows it a little later.
fn drawing_later() -> Scenario {
    Scenario::new("test/why")
        .clients("client", 1..=1, |client: Client| async move {
            let env = client.env();
            env.sleep(Duration::from_millis(500)).await;
            let number = env.random_below(8);
            env.sleep(Duration::from_millis(500)).await;
            let shown = env.show("number", Number(number));
            env.sleep(Duration::from_millis(1)).await;
            drop(shown);
            Ok::<(), String>(())
        })
        .always("no three is drawn", || {
            |view: &View<'_>| match view.up::<Number>().any(|number| number.0 == 3) {
                true => Err("3 was drawn".to_owned()),
                false => Ok(()),
            }
        })
}

#[test]
#[ignore = "it fails on purpose; the test below starts it"]
fn fails_with_a_why() {
    let folder = tempfile::tempdir().unwrap();
    drawing_later().seeds(0..100).failures_in(folder.path()).run();
}

#[test]
fn a_failing_test_says_why_if_it_is_asked_to() {
    for wanted in [true, false] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "fails_with_a_why"])
            .env("SQUALL_SHRINK", "0")
            .env("SQUALL_WHY", if wanted { "1" } else { "" })
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{printed}");
        // The draw comes at half of the time, and with it the failure.
        let said = printed.contains("it became likely between 0.49") && printed.contains("100 %");
        assert_eq!(said, wanted, "{printed}");
        assert_eq!(printed.contains("  why:"), wanted, "{printed}");
    }
}

/// One client draws a number and says so before it shows it.
fn saying() -> Scenario {
    Scenario::new("test/says")
        .clients("client", 1..=1, |client: Client| async move {
            let env = client.env();
            let number = env.random_below(8);
            env.sleep(Duration::from_micros(500)).await;
            tracing::debug!(target: "draws", three = number == 3, "draws");
            let shown = env.show("number", Number(number));
            env.sleep(Duration::from_millis(1)).await;
            drop(shown);
            Ok::<(), String>(())
        })
        .always("no three is drawn", || {
            |view: &View<'_>| match view.up::<Number>().any(|number| number.0 == 3) {
                true => Err("3 was drawn".to_owned()),
                false => Ok(()),
            }
        })
}

#[test]
#[ignore = "it fails on purpose; the test below starts it"]
fn fails_with_a_log() {
    let folder = tempfile::tempdir().unwrap();
    saying().seeds(0..100).failures_in(folder.path()).run();
}

#[test]
fn the_run_that_fails_prints_its_events_and_its_trace_if_they_are_asked_for() {
    let printed = |variables: &[(&str, &str)]| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "fails_with_a_log"])
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert!(!output.status.success(), "it does not fail");
        String::from_utf8(output.stdout).unwrap()
    };
    let event = "0.000500 s client-1 boot 1: DEBUG draws: draws three=true";
    let quiet = printed(&[]);
    assert!(!quiet.contains(event) && quiet.contains("test/says breaks"), "{quiet}");
    let events = printed(&[("SQUALL_LOG", "draws=debug")]);
    // The seeds before the one that fails are passed over.
    assert!(events.contains(event), "{events}");
    assert_eq!(events.matches("DEBUG").count(), 1, "{events}");
    assert!(!events.contains("client-1 boots"), "{events}");
    let trace = printed(&[("SQUALL_TRACE", "1"), ("SQUALL_LOG", "info")]);
    assert!(trace.contains("client-1 boots") && !trace.contains(event), "{trace}");
    let wrong = printed(&[("SQUALL_LOG", "draws=loud")]);
    assert!(wrong.contains("SQUALL_LOG: \"draws=loud\" is no filter"), "{wrong}");
}

#[test]
fn of_several_scenarios_in_one_test_the_fresh_process_runs_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |name, wrong| {
        let seeds = drawing(name, wrong).seeds(0..100).failures_in(folder.path());
        seeds.outcome().err().unwrap_or_default()
    };
    drawing("test/first", 99).seeds(0..10).run();
    let reports = [fails("test/second", 5), fails("test/third", 6)];
    for report in reports {
        assert!(report.contains("was drawn") && !report.contains("not reproducible"), "{report}");
    }
}

#[test]
fn a_failure_that_a_fresh_process_does_not_show_is_called_a_leak() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let scenario = Scenario::new("test/leaks")
        .clients("client", 1..=1, |client: Client| async move {
            let runs = RUNS.fetch_add(1, Ordering::Relaxed);
            let shown = client.env().show("runs", Number(runs));
            client.env().sleep(Duration::from_millis(1)).await;
            drop(shown);
            Ok::<(), String>(())
        })
        .always("few runs were before", || {
            |view: &View<'_>| match view.up::<Number>().any(|runs| runs.0 == 5) {
                true => Err("five runs were before".to_owned()),
                false => Ok(()),
            }
        });
    let folder = tempfile::tempdir().unwrap();
    let report = scenario.seeds(0..100).failures_in(folder.path()).outcome();
    let report = report.expect_err("the sixth run fails");
    assert!(report.contains("not reproducible: state leaks between runs"), "{report}");
    assert!(report.contains("in a fresh process: no failure, digest "), "{report}");
}

#[test]
fn a_long_run_that_left_something_out_fails() {
    let tolerance = Tolerance::nothing().fault(Fault::Loss);
    let scenario = || {
        let scenario = drawing("test/coverage", 99).sometimes("something rare");
        scenario.tolerates(tolerance.clone())
    };
    let report = scenario().seeds(0..200).outcome().expect_err("nothing is reached");
    assert!(report.contains("none of 200 seeds reached \"something rare\""), "{report}");
    let unfired = "the fault \"loss\", and it never fired: it found nothing to hit";
    assert!(report.contains(unfired), "{report}");
    assert_eq!(scenario().seeds(0..199).outcome(), Ok(()));
}
