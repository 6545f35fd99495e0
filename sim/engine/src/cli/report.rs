//! What a sweep says: for people, and for programs.

use super::coverage::Covered;
use super::crash_points::FOLDER;
use super::export::program;
use super::found::Found;
use super::{CLEAN, FAILED, Trouble, UNDECIDED};
use crate::failure::Class;
use crate::report::SEEDS_FOR_COVERAGE;
use crate::repro::{Expected, Repro};
use crate::scenario::{Each, Scenario};
use crate::search::Strategy;
use crate::table::TABLE;
use crate::tally::{Tally, Watermark, values};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What came of the seeds of one scenario.
pub(super) struct Swept<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) tally: Tally,
    pub(super) found: Vec<Found>,
    /// How many of the seeds were run twice.
    pub(super) twice: u64,
    pub(super) wall_seconds: f64,
    /// What came of the runs that went by what is new.
    pub(super) covered: Covered,
}

#[derive(Serialize)]
pub(super) struct SweepJson<'a> {
    scenarios: Vec<ScenarioJson<'a>>,
    canary: Canary,
    exit: u8,
}

#[derive(Serialize)]
pub(super) struct Canary {
    pub(super) found_after_seeds: Option<u64>,
}

#[derive(Serialize)]
struct ScenarioJson<'a> {
    name: &'a str,
    seeds: u64,
    run_twice: u64,
    failures: Vec<FailureJson<'a>>,
    events: u64,
    messages: u64,
    operations: Operations,
    sim_seconds: f64,
    wall_seconds: f64,
    faults: BTreeMap<&'static str, Counts>,
    sometimes: BTreeMap<&'a str, u64>,
    combinations: BTreeMap<&'static str, CombinationsJson>,
    watermarks: &'a BTreeMap<String, Watermark>,
    never_fired: Vec<&'static str>,
    never_seen: Vec<&'static str>,
    coverage: &'a Covered,
}

/// How many seeds reached each combination of a situation.
#[derive(Serialize)]
struct CombinationsJson {
    of: Vec<&'static str>,
    seen: BTreeMap<String, u64>,
    unseen: Vec<String>,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    seed: u64,
    class: Class,
    property: &'a str,
    fingerprint: String,
    at_ns: Option<u64>,
    digest: Option<&'a str>,
    strategy: Strategy,
    /// Where the plan is, if it is not the seed's.
    file: Option<&'a Path>,
}

#[derive(Serialize)]
struct Operations {
    ok: u64,
    fail: u64,
    unknown: u64,
}

#[derive(Serialize)]
struct Counts {
    fired: u64,
    refused: u64,
}

/// The sweep as one object.
pub(super) fn json<'a>(swept: &'a [Swept<'a>], canary: Option<u64>, exit: u8) -> SweepJson<'a> {
    let canary = Canary { found_after_seeds: canary };
    SweepJson { scenarios: swept.iter().map(scenario_json).collect(), canary, exit }
}

fn scenario_json<'a>(swept: &'a Swept<'a>) -> ScenarioJson<'a> {
    let tally = &swept.tally;
    let faults = TABLE.iter().filter_map(|row| {
        let [fired, refused, _] = *tally.faults.get(row.name)?;
        Some((row.name, Counts { fired, refused }))
    });
    let mut sometimes: BTreeMap<&str, u64> =
        swept.scenario.sometimes.iter().map(|name| (*name, 0)).collect();
    sometimes.extend(tally.sometimes.iter().map(|(name, seeds)| (name.as_str(), *seeds)));
    let failure = |found: &'a Found| FailureJson {
        seed: found.seed,
        class: found.failure.class,
        property: &found.failure.property,
        fingerprint: found.failure.fingerprint(),
        at_ns: found.at_ns(),
        digest: found.digest.as_deref(),
        strategy: found.strategy,
        file: found.file.as_deref(),
    };
    ScenarioJson {
        name: swept.scenario.name(),
        seeds: tally.seeds,
        run_twice: swept.twice,
        failures: swept.found.iter().map(failure).collect(),
        events: tally.events,
        messages: tally.messages,
        operations: Operations { ok: tally.ok, fail: tally.fail, unknown: tally.unknown },
        sim_seconds: tally.sim_ns as f64 / 1e9,
        wall_seconds: swept.wall_seconds,
        faults: faults.collect(),
        sometimes,
        combinations: combinations(swept),
        watermarks: &tally.watermarks,
        never_fired: tally.never_fired(),
        never_seen: tally.never_seen(swept.scenario),
        coverage: &swept.covered,
    }
}

