//! A run as one page of HTML that needs nothing else: nodes and messages over time, why each thing
//! happened, and what was so at each moment.

use crate::conditions::Struck;
use crate::plan::Plan;
use crate::run::Outcome;
use crate::trace::{Event, Graph, Trace};
use crate::words::seconds;
use serde::Serialize;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("data.js"),
    include_str!("state.js"),
    include_str!("draw.js"),
    include_str!("panels.js"),
    include_str!("main.js"),
);

/// The most events of a page, the last ones: so many a browser still draws at once.
pub(crate) const EVENTS: usize = 250_000;

/// What a page shows beside the trace.
pub(crate) struct Around<'a> {
    /// The command that shows the run again.
    pub(crate) command: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) outcome: &'a Outcome,
    /// How it differs from another run.
    pub(crate) parted: Option<Parted>,
}

/// Where a run parts from another one.
pub(crate) struct Parted {
    /// What the other one is called.
    pub(crate) name: String,
    /// How they differ, in words.
    pub(crate) lines: Vec<String>,
    /// The first event of this run that the other one does not have.
    pub(crate) event: Option<u64>,
}

/// The trace in columns, which are shorter than rows. Numbers and times are how much more they are
/// than those of the event before, causes how far before the event they are, and peers count
/// from 1.
#[derive(Serialize)]
struct Data<'a> {
    about: crate::trace::About,
    kinds: Vec<&'a str>,
    texts: Vec<&'a str>,
    id: Vec<u64>,
    time: Vec<u64>,
    node: Vec<u16>,
    kind: Vec<usize>,
    cause: Vec<usize>,
    peer: Vec<u16>,
    text: Vec<usize>,
    bands: Vec<Band>,
    /// The places of the calls and returns that prove the failure.
    offending: Vec<usize>,
    /// The place of the event at which the failure shows, or -1.
    focus: i64,
    /// The place of the event at which it parts from another run, or -1.
    parting: i64,
    /// The places of the events that could have influenced it, each from and up to.
    past: Vec<(u64, u64)>,
}

/// A fault over time.
#[derive(Serialize)]
struct Band {
    name: &'static str,
    nodes: Vec<usize>,
    from: u64,
    to: u64,
}

/// Names with the numbers they got, in the order in which they came.
#[derive(Default)]
struct Names<'a> {
    known: BTreeMap<&'a str, usize>,
    all: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn number(&mut self, name: &'a str) -> usize {
        let all = &mut self.all;
        *self.known.entry(name).or_insert_with(|| {
            all.push(name);
            all.len() - 1
        })
    }
}

/// The page of a run.
pub(crate) fn page(trace: &Trace, around: &Around<'_>) -> String {
    let about = &trace.about;
    let failure = about.failure.as_ref();
    let (class, verdict) = match failure {
        Some(failure) => {
            let at = seconds(failure.at_ns);
            ("failed", format!("Broken at {at}: {} ({})", failure.property, failure.class))
        }
        None => ("fine", format!("Nothing failed in {}", seconds(about.end_ns))),
    };
    let evidence = around.outcome.evidence();
    let reasons = evidence.map_or(&[][..], |found| &found.reasons);
    let story = match failure {
        Some(failure) => list(&failure.story),
        None => "<p>Nothing: every property held.</p>".to_owned(),
    };
    fill(|name| match name {
        "title" => escaped(&format!("{} seed {}", about.scenario, about.seed)),
        "style" => STYLE.to_owned(),
        "scenario" => escaped(&about.scenario),
        "seed" => about.seed.to_string(),
        "class" => class.to_owned(),
        "verdict" => escaped(&verdict),
        "story" => story.clone(),
        "drawing" => evidence.map(|found| found.drawing.clone()).unwrap_or_default(),
        "reasons" => list(reasons),
        "command" => escaped(around.command),
        "digest" => escaped(&about.digest),
        "build" => escaped(&about.build),
        "plan" => escaped(&around.plan.lines().join("\n")),
        "parted" => around.parted.as_ref().map(parted).unwrap_or_default(),
        "data" => {
            let parting = around.parted.as_ref().and_then(|parted| parted.event);
            data(trace, around.outcome.struck(), parting, EVENTS)
        }
        _ => SCRIPT.to_owned(),
    })
}

