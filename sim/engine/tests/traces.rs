//! A trace with causes: each event has the right one, and the exports say what the trace says.

use proptest::prelude::*;
use squall::trace::{ARROWS, Event, Graph, Trace};
use squall::{Scenario, Watch, run_plan};
use std::collections::BTreeMap;

fn find(name: &str) -> Scenario {
    let all = squall_scenarios::scenarios().into_iter().chain(squall_scenarios::specimens());
    all.into_iter().find(|scenario| scenario.name() == name).expect("it is one of ours")
}

fn trace(name: &str, seed: u64) -> Trace {
    let scenario = find(name);
    let plan = scenario.plan(seed);
    let watch = Watch { causes: true, ..Watch::default() };
    let mut outcome = run_plan(&scenario, seed, &plan, watch);
    outcome.trace(&scenario, seed, &plan).expect("it was asked for")
}

fn cause<'a>(trace: &'a Trace, event: &Event) -> Option<&'a Event> {
    event.cause.and_then(|cause| trace.event(cause))
}

/// The hash of a payload in the words of an event.
fn hash(event: &Event) -> &str {
    let is_hash = |word: &&str| word.len() == 16 && word.bytes().all(|c| c.is_ascii_hexdigit());
    event.text.split([' ', '(', ')']).find(is_hash).expect("it names a payload")
}

const BROKEN: (&str, u64) = ("mutant/register-reads-without-write-back", 8);

#[test]
fn a_run_is_the_same_whether_its_causes_are_kept_or_not() {
    for scenario in squall_scenarios::scenarios() {
        for seed in 0..3 {
            let plan = scenario.plan(seed);
            let plain = run_plan(&scenario, seed, &plan, Watch::default());
            let watch = Watch { causes: true, ..Watch::default() };
            let mut kept = run_plan(&scenario, seed, &plan, watch);
            assert_eq!(kept.digest, plain.digest, "{} {seed}", scenario.name());
            assert_eq!(kept.events, plain.events);
            let trace = kept.trace(&scenario, seed, &plan).unwrap();
            assert!(!trace.events.is_empty());
            for (event, id) in trace.events.iter().zip(trace.about.left_out..) {
                assert_eq!(event.id, id);
                assert!(event.cause.is_none_or(|cause| cause < id), "{event:?}");
                let earlier = cause(&trace, event).is_none_or(|cause| cause.at_ns <= event.at_ns);
                assert!(earlier, "{event:?}");
            }
        }
    }
    let scenario = find("register/atomic");
    let unasked = run_plan(&scenario, 1, &scenario.plan(1), Watch::default());
    assert!({ unasked }.trace(&scenario, 1, &scenario.plan(1)).is_none());
}

#[test]
fn what_arrives_was_sent_and_what_is_received_has_arrived() {
    let (mut delivered, mut received, mut lost) = (0, 0, 0);
    for seed in 0..20 {
        let trace = trace("register/atomic", seed);
        for event in &trace.events {
            let cause = cause(&trace, event);
            match &*event.kind {
                "deliver" => {
                    let sent = cause.expect("somebody sent it");
                    assert_eq!((&*sent.kind, sent.peer), ("send", Some(event.node)), "{event:?}");
                    assert_eq!(event.peer, Some(sent.node));
                    delivered += u32::from(hash(sent) == hash(event));
                }
                "receive" => {
                    let arrived = cause.expect("it has arrived");
                    assert_eq!((&*arrived.kind, arrived.node), ("deliver", event.node));
                    assert_eq!(hash(arrived), hash(event));
                    received += 1;
                }
                "lost" | "gone" | "cut" | "delayed" | "duplicated" | "no-socket" => {
                    assert_eq!(&*cause.expect("it was sent").kind, "send", "{event:?}");
                    lost += 1;
                }
                _ => {}
            }
        }
    }
    assert!(delivered > 1_000 && received > 1_000 && lost > 100, "{delivered} {received} {lost}");
}

