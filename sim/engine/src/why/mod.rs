//! When a failure became likely: the run is gone through again up to a time, and from then on
//! everything is drawn anew, many times. How many of these futures fail alike, against that time,
//! shows the moment after which little could avert the failure.

mod show;
mod tested;

use crate::choice::mix;
use crate::plan::{Episode, Plan, Reroll};
use crate::scenario::Scenario;
use crate::words::seconds;
use serde::Serialize;
use std::collections::BTreeMap;
pub(crate) use tested::tested;

/// How many futures there are of each time, unless it is said.
pub(crate) const SAMPLES: u64 = 64;

/// Into so many parts the run is cut at first.
const PARTS: u64 = 16;

/// So many times are looked at beside those.
const MORE: usize = 30;

/// Between times that are less than one so-manieth of the run apart nobody looks any further.
const NARROW: u64 = 8_192;

/// By how much the probability has to rise for it to be a step, in per cent.
const STEP: i64 = 20;

/// So many steps are named.
const STEPS: usize = 3;

/// So many events of a step are told.
const EVENTS: usize = 40;

/// A run that fails.
pub(crate) struct Past<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) plan: &'a Plan,
    pub(crate) fingerprint: &'a str,
    /// When it failed, in nanoseconds.
    pub(crate) at_ns: u64,
    /// When its episodes struck, by their ids.
    pub(crate) struck: &'a [(u32, u64)],
}

/// How many futures of one time fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Point {
    /// Up to when the run was the same, in nanoseconds.
    pub(crate) at_ns: u64,
    pub(crate) fails: u64,
    pub(crate) of: u64,
}

impl Point {
    /// The share of futures that fail, in per cent.
    pub(crate) fn percent(self) -> u64 {
        (100 * self.fails + self.of / 2) / self.of.max(1)
    }

    /// The bounds within which the probability lies with 95 % confidence, in per cent: the interval
    /// of Wilson ("Probable Inference", Journal of the American Statistical Association, 1927).
    pub(crate) fn bounds(self) -> (f64, f64) {
        let (n, z) = (self.of.max(1) as f64, 1.96_f64);
        let p = self.fails as f64 / n;
        let middle = p + z * z / (2.0 * n);
        let around = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + z * z / n;
        let percent = |share: f64| (100.0 * share / whole).clamp(0.0, 100.0);
        (percent(middle - around), percent(middle + around))
    }
}

/// An interval in which the failure became likelier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) from: Point,
    pub(crate) to: Point,
    /// What happened in it.
    pub(crate) events: Vec<String>,
}

/// When a failure became likely.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Why {
    /// In the order of time, the first at the start and the last at the failure.
    pub(crate) points: Vec<Point>,
    /// The greatest rise first.
    pub(crate) steps: Vec<Step>,
    pub(crate) runs: u64,
}

impl Past<'_> {
    /// The plan of one future from a time on. It hangs on the time and the number alone.
    fn future(&self, from_ns: u64, number: u64) -> Plan {
        let salt = mix(mix(from_ns.wrapping_add(1)) ^ number.wrapping_add(1));
        let struck: BTreeMap<u32, u64> = self.struck.iter().copied().collect();
        let began = |episode: &Episode| {
            let known = struck.get(&episode.id).copied();
            known.unwrap_or(episode.from.earliest_ns())
        };
        self.scenario.rerolled(self.plan, Reroll { from_ns, salt }, &began)
    }
}

/// With which fingerprint each of some plans fails, if it does.
pub(crate) type Ended = Result<Vec<Option<String>>, String>;