/// How the run differs from another one.
fn parted(parted: &Parted) -> String {
    let (name, lines) = (escaped(&parted.name), escaped(&parted.lines.join("\n")));
    format!(
        "<section class=\"paper\" id=\"parted\"><h2>Beside {name}</h2><pre>{lines}</pre></section>"
    )
}

/// The page's template, with what belongs into its gaps.
fn fill(value: impl Fn(&str) -> String) -> String {
    let mut parts = PAGE.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        page.push_str(&value(name));
        page.push_str(rest);
    }
    page
}

fn list(lines: &[String]) -> String {
    let items = lines.iter().flat_map(|line| line.lines());
    let items: String = items.map(|line| format!("<li>{}</li>", escaped(line))).collect();
    format!("<ul>{items}</ul>")
}

/// The kinds of which a page has none: there may be thousands of them in one step, and nothing
/// comes of them that is no event of its own.
const UNTOLD: [&str; 3] = ["random", "clock", "wall-clock"];

/// The last events as JSON in which nothing ends the element around it.
fn data(trace: &Trace, struck: &[Struck], parting: Option<u64>, most: usize) -> String {
    let told: Vec<&Event> =
        trace.events.iter().filter(|event| !UNTOLD.contains(&&*event.kind)).collect();
    let events = &told[told.len().saturating_sub(most)..];
    let place = |id: u64| events.binary_search_by_key(&id, |event| event.id).ok();
    // What was caused by something that is not told was by what caused that.
    let cause = |event: &Event| {
        let cause = |event: &Event| event.cause.and_then(|cause| trace.event(cause));
        let mut causes = std::iter::successors(cause(event), |event| cause(event));
        causes.find(|event| !UNTOLD.contains(&&*event.kind)).and_then(|event| place(event.id))
    };
    let mut about = trace.about.clone();
    about.left_out = (told.len() - events.len()) as u64 + trace.about.left_out;
    let offending = about.offending.drain(..).filter_map(place).collect();
    let focus = trace.focus().and_then(|event| place(event.id));
    let graph = Graph::of(trace);
    let past = focus.map(|at| graph.past(&[events[at].id])).unwrap_or_default();
    let (mut kinds, mut texts) = (Names::default(), Names::default());
    let steps = |of: fn(&Event) -> u64| {
        let before = |at: usize| at.checked_sub(1).map_or(0, |at| of(events[at]));
        events.iter().enumerate().map(|(at, event)| of(event) - before(at)).collect()
    };
    let away = |(at, event): (usize, &&Event)| cause(event).map_or(0, |cause| at - cause);
    let data = Data {
        id: steps(|event| event.id),
        time: steps(|event| event.at_ns),
        node: events.iter().map(|event| event.node).collect(),
        kind: events.iter().map(|event| kinds.number(&event.kind)).collect(),
        cause: events.iter().enumerate().map(away).collect(),
        peer: events.iter().map(|event| event.peer.map_or(0, |peer| peer + 1)).collect(),
        text: events.iter().map(|event| texts.number(&event.text)).collect(),
        bands: struck.iter().map(|struck| band(&about.nodes, about.end_ns, struck)).collect(),
        offending,
        focus: focus.map_or(-1, |at| at as i64),
        parting: parting.map_or(-1, |id| {
            // What parts them may be no event of the page: then the next one is.
            let at = events.partition_point(|event| event.id < id);
            if at < events.len() { at as i64 } else { -1 }
        }),
        past: ranges(past.into_iter().filter_map(place).map(|at| at as u64)),
        kinds: kinds.all,
        texts: texts.all,
        about,
    };
    // Numbers and texts can always be written.
    serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c")
}