fn combinations(swept: &Swept<'_>) -> BTreeMap<&'static str, CombinationsJson> {
    let of = |each: &Each| {
        let all = swept.tally.seen(each).into_iter();
        let named = all.map(|(combination, seeds)| (values(&combination), seeds));
        let (seen, unseen): (Vec<_>, Vec<_>) = named.partition(|(_, seeds)| *seeds > 0);
        let (of, seen) = (each.facets.clone(), seen.into_iter().collect());
        let unseen = unseen.into_iter().map(|(values, _)| values).collect();
        (each.name, CombinationsJson { of, seen, unseen })
    };
    swept.scenario.each.iter().map(of).collect()
}

/// How many combinations were seen, and how high things came, a line each.
fn reached(swept: &Swept<'_>) -> Vec<String> {
    let Covered { runs, kept, .. } = &swept.covered;
    let searched = (*runs > 0)
        .then(|| format!("  runs more by coverage: {runs}; of them {kept} reached something new"));
    let combined = swept.scenario.each.iter().map(|each| {
        let all = swept.tally.seen(each);
        let seen = all.iter().filter(|(_, seeds)| *seeds > 0).count();
        format!("  {:?}: {seen} of {} combinations were seen", each.name, all.len())
    });
    let marks = swept.tally.watermarks.iter();
    let marks = marks
        .map(|(name, mark)| format!("  {name:?}: at most {}, with seed {}", mark.max, mark.seed));
    searched.into_iter().chain(combined).chain(marks).collect()
}

/// What is missing in a sweep that is long enough for it to count, in sentences.
fn missing(swept: &Swept<'_>) -> Vec<String> {
    if swept.tally.seeds < SEEDS_FOR_COVERAGE {
        return Vec::new();
    }
    let unfired = swept.tally.never_fired().into_iter();
    let unfired = unfired.map(|fault| {
        let why = swept.tally.why_never(fault);
        format!("  the fault {fault:?} was planned and never fired: {why}")
    });
    let unseen = swept.tally.never_seen(swept.scenario).into_iter();
    let unseen = unseen.map(|what| format!("  no seed reached {what:?}"));
    let uncombined = swept.tally.never_combined(swept.scenario).into_iter();
    let uncombined = uncombined.map(|what| format!("  no seed reached {what}"));
    unfired.chain(unseen).chain(uncombined).collect()
}

/// The exit code of a sweep.
pub(super) fn exit(swept: &[Swept<'_>], canary: Option<u64>) -> u8 {
    let classes = || swept.iter().flat_map(|s| s.found.iter().map(|found| found.failure.class));
    let failed = classes().any(|class| class != Class::Undecided)
        || canary.is_none()
        || swept.iter().any(|swept| !missing(swept).is_empty());
    if failed {
        FAILED
    } else if classes().next().is_some() {
        UNDECIDED
    } else {
        CLEAN
    }
}

/// The sweep for people.
pub(super) fn lines(swept: &[Swept<'_>], canary: Option<u64>) -> Vec<String> {
    let mut lines = Vec::new();
    for swept in swept {
        lines.push(summary(swept));
        lines.extend(reached(swept));
        lines.extend(missing(swept));
    }
    for swept in swept {
        lines.extend(failures(swept));
    }
    lines.push(match canary {
        Some(1) => "the canary was found with its first seed".to_owned(),
        Some(seeds) => format!("the canary was found after {seeds} seeds"),
        None => "the canary was missed: this sweep would have found nothing else".to_owned(),
    });
    lines
}

fn summary(swept: &Swept<'_>) -> String {
    let tally = &swept.tally;
    let failed = match swept.found.len() {
        0 => "none failed".to_owned(),
        many => format!("{many} FAILED"),
    };
    let twice = match swept.twice {
        0 => String::new(),
        some => format!(" ({some} of them twice)"),
    };
    format!(
        "{}: {} seeds{twice}, {failed}; {} events, {} messages, \
         operations {} ok, {} failed, {} unknown; {:.0} simulated seconds in {:.1}",
        swept.scenario.name(),
        tally.seeds,
        tally.events,
        tally.messages,
        tally.ok,
        tally.fail,
        tally.unknown,
        tally.sim_ns as f64 / 1e9,
        swept.wall_seconds,
    )
}

/// How many seeds of one fingerprint are named.
const NAMED: usize = 8;

/// The failures by fingerprint, the fastest of each in full.
fn failures(swept: &Swept<'_>) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&Found>> = BTreeMap::new();
    for found in &swept.found {
        groups.entry(found.failure.fingerprint()).or_default().push(found);
    }
    let mut lines = Vec::new();
    for group in groups.values() {
        let Some(fastest) = group.iter().min_by_key(|found| (found.at_ns(), found.seed)) else {
            continue;
        };
        let seeds: Vec<String> =
            group.iter().take(NAMED).map(|found| found.seed.to_string()).collect();
        let more = if group.len() > NAMED { ", ..." } else { "" };
        lines.push(String::new());
        lines.extend(failure(swept.scenario, fastest));
        lines.push(format!(
            "  seeds that fail like this: {} ({}{more})",
            group.len(),
            seeds.join(", ")
        ));
        let by: BTreeSet<&str> = group.iter().map(|found| found.strategy.name()).collect();
        let by: Vec<&str> = by.into_iter().collect();
        lines.push(format!("  found by: {}", by.join(", ")));
        lines.push(format!("  to see it again: {}", again(swept.scenario, fastest)));
        lines.push(String::new());
    }
    lines
}

/// A failure in full.
pub(super) fn failure(scenario: &Scenario, found: &Found) -> Vec<String> {
    let drawn = || scenario.plan(found.seed);
    let plan = found.plan.as_deref().cloned().unwrap_or_else(drawn);
    crate::report::lines((scenario.name(), found.seed), &found.failure, &plan, &[])
}

/// The command that shows what was found.
fn again(scenario: &Scenario, found: &Found) -> String {
    let program = program();
    match &found.file {
        Some(file) => format!("{program} replay {} --trace", file.display()),
        None => format!("{program} run {} --seed {} --trace", scenario.name(), found.seed),
    }
}

/// The fastest of each fingerprint.
fn fastest<'a>(found: impl Iterator<Item = &'a Found>) -> BTreeMap<String, &'a Found> {
    let mut fastest: BTreeMap<String, &Found> = BTreeMap::new();
    for found in found {
        let known = fastest.entry(found.failure.fingerprint()).or_insert(found);
        if (found.at_ns(), found.seed) < (known.at_ns(), known.seed) {
            *known = found;
        }
    }
    fastest
}

/// Writes repro files of failures whose plans are not those of their seeds: of each fingerprint the
/// fastest.
pub(super) fn keep_plans(scenario: &Scenario, found: &mut [Found]) -> Result<(), Trouble> {
    let wanted: Vec<Found> = fastest(found.iter()).into_values().cloned().collect();
    for found in found.iter_mut().filter(|found| wanted.contains(found)) {
        let Some(plan) = &found.plan else { continue };
        let (name, seed) = (scenario.name(), found.seed);
        let plain = Repro::file_name(name, seed);
        let stem = plain.strip_suffix(".json").unwrap_or(&plain);
        let hash = crate::choice::hash_text(&plan.lines().join("\n")) as u32;
        let file = format!("{stem}-{}-{hash:08x}.json", found.strategy.name());
        let file = Path::new(FOLDER).join(file);
        let expected = Expected {
            property: Some(found.failure.property.clone()),
            fingerprint: Some(found.failure.fingerprint()),
            digest: found.digest.clone(),
        };
        let written = Repro::new(name, seed, plan, expected).write(&file);
        written.map_err(|error| Trouble::Infrastructure(error.to_string()))?;
        found.file = Some(file);
    }
    Ok(())
}