/// Looks at the futures of a run, so many of each time. `run` says of each plan with which
/// fingerprint it fails, if it does.
pub(crate) fn why(
    past: &Past<'_>,
    samples: u64,
    run: &mut dyn FnMut(&[Plan]) -> Ended,
) -> Result<Why, String> {
    let mut look = |at_ns: u64| -> Result<Point, String> {
        let plans: Vec<Plan> = (0..samples).map(|number| past.future(at_ns, number)).collect();
        let ended = run(&plans)?;
        let alike = ended.iter().flatten().filter(|fingerprint| *fingerprint == past.fingerprint);
        Ok(Point { at_ns, fails: alike.count() as u64, of: samples })
    };
    let mut points: Vec<Point> = Vec::new();
    for part in 0..=PARTS {
        let at_ns = (u128::from(past.at_ns) * u128::from(part) / u128::from(PARTS)) as u64;
        if points.last().is_none_or(|last| last.at_ns < at_ns) {
            points.push(look(at_ns)?);
        }
    }
    let narrow = (past.at_ns / NARROW).max(1_000);
    for _ in 0..MORE {
        // Where it rises most, as long as that is no point in time.
        let wide = |place: &usize| points[*place + 1].at_ns - points[*place].at_ns > narrow;
        let rises = (0..points.len() - 1).filter(wide);
        let Some(place) = rises.max_by_key(|place| (rise(&points, *place), *place)) else { break };
        if rise(&points, place) < STEP {
            break;
        }
        let middle = points[place].at_ns.midpoint(points[place + 1].at_ns);
        points.insert(place + 1, look(middle)?);
    }
    let mut places: Vec<usize> = (0..points.len().saturating_sub(1)).collect();
    places.sort_by_key(|place| (-rise(&points, *place), *place));
    places.retain(|place| rise(&points, *place) >= STEP);
    places.truncate(STEPS);
    let step = |place: usize| Step { from: points[place], to: points[place + 1], events: vec![] };
    let mut steps: Vec<Step> = places.iter().map(|place| step(*place)).collect();
    // After the last sharp step it may go on bit by bit.
    let last = places.iter().max().map_or(0, |place| place + 1);
    steps.extend(slope(&points[last..]));
    Ok(Why { runs: points.len() as u64 * samples, points, steps })
}

/// Where it rises bit by bit: from where it was least, for the last time, to where it is all but
/// certain.
fn slope(points: &[Point]) -> Vec<Step> {
    let (Some(least), Some(last)) = (points.iter().map(|point| point.fails).min(), points.last())
    else {
        return Vec::new();
    };
    let from = points.iter().rposition(|point| point.fails == least).unwrap_or_default();
    let is_high = |point: &&Point| 10 * point.fails >= 9 * last.fails;
    let to = points[from..].iter().find(is_high).unwrap_or(last);
    let rises = (to.percent() as i64) - (points[from].percent() as i64) >= STEP;
    let step = Step { from: points[from], to: *to, events: Vec::new() };
    if rises { vec![step] } else { Vec::new() }
}

fn rise(points: &[Point], place: usize) -> i64 {
    points[place + 1].percent() as i64 - points[place].percent() as i64
}

/// What says nothing of why something happened.
const NOISE: [&str; 9] = [
    " runs task ",
    " starts task ",
    " ends task ",
    " sets a timer ",
    " takes a timer off",
    " has a timer run out",
    " reads its clock",
    " reads its wall clock",
    " draws ",
];