#[test]
fn each_kind_of_event_is_caused_by_what_makes_it_happen() {
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in 0..20 {
        let trace = trace("register/atomic", seed);
        for event in &trace.events {
            let cause = cause(&trace, event);
            let right: &[&str] = match &*event.kind {
                "timer" => &["sleep"],
                "disk-done" => &["disk"],
                "crash" => &["fault", "fault-ends"],
                "fault-ends" => &["fault", "heal"],
                "call" => &["boot", "poll", "receive", "return"],
                "asks" => &["call"],
                "told" => &["return"],
                "send" => &["poll", "receive", "call", "return"],
                "return" => &["poll", "receive", "call"],
                "poll" => &["spawn", "timer", "deliver", "disk-done", "poll", "receive"],
                _ => continue,
            };
            // What was not woken by anything of the trace was by what a task dropped or sent on.
            let Some(cause) = cause else { panic!("{event:?} has no cause") };
            if &*event.kind == "poll" && !right.contains(&&*cause.kind) {
                continue;
            }
            assert!(right.contains(&&*cause.kind), "{event:?} is caused by {cause:?}");
            if !matches!(&*event.kind, "crash" | "fault-ends") {
                assert_eq!(cause.node, event.node, "{event:?} is caused by {cause:?}");
            }
            *seen.entry(event.kind.to_string()).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
}

#[test]
fn a_violation_leads_back_to_what_caused_it() {
    let trace = trace(BROKEN.0, BROKEN.1);
    let failure = trace.about.failure.as_ref().expect("it fails");
    assert_eq!(failure.property, "the history is linearizable");
    let focus = trace.focus().unwrap();
    assert_eq!(&*focus.kind, "return");
    assert!(trace.about.offending.contains(&focus.id));
    let chain = trace.chain(focus.id);
    assert_eq!(chain.last().map(|last| last.id), Some(focus.id));
    for pair in chain.windows(2) {
        assert_eq!(pair[1].cause, Some(pair[0].id));
    }
    assert_eq!(chain[0].cause, None);
    let kinds: Vec<&str> = chain.iter().map(|event| &*event.kind).collect();
    for kind in ["call", "send", "deliver", "receive", "return"] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    let graph = Graph::of(&trace);
    let past = graph.past(&[focus.id]);
    assert!(past.len() < trace.events.len());
    assert!(chain.iter().all(|event| past.contains(&event.id)));
    let effects = graph.effects(chain[0].id);
    assert!(effects.contains(&chain[1].id) && !effects.contains(&chain[0].id));
}

#[test]
fn what_is_written_as_json_is_read_again() {
    let trace = trace(BROKEN.0, BROKEN.1);
    let mut text = Vec::new();
    trace.write_jsonl(&mut text).unwrap();
    assert_eq!(Trace::read_jsonl(&mut &*text).unwrap(), trace);
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), trace.events.len() + 1);
    let refused = |text: &str| Trace::read_jsonl(&mut text.as_bytes()).unwrap_err().to_string();
    let text = String::from_utf8(text).unwrap();
    assert!(refused(&text.replacen("\"format\":1", "\"format\":7", 1)).contains("format 7"));
    assert!(refused(&text.replacen("\"id\":1,", "\"id\":2,", 1)).contains("line 3"));
    assert!(refused(&text.replacen("\"cause\":0", "\"cause\":9", 1)).contains("by a later one"));
    assert!(refused("{\"format\":1}").contains("line 1"));
    assert!(refused("").contains("line 1"));
}

/// The events of a log for ShiViz: host, clock and words.
fn parsed(log: &str) -> Vec<(String, BTreeMap<String, u64>, String)> {
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some(r"(?<host>\S+) (?<clock>\{.*\})\n(?<event>.*)"));
    assert_eq!(lines.next(), Some(""));
    let mut events = Vec::new();
    while let Some(head) = lines.next() {
        let (host, clock) = head.split_once(' ').unwrap();
        let clock = serde_json::from_str(clock).unwrap();
        events.push((host.to_owned(), clock, lines.next().unwrap().to_owned()));
    }
    events
}