fn band(nodes: &[String], end_ns: u64, struck: &Struck) -> Band {
    let kind = &struck.episode.kind;
    let place = |name: &String| nodes.iter().position(|known| known == name);
    Band {
        name: kind.fault().name(),
        nodes: kind.nodes().iter().filter_map(place).collect(),
        from: struck.since_ns,
        to: struck.until_ns.unwrap_or(end_ns),
    }
}

/// Rising numbers as ranges, each from and up to.
fn ranges(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, to)) if *to == number => *to += 1,
            _ => ranges.push((number, number + 1)),
        }
    }
    ranges
}

/// Text with nothing in it that HTML would take for more than text.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Watch, run_plan};
    use crate::scenario::Scenario;
    use squall_env::Env;
    use std::time::Duration;

    fn scenario() -> Scenario {
        Scenario::new("test/</script><b>").nodes("node", 2..=2, |env: Env| async move {
            env.trace(|| "</script><script>alert(1)</script> {{data}}".to_owned());
            env.sleep(Duration::from_secs(1)).await;
            let missing: Option<()> = env.peers("nobody").pop().map(|_| ());
            missing.expect("a <b>panic</b> & more");
            Ok::<(), String>(())
        })
    }

    fn run() -> (Trace, Outcome, Plan) {
        let (scenario, plan) = (scenario(), scenario().plan(1));
        let watch = Watch { causes: true, ..Watch::default() };
        let mut outcome = run_plan(&scenario, 1, &plan, watch);
        (outcome.trace(&scenario, 1, &plan).unwrap(), outcome, plan)
    }

    #[test]
    fn no_text_of_a_run_breaks_out_of_its_place() {
        let (trace, outcome, plan) = run();
        let around = Around {
            command: "run '</code>'",
            plan: &plan,
            outcome: &outcome,
            parted: Some(Parted {
                name: "<b>another</b>".to_owned(),
                lines: vec!["then </pre><script>".to_owned()],
                event: None,
            }),
        };
        let page = page(&trace, &around);
        assert_eq!(page.matches("</script>").count(), 2, "the page's own");
        assert!(!page.contains("<b>"), "{page}");
        assert!(page.contains("\\u003c/script>\\u003cscript>alert(1)"));
        assert!(page.contains("run &#39;&lt;/code&gt;&#39;"));
        assert!(page.contains("Broken at 1.000000 s: no node panics"));
    }

    #[test]
    fn a_page_needs_nothing_else_and_has_no_gaps() {
        let (trace, outcome, plan) = run();
        let page =
            page(&trace, &Around { command: "run", plan: &plan, outcome: &outcome, parted: None });
        for elsewhere in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
        let gaps = page.match_indices("{{").filter(|(at, _)| !page[*at..].starts_with("{{data"));
        assert_eq!(gaps.count(), 0);
    }

    #[test]
    fn a_long_run_keeps_its_end() {
        let (trace, outcome, _) = run();
        let many = trace.events.len();
        let value = |most| {
            let text = data(&trace, outcome.struck(), None, most);
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        };
        let (whole, part) = (value(many), value(4));
        assert_eq!(whole["node"].as_array().unwrap().len(), many);
        assert_eq!(whole["about"]["left_out"], 0);
        assert_eq!(part["node"].as_array().unwrap().len(), 4);
        assert_eq!(part["about"]["left_out"], many as u64 - 4);
        assert!(part["cause"].as_array().unwrap().iter().all(|away| away.as_u64().unwrap() < 4));
        let times = |value: &serde_json::Value| {
            value["time"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(times(&whole), times(&part));
    }

    #[test]
    fn numbers_in_a_row_are_one_range() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10].into_iter()), [(1, 4), (7, 8), (9, 11)]);
        assert!(ranges(std::iter::empty()).is_empty());
    }
}