impl Why {
    /// Takes a line of the run's trace into the steps in whose time it is.
    pub(crate) fn hear(&mut self, line: &str) {
        let Some(time) = time_of(line) else { return };
        if NOISE.iter().any(|noise| line.contains(noise)) {
            return;
        }
        for step in &mut self.steps {
            // At the beginning everything that strikes then is drawn anew, and at the end not.
            if (step.from.at_ns..step.to.at_ns).contains(&time) {
                step.events.push(line.to_owned());
            }
        }
    }

    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = show::bars(&self.points);
        for (number, step) in self.steps.iter().enumerate() {
            let which = if number == 0 { "it became likely" } else { "and likelier" };
            let (from, to) = (step.from, step.to);
            lines.push(String::new());
            lines.push(format!(
                "{which} between {} and {}: from {} % to {} %",
                seconds(from.at_ns),
                seconds(to.at_ns),
                from.percent(),
                to.percent()
            ));
            lines.extend(step.events.iter().take(EVENTS).map(|line| format!("  {line}")));
            match step.events.len() {
                0 => lines.push("  nothing that a trace shows happened in this time".to_owned()),
                many if many > EVENTS => lines.push(format!("  ... and {} more", many - EVENTS)),
                _ => {}
            }
        }
        if self.steps.is_empty() {
            lines.push(String::new());
            lines.push(match self.points.first().map(|first| first.percent()) {
                Some(first) if first >= 50 => {
                    "it was likely from the start: it needs no particular event".to_owned()
                }
                _ => "there is no time at which it became likely".to_owned(),
            });
        }
        lines
    }

    /// A picture of the probability against time.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn svg(&self, title: &str) -> String {
        show::svg(title, &self.points, &self.steps)
    }
}

/// The time with which a line of a trace begins, in nanoseconds.
fn time_of(line: &str) -> Option<u64> {
    let (time, _) = line.split_once(" s ")?;
    let (whole, part) = time.split_once('.')?;
    let digits = u32::try_from(part.len()).ok().filter(|digits| *digits <= 9)?;
    let part: u64 = part.parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(part * 10_u64.pow(9 - digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_wilson() {
        let bounds = |fails, of| {
            let (low, high) = Point { at_ns: 0, fails, of }.bounds();
            (low.round() as u64, high.round() as u64)
        };
        assert_eq!(bounds(0, 64), (0, 6));
        assert_eq!(bounds(64, 64), (94, 100));
        assert_eq!(bounds(5, 10), (24, 76));
    }

    #[test]
    fn times_of_traces_are_read_as_they_are_written() {
        for ns in [0, 1_000, 1_203_117_000, 14_000_000_001] {
            assert_eq!(time_of(&format!("{} node-1 boots", seconds(ns))), Some(ns));
        }
        assert_eq!(time_of("no time at all"), None);
    }

    #[test]
    fn what_rises_bit_by_bit_is_named_from_its_foot_to_its_top() {
        let point = |at_ns, fails| Point { at_ns, fails, of: 100 };
        let all = |fails: &[u64]| -> Vec<Point> {
            fails.iter().enumerate().map(|(at, fails)| point(at as u64, *fails)).collect()
        };
        let found =
            |fails: &[u64]| slope(&all(fails)).first().map(|step| (step.from.at_ns, step.to.at_ns));
        assert_eq!(found(&[60, 20, 55, 20, 35, 50, 65, 80, 95, 100]), Some((3, 8)));
        assert_eq!(found(&[100, 100, 100]), None);
        assert_eq!(found(&[0]), None);
    }

    #[test]
    fn the_step_is_narrowed_down_wherever_it_is() {
        let scenario = Scenario::new("test/why");
        let plan = Plan::calm(Vec::new(), 3_000_000_000);
        for wanted in [1_u64, 777_777_777, 1_999_999_000] {
            let (at_ns, fingerprint) = (2_000_000_000, "this");
            let past = Past { scenario: &scenario, plan: &plan, fingerprint, at_ns, struck: &[] };
            let mut run = |plans: &[Plan]| {
                let of = |plan: &Plan| {
                    let from = plan.rerolls[0].from_ns;
                    Some(if from >= wanted { "this" } else { "another" }.to_owned())
                };
                Ok(plans.iter().map(of).collect())
            };
            let why = why(&past, 3, &mut run).unwrap();
            let step = &why.steps[0];
            assert!(step.from.at_ns < wanted && wanted <= step.to.at_ns, "{step:?}");
            assert!(step.to.at_ns - step.from.at_ns <= at_ns / NARROW, "{step:?}");
            assert_eq!((step.from.fails, step.to.fails, why.steps.len()), (0, 3, 1));
            assert!(why.points.is_sorted_by_key(|point| point.at_ns));
        }
    }
}
