//! When a failure became likely.

use super::*;

/// The first seed below a bound that breaks this property.
fn first_of(name: &str, seeds: u64) -> u64 {
    let line = format!("sweep {name} --seeds {seeds} --strategy random --once --json");
    let (swept, _) = json(&line);
    let failures = swept["scenarios"][0]["failures"].as_array().unwrap().clone();
    let own = failures.iter().filter(|found| found["file"].is_null());
    own.map(|found| found["seed"].as_u64().unwrap()).min().expect("it fails")
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {value}"))
}

#[test]
fn a_failure_becomes_likely_with_the_crash_that_it_needs() {
    let name = "specimen/recovery-forgets";
    let seed = first_of(name, 32);
    let line = format!("why {name} --seed {seed} --samples 48 --json");
    let (value, exit) = json(&format!("{line} --jobs 1"));
    assert_eq!(exit, 0, "{value}");
    // The number of workers changes nothing.
    assert_eq!(json(&format!("{line} --jobs 3")), (value.clone(), 0));
    let points = value["points"].as_array().unwrap();
    let share = |point: &Value| 100 * number(point, "fails") / number(point, "of");
    let (first, last) = (&points[0], &points[points.len() - 1]);
    assert_eq!((number(first, "at_ns"), number(last, "at_ns")), (0, number(&value, "at_ns")));
    assert!(share(first) <= 60 && share(last) >= 95, "{value}");
    // Up to noise it never falls.
    for pair in points.windows(2) {
        let (low, high) = (&pair[1]["high_percent"], &pair[0]["low_percent"]);
        assert!(low.as_f64().unwrap() + 10.0 >= high.as_f64().unwrap(), "{pair:?}");
    }
    let steps = value["steps"].as_array().unwrap();
    let crashes = |step: &Value| {
        let events = step["events"].as_array().unwrap();
        events.iter().any(|event| event.as_str().unwrap().contains(" crashes"))
    };
    assert!(steps.iter().any(crashes), "{value}");
    assert_eq!(number(&value, "runs"), 48 * points.len() as u64);
}

#[test]
fn it_is_drawn_and_told_and_a_repro_file_is_as_good_as_a_seed() {
    let name = "specimen/engine-property";
    let seed = first_of(name, 32);
    let folder = tempfile::tempdir().unwrap();
    let (svg, file) = (folder.path().join("why.svg"), folder.path().join("repro.json"));
    squall(&format!("run {name} --seed {seed} --save {}", file.display()));
    let told = |what: &str| {
        let output = squall(&format!("why {what} --samples 40 --svg {}", svg.display()));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (stdout(&output), std::fs::read_to_string(&svg).unwrap())
    };
    let (said, picture) = told(&format!("{name} --seed {seed}"));
    assert!(said.contains("no client draws a zero") && said.contains("#####"), "{said}");
    // The draw is what it needs, and a trace says who drew.
    assert!(said.contains("it became likely between"), "{said}");
    assert!(picture.starts_with("<svg ") && picture.contains("class=\"step\""), "{picture}");
    assert_eq!(told(&file.display().to_string()), (said, picture));
}

#[test]
fn what_does_not_fail_or_does_not_end_is_not_explained() {
    let hangs = format!("why specimen/engine-hang --seed {}", first_of("specimen/engine-hang", 32));
    for (line, wanted) in [
        ("why register/atomic --seed 3", "does not fail, so there is nothing to explain"),
        ("why register/atomic", "of a scenario, say which seed: --seed S"),
        ("why register/atomic --seed 3 --samples 1", "2..=100000"),
        (hangs.as_str(), "does not end (hang)"),
    ] {
        let output = squall(line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stdout(&output));
        assert!(stderr(&output).contains(wanted), "{line}: {}", stderr(&output));
    }
}

#[test]
fn a_lost_message_that_a_failure_needs_is_named() {
    let name = "mutant/register-reads-without-write-back --weather loss";
    let seed = first_of(name, 300);
    let (value, exit) = json(&format!("why {name} --seed {seed} --samples 48 --json"));
    assert_eq!(exit, 0, "{value}");
    let events = value["steps"].as_array().unwrap().iter().flat_map(|step| {
        let events = step["events"].as_array().unwrap().iter();
        events.map(|event| event.as_str().unwrap().to_owned())
    });
    let lost: Vec<String> = events.filter(|event| event.contains(" lost on its way")).collect();
    // By the name of its variant and not by its hash alone.
    let is_named = |line: &String| {
        ["Query", "Newest", "Store", "Stored"]
            .iter()
            .any(|kind| line.contains(&format!("{kind} (")))
    };
    assert!(!lost.is_empty() && lost.iter().all(is_named), "{value}");
    // Nothing is lost where loss is off, and then this does not fail like this.
    let calm = "mutant/register-reads-without-write-back --weather calm";
    let (swept, _) = json(&format!("sweep {calm} --seeds {} --once --json", seed + 1));
    assert!(swept["scenarios"][0]["failures"].as_array().unwrap().is_empty(), "{swept}");
}