#[test]
fn the_clocks_of_shiviz_agree_with_the_causes() {
    let trace = trace("register/atomic", 3);
    let mut log = Vec::new();
    trace.write_shiviz(&mut log).unwrap();
    let events = parsed(std::str::from_utf8(&log).unwrap());
    let mut hosts = BTreeMap::<String, Vec<usize>>::new();
    for (at, (host, clock, words)) in events.iter().enumerate() {
        let own = hosts.entry(host.clone()).or_default();
        own.push(at);
        assert_eq!(clock[host], own.len() as u64, "{words}");
        for (other, count) in clock {
            // What is known of another node has happened, and all that it knew is known, too.
            let known = hosts[other][*count as usize - 1];
            let theirs = &events[known].1;
            assert!(theirs.iter().all(|(node, count)| clock[node] >= *count), "{words}");
        }
    }
    let mut messages = 0;
    for (at, (host, clock, words)) in events.iter().enumerate() {
        let Some((_, delivered)) = words.split_once("is delivered ") else { continue };
        let (message, rest) = delivered.split_once(" from ").expect("somebody has sent it");
        let from = rest.split(' ').next().expect("it has a name").to_owned();
        let sent = events[..at].iter().filter(|(node, _, words)| {
            *node == from && words.contains(&format!("sends {message} to {host} "))
        });
        // Of equal messages it is one.
        if let Some(first) = sent.map(|(node, clock, _)| clock[node]).min() {
            assert!(clock[&from] >= first, "{words}");
            messages += 1;
        }
    }
    assert!(messages > 100, "{messages}");
    assert!(hosts.len() > 3, "{:?}", hosts.keys());
}

#[test]
fn a_sequence_diagram_has_each_message_once_and_is_bounded() {
    let trace = trace(BROKEN.0, BROKEN.1);
    let drawn = |most| {
        let mut text = Vec::new();
        trace.write_mermaid(&mut text, most).unwrap();
        String::from_utf8(text).unwrap()
    };
    let all = drawn(usize::MAX);
    let focus = trace.focus().unwrap().id;
    let before = || trace.events.iter().filter(|event| event.id <= focus);
    let arrived = before().filter(|event| event.kind == "deliver").count();
    assert_eq!(all.matches("->>").count(), arrived);
    let gone = ["lost", "cut", "no-socket", "overflow", "gone"];
    let lost = before().filter(|event| gone.contains(&&*event.kind)).count();
    assert_eq!(all.matches("-x").count(), lost);
    assert!(arrived > 10);
    for (at, name) in trace.about.nodes.iter().enumerate() {
        assert!(all.contains(&format!("  participant n{at} as {name}\n")), "{name}");
    }
    for event in before().filter(|event| event.kind == "deliver") {
        let from = event.peer.unwrap();
        assert!(all.contains(&format!("n{from}->>n{}: ", event.node)), "{event:?}");
    }
    let few = drawn(20);
    assert!(few.lines().count() <= 20 + trace.about.nodes.len() + 3, "{few}");
    assert!(few.contains("earlier messages and notes are left out"), "{few}");
    assert!(!all.contains("earlier messages"));
    assert!(
        few.lines().rev().take(5).any(|line| line.contains("is told") || line.contains("ends its"))
    );
    assert!(drawn(ARROWS).lines().count() <= ARROWS + trace.about.nodes.len() + 3);
}

#[test]
fn texts_that_mean_something_to_a_diagram_stay_texts() {
    let mut trace = trace("register/atomic", 1);
    trace.about.nodes[0] = "a; b\nparticipant <script>".to_owned();
    for event in &mut trace.events {
        event.text = "end; #1 %% <b>\n  n0->>n1: forged".to_owned();
    }
    let mut text = Vec::new();
    trace.write_mermaid(&mut text, 50).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.lines().all(|line| !line.starts_with("  n0->>n1: forged")), "{text}");
    let bare = ["->>", "#35;", "#37;", "#59;", "#60;", "#62;"];
    let bare = bare.iter().fold(text.clone(), |text, known| text.replace(known, ""));
    assert!(!bare.contains(['<', '>', '%', ';', '#']), "{text}");
    let mut log = Vec::new();
    trace.write_shiviz(&mut log).unwrap();
    for (host, ..) in parsed(std::str::from_utf8(&log).unwrap()) {
        assert!(!host.contains([' ', '<', ';']), "{host}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_damaged_export_is_read_or_refused(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        static TEXT: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let text = TEXT.get_or_init(|| {
            let mut trace = trace("register/atomic", 1);
            trace.events.truncate(30);
            let mut text = Vec::new();
            trace.write_jsonl(&mut text).unwrap();
            text
        });
        let mut text = text.clone();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(trace) = Trace::read_jsonl(&mut &*text) {
            for event in &trace.events {
                prop_assert!(trace.chain(event.id).len() <= trace.events.len());
            }
            trace.write_shiviz(&mut Vec::new()).unwrap();
            trace.write_mermaid(&mut Vec::new(), 10).unwrap();
        }
    }
}
